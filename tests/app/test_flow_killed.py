"""kill -9 at random moments of a whole `tilth run`, commits among them, with workers alive: the same lake in the end."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.app.command import start, tilth

NUM_KILLS = 8
CIRCUMSTANCE = {"context.json"}  # clock, host, pid


def artifacts(lake: Path) -> dict[str, str]:
    """Every manifest, part, artifact's file, version of a name and exported model, by the hash of its content."""
    patterns = (
        "*/*/manifest.json", "*/*/files/**/*", "*/parts/*.parquet", "runs/*/export/*.safetensors", "runs/*/checkpoints/*/model.safetensors",
    )  # fmt: skip
    found = [path for pattern in patterns for path in lake.glob(pattern) if path.is_file()]
    return {
        str(path.relative_to(lake)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in found
        if path.name not in CIRCUMSTANCE
    }


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
    killed = 0
    for kill in range(NUM_KILLS):
        die_at = draw.randrange(2, 36)  # what was done is not done again, so each death is further in
        with start(*command, cwd=tmp_path, signal_at_rename=(signal.SIGKILL, die_at)) as process:
            family = []
            while process.poll() is None:
                family = _children(process.pid) or family
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.05)
            _, alive = psutil.wait_procs(family, timeout=10)
            assert not alive, f"kill {kill}: workers outlived their parent"
        killed += process.returncode == -signal.SIGKILL
        if process.returncode == 0:
            break
    assert killed >= 5
    said = tilth(*command)
    assert said.code == 0, said.err
    assert artifacts(lake) == artifacts(small_lake)
    half_done = [
        *lake.rglob("*.tmp"),
        *lake.glob(".staging/*"),
        *lake.glob(".scratch/*"),
        *lake.glob("leases/*"),
    ]
    assert half_done == []


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
