"""JSON in the lake: written whole and durably, and read so that damage is one clear error that names its file.

Manifests, tasks, facts, claims and the files of runs are all read and written here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from corpus.errors import LakeError
from corpus.part import publish, staging_path, sync_folder, writing


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file, None where there is no file; LakeError for anything else."""
    try:
        tree = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise LakeError(f"cannot read {path}: {error.strerror or error}. Make it readable.") from error
    except ValueError as error:  # not JSON, or not UTF-8
        raise _damaged(path, str(error)) from error
    if not isinstance(tree, dict):
        raise _damaged(path, f"it holds a {type(tree).__name__}")
    return tree


def write_json(path: Path, tree: Mapping[str, Any]) -> None:
    """Replace `path` atomically and durably."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = _staged(path, tree)
        try:
            publish(staging, path)
        finally:
            staging.unlink(missing_ok=True)


def create_json(path: Path, tree: Mapping[str, Any]) -> bool:
    """Create `path` with this content, whole, if and only if nothing is there; says whether it did."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = _staged(path, tree)
        try:
            os.link(staging, path)
            sync_folder(path.parent)
            return True
        except FileExistsError:
            return False
        finally:
            staging.unlink(missing_ok=True)


def _staged(path: Path, tree: Mapping[str, Any]) -> Path:
    staging = staging_path(path)
    with staging.open("w", encoding="utf-8") as file:
        json.dump(tree, file, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    return staging


@contextmanager
def well_formed(path: Path) -> Iterator[None]:
    """What is missing or of another type in what was read from `path` is damage too."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error


def _damaged(path: Path, reason: str) -> LakeError:
    return LakeError(
        f"{path} is damaged: {reason}. Tilth did not write it like this. Restore it, or delete it and run the recipe again: what can be made anew is."
    )
