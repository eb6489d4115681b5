"""Decide: every failing rule in recipe order, the first is the reason, and rows zip with their part."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.config import build_section
from corpus.lake import Manifest
from corpus.own_fields import MASKED_FIELDS
from corpus.schema import DATASETS, DOCUMENTS, MEASURED_SIGNALS, OPERATORS
from quality.curation import Curation, SourceRules
from quality.decide import SourceInput, decide_part, failing, held_out_failures, passes, signals_of
from quality.edited import NOTHING
from quality.verdicts import SCHEMA

EMPTY = Manifest("documents", "d", "ingest", 1, {}, ())
SOURCE = SourceInput("s", "domain", "law", False, EMPTY, {})


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """What `read_signals` gives: document columns and every measured signal, null where it was not measured."""
    schema = pa.schema([
        pa.field("edited_hash", pa.string()), OPERATORS["pii"].field("spans"), OPERATORS["c4_lines"].field("cuts"),
        *(DOCUMENTS.field(name) for name in ("doc_id", "content_hash", "num_bytes", "date", "own_id", "url", "metadata")),
        *(pa.field(name, kind) for name, kind in MEASURED_SIGNALS.items() if name != "num_bytes"),
        *(pa.field(name, pa.string()) for name in MASKED_FIELDS.values()),
    ])  # fmt: skip
    whole = [
        {"doc_id": f"d{i}", "content_hash": f"c{i}", "num_bytes": 10, **row} for i, row in enumerate(rows)
    ]
    return pl.DataFrame(pl.from_arrow(pa.Table.from_pylist(whole, schema=schema)))


def curation(**keys: Any) -> Curation:
    return build_section(Curation, keys, "curation")


def rules_of(curation: Curation) -> SourceRules:
    return curation.for_source("s", "law", "domain")


def decide(
    rows: list[dict[str, Any]], curation: Curation, held: list[str] | None = None, verdicts: list[dict[str, Any]] | None = None
) -> list[dict[str, Any]]:  # fmt: skip
    across = (
        pl.DataFrame(
            [{"source": "s", "part": 0, "exact": False, "near": False, **row} for row in verdicts],
            schema=SCHEMA,
        )
        if verdicts
        else None
    )
    table = decide_part(frame(rows), SOURCE, rules_of(curation), curation, held or [], across)
    assert table.schema.equals(DATASETS["decisions"])
    return table.to_pylist()


ROW = st.fixed_dictionaries({
    "num_words": st.none() | st.integers(0, 4), "list_ratio": st.none() | st.sampled_from([0.0, 0.3, 0.5]), "language": st.none() | st.sampled_from(["en", "de"]),
    "num_pii_ssn": st.none() | st.integers(0, 1), "held_out_jaccard": st.none() | st.sampled_from([0.0, 0.49, 0.5]),
    "held_out_containment": st.none() | st.sampled_from([0.0, 0.79, 0.8]), "content_hash": st.sampled_from(["c1", "held"]),
})  # fmt: skip
FATE = st.sampled_from([None, "exact", "near"])


@settings(max_examples=100)
@given(st.lists(st.tuples(ROW, FATE), max_size=8))
def test_every_failing_rule_is_listed_in_recipe_order_and_the_first_is_the_reason(
    found: list[tuple[dict[str, Any], str | None]],
) -> None:
    made = curation(
        rules={"list_ratio": {"max": 0.3}, "num_words": {"min": 1, "max": 3}, "language": {"allow": ["en"]}}, pii={"ssn": "drop"},
        near_duplicates={"jaccard": 0.75},
    )  # fmt: skip
    verdicts = [
        {"doc_id": f"d{i}", fate: True, "partner": "k", "jaccard": 0.9, "containment": 0.95, "cluster": "k"}
        for i, (_, fate) in enumerate(found) if fate
    ]  # fmt: skip
    rows = decide([row for row, _ in found], made, ["held"], verdicts)
    for (row, fate), decision in zip(found, rows, strict=True):
        itself = row["content_hash"] == "held"
        near = (row["held_out_jaccard"] or 0) >= 0.5 or (row["held_out_containment"] or 0) >= 0.8
        expected = [
            name
            for name, is_so in (
                ("too_many_newlines", (row["list_ratio"] or 0) > 0.3), ("too_few_words", row["num_words"] is not None and row["num_words"] < 1),
                ("too_many_words", (row["num_words"] or 0) > 3), ("language_not_allowed", row["language"] == "de"), ("pii_ssn", bool(row["num_pii_ssn"])),
                ("held_out", itself), ("near_held_out", near and not itself), ("exact_duplicate", fate == "exact"), ("near_duplicate", fate == "near"),
            )
            if is_so
        ]  # fmt: skip
        assert [failure["rule"] for failure in decision["failures"]] == expected
        assert decision["drop_reason"] == (expected[0] if expected else None) and decision["kept"] == (
            not expected
        )
        if decision["drop_reason"] not in ("held_out", "near_held_out"):
            assert decision["partner"] == ("k" if fate else None) and decision["partner_jaccard"] == (
                0.9 if fate else None
            )
        assert decision["cluster"] == ("k" if fate else None)


def test_a_failure_says_signal_value_and_threshold() -> None:
    made = curation(
        rules={
            "num_words": {"min": 50},
            "short_line_ratio": {"max": 0.1},
            "language": {"allow": ["en", "hi"]},
        },
        pii={"email": "drop"},
    )
    row = {"num_words": 7, "short_line_ratio": 0.1000001, "language": "de", "num_pii_email": 2}
    assert [tuple(failure.values()) for failure in decide([row], made)[0]["failures"]] == [
        ("too_few_words", "num_words", "7", "50"), ("too_many_short_lines", "short_line_ratio", "0.1000001", "0.1"),
        ("language_not_allowed", "language", "de", "en, hi"), ("pii_email", "num_pii_email", "2", "0"),
    ]  # fmt: skip


def test_a_duplicate_s_failure_says_how_near_and_to_whom() -> None:
    near = {
        "doc_id": "d0",
        "near": True,
        "partner": "k",
        "jaccard": 0.91,
        "containment": 0.99,
        "cluster": "k",
    }
    copy = {
        "doc_id": "d1",
        "exact": True,
        "partner": "k",
        "jaccard": 0.91,
        "containment": 0.99,
        "cluster": "k",
    }
    keeper = {"doc_id": "d2", "cluster": "d2"}
    rows = decide([{}, {}, {}, {}], curation(), verdicts=[near, copy, keeper])
    assert [[tuple(failure.values()) for failure in row["failures"]] for row in rows] == [
        [("near_duplicate", "duplicate_jaccard", "0.91", "0.8")], [("exact_duplicate", "duplicate_jaccard", "1", "1")], [], [],
    ]  # fmt: skip
    assert [row["cluster"] for row in rows] == ["k", "k", "d2", None] and [row["kept"] for row in rows] == [
        False,
        False,
        True,
        True,
    ]
    assert (rows[0]["partner"], rows[0]["partner_jaccard"], rows[0]["partner_containment"]) == (
        "k",
        0.91,
        0.99,
    )


def test_what_is_near_the_held_out_set_names_the_held_out_document() -> None:
    row = {"held_out_jaccard": 0.2, "held_out_containment": 0.9, "held_out_partner": "h", "num_words": 1}
    near, short = (
        decide([row, row], curation())[0],
        decide([row], curation(rules={"num_words": {"min": 5}}))[0],
    )
    assert (near["drop_reason"], near["partner"], near["partner_jaccard"], near["partner_containment"]) == (
        "near_held_out",
        "h",
        0.2,
        0.9,
    )
    assert (
        near["failures"][0]["value"] == "0.9"
        and near["failures"][0]["threshold"] == "jaccard 0.5 or containment 0.8"
    )
    assert short["drop_reason"] == "too_few_words" and short["partner"] is None


@pytest.mark.parametrize("count", [0, 3])
def test_without_any_rule_all_are_kept(count: int) -> None:
    nothing = curation(near_duplicates=None, exact_duplicates=False, pii="keep")
    rows = decide([{}] * count, nothing)
    assert [row["kept"] for row in rows] == [True] * count and [row["failures"] for row in rows] == [
        []
    ] * count
    assert passes(frame([{}] * count), rules_of(nothing), nothing).to_list() == [True] * count


@given(st.lists(ROW, max_size=6))
def test_passing_is_failing_nothing_by_itself(rows: list[dict[str, Any]]) -> None:
    made = curation(rules={"list_ratio": {"max": 0.3}, "num_words": {"min": 1}}, pii={"ssn": "drop"})
    found = frame(rows)
    failed = failing(found, rules_of(made), made)
    assert failed.columns == ["too_many_newlines", "too_few_words", "pii_ssn"]
    assert passes(found, rules_of(made), made).to_list() == [not any(row) for row in failed.iter_rows()]


@given(st.lists(ROW, max_size=6), st.sets(st.sampled_from(["c1", "held"])))
def test_the_two_held_out_rules_never_both_fail(rows: list[dict[str, Any]], held: set[str]) -> None:
    failures = held_out_failures(frame(rows), held)
    for row, (itself, near) in zip(rows, failures.iter_rows(), strict=True):
        assert itself == (row["content_hash"] in held)
        assert near == (
            not itself
            and ((row["held_out_jaccard"] or 0) >= 0.5 or (row["held_out_containment"] or 0) >= 0.8)
        )


# ── a source's own fields ──

METADATA = [
    json.dumps({"court": "high", "level": 3, "a.b": "dotted", "deep": {"year": 1990}, "it's": "quoted"}),
    json.dumps({"court": "low", "level": "7"}), json.dumps({"level": None}), None,
]  # fmt: skip
HARD_KEYS = ["it's", 'say "so"', 'it\'s "so"', "a]b", "a.b", "हिन्दी", "x y", ""]


@pytest.mark.parametrize(
    ("signal", "bound", "kept"),
    [
        ("metadata.court", {"allow": ["high"]}, [True, False, True, True]), ("metadata.level", {"max": 5}, [True, False, True, True]),
        ("metadata.level", {"min": 5, "allow": ["3", "7"]}, [False, True, True, True]), ("metadata.a.b", {"deny": ["dotted"]}, [False, True, True, True]),
        ("metadata.deep.year", {"min": 2000}, [False, True, True, True]), ("metadata.it's", {"deny": ["quoted"]}, [False, True, True, True]),
        ("metadata.nowhere", {"min": 5}, [True, True, True, True]),
    ],
)  # fmt: skip
def test_metadata_can_be_ruled_on(signal: str, bound: dict[str, Any], kept: list[bool]) -> None:
    rows = decide([{"metadata": text} for text in METADATA], curation(rules={signal: bound}))
    assert [row["kept"] for row in rows] == kept
    assert all(
        failure["signal"] == signal and failure["value"] for row in rows for failure in row["failures"]
    )


@pytest.mark.parametrize("key", HARD_KEYS)
def test_a_key_may_hold_quotes_and_brackets(key: str) -> None:
    rows = [{"metadata": json.dumps({key: value})} for value in ("x", "y")]
    decided = decide(rows, curation(rules={f"metadata.{key}": {"deny": ["x"]}}))
    assert [row["kept"] for row in decided] == [False, True]


def test_what_failed_is_told_with_personal_data_masked() -> None:
    row = {
        "url": "u/jo@b.org", "masked_url": "u/<EMAIL>", "own_id": "jo@b.org", "masked_own_id": "<EMAIL>",
        "metadata": '{"by": "jo@b.org", "phones": [{"at": 12345678}]}', "masked_metadata": '{"by": "<EMAIL>", "phones": [{"at": "<PHONE>"}]}',
    }  # fmt: skip
    rules = {
        "url": {"deny": ["u/jo@b.org"]},
        "own_id": {"allow": ["2"]},
        "metadata.by": {"deny": ["jo@b.org"]},
    }
    (made,) = decide([row], curation(rules=rules))
    assert [failure["value"] for failure in made["failures"]] == ["u/<EMAIL>", "<EMAIL>", "<EMAIL>"]
    unknown = frame([row]).drop(MASKED_FIELDS.values())
    made = decide_part(unknown, SOURCE, rules_of(curation(rules=rules)), curation(rules=rules), [], None)
    assert [failure["value"] for failure in made["failures"].to_pylist()[0]] == [None] * 3


def test_dates_urls_and_own_ids_can_be_ruled_on() -> None:
    rows = [
        {"date": datetime(2019, 12, 31, 23, 59), "url": "u", "own_id": "1"},
        {"date": datetime(2020, 1, 1), "url": "v", "own_id": "2"},
        {},
    ]
    made = decide(
        rows,
        curation(rules={"date": {"min": "2020-01-01"}, "url": {"deny": ["u"]}, "own_id": {"allow": ["2"]}}),
    )
    assert [[failure["rule"] for failure in row["failures"]] for row in made] == [
        ["date_too_low", "url_denied", "own_id_not_allowed"],
        [],
        [],
    ]
    assert made[0]["failures"][0]["value"] == "2019-12-31"


# ── counts of edits ──


def test_masks_and_cuts_are_counted_where_they_apply() -> None:
    row = {"num_pii_email": 2, "num_pii_ssn": 3, "cut_byte_ratio": 0.25, "num_bytes": 100}
    made = decide([row, {}], curation(presets=["c4"], pii={"ssn": "keep"}))
    assert [(found["num_masked"], found["num_cut_bytes"]) for found in made] == [(2, 25), (0, None)]
    made = decide([row], curation(pii="keep"))
    assert (made[0]["num_masked"], made[0]["num_cut_bytes"]) == (0, 0)


def test_what_stands_in_cut_lines_is_cut_and_not_masked() -> None:
    spans = [
        {"start": 2, "end": 9, "type": "email"},
        {"start": 12, "end": 19, "type": "email"},
        {"start": 22, "end": 30, "type": "ssn"},
    ]
    row = {"num_pii_email": 2, "num_pii_ssn": 1, "spans": spans, "cuts": [{"start": 0, "end": 11}], "cut_byte_ratio": 0.5, "num_bytes": 40}  # fmt: skip
    cutting = curation(presets=["c4"])
    assert [found["num_masked"] for found in decide([{}, row], cutting)] == [0, 2]
    assert decide([row], curation(presets=["c4"], pii={"ssn": "keep"}))[0]["num_masked"] == 1
    assert decide([row], curation())[0]["num_masked"] == 3  # no line is cut
    assert decide([row | {"cuts": []}], cutting)[0]["num_masked"] == 3


def test_the_signals_that_decide_are_all_that_is_read() -> None:
    made = curation(rules={"list_ratio": {"max": 0.3}}, near_duplicates={"keep": ["num_words"]})
    assert {"list_ratio", "num_words", "num_chars", "num_pii_email", "held_out_jaccard"} <= signals_of(
        rules_of(made), made
    )
    assert "short_line_ratio" not in signals_of(rules_of(made), made)


def test_a_source_of_one_part_is_what_a_worker_gets() -> None:
    from corpus.part import Part

    parts = {
        name: tuple(Part(name, f"{name}{i}", i, 0, "", "") for i in range(3)) for name in ("documents", "pii")
    }
    manifest = Manifest("documents", "d", "ingest", 1, {}, (), {"documents": parts["documents"]})
    pii = Manifest("pii", "p", "pii", 1, {}, (), {"pii": parts["pii"]})
    one = SourceInput("s", "domain", "law", True, manifest, {"pii": pii}).only(2)
    assert [part.key for part in one.documents.parts("documents")] == ["documents2"]
    assert [part.key for part in one.measured["pii"].parts("pii")] == ["pii2"]


# ── edited texts ──


def test_a_text_of_which_nothing_is_left_fails_by_itself_where_lines_are_cut() -> None:
    rows = [{"edited_hash": NOTHING, "cut_byte_ratio": 0.97}, {"edited_hash": "e"}, {}]
    cutting = curation(presets=["c4"], rules={"num_sentences_after_cuts": None}, pii={"ssn": "drop"})
    reasons = [row["drop_reason"] for row in decide(rows, cutting)]
    assert reasons == ["empty_after_cuts", None, None]
    assert decide(rows, cutting)[0]["failures"] == [
        {
            "rule": "empty_after_cuts",
            "signal": "cut_byte_ratio",
            "value": "0.97",
            "threshold": "no text is left",
        }
    ]
    assert passes(frame(rows), rules_of(cutting), cutting).to_list() == [False, True, True]
    uncut = curation(
        presets=["c4"], rules={"num_sentences_after_cuts": None}, overrides={"s": {"c4_lines": None}}
    )
    assert [row["drop_reason"] for row in decide(rows, uncut)] == [None] * 3


def test_a_text_that_edits_make_a_held_out_one_is_held_out_and_has_no_partner() -> None:
    row = {"held_out_jaccard": 1.0, "held_out_containment": 1.0, "held_out_partner": "h"}
    rows = decide(
        [{**row, "edited_hash": "held"}, {**row, "content_hash": "held"}, row], curation(), ["held"]
    )
    assert [row["drop_reason"] for row in rows] == ["held_out", "held_out", "near_held_out"]
    assert [row["partner"] for row in rows] == [None, None, "h"]
    assert [row["partner_jaccard"] for row in rows] == [None, None, 1.0]
