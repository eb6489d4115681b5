"""MinHash signatures of documents: equal to the bit to datasketch's `affine32` scheme fed our 32-bit shingle hashes.

The scheme (datasketch 2.0): a shingle's 32-bit hash is mixed once by MurmurHash3's finalizer, then permutation k is
a_k · h + b_k mod 2³² with a_k odd, and the signature keeps the least value of each. What a shingle is: `quality.shingles`.
What signatures are for: `quality.near_duplicates`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from corpus.schema import OPERATORS
from quality.characters import Array, as_large_string, text_offsets
from quality.kernel import kernel
from quality.shingles import raw_shingles, shingle_hashes, shingles_identity

__all__ = ["MinHash", "permutations", "shingle_hashes", "signatures"]

SEED = 1  # datasketch's own default
_SLICE_BYTES = 4 << 20  # text per kernel call: its hashes stay in the processor's cache
_BLOCK = 4096  # hashes per pass of a permutation: 16 KiB, the first-level cache
_FEW = 48  # below this many shingles the permutations are the inner loop: one register of them at a time beats 128 reductions


@dataclass(frozen=True)
class MinHash:
    """The operator `minhash`: a signature of `num_perm` uint32 per document, over word `ngram`-grams.

    `num_shingles` counts windows, repeats included; a document without a word has none and the signature of the empty set.
    """

    num_perm: int = 128
    ngram: int = 5

    name: ClassVar[str] = "minhash"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("text",)

    def identity(self) -> dict[str, object]:
        return {
            "num_perm": self.num_perm,
            "ngram": self.ngram,
            "seed": SEED,
            "shingles": shingles_identity(),
        }

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        counts, rows = [], []
        for texts in text_slices(as_large_string(batch.column("text")), _SLICE_BYTES):
            starts, hashes = raw_shingles(texts, self.ngram)
            counts.append(np.diff(starts))
            rows.append(signatures(starts, hashes, self.num_perm))
        num_shingles = np.concatenate([np.zeros(0, np.int64), *counts])
        values = np.concatenate([np.zeros((0, self.num_perm), np.uint32), *rows])
        offsets = np.arange(0, (len(values) + 1) * self.num_perm, self.num_perm, dtype=np.int32)
        columns = [
            batch.column("doc_id"),
            pa.array(num_shingles),
            pa.ListArray.from_arrays(offsets, values.reshape(-1)),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=OPERATORS[self.name])


def text_slices(texts: pa.LargeStringArray, max_bytes: int) -> Iterator[pa.LargeStringArray]:
    """`texts` as consecutive slices of about `max_bytes`, each of at least one document; none for an empty array."""
    ends = text_offsets(texts)
    start = 0
    while start < len(texts):
        stop = max(int(np.searchsorted(ends, ends[start] + max_bytes, side="right")) - 1, start + 1)
        yield texts.slice(start, stop - start)
        start = stop


@functools.cache
def permutations(num_perm: int) -> tuple[Array, Array]:
    """The factors a (odd) and terms b of each permutation, uint32, drawn as datasketch draws them."""
    random = np.random.RandomState(SEED)
    a = random.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return a, random.randint(0, 1 << 32, num_perm, dtype=np.uint32)


def signatures(starts: Array, hashes: Array, num_perm: int = 128) -> Array:
    """(documents, num_perm) uint32 from 64-bit shingle hashes, whose upper half is the 32-bit hash. Repeats change nothing."""
    out = np.full((len(starts) - 1, num_perm), 0xFFFFFFFF, np.uint32)
    _sign(starts, hashes, *permutations(num_perm), out)
    return out


@kernel
def _sign(starts: Array, hashes: Array, a: Array, b: Array, out: Array) -> None:
    mixed = np.empty(_BLOCK, np.uint32)
    for d in range(len(starts) - 1):
        for block in range(starts[d], starts[d + 1], _BLOCK):
            size = min(_BLOCK, starts[d + 1] - block)
            _premix(hashes[block : block + size], mixed)
            if size < _FEW:
                _least_by_hash(mixed[:size], a, b, out[d])
            else:
                _least_by_permutation(mixed[:size], a, b, out[d])


@kernel
def _premix(hashes: Array, mixed: Array) -> None:
    """MurmurHash3's 32-bit finalizer of each hash's upper half."""
    for i in range(len(hashes)):
        h = np.uint32(hashes[i] >> np.uint64(32))
        h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
        h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
        mixed[i] = h ^ (h >> np.uint32(16))


@kernel
def _least_by_permutation(mixed: Array, a: Array, b: Array, least: Array) -> None:
    for k in range(len(a)):
        factor, term, low = a[k], b[k], least[k]
        for i in range(len(mixed)):
            low = min(low, np.uint32(factor * mixed[i] + term))
        least[k] = low


@kernel
def _least_by_hash(mixed: Array, a: Array, b: Array, least: Array) -> None:
    for i in range(len(mixed)):
        h = mixed[i]
        for k in range(len(a)):
            least[k] = min(least[k], np.uint32(a[k] * h + b[k]))
