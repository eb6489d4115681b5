"""C4's line rules against a slow Python version of datatrove's definition, and the laws of cut spans."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.c4_lines import POLICY, C4Lines
from tests.quality.text_rows import measure_texts

CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
PIECES = [
    "word", "two words", "A whole sentence here.", "Ends here!", "ends so...", 'said "so"', "it's'", "JavaScript", "javascript", "Java",
    "[12]", "[edit]", "[citation needed]", "[٣]", "[]", "[", "]", "[x]", ".", "..", "?", "e.g. so", "Dr. No", "हिन्दी वाक्य।", "中文。中文。",
    "Lorem Ipsum", "lorem ipsum {}", "{", "Terms of Use", "privacy policy", "USE COOKIES", "cookies", "y" * 12, " ", "  ", "\t", "\u3000", "\x00", "é", "(", '"', "\n", "\n\n",
    "\r\n", "\r", "\x0b", "\x1c", "\x85", "\u2028",
]  # fmt: skip
TEXTS = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
)
OPERATORS_TRIED = st.builds(
    C4Lines,
    terminal_punct=st.booleans(),
    min_words_per_line=st.integers(0, 4),
    max_word_length=st.integers(0, 14),
    javascript=st.booleans(),
    policy=st.booleans(),
)


def reference_reason(operator: C4Lines, line: str) -> str | None:
    lowered = "".join(c.lower() if c.isascii() else c for c in line)
    line = line.strip()
    words = line.split()
    if not words:
        return None
    if operator.max_word_length and any(len(word) > operator.max_word_length for word in words):
        return "long_word"
    line = CITATION.sub("", line)
    if operator.terminal_punct and (not line.endswith((".", "?", "!", '"', "'")) or line.endswith("...")):
        return "no_terminal_punct"
    if len(words) < operator.min_words_per_line:
        return "too_few_words"
    if operator.javascript and "javascript" in lowered:
        return "javascript"
    if operator.policy and any(phrase in lowered for phrase in POLICY):
        return "policy"
    return None


def reference_cuts(operator: C4Lines, text: str) -> list[dict[str, Any]]:
    cuts, start = [], 0
    for line in text.splitlines(keepends=True):
        stop = start + len(line.encode())
        reason = reference_reason(operator, line)
        if reason:
            cuts.append({"start": start, "end": stop, "reason": reason})
        start = stop
    return cuts


def reference_counts(operator: C4Lines, text: str) -> tuple[int, int]:
    """Of "lorem ipsum" and `{`, in the lines where datatrove's filter would come to look for them."""
    lorem_ipsum, curly_brackets = 0, 0
    for line in text.splitlines():
        reason = reference_reason(operator, line)
        if reason in (None, "javascript", "policy"):
            lorem_ipsum += line.lower().count("lorem ipsum")
        if reason in (None, "policy"):
            curly_brackets += line.count("{")
    return lorem_ipsum, curly_brackets


def without(text: str, cuts: list[dict[str, Any]]) -> str:
    raw, at, kept = text.encode(), 0, b""
    for cut in cuts:
        kept, at = kept + raw[at : cut["start"]], cut["end"]
    return (kept + raw[at:]).decode()


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """Compile before hypothesis watches: under its tracing that takes four times as long."""
    measure_texts(C4Lines(terminal_punct=True), "x")


@settings(max_examples=500, deadline=None)
@given(OPERATORS_TRIED, TEXTS)
def test_cuts_are_datatroves_by_the_slow_reference(operator: C4Lines, text: str) -> None:
    (row,) = measure_texts(operator, text)
    assert row["cuts"] == reference_cuts(operator, text)
    found = (row["num_lorem_ipsum_after_cuts"], row["num_curly_brackets_after_cuts"])
    assert found == reference_counts(operator, text)


@pytest.mark.parametrize(
    ("line", "lorem_ipsum", "curly_brackets"),
    [
        ("A sentence with {one} and {two}.", 0, 2),
        ("function {", 0, 0),
        ("lorem ipsum", 0, 0),
        ("Here is lorem ipsum, LOREM IPSUM {", 2, 1),
        ("This javascript has lorem ipsum and {", 1, 0),
        ("Our privacy policy has lorem ipsum and {", 1, 1),
        (f"lorem ipsum {{ {'y' * 1001}", 0, 0),
    ],
)
def test_what_c4_drops_for_is_counted_in_lines_not_yet_cut(
    line: str, lorem_ipsum: int, curly_brackets: int
) -> None:
    for text in (line, f"First a line that stays.\n{line}\n"):
        (row,) = measure_texts(C4Lines(), text)
        assert row["num_lorem_ipsum_after_cuts"] == lorem_ipsum
        assert row["num_curly_brackets_after_cuts"] == curly_brackets


@settings(max_examples=200, deadline=None)
@given(OPERATORS_TRIED, st.lists(TEXTS, max_size=5))
def test_cutting_what_was_cut_changes_nothing_and_neighbours_neither(
    operator: C4Lines, texts: list[str]
) -> None:
    rows = measure_texts(operator, *texts)
    edited = [without(text, row["cuts"]) for text, row in zip(texts, rows, strict=True)]
    for text, row, left, again in zip(texts, rows, edited, measure_texts(operator, *edited), strict=True):
        assert again["cuts"] == []
        assert again["num_sentences_after_cuts"] == row["num_sentences_after_cuts"]
        for name in ("num_lorem_ipsum_after_cuts", "num_curly_brackets_after_cuts"):
            assert again[name] <= row[name]
        cut_bytes = len(text.encode()) - len(left.encode())
        assert row["cut_byte_ratio"] == (cut_bytes / len(text.encode()) if text else 0.0)


@pytest.mark.parametrize(
    ("line", "sentences"),
    [
        ("", 0),
        ("no mark at all", 1),
        ("One here. Two here! Three here?", 3),
        ("See e.g. the law, i.e. this one.", 1),
        ('He said "Stop." Then he left.', 2),
        ("Wait... what?! Yes.", 2),
        ("Version 3.14 of example.com is out.", 1),
        ("पहला वाक्य। दूसरा वाक्य।", 2),
        ("第一句。第二句！第三句", 3),
        ("... !!! ???", 0),
        ("Dr. No came.", 2),
    ],
)
def test_sentences_by_example(line: str, sentences: int) -> None:
    operator = C4Lines(min_words_per_line=0)
    assert measure_texts(operator, line)[0]["num_sentences_after_cuts"] == sentences
    assert measure_texts(operator, f"{line}\n\n{line}\n")[0]["num_sentences_after_cuts"] == 2 * sentences


def test_blank_lines_stay_and_the_newline_goes_with_its_line() -> None:
    text = "Menu\n\nA first line to keep.\nLogin\nThe end of the text is here"
    (row,) = measure_texts(C4Lines(), text)
    assert without(text, row["cuts"]) == "\nA first line to keep.\nThe end of the text is here"
    assert [cut["reason"] for cut in row["cuts"]] == ["too_few_words", "too_few_words"]


def test_an_erased_text_reads_as_empty() -> None:
    for row in measure_texts(C4Lines(), None, ""):
        assert list(row.values()) == [0, 0, 0, 0.0, []]


def test_more_cuts_than_the_first_buffer_holds() -> None:
    (row,) = measure_texts(C4Lines(), "ab\n" * 1000)
    assert [(cut["start"], cut["end"]) for cut in row["cuts"]] == [(3 * i, 3 * i + 3) for i in range(1000)]


def test_options_are_identity_and_the_operator_travels() -> None:
    assert pickle.loads(pickle.dumps(C4Lines(terminal_punct=True))) == C4Lines(terminal_punct=True)
    assert C4Lines(terminal_punct=True).identity() != C4Lines().identity()
    assert C4Lines.version == 2
