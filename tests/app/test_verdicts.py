"""The app's verdicts are those of the command line, and items add up to what comparisons say."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from app.evaluation import baseline_of, open_cards
from app.questions import compare_cards
from app.render import render_gate
from app.verdicts import (
    compare_all,
    default_baseline,
    flip_counts,
    item_changes,
    largest_changes,
    select_stored,
    stored_gate,
    values,
)
from corpus import names
from corpus.lake import Lake
from corpus.names import Claim
from evals.comparison import Verdict
from evals.gate import Gate, evaluate_gate
from evals.scorecard import Scorecard
from evals.select import select
from tests.app.small_lake import QUESTIONS


@pytest.fixture(scope="module")
def lake(small_lake: Path) -> Lake:
    return Lake.open(small_lake, create=False)


@pytest.fixture(scope="module")
def owner(lake: Lake) -> Claim:
    return names.claims(lake, "small")[-1]


@pytest.fixture(scope="module")
def cards(lake: Lake, owner: Claim) -> dict[str, Scorecard]:
    return open_cards(lake, owner)


def test_the_base_stands_first_and_is_the_baseline(owner: Claim, cards: dict[str, Scorecard]) -> None:
    assert list(cards) == ["base/4", "replay-00/4", "replay-30/4"]
    assert default_baseline(owner, cards) == "base/4" == baseline_of("base_model", cards)


def test_the_stored_gate_selects_what_the_flow_selected(
    lake: Lake, owner: Claim, cards: dict[str, Scorecard]
) -> None:
    gate = stored_gate(owner)
    assert gate is not None
    expected = select(gate, cards["base/4"], [cards["replay-00/4"], cards["replay-30/4"]])
    assert select_stored(lake, owner, cards) == expected


def test_without_a_gate_or_candidates_nothing_is_selected(
    lake: Lake, owner: Claim, cards: dict[str, Scorecard]
) -> None:
    gateless = Claim(owner.name, owner.version, owner.fingerprint, {**owner.recipe, "gate": None})
    assert select_stored(lake, gateless, cards) is None
    assert select_stored(lake, owner, {"base/4": cards["base/4"]}) is None
    assert select_stored(lake, owner, {}) is None


def test_what_an_earlier_scorer_scored_is_no_candidate(
    lake: Lake, owner: Claim, cards: dict[str, Scorecard]
) -> None:
    """It stays attached to the version under its own key, and cannot be compared with what is scored now."""
    card = cards["replay-30/4"]
    before = Scorecard(card.header.model_copy(update={"scorer_version": 0}), card.rows)
    assert select_stored(lake, owner, {**cards, "replay-30/2": before}) == select_stored(lake, owner, cards)


def test_a_scorecard_beside_itself_shows_no_change(cards: dict[str, Scorecard]) -> None:
    found, refused = compare_all(cards["base/4"], {"itself": cards["base/4"]})
    assert not refused
    assert {(row.delta, row.p_value) for row in found["itself"]} == {(0.0, 1.0)}
    assert (
        largest_changes(item_changes(cards["base/4"], cards["base/4"], "holdout", "bits_per_byte"), 5) == []
    )


def test_scorecards_on_other_items_are_refused_by_name(cards: dict[str, Scorecard]) -> None:
    card = cards["replay-30/4"]
    tasks = {
        name: head.model_copy(update={"task_hash": "0" * 32, "items_hash": "0" * 32})
        for name, head in card.header.tasks.items()
    }
    other = Scorecard(card.header.model_copy(update={"tasks": tasks}), card.rows)
    found, refused = compare_all(cards["base/4"], {"other": other, "same": card})
    assert list(found) == ["same"]
    assert "different items" in refused["other"]


def test_a_gate_makes_no_change_a_claim_where_it_declares_a_margin(cards: dict[str, Scorecard]) -> None:
    one, other, axis = cards["base/4"], cards["replay-30/4"], ("holdout/general", "bits_per_byte")
    wide = Gate.model_validate({"harm": {axis[0]: {axis[1]: {"max_increase": "90%"}}}})
    found, _ = compare_all(one, {"other": other}, wide)
    verdicts = {(row.target, row.metric): row.verdict for row in found["other"]}
    plain = {(row.target, row.metric): row.verdict for row in compare_all(one, {"other": other})[0]["other"]}
    assert verdicts[axis] is not Verdict.INCONCLUSIVE
    assert {**verdicts, axis: plain[axis]} == plain


def test_the_header_names_the_code_that_scored(cards: dict[str, Scorecard]) -> None:
    assert {card.header.code_version.partition("+")[0] for card in cards.values()} == {version("tilth")}


def test_intervals_have_the_gate_s_confidence_and_say_which(cards: dict[str, Scorecard]) -> None:
    one, other = cards["base/4"], cards["replay-30/4"]
    rules = {"gain": {"holdout/domain": {"bits_per_byte": "improves"}}}
    gate = Gate.model_validate({**rules, "confidence": 0.8})
    text, rows, _ = compare_cards(one, other, gate)
    assert "80% interval" in text and "95%" not in text
    assert {row["confidence"] for row in rows} == {0.8}
    by_app = compare_all(one, {"other": other}, gate)[0]["other"]
    assert [(row.low, row.high) for row in by_app] == [(row["low"], row["high"]) for row in rows]
    usual, _ = compare_all(one, {"other": other})
    assert all(a.high - a.low < b.high - b.low for a, b in zip(by_app, usual["other"], strict=True))
    assert "80% interval" in render_gate(evaluate_gate(gate, one, other))
    assert "95% interval" in render_gate(evaluate_gate(Gate.model_validate(rules), one, other))
    narrow, wide = (values({"base": one}, confidence) for confidence in (0.8, 0.95))
    assert narrow[0].high - narrow[0].low < wide[0].high - wide[0].low  # type: ignore[operator]


def test_shares_near_0_and_1_are_not_points(cards: dict[str, Scorecard]) -> None:
    shares = [one for one in values(cards) if one.metric in ("acc", "acc_norm")]
    assert shares and all(
        0 <= one.low < one.high <= 1 for one in shares if one.low is not None and one.high is not None
    )


def test_flips_add_up_to_the_difference_of_accuracies(cards: dict[str, Scorecard]) -> None:
    changes = item_changes(cards["base/4"], cards["replay-00/4"], "endings", "acc")
    counts = flip_counts(changes)
    assert sum(counts.values()) == QUESTIONS
    scored = {
        one.checkpoint: one.value for one in values(cards) if (one.target, one.metric) == ("endings", "acc")
    }
    assert counts["gained"] - counts["lost"] == pytest.approx(
        QUESTIONS * (scored["replay-00/4"] - scored["base/4"])
    )


def test_largest_changes_come_first(cards: dict[str, Scorecard]) -> None:
    changes = item_changes(cards["base/4"], cards["replay-30/4"], "holdout", "bits_per_byte")
    sizes = [abs(row["change"]) for row in largest_changes(changes, 1000)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) <= changes.height
