"""Queries in a process of their own: what no interrupt ends is killed, what eats memory dies there, and nothing can be written.

DuckDB's interrupt does not reach inside one scalar function: `repeat('x', 2000000000)` goes on for many seconds. So the
app's console and `tilth sql` ask a worker (`corpus.console_worker`), which is kept warm between queries, answers in Arrow
as the rows come, and dies with whoever started it. What a query may say is decided there; this side never loads duckdb.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus import errors
from corpus.answer import CONSOLE, EVERYTHING, Answer, Limits, Omitted, Result
from corpus.errors import TilthError
from corpus.guard import QueryError, QueryTimeout

SECONDS = 30.0  # for a query of the app
AT_ONCE = 2  # queries that run at the same time; the others wait
_GRACE = 1.0  # DuckDB's own interrupt comes first: it leaves the worker alive
_START_SECONDS = 60.0
_PROGRAM = "import sys; from corpus.console_worker import serve; serve(int(sys.argv[1]), int(sys.argv[2]))"

# A child dies with the *thread* that started it (PR_SET_PDEATHSIG); a page of the app runs in a thread that soon ends.
_starter = ThreadPoolExecutor(1, "console-starter")


def run_query_in_process(
    lake_root: Path, query: str, limit: int | None = CONSOLE.rows, seconds: float = SECONDS, raw: bool = False
) -> Result:
    """`corpus.sql.run_query` in a warm worker of this process: answered or refused within `seconds`, whatever the query is."""
    limits = EVERYTHING if limit is None else Limits(rows=limit)
    return _shared.stream(lake_root, query, limits=limits, seconds=seconds, raw=raw).read()


class Console:
    """Workers that answer queries; threads may share one. `close` ends them all."""

    def __init__(self, at_once: int = AT_ONCE, spare: int = 1):
        self._spare = spare  # workers kept ready for the next query
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(at_once)
        self._closed = False

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def stream(
        self, lake_root: Path, query: str, *, limits: Limits = CONSOLE, seconds: float = SECONDS, raw: bool = False
    ) -> Answer:  # fmt: skip
        """The rows of a query as they come. `seconds` counts the time that its worker is waited for.

        Raises QueryError, QueryTimeout and what else `corpus.sql.stream_query` raises, here or while rows are taken.
        """
        request = {"root": str(lake_root), "query": query, "limits": asdict(limits), "seconds": seconds, "raw": raw}  # fmt: skip
        batches = self._batches(request, seconds)
        schema, omitted = pa.ipc.read_schema(pa.py_buffer(next(batches))), Omitted()
        return Answer(schema, _decoded(schema, batches, omitted), omitted)

    def _batches(self, request: dict[str, Any], seconds: float) -> Iterator[Any]:
        if not self._turns.acquire(timeout=seconds):
            raise QueryTimeout(f"other queries kept this one waiting for {seconds:g} s. Try again.")
        worker = None
        try:
            worker = self._take()
            yield from worker.ask(request, seconds)
        finally:
            if worker is not None:
                self._put_back(worker)
            self._turns.release()

    def _warm(self) -> None:
        """Have a worker start now, so that the next query does not wait for it."""
        with self._lock:
            if len(self._idle) < self._spare and not self._closed:
                self._idle.append(_Worker())

    def _take(self) -> _Worker:
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is not None and not worker.is_ready():
            worker.kill()
            worker = None
        return worker or _Worker()

    def _put_back(self, worker: _Worker) -> None:
        with self._lock:
            keep = worker.is_ready() and len(self._idle) < self._spare and not self._closed
            if keep:
                self._idle.append(worker)
        if not keep:
            worker.kill()
        self._warm()  # after a query that had to be killed the next one finds a worker all the same

    def close(self) -> None:
        """End the workers that wait for a query; those at work end with theirs."""
        with self._lock:
            self._closed = True
            while self._idle:
                self._idle.pop().kill()


_OMITTED = ("cut", "by_bytes", "shortened")


def _decoded(schema: pa.Schema, messages: Iterator[Any], omitted: Omitted) -> Iterator[pa.RecordBatch]:
    for message in messages:
        if isinstance(message, dict):
            omitted.cut, omitted.by_bytes, omitted.shortened = (message[key] for key in _OMITTED)
        else:
            yield pa.ipc.read_record_batch(pa.py_buffer(message), schema)


class _Worker:
    """The near end of one worker. It asks one thing at a time."""

    def __init__(self) -> None:
        self._near, far = Pipe()
        with far:
            self._process = _starter.submit(_start, far.fileno()).result()
        self._at_rest = True  # what was asked is answered to the end
        self._fresh = True

    def is_ready(self) -> bool:
        # At rest the other end has nothing to say but that it is gone.
        silent = self._fresh or not self._near.poll()
        return self._at_rest and silent and self._process.poll() is None

    def ask(self, request: dict[str, Any], seconds: float) -> Iterator[Any]:
        """The schema, then batches, all as bytes; last a dict. Kills the worker if it is waited for too long."""
        self._at_rest = False
        self._await_start()
        left = seconds + _GRACE
        try:
            self._near.send_bytes(json.dumps(request).encode())
            while True:
                since = time.monotonic()
                kind, content = self._receive(left)
                left -= time.monotonic() - since
                if kind == b"B":
                    yield content
                    continue
                last = json.loads(content)
                self._at_rest = last.pop("stays")
                if kind == b"X":
                    raise _error(last)
                yield last
                return
        except TimeoutError as error:
            raise QueryTimeout(
                f"the query took longer than {seconds:g} s and was stopped. Ask for less, or aggregate."
            ) from error
        except (EOFError, OSError) as error:
            raise QueryError(
                "the query ended the process it ran in; most likely it needs more memory than it may have. Ask for less, or aggregate."
            ) from error

    def _await_start(self) -> None:
        try:
            if self._fresh:
                self._receive(_START_SECONDS)
                self._fresh = False
        except (TimeoutError, EOFError, OSError) as error:
            raise TilthError(
                f"the process for queries did not start. To see why: {sys.executable} -c 'import corpus.sql'"
            ) from error

    def _receive(self, seconds: float) -> tuple[bytes, bytes]:
        if not self._near.poll(max(0.0, seconds)):
            raise TimeoutError
        message = self._near.recv_bytes()
        return message[:1], message[1:]

    def kill(self) -> None:
        self._process.kill()
        self._near.close()
        # Nobody waits for it: to give gigabytes back takes a second.
        threading.Thread(target=self._process.wait, daemon=True).start()


def _start(handle: int) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _PROGRAM, str(handle), str(os.getpid())],
        pass_fds=[handle], env={**os.environ, "PYTHONPATH": path, "MALLOC_ARENA_MAX": "2"}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _error(message: dict[str, str]) -> TilthError:
    known: dict[str, Any] = {**vars(errors), "QueryError": QueryError, "QueryTimeout": QueryTimeout}
    error: TilthError = known.get(message["error"], TilthError)(message["message"])
    return error


_shared = Console()
atexit.register(_shared.close)
