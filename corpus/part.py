"""A part: one immutable Parquet file, and the only code that writes one.

One writer for everything (one chunk, fixed row groups, temporary name, fsync, rename) is what makes equal content equal
bytes under the same library versions; `rows_hash` says whether content is equal under any. Every page carries a checksum,
and whoever reads one verifies it: of 1,000 flipped bits in a part without, 671 gave other rows and no error.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.errors import LakeError
from corpus.fingerprint import ID_HEX, hash_file
from corpus.process import check_parent, stamp
from corpus.schema import schema_of

ROW_GROUP = 8192
PRIVATE = {"documents", "held_out", "pii"}  # they hold raw text or where its personal data stands
_PLAIN = {"text", "doc_id", "content_hash"}  # nearly unique: a dictionary would only cost


@dataclass(frozen=True)
class Part:
    """A written part. `bytes_hash` is for integrity, `rows_hash` for equality of content across library versions."""

    dataset: str
    key: str
    rows: int
    bytes: int
    bytes_hash: str
    rows_hash: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> Part:
        return cls(**tree)


def write_part(path: Path, dataset: str, key: str, table: pa.Table) -> Part:
    """Write `table`, cast to the dataset's schema, at `path`, atomically; an existing part is replaced by equal content."""
    schema = schema_of(dataset)
    table = pa.table([_column(table, field) for field in schema], schema=schema)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = staging_path(path)
        try:
            write_table(staging, table, private=dataset in PRIVATE)
            part = Part(
                dataset, key, table.num_rows, staging.stat().st_size, hash_file(staging), rows_hash(table)
            )
            publish(staging, path)
        finally:
            staging.unlink(missing_ok=True)
    return part


def write_table(path: Path, table: pa.Table, private: bool = False) -> None:
    """A new file in the form of a part, for `read_part`; by itself only for what an artifact stages among its files."""
    mode = 0o600 if private else 0o644
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, mode), "wb") as file:
        pq.write_table(
            table, file, row_group_size=ROW_GROUP, compression="zstd", compression_level=1,
            write_page_checksum=True, use_dictionary=[name for name in table.column_names if name not in _PLAIN],
            write_statistics=[name for name in table.column_names if name != "text"],
        )  # fmt: skip
        file.flush()
        os.fsync(file.fileno())


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_part(path: Path, columns: list[str] | None = None, dictionary: list[str] | None = None) -> pa.Table:
    """A part's rows; columns in `dictionary` come dictionary-encoded. LakeError where it is missing or damaged."""
    with reading(path):
        return pq.read_table(
            path,
            columns=columns,
            partitioning=None,
            read_dictionary=dictionary,
            page_checksum_verification=True,
        )


def check_form(part: Part, table: pa.Table, columns: list[str] | None = None) -> None:
    """LakeError unless a table read from a part has its rows, its columns and their types: a file's footer has no checksum."""
    schema = schema_of(part.dataset)  # a part written long ago may have columns that this one has not
    known = [name for name in table.column_names if name in schema.names]
    if (
        table.num_rows == part.rows
        and columns in (None, table.column_names)
        and all(_is_of(table.column(name).type, schema.field(name).type) for name in known)
    ):
        return
    raise LakeError(
        f"the part {part.dataset}/{part.key} is missing or damaged: it does not hold what was written. Restore it, or start a new lake."
    )


def _is_of(found: pa.DataType, declared: pa.DataType) -> bool:
    """Nested types may have grown since a part was written; a column may have been read as a dictionary."""
    return pa.types.is_nested(declared) or declared in (found, getattr(found, "value_type", None))


def open_part(path: Path) -> pq.ParquetFile:
    """A part to be read a row group at a time, each under `reading(path)`."""
    with reading(path):
        return pq.ParquetFile(path, page_checksum_verification=True)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What the disk or a checksum refuses becomes a LakeError that names the part."""
    try:
        yield
    except (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise LakeError(
            f"the part {path.parent.parent.name}/{path.stem} is missing or damaged: {reason}. Restore {path}, or start a new lake."
        ) from error


# ── writing anything ────────────────────────────────────────────────────────────────────────────────────────────────


def staging_path(path: Path) -> Path:
    """A temporary name beside `path`; it says whose it is, for `Lake.sweep`."""
    return path.with_name(f".{path.name}.{stamp()}.tmp")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """An error of the disk becomes a LakeError that says what to do; what was finished before it stays."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        closed = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
        absent = error.errno in (errno.ENOENT, errno.ENOTDIR)
        advice = (
            "Free some space"
            if full
            else "Make the lake writable"
            if closed
            else "Give a lake folder that can be made"
            if absent
            else "Look at the disk"
        )
        raise LakeError(
            f"cannot write {path}: {error.strerror or error}. {advice}, then run the same command: what was finished is kept."
        ) from error


def publish(staging: Path, path: Path) -> None:
    """Rename into place and make the rename durable; a worker whose parent is gone publishes nothing."""
    check_parent()
    os.replace(staging, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _column(table: pa.Table, field: pa.Field) -> pa.ChunkedArray | pa.Array:
    if field.name not in table.column_names:
        return pa.nulls(table.num_rows, field.type)
    column = table.column(field.name)
    return (column if column.type == field.type else column.cast(field.type)).combine_chunks()


def rows_hash(table: pa.Table) -> str:
    """Hash of the rows in order: names, types, validity and values, whatever the chunking or buffer padding."""
    digest = hashlib.blake2b(digest_size=ID_HEX // 2)
    for name, column in zip(table.column_names, table.columns, strict=True):
        digest.update(f"{name}:{column.type}:{len(column)};".encode())
        for chunk in _one(column):
            _feed(digest, chunk)
    return digest.hexdigest()


def _one(column: pa.ChunkedArray) -> Iterable[pa.Array]:
    whole = column.combine_chunks()
    return whole.chunks if isinstance(whole, pa.ChunkedArray) else [whole]


def _feed(digest: Any, array: pa.Array) -> None:
    kind = array.type
    if array.null_count:
        digest.update(np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).tobytes())
    if pa.types.is_null(kind):
        return
    if pa.types.is_struct(kind):
        for i in range(kind.num_fields):
            _feed(digest, pc.struct_field(array, i))
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        digest.update(_numbers(pc.list_value_length(array)))
        _feed(digest, array.flatten())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        digest.update(_numbers(pc.binary_length(array)))
        _feed_text(digest, array.cast(pa.large_string()).fill_null(""))
    elif pa.types.is_boolean(kind):
        digest.update(_numbers(array.cast(pa.uint8())))
    elif pa.types.is_temporal(kind):
        digest.update(_numbers(array.cast(pa.int64())))
    else:
        digest.update(_numbers(array))


def _numbers(array: pa.Array) -> bytes:
    return np.ascontiguousarray(array.fill_null(0).to_numpy(zero_copy_only=False)).tobytes()


def _feed_text(digest: Any, array: pa.Array) -> None:
    _, offsets, data = array.buffers()
    if len(array) and data is not None:
        ends = np.frombuffer(offsets, np.int64)
        digest.update(memoryview(data)[ends[array.offset] : ends[array.offset + len(array)]])
