"""One form for words that are compared: NFC in lower case, itself NFC, however a text writes its characters.

é may be one code point or two, ड़ likewise, and what lies between changes no word. Nearly all text is NFC, and Python's own
check of that is slower than all that is done with the words [Hindi: 36 MB/s beside 290], so a kernel finds the texts that
may not be, and only these are rewritten.
"""

from __future__ import annotations

import functools
import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.nfc import nfc
from quality.characters import Array, decode, text_buffers
from quality.kernel import int64, kernel

CONTEXTUAL = "\u0130\u03a3"  # İ lowers to two characters, Σ by its place in the word: left to str.lower()

# Of each code point: its combining class in the low byte, and what it may do.
_ORDER = 0xFF
_REWRITTEN = 0x100  # NFC never holds it, or a table cannot lower it
_SECOND = 0x200  # composes with some character before it
_OPEN = 0x400  # composes with some character after it, or comes apart and then may
_CAPITAL = 0x800  # whose small letter may compose with a mark where the capital does not: J̌ and ǰ
_MARK = 0x1000

_ASSIGNED = (*range(0x40000), *range(0xE0000, 0xE1000))


def normal_form(text: str) -> str:
    """The text as NFC in lower case. Lowering may leave what composes (J̌), so it is composed again.

    >>> normal_form("J\\u030c") == normal_form("ǰ") == "ǰ"
    True
    """
    return nfc(nfc(text).lower())


def with_normal_form(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """`texts` with those in normal form whose words `str.lower` of each character alone would not bring into it; no nulls."""
    beyond_ascii = ~pc.string_is_ascii(texts).to_numpy(zero_copy_only=False)
    if not beyond_ascii.any():
        return texts
    _find_rewritten(*text_buffers(texts), form_table(), beyond_ascii)
    if not beyond_ascii.any():
        return texts
    mask = pa.array(beyond_ascii)
    rewritten = pa.array([normal_form(text) for text in texts.filter(mask).to_pylist()], pa.large_string())
    return pc.replace_with_mask(texts, mask, rewritten)


@functools.cache
def form_table() -> Array:
    """The combining class and the bits above of every code point, uint16; built once per process, about 0.2 s."""
    table = np.zeros(0x110000, np.uint16)
    for point in _ASSIGNED:
        category = unicodedata.category(chr(point))
        table[point] |= unicodedata.combining(chr(point)) | (
            _CAPITAL if category in ("Lu", "Lt") else _MARK if category.startswith("M") else 0
        )
        parts = unicodedata.decomposition(chr(point))
        if not parts or parts.startswith("<"):
            continue
        table[point] |= _OPEN
        if unicodedata.normalize("NFC", chr(point)) != chr(point):
            table[point] |= _REWRITTEN
        else:
            first, second = (int(part, 16) for part in parts.split())
            table[first] |= _OPEN
            table[second] |= _SECOND
    table[0xAC00:0xD7A4] |= _OPEN  # Hangul composes by rule: leading and vowel, both and trailing
    table[0x1100:0x1113] |= _OPEN
    table[0x1161:0x1176] |= _SECOND
    table[0x11A8:0x11C3] |= _SECOND
    table[[ord(character) for character in CONTEXTUAL]] |= _REWRITTEN
    return table


@kernel
def _find_rewritten(data: Array, offsets: Array, table: Array, wanted: Array) -> None:
    """Of the documents that are `wanted`, leave those that may not be in normal form once each character is lowered."""
    for d in range(len(wanted)):
        if wanted[d]:
            wanted[d] = _may_differ(data, offsets[d], offsets[d + 1], table)


@kernel
def _may_differ(data: Array, start: int, stop: int, table: Array) -> bool:
    last = 0
    while start < stop:
        if data[start] < 0x80:  # needs nothing itself
            last = int64(data[start])
            start += 1
            continue
        point, size = decode(data, start, stop)
        now, before = table[point], table[last]
        order, order_before = now & _ORDER, before & _ORDER
        if (
            now & _REWRITTEN
            or (now & _SECOND and (before & _OPEN or order_before))
            or (order and order_before > order)
            or (now & _MARK and before & _CAPITAL)
        ):
            return True
        last = point
        start += size
    return False
