"""Processes in tests: those of a family, whether one is still there, and waiting for what is to happen."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable

import psutil

# Seconds after which something that was to happen never will: here it takes a few, where others work beside it ten times as many.
HANGS = 300


def wait_until(happened: Callable[[], bool], going: Callable[[], bool] = lambda: True) -> bool:
    """Whether it happens while whoever is to do it is `going`."""
    deadline = time.monotonic() + HANGS
    while not happened():
        if not going() or time.monotonic() > deadline:
            return happened()
        time.sleep(0.005)
    return True


def lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:  # it ended just now
        return False


def family_of(pid: int) -> list[psutil.Process]:
    """What a process has started, and what that has; nothing once it is gone."""
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def still_alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those of whom each should have ended by now, and has not."""
    return list(psutil.wait_procs(list(processes), timeout=HANGS)[1])


def dead_pid() -> int:
    """The number of a process that is over."""
    with subprocess.Popen(["true"]) as process:
        return process.pid
