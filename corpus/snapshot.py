"""A snapshot: a selection over `documents` plus edits. Nothing is copied until export or tokenising reads it through here.

The manifest's identity names, for each source, its documents, what was measured of them and which edits apply, so a
snapshot alone is enough to read the text that a model trains on. Who decides what is kept is `quality.decide`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpus.edits import edit_text
from corpus.errors import GuardStop
from corpus.fingerprint import fingerprint
from corpus.lake import Lake, Manifest
from corpus.part import Part

EDITS_VERSION = 1
LOSS_DOCUMENTS = 20  # below it, a loss says nothing
HELD_OUT_RULES = ("held_out", "near_held_out")  # set apart, not lost
_BATCH_ROWS = 512


@dataclass(frozen=True)
class SnapshotPart:
    """One part of a snapshot: a documents part, its decisions, and where its edits stand."""

    source: str
    documents: Part
    decisions: Part | None  # None before there are any
    pii: Part | None
    c4_lines: Part | None  # only where line cuts apply
    pii_actions: Mapping[str, str]
    kept_hash: str | None = None  # which rows are kept

    def text_key(self) -> str:
        """Fingerprint of everything that decides the kept texts of this part, and nothing else.

        Other rules that keep the same rows give the same key, so what was made of the texts is found again.
        """
        assert self.kept_hash is not None
        return fingerprint({"documents": self.documents.key, "kept": self.kept_hash, **self.edits()})

    def edits(self) -> dict[str, Any]:
        """Everything that decides how the documents of this part are edited."""
        return {
            "pii": self.pii.key if self.pii else None, "cuts": self.c4_lines.key if self.c4_lines else None, "masked": self.masked, "version": EDITS_VERSION,
        }  # fmt: skip

    @property
    def masked(self) -> list[str]:
        return sorted(kind for kind, action in self.pii_actions.items() if action == "mask")


def snapshot_parts(lake: Lake, snapshot: Manifest) -> list[SnapshotPart]:
    """The parts of a snapshot in order: sources by name, parts as in their documents."""
    decided = zip(snapshot.parts("decisions"), snapshot.summary["kept_hashes"], strict=True)
    found = []
    for name, entry in sorted(snapshot.identity["sources"].items()):
        documents = lake.get("documents", entry["documents"]).parts("documents")
        pii = _parts(lake, "pii", entry["measured"])
        cuts = _parts(lake, "c4_lines", entry["measured"]) if entry["cut_lines"] else None
        for i, part in enumerate(documents):
            decisions, kept_hash = next(decided)
            edits = pii[i] if pii else None, cuts[i] if cuts else None
            found.append(SnapshotPart(name, part, decisions, *edits, snapshot.identity["pii"], kept_hash))
    return found


def _parts(lake: Lake, operator: str, measured: Mapping[str, str]) -> tuple[Part, ...] | None:
    return lake.get(operator, measured[operator]).parts(operator) if operator in measured else None


def kept_texts(lake: Lake, part: SnapshotPart) -> Iterator[tuple[str, str]]:
    """(doc_id, edited text) of the kept documents of one part, in order."""
    assert part.decisions is not None
    kept = lake.read_part(part.decisions, ["kept"])["kept"]
    yield from edited_texts(lake, part, kept)


def edited_texts(lake: Lake, part: SnapshotPart, wanted: Any) -> Iterator[tuple[str, str]]:
    """(doc_id, edited text) of the rows of a part for which the Boolean column `wanted` is true."""
    table = lake.read_part(part.documents, ["doc_id", "text"])
    for edits, column in ((part.pii, "spans"), (part.c4_lines, "cuts")):
        if edits:
            table = table.append_column(column, lake.read_part(edits, [column])[column])
    for batch in table.filter(wanted).to_batches(max_chunksize=_BATCH_ROWS):
        for row in batch.to_pylist():
            if row["text"] is not None:  # erased
                cuts, spans = row.get("cuts") or (), row.get("spans") or ()
                yield row["doc_id"], edit_text(row["text"], cuts, spans, part.pii_actions)


def edited_rows(lake: Lake, part: SnapshotPart) -> pa.ChunkedArray:
    """Which documents of a part have any edit."""
    found = pa.chunked_array([pa.repeat(pa.scalar(False), part.documents.rows)])
    if part.c4_lines:
        cuts = lake.read_part(part.c4_lines, ["cuts"])["cuts"]
        found = pc.or_kleene(found, pc.greater(pc.list_value_length(cuts), 0))
    if part.pii and part.masked:
        counts = lake.read_part(part.pii, [f"num_pii_{kind}" for kind in part.masked])
        for count in counts.columns:
            found = pc.or_kleene(found, pc.greater(count, 0))
    return pc.fill_null(found, False)


def edited_column(lake: Lake, part: SnapshotPart, among: Any = None) -> pa.ChunkedArray:
    """The edited text of each document of a part that has edits, null elsewhere; only of those `among`, if that is given."""
    wanted = edited_rows(lake, part)
    wanted = wanted if among is None else pc.and_(wanted, among)
    texts = dict(edited_texts(lake, part, wanted)) if pc.any(wanted).as_py() else {}
    ids = lake.read_part(part.documents, ["doc_id"])["doc_id"].to_pylist() if texts else []
    return pa.chunked_array([
        pa.array([texts.get(doc_id) for doc_id in ids], pa.large_string()) if texts else pa.nulls(part.documents.rows, pa.large_string())
    ])  # fmt: skip


def check_guards(snapshot: Manifest, source_loss: float | None, cluster_size: int | None) -> None:
    """Raise GuardStop if the snapshot lost more of a source, or dropped more for one keeper, than the recipe allows."""
    problems, advice = [], []
    losses = [_Loss.of(snapshot, name) for name in snapshot.summary["sources"]]
    too_large = [loss for loss in losses if source_loss is not None and loss.share > source_loss]
    if too_large:
        problems += [
            f"{loss.source} lost {loss.lost} of {loss.read} documents ({loss.share:.0%}; the guard allows {source_loss:.0%}): {loss.reasons}{loss.remark}"
            for loss in too_large
        ]
        percent = max(-(-100 * loss.lost // loss.read) for loss in too_large)
        advice.append(f"--set curation.stop_if.source_loss={percent}%")
    largest = snapshot.summary["largest_cluster"]
    if cluster_size is not None and largest["dropped"] > cluster_size:
        problems.append(
            f"{largest['dropped']} documents were dropped for the one document {largest['keeper']} (the guard allows {cluster_size})"
        )
        advice.append(f"--set curation.stop_if.cluster_size={largest['dropped']}")
    if problems:
        raise GuardStop(
            "a guard stopped the recipe:\n  "
            + "\n  ".join(problems)
            + f"\nThe decisions can be looked at (snapshot {snapshot.id[:12]}: `tilth why DOC`, `tilth what-if`). "
            f"Change rules or overrides, or, if the loss is meant, the guard: {' '.join(advice)}"
        )


@dataclass(frozen=True)
class _Loss:
    """What was lost of a source: of all that was there to read, what could not be read and what was dropped, held out aside."""

    source: str
    rejects: int
    dropped: Mapping[str, int]  # by rule
    read: int
    kept: int
    unusable: bool  # not one record of the source is a document

    @classmethod
    def of(cls, snapshot: Manifest, source: str) -> _Loss:
        """Of a sample the rejects count by their share, since a reject has no content to sample by."""
        tally = snapshot.summary["sources"][source]
        rejects = round(
            snapshot.summary.get("rejects", {}).get(source, 0) * snapshot.summary.get("sample", 1.0)
        )
        dropped = {rule: count for rule, count in tally["first"].items() if rule not in HELD_OUT_RULES}
        # of a small sample the documents may all be left out while the rejects, which are not drawn, are there
        unusable = rejects > 0 and not tally["documents"] and snapshot.summary.get("sample", 1.0) >= 1
        kept = tally["documents"] - sum(tally["first"].values())
        return cls(source, rejects, dropped, tally["documents"] + rejects, kept, unusable)

    @property
    def lost(self) -> int:
        return self.rejects + sum(self.dropped.values())

    @property
    def share(self) -> float:
        return self.lost / self.read if self.read >= LOSS_DOCUMENTS or self.unusable else 0.0

    @property
    def remark(self) -> str:
        return (
            ""
            if self.kept
            else ". Nothing of it is left to train on: if that is meant, take it out of `sources`"
        )

    @property
    def reasons(self) -> str:
        most = sorted(self.dropped.items(), key=lambda found: (-found[1], found[0]))[:3]
        unread = [f"{self.rejects} could not be read"] if self.rejects else []
        return ", ".join([*unread, *(f"{rule} {count}" for rule, count in most)])
