"""Append-only facts: small JSON rows that describe circumstance (file names, sources) or what people said (sign-offs).

A fact is created once and never changed; readers take them all, or the latest by time. It holds no artifact.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from corpus.fingerprint import fingerprint
from corpus.lake import Lake, now_utc


def write_facts(lake: Lake, dataset: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Record rows once: equal rows of one dataset are one fact, whoever writes them and however often."""
    found = [dict(row) for row in rows]
    path = lake.root / "facts" / dataset / f"{fingerprint(found)}.json"
    if not path.exists():
        lake.create_json(path, {"rows": found, "time_utc": now_utc()})


def read_facts(lake: Lake, dataset: str) -> list[dict[str, Any]]:
    """Every row of a dataset, oldest first; each gets the `time_utc` at which it was recorded, unless it has one."""
    records = [_read(path) for path in sorted((lake.root / "facts" / dataset).glob("*.json"))]
    records.sort(key=lambda record: (record["time_utc"], record["rows"] and fingerprint(record["rows"])))
    return [{"time_utc": record["time_utc"], **row} for record in records for row in record["rows"]]


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))
