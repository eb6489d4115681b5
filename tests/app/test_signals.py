"""Ctrl-C and SIGTERM, at any moment of any verb that builds: one line, exit 130 or 143, and the same command resumes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from corpus.lake import Lake
from corpus.run_rows import json_lines
from tests.app.command import start, tilth
from tests.app.small_lake import copy_lake
from tests.processes import HANGS, lives, still_alive, wait_until


def same_group(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and lives(process)
    except ProcessLookupError:
        return False


def signalled(command: list[object], folder: Path, begun: Callable[[], bool], number: signal.Signals) -> int:
    """The exit code of a command whose process group gets a signal, as from a terminal; no worker outlives it."""
    with start(*command, cwd=folder) as process:
        assert wait_until(begun, lambda: process.poll() is None), (folder / "err").read_text()
        os.killpg(process.pid, number)
        code = process.wait(HANGS)
        assert still_alive(one for one in psutil.process_iter() if same_group(one, process.pid)) == []
    said = (folder / "err").read_text()
    assert "Traceback" not in said and "the same command resumes" in said
    return code


def serves(out: Path) -> bool:
    """Whether somebody answers at the address that was printed: it is printed just before."""
    port = re.search(r"http://127\.0\.0\.1:(\d+)", out.read_text())
    if port is None:
        return False
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port[1]))) == 0


def test_a_signal_ends_the_app_and_nothing_is_said_to_resume(tmp_path: Path) -> None:
    Lake.open(tmp_path / "lake")
    with start("app", "--port", 0, "--lake", tmp_path / "lake", cwd=tmp_path) as process:
        assert wait_until(lambda: serves(tmp_path / "out"), lambda: process.poll() is None)
        process.send_signal(signal.SIGINT)
        assert process.wait(HANGS) == 130
    assert (tmp_path / "err").read_text().splitlines()[-1] == "tilth: stopped by a signal"


def test_a_signal_ends_ingest_and_measuring_and_the_same_command_resumes(
    small_lake: Path, tmp_path: Path
) -> None:
    recipe, lake = small_lake.parent / "corpus" / "recipe.yaml", tmp_path / "lake"
    command = ["curate", recipe, "--lake", lake]
    assert signalled(command, tmp_path, (lake / "leases").exists, signal.SIGINT) == 130
    assert signalled(command, tmp_path, lambda: any(lake.glob("tasks/heuristics/*")), signal.SIGTERM) == 143
    said = tilth(*command)
    assert said.code == 0
    assert (
        said.out.splitlines()[2].split()[2]
        == tilth("curate", recipe, "--lake", small_lake).out.splitlines()[2].split()[2]
    )


@pytest.mark.parametrize("publication", range(1, 14))
def test_ctrl_c_at_any_publication_ends_the_work(small_lake: Path, tmp_path: Path, publication: int) -> None:
    """A signal is an exception that may be raised anywhere: code that passes over errors must not pass over it."""
    recipe, lake = small_lake.parent / "corpus" / "recipe.yaml", tmp_path / "lake"
    command = ["ingest", recipe, "--lake", lake]
    with start(*command, cwd=tmp_path, signal_at_rename=(signal.SIGINT, publication)) as process:
        assert process.wait(HANGS) == 130, (tmp_path / "err").read_text()
    assert (tmp_path / "err").read_text().splitlines()[-1].endswith("the same command resumes")


def test_a_signal_ends_training_after_a_step_and_the_same_command_resumes(
    small_lake: Path, tmp_path: Path
) -> None:
    lake = copy_lake(small_lake, tmp_path).root
    command: list[object] = [
        "train",
        small_lake.parent / "corpus" / "recipe.yaml",
        "--lake",
        lake,
        "--runs",
        "replay-30",
    ]
    command += ["--set", "base_model.scratch.tokens=64k", "--set", "mixture.max_epochs=99"]

    def steps_said() -> int:
        return (tmp_path / "err").read_text().count("train base: step") if (tmp_path / "err").exists() else 0

    for number, code in [(signal.SIGINT, 130), (signal.SIGTERM, 143)]:
        before = steps_said()
        assert signalled(command, tmp_path, lambda before=before: steps_said() > before, number) == code
    said = tilth(*command)
    assert said.code == 0 and "done at step 125 of 125" in said.out
    (base,) = [
        row["id"]
        for row in json.loads(tilth("ls", "run", "--json", "--lake", lake).out)
        if "small@2/base" in row["names"]
    ]
    events = [row["kind"] for row in json_lines(lake / "runs" / base / "events.jsonl")]
    assert [kind for kind in events if kind in ("started", "interrupted", "done")] == [
        "started",
        "interrupted",
        "started",
        "interrupted",
        "started",
        "done",
    ]
