"""Text as HTML: nothing of the text is markup, and what is shown is the text."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.marked import MAX_WORDS, MAX_WORK, Matcher, mark_difference, mark_text

TAGS = re.compile(r'<mark class="(?:pii|diff)">|</mark>')
TEXT = st.text(st.sampled_from("ab <>&\"'\n"), max_size=40) | st.text(max_size=40)


@given(TEXT)
def test_text_without_our_tags_is_the_text(text: str) -> None:
    bare = TAGS.sub("", mark_text(text))
    assert "<" not in bare
    assert html.unescape(bare) == text


@given(TEXT, TEXT)
def test_both_sides_of_a_difference_keep_their_text(first: str, second: str) -> None:
    for marked, text in zip(mark_difference(first, second), (first, second), strict=True):
        bare = TAGS.sub("", marked)
        assert "<" not in bare
        assert html.unescape(bare) == text


@given(TEXT)
def test_equal_texts_have_no_difference(text: str) -> None:
    assert 'class="diff"' not in "".join(mark_difference(text, text))


def test_long_texts_are_cut_and_say_so() -> None:
    assert "… 5 more characters" in mark_text("a" * 15, 10)
    left, right = mark_difference("word " * 2 * MAX_WORDS, "word")
    assert f"… {MAX_WORDS:,} more words" in left
    assert "diff" not in right
    assert "more" not in right


class Noted(Matcher):
    """Notes the work of every comparison; what would be over the bound is refused before it is done."""

    works: list[int] = []  # noqa: RUF012 (emptied by each test)

    def find_longest_match(self, *given: int) -> Any:
        before = self.work
        try:
            return super().find_longest_match(*given)
        finally:
            done = self.work if self.work <= MAX_WORK else before
            Noted.works.append(done - before)


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    monkeypatch.setattr("app.marked.Matcher", Noted)
    Noted.works.clear()
    return Noted.works


def test_texts_that_share_only_their_spaces_are_compared_in_one_look_at_each_word(works: list[int]) -> None:
    for num_words in (500, 1000, 2000):
        works.clear()
        mark_difference(" ".join(f"a{i}" for i in range(num_words)), " ".join(f"b{i}" for i in range(num_words)))  # fmt: skip
        assert sum(works) == num_words


@pytest.mark.parametrize(
    ("first", "second"), [("a b ", "b a "), ("a ", "a "), ("a a b ", "b a c "), ("a a a a a a a b ", "b b b a ")]
)  # fmt: skip
def test_what_would_take_too_much_work_is_cut_and_the_rest_is_named(
    works: list[int], first: str, second: str
) -> None:
    for left, right in ((first * 1000, second * 1000), (first * 500, second * 1000)):
        works.clear()
        said = mark_difference(left, right)
        assert sum(works) <= 4 * MAX_WORK
        for side, text in zip(said, (left, right), strict=True):
            shown, _, more = side.partition('<span class="more">')
            left_out = int(re.sub(r"\D", "", more) or 0)
            words = html.unescape(TAGS.sub("", shown)).split()
            assert words and words == text.split()[: len(words)]
            assert len(words) + left_out == len(text.split())
