"""Candidate pairs: documents whose signatures agree on a whole band, by locality-sensitive hashing.

(Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, §3.4.) One band is grouped at a time, in DuckDB, which spills.
Documents are ordinals here; whether a pair is alike is decided elsewhere, on the exact sets (`quality.verification`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from quality.kernel import kernel
from quality.shingles import mix64
from quality.spill import Spill

Array = np.ndarray[Any, np.dtype[Any]]

ALL_PAIRS_UP_TO = 64  # members of a bucket of which every pair is a candidate
NUM_ANCHORS = 8  # in a larger one each member meets those with the smallest ids only
_COMPACT_ROWS = (
    30_000_000  # pairs found again in other bands are merged whenever this many new ones have come
)

_BUCKETS = """
    CREATE OR REPLACE TEMP TABLE members AS
    SELECT key, ordinal, row_number() OVER (PARTITION BY key ORDER BY ordinal) AS rank, count(*) OVER (PARTITION BY key) AS size
    FROM band WHERE key IN (SELECT key FROM band GROUP BY key HAVING count(*) > 1)
"""
_PAIRS = f"""
    INSERT INTO pairs
    SELECT (first.ordinal << 32) | second.ordinal
    FROM (SELECT * FROM members WHERE size <= {ALL_PAIRS_UP_TO} OR rank <= {NUM_ANCHORS}) first
    JOIN members second ON first.key = second.key AND first.rank < second.rank
"""
_LARGE = f"SELECT ordinal, size FROM members WHERE rank = 1 AND size > {ALL_PAIRS_UP_TO} ORDER BY ordinal"


def band_keys(signatures: Array, num_bands: int) -> Array:
    """(documents, bands) uint64: a hash of each band of (documents, permutations) uint32 signatures."""
    keys = np.empty((len(signatures), num_bands), np.uint64)
    _hash_bands(signatures, keys)
    return keys


def find_pairs(
    connection: Any, keys: Spill, num_bands: int, rows: Array, pairs: Spill
) -> dict[int, tuple[int, int]]:
    """Append every candidate pair once, as (smaller ordinal << 32 | larger), ascending, to `pairs`.

    `keys` holds the rows of `band_keys`, `rows` the row of each document in id order; its place there is its ordinal. Returns the large buckets, of which
    not all pairs are candidates: smallest member → (members of the largest such bucket, number of bands it is in).
    """
    connection.execute("CREATE OR REPLACE TEMP TABLE pairs (pair UBIGINT)")
    large: dict[int, tuple[int, int]] = {}
    num_new = 0
    for band in range(num_bands):
        column = keys.read().reshape(-1, num_bands)[:, band][rows]
        keys.release()
        connection.register(
            "band", pa.table({"key": column, "ordinal": np.arange(len(rows), dtype=np.uint64)})
        )
        connection.execute(_BUCKETS)
        num_new += connection.execute(_PAIRS).fetchone()[0]
        for ordinal, size in connection.execute(_LARGE).fetchall():
            before, bands = large.get(ordinal, (0, 0))
            large[ordinal] = (max(before, size), bands + 1)
        connection.unregister("band")
        if num_new > _COMPACT_ROWS:
            connection.execute("CREATE OR REPLACE TEMP TABLE fewer AS SELECT DISTINCT pair FROM pairs")
            connection.execute("DROP TABLE pairs; ALTER TABLE fewer RENAME TO pairs")
            num_new = 0
    for batch in connection.sql("SELECT DISTINCT pair FROM pairs ORDER BY pair").to_arrow_reader(1 << 18):
        pairs.append(batch.column(0).to_numpy())
    connection.execute("DROP TABLE pairs; DROP TABLE IF EXISTS members")
    return dict(sorted(large.items()))


@kernel
def _hash_bands(signatures: Array, keys: Array) -> None:
    rows = signatures.shape[1] // keys.shape[1]
    for d in range(len(signatures)):
        for band in range(keys.shape[1]):
            value: Any = np.uint64(band + 1)
            for k in range(band * rows, band * rows + rows):
                value = mix64(value ^ np.uint64(signatures[d, k]))
            keys[d, band] = value
