"""NFC in linear time: a run of combining marks longer than any writing has is normalised in pieces.

`unicodedata.normalize` sorts a run in quadratic time [64,000 marks: 2.4 s; the half million of a megabyte: minutes], and a
corpus holds whatever somebody put there. The pieces are parted as Unicode's Stream-Safe Text Format parts them (UAX #15).
"""

from __future__ import annotations

import functools
import re
from unicodedata import combining, normalize

LONGEST = 1000  # marks
_MADE_OF_MARKS = "\u0f73\u0f75\u0f81"  # Tibetan vowels of class 0 that come apart into marks
_JOINER = "\u034f"  # combining grapheme joiner: invisible, and marks do not move across it


def nfc(text: str) -> str:
    """The text in NFC; a run of 2,000 marks or more gets a joiner after every 1,000th.

    >>> nfc("e\\u0301") == "é"
    True
    """
    if text.isascii():
        return text
    if _has_long_run(text):
        text = _piece_of_run().sub(rf"\g<0>{_JOINER}", text)
    return normalize("NFC", text)


def _is_mark(character: str) -> bool:
    """Whether it takes part in the order of a run, as it stands or once it came apart."""
    return combining(character) > 0 or character in _MADE_OF_MARKS


def _has_long_run(text: str) -> bool:
    """Whether there may be a run twice as long as the longest; one of that length has a mark at some multiple of it."""
    return any(
        _is_mark(text[at]) and all(map(_is_mark, text[at : at + LONGEST]))
        for at in range(0, len(text), LONGEST)
    )


@functools.cache
def _piece_of_run() -> re.Pattern[str]:
    marks = "".join(chr(point) for point in range(0x110000) if _is_mark(chr(point)))
    return re.compile(f"[{re.escape(marks)}]{{{LONGEST}}}(?=[{re.escape(marks)}])")
