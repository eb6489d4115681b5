"""Documents to look at: pages of what a snapshot kept or dropped, by source and rule, and of records that could not be read.

One part is read at a time and only the rows of the page are built, so memory does not grow with the corpus. Text and own
ids are shown with all personal data masked, whatever the recipe does about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl
import pyarrow as pa

from corpus.facts import file_names
from corpus.lake import Lake, Manifest
from corpus.own_fields import shown_fields
from corpus.schema import PII_TYPES
from corpus.snapshot import SnapshotPart, edited_texts, snapshot_parts

Counting = Literal["first", "any", "only"]
EXCERPT_CHARS = 400


@dataclass(frozen=True)
class Wanted:
    """Which documents: of a source or all; kept, or dropped for a rule (as the first, any or the only reason) or any rule."""

    source: str | None = None
    kept: bool = False
    rule: str | None = None
    counting: Counting = "first"


def count_documents(snapshot: Manifest, wanted: Wanted) -> int:
    """How many there are, from the tallies: no part is read."""
    tallies = snapshot.summary["sources"]
    chosen = [tallies[name] for name in tallies if wanted.source in (None, name)]
    if wanted.kept:
        return sum(tally["kept"] for tally in chosen)
    if wanted.rule is None:
        return sum(tally["dropped"] for tally in chosen)
    return sum(tally[wanted.counting].get(wanted.rule, 0) for tally in chosen)


def rules_of(snapshot: Manifest, source: str | None) -> list[tuple[str, int]]:
    """(rule, documents it is the first reason for), most first; rules that only ever failed beside another have 0."""
    counts: Counter[str] = Counter()
    for name, tally in snapshot.summary["sources"].items():
        if source in (None, name):
            counts.update(dict.fromkeys(tally["any"], 0) | tally["first"])
    return sorted(counts.items(), key=lambda found: (-found[1], found[0]))


def page_of_documents(
    lake: Lake, snapshot: Manifest, wanted: Wanted, offset: int, limit: int
) -> list[dict[str, Any]]:
    """Rows `offset` to `offset + limit` in the snapshot's order: decision, and the beginning of the masked text."""
    rows: list[dict[str, Any]] = []
    for part in snapshot_parts(lake, snapshot):
        if wanted.source not in (None, part.source):
            continue
        matches = _matches(lake, part, wanted)
        here = matches[offset : offset + limit - len(rows)]
        offset = max(0, offset - len(matches))
        if here:
            rows += _rows(lake, part, here)
        if len(rows) == limit:
            break
    return rows


def _matches(lake: Lake, part: SnapshotPart, wanted: Wanted) -> list[int]:
    """The row numbers of a part that are wanted."""
    assert part.decisions is not None
    found = lake.read_part(part.decisions, ["kept", "drop_reason", "failures"])
    frame = pl.DataFrame(pl.from_arrow(found))
    chosen = pl.col("kept") if wanted.kept else ~pl.col("kept")
    if wanted.rule is not None:
        rules = pl.col("failures").list.eval(pl.element().struct.field("rule"))
        failed = rules.list.contains(wanted.rule)
        chosen &= {
            "first": pl.col("drop_reason") == wanted.rule,
            "any": failed,
            "only": failed & (rules.list.len() == 1),
        }[wanted.counting]
    return frame.select(chosen.fill_null(False)).to_series().arg_true().to_list()


def _rows(lake: Lake, part: SnapshotPart, numbers: list[int]) -> list[dict[str, Any]]:
    assert part.decisions is not None
    decisions = lake.read_part(part.decisions).take(numbers).to_pylist()
    shown = shown_fields(lake, part.documents, part.pii, numbers, ["own_id"])
    excerpts = dict(_masked_texts(lake, part, numbers))
    return [
        {**row, **own, "excerpt": excerpts.get(row["doc_id"], "")[:EXCERPT_CHARS]}
        for row, own in zip(decisions, shown, strict=True)
    ]


def _masked_texts(lake: Lake, part: SnapshotPart, numbers: list[int]) -> Iterator[tuple[str, str]]:
    wanted = [False] * part.documents.rows
    for number in numbers:
        wanted[number] = True
    yield from edited_texts(
        lake, replace(part, pii_actions=dict.fromkeys(PII_TYPES, "mask")), pa.array(wanted)
    )


# ── rejects ─────────────────────────────────────────────────────────────────────────────────────────────────────────


# after these the rest of the file (of a row group, in Parquet) could not be read either
_BROKEN = ("truncated_file", "corrupt_file")


def reject_counts(lake: Lake, snapshot: Manifest) -> list[dict[str, Any]]:
    """Records that could not be read, by source, file and reason; most first. Rejects hold no text.

    `breaks` counts those that stand for more than themselves: for a whole file, or for what followed in it.
    """
    whole = (pl.col("position") < 0) & (pl.col("reason") != "empty_file")
    breaks = (whole | pl.col("reason").is_in(_BROKEN)).sum()
    keys = ["source", "file_hash", "occurrence", "reason"]
    frames = []
    for _, entry in sorted(snapshot.identity["sources"].items()):
        for part in lake.get("documents", entry["documents"]).parts("rejects"):
            rows = pl.DataFrame(pl.from_arrow(lake.read_part(part, [*keys, "position"])))
            frames.append(
                rows.group_by(keys).agg(
                    records=pl.len(), breaks=breaks, first=pl.col("position").sort().head(5)
                )
            )
    if not frames:
        return []
    counted = (
        pl.concat(frames)
        .group_by(keys)
        .agg(pl.col("records", "breaks").sum(), pl.col("first").explode().sort().head(5))
    )
    files = {
        (source, *key): file
        for source in snapshot.identity["sources"]
        for key, file in file_names(lake, source).items()
    }
    return [
        {
            "source": row["source"], "reason": row["reason"], "records": row["records"], "breaks": row["breaks"],
            "file": files.get((row["source"], row["file_hash"], row["occurrence"]), row["file_hash"][:12]),
            "first_records": ", ".join("whole file" if at < 0 else f"{at:,}" for at in row["first"]),
        }
        for row in counted.sort(["records", *keys], descending=[True, *[False] * 4]).to_dicts()
    ]  # fmt: skip


def rules_in_force(snapshot: Manifest) -> list[dict[str, Any]]:
    """One row per rule and threshold with the sources it holds for, as the snapshot froze them."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for source, entry in sorted(snapshot.identity["sources"].items()):
        for rule, signal, kind, threshold in entry["rules"]:
            found.setdefault((rule, signal, keeps(kind, threshold)), []).append(source)
    every = len(snapshot.identity["sources"])
    return [
        {"rule": rule, "signal": signal, "keeps": bound, "sources": "all" if len(of) == every else ", ".join(of)}
        for (rule, signal, bound), of in sorted(found.items())
    ]  # fmt: skip


def keeps(kind: str, threshold: Any) -> str:
    """What a rule lets through, in words: `≥ 0.3`."""
    shown = ", ".join(map(str, threshold)) if isinstance(threshold, list) else f"{threshold:g}" if isinstance(threshold, float) else str(threshold)  # fmt: skip
    return {"min": f"≥ {shown}", "max": f"≤ {shown}", "allow": f"one of {shown}", "deny": f"none of {shown}"}.get(kind, f"{kind} {shown}")  # fmt: skip
