"""Operators on texts alone: the rows that they give, and that each row stands by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from corpus.schema import OPERATORS


def batch_of(texts: Sequence[str | None]) -> pa.RecordBatch:
    ids = [f"{i:032x}" for i in range(len(texts))]
    return pa.record_batch({"doc_id": pa.array(ids, pa.string()), "text": pa.array(texts, pa.large_string())})


def measure_texts(operator: Any, *texts: str | None) -> list[dict[str, Any]]:
    """What an operator says of each text; that it keeps the ids and their order, and gives its schema, is checked."""
    batch = batch_of(texts)
    found = operator(batch)
    assert found.schema == OPERATORS[operator.name] and found["doc_id"].equals(batch["doc_id"])
    found.validate(full=True)
    rows: list[dict[str, Any]] = found.drop_columns(["doc_id"]).to_pylist()
    return rows


def neighbours_change_nothing(operator: Any, texts: Sequence[str | None], cut: int) -> bool:
    """Whether a batch's rows from `cut` on are what they are among all."""
    batch = batch_of(texts)
    return bool(operator(batch.slice(cut)).equals(operator(batch).slice(cut)))
