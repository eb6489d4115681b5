"""Candidates: the documents that pass every rule on their own, gathered over all parts, and the verdicts among them.

It reads only the signals that the rules name, a part at a time: what is kept of a million documents is a few columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import polars as pl
import pyarrow as pa

from corpus.holdout import held_out_rows
from corpus.ingest import content_hash
from corpus.lake import Lake, Manifest
from corpus.schema import DATASETS, OPERATORS
from quality.curation import Curation, SourceRules
from quality.decide import SourceInput, held_out_failures, part_frames, passes, signals_of
from quality.edited import NOTHING
from quality.pairs import read_pairs
from quality.verdicts import Verdicts, candidate_columns, find_duplicates


def judge(
    lake: Lake, inputs: Sequence[SourceInput], curation: Curation, rules: Mapping[str, SourceRules], edges: Manifest | None, held: Iterable[str]
) -> Verdicts:  # fmt: skip
    """The verdicts that need every document: duplicates among those that fail nothing else."""
    candidates = find_candidates(lake, inputs, curation, rules, held)
    return find_duplicates(candidates, read_pairs(lake, edges), curation)


def find_candidates(
    lake: Lake, inputs: Sequence[SourceInput], curation: Curation, rules: Mapping[str, SourceRules], held: Iterable[str] | None = None
) -> pl.DataFrame:  # fmt: skip
    """The documents that pass every rule that needs no other document and, if `held` is given, are not near the held-out set."""
    frames = []
    for found in inputs:
        signals = signals_of(rules[found.name], curation)
        for number, _, frame in part_frames(lake, found, signals):
            good = passes(frame, rules[found.name], curation)
            if held is not None:
                good &= ~held_out_failures(frame, held).select(pl.any_horizontal(pl.all())).to_series()
            frames.append(
                candidate_columns(frame.filter(good), found.name, number, found.curated, curation.keep)
            )
    return pl.concat(frames) if frames else candidate_columns(_no_documents(), "", 0, False, curation.keep)


def _no_documents() -> pl.DataFrame:
    columns = {
        field.name: field for schema in (DATASETS["documents"], DATASETS["signals"]) for field in schema
    }
    schema = pa.schema([*columns.values(), OPERATORS["edited"].field("edited_hash")])
    return pl.DataFrame(pl.from_arrow(schema.empty_table()))


def held_hashes(lake: Lake, held_out: Manifest | None) -> list[str]:
    """The content hashes of a held-out set's texts, unedited and edited, sorted."""
    if held_out is None:
        return []
    rows = held_out_rows(lake, held_out)
    edited = {content_hash(text) for text in rows["text"].to_pylist() if text is not None}
    return sorted({*rows["content_hash"].to_pylist(), *edited} - {NOTHING})
