"""The runs that a recipe plans: what each reads and how it learns, with learning rates, seeds and `auto` made definite."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.profile import Profile
from app.recipe import BASE_RUN, LoadedRecipe, Recipe, Scratch
from corpus.config import apply_sets, build_section, set_key
from corpus.errors import ConfigError
from mixer.global_batch import global_batch, whole_steps
from mixer.static import BudgetTooLarge, Mixture
from trainer.config import Architecture, Training, resolve_training
from trainer.schedule import build_cadence

if TYPE_CHECKING:
    from app.flow import Work


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


def _on_machine(training: Training, profile: Profile) -> Training:
    """The training where the profile says it runs."""
    changes = {
        "device": profile.device,
        "engine": profile.engine,
        "micro_batch_sequences": profile.micro_batch_sequences,
    }
    return training.model_copy(update=changes)
