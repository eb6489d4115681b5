"""Scorecards made of random numbers with known differences, for the tests of what is said about them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa

from corpus.config import build_section
from corpus.schema import DATASETS
from evals.scorecard import Scorecard, ScorecardHeader, TaskHeader, Windowing, build_scorecard
from evals.task import TaskConfig

SOURCES = {"acts": "domain", "code": "domain", "novels": "general", "web": "general"}


def task_config(tree: dict[str, Any], name: str) -> TaskConfig:
    return build_section(TaskConfig, tree, f"tasks.{name}")


def holdout_rows(
    shifts: dict[str, float], noise: float = 0.02, per_source: int = 60, seed: int = 1, level: float = 1.0
) -> pa.Table:
    """Bits per byte near `level`, the same hard and easy documents for every seed, moved by a shift per role or source."""
    common, own = np.random.default_rng(0), np.random.default_rng(seed)
    rows = []
    for source, role in SOURCES.items():
        hardness = level + 0.2 * common.normal(size=per_source)
        sizes = common.integers(500, 3000, size=per_source)
        moved = hardness + shifts.get(source, shifts.get(role, 0.0)) + noise * own.normal(size=per_source)
        for n in range(per_source):
            nll = float(moved[n] * sizes[n] * math.log(2))
            rows.append(
                row(
                    "holdout",
                    f"{source}-{n}",
                    source,
                    role,
                    "bits_per_byte",
                    float(moved[n]),
                    nll=nll,
                    bytes=int(sizes[n]),
                )
            )
    return pa.Table.from_pylist(rows, schema=DATASETS["scores"])


def choice_rows(
    right: np.ndarray, task: str = "law", clusters: np.ndarray | None = None, role: str = "domain"
) -> pa.Table:
    """acc rows of 0/1 items."""
    groups = np.arange(len(right)) if clusters is None else clusters
    rows = [
        row(task, f"{task}-{n:05d}", task, role, "acc", float(value), cluster=f"{task}-{groups[n]}")
        for n, value in enumerate(right)
    ]
    return pa.Table.from_pylist(rows, schema=DATASETS["scores"])


def row(
    task: str, item: str, source: str, role: str, metric: str, value: float, **cells: Any
) -> dict[str, Any]:
    return {
        "task": task,
        "item": item,
        "cluster": item,
        "source": source,
        "role": role,
        "metric": metric,
        "value": value,
    } | cells


def header(weights: str = "w0", tasks: dict[str, TaskHeader] | None = None, **keys: Any) -> ScorecardHeader:
    tasks = {"holdout": TaskHeader(task_hash="h", items_hash="h")} if tasks is None else tasks
    keys = {
        "tokenizer_id": "t",
        "windowing": Windowing(window=512, stride=256, prefix="eos"),
        "name": weights,
    } | keys
    return ScorecardHeader(weights_sha256=weights, tasks=tasks, **keys)


def card(name: str, *tables: pa.Table, **keys: Any) -> Scorecard:
    tasks = {
        task: TaskHeader(task_hash=task, items_hash=task)
        for table in tables
        for task in set(table.column("task").to_pylist())
    }
    return build_scorecard(header(name, tasks, **keys), tables)


def holdout_card(
    name: str, domain: float = 0.0, general: float = 0.0, seed: int = 1, **keys: Any
) -> Scorecard:
    return card(name, holdout_rows({"domain": domain, "general": general}, seed=seed, **keys))
