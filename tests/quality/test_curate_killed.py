"""kill -9 at any moment, then the same command: the same ids and content, and nobody goes on working in between."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from corpus.lake import Lake
from tests.processes import HANGS, family_of, still_alive, wait_until
from tests.quality.small_corpus import contents, curate_folder, holdout, prose, small_corpus, write_files

HOUSE = Path(__file__).parents[2]


def start(folder: Path, lake: Path, *how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.quality.killed_curation", str(folder), str(lake), *how]
    return subprocess.Popen(command, cwd=HOUSE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=HANGS)
    assert process.returncode == 0, errors
    return out.strip()


def temporary(lake: Path) -> list[str]:
    """What is half-done: staging and scratch folders, temporary files."""
    inside = [path for kind in (".staging", ".scratch") for path in (lake / kind).glob("*")]
    return [str(path) for path in [*inside, *lake.rglob("*.tmp")]]


# ── from outside, with workers alive ──


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, draw = tmp_path_factory.mktemp("many"), random.Random(0)
    write_files(
        folder, {name: [[prose(draw, 2), "Too short."] for _ in range(16)] for name in ("law", "web")}
    )
    return folder


@pytest.fixture(scope="module")
def unhurt(many: Path) -> tuple[str, dict[str, bytes]]:
    """What comes out when nobody is killed."""
    id = finish(start(many, many / "lake", "outside"))
    return id, contents(Lake.open(many / "lake"))


def committed(lake: Path) -> int:
    return sum(1 for _ in (lake / "tasks").rglob("*.json")) if lake.exists() else 0


def kill_after(process: subprocess.Popen[str], lake: Path, tasks: int, delay: float) -> list[psutil.Process]:
    """Kill the parent once so many tasks are committed and workers are at it, and a moment more; returns the workers."""
    wait_until(
        lambda: committed(lake) >= tasks and len(family_of(process.pid)) >= 2, lambda: process.poll() is None
    )
    time.sleep(delay)
    family = family_of(process.pid)
    process.kill()
    process.communicate()
    return family


def test_killed_again_and_again_it_ends_as_if_it_never_was(
    many: Path, unhurt: tuple[str, dict[str, bytes]], tmp_path: Path
) -> None:
    id, whole = unhurt
    total, draw = committed(many / "lake"), random.Random(6)
    assert total > 40
    lake, with_workers = tmp_path / "lake", 0
    for kill in range(3):
        process = start(many, lake, "outside")
        family = kill_after(
            process, lake, committed(lake) + draw.randrange(1, total // 3), draw.random() * 0.02
        )
        assert still_alive(family) == [], f"kill {kill}: workers went on"
        done = committed(lake)
        time.sleep(0.1)
        assert committed(lake) == done, f"kill {kill}: something was published afterwards"
        with_workers += len(family) >= 2
    assert with_workers
    assert finish(start(many, lake, "outside")) == id
    assert contents(Lake.open(lake)) == whole and temporary(lake) == []


def test_two_at_once_both_succeed_with_the_same(
    many: Path, unhurt: tuple[str, dict[str, bytes]], tmp_path: Path
) -> None:
    id, whole = unhurt
    both = [start(many, tmp_path / "lake", "outside") for _ in range(2)]
    assert [finish(process) for process in both] == [id, id]
    assert contents(Lake.open(tmp_path / "lake")) == whole and temporary(tmp_path / "lake") == []


# ── by itself, at each commit of the single steps ──

MOMENTS = [
    ("before", "format.json", 1),
    ("after", "/holdout/", 1),
    ("before", "/decide/", 2),
    ("before", "/snapshot/", 1),
]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("small")
    write_files(folder, small_corpus(8))
    lake = Lake.open(folder / "lake")
    id = curate_folder(lake, folder, held=holdout()).snapshot.id
    return folder, id, contents(lake)


def test_killed_at_each_step_it_ends_as_if_it_never_was(
    small: tuple[Path, str, dict[str, bytes]], tmp_path: Path
) -> None:
    folder, id, whole = small
    lake = tmp_path / "lake"
    for when, pattern, number in MOMENTS:
        process = start(folder, lake, when, pattern, str(number))
        process.communicate(timeout=HANGS)
        assert process.returncode == -9, f"{when} {pattern}: it was not killed"
        copy = tmp_path / "copy"
        shutil.copytree(lake, copy)
        resumed = Lake.open(copy)  # here, where everything is loaded
        resumed.sweep()
        assert curate_folder(resumed, folder, held=holdout()).snapshot.id == id, f"{when} {pattern}"
        assert {
            name: data for name, data in contents(resumed).items() if name in whole
        } == whole and temporary(copy) == []
        shutil.rmtree(copy)
    assert len(Lake.open(lake).artifacts("holdout")) == 1  # every try drew the same set
