"""Verdicts across documents: which are dropped for another one, copies and near-duplicates, in keeper order.

Copies are what a model would read twice: documents of one text, or of one text once lines are cut and data is masked.

Documents that fail a rule by themselves are no candidates here: nothing is dropped for a text that is not kept. Finding
the pairs is `quality.near_duplicates`; here the walk over them (`quality.walk`) becomes a row per document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pyarrow as pa

from corpus.schema import DATASETS
from quality.curation import Curation
from quality.large_buckets import LargeBuckets
from quality.pairs import Pairs
from quality.walk import Walked, walk

SCHEMA = {
    "doc_id": pl.String, "source": pl.String, "part": pl.Int64, "exact": pl.Boolean, "near": pl.Boolean,
    "partner": pl.String, "jaccard": pl.Float64, "containment": pl.Float64, "cluster": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class Verdicts:
    """One row (`SCHEMA`) per document that is dropped for another, its partner, or that others are dropped for."""

    rows: pl.DataFrame
    guards: list[dict[str, Any]] = field(default_factory=list)  # events of what the walk did not compare

    @property
    def dropped(self) -> pl.DataFrame:
        return self.rows.filter(pl.col("exact") | pl.col("near"))

    def by_part(self) -> dict[tuple[str, int], pl.DataFrame]:
        """The rows of each (source, number of the documents part): what a worker on that part needs."""
        parts = self.rows.partition_by("source", "part", as_dict=True)
        return {(str(source), int(part)): rows for (source, part), rows in parts.items()}

    def largest_cluster(self) -> tuple[str | None, int]:
        """The keeper that most documents were dropped for (the smallest id of several), and how many."""
        counts = self.dropped.group_by("cluster").len().sort("len", "cluster", descending=[True, False])
        return (counts["cluster"][0], counts["len"][0]) if counts.height else (None, 0)


def no_verdicts() -> pl.DataFrame:
    return pl.DataFrame(schema=SCHEMA)


def candidate_columns(
    frame: pl.DataFrame, source: str, part: int, curated: bool, keep: Sequence[str]
) -> pl.DataFrame:
    """What the duplicate rules need to know of a part's documents; `trained_hash` is of the text with its edits, if any."""
    signals = [_column(key) for key in keep if key != "curated"]
    columns = dict.fromkeys(["doc_id", "content_hash", "num_bytes", *signals])
    places = {"curated": pl.lit(curated), "source": pl.lit(source), "part": pl.lit(part, pl.Int64)}
    return frame.select(*columns, trained_hash=pl.coalesce("edited_hash", "content_hash"), **places)


def _column(key: str) -> str:
    return "num_chars" if key == "length" else key


def keeper_order(candidates: pl.DataFrame, keep: Sequence[str]) -> pl.DataFrame:
    """Candidates with the one to keep first: the declared keys (curated first, newest date, longest, highest signal), then content.

    The order is total: content_hash, then doc_id, break every tie.
    """
    keys = list(dict.fromkeys(_column(key) for key in keep))
    descending = [*[True] * len(keys), False, False]
    return candidates.sort(*keys, "content_hash", "doc_id", descending=descending, nulls_last=True)


def find_duplicates(candidates: pl.DataFrame, pairs: Pairs | None, curation: Curation) -> Verdicts:
    """Which of the documents that pass all else are dropped for another.

    `candidates` has the columns of `candidate_columns`. An exact duplicate says the same as its keeper, or does once both are
    edited. Documents that are alike both ways have one fate: a copy of a near-duplicate is one too, of the same keeper.
    """
    copied = pl.col("content_hash").is_duplicated() | pl.col("trained_hash").is_duplicated()
    involved = copied | pl.col("content_hash").is_in(_contents(pairs).implode())
    ordered = keeper_order(candidates.filter(involved), curation.keep)
    text = "trained_hash" if curation.exact_duplicates else "content_hash"
    ordered = ordered.select("doc_id", "content_hash", "source", "part", text=text)
    places = ordered.unique(["content_hash", "text"], keep="first", maintain_order=True).select(
        "content_hash", "text", first="doc_id"
    )
    walked = _walk(places, pairs, curation)
    fates = places.with_row_index("place").with_columns(pl.col("place").cast(pl.Int64))
    fates = fates.join(walked.dropped, on="place", how="left").join(
        fates.select(keeper="place", keeper_id="first"), on="keeper", how="left"
    )
    joined = ordered.join(fates, on=["content_hash", "text"], how="left", maintain_order="left")
    is_copy = pl.col("keeper").is_null() & (pl.col("doc_id") != pl.col("first")) & curation.exact_duplicates
    joined = joined.with_columns(
        exact=pl.col("exact").fill_null(False) | is_copy, near=pl.col("exact").not_().fill_null(False)
    )
    gone = pl.col("exact") | pl.col("near")
    partner = pl.coalesce("keeper_id", "first")
    dropped = joined.filter(gone).select(
        "doc_id", "source", "part", "exact", "near", partner.alias("partner"),
        pl.col("jaccard").fill_null(1.0), pl.col("containment").fill_null(1.0), partner.alias("cluster"),
    )  # fmt: skip
    keepers = joined.filter(~gone).join(
        dropped.select("partner").unique(), left_on="doc_id", right_on="partner", how="semi"
    )
    kept = keepers.select("doc_id", "source", "part", "exact", "near", cluster="doc_id")
    rows = pl.concat([no_verdicts(), dropped, kept], how="diagonal").select(*SCHEMA)
    return Verdicts(rows, walked.guards())


def _contents(pairs: Pairs | None) -> pl.Series:
    """Every content that may be near another: most of a corpus is not, and is not sorted."""
    found = pl.Series(dtype=pl.String)
    if pairs is not None:
        columns = (
            pairs.edges["content_a"].unique(),
            pairs.edges["content_b"].unique(),
            pairs.buckets.contents,
        )
        for column in columns:
            found = found.append(pl.Series(pl.from_arrow(column)).cast(pl.String)).unique()
    return found


def _walk(places: pl.DataFrame, pairs: Pairs | None, curation: Curation) -> Walked:
    contents, texts = (places[name].to_arrow().cast(pa.string()) for name in ("content_hash", "text"))
    if curation.near_duplicates is None or pairs is None:  # copies alone
        return walk(contents, texts, DATASETS["near_duplicates"].empty_table(), LargeBuckets.none(), 1.0)
    return walk(contents, texts, pairs.edges, pairs.buckets, curation.near_duplicates.jaccard)
