"""The code that made a scorecard is named in its header, and is no part of its id."""

from __future__ import annotations

import subprocess
from pathlib import Path

from evals.code_version import code_version


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_checkout_is_its_commit_and_says_when_it_was_changed(tmp_path: Path) -> None:
    release = code_version(tmp_path / "none")
    assert "+" not in release
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("one")
    assert code_version.__wrapped__(tmp_path) == release, "there is no commit yet"
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "one")
    commit = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert code_version.__wrapped__(tmp_path) == f"{release}+{commit}"
    (tmp_path / "file").write_text("two")
    assert code_version.__wrapped__(tmp_path) == f"{release}+{commit}-dirty"
    inside = tmp_path / "installed"
    inside.mkdir()
    assert code_version.__wrapped__(inside) == release, "a checkout around it is another project's"
