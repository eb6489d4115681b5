"""Held-out loss during a run: fixed text, fixed windows, against its value before the first step.

A perplexity alone can miss what a model forgets (arXiv 2506.00288); this is an alarm, the scorecards judge. What
happens on an alarm is the training loop's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpus.config import Margin
from corpus.errors import ConfigError, did_you_mean, one_of
from quality.language_model import score_tokens, wrap_language_model

SOURCE_METRIC = "held_out_loss"
GROUP_METRIC = "held_out_group_loss"
Key = tuple[str, str]  # metric, name of a source or group


@dataclass(frozen=True)
class Crossing:
    """A held-out loss beyond its tolerance; values in nats per token."""

    metric: str
    name: str
    value: float
    threshold: float
    reference: float
    margin: Margin

    @property
    def message(self) -> str:
        rise = self.value / self.reference - 1
        return f"held-out loss of {self.name} rose by {rise:.2%} since step 0, tolerated are {self.margin}"


class HeldOutMonitor:
    """Measures the held-out tokens of every source, and of groups of sources, the same way each time.

    `held_out` holds token ids per document without special tokens; a document is scored after `prefix_id` in windows of
    `window` tokens that do not overlap. `groups` names the group of each source (a role, say). A name in `max_increase`
    is a group's or else a source's.
    """

    def __init__(
        self,
        held_out: Mapping[str, Sequence[np.ndarray]],
        groups: Mapping[str, str],
        max_increase: Mapping[str, Margin],
        window: int,
        prefix_id: int,
    ):
        self.held_out = {name: list(held_out[name]) for name in sorted(held_out)}
        self.groups = {name: groups[name] for name in self.held_out if name in groups}
        self.window, self.prefix_id = window, prefix_id
        self.limits = {self._key(name): margin for name, margin in max_increase.items()}

    def measure(self, model: Any) -> dict[Key, float]:
        """Mean loss in nats per token of every source and group that has held-out tokens; the model stays as it was."""
        scorer = wrap_language_model(model)
        totals: dict[str, tuple[float, int]] = {}
        for name, documents in self.held_out.items():
            scores = score_tokens(scorer, documents, self.window, self.window, prefix_id=self.prefix_id)
            totals[name] = (
                float(sum(nll.sum(dtype=np.float64) for nll in scores)),
                sum(len(nll) for nll in scores),
            )
        found = {(SOURCE_METRIC, name): _mean([total]) for name, total in totals.items()}
        for group in sorted(set(self.groups.values())):
            members = [totals[name] for name, own in self.groups.items() if own == group]
            found[(GROUP_METRIC, group)] = _mean(members)
        return {key: loss for key, loss in found.items() if loss is not None}

    def crossed(self, reference: Mapping[Key, float], losses: Mapping[Key, float]) -> list[Crossing]:
        """The losses that are above their reference by more than its margin (not a number counts as above)."""
        found = []
        for key, margin in self.limits.items():
            if key in losses and key in reference:
                threshold = reference[key] + margin.absolute(reference[key])
                if not losses[key] <= threshold:
                    found.append(Crossing(*key, losses[key], threshold, reference[key], margin))
        return found

    def _key(self, name: str) -> Key:
        if name in self.groups.values():
            return GROUP_METRIC, name
        if name in self.held_out:
            return SOURCE_METRIC, name
        valid = {*self.groups.values(), *self.held_out}
        raise ConfigError(
            f"training.monitor.max_increase: {name!r} has no held-out text.{did_you_mean(name, valid)} "
            + (
                f"There is some of {one_of(valid)}."
                if valid
                else "There is none at all: the recipe needs a holdout."
            )
        )


def _mean(totals: Iterable[tuple[float, int]]) -> float | None:
    pairs = list(totals)
    tokens = sum(count for _, count in pairs)
    return sum(nll for nll, _ in pairs) / tokens if tokens else None
