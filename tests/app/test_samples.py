"""Samples of documents: pages partition what the tallies count, whatever is asked for; rejects add up."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.lineage import find_document
from app.samples import Wanted, count_documents, page_of_documents, reject_counts, rules_in_force, rules_of
from corpus import names
from corpus.lake import Lake, Manifest
from tests.app.small_lake import PLANTED_SSN
from tests.quality.small_corpus import EMAIL, curate_folder, write_revealing


@pytest.fixture(scope="module")
def lake(small_lake: Path) -> Lake:
    return Lake.open(small_lake, create=False)


@pytest.fixture(scope="module")
def snapshot(lake: Lake) -> Manifest:
    return lake.get("snapshot", names.resolve(lake, "small/snapshot").id)


WANTED = st.builds(
    Wanted, st.sampled_from([None, "prose", "code"]), st.booleans(),
    st.sampled_from([None, "held_out", "near_duplicate", "too_few_words", "pii_ssn", "no_such_rule"]), st.sampled_from(["first", "any", "only"]),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(wanted=WANTED, limit=st.integers(1, 40))
def test_pages_partition_what_the_tallies_count(lake: Lake, snapshot: Manifest, wanted: Wanted, limit: int) -> None:  # fmt: skip
    if wanted.kept and wanted.rule:
        return  # a kept document fails no rule
    total = count_documents(snapshot, wanted)
    rows = [
        row
        for offset in range(0, total + 1, limit)
        for row in page_of_documents(lake, snapshot, wanted, offset, limit)
    ]
    assert len(rows) == total
    assert len({row["doc_id"] for row in rows}) == total
    assert all(row["kept"] == wanted.kept for row in rows)


def test_first_reasons_of_all_rules_are_all_that_was_dropped(snapshot: Manifest) -> None:
    for source in (None, "prose", "code"):
        assert sum(count for _, count in rules_of(snapshot, source)) == count_documents(
            snapshot, Wanted(source)
        )


def test_the_beginning_of_a_text_is_masked_also_for_what_its_rule_drops(
    lake: Lake, snapshot: Manifest
) -> None:
    rows = page_of_documents(lake, snapshot, Wanted(rule="pii_ssn"), 0, 5)
    assert [("<SSN>" in row["excerpt"], PLANTED_SSN in row["excerpt"]) for row in rows] == [(True, False)]


def test_a_source_s_own_id_is_masked_where_a_document_is_listed_or_traced(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    made = curate_folder(lake, tmp_path, sources=write_revealing(tmp_path)).snapshot
    (listed,) = page_of_documents(lake, made, Wanted(kept=True), 0, 5)
    assert listed["own_id"] == "<EMAIL>"
    traced = find_document(lake, EMAIL)
    assert (traced["own_id"], traced["url"]) == ("<EMAIL>", "https://x.example/<EMAIL>")


def test_rejects_add_up_to_what_the_snapshot_counts(lake: Lake, snapshot: Manifest) -> None:
    rows = reject_counts(lake, snapshot)
    assert sum(row["records"] for row in rows) == sum(snapshot.summary["rejects"].values()) == 3
    assert {row["reason"] for row in rows} == {"invalid_json", "missing_text", "wrong_type"}


def test_rules_in_force_say_where_they_hold(snapshot: Manifest) -> None:
    assert {
        "rule": "too_few_words",
        "signal": "num_words",
        "keeps": "≥ 12",
        "sources": "all",
    } in rules_in_force(snapshot)
