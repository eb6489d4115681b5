"""Sweeping a lake: what the dead left goes, what the living made stays."""

from __future__ import annotations

import os
import time

import pytest

from corpus import process
from corpus.lake import Lake
from corpus.process import stamp
from tests.corpus.small_artifact import every_file, manifest
from tests.processes import dead_pid


def test_sweeping_takes_what_the_dead_left_and_nothing_else(lake: Lake) -> None:
    made = lake.commit(manifest(lake))
    kept = every_file(lake)
    theirs = stamp().replace(str(os.getpid()), str(dead_pid()), 1)
    for folder in (lake.root / ".staging", lake.root / ".scratch"):
        (folder / theirs).mkdir(parents=True)
        (folder / theirs / "file").write_text("left")
    (lake.root / "rejects" / "parts" / f".k.parquet.{theirs}.tmp").write_text("left")
    mine, foreign = lake.stage(), lake.root / ".staging" / "1-00000000-0123456789ab"
    foreign.mkdir()
    (lake.root / "rejects" / "parts" / ".notes.tmp").write_text("somebody's own")
    lake.sweep()
    assert mine.is_dir() and foreign.is_dir()
    assert every_file(lake) == sorted([*kept, "rejects/parts/.notes.tmp"])
    assert lake.get("documents", made.id) == made


def test_sweeping_leaves_what_a_living_process_made_long_ago(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = lake.scratch()
    lake.sweep(older_than_seconds=-1)
    assert mine.is_dir()  # a fold may take days, in which it touches its folder once
    long_before = time.time() - 100_000
    os.utime(mine, (long_before,) * 2)
    lake.sweep()
    assert not mine.exists()  # made before this process was: by another of the same number
    mine = lake.scratch()
    os.utime(mine, (long_before,) * 2)
    monkeypatch.setattr(process, "_start_time", lambda pid: long_before - 1)
    lake.sweep()
    assert mine.is_dir()


def test_sweeping_takes_what_anyone_left_long_ago(lake: Lake) -> None:
    foreign = lake.root / ".staging" / "1-00000000-0123456789ab"
    foreign.mkdir(parents=True)
    os.utime(foreign, (time.time() - 100_000,) * 2)
    lake.sweep()
    assert not foreign.exists()
