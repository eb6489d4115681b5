"""A worker's bond to its parent: a worker never outlives it and never publishes for a parent that is gone.

After `kill -9` of a parent, spawned workers kept writing; hence the death signal and the check before each publication.
"""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_parent: int | None = None  # set in workers only


def bind_to_parent(parent_pid: int) -> None:
    """Called first in a worker: die with the parent, leave Ctrl-C to it."""
    global _parent
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(ctypes, "CDLL") and os.name == "posix" and os.uname().sysname == "Linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _parent = parent_pid
    check_parent()  # it may have died before the signal was set


def check_parent() -> None:
    """End this worker at once, publishing nothing, if its parent is gone."""
    if _parent is not None and os.getppid() != _parent:
        os._exit(1)


def is_alive(pid: int, started: float | None = None) -> bool:
    """Whether a process of this machine lives; `started` (its start time in seconds) tells a reused pid apart."""
    import psutil

    try:
        process = psutil.Process(pid)
        return started is None or abs(process.create_time() - started) < 2
    except psutil.Error:
        return False
