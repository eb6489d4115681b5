"""Checkpoints that exist only when they are committed.

transformers writes into a staging folder; here the folder is renamed to `checkpoints/step_00001000/` and COMMITTED.json,
with the size and hash of every file, is written last. What has none is not a checkpoint and is removed at the next
start. Rotation takes COMMITTED.json away first. `checkpoints.jsonl` keeps a row of what came and went. It covers no
model: files are bytes here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.errors import LakeError
from corpus.fingerprint import fingerprint
from corpus.json_file import write_json
from corpus.lake import now_utc
from corpus.part import sync_folder
from corpus.run_rows import checkpoint_rows
from quality.model_folder import hash_weights
from trainer.journal import JsonLines

COMMITTED = "COMMITTED.json"
STAGING = ".staging"
FORMAT = 1
_NAME = re.compile(r"step_(\d{8,})")
_UNTRUSTED = ("training_args.bin",)  # a pickle of everything, and nothing reads it


@dataclass(frozen=True)
class Checkpoint:
    """A committed checkpoint; its folder loads as a plain Hugging Face model."""

    folder: Path
    run_id: str
    step: int
    sequences: int
    tokens: int
    config: str
    milestone: bool
    weights_sha256: str
    committed_utc: int
    ended: str  # why the run ended here: done, stopped, or nothing
    files: Mapping[str, Mapping[str, Any]]

    @property
    def id(self) -> str:
        return checkpoint_id(self.run_id, self.step)

    def row(self, exists: bool = True) -> dict[str, Any]:
        """The row of the dataset `checkpoints`."""
        return {
            "checkpoint_id": self.id, "run_id": self.run_id, "step": self.step, "tokens": self.tokens, "milestone": self.milestone,
            "exists": exists, "weights_sha256": self.weights_sha256, "committed_utc": self.committed_utc,
        }  # fmt: skip


def checkpoint_id(run_id: str, step: int) -> str:
    """The id of a checkpoint, known before it exists."""
    return fingerprint({"kind": "checkpoint", "run": run_id, "step": step})


def checkpoint_folder(run_folder: Path, step: int) -> Path:
    return run_folder / "checkpoints" / f"step_{step:08d}"


def staging_folder(run_folder: Path) -> Path:
    """Where unfinished checkpoints are written: on the same file system, so that a rename commits them."""
    return run_folder / "checkpoints" / STAGING


def commit_checkpoint(run_folder: Path, staged: Path, facts: Mapping[str, Any]) -> Checkpoint:
    """Publish a staged folder as the checkpoint of `facts["step"]`; durable when it returns.

    `facts` are the fields of `Checkpoint` that its files do not say: run_id, step, sequences, tokens, config, milestone
    and ended.
    """
    for name in _UNTRUSTED:
        (staged / name).unlink(missing_ok=True)
    paths = sorted(path for path in staged.rglob("*") if path.is_file())
    for path in paths:
        _sync_file(path)
    files = {path.relative_to(staged).as_posix(): _describe(path) for path in paths}
    sync_folder(staged)
    folder = checkpoint_folder(run_folder, int(facts["step"]))
    _remove(folder)
    os.replace(staged, folder)
    sync_folder(folder.parent)
    tree = {
        "format": FORMAT,
        **facts,
        "weights_sha256": hash_weights(folder),
        "committed_utc": now_utc(),
        "files": files,
    }
    write_json(folder / COMMITTED, tree)
    _record(run_folder)
    return _read(folder)


def read_checkpoints(run_folder: Path) -> list[Checkpoint]:
    """The committed checkpoints of a run that are there, by step."""
    folders = [path for path in (run_folder / "checkpoints").glob("step_*") if _NAME.fullmatch(path.name)]
    return sorted(
        (_read(path) for path in folders if (path / COMMITTED).exists()), key=lambda found: found.step
    )


def verify_checkpoint(checkpoint: Checkpoint) -> None:
    """LakeError, naming the file, unless every file is as it was committed; call it before anything is loaded."""
    for name, expected in checkpoint.files.items():
        path = checkpoint.folder / name
        found = _describe(path) if path.is_file() else None
        if found != dict(expected):
            raise LakeError(
                f"{path} is {'missing' if found is None else 'not as it was committed'}. Delete the folder "
                f"{checkpoint.folder} to go on from the checkpoint before it."
            )


def clean_checkpoints(run_folder: Path) -> None:
    """Remove what was never committed, and bring `checkpoints.jsonl` in line with what is there."""
    folder = run_folder / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not (path / COMMITTED).exists():
            _remove(path)
    _record(run_folder)


def rotate_checkpoints(
    run_folder: Path, keep_last: int, protected: Callable[[int], bool]
) -> list[Checkpoint]:
    """Delete all but the last `keep_last`, milestones and protected steps; what went."""
    free = [
        found for found in read_checkpoints(run_folder) if not found.milestone and not protected(found.step)
    ]
    gone = free[:-keep_last]
    for checkpoint in gone:
        (checkpoint.folder / COMMITTED).unlink()
        sync_folder(checkpoint.folder)
        _remove(checkpoint.folder)
    _record(run_folder)
    return gone


def _record(run_folder: Path) -> None:
    """Append the rows that `checkpoints.jsonl` lacks: a kill can fall between a commit and its row."""
    known = {row["step"]: row for row in checkpoint_rows(run_folder)}
    here = {found.step: found.row() for found in read_checkpoints(run_folder)}
    gone = [row | {"exists": False} for step, row in known.items() if row["exists"] and step not in here]
    rows = gone + [row for step, row in here.items() if known.get(step) != row]
    if rows:
        lines = JsonLines(run_folder / "checkpoints.jsonl", "checkpoints")
        lines.append(rows)
        lines.sync()
        lines.close()


def _read(folder: Path) -> Checkpoint:
    try:
        tree = json.loads((folder / COMMITTED).read_text("utf-8"))
    except ValueError as error:
        raise LakeError(
            f"{folder / COMMITTED} is damaged: {error}. Delete the folder to go on without it."
        ) from error
    if tree.pop("format") != FORMAT:
        raise LakeError(f"{folder / COMMITTED} has another format than {FORMAT}: a newer version wrote it")
    return Checkpoint(folder=folder, **tree)


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": digest}


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
