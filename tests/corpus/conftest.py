"""What tests of the corpus share: files that are read as a source would be, small groups, and a lake with a story."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpus import ingest
from corpus.files import list_files
from corpus.readers import REASONS, Reading, Record, Reject, read_records
from tests.corpus.lakes import Story, build_story

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


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a hundred bytes come in several groups, as files of megabytes do."""
    monkeypatch.setattr(ingest, "MEAN_GROUP", 400)
    monkeypatch.setattr(ingest, "MAX_GROUP", 800)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return build_story(tmp_path_factory.mktemp("story"))
