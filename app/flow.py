"""The conductor: reads a recipe and walks the flow. One function, `run_recipe`, tells the story from top to bottom.

Every stage is a function of the artifacts before it and is found when it exists. What a stage does is its package's
business; here is only what is passed to whom, what it is called, and where to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.bases import base_run, model_folder, tokenizer_of_run
from app.guard import record_guards
from app.held_out import check_held_out, tell_what_it_costs, tell_what_the_base_read
from app.planned import check_positions
from app.profile import Profile
from app.reach import check_baseline, check_seen, last_stage
from app.recipe import BASE_RUN, STAGES, LoadedRecipe, Recipe, TokenizerPath, TokenizerTraining
from app.render import render_funnel_summary
from app.report import Report, counted
from app.version import version_fingerprint
from corpus import names
from corpus.engine import kept_workers, release_workers
from corpus.errors import ConfigError, GuardStop
from corpus.holdout import freeze, frozen
from corpus.ingest import Files, ingest, scan
from corpus.lake import Lake, Manifest
from corpus.lease import hold_lease
from corpus.names import Claim, Resolved
from corpus.no_documents import why_no_documents
from corpus.snapshot import check_guards
from corpus.sql_catalog import catalog_exists, write_catalog
from quality.model_folder import read_max_positions

if TYPE_CHECKING:
    from evals.select import Selection
    from quality.curate import Curated


@dataclass
class Work:
    """What a walk is about, and what it has made so far."""

    lake: Lake
    loaded: LoadedRecipe
    profile: Profile
    report: Report
    sample: float = 1.0
    accept: tuple[str, ...] = ()  # identity keys that a run may change and stay the same run
    approving: str = ""  # what a reviewer has seen and signs off, so that nothing of it may be made now
    given: Resolved | None = None  # the checkpoint that base_model.run named when the walk began
    owner: Claim | None = None
    documents: dict[str, Manifest] = field(default_factory=dict)
    tokenizer: Manifest | None = None
    curated: Curated | None = None
    shards: Manifest | None = None
    mixtures: dict[str, Manifest] = field(default_factory=dict)  # by run
    runs: dict[str, str] = field(default_factory=dict)  # run → run id
    scorecards: dict[str, Manifest] = field(default_factory=dict)  # run/step → scorecard
    unfinished: dict[str, str] = field(default_factory=dict)  # run → what stopped it before its end
    selection: Selection | None = None

    @property
    def recipe(self) -> Recipe:
        return self.loaded.recipe

    @property
    def claim(self) -> Claim:
        assert self.owner is not None
        return self.owner


def run_recipe(work: Work, until: str | None = None, only: Iterable[str] = ()) -> Work:
    """Build what is missing up to a stage, or as far as the recipe goes, and return everything.

    Two equal runs at once: the second waits for the first. What can be known before any work, `app.reach` checks.
    """
    last, runs = last_stage(work.loaded, until), work.loaded.runs(only)
    check_references(work)
    files = scan_sources(work)
    version = version_fingerprint(work, files)
    if last == "select":
        check_baseline(work.lake, work.loaded, runs, work.profile, version)
    if work.approving:
        check_seen(work.lake, work.recipe.name, version, work.approving)
    work.owner = names.claim(work.lake, work.recipe.name, version, work.loaded.resolved(), work.sample)
    with hold_lease(work.lake, work.owner.fingerprint, work.report.say), kept_workers():
        work.lake.sweep()
        with _catalog_follows(work.lake):
            for stage, build in _stages(work, files, runs, last):
                build()
                if stage == last:
                    break
    return work


@contextmanager
def _catalog_follows(lake: Lake) -> Iterator[None]:
    """Write the catalog at the end, after an error too; then it is that error that is told, whatever else goes wrong.

    A lake's first run writes one before it begins, or a client that opens the path would make an empty database there.
    """
    if not catalog_exists(lake):
        with suppress(Exception):  # the one at the end tells
            write_catalog(lake)
    try:
        yield
    except BaseException:
        with suppress(Exception):
            write_catalog(lake)
        raise
    write_catalog(lake)


def _stages(
    work: Work, files: Mapping[str, Files], runs: Mapping[str, Recipe], last: str
) -> list[tuple[str, Callable[[], None]]]:
    return [
        ("ingest", lambda: ingest_sources(work, files)),
        ("curate", lambda: curate_documents(work, STAGES.index(last) >= STAGES.index("train"))),
        ("tokenize", lambda: tokenize_snapshot(work)),
        ("mix", lambda: mix_runs(work, runs)),
        ("train", lambda: train_runs(work, runs)),
        ("eval", lambda: evaluate_runs(work, runs)),
        ("select", lambda: select_checkpoint(work)),
    ]


def check_references(work: Work) -> None:
    """What the recipe names in the lake: a run to go on from, a held-out set that is frozen with the same settings."""
    base, holdout = work.recipe.base_model, work.recipe.holdout
    if base and base.run:
        work.given = found = base_run(work.lake, base.run, work.recipe.name)
        if work.recipe.training:
            positions = read_max_positions(model_folder(work.lake, found.id, found.step))
            check_positions(work.loaded, positions, f"the model of base_model.run {base.run!r}")
    if holdout:
        frozen(work.lake, holdout.of_sample(work.sample))


# ── sources and the name ────────────────────────────────────────────────────────────────────────────────────────────


def scan_sources(work: Work) -> dict[str, Files]:
    """The files of every source with their content hashes; a source that does not exist is an error before any work."""
    return scan(work.lake, work.loaded.sources, work.loaded.catalog.root, work.report.say)


def ingest_sources(work: Work, files: Mapping[str, Files]) -> None:
    with work.report.stage("ingest", counted(len(files), "source")) as stage:
        before = work.lake.ids("documents")
        sources = {name: (source, files[name]) for name, source in work.loaded.sources.items()}
        work.documents = ingest(
            work.lake, sources, work.profile.num_workers, work.sample, work.report.progress
        )
        for name, manifest in work.documents.items():
            names.attach(work.lake, work.claim, "documents", manifest.id, name)
        stage.built = any(manifest.id not in before for manifest in work.documents.values())
        documents, rejects = (
            sum(m.rows(dataset) for m in work.documents.values()) for dataset in ("documents", "rejects")
        )
        stage.note = f"{counted(documents, 'document')}, {counted(rejects, 'reject')}" + (
            f", sample {work.sample:.2%}" if work.sample < 1 else ""
        )
    for name, (source, found) in sources.items():
        if why := why_no_documents(work.lake, name, source, found, work.documents[name]):
            work.report.say(why)


# ── curate, tokenize, mix ───────────────────────────────────────────────────────────────────────────────────────────


def curate_documents(work: Work, trains: bool) -> None:
    """Fit the tokenizer (it counts tokens), measure, hold out, decide; then the guards, which stop what follows.

    The held-out set's name is frozen last, so that a run that stops here leaves it free; so does one that only looks, at
    a sample perhaps, of which the gate could not be judged. Before training that is an error.
    """
    from mixer.tokenize import token_counter
    from quality.curate import curate

    work.tokenizer = build_tokenizer(work)
    with work.report.stage("curate", "snapshot") as stage:
        sources = {name: (source, work.documents[name]) for name, source in work.loaded.sources.items()}
        before = work.lake.ids("snapshot")
        tokens = token_counter(work.lake, work.tokenizer) if work.tokenizer else None
        work.curated = curate(
            work.lake,
            sources,
            work.recipe.curation,
            work.recipe.holdout,
            tokens,
            work.profile.num_workers,
            work.report.progress,
            work.report.say,
        )
        snapshot, holdout = work.curated.snapshot, work.curated.holdout
        names.attach(work.lake, work.claim, "snapshot", snapshot.id)
        for kind, id in snapshot.parents:
            if kind in ("near_duplicates", "holdout"):
                names.attach(work.lake, work.claim, kind, id)
        stage.id, stage.built = snapshot.id, snapshot.id not in before
        kept, read = (
            sum(tally[key] for tally in snapshot.summary["sources"].values()) for key in ("kept", "documents")
        )
        stage.note = f"{kept:,} of {read:,} documents kept" + (
            f", {holdout.rows('held_out'):,} held out" if holdout else ""
        )
    stop_if = work.recipe.curation.stop_if
    try:
        check_guards(snapshot, stop_if.source_loss, stop_if.cluster_size)
    except GuardStop as stop:
        record_guards(work.lake, work.claim, snapshot, str(stop))
        work.report.say(render_funnel_summary(snapshot))
        raise
    record_guards(work.lake, work.claim, snapshot)
    if stage.built:
        tell_what_it_costs(work)
    try:
        check_held_out(work)
    except ConfigError as error:
        if trains:
            raise
        work.report.say(f"{error} Before training this is an error.")
        return
    if not freeze_held_out(work):
        return curate_documents(work, trains)
    if trains:
        tell_what_the_base_read(work)


def freeze_held_out(work: Work) -> bool:
    """Freeze the set under its name; False if a run at the same time froze another, which is then the one to exclude."""
    holdout, drawn = work.recipe.holdout, work.curated.holdout if work.curated else None
    if holdout is None or drawn is None:
        return True
    return freeze(work.lake, holdout.of_sample(work.sample), drawn).id == drawn.id


def build_tokenizer(work: Work) -> Manifest | None:
    """The recipe's tokenizer as an artifact: imported, the base's, or fitted on the documents."""
    from mixer.tokenize import fit_tokenizer, import_tokenizer

    wanted, base = work.recipe.tokenizer, work.recipe.base_model
    if not work.recipe.counts_tokens:
        return None
    with work.report.stage("tokenizer") as stage:
        before = work.lake.ids("tokenizer")
        if isinstance(wanted, TokenizerTraining):
            chosen = {name: work.documents[name] for name in sorted(wanted.sources or work.documents)}
            workers, progress = work.profile.num_workers, work.report.progress
            found = fit_tokenizer(
                work.lake, chosen, wanted.vocab_size, wanted.sample, workers, progress
            )  # personal data is looked for first: it reaches no vocabulary
        elif isinstance(wanted, TokenizerPath):
            found = import_tokenizer(work.lake, work.loaded.path(wanted.path))
        elif base and base.path:
            found = import_tokenizer(work.lake, work.loaded.path(base.path))
        else:
            assert work.given is not None
            found = tokenizer_of_run(work.lake, work.given.id)
        names.attach(work.lake, work.claim, "tokenizer", found.id)
        stage.id, stage.built, stage.note = (
            found.id,
            found.id not in before,
            f"{found.summary['vocab_size']:,} tokens in the vocabulary",
        )
    return found


def tokenize_snapshot(work: Work) -> None:
    from mixer.tokenize import tokenize

    assert work.curated is not None
    assert work.tokenizer is not None
    with work.report.stage("tokenize", "token shards") as stage:
        before = work.lake.ids("token_shards")
        work.shards = tokenize(
            work.lake, work.curated.snapshot, work.tokenizer, work.profile.num_workers, work.report.progress
        )
        names.attach(work.lake, work.claim, "token_shards", work.shards.id)
        tokens = sum(tally["tokens"] for tally in work.shards.summary["sources"].values())
        stage.id, stage.built, stage.note = work.shards.id, work.shards.id not in before, f"{tokens:,} tokens"


def mix_runs(work: Work, runs: Mapping[str, Recipe]) -> None:
    """A plan for the base, if it is trained here, and one for each run."""
    from app.planned import over_budget, planned_runs
    from mixer.mix import mix
    from mixer.static import BudgetTooLarge

    assert work.shards is not None
    for name, planned in planned_runs(work.loaded, runs, work.profile).items():
        assert planned.training.seed is not None, "resolved"
        with work.report.stage("mix", name) as stage:
            before = work.lake.ids("mixture")
            try:
                found = mix(
                    work.lake,
                    work.shards,
                    planned.mixture,
                    seed=planned.training.seed,
                    sources=planned.sources,
                    **planned.budget(),
                )
            except BudgetTooLarge as error:
                raise over_budget(work, name, planned, error) from error
            names.attach(work.lake, work.claim, "mixture", found.id, name)
            work.mixtures[name] = found
            stage.id, stage.built = found.id, found.id not in before
            stage.note = f"{found.summary['plan']['num_sequences'] * found.summary['plan']['sequence_length']:,} tokens"
            for note in found.summary["notes"] if stage.built else []:
                work.report.say(f"{name}: {note}")


# ── train, evaluate, select ─────────────────────────────────────────────────────────────────────────────────────────


def train_runs(work: Work, runs: Mapping[str, Recipe]) -> None:
    from app.training import train_planned_runs

    release_workers()
    train_planned_runs(work, runs)


def evaluate_runs(work: Work, runs: Mapping[str, Recipe]) -> None:
    from app.evaluation import evaluate_checkpoints

    evaluate_checkpoints(work, [*([BASE_RUN] if BASE_RUN in work.runs else []), *runs])


def select_checkpoint(work: Work) -> None:
    from app.evaluation import select_from_scorecards

    with work.report.stage("select", "gate and selection") as stage:
        work.selection = select_from_scorecards(work)
        stage.note = f"{work.selection.verdict}" + (
            f": {work.selection.chosen}" if work.selection.chosen else ""
        )
