"""The far end of `corpus.console`: a process that answers queries, can write to no file, and ends with its parent.

It imports duckdb and Arrow before its limits are set; what runs under them is `corpus.sql`.
"""

from __future__ import annotations

import json
import os
import select
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from corpus.answer import Limits
from corpus.errors import TilthError
from corpus.lake import Lake
from corpus.process import bind_to_parent
from corpus.sql import stream_query

HEADROOM = 4 << 30  # bytes of memory; DuckDB keeps to its own, lower limit, single values and Arrow do not
RESIDENT = 1 << 30  # a process that came to hold more is not kept for another query


def serve(handle: int, parent_pid: int) -> None:
    """Answer queries one after the other until the other end is closed."""
    bind_to_parent(parent_pid)
    connection = Connection(handle)
    threading.Thread(target=_die_with, args=(handle,), daemon=True).start()
    _limit_resources()
    connection.send_bytes(b"R")
    with suppress(EOFError, OSError):
        while True:
            stays = _answer(connection, json.loads(connection.recv_bytes()))
            if not stays:
                return


def _die_with(handle: int) -> None:
    """End at once when nobody is at the other end, be it in the middle of a query."""
    hangup = select.poll()
    hangup.register(handle, select.POLLHUP)
    hangup.poll()
    os._exit(0)


def _limit_resources() -> None:
    """From here on no file can be given a byte, whatever a query manages to open, and memory ends before the machine's."""
    import resource

    memory = _memory().vms + HEADROOM
    for limit, value in ((resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, memory)):
        resource.setrlimit(limit, (value, value))


def _answer(connection: Connection, request: dict[str, Any]) -> bool:
    """Answer one query; says whether this process stays fit for another."""
    last: dict[str, Any]
    try:
        limits = Limits(**request["limits"])
        lake = Lake.open(request["root"], create=False)
        answer = stream_query(
            lake, request["query"], limits=limits, seconds=request["seconds"], raw=request["raw"]
        )
        connection.send_bytes(b"B" + answer.schema.serialize())
        for batch in answer:
            connection.send_bytes(b"B" + batch.serialize())
        kind, last = b"E", {"cut": answer.cut, "by_bytes": answer.by_bytes, "shortened": answer.shortened}
    except TilthError as error:
        kind, last = b"X", {"error": type(error).__name__, "message": str(error)}
    except Exception as error:
        kind, last = (
            b"X",
            {"error": "TilthError", "message": f"the query failed: {type(error).__name__}: {error}"},
        )
    last["stays"] = stays = _memory().rss < RESIDENT
    connection.send_bytes(kind + json.dumps(last).encode())
    return stays


def _memory() -> Any:
    import psutil

    return psutil.Process().memory_info()
