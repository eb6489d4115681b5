"""Devanagari and full-width digits read as ASCII ones, so that one kernel and one set of checks serve every script.

Only what numbers are written with is folded: ०–९, ０–９ and full-width plus, minus and brackets, three bytes each.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


@njit(cache=True, nogil=True)
def _plain(data: Bytes, at: int) -> int:
    """The ASCII byte for the character that begins at `at`; 0 for one that is not folded."""
    if (data[at] != 0xE0 and data[at] != 0xEF) or at + 2 >= data.size:
        return 0
    second, third = data[at + 1], data[at + 2]
    if data[at] == 0xE0 and second == 0xA5 and 0xA6 <= third <= 0xAF:
        return third - 0xA6 + 48
    is_full_width = 0x90 <= third <= 0x99 or third in (0x88, 0x89, 0x8B, 0x8D)
    return third - 0x60 if data[at] == 0xEF and second == 0xBC and is_full_width else 0


@njit(cache=True, nogil=True)
def _num_foldable(data: Bytes) -> int:
    count = 0
    for at in range(data.size):
        count += _plain(data, at) != 0
    return count


@njit(cache=True, nogil=True)
def _fold(data: Bytes, folded: Bytes, places: Ints) -> None:
    at, count = 0, 0
    while at < data.size:
        plain = _plain(data, at)
        folded[count], places[count] = plain or data[at], at
        at, count = at + (3 if plain else 1), count + 1
    places[count] = at


def fold_digits(data: bytes, offsets: Ints) -> tuple[bytes, Ints, Ints | None]:
    """`data` and the `offsets` of its texts with such digits as ASCII, and where each byte and the end stood; None for no digits.

    >>> fold_digits("＋९१".encode(), np.array([0, 9]))[0]
    b'+91'
    """
    plain = np.frombuffer(data, dtype=np.uint8)
    count = _num_foldable(plain)
    if not count:
        return data, offsets, None
    folded, places = (
        np.empty(plain.size - 2 * count, np.uint8),
        np.empty(plain.size - 2 * count + 1, np.int64),
    )
    _fold(plain, folded, places)
    return folded.tobytes(), np.searchsorted(places, offsets), places
