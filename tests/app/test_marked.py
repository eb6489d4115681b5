"""Text as HTML: nothing of the text is markup, and what is shown is the text."""

from __future__ import annotations

import html
import re

from hypothesis import given
from hypothesis import strategies as st

from app.marked import MAX_WORDS, mark_difference, mark_text

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
    left, right = mark_difference("word " * MAX_WORDS, "word")
    assert f"… {MAX_WORDS:,} more words" in left
    assert "more" not in right
