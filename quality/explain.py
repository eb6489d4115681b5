"""Explanations: why a document was kept or dropped, and what other thresholds would change. Nothing is measured again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from corpus.errors import UnknownName
from corpus.lake import Lake, Manifest
from corpus.schema import MEASURED_SIGNALS, PII_TYPES
from corpus.snapshot import SnapshotPart, edited_texts, snapshot_parts
from quality.curate import judge
from quality.curation import Curation, SourceRules
from quality.decide import SourceInput, decide_part, part_frames
from quality.funnel import Tally, add_tallies, tally_decisions


@dataclass(frozen=True)
class Explanation:
    """One document in one snapshot: its row of documents (text edited), of signals and of decisions, and its partner's text."""

    document: dict[str, Any]
    signals: dict[str, Any]
    decision: dict[str, Any]
    partner: dict[str, Any] | None
    files: list[str]


def why(lake: Lake, snapshot: Manifest, document: str, raw: bool = False) -> Explanation:
    """Everything the snapshot knows of a document, given its doc_id, a unique prefix of it, or its own id.

    The text is shown with personal data masked unless `raw`. Raises UnknownName if there is no such document, or several.
    """
    parts = snapshot_parts(lake, snapshot)
    number, row, doc_id = _find(lake, parts, document)
    part = parts[number]
    decision = lake.read_part(snapshot.parts("decisions")[number]).slice(row, 1).to_pylist()[0]
    signals = lake.read_part(snapshot.parts("signals")[number]).slice(row, 1).to_pylist()[0]
    found = _document(lake, part, row, raw)
    partner = None
    if decision["partner"]:
        with suppress(UnknownName):  # a held-out partner may have left the corpus since the set was frozen
            other, other_row, _ = _find(lake, parts, decision["partner"])
            partner = _document(lake, parts[other], other_row, raw)
    from corpus.facts import read_facts

    files = [
        f["file"]
        for f in read_facts(lake, "files")
        if f["file_hash"] == found["file_hash"]
        and f["occurrence"] == found["occurrence"]
        and f["source"] == found["source"]
    ]
    assert doc_id == found["doc_id"]
    return Explanation(
        found, {name: signals[name] for name in MEASURED_SIGNALS}, decision, partner, sorted(set(files))
    )


def _find(lake: Lake, parts: Sequence[SnapshotPart], document: str) -> tuple[int, int, str]:
    """(part number, row, doc_id) of a doc_id, prefix of one, or own id."""
    found: list[tuple[int, int, str]] = []
    for number, part in enumerate(parts):
        table = lake.read_part(part.documents, ["doc_id", "own_id"])
        match = pc.or_(
            pc.starts_with(table["doc_id"], document),
            pc.fill_null(pc.equal(table["own_id"], document), False),
        )
        found += [
            (number, row, table["doc_id"][row].as_py()) for row in pc.indices_nonzero(match).to_pylist()
        ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UnknownName(
            f"no document {document!r} in this snapshot. Give a doc_id, the start of one, or a source's own id; `tilth sql` finds them."
        )
    raise UnknownName(
        f"{document!r} stands for {len(found)} documents, for instance {', '.join(doc_id for _, _, doc_id in found[:3])}. Give more of it."
    )


def _document(lake: Lake, part: SnapshotPart, row: int, raw: bool) -> dict[str, Any]:
    table = lake.read_part(part.documents)
    document = table.slice(row, 1).to_pylist()[0]
    if not raw:
        wanted = pa.array([i == row for i in range(table.num_rows)])
        masked = replace(part, pii_actions=dict.fromkeys(PII_TYPES, "mask"))  # also what its rule drops for
        document["text"] = next((text for _, text in edited_texts(lake, masked, wanted)), None)
    return document


# ── what if ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Flips:
    """What a change of rules does to one source."""

    source: str
    before: Tally
    after: Tally
    newly_kept: int
    newly_kept_tokens: int
    newly_dropped: int
    newly_dropped_tokens: int
    examples: list[dict[str, Any]]  # at most a few documents that flip, with their reasons


def what_if(
    lake: Lake, snapshot: Manifest, inputs: Sequence[SourceInput], curation: Curation, rules: Mapping[str, SourceRules], edges: Manifest | None, held_out: Manifest | None,
    num_examples: int = 3,
) -> list[Flips]:  # fmt: skip
    """The decisions of `snapshot` beside those under other rules, from stored signals. Nothing is written."""
    from quality.curate import _held_hashes

    verdicts = judge(lake, inputs, curation, rules, edges, held_out)
    held = _held_hashes(lake, held_out)
    old = iter(snapshot.parts("decisions"))
    flips = []
    for source in inputs:
        pairs = []
        for _, _, frame in part_frames(lake, source):
            new = decide_part(frame, source, rules[source.name], curation, held, verdicts)
            pairs.append((lake.read_part(next(old)), new))
        flips.append(_flips(source.name, pairs, num_examples))
    return flips


def _flips(source: str, pairs: list[tuple[pa.Table, pa.Table]], num_examples: int) -> Flips:
    kept: list[pl.DataFrame] = []
    dropped: list[pl.DataFrame] = []
    for old, new in pairs:
        both = pl.DataFrame({
            "doc_id": old["doc_id"].to_pylist(), "tokens": old["num_tokens"].to_pylist(), "was": old["kept"].to_pylist(), "is": new["kept"].to_pylist(),
            "reason_before": old["drop_reason"].to_pylist(), "reason_after": new["drop_reason"].to_pylist(),
        }, schema_overrides={"reason_before": pl.String, "reason_after": pl.String, "tokens": pl.Int64})  # fmt: skip
        kept.append(both.filter(~pl.col("was") & pl.col("is")))
        dropped.append(both.filter(pl.col("was") & ~pl.col("is")))
    now_kept, now_dropped = (
        pl.concat(frames) if frames else pl.DataFrame({"tokens": [], "doc_id": []})
        for frames in (kept, dropped)
    )
    examples = [*now_kept.head(num_examples).to_dicts(), *now_dropped.head(num_examples).to_dicts()]
    before, after = (add_tallies(tally_decisions(pair[side]) for pair in pairs) for side in (0, 1))
    return Flips(
        source, before, after, now_kept.height, int(now_kept["tokens"].sum() or 0), now_dropped.height, int(now_dropped["tokens"].sum() or 0), examples
    )  # fmt: skip
