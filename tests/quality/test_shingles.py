from __future__ import annotations

import itertools
import unicodedata

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.shingles import raw_shingles, shingle_hashes, shingles_identity, word_table
from tests.quality.word_windows import windows, words

TRICKY = (
    "abZ09_ .,-\n\0ßẞİIıiΣσςΔάⰿȺⱥÅKǅ\u0301\u200d\u200c\u0307हिन्दीक्षि한日本é🙂\u0660\u2040\U00010400\U0001d7d8"
    "ềÅ\u212bỤJjH\u030c\u0323\u0331ᾼᾳΪϋΥ\u0342\u0345\u0313क़क\u093c\u1112\u1161\u11ab\u0344"
)
TEXTS = st.text(st.one_of(st.sampled_from(TRICKY), st.characters(exclude_categories=["Cs"])), max_size=80)


def raw(texts: list[str | None], n: int = 5) -> list[list[int]]:
    starts, hashes = raw_shingles(pa.array(texts, pa.large_string()), n)
    return [hashes[a:b].tolist() for a, b in itertools.pairwise(starts)]


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4), st.integers(1, 6))
def test_hashes_are_equal_exactly_where_word_windows_are(texts: list[str], n: int) -> None:
    seen: dict[tuple[str, ...], int] = {}
    for text, hashes in zip(texts, raw([*texts], n), strict=True):
        expected = windows(text, n)
        assert len(hashes) == len(expected)
        for window, value in zip(expected, hashes, strict=True):
            assert seen.setdefault(window, value) == value
    assert len(set(seen.values())) == len(seen)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("हिन्दी में कि यह", ["हिन्दी", "में", "कि", "यह"]),  # Python's re would cut at the vowel signs
        ("İSTANBUL DİYARBAKIR", ["i̇stanbul", "di̇yarbakir"]),
        ("J\u030cI Ϊ\u0301 ᾼ\u0342", ["ǰi", "ΐ", "ᾷ"]),  # small letters that have no capital in one character
        (
            "ΣΟΦΟΣ ΟΔΟΣ ΣΑΣ Σ",
            ["σοφος", "οδος", "σας", "σ"],
        ),  # a final sigma at each word's end, none where it stands alone
        ("don't stop_it 3.14", ["don", "t", "stop_it", "3", "14"]),
        ("Straße STRASSE ẞ", ["straße", "strasse", "ß"]),
        ("zero\u200djoiner a\u200cb", ["zero\u200djoiner", "a\u200cb"]),
    ],
)
def test_words_are_those_of_the_contract(text: str, expected: list[str]) -> None:
    assert words(text) == expected
    assert raw([text], 1) == raw([" ".join(expected)], 1)
    assert len(set(raw([text], 1)[0])) == len(set(expected))


def test_every_character_is_a_word_character_exactly_where_the_regex_says_so() -> None:
    points = np.flatnonzero(np.arange(0x110000) & 0xFFFFF800 != 0xD800)
    one_each = pl.Series([chr(point).lower() for point in points]).str.contains(r"\w").to_numpy()
    assert np.array_equal(word_table()[points] != 0, one_each)


def test_lower_case_of_every_letter_is_python_s() -> None:
    upper = [
        chr(point)
        for point in range(0x110000)
        if not 0xD800 <= point < 0xE000 and chr(point).lower() != chr(point)
    ]
    assert raw(upper, 1) == raw([letter.lower() for letter in upper], 1)


FORMS = ("NFC", "NFD")


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.integers(1, 3))
def test_however_a_text_writes_its_characters_its_shingles_are_the_same(text: str, n: int) -> None:
    small = text.lower()
    written = [text, *(unicodedata.normalize(form, text) for form in FORMS)]
    again = [small, *(unicodedata.normalize(form, small) for form in FORMS), *map(str.lower, written)]
    assert all(found == raw([text], n)[0] for found in raw([*written, *again], n))


def test_case_and_punctuation_change_nothing_but_word_order_does() -> None:
    plain, loud, turned = raw(["one two three", "ONE -- Two, three!", "two one three"], 5)
    assert plain == loud != turned


def test_fewer_words_than_n_are_one_shingle_and_no_word_is_none() -> None:
    counts = [len(found) for found in raw(["", None, " ?! \n", "one", "a b c d", "a b c d e", "a b c d e f"])]
    assert counts == [0, 0, 0, 1, 1, 1, 2]


def test_a_short_document_is_not_the_window_of_a_longer_one() -> None:
    short, long = raw(["a b c d", "a b c d e f g h"])
    assert not set(short) & set(long)


@given(st.lists(st.one_of(st.none(), TEXTS), max_size=6), st.integers(0, 3), st.integers(0, 6))
@settings(max_examples=50, deadline=None)
def test_slices_and_string_width_change_nothing(texts: list[str | None], start: int, length: int) -> None:
    whole = raw(texts)
    for kind in (pa.string(), pa.large_string()):
        part = pa.array(texts, kind).slice(start, length)
        starts, hashes = raw_shingles(part, 5)
        assert [hashes[a:b].tolist() for a, b in itertools.pairwise(starts)] == whole[start : start + length]


def test_long_words_differ_in_any_character() -> None:
    base = "x" * 40
    variants = [base, base[:-1], base + "x", *(base[:i] + "y" + base[i + 1 :] for i in range(40))]
    assert len({found[0] for found in raw([*variants], 1)}) == len(variants)


def test_sets_are_sorted_and_unique() -> None:
    texts = pa.array(["to be or not to be or not to be or not", "a b c d e f g"], pa.large_string())
    starts, hashes = shingle_hashes(texts, 3)
    assert starts.tolist() == [0, 4, 9]
    for a, b in itertools.pairwise(starts):
        assert (np.diff(hashes[a:b].astype(object)) > 0).all()


GOLDEN = [[1241752055235100883, 17018847095608168039], [16189225681090450538], [18142416078033533126]]


def test_golden_hashes_of_version_3() -> None:
    assert shingles_identity()["version"] == 3
    assert raw(["The quick brown fox jumps over", "हिन्दी", "Ti\u0301nh J\u030c"]) == GOLDEN, (
        "hashes changed: raise SHINGLES_VERSION"
    )
