"""Curate: measure every document, set the held-out documents apart, decide, and commit a snapshot.

The one function `curate` reads top to bottom; each step is an artifact that is found when it exists.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from corpus.catalog import Source
from corpus.engine import Call, Operator, Progress, run_calls
from corpus.fingerprint import fingerprint
from corpus.holdout import Candidate, Holdout, draw, freeze, frozen, held_out_rows
from corpus.lake import Lake, Manifest, artifact_id
from corpus.part import Part
from corpus.schema import DATASETS
from corpus.snapshot import SnapshotPart, edited_texts
from quality.curation import Curation, SourceRules
from quality.decide import (
    SourceInput,
    Verdicts,
    candidate_columns,
    decide_part,
    edges_table,
    find_duplicates,
    part_frames,
    passes,
    read_signals,
)
from quality.funnel import add_tallies, tally_decisions
from quality.held_out import HeldOutIndex, HeldOutOverlap
from quality.measure import Measured, measure
from quality.near_duplicates import NearDuplicates, find_edges

VERSION = 1
EDGES_VERSION = 1
_SMALL_ROWS = 20_000  # below this, starting workers costs more than deciding


@dataclass(frozen=True)
class Curated:
    snapshot: Manifest
    holdout: Manifest | None


def curate(
    lake: Lake, sources: Mapping[str, tuple[Source, Manifest]], curation: Curation, holdout: Holdout | None, tokens: Operator | None,
    workers: int, progress: Progress | None = None, say: Callable[[str], None] = lambda text: None,
) -> Curated:  # fmt: skip
    """The snapshot of these documents under this curation. `tokens` is the operator that counts them, if a tokenizer is there yet."""
    sources = dict(sorted(sources.items()))  # the order in which a recipe lists them changes nothing
    documents = {name: manifest for name, (_, manifest) in sources.items()}
    measured = measure(lake, documents, operators(curation, tokens), workers, progress)
    edges = near_duplicate_edges(lake, documents, measured, curation.near_duplicates, say)
    inputs = [
        SourceInput(name, source.role, source.topic, source.curated, manifest, measured[name])
        for name, (source, manifest) in sources.items()
    ]
    rules = {found.name: curation.for_source(found.name, found.topic, found.role) for found in inputs}
    held_out = _held_out(lake, inputs, curation, rules, edges, holdout, say) if holdout else None
    if held_out:
        index = HeldOutOverlap(str(lake.folder("holdout", held_out.id) / "files" / "index"), held_out.id)
        overlaps = measure(lake, documents, [index], workers, progress, [("holdout", held_out.id)])
        inputs = [replace(found, measured={**found.measured, **overlaps[found.name]}) for found in inputs]
    return Curated(decide(lake, inputs, curation, rules, edges, held_out, workers, progress), held_out)


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


# ── near-duplicates and the held-out set ────────────────────────────────────────────────────────────────────────────


def near_duplicate_edges(
    lake: Lake,
    documents: Mapping[str, Manifest],
    measured: Measured,
    config: NearDuplicates | None,
    say: Callable[[str], None],
) -> Manifest | None:
    """The verified pairs among all documents. Thresholds and keeper order are decided later, from the same pairs."""
    if config is None:
        return None
    parents = sorted(("minhash", measured[name]["minhash"].id) for name in documents)
    identity = {"ngram": config.ngram, "num_perm": config.num_perm, "bands": config.bands}
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
    scratch = lake.scratch()
    try:
        edges, guards = find_edges(pairs, config, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    part = lake.write_part("near_duplicates", id, edges)
    manifest = Manifest(
        "near_duplicates",
        id,
        "find_edges",
        EDGES_VERSION,
        identity,
        tuple(parents),
        {"near_duplicates": (part,)},
        summary={"guards": guards},
    )
    return lake.commit(manifest)


def _held_out(
    lake: Lake,
    inputs: Sequence[SourceInput],
    curation: Curation,
    rules: Mapping[str, SourceRules],
    edges: Manifest | None,
    config: Holdout,
    say: Callable[[str], None],
) -> Manifest:
    """The recipe's held-out set: the frozen one of its name, or a new draw."""
    if found := frozen(lake, config):
        return found
    say(f"drawing the held-out set {config.name}")
    candidates = _candidates(lake, inputs, curation, rules)
    verdicts = find_duplicates(candidates, edges_table(lake, edges), curation)
    eligible = candidates.filter(~pl.col("doc_id").is_in(list(verdicts.exact.keys() | verdicts.near.keys())))
    drawn = {found.name: _draw(found, eligible, config) for found in inputs}
    rows = [
        row
        for found in inputs
        for row in _held_out_texts(
            lake, found, rules[found.name], curation, {c.doc_id for c in drawn[found.name]}
        )
    ]
    table = pa.Table.from_pylist(
        sorted(rows, key=lambda row: (row["source"], row["doc_id"])), schema=DATASETS["held_out"]
    )
    raw = {row["doc_id"]: row for row in rows}
    summary = {
        "sources": {
            name: {"documents": len(found), "bytes": sum(c.num_bytes for c in found)}
            for name, found in drawn.items()
        }
    }
    parents = [("documents", found.documents.id) for found in inputs] + (
        [("near_duplicates", edges.id)] if edges else []
    )

    def write_index(folder: Path) -> None:
        ngram = curation.near_duplicates.ngram if curation.near_duplicates else NearDuplicates().ngram
        ids, texts = _raw_texts(lake, inputs, set(raw))
        HeldOutIndex.build(ids, texts, ngram).save(folder / "index")

    identity = [[found.name, [rule.to_json() for rule in rules[found.name].rules]] for found in inputs]
    return freeze(
        lake,
        config,
        table,
        [*parents, ("rules", fingerprint([identity, curation.identity()]))],
        summary,
        write_index,
    )


def _draw(source: SourceInput, eligible: pl.DataFrame, config: Holdout) -> list[Candidate]:
    mine = eligible.filter(pl.col("source") == source.name).select("doc_id", "content_hash", "num_bytes")
    candidates = [Candidate(*row) for row in mine.iter_rows()]
    return draw(
        config.name, config, candidates, source.documents.summary["bytes"], source.documents.rows("documents")
    )


def _held_out_texts(
    lake: Lake, source: SourceInput, rules: SourceRules, curation: Curation, wanted: set[str]
) -> Iterator[dict[str, Any]]:
    """Rows of `held_out`: the edited text is stored in the set, so it stays what it was when rules change."""
    for number, part in enumerate(source.documents.parts("documents")):
        table = lake.read_part(part, ["doc_id", "content_hash"])
        chosen = [doc_id in wanted for doc_id in table["doc_id"].to_pylist()]
        if not any(chosen):
            continue
        pii = source.measured["pii"].parts("pii")[number]
        cuts = source.measured["c4_lines"].parts("c4_lines")[number] if rules.cut_lines else None
        hashes = dict(zip(table["doc_id"].to_pylist(), table["content_hash"].to_pylist(), strict=True))
        for doc_id, text in edited_texts(
            lake, SnapshotPart(source.name, part, None, pii, cuts, curation.pii), pa.array(chosen)
        ):
            yield {
                "doc_id": doc_id, "source": source.name, "role": source.role, "topic": source.topic, "content_hash": hashes[doc_id],
                "cluster": doc_id, "text": text, "num_bytes": len(text.encode()),
            }  # fmt: skip


def _raw_texts(lake: Lake, inputs: Sequence[SourceInput], wanted: set[str]) -> tuple[list[str], list[str]]:
    """(doc_ids, unedited texts) in doc_id order: overlap, like every signal, is measured on unedited text."""
    found: list[tuple[str, str]] = []
    for source in inputs:
        for part in source.documents.parts("documents"):
            ids = lake.read_part(part, ["doc_id"])["doc_id"].to_pylist()
            if wanted.intersection(ids):
                texts = lake.read_part(part, ["text"])["text"]
                found += [(doc_id, texts[i].as_py()) for i, doc_id in enumerate(ids) if doc_id in wanted]
    found.sort()
    return [doc_id for doc_id, _ in found], [text for _, text in found]


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
    verdicts = judge(lake, inputs, curation, rules, edges, held_out)
    calls = [
        Call(
            f"decisions of {part.key[:8]}",
            decide_and_write,
            (
                str(lake.root),
                id,
                found,
                number,
                rules[found.name],
                curation,
                _held_hashes(lake, held_out),
                mine,
            ),
            part.rows,
        )
        for found in inputs
        for number, part, mine in _parts_with_verdicts(lake, found, verdicts)
        if lake.task("decide", _key(id, part)) is None
    ]
    rows = sum(found.documents.rows("documents") for found in inputs)
    run_calls(calls, workers if rows > _SMALL_ROWS else 1, "decide", progress)
    return lake.commit(_snapshot(lake, id, identity, parents, inputs, verdicts))


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


def judge(
    lake: Lake,
    inputs: Sequence[SourceInput],
    curation: Curation,
    rules: Mapping[str, SourceRules],
    edges: Manifest | None,
    held_out: Manifest | None,
) -> Verdicts:
    """The verdicts that need every document: duplicates among those that fail nothing else."""
    candidates = _candidates(lake, inputs, curation, rules, _held_hashes(lake, held_out))
    return find_duplicates(candidates, edges_table(lake, edges), curation)


def _candidates(
    lake: Lake,
    inputs: Sequence[SourceInput],
    curation: Curation,
    rules: Mapping[str, SourceRules],
    held: set[str] | None = None,
) -> pl.DataFrame:
    from quality.decide import held_out_failures

    keep = curation.near_duplicates.keep if curation.near_duplicates else []
    frames = []
    for found in inputs:
        for _, _, frame in part_frames(lake, found):
            good = passes(frame, rules[found.name], curation)
            if held is not None:
                good &= ~held_out_failures(frame, held).select(pl.any_horizontal(pl.all())).to_series()
            frames.append(
                candidate_columns(frame, found.curated, keep)
                .with_columns(pl.lit(found.name).alias("source"))
                .filter(good)
            )
    return (
        pl.concat(frames)
        if frames
        else candidate_columns(_no_documents(), False, keep).with_columns(pl.lit("").alias("source"))
    )


def _no_documents() -> pl.DataFrame:
    from corpus.schema import DOCUMENTS, MEASURED_SIGNALS

    schema = pa.schema(
        [
            *DOCUMENTS,
            *(pa.field(name, kind) for name, kind in MEASURED_SIGNALS.items() if name not in DOCUMENTS.names),
        ]
    )
    return pl.DataFrame(pl.from_arrow(schema.empty_table()))


def _held_hashes(lake: Lake, held_out: Manifest | None) -> set[str]:
    return set(held_out_rows(lake, held_out)["content_hash"].to_pylist()) if held_out else set()


def _parts_with_verdicts(
    lake: Lake, source: SourceInput, verdicts: Verdicts
) -> Iterator[tuple[int, Part, Verdicts]]:
    for number, part in enumerate(source.documents.parts("documents")):
        yield number, part, verdicts.of(lake.read_part(part, ["doc_id"])["doc_id"].to_pylist())


def _key(snapshot_id: str, part: Part) -> str:
    return fingerprint([snapshot_id, part.key])


def decide_and_write(
    root: str,
    snapshot_id: str,
    source: SourceInput,
    number: int,
    rules: SourceRules,
    curation: Curation,
    held: set[str],
    verdicts: Verdicts,
) -> None:
    """In a worker: the decisions and wide signals of one part."""
    lake = Lake(Path(root))
    part = source.documents.parts("documents")[number]
    frame = read_signals(lake, source, number)
    decisions = decide_part(frame, source, rules, curation, held, verdicts)
    fixed = {"snapshot_id": snapshot_id, "source": source.name, "role": source.role, "topic": source.topic}
    signals = frame.to_arrow().select([name for name in frame.columns if name in DATASETS["signals"].names])
    for name, value in fixed.items():
        signals = _set(signals, name, value)
    key = _key(snapshot_id, part)
    written = {
        "decisions": [lake.write_part("decisions", key, _set(decisions, "snapshot_id", snapshot_id))],
        "signals": [lake.write_part("signals", key, signals)],
    }
    lake.commit_task("decide", key, written, tally_decisions(decisions))


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
) -> Manifest:
    datasets: dict[str, list[Part]] = {"decisions": [], "signals": []}
    tallies = {}
    for found in inputs:
        records = [
            record
            for part in found.documents.parts("documents")
            if (record := lake.task("decide", _key(id, part)))
        ]
        assert len(records) == len(found.documents.parts("documents")), "a part was not decided"
        tallies[found.name] = add_tallies(record.tally for record in records)
        for name, parts in datasets.items():
            parts += [part for record in records for part in record.parts[name]]
    rejects = {found.name: found.documents.rows("rejects") for found in inputs}
    partners = [partner for partner, _, _ in [*verdicts.exact.values(), *verdicts.near.values()]]
    counts = (
        pl.Series(partners, dtype=pl.String).value_counts().sort(["count", ""], descending=[True, False])
        if partners
        else None
    )
    largest = (
        {"keeper": counts[0, 0], "dropped": int(counts[0, 1])}
        if counts is not None
        else {"keeper": None, "dropped": 0}
    )
    summary = {"sources": tallies, "rejects": rejects, "largest_cluster": largest}
    return Manifest(
        "snapshot",
        id,
        "decide",
        VERSION,
        identity,
        tuple(parents),
        {name: tuple(parts) for name, parts in datasets.items()},
        summary=summary,
    )
