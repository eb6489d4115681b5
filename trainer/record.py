"""What a run writes while it goes: metrics, events, held-out losses, commits, rotation, status.

Everything that a committed checkpoint implies is on disk before its commit, so a resumed run finds its own past whole.
The loop that calls it is `trainer.pretrain`; it implements that module's `StepSink`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpus.errors import NotFinite
from corpus.run_rows import json_lines
from trainer.checkpoint import commit_checkpoint, rotate_checkpoints
from trainer.config import Training
from trainer.journal import Journal
from trainer.monitor import GROUP_METRIC, SOURCE_METRIC, HeldOutMonitor, Key
from trainer.progress import Report
from trainer.run_folder import write_status


@dataclass
class Recorder:
    """The open journals of one attempt, and what it needs to know to fill them."""

    folder: Path
    run_id: str
    attempt: int
    training: Training
    config: str
    step_sequences: int
    num_steps: int
    milestones: frozenset[int]
    monitor: HeldOutMonitor | None
    protected: Callable[[int], bool]
    progress: Report | None
    reference: dict[Key, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.metrics = Journal(self.folder, "metrics", self.run_id, self.attempt)
        self.events = Journal(self.folder, "events", self.run_id, self.attempt)
        self.last_step = 0

    def tokens(self, step: int) -> int:
        return step * self.step_sequences * self.training.sequence_length

    def event(self, step: int, kind: str, message: str, **columns: Any) -> None:
        self.events.append(step, [{"kind": kind, "message": message, **columns}])

    def close(self) -> None:
        for journal in (self.metrics, self.events):
            journal.sync()
            journal.close()

    # ── what the loop tells ──

    def step_done(self, step: int, figures: Mapping[tuple[str, str | None], float]) -> None:
        self.last_step = step
        self._write_metrics(step, figures)
        if self.progress is not None:
            self.progress(
                step,
                self.num_steps,
                {name: value for (name, source), value in figures.items() if source is None},
            )

    def not_finite(self, step: int, metric: str) -> None:
        self.event(
            step,
            "not_finite",
            f"the {metric} of step {step} is not a number; the step was not saved",
            metric=metric,
            action="stop",
        )

    def measure(self, step: int, model: Any) -> bool:
        assert self.monitor is not None and self.training.monitor is not None
        losses = self.monitor.measure(model)
        self._write_metrics(step, losses)
        for (metric, name), loss in losses.items():
            if not math.isfinite(loss):
                self.not_finite(step, metric)
                raise NotFinite(
                    f"step {step}: the {metric} of {name} is {loss}; the last committed checkpoint stands"
                )
        if step == 0:
            self.reference = losses
            return False
        crossings = self.monitor.crossed(self.reference, losses)
        stop = "stop" in self.training.monitor.on_breach and step < self.num_steps
        for found in crossings:
            self.event(
                step, "tolerance_crossed", found.message, source=found.name, metric=found.metric, value=found.value,
                threshold=found.threshold, action="stop" if stop else "none",
            )  # fmt: skip
        return stop and bool(crossings)

    def commit(self, step: int, staged: Path, ended: str) -> None:
        self.metrics.sync()
        self.events.sync()
        facts = {
            "run_id": self.run_id, "step": step, "sequences": step * self.step_sequences, "tokens": self.tokens(step),
            "config": self.config, "milestone": step in self.milestones, "ended": ended,
        }  # fmt: skip
        checkpoint = commit_checkpoint(self.folder, staged, facts)
        self.event(step, "checkpoint_committed", f"checkpoint {checkpoint.id}")
        for gone in rotate_checkpoints(self.folder, self.training.checkpoints.keep_last, self.protected):
            self.event(step, "checkpoint_rotated", f"checkpoint {gone.id} of step {gone.step} was deleted")
        write_status(self.folder, last_step=step)

    def _write_metrics(self, step: int, figures: Mapping[Any, float]) -> None:
        tokens = self.tokens(step)
        self.metrics.append(
            step,
            [
                {"name": name, "source": source, "value": value, "tokens": tokens}
                for (name, source), value in figures.items()
            ],
        )


def read_reference(folder: Path) -> dict[Key, float]:
    """The held-out losses before the first step, as the first attempt that got further wrote them."""
    found: dict[Key, float] = {}
    for row in json_lines(folder / "metrics.jsonl"):
        if row["step"] == 0 and row["name"] in (SOURCE_METRIC, GROUP_METRIC):
            found[row["name"], row["source"]] = row["value"]
    return found
