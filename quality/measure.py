"""Measure: run operators over the documents of every source, each once per part, all that are missing in one pass.

What is measured is an artifact per source and operator, row for row with `documents`. Deciding is not done here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus.engine import Call, Operator, Progress, run_calls
from corpus.fingerprint import fingerprint
from corpus.lake import Lake, Manifest, artifact_id
from corpus.part import Part
from corpus.schema import OPERATORS
from corpus.snapshot import SnapshotPart, edited_column
from quality.edited import SourceEdits

BATCH_ROWS = 1024
SMALL_BYTES = (
    1 << 20
)  # stored text; below it, starting workers (seconds, for kernels and tables) costs more than measuring
EDITED_TEXT = (
    "edited_text"  # a column that an operator may read beside the documents': null where a text has no edits
)
Measured = dict[str, dict[str, Manifest]]  # source → operator name → its artifact


def measure(
    lake: Lake,
    documents: Mapping[str, Manifest],
    operators: Sequence[Operator],
    workers: int,
    progress: Progress | None = None,
    parents: Sequence[tuple[str, str]] = (),
    edits: Mapping[str, SourceEdits] | None = None,
) -> Measured:
    """Every operator's artifact for every source; parts that are in the lake are not measured again.

    `parents` are the artifacts, besides the documents, that the operators close over (a held-out set); `edits`, by source,
    make the edited texts for operators that read them.
    """
    edited = {source: found for source, found in (edits or {}).items() if found}
    calls = [
        call
        for source, manifest in documents.items()
        for number, part in enumerate(manifest.parts("documents"))
        for edit in [edited[source].part(source, number, part) if source in edited else None]
        if (call := _call(lake, part, operators, edit))
    ]
    large = sum(call.size for call in calls) > SMALL_BYTES
    run_calls(calls, workers if large else 1, "measure", progress)
    return {
        source: {
            operator.name: _artifact(lake, source, manifest, operator, parents, edited.get(source))
            for operator in operators
        }
        for source, manifest in documents.items()
    }


def part_key(operator: Operator, part: Part, edits: SnapshotPart | None = None) -> str:
    what = {
        "operator": operator.name,
        "version": operator.version,
        "identity": operator.identity(),
        "input": part.key,
    }
    return fingerprint(what | ({"edits": edits.edits()} if edits and EDITED_TEXT in operator.reads else {}))


def _call(lake: Lake, part: Part, operators: Sequence[Operator], edits: SnapshotPart | None) -> Call | None:
    missing = [
        (operator, key)
        for operator in operators
        if lake.task(operator.name, key := part_key(operator, part, edits)) is None
    ]
    return (
        Call(
            f"documents part {part.key[:8]}", measure_part, (str(lake.root), part, missing, edits), part.bytes
        )
        if missing
        else None
    )


def measure_part(
    root: str, part: Part, operators: Sequence[tuple[Operator, str]], edits: SnapshotPart | None
) -> None:
    """In a worker: read one part's text once, run each operator over it and commit each one's part."""
    lake = Lake(Path(root))
    columns = {"doc_id", *(name for operator, _ in operators for name in operator.reads)}
    table = lake.read_part(part, sorted(columns - {EDITED_TEXT}))
    if EDITED_TEXT in columns:
        texts = edited_column(lake, edits) if edits else pa.nulls(part.rows, pa.large_string())
        table = table.append_column(EDITED_TEXT, texts)
    batches = table.combine_chunks().to_batches(max_chunksize=BATCH_ROWS)
    for operator, key in operators:
        results = [_checked(operator, batch) for batch in batches]
        table = pa.Table.from_batches(results, schema=OPERATORS[operator.name])
        written = lake.write_part(operator.name, key, table)
        lake.commit_task(operator.name, key, {operator.name: [written]})


def _checked(operator: Operator, batch: pa.RecordBatch) -> pa.RecordBatch:
    result = operator(batch)
    assert result.column("doc_id").equals(batch.column("doc_id")), (
        f"{operator.name} changed the rows or their order"
    )
    return result


def _artifact(
    lake: Lake, source: str, documents: Manifest, operator: Operator, parents: Sequence[tuple[str, str]], edits: SourceEdits | None
) -> Manifest:  # fmt: skip
    identity: dict[str, Any] = operator.identity()
    lineage = [("documents", documents.id), *parents]
    if edits and EDITED_TEXT in operator.reads:
        identity = identity | {"edits": edits.identity()}
        lineage += edits.parents()
    id = artifact_id(operator.name, operator.name, operator.version, identity, lineage)
    if found := lake.find(operator.name, id):
        return found
    records = [
        lake.task(
            operator.name, part_key(operator, part, edits.part(source, number, part) if edits else None)
        )
        for number, part in enumerate(documents.parts("documents"))
    ]
    parts = tuple(part for record in records if record for part in record.parts[operator.name])
    assert len(parts) == len(documents.parts("documents")), f"{operator.name}: a part was not measured"
    return lake.commit(
        Manifest(
            operator.name,
            id,
            operator.name,
            operator.version,
            identity,
            tuple(lineage),
            {operator.name: parts},
        )
    )
