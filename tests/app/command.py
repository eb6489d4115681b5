"""The command line in tests: `tilth(…)` in this process, `start(…)` as a process of its own that can be killed."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from app import cli

REPOSITORY = Path(__file__).parents[2]

# Small work is done without workers; here every stage that can have them has them.
# SIGNAL_AT_RENAME="9 12": the process sends itself that signal just before that publication of a file, or (where odd) just after it.
DRIVER = """
import os, signal, sys
import corpus.ingest, quality.curate, quality.measure
corpus.ingest.SMALL_BYTES = quality.measure.SMALL_BYTES = quality.curate.SMALL_ROWS = -1
from app.cli import main
number, left = map(int, (os.environ.get("SIGNAL_AT_RENAME") or "0 -1").split())
def deadly(publish):
    def publish_or_die(*arguments, **keywords):
        global left
        left -= 1
        if left == 0 and BEFORE: os.kill(os.getpid(), number)
        done = publish(*arguments, **keywords)
        if left == 0: os.kill(os.getpid(), number)
        return done
    return publish_or_die
if __name__ == "__main__":
    BEFORE = left % 2 == 0
    os.replace, os.rename, os.link = map(deadly, (os.replace, os.rename, os.link))
    main()
"""


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


def tilth(*arguments: object) -> Said:
    """Run a command in this process; what it printed and its exit code."""
    out, err = io.StringIO(), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with mock.patch.object(sys, "argv", ["tilth", *map(str, arguments)]):
            with redirect_stdout(out), redirect_stderr(err):
                cli.main()
    except SystemExit as end:
        return Said(int(end.code or 0), out.getvalue(), err.getvalue())
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    raise AssertionError("the entry point came back")


def refused(said: Said, *words: str) -> None:
    """Exit code 2, nothing on stdout, one line on stderr that says these words."""
    assert (said.code, said.out) == (2, ""), said
    assert said.err.startswith("tilth: ") and said.err.count("\n") == 1 and "Traceback" not in said.err, (
        said.err
    )
    for word in words:
        assert word in said.err


@contextmanager
def start(
    *arguments: object, cwd: Path, signal_at_rename: tuple[signal.Signals, int] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """The same command as a process with workers, in a session of its own; nothing of it is left behind."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    if signal_at_rename:
        number, left = signal_at_rename
        environment["SIGNAL_AT_RENAME"] = f"{number.value} {left}"
    with (cwd / "out").open("a") as out, (cwd / "err").open("a") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, *map(str, arguments)], cwd=cwd, env=environment, stdout=out, stderr=err, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
