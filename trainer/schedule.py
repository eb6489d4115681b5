"""When things happen in a run: the learning rate as a pure function of the step, and the steps that save or measure.

Each curve reaches its floor exactly at the last step, which transformers' own do not: their tenth step of ten logged
1.6e-5 for a floor of 5e-6. Nothing here knows an optimizer; `trainer.pretrain` wraps a curve in a LambdaLR.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from trainer.config import Schedule, Training

DEFAULT_DECAY = 0.2


@dataclass(frozen=True)
class Curve:
    """Factor of the peak at steps 0 … num_steps − 1: linear warmup, then a cosine, or a plateau and a linear descent.

    The peak stands at the last step of the warmup (step 0 without one), the floor at the last step of the run.
    WSD is warmup, stable, decay (Hu et al. 2024, MiniCPM, section 4).

    >>> curve = Curve("cosine", num_steps=5, warmup_steps=2, decay_steps=0, floor=0.1)
    >>> [round(curve.factor(step), 3) for step in range(5)]
    [0.5, 1.0, 0.775, 0.325, 0.1]
    """

    type: str
    num_steps: int
    warmup_steps: int
    decay_steps: int
    floor: float

    def factor(self, step: int) -> float:
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if self.type == "cosine":
            peak = max(self.warmup_steps - 1, 0)
            return self._descend((1 - math.cos(math.pi * self._progress(step, peak))) / 2)
        plateau_end = max(self.num_steps - 1 - self.decay_steps, self.warmup_steps - 1, 0)
        return self._descend(self._progress(step, plateau_end))

    def _progress(self, step: int, begin: int) -> float:
        """0 at step `begin`, 1 at the last step and after it; 0 throughout where nothing lies between."""
        length = self.num_steps - 1 - begin
        return min(1.0, max(0, step - begin) / length) if length > 0 else 0.0

    def _descend(self, share: float) -> float:
        return 1 - (1 - self.floor) * share


def build_curve(schedule: Schedule, num_steps: int, tokens_per_step: int) -> Curve:
    """The schedule in steps of a run; shares round up, tokens to the nearest step, each at most the whole run."""
    warmup = _steps(schedule.warmup, num_steps, tokens_per_step)
    decay = 0
    if schedule.type == "wsd":
        wanted = DEFAULT_DECAY if schedule.decay is None else schedule.decay
        decay = min(_steps(wanted, num_steps, tokens_per_step), num_steps - warmup)
    return Curve(schedule.type, num_steps, warmup, decay, schedule.floor)


def _steps(length: float | int, num_steps: int, tokens_per_step: int) -> int:
    if isinstance(length, float):
        return min(num_steps, math.ceil(round(length * num_steps, 9)))
    return min(num_steps, round_steps(length, tokens_per_step))


def round_steps(tokens: int, tokens_per_step: int) -> int:
    """Tokens to the nearest whole number of steps; halves go up."""
    return (2 * tokens + tokens_per_step) // (2 * tokens_per_step)


@dataclass(frozen=True)
class Cadence:
    """When things happen, in steps."""

    num_steps: int
    save_every: int
    measure_every: int  # 0: never
    milestones: frozenset[int]

    def saves(self, step: int) -> bool:
        return step % self.save_every == 0 or step in self.milestones or step == self.num_steps

    def measures(self, step: int) -> bool:
        return self.measure_every > 0 and (step % self.measure_every == 0 or step == self.num_steps)


def build_cadence(training: Training, num_steps: int, tokens_per_step: int) -> Cadence:
    """The training's tokens in steps; what has no cadence of its own is saved ten times a run."""
    every = training.checkpoints.every or num_steps * tokens_per_step // 10
    milestones = (
        min(num_steps, max(1, round_steps(t, tokens_per_step))) for t in training.checkpoints.milestones
    )
    return Cadence(
        num_steps,
        save_every=max(1, round_steps(every, tokens_per_step)),
        measure_every=max(1, round_steps(training.monitor.every, tokens_per_step)) if training.monitor else 0,
        milestones=frozenset(milestones),
    )
