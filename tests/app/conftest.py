"""What tests of the app share: a corpus, and one small real lake for a whole test run, however many workers it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.small_lake import build_small_lake, write_corpus


@pytest.fixture(scope="session")
def small_lake_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if base.name.startswith("popen-") else base) / "small_lake"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def small_lake(small_lake_folder: Path) -> Path:
    """The root of the lake. Whoever asks second waits for the first by the flow's own lease."""
    return build_small_lake(small_lake_folder)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus and a recipe; commands that are refused leave no lake in it."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder
