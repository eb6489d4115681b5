"""Bases: what a run's first weights are, and the model folder of a checkpoint that others start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.origin import find_origin, record_origin
from app.planned import scratch_architecture
from app.queries import committed_steps, end_of, run_lineage
from app.recipe import BASE_RUN
from corpus import names
from corpus.errors import ConfigError
from corpus.lake import Lake, Manifest
from trainer.model import Base

if TYPE_CHECKING:
    from app.flow import Work


def base_of(work: Work, run: str) -> Base:
    """Where a run's first weights come from."""
    config = work.recipe.base_model
    assert config is not None
    if run == BASE_RUN:
        assert config.scratch is not None
        return Base(architecture=scratch_architecture(work.loaded, config.scratch), name="scratch")
    if config.scratch:
        folder = work.lake.runs / work.runs[BASE_RUN] / "export"
        return Base(folder=folder, name=f"{work.claim}/{BASE_RUN}")
    return given_base(work)


def origin_of(work: Work, run: str, base: Base) -> dict[str, Any] | None:
    """The checkpoint of this lake that a run's first weights are, as its lineage records it."""
    config = work.recipe.base_model
    assert config is not None
    if run == BASE_RUN:
        return None
    if config.scratch:
        return record_origin(work.runs[BASE_RUN], max(committed_steps(work.lake.runs / work.runs[BASE_RUN])))
    if work.given:
        return record_origin(work.given.id, end_of(work.lake, work.given))
    return find_origin(work.lake, base.identity()["weights_sha256"])


def given_base(work: Work) -> Base:
    """The base that was not trained here for this recipe: a model folder, or a checkpoint of another run."""
    config = work.recipe.base_model
    assert config is not None
    if config.path:
        return Base(folder=work.loaded.path(config.path), name=config.path)
    assert config.run is not None and work.given is not None
    return Base(folder=model_folder(work.lake, work.given.id, work.given.step), name=config.run)


def base_run(lake: Lake, reference: str, recipe: str) -> names.Resolved:
    """The checkpoint that `base_model.run` of a recipe names; ConfigError if it is none or has no model to start from.

    Asked once for a walk: a name may lead elsewhere before its end. The plain name of the recipe itself always would.
    """
    head, _, rest = reference.strip().partition("/")
    if head == recipe and names.alias(lake, recipe, rest) is None:
        raise ConfigError(
            f"base_model.run: {reference!r} leads to the recipe's own runs as soon as they begin. Write the version: {recipe}@N/{rest or 'RUN'}."
        )
    found = names.resolve(lake, reference, "run")
    if found.kind != "run":
        raise ConfigError(
            f"base_model.run: {reference!r} is a {found.kind}, not a run. Write NAME/RUN or NAME/RUN/STEP."
        )
    model_folder(lake, found.id, found.step)
    return found


def tokenizer_of_run(lake: Lake, run_id: str) -> Manifest:
    """The tokenizer that a run of this lake was trained with."""
    return lake.get("tokenizer", run_lineage(lake, run_id)["tokenizer_id"])


def model_folder(lake: Lake, run_id: str, step: int | None) -> Path:
    """The Hugging Face model folder of a checkpoint: the export for the last step, else the committed checkpoint."""
    from trainer.checkpoint import checkpoint_folder

    folder = lake.runs / run_id
    if step is None and (folder / "export").exists():
        return folder / "export"
    if step is None:
        raise ConfigError(
            f"run {run_id[:12]} is not finished, so it has no export yet. Name a checkpoint: {_steps_text(folder)}."
        )
    steps = committed_steps(folder)
    if step not in steps:
        raise ConfigError(
            f"run {run_id[:12]} has no committed checkpoint at step {step}. It has: {_steps_text(folder)}."
        )
    return checkpoint_folder(folder, step)


def _steps_text(run_folder: Path) -> str:
    return ", ".join(map(str, committed_steps(run_folder))) or "none"
