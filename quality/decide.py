"""Decide: verdicts over what was measured. It reads no text and takes seconds; other thresholds need no new measuring.

Order: the recipe's rules on each document by itself (every failing rule is kept), then content that is held out, exact
duplicates, and last, among documents that fail nothing else, near-duplicates in keeper order. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pyarrow as pa

from corpus.lake import Lake, Manifest
from corpus.part import Part
from corpus.schema import DATASETS, MEASURED_SIGNALS, OPERATORS
from quality.curation import Curation, SourceRules
from quality.near_duplicates import walk

NEAR_JACCARD, NEAR_CONTAINMENT = (
    0.5,
    0.8,
)  # to a held-out document: beyond either, a document is not trained on
DUPLICATE_RULES = ("exact_duplicate", "near_duplicate")
HELD_OUT_RULES = ("held_out", "near_held_out")
_DOCUMENT_COLUMNS = ["doc_id", "content_hash", "num_bytes", "date", "own_id", "url", "metadata"]


@dataclass(frozen=True)
class SourceInput:
    """A source as decide sees it."""

    name: str
    role: str
    topic: str
    curated: bool
    documents: Manifest
    measured: Mapping[str, Manifest]  # operator name → artifact


@dataclass
class Verdicts:
    """What was decided across documents. Each maps a doc_id to why it is dropped; absent means it is not."""

    exact: dict[str, tuple[str, float, float]] = field(
        default_factory=dict
    )  # doc_id → (partner, Jaccard, containment)
    near: dict[str, tuple[str, float, float]] = field(
        default_factory=dict
    )  # doc_id → (partner, Jaccard, containment)
    keepers: set[str] = field(default_factory=set)  # documents that others were dropped for

    def of(self, doc_ids: Iterable[str]) -> Verdicts:
        """The verdicts on these documents only: what a worker on one part needs."""
        ids = set(doc_ids)
        return Verdicts(
            {i: self.exact[i] for i in ids & self.exact.keys()},
            {i: self.near[i] for i in ids & self.near.keys()},
            ids & self.keepers,
        )

    def cluster(self, doc_id: str) -> str | None:
        partner = self.partner(doc_id)[0]
        return partner or (doc_id if doc_id in self.keepers else None)

    def partner(self, doc_id: str) -> tuple[str | None, float | None, float | None]:
        return self.exact.get(doc_id) or self.near.get(doc_id) or (None, None, None)


def part_frames(lake: Lake, source: SourceInput) -> Iterator[tuple[int, Part, pl.DataFrame]]:
    """(number, documents part, its signals) in order: parts zip by position, nothing is joined."""
    for number, part in enumerate(source.documents.parts("documents")):
        yield number, part, read_signals(lake, source, number)


def read_signals(lake: Lake, source: SourceInput, number: int) -> pl.DataFrame:
    """The measured signals of one part, with the document columns that rules may use. A column that was not measured is null."""
    part = source.documents.parts("documents")[number]
    table = lake.read_part(part, _DOCUMENT_COLUMNS)
    for name, manifest in source.measured.items():
        measured = manifest.parts(name)[number]
        wanted = [signal for signal in OPERATORS[name].names if signal in MEASURED_SIGNALS]
        for signal, column in zip(wanted, lake.read_part(measured, wanted).columns, strict=True):
            table = table.append_column(signal, column)
    for signal, kind in MEASURED_SIGNALS.items():
        if signal not in table.column_names:
            table = table.append_column(signal, pa.nulls(table.num_rows, kind))
    return pl.DataFrame(pl.from_arrow(table))


def with_metadata(frame: pl.DataFrame, rules: SourceRules) -> pl.DataFrame:
    """Add a column for each `metadata.KEY` that a rule names: a number for min and max, text for allow and deny."""
    for rule in rules.rules:
        if rule.signal.startswith("metadata.") and rule.signal not in frame.columns:
            value = pl.col("metadata").str.json_path_match(f"$.{rule.signal.removeprefix('metadata.')}")
            numeric = rule.kind in ("min", "max") and not isinstance(rule.threshold, str)
            frame = frame.with_columns(
                (value.cast(pl.Float64, strict=False) if numeric else value).alias(rule.signal)
            )
        if rule.signal == "date" and frame.schema["date"] != pl.String:
            frame = frame.with_columns(pl.col("date").dt.strftime("%Y-%m-%d"))
    return frame


def failing(frame: pl.DataFrame, rules: SourceRules, curation: Curation) -> pl.DataFrame:
    """One Boolean column per rule that needs no other document, in recipe order: the rules, then PII types set to drop."""
    checks = [rule.fails().alias(rule.name) for rule in rules.rules]
    checks += [
        (pl.col(f"num_pii_{kind}") > 0).fill_null(False).alias(f"pii_{kind}")
        for kind, action in curation.pii.items()
        if action == "drop"
    ]
    return with_metadata(frame, rules).select(checks)


def passes(frame: pl.DataFrame, rules: SourceRules, curation: Curation) -> pl.Series:
    """Whether each document passes every rule that needs no other document."""
    failed = failing(frame, rules, curation)
    return (
        ~failed.select(pl.any_horizontal(pl.all())).to_series()
        if failed.width
        else pl.repeat(True, frame.height, eager=True)
    )


def held_out_failures(frame: pl.DataFrame, held_out: set[str]) -> pl.DataFrame:
    """The two held-out rules: the text itself is held out, or it is too near to a held-out document."""
    itself = pl.col("content_hash").is_in(list(held_out)) if held_out else pl.lit(False)
    near = (
        (pl.col("held_out_jaccard") >= NEAR_JACCARD) | (pl.col("held_out_containment") >= NEAR_CONTAINMENT)
    ).fill_null(False)
    return frame.select(itself.alias("held_out"), (near & ~itself).alias("near_held_out"))


# ── across documents ────────────────────────────────────────────────────────────────────────────────────────────────


def keeper_order(candidates: pl.DataFrame, keep: Sequence[str]) -> pl.DataFrame:
    """Candidates with the one to keep first: the declared keys (curated first, newest date, longest, highest signal), then content.

    The order is total: content_hash, then doc_id, break every tie.
    """
    columns = ["num_chars" if key == "length" else key for key in keep]
    order = [*columns, "content_hash", "doc_id"]
    return candidates.sort(
        order, descending=[*[True] * len(columns), False, False], nulls_last=True, maintain_order=True
    )


def find_duplicates(candidates: pl.DataFrame, edges: pa.Table | None, curation: Curation) -> Verdicts:
    """Which of the documents that pass all else are dropped for another: exact copies first, then near-duplicates.

    `candidates` has doc_id, content_hash and the keeper columns; `edges` the columns of `near_duplicates`.
    """
    verdicts = Verdicts()
    keep = curation.near_duplicates.keep if curation.near_duplicates else ["curated", "date", "length"]
    ordered = keeper_order(candidates, keep)
    first: dict[str, str] = {}
    for doc_id, content in ordered.select("doc_id", "content_hash").iter_rows():
        if content not in first:
            first[content] = doc_id
        elif curation.exact_duplicates:
            verdicts.exact[doc_id] = (first[content], 1.0, 1.0)
    if curation.near_duplicates and edges is not None and edges.num_rows:
        dropped = walk(list(first), edges, curation.near_duplicates.jaccard)
        by_content: dict[str, list[str]] = {}
        if not curation.exact_duplicates:
            for doc_id, content in ordered.select("doc_id", "content_hash").iter_rows():
                by_content.setdefault(content, []).append(doc_id)
        for content, (keeper, jaccard, containment) in dropped.items():
            for doc_id in by_content.get(content, [first[content]]):
                verdicts.near[doc_id] = (first[keeper], jaccard, containment)
    for doc_id, (
        partner,
        _,
        _,
    ) in verdicts.exact.items():  # a copy of a near-duplicate goes with it to the same keeper
        verdicts.exact[doc_id] = verdicts.near.get(partner, verdicts.exact[doc_id])
    verdicts.keepers = {found[0] for found in [*verdicts.exact.values(), *verdicts.near.values()]}
    return verdicts


def candidate_columns(frame: pl.DataFrame, curated: bool, keep: Sequence[str]) -> pl.DataFrame:
    """What the duplicate rules need to know of a document."""
    signals = [key for key in keep if key not in ("curated", "date", "length")]
    return frame.select(
        "doc_id", "content_hash", "num_bytes", "date", "num_chars", *signals, curated=pl.lit(curated)
    )


# ── one part's decisions ────────────────────────────────────────────────────────────────────────────────────────────


def decide_part(
    frame: pl.DataFrame,
    source: SourceInput,
    rules: SourceRules,
    curation: Curation,
    held_out: set[str],
    verdicts: Verdicts,
) -> pa.Table:
    """The rows of `decisions` for one part, in its order; `frame` is what `read_signals` gave."""
    frame = with_metadata(frame, rules)
    ids = frame["doc_id"].to_list()
    failed = failing(frame, rules, curation).hstack(held_out_failures(frame, held_out)).with_columns(
        pl.Series("exact_duplicate", [doc_id in verdicts.exact for doc_id in ids], dtype=pl.Boolean),
        pl.Series("near_duplicate", [doc_id in verdicts.near for doc_id in ids], dtype=pl.Boolean),
    )  # fmt: skip
    reasons = failed.select(
        pl.coalesce([pl.when(pl.col(name)).then(pl.lit(name)) for name in failed.columns])
    ).to_series()
    near_held = reasons.is_in(list(HELD_OUT_RULES)).to_list()
    held = frame.select("held_out_partner", "held_out_jaccard", "held_out_containment").rows()
    partners = [held[i] if near_held[i] else verdicts.partner(doc_id) for i, doc_id in enumerate(ids)]
    kept = reasons.is_null()
    columns: dict[str, Any] = {
        "doc_id": ids, "source": [source.name] * len(ids), "kept": kept.to_list(), "drop_reason": reasons.to_list(),
        "failures": _failures(frame, failed, rules, curation, verdicts),
        "partner": [partner[0] for partner in partners], "partner_jaccard": [partner[1] for partner in partners],
        "partner_containment": [partner[2] for partner in partners], "cluster": [verdicts.cluster(doc_id) for doc_id in ids],
        "num_bytes": frame["num_bytes"].to_list(), "num_tokens": frame["num_tokens"].to_list(),
        "num_masked": _num_masked(frame, curation), "num_cut_bytes": _num_cut_bytes(frame, rules),
    }  # fmt: skip
    schema = DATASETS["decisions"]
    return pa.table({name: pa.array(values, schema.field(name).type) for name, values in columns.items()})


def _num_masked(frame: pl.DataFrame, curation: Curation) -> list[int]:
    masked = [pl.col(f"num_pii_{kind}") for kind, action in curation.pii.items() if action == "mask"]
    return frame.select(pl.sum_horizontal(masked)).to_series().to_list() if masked else [0] * frame.height


def _num_cut_bytes(frame: pl.DataFrame, rules: SourceRules) -> list[int]:
    if not rules.cut_lines:
        return [0] * frame.height
    return (
        frame.select((pl.col("cut_byte_ratio") * pl.col("num_bytes")).round().cast(pl.Int64))
        .to_series()
        .to_list()
    )


def _failures(
    frame: pl.DataFrame, failed: pl.DataFrame, rules: SourceRules, curation: Curation, verdicts: Verdicts
) -> list[list[dict[str, str | None]]]:
    """For each document its failing rules in order, each with signal, value and threshold as text."""
    found: list[list[dict[str, str | None]]] = [[] for _ in range(frame.height)]
    described = {rule.name: (rule.signal, rule.threshold_text()) for rule in rules.rules}
    threshold = f"{curation.near_duplicates.jaccard:g}" if curation.near_duplicates else ""
    for name in failed.columns:
        rows = failed[name].arg_true().to_list()
        if not rows:
            continue
        signal, bound = described.get(name) or _described(name, threshold)
        values = (
            frame[signal].gather(rows).to_list()
            if signal in frame.columns
            else [verdicts.partner(frame["doc_id"][row])[1] for row in rows]
        )
        for row, value in zip(rows, values, strict=True):
            found[row].append({"rule": name, "signal": signal, "value": _text(value), "threshold": bound})
    return found


def _described(name: str, near_threshold: str) -> tuple[str, str]:
    if name.startswith("pii_"):
        return f"num_{name}", "0"
    return {
        "held_out": ("content_hash", "in the held-out set"), "near_held_out": ("held_out_containment", f"jaccard {NEAR_JACCARD:g} or containment {NEAR_CONTAINMENT:g}"),
        "exact_duplicate": ("duplicate_jaccard", "1"), "near_duplicate": ("duplicate_jaccard", near_threshold),
    }[name]  # fmt: skip


def _text(value: Any) -> str | None:
    return None if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def edges_table(lake: Lake, manifest: Manifest | None) -> pa.Table | None:
    parts: Iterable[Part] = manifest.parts("near_duplicates") if manifest else ()
    tables = [lake.read_part(part) for part in parts]
    return pa.concat_tables(tables) if tables else None
