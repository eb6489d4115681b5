"""A file for tests of files: written with its folders, and as old as it is to be."""

from __future__ import annotations

import os
from pathlib import Path


def write_file(path: Path, data: bytes | str = "x", age_s: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    if age_s:
        os.utime(path, (path.stat().st_mtime - age_s,) * 2)
    return path
