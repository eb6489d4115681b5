"""What stands beside a candidate: the words that tell a phone from an order number where digits alone do not.

Words are not read across a placeholder such as `<EMAIL>`, and what only separators part from one is left alone. So masking takes
evidence away and never adds any, and masked text holds nothing new to find (a law in test_pii.py).
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

from corpus.schema import PII_TYPES

PLACEHOLDERS = {kind: f"<{kind.upper()}>" for kind in PII_TYPES}

_REACH_BYTES = 64
_NUM_WORDS = 6
_LONGEST_PLACEHOLDER = max(map(len, PLACEHOLDERS.values()))
_ANY = rb"(?:" + b"|".join(re.escape(text.encode()) for text in PLACEHOLDERS.values()) + rb")"
_PLACEHOLDER = re.compile(_ANY)
_JOIN = rb"(?:[ ./()+-]|\xc2\xa0|\xe2\x80[\x90-\x93]){0,5}"  # at least what the kernel takes for a separator
_ENDS_WITH_PLACEHOLDER = re.compile(_ANY + _JOIN + rb"\Z")
_BEGINS_WITH_PLACEHOLDER = re.compile(_JOIN + _ANY)
# Bytes C2, E2 and EF begin spaces, dashes, quotes and full-width punctuation more often than letters.
_LETTER = rb"(?:[A-Za-z]|[\xc3-\xdf][\x80-\xbf]|[\xe0\xe1\xe3-\xee][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})"
_LETTER_BYTES = string.ascii_letters.encode() + bytes(range(128, 256))
_WORD = re.compile(rb"(?<![0-9A-Za-z])" + _LETTER + rb"++(?![0-9])")  # `cc` in the hash 3cc91 is no word
_NEXT_WORD = re.compile(rb"[ (-]{0,3}(" + _LETTER + rb"{1,16})")


def fold_words(words: str) -> frozenset[str]:
    """A set of words to compare with, from one string."""
    return frozenset(words.casefold().split())


@dataclass(frozen=True)
class Candidate:
    """Bytes [start, end) of `data`, within the document that is bytes [lo, hi)."""

    data: bytes
    lo: int
    hi: int
    start: int
    end: int

    def raw(self) -> bytes:
        return self.data[self.start : self.end]

    def text(self) -> str:
        """What it says, with the typographic spaces and dashes of the kernel's separators as ASCII."""
        plain = self.raw().decode("utf-8", "replace")
        return plain if plain.isascii() else re.sub("[\u2010-\u2013]", "-", plain.replace("\u00a0", " "))

    def digits(self) -> str:
        return re.sub("[^0-9]", "", self.text())

    def words_before(self) -> list[str]:
        """Up to six words before it, nearest first, case folded; a word that the window's edge may cut is left out."""
        edge = max(self.lo, self.start - _REACH_BYTES)
        since = edge
        if b">" in self.data[edge : self.start]:
            for found in _PLACEHOLDER.finditer(
                self.data, max(self.lo, edge - _LONGEST_PLACEHOLDER), self.start
            ):
                since = max(since, found.end())
        window = self.data[since : self.start]
        if since == edge > self.lo:
            window = window.lstrip(_LETTER_BYTES)
        return [
            word.decode("utf-8", "replace").casefold()
            for word in reversed(_WORD.findall(window)[-_NUM_WORDS:])
        ]

    def word_after(self) -> str:
        """The word that follows with at most three spaces, dashes or brackets between, case folded; "" for none."""
        found = _NEXT_WORD.match(self.data, self.end, min(self.hi, self.end + 24))
        return found.group(1).decode("utf-8", "replace").casefold() if found else ""

    def beside_placeholder(self) -> bool:
        """Whether only separators part it from a placeholder: it was beside personal data when that was masked."""
        room = _LONGEST_PLACEHOLDER + 15
        before = self.data[max(self.lo, self.start - room) : self.start]
        after = self.data[self.end : min(self.hi, self.end + room)]
        if b">" in before and _ENDS_WITH_PLACEHOLDER.search(before):
            return True
        return b"<" in after and _BEGINS_WITH_PLACEHOLDER.match(after) is not None

    def is_labelled(self, labels: frozenset[str]) -> bool:
        return not labels.isdisjoint(self.words_before())

    def nearest_label(self, *kinds: frozenset[str]) -> int:
        """Which of the sets the nearest word before it that is in any of them belongs to; −1 for none."""
        for word in self.words_before():
            for index, labels in enumerate(kinds):
                if word in labels:
                    return index
        return -1
