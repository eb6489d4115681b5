"""The mixture section of a recipe, and weights fixed before training: explicit, natural, temperature, UniMax.

Every strategy's weights pass through the epoch caps. Weights that change with the step or learn from losses are not
here; their names are known and refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator

from corpus.config import Section, identity, parse_share
from corpus.errors import ConfigError, did_you_mean
from mixer import shares
from mixer.global_batch import global_batch, whole_steps
from mixer.groups import Group as Group
from mixer.groups import SourceTokens as SourceTokens
from mixer.groups import group_members
from mixer.plan import MixPlan, make_plan, plan_source, whole_sequences
from mixer.token_shards import num_sequences

_LATER = ("doremi", "swarm", "replay", "online")
_WORDS = ("natural", "unimax")
WARN_EPOCHS, STRONG_WARN_EPOCHS = 4.0, 16.0  # where repeated tokens begin to be worth less, and little


def _read_strategy(value: Any) -> Any:
    if value in _LATER:
        raise ValueError(f"strategy {value!r} is not there yet; 'static' is")
    if value != "static":
        raise ValueError(
            f"{value!r} is no strategy.{did_you_mean(str(value), ('static', *_LATER))} There is 'static'"
        )
    return value


def _read_weights(value: Any) -> Any:
    """`natural`, `unimax`, `{temperature: T}`, or shares by role, topic or source that add up to 1."""
    if isinstance(value, str):
        if value not in _WORDS:
            raise ValueError(
                f"{value!r} is no way to weigh.{did_you_mean(value, _WORDS)} Write natural, unimax, {{temperature: 2}} or shares by name"
            )
        return value
    if not isinstance(value, Mapping) or not value:
        raise ValueError(
            "write natural, unimax, {temperature: 2}, or shares by role, topic or source such as {domain: 70%, general: 30%}"
        )
    if set(value) == {"temperature"}:
        return {"temperature": _positive(value["temperature"])}
    read = {str(name): parse_share(share) for name, share in value.items()}
    if abs(sum(read.values()) - 1) > 1e-6:
        raise ValueError(f"the shares add up to {sum(read.values()):.6g}; they must add up to 1 (100%)")
    return dict(sorted(read.items()))  # the order they are written in changes nothing


def _positive(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise ValueError(f"{value!r} arrived where a number above 0 was expected")
    return float(value)


def _refuse_phases(value: Any) -> Any:
    if value is not None:
        raise ValueError("phases are not there yet; one set of weights holds for the whole run")
    return value


class BudgetTooLarge(ConfigError):
    """The caps do not allow the budget. `room` is what they do allow, in tokens."""

    def __init__(self, message: str, room: int):
        super().__init__(message)
        self.room = room


class Mixture(Section):
    """What groups of sources get, as shares of tokens, and how often a source may be read."""

    strategy: Annotated[str, BeforeValidator(_read_strategy)] = identity(
        "static", description="how weights are found: static"
    )
    weights: Annotated[Any, BeforeValidator(_read_weights)] = identity(
        "natural", description="natural | unimax | {temperature: T} | shares by role, topic or source"
    )
    within: Literal["natural", "uniform"] = identity(
        "natural", description="how a group's share is divided over its sources"
    )
    max_epochs: Annotated[float, BeforeValidator(_positive)] = identity(
        4.0, description="how often any source may be read"
    )
    phases: Annotated[Any, BeforeValidator(_refuse_phases)] = identity(
        None, absent_means=None, description="reserved"
    )


# ── weights ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def resolve_weights(
    mixture: Mixture, sources: Sequence[SourceTokens], budget_tokens: int, sequence_length: int = 1
) -> dict[str, float]:
    """Shares of `budget_tokens` by source, add up to 1, none above `max_epochs` readings of its tokens.

    A cap is whole sequences of `sequence_length`. What a source cannot take goes to the others of its group first, then to the other groups. ConfigError: a name in
    `weights` that is no source, topic or role; a source without a group; BudgetTooLarge.
    """
    groups = _groups(mixture, sources, budget_tokens)
    lengths = [source.num_tokens / sequence_length for source in sources]
    readable = [whole_sequences(mixture.max_epochs * length) * sequence_length for length in lengths]
    caps = np.array(readable, dtype=np.float64) / budget_tokens
    asked = np.array([group.share for group in groups])
    room = np.array([caps[list(group.members)][group.within > 0].sum() for group in groups])
    weighed = [i for group in groups if group.share > 0 for i in group.weighed()]
    _check_budget(mixture, budget_tokens, {sources[i].name: readable[i] for i in weighed})
    given = shares.fill_to_caps(asked, room)
    weights = np.zeros(len(sources))
    for group, share in zip(groups, given, strict=True):
        members = list(group.members)
        weights[members] = shares.fill_to_caps(group.within, caps[members], float(share))
    return {
        source.name: float(weight) for source, weight in zip(sources, weights / weights.sum(), strict=True)
    }


def requested_weights(
    mixture: Mixture, sources: Sequence[SourceTokens], budget_tokens: int
) -> dict[str, float]:
    """The weights as asked for, before the caps."""
    weights = np.zeros(len(sources))
    for group in _groups(mixture, sources, budget_tokens):
        weights[list(group.members)] = group.share * group.within
    return {source.name: float(weight) for source, weight in zip(sources, weights, strict=True)}


def baselines(
    sources: Sequence[SourceTokens], budget_tokens: int, max_epochs: float
) -> dict[str, dict[str, float]]:
    """What to compare with: `natural` and `uniform` (no caps) and `unimax`, each by source."""
    sizes = np.array([source.num_tokens for source in sources])
    found = {
        "natural": shares.natural(sizes),
        "uniform": shares.uniform(sizes),
        "unimax": shares.unimax(sizes, budget_tokens, max_epochs),
    }
    return {
        name: {source.name: float(p) for source, p in zip(sources, values, strict=True)}
        for name, values in found.items()
    }


def _check_budget(mixture: Mixture, budget_tokens: int, readable: Mapping[str, int]) -> None:
    """BudgetTooLarge if the sources with a weight, each read as often as it may be, do not fill the budget."""
    room = sum(readable.values())
    if room < budget_tokens * (1 - 1e-9):
        parts = ", ".join(f"{name} {tokens:,}" for name, tokens in readable.items()) or "none has text"
        raise BudgetTooLarge(
            f"a budget of {budget_tokens:,} tokens cannot be met: read at most {mixture.max_epochs:g} times, the sources with a weight give "
            f"{room:,} tokens ({parts}). Lower the budget, raise mixture.max_epochs, or add text.",
            room,
        )


def _groups(mixture: Mixture, sources: Sequence[SourceTokens], budget_tokens: int) -> list[Group]:
    sizes = np.array([source.num_tokens for source in sources], dtype=np.float64)
    everything = tuple(range(len(sources)))
    if mixture.weights == "natural":
        return [Group(1.0, everything, shares.natural(sizes))]
    if mixture.weights == "unimax":
        return [Group(1.0, everything, shares.unimax(sizes, budget_tokens, mixture.max_epochs))]
    if set(mixture.weights) == {"temperature"}:
        return [Group(1.0, everything, shares.temperature(sizes, mixture.weights["temperature"]))]
    members = group_members(list(mixture.weights), sources)
    return [
        Group(mixture.weights[name], tuple(places), _divide(sizes[places], mixture.within))
        for name, places in members.items()
        if places
    ]


def _divide(sizes: np.ndarray, within: str) -> np.ndarray:
    """How a group's share is divided; a group without tokens keeps its claim, for the caps to refuse."""
    divided = shares.natural(sizes) if within == "natural" else shares.uniform(sizes)
    return divided if divided.any() else np.full(len(sizes), 1 / len(sizes))


# ── the plan ────────────────────────────────────────────────────────────────────────────────────────────────────────


def build_plan(
    mixture: Mixture,
    sources: Sequence[SourceTokens],
    *,
    tokens: int,
    global_batch_tokens: int,
    sequence_length: int,
    seed: int,
) -> MixPlan:
    """The plan of a run of `tokens` tokens, rounded to whole steps (nearest, at least one).

    Weights are resolved against what the plan can read: whole sequences, without the tails.
    """
    batch = global_batch(global_batch_tokens, sequence_length)
    steps = whole_steps(tokens, global_batch_tokens, sequence_length)
    weights = resolve_weights(
        mixture, _usable(sources, sequence_length), steps * batch * sequence_length, sequence_length
    )
    planned = [
        plan_source(source.name, source.num_tokens, sequence_length, mixture.max_epochs, source.parts)
        for source in sources
    ]
    return make_plan(
        planned,
        [(0, weights)],
        seed=seed,
        sequence_length=sequence_length,
        global_batch_sequences=batch,
        num_steps=steps,
    )


def _usable(sources: Sequence[SourceTokens], sequence_length: int) -> list[SourceTokens]:
    """The sources with the tokens that whole sequences read."""
    return [
        replace(source, num_tokens=num_sequences(source.num_tokens, sequence_length) * sequence_length)
        for source in sources
    ]


def mixture_rows(plan: MixPlan, sources: Sequence[SourceTokens], max_epochs: float) -> list[dict[str, Any]]:
    """Rows of the dataset `mixtures` (without `mixture_id`): one per phase and source, tokens exact from the plan."""
    beside = baselines(_usable(sources, plan.sequence_length), plan.num_tokens, max_epochs)
    ends = [segment.first_sequence for segment in plan.segments[1:]] + [plan.num_sequences]
    rows = []
    for phase, (segment, end) in enumerate(zip(plan.segments, ends, strict=True)):
        counts = plan.counts(end) - plan.counts(segment.first_sequence)
        weights = plan.weights(segment.first_sequence)
        for source, planned, count in zip(sources, plan.sources, counts.tolist(), strict=True):
            assert source.name == planned.name
            rows.append(
                {"phase": phase, "source": source.name, "role": source.role, "weight": weights[source.name]}
                | {
                    "tokens": count * plan.sequence_length,
                    "epochs": count / max(planned.num_sequences, 1),
                    "available_tokens": source.num_tokens,
                }
                | {f"{name}_weight": values[source.name] for name, values in beside.items()}
            )
    return rows


def notes(mixture: Mixture, plan: MixPlan, sources: Sequence[SourceTokens]) -> list[str]:
    """What a reader should know of a plan, one sentence each: caps that moved weights, sources read often."""
    asked, found = requested_weights(mixture, _usable(sources, plan.sequence_length), plan.num_tokens), []
    consumed, given = plan.consumed(plan.num_sequences), plan.weights()
    for source in plan.sources:
        if given[source.name] < asked[source.name] * 0.999 - 1e-6:
            found.append(
                f"{source.name}: asked for {asked[source.name]:.4g}, has enough tokens for {given[source.name]:.4g} "
                f"at {mixture.max_epochs:g} epochs; the rest went to the others"
            )
        tokens, unique = sum(consumed[source.name]), source.num_sequences * plan.sequence_length
        if unique and (epochs := tokens / unique) > WARN_EPOCHS:
            worth = shares.fresh_equivalent(tokens, unique)
            strength = "far too often" if epochs > STRONG_WARN_EPOCHS else "often"
            found.append(
                f"{source.name}: read {epochs:.1f} times, {strength}: {tokens:,} tokens are worth about {worth:,.0f} fresh ones"
            )
    return found
