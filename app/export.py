"""Export: the one place where text leaves the lake as text, and a checkpoint as a plain model folder."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.lineage import licenses_read
from app.queries import source_licenses
from corpus import names
from corpus.errors import ConfigError, one_of
from corpus.lake import Lake, Manifest
from corpus.own_fields import shown_fields
from corpus.part import Part
from corpus.relations import Relations
from corpus.schema import DOCUMENTS
from corpus.snapshot import SnapshotPart, kept_texts, snapshot_parts

SCHEMA = pa.schema(
    [DOCUMENTS.field(name) for name in ("doc_id", "source", "text", "own_id", "url", "date", "metadata")]
)
FORMATS = {"snapshot": ("jsonl", "parquet"), "run": ("hf",)}


def export(lake: Lake, reference: str, to: str, out: Path) -> list[dict[str, Any]]:
    """Write a snapshot or a checkpoint to a new folder; one row per file: name, documents, bytes, licence.

    The folder appears whole or not at all. Raises ConfigError if it exists, or for a format that the kind has not.
    """
    found = names.resolve(lake, reference, "run" if to == "hf" else "snapshot")
    if found.kind not in FORMATS or to not in FORMATS[found.kind]:
        raise ConfigError(
            f"a {found.kind} cannot be exported as {to!r}. A snapshot goes to {one_of(FORMATS['snapshot'])}, a checkpoint to 'hf'."
        )
    if out.exists():
        raise ConfigError(f"{out} exists. Give a folder that does not exist yet.")
    staging = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
    try:
        staging.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(
            f"cannot make the folder {out}: {error.strerror}. Give --out a place that can be written."
        ) from error
    try:
        rows = (
            _export_model(lake, found.id, found.step, staging)
            if found.kind == "run"
            else _export_snapshot(lake, lake.get("snapshot", found.id), to, staging)
        )
        staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return rows


def _export_model(lake: Lake, run_id: str, step: int | None, folder: Path) -> list[dict[str, Any]]:
    from app.bases import model_folder
    from app.queries import run_lineage

    source = model_folder(lake, run_id, step)
    tokenizer = lake.folder("tokenizer", run_lineage(lake, run_id)["tokenizer_id"]) / "files"
    wanted = [
        path
        for path in [*sorted(tokenizer.iterdir()), *sorted(source.iterdir())]
        if path.suffix in (".json", ".safetensors", ".txt", ".model", ".jinja")
    ]
    for path in wanted:
        if path.name not in ("COMMITTED.json", "trainer_state.json"):
            shutil.copyfile(path, folder / path.name)
    licenses = licenses_read(lake, run_id, step)
    _write_json(folder / "LICENSES.json", licenses)
    named = ", ".join(sorted({license or "not known" for license in licenses.values()}))
    return [
        {"file": path.name, "documents": None, "bytes": path.stat().st_size, "license": named if path.suffix == ".safetensors" else ""}
        for path in sorted(folder.iterdir())
    ]  # fmt: skip


def _export_snapshot(lake: Lake, snapshot: Manifest, to: str, folder: Path) -> list[dict[str, Any]]:
    licenses, masks = source_licenses(lake), Relations(lake).best_pii()
    rows: list[dict[str, Any]] = []
    for source, entry in snapshot.identity["sources"].items():
        path = folder / f"{source}.{to}"
        tables = (
            _documents(lake, part, masks.get(part.documents.key))
            for part in snapshot_parts(lake, snapshot)
            if part.source == source
        )
        documents = _write_jsonl(tables, path) if to == "jsonl" else _write_parquet(tables, path)
        rows.append(
            {
                "file": path.name,
                "documents": documents,
                "bytes": path.stat().st_size,
                "license": licenses.get(entry["documents"], ""),
            }
        )
    _write_json(folder / "LICENSES.json", {row["file"]: row["license"] for row in rows})
    return rows


def _write_json(path: Path, tree: dict[str, str]) -> None:
    path.write_text(json.dumps(tree, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")


def _documents(lake: Lake, part: SnapshotPart, pii: Part | None) -> pa.Table:
    """The kept documents of a part: text as the snapshot edits it, their own fields masked as views show them."""
    known = lake.read_part(part.documents, ["doc_id", "date"])
    number_of = {doc_id: number for number, doc_id in enumerate(known["doc_id"].to_pylist())}
    kept = list(kept_texts(lake, part))
    numbers = [number_of[doc_id] for doc_id, _ in kept]
    shown = shown_fields(lake, part.documents, pii, numbers)
    dates = [known["date"][number].as_py() for number in numbers]
    rows = [
        {"doc_id": doc_id, "source": part.source, "text": text, "date": date, **fields}
        for (doc_id, text), date, fields in zip(kept, dates, shown, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _write_jsonl(tables: Iterable[pa.Table], path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for table in tables:
            for row in table.to_pylist():
                date = row["date"] and row["date"].isoformat()
                file.write(json.dumps({**row, "date": date}, ensure_ascii=False) + "\n")
            count += table.num_rows
    return count


def _write_parquet(tables: Iterable[pa.Table], path: Path) -> int:
    count = 0
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)
            count += table.num_rows
    return count
