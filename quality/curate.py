"""Curate: measure every document, set the held-out documents apart, decide, and commit a snapshot.

The one function `curate` reads top to bottom; each step is an artifact that is found when it exists.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from corpus.catalog import Source
from corpus.engine import Call, Operator, Progress, run_calls
from corpus.fingerprint import fingerprint, hash_bytes
from corpus.holdout import Holdout
from corpus.lake import Lake, Manifest, artifact_id
from corpus.part import Part
from corpus.schema import DATASETS
from quality.candidates import held_hashes, judge
from quality.curation import Curation, SourceRules
from quality.decide import (
    SourceInput,
    decide_part,
    read_signals,
)
from quality.edited import Edited, source_edits
from quality.funnel import add_tallies, tally_decisions, without_tokens
from quality.held_out import HeldOutOverlap
from quality.idle_rules import idle_rules
from quality.measure import Measured, measure
from quality.near_duplicates import EDGES_VERSION, NearDuplicates, find_edges
from quality.set_apart import held_out_index, held_out_set
from quality.verdicts import Verdicts

VERSION = 4
SMALL_ROWS = 20_000  # below this, starting workers costs more than deciding
_EDGES_PER_PART = 1 << 21  # as text, the four ids of a pair take 128 bytes


@dataclass(frozen=True)
class Curated:
    snapshot: Manifest
    holdout: Manifest | None


def curate(
    lake: Lake, sources: Mapping[str, tuple[Source, Manifest]], curation: Curation, holdout: Holdout | None, tokens: Operator | None,
    workers: int, progress: Progress | None = None, say: Callable[[str], None] = lambda text: None,
) -> Curated:  # fmt: skip
    """The snapshot of these documents under this curation. `tokens` is the operator that counts them, if a tokenizer is there yet.

    A held-out set that is drawn here is not frozen: that is for the caller, once the snapshot is found good.
    """
    sources = dict(sorted(sources.items()))  # the order in which a recipe lists them changes nothing
    documents = {name: manifest for name, (_, manifest) in sources.items()}
    measured = measure(lake, documents, operators(curation, tokens), workers, progress)
    edges = near_duplicate_edges(lake, documents, measured, curation.near_duplicates, say)
    rules = {
        name: curation.for_source(name, source.topic, source.role) for name, (source, _) in sources.items()
    }
    edits = {name: source_edits(curation, rules[name], measured[name]) for name in sources}
    with_edits = {name: manifest for name, manifest in documents.items() if edits[name]}
    for name, found in measure(lake, with_edits, [Edited()], workers, progress, edits=edits).items():
        measured[name] |= found
    inputs = [
        SourceInput(name, source.role, source.topic, source.curated, manifest, measured[name])
        for name, (source, manifest) in sources.items()
    ]
    held_out = held_out_set(lake, inputs, curation, rules, edits, edges, holdout, say) if holdout else None
    if held_out:
        index = held_out_index(lake, held_out)
        overlap = HeldOutOverlap(str(lake.folder(index.kind, index.id) / "files" / "index"), index.id)
        parents = [(found.kind, found.id) for found in (held_out, index)]
        overlaps = measure(lake, documents, [overlap], workers, progress, parents, edits)
        inputs = [replace(found, measured={**found.measured, **overlaps[found.name]}) for found in inputs]
    before = lake.ids("snapshot")
    snapshot = decide(lake, inputs, curation, rules, edges, held_out, workers, progress)
    if snapshot.id not in before:
        for text in idle_rules(lake, inputs, rules):
            say(text)
    for guard in snapshot.summary["guards"]:
        say(f"{guard['kind'].replace('_', ' ')}: {guard['message']}")
    return Curated(snapshot, held_out)


def operators(curation: Curation, tokens: Operator | None) -> list[Operator]:
    """What a curation needs measured. Imports wait until here: kernels compile and classifiers load in workers only."""
    from quality.c4_lines import C4Lines
    from quality.heuristics import Heuristics
    from quality.language import Language
    from quality.minhash import MinHash
    from quality.pii import Pii
    from quality.repetition import Repetition

    found: list[Operator] = [Heuristics(), Repetition(), Language(), Pii()]
    if curation.needs_c4_lines:
        found.append(C4Lines(**curation.c4_lines.model_dump()))
    if near := curation.near_duplicates:
        found.append(MinHash(near.num_perm, near.ngram))
    return [*found, tokens] if tokens else found


# ── near-duplicates ────────────────────────────────────────────────────────────────────────────


def edges_identity(config: NearDuplicates) -> dict[str, Any]:
    """What decides which pairs are found; the threshold and the keeper order are decided later, over the same pairs."""
    return {"ngram": config.ngram, "num_perm": config.num_perm, "bands": config.bands}


def near_duplicate_edges(
    lake: Lake,
    documents: Mapping[str, Manifest],
    measured: Measured,
    config: NearDuplicates | None,
    say: Callable[[str], None],
) -> Manifest | None:
    """The verified pairs among all documents of all sources."""
    if config is None:
        return None
    parents = sorted(("minhash", measured[name]["minhash"].id) for name in documents)
    identity = edges_identity(config)
    id = artifact_id("near_duplicates", "find_edges", EDGES_VERSION, identity, parents)
    if found := lake.find("near_duplicates", id):
        return found
    say("finding near-duplicates")
    pairs = [
        (lake.path_of(text), lake.path_of(signature))
        for name, manifest in documents.items()
        for text, signature in zip(
            manifest.parts("documents"), measured[name]["minhash"].parts("minhash"), strict=True
        )
    ]
    scratch, staged = lake.scratch(), lake.stage()
    try:
        edges, guards = find_edges(pairs, config, scratch, staged)
        parts = _write_edges(lake, id, edges)
        made = Manifest(
            "near_duplicates", id, "find_edges", EDGES_VERSION, identity, tuple(parents), {"near_duplicates": parts}, summary={"guards": guards}
        )  # fmt: skip
        return lake.commit(made, staged)
    finally:
        for folder in (scratch, staged):
            shutil.rmtree(folder, ignore_errors=True)


def _write_edges(lake: Lake, id: str, edges: pa.Table) -> tuple[Part, ...]:
    slices = [edges.slice(at, _EDGES_PER_PART) for at in range(0, max(1, edges.num_rows), _EDGES_PER_PART)]
    return tuple(
        lake.write_part("near_duplicates", fingerprint([id, number]), found)
        for number, found in enumerate(slices)
    )


# ── decide and commit ───────────────────────────────────────────────────────────────────────────────────────────────


def decide(
    lake: Lake, inputs: Sequence[SourceInput], curation: Curation, rules: Mapping[str, SourceRules], edges: Manifest | None, held_out: Manifest | None,
    workers: int, progress: Progress | None = None,
) -> Manifest:  # fmt: skip
    """The snapshot: one `decisions` and one wide `signals` row per document, in the order of `documents`."""
    identity, parents = snapshot_identity(inputs, curation, rules, edges, held_out)
    id = artifact_id("snapshot", "decide", VERSION, identity, parents)
    if found := lake.find("snapshot", id):
        return found
    held = held_hashes(lake, held_out)
    verdicts = judge(lake, inputs, curation, rules, edges, held)
    mine = verdicts.by_part()
    calls = [
        Call(
            f"decisions of {part.key[:8]}", decide_and_write,
            (str(lake.root), id, found.only(number), rules[found.name], curation, held, mine.get((found.name, number))), part.rows,
        )
        for found in inputs
        for number, part in enumerate(found.documents.parts("documents"))
        if lake.task("decide", _key(id, part)) is None
    ]  # fmt: skip
    rows = sum(found.documents.rows("documents") for found in inputs)
    run_calls(calls, workers if rows > SMALL_ROWS else 1, "decide", progress)
    guards = [*(edges.summary["guards"] if edges else []), *verdicts.guards]
    return lake.commit(_snapshot(lake, id, identity, parents, inputs, verdicts, guards))


def snapshot_identity(
    inputs: Sequence[SourceInput],
    curation: Curation,
    rules: Mapping[str, SourceRules],
    edges: Manifest | None,
    held_out: Manifest | None,
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """What a snapshot is made of. Overrides count as what they resolve to, so another spelling of the same rules is the same snapshot."""
    sources = {
        found.name: {
            "documents": found.documents.id, "measured": {name: manifest.id for name, manifest in sorted(found.measured.items())}, "role": found.role, "topic": found.topic,
            "curated": found.curated, "rules": [rule.to_json() for rule in rules[found.name].rules], "cut_lines": rules[found.name].cut_lines,
        }
        for found in inputs
    }  # fmt: skip
    near = curation.near_duplicates
    identity = {
        "sources": sources,
        "pii": curation.pii,
        "exact_duplicates": curation.exact_duplicates,
        "near_duplicates": near.identity() if near else None,
    }
    parents = [("documents", found.documents.id) for found in inputs]
    parents += sorted((name, manifest.id) for found in inputs for name, manifest in found.measured.items())
    parents += [(manifest.kind, manifest.id) for manifest in (edges, held_out) if manifest]
    return identity, parents


def _key(snapshot_id: str, part: Part) -> str:
    return fingerprint([snapshot_id, part.key])


def decide_and_write(
    root: str, snapshot_id: str, source: SourceInput, rules: SourceRules, curation: Curation, held: Sequence[str], verdicts: pl.DataFrame | None
) -> None:  # fmt: skip
    """In a worker: the decisions and wide signals of a source's only part."""
    lake = Lake(Path(root))
    frame = read_signals(lake, source, 0)
    decisions = decide_part(frame, source, rules, curation, held, verdicts)
    fixed = {"snapshot_id": snapshot_id, "source": source.name, "role": source.role, "topic": source.topic}
    signals = frame.select(name for name in frame.columns if name in DATASETS["signals"].names).to_arrow()
    for name, value in fixed.items():
        signals = _set(signals, name, value)
    key = _key(snapshot_id, source.documents.parts("documents")[0])
    written = {
        "decisions": [lake.write_part("decisions", key, _set(decisions, "snapshot_id", snapshot_id))],
        "signals": [lake.write_part("signals", key, signals)],
    }
    kept = np.packbits(decisions["kept"].to_numpy(zero_copy_only=False))
    tally = tally_decisions(decisions) | {"kept_hash": hash_bytes(kept.tobytes())}
    lake.commit_task("decide", key, written, tally)


def _set(table: pa.Table, name: str, value: str) -> pa.Table:
    column = pa.array([value] * table.num_rows, pa.string())
    at = table.column_names.index(name) if name in table.column_names else None
    return table.append_column(name, column) if at is None else table.set_column(at, name, column)


def _snapshot(
    lake: Lake,
    id: str,
    identity: dict[str, Any],
    parents: list[tuple[str, str]],
    inputs: Sequence[SourceInput],
    verdicts: Verdicts,
    guards: list[dict[str, Any]],
) -> Manifest:
    datasets: dict[str, list[Part]] = {"decisions": [], "signals": []}
    tallies, kept_hashes = {}, []
    for found in inputs:
        parts = found.documents.parts("documents")
        records = [record for part in parts if (record := lake.task("decide", _key(id, part)))]
        assert len(records) == len(parts), "a part was not decided"
        tally = add_tallies(record.tally for record in records)
        tallies[found.name] = tally if "tokens" in found.measured else without_tokens(tally)
        kept_hashes += [record.tally["kept_hash"] for record in records]
        for name, written in datasets.items():
            written += [part for record in records for part in record.parts[name]]
    keeper, dropped = verdicts.largest_cluster()
    summary = {
        "sources": tallies, "rejects": {found.name: found.documents.rows("rejects") for found in inputs},
        "largest_cluster": {"keeper": keeper, "dropped": dropped}, "guards": guards, "kept_hashes": kept_hashes,
        "sample": min((found.documents.identity.get("sample", 1.0) for found in inputs), default=1.0),
    }  # fmt: skip
    final = {name: tuple(parts) for name, parts in datasets.items()}
    return Manifest("snapshot", id, "decide", VERSION, identity, tuple(parents), final, summary=summary)
