"""The walk: which documents are dropped as copies or near-duplicates, and for which document that is kept.

Documents are taken in keeper order. One is dropped iff its content, or the text that is trained on, is that of one already
kept, or a candidate pair of Jaccard ≥ the threshold joins its content to that of one already kept: no chains, and every
dropped document is a copy of its keeper or that near to it. Most pairs are stored with their Jaccard. Those of large buckets
are compared here: a document that is kept sweeps its buckets, exactly, over all that come after it. Most of a template falls
to the first sweep, so this takes as long as the bucket has members, not pairs.

A place is a pair of content and text, in that order: where one content is cut in several ways it has several places.
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
    """Which places are dropped for which: columns place, keeper (a place too), exact, jaccard, containment."""

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
    contents: Sequence[str] | pa.Array, texts: Sequence[str] | pa.Array, edges: pa.Table, buckets: LargeBuckets, threshold: float
) -> Walked:  # fmt: skip
    """The walk over places in keeper order, those of the documents that pass every other rule.

    `contents` and `texts` are hashes, by place; no pair of the two comes twice. Of several kept ones that are near enough the
    nearest is the keeper, then the first in keeper order. Edges to, and members that are, contents not listed do not count.
    """
    if threshold < MIN_JACCARD:
        raise ValueError(f"threshold {threshold:g} is below {MIN_JACCARD:g}, from which edges are stored")
    places = _Places(pa.array(contents, pa.string()), pa.array(texts, pa.string()))
    near, fates = _Near(len(places.contents)), _Fates(len(places.slots))
    stored = _stored_edges(edges, places, threshold)
    sweeps = _Sweeps(buckets, places)
    place = -1
    while (
        place := _judge(
            place + 1, *places.columns, *stored, *near.columns, *fates.columns, *sweeps.open_buckets
        )
    ) < len(places.slots):
        sweeps.compare(place, threshold, near)
    dropped = np.flatnonzero(fates.keeper >= 0)
    columns = {"place": dropped, **{name: found[dropped] for name, found in vars(fates).items()}}
    return Walked(pl.DataFrame(columns), int(np.count_nonzero(sweeps.cut_short)))


class _Places:
    """What stands at each place: the slot of its content, which numbers contents as they first come, and that of its text."""

    def __init__(self, contents: pa.Array, texts: pa.Array):
        encoded = contents.dictionary_encode()
        self.contents = encoded.dictionary  # by slot
        self.slots, self.texts = (found.indices.to_numpy() for found in (encoded, texts.dictionary_encode()))
        _, self.first = np.unique(self.slots, return_index=True)  # place of each slot
        self.last = np.zeros(len(self.contents), np.int64)
        self.last[self.slots] = np.arange(len(self.slots))
        self.kept_content = np.full(len(self.contents), -1, np.int64)  # the place that is kept of each
        self.kept_text = np.full(len(self.slots), -1, np.int64)

    @property
    def columns(self) -> tuple[Array, Array, Array, Array]:
        return self.slots, self.texts, self.kept_content, self.kept_text


class _Near:
    """For each slot the nearest place that is kept so far, or −1, once one is near enough."""

    def __init__(self, num_slots: int):
        self.keeper = np.full(num_slots, -1, np.int64)
        self.jaccard, self.containment = np.zeros(num_slots), np.zeros(num_slots)

    @property
    def columns(self) -> tuple[Array, Array, Array]:
        return self.keeper, self.jaccard, self.containment


class _Fates:
    """For each place that is judged the one it is dropped for, or −1, and why."""

    def __init__(self, num_places: int):
        self.keeper = np.full(num_places, -1, np.int64)
        self.exact = np.zeros(num_places, bool)
        self.jaccard, self.containment = np.ones(num_places), np.ones(num_places)

    @property
    def columns(self) -> tuple[Array, Array, Array, Array]:
        return self.keeper, self.exact, self.jaccard, self.containment


def _stored_edges(edges: pa.Table, places: _Places, threshold: float) -> tuple[Array, Array, Array, Array]:
    """The stored pairs that count, by their later slot: (where each slot's begin, earlier slot, Jaccard, containment).

    A pair counts in the other direction too where the earlier content comes again after the later one.
    """
    a, b = (_slots(edges.column(name), places.contents) for name in ("content_a", "content_b"))
    chosen = pc.and_(
        pc.and_(a.is_valid(), b.is_valid()), pc.greater_equal(edges.column("jaccard"), threshold)
    )
    a, b = (column.filter(chosen).to_numpy().astype(np.uint64) for column in (a, b))
    later, earlier = np.maximum(a, b), np.minimum(a, b)
    again = np.flatnonzero(places.last[earlier] > places.first[later])
    to, of = np.append(later, earlier[again]), np.append(earlier, later[again])
    by_slot = np.argsort(to << np.uint64(32) | of)
    starts = np.searchsorted(to[by_slot], np.arange(len(places.contents) + 1, dtype=np.uint64))
    jaccard, containment = (
        np.append(values, values[again])[by_slot]
        for values in (edges.column(name).filter(chosen).to_numpy() for name in ("jaccard", "containment"))
    )
    return starts.astype(np.int64), of[by_slot].astype(np.int64), jaccard, containment


def _slots(column: pa.ChunkedArray, contents: pa.Array) -> pa.ChunkedArray:
    """The slot of each value, or null."""
    if not pa.types.is_dictionary(column.type):
        return pc.index_in(column, value_set=contents)
    column = column.unify_dictionaries()  # so that the texts are looked up once, not once a chunk
    if not column.num_chunks:
        return pa.chunked_array([], pa.int32())
    slots = pc.index_in(column.chunk(0).dictionary, value_set=contents)
    return pa.chunked_array([slots.take(chunk.indices) for chunk in column.chunks], pa.int32())


class _Sweeps:
    """Which buckets may still be swept, and the comparing itself."""

    def __init__(self, buckets: LargeBuckets, places: _Places):
        self.buckets, self.places = buckets, places
        num_members = len(buckets.contents)
        self.slot = pc.fill_null(pc.index_in(buckets.contents, value_set=places.contents), -1).to_numpy()
        self.member = np.full(len(places.contents), -1, np.int64)
        listed = np.flatnonzero(self.slot >= 0)
        self.member[self.slot[listed]] = listed
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
        buckets, member = self.buckets, self.member[self.places.slots[place]]
        assert buckets.hashes is not None
        for bucket in self.of[self.firsts[member] : self.firsts[member + 1]]:
            if self.left[bucket] <= 0:
                continue
            for start in range(buckets.starts[bucket], buckets.starts[bucket + 1], _MEMBERS_PER_BLOCK):
                end = min(start + _MEMBERS_PER_BLOCK, buckets.starts[bucket + 1])
                self.left[bucket] -= _sweep(
                    place, member, buckets.members[start:end], self.slot, self.places.last, self.swept_by,
                    buckets.hashes.read(), buckets.set_starts, threshold, *near.columns,
                )  # fmt: skip
                buckets.hashes.release()


# ── kernels ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@kernel
def _judge(
    first: int, slots: Array, texts: Array, kept_content: Array, kept_text: Array,
    starts: Array, others: Array, stored_jaccard: Array, stored_containment: Array, near: Array, jaccard: Array, containment: Array,
    keeper: Array, exact: Array, keeper_jaccard: Array, keeper_containment: Array, member: Array, firsts: Array, of: Array, left: Array, cut_short: Array,
) -> int:  # fmt: skip
    """Judge places from `first` on, up to one that is kept and has a bucket to sweep; that place, or their number."""
    for place in range(first, len(slots)):
        slot, text = slots[place], texts[place]
        copied = kept_content[slot] if kept_content[slot] >= 0 else kept_text[text]
        if copied >= 0:
            keeper[place], exact[place] = copied, True
            continue
        for edge in range(starts[slot], starts[slot + 1]):
            other, value = kept_content[others[edge]], stored_jaccard[edge]
            nearer = value > jaccard[slot] or (value == jaccard[slot] and other < near[slot])
            if other >= 0 and nearer:
                near[slot], jaccard[slot], containment[slot] = other, value, stored_containment[edge]
        if near[slot] >= 0:
            keeper[place], keeper_jaccard[place], keeper_containment[place] = (
                near[slot],
                jaccard[slot],
                containment[slot],
            )
            continue
        kept_content[slot], kept_text[text] = place, place
        if member[slot] >= 0:
            sweeps = False
            for i in range(firsts[member[slot]], firsts[member[slot] + 1]):
                if left[of[i]] > 0:
                    sweeps = True
                else:
                    cut_short[of[i]] = True
            if sweeps:
                return place
    return len(slots)


@kernel
def _sweep(
    place: int, member: int, members: Array, slots: Array, last: Array, swept_by: Array, hashes: Array, set_starts: Array, threshold: float,
    keeper: Array, jaccard: Array, containment: Array,
) -> int:  # fmt: skip
    """Compare one kept document with `members`, those after it that it did not meet in another bucket; how many that were."""
    start, end = set_starts[member], set_starts[member + 1]
    num_compared = 0
    for other in members:
        at = slots[other]
        if at < 0 or last[at] <= place or other == member or swept_by[other] == place:
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
