"""Which version of its name a recipe is: NAME@N is one resolved recipe and everything outside it that it reads.

Files count by their content, hashed once and then known by path, size and time, as those of sources are. Where they stand
is no part of it. One that is not there counts as nothing here: the stage that needs it says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.queries import end_of
from app.recipe import TokenizerPath
from corpus.errors import ConfigError
from corpus.files import FileRef, HashCache, list_files
from corpus.fingerprint import fingerprint
from corpus.ingest import Files, hash_cache
from mixer.tokenizer import TOKENIZER_FILES
from trainer.checkpoint import checkpoint_id

if TYPE_CHECKING:
    from app.flow import Work

MODEL_FILES = (".json", ".model", ".jinja", ".safetensors")


def version_fingerprint(work: Work, files: Mapping[str, Files]) -> str:
    """Fingerprint of the recipe, of its sources and tasks as the catalog declares them, and of the content of all of them."""
    recipe, loaded = work.recipe, work.loaded
    sources = {
        name: source.identity() | {"role": source.role, "topic": source.topic, "curated": source.curated}
        for name, source in loaded.sources.items()
    }
    return fingerprint({
        "recipe": recipe.identity() | {"sources": sorted(recipe.sources)}, "holdout": recipe.holdout.name if recipe.holdout else None, "sample": work.sample,
        "sources": sources, "inputs": {name: [file.identity for file in found] for name, found in files.items()},
        "tasks": {name: task.identity() for name, task in loaded.tasks.items()}, **_read_besides(work),
    })  # fmt: skip


def _read_besides(work: Work) -> dict[str, Any]:
    """Content of what the recipe reads beside its sources; no key for what it does not name."""
    loaded, cache = work.loaded, hash_cache(work.lake)
    recipe, base, root = loaded.recipe, loaded.recipe.base_model, loaded.catalog.root
    found: dict[str, Any] = {}
    if isinstance(recipe.tokenizer, TokenizerPath):
        found["tokenizer"] = _folder_content(cache, loaded.path(recipe.tokenizer.path))
    if base and base.path:
        found["base_model"] = _folder_content(cache, loaded.path(base.path))
    if work.given:
        found["base_model"] = checkpoint_id(work.given.id, end_of(work.lake, work.given))
    if loaded.tasks:
        found["task_files"] = {
            name: [
                sorted(cache.hash_of(ref) for ref in _files(path, root))
                for path in (task.path, task.fewshot_path)
                if path
            ]
            for name, task in loaded.tasks.items()
        }
    return found


def _folder_content(cache: HashCache, folder: Path) -> list[list[str]]:
    """Name and content hash of the files that make a model or tokenizer folder."""
    paths = {Path(ref.path): ref for ref in _files(str(folder))}
    return [
        [path.name, cache.hash_of(ref)]
        for path, ref in paths.items()
        if path.parent == folder and (path.suffix in MODEL_FILES or path.name in TOKENIZER_FILES)
    ]


def _files(path: str, root: str | None = None) -> list[FileRef]:
    try:
        return list_files(path, root)
    except ConfigError:
        return []
