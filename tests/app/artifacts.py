"""What a lake holds, beside the clock: equal for two lakes of one recipe, whatever happened while they were made."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

ARTIFACTS = (
    "format.json", "*/*/manifest.json", "*/*/files/**/*", "*/parts/*.parquet", "token_shards/parts/*.bin", "token_shards/parts/*.idx", "tasks/*/*.json",
    "names/.holdouts/*.json", "names/*/*/**/*.json", "runs/*/export/*.*", "runs/*/checkpoints/*/model.safetensors",
)  # fmt: skip
CLOCK = re.compile(r"\.\d{16}\.")  # in the name of a fact


def artifacts(lake: Path) -> dict[str, str]:
    """Every manifest, part, task, artifact's file, claim, fact of a name and exported model, by the hash of its content without clocks."""
    found = {path for pattern in ARTIFACTS for path in lake.glob(pattern) if path.is_file()}
    return {
        CLOCK.sub(".", str(path.relative_to(lake))): hashlib.sha256(_timeless(path)).hexdigest()
        for path in found
    }


def half_done(lake: Path) -> list[Path]:
    """What nobody should find in a lake on which nobody works."""
    return [
        path
        for pattern in ("**/*.tmp", ".staging/*", ".scratch/*", "leases/*")
        for path in lake.glob(pattern)
    ]


def _timeless(path: Path) -> bytes:
    if path.suffix != ".json" or "files" in path.parts:
        return path.read_bytes()
    tree: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return json.dumps(
        {key: value for key, value in tree.items() if key != "time_utc"}, sort_keys=True
    ).encode()
