"""Training in the flow: walking through the planned runs, and which run folder each is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

from app.bases import base_of, origin_of
from app.origin import ORIGIN
from app.planned import PlannedRun, planned_runs
from app.recipe import BASE_RUN, Recipe
from corpus import names
from corpus.differences import find_differences
from corpus.errors import ConfigError, GuardStop, NotFinite
from corpus.fingerprint import fingerprint
from corpus.holdout import held_out_rows
from corpus.json_file import read_json
from corpus.lake import Lake, Manifest
from corpus.names import Claim
from mixer.mix import open_plan
from mixer.tokenize import open_streams, tokenizer_folder, verify_shards
from mixer.tokenizer import load_tokenizer
from trainer.config import Training
from trainer.model import Base

if TYPE_CHECKING:
    from app.flow import Work

VERSION = 1


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
