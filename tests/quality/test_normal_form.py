"""One form however a text is written, and the kernel finds every text that is not in it."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.normal_form import CONTEXTUAL, normal_form, with_normal_form

POINTS = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
COMPOSED = [char for char in POINTS if unicodedata.normalize("NFD", char) != char]
# What composes, comes apart, or is put in another order, beside all else.
PIECES = [*COMPOSED[::7], *{part for char in COMPOSED for part in unicodedata.normalize("NFD", char)}]
TEXTS = st.text(
    st.one_of(st.sampled_from([*PIECES, *CONTEXTUAL, "a", " "]), st.characters(exclude_categories=["Cs"])),
    max_size=12,
)


def lowered_one_by_one(texts: list[str]) -> list[str]:
    """As the kernel of shingles reads them: each character in lower case by itself."""
    rewritten = with_normal_form(pa.array(texts, pa.large_string())).to_pylist()
    return ["".join(map(str.lower, text)) for text in rewritten]


@settings(max_examples=500, deadline=None)
@given(st.lists(TEXTS, max_size=5))
def test_every_text_is_in_normal_form_once_its_characters_are_lowered(texts: list[str]) -> None:
    assert lowered_one_by_one(texts) == list(map(normal_form, texts))


def test_and_so_is_every_character_and_every_pair_of_a_cased_one_and_a_mark() -> None:
    cased = [
        char for char in POINTS if unicodedata.normalize("NFC", char) == char and char.lower() != char.upper()
    ]
    marks = sorted({mark for char in cased for mark in unicodedata.normalize("NFD", char)[1:]})
    pairs = [letter + mark for letter in cased for mark in marks]
    for texts in (POINTS, [unicodedata.normalize("NFD", char) for char in COMPOSED], pairs):
        assert lowered_one_by_one(texts) == list(map(normal_form, texts))


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_normal_form_is_one_however_a_text_is_written_and_stays(text: str) -> None:
    form = normal_form(text)
    assert normal_form(form) == form == unicodedata.normalize("NFC", form)
    for writing in ("NFC", "NFD"):
        assert normal_form(unicodedata.normalize(writing, text)) == form
        assert normal_form(unicodedata.normalize(writing, text).lower()) == form
        assert normal_form(unicodedata.normalize(writing, text.lower())) == form


def test_a_text_that_is_in_it_is_left_where_it_stands() -> None:
    texts = pa.array(["plain", "Điều này", "लड़कों के लिए", "한국어", "Größe"], pa.large_string())
    assert with_normal_form(texts) is texts
