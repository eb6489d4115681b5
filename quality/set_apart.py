"""The held-out set of a recipe: which documents may be drawn, their edited texts, and the index of their shingles.

Drawn are documents that pass the rules by themselves, one of each duplicate cluster, and long enough to be told apart. How
the draw goes, and that a name is frozen by its first, is `corpus.holdout`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from corpus.fingerprint import fingerprint
from corpus.holdout import Candidate, Holdout, draw, freeze, frozen
from corpus.lake import Lake, Manifest
from corpus.schema import DATASETS
from corpus.snapshot import SnapshotPart, edited_texts
from quality.candidates import find_candidates
from quality.curation import Curation, SourceRules
from quality.decide import SourceInput
from quality.held_out import HeldOutIndex
from quality.near_duplicates import NearDuplicates
from quality.pairs import read_pairs
from quality.shingles import shingle_hashes
from quality.verdicts import find_duplicates

_BATCH_ROWS = 4096


def held_out_set(
    lake: Lake, inputs: Sequence[SourceInput], curation: Curation, rules: Mapping[str, SourceRules], edges: Manifest | None, config: Holdout,
    say: Callable[[str], None] = lambda text: None,
) -> Manifest:  # fmt: skip
    """The frozen set of this name, or a new draw from these documents, which freezes it."""
    if found := frozen(lake, config):
        return found
    say(f"drawing the held-out set {config.name}")
    ngram = (curation.near_duplicates or NearDuplicates()).ngram
    candidates = find_candidates(lake, inputs, curation, rules)
    dropped = find_duplicates(candidates, read_pairs(lake, edges), curation).dropped
    unique = candidates.join(dropped, on="doc_id", how="anti")
    drawn = {found.name: _draw(lake, found, unique, config, ngram) for found in inputs}
    for name in [
        found.name for found in inputs if not drawn[found.name] and found.documents.rows("documents") > 1
    ]:
        say(f"{name}: no document passes the rules and has {2 * ngram} words, so none is held out")
    rows = [
        row
        for found in inputs
        for row in _rows(lake, found, rules[found.name], curation, [c.doc_id for c in drawn[found.name]])
    ]
    table = pa.Table.from_pylist(
        sorted(rows, key=lambda row: (row["source"], row["doc_id"])), schema=DATASETS["held_out"]
    )
    summary = {
        "sources": {
            name: {"documents": len(found), "bytes": sum(c.num_bytes for c in found)}
            for name, found in drawn.items()
        }
    }

    def write_index(folder: Path) -> None:
        ids, texts = _raw_texts(lake, inputs, [c.doc_id for found in drawn.values() for c in found])
        HeldOutIndex.build(ids, texts, ngram).save(folder / "index")

    return freeze(lake, config, table, _parents(inputs, curation, rules, edges), summary, write_index)


def _parents(
    inputs: Sequence[SourceInput],
    curation: Curation,
    rules: Mapping[str, SourceRules],
    edges: Manifest | None,
) -> list[tuple[str, str]]:
    """The documents and pairs it was drawn from, and a fingerprint of the rules that said which may be."""
    resolved = [[found.name, [rule.to_json() for rule in rules[found.name].rules]] for found in inputs]
    parents = [("documents", found.documents.id) for found in inputs]
    parents += [("near_duplicates", edges.id)] if edges else []
    return [*parents, ("rules", fingerprint([resolved, curation.identity()]))]


def _draw(
    lake: Lake, source: SourceInput, unique: pl.DataFrame, config: Holdout, ngram: int
) -> list[Candidate]:
    mine = unique.filter(pl.col("source") == source.name).select(
        "doc_id", "content_hash", "num_bytes", "part"
    )
    eligible = mine.join(_long_enough(lake, source, mine, ngram), on="doc_id", how="semi")
    total = source.documents.summary["bytes"]
    return draw(config.name, config, eligible.to_arrow(), total, source.documents.rows("documents"))


def _long_enough(lake: Lake, source: SourceInput, mine: pl.DataFrame, ngram: int) -> pl.DataFrame:
    """The documents of more than `ngram` different shingles, so of 2 · ngram words or more.

    Whatever contains a held-out text is not trained on: one of five everyday words would take thousands with it.
    """
    found = [pl.Series("doc_id", dtype=pl.String)]
    for (number,), rows in mine.partition_by("part", as_dict=True).items():
        table = lake.read_part(source.documents.parts("documents")[int(number)], ["doc_id", "text"])
        table = table.filter(pc.is_in(table["doc_id"], value_set=rows["doc_id"].to_arrow().cast(pa.string())))
        for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
            offsets, _ = shingle_hashes(batch["text"], ngram)
            chosen = batch["doc_id"].filter(pa.array(np.diff(offsets) > ngram))
            found.append(pl.Series("doc_id", pl.from_arrow(chosen), dtype=pl.String))
    return pl.concat(found).to_frame("doc_id")


def _rows(
    lake: Lake, source: SourceInput, rules: SourceRules, curation: Curation, wanted: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """Rows of `held_out`: the edited text is stored in the set, so it stays what it was when rules change."""
    ids = pa.array(wanted, pa.string())
    for number, part in enumerate(source.documents.parts("documents")):
        table = lake.read_part(part, ["doc_id", "content_hash"])
        chosen = pc.is_in(table["doc_id"], value_set=ids)
        if not pc.any(chosen).as_py():
            continue
        pii = source.measured["pii"].parts("pii")[number]
        cuts = source.measured["c4_lines"].parts("c4_lines")[number] if rules.cut_lines else None
        hashes = dict(zip(*table.filter(chosen).to_pydict().values(), strict=True))
        for doc_id, text in edited_texts(
            lake, SnapshotPart(source.name, part, None, pii, cuts, curation.pii), chosen
        ):
            yield {
                "doc_id": doc_id, "source": source.name, "role": source.role, "topic": source.topic, "content_hash": hashes[doc_id],
                "cluster": doc_id, "text": text, "num_bytes": len(text.encode()),
            }  # fmt: skip


def _raw_texts(
    lake: Lake, inputs: Sequence[SourceInput], wanted: Iterable[str]
) -> tuple[list[str], list[str]]:
    """(doc_ids, unedited texts) in doc_id order: overlap, like every signal, is measured on unedited text."""
    ids, found = pa.array(wanted, pa.string()), []
    for source in inputs:
        for part in source.documents.parts("documents"):
            chosen = pc.is_in(lake.read_part(part, ["doc_id"])["doc_id"], value_set=ids)
            if pc.any(chosen).as_py():
                table = lake.read_part(part, ["doc_id", "text"]).filter(chosen)
                found += list(zip(*table.to_pydict().values(), strict=True))
    found.sort()
    return [doc_id for doc_id, _ in found], [text for _, text in found]
