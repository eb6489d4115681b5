"""Selection: which checkpoint ships, what it was chosen among, and how sure the choice is.

A checkpoint can be chosen when its gate passes; among those the best on the first gain wins. Choosing the best of many
flatters it, so the whole selection is repeated on resampled items and P(best) says how often each one would have won.
A checkpoint is off the Pareto set only if another is surely better on every axis: both paired intervals exclude zero.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus.errors import ConfigError
from evals.bootstrap import DRAWS, SEED, bootstrap_ratios
from evals.comparison import pair
from evals.gate import Gate, GateResult, evaluate_gate
from evals.metric import estimate, find_metric, sums
from evals.scorecard import Scorecard, check_comparable
from evals.statistics import CONFIDENCE

Axis = tuple[str, str]  # (target, metric)


@dataclass(frozen=True)
class SelectionRow:
    """One candidate. `objective` is its value on the first gain, with a two-sided interval; `p_best` of the resampled selections."""

    name: str
    gate: GateResult
    against_champion: GateResult | None
    pareto: bool
    dominated_by: tuple[str, ...]
    objective: float
    low: float
    high: float
    p_best: float


@dataclass(frozen=True)
class Selection:
    """The candidates in the order given. `chosen` is None unless a gate passed; `p_none`: resampled selections without any."""

    axes: tuple[Axis, ...]
    rows: tuple[SelectionRow, ...]
    chosen: str | None
    p_none: float
    draws: int
    seed: int

    @property
    def verdict(self) -> str:
        """PASSED where something was chosen, else INCONCLUSIVE if any gate is, else FAILED."""
        if self.chosen is not None:
            return "PASSED"
        return "INCONCLUSIVE" if any(row.gate.passed is None for row in self.rows) else "FAILED"


def select(
    gate: Gate,
    baseline: Scorecard,
    candidates: Sequence[Scorecard],
    champion: Scorecard | None = None,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Selection:
    """Gate every candidate against the baseline (and the champion), then choose the best that passes."""
    if not candidates:
        raise ConfigError("there is no scorecard to select from; evaluate a checkpoint first")
    axes = gate_axes(gate)
    results = [evaluate_gate(gate, baseline, card) for card in candidates]
    dominated = pareto_set(candidates, axes, gate.confidence)
    p_best, p_none = probability_best(gate, baseline, candidates, draws, seed)
    rows = []
    for index, card in enumerate(candidates):
        objective = estimate(find_metric(axes[0][1]), card.slice(*axes[0]))
        low, high = objective.interval(gate.confidence)
        rows.append(
            SelectionRow(
                name=card.name,
                gate=results[index],
                against_champion=evaluate_gate(gate, champion, card) if champion is not None else None,
                pareto=not dominated[index],
                dominated_by=tuple(candidates[other].name for other in dominated[index]),
                objective=objective.value,
                low=low,
                high=high,
                p_best=float(p_best[index]),
            )
        )
    return Selection(axes, tuple(rows), _choose(axes[0], rows), p_none, draws, seed)


def gate_axes(gate: Gate) -> tuple[Axis, ...]:
    """The (target, metric) pairs a gate speaks of, gains first: the first one is what selection maximises."""
    return tuple(dict.fromkeys((target, metric) for _, target, metric, _ in gate.rules()))


def pareto_set(
    scorecards: Sequence[Scorecard], axes: Sequence[Axis], confidence: float = CONFIDENCE
) -> list[tuple[int, ...]]:
    """For each scorecard the indices of those that dominate it; it is in the Pareto set when there are none.

    Dominated: on every axis the paired interval excludes zero in the bad direction. What noise could explain stays in.
    """
    for other in scorecards[1:]:
        check_comparable(scorecards[0], other)
    return [
        tuple(
            j
            for j, other in enumerate(scorecards)
            if j != i and all(_surely_worse(card, other, axis, confidence) for axis in axes)
        )
        for i, card in enumerate(scorecards)
    ]


def probability_best(
    gate: Gate, baseline: Scorecard, candidates: Sequence[Scorecard], draws: int = DRAWS, seed: int = SEED
) -> tuple[NDArray[np.float64], float]:
    """How often each candidate is chosen when items are resampled (clusters, kept together over models), and how often none is.

    In each draw a candidate is eligible if it gains on every gain and stays within every margin there; the best eligible
    one on the first gain is chosen. The same seed gives the same draws.
    """
    models = [baseline, *candidates]
    drawn = {axis: _draw(axis, models, draws, seed) for axis in gate_axes(gate)}
    eligible = np.ones((draws, len(candidates)), dtype=bool)
    for _, target, name, guard in gate.rules():
        sign = 1.0 if find_metric(name).lower_is_better else -1.0
        before, after = drawn[target, name][:, :1], drawn[target, name][:, 1:]
        harm = sign * (after - before)
        if guard is None:
            eligible &= harm < 0
        else:
            share = guard.margin.value / 100
            eligible &= harm <= (np.abs(before) * share if guard.margin.unit == "%" else share)
    first = gate_axes(gate)[0]
    objective = drawn[first][:, 1:] * (1.0 if find_metric(first[1]).lower_is_better else -1.0)
    winner = np.argmin(np.where(eligible, objective, np.inf), axis=1)
    some = eligible.any(axis=1)
    wins = np.bincount(winner[some], minlength=len(candidates)) / draws
    return wins, float(1 - some.mean())


def _draw(axis: Axis, models: Sequence[Scorecard], draws: int, seed: int) -> NDArray[np.float64]:
    """The axis' metric of every model in every draw, of shape (draws, models)."""
    metric = find_metric(axis[1])
    slices = [card.slice(*axis) for card in models]
    tops = np.stack([sums(metric, scores)[0] for scores in slices], axis=1)
    # Metrics of the same items share their draws; other items get draws of their own.
    seeds = [seed, zlib.crc32(axis[0].encode())]
    return bootstrap_ratios(tops, sums(metric, slices[0])[1], slices[0].clusters, draws, seeds)


def _surely_worse(card: Scorecard, other: Scorecard, axis: Axis, confidence: float) -> bool:
    difference = pair(other, card, *axis)
    if not (difference.decidable and difference.significant(confidence)):
        return False
    return (difference.value > 0) == find_metric(axis[1]).lower_is_better


def _choose(axis: Axis, rows: Sequence[SelectionRow]) -> str | None:
    sign = 1 if find_metric(axis[1]).lower_is_better else -1
    passed = [row for row in rows if row.gate.passed]
    return min(passed, key=lambda row: sign * row.objective).name if passed else None
