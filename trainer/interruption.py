"""Signals that ask a training run to end: noted, and obeyed after the step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Interruption:
    """Notes SIGTERM and SIGINT; the loop ends after its step. A second signal acts as if nobody listened."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():  # only there can Python hear signals
            yield
            return
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.getsignal(number) or signal.SIG_DFL for number in numbers}

        def note(number: int, frame: Any) -> None:
            self.signal = number
            for other in numbers:
                signal.signal(other, before[other])

        try:
            for number in numbers:
                signal.signal(number, note)
            yield
        finally:
            for number in numbers:
                signal.signal(number, before[number])
