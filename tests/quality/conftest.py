"""The small corpus, measured once for all tests that only decide anew: that takes a fifth of a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.lake import Lake, Manifest
from tests.quality.small_corpus import curate_folder, holdout, small_corpus, write_files


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small corpus's files. Who renames one gives it its name back."""
    folder = tmp_path_factory.mktemp("small")
    write_files(folder, small_corpus())
    return folder


@pytest.fixture(scope="session")
def lake(folder: Path) -> Lake:
    lake = Lake.open(folder / "lake")
    curate_folder(lake, folder, held=holdout())
    return lake


@pytest.fixture(scope="session")
def snapshot(lake: Lake, folder: Path) -> Manifest:
    return curate_folder(lake, folder, held=holdout()).snapshot
