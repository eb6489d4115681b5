"""Error bars from items: means, ratios, paired differences, and the number of items that would decide.

Everything is a linear statistic of items: its error is the spread of per-item influences, summed inside clusters first
(items that share a passage or a source document move together). One formula then serves plain, clustered and ratio forms:

    SE² = C/(C-1) · Σ_c (Σ_{i in c} e_i)²,   t distribution with C-1 degrees of freedom,   C clusters (or C = n items)

with e_i = (s_i - mean)/n for a mean and e_i = (nll_i - R·bytes_i)/(ln 2 · Σ bytes) for bits per byte, R = Σ nll / Σ bytes.
Sources: Miller 2024 (arXiv 2411.00640); Cochran, Sampling Techniques §6 (ratios); Fagerland, Lydersen and Laake 2013
(mid-p McNemar); Bonett and Price 2012 (planning of paired proportions). Paired 0/1 items have the score interval and test of
`evals.pairs`. What a difference means is said in `evals.comparison` and `evals.gate`; the bootstrap that checks these formulas
is in `evals.bootstrap`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, ndtri, stdtr, stdtrit

from evals.pairs import Pairs

Floats = NDArray[np.float64]
CONFIDENCE, POWER = 0.95, 0.8
_NEVER = 1e6  # an effect this much smaller than its error is not shown by any number of items
FEW_DISCORDANT = 25  # below it, whether paired 0/1 items changed at all is said by an exact p-value too


@dataclass(frozen=True)
class Estimate:
    """A statistic with its error. `spread` makes intervals, tests and plans; it is the standard error, save for paired 0/1
    items, where it serves plans alone (one is added to each discordant cell, so it is never 0) and `pairs` the rest.
    `exact_p` replaces the p-value against zero where few of those are discordant. `successes` among `num_clusters` are known
    where the value is a share whose interval is Wilson's."""

    value: float
    standard_error: float
    num_items: int
    num_clusters: int
    dof: float
    spread: float
    exact_p: float | None = None
    successes: int | None = None
    pairs: Pairs | None = None
    correlation: float | None = None

    @property
    def decidable(self) -> bool:
        """Whether there is any error bar: at least two items in at least two clusters."""
        return math.isfinite(self.spread)

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Two-sided interval; infinite where there is no error bar."""
        if not self.decidable:
            return -math.inf, math.inf
        if self.successes is not None:
            return wilson_interval(self.successes, self.num_clusters, confidence)
        quantile = float(stdtrit(self.dof, 0.5 + confidence / 2))
        if self.pairs is not None:
            return self.pairs.interval(quantile)
        half = quantile * self.spread if self.spread else 0.0
        return self.value - half, self.value + half

    def p_above(self, threshold: float) -> float:
        """One-sided p-value against 'the true value is at least `threshold`': small when it is surely below."""
        return self._tail(self.value - threshold, threshold)

    def p_below(self, threshold: float) -> float:
        """One-sided p-value against 'the true value is at most `threshold`': small when it is surely above."""
        return self._tail(threshold - self.value, threshold)

    def _tail(self, excess: float, threshold: float) -> float:
        if not self.decidable:
            return 1.0
        error = self._error_at(threshold)
        if error == 0:
            return float(excess >= 0)
        return float(stdtr(self.dof, excess / error))

    def _error_at(self, threshold: float) -> float:
        """The standard error if the true value were `threshold`; only that of paired 0/1 items depends on it."""
        return self.spread if self.pairs is None else self.pairs.error(threshold)

    @property
    def p_value(self) -> float:
        """Two-sided p-value against zero: exact where it was computed, else by t."""
        if self.exact_p is not None:
            return self.exact_p
        return min(1.0, 2 * min(self.p_above(0.0), self.p_below(0.0)))

    def significant(self, confidence: float = CONFIDENCE) -> bool:
        """Whether both the p-value and the interval exclude zero."""
        low, high = self.interval(confidence)
        return self.p_value < 1 - confidence and (low > 0 or high < 0)

    def minimum_detectable(self, confidence: float = CONFIDENCE, power: float = POWER) -> float:
        """The smallest true value that this many items would show, two-sided, with this power."""
        return self._shown(self.num_items, 0.5 + confidence / 2, power, self.spread)

    def items_needed(
        self,
        effect: float,
        confidence: float = CONFIDENCE,
        power: float = POWER,
        sided: int = 2,
        threshold: float = 0.0,
    ) -> int | None:
        """Items that would show a true distance of `effect` from `threshold`, were new items like these; None where nothing can say.

        The least n with n ≥ (t · s₀ + t_power · s)² / effect², where s² is the variance of one item (num_items · spread²), s₀²
        what it would be at the threshold, and the degrees of freedom of t grow with n. More than there are, wherever those
        do not show `effect`.
        """
        if not self.decidable or abs(effect) <= self.spread / _NEVER or not math.isfinite(effect):
            return None
        level, error = 1 - (1 - confidence) / sided, self._error_at(threshold)

        def asked(have: float) -> int:
            shown = self._shown(have, level, power, error)
            return max(least, math.ceil(self.num_items * (shown / effect) ** 2 - 1e-9))

        # Few discordant items are judged by an exact p-value too, which this formula does not know.
        least = self.num_items + 1 if self.exact_p is not None and not self.significant(confidence) else 2
        low, high = asked(math.inf), asked(1)
        while low < high:  # what is asked falls with what one has: the two meet once
            middle = (low + high) // 2
            low, high = (low, middle) if asked(middle) <= middle else (middle + 1, high)
        return low

    def _shown(self, num_items: float, level: float, power: float, error: float) -> float:
        """The distance that is shown at `level` with `power` by these standard errors and the certainty of this many items."""
        dof = max(1.0, (self.dof + 1) * num_items / self.num_items - 1)
        return float(stdtrit(dof, level)) * error + float(stdtrit(dof, power)) * self.spread


def normal_quantile(probability: float) -> float:
    return float(ndtri(probability))


def mean(values: ArrayLike, clusters: ArrayLike | None = None) -> Estimate:
    """Mean of item values with its (clustered) standard error."""
    scores = _floats(values)
    center = _mean(scores)
    return _estimate(center, (scores - center) / max(1, len(scores)), clusters)


def share(values: ArrayLike, clusters: ArrayLike | None = None) -> Estimate:
    """Mean of 0/1 values. Where they are independent, or all agree, its interval is Wilson's: never a point at 0 or 1."""
    found = mean(values, clusters)
    countable = found.num_clusters == found.num_items or found.value in (0.0, 1.0)
    if not (found.decidable and countable and _is_binary(_floats(values))):
        return found
    return replace(found, successes=round(found.value * found.num_clusters))


def bits_per_byte(nll: ArrayLike, num_bytes: ArrayLike, clusters: ArrayLike | None = None) -> Estimate:
    """Σ nll / (ln 2 · Σ bytes): nll in nats, bytes of raw UTF-8, so it survives a change of tokenizer."""
    nats, sizes = _floats(nll), _floats(num_bytes)
    total = math.fsum(sizes)
    ratio = math.fsum(nats) / total if total else math.nan
    scale = math.log(2) * total if total else math.nan
    return _estimate(ratio / math.log(2), (nats - ratio * sizes) / scale, clusters)


def paired_mean(
    candidate: ArrayLike, baseline: ArrayLike, clusters: ArrayLike | None = None, factor: float = 1.0
) -> Estimate:
    """Mean of candidate − factor · baseline over the same items; the plain difference of 0/1 items is that of two shares."""
    a, b = _floats(candidate), _floats(baseline)
    found = replace(mean(a - factor * b, clusters), correlation=_correlation(a, b))
    if factor != 1.0 or not found.decidable or not _is_binary(a, b):
        return found
    return _paired_shares(found, int(np.sum(a > b)), int(np.sum(a < b)), mean(a - b).standard_error)


def paired_bits_per_byte(
    candidate: ArrayLike,
    baseline: ArrayLike,
    num_bytes: ArrayLike,
    clusters: ArrayLike | None = None,
    factor: float = 1.0,
) -> Estimate:
    """Bits per byte of the candidate − factor · the baseline's, on the same documents (nll in nats)."""
    a, b = _floats(candidate), _floats(baseline)
    return replace(bits_per_byte(a - factor * b, num_bytes, clusters), correlation=_correlation(a, b))


def wilson_interval(successes: int, num_items: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Score interval of a share, honest at 0 and 1.

    >>> [round(end, 2) for end in wilson_interval(0, 6)]
    [0.0, 0.39]
    """
    if num_items == 0:
        return 0.0, 1.0
    z, p = normal_quantile(0.5 + confidence / 2), successes / num_items
    scale = 1 + z * z / num_items
    center = (p + z * z / (2 * num_items)) / scale
    half = z * math.sqrt(p * (1 - p) / num_items + z * z / (4 * num_items**2)) / scale
    return max(0.0, center - half), min(1.0, center + half)


def mcnemar(gained: int, lost: int, mid: bool = True) -> float:
    """Two-sided p-value from the discordant pairs of 0/1 items: exact, or mid-p (half the weight of what was seen).

    >>> round(mcnemar(5, 1, mid=False), 6)
    0.21875
    """
    n, k = gained + lost, min(gained, lost)
    if gained == lost:
        return 1.0
    exact = 2 * float(bdtr(k, n, 0.5))
    return min(1.0, exact - math.comb(n, k) / 2**n if mid else exact)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values: the chance of any false claim in the family stays below the level.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that bound the share of false claims among those made; for exploring slices.

    >>> benjamini_hochberg([0.01, 0.04, 0.03])
    [0.03, 0.04, 0.04]
    """
    adjusted, running = [0.0] * len(p_values), 1.0
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for rank in range(len(order), 0, -1):
        running = min(running, p_values[order[rank - 1]] * len(order) / rank)
        adjusted[order[rank - 1]] = running
    return adjusted


def _estimate(value: float, influences: Floats, clusters: ArrayLike | None) -> Estimate:
    sums = influences if clusters is None else _cluster_sums(influences, clusters)
    count = len(sums)
    error = math.sqrt(count / (count - 1) * math.fsum(sums**2)) if count > 1 else math.nan
    return Estimate(value, error, len(influences), count, max(1.0, count - 1.0), error)


def _cluster_sums(influences: Floats, clusters: ArrayLike) -> Floats:
    _, which = np.unique(np.asarray(clusters), return_inverse=True)
    return _floats(np.bincount(which.ravel(), weights=influences))


def _paired_shares(found: Estimate, gained: int, lost: int, unclustered: float) -> Estimate:
    """Tango's score interval and test; with few discordant items mid-p McNemar against zero beside them.

    Where clusters say that the error is larger than `unclustered`, the items count as so many fewer.
    """
    n = found.num_items + 2
    up, down = (gained + 1) / n, (lost + 1) / n
    spread = math.sqrt((up + down - (up - down) ** 2) / n)
    clustered = found.num_clusters < found.num_items
    inflation = max(1.0, (found.standard_error / unclustered) ** 2) if clustered and unclustered else 1.0
    scored = replace(
        found,
        spread=spread * math.sqrt(inflation),
        dof=found.dof if clustered else math.inf,
        pairs=Pairs(gained / inflation, lost / inflation, found.num_items / inflation),
    )
    if gained + lost >= FEW_DISCORDANT:
        return scored
    exact_p = mcnemar(gained, lost)
    return replace(scored, exact_p=max(exact_p, scored.p_value) if clustered else exact_p)


def _is_binary(*arrays: Floats) -> bool:
    return all(bool(np.all((array == 0) | (array == 1))) for array in arrays)


def _correlation(a: Floats, b: Floats) -> float | None:
    """Pearson's r, None where one side does not vary."""
    if len(a) < 2:
        return None
    x, y = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(x @ x)) * math.sqrt(float(y @ y))
    return max(-1.0, min(1.0, float(x @ y) / scale)) if scale > 0 else None


def _mean(values: Floats) -> float:
    return math.fsum(values) / len(values) if len(values) else math.nan


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
