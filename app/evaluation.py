"""Evaluation in the flow: which checkpoints are scored, the gate over their scorecards, and signing one off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from app.bases import given_base, model_folder
from app.held_out import scored_holdout
from app.queries import committed_steps, end_of
from app.reach import BASELINE, is_scorecard_of
from app.recipe import BASE_RUN
from corpus import names
from corpus.errors import ConfigError, UnknownName
from corpus.facts import write_facts
from corpus.json_file import read_json, well_formed
from corpus.lake import Lake, Manifest, now_utc
from evals.evaluate import Subject, evaluate, open_scorecard
from evals.gate import Gate, parse_baseline
from evals.items import TaskItems, load_items
from evals.scorecard import Scorecard, header_differences
from evals.select import Selection, SelectionRow, select
from evals.task_rows import RejectedRow
from mixer.tokenize import tokenizer_folder
from quality.model_folder import hash_weights
from trainer.checkpoint import checkpoint_id

if TYPE_CHECKING:
    from app.flow import Work


def evaluate_checkpoints(work: Work, runs: Sequence[str]) -> None:
    """A scorecard for the base and for the last (or each milestone) checkpoint of every run that has one."""
    tasks, holdout = load_tasks(work), scored_holdout(work)
    for subject in subjects(work, runs) if tasks or holdout else ():
        with work.report.stage("eval", subject.name) as stage:
            before = work.lake.ids("scorecard")
            found = evaluate(
                work.lake,
                subject,
                holdout,
                tasks,
                _window(work),
                device=work.profile.device,
                progress=work.report.progress,
                say=work.report.say,
            )
            names.attach(work.lake, work.claim, "scorecard", found.id, subject.name)
            work.scorecards[subject.name] = found
            stage.id, stage.built = found.id, found.id not in before
            stage.note = ", ".join(
                f"{row['task']}{'/' + row['role'] if row['role'] else ''} {row['metric']} {row['value']:.4f}"
                for row in found.summary["rows"]
                if row["metric"] in ("bits_per_byte", "acc")
            )


def _window(work: Work) -> int:
    training = work.recipe.training
    assert training is not None
    return work.recipe.evaluation.window_tokens or training.sequence_length


def _unusable(task: str, rejects: Sequence[RejectedRow]) -> str:
    """How many rows of a task are not usable, and the first of them."""
    first = rejects[0]
    where = first.file if first.row < 0 else f"row {first.row} of {first.file}"
    if len(rejects) == 1:
        return f"task {task}: one row is not usable: {where} ({first.reason})"
    return f"task {task}: {len(rejects):,} rows are not usable, for instance {where} ({first.reason})"


def load_tasks(work: Work) -> dict[str, TaskItems]:
    found = {}
    for name, task in work.loaded.tasks.items():
        found[name] = load_items(task, name, work.loaded.catalog.root)
        if found[name].rejects:
            work.report.say(_unusable(name, found[name].rejects))
    return found


def subjects(work: Work, runs: Sequence[str]) -> list[Subject]:
    """What is scored: a base that was not trained here, then checkpoints of runs in the recipe's order."""
    base = work.recipe.base_model
    assert work.tokenizer is not None
    tokenizer = tokenizer_folder(work.lake, work.tokenizer)
    found = []
    if base and not base.scratch:
        folder = given_base(work).folder
        assert folder is not None
        weights = hash_weights(folder)
        found.append(Subject(BASELINE, folder, tokenizer, work.tokenizer.id, weights[:32], weights))
    for run in runs:
        run_id = work.runs.get(run)
        for step in _steps(work, run, run_id) if run_id else []:
            folder = model_folder(work.lake, run_id or "", step)
            mixture = work.mixtures[run]
            snapshot = work.shards.parent("snapshot") if work.shards else None
            found.append(
                Subject(
                    f"{run}/{step}",
                    folder,
                    tokenizer,
                    work.tokenizer.id,
                    checkpoint_id(run_id or "", step),
                    hash_weights(folder),
                    run_id,
                    step,
                    snapshot,
                    mixture.id,
                )
            )
    return found


def _steps(work: Work, run: str, run_id: str) -> list[int]:
    from corpus.run_rows import checkpoint_rows

    steps = committed_steps(work.lake.runs / run_id)
    if work.recipe.evaluation.full.at == "milestones" and run != BASE_RUN:
        milestones = [row["step"] for row in checkpoint_rows(work.lake.runs / run_id) if row["milestone"]]
        return sorted({*milestones, *steps[-1:]})
    return steps[-1:]


# ── select and approve ──────────────────────────────────────────────────────────────────────────────────────────────


def select_from_scorecards(work: Work) -> Selection:
    """The gate over all that was scored of this version, in this walk or before it, as the app applies it."""
    gate = work.recipe.gate
    if gate is None:
        raise ConfigError("the recipe has no gate, so nothing can be selected. Add gate: {gain: …, harm: …}.")
    cards = open_cards(work.lake, work.claim)
    selection = select_among(work.lake, work.recipe.name, gate, cards)
    if selection.champion_left_out:
        work.report.say(selection.champion_left_out)
    for key, differences in left_out_of(gate, cards).items():
        work.report.say(f"{key} was scored otherwise than the baseline and is left out: {differences}")
    return selection


def select_among(lake: Lake, recipe: str, gate: Gate, cards: Mapping[str, Scorecard]) -> Selection:
    """The gate over a recipe's scorecards: which is the baseline, which are candidates, and the champion where there is one."""
    baseline = cards[baseline_of(gate.baseline, cards)]
    if not candidates_of(gate, cards) and (left := left_out_of(gate, cards)):
        key, differences = next(iter(left.items()))
        raise ConfigError(
            f"nothing was scored as the baseline {gate.baseline} was; {key}: {differences}. Score the baseline again."
        )
    champion, left_out = champion_scorecard(lake, recipe, baseline)
    chosen = select(gate, baseline, candidates_of(gate, cards), champion)
    return replace(chosen, champion_left_out=left_out)


def open_cards(lake: Lake, owner: names.Claim) -> dict[str, Scorecard]:
    """Key (RUN/STEP, or base_model) → scorecard of a version, the base first: the order decides between equals."""
    stored = stored_scorecards(lake, owner)
    return {key: open_scorecard(lake, manifest, key) for key, manifest in stored.items()}


def candidates_of(gate: Gate, cards: Mapping[str, Scorecard]) -> list[Scorecard]:
    """What may be chosen, in the order of `cards`: neither the baseline nor the base, nor what was scored otherwise before."""
    left_out, baseline = left_out_of(gate, cards), baseline_of(gate.baseline, cards)
    return [card for key, card in cards.items() if not (key == baseline or is_base(key) or key in left_out)]


def left_out_of(gate: Gate, cards: Mapping[str, Scorecard]) -> dict[str, str]:
    """Key → in what it was scored otherwise than the baseline, of checkpoints that so cannot be compared with it."""
    baseline = baseline_of(gate.baseline, cards)
    differing = {
        key: header_differences(card.header, cards[baseline].header)
        for key, card in cards.items()
        if key != baseline and not is_base(key)
    }
    return {key: "; ".join(differences) for key, differences in differing.items() if differences}


def is_base(key: str) -> bool:
    """Whether a scorecard is of the base, wherever that comes from."""
    return parse_baseline(key)[0] in (BASELINE, BASE_RUN)


def baseline_of(name: str, cards: Mapping[str, object]) -> str:
    """The scorecard a gate compares with: `base_model`, a run, or RUN/STEP; of several steps the last."""
    wanted = sorted((key for key in cards if is_scorecard_of(name, key)), key=_place)
    if not wanted:
        raise UnknownName(
            f"gate.baseline {name!r} was not scored. There are {', '.join(cards) or 'no scorecards'}."
        )
    return wanted[-1]


def _place(key: str) -> tuple[bool, str, int]:
    """Where a scorecard stands among others: the base first, then by run and step."""
    run, step = parse_baseline(key)
    return not is_base(key), run, step or 0


def champion_scorecard(lake: Lake, recipe: str, like: Scorecard) -> tuple[Scorecard | None, str]:
    """The champion's scorecard on the same items, read and scored the same way as `like`; where there is none, why."""
    place = names.alias(lake, recipe, names.CHAMPION)
    if place is None:
        return None, ""
    name = f"{recipe}/{names.CHAMPION}"
    cards = scorecards_of(lake, checkpoint_id(place["id"], place["step"]))
    if not cards:
        return None, f"{name} is left out of the comparison: {place['reference']} was not scored"
    reasons: list[str] = []
    for manifest in reversed(cards):
        card = open_scorecard(lake, manifest, name)
        reasons = header_differences(card.header, like.header) or _other_tasks(card, like)
        if not reasons:
            return card, ""
    return None, (
        f"{name} is left out of the comparison: {place['reference']} was not scored as {like.name} was: {'; '.join(reasons)}"
    )


def _other_tasks(card: Scorecard, like: Scorecard) -> list[str]:
    """Where both have tasks in common and these are the same, those that one has alone."""
    a, b = set(card.header.tasks), set(like.header.tasks)
    return [f"it alone has {task}" for task in sorted(a - b)] + [
        f"it has no {task}" for task in sorted(b - a)
    ]


@dataclass(frozen=True)
class Signoff:
    """A reviewer's approval; it moves `champion` of the recipe's name."""

    recipe: str
    reference: str
    checkpoint_id: str
    run_id: str
    step: int


def approve(
    lake: Lake,
    owner: names.Claim,
    rows: Sequence[SelectionRow],
    scorecards: Mapping[str, Manifest],
    reference: str,
    reviewer: str,
    note: str,
    override: bool = False,
) -> Signoff:
    """Sign off one of the checkpoints that the gate was applied to, and make it the champion of the recipe's name.

    `rows` are what was shown and `scorecards` theirs by RUN/STEP, of this version; what is signed is what was shown,
    UnknownName otherwise. ConfigError where the verdict asks for more than a name: see `check_verdict`.
    """
    gated = {row.name: scorecards[row.name] for row in rows}
    found = names.resolve(lake, _in_version(owner, reference), "run")
    if found.kind != "run":
        raise UnknownName(f"{reference!r} is a {found.kind}; a checkpoint is approved: RUN/STEP")
    step = end_of(lake, found)
    id = checkpoint_id(found.id, step)
    keys = [key for key, card in gated.items() if card.parent("checkpoint") == id]
    if not keys:
        raise UnknownName(
            f"{reference!r} at step {step} cannot be approved: the gate was applied to {', '.join(gated)}. Evaluate it first: `tilth eval RECIPE`."
        )
    key = f"{found.run}/{step}" if f"{found.run}/{step}" in keys else keys[0]
    judged = next(row for row in rows if row.name == key)
    check_verdict(judged, note, override)
    full = f"{owner}/{key}"
    row: dict[str, Any] = {
        "recipe": owner.name, "reference": full, "checkpoint_id": id, "scorecard_id": gated[key].id, "verdict": judged.gate.verdict,
        "against_champion": judged.against_champion.verdict if judged.against_champion else None, "reviewer": reviewer, "note": note, "time_utc": now_utc(),
    }  # fmt: skip
    from corpus.fingerprint import fingerprint

    write_facts(lake, "signoffs", [{"signoff_id": fingerprint(row), **row}])
    names.move_alias(lake, owner.name, names.CHAMPION, found.id, step, full)
    return Signoff(owner.name, full, id, found.id, step)


def check_verdict(row: SelectionRow, note: str, override: bool) -> None:
    """An inconclusive checkpoint is signed off with a note, a failed one with an override too; ConfigError says what lacks."""
    if row.choosable or (note.strip() and (override or row.choosable is None)):
        return
    over = row.gate if row.choosable is None or row.gate.passed is False else row.against_champion
    assert over is not None, "it fails against the baseline or the champion"
    needed = "--note TEXT" if row.choosable is None else "--override --note TEXT"
    raise ConfigError(
        f"{row.name} is not signed off: against {over.baseline} it is {over.verdict}. To approve it all the same, say why: {needed}."
    )


def _in_version(owner: names.Claim, reference: str) -> str:
    """The reference inside this version, whichever version the plain name stands for."""
    head, _, rest = reference.partition("/")
    name, _, version = head.partition("@")
    if name != owner.name or not rest:
        return f"{owner}/{reference}"
    if version not in ("", str(owner.version)):
        raise UnknownName(
            f"{reference!r} is of another version than {owner}, which was selected from here. Select with the recipe of that version."
        )
    return f"{owner}/{rest}"


def scorecards_of(lake: Lake, checkpoint_id: str) -> list[Manifest]:
    """The scorecards of a checkpoint, the newest last."""
    found = [
        manifest
        for manifest in lake.artifacts("scorecard")
        if dict(manifest.parents).get("checkpoint") == checkpoint_id
    ]
    return sorted(found, key=lambda manifest: (_committed_utc(lake, manifest), manifest.id))


def _committed_utc(lake: Lake, manifest: Manifest) -> int:
    path = lake.folder(manifest.kind, manifest.id) / "context.json"
    context = read_json(path) or {}
    with well_formed(path):
        return int(context["time_utc"])


def stored_scorecards(lake: Lake, owner: names.Claim) -> dict[str, Manifest]:
    """Key (RUN/STEP, or base_model) → scorecard of a version of a recipe name, the base first.

    A run that has another id now, as one trained again on another device has, takes the scorecards of the old one along.
    """
    runs = {fact["key"]: fact["id"] for fact in names.attached(lake, owner, "run")}
    ids = {fact["key"]: fact["id"] for fact in names.attached(lake, owner, "scorecard")}
    found = {key: lake.get("scorecard", ids[key]) for key in sorted(ids, key=_place)}
    return {key: card for key, card in found.items() if _is_of(runs, key, card)}


def scorecard_ids(lake: Lake, owner: names.Claim) -> tuple[str, ...]:
    """The ids of `stored_scorecards`: what a cache knows a version's scorecards by."""
    return tuple(card.id for card in stored_scorecards(lake, owner).values())


def _is_of(runs: Mapping[str, str], key: str, card: Manifest) -> bool:
    from trainer.checkpoint import checkpoint_id

    run, step = parse_baseline(key)
    return step is None or (run in runs and card.parent("checkpoint") == checkpoint_id(runs[run], step))
