"""Append-only facts: small JSON rows that describe circumstance (file names, sources) or what people said (sign-offs).

A fact is created once and never changed; readers take them all, or the latest by time. It holds no artifact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from corpus.fingerprint import fingerprint
from corpus.json_file import read_json, well_formed
from corpus.lake import Lake, now_utc

FILE_KEY = ("source", "file_hash", "occurrence")  # what a row of `files` names


def write_facts(lake: Lake, dataset: str, rows: Iterable[Mapping[str, Any]], subject: str = "") -> None:
    """Record rows. Without a subject, equal rows are one fact, whoever writes them and however often.

    With one they are what is now said of it, in place of what was said before: said again, nothing is written; said again
    after something else (a file renamed and renamed back), it is a new fact.
    """
    found = [dict(row) for row in rows]
    if not subject:
        path = lake.root / "facts" / dataset / f"{fingerprint(found)}.json"
        if not path.exists():
            lake.create_json(path, {"rows": found, "time_utc": now_utc()})
        return

    def news(said: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        return None if said and fingerprint(said[-1]["rows"]) == fingerprint(found) else found

    _say(lake, dataset, subject, news)


def write_changes(
    lake: Lake, dataset: str, rows: Iterable[Mapping[str, Any]], key: tuple[str, ...], subject: str
) -> None:
    """Record those rows that differ from what was last said of their key: what is said again costs nothing to keep."""
    found = [dict(row) for row in rows]

    def news(said: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        last = latest((row for fact in said for row in fact["rows"]), key)
        return [row for row in found if last.get(tuple(row[name] for name in key)) != row] or None

    _say(lake, dataset, subject, news)


def _say(
    lake: Lake,
    dataset: str,
    subject: str,
    news: Callable[[list[dict[str, Any]]], list[dict[str, Any]] | None],
) -> None:
    """Add the fact that `news` makes of those that are there, if any; who comes second looks again."""
    folder = lake.root / "facts" / dataset / fingerprint(subject)
    while True:
        paths = sorted(folder.glob("*.json"))
        said = [_read(path) for path in paths]
        rows = news(said)
        if rows is None:
            return
        fact = {"rows": rows, "time_utc": max(now_utc(), said[-1]["time_utc"] + 1) if said else now_utc()}
        if lake.create_json(next_path(paths, folder), fact):
            return


def next_path(said: Sequence[Path], folder: Path) -> Path:
    """Where the next of the numbered files of a folder goes: after the last, though one before it be lost."""
    return folder / f"{int(said[-1].stem) + 1 if said else 1:06d}.json"


def read_facts(lake: Lake, dataset: str) -> list[dict[str, Any]]:
    """Every row of a dataset, oldest first; each gets the `time_utc` at which it was recorded, unless it has one."""
    records = [_read(path) for path in sorted((lake.root / "facts" / dataset).rglob("*.json"))]
    records.sort(key=lambda record: record["time_utc"])  # the paths were sorted: a total order
    return [{"time_utc": record["time_utc"], **row} for record in records for row in record["rows"]]


def latest(rows: Iterable[dict[str, Any]], key: tuple[str, ...]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The rows by key, of which a later one of the same key replaces an earlier."""
    return {tuple(row[name] for name in key): row for row in rows}


def file_names(lake: Lake, source: str) -> dict[tuple[str, int], str]:
    """(content hash, occurrence) → what the file is called now, of every file that was ever read for a source."""
    return {
        (row["file_hash"], row["occurrence"]): row["file"]
        for row in read_facts(lake, "files")
        if row["source"] == source
    }


def _read(path: Path) -> dict[str, Any]:
    """A fact; LakeError, which names it, where it is gone or damaged."""
    tree = read_json(path) or {}
    with well_formed(path):
        return {"rows": [dict(row) for row in tree["rows"]], "time_utc": int(tree["time_utc"])}
