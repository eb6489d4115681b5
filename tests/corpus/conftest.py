"""What tests of readers share: a file is written, and read as a source would be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpus.files import list_files
from corpus.readers import REASONS, Reading, Record, Reject, read_records

ItemsOf = Callable[..., list[Record | Reject]]


@pytest.fixture(scope="session")
def items_of() -> ItemsOf:
    """`items_of(path, data, **reading)`: what is read from a file with this content."""

    def items_of(path: Path, data: bytes | str, **reading: Any) -> list[Record | Reject]:
        path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
        items = list(read_records(list_files(str(path))[0], Reading(**reading)))
        positions = [item.position for item in items if isinstance(item, Record)]
        assert positions == sorted(set(positions)), "positions make doc_ids: no two records may share one"
        assert {item.reason for item in items if isinstance(item, Reject)} <= set(REASONS)
        return items

    return items_of


@pytest.fixture
def read(tmp_path: Path, items_of: ItemsOf) -> Callable[..., list[Any]]:
    """`read(name, data, **reading)`: the same in short; texts stand for records, (position, reason) for rejects."""

    def read(name: str, data: bytes | str, **reading: Any) -> list[Any]:
        items = items_of(tmp_path / name, data, **reading)
        return [item.text if isinstance(item, Record) else (item.position, item.reason) for item in items]

    return read
