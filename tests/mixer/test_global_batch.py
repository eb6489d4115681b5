"""The step's size: a function of the recipe alone, divisible or refused with what would fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import ConfigError
from mixer.global_batch import check_division, global_batch


@given(st.integers(1, 10**8), st.integers(1, 10**5))
def test_a_batch_is_the_nearest_multiple_of_64_or_power_of_two(tokens: int, length: int) -> None:
    size, exact = global_batch(tokens, length), tokens / length
    allowed = [2**n for n in range(7)] + [64 * n for n in (exact // 64, exact // 64 + 1) if n >= 1]
    assert size in allowed
    assert all(abs(size - exact) <= abs(other - exact) for other in allowed)


@pytest.mark.parametrize(
    ("tokens", "length", "size"),
    [(1_000_000, 4096, 256), (32_768, 512, 64), (1, 512, 1), (6144, 512, 8), (98_304, 512, 192)],
)
def test_examples(tokens: int, length: int, size: int) -> None:
    assert global_batch(tokens, length) == size


def test_a_division_that_leaves_a_rest_is_refused_with_values_that_fit() -> None:
    for world, micro in ((1, 192), (2, 96), (3, 64), (8, 24), (8, 1)):
        check_division(192, world, micro)
    with pytest.raises(
        ConfigError,
        match=r"by 8 processes × micro-batch 5; micro-batches that fit 8 processes: \[1, 2, 3, 4, 6, 8, 12, 24\]",
    ):
        check_division(192, 8, 5)
    with pytest.raises(ConfigError, match=r"numbers of processes that fit: \[1, 2, 4, 8"):
        check_division(64, 5, 1)
    with pytest.raises(ConfigError):
        check_division(64, 0, 1)
