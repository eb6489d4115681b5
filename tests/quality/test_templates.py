"""One template, many documents: a band bucket of any size ends as the exact walk says, in a whole curation."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from corpus.errors import GuardStop
from corpus.holdout import held_out_rows
from corpus.lake import Lake, Manifest
from corpus.snapshot import check_guards
from corpus.sql import run_query
from quality.curate import curate
from tests.quality.small_corpus import (
    WORDS,
    curate_folder,
    curation,
    holdout,
    kept_documents,
    read_sources,
    rows_of,
    verdicts,
    write_files,
)


def templated(count: int, seed: int = 0) -> list[str]:
    """Texts of one body of 200 words and one to three words of their own: any two have a Jaccard above 0.9."""
    draw = random.Random(seed)
    body = " ".join(draw.choices(WORDS, k=200))
    texts = [f"{body} {' '.join(f'own{i}x{j}' for j in range(1 + i % 3))}" for i in range(count)]
    return draw.sample(texts, count)


def curate_texts(folder: Path, texts: list[str], **keys: Any) -> tuple[Lake, Manifest]:
    write_files(folder, {"law": [texts[::2], texts[1::2]]})
    lake = Lake.open(folder / "lake")
    sources = read_sources(folder, ["law"])
    return lake, curate_folder(lake, folder, curation(**{"pii": "keep", **keys}), sources=sources).snapshot


@pytest.mark.parametrize(
    ("count", "keys"),
    [
        (100, {}), (300, {}), (300, {"near_duplicates": {"jaccard": 0.5}}), (300, {"near_duplicates": {"jaccard": 0.9, "keep": ["num_bytes"]}}),
        (300, {"near_duplicates": {"keep": ["length"]}}), (300, {"exact_duplicates": False}),
    ],
)  # fmt: skip
def test_of_many_texts_of_one_template_one_is_kept(tmp_path: Path, count: int, keys: dict[str, Any]) -> None:
    lake, snapshot = curate_texts(tmp_path, templated(count), **keys)
    assert snapshot.summary["sources"]["law"]["kept"] == 1
    (keeper,) = (row["doc_id"] for row in rows_of(lake, snapshot, "decisions") if row["kept"])
    for row in rows_of(lake, snapshot, "decisions"):
        assert row["cluster"] == keeper and (row["kept"] or row["partner"] == keeper)
        assert row["kept"] or (row["drop_reason"] == "near_duplicate" and 0.9 < row["partner_jaccard"] < 1)
    assert snapshot.summary["largest_cluster"] == {"keeper": keeper, "dropped": count - 1}
    with pytest.raises(GuardStop, match=f"{count - 1} documents were dropped for the one document {keeper}"):
        check_guards(snapshot, None, 50)


def test_of_those_that_pass_every_other_rule_one_is_kept(tmp_path: Path) -> None:
    """Whoever is compared with whom, it is not those that fail another rule."""
    texts = templated(300)
    lake, snapshot = curate_texts(tmp_path, texts, rules={"num_words": {"max": 202}})
    found = verdicts(lake, snapshot)
    assert sum(reason is None for reason in found.values()) == 1
    assert {len(text.split()) for text, reason in found.items() if reason == "too_many_words"} == {203}


def test_curating_what_was_kept_of_templates_changes_nothing(tmp_path: Path) -> None:
    texts = [text for seed in range(5) for text in templated(90, seed)]
    lake, snapshot = curate_texts(tmp_path / "once", texts)
    kept = kept_documents(lake, snapshot)["law"]
    again, other = curate_texts(tmp_path / "again", kept)
    assert len(kept) == 5 and sorted(kept_documents(again, other)["law"]) == sorted(kept)


def test_one_document_of_a_template_is_held_out(tmp_path: Path) -> None:
    write_files(tmp_path, {"law": [[text for seed in range(4) for text in templated(80, seed)]]})
    lake = Lake.open(tmp_path / "lake")
    held = holdout(documents_per_source=10**6, max_share=1.0)
    made = curate_folder(lake, tmp_path, curation(), held, sources=read_sources(tmp_path, ["law"]))
    assert made.holdout is not None
    assert len({row["text"][:100] for row in held_out_rows(lake, made.holdout).to_pylist()}) == 4
    assert made.holdout.rows("held_out") == 4 and made.snapshot.summary["sources"]["law"]["kept"] == 0


def test_a_copy_of_a_near_duplicate_names_its_keeper_and_how_near_it_is(tmp_path: Path) -> None:
    text, other = templated(2)
    lake, snapshot = curate_texts(tmp_path, [text, other, f" {other}", f" {text}"])
    rows = rows_of(lake, snapshot, "decisions")
    reasons = sorted(row["drop_reason"] or "" for row in rows)
    assert reasons == ["", "exact_duplicate", "near_duplicate", "near_duplicate"]
    for row in rows:
        if row["drop_reason"]:
            (failure,) = row["failures"]
            assert float(failure["value"]) == row["partner_jaccard"]
            assert (row["drop_reason"] == "exact_duplicate") == (row["partner_jaccard"] == 1)


# ── what is said of it ──


def test_large_buckets_are_told_in_the_summary_in_sql_and_whenever_it_is_curated(tmp_path: Path) -> None:
    lake, snapshot = curate_texts(tmp_path, templated(100))
    (guard,) = snapshot.summary["guards"]
    assert guard["kind"] == "large_bucket" and guard["value"] > 64 == guard["threshold"]
    rows = run_query(lake, "FROM all_events").table.to_pylist()
    assert [{**guard, "snapshot_id": snapshot.id, "sequence": 0}] == [
        {name: value for name, value in row.items() if value is not None} for row in rows
    ]
    assert run_query(lake, "FROM events").table.num_rows == 0, "no name has this snapshot"
    said: list[str] = []
    source = read_sources(tmp_path, ["law"])["law"], lake.get("documents", snapshot.parent("documents"))
    again = curate(lake, {"law": source}, curation(pii="keep"), None, None, 1, say=said.append)
    assert again.snapshot == snapshot and said == [f"large bucket: {guard['message']}"]
