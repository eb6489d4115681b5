"""Pairs: what was found of near-duplicates, as the walk reads it from the lake."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from corpus.lake import Lake, Manifest
from quality.large_buckets import LargeBuckets


@dataclass(frozen=True, eq=False)
class Pairs:
    edges: pa.Table  # verified pairs: content_a, content_b, jaccard, containment
    buckets: LargeBuckets  # who may be near whom, beside those


def read_pairs(lake: Lake, manifest: Manifest | None) -> Pairs | None:
    """The pairs of a near_duplicates artifact; texts of ids once, not once a pair, and sets as they are asked for.

    LakeError where a file is damaged: a kernel that follows a wrong number reads beyond its arrays.
    """
    if manifest is None:
        return None
    columns = ["content_a", "content_b", "jaccard", "containment"]
    tables = [
        lake.read_part(part, columns, dictionary=columns[:2]) for part in manifest.parts("near_duplicates")
    ]
    return Pairs(pa.concat_tables(tables), LargeBuckets.open(lake.files(manifest)))
