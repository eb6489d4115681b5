"""The lake: a folder of immutable parts, of finished tasks, and of artifacts whose manifest is their commit.

    format.json                         the lake's format; an unknown one is refused
    <dataset>/parts/<key>.parquet       parts
    tasks/<kind>/<key>.json             a finished unit of work: the parts it wrote, and its tally
    <kind>/<id>/manifest.json           an artifact: ordered parts, parents, identity  (files/ beside it)
    names/ aliases/ facts/ leases/      append-only facts (`corpus.names`, `corpus.facts`, `corpus.lease`)
    runs/<id>/                          run folders (`trainer.run`)
    .catalog/ catalog.duckdb            SQL views for other clients (`corpus.sql`)

Nothing here knows what a document is. An object store is not supported yet, and a URL is refused by name.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.errors import LakeError, UnknownName
from corpus.fingerprint import fingerprint, hash_file
from corpus.part import Part, publish, sync_folder, write_part
from corpus.process import is_alive

FORMAT = 1
READABLE_FORMATS = {1}


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
        tree = asdict(self)
        return {
            "format": FORMAT,
            **tree,
            "parents": [list(parent) for parent in self.parents],
            "datasets": _parts_json(self.datasets),
        }

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Manifest:
        return cls(
            kind=tree["kind"], id=tree["id"], operator=tree["operator"], version=tree["version"], identity=tree["identity"],
            parents=tuple((kind, id) for kind, id in tree["parents"]), datasets=_parts_from(tree["datasets"]),
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


class Lake:
    """An opened lake. Reads see committed things only; every write is by temporary name and rename."""

    def __init__(self, root: Path):
        self.root = root

    @classmethod
    def open(cls, root: Path | str, create: bool = True) -> Lake:
        """Open a lake folder, making an empty one where there is none; refuses a folder of another format."""
        if "://" in str(root):
            raise LakeError(
                f"the lake {str(root)!r} is a URL; a lake on an object store is not supported yet. Give a local folder."
            )
        root = Path(root).resolve()
        stamp = root / "format.json"
        if stamp.exists():
            found = json.loads(stamp.read_text()).get("format")
            if found not in READABLE_FORMATS:
                raise LakeError(
                    f"{root} is a lake of format {found!r}; this version reads {sorted(READABLE_FORMATS)}. Use the version of Tilth that wrote it."
                )
        elif create:
            if root.exists() and any(root.iterdir()):
                raise LakeError(
                    f"{root} is a folder that holds other things and no lake. Give an empty or a new folder."
                )
            lake = cls(root)
            lake.write_json(stamp, {"format": FORMAT})
        else:
            raise UnknownName(
                f"there is no lake at {root}. Make one with `tilth run RECIPE`, or give another with --lake."
            )
        return cls(root)

    # ── parts and tasks ─────────────────────────────────────────────────────────────────────────────────────────────

    def part_path(self, dataset: str, key: str) -> Path:
        return self.root / dataset / "parts" / f"{key}.parquet"

    def path_of(self, part: Part) -> Path:
        return self.part_path(part.dataset, part.key)

    def write_part(self, dataset: str, key: str, table: pa.Table) -> Part:
        return write_part(self.part_path(dataset, key), dataset, key, table)

    def read_part(self, part: Part, columns: list[str] | None = None) -> pa.Table:
        try:
            return pq.read_table(self.path_of(part), columns=columns, partitioning=None)
        except (OSError, pa.ArrowInvalid) as error:
            raise LakeError(
                f"the part {part.dataset}/{part.key} is missing or damaged: {error}. Restore it, or start a new lake."
            ) from error

    def task(self, kind: str, key: str) -> TaskRecord | None:
        tree = self._read_json(self._task_path(kind, key))
        return None if tree is None else TaskRecord(kind, key, _parts_from(tree["parts"]), tree["tally"])

    def commit_task(
        self, kind: str, key: str, parts: Mapping[str, Iterable[Part]], tally: Mapping[str, Any] | None = None
    ) -> TaskRecord:
        record = TaskRecord(
            kind, key, {name: tuple(found) for name, found in parts.items()}, dict(tally or {})
        )
        self.write_json(
            self._task_path(kind, key), {"parts": _parts_json(record.parts), "tally": record.tally}
        )
        return record

    def _task_path(self, kind: str, key: str) -> Path:
        return self.root / "tasks" / kind / f"{key}.json"

    # ── artifacts ───────────────────────────────────────────────────────────────────────────────────────────────────

    def folder(self, kind: str, id: str) -> Path:
        return self.root / kind / id

    def find(self, kind: str, id: str) -> Manifest | None:
        tree = self._read_json(self.folder(kind, id) / "manifest.json")
        if tree is None:
            return None
        if tree.get("format") not in READABLE_FORMATS:
            raise LakeError(
                f"{kind} {id} has manifest format {tree.get('format')!r}; this version reads {sorted(READABLE_FORMATS)}."
            )
        return Manifest.from_json(tree)

    def get(self, kind: str, id: str) -> Manifest:
        found = self.find(kind, id)
        if found is None:
            raise UnknownName(
                f"no {kind} {id!r} in the lake {self.root}. `tilth ls {kind}` lists what there is."
            )
        return found

    def artifacts(self, kind: str) -> list[Manifest]:
        """All committed artifacts of a kind, by id."""
        ids = sorted(
            path.parent.name
            for path in (self.root / kind).glob("*/manifest.json")
            if not path.parent.name.startswith(".")
        )
        return [found for id in ids if (found := self.find(kind, id))]

    def stage(self) -> Path:
        """A new folder on the lake's file system, to be committed by `commit(manifest, staged)` or deleted."""
        folder = self.root / ".staging" / f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        folder.mkdir(parents=True)
        return folder

    def commit(
        self, manifest: Manifest, staged: Path | None = None, context: Mapping[str, Any] | None = None
    ) -> Manifest:
        """Publish an artifact by one rename; if it is there already, what is there is returned and ours dropped.

        `staged` holds the artifact's files; they become `<kind>/<id>/files/`, hashed into the manifest.
        """
        home = self.folder(manifest.kind, manifest.id)
        outer = self.stage()
        try:
            if staged is not None:
                os.rename(staged, outer / "files")
                manifest = Manifest(**{**manifest.__dict__, "files": _file_entries(outer / "files")})
            self.write_json(outer / "context.json", {**circumstance(), **(context or {})})
            self.write_json(outer / "manifest.json", manifest.to_json())
            home.parent.mkdir(parents=True, exist_ok=True)
            try:
                publish(outer, home)
            except OSError:
                if not (home / "manifest.json").exists():
                    raise
        finally:
            shutil.rmtree(outer, ignore_errors=True)
        return self.get(manifest.kind, manifest.id)

    def once(
        self,
        kind: str,
        operator: str,
        version: int,
        identity: Mapping[str, Any],
        parents: Iterable[tuple[str, str]],
        make: Callable[[str], Manifest],
    ) -> Manifest:
        """The artifact of this identity: found, or made by `make(id)` and committed."""
        id = artifact_id(kind, operator, version, identity, list(parents))
        return self.find(kind, id) or self.commit(make(id))

    # ── JSON beside the data ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    def scratch(self) -> Path:
        """Where folds may spill; emptied by whoever uses it."""
        folder = self.root / ".scratch" / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        folder.mkdir(parents=True)
        return folder

    def write_json(self, path: Path, tree: Mapping[str, Any]) -> None:
        """Replace `path` atomically and durably."""
        path.parent.mkdir(parents=True, exist_ok=True)
        publish(_staged_json(path, tree), path)

    def create_json(self, path: Path, tree: Mapping[str, Any]) -> bool:
        """Create `path` with this content, whole, if and only if nothing is there; says whether it did."""
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = _staged_json(path, tree)
        try:
            os.link(staging, path)
            sync_folder(path.parent)
            return True
        except FileExistsError:
            return False
        finally:
            staging.unlink(missing_ok=True)

    def _read_json(self, path: Path) -> dict[str, Any] | None:
        try:
            return json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise LakeError(
                f"{path} is damaged: {error}. It was not written by Tilth in this form; restore it or delete it."
            ) from error

    def sweep(self, older_than_seconds: float = 86_400) -> None:
        """Delete staging and scratch folders that a killed process left behind."""
        for folder in [*(self.root / ".staging").glob("*"), *(self.root / ".scratch").glob("*")]:
            owner = re.match(r"(\d+)-", folder.name)
            dead = owner is not None and not is_alive(int(owner[1]))
            if dead or time.time() - folder.stat().st_mtime > older_than_seconds:
                shutil.rmtree(folder, ignore_errors=True)


def circumstance() -> dict[str, Any]:
    """Clock, host and versions: kept beside a manifest, never in an id."""
    return {
        "time_utc": now_utc(),
        "host": platform.node(),
        "pid": os.getpid(),
        "python": platform.python_version(),
    }


def now_utc() -> int:
    """Microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def _staged_json(path: Path, tree: Mapping[str, Any]) -> Path:
    staging = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    with staging.open("w", encoding="utf-8") as file:
        json.dump(tree, file, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    return staging


def _file_entries(folder: Path) -> dict[str, FileEntry]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): FileEntry(path.stat().st_size, hash_file(path)) for path in paths
    }


def _parts_json(datasets: Mapping[str, Iterable[Part]]) -> dict[str, Any]:
    return {name: [part.to_json() for part in parts] for name, parts in datasets.items()}


def _parts_from(tree: Mapping[str, Any]) -> dict[str, tuple[Part, ...]]:
    return {name: tuple(Part.from_json(part) for part in parts) for name, parts in tree.items()}
