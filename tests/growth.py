"""Growth: whether work takes as many times as long as its text is longer, on whatever machine."""

from __future__ import annotations

import time
from collections.abc import Callable

TIMES = 16
LINEAR = 6 * TIMES  # where it is linear it is 16 and where it is quadratic 256: neither comes near by chance


def growth(work: Callable[[int], object], size: int) -> float:
    """How many times as long `work` takes for `TIMES` times the size. Of this process's own time, the best of five each."""
    work(size)  # whatever has to be compiled is
    return _seconds(work, size * TIMES) / _seconds(work, size)


def _seconds(work: Callable[[int], object], size: int) -> float:
    found = []
    for _ in range(5):
        began = time.process_time()
        work(size)
        found.append(time.process_time() - began)
    return max(min(found), 1e-4)
