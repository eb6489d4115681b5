"""Run folders as rows: what stands in their growing JSON lines, read so that a line torn by a kill hurts nothing.

Who writes these files is `trainer.run_folder`; here is only what SQL and the app may see of them at any moment.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpus.json_file import read_json
from corpus.lake import Lake

Rows = list[dict[str, Any]]


def run_folders(lake: Lake) -> list[Path]:
    """The folders of runs that have begun, by id."""
    return sorted(path.parent for path in lake.runs.glob("*/lineage.json"))


def run_rows(lake: Lake) -> Rows:
    """One row of `runs` per run: what its lineage names and how far it got."""
    return [
        {
            **(read_json(folder / "lineage.json") or {}),
            **(read_json(folder / "status.json") or {}),
            "run_id": folder.name,
        }
        for folder in run_folders(lake)
    ]


def all_checkpoint_rows(lake: Lake) -> Rows:
    """Rows of `checkpoints` of every run."""
    return [row for folder in run_folders(lake) for row in checkpoint_rows(folder)]


def metric_rows(lake: Lake) -> Rows:
    """Rows of `metrics` of every run, without those that a later attempt took back."""
    return [row for rows in _line_rows(lake, "metrics") for row in latest_attempts(rows)]


def event_rows(lake: Lake) -> Rows:
    """Rows of `events` of every run and attempt: what happened is not undone by another attempt."""
    return [row for rows in _line_rows(lake, "events") for row in rows]


def _line_rows(lake: Lake, dataset: str) -> Iterator[Rows]:
    for folder in run_folders(lake):
        yield [row for row in json_lines(folder / f"{dataset}.jsonl") if row.get("run_id") == folder.name]


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
    """The rows that count: an attempt goes on from a checkpoint, and from its first step on takes back what was before.

    So no curve has two values at a step, nor a piece of a future that did not come.
    """
    first: dict[int, int] = {}
    for row in rows:
        attempt, step = row.get("attempt") or 0, row.get("step") or 0
        first[attempt] = min(first.get(attempt, step), step)
    taken_back: dict[int, float] = {}  # attempt → the first step that a later one did again
    bound = math.inf
    for attempt in sorted(first, reverse=True):
        taken_back[attempt] = bound
        bound = min(bound, first[attempt])
    return [row for row in rows if (row.get("step") or 0) < taken_back[row.get("attempt") or 0]]
