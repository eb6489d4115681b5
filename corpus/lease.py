"""A lease: who is working on what. The second of two equal runs waits for the first, then finds all done.

A lease is courtesy, not a lock: if both go on all the same, both succeed, because parts and manifests are committed by
rename to names that their content decides.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from corpus.lake import Lake
from corpus.process import is_alive

HEARTBEAT_SECONDS = 5
STALE_SECONDS = 60  # another host's lease without a heartbeat for this long is taken


@contextmanager
def hold_lease(
    lake: Lake, what: str, say: Callable[[str], None], poll_seconds: float = 0.5
) -> Iterator[bool]:
    """Hold the lease on `what`, waiting for a living holder; yields whether it had to wait."""
    path = lake.root / "leases" / f"{what}.json"
    waited = False
    while not lake.create_json(path, _holder()):
        holder = _read(path)
        if holder is None or _is_dead(path, holder):
            _take_away(path, holder)
            continue
        if not waited:
            say(
                f"waiting: process {holder['pid']} on {holder['host']} is working on the same thing; this one goes on when it has ended"
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
        path.unlink(missing_ok=True)


def _holder() -> dict[str, Any]:
    import psutil

    return {"pid": os.getpid(), "host": platform.node(), "started": psutil.Process().create_time()}


def _is_dead(path: Path, holder: dict[str, Any]) -> bool:
    if holder.get("host") == platform.node():
        return not is_alive(holder["pid"], holder.get("started"))
    try:
        return time.time() - path.stat().st_mtime > STALE_SECONDS
    except FileNotFoundError:
        return True


def _take_away(path: Path, holder: dict[str, Any] | None) -> None:
    """Remove a dead holder's lease; of several takers only the one whose rename succeeds removes it."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.dead")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    if holder is not None and _read(aside) != holder and not path.exists():
        os.rename(aside, path)  # someone alive had taken it in between
        return
    aside.unlink(missing_ok=True)


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_SECONDS):
        if path.exists():
            os.utime(path)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
