"""NFC is that of the standard library, in linear time whatever a text holds."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from corpus.nfc import LONGEST, _is_mark, nfc

MARKS = [chr(point) for point in range(0x110000) if unicodedata.combining(chr(point))]


@given(st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(MARKS)), max_size=60))
def test_it_is_that_of_the_standard_library(text: str) -> None:
    assert nfc(text) == unicodedata.normalize("NFC", text)


def test_a_mark_is_what_is_one_when_it_came_apart() -> None:
    for point in (point for point in range(0x110000) if not 0xD800 <= point < 0xE000):
        first = unicodedata.normalize("NFD", chr(point))[0]
        assert _is_mark(chr(point)) == (unicodedata.combining(first) > 0), hex(point)


def test_a_run_of_marks_is_kept_whole_up_to_the_longest() -> None:
    for number in (0, 1, LONGEST - 1, LONGEST):
        for before in ("", "a" * 700):
            text = f"{before}e" + "\u0301\u0316" * (number // 2)
            assert nfc(text) == unicodedata.normalize("NFC", text)


def test_a_longer_run_is_cut_and_loses_nothing() -> None:
    """In one piece these would take a minute."""
    for before, marks in ((1, "\u0301\u0316"), (LONGEST - 1, "\u0f73\u0301")):
        found = nfc("e" * before + marks * 150_000 + "e\u0301")
        assert found.endswith("é") and found.count("\u0301") >= 150_000 - 1
        assert max(map(len, found.split("\u034f"))) <= 3 * LONGEST
