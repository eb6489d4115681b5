"""Comparisons: paired, in the right direction, and silent where the items cannot say."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from corpus.config import Margin
from corpus.errors import ConfigError
from evals.bootstrap import bootstrap_ratios
from evals.comparison import Comparison, Verdict, compare_scorecards, list_slices, pair
from tests.evals.cards import SOURCES, card, choice_rows, holdout_card, holdout_rows


def by_target(rows: list[Comparison]) -> dict[str, Comparison]:
    return {row.target: row for row in rows}


def test_a_scorecard_against_itself_shows_no_difference() -> None:
    one = card("w", holdout_rows({}), choice_rows(np.arange(50) % 2))
    for row in compare_scorecards(one, one):
        assert (row.delta, row.p_value, row.low, row.high) == (0.0, 1.0, 0.0, 0.0)
        assert row.verdict is Verdict.NO_CHANGE
        assert row.num_needed is None


def test_equal_answers_of_two_models_do_not_prove_equal_models() -> None:
    rows = choice_rows(np.arange(10) % 2)
    (row,) = compare_scorecards(card("w", rows), card("v", rows))
    assert (row.delta, row.p_value) == (0.0, 1.0)
    assert row.low < -0.1 < 0.1 < row.high
    assert row.verdict is Verdict.INCONCLUSIVE


def test_gains_and_losses_go_by_the_metrics_direction() -> None:
    rows = by_target(
        compare_scorecards(holdout_card("base"), holdout_card("new", domain=-0.05, general=0.05, seed=2))
    )
    assert rows["holdout/domain"].verdict is Verdict.IMPROVED
    assert rows["holdout/domain"].delta == pytest.approx(-0.05, abs=0.01)
    assert rows["holdout/general"].verdict is Verdict.REGRESSED
    right = np.arange(400) % 2
    better = np.where(np.arange(400) % 10 == 0, 1, right)
    (accuracy,) = compare_scorecards(card("w", choice_rows(right)), card("v", choice_rows(better)))
    assert accuracy.verdict is Verdict.IMPROVED
    assert accuracy.delta == pytest.approx(0.1)


def test_levels_are_listed_where_they_differ_from_the_task() -> None:
    rows = compare_scorecards(
        card("w", holdout_rows({}), choice_rows(np.ones(9))),
        card("v", holdout_rows({}, seed=2), choice_rows(np.ones(9))),
    )
    assert [(row.target, row.level) for row in rows] == [
        ("holdout", "task"),
        ("holdout/domain", "role"), ("holdout/general", "role"),
        *((f"holdout/{source}", "source") for source in sorted(SOURCES)),
        ("law", "task"),
    ]  # fmt: skip


def test_the_paired_difference_equals_a_bootstrap_of_the_rows() -> None:
    a, b = holdout_card("base", noise=0.1), holdout_card("new", domain=-0.02, seed=2, noise=0.1)
    row = by_target(compare_scorecards(a, b))["holdout"]
    first, second = (one.slice("holdout", "bits_per_byte") for one in (a, b))
    draws = bootstrap_ratios((second.nll - first.nll) / math.log(2), first.num_bytes, draws=4000)[:, 0]
    half = (row.high - row.low) / 2
    assert (row.low, row.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=0.12 * half)


def test_the_order_of_rows_changes_nothing() -> None:
    rows, other = holdout_rows({}), holdout_rows({"domain": -0.01}, seed=2)
    order = pa.array(np.random.default_rng(1).permutation(rows.num_rows))
    assert compare_scorecards(card("w", rows), card("v", other)) == compare_scorecards(
        card("w", rows.take(order)), card("v", other.take(order))
    )


def test_swapping_the_sides_swaps_the_word() -> None:
    a, b = holdout_card("a"), holdout_card("b", domain=-0.05, seed=2)
    forth, back = by_target(compare_scorecards(a, b)), by_target(compare_scorecards(b, a))
    assert forth["holdout/domain"].verdict is Verdict.IMPROVED
    assert back["holdout/domain"].verdict is Verdict.REGRESSED
    assert back["holdout/domain"].delta == pytest.approx(-forth["holdout/domain"].delta)


def test_a_margin_makes_no_change_a_claim() -> None:
    a, b, axis = holdout_card("a"), holdout_card("b", seed=2), ("holdout", "bits_per_byte")
    without = by_target(compare_scorecards(a, b))["holdout"]
    within = by_target(compare_scorecards(a, b, margins={axis: Margin(3.0, "%")}))["holdout"]
    tight = by_target(compare_scorecards(a, b, margins={axis: Margin(0.01, "%")}))["holdout"]
    assert [row.verdict for row in (without, within, tight)] == [
        Verdict.INCONCLUSIVE,
        Verdict.NO_CHANGE,
        Verdict.INCONCLUSIVE,
    ]
    assert [row.margin for row in (without, within)] == [None, pytest.approx(0.03 * within.baseline)]


def test_a_margin_is_of_the_target_it_was_declared_for() -> None:
    a, b, axis = holdout_card("a"), holdout_card("b", seed=2), ("holdout/general", "bits_per_byte")
    rows = by_target(compare_scorecards(a, b, margins={axis: Margin(3.0, "%")}))
    assert [name for name, row in rows.items() if row.margin is not None] == ["holdout/general"]
    assert rows["holdout/general"].verdict is Verdict.NO_CHANGE
    assert rows["holdout"].verdict is Verdict.INCONCLUSIVE


def test_inconclusive_names_the_items_that_would_decide() -> None:
    right = np.arange(200) % 2
    other = right.copy()
    other[:40] = 1 - other[:40]  # 20 gained, 20 lost …
    other[40:46:2] = 1  # … and 3 more gained
    (row,) = compare_scorecards(card("w", choice_rows(right)), card("v", choice_rows(other)))
    assert row.verdict is Verdict.INCONCLUSIVE
    assert row.num_needed is not None
    delta = 3 / 200
    variance = (43 / 200 - delta**2) * 200 / 199
    assert row.num_needed == pytest.approx(7.849 * variance / delta**2, rel=0.01)
    assert row.minimum_detectable == pytest.approx(2.8016 * math.sqrt(variance / 200), rel=0.015)


def test_within_a_margin_the_nearer_of_the_two_claims_is_counted() -> None:
    """A delta near zero is far sooner shown to be inside a wide margin than to differ from zero."""
    a, b = holdout_card("a", noise=0.2, per_source=30), holdout_card("b", noise=0.2, per_source=30, seed=6)
    axis = ("holdout/general", "bits_per_byte")
    bare = by_target(compare_scorecards(a, b))["holdout/general"]
    row = by_target(compare_scorecards(a, b, margins={axis: Margin(8.0, "%")}))["holdout/general"]
    assert row.verdict is bare.verdict is Verdict.INCONCLUSIVE
    assert row.margin is not None and row.num_needed is not None
    left = row.margin - abs(row.delta)
    assert left > 0
    assert row.num_needed == pair(a, b, *axis).items_needed(left, sided=1)
    assert bare.num_needed is None or row.num_needed < bare.num_needed


@pytest.mark.parametrize("seed", range(2, 30))
def test_what_is_inconclusive_needs_more_items_than_there_are(seed: int) -> None:
    shifts = {"acts": -0.01, "code": 0.01}
    a, b = (
        card(str(n), holdout_rows(shifts if n > 1 else {}, noise=0.03, per_source=3 + seed, seed=n))
        for n in (1, seed)
    )
    margins = {(target, "bits_per_byte"): Margin(2.0, "%") for target, _ in list_slices(a, ["holdout"])}
    for row in compare_scorecards(a, b, margins=margins):
        assert (row.num_needed is None) == (row.verdict is not Verdict.INCONCLUSIVE) or row.delta == 0
        assert row.num_needed is None or row.num_needed > row.num_items


def test_a_claim_lost_to_adjusting_leaves_the_one_within_the_margin() -> None:
    shifts = {"acts": -0.0075, "code": 0.0, "novels": 0.0, "web": 0.0}
    a, b = holdout_card("a", per_source=40), card("b", holdout_rows(shifts, seed=8, per_source=40))
    margins = {("holdout/acts", "bits_per_byte"): Margin(3.0, "%")}
    row = by_target(compare_scorecards(a, b, margins=margins))["holdout/acts"]
    assert row.p_value < 0.05 < row.p_adjusted
    assert (row.verdict, row.num_needed) == (Verdict.NO_CHANGE, None)


def test_clusters_are_counted_and_widen_the_interval() -> None:
    right, other = (
        np.zeros(300),
        np.random.default_rng(3)
        .permutation(np.repeat(np.r_[np.ones(20), np.zeros(40)], 5).reshape(60, 5))
        .ravel(),
    )
    clusters = np.repeat(np.arange(60), 5)
    (plain,) = compare_scorecards(card("w", choice_rows(right)), card("v", choice_rows(other)))
    (grouped,) = compare_scorecards(
        card("w", choice_rows(right, clusters=clusters)), card("v", choice_rows(other, clusters=clusters))
    )
    assert (plain.num_clusters, grouped.num_clusters, grouped.num_items) == (300, 60, 300)
    assert grouped.high - grouped.low > 2 * (plain.high - plain.low)


def test_sources_are_explored_with_adjusted_p_values() -> None:
    a, b = holdout_card("a", per_source=20), card("b", holdout_rows({"acts": -0.012}, seed=4, per_source=20))
    rows = [row for row in compare_scorecards(a, b) if row.level == "source"]
    assert all(row.family == 4 and row.p_adjusted >= row.p_value for row in rows)
    for row in rows:
        assert (row.verdict in (Verdict.IMPROVED, Verdict.REGRESSED)) <= (row.p_adjusted < 0.05)
    assert all(
        row.p_adjusted == row.p_value and row.family == 1
        for row in compare_scorecards(a, b)
        if row.level != "source"
    )


def test_a_source_that_does_not_survive_adjusting_names_the_items_that_would_decide() -> None:
    """At the level where its p-value would have to be, so more than the same numbers need alone."""
    shifts = {"acts": -0.0075, "code": 0.0, "novels": 0.0, "web": 0.0}
    a, b = holdout_card("a", per_source=40), card("b", holdout_rows(shifts, seed=8, per_source=40))
    row = by_target(compare_scorecards(a, b))["holdout/acts"]
    assert row.p_value < 0.05 < row.p_adjusted
    assert row.verdict is Verdict.INCONCLUSIVE
    alone = pair(a, b, row.target, row.metric).items_needed(row.delta)
    assert row.num_needed is not None and alone is not None
    assert row.num_needed > max(alone, row.num_items)


def test_only_the_metrics_asked_for() -> None:
    one = card("w", holdout_rows({}), choice_rows(np.ones(9)))
    assert {row.metric for row in compare_scorecards(one, one, metrics=["acc"])} == {"acc"}
    with pytest.raises(ConfigError, match="Did you mean 'acc'"):
        compare_scorecards(one, one, metrics=["acx"])


def test_items_that_are_not_the_same_are_not_paired() -> None:
    with pytest.raises(ConfigError, match="2 items are in one scorecard only"):
        compare_scorecards(card("w", choice_rows(np.ones(9))), card("v", choice_rows(np.ones(7))))
