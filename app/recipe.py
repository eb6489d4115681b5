"""A recipe: the complete description of a run, composed of the sections that each package owns.

Reading one changes nothing and looks at no data. Relative paths are relative to the file that holds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field, field_validator, model_validator

from app.profile import Profile
from corpus.catalog import Catalog, Source, build_catalog
from corpus.config import (
    Count,
    Section,
    Share,
    apply_sets,
    build_section,
    circumstance,
    identity,
    read_yaml,
    set_key,
)
from corpus.errors import ConfigError, UnknownName, did_you_mean, one_of
from corpus.holdout import Holdout
from corpus.names import check_name, check_run_name
from evals.gate import Gate, expected_targets, parse_baseline
from evals.task import HOLDOUT_TASK, TaskConfig
from mixer.groups import SourceTokens, group_members
from mixer.static import Mixture
from quality.curation import Curation
from trainer.config import NOT_THERE_YET, Architecture, Positive, PositiveRate, Seed, Training

STAGES = ("ingest", "curate", "tokenize", "mix", "train", "eval", "select")
BASE_RUN = "base"


def _distinct(sources: list[str]) -> list[str]:
    if not sources:
        raise ValueError("name at least one source of the catalog")
    if repeated := sorted({name for name in sources if sources.count(name) > 1}):
        raise ValueError(f"the source {repeated[0]!r} stands twice")
    return sources


def _of_no_machine(tree: Any) -> Any:
    """A section as written; ValueError where it holds a key of a profile."""
    for key in tree if isinstance(tree, dict) else ():
        if key in Profile.model_fields:
            later = key == "engine" and tree[key] in NOT_THERE_YET["engine"]
            raise ValueError(
                f"{key} belongs to the machine, not to a recipe: write it in a profile of profiles.yaml"
                + (f"; {tree[key]!r} is not there yet, there is single" if later else "")
            )
    return tree


class TokenizerTraining(Section):
    """A tokenizer fitted before anything is measured, on a selection that uses no signal."""

    train: Literal["bpe"] = identity("bpe", description="how it is fitted on the documents: bpe")
    vocab_size: Annotated[Count, Field(ge=258)] = identity(
        8192, description="258 or more: every byte, EOS and BOS"
    )
    sources: list[str] | None = identity(None, absent_means=None, description="default: all of the recipe's")
    sample: Annotated[Share, Field(gt=0)] = identity(
        1.0, absent_means=1.0, description="share of documents, by content hash"
    )

    @field_validator("sources")
    @classmethod
    def _in_any_order(cls, value: list[str] | None) -> list[str] | None:
        return None if value is None else sorted(_distinct(value))


class TokenizerPath(Section):
    path: str = circumstance(description="a Hugging Face tokenizer folder; its content is what counts")


class Scratch(Section):
    """A base trained here, from nothing, as the run `base`."""

    architecture: Architecture = identity(
        Architecture(), description="the model that is trained from nothing"
    )
    sources: list[str] = identity(description="what it is trained on")
    tokens: Positive = identity(description="how many the base is trained on")
    learning_rate: PositiveRate = identity(1e-3, description="peak; what `0.05x` in training refers to")
    training: dict[str, Any] = identity(
        {}, description="keys of `training` that are different for the base, tokens and learning_rate aside"
    )

    @field_validator("sources")
    @classmethod
    def _in_any_order(cls, value: list[str]) -> list[str]:
        return sorted(_distinct(value))

    @field_validator("training")
    @classmethod
    def _other_keys(cls, value: dict[str, Any]) -> dict[str, Any]:
        for key in ("tokens", "learning_rate"):
            if key in value:
                raise ValueError(f"{key} stands beside it: base_model.scratch.{key}, and nowhere else")
        return cast(dict[str, Any], _of_no_machine(value))


class BaseModel(Section):
    path: str | None = circumstance(
        None, description="a Hugging Face model folder; its content is what counts"
    )
    run: str | None = circumstance(
        None, description="a checkpoint in the lake, NAME/RUN/STEP; its weights are what counts"
    )
    scratch: Scratch | None = identity(None, description="a model trained here first, as the run `base`")
    peak_learning_rate: PositiveRate | None = identity(
        None, absent_means=None, description="what `0.05x` in training refers to, for a path or run"
    )

    @model_validator(mode="after")
    def _one(self) -> BaseModel:
        given = [name for name in ("path", "run", "scratch") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"base_model needs exactly one of path, run and scratch; it has {' and '.join(given) or 'none'}"
            )
        return self


class FullEvaluation(Section):
    at: Literal["last", "milestones"] = circumstance(
        "last", description="which checkpoints are scored: last, or milestones (and the last)"
    )


class Evaluation(Section):
    tasks: list[str] = identity(
        ["holdout"], description="tasks of the catalog, and `holdout`: bits per byte on the held-out set"
    )
    window_tokens: Positive | None = identity(
        None, absent_means=None, description="default: the training sequence length"
    )
    full: FullEvaluation = circumstance(
        FullEvaluation(), description="scoring of checkpoints with every item"
    )
    fast: Any = circumstance(None, description="not there yet")

    @field_validator("fast")
    @classmethod
    def _absent(cls, value: Any) -> Any:
        if value is not None:
            raise ValueError(
                "task evaluation during a run is not there yet; held-out loss during a run is training.monitor"
            )
        return value


class Recipe(Section):
    name: str = circumstance(description="its artifacts are NAME@1, NAME@2, …")
    catalog: str = circumstance(
        "data_catalog.yaml", description="path of the catalog; --set catalog.root=… moves its root"
    )
    sources: list[str] = identity(description="names of sources in the catalog")
    seed: Seed = identity(0, description="of the order of the data and of random numbers")
    curation: Curation = identity(Curation(), description="which documents stay; docs/curation.md")
    holdout: Holdout | None = identity(None, description="documents set apart for scoring; absent: none are")
    tokenizer: Literal["base_model"] | TokenizerPath | TokenizerTraining | None = identity(
        None, description="base_model, {path: DIR} or {train: bpe}; absent: tokens are not counted"
    )
    base_model: BaseModel | None = identity(
        None, description="exactly one of path, run and scratch; docs/training.md"
    )
    mixture: Mixture = identity(Mixture(), description="what is read, in which shares; docs/mixtures.md")
    training: Training | None = identity(None, description="docs/training.md")
    runs: dict[str, dict[str, Any]] = identity(
        {}, description="RUN: {key: value}, what this run has other than the recipe; absent: one run, `main`"
    )
    evaluation: Evaluation = identity(
        Evaluation(), description="what checkpoints are scored on; docs/evaluation.md"
    )
    gate: Gate | None = identity(
        None, absent_means=None, description="when a checkpoint may be chosen; docs/evaluation.md"
    )

    @property
    def counts_tokens(self) -> bool:
        """Whether there is a tokenizer before anything is measured: its own, or that of a base which is not trained here."""
        return self.tokenizer is not None or bool(self.base_model and not self.base_model.scratch)

    @field_validator("name")
    @classmethod
    def _usable(cls, value: str) -> str:
        return check_name(value)

    @field_validator("sources")
    @classmethod
    def _sources(cls, value: list[str]) -> list[str]:
        return _distinct(value)

    @model_validator(mode="before")
    @classmethod
    def _recipe_of_no_machine(cls, tree: Any) -> Any:
        return _of_no_machine(tree)

    @field_validator("training", mode="before")
    @classmethod
    def _training_of_no_machine(cls, tree: Any) -> Any:
        return _of_no_machine(tree)

    @field_validator("tokenizer", mode="before")
    @classmethod
    def _which_tokenizer(cls, value: Any) -> Any:
        """Decide by the keys, so that an error names the one section that was meant."""
        if isinstance(value, dict):
            return build_section(TokenizerPath if "path" in value else TokenizerTraining, value, "tokenizer")
        return value

    @field_validator("runs")
    @classmethod
    def _run_names(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name in value:
            check_run_name(name)
            if name in (BASE_RUN, "base_model"):
                raise ValueError(f"a run cannot be called {name!r}: that is the model that runs go on from")
        return value


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe with its catalog, both validated against each other; `tree` is the recipe as written, sets applied."""

    recipe: Recipe
    catalog: Catalog
    tree: dict[str, Any]
    folder: Path

    @property
    def sources(self) -> dict[str, Source]:
        return {name: self.catalog.source(name) for name in self.recipe.sources}

    @property
    def tasks(self) -> dict[str, TaskConfig]:
        """The recipe's evaluation tasks, without the held-out set, which needs no entry in the catalog."""
        names = [name for name in self.recipe.evaluation.tasks if name != HOLDOUT_TASK]
        return {
            name: build_section(TaskConfig, self.catalog.task(name), f"catalog: tasks.{name}")
            for name in names
        }

    @property
    def scores_holdout(self) -> bool:
        """Whether checkpoints are scored on the held-out set: where the recipe has one and its tasks do not leave it out."""
        return self.recipe.holdout is not None and HOLDOUT_TASK in self.recipe.evaluation.tasks

    def runs(self, only: Iterable[str] = ()) -> dict[str, Recipe]:
        """Each run's own recipe: the overrides under `runs` written into the recipe's keys."""
        found = self.recipe.runs or {"main": {}}
        for name in only:
            if name not in found:
                raise ConfigError(
                    f"the recipe has no run {name!r}.{did_you_mean(name, found)} Its runs: {one_of(found)}."
                )
        return {
            name: self._run_recipe(name, changes)
            for name, changes in found.items()
            if not only or name in set(only)
        }

    def _run_recipe(self, name: str, changes: dict[str, Any]) -> Recipe:
        tree = apply_sets(self.tree, [])
        for key, value in changes.items():
            if key.split(".")[0] not in ("mixture", "training"):
                raise ConfigError(
                    f"runs.{name}: {key!r} cannot differ between runs; a run may change keys of mixture and training"
                )
            set_key(tree, key, value)
        return build_section(Recipe, tree, f"runs.{name}")

    def path(self, text: str) -> Path:
        return (self.folder / Path(text).expanduser()).resolve()

    def resolved(self) -> dict[str, Any]:
        """The recipe in JSON form, defaults filled in: what is recorded under its name."""
        return self.recipe.model_dump(mode="json")


def load_recipe(path: Path, sets: Iterable[str] = ()) -> LoadedRecipe:
    """Read and check a recipe and its catalog before any work. ConfigError says what is wrong and where."""
    tree = read_yaml(path)
    catalog_sets = [text for text in sets if text.startswith("catalog.")]
    tree = apply_sets(tree, [text for text in sets if not text.startswith("catalog.")])
    recipe = build_section(Recipe, tree, str(path))
    catalog_path = (path.parent / recipe.catalog).resolve()
    catalog_tree = apply_sets(
        read_yaml(catalog_path), [text.removeprefix("catalog.") for text in catalog_sets]
    )
    catalog = _catalog_of(recipe, catalog_tree, catalog_path)
    loaded = LoadedRecipe(recipe, catalog, tree, path.parent.resolve())
    _check(loaded, str(path))
    return loaded


def _catalog_of(recipe: Recipe, tree: dict[str, Any], path: Path) -> Catalog:
    """The catalog; a mistake in a source that the recipe does not name is another recipe's."""
    try:
        return build_catalog(tree, path.parent, str(path))
    except ConfigError:
        sources = tree.get("sources")
        if not isinstance(sources, dict):
            raise
        named = {name: sources[name] for name in recipe.sources if name in sources}
        return build_catalog({**tree, "sources": named}, path.parent, str(path))


def _check(loaded: LoadedRecipe, where: str) -> None:
    """What no section can see alone: names that must exist in another."""
    recipe, sources, base = loaded.recipe, loaded.sources, loaded.recipe.base_model
    recipe.curation.check_overrides(
        {*sources, *(s.topic for s in sources.values() if s.topic), *(s.role for s in sources.values())}
    )
    for name, source in sources.items():
        recipe.curation.check_bounds(name, source.topic, source.role)
    recipe.curation.check_measured(tokens=recipe.counts_tokens, holdout=recipe.holdout is not None)
    for name in base.scratch.sources if base and base.scratch else []:
        _must_be(name, sources, f"{where}: base_model.scratch.sources")
    if isinstance(recipe.tokenizer, TokenizerTraining):
        for name in recipe.tokenizer.sources or []:
            _must_be(name, sources, f"{where}: tokenizer.sources")
    if recipe.tokenizer == "base_model" and (base is None or base.scratch):
        raise ConfigError(
            f"{where}: tokenizer: base_model needs base_model.path or base_model.run; give tokenizer: {{path: DIR}} or {{train: bpe, vocab_size: 8k}}"
        )
    if recipe.training and base is None:
        raise ConfigError(
            f"{where}: training needs a base_model. Give base_model: {{path: DIR}}, {{run: NAME/RUN/STEP}} or {{scratch: {{sources, tokens}}}}."
        )
    for name, run in loaded.runs().items():
        _check_run(loaded, run, f"{where}: runs.{name}" if recipe.runs else where)
    _check_evaluation(loaded, where)


def _check_run(loaded: LoadedRecipe, run: Recipe, where: str) -> None:
    """The groups that a run's mixture and monitor name."""
    weights = run.mixture.weights
    if isinstance(weights, dict) and "temperature" not in weights:
        sources = [SourceTokens(n, s.role, s.topic or None, 1) for n, s in loaded.sources.items()]
        try:
            group_members(list(weights), sources)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
    monitor = run.training.monitor if run.training else None
    if monitor and monitor.max_increase and run.holdout is None:
        raise ConfigError(
            f"{where}: training.monitor.max_increase needs held-out text. Add holdout: {{name: NAME}}."
        )
    known = {*loaded.sources, *(source.role for source in loaded.sources.values())}
    for name in monitor.max_increase if monitor else ():
        if name not in known:
            raise ConfigError(
                f"{where}: training.monitor.max_increase: {name!r} is no source or role of this recipe.{did_you_mean(name, known)} There are {one_of(known)}."
            )


def _check_evaluation(loaded: LoadedRecipe, where: str) -> None:
    """Tasks that exist, and a gate whose targets and baseline they will give."""
    recipe, gate = loaded.recipe, loaded.recipe.gate
    if (
        HOLDOUT_TASK in recipe.evaluation.tasks
        and "tasks" in recipe.evaluation.model_fields_set
        and not recipe.holdout
    ):
        raise ConfigError(
            f"{where}: evaluation.tasks names holdout, but the recipe has no holdout section. Add holdout: {{name: NAME}}, or leave the task out."
        )
    if gate is None:
        return
    check_gate_targets(loaded, where)
    run, step = parse_baseline(gate.baseline)
    valid = {
        "base_model",
        *loaded.runs(),
        *([BASE_RUN] if recipe.base_model and recipe.base_model.scratch else []),
    }
    if run not in valid or (step is not None and run == "base_model"):
        raise ConfigError(
            f"{where}: gate.baseline: {gate.baseline!r} will not be scored.{did_you_mean(run, valid)} Write {one_of(valid)}; a run may be followed by /STEP."
        )


def check_gate_targets(
    loaded: LoadedRecipe, where: str, task_sources: Mapping[str, Iterable[str]] | None = None
) -> None:
    """ConfigError where the gate names a target that evaluation will not give.

    A task learns its sources from its files, so without `task_sources` only the metrics of its parts are checked.
    """
    tasks, gate = loaded.tasks, loaded.recipe.gate
    if gate is None:
        return
    scored = tasks | ({HOLDOUT_TASK: TaskConfig(type="holdout")} if loaded.scores_holdout else {})
    roles = {name: source.role for name, source in loaded.sources.items()}
    targets = expected_targets(scored, roles, task_sources or {})
    try:
        gate.check_targets(targets, open_tasks=tasks if task_sources is None else ())
    except UnknownName as error:
        raise ConfigError(f"{where}: gate: {error}") from error


def _must_be(name: str, sources: dict[str, Source], where: str) -> None:
    if name not in sources:
        raise ConfigError(
            f"{where}: {name!r} is not a source of this recipe.{did_you_mean(name, sources)} It has {one_of(sources)}."
        )
