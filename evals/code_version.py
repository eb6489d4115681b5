"""Which code makes the scores: the release and, in a checkout, the commit, `-dirty` where files of it were changed since."""

from __future__ import annotations

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[1]


@cache
def code_version(root: Path = ROOT) -> str:
    """`0.1.0`, or `0.1.0+3f2a9c1b7d5e` where `root` is a checkout."""
    try:
        release = version("tilth")
    except PackageNotFoundError:
        release = "unreleased"
    commit = _commit(root) if (root / ".git").exists() else ""  # a folder above it may be another project's
    return f"{release}+{commit}" if commit else release


def _commit(root: Path) -> str:
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):  # no git, or not one that reads this
        return ""
