"""Differences of two identities: all of them, and enough to make one from the other."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from corpus.differences import ABSENT, find_differences, with_values
from corpus.fingerprint import fingerprint

trees = st.recursive(
    st.integers() | st.text("abc", max_size=2) | st.none() | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=8,
)
identities = st.dictionaries(st.sampled_from(["a", "b", "c"]), trees, max_size=3)


@given(identities, identities)
def test_differences_make_one_identity_from_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    found = list(find_differences(old, new))
    assert with_values(old, {key: now for key, _, now in found}) == new
    assert bool(found) is (fingerprint(old) != fingerprint(new))


def test_a_share_of_the_whole_is_not_one_token() -> None:
    assert list(find_differences({"warmup": 1.0}, {"warmup": 1})) == [("warmup", 1.0, 1)]


def test_a_key_that_is_not_there_is_named() -> None:
    old = {"a": {"b": 1, "c": [1]}, "d": 2}
    new = {"a": {"b": 1, "c": [2]}, "d": 2, "e": 0}
    assert list(find_differences(old, new)) == [("a.c", [1], [2]), ("e", ABSENT, 0)]
