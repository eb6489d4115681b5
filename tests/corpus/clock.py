"""A clock that is put forward: time that passes in a test without anybody waiting."""

from __future__ import annotations

import time


class Clock:
    """Stands for the module `time` in a module that asks for no more than `monotonic()`."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead
