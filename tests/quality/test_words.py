"""The word rule against a slow second implementation: classes as letters, words by a regular expression over them."""

from __future__ import annotations

import hashlib
import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality import characters
from quality.words import split_words

TRICKY = st.sampled_from(
    [
        *"ab1٣é中हिं\u0301\u200d\u200b\u200c\ufe0f\u00a0\u2028\x00\x1c\t\n '’.,:;-‐–_#!…•\"❤😀👍🏽()/٬",
        "...",
        "--",
        "don't",
        "x.y",
    ]
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    st.lists(TRICKY, max_size=40).map("".join),
)


def class_letter(character: str) -> str:
    category = unicodedata.category(character)
    if character.isspace() or character == "\u200b":
        return "s"
    if category[0] in "PS" or category == "Cc":
        return "j" if character in "'’.-‐‑_" else ("n" if character in ",:" else "p")
    return "x" if category[0] == "M" or category == "Cf" else ("d" if category == "Nd" else "w")


def reference_words(text: str) -> list[str]:
    classes = "".join(map(class_letter, text))
    plain = re.compile(r"[wdx](?:[wdx]|j(?=[wd])|(?<=d)n(?=d)|(?<=x)n(?=d))*")
    words, at = [], 0
    while at < len(text):
        if classes[at] == "s":
            at += 1
        elif classes[at] in "wdx":
            stop = plain.match(classes, at).end()  # type: ignore[union-attr]
            # a number's separator looks through marks at the last character that is none
            for inner in range(at, stop):
                if classes[inner] == "n" and classes[at:inner].rstrip("x")[-1:] != "d":
                    stop = inner
                    break
            words.append(text[at:stop])
            at = stop
        else:
            stop = at + 1
            while stop < len(text) and (text[stop] == text[at] or classes[stop] == "x"):
                stop += 1
            words.append(text[at:stop])
            at = stop
    return words


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """Compile before hypothesis watches: under its tracing that takes four times as long."""
    split_words("x")


@settings(max_examples=500, deadline=None)
@given(TEXTS)
def test_words_are_the_reference_words(text: str) -> None:
    assert split_words(text) == reference_words(text)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_words_hold_every_character_but_separators(text: str) -> None:
    assert "".join(split_words(text)) == "".join(c for c in text if not (c.isspace() or c == "\u200b"))


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS)
def test_words_of_two_texts_apart_are_the_words_of_both(left: str, right: str) -> None:
    assert split_words(f"{left}\n{right}") == split_words(left) + split_words(right)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n\u3000", []),
        ("Don't stop—believin'.", ["Don't", "stop", "—", "believin", "'", "."]),
        ("well-known e.g. U.S. example.com", ["well-known", "e.g", ".", "U.S", ".", "example.com"]),
        ("1,000 at 12:30, s. 4:b", ["1,000", "at", "12:30", ",", "s", ".", "4", ":", "b"]),
        ("## a -- b ... ?!", ["##", "a", "--", "b", "...", "?", "!"]),
        ("हिन्दी की किताब।", ["हिन्दी", "की", "किताब", "।"]),
        ("می‌خواهم", ["می‌خواهم"]),
        ("❤️❤️ ok", ["❤️❤️", "ok"]),
        ("cafe\u0301 a\u200bb", ["cafe\u0301", "a", "b"]),
    ],
)
def test_words_by_example(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_class_table_agrees_with_python_on_every_code_point() -> None:
    table = characters.class_table()
    points = [p for p in range(0x110000) if not 0xD800 <= p < 0xE000]
    for bit, holds in (
        (characters.SPACE, str.isspace),
        (characters.ALPHA, str.isalpha),
        (characters.DIGIT, str.isdecimal),
        (characters.LINE_BREAK, lambda c: len(f"a{c}a".splitlines()) == 2),
    ):
        assert [p for p in points if bool(table[p] & bit) != holds(chr(p))] == []


def test_sentence_terminals_are_the_peers() -> None:
    """As `datatrove.utils.text.TERMINAL_PUNCTUATION` of datatrove 0.10.1 has them, by number and hash."""
    found = "".join(sorted(characters.sentence_terminals()))
    assert len(found) == 159
    assert hashlib.sha256(found.encode()).hexdigest() == (
        "223fdebf0f76873809176fd2d6d8872e39bdc969664a293b233a45ce7fc396ab"
    )


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_strip_and_decode_are_pythons(text: str) -> None:
    data = np.frombuffer(b"ab" + text.encode() + b"cd", np.uint8)
    start, stop = characters.strip(data, 2, len(data) - 2, characters.class_table())
    assert bytes(data[start:stop]).decode() == text.strip()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40))
def test_bytes_that_are_not_utf8_are_read_inside_their_bounds(raw: bytes) -> None:
    data, position = np.frombuffer(raw, np.uint8), 0
    while position < len(raw):
        _, size = characters.decode(data, position, len(raw))
        position += size
    assert position == len(raw)
