"""The hash of a task: of what is asked and how, not of how its files are called or who reports it."""

from __future__ import annotations

from pathlib import Path

from evals.task import holdout_hash
from tests.evals.cards import task_config
from tests.evals.task_files import NAMED, ROWS, load, write_jsonl


def test_renaming_splitting_and_reordering_files_change_no_hash(tmp_path: Path) -> None:
    whole = load(write_jsonl(tmp_path / "whole.jsonl", ROWS))
    parts = tmp_path / "parts"
    parts.mkdir()
    write_jsonl(parts / "z.jsonl", ROWS[:2])
    write_jsonl(parts / "a.jsonl", ROWS[:1:-1])
    split = load(parts)
    assert split.task_hash == whole.task_hash
    assert [item.item for item in split.items] == [item.item for item in whole.items]


def test_what_changes_the_task_hash(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", ROWS)
    same = {
        load(path).task_hash,
        load(path, role="general", topic="law", license="MIT").task_hash,
        load(path, name="other").task_hash,
    }
    assert len(same) == 1
    fewer = load(write_jsonl(tmp_path / "b.jsonl", ROWS[:5])).task_hash
    other = load(write_jsonl(tmp_path / "c.jsonl", [*ROWS[:5], {**ROWS[5], "answer": "A"}])).task_hash
    prompted = load(path, prompt="Q: {question}").task_hash
    shown = load(path, num_fewshot=1).task_hash
    assert len({*same, fewer, other, prompted, shown}) == 5


def test_what_items_are_reported_under_has_a_hash_of_its_own(tmp_path: Path) -> None:
    """Role and source are written into every row, so they are in the scorecard's id; what is asked stays the same task."""
    rows = [{**row, "group": f"g{n // 2}"} for n, row in enumerate(ROWS)]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    by_file, by_group = load(path), load(path, columns={**NAMED, "source": "group"})
    general = load(path, role="general")
    assert {found.task_hash for found in (by_file, by_group, general)} == {by_file.task_hash}
    assert len({found.slices_hash for found in (by_file, by_group, general)}) == 3
    assert load(path).slices_hash == by_file.slices_hash


def test_the_holdout_task_needs_no_file_and_hashes_its_texts() -> None:
    assert task_config({"type": "holdout"}, "holdout").path == ""
    one = holdout_hash(["a", "b"], ["x", "y"])
    assert one == holdout_hash(["b", "a"], ["y", "x"])
    assert len({one, holdout_hash(["a", "b"], ["y", "x"]), holdout_hash(["a"], ["x"])}) == 3
