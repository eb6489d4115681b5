"""Groups: what a name in `mixture.weights` stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpus.errors import ConfigError, did_you_mean, one_of


@dataclass(frozen=True)
class SourceTokens:
    """A source after tokenizing: its tokens, and the names of its token shards in order."""

    name: str
    role: str
    topic: str | None
    num_tokens: int
    parts: tuple[str, ...] = ()

    def labels(self) -> dict[str, str | None]:
        """The names it answers to, the most particular first."""
        return {"source": self.name, "topic": self.topic, "role": self.role}


@dataclass(frozen=True)
class Group:
    """What one share is given to: sources by place, and how they divide it (adds up to 1)."""

    share: float
    members: tuple[int, ...]
    within: np.ndarray

    def weighed(self) -> list[int]:
        """The members that a share of the group reaches."""
        return [place for place, part in zip(self.members, self.within, strict=True) if part > 0]


def group_members(names: list[str], sources: Sequence[SourceTokens]) -> dict[str, list[int]]:
    """Which sources each name stands for; a source goes to its own name before its topic, to that before its role."""
    meant = {name: _kind(name, sources) for name in names}
    members: dict[str, list[int]] = {name: [] for name in names}
    for place, source in enumerate(sources):
        group = next(
            (
                label
                for kind, label in source.labels().items()
                if label is not None and meant.get(label) == kind
            ),
            None,
        )
        if group is None:
            raise ConfigError(
                f"source {source.name!r} (topic {source.topic!r}, role {source.role!r}) is in no group of mixture.weights; "
                "give one of these names a share, 0 to leave it out"
            )
        members[group].append(place)
    return members


def _kind(name: str, sources: Sequence[SourceTokens]) -> str:
    """Whether a name in `weights` is a source, a topic or a role; two meanings that differ are refused."""
    found: dict[str, set[str]] = {"source": set(), "topic": set(), "role": set()}
    for source in sources:
        for kind, label in source.labels().items():
            if label == name:
                found[kind].add(source.name)
    kinds = [kind for kind, members in found.items() if members]
    if not kinds:
        valid = {label for source in sources for label in source.labels().values() if label}
        raise ConfigError(
            f"mixture.weights names {name!r}, which is no source, topic or role.{did_you_mean(name, valid)} There are {one_of(valid)}."
        )
    if any(found[kind] != found[kinds[0]] for kind in kinds):
        raise ConfigError(
            f"mixture.weights: {name!r} is a {' and a '.join(kinds)} with different sources; give shares to the sources by name"
        )
    return kinds[0]
