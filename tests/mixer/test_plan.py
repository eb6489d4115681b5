"""The plan's laws: a pure function with an exact ledger and an exact inverse, whatever the segments."""

from __future__ import annotations

import json
import math
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import ConfigError, UnknownName
from mixer.plan import Location, MixPlan, make_plan, plan_source
from mixer.sampling import UNITS

L = 8
NO_CAP = 1e9


@st.composite
def plans(draw: st.DrawFn, global_batch: int = 0) -> MixPlan:
    """Small plans: 1–5 sources, 1–3 phases, sources of 1–400 sequences read many times."""
    k = draw(st.integers(1, 5))
    sources = [
        plan_source(f"s{i}", draw(st.integers(1, 400)) * L + draw(st.integers(1, L)), L, NO_CAP)
        for i in range(k)
    ]
    batch = global_batch or draw(st.sampled_from([1, 4, 64]))
    steps = draw(st.integers(1, max(1, 1200 // batch)))
    starts = sorted({0} | draw(st.sets(st.integers(0, steps * batch - 1), max_size=2)))
    phases = []
    for start in starts:
        raw = draw(st.lists(st.integers(0, 100), min_size=k, max_size=k).filter(any))
        phases.append((start, {f"s{i}": value / sum(raw) for i, value in enumerate(raw)}))
    return make_plan(
        sources,
        phases,
        seed=draw(st.integers(0, 2**31)),
        sequence_length=L,
        global_batch_sequences=batch,
        num_steps=steps,
    )


def rows(plan: MixPlan, start: int = 0, stop: int | None = None) -> list[tuple[int, int, int]]:
    found = plan.locate_many(np.arange(start, plan.num_sequences if stop is None else stop))
    return list(zip(found.source.tolist(), found.epoch.tolist(), found.index_in_source.tolist(), strict=True))


@given(plans(), st.data())
def test_the_ledger_is_what_was_located_and_sums_to_the_budget(plan: MixPlan, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, plan.num_sequences))
    counted = Counter((source, epoch) for source, epoch, _ in rows(plan, 0, at))
    ledger = {
        (i, e): tokens
        for i, source in enumerate(plan.sources)
        for e, tokens in enumerate(plan.consumed(at)[source.name])
    }
    assert ledger == {key: count * L for key, count in counted.items()}
    assert sum(ledger.values()) == at * L
    assert sum(map(sum, plan.consumed(plan.num_sequences).values())) == plan.num_tokens


@given(plans())
def test_each_sequence_of_a_source_comes_once_per_epoch(plan: MixPlan) -> None:
    seen = rows(plan)
    assert len(set(seen)) == len(seen)
    for i, source in enumerate(plan.sources):
        epochs = [epoch for number, epoch, _ in seen if number == i]
        assert epochs == sorted(epochs)
        for epoch in set(epochs[:-1]) - {max(epochs, default=0)}:
            assert sorted(index for n, e, index in seen if (n, e) == (i, epoch)) == list(
                range(source.num_sequences)
            )


@given(plans())
def test_within_a_phase_every_prefix_is_within_a_sequence_of_its_weights(plan: MixPlan) -> None:
    ends = [segment.first_sequence for segment in plan.segments[1:]] + [plan.num_sequences]
    for segment, end in zip(plan.segments, ends, strict=True):
        units = np.array(segment.units)
        for at in {segment.first_sequence + 1, (segment.first_sequence + end) // 2, end}:
            taken = plan.counts(at) - plan.counts(segment.first_sequence)
            assert (np.abs(taken * UNITS - units * (at - segment.first_sequence)) < UNITS).all()


@given(plans(global_batch=192), st.data())
@settings(max_examples=30)
def test_a_step_is_the_same_multiset_for_1_2_3_and_8_processes(plan: MixPlan, data: st.DataObject) -> None:
    step = data.draw(st.integers(0, plan.num_steps - 1))
    whole = sorted(rows(plan, step * 192, step * 192 + 192))
    for world in (1, 2, 3, 8):
        micro = data.draw(st.sampled_from([m for m in (1, 2, 4, 8, 24) if 192 % (world * m) == 0]))
        shares = plan.divide(step, world, micro)
        assert shares.shape == (world, 192 // (world * micro), micro)
        found = []
        for rank in range(world):
            for batch in shares[rank]:
                located = plan.locate_many(batch)
                found += list(
                    zip(
                        located.source.tolist(),
                        located.epoch.tolist(),
                        located.index_in_source.tolist(),
                        strict=True,
                    )
                )
        assert sorted(found) == whole


@given(plans(), st.data())
def test_a_process_that_begins_anywhere_sees_the_rest_of_the_same_stream(
    plan: MixPlan, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, plan.num_sequences - 1))
    resumed = MixPlan.from_json(json.loads(json.dumps(plan.to_json())))
    assert resumed == plan
    assert rows(resumed, at) == rows(plan)[at:]
    assert resumed.consumed(at) == plan.consumed(at)


@given(plans(), st.data())
def test_one_at_a_time_is_many_at_once_in_any_order(plan: MixPlan, data: st.DataObject) -> None:
    asked = np.array(data.draw(st.lists(st.integers(0, plan.num_sequences - 1), max_size=12)), dtype=np.int64)
    many = plan.locate_many(asked)
    for place, sequence in enumerate(asked.tolist()):
        source, start = plan.sources[int(many.source[place])].name, int(many.token_start[place])
        assert plan.locate(sequence) == Location(
            source, int(many.epoch[place]), int(many.index_in_source[place]), start, start + L + 1
        )
        assert start == many.index_in_source[place] * L


@given(plans(), st.data())
def test_occurrences_invert_locate(plan: MixPlan, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from(plan.sources))
    index = data.draw(st.integers(0, source.num_sequences - 1))
    number = plan.sources.index(source)
    expected = [
        (sequence, epoch) for sequence, (n, epoch, i) in enumerate(rows(plan)) if (n, i) == (number, index)
    ]
    assert plan.occurrences(source.name, index) == expected


@given(plans(), st.data())
def test_steps_of_a_span_are_the_steps_that_read_it(plan: MixPlan, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from(plan.sources))
    start = data.draw(st.integers(0, source.num_tokens))
    stop = data.draw(st.integers(start, min(source.num_tokens, start + 5 * L)))
    number = plan.sources.index(source)
    expected = {
        (sequence // plan.global_batch_sequences, epoch)
        for sequence, (n, epoch, i) in enumerate(rows(plan))
        if n == number and max(start, i * L) < min(stop, i * L + L)
    }
    assert plan.steps_of(source.name, start, stop) == sorted(expected)


@given(plans(), st.data())
def test_a_change_of_weights_keeps_the_past_and_the_ledger(plan: MixPlan, data: st.DataObject) -> None:
    last = plan.segments[-1].first_sequence
    if last + 1 >= plan.num_sequences:
        return
    at = data.draw(st.integers(last + 1, plan.num_sequences - 1))
    raw = data.draw(
        st.lists(st.integers(0, 9), min_size=len(plan.sources), max_size=len(plan.sources)).filter(any)
    )
    weights = {source.name: value / sum(raw) for source, value in zip(plan.sources, raw, strict=True)}
    changed = plan.append_segment(at, weights)
    assert rows(changed, 0, at) == rows(plan, 0, at)
    assert changed.consumed(at) == plan.consumed(at)
    assert (
        len(set(rows(changed))) == changed.num_sequences
    )  # no sequence twice in an epoch, across the change either
    assert all(
        math.isclose(changed.weights(at)[name], weight, abs_tol=1e-7) for name, weight in weights.items()
    )


# ── caps ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _two(cap: float = 4.0, weight: float = 0.4, steps: int = 100) -> MixPlan:
    sources = [plan_source("small", 101 * L, L, cap), plan_source("big", 9999 * L, L)]
    return make_plan(
        sources,
        [(0, {"small": weight, "big": 1 - weight})],
        seed=1,
        sequence_length=L,
        global_batch_sequences=10,
        num_steps=steps,
    )


def test_weights_that_meet_the_cap_exactly_are_read_exactly_that_often() -> None:
    plan = _two(weight=0.4)  # 400 of 1,000 sequences, of 100 that there are
    assert plan.sources[0].num_sequences == 100
    assert plan.consumed(1000)["small"] == [100 * L] * 4


def test_weights_over_a_cap_are_refused_with_the_numbers() -> None:
    with pytest.raises(
        ConfigError,
        match=r"weight 0\.41 for source 'small' over 1000 sequences means 4\.10 epochs of its 100 .* at most 0\.4:",
    ):
        _two(weight=0.41)
    with pytest.raises(
        ConfigError, match=r"means 4\.50 epochs .* From sequence 750 on it can have at most 0\.7:"
    ):
        _two(weight=0.1).append_segment(500, {"small": 0.7, "big": 0.3}).append_segment(
            750, {"small": 0.9, "big": 0.1}
        )


def test_a_cap_broken_in_an_early_phase_is_refused_too() -> None:
    sources = [plan_source("small", 101 * L, L, 4.0), plan_source("big", 9999 * L, L)]
    phases = [(0, {"small": 1.0}), (500, {"big": 1.0})]
    with pytest.raises(ConfigError, match=r"means 5\.00 epochs"):
        make_plan(sources, phases, seed=1, sequence_length=L, global_batch_sequences=10, num_steps=100)


def test_an_appended_segment_may_use_what_is_left_of_the_cap() -> None:
    plan = _two(weight=0.1).append_segment(500, {"small": 0.7, "big": 0.3})
    assert plan.consumed(1000)["small"] == [100 * L] * 4
    with pytest.raises(ConfigError, match=r"means 4\.50 epochs"):
        _two(weight=0.1).append_segment(500, {"small": 0.8, "big": 0.2})


@given(st.integers(1, 60), st.floats(1, 5), st.integers(2, 6))
def test_a_source_at_its_cap_is_never_a_whole_sequence_over(size: int, cap: float, k: int) -> None:
    total = 64 * math.ceil(size * cap * k / 64)
    weight = math.floor(size * cap) / total
    sources = [plan_source("capped", size * L + 1, L, cap)] + [
        plan_source(f"s{i}", 10**6 * L, L) for i in range(k - 1)
    ]
    rest = {f"s{i}": (1 - weight) / (k - 1) for i in range(k - 1)}
    plan = make_plan(
        sources,
        [(0, {"capped": weight, **rest})],
        seed=0,
        sequence_length=L,
        global_batch_sequences=64,
        num_steps=total // 64,
    )
    assert plan.counts(total)[0] <= size * cap


def test_a_cap_is_whole_sequences() -> None:
    """Of 7 sequences at most 2.5 times, 17 are read, not 18; the weight that would read 17.5 is refused."""
    sources = [plan_source("small", 7 * L + 1, L, 2.5), plan_source("big", 9_999 * L, L)]

    def planned(weight: float) -> MixPlan:
        phases = [(0, {"small": weight, "big": 1 - weight})]
        return make_plan(sources, phases, seed=0, sequence_length=L, global_batch_sequences=1, num_steps=100)

    assert planned(0.17).counts(100)[0] == 17
    with pytest.raises(ConfigError, match=r"at most 0\.17:"):
        planned(0.175)


def test_a_source_shorter_than_a_sequence_can_only_have_weight_0() -> None:
    sources = [plan_source("tiny", L, L), plan_source("big", 999 * L, L)]
    plan = make_plan(
        sources, [(0, {"big": 1.0})], seed=1, sequence_length=L, global_batch_sequences=1, num_steps=9
    )
    assert plan.consumed(9) == {"tiny": [], "big": [9 * L]}
    assert plan.unused() == {"tiny": L, "big": L - 1}
    assert plan.steps_of("tiny", 0, L) == []
    with pytest.raises(ConfigError, match="do not fill one sequence; give it 0"):
        make_plan(
            sources,
            [(0, {"big": 0.5, "tiny": 0.5})],
            seed=1,
            sequence_length=L,
            global_batch_sequences=1,
            num_steps=9,
        )


# ── the rest ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_order_of_a_source_does_not_depend_on_its_neighbours() -> None:
    def order(names: list[str]) -> list[int]:
        sources = [plan_source(name, 50 * L + 1, L, NO_CAP) for name in names]
        weights = {name: 1 / len(names) for name in names}
        plan = make_plan(
            sources,
            [(0, weights)],
            seed=5,
            sequence_length=L,
            global_batch_sequences=1,
            num_steps=60 * len(names),
        )
        number = names.index("kept")
        return [index for n, _, index in rows(plan) if n == number][:60]

    assert order(["kept"]) == order(["added", "kept", "other"])


def test_far_sequences_are_as_quick_as_near_ones() -> None:
    sources = [plan_source(name, 10**15, L) for name in "abc"]
    plan = make_plan(
        sources,
        [(0, {"a": 0.5, "b": 0.3, "c": 0.2})],
        seed=1,
        sequence_length=L,
        global_batch_sequences=64,
        num_steps=10**11,
    )
    last = plan.num_sequences - 1
    where = plan.locate(last)
    assert (last, where.epoch) in plan.occurrences(where.source, where.index_in_source)
    assert abs(plan.counts(last)[0] - last // 2) <= 1


def test_a_plan_travels_to_another_process() -> None:
    plan = _two()
    plan.locate(7)
    assert rows(pickle.loads(pickle.dumps(plan))) == rows(plan)


@pytest.mark.parametrize(
    "weights",
    [
        {"small": 0.5},
        {"small": 0.6, "big": 0.6},
        {"small": -0.1, "big": 1.1},
        {"small": float("nan"), "big": 1.0},
    ],
)
def test_weights_that_are_no_shares_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="add up to 1"):
        _two().append_segment(500, weights)


def test_names_and_places_that_do_not_exist_are_refused() -> None:
    plan = _two()
    with pytest.raises(UnknownName, match="Did you mean 'small'"):
        plan.append_segment(500, {"smal": 1.0})
    with pytest.raises(UnknownName, match="Did you mean 'big'"):
        plan.occurrences("bigg", 0)
    for at in (0, 1000, -1):
        with pytest.raises(ConfigError, match="not at"):
            plan.append_segment(at, {"big": 1.0})
    for ask in (
        lambda: plan.locate(1000),
        lambda: plan.locate(-1),
        lambda: plan.sequences_of_step(100),
        lambda: plan.counts(1001),
    ):
        with pytest.raises(ValueError, match="asked of a plan"):
            ask()
    with pytest.raises(ValueError, match="which has 100"):
        plan.occurrences("small", 100)
    with pytest.raises(ConfigError, match="format 2"):
        MixPlan.from_json({**plan.to_json(), "format": 2})


@pytest.mark.parametrize(
    "broken", [{"segments": []}, {"num_sequences": 999}, {"sequence_length": 0}, {"sources": []}]
)
def test_a_damaged_plan_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        MixPlan.from_json({**_two().to_json(), **broken})


def test_every_epoch_has_an_order_of_its_own() -> None:
    plan = _two(weight=0.4)
    orders = [[index for n, e, index in rows(plan) if (n, e) == (0, epoch)] for epoch in range(4)]
    assert len({tuple(order) for order in orders}) == 4
    assert all(sorted(order) == list(range(100)) for order in orders)
