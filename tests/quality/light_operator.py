"""An operator that costs a worker nothing to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from corpus.schema import OPERATORS


@dataclass(frozen=True)
class Light:
    """Characters and words for `heuristics`, nothing for any other dataset."""

    name: str
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("text",)

    def identity(self) -> dict[str, Any]:
        return {"light": True}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        texts = batch["text"].to_pylist()
        counts = {
            "num_chars": [len(text) for text in texts],
            "num_words": [len(text.split()) for text in texts],
        }
        known: dict[str, Any] = {"doc_id": batch["doc_id"], **counts}
        columns = [
            pa.array(known[field.name], field.type)
            if field.name in known
            else pa.nulls(len(texts), field.type)
            for field in OPERATORS[self.name]
        ]
        return pa.RecordBatch.from_arrays(columns, schema=OPERATORS[self.name])
