"""A lease: who is working on what. The second of two equal runs waits for the first, then finds all done.

A lease is courtesy, not a lock: if both go on all the same, both succeed, because parts and manifests are committed by
rename to names that their content decides.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from corpus.lake import Lake
from corpus.process import is_alive, this_process

HEARTBEAT_SECONDS = 5
STALE_SECONDS = 60  # a lease without a heartbeat for this long is taken


@contextmanager
def hold_lease(
    lake: Lake, what: str, say: Callable[[str], None], poll_seconds: float = 0.5
) -> Iterator[bool]:
    """Hold the lease on `what`, waiting for a living holder; yields whether it had to wait."""
    path, mine = lake.root / "leases" / f"{what}.json", _holder()
    waited = False
    while not lake.create_json(path, mine):
        holder = _read(path)
        if holder is None:  # given back just now
            continue
        if _is_dead(path, holder):
            _take_away(path, holder)
            continue
        if not waited:
            say(
                f"waiting: process {holder.get('pid')} on {holder.get('host')} is working on the same thing; this one goes on when it has ended"
            )
        waited = True
        time.sleep(poll_seconds)
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, stop), daemon=True)
    beat.start()
    try:
        yield waited
    finally:
        stop.set()
        beat.join()
        if _read(path) == mine:
            path.unlink(missing_ok=True)


def _holder() -> dict[str, Any]:
    return {**this_process(), "key": uuid.uuid4().hex}


def _is_dead(path: Path, holder: dict[str, Any]) -> bool:
    """No heartbeat (the file's mtime) for long; of this host also a process that is gone.

    A living process need not be the holder any more: it may hold the lease in the lake that this one was copied from.
    """
    here = holder.get("host") == platform.node() and "pid" in holder
    if here and not is_alive(holder["pid"], holder.get("started")):
        return True
    try:
        return time.time() - path.stat().st_mtime > STALE_SECONDS
    except FileNotFoundError:
        return True


def _take_away(path: Path, holder: dict[str, Any]) -> None:
    """Remove a dead holder's lease. Takers go one by one, or the second would remove what the first has taken since."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file server without locks: then both may go on
            fcntl.flock(folder, fcntl.LOCK_EX)
        if _read(path) == holder:
            path.unlink(missing_ok=True)
    finally:
        os.close(folder)


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_SECONDS):
        with suppress(OSError):  # a lease that is gone is no reason to stop the work
            os.utime(path)


def _read(path: Path) -> dict[str, Any] | None:
    """The holder; None where there is no lease, empty where it cannot be read (only its heartbeat counts then)."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
