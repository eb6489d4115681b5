"""The table names as a dictionary does, and equal bytes hash equal wherever they stand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.hash_table import hash_blocks, hash_bytes, name_of, roomy, table_size
from quality.kernel import kernel


@kernel
def _names(keys: np.ndarray, slots: np.ndarray, size: int, stamp: int) -> np.ndarray:
    names, fresh = np.empty(len(keys), np.int64), 0
    for i in range(len(keys)):
        names[i] = name_of(slots, size, stamp, keys[i], fresh)
        fresh += names[i] == fresh
    return names


@kernel
def _hash_in_blocks(blocks: np.ndarray, start: int, stop: int) -> int:
    return hash_blocks(blocks, start, stop)


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """Compile before hypothesis watches: under its tracing that takes four times as long."""
    _names(np.zeros(1, np.uint64), roomy(np.zeros(0, np.uint64), 1), 16, 1)
    _hash_in_blocks(np.zeros(2, np.uint64), 0, 1)
    hash_bytes(np.zeros(1, np.uint8), 0, 1)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([0, 1, 2, 3, 1 << 32, 2**64 - 1]) | st.integers(0, 2**64 - 1), max_size=40),
        max_size=4,
    )
)
def test_each_stamp_names_like_a_fresh_dictionary(rounds: list[list[int]]) -> None:
    slots = np.zeros(0, np.uint64)
    for stamp, keys in enumerate(rounds, start=1):
        slots, expected = roomy(slots, len(keys)), dict[int, int]()
        for key in keys:
            expected.setdefault(key, len(expected))
        names = _names(np.array(keys, np.uint64), slots, table_size(len(keys)), stamp)
        assert names.tolist() == [expected[key] for key in keys]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(0, 9), st.integers(0, 9))
def test_hashes_tell_bytes_apart_and_not_where_they_stand(
    left: bytes, right: bytes, at: int, other: int
) -> None:
    def hashes(raw: bytes, shift: int) -> tuple[int, int]:
        data = np.frombuffer(b"\xff" * shift + raw + b"\x01" * (24 - (shift + len(raw)) % 8), np.uint8)
        span = shift, shift + len(raw)
        return hash_bytes(data, *span), _hash_in_blocks(data.view(np.uint64), *span)

    assert hashes(left, at) == hashes(left, other)
    assert all(a != b for a, b in zip(hashes(left, at), hashes(right, other), strict=True)) == (left != right)
