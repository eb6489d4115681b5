"""JSON in the lake, read so that damage is one clear error that names its file.

Manifests, tasks, facts, claims and the files of runs are all read here; `corpus.lake` writes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from corpus.errors import LakeError


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
