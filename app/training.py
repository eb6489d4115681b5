"""Training in the flow: which runs a recipe plans, what each starts from, and walking through them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.origin import ORIGIN, find_origin, record_origin
from app.profile import Profile
from app.recipe import BASE_RUN, LoadedRecipe, Recipe, Scratch
from corpus import names
from corpus.config import apply_sets, build_section, set_key
from corpus.differences import find_differences
from corpus.errors import ConfigError, GuardStop, NotFinite
from corpus.fingerprint import fingerprint
from corpus.holdout import held_out_rows
from corpus.json_file import read_json
from corpus.lake import Lake, Manifest
from corpus.names import Claim
from mixer.global_batch import global_batch, whole_steps
from mixer.mix import open_plan
from mixer.static import BudgetTooLarge, Mixture
from mixer.tokenize import open_streams, tokenizer_folder, verify_shards
from mixer.tokenizer import load_tokenizer
from trainer.config import Architecture, Training, resolve_training
from trainer.model import Base
from trainer.schedule import build_cadence

if TYPE_CHECKING:
    from app.flow import Work

VERSION = 1


@dataclass(frozen=True)
class PlannedRun:
    """What a run reads and how it learns. `sources` None: all of the recipe's."""

    mixture: Mixture
    training: Training
    sources: list[str] | None = None

    def budget(self) -> dict[str, int]:
        training = self.training
        return {
            "tokens": training.tokens,
            "global_batch_tokens": training.global_batch_tokens,
            "sequence_length": training.sequence_length,
        }

    @property
    def milestones(self) -> Set[int]:
        """The steps whose checkpoints no rotation removes."""
        sequences = global_batch(self.training.global_batch_tokens, self.training.sequence_length)
        step_tokens = sequences * self.training.sequence_length
        return build_cadence(self.training, whole_steps(**self.budget()), step_tokens).milestones

    def scored_steps(self, milestones: bool) -> list[int]:
        """The steps whose checkpoints are scored if nothing ends the run before: its last, and its milestones if asked for."""
        return sorted({whole_steps(**self.budget()), *(self.milestones if milestones else ())})


def planned_runs(loaded: LoadedRecipe, runs: Mapping[str, Recipe], profile: Profile) -> dict[str, PlannedRun]:
    """The base first, if it is trained from scratch, then the recipe's runs; learning rates, seeds and `auto` made definite.

    The profile's device comes first: it decides what `auto` precision is, and whether there is a GPU for fp16.
    """
    recipe = loaded.recipe
    assert recipe.training is not None and recipe.base_model is not None, (
        "app.reach and app.recipe ask for both"
    )
    found: dict[str, PlannedRun] = {}
    peak = recipe.base_model.peak_learning_rate
    if scratch := recipe.base_model.scratch:
        base = _on_machine(base_training(loaded, scratch), profile)
        mixture = build_section(Mixture, {"max_epochs": recipe.mixture.max_epochs}, "base_model.scratch")
        found[BASE_RUN] = PlannedRun(mixture, resolve_training(base, seed=recipe.seed), scratch.sources)
        peak = scratch.learning_rate if peak is None else peak
    for name, own in runs.items():
        assert own.training is not None
        training = resolve_training(_on_machine(own.training, profile), peak, recipe.seed)
        found[name] = PlannedRun(own.mixture, training)
    return found


def over_budget(work: Work, run: str, planned: PlannedRun, error: BudgetTooLarge) -> BudgetTooLarge:
    """The same error with what the operator needs to mend it: which run, which key, and whether only a sample was read."""
    key = "training.tokens"
    if run == BASE_RUN:
        key = "base_model.scratch.tokens"
    elif key in work.recipe.runs.get(run, {}):
        key = f"runs.{run}: {key}"
    length = planned.training.sequence_length
    step = global_batch(planned.training.global_batch_tokens, length) * length
    sampled = (
        f" Only a sample of {work.sample:.2%} was read, and the budget is that of the whole corpus."
        if work.sample < 1
        else ""
    )
    most = error.room // step * step
    fits = f"{most} is the most that fits" if most else "not one fits"
    return BudgetTooLarge(
        f"run {run!r}: {error} Its budget is {key}, in whole steps of {step:,} tokens, of which {fits}.{sampled}",
        error.room,
    )


def base_training(loaded: LoadedRecipe, scratch: Scratch) -> Training:
    """How a base is trained: the recipe's training as it is written, with what `scratch` says instead.

    As written, since a value read once may read differently again: 100% is 1.0, and a 1 is a token.
    """
    tree = apply_sets(loaded.tree["training"], [])
    for key in ("monitor", "checkpoints"):
        tree.pop(key, None)
    changes = {"tokens": scratch.tokens, "learning_rate": scratch.learning_rate, **scratch.training}
    for key, value in changes.items():
        set_key(tree, key, value)
    return build_section(Training, tree, "base_model.scratch.training")


def lengths_read(loaded: LoadedRecipe) -> dict[str, int]:
    """By key, how many tokens a model of the recipe reads at once: sequences of its base and runs, windows of its evaluation."""
    recipe = loaded.recipe
    assert recipe.training is not None
    found = {"training.sequence_length": recipe.training.sequence_length}  # the window, where none is given
    if recipe.base_model and (scratch := recipe.base_model.scratch):
        found["base_model.scratch: sequence_length"] = base_training(loaded, scratch).sequence_length
    for name, run in loaded.runs().items():
        assert run.training is not None
        found[f"runs.{name}: training.sequence_length"] = run.training.sequence_length
    if window := recipe.evaluation.window_tokens:
        found["evaluation.window_tokens"] = window
    return found


def check_positions(loaded: LoadedRecipe, positions: int | None, where: str) -> None:
    """ConfigError, naming the key, where the recipe reads more tokens at once than a model has positions."""
    key, longest = max(lengths_read(loaded).items(), key=lambda item: item[1])
    if positions is not None and longest > positions:
        raise ConfigError(f"{key} is {longest}, but {where} has {positions} positions; give at most that")


def scratch_architecture(loaded: LoadedRecipe, scratch: Scratch) -> Architecture:
    """The architecture of the base, with positions for all that it and what goes on from it will read."""
    if scratch.architecture.max_position_embeddings is not None:
        return scratch.architecture
    positions = max(lengths_read(loaded).values())
    return scratch.architecture.model_copy(update={"max_position_embeddings": positions})


def train_planned_runs(work: Work, runs: Mapping[str, Recipe]) -> None:
    """Train what is missing: the base, then every run from its last checkpoint.

    A run that its monitor or a number that is not finite stopped is noted in `work.unfinished`, and others go on; what it
    committed is evaluated like any other. A base must get to its end.
    """
    planned = planned_runs(work.loaded, runs, work.profile)
    if work.profile.threads:  # read when torch is loaded, which is later than here
        os.environ["OMP_NUM_THREADS"] = str(work.profile.threads)
    unchecked = bool(work.accept)
    for name, run in planned.items():
        base = base_of(work, name)
        if unchecked and name != BASE_RUN:  # for all before the first goes on for hours
            unchecked = False
            for other in [other for other in planned if other != BASE_RUN]:
                _check_accepted(work, other, planned[other], base)
        try:
            reason = train_one(work, name, run, base)
        except NotFinite as error:
            if name == BASE_RUN:
                raise
            work.report.say(f"{name}: {error}")
            reason = "a loss or gradient was not a number"
        if reason and name == BASE_RUN:
            raise GuardStop(f"the base did not finish: {reason}")
        if reason:
            work.unfinished[name] = reason


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
    if config.run:
        found = base_run(work.lake, config.run)
        return record_origin(found.id, end_of(work.lake, found))
    return find_origin(work.lake, base.identity()["weights_sha256"])


def given_base(work: Work) -> Base:
    """The base that was not trained here for this recipe: a model folder, or a checkpoint of another run."""
    config = work.recipe.base_model
    assert config is not None
    if config.path:
        return Base(folder=work.loaded.path(config.path), name=config.path)
    assert config.run is not None
    found = base_run(work.lake, config.run)
    return Base(folder=model_folder(work.lake, found.id, found.step), name=config.run)


def base_run(lake: Lake, reference: str) -> names.Resolved:
    """The checkpoint that `base_model.run` names; ConfigError if it is none or has no model to start from."""
    found = names.resolve(lake, reference, "run")
    if found.kind != "run":
        raise ConfigError(
            f"base_model.run: {reference!r} is a {found.kind}, not a run. Write NAME/RUN or NAME/RUN/STEP."
        )
    model_folder(lake, found.id, found.step)
    return found


def end_of(lake: Lake, found: names.Resolved) -> int:
    """The step of a checkpoint reference: the last that is committed, where it names a run."""
    return found.step if found.step is not None else max(committed_steps(lake.runs / found.id), default=0)


def tokenizer_of_run(lake: Lake, run_id: str) -> Manifest:
    """The tokenizer that a run of this lake was trained with."""
    from app.queries import run_lineage

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


def committed_steps(run_folder: Path) -> list[int]:
    from trainer.checkpoint import read_checkpoints

    return [found.step for found in read_checkpoints(run_folder)]


def run_identity(work: Work, planned: PlannedRun, base: Base, mixture: Manifest) -> dict[str, Any]:
    """What a run folder's id is made of."""
    assert work.tokenizer is not None
    holdout = work.curated.holdout if work.curated and planned.training.monitor else None
    return {
        "version": VERSION, "training": planned.training.identity(), "base": base.identity(), "mixture": mixture.id, "tokenizer": work.tokenizer.id,
        "held_out": holdout.id if holdout else None,
    }  # fmt: skip


def train_one(work: Work, name: str, planned: PlannedRun, base: Base) -> str:
    """Train one run, or find it done; returns why it stopped early, or nothing."""
    from app.queries import run_status
    from trainer.data import PlanData
    from trainer.progress import show_progress
    from trainer.run import FINISHED, train_run

    assert work.shards is not None
    assert work.tokenizer is not None
    mixture = work.mixtures[name]
    identity = run_identity(work, planned, base, mixture)
    run_id = run_of(work, name, identity)
    training = planned.training
    folder = work.lake.runs / run_id
    done = run_status(work.lake, run_id).get("status") in FINISHED
    known = (folder / "lineage.json").exists()  # then what it started from stands there
    with work.report.stage("train", name) as stage:
        names.attach(work.lake, work.claim, "run", run_id, name)
        work.runs[name] = run_id
        plan = open_plan(mixture)
        sources = [source.name for source in plan.sources]
        if not done:
            verify_shards(work.lake, work.shards, sources)
        data = PlanData(plan, open_streams(work.lake, work.shards, sources))
        lineage = {
            "run_id": run_id, "name": name, "recipe": str(work.claim), "mixture_id": mixture.id, "snapshot_id": work.shards.parent("snapshot"),
            "tokenizer_id": work.tokenizer.id, "base": base.name, ORIGIN: None if known else origin_of(work, name, base), "identity": identity,
        }  # fmt: skip
        with show_progress(f"train {name}") as progress:
            result = train_run(
            folder, run_id, training, base, data, held_out_tokens(work, training), tokenizer_folder(work.lake, work.tokenizer), groups=_roles(work), lineage=lineage, accept=work.accept,
            protected=lambda step: is_protected(work.lake, run_id, step), progress=progress, say=work.report.say,
        )  # fmt: skip
        stage.id, stage.built, stage.note = (
            run_id,
            not done,
            f"{result.status} at step {result.last_step} of {plan.num_steps}",
        )
    if result.status == "done":
        return ""
    return f"{result.status} by its monitor at step {result.last_step} of {plan.num_steps}"


def _check_accepted(work: Work, name: str, planned: PlannedRun, base: Base) -> None:
    """ConfigError where a run could not go on with what its recipe says now, before any other does."""
    from trainer.run import check_milestones

    identity = run_identity(work, planned, base, work.mixtures[name])
    run_id = run_of(work, name, identity)
    before = _goes_on_with(work.lake, run_id)
    if before is not None and find_differences(before, identity):
        check_milestones(work.lake.runs / run_id, planned.milestones)


def _on_machine(training: Training, profile: Profile) -> Training:
    """The training where the profile says it runs."""
    changes = {
        "device": profile.device,
        "engine": profile.engine,
        "micro_batch_sequences": profile.micro_batch_sequences,
    }
    return training.model_copy(update=changes)


def _roles(work: Work) -> dict[str, str]:
    return {name: source.role for name, source in work.loaded.sources.items()}


def held_out_tokens(work: Work, training: Training) -> dict[str, list[Any]]:
    """Token ids of held-out documents by source, without special tokens: what the monitor measures during a run.

    Whole documents in doc_id order (a hash, so no order of theirs) up to the monitor's tokens per source, at least one.
    """
    holdout = work.curated.holdout if work.curated else None
    if holdout is None or work.tokenizer is None or training.monitor is None:
        return {}
    rows = held_out_rows(work.lake, holdout).sort_by("doc_id")
    encoded = load_tokenizer(tokenizer_folder(work.lake, work.tokenizer)).encode_batch(
        rows["text"].to_pylist()
    )
    found: dict[str, list[Any]] = {}
    for source, ids in zip(rows["source"].to_pylist(), encoded, strict=True):
        mine = found.setdefault(source, [])
        if sum(len(one) for one in mine) < training.monitor.tokens_per_source:
            mine.append(ids)
    return found


def is_protected(lake: Lake, run_id: str, step: int) -> bool:
    """Rotation never removes a checkpoint that was scored, signed off or that an alias points to."""
    from corpus.facts import read_facts
    from trainer.checkpoint import checkpoint_id

    id = checkpoint_id(run_id, step)
    if any(place["id"] == run_id and place["step"] == step for _, _, place in names.aliases(lake)):
        return True
    if any(row["checkpoint_id"] == id for row in read_facts(lake, "signoffs")):
        return True
    return any(dict(manifest.parents).get("checkpoint") == id for manifest in lake.artifacts("scorecard"))


def run_of(work: Work, name: str, identity: Mapping[str, Any]) -> str:
    """The id of the run with this identity: its own, or that of a run of this recipe's name that goes on with it.

    Where the last run of that name has another identity, it is said which keys differ; with `work.accept` these must all be
    accepted, and it is that run.
    """
    from app.queries import run_status
    from trainer.accepted import covers
    from trainer.run import FINISHED

    own = _free_id(work.lake, identity)
    if (work.lake.runs / own).exists():
        return own
    last: tuple[Claim, str, list[str]] | None = None
    for owner, id in _runs_called(work, name):
        before = _goes_on_with(work.lake, id)
        if before is None:
            continue
        changed = [key for key, _, _ in find_differences(before, identity)]
        if not changed:
            return id
        last = last or (owner, id, changed)
    if last is None:
        return own
    owner, id, changed = last
    told = f"{name}: another run than {owner}/{name}, because of {', '.join(changed)}"
    if not work.accept:
        work.report.say(told)
        return own
    if rest := [key for key in changed if not covers(work.accept, key)]:
        raise ConfigError(
            f"{told}; --accept would have to name {', '.join(rest)} too. Accept every key, or none for a run of its own"
        )
    if (status := run_status(work.lake, id)).get("status") in FINISHED:
        raise ConfigError(
            f"{owner}/{name} is {status['status']} at step {status['last_step']}: it does not go on, so there is nothing to accept. "
            f"Without --accept {name} is a run of its own; "
            + (
                "to keep the base as it is, write its old value under base_model.scratch.training"
                if name == BASE_RUN
                else "--runs names those that are to go on"
            )
        )
    return id


def _free_id(lake: Lake, identity: Mapping[str, Any]) -> str:
    """The id of the run with this identity: its fingerprint, unless that run goes on with something else by now."""
    own = fingerprint(identity)
    for beside in count():
        id = fingerprint({**identity, "beside": beside}) if beside else own
        found = _goes_on_with(lake, id)
        if found is None or fingerprint(found) == own:
            return id
    raise AssertionError("count() ends")


def _goes_on_with(lake: Lake, run_id: str) -> dict[str, Any] | None:
    """The identity with which a run goes on, what was accepted included; None for one that has not begun."""
    from trainer.accepted import identities

    lineage = read_json(lake.runs / run_id / "lineage.json")
    return None if lineage is None else list(identities(lake.runs / run_id, lineage["identity"]))[-1]


def _runs_called(work: Work, name: str) -> Iterator[tuple[Claim, str]]:
    """The runs of that name of every version of the recipe, the newest first."""
    for owner in reversed(names.claims(work.lake, work.recipe.name)):
        for fact in names.attached(work.lake, owner, "run"):
            if fact["key"] == name:
                yield owner, fact["id"]
