"""The project's error tree. Every error says what arrived, what was possible and what to do next.

```
TilthError            exit 1   anything that failed
├─ ConfigError        exit 2   bad command, recipe or catalog: found before any work
│  └─ UnknownName     exit 2   a name, id or reference that resolves to nothing
├─ SourceError        exit 1   a source file vanished or changed while it was read
├─ LakeError          exit 1   the lake is damaged, of an unknown format, or not writable
├─ PartError          exit 1   an operator failed on one part, named in the message
└─ GuardStop          exit 3   a guard stopped the work (source loss, cluster size, held-out loss)
   └─ NotFinite       exit 3   training met a loss or gradient that is not a number

Stopped               exit 130/143   a signal ended the work; the same command resumes it
```

`Stopped` stands beside the tree, as KeyboardInterrupt beside Exception: a signal may arrive inside any `try`, and code that
passes over an error, ours or a library's, must not pass over it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TilthError(Exception):
    """Root of the tree; the command line prints its message and exits with `exit_code`."""

    exit_code = 1


class ConfigError(TilthError, ValueError):
    exit_code = 2


class UnknownName(ConfigError):
    pass


class SourceError(TilthError):
    pass


class LakeError(TilthError):
    pass


class PartError(TilthError):
    pass


class GuardStop(TilthError):
    exit_code = 3


class NotFinite(GuardStop):
    pass


class Stopped(BaseException):
    def __init__(self, message: str, signal_number: int = 2):
        super().__init__(message)
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """A hint that names the nearest valid word, or nothing.

    >>> did_you_mean("sourcs", ["sources", "tasks"])
    " Did you mean 'sources'?"
    """
    near = difflib.get_close_matches(word, list(valid), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


def one_of(valid: Iterable[str]) -> str:
    """`'a', 'b' or 'c'`, in sorted order, for the end of a message."""
    words = [repr(word) for word in sorted(valid)]
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
