"""Reading in tests: files of a source as a few lines, and what ingest made of them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from corpus.catalog import Source
from corpus.ingest import (
    ingest,
    scan,
)
from corpus.lake import Lake, Manifest

Texts = dict[str, list[str]]  # file name → its documents


def write(folder: Path, files: Texts) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, texts in files.items():
        (folder / name).write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


def read(lake: Lake, folder: Path, workers: int = 1, sample: float = 1.0, **keys: Any) -> Manifest:
    source = Source.model_validate({"path": str(folder), "role": "domain", **keys})
    return ingest(lake, {"s": (source, scan(lake, {"s": source}, "/")["s"])}, workers, sample)["s"]


def rows(lake: Lake, manifest: Manifest) -> list[dict[str, Any]]:
    return [row for part in manifest.parts("documents") for row in lake.read_part(part).to_pylist()]


def rejects(lake: Lake, manifest: Manifest) -> list[tuple[int, str]]:
    found = [row for part in manifest.parts("rejects") for row in lake.read_part(part).to_pylist()]
    return [(row["position"], row["reason"]) for row in found]


def mtimes(lake: Lake) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in lake.root.rglob("*.parquet")}


def some_files(count: int = 12, seed: int = 0) -> Texts:
    draw = random.Random(seed)
    return {
        f"{number}.jsonl": [
            f"text {number} {i} " + "x" * draw.randrange(80) for i in range(draw.randrange(1, 4))
        ]
        for number in range(count)
    }
