"""How far a recipe goes, and whether what its stages need is there: asked before any work, so that no hour ends in a typo.

Here is what needs the machine or files beside the recipe; what the recipe alone says wrong, `app.recipe` finds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from app.profile import Profile
from app.recipe import (
    BASE_RUN,
    STAGES,
    LoadedRecipe,
    Recipe,
    TokenizerPath,
    TokenizerTraining,
    check_gate_targets,
)
from corpus import names
from corpus.errors import ConfigError, did_you_mean
from corpus.files import list_files
from corpus.lake import Lake
from evals.gate import parse_baseline
from mixer.tokenizer import load_tokenizer, other_encoding
from quality.model_folder import check_weights, read_max_positions

BASELINE = "base_model"  # what a gate calls the base, wherever it comes from
MISSING = {
    "tokenizer": "it has no tokenizer. Give tokenizer: {path: DIR} or {train: bpe, vocab_size: 8k}",
    "training": "it has no training section. Give training: {tokens, sequence_length, global_batch_tokens, learning_rate}",
    "tasks": "it has nothing to score on. Give holdout: {name: NAME}, or evaluation: {tasks: […]}",
    "gate": "it has no gate. Give gate: {gain: …, harm: …}",
}  # fmt: skip


def check_until(stage: str) -> None:
    """Whether there is such a stage; ConfigError names the nearest."""
    if stage not in STAGES:
        raise ConfigError(
            f"there is no stage {stage!r}.{did_you_mean(stage, STAGES)} The stages are {', '.join(STAGES)}."
        )


def last_stage(loaded: LoadedRecipe, until: str | None) -> str:
    """`until`, or as far as the recipe goes; ConfigError if the recipe does not go there.

    A recipe without training only curates; one that trains must say all that training needs.
    """
    recipe, missing = loaded.recipe, first_missing(loaded)
    if until is not None:
        check_until(until)
        if missing and STAGES.index(until) >= STAGES.index(missing[0]):
            raise ConfigError(f"recipe {recipe.name!r} does not go as far as {until}: {MISSING[missing[1]]}.")
        return until
    if missing is None:
        return STAGES[-1]
    if missing[1] == "tokenizer" and recipe.training:
        raise ConfigError(f"recipe {recipe.name!r} trains, but {MISSING['tokenizer']}.")
    return STAGES[STAGES.index(missing[0]) - 1]


def first_missing(loaded: LoadedRecipe) -> tuple[str, str] | None:
    """The first stage that the recipe does not go to, and what it would need for it."""
    recipe = loaded.recipe
    if not recipe.counts_tokens:
        return "tokenize", "tokenizer"
    if recipe.training is None:
        return "mix", "training"
    if not (loaded.tasks or loaded.scores_holdout):
        return "eval", "tasks"
    return None if recipe.gate else ("select", "gate")


def check_needs(loaded: LoadedRecipe, runs: Mapping[str, Recipe], until: str, profile: Profile) -> list[str]:
    """Everything outside the recipe that the stages up to `until` will ask for: folders, rates, tasks. ConfigError otherwise.

    Returns what is to be told before they begin.
    """
    notes: list[str] = []
    reached = STAGES[: STAGES.index(until) + 1]
    recipe = loaded.recipe
    if "curate" in reached:
        if isinstance(recipe.tokenizer, TokenizerPath):
            _must_hold(loaded.path(recipe.tokenizer.path), "tokenizer", "tokenizer.path")
        if recipe.base_model and recipe.base_model.path:
            _must_hold(loaded.path(recipe.base_model.path), "config.json", "base_model.path")
    if "mix" in reached:
        from app.planned import check_positions, planned_runs, scratch_architecture

        planned_runs(loaded, runs, profile)
        base = recipe.base_model
        if base and base.path:
            folder = loaded.path(base.path)
            check_positions(loaded, read_max_positions(folder), f"the model of base_model.path {folder}")
        if base and base.scratch:
            positions = scratch_architecture(loaded, base.scratch).max_position_embeddings
            check_positions(loaded, positions, "base_model.scratch.architecture")
        if "train" in reached and base and base.path:
            notes += check_base(loaded, base.path, profile)
    if "eval" in reached:
        from evals.items import load_items

        root = loaded.catalog.root
        items = {name: load_items(task, name, root).items for name, task in loaded.tasks.items()}
        sources = {name: {item.source for item in found} for name, found in items.items()}
        check_gate_targets(loaded, recipe.name, sources)
    return notes


def check_base(loaded: LoadedRecipe, path: str, profile: Profile) -> list[str]:
    """Whether training can start from the model folder `base_model.path`; ConfigError otherwise. Returns what to tell of it.

    Its files are asked always, transformers only until a run has started from it: that takes seconds, as long as all else
    that a finished recipe does.
    """
    from trainer.model import check_folder, check_vocabulary

    folder, tokenizer = loaded.path(path), loaded.recipe.tokenizer
    check_weights(folder)
    own = None
    if isinstance(tokenizer, TokenizerPath):
        check_vocabulary(folder, load_tokenizer(loaded.path(tokenizer.path)))
    elif not isinstance(tokenizer, TokenizerTraining):
        own = load_tokenizer(folder)
        check_vocabulary(folder, own)
    if _has_started(Lake(Path(profile.lake)), folder, path):
        return []
    if profile.threads:  # read when torch is loaded, which is here
        os.environ["OMP_NUM_THREADS"] = str(profile.threads)
    notes = check_folder(folder)
    if own and (note := other_encoding(own)):
        notes.append(note)
    return notes


def _has_started(lake: Lake, folder: Path, name: str) -> bool:
    """Whether a run of the lake has loaded the base of this name and config, and trains or has trained."""
    from app.queries import run_ids, run_lineage, run_status
    from trainer.model import config_fingerprint

    config = config_fingerprint(folder)
    for run_id in run_ids(lake):
        lineage = run_lineage(lake, run_id)
        base = lineage.get("identity", {}).get("base", {})
        if (
            lineage.get("base") == name
            and base.get("config") == config
            and "attempt" in run_status(lake, run_id)
        ):
            return True
    return False


def check_sources(loaded: LoadedRecipe) -> None:
    """Whether every source of the recipe is where the catalog says; ConfigError otherwise."""
    for source in loaded.sources.values():
        list_files(source.path, loaded.catalog.root)


def check_approved(loaded: LoadedRecipe, reference: str) -> None:
    """ConfigError where the checkpoint to approve, RUN/STEP or NAME/RUN/STEP, is of no run of the recipe."""
    name = loaded.recipe.name
    head, _, rest = reference.strip().partition("/")
    run = (rest if rest and head.partition("@")[0] == name else head).partition("/")[0]
    runs = loaded.runs()
    if run not in (*runs, names.CHAMPION, "run"):
        hint = f" Write {name}/{head}/STEP." if head in runs else did_you_mean(run, runs)
        raise ConfigError(
            f"--approve {reference!r}: recipe {name!r} has no run {run!r}.{hint} Its runs: {', '.join(runs)}."
        )


def check_seen(lake: Lake, name: str, version: str, reference: str) -> None:
    """ConfigError where a checkpoint is to be approved and nothing was scored of the recipe and its files as they are now."""
    known = names.claims(lake, name)
    if any(owner.fingerprint == version and names.attached(lake, owner, "scorecard") for owner in known):
        return
    scored = [str(owner) for owner in known if names.attached(lake, owner, "scorecard")]
    older = f", or approve one that was scored, as it was then: {scored[-1]}/RUN/STEP" if scored else ""
    raise ConfigError(
        f"--approve {reference!r}: nothing was scored of the recipe and its files as they are now, so nobody has seen it. "
        f"Look at it first with `tilth select RECIPE`{older}."
    )


def check_baseline(
    lake: Lake, loaded: LoadedRecipe, runs: Mapping[str, Recipe], profile: Profile, version: str
) -> None:
    """Whether the gate's baseline will be scored, or was already; ConfigError otherwise.

    Of a run that is not asked for now only this version's scorecard serves; the step of one that is may be where any
    version's run ended early.
    """
    baseline = loaded.recipe.gate.baseline if loaded.recipe.gate else BASELINE
    run, step = parse_baseline(baseline)
    owners = names.claims(lake, loaded.recipe.name)
    if run in (BASELINE, BASE_RUN, *runs):
        if step is not None and not any(is_scorecard_of(baseline, key) for key in _scored(lake, owners)):
            _check_step(loaded, runs, profile, run, step)
        return
    if not any(
        is_scorecard_of(baseline, key)
        for key in _scored(lake, [found for found in owners if found.fingerprint == version])
    ):
        raise ConfigError(
            f"gate.baseline {baseline!r} is not among the runs asked for ({', '.join(runs)}) and was not scored yet. Add it: --runs {','.join([*runs, run])}"
        )


def _check_step(
    loaded: LoadedRecipe, runs: Mapping[str, Recipe], profile: Profile, run: str, step: int
) -> None:
    """ConfigError where the step of a run is neither its last nor a milestone that is scored."""
    from app.planned import planned_runs

    milestones = run != BASE_RUN and loaded.recipe.evaluation.full.at == "milestones"
    steps = planned_runs(loaded, runs, profile)[run].scored_steps(milestones)
    if step not in steps:
        scored = ", ".join(f"{run}/{each}" for each in steps)
        hint = "" if run == BASE_RUN else ", or make it a milestone and set evaluation.full.at: milestones"
        raise ConfigError(
            f"gate.baseline '{run}/{step}' will not be scored: of {run} that is {scored}. Name {'that' if len(steps) == 1 else 'one of them'}{hint}."
        )


def _scored(lake: Lake, owners: Iterable[names.Claim]) -> list[str]:
    """The keys of the scorecards of versions: `base_model` or RUN/STEP."""
    from app.evaluation import stored_scorecards

    return [key for owner in owners for key in stored_scorecards(lake, owner)]


def is_scorecard_of(baseline: str, key: str) -> bool:
    """Whether the scorecard of this key (`base_model` or RUN/STEP) is one that `gate.baseline` means."""
    (run, step), (scored_run, scored_step) = parse_baseline(baseline), parse_baseline(key)
    same_run = scored_run == run or (run, scored_run) == (BASELINE, BASE_RUN)
    return same_run and step in (None, scored_step)


def _must_hold(folder: Path, file: str, key: str) -> None:
    if not any(folder.glob(f"{file}*")):
        raise ConfigError(
            f"{key}: {folder} is not the Hugging Face folder that it should be: there is no {file} in it. Paths are relative to the recipe."
        )
