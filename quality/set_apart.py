"""The held-out set of a recipe: which documents may be drawn, their edited texts, and the index of their shingles.

Drawn are documents that pass the rules by themselves, one of each duplicate cluster, and long enough to be told apart. How
the draw goes, and what freezing a name is, is in `corpus.holdout`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from corpus.errors import LakeError
from corpus.fingerprint import fingerprint
from corpus.holdout import Candidate, Holdout, commit_draw, draw, frozen, held_out_rows
from corpus.lake import Lake, Manifest, artifact_id
from corpus.schema import DATASETS
from corpus.snapshot import EDITS_VERSION, edited_column, edited_texts
from quality.candidates import find_candidates
from quality.characters import as_large_string
from quality.curation import Curation, SourceRules
from quality.decide import SourceInput
from quality.edited import SourceEdits
from quality.held_out import HeldOutIndex
from quality.near_duplicates import NearDuplicates
from quality.pairs import read_pairs
from quality.shingles import shingle_hashes, shingles_identity
from quality.verdicts import find_duplicates

INDEX_VERSION = 2
_BATCH_ROWS = 4096
Say = Callable[[str], None]


def held_out_set(
    lake: Lake, inputs: Sequence[SourceInput], curation: Curation, rules: Mapping[str, SourceRules], edits: Mapping[str, SourceEdits], edges: Manifest | None,
    config: Holdout, say: Say = lambda text: None,
) -> Manifest:  # fmt: skip
    """The frozen set of this name, or a new draw from these documents, which freezes nothing. A sample has a set of its own."""
    whole = config.name
    config = config.of_sample(
        min((found.documents.identity.get("sample", 1.0) for found in inputs), default=1.0)
    )
    if found := frozen(lake, config):
        _say_what_it_lacks(lake, inputs, config, found, say)
        return found
    say(f"drawing the held-out set {config.name}")
    if config.name != whole:
        say(f"it is of this sample alone: {whole} itself is neither used nor frozen by a run with --sample")
    ngram = (curation.near_duplicates or NearDuplicates()).ngram
    candidates = find_candidates(lake, inputs, curation, rules)
    dropped = find_duplicates(candidates, read_pairs(lake, edges), curation).dropped
    unique = candidates.join(dropped, on="doc_id", how="anti")
    drawn = {found.name: _draw(lake, found, edits[found.name], unique, config, ngram) for found in inputs}
    if not config.documents_per_source:
        say("holdout.documents_per_source is 0, so nothing is held out of any source")
    else:
        for source in inputs:
            if not drawn[source.name] and source.documents.rows("documents") > 1:
                say(
                    f"{source.name}: no document passes the rules and has {2 * ngram} words, so none is held out"
                )
    rows = [
        row
        for found in inputs
        for row in _rows(lake, found, edits[found.name], [c.doc_id for c in drawn[found.name]])
    ]
    table = pa.Table.from_pylist(
        sorted(rows, key=lambda row: (row["source"], row["doc_id"])), schema=DATASETS["held_out"]
    )
    sources = {
        name: {"documents": len(found), "bytes": sum(c.num_bytes for c in found)}
        for name, found in drawn.items()
    }
    parents = _parents(inputs, curation, rules, edits, edges)
    return commit_draw(lake, config, table, parents, {"sources": sources, "ngram": ngram})


def _parents(
    inputs: Sequence[SourceInput], curation: Curation, rules: Mapping[str, SourceRules], edits: Mapping[str, SourceEdits], edges: Manifest | None
) -> list[tuple[str, str]]:  # fmt: skip
    """The documents and pairs it was drawn from, and a fingerprint of what else decides who is drawn and what is stored of it.

    That is the rules and the measured signals, which copy is the keeper (`curated` among it), the edits, role and topic.
    """
    sources = [
        [
            found.name, found.role, found.topic, found.curated, rules[found.name].cut_lines,
            edits[found.name].identity(), [rule.to_json() for rule in rules[found.name].rules],
        ]
        for found in inputs
    ]  # fmt: skip
    measured = sorted(manifest.id for found in inputs for manifest in found.measured.values())
    said = [sources, curation.identity(), measured, EDITS_VERSION, dict(shingles_identity())]
    parents = [("documents", found.documents.id) for found in inputs]
    parents += [("near_duplicates", edges.id)] if edges else []
    return [*parents, ("rules", fingerprint(said))]


# ── the draw ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _draw(
    lake: Lake, source: SourceInput, edits: SourceEdits, unique: pl.DataFrame, config: Holdout, ngram: int
) -> list[Candidate]:
    mine = unique.filter(pl.col("source") == source.name).select(
        "doc_id", "content_hash", "num_bytes", "part"
    )
    eligible = mine.join(_long_enough(lake, source, edits, mine, ngram), on="doc_id", how="semi")
    total = source.documents.summary["bytes"]
    return draw(config.name, config, eligible.to_arrow(), total, source.documents.rows("documents"))


def _long_enough(
    lake: Lake, source: SourceInput, edits: SourceEdits, mine: pl.DataFrame, ngram: int
) -> pl.DataFrame:
    """The documents that have, once edited, more than `ngram` different shingles, so 2 · ngram words or more.

    Whatever contains a held-out text is not trained on: one of five everyday words would take thousands with it.
    """
    found = [pl.Series("doc_id", dtype=pl.String)]
    for (number,), rows in mine.partition_by("part", as_dict=True).items():
        part = source.documents.parts("documents")[int(number)]
        table = lake.read_part(part, ["doc_id", "text"])
        chosen = pc.is_in(table["doc_id"], value_set=rows["doc_id"].to_arrow().cast(pa.string()))
        edited = edited_column(lake, edits.part(source.name, int(number), part), chosen)
        texts = pc.coalesce(edited, table["text"]).filter(chosen)
        long = table["doc_id"].filter(chosen).filter(_is_long(as_large_string(texts), ngram))
        found.append(pl.Series("doc_id", pl.from_arrow(long), dtype=pl.String))
    return pl.concat(found).to_frame("doc_id")


def _is_long(texts: pa.LargeStringArray, ngram: int) -> pa.Array:
    slices = (texts.slice(start, _BATCH_ROWS) for start in range(0, len(texts), _BATCH_ROWS))
    sizes = [np.diff(shingle_hashes(found, ngram)[0]) for found in slices]
    return pa.array(np.concatenate([np.zeros(0, np.int64), *sizes]) > ngram)


def _rows(
    lake: Lake, source: SourceInput, edits: SourceEdits, wanted: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """Rows of `held_out`: the edited text is stored in the set, so it stays what it was when rules change."""
    ids = pa.array(wanted, pa.string())
    for number, part in enumerate(source.documents.parts("documents")):
        table = lake.read_part(part, ["doc_id", "content_hash"])
        chosen = pc.is_in(table["doc_id"], value_set=ids)
        if not pc.any(chosen).as_py():
            continue
        hashes = dict(zip(*table.filter(chosen).to_pydict().values(), strict=True))
        for doc_id, text in edited_texts(lake, edits.part(source.name, number, part), chosen):
            yield {
                "doc_id": doc_id, "source": source.name, "role": source.role, "topic": source.topic, "content_hash": hashes[doc_id],
                "cluster": doc_id, "text": text, "num_bytes": len(text.encode()),
            }  # fmt: skip


# ── a set that was frozen before ────────────────────────────────────────────────────────────────────────────────────


def _say_what_it_lacks(
    lake: Lake, inputs: Sequence[SourceInput], config: Holdout, held: Manifest, say: Say
) -> None:
    """Which sources of the recipe the set has none of, and how many of its documents are not in this corpus."""
    covered = held.summary["sources"]
    num_asked = held.identity["config"].get("documents_per_source", 1)
    for found in inputs:
        if not covered.get(found.name, {}).get("documents") and found.documents.rows("documents") > 1:
            if not num_asked:
                when = "with documents_per_source: 0"
            elif found.name in covered:
                when = "before, when none of it could be held out"
            else:
                when = "before, without that source"
            say(
                f"{found.name}: the held-out set {config.name} has none of it, since it was frozen {when}. "
                "To hold some of it out, give holdout another name, for another set."
            )
    if {id for kind, id in held.parents if kind == "documents"} <= {found.documents.id for found in inputs}:
        return
    columns = ["source", "content_hash"]
    rows = pl.DataFrame(pl.from_arrow(lake.read_part(held.parts("held_out")[0], columns)))
    parts = [part for found in inputs for part in found.documents.parts("documents")]
    here = [pl.Series(pl.from_arrow(lake.read_part(part, columns[1:])[columns[1]])) for part in parts]
    gone = ~pl.col("content_hash").is_in(pl.concat([rows["content_hash"].clear(), *here]).implode())
    counts = rows.group_by("source").agg(pl.len().alias("all"), gone.sum().alias("gone"))
    for name, num, num_gone in counts.filter(pl.col("gone") > 0).sort("source").iter_rows():
        say(
            f"{name}: {num_gone} of its {num} documents in the held-out set {config.name} are not in this corpus. "
            "They stay in the set: they are scored, and nothing near them is trained on."
        )


# ── the index ───────────────────────────────────────────────────────────────────────────────────────────────────────


def held_out_index(lake: Lake, held: Manifest) -> Manifest:
    """The index of a set's shingles, of its texts and of the documents it was drawn from: where Unicode data are others, it is made again.

    LakeError where a file of it is damaged: a kernel that follows a wrong number reads beyond its arrays.
    """
    ngram = held.summary.get("ngram", NearDuplicates().ngram)
    identity = {"ngram": ngram, "shingles": dict(shingles_identity())}
    parents = [("holdout", held.id)]
    id = artifact_id("held_out_index", "index", INDEX_VERSION, identity, parents)
    if found := lake.find("held_out_index", id):
        lake.files(found)
        return found
    staged = lake.stage()
    try:
        _build_index(lake, held, ngram).save(staged / "index")
        manifest = Manifest("held_out_index", id, "index", INDEX_VERSION, identity, tuple(parents), {})
        return lake.commit(manifest, staged)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _build_index(lake: Lake, held: Manifest, ngram: int) -> HeldOutIndex:
    """Of the edited texts, which are scored, and the unedited ones, which are what was read; short ones aside.

    The unedited ones stand in the documents only, so that the set holds no personal data: without those there is no index.
    """
    rows = held_out_rows(lake, held)
    texts = {(row["doc_id"], row["text"] or "") for row in rows.select(["doc_id", "text"]).to_pylist()}
    ids = rows["doc_id"].combine_chunks()
    for id in [id for kind, id in held.parents if kind == "documents"]:
        documents = lake.find("documents", id)
        if documents is None:
            raise LakeError(
                f"the held-out set {held.identity['name']} was drawn from documents {id}, which are not in the lake {lake.root}. "
                "Restore them (`tilth ingest` with the files and settings of then), or give holdout another name."
            )
        for part in documents.parts("documents"):
            chosen = pc.is_in(lake.read_part(part, ["doc_id"])["doc_id"], value_set=ids)
            if pc.any(chosen).as_py():
                table = lake.read_part(part, ["doc_id", "text"]).filter(chosen)
                texts |= {(row["doc_id"], row["text"] or "") for row in table.to_pylist()}
    ordered = sorted(texts)
    long = _is_long(pa.array([text for _, text in ordered], pa.large_string()), ngram).to_pylist()
    kept = [pair for pair, is_long in zip(ordered, long, strict=True) if is_long]
    return HeldOutIndex.build([doc_id for doc_id, _ in kept], [text for _, text in kept], ngram)
