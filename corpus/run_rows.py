"""Run folders as rows: what stands in their growing JSON lines, read so that a line torn by a kill hurts nothing.

Who writes these files is `trainer.run_folder`; here is only what SQL and the app may see of them at any moment.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpus.lake import Lake

Rows = list[dict[str, Any]]


def run_folders(lake: Lake) -> list[Path]:
    """The folders of runs that have begun, by id."""
    return sorted(path.parent for path in lake.runs.glob("*/lineage.json"))


def run_rows(lake: Lake) -> Rows:
    """One row of `runs` per run: what its lineage names and how far it got."""
    return [
        {**_json(folder / "lineage.json"), **_json(folder / "status.json"), "run_id": folder.name}
        for folder in run_folders(lake)
    ]


def all_checkpoint_rows(lake: Lake) -> Rows:
    """Rows of `checkpoints` of every run."""
    return [row for folder in run_folders(lake) for row in checkpoint_rows(folder)]


def line_rows(lake: Lake, dataset: str) -> Rows:
    """Rows of `metrics` or `events` of every run; of steps run more than once, those of the last attempt."""
    return [
        row
        for folder in run_folders(lake)
        for row in latest_attempts(json_lines(folder / f"{dataset}.jsonl"))
        if row.get("run_id") == folder.name
    ]


def checkpoint_rows(run_folder: Path) -> Rows:
    """Rows of `checkpoints` by step, those that rotation removed too: the latest word on each."""
    latest = {row["step"]: row for row in json_lines(run_folder / "checkpoints.jsonl") if "step" in row}
    return [latest[step] for step in sorted(latest)]


def json_lines(path: Path) -> Rows:
    """The objects in the whole lines of a growing file: a torn last line is not there yet, a damaged one never was."""
    if not path.exists():
        return []
    whole = path.read_bytes().rpartition(b"\n")[0]
    return [row for line in whole.split(b"\n") for row in _object(line)]


def _object(line: bytes) -> Iterator[dict[str, Any]]:
    try:
        row = json.loads(line)
    except ValueError:  # a power cut can leave zeros in the middle of a file
        return
    if isinstance(row, dict):
        yield row


def latest_attempts(rows: Rows) -> Rows:
    """Of steps that were run more than once (after a kill), the rows of the last attempt."""
    last: dict[Any, int] = {}
    for row in rows:
        step, attempt = row.get("step"), row.get("attempt") or 0
        last[step] = max(last.get(step, 0), attempt)
    return [row for row in rows if (row.get("attempt") or 0) == last[row.get("step")]]


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8")) if path.exists() else {}
