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

import errno
import os
import platform
import shutil
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus.errors import LakeError, UnknownName
from corpus.fingerprint import hash_file
from corpus.json_file import create_json, read_json, well_formed, write_json
from corpus.manifest import (
    FORMAT,
    READABLE_FORMATS,
    FileEntry,
    Manifest,
    TaskRecord,
    artifact_id,
    parts_from_json,
    parts_to_json,
)
from corpus.part import (
    Part,
    check_form,
    publish,
    read_part,
    write_part,
    writing,
)
from corpus.process import is_abandoned, stamp

__all__ = ["FORMAT", "FileEntry", "Lake", "Manifest", "TaskRecord", "artifact_id", "circumstance", "now_utc"]


class Lake:
    """An opened lake. Reads see committed things only; every write is by temporary name and rename."""

    def __init__(self, root: Path):
        self.root = root

    @classmethod
    def open(cls, root: Path | str, create: bool = True) -> Lake:
        """Open a lake folder; refuses a folder of another format.

        Where there is none, one is made, or with `create` false refused; an empty folder is a lake that holds nothing yet.
        """
        if "://" in str(root):
            raise LakeError(
                f"the lake {str(root)!r} is a URL; a lake on an object store is not supported yet. Give a local folder."
            )
        lake = cls(Path(root).resolve())
        lake._refuse_what_sql_cannot_read()
        found = read_json(lake.root / "format.json")
        if found is None and not create and lake._is_empty_folder():
            return lake
        if found is None and not create:
            raise UnknownName(
                f"there is no lake at {lake.root}. Make one with `tilth run RECIPE`, or give another with --lake."
            )
        if found is None:
            lake._refuse_other_things()
            lake.create_json(lake.root / "format.json", {"format": FORMAT})
            found = read_json(lake.root / "format.json") or {}
        if found.get("format") not in READABLE_FORMATS:
            raise LakeError(
                f"{lake.root} is a lake of format {found.get('format')!r}; this version reads {sorted(READABLE_FORMATS)}. Use the version of Tilth that wrote it."
            )
        return lake

    def _is_empty_folder(self) -> bool:
        return self.root.is_dir() and next(self.root.iterdir(), None) is None

    def _refuse_what_sql_cannot_read(self) -> None:
        """DuckDB finds no file under a backslash, and takes paths as text."""
        if "\\" in str(self.root) or not _is_utf8(str(self.root)):
            raise LakeError(
                f"the lake's path {str(self.root)!r} holds a backslash or a byte that is not UTF-8, and SQL could not read a lake there. Give another folder."
            )

    def _refuse_other_things(self) -> None:
        """A lake is not made where other things are; whoever makes one writes format.json before anything else."""
        if self.root.exists() and not self.root.is_dir():
            raise LakeError(f"{self.root} is a file. Give an empty or a new folder.")
        others = self.root.exists() and [
            path for path in self.root.iterdir() if not path.name.startswith(".format.json.")
        ]
        if others and not (self.root / "format.json").exists():
            raise LakeError(
                f"{self.root} is a folder that holds other things and no lake. Give an empty or a new folder."
            )

    # ── parts and tasks ─────────────────────────────────────────────────────────────────────────────────────────────

    def part_path(self, dataset: str, key: str) -> Path:
        return self.root / dataset / "parts" / f"{key}.parquet"

    def path_of(self, part: Part) -> Path:
        return self.part_path(part.dataset, part.key)

    def write_part(self, dataset: str, key: str, table: pa.Table) -> Part:
        return write_part(self.part_path(dataset, key), dataset, key, table)

    def read_part(
        self, part: Part, columns: list[str] | None = None, dictionary: list[str] | None = None
    ) -> pa.Table:
        """A part's rows; columns in `dictionary` come dictionary-encoded (many rows, few texts)."""
        table = read_part(self.path_of(part), columns, dictionary)
        check_form(part, table, columns)
        return table

    def task(self, kind: str, key: str) -> TaskRecord | None:
        path = self.task_path(kind, key)
        tree = read_json(path)
        with well_formed(path):
            return (
                None if tree is None else TaskRecord(kind, key, parts_from_json(tree["parts"]), tree["tally"])
            )

    def commit_task(
        self, kind: str, key: str, parts: Mapping[str, Iterable[Part]], tally: Mapping[str, Any] | None = None
    ) -> TaskRecord:
        record = TaskRecord(
            kind, key, {name: tuple(found) for name, found in parts.items()}, dict(tally or {})
        )
        self.write_json(
            self.task_path(kind, key), {"parts": parts_to_json(record.parts), "tally": record.tally}
        )
        return record

    def task_path(self, kind: str, key: str) -> Path:
        return self.root / "tasks" / kind / f"{key}.json"

    # ── artifacts ───────────────────────────────────────────────────────────────────────────────────────────────────

    def folder(self, kind: str, id: str) -> Path:
        return self.root / kind / id

    def find(self, kind: str, id: str) -> Manifest | None:
        path = self.folder(kind, id) / "manifest.json"
        tree = read_json(path)
        if tree is None:
            return None
        if tree.get("format") not in READABLE_FORMATS:
            raise LakeError(
                f"{kind} {id} has manifest format {tree.get('format')!r}; this version reads {sorted(READABLE_FORMATS)}."
            )
        with well_formed(path):
            found = Manifest.from_json(tree)
        if (found.kind, found.id) != (kind, id):
            raise LakeError(
                f"{path} is the manifest of {found.kind} {found.id}. Put it back, or delete this folder."
            )
        return found

    def get(self, kind: str, id: str) -> Manifest:
        found = self.find(kind, id)
        if found is None:
            raise UnknownName(
                f"no {kind} {id!r} in the lake {self.root}. `tilth ls {kind}` lists what there is."
            )
        return found

    def files(self, manifest: Manifest) -> Path:
        """The folder of an artifact's files; LakeError unless each of them is, to the byte, what was committed."""
        home = self.folder(manifest.kind, manifest.id)
        for name, entry in manifest.files.items():
            if not _is_whole(home / "files" / name, entry):
                raise LakeError(
                    f"the file {home / 'files' / name} is missing or damaged. Restore it, or delete the folder {home}: it is made again."
                )
        return home / "files"

    def artifacts(self, kind: str) -> list[Manifest]:
        """All committed artifacts of a kind, by id."""
        return [found for id in sorted(self.ids(kind)) if (found := self.find(kind, id))]

    def ids(self, kind: str) -> set[str]:
        """The ids of all committed artifacts of a kind; no manifest is read."""
        names = (path.parent.name for path in (self.root / kind).glob("*/manifest.json"))
        return {name for name in names if not name.startswith(".")}

    def stage(self) -> Path:
        """A new folder on the lake's file system, to be committed by `commit(manifest, staged)` or deleted."""
        return self._temporary(".staging")

    def scratch(self) -> Path:
        """A new folder where folds may spill; emptied by whoever uses it."""
        return self._temporary(".scratch")

    def _temporary(self, kind: str) -> Path:
        folder = self.root / kind / stamp()
        with writing(folder):
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
            with writing(home):
                if staged is not None:
                    os.rename(staged, outer / "files")
                    manifest = replace(manifest, files=_file_entries(outer / "files"))
                self.write_json(outer / "context.json", {**circumstance(), **(context or {})})
                self.write_json(outer / "manifest.json", manifest.to_json())
                home.parent.mkdir(parents=True, exist_ok=True)
                self._publish(outer, home)
        finally:
            shutil.rmtree(outer, ignore_errors=True)
        return self.get(manifest.kind, manifest.id)

    def _publish(self, outer: Path, home: Path) -> None:
        """Rename into place. What another committed before stays; what is left of an artifact without its manifest makes way."""
        while True:
            try:
                return publish(outer, home)
            except OSError as error:
                if (home / "manifest.json").exists():
                    return
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            with suppress(FileNotFoundError):  # another writer moved it
                os.rename(home, self.stage() / home.name)  # swept with what else the dead leave there

    # ── JSON beside the data ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    def write_json(self, path: Path, tree: Mapping[str, Any]) -> None:
        """Replace `path` atomically and durably."""
        write_json(path, tree)

    def create_json(self, path: Path, tree: Mapping[str, Any]) -> bool:
        """Create `path` with this content, whole, if and only if nothing is there; says whether it did."""
        return create_json(path, tree)

    def sweep(self, older_than_seconds: float = 86_400) -> None:
        """Delete what a killed process left half-done: staging and scratch folders, temporary files beside parts and facts."""
        for kind in (".staging", ".scratch"):
            for folder in (self.root / kind).glob("*"):
                if is_abandoned(folder, older_than_seconds):
                    shutil.rmtree(folder, ignore_errors=True)
        for here, _, names in os.walk(self.root):
            for name in names:
                if name.startswith(".") and name.endswith(".tmp"):
                    path = Path(here, name)
                    if is_abandoned(path, older_than_seconds):
                        path.unlink(missing_ok=True)


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


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_whole(path: Path, entry: FileEntry) -> bool:
    try:
        return path.stat().st_size == entry.bytes and hash_file(path) == entry.hash
    except OSError:
        return False


def _file_entries(folder: Path) -> dict[str, FileEntry]:
    """Size and hash of every file below, each made durable: the manifest that lists them is."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    return {
        path.relative_to(folder).as_posix(): FileEntry(path.stat().st_size, hash_file(path)) for path in paths
    }
