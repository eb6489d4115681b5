"""Every repetition signal against a slow Python version of datatrove's definition."""

from __future__ import annotations

import pickle
import re
from collections import Counter
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.schema import OPERATORS
from quality.repetition import Repetition
from quality.words import split_words
from tests.quality.text_rows import measure_texts, neighbours_change_nothing

# few words, and some that join into one another: n-grams are compared without their spaces
WORDS = st.sampled_from(
    ["a", "b", "ab", "aa", "ba", "no", "where", "now", "here", "हिन्दी", "中", ".", "..", "abcdefghijklmnopq"]
)
SPACES = st.sampled_from([" ", " ", " ", "\n", "\n\n", "\n\n\n", " \n"])
WEAVES = st.lists(st.tuples(WORDS, SPACES), max_size=80).map(lambda pairs: "".join(w + s for w, s in pairs))
PERIODIC = st.tuples(
    st.lists(WORDS, min_size=1, max_size=12), st.integers(1, 12), st.lists(WORDS, max_size=12)
).map(lambda parts: " ".join(parts[0] * parts[1] + parts[2]))
LINES = st.lists(st.sampled_from(["", "x", "one line", "一行", " ", "\u2028"]), max_size=30).map("\n".join)
TEXTS = st.one_of(WEAVES, PERIODIC, LINES, st.text(st.characters(exclude_categories=["Cs"]), max_size=80))


def repeats(pieces: list[str]) -> tuple[int, int]:
    seen: set[str] = set()
    number, chars = 0, 0
    for piece in pieces:
        if piece in seen:
            number, chars = number + 1, chars + len(piece)
        seen.add(piece)
    return number, chars


def top_chars(words: list[str], n: int) -> int:
    grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not grams:
        return 0
    gram, count = Counter(grams).most_common(1)[0]
    return len(gram) * count


def duplicate_chars(words: list[str], n: int) -> int:
    seen: set[str] = set()
    chars, at = 0, 0
    while at + n <= len(words):
        gram = "".join(words[at : at + n])
        if gram in seen:
            chars, at = chars + len(gram), at + n
        else:
            seen.add(gram)
            at += 1
    return chars


def reference(text: str) -> dict[str, float]:
    if not text:
        return dict.fromkeys(OPERATORS["repetition"].names[1:], 0.0)
    words, total = split_words(text), len(text)
    paragraphs, lines = re.split(r"\n{2,}", text.strip()), re.split(r"\n+", text)
    (num_paragraphs, paragraph_chars), (num_lines, line_chars) = repeats(paragraphs), repeats(lines)
    return (
        {
            "dup_paragraph_ratio": num_paragraphs / len(paragraphs),
            "dup_paragraph_char_ratio": paragraph_chars / total,
        }
        | {"dup_line_ratio": num_lines / len(lines), "dup_line_char_ratio": line_chars / total}
        | {f"top_{n}_gram_char_ratio": top_chars(words, n) / total for n in (2, 3, 4)}
        | {f"dup_{n}_gram_char_ratio": duplicate_chars(words, n) / total for n in range(5, 11)}
    )


measured = partial(measure_texts, Repetition())


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """Compile before hypothesis watches: under its tracing that takes four times as long."""
    measured("x")


@settings(max_examples=600, deadline=None)
@given(TEXTS)
def test_signals_are_datatroves_by_the_slow_reference(text: str) -> None:
    assert measured(text) == [reference(text)]


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, max_size=5), st.integers(0, 5))
def test_rows_ids_and_order_stay_and_neighbours_change_nothing(texts: list[str], cut: int) -> None:
    assert measured(*texts) == [reference(text) for text in texts]
    assert neighbours_change_nothing(Repetition(), texts, cut)


def test_the_first_seen_of_equally_frequent_ngrams_counts() -> None:
    # "a bb" and "ccc dddd" both occur twice; the first is the shorter one
    text = "a bb ; ccc dddd , a bb : ccc dddd"
    assert measured(text)[0]["top_2_gram_char_ratio"] == 2 * len("a bb") / len(text)


def test_ngrams_are_compared_without_spaces_and_read_on_behind_a_repeat() -> None:
    text = "a b c d e ab c d e f a b c d e"
    assert (
        measured(text)[0]["dup_5_gram_char_ratio"]
        == reference(text)["dup_5_gram_char_ratio"]
        == 5 / len(text)
    )
    assert measured("x y now here z x y no where z")[0]["dup_5_gram_char_ratio"] > 0


def test_an_erased_text_reads_as_empty() -> None:
    assert measured(None, "", "\n") == [reference(""), reference(""), reference("\n")]


def test_one_word_repeated_without_end_is_all_repetition() -> None:
    (row,) = measured("word " * 20_000)
    assert row == reference("word " * 20_000)


def test_operator_travels_to_a_worker() -> None:
    assert pickle.loads(pickle.dumps(Repetition())) == Repetition()
    assert set(Repetition().identity()) == {"unicode", "words"}


def test_golden_values_of_version_1() -> None:
    verse = "It was the best of times, it was the worst of times, it was the age of wisdom.\nIt was.\n\n"
    (row,) = measured(verse + "It was the spring of hope.\nIt was.\n\n" + verse)
    assert Repetition.version == 1
    assert {name: round(value, 6) for name, value in row.items()} == GOLDEN


GOLDEN = {
    "dup_paragraph_ratio": 0.333333,
    "dup_paragraph_char_ratio": 0.40566,
    "dup_line_ratio": 0.428571,
    "dup_line_char_ratio": 0.433962,
    "top_2_gram_char_ratio": 0.231132,
    "top_3_gram_char_ratio": 0.188679,
    "top_4_gram_char_ratio": 0.245283,
    "dup_5_gram_char_ratio": 0.382075,
    "dup_6_gram_char_ratio": 0.382075,
    "dup_7_gram_char_ratio": 0.349057,
    "dup_8_gram_char_ratio": 0.316038,
    "dup_9_gram_char_ratio": 0.245283,
    "dup_10_gram_char_ratio": 0.283019,
}
