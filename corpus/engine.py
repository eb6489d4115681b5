"""Where work runs: functions of parts, mapped over processes of this machine.

A `Call` does one part's work and commits it (`Lake.commit_task`), so a part that exists is not made again, whoever made
it. This module only decides where calls run and what happens when a worker dies: one retry, then an error that names the
part. Ray is a later engine behind the same function.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import pyarrow as pa

from corpus.errors import PartError, TilthError
from corpus.process import bind_to_parent

_ONE_THREAD = {  # two workers on two cores: threads inside them would only fight
    "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "ARROW_DEFAULT_MEMORY_POOL": "system",
}  # fmt: skip


class Operator(Protocol):
    """A measurement: batch → batch with the same rows in the same order. No disk, clock or globals inside.

    `reads` are the columns of `documents` it needs; the result has the columns of `corpus.schema.OPERATORS[name]`.
    `version` is raised by hand when its output changes; `identity()` holds its settings and the versions of the
    libraries that define its output.
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def reads(self) -> tuple[str, ...]: ...
    def identity(self) -> dict[str, Any]: ...
    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch: ...


@dataclass(frozen=True)
class Call:
    """One unit of work: a module-level function and its picklable arguments; `label` names it to people."""

    label: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    size: int = 1  # bytes or any measure of work, for progress


# The pool watches the workers that it had when it last woke: the death of one that it started since is told to nobody until
# another ends its call, so we look ourselves.
LOOK_SECONDS = 1.0

Progress = Callable[[str, int, int], None]  # (what, done, total) in units of size


def run_calls(calls: Sequence[Call], workers: int, what: str, progress: Progress | None = None) -> None:
    """Run every call; returns when all are done. With one worker or one call they run in this process.

    Raises PartError naming the call if its worker dies twice; an error that a call raises comes through as it is; one
    that nobody expected has a note that names the call.
    """
    total, done = sum(call.size for call in calls), 0

    def advance(call: Call) -> None:
        nonlocal done
        done += call.size
        if progress:
            progress(what, done, total)

    if workers <= 1 or len(calls) <= 1:
        for call in calls:
            with _named(what, call):
                call.function(*call.arguments)
            advance(call)
        return
    # A dead worker breaks its whole pool and does not say which call it was on; others that were under way, or about to
    # begin, end with it. So these go next, one by one: what then dies has died of itself, and has one more chance.
    # The longest goes first, so that no worker ends long after the others.
    waiting = sorted(calls, key=lambda call: -call.size)
    while waiting:
        suspects, waiting = _in_pool(waiting, workers, what, advance)
        for call in suspects:
            if not (_alone(call, what, advance) or _alone(call, what, advance)):
                raise PartError(
                    f"{what}: the worker on {call.label} died twice (killed, or out of memory). Nothing half-written is left; the same command resumes."
                )
        if waiting and not suspects:
            raise PartError(
                f"{what}: workers die before they start on {waiting[0].label}. The same command resumes."
            )


def _alone(call: Call, what: str, advance: Callable[[Call], None]) -> bool:
    """Run one call in a worker of its own; False if that worker died."""
    lost, unstarted = _in_pool([call], 1, what, advance)
    return not (lost or unstarted)


def _in_pool(
    calls: list[Call], workers: int, what: str, advance: Callable[[Call], None]
) -> tuple[list[Call], list[Call]]:
    """Run calls in a pool; returns those under way when a worker died, and those not started."""
    waiting, running = list(reversed(calls)), dict[Future, Call]()
    with _one_thread_each(), _pool(workers) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    call = waiting.pop()
                    try:
                        with _uninterrupted():
                            running[pool.submit(call.function, *call.arguments)] = call
                    except BrokenProcessPool:
                        waiting.append(call)
                        raise
                finished, _ = wait(running, LOOK_SECONDS, FIRST_COMPLETED)
                if not finished and _has_dead(pool):
                    raise BrokenProcessPool
                for future in finished:
                    if isinstance(error := future.exception(), BrokenProcessPool):
                        raise error
                    call = running.pop(future)
                    with _named(what, call):
                        future.result()
                    advance(call)
        except BrokenProcessPool:
            _end(pool)
            return list(running.values()), waiting[::-1]
    return [], []


_kept: dict[int, ProcessPoolExecutor] | None = None  # number of workers → pool, inside `kept_workers`


@contextmanager
def kept_workers() -> Iterator[None]:
    """Inside, every `run_calls` uses the same workers: to start one and load its kernels takes seconds."""
    global _kept
    assert _kept is None, "workers are kept by one"
    _kept = {}
    try:
        yield
    finally:
        release_workers()
        _kept = None


def release_workers() -> None:
    """End the workers that are kept, for a stage that wants the memory and the cores; later calls start others."""
    for pool in list((_kept or {}).values()):
        _end(pool)


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool that is kept, or one for this time. On an error or Ctrl-C it ends: what others committed is found next time."""
    pool = (_kept or {}).get(workers)
    if pool and _has_dead(pool):  # killed while there was nothing to do: no call's fault
        _end(pool)
        pool = None
    if not pool:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, context, bind_to_parent, (os.getpid(),))
    if _kept is not None:
        _kept[workers] = pool
    try:
        yield pool
    except BaseException:
        _end(pool)
        raise
    if _kept is None:
        pool.shutdown(wait=True, cancel_futures=True)


def _end(pool: ProcessPoolExecutor) -> None:
    """Others' work is not waited for."""
    if _kept is not None:
        for workers in [workers for workers, kept in _kept.items() if kept is pool]:
            del _kept[workers]
    for process in _workers(pool):
        process.kill()
    pool.shutdown(wait=True, cancel_futures=True)


def _has_dead(pool: ProcessPoolExecutor) -> bool:
    return not all(process.is_alive() for process in _workers(pool))


def _workers(pool: ProcessPoolExecutor) -> list[BaseProcess]:
    return list((pool._processes or {}).values())


@contextmanager
def _named(what: str, call: Call) -> Iterator[None]:
    try:
        yield
    except TilthError:  # says itself what it is about
        raise
    except Exception as error:
        error.add_note(f"{what}, {call.label}")
        raise


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Signals wait until a worker is started, and Ctrl-C never reaches it: while it imports, it would print a traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
