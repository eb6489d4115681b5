"""Resampling of clusters: the independent check of the formulas, and the chance that a chosen checkpoint is the best.

Documents (or clusters of items) are drawn with replacement, never tokens, and all models keep the values of one draw
together. A statistic is a ratio of two sums: a mean divides by the number of items, bits per byte by ln 2 · bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
DRAWS, SEED = 2_000, 17
_COUNTS_AT_ONCE = 1 << 22  # a block of draws holds at most this many cluster counts: 32 MiB


def bootstrap_ratios(
    numerators: ArrayLike,
    denominators: ArrayLike,
    clusters: ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int | Sequence[int] = SEED,
) -> Floats:
    """Σ numerator / Σ denominator in every draw, of shape (draws, models).

    `numerators` has shape (items,) or (items, models), `denominators` (items,). The same seed, clusters and number of
    clusters give the same draws, so two calls over the same items are paired. Permuting items changes nothing but the
    order in which clusters are numbered, which is their sorted order.
    """
    tops = np.asarray(numerators, dtype=np.float64)
    tops = tops[:, None] if tops.ndim == 1 else tops
    bottoms = np.asarray(denominators, dtype=np.float64)
    if clusters is not None:
        _, which = np.unique(np.asarray(clusters), return_inverse=True)
        tops = np.stack([np.bincount(which.ravel(), weights=column) for column in tops.T], axis=1)
        bottoms = np.bincount(which.ravel(), weights=bottoms).astype(np.float64)
    generator = np.random.default_rng(seed)
    blocks = [
        (counts @ tops) / (counts @ bottoms)[:, None] for counts in _draw(generator, len(bottoms), draws)
    ]
    return np.concatenate(blocks) if blocks else np.zeros((0, tops.shape[1]))


def _draw(generator: np.random.Generator, num_clusters: int, draws: int) -> Iterator[Floats]:
    """Blocks of cluster counts, each row one draw of `num_clusters` clusters with replacement."""
    at_once = max(1, _COUNTS_AT_ONCE // max(1, num_clusters))
    for start in range(0, draws, at_once):
        rows = min(at_once, draws - start)
        picked = generator.integers(0, num_clusters, size=(rows, num_clusters))
        picked += np.arange(rows)[:, None] * num_clusters
        yield (
            np.bincount(picked.ravel(), minlength=rows * num_clusters)
            .reshape(rows, num_clusters)
            .astype(np.float64)
        )
