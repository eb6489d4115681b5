"""The characters of documents as kernels see them: Arrow buffers, UTF-8 decoding and classes of code points.

Every class is a property of Unicode as this Python's `unicodedata` knows it; `UNICODE` belongs to the identity of
whatever is measured with them.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quality.kernel import inlined, int64, kernel

Array = np.ndarray[Any, np.dtype[Any]]

UNICODE = unicodedata.unidata_version

SPACE = 1  # str.isspace()
SEPARATOR = 2  # what parts words: SPACE and the zero-width space that Khmer and Thai part words with
SYMBOL = 4  # punctuation (P*), symbols (S*) and control characters that are no space
EXTEND = 8  # marks (M*) and format characters (Cf): they go with the character before them
ALPHA = 16  # str.isalpha(): letters (L*)
LOWER = 32  # lower-case letters (Ll)
DIGIT = 64  # decimal digits (Nd), what `\d` means in Python
JOINS_WORDS = 128  # a symbol that stays inside a word between two of its characters: don't, well-known, e.g
JOINS_DIGITS = 256  # a symbol that stays inside a number: 1,000 and 12:30
TERMINAL = 512  # ends a sentence
LINE_BREAK = 1024  # str.splitlines() breaks here

_NUM_CODE_POINTS = 0x110000
_ASSIGNED = (
    range(0x40000),
    range(0xE0000, 0xE1000),
)  # the rest is unassigned or private: plain word characters
_REPLACEMENT = 0xFFFD
_LINE_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"

# Unicode's property Sentence_Terminal, which unicodedata lacks, in the version that datatrove 0.10.1's
# TERMINAL_PUNCTUATION has: hexadecimal code points and ranges.
_SENTENCE_TERMINALS = """
21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736 17D4-17D6 17D9-17DA
1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E 1C3B-1C3C 1C7E-1C7F 203C-203D 2047-2049 2E2E 2E3C 2E53-2E54
3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE52 FE56-FE57 FF01 FF0E FF1F
FF61 10A56-10A57 10F55-10F59 10F86-10F89 11047-11048 110BE-110C1 11141-11143 111C5-111C6 111CD 111DE-111DF 11238-11239
1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642 1173C-1173E 11944 11946 11A42-11A43 11A9B-11A9C
11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5 16B37-16B38 16B44 16E98 1BC9F 1DA88
"""


def as_large_string(texts: Any) -> pa.LargeStringArray:
    """A string column of either width, chunked or not, as one large_string array with nulls empty."""
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if not pa.types.is_large_string(texts.type):
        texts = texts.cast(pa.large_string())
    return pc.fill_null(texts, "") if texts.null_count else texts


def text_buffers(texts: Any) -> tuple[Array, Array]:
    """The UTF-8 bytes of a string column and the offsets (int64, n + 1) of its documents in them; null reads as empty."""
    texts = as_large_string(texts)
    return np.frombuffer(texts.buffers()[2] or b"", np.uint8), text_offsets(texts)


def text_offsets(texts: pa.LargeStringArray) -> Array:
    """The byte offset of each document in the array's buffer, one more than there are documents."""
    if not len(texts):
        return np.zeros(1, np.int64)
    return np.frombuffer(texts.buffers()[1], np.int64, len(texts) + 1, texts.offset * 8)


def sentence_terminals() -> frozenset[str]:
    """The characters of Unicode's Sentence_Terminal."""
    found: set[int] = set()
    for item in _SENTENCE_TERMINALS.split():
        first, _, last = item.partition("-")
        found.update(range(int(first, 16), int(last or first, 16) + 1))
    return frozenset(map(chr, found))


@functools.cache
def class_table() -> Array:
    """The classes (bits above, uint16) of every code point; built once per process, about 0.1 s."""
    table = np.zeros(_NUM_CODE_POINTS, np.uint16)
    for points in _ASSIGNED:
        table[points.start : points.stop] = [
            _OF_CATEGORY.get(unicodedata.category(chr(p)), 0) for p in points
        ]
    spaces = [point for point in range(0x10000) if chr(point).isspace()]
    table[spaces] = SPACE | SEPARATOR
    table[0x200B] = SEPARATOR
    for characters, bit in (
        ("'’.-‐‑_", JOINS_WORDS),
        (",:", JOINS_DIGITS),
        (sentence_terminals(), TERMINAL),
        (_LINE_BREAKS, LINE_BREAK),
    ):
        table[[ord(character) for character in characters]] |= bit
    table.flags.writeable = False
    return table


def _category_classes() -> dict[str, int]:
    letters = dict.fromkeys(("Lu", "Lt", "Lm", "Lo"), ALPHA) | {"Ll": ALPHA | LOWER}
    symbols = dict.fromkeys(("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Cc"), SYMBOL)
    return letters | symbols | dict.fromkeys(("Mn", "Mc", "Me", "Cf"), EXTEND) | {"Nd": DIGIT}


_OF_CATEGORY = _category_classes()


@inlined
def decode(data: Array, position: int, end: int) -> tuple[int, int]:
    """The code point at `position` and its bytes; never reads at or beyond `end`, whatever the bytes are."""
    lead = int64(data[position])
    if lead < 0x80:
        return lead, 1
    size = 2 if lead < 0xE0 else (3 if lead < 0xF0 else 4)
    if position + size > end:
        return _REPLACEMENT, end - position
    point = lead & (0x7F >> size)
    for k in range(1, size):
        point = (point << 6) | (int64(data[position + k]) & 0x3F)
    return (point if point < _NUM_CODE_POINTS else _REPLACEMENT), size


@kernel
def count_characters(data: Array, start: int, stop: int) -> int:
    """The code points of a stretch of UTF-8."""
    count = 0
    for position in range(start, stop):
        count += (data[position] & 0xC0) != 0x80
    return count


@kernel
def strip(data: Array, start: int, stop: int, table: Array) -> tuple[int, int]:
    """The stretch without white space at its ends, as `str.strip()` has it."""
    while start < stop:
        point, size = decode(data, start, stop)
        if not table[point] & SPACE:
            break
        start += size
    while stop > start:
        last = stop - 1
        while last > start and (data[last] & 0xC0) == 0x80:
            last -= 1
        point, _ = decode(data, last, stop)
        if not table[point] & SPACE:
            break
        stop = last
    return start, stop


@kernel
def count_byte(data: Array, start: int, stop: int, byte: int) -> int:
    count = 0
    for position in range(start, stop):
        count += data[position] == byte
    return count


@kernel
def count_runs(data: Array, start: int, stop: int, byte: int) -> int:
    """Runs of one byte: a text has at most one line that is not empty more than it has runs of newlines."""
    count, before = 0, False
    for position in range(start, stop):
        now = data[position] == byte
        count += now and not before
        before = now
    return count


@kernel
def matches_at(data: Array, position: int, end: int, phrase: Array, any_case: bool) -> bool:
    """Whether `phrase` (ASCII bytes in lower case) stands at `position`, if wanted in either case."""
    if position + len(phrase) > end:
        return False
    for k in range(len(phrase)):
        byte = data[position + k]
        if byte != phrase[k] and not (any_case and 0x41 <= byte <= 0x5A and byte + 0x20 == phrase[k]):
            return False
    return True
