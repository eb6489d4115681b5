"""Explanations: why a document was kept or dropped, and what other thresholds would change. Nothing is measured again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from corpus.errors import ConfigError, UnknownName
from corpus.facts import file_names
from corpus.fingerprint import canonical_json
from corpus.holdout import held_out_rows
from corpus.lake import Lake, Manifest
from corpus.own_fields import shown_fields
from corpus.part import Part
from corpus.schema import MEASURED_SIGNALS, PII_TYPES
from corpus.snapshot import SnapshotPart, edited_texts, snapshot_parts
from quality.candidates import held_hashes, judge
from quality.curate import edges_identity, operators
from quality.curation import Curation, SourceRules
from quality.decide import SourceInput, decide_part, part_frames, with_metadata
from quality.edited import Edited, source_edits
from quality.funnel import Tally, add_tallies, tally_decisions, without_tokens
from quality.near_duplicates import EDGES_VERSION
from quality.rules import Rule


@dataclass(frozen=True)
class Explanation:
    """One document in one snapshot: its row of documents (text edited), of signals and of decisions, its partner's text,
    and the rules that held for its source, in order, each with the document's value."""

    document: dict[str, Any]
    signals: dict[str, Any]
    decision: dict[str, Any]
    partner: dict[str, Any] | None
    files: list[str]
    rules: list[dict[str, Any]]

    @property
    def passed(self) -> list[dict[str, Any]]:
        """The rules that the document passed, those nearest to their threshold first."""
        passed = [rule for rule in self.rules if not rule["failed"]]
        return sorted(passed, key=lambda rule: inf if rule["distance"] is None else rule["distance"])


def why(lake: Lake, snapshot: Manifest, document: str, raw: bool = False) -> Explanation:
    """Everything the snapshot knows of a document, given its doc_id, a unique prefix of it, or its own id.

    Text and own fields are shown with personal data masked unless `raw`. Raises UnknownName if there is no such document, or several.
    """
    parts = snapshot_parts(lake, snapshot)
    places = find_places(lake, parts, document)
    if not places:
        raise UnknownName(
            f"no document {document!r} in this snapshot. Give a doc_id, the start of one, or a source's own id; `tilth sql` finds them."
        )
    if len(places) > 1:
        listed = ", ".join(doc_id for _, _, doc_id in places[:3])
        more = "Give more of it." if places[0][2].startswith(document) else "Give a doc_id."
        raise UnknownName(f"{document!r} stands for {len(places)} documents, for instance {listed}. {more}")
    number, row, _ = places[0]
    decision = lake.read_part(snapshot.parts("decisions")[number]).slice(row, 1).to_pylist()[0]
    signals = lake.read_part(snapshot.parts("signals")[number]).slice(row, 1).to_pylist()[0]
    found = _document(lake, parts[number], row, raw)
    partner = _partner(lake, snapshot, parts, decision["partner"], raw) if decision["partner"] else None
    names = file_names(lake, found["source"])
    file = names.get((found["file_hash"], found["occurrence"]))
    measured = {name: signals.get(name) for name in MEASURED_SIGNALS}
    rules = _rules_in_force(snapshot, {**found, **measured}, decision)
    return Explanation(found, measured, decision, partner, [file] if file else [], rules)


def _rules_in_force(
    snapshot: Manifest, row: Mapping[str, Any], decision: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The rules that judge a document by itself: its source's, then personal data that drops. Own fields are as the row shows them."""
    stored = snapshot.identity["sources"][decision["source"]]
    rules = [Rule.from_json(tree) for tree in stored["rules"]]
    rules += [
        Rule(f"pii_{kind}", f"num_pii_{kind}", "max", 0)
        for kind, action in snapshot.identity["pii"].items()
        if action == "drop"
    ]
    asked = {rule.signal for rule in rules}
    columns = [name for name in row if name in asked | {"date", "metadata"}]
    frame = pl.DataFrame(
        {name: [row[name]] for name in columns}, schema_overrides={"date": pl.Date, "metadata": pl.String}
    )
    values = with_metadata(frame, SourceRules(tuple(rules), stored["cut_lines"])).row(0, named=True)
    failed = {failure["rule"] for failure in decision["failures"]}
    return [
        {
            "rule": rule.name, "signal": rule.signal, "kind": rule.kind, "value": values[rule.signal], "threshold": rule.threshold,
            "failed": rule.name in failed, "distance": rule.distance(values[rule.signal]),
        }
        for rule in rules
    ]  # fmt: skip


def find_places(lake: Lake, parts: Sequence[SnapshotPart], document: str) -> list[tuple[int, int, str]]:
    """(part number, row, doc_id) of every document with this doc_id or own id or, if there is none, this start of a doc_id."""
    exact: list[tuple[int, int, str]] = []
    prefix: list[tuple[int, int, str]] = []
    for number, part in enumerate(parts):
        table = lake.read_part(part.documents, ["doc_id", "own_id"])
        same = pc.or_kleene(pc.equal(table["doc_id"], document), pc.equal(table["own_id"], document))
        for places, match in (exact, same), (prefix, pc.starts_with(table["doc_id"], document)):
            rows = pc.indices_nonzero(pc.fill_null(match, False)).to_pylist()
            places += [(number, row, table["doc_id"][row].as_py()) for row in rows]
    return exact or (prefix if document else [])


def _partner(
    lake: Lake, snapshot: Manifest, parts: Sequence[SnapshotPart], doc_id: str, raw: bool
) -> dict[str, Any] | None:
    """The partner's document; one that is only in the held-out set (its source is gone since) is shown from there."""
    if places := find_places(lake, parts, doc_id):
        number, row, _ = places[0]
        return _document(lake, parts[number], row, raw)
    for id in [id for kind, id in snapshot.parents if kind == "holdout"]:
        rows = held_out_rows(lake, lake.get("holdout", id))
        for row in rows.filter(pc.equal(rows["doc_id"], doc_id)).to_pylist():
            return row if raw else row | {"text": _masked(row["text"])}
    return None


def _masked(text: str) -> str:
    """A text that the lake holds as some recipe left it, which may have kept some types."""
    from quality.pii import Pii, mask  # its kernels are needed for nothing else here

    return mask(text, Pii().find(text))


def _document(lake: Lake, part: SnapshotPart, row: int, raw: bool) -> dict[str, Any]:
    table = lake.read_part(part.documents)
    document = table.slice(row, 1).to_pylist()[0]
    if not raw:
        wanted = pa.array([i == row for i in range(table.num_rows)])
        masked = replace(part, pii_actions=dict.fromkeys(PII_TYPES, "mask"))  # also what its rule drops for
        document["text"] = next((text for _, text in edited_texts(lake, masked, wanted)), None)
        document |= shown_fields(lake, part.documents, part.pii, [row])[0]
    return document


# ── what if ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Flips:
    """What a change of rules does to one source."""

    source: str
    sample: float  # the share of its documents that the snapshot looked at
    before: Tally
    after: Tally
    newly_kept: int
    newly_kept_tokens: int | None
    newly_dropped: int
    newly_dropped_tokens: int | None
    examples: list[dict[str, Any]]  # at most a few documents that flip, with their reasons
    redraws: bool = (
        False  # the held-out set asked with is not frozen: under other rules curating draws another
    )
    version: str = ""  # NAME@N, whose snapshot is `before`


_MEASURE = "Run `tilth curate` with it; what is measured already is kept."


def what_if(
    lake: Lake, snapshot: Manifest, inputs: Sequence[SourceInput], curation: Curation, rules: Mapping[str, SourceRules], edges: Manifest | None, held_out: Manifest | None,
    num_examples: int = 3,
) -> list[Flips]:  # fmt: skip
    """The decisions of `snapshot` beside those under other rules, from stored signals. Nothing is written."""
    check_measured(inputs, curation, rules, edges)
    held = held_hashes(lake, held_out)
    verdicts = judge(lake, inputs, curation, rules, edges, held).by_part()
    before: dict[str, list[Part]] = {source.name: [] for source in inputs}
    for part in snapshot_parts(lake, snapshot):
        if part.source in before and part.decisions:
            before[part.source].append(part.decisions)
    flips = []
    for source in sorted(inputs, key=lambda source: source.name):
        pairs = (
            (lake.read_part(before[source.name][number]), decide_part(frame, source, rules[source.name], curation, held, verdicts.get((source.name, number))))
            for number, _, frame in part_frames(lake, source)
        )  # fmt: skip
        flips.append(_flips(source, pairs, num_examples))
    return flips


def check_measured(
    inputs: Sequence[SourceInput],
    curation: Curation,
    rules: Mapping[str, SourceRules],
    edges: Manifest | None,
) -> None:
    """ConfigError if the change asks for a signal, or for pairs, that were not measured, or not with these settings."""
    for operator in operators(curation, None):
        wanted = json.loads(canonical_json(operator.identity()))
        for source in inputs:
            found = source.measured.get(operator.name)
            if found is None or (found.version, found.identity) != (operator.version, wanted):
                raise ConfigError(
                    f"this change needs {operator.name} of source {source.name!r}, which was not measured, or was with other settings. {_MEASURE}"
                )
    for source in inputs:
        edits = source_edits(curation, rules[source.name], source.measured)
        edited = source.measured.get(Edited.name)
        stored = (edited.version, edited.identity) if edited else None
        if stored != ((Edited.version, Edited().identity() | {"edits": edits.identity()}) if edits else None):
            raise ConfigError(
                f"this change makes other texts of source {source.name!r}: other lines are cut, or other personal data is masked, "
                f"and those texts have not been compared with each other yet. {_MEASURE}"
            )
    near = curation.near_duplicates
    found_pairs = (edges.version, edges.identity) if edges else None
    if near and found_pairs != (EDGES_VERSION, edges_identity(near)):
        raise ConfigError(
            f"this change needs near-duplicates found again, with other bands or for the first time. {_MEASURE}"
        )


_FLIP_SCHEMA = {
    "doc_id": pl.String, "tokens": pl.Int64, "was": pl.Boolean, "is": pl.Boolean, "reason_before": pl.String, "reason_after": pl.String,
}  # fmt: skip


def _flips(source: SourceInput, pairs: Iterable[tuple[pa.Table, pa.Table]], num_examples: int) -> Flips:
    """Counts over all parts; of the rows only those that flip are kept."""
    tallies: list[tuple[Tally, Tally]] = []
    changed = [pl.DataFrame(schema=_FLIP_SCHEMA)]
    for old, new in pairs:
        columns = [
            old["doc_id"],
            old["num_tokens"],
            old["kept"],
            new["kept"],
            old["drop_reason"],
            new["drop_reason"],
        ]
        both = pl.DataFrame(pl.from_arrow(pa.table(columns, names=list(_FLIP_SCHEMA))), schema=_FLIP_SCHEMA)
        changed.append(both.filter(pl.col("was") != pl.col("is")))
        tallies.append((tally_decisions(old), tally_decisions(new)))
    every = pl.concat(changed)
    kept, dropped = every.filter("is"), every.filter("was")
    counted = "tokens" in source.measured
    before, after = (add_tallies(pair[side] for pair in tallies) for side in (0, 1))
    if not counted:
        before, after = without_tokens(before), without_tokens(after)
    tokens_kept, tokens_dropped = (
        int(flips["tokens"].sum()) if counted else None for flips in (kept, dropped)
    )
    return Flips(
        source.name, source.documents.identity.get("sample", 1.0), before, after, kept.height, tokens_kept, dropped.height, tokens_dropped,
        [*kept.head(num_examples).to_dicts(), *dropped.head(num_examples).to_dicts()],
    )  # fmt: skip
