"""Changes of its configuration that a run was told to go on with: `tilth train --accept KEY`.

A run folder is its configuration, and `run.yaml`, which says it, is never rewritten. A run that goes on under a lower
learning rate may keep its id all the same, if every change stands on record: in `accepted.json`, with the step after which
it holds. Only what leaves the plan, the model and the held-out text as they are can be accepted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from corpus.differences import with_values
from corpus.errors import ConfigError, did_you_mean
from corpus.json_file import read_json, well_formed, write_json
from corpus.lake import now_utc
from trainer.config import Training

FILE = "accepted.json"
ACCEPTABLE = (
    "training.learning_rate", "training.schedule", "training.weight_decay", "training.beta1", "training.beta2", "training.max_grad_norm",
    "training.precision", "training.checkpoints.milestones", "training.monitor.every", "training.monitor.max_increase", "training.monitor.on_breach",
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One key, the value it had, and the one that holds after a step."""

    key: str
    before: Any
    now: Any
    step: int
    time_utc: int

    def __str__(self) -> str:
        return f"{self.key}: {self.before} → {self.now} after step {self.step}"


def check_acceptable(keys: Iterable[str]) -> None:
    """ConfigError for a key that a run cannot change and stay the same run."""
    for key in keys:
        if not covers(ACCEPTABLE, key):
            raise ConfigError(
                f"--accept {key or repr(key)}: a run cannot go on with another value of it.{_hint(key)} "
                f"What can be accepted: {', '.join(ACCEPTABLE)}"
            )


def _hint(key: str) -> str:
    """The key that was meant, if it is a slip of the pen; one of a recipe that no run can change is none."""
    if covers(ACCEPTABLE, f"training.{key}"):
        return f" Did you mean 'training.{key}'?"
    whole = any(one.startswith(f"{key}.") for one in ACCEPTABLE)  # of a section some keys can be accepted
    own = key.removeprefix("training.") in Training.model_fields
    return "" if whole or own else did_you_mean(key, ACCEPTABLE)


def covers(keys: Collection[str], key: str) -> bool:
    """Whether a key is one of `keys` or lies within one."""
    return any(key == one or key.startswith(f"{one}.") for one in keys)


def read_accepted(folder: Path) -> list[Change]:
    """What was accepted in a run folder, oldest first."""
    found = read_json(folder / FILE)
    if found is None:
        return []
    with well_formed(folder / FILE):
        return [Change(**row) for row in found["changes"]]


def record_accepted(folder: Path, step: int, differences: Iterable[tuple[str, Any, Any]]) -> None:
    """Put on record that a run goes on after `step` with these keys changed."""
    new = [Change(key, before, now, step, now_utc()) for key, before, now in differences]
    write_json(folder / FILE, {"changes": [asdict(change) for change in [*read_accepted(folder), *new]]})


def identities(folder: Path, first: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The identity a run began with, then one after each change: the last is that with which it goes on."""
    identity = dict(first)
    yield identity
    for change in read_accepted(folder):
        identity = with_values(identity, {change.key: change.now})
        yield identity
