"""The Makefile's set-up: what destroys no environment, what is installed again, what a path with a space does.

Python is a script here that writes down what it is asked for, so that nothing is installed and a try takes no time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from app.doctor import BROWSERS

ROOT = Path(__file__).parents[1]
# Installing fails where a file `offline` lies beside the Makefile; `-m venv` makes an environment of the same script.
STUB = """#!/bin/sh
echo "$*" >> log
case "$*" in
  "-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python;;
  *" install "*) test ! -e offline;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a complete environment, in a folder whose name has a space."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    for name in ("Makefile", "requirements.lock", "requirements-bench.lock", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder)
    stub = folder / "my python"
    stub.write_text(STUB)
    stub.chmod(0o755)
    assert make(folder, "setup") == 0
    return folder


def make(folder: Path, *words: str) -> int:
    """The exit code of `make`, with the stub as Python."""
    (folder / "log").unlink(missing_ok=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", f"PYTHON={folder / 'my python'}", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True).returncode


def log(folder: Path) -> str:
    return (folder / "log").read_text() if (folder / "log").exists() else ""


def ask_for_an_update(folder: Path) -> None:
    later = (folder / ".venv" / "complete").stat().st_mtime + 10
    os.utime(folder / "pyproject.toml", (later, later))


def test_a_complete_environment_is_left_alone(checkout: Path) -> None:
    assert make(checkout, "setup") == 0
    assert log(checkout) == ""


def test_an_update_that_fails_keeps_the_environment(checkout: Path) -> None:
    (checkout / ".venv" / "installed").touch()
    (checkout / "offline").touch()
    ask_for_an_update(checkout)
    assert [make(checkout, "check") for _ in range(3)] == [2, 2, 2]
    assert (checkout / ".venv" / "installed").exists()
    (checkout / "offline").unlink()
    assert make(checkout, "setup") == 0
    assert "--editable" in log(checkout) and "-m venv" not in log(checkout)
    assert (checkout / ".venv" / "installed").exists()


def test_a_first_set_up_that_fails_is_thrown_away(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    (checkout / "offline").touch()
    assert make(checkout, "setup") == 2
    (checkout / ".venv" / "half-installed").touch()
    (checkout / "offline").unlink()
    assert make(checkout, "setup") == 0
    assert not (checkout / ".venv" / "half-installed").exists()


def test_a_checkout_that_was_copied_or_moved_installs_itself(checkout: Path, tmp_path: Path) -> None:
    copy = tmp_path / "another checkout"
    shutil.copytree(checkout, copy)
    assert make(copy, "setup") == 0
    assert "--editable ." in log(copy)
    assert make(copy, "setup") == 0
    assert log(copy) == ""
    moved = checkout.rename(tmp_path / "moved")
    assert make(moved, "check") == 0
    assert "--editable ." in log(moved)


def test_a_folder_of_text_may_have_a_space(checkout: Path) -> None:
    assert make(checkout, "bench", "TEXT=my 'text'") == 0
    assert "-m benchmarks.minhash my 'text'\n" in log(checkout)


def test_the_browsers_of_the_makefile_are_those_of_the_tests() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    assert " || ".join(f"command -v {name} >/dev/null" for name in BROWSERS) in text
