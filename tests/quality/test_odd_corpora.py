"""Corpora of one document, of none, of rejects alone, and rules that keep nothing or all."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from corpus.errors import GuardStop
from corpus.holdout import held_out_rows
from corpus.lake import Lake
from corpus.snapshot import check_guards
from tests.quality.small_corpus import (
    curate_folder,
    curation,
    documents_of,
    holdout,
    prose,
    read_sources,
    rows_of,
    trained_texts,
    verdicts,
    write_files,
)


def test_a_source_of_one_document_an_empty_one_and_one_of_rejects(tmp_path: Path) -> None:
    text = prose(random.Random(4))
    write_files(tmp_path, {"one": [[text]], "none": [], "broken": [[]]})
    (tmp_path / "broken" / "a.jsonl").write_text("not json\n" * 3)
    lake = Lake.open(tmp_path / "lake")
    made = curate_folder(
        lake, tmp_path, held=holdout(), sources=read_sources(tmp_path, ["one", "none", "broken"])
    )
    assert verdicts(lake, made.snapshot) == {text: None}
    assert {name: tally["documents"] for name, tally in made.snapshot.summary["sources"].items()} == {
        "one": 1,
        "none": 0,
        "broken": 0,
    }
    assert made.snapshot.summary["rejects"] == {"one": 0, "none": 0, "broken": 3}
    assert made.holdout is not None and made.holdout.rows("held_out") == 0
    with pytest.raises(GuardStop, match=r"broken lost 3 of 3 documents") as stop:
        check_guards(made.snapshot, 0.0, 0)
    assert "one lost" not in str(stop.value) and "none lost" not in str(stop.value)


@pytest.mark.parametrize("held", [None, holdout()])
def test_nothing_at_all_is_a_snapshot_of_nothing(tmp_path: Path, held: Any) -> None:
    write_files(tmp_path, {"none": []})
    lake = Lake.open(tmp_path / "lake")
    made = curate_folder(lake, tmp_path, held=held, sources=read_sources(tmp_path, ["none"])).snapshot
    assert documents_of(lake, made) == rows_of(lake, made, "decisions") == trained_texts(lake, made) == []
    assert made.summary["largest_cluster"] == {"keeper": None, "dropped": 0}


def test_a_corpus_of_which_nothing_is_kept_is_still_a_snapshot(lake: Lake, folder: Path) -> None:
    made = curate_folder(
        lake, folder, curation(rules={"num_words": {"min": 10**6}}), holdout(name="set-of-none")
    ).snapshot
    assert trained_texts(lake, made) == [] and all(
        tally["kept"] == 0 for tally in made.summary["sources"].values()
    )
    assert held_out_rows(lake, lake.get("holdout", made.parent("holdout"))).num_rows == 0


def test_without_any_rule_everything_is_kept(lake: Lake, folder: Path) -> None:
    made = curate_folder(
        lake, folder, curation(rules={}, near_duplicates=None, exact_duplicates=False, pii="keep")
    ).snapshot
    assert all(row["kept"] and row["failures"] == [] for row in rows_of(lake, made, "decisions"))
    assert trained_texts(lake, made) == [row["text"] for row in documents_of(lake, made)]
