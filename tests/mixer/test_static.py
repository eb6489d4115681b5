"""The mixture section and its weights: groups, caps, refusals, and the plan that comes out."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.config import build_section
from corpus.errors import ConfigError
from corpus.schema import DATASETS
from mixer.plan import whole_sequences
from mixer.static import (
    BudgetTooLarge,
    Mixture,
    SourceTokens,
    baselines,
    build_plan,
    mixture_rows,
    notes,
    requested_weights,
    resolve_weights,
)

CASES = SourceTokens("cases", "domain", "law", 6_000)
STATUTES = SourceTokens("statutes", "domain", "law", 2_000)
WEB = SourceTokens("web", "general", "web", 40_000)
SOURCES = [CASES, STATUTES, WEB]


def mixture(**keys: Any) -> Mixture:
    return build_section(Mixture, keys, "mixture")


def weigh(
    weights: Any, budget: int = 8_000, sources: list[SourceTokens] = SOURCES, **keys: Any
) -> dict[str, float]:
    return resolve_weights(mixture(weights=weights, **keys), sources, budget)


def close(**expected: float) -> Any:
    return pytest.approx(expected, abs=1e-12)


def test_explicit_shares_are_divided_inside_their_group() -> None:
    shares = {"domain": 0.7, "general": "30%"}
    assert weigh(shares) == close(cases=0.525, statutes=0.175, web=0.3)
    assert weigh(shares, within="uniform") == close(cases=0.35, statutes=0.35, web=0.3)


def test_a_source_goes_to_its_own_name_before_its_topic_before_its_role() -> None:
    other = SourceTokens("novels", "general", "fiction", 40_000)
    found = weigh({"statutes": 0.1, "domain": 0.3, "fiction": 0.4, "general": 0.2}, sources=[*SOURCES, other])
    assert found == close(cases=0.3, statutes=0.1, web=0.2, novels=0.4)


def test_natural_temperature_and_unimax() -> None:
    assert weigh("natural") == close(cases=6 / 48, statutes=2 / 48, web=40 / 48)
    roots = [n**0.5 for n in (6, 2, 40)]
    assert list(weigh({"temperature": 2}).values()) == pytest.approx([root / sum(roots) for root in roots])
    sources = [SourceTokens(f"s{n}", "domain", None, n) for n in (1, 5, 20, 200)]
    assert weigh("unimax", 100, sources) == close(s1=0.04, s5=0.20, s20=0.38, s200=0.38)


def test_a_share_of_zero_leaves_a_source_out_but_in_the_plan() -> None:
    found = weigh({"domain": 1.0, "general": 0.0})
    assert found == close(cases=0.75, statutes=0.25, web=0.0)


# ── caps ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_capped_source_leaves_stays_in_its_group_first() -> None:
    found = weigh({"domain": 0.6, "general": 0.4}, 20_000, within="uniform", max_epochs=2)
    assert found == close(cases=0.4, statutes=0.2, web=0.4)  # statutes hold 4,000 of 20,000 at two epochs


def test_a_group_that_is_full_leaves_the_rest_to_the_other_groups() -> None:
    found = weigh({"domain": 0.7, "general": 0.3}, 40_000, max_epochs=2)
    assert found == close(cases=0.3, statutes=0.1, web=0.6)


@given(
    st.lists(st.integers(0, 10**7), min_size=3, max_size=3).filter(any),
    st.sampled_from(
        ["natural", "unimax", {"temperature": 3}, {"domain": 0.7, "general": 0.3}, {"law": 0.5, "web": 0.5}]
    ),
    st.integers(1, 10**8),
    st.floats(0.5, 8),
)
def test_every_strategy_respects_the_caps_or_says_how_much_there_is(
    counts: list[int], weights: Any, budget: int, epochs: float
) -> None:
    sources = [replace(source, num_tokens=count) for source, count in zip(SOURCES, counts, strict=True)]
    room = sum(whole_sequences(epochs * count) for count in counts)
    if room < budget * (1 - 1e-6):
        with pytest.raises(ConfigError, match="cannot be met"):
            weigh(weights, budget, sources, max_epochs=epochs)
    elif room >= budget:
        found = weigh(weights, budget, sources, max_epochs=epochs)
        assert sum(found.values()) == pytest.approx(1, abs=1e-12)
        assert all(
            found[source.name] * budget <= epochs * source.num_tokens * (1 + 1e-9) + 1e-6
            for source in sources
        )


def test_a_budget_beyond_the_caps_names_the_tokens_there_are() -> None:
    with pytest.raises(
        ConfigError,
        match=r"budget of 1,000,000 tokens cannot be met: read at most 4 times, .* give 192,000 tokens",
    ):
        weigh("natural", 1_000_000)
    with pytest.raises(ConfigError, match="give 32,000 tokens"):  # a share of 0 is no help
        weigh({"domain": 1.0, "general": 0.0}, 33_000)


@given(
    st.lists(st.integers(0, 10**6), min_size=3, max_size=3),
    st.sampled_from(["natural", "unimax", {"domain": 1.0, "general": 0.0}, {"law": 0.0, "web": 1.0}]),
    st.floats(0.5, 8),
    st.sampled_from([1, 64]),
)
def test_what_the_sources_give_adds_up_and_names_only_those_with_a_weight(
    counts: list[int], weights: Any, epochs: float, length: int
) -> None:
    sources = [replace(source, num_tokens=count) for source, count in zip(SOURCES, counts, strict=True)]
    with pytest.raises(BudgetTooLarge) as error:
        resolve_weights(mixture(weights=weights, max_epochs=epochs), sources, 10**8, length)
    (total, listed) = re.findall(r"give ([\d,]+) tokens \((.*)\)", str(error.value))[0]
    given = {name: int(tokens.replace(",", "")) for name, tokens in re.findall(r"(\w+) ([\d,]*\d)", listed)}
    assert sum(given.values()) == int(total.replace(",", ""))
    asked = requested_weights(mixture(weights=weights, max_epochs=epochs), sources, 10**8)
    assert set(given) == {name for name, weight in asked.items() if weight > 0}


def test_a_group_without_tokens_is_told_not_hidden() -> None:
    sources = [replace(CASES, num_tokens=0), replace(STATUTES, num_tokens=0), WEB]
    section = mixture(weights={"domain": 0.7, "general": 0.3})
    assert resolve_weights(section, sources, 8_000) == close(cases=0, statutes=0, web=1)
    plan = build_plan(section, sources, tokens=8_000, global_batch_tokens=200, sequence_length=50, seed=1)
    assert [note.split(":")[0] for note in notes(section, plan, sources)] == ["cases", "statutes"]


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["doremi", "swarm", "replay", "online"])
def test_strategies_of_later_are_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=f"mixture: strategy: strategy '{name}' is not there yet"):
        mixture(strategy=name)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"strategy": "statik"}, "Did you mean 'static'"),
        ({"weights": "natual"}, "Did you mean 'natural'"),
        ({"weights": {"domain": 0.7, "general": 0.2}}, "add up to 0.9; they must add up to 1"),
        ({"weights": {"domain": 70, "general": 30}}, "is not a share"),
        ({"weights": {"temperature": 0}}, "number above 0"),
        ({"weights": {}}, "write natural, unimax"),
        ({"weights": 0.5}, "write natural, unimax"),
        ({"max_epochs": 0}, "number above 0"),
        ({"max_epochs": True}, "number above 0"),
        ({"within": "even"}, "within"),
        ({"phases": [{"at": "50%"}]}, "phases are not there yet"),
        ({"weigths": "natural"}, "Did you mean 'weights'"),
    ],
)
def test_a_wrong_section_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mixture(**keys)


def test_names_that_stand_for_nothing_or_for_two_things_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"'domian', which is no source, topic or role\. Did you mean 'domain'\?"
    ):
        weigh({"domian": 0.7, "general": 0.3})
    with pytest.raises(ConfigError, match=r"source 'web' .* is in no group"):
        weigh({"domain": 1.0})
    twice = [*SOURCES, SourceTokens("law", "general", "web", 10)]
    with pytest.raises(ConfigError, match="'law' is a source and a topic with different sources"):
        weigh({"law": 0.5, "general": 0.5}, sources=twice)


# ── identity, baselines, plan ───────────────────────────────────────────────────────────────────────────────────────


def test_how_a_share_is_written_is_not_identity() -> None:
    written = mixture(weights={"general": "30%", "domain": 0.7})
    assert written.identity() == mixture(weights={"domain": "70%", "general": 0.3}).identity()
    assert list(written.weights) == ["domain", "general"]
    assert "phases" not in written.identity()


def test_baselines_stand_beside_the_weights() -> None:
    beside = baselines(SOURCES, 8_000, 4)
    assert beside["natural"] == close(cases=6 / 48, statutes=2 / 48, web=40 / 48)
    assert beside["uniform"] == close(cases=1 / 3, statutes=1 / 3, web=1 / 3)
    assert beside["unimax"] == close(cases=1 / 3, statutes=1 / 3, web=1 / 3)  # no cap is reached
    # Of 48,000 tokens four readings of statutes are 8,000, less than a third; the others halve the rest.
    assert baselines(SOURCES, 48_000, 4)["unimax"] == close(cases=20 / 48, statutes=8 / 48, web=20 / 48)


def test_a_plan_has_the_budget_in_whole_steps_and_the_weights_in_tokens() -> None:
    plan = build_plan(
        mixture(weights={"domain": 0.7, "general": 0.3}),
        SOURCES,
        tokens=8_100,
        global_batch_tokens=400,
        sequence_length=50,
        seed=1,
    )
    assert (plan.global_batch_sequences, plan.num_steps, plan.num_tokens) == (8, 20, 8_000)
    assert plan.weights() == pytest.approx({"cases": 0.525, "statutes": 0.175, "web": 0.3}, abs=1e-2)
    assert sum(map(sum, plan.consumed(plan.num_sequences).values())) == 8_000


@given(
    st.lists(st.integers(60, 5_000), min_size=3, max_size=3),
    st.sampled_from(["natural", "unimax", {"domain": 0.9, "general": 0.1}]),
)
def test_a_budget_that_just_fits_the_caps_makes_a_plan(counts: list[int], weights: Any) -> None:
    sources = [replace(source, num_tokens=count) for source, count in zip(SOURCES, counts, strict=True)]
    usable = sum((count - 1) // 50 * 50 for count in counts)
    section = mixture(weights=weights, max_epochs=3)
    plan = build_plan(section, sources, tokens=3 * usable, global_batch_tokens=50, sequence_length=50, seed=1)
    assert plan.num_tokens == 3 * usable
    for source in plan.sources:
        assert plan.consumed(plan.num_sequences)[source.name] == [source.num_sequences * 50] * 3


@given(
    st.lists(st.integers(60, 900), min_size=3, max_size=3),
    st.sampled_from(["natural", "unimax", {"temperature": 2}, {"domain": 0.9, "general": 0.1}]),
    st.floats(1, 4),
    st.floats(0.3, 1),
)
def test_no_source_is_read_beyond_its_cap(
    counts: list[int], weights: Any, epochs: float, share: float
) -> None:
    sources = [replace(source, num_tokens=count) for source, count in zip(SOURCES, counts, strict=True)]
    room = sum(math.floor((count - 1) // 50 * epochs) for count in counts)
    tokens = max(1, math.floor(room * share)) * 50
    section = mixture(weights=weights, max_epochs=epochs)
    plan = build_plan(section, sources, tokens=tokens, global_batch_tokens=50, sequence_length=50, seed=1)
    for source, count in zip(plan.sources, plan.counts(plan.num_sequences).tolist(), strict=True):
        assert count <= epochs * source.num_sequences + 1e-9


def test_rows_fit_the_dataset_and_add_up() -> None:
    section = mixture(weights={"domain": 0.7, "general": 0.3})
    plan = build_plan(section, SOURCES, tokens=8_000, global_batch_tokens=400, sequence_length=50, seed=1)
    plan = plan.append_segment(80, {"web": 1.0})
    rows = mixture_rows(plan, SOURCES, section.max_epochs)
    assert all(set(row) | {"mixture_id"} == set(DATASETS["mixtures"].names) for row in rows)
    assert [row["phase"] for row in rows] == [0, 0, 0, 1, 1, 1]
    assert sum(row["tokens"] for row in rows) == plan.num_tokens
    assert [row["weight"] for row in rows[3:]] == [0, 0, 1]


def test_notes_name_caps_and_many_readings() -> None:
    section = mixture(weights={"domain": 0.7, "general": 0.3}, max_epochs=5)
    plan = build_plan(section, SOURCES, tokens=80_000, global_batch_tokens=400, sequence_length=50, seed=1)
    found = notes(section, plan, SOURCES)
    assert any(note.startswith("cases: asked for 0.52") for note in found)
    assert any("cases: read 5.0 times, often" in note and "fresh ones" in note for note in found)
    assert not any(note.startswith("web") for note in found)


def test_requested_weights_are_before_the_caps() -> None:
    section = mixture(weights={"domain": 0.7, "general": 0.3}, max_epochs=1)
    assert requested_weights(section, SOURCES, 40_000) == close(cases=0.525, statutes=0.175, web=0.3)
