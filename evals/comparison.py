"""Comparisons: what changed between two checkpoints on the same items, with an interval and one word.

Words: IMPROVED and REGRESSED where the interval excludes zero; NO CHANGE WITHIN MARGIN where a declared margin surely holds
in both directions (two one-sided tests); INCONCLUSIVE otherwise, with the number of items that would decide. Sources are
explored, so their p-values are adjusted together (Benjamini–Hochberg); tasks and roles are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from corpus.config import Margin
from evals.metric import Metric, estimate, estimate_difference, find_metric
from evals.scorecard import Scorecard, check_comparable
from evals.statistics import CONFIDENCE, Estimate, benjamini_hochberg


class Verdict(StrEnum):
    IMPROVED = "IMPROVED"
    NO_CHANGE = "NO CHANGE WITHIN MARGIN"
    REGRESSED = "REGRESSED"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True)
class Comparison:
    """One paired difference, candidate − baseline, in the metric's own unit. `level` is task, role or source."""

    target: str
    level: str
    metric: str
    baseline: float
    candidate: float
    delta: float
    low: float
    high: float
    p_value: float
    p_adjusted: float
    family: int
    num_items: int
    num_clusters: int
    correlation: float | None
    minimum_detectable: float
    num_needed: int | None
    verdict: Verdict


def compare_scorecards(
    baseline: Scorecard,
    candidate: Scorecard,
    metrics: Iterable[str] | None = None,
    margins: Mapping[str, Margin] | None = None,
    confidence: float = CONFIDENCE,
) -> list[Comparison]:
    """Every task, and its roles and sources where there is more than one, under every metric (or the given ones).

    `margins` by metric name make NO CHANGE WITHIN MARGIN possible. Raises ConfigError naming the difference when task
    hashes, examples, windowing or versions differ.
    """
    wanted = None if metrics is None else {find_metric(name).name for name in metrics}
    rows = [
        _compare(baseline, candidate, target, level, metric, (margins or {}).get(metric), confidence)
        for target, level in list_slices(baseline, check_comparable(baseline, candidate))
        for metric in baseline.targets[target]
        if wanted is None or metric in wanted
    ]
    return _adjust_sources(rows, confidence)


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
        return replace(found, standard_error=0.0, center=0.0, spread=0.0, exact_p=1.0)
    return found


def judge(
    metric: Metric, difference: Estimate, margin: float | None, confidence: float = CONFIDENCE
) -> Verdict:
    """The word for a paired difference; `margin` in the metric's unit, None where none was declared."""
    if difference.decidable and difference.significant(confidence):
        return Verdict.IMPROVED if (difference.value < 0) == metric.lower_is_better else Verdict.REGRESSED
    if margin is not None and max(difference.p_above(margin), difference.p_below(-margin)) < 1 - confidence:
        return Verdict.NO_CHANGE
    return Verdict.NO_CHANGE if difference.spread == 0 and difference.value == 0 else Verdict.INCONCLUSIVE


def _compare(
    baseline: Scorecard,
    candidate: Scorecard,
    target: str,
    level: str,
    name: str,
    margin: Margin | None,
    confidence: float,
) -> Comparison:
    metric = find_metric(name)
    before = estimate(metric, baseline.slice(target, name)).value
    difference = pair(baseline, candidate, target, name)
    low, high = difference.interval(confidence)
    verdict = judge(metric, difference, margin.absolute(before) if margin else None, confidence)
    return Comparison(
        target=target,
        level=level,
        metric=name,
        baseline=before,
        candidate=estimate(metric, candidate.slice(target, name)).value,
        delta=difference.value,
        low=low,
        high=high,
        p_value=difference.p_value,
        p_adjusted=difference.p_value,
        family=1,
        num_items=difference.num_items,
        num_clusters=difference.num_clusters,
        correlation=difference.correlation,
        minimum_detectable=difference.minimum_detectable(confidence),
        num_needed=difference.items_needed(difference.value, confidence)
        if verdict is Verdict.INCONCLUSIVE
        else None,
        verdict=verdict,
    )


def _adjust_sources(rows: list[Comparison], confidence: float) -> list[Comparison]:
    """Source rows with p-values adjusted as one family; a claim that does not survive becomes INCONCLUSIVE."""
    sources = [index for index, row in enumerate(rows) if row.level == "source"]
    adjusted = benjamini_hochberg([rows[index].p_value for index in sources])
    for index, p in zip(sources, adjusted, strict=True):
        claims = rows[index].verdict in (Verdict.IMPROVED, Verdict.REGRESSED)
        verdict = Verdict.INCONCLUSIVE if claims and p >= 1 - confidence else rows[index].verdict
        rows[index] = replace(rows[index], p_adjusted=p, family=len(sources), verdict=verdict)
    return rows
