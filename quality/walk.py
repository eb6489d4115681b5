"""The walk: which near-duplicates are dropped, and for which document that is kept.

Documents are taken in keeper order. One is dropped iff a candidate pair of Jaccard ≥ the threshold joins it to one that is
already kept: no chains, and every dropped document is that near to its keeper. Most pairs are stored with their Jaccard. Those
of large buckets are compared here: a document that is kept sweeps its buckets, exactly, over all that come after it. Most of
a template falls to the first sweep, so this takes as long as the bucket has members, not pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from quality.candidate_pairs import ALL_PAIRS_UP_TO
from quality.kernel import kernel
from quality.large_buckets import LargeBuckets
from quality.verification import MIN_JACCARD, num_shared, round_share

Array = np.ndarray[Any, np.dtype[Any]]

COMPARISONS_PER_MEMBER = 8  # of a large bucket; after that, who is kept sweeps it no more
_MEMBERS_PER_BLOCK = 1 << 14  # of a sweep, after which the pages of their sets are given back


@dataclass(frozen=True)
class Walked:
    """Who is dropped for whom: columns content_hash, keeper (its content_hash), jaccard, containment."""

    dropped: pl.DataFrame
    num_cut_short: int  # large buckets in which not every kept document was compared with the rest

    def guards(self) -> list[dict[str, Any]]:
        """The guard event of buckets that were cut short; the columns are those of `events`."""
        if not self.num_cut_short:
            return []
        return [{
            "kind": "bucket_cut_short", "metric": "buckets", "value": float(self.num_cut_short), "threshold": float(COMPARISONS_PER_MEMBER), "action": "stop_comparing",
            "message": f"{self.num_cut_short} large buckets of near-duplicate candidates hold many documents that differ: their members were compared with the first that are kept, about {COMPARISONS_PER_MEMBER} each, and near-duplicates of later ones may be kept",
        }]  # fmt: skip


def walk(
    content_hashes: Sequence[str] | pa.Array, edges: pa.Table, buckets: LargeBuckets, threshold: float
) -> Walked:
    """The walk over contents in keeper order, those of the documents that pass every other rule.

    Of several kept ones that are near enough the nearest is the keeper, then the first in keeper order. Edges to, and members
    that are, documents not listed do not count.
    """
    if threshold < MIN_JACCARD:
        raise ValueError(f"threshold {threshold:g} is below {MIN_JACCARD:g}, from which edges are stored")
    order = pa.array(content_hashes, pa.string())
    near = _Near(len(order))
    stored = _stored_edges(edges, order, threshold)
    sweeps = _Sweeps(buckets, order)
    place = -1
    while (place := _judge(place + 1, *stored, *near.columns, *sweeps.open_buckets)) < len(order):
        sweeps.compare(place, threshold, near)
    dropped = np.flatnonzero(near.keeper >= 0)
    columns = {
        "content_hash": pl.Series(order.take(dropped), dtype=pl.String), "keeper": pl.Series(order.take(near.keeper[dropped]), dtype=pl.String),
        "jaccard": near.jaccard[dropped], "containment": near.containment[dropped],
    }  # fmt: skip
    return Walked(pl.DataFrame(columns), int(np.count_nonzero(sweeps.cut_short)))


class _Near:
    """For each place the nearest document that is kept so far, or −1, once one is near enough."""

    def __init__(self, num_places: int):
        self.keeper = np.full(num_places, -1, np.int64)
        self.jaccard, self.containment = np.zeros(num_places), np.zeros(num_places)

    @property
    def columns(self) -> tuple[Array, Array, Array]:
        return self.keeper, self.jaccard, self.containment


def _stored_edges(edges: pa.Table, order: pa.Array, threshold: float) -> tuple[Array, Array, Array, Array]:
    """The stored pairs that count, by their later place: (where each place's begin, earlier place, Jaccard, containment)."""
    a, b = (_places(edges.column(name), order) for name in ("content_a", "content_b"))
    chosen = pc.and_(
        pc.and_(a.is_valid(), b.is_valid()), pc.greater_equal(edges.column("jaccard"), threshold)
    )
    a, b = (column.filter(chosen).to_numpy().astype(np.uint64) for column in (a, b))
    ends = np.maximum(a, b) << np.uint64(32) | np.minimum(a, b)
    by_later = np.argsort(ends)
    starts = np.searchsorted(ends[by_later] >> np.uint64(32), np.arange(len(order) + 1, dtype=np.uint64))
    earlier = (ends[by_later] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    jaccard, containment = (
        edges.column(name).filter(chosen).to_numpy()[by_later] for name in ("jaccard", "containment")
    )
    return starts.astype(np.int64), earlier, jaccard, containment


def _places(column: pa.ChunkedArray, order: pa.Array) -> pa.ChunkedArray:
    """The place of each value in `order`, or null."""
    if not pa.types.is_dictionary(column.type):
        return pc.index_in(column, value_set=order)
    column = column.unify_dictionaries()  # so that the texts are looked up once, not once a chunk
    if not column.num_chunks:
        return pa.chunked_array([], pa.int32())
    places = pc.index_in(column.chunk(0).dictionary, value_set=order)
    return pa.chunked_array([places.take(chunk.indices) for chunk in column.chunks], pa.int32())


class _Sweeps:
    """Which buckets may still be swept, and the comparing itself."""

    def __init__(self, buckets: LargeBuckets, order: pa.Array):
        self.buckets = buckets
        num_members = len(buckets.contents)
        self.place = pc.fill_null(pc.index_in(buckets.contents, value_set=order), -1).to_numpy()
        self.member = np.full(len(order), -1, np.int64)
        listed = np.flatnonzero(self.place >= 0)
        self.member[self.place[listed]] = listed
        self.firsts, self.of = np.zeros(num_members + 1, np.int64), np.empty(len(buckets.members), np.uint32)
        _invert(buckets.members, buckets.starts, self.firsts, self.of)
        # never fewer than the pairs of the largest bucket that is compared in full: one more member takes nothing away
        self.left = np.maximum(COMPARISONS_PER_MEMBER * buckets.sizes, ALL_PAIRS_UP_TO**2)
        self.cut_short = np.zeros(len(self.left), bool)
        self.swept_by = np.full(num_members, -1, np.int64)

    @property
    def open_buckets(self) -> tuple[Array, ...]:
        return self.member, self.firsts, self.of, self.left, self.cut_short

    def compare(self, place: int, threshold: float, near: _Near) -> None:
        """Compare the document at `place`, which is kept, with all that come after it in its buckets."""
        buckets, member = self.buckets, self.member[place]
        assert buckets.hashes is not None
        for bucket in self.of[self.firsts[member] : self.firsts[member + 1]]:
            if self.left[bucket] <= 0:
                continue
            for start in range(buckets.starts[bucket], buckets.starts[bucket + 1], _MEMBERS_PER_BLOCK):
                end = min(start + _MEMBERS_PER_BLOCK, buckets.starts[bucket + 1])
                self.left[bucket] -= _sweep(
                    place, member, buckets.members[start:end], self.place, self.swept_by, buckets.hashes.read(), buckets.set_starts, threshold, *near.columns
                )  # fmt: skip
                buckets.hashes.release()


# ── kernels ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@kernel
def _judge(
    first: int, starts: Array, earlier: Array, stored_jaccard: Array, stored_containment: Array, keeper: Array, jaccard: Array, containment: Array,
    member: Array, firsts: Array, of: Array, left: Array, cut_short: Array,
) -> int:  # fmt: skip
    """Judge places from `first` on, up to one that is kept and has a bucket to sweep; that place, or their number."""
    for place in range(first, len(keeper)):
        for edge in range(starts[place], starts[place + 1]):
            other, value = earlier[edge], stored_jaccard[edge]
            nearer = value > jaccard[place] or (value == jaccard[place] and other < keeper[place])
            if keeper[other] < 0 and nearer:
                keeper[place], jaccard[place], containment[place] = other, value, stored_containment[edge]
        if keeper[place] < 0 and member[place] >= 0:
            sweeps = False
            for i in range(firsts[member[place]], firsts[member[place] + 1]):
                if left[of[i]] > 0:
                    sweeps = True
                else:
                    cut_short[of[i]] = True
            if sweeps:
                return place
    return len(keeper)


@kernel
def _sweep(
    place: int, member: int, members: Array, places: Array, swept_by: Array, hashes: Array, set_starts: Array, threshold: float,
    keeper: Array, jaccard: Array, containment: Array,
) -> int:  # fmt: skip
    """Compare one kept document with `members`, those after it that it did not meet in another bucket; how many that were."""
    start, end = set_starts[member], set_starts[member + 1]
    num_compared = 0
    for other in members:
        at = places[other]
        if at <= place or swept_by[other] == place:
            continue
        swept_by[other] = place
        num_compared += 1
        start_of_other, end_of_other = set_starts[other], set_starts[other + 1]
        smaller = min(end - start, end_of_other - start_of_other)
        larger = max(end - start, end_of_other - start_of_other)
        if round_share(smaller, larger) < max(threshold, jaccard[at]):
            continue
        shared = num_shared(hashes, start, end, start_of_other, end_of_other)
        value = round_share(shared, smaller + larger - shared)
        if value >= threshold and value > jaccard[at]:
            keeper[at], jaccard[at], containment[at] = place, value, round_share(shared, smaller)
    return num_compared


@kernel
def _invert(members: Array, starts: Array, firsts: Array, of: Array) -> None:
    """The buckets of each member: of[firsts[m]:firsts[m + 1]], ascending."""
    for member in members:
        firsts[member + 1] += 1
    for member in range(len(firsts) - 1):
        firsts[member + 1] += firsts[member]
    filled = firsts[:-1].copy()
    for bucket in range(len(starts) - 1):
        for i in range(starts[bucket], starts[bucket + 1]):
            of[filled[members[i]]] = bucket
            filled[members[i]] += 1
