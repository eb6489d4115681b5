"""Paired 0/1 items: Tango's interval and test against a direct search for the likeliest shares, and counted draw by draw."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from evals import statistics
from evals.pairs import Pairs

counts = st.integers(0, 40)


def score(gained: int, lost: int, n: int, difference: float) -> float:
    """The same z without Tango's formula: the likeliest share of lost items is looked for."""
    seen = np.array([gained, lost, n - gained - lost])

    def cells(share: float) -> np.ndarray:
        return np.array([share + difference, share, 1 - 2 * share - difference])

    def unlikely(share: float) -> float:
        return -float(np.sum(seen * np.log(np.maximum(cells(share), 1e-300))))

    least, most = max(0.0, -difference), (1 - difference) / 2
    found = scipy.optimize.minimize_scalar(
        unlikely, bounds=(least, most), method="bounded", options={"xatol": 1e-13}
    )
    up, down, _ = cells(min([found.x, least, most], key=unlikely))
    return float((gained - lost - n * difference) / math.sqrt(n * (up + down - difference**2)))


@given(counts, counts, st.integers(1, 60), st.floats(-0.9, 0.9).filter(lambda x: abs(x) > 1e-3))
@settings(max_examples=60)
def test_the_error_is_that_of_the_likeliest_shares(
    gained: int, lost: int, same: int, difference: float
) -> None:
    n = gained + lost + same
    pairs = Pairs(gained, lost, n)
    z = ((gained - lost) / n - difference) / pairs.error(difference)
    assert z == pytest.approx(score(gained, lost, n, difference), rel=1e-4, abs=1e-4)


def test_the_interval_of_a_published_table() -> None:
    """Airway hyper-responsiveness before and after: 1 and 7 of 21 discordant (Fagerland, Lydersen and Laake 2014)."""
    assert Pairs(1, 7, 21).interval(1.959964) == pytest.approx((-0.517, -0.026), abs=5e-4)


def test_at_zero_it_is_mcnemar_s_test() -> None:
    assert Pairs(14, 5, 300).error(0.0) == pytest.approx(math.sqrt(19) / 300)


@given(counts, counts, counts)
def test_an_interval_holds_what_was_seen_and_is_never_a_point(gained: int, lost: int, same: int) -> None:
    n = gained + lost + same + 2
    low, high = Pairs(gained, lost, n).interval(1.96)
    assert -1 <= low < high <= 1
    assert low - 1e-9 <= (gained - lost) / n <= high + 1e-9
    assert Pairs(lost, gained, n).interval(1.96) == pytest.approx((-high, -low), abs=1e-9)


def paired(gained: int, lost: int, n: int, size: int = 1) -> statistics.Estimate:
    kind = np.repeat([1, -1, 0], [gained, lost, n - gained - lost])
    return statistics.paired_mean(kind == 1, kind == -1, np.arange(n) // size)


@given(counts, counts, counts, st.sampled_from([1, 1, 4]), st.sampled_from([0.8, 0.95, 0.99]))
def test_a_difference_is_outside_the_interval_where_its_p_is_small(
    gained: int, lost: int, same: int, size: int, confidence: float
) -> None:
    found = paired(gained, lost, gained + lost + same + 10, size)
    low, high = found.interval(confidence)
    level = (1 - confidence) / 2
    for inside, outside in ((low + 1e-6, low - 1e-6), (high - 1e-6, high + 1e-6)):
        assert min(found.p_above(inside), found.p_below(inside)) >= level - 1e-12
        if abs(outside) < 1:
            assert min(found.p_above(outside), found.p_below(outside)) <= level + 1e-12


def false_passes(n: int, margin: float, gains: float) -> float:
    """How often harm of exactly the margin passes a guard at 5 %, summed over every outcome that is not rare."""
    p_gain, p_lost = gains, margin + gains
    total = 0.0
    for gained in range(math.ceil(n * p_gain + 8 * math.sqrt(n * p_gain + 1)) + 1):
        chance = scipy.stats.binom.pmf(gained, n, p_gain)
        if chance < 1e-9:
            continue
        left, share = n - gained, p_lost / (1 - p_gain)
        low, high = 0, left  # fewer losses pass: find the most that do
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if paired(gained, middle, n).p_below(-margin) < 0.05 else (low, middle - 1)  # fmt: skip
        if paired(gained, low, n).p_below(-margin) < 0.05:
            total += chance * scipy.stats.binom.cdf(low, left, share)
    return total


@pytest.mark.parametrize(
    ("n", "margin", "gains"),
    [(600, 0.02, 0.0), (1000, 0.03, 0.0), (600, 0.05, 0.0), (600, 0.05, 0.01), (400, 0.05, 0.05)],
)
def test_harm_of_exactly_the_margin_passes_as_rarely_as_promised(n: int, margin: float, gains: float) -> None:
    assert 0.03 < false_passes(n, margin, gains) < 0.055


@given(counts, counts, counts, st.sampled_from([1, 3]), st.floats(0.01, 0.2))
def test_a_guard_that_does_not_decide_needs_more_items_than_there_are(
    gained: int, lost: int, same: int, size: int, margin: float
) -> None:
    found = paired(gained, lost, gained + lost + same + 10, size)
    if min(found.p_above(-margin), found.p_below(-margin)) >= 0.05:
        needed = found.items_needed(found.value + margin, sided=1, threshold=-margin)
        assert needed is None or needed > found.num_items


def test_clusters_count_as_fewer_items() -> None:
    kind = np.repeat([1, -1, 0], [30, 10, 160])
    apart, together = (
        statistics.paired_mean(kind == 1, kind == -1, np.arange(200) // size) for size in (1, 10)
    )
    assert apart.interval()[0] > 0 > together.interval()[0]
    assert together.interval()[1] > apart.interval()[1]
    assert together.p_value > 0.05 > apart.p_value
