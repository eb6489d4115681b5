"""DuckDB over the lake; the only door to duckdb."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb


def open_scratch(temp_directory: Path, memory: str = "1GB", threads: int = 2) -> Any:
    """An in-memory connection for folding parts into tables; it spills to `temp_directory` and orders nothing by itself."""
    temp_directory.mkdir(parents=True, exist_ok=True)
    return duckdb.connect(
        ":memory:",
        config={
            "memory_limit": memory,
            "threads": threads,
            "temp_directory": str(temp_directory),
            "preserve_insertion_order": False,
        },
    )
