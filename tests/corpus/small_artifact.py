"""A small artifact for tests of the lake: documents of which there are only rejects."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from corpus.lake import Lake, Manifest, artifact_id
from corpus.schema import DATASETS


def rejects(count: int = 3) -> pa.Table:
    rows = [
        {"source": "s", "file_hash": "f", "occurrence": 0, "position": i, "reason": "r"} for i in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=DATASETS["rejects"])


def manifest(lake: Lake, **identity: Any) -> Manifest:
    id = artifact_id("documents", "ingest", 1, identity, [])
    found = lake.write_part("rejects", f"{id}-0", rejects())
    return Manifest("documents", id, "ingest", 1, identity, (), {"rejects": (found,)})


def every_file(lake: Lake) -> list[str]:
    return sorted(path.relative_to(lake.root).as_posix() for path in lake.root.rglob("*") if path.is_file())
