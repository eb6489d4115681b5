"""Shares of a token budget as closed forms: natural, uniform, temperature, UniMax, and the filling up to caps.

Arrays in, arrays out: which source a number belongs to is `mixer.static`'s business. Sums are exact and powers are
libm's, not numpy's vector ones, so that the same sizes give the same bits, and the same plan, on every machine.
"""

from __future__ import annotations

import math

import numpy as np

# Data-constrained scaling laws (arXiv 2305.16264), section 6: a repeated token is worth exp(−repeats / R*) of a fresh one.
HALF_LIFE_EPOCHS = 15.387756


def natural(sizes: np.ndarray) -> np.ndarray:
    """In proportion to the tokens there are."""
    return _normalised(np.asarray(sizes, dtype=np.float64))


def uniform(sizes: np.ndarray) -> np.ndarray:
    """The same to every source that has tokens."""
    return _normalised((np.asarray(sizes) > 0).astype(np.float64))


def temperature(sizes: np.ndarray, tau: float) -> np.ndarray:
    """p ∝ n^(1/τ): natural at 1, towards uniform as τ grows.

    >>> temperature(np.array([1, 16]), 2.0).tolist()
    [0.2, 0.8]
    """
    counts = [float(size) for size in sizes]
    largest = max(counts, default=0.0)  # relative to it, so that a small τ does not overflow
    return _normalised(
        np.array([math.pow(count / largest, 1 / tau) if count > 0 else 0.0 for count in counts])
    )


def unimax(sizes: np.ndarray, budget: float, max_epochs: float) -> np.ndarray:
    """UniMax (arXiv 2304.09151, algorithm 1): as even as can be with no source read more than `max_epochs` times.

    >>> unimax(np.array([1, 5, 20, 200]), 100, 4).tolist()
    [0.04, 0.2, 0.38, 0.38]
    """
    counts = np.asarray(sizes, dtype=np.float64)
    order = np.argsort(counts, kind="stable")
    taken = np.zeros_like(counts)
    remaining = float(budget)
    for place, i in enumerate(order):
        taken[i] = min(remaining / (len(order) - place), max_epochs * counts[i])
        remaining -= taken[i]
    return _normalised(taken)


def fill_to_caps(shares: np.ndarray, caps: np.ndarray, total: float = 1.0) -> np.ndarray:
    """Water-filling: the amounts min(cap, λ · share) that add up to `total`, or to all that the caps allow.

    What a capped source leaves goes to the others in proportion to their shares; a share of 0 receives nothing.
    """
    amounts = np.zeros(len(shares))
    ratio = np.divide(caps, shares, out=np.full(len(shares), np.inf), where=shares > 0)
    left, weight = float(total), math.fsum(shares)
    open_sources = [int(i) for i in np.argsort(ratio, kind="stable") if shares[i] > 0]
    for place, i in enumerate(open_sources):
        if ratio[i] * weight >= left:  # λ = left / weight meets no further cap
            rest = open_sources[place:]
            amounts[rest] = left * shares[rest] / math.fsum(shares[rest])
            return amounts
        amounts[i] = caps[i]
        left = max(0.0, left - float(caps[i]))
        weight = math.fsum(shares[open_sources[place + 1 :]])
    return amounts


def fresh_equivalent(tokens: float, unique: float) -> float:
    """How many fresh tokens are worth `tokens` read from `unique` ones: D' = U + U·R*·(1 − e^(−R/R*)), R repeats.

    >>> round(fresh_equivalent(4, 1), 2), fresh_equivalent(3, 5)
    (3.73, 3)
    """
    if tokens <= unique or unique <= 0:
        return tokens
    repeats = tokens / unique - 1
    return unique * (1 - HALF_LIFE_EPOCHS * math.expm1(-repeats / HALF_LIFE_EPOCHS))


def _normalised(values: np.ndarray) -> np.ndarray:
    total = math.fsum(values)
    return values / total if total > 0 else values
