"""Every heuristic signal against a slow Python version of datatrove's definition."""

from __future__ import annotations

import pickle
import unicodedata
from functools import partial

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.characters import sentence_terminals
from quality.heuristics import STOP_WORDS, Heuristics
from quality.words import split_words
from tests.quality.text_rows import measure_texts, neighbours_change_nothing

PIECES = [
    *STOP_WORDS, "The", "words", "e.g.", "हिन्दी", "中文。", "x" * 40, "...", "....", "......", "…", "#", "##", "-", "•", "{", "}",
    "Lorem Ipsum", "lorem  ipsum", "LOREM IPSUM", "loREm ipsumlorem ipsum", ".", "?", "।", "\u200b", "\u0301", "1,000", "é", "\x00",
    " ", "  ", "\t", "\u3000", "\n", "\n\n", "\r\n", "\r", "\x0b", "\x1c", "\x85", "\u2028",
]  # fmt: skip
PROSE = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
LINES = st.lists(
    st.sampled_from(
        ["- item one", "• item", " ", "", "a line that ends.", "and so on...", "x" * 30, "x" * 31]
    ),
    max_size=20,
)
TEXTS = st.one_of(PROSE, LINES.map("\n".join), st.text(st.characters(exclude_categories=["Cs"]), max_size=80))


def reference(text: str) -> dict[str, float]:
    words = split_words(text)
    plain = [
        w for w in words if not (unicodedata.category(w[0])[0] in "PS" or unicodedata.category(w[0]) == "Cc")
    ]
    lines = text.splitlines()
    web_lines = [line for line in text.split("\n") if line.strip() != ""]
    seen: set[str] = set()
    dup_chars = 0
    for line in web_lines:
        dup_chars += len(line) if line in seen else 0
        seen.add(line)

    def over(part: float, whole: float) -> float:
        return part / whole if whole else 0.0

    return {
        "num_chars": len(text),
        "num_words": len(plain),
        "num_lines": len(lines),
        "num_stop_words": len(set(STOP_WORDS) & set(words)),
        "mean_word_length": over(sum(map(len, plain)), len(plain)),
        "hash_ratio": over(text.count("#"), len(words)),
        "ellipsis_ratio": over(text.count("...") + text.count("…"), len(words)),
        "bullet_line_ratio": over(sum(line.lstrip().startswith(("•", "-")) for line in lines), len(lines)),
        "ellipsis_line_ratio": over(sum(line.rstrip().endswith(("...", "…")) for line in lines), len(lines)),
        "alpha_word_ratio": over(sum(any(c.isalpha() for c in w) for w in words), len(words)),
        "line_punct_ratio": over(
            sum(line.endswith(tuple(sentence_terminals())) for line in web_lines), len(web_lines)
        ),
        "short_line_ratio": over(sum(len(line) <= 30 for line in web_lines), len(web_lines)),
        "char_dup_ratio": over(dup_chars, len(text.replace("\n", ""))),
        "list_ratio": over(text.count("\n"), len(words)),
    }


measured = partial(measure_texts, Heuristics())


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """Compile before hypothesis watches: under its tracing that takes four times as long."""
    measured("x")


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_signals_are_datatroves_by_the_slow_reference(text: str) -> None:
    assert measured(text) == [reference(text)]


@settings(max_examples=50, deadline=None)
@given(st.lists(TEXTS, max_size=5), st.integers(0, 5))
def test_rows_ids_and_order_stay_and_neighbours_change_nothing(texts: list[str], cut: int) -> None:
    assert measured(*texts) == [reference(text) for text in texts]
    assert neighbours_change_nothing(Heuristics(), texts, cut)


def test_an_erased_text_reads_as_empty() -> None:
    assert measured(None, "", "a word.") == [reference(""), reference(""), reference("a word.")]
    assert set(reference("").values()) == {0}


def test_stop_words_count_once_and_only_in_exact_case() -> None:
    assert measured("the the The TO with")[0]["num_stop_words"] == 2


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_either_arrow_string_type_is_read(kind: pa.DataType) -> None:
    batch = pa.record_batch({"doc_id": pa.array(["a"]), "text": pa.array(["Some text."], kind)})
    assert Heuristics()(batch).drop_columns(["doc_id"]).to_pylist() == [reference("Some text.")]


def test_operator_travels_to_a_worker_and_names_its_unicode() -> None:
    operator = pickle.loads(pickle.dumps(Heuristics()))
    assert operator == Heuristics()
    assert operator.identity()["unicode"] == unicodedata.unidata_version


def test_golden_values_of_version_2() -> None:
    text = "# The title\n\n- one item\n- one item\nIt was the best of times; it wasn't... {x}\nA line that ends the text, of 1,000 words.\n"
    (row,) = measured(text)
    assert Heuristics.version == 2
    assert {name: round(value, 6) for name, value in row.items()} == GOLDEN


GOLDEN = {
    "num_chars": 121,
    "num_words": 24,
    "num_lines": 6,
    "num_stop_words": 3,
    "mean_word_length": 3.416667,
    "hash_ratio": 0.030303,
    "ellipsis_ratio": 0.030303,
    "bullet_line_ratio": 0.333333,
    "ellipsis_line_ratio": 0.0,
    "alpha_word_ratio": 0.69697,
    "line_punct_ratio": 0.2,
    "short_line_ratio": 0.6,
    "char_dup_ratio": 0.086957,
    "list_ratio": 0.181818,
}
