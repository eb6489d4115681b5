"""The command line: its entry point. Verbs that build are in `app.build_verbs`, those that ask in `app.ask_verbs`.

Every verb is a few lines over `app.flow`, `app.queries` and `app.render`. Heavy imports wait inside them: `tilth --help`
answers at once. Results go to stdout, progress to stderr; exit codes are those of `corpus.errors`. Whatever goes wrong is
one message; TILTH_TRACEBACK=1 in the environment shows where.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, NoReturn

from typer import TyperException

from app import build_verbs  # isort: skip  (verbs are listed in the order of the flow)
from app import ask_verbs
from app.options import cli
from corpus.errors import Stopped, TilthError

__all__ = ["ask_verbs", "build_verbs", "cli", "main"]

TRACEBACK = "TILTH_TRACEBACK"


def main() -> NoReturn:
    """Entry point: errors become one message and an exit code; Ctrl-C and SIGTERM leave nothing half-written."""
    # Threads that spin while they wait halve training whenever anything else runs on the machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # After Ctrl-C the workers are killed; Python's tracker frees what they held, and need not say so to the user.
    os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning:multiprocessing.resource_tracker")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        code = cli(sys.argv[1:] or ["--help"], standalone_mode=False)
    except (Exception, Stopped) as error:
        if os.environ.get(TRACEBACK):
            import traceback

            traceback.print_exc()
        message, code = explain(error)
        print(f"tilth: {message}", file=sys.stderr)
    sys.exit(code)


def _stop(number: int, frame: Any) -> None:
    raise Stopped("stopped by a signal", number)


def explain(error: Exception | Stopped) -> tuple[str, int]:
    """What people read of an error, and its exit code. A mistake in a command or recipe is told in one line."""
    if isinstance(error, Stopped):
        return str(error), error.exit_code
    if isinstance(error, TilthError):
        lines = str(error).splitlines()
        return (
            "; ".join(line.strip() for line in lines).replace(".; ", ". ")
            if error.exit_code == 2
            else str(error)
        ), error.exit_code
    if isinstance(error, TyperException):
        said = error.format_message().rstrip(".")
        said += "" if said.endswith("?") else "."
        return f"{said} `tilth --help` tells what there is.", error.exit_code
    where = "".join(f"{note}: " for note in getattr(error, "__notes__", []))
    if isinstance(error, OSError):
        return f"{where}{error}. What was finished is kept; the same command resumes.", 1
    what = " ".join(str(error).split())
    return (
        f"{where}{type(error).__name__}{f': {what}' if what else ''}. This should not happen; what was finished is kept. "
        f"{TRACEBACK}=1 in the environment shows where."
    ), 1


if __name__ == "__main__":
    main()
