"""The counts and ratios that the rules of Gopher and FineWeb compare with thresholds. What C4 counts: `quality/c4_lines.py`.

Definitions are those of datatrove 0.10.1's GopherQualityFilter and FineWebQualityFilter, with the words of
`quality/words.py` in place of its tokenizers; where other tools give another number under the same name, datatrove's
is meant. What is symbol or word is decided by Unicode category, where datatrove has a list of its own. A ratio over
nothing is 0.0: an empty document is `num_words` 0 for a rule to judge.

What they measure is the shape of English web prose: source code, statutes and tables fail them by nature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from corpus.schema import OPERATORS
from quality.characters import (
    ALPHA,
    LINE_BREAK,
    SPACE,
    SYMBOL,
    TERMINAL,
    UNICODE,
    Array,
    class_table,
    count_byte,
    count_characters,
    count_runs,
    decode,
    text_buffers,
)
from quality.hash_table import hash_bytes, name_of, roomy, table_size
from quality.kernel import int64, kernel
from quality.words import WORDS_VERSION, next_word

SHORT_LINE_CHARS = 30
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")

COUNTS = ("num_chars", "num_words", "num_lines", "num_stop_words")
RATIOS = (
    "mean_word_length",
    "hash_ratio",
    "ellipsis_ratio",
    "bullet_line_ratio",
    "ellipsis_line_ratio",
    "alpha_word_ratio",
    "line_punct_ratio",
    "short_line_ratio",
    "char_dup_ratio",
    "list_ratio",
)


@dataclass(frozen=True)
class Heuristics:
    """Operator for the signals of Gopher quality and FineWeb.

    Counts: `num_chars` code points; `num_words` words that are no symbols, what Gopher's length rule counts; `num_lines`
    of `str.splitlines`; `num_stop_words` distinct of the eight of Gopher, exact case.

    Over words: `mean_word_length` code points of words that are no symbols; `hash_ratio` number of `#`, and
    `ellipsis_ratio` of `...` and `…`, over all words; `alpha_word_ratio` words with a letter over all words; `list_ratio`
    newlines over all words.

    Over lines of `str.splitlines`: `bullet_line_ratio` starting with `•` or `-`, `ellipsis_line_ratio` ending in `...` or
    `…`, white space aside. Over lines that are not blank: `line_punct_ratio` ending in a sentence terminal,
    `short_line_ratio` of at most 30 code points; `char_dup_ratio` code points of repeats of an earlier line over those of
    the text without newlines.

    Sources: Rae et al. 2021 (arXiv:2112.11446, appendix A1.1), Penedo et al. 2024 (FineWeb, section 3.5).
    """

    name: ClassVar[str] = "heuristics"
    version: ClassVar[int] = 2
    reads: ClassVar[tuple[str, ...]] = ("doc_id", "text")

    def identity(self) -> dict[str, Any]:
        return {"unicode": UNICODE, "words": WORDS_VERSION}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        counts, ratios = measure(batch.column("text"))
        columns = {"doc_id": batch.column("doc_id")}
        columns |= {name: pa.array(counts[:, i]) for i, name in enumerate(COUNTS)}
        columns |= {name: pa.array(ratios[:, i]) for i, name in enumerate(RATIOS)}
        schema = OPERATORS[self.name]
        return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def measure(texts: pa.Array) -> tuple[Array, Array]:
    """Counts (documents × COUNTS, int64) and ratios (documents × RATIOS, float64) of every text."""
    data, offsets = text_buffers(texts)
    counts = np.zeros((len(texts), len(COUNTS)), np.int64)
    ratios = np.zeros((len(texts), len(RATIOS)), np.float64)
    _measure_documents(data, offsets, class_table(), _STOP_WORD_CODES, counts, ratios)
    return counts, ratios


# ── kernels ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_STOP_WORD_CODES = np.array([int.from_bytes(word.encode(), "little") for word in STOP_WORDS], np.int64)
_BULLET, _DASH, _ELLIPSIS, _DOT, _HASH = 0x2022, ord("-"), 0x2026, ord("."), ord("#")
_NEWLINE, _RETURN = 0x0A, 0x0D

_NUM_CHARS, _NUM_WORDS, _NUM_LINES, _NUM_STOP_WORDS = range(4)
_MEAN_WORD_LENGTH, _HASH_RATIO, _ELLIPSIS_RATIO, _BULLET_LINES, _ELLIPSIS_LINES = range(5)
_ALPHA_WORDS, _LINE_PUNCT, _SHORT_LINES, _CHAR_DUP, _LIST_RATIO = range(5, 10)


@kernel
def _measure_documents(
    data: Array,
    offsets: Array,
    table: Array,
    stop_words: Array,
    counts: Array,
    ratios: Array,
) -> None:
    slots = np.zeros(0, np.uint64)
    for d in range(len(offsets) - 1):
        start, end = offsets[d], offsets[d + 1]
        if start == end:
            continue
        counts[d, _NUM_CHARS] = count_characters(data, start, end)
        num_words = _measure_words(data, start, end, table, stop_words, counts[d], ratios[d])
        num_ellipses = _measure_lines(data, start, end, table, counts[d], ratios[d])
        most_lines = count_runs(data, start, end, _NEWLINE) + 1
        slots, size = roomy(slots, most_lines), table_size(most_lines)
        _measure_web_lines(data, start, end, table, slots, size, d + 1, ratios[d])
        if num_words:
            ratios[d, _HASH_RATIO] = count_byte(data, start, end, _HASH) / num_words
            ratios[d, _ELLIPSIS_RATIO] = num_ellipses / num_words
            ratios[d, _LIST_RATIO] = count_byte(data, start, end, _NEWLINE) / num_words


@kernel
def _measure_words(
    data: Array, start: int, end: int, table: Array, stop_words: Array, counts: Array, ratios: Array
) -> int:
    """Fill what is counted over words; returns the number of all words."""
    num_words, num_plain, num_alpha, num_chars, met, position = 0, 0, 0, 0, int64(0), start
    while True:
        first, position, chars, classes = next_word(data, position, end, table)
        if first == position:
            break
        num_words += 1
        if classes & SYMBOL:
            continue
        num_plain += 1
        num_chars += chars
        num_alpha += (classes & ALPHA) != 0
        if position - first <= 4:
            met |= _stop_word_bit(data, first, position, stop_words)
    counts[_NUM_WORDS] = num_plain
    for k in range(len(stop_words)):
        counts[_NUM_STOP_WORDS] += (met >> k) & 1
    if num_words:
        ratios[_ALPHA_WORDS] = num_alpha / num_words
    if num_plain:
        ratios[_MEAN_WORD_LENGTH] = num_chars / num_plain
    return num_words


@kernel
def _stop_word_bit(data: Array, first: int, stop: int, stop_words: Array) -> int:
    """The stop word's bit, or 0; words are compared as little-endian numbers of at most four bytes."""
    code = int64(0)
    for k in range(stop - first):
        code |= int64(data[first + k]) << (k << 3)
    for k in range(len(stop_words)):
        if code == stop_words[k]:
            return int64(1) << k
    return int64(0)


@kernel
def _measure_lines(data: Array, start: int, end: int, table: Array, counts: Array, ratios: Array) -> int:
    """Fill what is counted over the lines of `str.splitlines`; returns the number of ellipses anywhere."""
    num_lines, num_bullets, num_endings, num_ellipses = 0, 0, 0, 0
    blank, after_dot, num_dots, ellipsis, position, line = True, False, 0, False, start, start
    while position < end:
        point, size = decode(data, position, end)
        classes = table[point]
        position += size
        if classes & SPACE:
            after_dot = False
            if classes & LINE_BREAK and not (
                point == _RETURN and position < end and data[position] == _NEWLINE
            ):
                num_lines += 1
                num_endings += ellipsis or num_dots >= 3
                blank, num_dots, ellipsis, line = True, 0, False, position
            continue
        if blank:
            num_bullets += point in (_BULLET, _DASH)
            blank = False
        num_dots = 0 if point != _DOT else (num_dots + 1 if after_dot else 1)
        after_dot, ellipsis = point == _DOT, point == _ELLIPSIS
        num_ellipses += ellipsis or (after_dot and num_dots % 3 == 0)  # as str.count: no dot counts twice
    if line < end:
        num_lines += 1
        num_endings += ellipsis or num_dots >= 3
    counts[_NUM_LINES] = num_lines
    ratios[_BULLET_LINES] = num_bullets / num_lines
    ratios[_ELLIPSIS_LINES] = num_endings / num_lines
    return num_ellipses


@kernel
def _measure_web_lines(
    data: Array, start: int, end: int, table: Array, slots: Array, size: int, stamp: int, ratios: Array
) -> None:
    """Fill what FineWeb counts over the lines between newlines that are not blank."""
    num_lines, num_terminal, num_short, num_dup_chars, num_chars, position = 0, 0, 0, 0, 0, start
    while position <= end:
        line, line_chars, blank, classes = position, 0, True, int64(0)
        while position < end and data[position] != _NEWLINE:
            point, width = decode(data, position, end)
            classes = int64(table[point])
            blank &= (classes & SPACE) != 0
            line_chars += 1
            position += width
        num_chars += line_chars
        if not blank:
            num_lines += 1
            num_terminal += (classes & TERMINAL) != 0
            num_short += line_chars <= SHORT_LINE_CHARS
            if name_of(slots, size, stamp, hash_bytes(data, line, position), num_lines) != num_lines:
                num_dup_chars += line_chars
        position += 1
    if num_lines:
        ratios[_LINE_PUNCT] = num_terminal / num_lines
        ratios[_SHORT_LINES] = num_short / num_lines
        ratios[_CHAR_DUP] = num_dup_chars / num_chars
