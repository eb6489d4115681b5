"""A manifest: what an artifact is made of, and the JSON form that is its commit. A task record: what a unit of work left.

Where they are kept, and when they count, is `corpus.lake`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from corpus.fingerprint import fingerprint
from corpus.part import Part

FORMAT = 1
READABLE_FORMATS = (1,)


@dataclass(frozen=True)
class FileEntry:
    bytes: int
    hash: str


@dataclass(frozen=True)
class TaskRecord:
    """What a finished unit of work left: parts by dataset, in order, and a small tally."""

    kind: str
    key: str
    parts: dict[str, tuple[Part, ...]]
    tally: dict[str, Any]


@dataclass(frozen=True)
class Manifest:
    """An artifact. `id` is the fingerprint of (kind, operator, version, identity, parents); circumstance is not in it."""

    kind: str
    id: str
    operator: str
    version: int
    identity: dict[str, Any]
    parents: tuple[tuple[str, str], ...]  # (kind, id)
    datasets: dict[str, tuple[Part, ...]] = field(default_factory=dict)
    files: dict[str, FileEntry] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)

    def parts(self, dataset: str) -> tuple[Part, ...]:
        return self.datasets.get(dataset, ())

    def rows(self, dataset: str) -> int:
        return sum(part.rows for part in self.parts(dataset))

    def parent(self, kind: str) -> str:
        """The id of the only parent of a kind; KeyError without one."""
        return self.parents_of(kind)[0]

    def parents_of(self, kind: str) -> list[str]:
        found = [id for parent, id in self.parents if parent == kind]
        if not found:
            raise KeyError(f"{self.kind} {self.id} has no parent of kind {kind!r}")
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT, "kind": self.kind, "id": self.id, "operator": self.operator, "version": self.version, "identity": self.identity,
            "parents": [list(parent) for parent in self.parents], "datasets": parts_to_json(self.datasets),
            "files": {name: asdict(entry) for name, entry in self.files.items()}, "summary": self.summary,
        }  # fmt: skip

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Manifest:
        return cls(
            kind=tree["kind"], id=tree["id"], operator=tree["operator"], version=tree["version"], identity=tree["identity"],
            parents=tuple((kind, id) for kind, id in tree["parents"]), datasets=parts_from_json(tree["datasets"]),
            files={name: FileEntry(**entry) for name, entry in tree["files"].items()}, summary=tree["summary"],
        )  # fmt: skip


def artifact_id(
    kind: str, operator: str, version: int, identity: Mapping[str, Any], parents: Iterable[tuple[str, str]]
) -> str:
    return fingerprint(
        {
            "kind": kind,
            "operator": operator,
            "version": version,
            "identity": dict(identity),
            "parents": [list(p) for p in parents],
        }
    )


def parts_to_json(datasets: Mapping[str, Iterable[Part]]) -> dict[str, Any]:
    return {name: [part.to_json() for part in parts] for name, parts in datasets.items()}


def parts_from_json(tree: Mapping[str, Any]) -> dict[str, tuple[Part, ...]]:
    return {name: tuple(Part.from_json(part) for part in parts) for name, parts in tree.items()}
