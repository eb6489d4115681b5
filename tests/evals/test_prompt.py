"""The prompt: a description, examples that are not scored, and the question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import ConfigError
from tests.evals.cards import task_config
from tests.evals.task_files import EXPECTED, NAMED, ROWS, answers, load, reasons, write_jsonl


def test_examples_are_the_first_rows_and_are_not_scored(tmp_path: Path) -> None:
    task = load(write_jsonl(tmp_path / "a.jsonl", [*ROWS, ROWS[0]]), num_fewshot=2)
    assert [shot.question for shot in task.shots] == ["What is item 0?", "What is item 1?"]
    assert sorted(answers(task)) == sorted(EXPECTED)[2:]
    assert reasons(task) == [(6, "shown_as_example")]


def test_examples_from_their_own_file(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "dev.jsonl", [*ROWS[:2], {**ROWS[2], "answer": "?"}])
    write_jsonl(tmp_path / "test.jsonl", ROWS[1:])
    task = load("test.jsonl", root=tmp_path, num_fewshot=2, fewshot_path="dev.jsonl")
    assert [shot.question for shot in task.shots] == ["What is item 0?", "What is item 1?"]
    assert sorted(answers(task)) == sorted(EXPECTED)[2:]
    assert sorted(reject.reason for reject in task.rejects) == ["answer_not_a_choice", "shown_as_example"]
    with pytest.raises(ConfigError, match="there are 2 usable"):
        load("test.jsonl", root=tmp_path, num_fewshot=3, fewshot_path="dev.jsonl")


def test_an_empty_file_of_examples_is_not_the_task_s_own_items(tmp_path: Path) -> None:
    (tmp_path / "dev.jsonl").write_text("")
    write_jsonl(tmp_path / "test.jsonl", ROWS)
    with pytest.raises(ConfigError, match=r"there are 0 usable examples in dev\.jsonl"):
        load("test.jsonl", root=tmp_path, num_fewshot=2, fewshot_path="dev.jsonl")


@given(
    st.lists(st.sampled_from([*ROWS, {**ROWS[2], "answer": "?"}]), min_size=5, max_size=9),
    st.integers(0, 2),
    st.booleans(),
)
def test_rows_are_items_rejects_and_the_examples_among_them(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], shots: int, own: bool
) -> None:
    folder = tmp_path_factory.mktemp("task")
    write_jsonl(folder / "test.jsonl", rows)
    write_jsonl(folder / "dev.jsonl", ROWS[:2])
    try:
        task = load(
            "test.jsonl", root=folder, num_fewshot=shots, **{} if own else {"fewshot_path": "dev.jsonl"}
        )
    except ConfigError:  # too few examples, or no item besides them
        return
    assert len(task.items) + len(task.rejects) + (shots if own else 0) == len(rows)


def test_examples_stay_the_same_when_files_are_renamed(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, names in ((first, ("a", "b")), (second, ("b", "a"))):
        folder.mkdir()
        for name, rows in zip(names, (ROWS[:3], ROWS[3:]), strict=True):
            write_jsonl(folder / f"{name}.jsonl", rows)
    assert load(first, num_fewshot=2).shots_hash == load(second, num_fewshot=2).shots_hash


def test_the_prompt_is_description_examples_question(tmp_path: Path) -> None:
    task = load(write_jsonl(tmp_path / "a.jsonl", ROWS[:2]), num_fewshot=1, description="About law.\n\n")
    (item,) = task.items
    assert (
        task.context_of(item) == "About law.\n\nWhat is item 0?\nAnswer: first 0\n\nWhat is item 1?\nAnswer:"
    )
    assert task.continuations_of(item) == [" first 1", " second 1", " third 1"]


def test_letters_and_context_in_the_prompt(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "passage": "Read {this}."}, {**ROWS[1], "passage": ""}]
    task = load(
        write_jsonl(tmp_path / "a.jsonl", rows),
        columns={**NAMED, "context": "passage"}, prompt="{context}{question}\n{choices}\nAnswer:", continuation=" {letter}",
    )  # fmt: skip
    first, second = sorted(task.items, key=lambda item: item.question)
    assert (
        task.context_of(first)
        == "Read {this}.\n\nWhat is item 0?\nA. first 0\nB. second 0\nC. third 0\nAnswer:"
    )
    assert task.context_of(second).startswith("What is item 1?")
    assert task.continuations_of(first) == [" A", " B", " C"]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"prompt": "{qestion}"}, "Did you mean 'question'"),
        ({"continuation": "Answer"}, "{choice} or {letter}"),
        ({"separator": "{choice}"}, "no places"),
        ({"num_fewshot": -1}, "num_fewshot"),
        ({"path": ""}, "path"),
        ({"columns": {"choise": "a"}}, "Did you mean 'choices'"),
        ({"metric": "acc"}, "metric"),
    ],
)
def test_a_wrong_task_is_one_clear_error(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        task_config({"path": "a.csv", **keys}, "law")
    assert words in str(error.value)
    assert "tasks.law" in str(error.value)
