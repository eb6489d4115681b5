"""Curation: the funnel, its documents with their reasons, rejects and rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from corpus import names
from corpus.lake import Lake, Manifest
from quality.explain import why
from tests.app.screens.page import shown
from tests.app.small_lake import PLANTED_EMAIL, PLANTED_SSN

Change = Callable[[dict[str, Any]], dict[str, Any]]


def test_the_funnel_adds_up_and_every_row_leads_somewhere(small_lake: Path, opened: Any) -> None:
    table = opened(small_lake, "curation").dataframe[0].value
    for _, rows in table.groupby("source"):
        counted = dict(zip(rows["rule"], rows["documents"], strict=True))
        assert counted.pop("read") == sum(counted.values())
    assert {"near_duplicate", "exact_duplicate", "pii_ssn", "too_few_words", "rejected"} <= set(table["rule"])


def test_a_funnel_row_that_is_selected_leads_to_its_documents(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "curation")
    rule = list(test.dataframe[0].value["rule"]).index("near_duplicate")
    test.session_state["funnel all sources"] = {"selection": {"rows": [rule], "columns": [], "cells": []}}
    test.run()
    next(button for button in test.button if button.label.startswith("Look at 1")).click()
    table = test.run().dataframe[0].value
    assert list(table["reason"]) == ["near_duplicate"]


@pytest.mark.parametrize("outcome", ["kept", "dropped", "too_few_words", "pii_ssn", "held_out"])
def test_documents_of_every_outcome_are_listed_with_their_reason(
    small_lake: Path, opened: Any, outcome: str
) -> None:
    test = opened(small_lake, "curation", view="Documents", source="prose", outcome=outcome)
    table = test.dataframe[0].value
    assert len(table)
    assert set(table["source"]) == {"prose"}
    if outcome not in ("kept", "dropped"):
        assert set(table["reason"]) == {outcome}


def test_pages_of_documents_follow_each_other_without_gap_or_repeat(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "curation", view="Documents", outcome="kept")
    first = list(test.dataframe[0].value["id"])
    total = int(test.markdown[0].value.split("**")[1])
    found = list(first)
    for page in range(2, -(-total // len(first)) + 1):
        test.get("pagination")[0].set_value(page)
        found += list(test.run().dataframe[0].value["id"])
    assert len(found) == len(set(found)) == total


def test_personal_data_is_never_shown(small_lake: Path, opened: Any) -> None:
    for document, placeholder in (("p63", "<EMAIL>"), ("p64", "<SSN>")):
        said = shown(opened(small_lake, "curation", view="Documents", doc=document))
        assert placeholder in said
        assert PLANTED_EMAIL not in said
        assert PLANTED_SSN not in said


def test_a_document_lists_the_rules_it_passes_with_the_nearest_first(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "curation", view="Documents", doc="p63")
    (passed,) = [element.value for element in test.dataframe if "keeps" in element.value]
    lake = Lake.open(small_lake, create=False)
    (snapshot,) = names.current(lake, "snapshot")
    found = why(lake, lake.get("snapshot", snapshot["id"]), "p63")
    assert list(passed["rule"]) == [rule["rule"] for rule in found.passed] and len(passed) > 2
    away = passed["away"].dropna()
    assert list(away) == sorted(away)


def test_markup_in_a_document_stays_text(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "curation", view="Documents", doc="p65")
    bodies = "".join(element.proto.body for element in test.get("html"))
    assert "<script>" not in bodies
    assert "&lt;script&gt;" in bodies


def test_a_near_duplicate_stands_beside_its_partner_with_the_difference_marked(
    small_lake: Path, opened: Any
) -> None:
    test = opened(small_lake, "curation", view="Documents", doc="p0")
    said = shown(test)
    assert "near_duplicate" in said
    assert "Its partner p61" in said
    assert any('<mark class="diff">' in element.proto.body for element in test.get("html"))
    assert {"Jaccard", "Containment"} <= {metric.label for metric in test.metric}


def test_a_document_that_does_not_exist_is_a_message(small_lake: Path, opened: Any) -> None:
    assert "no document 'nonsense'" in shown(opened(small_lake, "curation", view="Documents", doc="nonsense"))


def test_rejects_stand_by_reason_and_file(small_lake: Path, opened: Any) -> None:
    said = shown(opened(small_lake, "curation", view="Rejects"))
    assert "two.jsonl" in said
    assert {"invalid_json", "wrong_type"} <= set(said.replace(",", " ").split())


@pytest.mark.parametrize(
    ("reason", "position", "more"),
    [("invalid_json", 3, False), ("wrong_type", 0, False), ("truncated_file", 3, True), ("corrupt_file", 7, True), ("missing_text", -1, True), ("empty_file", -1, False)],
)  # fmt: skip
def test_a_reject_that_ends_its_file_is_said_to_lose_what_followed(
    small_lake: Path, opened: Any, monkeypatch: pytest.MonkeyPatch, reason: str, position: int, more: bool
) -> None:
    read_part = Lake.read_part

    def read_rejects(lake: Lake, part: Any, columns: Any = None) -> Any:
        table = read_part(lake, part, columns)
        if columns is None or "position" not in columns:
            return table
        rows = [{**row, "reason": reason, "position": position} for row in table.to_pylist()[:1]]
        return table.schema.empty_table().from_pylist(rows, schema=table.schema)

    monkeypatch.setattr(Lake, "read_part", read_rejects)
    said = shown(opened(small_lake, "curation", view="Rejects"))
    assert "**1** record could not be read" in said
    assert ("what followed in it is lost too" in said) is more
    assert ("Nothing else of their files was lost" in said) is (not more)


def test_rules_show_thresholds_and_what_is_done_about_personal_data(small_lake: Path, opened: Any) -> None:
    said = shown(opened(small_lake, "curation", view="Rules"))
    assert "≥ 12" in said
    assert "ssn,drop" in said


@pytest.fixture
def summarize(monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], None]:
    """`summarize(change)`: from now on the summary of every snapshot is another."""
    find = Lake.find

    def summarize(change: Change) -> None:
        def find_changed(lake: Lake, kind: str, id: str) -> Manifest | None:
            found = find(lake, kind, id)
            return replace(found, summary=change(found.summary)) if found and kind == "snapshot" else found

        monkeypatch.setattr(Lake, "find", find_changed)

    return summarize


def test_what_curation_had_to_tell_stands_beside_the_duplicates(
    small_lake: Path, opened: Any, summarize: Callable[[Change], None]
) -> None:
    guards = [{"kind": "large_bucket", "message": "3 groups of more than 64 documents"}]
    summarize(lambda summary: {**summary, "guards": guards})
    test = opened(small_lake, "curation", view="Rules")
    shown(test)
    assert [element.value for element in test.info] == ["3 groups of more than 64 documents"]


def test_a_source_that_is_cut_says_that_tokens_are_counted_before(
    small_lake: Path, opened: Any, summarize: Callable[[Change], None]
) -> None:
    def cut_half(summary: dict[str, Any]) -> dict[str, Any]:
        code = summary["sources"]["code"]
        half = {**code, "cut_bytes": code["bytes_kept"] // 2}
        return {**summary, "sources": {**summary["sources"], "code": half}}

    assert not opened(small_lake, "curation").info
    summarize(cut_half)
    told = [element.value for element in opened(small_lake, "curation").info]
    assert len(told) == 1 and "code" in told[0] and "50.0%" in told[0] and "tilth tokenize" in told[0]
