"""Scorecards: every item's scores of one checkpoint, under a header that says what exactly was scored, and how.

The header's fingerprints decide whether two scorecards may be compared. Statistics come from the rows alone; comparing is
in `evals.comparison`, storing is the flow's work (rows are the `scores` dataset, `summary` the `scorecards` dataset).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa

from corpus.config import Section, circumstance, identity
from corpus.errors import ConfigError, UnknownName, did_you_mean, one_of
from corpus.fingerprint import fingerprint
from corpus.schema import DATASETS
from evals.items import TaskItems
from evals.metric import Metric, Slice, estimate, find_metric
from evals.scorer import SCORER_VERSION

COMPOSITE_VERSION = 1  # of the weights and chance table that composites use


class TaskHeader(Section):
    """What a task's scores rest on, and what they are reported under. Two scorecards that differ in it are not compared."""

    task_hash: str = identity()
    items_hash: str = identity()
    prompt_hash: str = identity("")
    shots_hash: str = identity("")
    num_fewshot: int = identity(0)
    slices_hash: str = identity("", absent_means="")  # a held-out set has its roles and sources in its id


class Windowing(Section):
    """How texts longer than the model's reach were read, and what stands before a text."""

    window: int = identity()
    stride: int = identity()
    prefix: Literal["bos", "eos"] = identity()


class ScorecardHeader(Section):
    weights_sha256: str = identity()
    tokenizer_id: str = identity()
    snapshot_id: str | None = identity(None)
    mixture_id: str | None = identity(None)
    tasks: dict[str, TaskHeader] = identity()
    windowing: Windowing = identity()
    composite_version: int = identity(COMPOSITE_VERSION)
    scorer_version: int = identity(SCORER_VERSION)
    code_version: str = circumstance("", description="git commit or release that made the scores")
    name: str = circumstance("", description="what people call the checkpoint")
    checkpoint_id: str | None = circumstance(None)
    run_id: str | None = circumstance(None)
    step: int | None = circumstance(None)

    @property
    def scorecard_id(self) -> str:
        return fingerprint(self.identity())


def task_header(items: TaskItems) -> TaskHeader:
    return TaskHeader(
        task_hash=items.task_hash,
        items_hash=items.items_hash,
        prompt_hash=items.prompt_hash,
        shots_hash=items.shots_hash,
        num_fewshot=len(items.shots),
        slices_hash=items.slices_hash,
    )


def holdout_header(holdout_hash: str) -> TaskHeader:
    return TaskHeader(task_hash=holdout_hash, items_hash=holdout_hash)


@dataclass(frozen=True)
class Scorecard:
    header: ScorecardHeader
    rows: pa.Table  # the scores dataset, sorted by task, metric and item

    @property
    def name(self) -> str:
        return self.header.name or self.header.checkpoint_id or self.header.weights_sha256[:12]

    @cached_property
    def _frame(self) -> pl.DataFrame:
        columns = ["task", "metric", "role", "source", "item", "cluster", "value", "nll", "bytes"]
        return pl.DataFrame(pl.from_arrow(self.rows.select(columns)))

    @cached_property
    def targets(self) -> dict[str, tuple[str, ...]]:
        """Everything that can be asked about: TASK, TASK/ROLE and TASK/SOURCE, each with its metrics."""
        found: dict[str, set[str]] = {}
        groups = self._frame.select("task", "role", "source", "metric").unique()
        for task, role, source, metric in groups.iter_rows():
            for target in (task, *(f"{task}/{part}" for part in (role, source) if part)):
                found.setdefault(target, set()).add(metric)
        return {target: tuple(sorted(metrics)) for target, metrics in sorted(found.items())}

    def parts(self, task: str, level: str) -> list[str]:
        """The roles or sources (`level`) among a task's items, sorted."""
        values = self._frame.filter(pl.col("task") == task)[level].unique().drop_nulls().sort()
        return [str(value) for value in values]

    def slice(self, target: str, metric: str) -> Slice:
        """The items of TASK, TASK/ROLE or TASK/SOURCE under a metric (a role comes before a source of that name)."""
        check_target(self.targets, target, metric)
        task, _, part = target.partition("/")
        frame = self._frame.filter((pl.col("task") == task) & (pl.col("metric") == metric))
        if part:
            by_role = frame.filter(pl.col("role") == part)
            frame = by_role if by_role.height else frame.filter(pl.col("source") == part)
        frame = frame.sort("item")
        return Slice(
            items=frame["item"].to_numpy().astype(str),
            clusters=frame["cluster"].to_numpy().astype(str),
            values=frame["value"].cast(pl.Float64).fill_null(np.nan).to_numpy(),
            nll=frame["nll"].cast(pl.Float64).fill_null(np.nan).to_numpy(),
            num_bytes=frame["bytes"].cast(pl.Float64).fill_null(np.nan).to_numpy(),
        )

    def summary(self, scorecard_id: str | None = None) -> pa.Table:
        """One row per task, role and metric; role null is the whole task, where it holds more than one role."""
        header, rows = self.header, []
        groups = self._frame.select("task", "role", "metric").unique().sort("task", "role", "metric")
        for task in groups["task"].unique().sort():
            roles = groups.filter(pl.col("task") == task)["role"].unique().sort().to_list()
            for role in ([None] if len(roles) > 1 else []) + roles:
                target = f"{task}/{role}" if role else task
                rows += [
                    {
                        "scorecard_id": scorecard_id or header.scorecard_id,
                        "task": task,
                        "role": role,
                        **_summary_row(self, target, task, metric),
                    }
                    for metric in self.targets[target]
                ]
        return pa.Table.from_pylist(rows, schema=DATASETS["scorecards"])


def _summary_row(card: Scorecard, target: str, task: str, metric: str) -> dict[str, object]:
    found = estimate(find_metric(metric), card.slice(target, metric))
    header = card.header
    return {
        "checkpoint_id": header.checkpoint_id,
        "run_id": header.run_id,
        "step": header.step,
        "metric": metric,
        "value": found.value,
        "standard_error": found.standard_error if found.decidable else None,
        "num_items": found.num_items,
        "task_hash": header.tasks[task].task_hash,
        "weights_sha256": header.weights_sha256,
        "tokenizer_id": header.tokenizer_id,
        "snapshot_id": header.snapshot_id,
        "mixture_id": header.mixture_id,
    }


def build_scorecard(
    header: ScorecardHeader, tables: Iterable[pa.Table], scorecard_id: str | None = None
) -> Scorecard:
    """A scorecard from the scorer's rows, in one order whatever order they came in; their id is written into them."""
    rows = pa.concat_tables([table.cast(DATASETS["scores"]) for table in tables])
    rows = rows.sort_by(
        [("task", "ascending"), ("metric", "ascending"), ("item", "ascending")]
    ).combine_chunks()
    tasks = set(rows.column("task").to_pylist())
    if tasks != set(header.tasks):
        raise ConfigError(
            f"the rows are of tasks {sorted(tasks)}, the header names {sorted(header.tasks)}; they must be the same"
        )
    keys = pl.DataFrame(pl.from_arrow(rows.select(["task", "metric", "item"])))
    if keys.is_duplicated().any():
        twice = keys.filter(keys.is_duplicated()).row(0)
        raise ConfigError(
            f"the item {twice[2]} of task {twice[0]} has two {twice[1]} rows; each item is scored once"
        )
    ids = pa.array([scorecard_id or header.scorecard_id] * rows.num_rows, type=pa.string())
    return Scorecard(header, rows.set_column(0, "scorecard_id", ids))


def check_target(targets: Mapping[str, tuple[str, ...]], target: str, metric: str) -> Metric:
    """The metric, if the target exists and has it; UnknownName tells what does."""
    if not targets:
        raise UnknownName(
            f"nothing was scored as {target!r}: there is nothing to score on. Give holdout: {{name: NAME}}, or evaluation: {{tasks: […]}}."
        )
    if target not in targets:
        raise UnknownName(
            f"nothing was scored as {target!r}.{did_you_mean(target, targets)} There are {one_of(targets)}."
        )
    if metric not in targets[target]:
        hint = did_you_mean(metric, targets[target])
        raise UnknownName(f"{target} has no metric {metric!r}.{hint} It has {one_of(targets[target])}.")
    return find_metric(metric)


def check_comparable(first: Scorecard, second: Scorecard) -> list[str]:
    """The tasks both hold; ConfigError names every difference that forbids comparing."""
    if differences := header_differences(first.header, second.header):
        raise ConfigError(
            f"{first.name} and {second.name} cannot be compared: {'; '.join(differences)}. Evaluate both the same way."
        )
    return _common_tasks(first.header, second.header)


def header_differences(a: ScorecardHeader, b: ScorecardHeader) -> list[str]:
    """Every difference that forbids comparing two scorecards on the tasks they have in common, in words."""
    tasks = _common_tasks(a, b)
    differences = [
        difference for task in tasks for difference in _task_differences(task, a.tasks[task], b.tasks[task])
    ]
    for what in ("window", "stride", "prefix"):
        if (x := getattr(a.windowing, what)) != (y := getattr(b.windowing, what)):
            differences.append(f"windowing.{what} is {x} and {y}")
    for what in ("composite_version", "scorer_version"):
        if (x := getattr(a, what)) != (y := getattr(b, what)):
            differences.append(f"{what} is {x} and {y}")
    if not tasks:
        differences.append(
            f"no task in common ({', '.join(sorted(a.tasks))} and {', '.join(sorted(b.tasks))})"
        )
    return differences


def _common_tasks(a: ScorecardHeader, b: ScorecardHeader) -> list[str]:
    return sorted(set(a.tasks) & set(b.tasks))


def _task_differences(task: str, a: TaskHeader, b: TaskHeader) -> list[str]:
    if a.task_hash == b.task_hash:
        same = a.slices_hash == b.slices_hash
        return [] if same else [f"{task} is reported under different roles or sources"]
    found = []
    if a.num_fewshot != b.num_fewshot:
        found.append(f"{task} was shown {a.num_fewshot} and {b.num_fewshot} examples")
    elif a.shots_hash != b.shots_hash:
        found.append(f"{task} was shown different examples")
    if a.prompt_hash != b.prompt_hash:
        found.append(f"{task} has different prompts")
    if a.items_hash != b.items_hash or not found:
        found.append(f"{task} has different items ({a.items_hash[:8]} and {b.items_hash[:8]})")
    return found
