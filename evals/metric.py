"""Metrics: which direction is better, and how a set of items becomes one number with an error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus.errors import ConfigError, UnknownName, did_you_mean, one_of
from evals import statistics
from evals.statistics import Estimate


@dataclass(frozen=True)
class Metric:
    name: str
    lower_is_better: bool
    ratio: bool = False  # Σ nll / Σ bytes instead of a mean of values
    share: bool = False  # between 0 and 1, so that percentage points mean something


METRICS = {
    metric.name: metric
    for metric in (
        Metric("bits_per_byte", lower_is_better=True, ratio=True),
        Metric("acc", lower_is_better=False, share=True),
        Metric("acc_norm", lower_is_better=False, share=True),
        Metric("gold_nll", lower_is_better=True),
    )
}


TASK_METRICS = {"holdout": ("bits_per_byte",), "multiple_choice": ("acc", "acc_norm", "gold_nll")}


@dataclass(frozen=True)
class Slice:
    """The items of one task, role or source under one metric, in the order of their names."""

    items: NDArray[np.str_]
    clusters: NDArray[np.str_]
    values: NDArray[np.float64]
    nll: NDArray[np.float64]
    num_bytes: NDArray[np.float64]


def find_metric(name: str) -> Metric:
    if name not in METRICS:
        raise UnknownName(
            f"there is no metric {name!r}.{did_you_mean(name, METRICS)} There are {one_of(METRICS)}."
        )
    return METRICS[name]


def estimate(metric: Metric, scores: Slice) -> Estimate:
    """The metric over a slice, with its clustered standard error."""
    if metric.ratio:
        return statistics.bits_per_byte(scores.nll, scores.num_bytes, scores.clusters)
    average = statistics.share if metric.share else statistics.mean
    return average(scores.values, scores.clusters)


def estimate_difference(metric: Metric, candidate: Slice, baseline: Slice, factor: float = 1.0) -> Estimate:
    """candidate − factor · baseline, item by item; ConfigError when the two do not hold the same items."""
    if not np.array_equal(candidate.items, baseline.items):
        missing = len(np.setxor1d(candidate.items, baseline.items))
        raise ConfigError(
            f"{missing} items are in one scorecard only, so they cannot be paired; evaluate both on the same items"
        )
    if metric.ratio:
        sizes = baseline.num_bytes
        return statistics.paired_bits_per_byte(candidate.nll, baseline.nll, sizes, baseline.clusters, factor)
    return statistics.paired_mean(candidate.values, baseline.values, baseline.clusters, factor)


def sums(metric: Metric, scores: Slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per item numerators and denominators whose ratio of sums is the metric; for resampling."""
    if metric.ratio:
        return scores.nll / np.log(2), scores.num_bytes
    return scores.values, np.ones_like(scores.values)
