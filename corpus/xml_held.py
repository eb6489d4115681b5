"""The bytes of an XML document from the record at hand on, in the slices that were fed: what damage makes us read again."""

from __future__ import annotations

import re
from collections import deque

_EMPTY_TAG = re.compile(rb"""<(?:[^<>"']|"[^"<]*"|'[^'<]*')*/>""")


class HeldBytes:
    """Places are counted as expat counts them, from the first byte that its parser was fed."""

    def __init__(self) -> None:
        self.clear(0)

    def clear(self, place: int) -> None:
        """A document begins, of which the parser knows what is before a place."""
        self._slices: deque[bytes] = deque()
        self._first = self.fed = place  # the place of the first byte held, and of the end
        self._whole: bytes | None = None  # the slices in one, once they were looked at

    def add(self, data: bytes) -> None:
        self._slices.append(data)
        self.fed += len(data)
        self._whole = None

    def keep_from(self, place: int) -> None:
        """Let go of the slices before the one in which a place is."""
        while self._slices and self._first + len(self._slices[0]) <= place:
            self._first += len(self._slices.popleft())
            self._whole = None

    def cut(self, place: int) -> None:
        """Let go of all before a place."""
        self.keep_from(place)
        if self._slices and place > self._first:
            self._slices[0] = self._slices[0][place - self._first :]
            self._first, self._whole = place, None

    def after(self, place: int) -> list[bytes]:
        """What was fed from a place on, as far as it is held."""
        self.keep_from(place)
        first, *others = self._slices or [b""]
        return [first[max(0, place - self._first) :], *others]

    def between(self, start: int, end: int, size: int) -> list[bytes]:
        """What lies between two places, in slices of a size."""
        data = self._joined()
        start, end = max(0, start - self._first), end - self._first
        return [data[place : min(place + size, end)] for place in range(start, end, size)]

    def ends_with(self, data: bytes) -> bool:
        return bool(self._slices) and self._slices[-1].endswith(data)

    def find(self, pattern: re.Pattern[bytes], start: int, end: int | None = None) -> int | None:
        """Where a pattern is first met at a place held from `start` on, and before `end`."""
        found = pattern.search(self._joined(), max(0, start - self._first))
        place = found and self._first + found.start()
        return place if place is not None and (end is None or place < end) else None

    def find_last(self, data: bytes, before: int) -> int:
        return self._first + self._joined().rfind(data, 0, max(0, before - self._first))

    def match(self, pattern: re.Pattern[bytes], place: int) -> int | None:
        """Where a pattern ends that begins at a place."""
        found = pattern.match(self._joined(), place - self._first) if place >= self._first else None
        return found and self._first + found.end()

    def group(self, pattern: re.Pattern[bytes], place: int) -> str:
        """What a pattern's group is that matches at a place; "" where it does not."""
        found = pattern.match(self._joined(), place - self._first)
        return found[1].decode("utf-8", "replace") if found else ""

    def count(self, pattern: re.Pattern[bytes], start: int, end: int) -> int:
        places = (found.start() for found in pattern.finditer(self._joined(), max(0, start - self._first)))
        return sum(place < end - self._first for place in places)

    def end_of(self, start: int, place: int) -> int:
        """Where the element ends that began at `start`, and whose end expat told at a place: before `</a>`, but after `<a/>`."""
        data = self._joined()
        if _EMPTY_TAG.fullmatch(data, max(0, start - self._first), place - self._first):
            return place
        return self._first + data.index(b">", place - self._first) + 1

    def _joined(self) -> bytes:
        if self._whole is None:
            self._whole = b"".join(self._slices)
        return self._whole
