"""Text of the corpus as HTML: escaped, placeholders of personal data marked, differences of two texts marked.

Text is hostile. Everything that comes from it passes `html.escape`; the only tags are ours.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Sequence
from difflib import Match, SequenceMatcher

from corpus.schema import PII_TYPES

MAX_CHARS = 20_000
MAX_WORDS = 2_000  # of each side
MAX_WORK = 2_000_000  # pairs of equal words looked at in one comparison, which is cubic where few words are repeated: a third of a second
_PLACEHOLDER = re.compile("&lt;(" + "|".join(kind.upper() for kind in PII_TYPES) + ")&gt;")
_WORD = re.compile(r"\S+\s*|\s+")  # a word has the spaces after it, which are shown and not compared


def mark_text(text: str, max_chars: int = MAX_CHARS) -> str:
    """One text, cut after `max_chars`.

    >>> mark_text("write to <EMAIL> & <b>")
    'write to <mark class="pii">&lt;EMAIL&gt;</mark> &amp; &lt;b&gt;'
    """
    return _escaped(text[:max_chars]) + _more(len(text) - max_chars, "characters")


def mark_difference(first: str, second: str, max_words: int = MAX_WORDS) -> tuple[str, str]:
    """Two texts with what each has and the other lacks marked, word by word; cut to what can be compared in `MAX_WORK`.

    >>> mark_difference("a cat sat", "a dog sat")
    ('a <mark class="diff">cat </mark>sat', 'a <mark class="diff">dog </mark>sat')
    """
    a, b = _WORD.findall(first), _WORD.findall(second)
    while (found := _changes(a[:max_words], b[:max_words])) is None:
        max_words //= 2
    left, right = "", ""
    for what, a_start, a_stop, b_start, b_stop in found:
        left += _piece(a[a_start:a_stop], what != "equal")
        right += _piece(b[b_start:b_stop], what != "equal")
    return left + _more(len(a) - max_words, "words"), right + _more(len(b) - max_words, "words")


def _changes(a: list[str], b: list[str]) -> Sequence[tuple[str, int, int, int, int]] | None:
    """difflib's opcodes; None where they would take too much work."""
    try:
        return Matcher([word.rstrip() for word in a], [word.rstrip() for word in b]).get_opcodes()
    except _TooMuchWork:
        return None


class _TooMuchWork(Exception):
    pass


class Matcher(SequenceMatcher[str]):
    """A SequenceMatcher that stops before its `work` is over `MAX_WORK`."""

    def __init__(self, a: list[str], b: list[str]) -> None:
        super().__init__(None, a, b, autojunk=False)
        self.work = 0
        self._words, self._places = a, Counter(b)

    def find_longest_match(
        self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None
    ) -> Match:
        self.work += sum(1 + self._places[word] for word in self._words[alo:ahi])
        if self.work > MAX_WORK:
            raise _TooMuchWork
        return super().find_longest_match(alo, ahi, blo, bhi)


def _piece(words: Sequence[str], differs: bool) -> str:
    inside = _escaped("".join(words))
    return f'<mark class="diff">{inside}</mark>' if differs and inside else inside


def _escaped(text: str) -> str:
    return _PLACEHOLDER.sub(r'<mark class="pii">&lt;\1&gt;</mark>', html.escape(text))


def _more(count: int, what: str) -> str:
    return f'<span class="more"> … {count:,} more {what}</span>' if count > 0 else ""
