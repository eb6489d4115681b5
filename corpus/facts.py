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


def write_facts(lake: Lake, dataset: str, rows: Iterable[Mapping[str, Any]], subject: str = "") -> None:
    """Record rows. Without a subject, equal rows are one fact, whoever writes them and however often.

    With one they are what is now said of it, in place of what was said before: said again, nothing is written; said again
    after something else (a file renamed and renamed back), it is a new fact.
    """
    found = [dict(row) for row in rows]
    folder = lake.root / "facts" / dataset
    if not subject:
        path = folder / f"{fingerprint(found)}.json"
        if not path.exists():
            lake.create_json(path, {"rows": found, "time_utc": now_utc()})
        return
    folder = folder / fingerprint(subject)
    while True:
        said = sorted(folder.glob("*.json"))
        last: dict[str, Any] = _read(said[-1]) if said else {"rows": None, "time_utc": 0}
        if fingerprint(last["rows"]) == fingerprint(found):
            return
        fact = {"rows": found, "time_utc": max(now_utc(), last["time_utc"] + 1)}
        if lake.create_json(folder / f"{len(said) + 1:06d}.json", fact):
            return


def read_facts(lake: Lake, dataset: str) -> list[dict[str, Any]]:
    """Every row of a dataset, oldest first; each gets the `time_utc` at which it was recorded, unless it has one."""
    records = [_read(path) for path in sorted((lake.root / "facts" / dataset).rglob("*.json"))]
    records.sort(key=lambda record: record["time_utc"])  # the paths were sorted: a total order
    return [{"time_utc": record["time_utc"], **row} for record in records for row in record["rows"]]


def file_names(lake: Lake, documents_id: str) -> dict[tuple[str, int], str]:
    """(content hash, occurrence) → what the file is called now, of the files of a documents artifact."""
    return {
        (row["file_hash"], row["occurrence"]): row["file"]
        for row in read_facts(lake, "files")
        if row["documents_id"] == documents_id
    }


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))
