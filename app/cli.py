"""The command line: its entry point. Verbs that build are in `app.build_verbs`, those that ask in `app.ask_verbs`.

Every verb is a few lines over `app.flow`, `app.queries` and `app.render`. Heavy imports wait inside them: `tilth --help`
answers at once. Results go to stdout, progress to stderr; exit codes are those of `corpus.errors`.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from app import build_verbs  # isort: skip  (verbs are listed in the order of the flow)
from app import ask_verbs
from app.options import cli
from corpus.errors import Stopped, TilthError

__all__ = ["ask_verbs", "build_verbs", "cli", "main"]


def main() -> None:
    """Entry point: errors become one message and an exit code; Ctrl-C and SIGTERM leave nothing half-written."""
    # Threads that spin while they wait halve training whenever anything else runs on the machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    signal.signal(signal.SIGTERM, _terminate)
    try:
        cli(standalone_mode=True)
    except TilthError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("stopped; the same command resumes", 130)
    except BrokenPipeError:  # `tilth sql … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        _fail(f"{error}. What was finished is kept; the same command resumes.", 1)


def _terminate(number: int, frame: Any) -> None:
    raise Stopped("stopped by a signal; the same command resumes", number)


def _fail(message: str, code: int) -> None:
    print(f"tilth: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
