"""Selection: gates first, then the best, with an honest word about how sure that is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from corpus.config import build_section
from corpus.errors import ConfigError
from evals.gate import Gate
from evals.select import gate_axes, pareto_set, probability_best, select
from tests.evals.cards import card, choice_rows, holdout_card

GATE = build_section(
    Gate,
    {
        "gain": {"holdout/domain": {"bits_per_byte": "improves"}},
        "harm": {"holdout/general": {"bits_per_byte": {"max_increase": "3%"}}},
    },
    "gate",
)
AXES = (("holdout/domain", "bits_per_byte"), ("holdout/general", "bits_per_byte"))
BASE = holdout_card("base")


def test_the_axes_are_what_the_gate_speaks_of_gains_first() -> None:
    assert gate_axes(GATE) == AXES


def test_the_best_that_passes_is_chosen_not_the_best() -> None:
    forgetful = holdout_card("forgetful", domain=-0.10, general=0.10, seed=2)
    careful = holdout_card("careful", domain=-0.05, seed=3)
    weak = holdout_card("weak", domain=-0.02, seed=4)
    found = select(GATE, BASE, [weak, forgetful, careful])
    assert (found.chosen, found.verdict) == ("careful", "PASSED")
    assert [row.gate.verdict for row in found.rows] == ["PASSED", "FAILED", "PASSED"]
    assert [row.name for row in found.rows] == ["weak", "forgetful", "careful"]
    assert found.rows[2].p_best > 0.95
    assert found.rows[1].p_best == 0.0
    assert found.rows[0].low < found.rows[0].objective < found.rows[0].high


def test_when_nothing_passes_nothing_is_chosen() -> None:
    failed = select(
        GATE,
        BASE,
        [holdout_card("a", domain=-0.1, general=0.1, seed=2), holdout_card("b", domain=0.1, seed=3)],
    )
    assert (failed.chosen, failed.verdict) == (None, "FAILED")
    assert [row.p_best for row in failed.rows] == [0.0, 0.0]
    unclear = select(GATE, BASE, [holdout_card("a", domain=0.1, seed=2), holdout_card("b", seed=3)])
    assert (unclear.chosen, unclear.verdict) == (None, "INCONCLUSIVE")
    with pytest.raises(ConfigError):
        select(GATE, BASE, [])


def test_the_champion_is_a_second_baseline() -> None:
    champion = holdout_card("champion", domain=-0.05, seed=2)
    better, worse = holdout_card("better", domain=-0.10, seed=3), holdout_card("worse", domain=-0.01, seed=4)
    rows = select(GATE, BASE, [better, worse], champion).rows
    assert [row.against_champion.verdict for row in rows if row.against_champion] == ["PASSED", "FAILED"]
    assert select(GATE, BASE, [better]).rows[0].against_champion is None


def test_what_surely_harms_against_the_champion_is_not_chosen() -> None:
    """Here all pass against the base, and the best on the gain forgets what the champion had kept."""
    champion = holdout_card("champion", domain=-0.05, general=-0.10, seed=2)
    forgetful = holdout_card("forgetful", domain=-0.10, general=0.0, seed=3)
    equal = holdout_card("equal", domain=-0.05, general=-0.10, seed=4)
    assert select(GATE, BASE, [forgetful, equal]).chosen == "forgetful"
    found = select(GATE, BASE, [forgetful, equal], champion)
    assert [row.gate.verdict for row in found.rows] == ["PASSED", "PASSED"]
    assert [row.against_champion.verdict for row in found.rows if row.against_champion] == ["FAILED", "INCONCLUSIVE"]  # fmt: skip
    assert (found.chosen, found.verdict) == ("equal", "PASSED")
    assert [row.p_best for row in found.rows] == [0.0, 1.0]
    alone = select(GATE, BASE, [forgetful], champion)
    assert (alone.chosen, alone.verdict) == (None, "FAILED")
    assert [gate.candidate for gate in found.behind_champion] == ["forgetful"]
    assert select(GATE, BASE, [equal], champion).behind_champion == ()


def test_the_champion_itself_can_be_chosen_again() -> None:
    champion = holdout_card("champion", domain=-0.05, seed=2)
    assert select(GATE, BASE, [champion], champion).chosen == "champion"


def test_dominated_only_when_surely_worse_on_every_axis() -> None:
    best = holdout_card("best", domain=-0.05, seed=2)
    noise = holdout_card("noise", domain=-0.0499, general=0.0001, seed=3)
    trade = holdout_card("trade", domain=-0.02, general=-0.05, seed=4)
    bad = holdout_card("bad", domain=0.05, general=0.05, seed=5)
    assert pareto_set([best, noise, trade, bad], AXES) == [(), (), (), (0, 1, 2)]


def test_the_pareto_set_does_not_depend_on_order_and_holds_someone() -> None:
    cards = [holdout_card(f"c{n}", domain=-0.02 * n, general=-0.02 * n, seed=n + 2) for n in range(4)]
    forth, back = pareto_set(cards, AXES), pareto_set(cards[::-1], AXES)
    assert [bool(found) for found in forth] == [True, True, True, False]
    assert [bool(found) for found in back[::-1]] == [bool(found) for found in forth]
    assert pareto_set(cards[:1] * 3, AXES) == [(), (), ()]


def test_p_best_is_seeded_and_sums_to_one() -> None:
    cards = [holdout_card(f"c{n}", domain=-0.05, seed=n + 2) for n in range(2)]
    p_best = probability_best(AXES[0], cards)
    assert p_best == probability_best(AXES[0], cards)
    assert sum(p_best) == pytest.approx(1.0)
    assert probability_best(AXES[0], [cards[0], holdout_card("far", domain=-0.2, seed=9)]) == [0.0, 1.0]
    assert probability_best(AXES[0], []) == []


def test_equals_share_the_draws_that_they_win() -> None:
    """Not only the same weights: of few 0/1 items many draws are ties."""
    best = holdout_card("best", domain=-0.05, seed=2)
    worse = holdout_card("worse", domain=0.3, seed=3)
    assert probability_best(AXES[0], [worse, best, best]) == [0.0, 0.5, 0.5]
    a, b = (card(name, choice_rows(np.array(right, dtype=float))) for name, right in (("a", [1, 0, 1, 1]), ("b", [1, 1, 0, 1])))  # fmt: skip
    forth, back = (probability_best(("law", "acc"), cards) for cards in ([a, b], [b, a]))
    assert forth == pytest.approx(back[::-1]) and sum(forth) == pytest.approx(1.0)
    assert forth == pytest.approx([0.5, 0.5], abs=0.05)


def test_only_what_can_be_chosen_has_a_chance_of_being_the_best() -> None:
    """The best on the first gain fails the gate for certain, so no draw of the items can make it the choice."""
    cards = [holdout_card("harmful", domain=-0.2, general=0.032, seed=2, noise=0.05), holdout_card("good", domain=-0.05, seed=3)]  # fmt: skip
    rows = select(GATE, BASE, cards).rows
    assert [(row.gate.passed is True, row.p_best) for row in rows] == [(False, 0.0), (True, 1.0)]


def test_p_best_equals_the_normal_form_for_two_candidates() -> None:
    """P(best) of two is the chance that their paired difference has its sign."""
    one, other = (
        holdout_card("one", domain=-0.1, seed=2, noise=0.05),
        holdout_card("other", domain=-0.103, seed=3, noise=0.05),
    )
    a, b = (found.slice("holdout/domain", "bits_per_byte") for found in (one, other))
    d = a.nll - b.nll
    ratio = d.sum() / a.num_bytes.sum()
    residuals = d - ratio * a.num_bytes
    z = d.sum() / math.sqrt((residuals**2).sum())
    p_best = probability_best(AXES[0], [one, other], draws=4000)
    assert p_best[1] == pytest.approx(0.5 * (1 + math.erf(z / math.sqrt(2))), abs=0.03)


def test_accuracy_counts_upwards_and_points_are_absolute() -> None:
    gate = build_section(
        Gate,
        {"gain": {"law": {"acc": "improves"}}, "harm": {"art": {"acc": {"max_decrease": "5pp"}}}},
        "gate",
    )
    n = np.arange(400)
    law = {
        name: choice_rows((n % 10 < share).astype(float))
        for name, share in (("base", 4), ("good", 6), ("best", 8), ("harmful", 9))
    }
    art = {
        name: choice_rows((n % 10 < share).astype(float), "art", role="general")
        for name, share in (("base", 6), ("good", 6), ("best", 6), ("harmful", 4))
    }
    cards = {name: card(name, law[name], art[name]) for name in law}
    found = select(gate, cards["base"], [cards["good"], cards["best"], cards["harmful"]])
    assert (found.chosen, [row.gate.verdict for row in found.rows]) == (
        "best",
        ["PASSED", "PASSED", "FAILED"],
    )
    assert found.rows[1].p_best == 1.0
