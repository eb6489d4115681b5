"""Two runs of one recipe at once, and everyone who reads meanwhile: SQL, a DuckDB client that may write, every page."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.app.artifacts import artifacts, half_done
from tests.app.command import start
from tests.app.screens.page import PAGES, shown
from tests.processes import HANGS


def ask(lake: Path, folder: Path) -> int:
    """`tilth sql` as a process; how many decisions it saw."""
    folder.mkdir(exist_ok=True)
    with start(
        "sql", "SELECT count(*) AS n FROM decisions", "--format", "json", "--lake", lake, cwd=folder
    ) as process:
        assert process.wait(HANGS) == 0, (folder / "err").read_text()
    return int(json.loads((folder / "out").read_text().splitlines()[-1])["n"])


def meddle(lake: Path, folder: Path) -> int:
    """A client that opens the catalog to write it, and makes a table of its own there."""
    with closing(duckdb.connect(str(lake / "catalog.duckdb"))) as connection:
        connection.execute("CREATE OR REPLACE TABLE mine AS SELECT doc_id FROM decisions")
        return int(connection.sql("SELECT count(*) FROM mine").fetchall()[0][0])


@pytest.mark.slow
def test_two_runs_at_once_make_one_set_of_artifacts_and_hinder_no_reader(
    small_lake: Path, tmp_path: Path, opened: Any
) -> None:
    recipe, lake = small_lake.parent / "corpus" / "recipe.yaml", tmp_path / "lake"
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    over = threading.Event()

    def again_and_again(read: Callable[[Path, Path], int], folder: Path) -> list[int]:
        """What a reader saw each time, from when there is a catalog until both runs are done, and once more."""
        while not (lake / "catalog.duckdb").exists():
            assert not over.wait(0.05)
        seen = []
        while not over.is_set():
            seen.append(read(lake, folder))
        return [*seen, read(lake, folder)]

    command = ["run", recipe, "--lake", lake]
    with (
        start(*command, cwd=folders[0]) as first,
        start(*command, cwd=folders[1]) as second,
        ThreadPoolExecutor(3) as pool,
    ):
        try:
            readers = [
                pool.submit(again_and_again, read, tmp_path / name)
                for name, read in (("a", ask), ("b", ask), ("c", meddle))
            ]
            rounds = 0
            while first.poll() is None or second.poll() is None:
                for page in PAGES:
                    assert "This cannot be shown." not in shown(opened(lake, page))
                rounds += 1
        finally:
            over.set()
        for process, folder in zip((first, second), folders, strict=True):
            assert process.returncode == 0, (folder / "err").read_text()
        saw = [reader.result() for reader in readers]
    assert rounds > 1
    assert artifacts(lake) == artifacts(small_lake) and half_done(lake) == []
    for counts in saw:
        assert (
            len(counts) > 2
            and counts == sorted(counts)
            and set(counts) <= {0, counts[-1]}
            and counts[-1] == 130
        )
