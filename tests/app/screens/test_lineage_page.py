"""Lineage: from a checkpoint to its documents, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.lineage import find_document, lineage_of_step
from corpus import names
from corpus.facts import write_facts
from corpus.lake import Lake, now_utc
from tests.app.screens.page import shown
from tests.app.small_lake import copy_lake
from trainer.checkpoint import checkpoint_id


def test_lineage_of_a_checkpoint_lists_what_the_command_line_lists(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "lineage", ref="small@1/replay-30/3")
    pieces = test.dataframe[-1].value
    lake = Lake.open(small_lake, create=False)
    found = lineage_of_step(lake, names.resolve(lake, "small/replay-30", "run").id, 3)
    assert list(pieces["doc_id"]) == [row["doc_id"] for row in found.documents]


def test_lineage_of_a_document_names_the_steps_that_saw_it(small_lake: Path, opened: Any) -> None:
    lake = Lake.open(small_lake, create=False)
    run = names.resolve(lake, "small/replay-30", "run").id
    document = lineage_of_step(lake, run, 2).documents[0]["doc_id"]
    test = opened(small_lake, "lineage", document=document)
    seen = next(element.value for element in test.dataframe if "steps" in element.value)
    row = seen[seen["run"] == "small@1/replay-30"]
    assert "2" in row["steps"].iloc[0].split(", ")


def test_lineage_of_a_document_names_the_runs_that_went_on_from_one_that_read_it(
    small_lake: Path, opened: Any
) -> None:
    lake = Lake.open(small_lake, create=False)
    run = names.resolve(lake, "small/base", "run").id
    document = lineage_of_step(lake, run, 2).documents[0]["doc_id"]
    test = opened(small_lake, "lineage", document=document)
    found = next(element.value for element in test.dataframe if "base" in element.value)
    assert set(zip(found["run"], found["base"], strict=True)) == {
        ("small@1/replay-00", "small@1/base"), ("small@1/replay-30", "small@1/base"),
    }  # fmt: skip


def test_lineage_of_a_document_lists_the_other_ids_of_its_text(small_lake: Path, opened: Any) -> None:
    """p60 says what p1 says."""
    lake = Lake.open(small_lake, create=False)
    test = opened(small_lake, "lineage", document="p60")
    (found,) = [element.value for element in test.dataframe if "other" in element.value]
    assert list(found["other"]) == [find_document(lake, "p1")["doc_id"]]
    assert list(found["versions"]) == ["small@1"]


def test_lineage_of_a_document_shows_the_sign_offs_of_each_run_s_own_checkpoints(
    small_lake: Path, tmp_path: Path, opened: Any
) -> None:
    """Not those of a run whose name begins with the same letters: replay-30 is signed off, replay-3 is not."""
    lake = copy_lake(small_lake, tmp_path)
    runs = {name: names.resolve(lake, f"small/{name}", "run").id for name in ("replay-00", "replay-30")}
    told = lake.runs / runs["replay-00"] / "lineage.json"
    told.write_text(json.dumps({**json.loads(told.read_text("utf-8")), "name": "replay-3"}), "utf-8")
    signed = {
        "signoff_id": "5" * 32, "recipe": "small", "reference": "small@1/replay-30/4", "checkpoint_id": checkpoint_id(runs["replay-30"], 4),
        "scorecard_id": "6" * 32, "reviewer": "someone", "note": "", "time_utc": now_utc(),
    }  # fmt: skip
    write_facts(lake, "signoffs", [signed])
    first, second = (
        {row["doc_id"] for row in lineage_of_step(lake, id, 1).documents} for id in runs.values()
    )
    test = opened(lake.root, "lineage", document=min(first & second))
    seen = next(element.value for element in test.dataframe if "signed" in element.value)
    assert dict(zip(seen["run"], seen["signed"], strict=True)) == {
        "small@1/replay-3": "", "small@1/replay-30": signed["reference"],
    }  # fmt: skip


def test_a_reference_that_names_nothing_is_a_message(small_lake: Path, opened: Any) -> None:
    assert "nothing is named" in shown(opened(small_lake, "lineage", ref="smell/replay/3"))
