"""Questions about finished artifacts, answered the same way for the command line and the app: runs and what there is."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.recipe import BASE_RUN
from corpus import names
from corpus.errors import ConfigError, UnknownName, did_you_mean
from corpus.facts import read_facts
from corpus.json_file import read_json
from corpus.lake import Lake, Manifest, now_utc
from corpus.names import Resolved
from corpus.process import is_alive
from corpus.run_rows import checkpoint_rows, json_lines, latest_attempts

# ── runs ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def run_ids(lake: Lake) -> list[str]:
    return sorted(path.parent.name for path in lake.runs.glob("*/lineage.json"))


def run_lineage(lake: Lake, run_id: str) -> dict[str, Any]:
    path = lake.runs / run_id / "lineage.json"
    if not path.exists():
        raise UnknownName(f"no run {run_id!r} in the lake. `tilth ls run` lists them.")
    return _json(path)


def source_licenses(lake: Lake) -> dict[str, str]:
    """By the id of a source's documents, its licence as the catalog last said it; empty where it said none."""
    return {row["documents_id"]: row.get("license") or "" for row in read_facts(lake, "sources")}


def committed_steps(run_folder: Path) -> list[int]:
    """The steps of the checkpoints that stand in a run folder."""
    from trainer.checkpoint import read_checkpoints

    return [found.step for found in read_checkpoints(run_folder)]


def end_of(lake: Lake, found: Resolved) -> int:
    """The step of a checkpoint reference: the last that is committed, where it names a run."""
    return found.step if found.step is not None else max(committed_steps(lake.runs / found.id), default=0)


def checkpoint_weights(lake: Lake, run_id: str) -> dict[int, str]:
    """Step → SHA-256 of the weights, of every checkpoint that a run has committed, also of one that is gone since."""
    return {row["step"]: row["weights_sha256"] for row in checkpoint_rows(lake.runs / run_id)}


def run_status(lake: Lake, run_id: str) -> dict[str, Any]:
    path = lake.runs / run_id / "status.json"
    return _json(path) if path.exists() else {"status": "running", "last_step": 0}


def steps_taken(lake: Lake, run_id: str, asked: int) -> tuple[int, bool]:
    """How many steps a run has taken, looked for up to `asked`, and whether it is finished.

    The status knows of committed steps; those since then stand in the metrics.
    """
    from trainer.run import FINISHED

    status = run_status(lake, run_id)
    taken, finished = int(status.get("last_step") or 0), status["status"] in FINISHED
    if asked > taken and not finished:
        taken = max([taken, *(row["step"] for row in run_metrics(lake, run_id))])
    return taken, finished


def run_metrics(lake: Lake, run_id: str) -> list[dict[str, Any]]:
    return latest_attempts(json_lines(lake.runs / run_id / "metrics.jsonl"))


def run_events(lake: Lake, run_id: str) -> list[dict[str, Any]]:
    """The events of a run, as they came; a damaged line never was."""
    rows = json_lines(lake.runs / run_id / "events.jsonl")
    return [row for row in rows if row.keys() >= {"time_utc", "kind", "step"}]


def is_running(lake: Lake, run_id: str, fresh_seconds: float = 120) -> bool:
    """Whether a process trains this run now: the one that wrote so lives on this machine, or (on another) has written lately."""
    status = run_status(lake, run_id)
    if status["status"] != "running":
        return False
    if status.get("host") == platform.node():
        return is_alive(int(status["pid"]), status["started"])
    return now_utc() - int(status.get("updated_utc") or 0) < fresh_seconds * 1e6


def ledger_over_steps(mixture: Manifest, points: int = 60) -> list[dict[str, Any]]:
    """Tokens and epochs of each source consumed after about `points` evenly spaced steps of a plan, exact at each."""
    from mixer.mix import open_plan

    plan = open_plan(mixture)
    steps = sorted({round(i * plan.num_steps / points) for i in range(points + 1)})
    sizes = {source.name: source.num_sequences * plan.sequence_length for source in plan.sources}
    return [
        {"step": step, "source": source, "tokens": sum(epochs), "epochs": sum(epochs) / max(1, sizes[source])}
        for step in steps
        for source, epochs in plan.consumed(step * plan.global_batch_sequences).items()
    ]


def find_step(lake: Lake, reference: str) -> tuple[str, int] | None:
    """(run id, step) of a reference; None if it is not the name of anything in the lake, so perhaps a document's own id.

    Raises UnknownName for a name of the lake that has no such run, and ConfigError for one that is no run.
    """
    head = reference.strip().partition("/")[0].partition("@")[0]
    if head not in names.recipe_names(lake):
        try:
            return resolve_step(lake, reference)
        except UnknownName:
            return None
    found = resolve_step(lake, reference)
    if found is None:
        raise ConfigError(
            f"{reference!r} is neither a training step nor a document. Write NAME/RUN/STEP, a doc_id, or a source's own id."
        )
    return found


def resolve_step(lake: Lake, reference: str) -> tuple[str, int] | None:
    """(run id, step) of a reference NAME/RUN/STEP or alias; None if it stands for something else."""
    found: Resolved = names.resolve(lake, reference, "run")
    if found.kind != "run":
        return None
    return found.id, found.step if found.step is not None else int(
        run_status(lake, found.id).get("last_step") or 1
    )


def is_trained(lake: Lake, owner: names.Claim) -> bool:
    """Whether the runs that a version began are finished: it has them as soon as they start."""
    from trainer.run import FINISHED

    runs = {fact["key"]: fact["id"] for fact in names.attached(lake, owner, "run")}
    begun = [name for name in runs if name != BASE_RUN]
    return bool(begun) and all(run_status(lake, id)["status"] in FINISHED for id in runs.values())


# ── what there is ───────────────────────────────────────────────────────────────────────────────────────────────────


def all_attached(lake: Lake, kind: str) -> Iterator[dict[str, Any]]:
    """Every artifact of a kind under every version of every name, each with its `claim`."""
    for name in names.recipe_names(lake):
        for owner in names.claims(lake, name):
            yield from ({**fact, "claim": owner} for fact in names.attached(lake, owner, kind))


def owners_of(lake: Lake, artifact: Manifest) -> list[str]:
    """The versions of recipe names (NAME@N) that have an artifact."""
    owners = [fact["claim"] for fact in all_attached(lake, artifact.kind) if fact["id"] == artifact.id]
    return list(dict.fromkeys(map(str, owners)))


def list_things(lake: Lake, kind: str | None = None) -> list[dict[str, Any]]:
    """Names, ids and sizes of artifacts, runs and aliases, of one kind or of all."""
    kinds = (*names.ARTIFACT_KINDS, "alias")
    if kind is not None and kind not in kinds:
        raise ConfigError(
            f"there is nothing of kind {kind!r}.{did_you_mean(kind, kinds)} The kinds are {', '.join(kinds)}."
        )
    rows = []
    for each in (one for one in names.ARTIFACT_KINDS if kind in (None, one)):
        owners: dict[str, list[str]] = {}
        for fact in all_attached(lake, each):
            label = f"{fact['claim']}" + (f"/{fact['key']}" if fact["key"] else "")
            owners.setdefault(fact["id"], []).append(label)
        ids = run_ids(lake) if each == "run" else [manifest.id for manifest in lake.artifacts(each)]
        rows += [
            {
                "kind": each,
                "id": id,
                "names": ", ".join(owners.get(id, [])),
                "bytes": sum(_files(lake, each, id).values()),
            }
            for id in ids
        ]
    for recipe, alias, place in names.aliases(lake):
        rows.append(
            {
                "kind": "alias",
                "id": place["id"],
                "names": f"{recipe}/{alias} → {place['reference']}",
                "bytes": 0,
            }
        )
    return rows if kind is None else [row for row in rows if row["kind"] == kind]


def bytes_by_kind(lake: Lake) -> dict[str, int]:
    """What each kind of artifact takes on the disk; a file that several share counts once, where it is met first."""
    found: dict[str, int] = {}
    seen: set[Path] = set()
    for kind in names.ARTIFACT_KINDS:
        ids = run_ids(lake) if kind == "run" else [manifest.id for manifest in lake.artifacts(kind)]
        for files in (_files(lake, kind, id) for id in ids):
            found[kind] = found.get(kind, 0) + sum(files[path] for path in files.keys() - seen)
            seen |= files.keys()
    return found


def _files(lake: Lake, kind: str, id: str) -> dict[Path, int]:
    """The files of an artifact or run with their bytes; of a part that several artifacts share, each has it."""
    if kind == "run":
        return {path: path.stat().st_size for path in (lake.runs / id).rglob("*") if path.is_file()}
    manifest = lake.get(kind, id)
    parts = [part for parts in manifest.datasets.values() for part in parts]
    found = {lake.path_of(part): part.bytes for part in parts}
    found |= {lake.folder(kind, id) / name: entry.bytes for name, entry in manifest.files.items()}
    for part in parts if kind == "token_shards" else ():
        paths = (lake.path_of(part).with_suffix(end) for end in (".bin", ".idx"))
        found |= {path: path.stat().st_size for path in paths if path.exists()}
    return found


@lru_cache(maxsize=256)
def _cached(path: Path, stamp: int) -> dict[str, Any]:
    return read_json(path) or {}


def _json(path: Path) -> dict[str, Any]:
    return dict(_cached(path, path.stat().st_mtime_ns))
