"""Candidate pairs: documents whose signatures agree on a whole band, by locality-sensitive hashing.

(Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, §3.4.) One band is grouped at a time, in DuckDB, which spills.
Documents are ordinals here; whether a pair is alike is decided elsewhere, on the exact sets (`quality.verification`).

Of a bucket of up to 64 documents every pair is a candidate. Of a larger one only its members are kept: what they are
compared with is decided by the walk, which knows who is kept (`quality.large_buckets`). Anchors, a few members that all
others are compared with, cannot do: the walk drops a document for a kept one only, and an anchor is rarely kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa

from quality.kernel import kernel
from quality.shingles import mix64
from quality.spill import Spill

Array = np.ndarray[Any, np.dtype[Any]]

ALL_PAIRS_UP_TO = 64  # members of a bucket of which every pair is a candidate
_COMPACT_ROWS = (
    30_000_000  # pairs found again in other bands are merged whenever this many new ones have come
)

_BUCKETS = """
    CREATE OR REPLACE TEMP TABLE members AS
    SELECT key, ordinal, row_number() OVER (PARTITION BY key ORDER BY ordinal) AS rank, count(*) OVER (PARTITION BY key) AS size
    FROM band WHERE key IN (SELECT key FROM band GROUP BY key HAVING count(*) > 1)
"""
_PAIRS = """
    INSERT INTO pairs
    SELECT (first.ordinal << 32) | second.ordinal
    FROM (SELECT * FROM members WHERE size <= $largest) first
    JOIN members second ON first.key = second.key AND first.rank < second.rank
"""
_LARGE = "SELECT ordinal, size FROM members WHERE size > $largest ORDER BY key, ordinal"


def band_keys(signatures: Array, num_bands: int) -> Array:
    """(documents, bands) uint64: a hash of each band of (documents, permutations) uint32 signatures."""
    keys = np.empty((len(signatures), num_bands), np.uint64)
    _hash_bands(signatures, keys)
    return keys


def find_pairs(
    connection: Any, keys: Spill, num_bands: int, rows: Array, pairs: Spill, members: Spill, all_pairs_up_to: int
) -> Array:  # fmt: skip
    """Append every candidate pair once, as (smaller ordinal << 32 | larger), ascending, to `pairs`.

    `keys` holds the rows of `band_keys`, `rows` the row of each document in id order; its place there is its ordinal. The
    ordinals of each larger bucket are appended to `members`, those of equal members in several bands once. Returns where
    each begins in `members`, and at last its length.
    """
    connection.execute("CREATE OR REPLACE TEMP TABLE pairs (pair UBIGINT)")
    starts, seen = [0], set[bytes]()
    num_new = 0
    for band in range(num_bands):
        column = keys.read().reshape(-1, num_bands)[:, band][rows]
        keys.release()
        connection.register(
            "band", pa.table({"key": column, "ordinal": np.arange(len(rows), dtype=np.uint64)})
        )
        connection.execute(_BUCKETS)
        num_new += connection.execute(_PAIRS, {"largest": all_pairs_up_to}).fetchone()[0]
        for bucket in _large_buckets(connection, all_pairs_up_to):
            digest = blake2b(bucket.tobytes(), digest_size=16).digest()
            if digest not in seen:
                seen.add(digest)
                members.append(bucket)
                starts.append(members.length)
        connection.unregister("band")
        if num_new > _COMPACT_ROWS:
            connection.execute("CREATE OR REPLACE TEMP TABLE fewer AS SELECT DISTINCT pair FROM pairs")
            connection.execute("DROP TABLE pairs; ALTER TABLE fewer RENAME TO pairs")
            num_new = 0
    for batch in connection.sql("SELECT DISTINCT pair FROM pairs ORDER BY pair").to_arrow_reader(1 << 18):
        pairs.append(batch.column(0).to_numpy())
    connection.execute("DROP TABLE pairs; DROP TABLE IF EXISTS members")
    return np.array(starts, np.int64)


def _large_buckets(connection: Any, all_pairs_up_to: int) -> Iterator[Array]:
    """The ordinals of each bucket of table `members` that has more than so many."""
    found = connection.execute(_LARGE, {"largest": all_pairs_up_to}).fetchnumpy()
    ordinals, sizes = found["ordinal"].astype(np.uint32), found["size"]
    start = 0
    while start < len(ordinals):
        end = start + int(sizes[start])
        yield ordinals[start:end]
        start = end


@kernel
def _hash_bands(signatures: Array, keys: Array) -> None:
    rows = signatures.shape[1] // keys.shape[1]
    for d in range(len(signatures)):
        for band in range(keys.shape[1]):
            value: Any = np.uint64(band + 1)
            for k in range(band * rows, band * rows + rows):
                value = mix64(value ^ np.uint64(signatures[d, k]))
            keys[d, band] = value
