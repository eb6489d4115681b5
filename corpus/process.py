"""Processes of this machine: who lives, whose a left-over is, and a worker's bond to its parent.

A worker never outlives its parent and never publishes for a parent that is gone: after `kill -9` of a parent, spawned
workers kept writing; hence the death signal and the check before each publication.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import signal
import time
import uuid
from hashlib import blake2b
from pathlib import Path
from typing import Any

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


def this_process() -> dict[str, Any]:
    """Who is at work, so that a reused pid, and one of another host, are told apart."""
    import psutil

    return {"pid": os.getpid(), "host": platform.node(), "started": psutil.Process().create_time()}


def is_alive(pid: int, started: float | None = None) -> bool:
    """Whether a process of this machine lives; `started` (its start time in seconds) tells a reused pid apart."""
    since = _start_time(pid)
    return since is not None and (started is None or abs(since - started) < 2)


def _start_time(pid: int) -> float | None:
    """When a process of this machine started, in seconds; None if it does not live.

    A killed process that its parent has not taken note of (in a container often nobody does) is dead.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
        return float(process.create_time())
    except psutil.Error:
        return None


# ── whose a temporary file is ───────────────────────────────────────────────────────────────────────────────────────

_CLOCKS = 60.0  # seconds by which the clock of a file server may be behind
_STAMP = re.compile(r"(\d+)-([0-9a-f]{8})-[0-9a-f]{12}(?:\.tmp)?$")


def stamp() -> str:
    """A unique end for the name of something temporary, which says whose it is: pid, host, number."""
    return f"{os.getpid()}-{_host()}-{uuid.uuid4().hex[:12]}"


def is_abandoned(path: Path, older_than_seconds: float) -> bool:
    """Whether what has a stamped name was left by a dead process of this host, or by one of another host this long ago.

    A process that started after it was last changed did not make it, but has the number of one that did.
    """
    owner = _STAMP.search(path.name)
    if owner is None:
        return False
    try:
        changed = path.lstat().st_mtime
    except FileNotFoundError:
        return False
    if owner[2] == _host():
        since = _start_time(int(owner[1]))
        if since is None or since < changed + _CLOCKS:
            return since is None
    return time.time() - changed > older_than_seconds


def _host() -> str:
    return blake2b(platform.node().encode(), digest_size=4).hexdigest()
