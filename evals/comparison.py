"""Comparisons: what changed between two checkpoints on the same items, with an interval and one word.

Words: IMPROVED and REGRESSED where the interval excludes zero; NO CHANGE WITHIN MARGIN where the margin declared for that
target and metric surely holds in both directions (two one-sided tests); INCONCLUSIVE otherwise, with the number of items
that would decide. Sources are explored, so their p-values are adjusted together (Benjamini–Hochberg), and what would decide
is counted at the level they then have to reach; tasks and roles are not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from corpus.config import Margin
from evals.metric import Metric, estimate, estimate_difference, find_metric
from evals.scorecard import Scorecard, check_comparable
from evals.statistics import CONFIDENCE, Estimate, benjamini_hochberg

Axis = tuple[str, str]  # (target, metric)


class Verdict(StrEnum):
    IMPROVED = "IMPROVED"
    NO_CHANGE = "NO CHANGE WITHIN MARGIN"
    REGRESSED = "REGRESSED"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True)
class Comparison:
    """One paired difference, candidate − baseline; `margin`, where one was declared, and it are in the metric's own unit.

    `level` is task, role or source.
    """

    target: str
    level: str
    metric: str
    baseline: float
    candidate: float
    delta: float
    low: float
    high: float
    margin: float | None
    p_value: float
    p_adjusted: float
    family: int
    num_items: int
    num_clusters: int
    correlation: float | None
    minimum_detectable: float
    num_needed: int | None
    verdict: Verdict
    confidence: float = CONFIDENCE  # of the interval and the verdict


def compare_scorecards(
    baseline: Scorecard,
    candidate: Scorecard,
    metrics: Iterable[str] | None = None,
    margins: Mapping[Axis, Margin] | None = None,
    confidence: float = CONFIDENCE,
) -> list[Comparison]:
    """Every task, and its roles and sources where there is more than one, under every metric (or the given ones).

    `margins`, such as a gate's, make NO CHANGE WITHIN MARGIN possible. Raises ConfigError naming the difference when task
    hashes, examples, windowing or versions differ.
    """
    wanted = None if metrics is None else {find_metric(name).name for name in metrics}
    measured = [
        _Measured(target, level, metric, pair(baseline, candidate, target, metric))
        for target, level in list_slices(baseline, check_comparable(baseline, candidate))
        for metric in baseline.targets[target]
        if wanted is None or metric in wanted
    ]
    family = sum(one.level == "source" for one in measured)
    return [
        _compare(
            baseline,
            candidate,
            one,
            p_adjusted,
            family if one.level == "source" else 1,
            (margins or {}).get((one.target, one.metric)),
            confidence,
        )
        for one, p_adjusted in zip(measured, _adjusted(measured), strict=True)
    ]


def list_slices(card: Scorecard, tasks: Iterable[str]) -> list[tuple[str, str]]:
    """(target, level) of each task and of the roles and sources that are only a part of it."""
    found: list[tuple[str, str]] = []
    for task in tasks:
        found.append((task, "task"))
        for level in ("role", "source"):
            parts = card.parts(task, level)
            found += [(f"{task}/{part}", level) for part in parts if len(parts) > 1]
    return found


def pair(
    baseline: Scorecard, candidate: Scorecard, target: str, metric: str, factor: float = 1.0
) -> Estimate:
    """candidate − factor · baseline over one target. The same weights cannot differ, so there the error is zero."""
    found = estimate_difference(
        find_metric(metric), candidate.slice(target, metric), baseline.slice(target, metric), factor
    )
    a, b = baseline.header, candidate.header
    if (
        factor == 1.0
        and found.value == 0
        and (a.weights_sha256, a.tokenizer_id) == (b.weights_sha256, b.tokenizer_id)
    ):
        return replace(found, standard_error=0.0, spread=0.0, exact_p=1.0, pairs=None)
    return found


def judge(
    metric: Metric,
    difference: Estimate,
    margin: float | None,
    confidence: float = CONFIDENCE,
    p_adjusted: float = 0.0,
) -> Verdict:
    """The word for a paired difference; `margin` in the metric's unit, None where none was declared.

    A change is claimed where its p-value adjusted for its family is small too.
    """
    if difference.decidable and difference.significant(confidence) and p_adjusted < 1 - confidence:
        return Verdict.IMPROVED if (difference.value < 0) == metric.lower_is_better else Verdict.REGRESSED
    if margin is not None and max(difference.p_above(margin), difference.p_below(-margin)) < 1 - confidence:
        return Verdict.NO_CHANGE
    return Verdict.NO_CHANGE if difference.spread == 0 and difference.value == 0 else Verdict.INCONCLUSIVE


@dataclass(frozen=True)
class _Measured:
    target: str
    level: str
    metric: str
    difference: Estimate


def _adjusted(measured: Sequence[_Measured]) -> list[float]:
    """The p-value of every row, those of sources adjusted as one family."""
    found = [one.difference.p_value for one in measured]
    sources = [index for index, one in enumerate(measured) if one.level == "source"]
    for index, p in zip(sources, benjamini_hochberg([found[index] for index in sources]), strict=True):
        found[index] = p
    return found


def _compare(
    baseline: Scorecard,
    candidate: Scorecard,
    one: _Measured,
    p_adjusted: float,
    family: int,
    declared: Margin | None,
    confidence: float,
) -> Comparison:
    """A row with its word, and what would decide where that is INCONCLUSIVE."""
    metric, difference, level = find_metric(one.metric), one.difference, 1 - confidence
    before = estimate(metric, baseline.slice(one.target, one.metric)).value
    margin = declared.absolute(before) if declared else None
    low, high = difference.interval(confidence)
    verdict = judge(metric, difference, margin, confidence, p_adjusted)
    to_reach = level * difference.p_value / p_adjusted if p_adjusted else level
    return Comparison(
        target=one.target,
        level=one.level,
        metric=one.metric,
        baseline=before,
        candidate=estimate(metric, candidate.slice(one.target, one.metric)).value,
        delta=difference.value,
        low=low,
        high=high,
        margin=margin,
        p_value=difference.p_value,
        p_adjusted=p_adjusted,
        family=family,
        num_items=difference.num_items,
        num_clusters=difference.num_clusters,
        correlation=difference.correlation,
        minimum_detectable=difference.minimum_detectable(confidence),
        num_needed=_items_needed(difference, margin, 1 - to_reach, confidence)
        if verdict is Verdict.INCONCLUSIVE
        else None,
        verdict=verdict,
        confidence=confidence,
    )


def _items_needed(difference: Estimate, margin: float | None, change: float, confidence: float) -> int | None:
    """Items that would decide: show the change at the confidence `change`, or, where that is nearer, that it is within the margin."""
    counts = [difference.items_needed(difference.value, change)]
    if margin is not None and (left := margin - abs(difference.value)) > 0:
        nearer = math.copysign(margin, difference.value)
        counts.append(difference.items_needed(left, confidence, sided=1, threshold=nearer))
    return min((count for count in counts if count is not None), default=None)
