"""Large buckets: documents that share a band with more others than can be compared pair by pair, and their shingle sets.

A template of a million documents has 10¹² pairs, of which the walk over near-duplicates needs few: those of a document that
is kept with what comes after it. So what is stored is who is in which bucket and every member's set, the sets in a file
that is read through a memory map; comparing is `quality.walk`. Another threshold or other rules read the same files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpus.part import read_part, write_table
from quality.kernel import kernel
from quality.spill import Numbers, Spill
from quality.verification import ShingleSets

Array = np.ndarray[Any, np.dtype[Any]]

_SETS_PER_BLOCK = 1 << 14
_MEMBERS_PER_BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class LargeBuckets:
    """Which documents are in which bucket, and their sets. A member's number is its place among all members, in id order."""

    contents: pa.Array  # content_hash of each member
    members: Array  # uint32: the members of one bucket after the other
    starts: Array  # int64: where each bucket begins in `members`, and at last their number
    hashes: Numbers | None  # uint64: the members' sorted shingle sets, one after the other
    set_starts: Array  # int64: where each set begins in `hashes`, and at last their number

    @property
    def sizes(self) -> Array:
        return np.diff(self.starts)

    @classmethod
    def none(cls) -> LargeBuckets:
        nowhere = np.zeros(1, np.int64)
        return cls(pa.array([], pa.string()), np.zeros(0, np.uint32), nowhere, None, nowhere)

    @classmethod
    def open(cls, folder: Path) -> LargeBuckets:
        """What `write_large_buckets` wrote."""
        contents = read_part(folder / "contents.parquet").column(0).combine_chunks()
        members, starts, set_starts = (
            Numbers(folder / name, kind).read()
            for name, kind in (("members", "uint32"), ("starts", "int64"), ("set_starts", "int64"))
        )
        return cls(contents, members, starts, Numbers(folder / "hashes", "uint64"), set_starts)


def write_large_buckets(
    folder: Path, contents: pa.Array, members: Spill, starts: Array, sets: ShingleSets
) -> None:
    """Write the buckets into `folder`. `members` holds ordinals, by which `sets` knows the documents; `contents` those of the members, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    is_member = mark(members, len(sets.sizes))
    number = (np.cumsum(is_member) - 1).astype(np.uint32)
    ordinals = np.flatnonzero(is_member)
    write_table(folder / "contents.parquet", pa.table({"content_hash": contents}))
    starts.tofile(folder / "starts")
    np.append(0, np.cumsum(sets.sizes[ordinals])).tofile(folder / "set_starts")
    with (folder / "members").open("wb") as file:
        for start in range(0, members.length, _MEMBERS_PER_BLOCK):
            number[members.read()[start : start + _MEMBERS_PER_BLOCK]].tofile(file)
            members.release()
    with (folder / "hashes").open("wb") as file:
        for start in range(0, len(ordinals), _SETS_PER_BLOCK):
            wanted = ordinals[start : start + _SETS_PER_BLOCK]
            gathered = np.empty(sets.sizes[wanted].sum(), np.uint64)
            _gather(sets.spill.read(), sets.starts[wanted], sets.sizes[wanted], gathered)
            gathered.tofile(file)
            sets.spill.release()


def mark(members: Spill, num_documents: int) -> Array:
    """A mask by ordinal: which documents are in any of the buckets."""
    found = np.zeros(num_documents, bool)
    for start in range(0, members.length, _MEMBERS_PER_BLOCK):
        found[members.read()[start : start + _MEMBERS_PER_BLOCK]] = True
        members.release()
    return found


@kernel
def _gather(hashes: Array, starts: Array, sizes: Array, gathered: Array) -> None:
    at = 0
    for number in range(len(starts)):
        for i in range(starts[number], starts[number] + sizes[number]):
            gathered[at] = hashes[i]
            at += 1
