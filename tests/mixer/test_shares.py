"""Closed forms against brute force and published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from mixer.shares import fill_to_caps, fresh_equivalent, natural, temperature, uniform, unimax

sizes = st.lists(st.integers(0, 10**9), min_size=1, max_size=8).filter(any).map(np.array)


def test_unimax_gives_the_published_example() -> None:
    assert unimax(np.array([1, 5, 20, 200]), 100, 4).round(12).tolist() == [0.04, 0.20, 0.38, 0.38]
    assert unimax(np.array([200, 1, 20, 5]), 100, 4).round(12).tolist() == [0.38, 0.04, 0.38, 0.20]


@given(sizes, st.floats(1, 1e9), st.floats(0.5, 20))
def test_unimax_is_uniform_filled_up_to_the_caps(counts: np.ndarray, budget: float, epochs: float) -> None:
    """Two algorithms for one thing: the smallest amount is as large as the caps allow, then the next."""
    caps = epochs * counts / budget
    if caps.sum() >= 1:
        even = np.full(len(counts), 1 / len(counts))
        assert np.allclose(unimax(counts, budget, epochs), fill_to_caps(even, caps), atol=1e-9)


@given(sizes)
def test_temperature_runs_from_natural_to_uniform(counts: np.ndarray) -> None:
    assert np.allclose(temperature(counts, 1.0), counts / counts.sum(), atol=1e-12)
    assert np.allclose(temperature(counts, 1e12), uniform(counts), atol=1e-9)
    square_roots = np.sqrt(counts) / np.sqrt(counts).sum()
    assert np.allclose(temperature(counts, 2.0), square_roots, atol=1e-12)


@pytest.mark.parametrize("tau", [1e-3, 0.1, 1.0, 100.0])
def test_no_temperature_overflows(tau: float) -> None:
    assert temperature(np.array([3, 10**12, 0]), tau).sum() == pytest.approx(1)


def test_sources_without_tokens_get_nothing() -> None:
    empty = np.array([0, 7, 0])
    for found in (natural(empty), uniform(empty), temperature(empty, 3), unimax(empty, 10, 4)):
        assert found.tolist() == [0, 1, 0]
    assert natural(np.array([0, 0])).tolist() == [0, 0]


portions = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=7)


@given(portions)
def test_filling_equals_the_linear_programme(drawn: list[tuple[int, int]]) -> None:
    """max λ-fair amounts: the largest total of min(cap, λ·share) that does not exceed 1, by bisection on λ."""
    shares = np.array([share for share, _ in drawn], dtype=float)
    caps = np.array([cap / 1000 for _, cap in drawn])
    if shares.sum() == 0:
        return
    shares /= shares.sum()
    low, high = 0.0, 1e7
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(caps, middle * shares).sum() < 1 else (low, middle)
    assert np.allclose(fill_to_caps(shares, caps), np.minimum(caps, low * shares), atol=1e-9)


@given(portions)
def test_filling_meets_the_budget_whenever_any_amounts_do(drawn: list[tuple[int, int]]) -> None:
    shares, caps = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    caps /= 1000
    allowed = np.where(shares > 0, caps, 0)
    best = linprog(
        -np.ones(len(caps)), A_ub=[np.ones(len(caps))], b_ub=[1.0], bounds=[(0, cap) for cap in allowed]
    )
    found = fill_to_caps(shares / max(shares.sum(), 1), caps)
    assert found.sum() == pytest.approx(-best.fun, abs=1e-9)
    assert (found <= allowed + 1e-12).all()


def test_repeated_tokens_are_worth_what_the_paper_says() -> None:
    published = {2: 1.97, 4: 3.73, 8: 6.62, 16: 10.58, 40: 15.2}
    assert {
        epochs: round(fresh_equivalent(epochs, 1), 2 if epochs < 40 else 1) for epochs in published
    } == published
    assert fresh_equivalent(10, 20) == 10
