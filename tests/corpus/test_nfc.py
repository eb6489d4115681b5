"""NFC is that of the standard library, in linear time whatever a text holds."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from corpus.nfc import LONGEST, nfc

MARKS = [chr(point) for point in range(0x110000) if unicodedata.combining(chr(point))]


@given(st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(MARKS)), max_size=60))
def test_it_is_that_of_the_standard_library(text: str) -> None:
    assert nfc(text) == unicodedata.normalize("NFC", text)


def test_a_run_of_marks_is_kept_whole_up_to_the_longest() -> None:
    for number in (0, 1, LONGEST - 1, LONGEST):
        for before in ("", "a" * 700):
            text = f"{before}e" + "\u0301\u0316" * (number // 2)
            assert nfc(text) == unicodedata.normalize("NFC", text)


def test_a_longer_run_is_cut_and_loses_nothing() -> None:
    """In one piece these would take a minute."""
    for before in (1, LONGEST - 1):
        text = "e" * before + "\u0301\u0316" * 150_000 + "e\u0301"
        found = nfc(text)
        assert found.endswith("é") and found.count("\u0301") >= 150_000 - 1
        assert max(map(len, found.split("\u034f"))) <= 2 * LONGEST and nfc(found) == found
