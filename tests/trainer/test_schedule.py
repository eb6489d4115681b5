from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.config import Schedule
from trainer.schedule import Curve, build_curve, round_steps


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    steps = draw(st.integers(2, 400))
    warmup = draw(st.integers(0, steps))
    decay = draw(st.integers(0, steps - warmup))
    return Curve(draw(st.sampled_from(["cosine", "wsd"])), steps, warmup, decay, draw(st.floats(0, 1)))


@given(curves())
def test_a_curve_rises_to_its_peak_once_and_ends_on_its_floor(curve: Curve):
    factors = [curve.factor(step) for step in range(curve.num_steps)]
    peak = max(curve.warmup_steps - 1, 0)
    descends = peak < curve.num_steps - 1 and (curve.type == "cosine" or curve.decay_steps > 0)
    assert factors[-1] == pytest.approx(curve.floor if descends else 1, abs=1e-12)
    assert factors[peak] == 1
    assert all(b > a for a, b in pairwise(factors[: peak + 1]))
    assert all(b <= a + 1e-12 for a, b in pairwise(factors[peak:]))
    assert all(0 <= factor <= 1 + 1e-12 for factor in factors)


@given(curves())
def test_steps_after_the_last_stay_on_the_floor(curve: Curve):
    assert curve.factor(curve.num_steps) == pytest.approx(curve.factor(curve.num_steps - 1))


def test_wsd_holds_its_peak_until_the_descent():
    curve = build_curve(Schedule(type="wsd", warmup=0.1, decay=0.3, floor=0.0), 10, 64)
    assert [round(curve.factor(step), 3) for step in range(10)] == [1, 1, 1, 1, 1, 1, 1, 0.667, 0.333, 0]


def test_wsd_without_a_descent_stays_on_its_peak():
    for schedule in (
        Schedule(type="wsd", warmup=0, decay="0%"),
        Schedule(type="wsd", warmup="0%", decay=0),
        Schedule(type="wsd", warmup="100%", decay="0%"),
    ):
        curve = build_curve(schedule, 10, 64)
        assert curve.decay_steps == 0
        assert [curve.factor(step) for step in range(curve.warmup_steps, 10)] == [1] * (
            10 - curve.warmup_steps
        )


def test_lengths_may_be_shares_or_tokens():
    assert build_curve(Schedule(warmup=0.05), 100, 1000).warmup_steps == 5
    assert build_curve(Schedule(warmup=0.001), 100, 1000).warmup_steps == 1
    assert build_curve(Schedule(warmup="20k"), 100, 1000).warmup_steps == 20
    assert build_curve(Schedule(warmup=0), 100, 1000).warmup_steps == 0
    assert build_curve(Schedule(type="wsd", warmup="90k", decay="50k"), 100, 1000).decay_steps == 10


def test_a_run_of_one_step_trains_at_its_peak():
    assert build_curve(Schedule(warmup=0.01), 1, 64).factor(0) == 1
    assert build_curve(Schedule(warmup=0.0), 1, 64).factor(0) == 1


@given(st.integers(0, 10**12), st.integers(1, 10**7))
def test_rounding_is_to_the_nearest_step(tokens: int, size: int):
    assert abs(round_steps(tokens, size) * size - tokens) * 2 <= size
