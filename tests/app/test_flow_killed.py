"""kill -9 at random moments of a whole `tilth run`, of itself at its commits and of its workers: the same lake in the end."""

from __future__ import annotations

import random
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.app.artifacts import artifacts, half_done
from tests.app.command import start, tilth
from tests.processes import family_of, still_alive

NUM_KILLS = 8


def test_a_run_killed_again_and_again_ends_with_the_same_lake(
    small_lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`small_lake` was made by one process without workers; this one has two, and dies at its own renames."""
    recipe, lake = small_lake.parent / "corpus" / "recipe.yaml", tmp_path / "lake"
    (tmp_path / "tilth").mkdir()
    (tmp_path / "tilth" / "profiles.yaml").write_text("default: {workers: 2}\n", "utf-8")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    command = ["run", recipe, "--lake", lake]
    draw = random.Random(20)
    killed, with_workers, workers_killed = 0, 0, 0
    for kill in range(NUM_KILLS):
        die_at = draw.randrange(2, 36)  # what was done is not done again, so each death is further in
        with start(*command, cwd=tmp_path, signal_at_rename=(signal.SIGKILL, die_at)) as process:
            family: list[psutil.Process] = []
            wounded = kill % 2 == 0  # in every other run a worker dies too, and its part is done by another
            while process.poll() is None:
                family = family_of(process.pid) or family
                workers = [child for child in family if _is_worker(child)]
                if workers and not wounded:
                    wounded = True
                    draw.choice(workers).kill()
                    workers_killed += 1
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.02)
                with_workers += bool(workers) and process.returncode is None
            assert still_alive(family) == [], f"kill {kill}: workers outlived their parent"
        assert process.returncode in (0, -signal.SIGKILL), (tmp_path / "err").read_text()
        killed += process.returncode == -signal.SIGKILL
        if process.returncode == 0:
            break
    assert killed >= 5 and with_workers and workers_killed
    said = tilth(*command)
    assert said.code == 0, said.err
    assert artifacts(lake) == artifacts(small_lake)
    assert half_done(lake) == []


def _is_worker(process: psutil.Process) -> bool:
    """Not the tracker of shared memory, which the interpreter starts beside them."""
    try:
        return any("spawn_main" in word for word in process.cmdline())
    except psutil.Error:
        return False
