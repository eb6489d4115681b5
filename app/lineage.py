"""Where a checkpoint came from and where a document went: from the plan, not from a log, for the command line and the app."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from app.origin import read_origin, reference_to
from app.queries import (
    all_attached,
    owners_of,
    run_ids,
    run_lineage,
    source_licenses,
    steps_taken,
)
from corpus import names
from corpus.errors import UnknownName
from corpus.facts import read_facts
from corpus.lake import Lake, Manifest
from corpus.names import Resolved
from corpus.own_fields import shown_fields
from corpus.part import Part
from corpus.relations import Relations
from corpus.run_rows import checkpoint_rows
from corpus.snapshot import snapshot_parts

if TYPE_CHECKING:
    from mixer.plan import MixPlan


@dataclass(frozen=True)
class StepLineage:
    """What one optimizer step of a run trained on, from the plan. Documents are in the order of the step's sequences."""

    run_id: str
    name: str
    step: int
    documents: list[dict[str, Any]]
    ledger: dict[str, list[int]]  # tokens per source and epoch up to and with this step
    epochs: dict[str, float]  # readings of each source so far, as `mix` counts them
    taken: bool  # False: the run has not come so far yet, this is what it will read
    base: str  # what the run started from, as its recipe called it
    base_id: str | None  # the run of this lake that it is, whose documents are in the weights too
    base_step: int | None  # its checkpoint
    base_reference: str  # how to ask for it, empty where there is none
    accepted: list[str]  # changes of its configuration that it was told to go on with, before this step


@dataclass(frozen=True)
class DocumentLineage:
    """Where a document came from and went: its decisions in snapshots, and the steps of runs that saw it."""

    document: dict[str, Any]
    decisions: list[dict[str, Any]]
    seen: list[dict[str, Any]]  # one per run: steps, epochs, checkpoints that contain it
    went_on: list[dict[str, Any]]  # runs whose first weights come, in turn, from a run that had read it
    same_text: list[
        dict[str, Any]
    ]  # other documents with the same content: their versions, `seen` and `went_on`


def lineage_of_step(lake: Lake, run_id: str, step: int) -> StepLineage:
    """The documents of step `step` (steps count from 1, as checkpoints do).

    Raises UnknownName beyond the plan, and beyond the last step of a run that is finished.
    """
    from mixer.loader import documents_of_step
    from mixer.mix import open_plan
    from mixer.tokenize import open_streams
    from trainer.accepted import read_accepted

    lineage = run_lineage(lake, run_id)
    mixture = lake.get("mixture", lineage["mixture_id"])
    plan = open_plan(mixture)
    taken, finished = steps_taken(lake, run_id, step)
    last = taken if finished else plan.num_steps
    if not 1 <= step <= last:
        early = f": it ended before the {plan.num_steps} of its plan" if last < plan.num_steps else ""
        raise UnknownName(
            f"run {lineage['name']!r} has the steps 1 to {last}; there is no step {step}{early}"
        )
    shards = lake.get("token_shards", mixture.parent("token_shards"))
    streams = open_streams(lake, shards, [source.name for source in plan.sources])
    seen = documents_of_step(plan, streams, step - 1)
    rows = [
        {
            "sequence": d.sequence,
            "source": d.source,
            "epoch": d.epoch,
            "doc_id": d.doc_id,
            "tokens": d.token_stop - d.token_start,
        }
        for d in seen
    ]
    ledger = plan.consumed(step * plan.global_batch_sequences)
    sizes = {source.name: source.num_sequences * plan.sequence_length for source in plan.sources}
    epochs = {source: sum(tokens) / max(1, sizes[source]) for source, tokens in ledger.items()}
    base = read_origin(lake, lineage)
    return StepLineage(
        run_id, lineage["name"], step, rows, ledger, epochs, step <= taken,
        lineage["base"], base.id if base else None, base.step if base else None, reference_to(lake, base, lineage["base"]) if base else "",
        [str(change) for change in read_accepted(lake.runs / run_id) if change.step < step],
    )  # fmt: skip


def licenses_read(lake: Lake, run_id: str, step: int | None) -> dict[str, str]:
    """By source, the licence of what a checkpoint was trained on, by itself and by the runs its first weights come from.

    Several, where a source's was another then. What is not known, that of a model from elsewhere too, is empty.
    """
    licenses = source_licenses(lake)
    found: dict[str, set[str]] = {}
    for within in _runs_within(lake, run_id, step):
        if within.base is None and within.lineage["base"] != "scratch":
            found.setdefault(within.lineage["base"], set()).add("")
        sources = lake.get("snapshot", within.lineage["snapshot_id"]).identity["sources"]
        for source, tokens in within.plan.consumed(within.last * within.plan.global_batch_sequences).items():
            if sum(tokens):
                found.setdefault(source, set()).add(licenses.get(sources[source]["documents"], ""))
    return {
        source: ", ".join(sorted(license or "not known" for license in its)) if its != {""} else ""
        for source, its in found.items()
    }


def contents_read(lake: Lake, run_id: str, step: int | None, contents: Set[str]) -> set[str]:
    """Those of some content hashes that a checkpoint has read, itself or before it in the runs its first weights come from."""
    asked, found = pa.array(sorted(contents), pa.string()), set()
    for within in _runs_within(lake, run_id, step):
        alike: dict[str, str] = {}
        for part in snapshot_parts(lake, lake.get("snapshot", within.lineage["snapshot_id"])):
            table = lake.read_part(part.documents, ["doc_id", "content_hash"])
            table = table.filter(pc.is_in(table["content_hash"], asked))
            alike |= zip(table["doc_id"].to_pylist(), table["content_hash"].to_pylist(), strict=True)
        read = {source.name for source in within.plan.sources}
        for doc_id, place in _places(lake, within.shards, alike.keys()).items():
            if place[0] in read and any(number < within.last for number, _ in within.plan.steps_of(*place)):
                found.add(alike[doc_id])
    return found


class _Within(NamedTuple):
    """A run whose training is in a checkpoint's weights, up to its step `last`."""

    lineage: dict[str, Any]
    plan: MixPlan
    shards: Manifest
    last: int
    base: Resolved | None


def _runs_within(lake: Lake, run_id: str, step: int | None) -> Iterator[_Within]:
    """A run up to a step (None: its end), and the runs its first weights come from, the oldest first."""
    from mixer.mix import open_plan

    lineage = run_lineage(lake, run_id)
    mixture = lake.get("mixture", lineage["mixture_id"])
    plan, base = open_plan(mixture), read_origin(lake, lineage)
    if base is not None:
        yield from _runs_within(lake, base.id, base.step)
    last = steps_taken(lake, run_id, plan.num_steps)[0] if step is None else step
    yield _Within(lineage, plan, lake.get("token_shards", mixture.parent("token_shards")), last, base)


def lineage_of_document(lake: Lake, document: str) -> DocumentLineage:
    """Everything the lake knows of a document, by doc_id, a unique prefix of it, or a source's own id."""
    row = find_document(lake, document)
    decisions = [
        decision
        for snapshot in lake.artifacts("snapshot")
        if (decision := _decision(lake, snapshot, row["doc_id"]))
    ]
    others = _same_text(lake, row)
    seen = _seen(lake, {row["doc_id"], *others})
    same_text = [
        {"doc_id": id, "versions": versions, "seen": seen[id], "went_on": _went_on(lake, seen[id])}
        for id, versions in sorted(others.items(), key=lambda other: (not seen[other[0]], other[0]))
    ]
    own = seen[row["doc_id"]]
    return DocumentLineage(row, decisions, own, _went_on(lake, own), same_text)


def _same_text(lake: Lake, row: Mapping[str, Any]) -> dict[str, list[str]]:
    """The versions of each other document with this content: a record has another id as soon as its file changes."""
    found: dict[str, list[str]] = {}
    for part, versions in _document_parts(lake):
        table = lake.read_part(part, ["doc_id", "content_hash"])
        same = table.filter(pc.equal(table["content_hash"], row["content_hash"]))
        for doc_id in same["doc_id"].to_pylist():
            found[doc_id] = list(dict.fromkeys([*found.get(doc_id, []), *versions]))
    found.pop(row["doc_id"], None)
    return found


def _document_parts(lake: Lake) -> list[tuple[Part, list[str]]]:
    """Every part of `documents` once, with the versions (NAME@N) that read it."""
    owners: dict[str, list[str]] = {}
    for fact in all_attached(lake, "documents"):
        owners.setdefault(fact["id"], []).append(str(fact["claim"]))
    found: dict[str, tuple[Part, list[str]]] = {}
    for manifest in lake.artifacts("documents"):
        for part in manifest.parts("documents"):
            found.setdefault(part.key, (part, []))[1].extend(owners.get(manifest.id, []))
    return list(found.values())


_SHOWN_OF_DOCUMENT = ["doc_id", "source", "file_hash", "occurrence", "record", "content_hash", "num_bytes", "date"]  # fmt: skip


class _Place(NamedTuple):
    """Where a document stands in the lake, and the versions (NAME@N) that read it."""

    part: Part
    row: int
    versions: list[str]


def find_document(lake: Lake, document: str) -> dict[str, Any]:
    """The row of `documents` without its text, own fields masked, with the names of the files it stands in."""
    exact: dict[str, _Place] = {}
    prefix: dict[str, _Place] = {}
    for part, versions in _document_parts(lake):
        table = lake.read_part(part, ["doc_id", "own_id"])
        same = pc.or_kleene(pc.equal(table["doc_id"], document), pc.equal(table["own_id"], document))
        for found, match in (exact, same), (prefix, pc.starts_with(table["doc_id"], document)):
            rows = pc.indices_nonzero(pc.fill_null(match, False)).to_pylist()
            for row in rows:
                found.setdefault(table["doc_id"][row].as_py(), _Place(part, row, [])).versions.extend(
                    versions
                )
    found = _of_newest(lake, exact) or (prefix if document else {})
    if not found:
        raise UnknownName(
            f"no document {document!r} in the lake. Give a doc_id, the start of one, or a source's own id."
        )
    if len(found) > 1:
        listed = [f"{id} ({', '.join(dict.fromkeys(place.versions)) or 'of no version'})" for id, place in sorted(found.items())]  # fmt: skip
        more = "Give a doc_id." if exact else "Give more of it."
        raise UnknownName(
            f"{document!r} stands for {len(found)} documents, for instance {', '.join(listed[:3])}. {more}"
        )
    part, number, _ = next(iter(found.values()))
    row = lake.read_part(part, _SHOWN_OF_DOCUMENT).slice(number, 1).to_pylist()[0]
    row |= shown_fields(lake, part, Relations(lake).best_pii().get(part.key), [number], ["own_id", "url"])[0]
    files = [
        f["file"]
        for f in read_facts(lake, "files")
        if (f["source"], f["file_hash"], f["occurrence"])
        == (row["source"], row["file_hash"], row["occurrence"])
    ]
    return {**row, "files": files[-1:]}  # what it is called now: a rename is a later fact


def _of_newest(lake: Lake, found: dict[str, _Place]) -> dict[str, _Place]:
    """Those that the newest version of some name has, as `why` takes an own id; all where none has."""
    current = {str(fact["claim"]) for fact in names.current(lake, "documents")}
    return {id: place for id, place in found.items() if current.intersection(place.versions)} or found


def snapshots_with(lake: Lake, document: str) -> dict[str, list[str]]:
    """The snapshots that have a document (by doc_id, a start of it, or own id), each with its versions (NAME@N)."""
    from quality.explain import find_places

    found: dict[str, list[str]] = {}
    for fact in all_attached(lake, "snapshot"):
        found.setdefault(fact["id"], []).append(str(fact["claim"]))
    return {
        id: owners
        for id, owners in found.items()
        if find_places(lake, snapshot_parts(lake, lake.get("snapshot", id)), document)
    }


def _decision(lake: Lake, snapshot: Manifest, doc_id: str) -> dict[str, Any] | None:
    for part in snapshot.parts("decisions"):
        table = lake.read_part(part, ["doc_id"])
        row = pc.index(table["doc_id"], doc_id).as_py()
        if row >= 0:
            decision = lake.read_part(part).slice(row, 1).to_pylist()[0]
            return {"snapshot": ", ".join(owners_of(lake, snapshot)) or snapshot.id[:12], **decision}
    return None


def _seen(lake: Lake, doc_ids: Set[str]) -> dict[str, list[dict[str, Any]]]:
    """The steps of each run, up to where it is, that saw each document: from its place in the token stream and the plan."""
    from mixer.mix import open_plan

    found: dict[str, list[dict[str, Any]]] = {id: [] for id in doc_ids}
    for run_id in run_ids(lake):
        lineage = run_lineage(lake, run_id)
        mixture = lake.get("mixture", lineage["mixture_id"])
        plan = open_plan(mixture)
        last, _ = steps_taken(lake, run_id, plan.num_steps)
        places = _places(lake, lake.get("token_shards", mixture.parent("token_shards")), doc_ids)
        for doc_id, place in places.items():
            if place[0] not in {source.name for source in plan.sources}:
                continue
            steps = [(step + 1, epoch) for step, epoch in plan.steps_of(*place) if step < last]
            if not steps:
                continue
            first = steps[0][0]
            checkpoints = [row["step"] for row in checkpoint_rows(lake.runs / run_id) if row["step"] >= first]
            found[doc_id].append(
                {
                    "run_id": run_id,
                    "run": lineage["name"],
                    "recipe": lineage["recipe"],
                    "source": place[0],
                    "steps": steps,
                    "checkpoints": checkpoints,
                }
            )
    return found


def _went_on(lake: Lake, seen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs that started from a checkpoint with the document in it, and those that started from these."""
    runs = {id: run_lineage(lake, id) for id in run_ids(lake)} if seen else {}
    bases = {id: base for id, lineage in runs.items() if (base := read_origin(lake, lineage))}
    since = {row["run_id"]: row["steps"][0][0] for row in seen}  # the step from which a run's weights hold it
    found: dict[str, dict[str, Any]] = {}
    while new := [
        id for id, base in bases.items()
        if id not in found and base.id in since and (base.step is None or base.step >= since[base.id])
    ]:  # fmt: skip
        for id in new:
            since[id] = 0
            found[id] = {
                "run_id": id, "run": runs[id]["name"], "recipe": runs[id]["recipe"],
                "base": runs[id]["base"], "base_id": bases[id].id, "base_step": bases[id].step,
                "base_reference": reference_to(lake, bases[id], runs[id]["base"]),
            }  # fmt: skip
    return list(found.values())


def _places(lake: Lake, shards: Manifest, doc_ids: Set[str]) -> dict[str, tuple[str, int, int]]:
    """(source, start, stop) of documents in the token stream of their source, of those that are in it."""
    asked = pa.array(sorted(doc_ids))
    found = {}
    for source, entry in shards.summary["sources"].items():
        offset = 0
        for key in entry["shards"]:
            record = lake.task("token_shards", key)
            assert record is not None
            table = lake.read_part(record.parts["token_shards"][0], ["doc_id", "token_start", "num_tokens"])
            for row in table.filter(pc.is_in(table["doc_id"], asked)).to_pylist():
                start = offset + row["token_start"]
                found[row["doc_id"]] = source, start, start + row["num_tokens"]
            offset += record.tally["tokens"]
    return found
