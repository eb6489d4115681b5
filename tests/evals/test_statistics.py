"""Error bars against hand-computed numbers, scipy and direct resampling."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from evals import statistics
from evals.bootstrap import bootstrap_ratios

LN2 = math.log(2)
scores = st.lists(st.floats(-10, 10), min_size=3, max_size=30)


def rng(seed: int = 5) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_mean_error_by_hand() -> None:
    found = statistics.mean([1.0, 2.0, 3.0, 6.0])
    assert found.value == 3.0
    assert found.standard_error == pytest.approx(math.sqrt((4 + 1 + 0 + 9) / 3 / 4))
    assert (found.num_items, found.num_clusters, found.dof) == (4, 4, 3)


@given(scores)
def test_mean_interval_and_p_equal_scipy(values: list[float]) -> None:
    found = statistics.mean(values)
    if found.spread < 1e-9:
        return
    reference = scipy.stats.ttest_1samp(values, 0.0)
    assert found.p_value == pytest.approx(reference.pvalue, abs=1e-9)
    assert found.interval() == pytest.approx(tuple(reference.confidence_interval(0.95)), abs=1e-6)
    above = scipy.stats.ttest_1samp(values, 1.5, alternative="less").pvalue
    assert found.p_above(1.5) == pytest.approx(above, abs=1e-9)


def test_share_error_is_the_binomial_one() -> None:
    values = np.r_[np.ones(30), np.zeros(70)]
    assert statistics.mean(values).standard_error == pytest.approx(math.sqrt(0.3 * 0.7 / 99))


def test_clustered_error_by_hand() -> None:
    found = statistics.mean([1.0, 3.0, 5.0, 7.0], ["a", "a", "b", "c"])  # sums of deviations: -4, 1, 3
    assert found.standard_error == pytest.approx(math.sqrt(3 / 2 * (16 + 1 + 9)) / 4)
    assert (found.num_clusters, found.dof) == (3, 2)


@given(scores)
def test_clusters_of_one_change_nothing(values: list[float]) -> None:
    plain, clustered = statistics.mean(values), statistics.mean(values, np.arange(len(values)))
    assert clustered.standard_error == pytest.approx(plain.standard_error, abs=1e-12)


def test_repeating_every_item_in_its_cluster_adds_no_certainty() -> None:
    values = rng().normal(size=40)
    once = statistics.mean(values)
    thrice = statistics.mean(np.repeat(values, 3), np.repeat(np.arange(40), 3))
    assert thrice.standard_error == pytest.approx(once.standard_error)
    assert statistics.mean(np.repeat(values, 3)).standard_error < 0.6 * once.standard_error


def test_bits_per_byte_by_hand() -> None:
    nll, sizes = [2.0, 6.0], [4.0, 4.0]  # R = 1, residuals -2 and 2
    found = statistics.bits_per_byte(nll, sizes)
    assert found.value == pytest.approx(1 / LN2)
    assert found.standard_error == pytest.approx(math.sqrt(2 * (4 + 4)) / (LN2 * 8))


def test_bits_per_byte_weighs_documents_by_their_bytes() -> None:
    assert statistics.bits_per_byte([LN2, 3 * LN2 * 9], [1, 9]).value == pytest.approx(2.8)


def make_documents(n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two checkpoints' nats, bytes and clusters of documents whose losses move together."""
    generator = rng()
    clusters = generator.integers(0, n // 4, size=n)
    sizes = generator.integers(200, 4000, size=n).astype(float)
    hardness = 0.9 + 0.2 * generator.normal(size=n) + 0.1 * generator.normal(size=n // 4)[clusters]
    first = hardness * sizes * LN2
    shift = 0.01 + 0.02 * generator.normal(size=n) + 0.02 * generator.normal(size=n // 4)[clusters]
    return first, (hardness - shift) * sizes * LN2, sizes, clusters


@pytest.mark.parametrize("clustered", [False, True])
def test_paired_bits_per_byte_equals_a_direct_bootstrap(clustered: bool) -> None:
    a, b, sizes, clusters = make_documents()
    groups = clusters if clustered else np.arange(len(a))
    found = statistics.paired_bits_per_byte(b, a, sizes, groups)
    draws = bootstrap_ratios(np.stack([a, b], axis=1) / LN2, sizes, groups, draws=4000)
    deltas = draws[:, 1] - draws[:, 0]
    assert found.value == pytest.approx(b.sum() / sizes.sum() / LN2 - a.sum() / sizes.sum() / LN2)
    assert found.standard_error == pytest.approx(deltas.std(ddof=1), rel=0.06)
    assert found.interval() == pytest.approx(
        tuple(np.quantile(deltas, [0.025, 0.975])), abs=0.2 * found.standard_error
    )


@pytest.mark.parametrize("clustered", [False, True])
def test_paired_mean_equals_a_direct_bootstrap(clustered: bool) -> None:
    generator = rng()
    clusters = np.repeat(np.arange(60), 5) if clustered else np.arange(300)
    easy = generator.normal(size=300) + (generator.normal(size=60)[clusters] if clustered else 0)
    a, b = (easy > 0).astype(float), (easy + 0.5 * generator.normal(size=300) > -0.2).astype(float)
    found = statistics.paired_mean(b, a, clusters)
    draws = bootstrap_ratios(b - a, np.ones(300), clusters, draws=4000)[:, 0]
    assert found.standard_error == pytest.approx(draws.std(ddof=1), rel=0.06)


def test_pairing_removes_what_both_share() -> None:
    a, b, sizes, _ = make_documents()
    unpaired = math.hypot(
        statistics.bits_per_byte(a, sizes).standard_error, statistics.bits_per_byte(b, sizes).standard_error
    )
    paired = statistics.paired_bits_per_byte(b, a, sizes)
    assert paired.standard_error < unpaired / 5
    assert paired.correlation is not None
    assert paired.correlation > 0.9


def test_paired_variance_is_the_difference_formula() -> None:
    generator = rng()
    a, b = generator.normal(size=(2, 200))
    b = b + a
    found = statistics.paired_mean(b, a)
    parts = [statistics.mean(x).standard_error for x in (a, b)]
    assert found.correlation is not None
    expected = parts[0] ** 2 + parts[1] ** 2 - 2 * parts[0] * parts[1] * found.correlation
    assert found.standard_error**2 == pytest.approx(expected)


@given(scores)
def test_a_thing_against_itself_has_no_difference(values: list[float]) -> None:
    found = statistics.paired_mean(values, values)
    assert (found.value, found.p_value) == (0.0, 1.0)
    sizes = np.arange(1, len(values) + 1)
    found = statistics.paired_bits_per_byte(values, values, sizes)
    assert (found.value, found.p_value, found.interval()) == (0.0, 1.0, (0.0, 0.0))


@given(scores, st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_the_order_of_items_does_not_matter(values: list[float], random: object) -> None:
    a = np.array(values)
    b, clusters = a**2, np.arange(len(a)) % 3
    order = np.array(sorted(range(len(a)), key=lambda _: random.random()))  # type: ignore[attr-defined]
    one = statistics.paired_mean(a, b, clusters)
    other = statistics.paired_mean(a[order], b[order], clusters[order])
    assert other.value == pytest.approx(one.value, abs=1e-12)
    assert other.standard_error == pytest.approx(one.standard_error, abs=1e-12)


@given(scores)
def test_swapping_sides_flips_the_sign_only(values: list[float]) -> None:
    a = np.array(values)
    b = np.sin(a)
    one, other = statistics.paired_mean(a, b), statistics.paired_mean(b, a)
    assert (one.value, one.p_value) == (
        pytest.approx(-other.value, abs=1e-12),
        pytest.approx(other.p_value, abs=1e-9),
    )


@pytest.mark.parametrize("values", [[], [1.0]])
def test_fewer_than_two_items_have_no_error_bar(values: list[float]) -> None:
    found = statistics.paired_mean(values, values)
    assert not found.decidable
    assert found.interval() == (-math.inf, math.inf)
    assert (found.p_value, found.p_above(5), found.items_needed(0.1)) == (1.0, 1.0, None)
    assert not found.significant()


def test_one_cluster_has_no_error_bar() -> None:
    assert not statistics.mean([1.0, 0.0, 1.0], ["a", "a", "a"]).decidable


# ── shares ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("successes", "n"), [(0, 6), (6, 6), (1, 10), (37, 80), (500, 1000)])
def test_wilson_equals_scipy(successes: int, n: int) -> None:
    reference = scipy.stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert statistics.wilson_interval(successes, n) == pytest.approx(
        (reference.low, reference.high), abs=1e-12
    )


def test_wilson_of_nothing_is_everything() -> None:
    assert statistics.wilson_interval(0, 0) == (0.0, 1.0)


@given(st.lists(st.booleans(), min_size=2, max_size=40))
def test_a_share_has_an_interval_inside_0_and_1_that_is_never_a_point(right: list[bool]) -> None:
    found = statistics.share([float(one) for one in right])
    low, high = found.interval()
    assert (low, high) == pytest.approx(statistics.wilson_interval(sum(right), len(right)))
    assert 0 <= low < high <= 1
    assert low - 1e-12 <= found.value <= high + 1e-12


def test_a_share_of_clusters_that_all_agree_counts_clusters() -> None:
    assert statistics.share(np.zeros(60), np.repeat(np.arange(6), 10)).interval() == pytest.approx(
        statistics.wilson_interval(0, 6)
    )
    mixed, clusters = np.r_[np.zeros(30), np.ones(30)], np.repeat(np.arange(6), 10)
    assert statistics.share(mixed, clusters) == statistics.mean(mixed, clusters)


def test_a_share_of_one_item_has_no_error_bar() -> None:
    assert not statistics.share([1.0]).decidable


@given(st.integers(0, 30), st.integers(0, 30))
def test_exact_mcnemar_equals_the_binomial_test(gained: int, lost: int) -> None:
    expected = scipy.stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert statistics.mcnemar(gained, lost, mid=False) == pytest.approx(expected)


def test_mid_p_takes_half_of_what_was_seen() -> None:
    assert statistics.mcnemar(6, 1) == pytest.approx(2 * (1 + 7 / 2) / 2**7)
    assert statistics.mcnemar(3, 3) == 1.0
    assert statistics.mcnemar(0, 0) == 1.0


def test_few_discordant_items_get_the_exact_p_and_no_empty_interval() -> None:
    a, b = np.ones(20), np.ones(20)
    b[:3] = 0
    found = statistics.paired_mean(a, b)
    assert found.value == pytest.approx(0.15)
    assert found.p_value == pytest.approx(statistics.mcnemar(3, 0))
    low, _ = found.interval()
    assert low < 0 < found.value, "three of three are too few to show a change"
    same = statistics.paired_mean(np.ones(10), np.ones(10))
    assert same.interval()[1] > 0.1, "ten equal answers cannot exclude a difference of ten points"


def test_many_discordant_items_need_no_exact_p() -> None:
    a, b = np.r_[np.ones(40), np.zeros(60)], np.r_[np.zeros(20), np.ones(20), np.ones(20), np.zeros(40)]
    assert statistics.paired_mean(a, b).exact_p is None


def test_clusters_widen_a_few_discordant_items_too() -> None:
    a, b = np.zeros(40), np.zeros(40)
    a[:10] = 1  # ten gains, all from one passage
    clusters = np.repeat(np.arange(4), 10)
    plain, clustered = statistics.paired_mean(a, b), statistics.paired_mean(a, b, clusters)
    assert plain.significant()
    assert not clustered.significant()
    assert clustered.p_value > plain.p_value


def test_coverage_of_the_paired_interval_on_few_discordant_items() -> None:
    generator, hits, trials = rng(), 0, 1500
    for _ in range(trials):
        kind = generator.choice(3, size=40, p=[0.10, 0.04, 0.86])
        found = statistics.paired_mean((kind != 1).astype(float), (kind != 0).astype(float))
        low, high = found.interval()
        hits += low <= 0.06 <= high
    assert hits / trials > 0.93


# ── planning and families ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("q", "effect", "n"), [(0.05, 0.01, 3917), (0.10, 0.02, 1955), (0.20, 0.03, 1737), (0.30, 0.05, 935)]
)
def test_items_needed_for_a_change_of_accuracy(q: float, effect: float, n: int) -> None:
    assert with_variance(q - effect**2).items_needed(effect) == n


def test_one_sided_guard_needs_fewer_items() -> None:
    assert with_variance(1.0).items_needed(0.1, sided=1) == math.ceil(6.1826 / 0.01)


def with_variance(variance: float, n: int = 500) -> statistics.Estimate:
    """What `n` items of this known variance say."""
    error = math.sqrt(variance / n)
    return statistics.Estimate(0.0, error, n, n, math.inf, error)


def test_three_items_that_do_not_decide_need_more_than_three() -> None:
    found = statistics.mean([0.10, 0.14, 0.05])
    assert not found.significant()
    assert (found.items_needed(found.value) or 0) > 3


@given(
    st.lists(st.floats(-1, 1) | st.sampled_from([0.0, 1.0]), min_size=2, max_size=30),
    st.integers(1, 30),
    st.sampled_from([0.8, 0.95, 0.99]),
)
def test_what_does_not_decide_needs_more_items_than_there_are(
    values: list[float], size: int, confidence: float
) -> None:
    found = statistics.mean(values, np.arange(len(values)) // size)
    for sided, undecided in (
        (2, not found.significant(confidence)),
        (1, min(found.p_above(0), found.p_below(0)) >= 1 - confidence),
    ):
        needed = found.items_needed(found.value, confidence, sided=sided)
        assert not undecided or needed is None or needed > found.num_items


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 30), st.integers(1, 6))
def test_few_discordant_items_that_do_not_decide_need_more_than_there_are(
    gained: int, lost: int, same: int, size: int
) -> None:
    kind = np.repeat([1, -1, 0], [gained, lost, same])
    found = statistics.paired_mean(kind == 1, kind == -1, np.arange(len(kind)) // size)
    needed = found.items_needed(found.value)
    assert found.significant() or needed is None or needed > found.num_items


def test_the_certainty_of_the_error_grows_with_the_items() -> None:
    """Five items know their error badly; as many as are needed would know it better."""
    found = statistics.mean([0.10, 0.14, 0.05, -0.04, 0.07])

    def enough(n: int) -> bool:
        quantiles = scipy.stats.t.ppf(0.975, n - 1) + scipy.stats.t.ppf(0.8, n - 1)
        return bool(n >= 5 * (quantiles * found.spread / 0.03) ** 2)

    assert found.items_needed(0.03) == next(n for n in range(2, 1000) if enough(n))


def test_few_clusters_see_less_than_many() -> None:
    values = rng().normal(size=60)
    few = statistics.mean(values, np.arange(60) // 20)
    power = few.minimum_detectable() / few.spread
    assert power == pytest.approx(scipy.stats.t.ppf(0.975, 2) + scipy.stats.t.ppf(0.8, 2))


def test_the_items_said_to_be_needed_do_decide() -> None:
    generator = rng()
    values = generator.normal(0.02, 0.2, size=100)
    needed = statistics.mean(values).items_needed(0.02)
    assert needed is not None
    shown = np.mean(
        [statistics.mean(generator.normal(0.02, 0.2, size=needed)).significant() for _ in range(400)]
    )
    assert shown == pytest.approx(0.8, abs=0.12)


def test_the_smallest_effect_and_the_items_needed_agree() -> None:
    found = statistics.mean(rng().normal(size=250))
    assert found.items_needed(found.minimum_detectable()) == 250


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_and_benjamini_hochberg_against_their_definitions(p_values: list[float]) -> None:
    m, order = len(p_values), np.argsort(p_values, kind="stable")
    holm, bh = statistics.holm(p_values), statistics.benjamini_hochberg(p_values)
    for rank, index in enumerate(order):
        assert holm[index] == pytest.approx(
            min(1, max((m - r) * p_values[order[r]] for r in range(rank + 1)))
        )
        assert bh[index] == pytest.approx(
            min([1, *(p_values[order[r]] * m / (r + 1) for r in range(rank, m))])
        )
    assert bh == pytest.approx(list(scipy.stats.false_discovery_control(p_values)))


# ── bootstrap ───────────────────────────────────────────────────────────────────────────────────


def test_the_bootstrap_is_seeded_and_pairs_calls() -> None:
    a, b, sizes, clusters = make_documents(100)
    one = bootstrap_ratios(a, sizes, clusters, draws=50, seed=3)
    assert np.array_equal(one, bootstrap_ratios(a, sizes, clusters, draws=50, seed=3))
    assert not np.array_equal(one, bootstrap_ratios(a, sizes, clusters, draws=50, seed=4))
    both = bootstrap_ratios(np.stack([a, b], axis=1), sizes, clusters, draws=50, seed=3)
    assert both[:, :1] == pytest.approx(one, rel=1e-12)
    assert both.shape == (50, 2)


def test_blocks_of_draws_do_not_change_them(monkeypatch: pytest.MonkeyPatch) -> None:
    a, _, sizes, _ = make_documents(60)
    whole = bootstrap_ratios(a, sizes, draws=40)
    monkeypatch.setattr("evals.bootstrap._COUNTS_AT_ONCE", 7 * 60)
    assert bootstrap_ratios(a, sizes, draws=40) == pytest.approx(whole, rel=1e-12)
