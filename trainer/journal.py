"""The append-only files of a run folder: one JSON object a line, every line with all columns of its dataset.

A line that a crash tore is cut off when the file is opened again, so a view over the file never breaks. Order is
(attempt, sequence), never the clock. What the rows mean is their writers' business; `corpus.run_rows` reads them.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corpus.lake import now_utc
from corpus.schema import DATASETS

_BLOCK = 1 << 16


class JsonLines:
    """An open append-only file of one dataset's rows; missing columns are null, a number that is not finite too."""

    def __init__(self, path: Path, dataset: str):
        self.columns = DATASETS[dataset].names
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        _cut_torn_line(self._file)

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows with one write, so that a kill leaves at most one torn line."""
        lines = []
        for row in rows:
            assert not (extra := row.keys() - set(self.columns)), f"no such columns: {extra}"
            lines.append(
                json.dumps({name: _finite(row.get(name)) for name in self.columns}, allow_nan=False) + "\n"
            )
        data = "".join(lines).encode()
        while data:
            data = data[os.write(self._file, data) :]

    def sync(self) -> None:
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


class Journal:
    """Rows of one attempt of one run: `metrics` or `events`, numbered as they come."""

    def __init__(self, folder: Path, dataset: str, run_id: str, attempt: int):
        self._lines = JsonLines(folder / f"{dataset}.jsonl", dataset)
        self._keys = {"run_id": run_id, "attempt": attempt}
        self._sequence = 0

    def append(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        time_utc = now_utc()
        numbered = [
            self._keys | {"sequence": self._sequence + i, "step": step, "time_utc": time_utc} | dict(row)
            for i, row in enumerate(rows)
        ]
        self._lines.append(numbered)
        self._sequence += len(rows)

    def sync(self) -> None:
        self._lines.sync()

    def close(self) -> None:
        self._lines.close()


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cut_torn_line(file: int) -> None:
    """Cut the file after its last newline."""
    end = os.fstat(file).st_size
    position = end
    while position > 0:
        start = max(0, position - _BLOCK)
        found = os.pread(file, position - start, start).rfind(b"\n")
        if found >= 0:
            position = start + found + 1
            break
        position = start
    if position < end:
        os.ftruncate(file, position)
