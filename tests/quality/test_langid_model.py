"""The kernel says of a text what py3langid says of it."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.langid_model import load_model
from tests.quality.test_language import SENTENCES

WORDS = sorted({word for sentence in SENTENCES.values() for word in sentence.split()})
TEXTS = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
)


@functools.cache
def py3langid() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def agree(texts: list[str]) -> None:
    found = load_model().classify(texts)
    assert len(found) == len(texts)
    for text, (language, score) in zip(texts, found, strict=True):
        expected = dict(py3langid().rank(text))
        assert score == pytest.approx(expected[language], abs=1e-4)
        assert score == pytest.approx(max(expected.values()), abs=1e-4)


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """Compile before hypothesis watches: under its tracing that takes four times as long."""
    load_model().classify(["x"])


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, max_size=5))
def test_language_and_score_are_those_of_py3langid(texts: list[str]) -> None:
    agree(texts)


def test_capitals_accents_and_two_scripts_of_one_language_are_read_as_py3langid_does() -> None:
    serbian = "Суд је одлучио да станар нема право да остане у згради након истека уговора о закупу."
    latin = "Sud je odlučio da stanar nema pravo da ostane u zgradi nakon isteka ugovora o zakupu."
    agree(
        [SENTENCES["fr"].upper(), "e\u0301te\u0301 a\u0300 la plage", serbian, latin, "", "\n", "\x00" * 30]
    )
    assert load_model().classify([serbian])[0][0] == "sr"


def test_a_text_s_answer_does_not_depend_on_the_others() -> None:
    texts = list(SENTENCES.values())
    assert load_model().classify(texts * 2) == [load_model().classify([text])[0] for text in texts] * 2
