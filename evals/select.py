"""Selection: which checkpoint ships, what it was chosen among, and how sure the choice is.

A checkpoint can be chosen when its gate passes against the baseline and does not fail against the champion; what the items
cannot tell from the champion can be chosen, and replacing the champion by it is the reviewer's decision. Among those that
can be chosen the best on the first gain wins. Choosing the best of many flatters it, so that choice, not the gate, is
repeated on resampled items of the first gain, and P(best) says how often each one would have won.
A checkpoint is off the Pareto set only if another is surely better on every axis: both paired intervals exclude zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from corpus.errors import ConfigError
from evals.bootstrap import DRAWS, SEED, bootstrap_ratios
from evals.comparison import Axis, pair
from evals.gate import Gate, GateResult, evaluate_gate
from evals.metric import estimate, find_metric, sums
from evals.scorecard import Scorecard, check_comparable
from evals.statistics import CONFIDENCE


@dataclass(frozen=True)
class SelectionRow:
    """One candidate. `objective` is its value on the first gain, with a two-sided interval; `p_best` its share of the
    resampled choices among those that can be chosen, 0 if it cannot."""

    name: str
    gate: GateResult
    against_champion: GateResult | None
    is_champion: bool  # the same weights: what it is compared with is itself
    pareto: bool
    dominated_by: tuple[str, ...]
    objective: float
    low: float
    high: float
    p_best: float

    @property
    def choosable(self) -> bool | None:
        """Whether it can be chosen; None where the items cannot tell yet."""
        return False if self.against_champion and self.against_champion.passed is False else self.gate.passed

    def to_json(self) -> dict[str, Any]:
        against = self.against_champion.to_json() if self.against_champion else None
        own = {"choosable": self.choosable, "gate": self.gate.to_json(), "against_champion": against}
        return {**asdict(self), **own}


@dataclass(frozen=True)
class Selection:
    """The candidates in the order given; of equals the first is `chosen`. It is None where none can be chosen."""

    axes: tuple[Axis, ...]
    rows: tuple[SelectionRow, ...]
    chosen: str | None
    draws: int
    seed: int
    champion_left_out: str = ""  # why there is no comparison with the champion, where the name has one

    @property
    def behind_champion(self) -> tuple[GateResult, ...]:
        """What keeps those from being chosen whose own gate does not fail: the failed comparison with the champion."""
        return tuple(
            row.against_champion
            for row in self.rows
            if row.gate.passed is not False and row.against_champion and row.against_champion.passed is False
        )

    @property
    def verdict(self) -> str:
        """PASSED where something was chosen, else INCONCLUSIVE if for any the items cannot tell, else FAILED."""
        if self.chosen is not None:
            return "PASSED"
        return "INCONCLUSIVE" if any(row.choosable is None for row in self.rows) else "FAILED"

    def to_json(self) -> dict[str, Any]:
        """All of it, with the words that follow from it."""
        return {"verdict": self.verdict, **asdict(self), "rows": [row.to_json() for row in self.rows]}


def select(
    gate: Gate,
    baseline: Scorecard,
    candidates: Sequence[Scorecard],
    champion: Scorecard | None = None,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Selection:
    """Gate every candidate against the baseline (and the champion), then choose the best that may be."""
    if not candidates:
        raise ConfigError("there is no scorecard to select from; evaluate a checkpoint first")
    axes = gate_axes(gate)
    dominated = pareto_set(candidates, axes, gate.confidence)
    rows = []
    for index, card in enumerate(candidates):
        objective = estimate(find_metric(axes[0][1]), card.slice(*axes[0]))
        low, high = objective.interval(gate.confidence)
        rows.append(
            SelectionRow(
                name=card.name,
                gate=evaluate_gate(gate, baseline, card),
                against_champion=evaluate_gate(gate, champion, card) if champion is not None else None,
                is_champion=champion is not None
                and champion.header.weights_sha256 == card.header.weights_sha256,
                pareto=not dominated[index],
                dominated_by=tuple(candidates[other].name for other in dominated[index]),
                objective=objective.value,
                low=low,
                high=high,
                p_best=0.0,
            )
        )
    able = [index for index, row in enumerate(rows) if row.choosable]
    chances = probability_best(axes[0], [candidates[index] for index in able], draws, seed)
    for index, chance in zip(able, chances, strict=True):
        rows[index] = replace(rows[index], p_best=chance)
    return Selection(axes, tuple(rows), _choose(axes[0], rows), draws, seed)


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
    axis: Axis, scorecards: Sequence[Scorecard], draws: int = DRAWS, seed: int = SEED
) -> list[float]:
    """How often each is the best on an axis when its items are drawn again: clusters whole, the same draw for all.

    Those that are equally good in a draw share it. The same seed gives the same draws.
    """
    if not scorecards:
        return []
    metric = find_metric(axis[1])
    slices = [card.slice(*axis) for card in scorecards]
    tops = np.stack([sums(metric, scores)[0] for scores in slices], axis=1)
    drawn = bootstrap_ratios(tops, sums(metric, slices[0])[1], slices[0].clusters, draws, seed)
    best = drawn.min(axis=1) if metric.lower_is_better else drawn.max(axis=1)
    wins = np.isclose(
        drawn, best[:, None], rtol=1e-12, atol=0.0
    )  # sums of equal items may differ in their last bits
    return [float(share) for share in (wins / wins.sum(axis=1, keepdims=True)).mean(axis=0)]


def _surely_worse(card: Scorecard, other: Scorecard, axis: Axis, confidence: float) -> bool:
    difference = pair(other, card, *axis)
    if not (difference.decidable and difference.significant(confidence)):
        return False
    return (difference.value > 0) == find_metric(axis[1]).lower_is_better


def _choose(axis: Axis, rows: Sequence[SelectionRow]) -> str | None:
    sign = 1 if find_metric(axis[1]).lower_is_better else -1
    able = [row for row in rows if row.choosable]
    return min(able, key=lambda row: sign * row.objective).name if able else None
