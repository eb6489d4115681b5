"""The exact overlap of document pairs: Jaccard and containment of their 64-bit shingle sets.

The sets of the documents that are in any candidate pair wait in a file; pairs are taken in blocks, so that memory is
bounded whatever the number of documents or pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpus.part import open_part, reading
from quality.characters import as_large_string
from quality.kernel import int64, kernel
from quality.shingles import shingle_hashes
from quality.spill import Spill

Array = np.ndarray[Any, np.dtype[Any]]

MIN_JACCARD = 0.5  # pairs below it are not stored, so no threshold can be below it
DIGITS = 6  # to which Jaccard and containment are rounded, here and against the held-out set
_PAIRS_PER_BLOCK = 1 << 16


class ShingleSets:
    """The shingle sets of some documents, by ordinal, in a spill file."""

    def __init__(self, num_documents: int, spill: Spill):
        self.starts = np.zeros(num_documents, np.int64)
        self.sizes = np.zeros(num_documents, np.int64)
        self.spill = spill

    def add(self, ordinals: Array, texts: Any, ngram: int) -> None:
        """The sets of `texts`, a string array, whose documents are `ordinals`."""
        offsets, hashes = shingle_hashes(texts, ngram)
        self.starts[ordinals], self.sizes[ordinals] = offsets[:-1] + self.spill.length, np.diff(offsets)
        self.spill.append(hashes)


def read_sets(paths: Sequence[Path], ordinals: Array, wanted: Array, ngram: int, spill: Spill) -> ShingleSets:
    """The sets of the wanted documents, read one row group of one part at a time.

    `ordinals` gives each row of the documents parts, one after the other, its ordinal or −1; `wanted` is a mask by ordinal.
    """
    sets, row = ShingleSets(len(wanted), spill), 0
    for path in paths:
        with open_part(path) as file:
            for group in range(file.num_row_groups):
                found = ordinals[row : row + file.metadata.row_group(group).num_rows]
                row += len(found)
                rows = np.flatnonzero(found >= 0)
                rows = rows[wanted[found[rows]]]
                if len(rows):
                    with reading(path):
                        texts = as_large_string(file.read_row_group(group, columns=["text"]).column(0))
                    sets.add(found[rows], texts.take(rows), ngram)
    return sets


def verify(
    pairs: Spill, sets: ShingleSets, keys: Spill, rows: Array, num_bands: int
) -> Iterator[dict[str, Array]]:
    """Blocks of the pairs with Jaccard ≥ MIN_JACCARD, in the order of `pairs`, every pair compared exactly.

    Columns: a, b (ordinals), jaccard, containment (|A∩B| / min(|A|, |B|)), num_bands (in which the signatures agree).
    `keys` holds the documents' band keys by row, `rows` the row of each ordinal.
    """
    for start in range(0, pairs.length, _PAIRS_PER_BLOCK):
        block = pairs.read()[start : start + _PAIRS_PER_BLOCK]
        a, b = (block >> np.uint64(32)).astype(np.int64), (block & np.uint64(0xFFFFFFFF)).astype(np.int64)
        shared = np.zeros(len(block), np.int64)
        _count_shared(sets.spill.read(), sets.starts, sets.sizes, a, b, shared)
        smaller, total = np.minimum(sets.sizes[a], sets.sizes[b]), sets.sizes[a] + sets.sizes[b]
        alike = np.flatnonzero((shared > 0) & (shared >= MIN_JACCARD * (total - shared)))
        a, b, shared, smaller, total = a[alike], b[alike], shared[alike], smaller[alike], total[alike]
        bands = keys.read().reshape(-1, num_bands)
        agreeing = np.count_nonzero(bands[rows[a]] == bands[rows[b]], axis=1)
        yield {
            "a": a, "b": b, "jaccard": np.round(shared / (total - shared), DIGITS),
            "containment": np.round(shared / smaller, DIGITS), "num_bands": agreeing.astype(np.int64),
        }  # fmt: skip
        for spill in (pairs, sets.spill, keys):
            spill.release()


@kernel
def _count_shared(hashes: Array, starts: Array, sizes: Array, a: Array, b: Array, shared: Array) -> None:
    """|A ∩ B| of each pair of sorted sets; 0 where the sizes alone rule out a Jaccard of one half."""
    for pair in range(len(a)):
        one, other = starts[a[pair]], starts[b[pair]]
        size, size_of_other = sizes[a[pair]], sizes[b[pair]]
        if 2 * min(size, size_of_other) >= max(size, size_of_other):
            shared[pair] = num_shared(hashes, one, one + size, other, other + size_of_other)


@kernel
def round_share(part: int, whole: int) -> float:
    """part / whole to DIGITS digits, as numpy rounds."""
    return np.rint(part / whole * 10.0**DIGITS) / 10.0**DIGITS


@kernel
def num_shared(hashes: Array, start: int, end: int, start_of_other: int, end_of_other: int) -> int:
    """|A ∩ B| of two sorted sets that stand in one array. Without a branch: which is smaller is a toss-up."""
    i, j, count = int64(start), int64(start_of_other), int64(0)
    while i < end and j < end_of_other:
        left, right = hashes[i], hashes[j]
        count += left == right
        i += left <= right
        j += right <= left
    return count
