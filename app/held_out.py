"""What is asked of the held-out set once it is drawn: whether it holds what gate, monitors and scoring need.

Known before anything is trained, so that no run ends where its first score should be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.lineage import contents_read
from corpus.errors import ConfigError
from corpus.holdout import held_out_rows
from corpus.lake import Manifest
from corpus.snapshot import LOSS_DOCUMENTS
from evals.task import HOLDOUT_TASK

if TYPE_CHECKING:
    from app.flow import Work

TOLD_SHARE = 0.1


def scored_holdout(work: Work) -> Manifest | None:
    """The held-out set, where checkpoints are scored on it: the recipe says so, and it holds documents."""
    held = work.curated.holdout if work.curated and work.loaded.scores_holdout else None
    return held if held and held.rows("held_out") else None


def check_held_out(work: Work) -> None:
    """ConfigError for what gate or monitors ask of the set and it holds nothing of; it says what the sources lack.

    A set that holds nothing at all, and of which nothing is asked but to be scored, is told.
    """
    held = work.curated.holdout if work.curated else None
    if held is None:
        return
    rows = work.lake.read_part(held.parts("held_out")[0], ["source", "role"])
    parts = {part for column in rows.columns for part in column.to_pylist()}
    name = held.identity["name"]
    for part, problem, key in _asked(work):
        if part in parts if part else parts:
            continue
        reasons = [
            _why_none(work, held, source)
            for source, declared in work.loaded.sources.items()
            if part in ("", source, declared.role)
        ]
        raise ConfigError(
            f"{problem}, since the held-out set {name} has none of it: {'; '.join(reasons)}. "
            f"Add documents, or take {key}; if the set was frozen before, give holdout another name."
        )
    if work.loaded.scores_holdout and not parts:
        work.report.say(f"the held-out set {name} holds no document, so nothing is scored as {HOLDOUT_TASK}")


def tell_what_it_costs(work: Work) -> None:
    """Say of which sources much is lost to the set: texts made from a template are all near the few that are held out."""
    assert work.curated is not None
    for source, tally in work.curated.snapshot.summary["sources"].items():
        held, near = (tally["first"].get(rule, 0) for rule in ("held_out", "near_held_out"))
        if tally["documents"] >= LOSS_DOCUMENTS and held + near > TOLD_SHARE * tally["documents"]:
            alike = "Its documents resemble each other; a" if near else "A"
            work.report.say(
                f"source {source!r}: {held + near:,} of {tally['documents']:,} documents are not trained on for the held-out set "
                f"(held_out {held:,}, near_held_out {near:,}). {alike} smaller holdout.documents_per_source keeps more."
            )


def tell_what_the_base_read(work: Work) -> None:
    """Say how many held-out texts the weights of `base_model.run` have read.

    A model is no measure of what it has seen: as a baseline it hides what its continuations gain and forget.
    """
    base = work.recipe.base_model
    held = work.curated.holdout if work.curated else None
    if held is None or base is None or work.given is None:
        return
    contents = set(held_out_rows(work.lake, held)["content_hash"].to_pylist())
    if read := contents_read(work.lake, work.given.id, work.given.step, contents):
        work.report.say(
            f"base_model.run {base.run!r} has read {len(read):,} of the {len(contents):,} texts in the held-out set {held.identity['name']}: on them "
            "neither it nor what goes on from it can be judged. Train a base under a recipe with this holdout."
        )


def _asked(work: Work) -> Iterator[tuple[str, str, str]]:
    """What is asked for: the source or role (or nothing, for any), what to say if there is none, and of which key to take it out."""
    gate = work.recipe.gate if work.loaded.scores_holdout else None
    for _, target, _, _ in gate.rules() if gate else ():
        task, _, part = target.partition("/")
        if task == HOLDOUT_TASK:
            yield part, f"gate: nothing can be scored as {target!r}", "the target out of the gate"
    for run, recipe in work.loaded.runs().items():
        monitor = recipe.training.monitor if recipe.training else None
        where = f"runs.{run}: " if work.recipe.runs else ""
        for part in monitor.max_increase if monitor else ():
            key = "training.monitor.max_increase"
            yield part, f"{where}{key}: no loss of {part!r} can be measured", f"it out of {key}"


def _why_none(work: Work, held: Manifest, source: str) -> str:
    num = work.documents[source].rows("documents")
    if num < 2:
        return f"{source} has {num} document{'' if num == 1 else 's'}, and only from two on is one held out"
    if source not in held.summary["sources"]:
        return f"{source} has {num} documents, but was not there when the set was drawn"
    if not held.identity["config"].get("documents_per_source", 1):
        return f"{source} has {num} documents, but documents_per_source is 0"
    return (
        f"{source} has {num} documents, but none that passed the rules was long enough when the set was drawn"
    )
