"""Decide: verdicts over what was measured, one part at a time. It reads no text and takes seconds; other thresholds need no new measuring.

Order: the recipe's rules on each document by itself (every failing rule is kept), then content that is held out, then what
only the whole corpus can say (`quality.verdicts`): exact copies and, last, near-duplicates. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from corpus.edits import num_masked
from corpus.lake import Lake, Manifest
from corpus.own_fields import MASKED_FIELDS
from corpus.part import Part
from corpus.schema import DATASETS, FAILURE, MEASURED_SIGNALS, OPERATORS
from quality.curation import Curation, SourceRules
from quality.edited import NOTHING
from quality.held_out import NEAR_CONTAINMENT, NEAR_JACCARD, near_held_out_rule
from quality.verdicts import no_verdicts

EMPTY_RULE = "empty_after_cuts"
# What is read of a part to decide: signals, and where its edits stand. Which lines are cut, and what is masked, the rules say.
_DECIDED_ON: dict[str, pa.DataType] = {
    **MEASURED_SIGNALS,
    **{name: OPERATORS[kind].field(name).type for kind, name in (("pii", "spans"), ("c4_lines", "cuts"))},
}
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

    def only(self, number: int) -> SourceInput:
        """This source as if it had one part: what a worker needs to be sent."""
        measured = {name: _only(manifest, name, number) for name, manifest in self.measured.items()}
        return replace(self, documents=_only(self.documents, "documents", number), measured=measured)


def _only(manifest: Manifest, dataset: str, number: int) -> Manifest:
    return replace(manifest, datasets={dataset: (manifest.parts(dataset)[number],)}, files={}, summary={})


def part_frames(
    lake: Lake, source: SourceInput, signals: Iterable[str] = _DECIDED_ON
) -> Iterator[tuple[int, Part, pl.DataFrame]]:
    """(number, documents part, its signals) in order: parts zip by position, nothing is joined."""
    for number, part in enumerate(source.documents.parts("documents")):
        yield number, part, read_signals(lake, source, number, signals)


def read_signals(
    lake: Lake, source: SourceInput, number: int, signals: Iterable[str] = _DECIDED_ON
) -> pl.DataFrame:
    """The measured signals of one part, and where its edits stand, with the document columns that rules may use and the hash of its edited text.

    A column that was not measured is null.
    """
    part, asked = source.documents.parts("documents")[number], set(signals)
    table = lake.read_part(part, _DOCUMENT_COLUMNS)
    for name, manifest in source.measured.items():
        wanted = [signal for signal in OPERATORS[name].names if signal in _DECIDED_ON and signal in asked]
        if name == "pii":
            wanted += MASKED_FIELDS.values()
        if name == "edited":
            wanted.append("edited_hash")
        if wanted:
            measured = lake.read_part(manifest.parts(name)[number], wanted)
            for signal in wanted:
                table = table.append_column(signal, measured[signal])
    for signal, kind in {**_DECIDED_ON, "edited_hash": pa.string()}.items():
        if signal in {*asked, "edited_hash"} and signal not in table.column_names:
            table = table.append_column(signal, pa.nulls(table.num_rows, kind))
    return pl.DataFrame(pl.from_arrow(table))


def signals_of(rules: SourceRules, curation: Curation) -> set[str]:
    """The signals that decide whether a document passes by itself and, among copies, is kept."""
    named = {
        *curation.keep,
        *(rule.signal for rule in rules.rules),
        *(f"num_pii_{kind}" for kind in curation.pii),
    }
    return named | {"num_chars", "held_out_jaccard", "held_out_containment"}


def with_metadata(frame: pl.DataFrame, rules: SourceRules) -> pl.DataFrame:
    """Add, as text, a column for each `metadata.KEY` that a rule names, and make the date text: YYYY-MM-DD sorts as it is."""
    for signal in {rule.signal for rule in rules.rules if rule.signal.startswith("metadata.")}:
        frame = frame.with_columns(metadata_value(pl.col("metadata"), signal).alias(signal))
    if frame.schema["date"] != pl.String:
        frame = frame.with_columns(pl.col("date").dt.strftime("%Y-%m-%d"))
    return frame


def metadata_value(metadata: pl.Expr, signal: str) -> pl.Expr:
    """The value of `metadata.KEY` as text, null where there is none."""
    key = signal.removeprefix("metadata.")
    paths = [_json_path([key]), _json_path(key.split("."))]  # a key may hold dots, or reach into an object
    return pl.coalesce(metadata.str.json_path_match(path) for path in paths)


def _json_path(keys: Iterable[str]) -> str:
    escaped = (key.replace("'", r"\'") for key in keys)
    return "$" + "".join(f"['{key}']" for key in escaped)


def failing(frame: pl.DataFrame, rules: SourceRules, curation: Curation) -> pl.DataFrame:
    """One Boolean column per rule that needs no other document, in recipe order: the rules, then PII types set to drop.

    `frame` is what `with_metadata` gave.
    """
    checks = [rule.fails().alias(rule.name) for rule in rules.rules]
    if rules.cut_lines:  # a text of which nothing is left is none, whatever the recipe says
        checks.append((pl.col("edited_hash") == NOTHING).fill_null(False).alias(EMPTY_RULE))
    checks += [
        (pl.col(f"num_pii_{kind}") > 0).fill_null(False).alias(f"pii_{kind}")
        for kind, action in curation.pii.items()
        if action == "drop"
    ]
    return frame.select(checks) if checks else pl.DataFrame()


def passes(frame: pl.DataFrame, rules: SourceRules, curation: Curation) -> pl.Series:
    """Whether each document passes every rule that needs no other document."""
    failed = failing(with_metadata(frame, rules), rules, curation)
    if not failed.width:
        return pl.repeat(True, frame.height, eager=True)
    return ~failed.select(pl.any_horizontal(pl.all())).to_series()


def held_out_failures(frame: pl.DataFrame, held_out: Iterable[str]) -> pl.DataFrame:
    """The two held-out rules: the text itself is held out, or it is too near to a held-out document."""
    texts = pl.Series(sorted(held_out), dtype=pl.String).implode()
    itself = pl.col("content_hash").is_in(texts) | pl.col("edited_hash").is_in(texts).fill_null(False)
    return frame.select(itself.alias("held_out"), (near_held_out_rule() & ~itself).alias("near_held_out"))


# ── one part's decisions ────────────────────────────────────────────────────────────────────────────────────────────


def decide_part(
    frame: pl.DataFrame, source: SourceInput, rules: SourceRules, curation: Curation, held_out: Iterable[str], verdicts: pl.DataFrame | None
) -> pa.Table:  # fmt: skip
    """The rows of `decisions` for one part, in its order.

    `frame` is what `read_signals` gave, `verdicts` the part's rows of `Verdicts.by_part` (None: none of it is a duplicate).
    """
    frame = with_metadata(frame, rules)
    across = frame.select("doc_id").join(
        no_verdicts() if verdicts is None else verdicts, on="doc_id", how="left", maintain_order="left"
    )
    duplicate = across.select(
        exact_duplicate=pl.col("exact").fill_null(False), near_duplicate=pl.col("near").fill_null(False)
    )
    own = failing(frame, rules, curation)
    failed = pl.concat(
        [*([own] if own.width else []), held_out_failures(frame, held_out), duplicate], how="horizontal"
    )
    reason = pl.coalesce(pl.when(name).then(pl.lit(name)) for name in failed.columns)
    reason_is = pl.col("drop_reason").eq_missing  # a document that is held out itself has no partner
    partners = [
        pl.when(reason_is("near_held_out")).then(held).when(~reason_is("held_out")).then(pl.col(other)).alias(name)
        for name, held, other in (
            ("partner", frame["held_out_partner"], "partner"), ("partner_jaccard", frame["held_out_jaccard"], "jaccard"),
            ("partner_containment", frame["held_out_containment"], "containment"),
        )
    ]  # fmt: skip
    decided = across.with_columns(failed.select(reason.alias("drop_reason"))).select(
        "doc_id", "drop_reason", *partners, "cluster", source=pl.lit(source.name), kept=pl.col("drop_reason").is_null(),
        num_bytes=frame["num_bytes"], num_tokens=frame["num_tokens"], num_masked=_num_masked(frame, rules, curation), num_cut_bytes=_num_cut_bytes(frame, rules),
    )  # fmt: skip
    columns = {name: decided[name].to_arrow() for name in decided.columns}
    columns["failures"] = _failures(frame.with_columns(across["jaccard"]), failed, rules, curation)
    schema = DATASETS["decisions"]
    columns["snapshot_id"] = pa.nulls(frame.height, pa.string())
    return pa.table([columns[field.name].cast(field.type) for field in schema], schema=schema)


def _num_masked(frame: pl.DataFrame, rules: SourceRules, curation: Curation) -> pl.Series:
    masked = [pl.col(f"num_pii_{kind}") for kind, action in curation.pii.items() if action == "mask"]
    if not masked:
        return pl.zeros(frame.height, pl.Int64, eager=True)
    counts = frame.select(pl.sum_horizontal(masked).cast(pl.Int64)).to_series()
    if not rules.cut_lines:
        return counts
    both = (counts > 0) & (frame["cuts"].list.len() > 0).fill_null(False)
    rows = frame.filter(both).select("cuts", "spans").iter_rows()
    left = [num_masked(cuts, spans or (), curation.pii) for cuts, spans in rows]
    return counts.scatter(both.arg_true(), left)


def _num_cut_bytes(frame: pl.DataFrame, rules: SourceRules) -> pl.Series:
    if not rules.cut_lines:
        return pl.zeros(frame.height, pl.Int64, eager=True)
    return frame.select((pl.col("cut_byte_ratio") * pl.col("num_bytes")).round().cast(pl.Int64)).to_series()


def _failures(frame: pl.DataFrame, failed: pl.DataFrame, rules: SourceRules, curation: Curation) -> pa.Array:
    """For each document its failing rules in order, each with signal, value and threshold as text."""
    near = f"{curation.near_duplicates.jaccard:g}" if curation.near_duplicates else ""
    described = {rule.name: (rule.signal, rule.threshold_text()) for rule in rules.rules}
    rows: list[np.ndarray[Any, Any]] = [np.zeros(0, np.int64)]
    found: dict[str, list[str | None]] = {name: [] for name in ("rule", "signal", "value", "threshold")}
    for name in failed.columns:
        at = failed[name].arg_true()
        signal, threshold = described.get(name) or _described(name, near)
        rows.append(at.to_numpy())
        found["rule"] += [name] * len(at)
        found["signal"] += [signal] * len(at)
        found["threshold"] += [threshold] * len(at)
        found["value"] += [_text(value) for value in _values(frame, name, signal).gather(at).to_list()]
    every = np.concatenate(rows)
    order = pa.array(np.argsort(every, kind="stable"))
    offsets = np.append(0, np.cumsum(np.bincount(every, minlength=frame.height)))
    columns = [pa.array(found[field.name], pa.string()).take(order) for field in FAILURE]
    values = pa.StructArray.from_arrays(columns, fields=list(FAILURE))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def _values(frame: pl.DataFrame, rule: str, signal: str) -> pl.Series:
    if rule == "exact_duplicate":
        return pl.repeat(1.0, frame.height, eager=True)
    own_field = signal.split(".")[0]
    if own_field in MASKED_FIELDS:
        return _shown(frame, own_field, signal)
    return frame["jaccard" if rule == "near_duplicate" else signal]


def _shown(frame: pl.DataFrame, own_field: str, signal: str) -> pl.Series:
    """A document's own field with personal data masked; null where it was not looked for."""
    masked = MASKED_FIELDS[own_field]
    if masked not in frame.columns:
        return pl.repeat(None, frame.height, dtype=pl.String, eager=True)
    shown = pl.coalesce(masked, own_field)
    return frame.select(shown if signal == own_field else metadata_value(shown, signal)).to_series()


def _described(name: str, near_threshold: str) -> tuple[str, str]:
    if name.startswith("pii_"):
        return f"num_{name}", "0"
    return {
        "held_out": ("content_hash", "in the held-out set"), "near_held_out": ("held_out_containment", f"jaccard {NEAR_JACCARD:g} or containment {NEAR_CONTAINMENT:g}"),
        EMPTY_RULE: ("cut_byte_ratio", "no text is left"), "exact_duplicate": ("duplicate_jaccard", "1"), "near_duplicate": ("duplicate_jaccard", near_threshold),
    }[name]  # fmt: skip


def _text(value: Any) -> str | None:
    return None if value is None else f"{value:.12g}" if isinstance(value, float) else str(value)
