"""Scorecards of a recipe beside each other: the stored gate applied again, paired comparisons, and the items that changed.

Nothing is scored here; every number is computed from the stored items by `evals`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from app.evaluation import baseline_of, candidates_of, left_out_of, select_among
from corpus.errors import ConfigError, UnknownName
from corpus.lake import Lake
from corpus.names import Claim
from evals.comparison import Comparison, compare_scorecards, list_slices
from evals.gate import Gate
from evals.metric import estimate, find_metric
from evals.scorecard import Scorecard, check_comparable
from evals.select import Selection
from evals.statistics import CONFIDENCE


def stored_gate(owner: Claim) -> Gate | None:
    """The gate that a version's recipe declared, or None."""
    tree = owner.recipe.get("gate")
    return Gate.model_validate(tree) if tree else None


def confidence_of(gate: Gate | None) -> float:
    """Of the intervals that stand beside this gate's; the usual one without a gate."""
    return gate.confidence if gate else CONFIDENCE


def default_baseline(owner: Claim, cards: Mapping[str, Scorecard]) -> str:
    """The gate's baseline where it was scored, else the base, else the first."""
    return gate_baseline(stored_gate(owner), cards) or next(iter(cards))


def gate_baseline(gate: Gate | None, cards: Mapping[str, Scorecard]) -> str | None:
    """The scorecard that a gate (without one, the base) is measured from; None where it was not scored."""
    try:
        return baseline_of(gate.baseline if gate else "base_model", cards)
    except UnknownName:
        return None


def select_stored(lake: Lake, owner: Claim, cards: Mapping[str, Scorecard]) -> Selection | None:
    """What `tilth select` says of these scorecards; None where the recipe has no gate or nothing but a baseline is scored."""
    gate = stored_gate(owner)
    if gate is None or not cards:
        return None
    anything = candidates_of(gate, cards) or left_out_of(gate, cards)  # of the latter, why is told
    return select_among(lake, owner.name, gate, cards) if anything else None


# ── side by side ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Value:
    """One metric of one checkpoint over one target, with its interval."""

    checkpoint: str
    target: str
    level: str
    metric: str
    value: float
    low: float | None
    high: float | None
    num_items: int


def values(cards: Mapping[str, Scorecard], confidence: float = CONFIDENCE) -> list[Value]:
    """Every task, role and source of every scorecard under every metric."""
    found = []
    for name, card in cards.items():
        for target, level in list_slices(card, sorted(card.header.tasks)):
            for metric in card.targets[target]:
                one = estimate(find_metric(metric), card.slice(target, metric))
                low, high = one.interval(confidence) if one.decidable else (None, None)
                found.append(Value(name, target, level, metric, one.value, low, high, one.num_items))
    return found


def compare_all(baseline: Scorecard, candidates: Mapping[str, Scorecard], gate: Gate | None = None) -> tuple[dict[str, list[Comparison]], dict[str, str]]:  # fmt: skip
    """Paired comparisons by candidate, within the margins of the gate, and why the others cannot be compared."""
    found: dict[str, list[Comparison]] = {}
    refused: dict[str, str] = {}
    for name, card in candidates.items():
        try:
            found[name] = compare_scorecards(
                baseline, card, margins=gate.margins() if gate else None, confidence=confidence_of(gate)
            )
        except ConfigError as error:
            refused[name] = str(error)
    return found, refused


# ── items ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def item_changes(baseline: Scorecard, candidate: Scorecard, task: str, metric: str) -> pl.DataFrame:
    """The items of a task under both, with `before`, `after` and `change` (after − before) of a metric.

    Columns beside: item, source, role, bytes, and for multiple choice the answers `said_before`, `said_after`, `right`.
    """
    check_comparable(baseline, candidate)
    keys = ["item", "source", "role", "bytes", "target"]
    one = _scored(baseline, task, metric).select(*keys, before="value", said_before="prediction")
    two = _scored(candidate, task, metric).select("item", after="value", said_after="prediction")
    both = one.join(two, on="item", how="inner", validate="1:1").rename({"target": "right"})
    return both.with_columns(change=pl.col("after") - pl.col("before")).sort("item")


def flip_counts(changes: pl.DataFrame) -> dict[str, int]:
    """Of 0/1 items: how many stayed right, stayed wrong, were gained and lost."""
    before, after = changes["before"].to_numpy() > 0.5, changes["after"].to_numpy() > 0.5
    return {
        "right in both": int(np.sum(before & after)), "wrong in both": int(np.sum(~before & ~after)),
        "gained": int(np.sum(~before & after)), "lost": int(np.sum(before & ~after)),
    }  # fmt: skip


def largest_changes(changes: pl.DataFrame, limit: int) -> list[dict[str, Any]]:
    """The items that changed, largest first; equal changes by name."""
    moved = changes.filter(pl.col("change") != 0)
    return (
        moved.with_columns(size=pl.col("change").abs())
        .sort(["size", "item"], descending=[True, False])
        .drop("size")
        .head(limit)
        .to_dicts()
    )


def _scored(card: Scorecard, task: str, metric: str) -> pl.DataFrame:
    frame = pl.DataFrame(pl.from_arrow(card.rows))
    return frame.filter((pl.col("task") == task) & (pl.col("metric") == metric))
