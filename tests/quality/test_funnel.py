"""The funnel adds up: over parts, over sources, and from what was read to what was kept."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.schema import DATASETS
from quality.funnel import add_tallies, funnel_rows, tally_decisions, told_cuts

RULES = ["too_few_words", "pii_ssn", "near_duplicate"]
DECISION = st.builds(
    lambda failing, num_bytes, num_tokens, masked: {
        "kept": not failing, "drop_reason": failing[0] if failing else None, "failures": [{"rule": rule} for rule in failing],
        "num_bytes": num_bytes, "num_tokens": num_tokens, "num_masked": masked, "num_cut_bytes": masked and 1,
    },
    st.sets(st.sampled_from(RULES)).map(lambda chosen: [rule for rule in RULES if rule in chosen]),
    st.integers(0, 9), st.none() | st.integers(0, 9), st.none() | st.integers(0, 3),
)  # fmt: skip
DECISIONS = st.lists(DECISION, max_size=12)


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=DATASETS["decisions"])


@given(DECISIONS)
def test_a_tally_is_what_counting_by_hand_gives(rows: list[dict[str, Any]]) -> None:
    tally = tally_decisions(table(rows))
    tokens = [row["num_tokens"] or 0 for row in rows]
    assert tally["documents"] == len(rows) == tally["kept"] + tally["dropped"]
    assert tally["kept"] == sum(row["kept"] for row in rows)
    assert (tally["bytes"], tally["tokens"]) == (sum(row["num_bytes"] for row in rows), sum(tokens))
    assert tally["tokens_kept"] == sum(n for n, row in zip(tokens, rows, strict=True) if row["kept"])
    assert tally["masked"] == sum(row["num_masked"] or 0 for row in rows if row["kept"])
    for rule in RULES:
        of = {"first": [], "any": [], "only": []}  # type: dict[str, list[int]]
        for n, row in zip(tokens, rows, strict=True):
            names = [failure["rule"] for failure in row["failures"]]
            for column, is_so in (
                ("first", names[:1] == [rule]),
                ("any", rule in names),
                ("only", names == [rule]),
            ):
                of[column] += [n] if is_so else []
        for column, found in of.items():
            assert tally[column].get(rule, 0) == len(found) and tally[f"{column}_tokens"].get(rule, 0) == sum(
                found
            )
    assert sum(tally["first"].values()) == tally["dropped"]


@given(DECISIONS, st.integers(0, 12), st.integers(0, 12))
def test_tallies_add_up_over_parts_in_any_order(rows: list[dict[str, Any]], one: int, two: int) -> None:
    first, second = sorted((one, two))
    parts = [tally_decisions(table(found)) for found in (rows[:first], rows[first:second], rows[second:])]
    whole = add_tallies([tally_decisions(table(rows))])
    assert (
        add_tallies(parts)
        == whole
        == add_tallies(parts[::-1])
        == add_tallies([add_tallies(parts[:2]), parts[2]])
    )


def test_the_sum_of_nothing_is_a_tally_of_nothing() -> None:
    assert add_tallies([]) == add_tallies([tally_decisions(table([]))])
    assert add_tallies([])["documents"] == 0 and add_tallies([])["first"] == {}


@given(DECISIONS, st.integers(0, 5))
def test_read_is_rejected_and_each_rule_s_first_and_kept(rows: list[dict[str, Any]], rejects: int) -> None:
    tally = add_tallies([tally_decisions(table(rows))])
    funnel = funnel_rows({"s": tally}, {"s": rejects})
    documents = {row["rule"]: row["documents"] for row in funnel}
    assert (
        documents["read"]
        == sum(count for rule, count in documents.items() if rule != "read")
        == len(rows) + rejects
    )
    tokens = {row["rule"]: row["tokens"] or 0 for row in funnel}
    assert tokens["read"] == sum(count for rule, count in tokens.items() if rule != "read")
    for row in funnel:
        if row["rule"] in RULES:
            assert row["only_this_rule"] <= row["documents"] <= row["failing"] or row["documents"] == 0
    firsts = [row["documents"] for row in funnel if row["rule"] in RULES]
    assert firsts == sorted(firsts, reverse=True)


@pytest.mark.parametrize(("cut", "told"), [(0, False), (10, False), (11, True), (560, True)])
def test_who_counts_tokens_is_told_of_cuts_of_more_than_a_hundredth(cut: int, told: bool) -> None:
    tally = {"bytes_kept": 1000, "cut_bytes": cut, "tokens_kept": 250}
    said = told_cuts({"web": tally, "law": tally | {"cut_bytes": 0}, "none": dict.fromkeys(tally, 0)})
    assert len(said) == told
    for line in said:
        assert "web" in line and f"{cut / 1000:.1%}" in line and "`tilth tokenize`" in line
    assert not any("okens" in line for line in told_cuts({"web": tally | {"tokens_kept": None}}))
