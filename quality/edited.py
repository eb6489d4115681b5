"""Edited texts: what a recipe's edits make of the documents, for whatever must be judged by the text that is trained on.

Which lines are cut hangs on the source's rules, so edits are per source. What an edit does is `corpus.edits`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from corpus.ingest import content_hash
from corpus.lake import Manifest
from corpus.part import Part
from corpus.schema import OPERATORS
from corpus.snapshot import SnapshotPart
from quality.characters import UNICODE
from quality.curation import Curation, SourceRules

NOTHING = content_hash("")  # the edited_hash of a document of which no text is left


@dataclass(frozen=True)
class SourceEdits:
    """The edits of one source's documents: which personal data is masked, and whether lines are cut.

    Types whose action is `drop` are masked here too: no document that has one is kept, and so what is measured of edited
    texts serves `mask` and `drop` alike.
    """

    masked: tuple[str, ...]
    pii: Manifest | None  # None where nothing is masked
    c4_lines: Manifest | None  # None where no line is cut

    def __bool__(self) -> bool:
        return bool(self.pii or self.c4_lines)

    def identity(self) -> dict[str, Any]:
        return {"masked": list(self.masked), "cut_lines": self.c4_lines is not None}

    def parents(self) -> list[tuple[str, str]]:
        return [(found.kind, found.id) for found in (self.pii, self.c4_lines) if found]

    def part(self, source: str, number: int, documents: Part) -> SnapshotPart:
        """Where the edits of a part of the documents stand."""
        pii = self.pii.parts("pii")[number] if self.pii else None
        cuts = self.c4_lines.parts("c4_lines")[number] if self.c4_lines else None
        return SnapshotPart(source, documents, None, pii, cuts, dict.fromkeys(self.masked, "mask"))


def source_edits(curation: Curation, rules: SourceRules, measured: Mapping[str, Manifest]) -> SourceEdits:
    masked = tuple(sorted(kind for kind, action in curation.pii.items() if action != "keep"))
    return SourceEdits(
        masked, measured["pii"] if masked else None, measured["c4_lines"] if rules.cut_lines else None
    )


@dataclass(frozen=True)
class Edited:
    """The operator `edited`: the content hash of each document's edited text, null where it has no edits."""

    name: ClassVar[str] = "edited"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("edited_text",)

    def identity(self) -> dict[str, Any]:
        return {"unicode": UNICODE}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        texts = batch.column("edited_text").to_pylist()
        hashes = [None if text is None else content_hash(text) for text in texts]
        return pa.RecordBatch.from_arrays(
            [batch.column("doc_id"), pa.array(hashes, pa.string())], schema=OPERATORS[self.name]
        )
