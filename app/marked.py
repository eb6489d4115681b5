"""Text of the corpus as HTML: escaped, placeholders of personal data marked, differences of two texts marked.

Text is hostile. Everything that comes from it passes `html.escape`; the only tags are ours.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from corpus.schema import PII_TYPES

MAX_CHARS = 20_000
MAX_WORDS = 2_000  # of each side, spaces counted: the comparison is quadratic where words repeat
_PLACEHOLDER = re.compile("&lt;(" + "|".join(kind.upper() for kind in PII_TYPES) + ")&gt;")
_WORD = re.compile(r"\S+|\s+")


def mark_text(text: str, max_chars: int = MAX_CHARS) -> str:
    """One text, cut after `max_chars`.

    >>> mark_text("write to <EMAIL> & <b>")
    'write to <mark class="pii">&lt;EMAIL&gt;</mark> &amp; &lt;b&gt;'
    """
    return _escaped(text[:max_chars]) + _more(len(text) - max_chars, "characters")


def mark_difference(first: str, second: str, max_words: int = MAX_WORDS) -> tuple[str, str]:
    """Two texts with what each has and the other lacks marked, word by word.

    >>> mark_difference("a cat sat", "a dog sat")
    ('a <mark class="diff">cat</mark> sat', 'a <mark class="diff">dog</mark> sat')
    """
    a, b = _WORD.findall(first), _WORD.findall(second)
    matcher = SequenceMatcher(None, a[:max_words], b[:max_words], autojunk=False)
    left, right = "", ""
    for what, a_start, a_stop, b_start, b_stop in matcher.get_opcodes():
        left += _piece(a[a_start:a_stop], what != "equal")
        right += _piece(b[b_start:b_stop], what != "equal")
    return left + _more(len(a) - max_words, "words"), right + _more(len(b) - max_words, "words")


def _piece(words: Sequence[str], differs: bool) -> str:
    inside = _escaped("".join(words))
    return f'<mark class="diff">{inside}</mark>' if differs and inside else inside


def _escaped(text: str) -> str:
    return _PLACEHOLDER.sub(r'<mark class="pii">&lt;\1&gt;</mark>', html.escape(text))


def _more(count: int, what: str) -> str:
    return f'<span class="more"> … {count:,} more {what}</span>' if count > 0 else ""
