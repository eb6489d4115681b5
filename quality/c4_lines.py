"""C4's line rules: which lines of a web page are furniture, as spans to cut.

Definitions are those of datatrove 0.10.1's C4QualityFilter, with these differences, all on purpose: lines are cut from the
text by span and nothing else is edited, so `[12]`, `[edit]` and `[citation needed]` are overlooked at a line's end rather
than removed; blank lines stay, since they part paragraphs; phrases are looked for in ASCII letters of either case; and a
document is never judged here: what C4 drops it for is counted, for a rule to judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from corpus.schema import CUT_SPAN, OPERATORS
from quality.characters import (
    DIGIT,
    LINE_BREAK,
    LOWER,
    SPACE,
    SYMBOL,
    TERMINAL,
    UNICODE,
    Array,
    class_table,
    count_byte,
    decode,
    matches_at,
    strip,
    text_buffers,
)
from quality.kernel import kernel

REASONS = ("long_word", "no_terminal_punct", "too_few_words", "javascript", "policy")
_LONG_WORD, _NO_TERMINAL_PUNCT, _TOO_FEW_WORDS, _JAVASCRIPT, _POLICY = range(len(REASONS))
_KEPT = -1

JAVASCRIPT = ("javascript",)
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
CITATIONS = ("[edit]", "[citation needed]")


@dataclass(frozen=True)
class C4Lines:
    """Operator for the lines that C4 cuts, each with its first reason in the order of the options below.

    A line of `str.splitlines` is cut, its newline with it, if a word between white space has more than `max_word_length`
    code points (`long_word`); if `terminal_punct`, unless it ends in one of `. ? ! " '` and not in `...`
    (`no_terminal_punct`; FineWeb leaves this rule off, and so does the default); if it has fewer than
    `min_words_per_line` words (`too_few_words`); if it holds "javascript", or one of six phrases on cookies, privacy and
    terms of use (`policy`).

    `cuts` are half-open UTF-8 byte offsets, one span a line; `cut_byte_ratio` their bytes over the text's.
    `num_lorem_ipsum_after_cuts` and `num_curly_brackets_after_cuts` count "lorem ipsum" and `{` in the lines that are not
    cut yet where C4 looks for them: the former after `too_few_words`, the latter after `javascript` and before `policy`.
    `num_sentences_after_cuts` counts in the lines left, where C4 asks for five: a sentence ends with its line, at a
    terminal of another script, or at `.` `?` `!` before white space, a full stop only if no lower-case letter follows.
    "Dr. No" counts as two.

    Source: Raffel et al. 2020 (arXiv:1910.10683, section 2.2).
    """

    terminal_punct: bool = False
    min_words_per_line: int = 3
    max_word_length: int = 1000
    javascript: bool = True
    policy: bool = True

    name: ClassVar[str] = "c4_lines"
    version: ClassVar[int] = 2
    reads: ClassVar[tuple[str, ...]] = ("doc_id", "text")

    def identity(self) -> dict[str, Any]:
        options = ("terminal_punct", "min_words_per_line", "max_word_length", "javascript", "policy")
        return {"unicode": UNICODE} | {option: getattr(self, option) for option in options}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        data, offsets = text_buffers(batch.column("text"))
        phrases = _phrases(JAVASCRIPT * self.javascript, POLICY * self.policy)
        ends, spans, counts, cut_bytes = _cut_documents(
            data,
            offsets,
            class_table(),
            self.terminal_punct,
            self.min_words_per_line,
            self.max_word_length,
            *phrases,
        )
        num_bytes = np.diff(offsets)
        ratio = np.divide(cut_bytes, num_bytes, out=np.zeros(len(num_bytes)), where=num_bytes > 0)
        columns = [
            batch.column("doc_id"),
            *map(pa.array, counts),
            pa.array(ratio),
            _list_of_spans(ends, spans),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=OPERATORS[self.name])


def _list_of_spans(ends: Array, spans: Array) -> pa.Array:
    """Rows (start, stop, reason number) as lists of CUT_SPAN, `ends` the offsets of each document's."""
    reasons = pa.array(REASONS).take(pa.array(spans[:, 2]))
    structs = pa.StructArray.from_arrays(
        [pa.array(spans[:, 0]), pa.array(spans[:, 1]), reasons], fields=list(CUT_SPAN)
    )
    return pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), structs)


def _phrases(javascript: tuple[str, ...], policy: tuple[str, ...]) -> tuple[Array, Array, Array]:
    """Phrases for the kernel: their bytes end to end, the end of each, and the reason each stands for."""
    phrases = [(phrase.encode(), _JAVASCRIPT) for phrase in javascript] + [
        (phrase.encode(), _POLICY) for phrase in policy
    ]
    ends = np.cumsum([0, *(len(phrase) for phrase, _ in phrases)])
    joined = np.frombuffer(b"".join(phrase for phrase, _ in phrases), np.uint8)
    return joined, ends, np.array([reason for _, reason in phrases], np.int64)


# ── kernels ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_NEWLINE, _RETURN, _OPEN, _CLOSE, _DOT, _CURLY = 0x0A, 0x0D, ord("["), ord("]"), ord("."), ord("{")
_LOREM_IPSUM = np.frombuffer(b"lorem ipsum", np.uint8)
_END_MARKS = tuple(ord(mark) for mark in ".?!\"'")
_EDIT, _NEEDED = (np.frombuffer(citation.encode(), np.uint8) for citation in CITATIONS)


@kernel
def _cut_documents(
    data: Array,
    offsets: Array,
    table: Array,
    terminal_punct: bool,
    min_words: int,
    max_length: int,
    phrases: Array,
    phrase_ends: Array,
    phrase_reasons: Array,
) -> tuple[Array, Array, Array, Array]:
    """Offsets of each document's spans, the spans (start, stop, reason), what is counted and the bytes cut per document."""
    num_documents = len(offsets) - 1
    ends, spans = np.zeros(num_documents + 1, np.int64), np.empty((64, 3), np.int64)
    counts, cut_bytes = np.zeros((3, num_documents), np.int64), np.zeros(num_documents, np.int64)
    num_spans = 0
    for d in range(num_documents):
        start, end = offsets[d], offsets[d + 1]
        following = start
        while following < end:
            line = following
            stop, following = _line_end(data, line, end, table)
            reason = _length_reason(data, line, stop, table, min_words, max_length)
            if (
                terminal_punct
                and reason in (_KEPT, _TOO_FEW_WORDS)
                and not _ends_in_mark(data, line, stop, table)
            ):
                reason = _NO_TERMINAL_PUNCT
            if reason == _KEPT:
                reason = _phrase_reason(data, line, stop, phrases, phrase_ends, phrase_reasons)
            if reason in (_KEPT, _JAVASCRIPT, _POLICY):
                counts[0, d] += _count_phrase(data, line, stop, _LOREM_IPSUM)
            if reason in (_KEPT, _POLICY):
                counts[1, d] += count_byte(data, line, stop, _CURLY)
            if reason == _KEPT or _is_blank(data, line, stop, table):
                counts[2, d] += _count_sentences(data, line, stop, table)
                continue
            if num_spans == len(spans):
                spans = _twice_as_long(spans)
            spans[num_spans] = line - start, following - start, reason
            num_spans += 1
            cut_bytes[d] += following - line
        ends[d + 1] = num_spans
    return ends, spans[:num_spans], counts, cut_bytes


@kernel
def _twice_as_long(spans: Array) -> Array:
    longer = np.empty((2 * len(spans), 3), np.int64)
    for i in range(len(spans)):  # by element: numba takes a second to compile a slice assignment
        for k in range(3):
            longer[i, k] = spans[i, k]
    return longer


@kernel
def _line_end(data: Array, position: int, end: int, table: Array) -> tuple[int, int]:
    """Where a line's text stops and the next line starts, as `str.splitlines` has it."""
    while position < end:
        point, size = decode(data, position, end)
        if table[point] & LINE_BREAK:
            paired = point == _RETURN and position + 1 < end and data[position + 1] == _NEWLINE
            return position, position + (2 if paired else size)
        position += size
    return end, end


@kernel
def _length_reason(
    data: Array, position: int, stop: int, table: Array, min_words: int, max_length: int
) -> int:
    """What the words between white space say: too long a word, or too few of them."""
    num_words, length = 0, 0
    while position < stop:
        point, size = decode(data, position, stop)
        length = 0 if table[point] & SPACE else length + 1
        num_words += length == 1
        if length > max_length > 0:
            return _LONG_WORD
        position += size
    return _TOO_FEW_WORDS if num_words < min_words else _KEPT


@kernel
def _is_blank(data: Array, start: int, stop: int, table: Array) -> bool:
    first, last = strip(data, start, stop, table)
    return first == last


@kernel
def _ends_in_mark(data: Array, start: int, stop: int, table: Array) -> bool:
    """Whether the stripped line, its citations overlooked, ends in one of `. ? ! " '` but not in three full stops."""
    position, stop = strip(data, start, stop, table)
    before, middle, last = 0, 0, 0
    while position < stop:
        point, size = decode(data, position, stop)
        behind = _citation_end(data, position, stop, table) if point == _OPEN else position
        if behind == position:
            before, middle, last = middle, last, point
            behind += size
        position = behind
    if last == _DOT and middle == _DOT and before == _DOT:
        return False
    return last in _END_MARKS


@kernel
def _citation_end(data: Array, start: int, stop: int, table: Array) -> int:
    """The end of a citation that starts here: `[`, digits if any, `]`, or one of CITATIONS; else `start`."""
    for citation in (_EDIT, _NEEDED):
        if matches_at(data, start, stop, citation, False):
            return start + len(citation)
    position = start + 1
    while position < stop:
        point, size = decode(data, position, stop)
        position += size
        if point == _CLOSE:
            return position
        if not table[point] & DIGIT:
            break
    return start


@kernel
def _phrase_reason(data: Array, start: int, stop: int, phrases: Array, ends: Array, reasons: Array) -> int:
    """The first reason whose phrase stands in the line, or _KEPT."""
    found = len(REASONS)
    for position in range(start, stop):
        byte = data[position] | 0x20
        for p in range(len(reasons)):
            if byte == phrases[ends[p]] and matches_at(
                data, position, stop, phrases[ends[p] : ends[p + 1]], True
            ):
                found = min(found, reasons[p])
    return found if found < len(REASONS) else _KEPT


@kernel
def _count_phrase(data: Array, start: int, stop: int, phrase: Array) -> int:
    count = 0
    for position in range(start, stop - len(phrase) + 1):
        if data[position] | 0x20 == phrase[0]:
            count += matches_at(data, position, stop, phrase, True)
    return count


@kernel
def _count_sentences(data: Array, position: int, stop: int, table: Array) -> int:
    """Sentences of one line (see C4Lines): an end is pending from its mark to the word that shows it was one."""
    num_sentences, has_word, pending_mark, spaced = 0, False, 0, False
    while position < stop:
        point, size = decode(data, position, stop)
        classes = table[point]
        position += size
        if classes & TERMINAL:
            if point >= 0x80:
                num_sentences += has_word
                has_word, pending_mark = False, 0
            elif has_word:
                pending_mark, spaced = max(pending_mark, 1 if point == _DOT else 2), False
        elif classes & SPACE:
            spaced = True
        elif not classes & SYMBOL:
            if pending_mark and spaced and not (pending_mark == 1 and classes & LOWER):
                num_sentences += 1
            has_word, pending_mark, spaced = True, 0, False
    return num_sentences + has_word
