"""What a word is, for every rule that counts words.

datatrove asks a tokenizer per language (spaCy's blank English, nltk); we have one rule for all of them, close to the
Treebank's for English, and fast. With the classes of `quality/characters.py`:

- a *word* is a maximal run of characters that are neither separators nor symbols; marks go with the letter before them.
  Between two such characters `'` `’` `.` `-` `‐` `‑` `_` stay inside the word (don't, well-known, e.g, example.com), and
  between two digits also `,` and `:` (1,000 and 12:30);
- a *symbol word* is a run of one symbol (`...`, `--`, `"`), together with the marks that follow it.

All words together cover every character but the separators. Scripts without spaces (Chinese, Japanese, Thai) are not
segmented: a word is what stands between punctuation there.
"""

from __future__ import annotations

import numpy as np

from quality.characters import (
    DIGIT,
    EXTEND,
    JOINS_DIGITS,
    JOINS_WORDS,
    SEPARATOR,
    SYMBOL,
    Array,
    class_table,
    decode,
)
from quality.kernel import inlined, int64

WORDS_VERSION = 1  # part of the identity of what counts words; bumped by hand when the rule changes


def split_words(text: str) -> list[str]:
    """The words of a text, symbol words among them, in order.

    >>> split_words("Don't pay $1,000... (e.g. at 12:30)!")
    ["Don't", 'pay', '$', '1,000', '...', '(', 'e.g', '.', 'at', '12:30', ')', '!']
    """
    data, words, position = text.encode(), list[str](), 0
    buffer = np.frombuffer(data, np.uint8)
    while True:
        start, position, _, _ = next_word(buffer, position, len(data), class_table())
        if start == position:
            return words
        words.append(data[start:position].decode())


@inlined
def next_word(data: Array, position: int, end: int, table: Array) -> tuple[int, int, int, int]:
    """The first word at or after `position`: (start, stop, code points, classes); start == stop when none is left.

    `classes` unites its characters': a symbol word is one with SYMBOL set, a word with a letter has ALPHA.
    """
    while position < end:
        point, size = decode(data, position, end)
        classes = table[point]
        if classes & SYMBOL:
            return _symbol_word(data, position, end, table)
        if not classes & SEPARATOR:
            return _plain_word(data, position, end, table)
        position += size
    return end, end, 0, 0


@inlined
def _plain_word(data: Array, start: int, end: int, table: Array) -> tuple[int, int, int, int]:
    position, num_chars, seen, base = start, 0, int64(0), int64(0)
    while position < end:
        point, size = int64(data[position]), 1
        if point >= 0x80:
            point, size = decode(data, position, end)
        classes = int64(table[point])
        if classes & (SEPARATOR | SYMBOL):
            if classes & SEPARATOR or not _joins(data, position + size, end, table, classes, base):
                break
        elif classes & EXTEND:
            seen |= classes
        else:
            seen |= classes
            base = classes
        num_chars += 1
        position += size
    return start, position, num_chars, seen & ~SYMBOL


@inlined
def _joins(data: Array, following: int, end: int, table: Array, classes: int, base: int) -> bool:
    """Whether a symbol stays inside the word whose last character is of class `base`, by the character that follows."""
    if not classes & (JOINS_WORDS | JOINS_DIGITS) or following >= end:
        return False
    point, _ = decode(data, following, end)
    after = int64(table[point])
    if classes & JOINS_WORDS:
        return not after & (SEPARATOR | SYMBOL | EXTEND)
    return (base & after & DIGIT) != 0


@inlined
def _symbol_word(data: Array, start: int, end: int, table: Array) -> tuple[int, int, int, int]:
    symbol, size = decode(data, start, end)
    position, num_chars = start + size, 1
    while position < end:
        point, size = decode(data, position, end)
        if point != symbol and not table[point] & EXTEND:
            break
        num_chars += 1
        position += size
    return start, position, num_chars, int64(SYMBOL)
