"""Paired 0/1 items: the error of their difference if the true one were D, and the interval that follows (Tango 1998).

The error at what was seen is too small where nearly all changes go one way: harm of exactly a guard's margin then passed in
7.5–8.7 % of the draws where 5 % was promised (600 items and 2pp, 1,000 and 3pp). So the error is taken at the likeliest shares
under which the difference is D:

    z(D) = ((gained − lost)/n − D) / error(D),   error(D)² = (2q + D(1 − D)) / n,
    q = (√(B² + 8n·lost·D(1 − D)) − B) / 4n,   B = (2n − gained + lost)·D − gained − lost

q is the share of lost items, q + D that of gained ones. At D = 0 this is McNemar's test. Tango, Statistics in Medicine 17 (1998).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_HALVINGS = 50  # of an interval of length 2 at most: to 1e-15


@dataclass(frozen=True)
class Pairs:
    """How many items were gained (wrong → right) and lost, of how many; fractions where clustered items count for less."""

    gained: float
    lost: float
    num_items: float

    @property
    def difference(self) -> float:
        return (self.gained - self.lost) / self.num_items

    def error(self, difference: float) -> float:
        """The standard error if the true difference were this."""
        n, spread = self.num_items, difference * (1 - difference)
        b = (2 * n - self.gained + self.lost) * difference - self.gained - self.lost
        lost = (math.sqrt(max(0.0, b * b + 8 * n * self.lost * spread)) - b) / (4 * n)
        return math.sqrt(max(0.0, 2 * lost + spread) / n)

    def interval(self, quantile: float) -> tuple[float, float]:
        """The differences that are at most `quantile` errors away from what was seen, each by its own error.

        >>> [round(end, 3) for end in Pairs(1, 7, 21).interval(1.96)]
        [-0.517, -0.026]
        """
        return self._end(-1.0, quantile), self._end(1.0, quantile)

    def _end(self, outside: float, quantile: float) -> float:
        inside = self.difference
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            if abs(self.difference - middle) <= quantile * self.error(middle):
                inside = middle
            else:
                outside = middle
        return inside
