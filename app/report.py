"""What a command says while it works: results on stdout, progress and remarks on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


def counted(count: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "source"), counted(2000, "reject")
    ('1 source', '2,000 rejects')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


@dataclass
class Stage:
    """One line of a run. `built` False: everything was there."""

    name: str
    label: str = ""
    id: str = ""
    seconds: float = 0.0
    built: bool = True
    note: str = ""

    def render(self) -> str:
        state = f"{self.seconds:.1f} s" if self.built else "done"
        return f"{self.name:<10} {self.label:<28} {self.id[:12]:<12} {state:>9}  {self.note}".rstrip()


@dataclass
class Report:
    """Where a flow reports to. `quiet` keeps stdout for the one JSON document that `--json` promises."""

    quiet: bool = False
    stages: list[Stage] = field(default_factory=list)
    _last: float = 0.0
    _open: bool = False

    @contextmanager
    def stage(self, name: str, label: str = "") -> Iterator[Stage]:
        """A stage's line appears when it ends; an error leaves no line."""
        found, start = Stage(name, label), time.monotonic()
        yield found
        found.seconds = time.monotonic() - start
        self._clear()
        self.stages.append(found)
        if not self.quiet:
            print(found.render(), flush=True)

    def say(self, text: str) -> None:
        """A remark on stderr."""
        self._clear()
        print(text, file=sys.stderr, flush=True)

    def progress(self, what: str, done: int, total: int) -> None:
        """A bar on a terminal; on anything else a line now and then."""
        now, finished = time.monotonic(), done >= total
        if sys.stderr.isatty():
            if finished or now - self._last > 0.1:
                filled = round(30 * done / max(1, total))
                sys.stderr.write(
                    f"\r\x1b[K{what:<20} [{'█' * filled}{' ' * (30 - filled)}] {done / max(1, total):4.0%}"
                )
                sys.stderr.flush()
                self._open, self._last = True, now
        elif now - self._last > 10:
            print(f"{what}: {done / max(1, total):.0%}", file=sys.stderr, flush=True)
            self._last = now

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {
                "stage": s.name,
                "label": s.label,
                "id": s.id,
                "seconds": round(s.seconds, 3),
                "built": s.built,
                "note": s.note,
            }
            for s in self.stages
        ]

    def _clear(self) -> None:
        if self._open:
            sys.stderr.write("\r\x1b[K")
            self._open = False
