"""Parquet records: the rows of a file, a small batch at a time, row group by row group, past the ones that are damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.compression import Damaged
from corpus.files import FileRef, unreadable
from corpus.records import Item, Reading, RecordMaker, Reject
from corpus.seekable import open_seekable

_BATCH_BYTES = 4 << 20  # decoded
# Rows of a dictionary-encoded column take nothing in the file and all their text in memory, and no row foretells the next.
_FIRST_BATCH_ROWS, _MAX_BATCH_ROWS = 4, 64
_PAGE_BUFFER = 1 << 20
# What Arrow says of bytes that contradict the format; OSError without a number is Parquet's own, UnicodeDecodeError of broken names.
_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError, Damaged)


def read_parquet(ref: FileRef, reading: Reading) -> Iterator[Item]:
    """One record per row; positions are row numbers. A damaged row group is one reject at the first row that is lost."""
    with ExitStack() as stack:
        try:
            source = stack.enter_context(open_seekable(ref))
            parquet = stack.enter_context(
                pq.ParquetFile(
                    source, pre_buffer=False, buffer_size=_PAGE_BUFFER, page_checksum_verification=True
                )
            )
        except _ERRORS as error:
            yield Reject(-1, _damage(ref, error))
            return
        columns = _columns(parquet.schema_arrow, reading)
        if columns is None:
            yield Reject(-1, "missing_text")
            return
        maker, first = RecordMaker(reading), 0
        for group in range(parquet.num_row_groups):
            position = first
            for fields in _rows(ref, parquet, group, columns):
                yield _record(maker, reading.text_field, position, fields)
                position += 1
            # a damaged footer may count fewer rows than there are: positions make doc_ids, no two rows may share one
            first = max(position, first + parquet.metadata.row_group(group).num_rows)


def _damage(ref: FileRef, error: Exception) -> str:
    """A reject's reason; an error of the disk, which has a number, is not the file's content."""
    if isinstance(error, OSError) and error.errno:
        raise unreadable(ref, error) from error
    return error.reason if isinstance(error, Damaged) else "corrupt_file"


def _columns(schema: pa.Schema, reading: Reading) -> list[str] | None:
    """The columns to read, or None where there is no text column. A dotted name reaches into a struct."""

    def column_of(name: str) -> str:
        return name if name in schema.names else name.split(".")[0]

    if column_of(reading.text_field) not in schema.names:
        return None
    if reading.metadata == "all":
        return list(schema.names)
    wanted = [
        reading.text_field,
        reading.id_field,
        reading.url_field,
        reading.date_field,
        *reading.metadata_fields,
    ]
    return [name for name in schema.names if name in {column_of(name) for name in wanted if name}]


def _rows(
    ref: FileRef, parquet: pq.ParquetFile, group: int, columns: list[str]
) -> Iterator[dict[str, Any] | str]:
    """The rows of a row group as fields; a reason in place of the row where it breaks."""
    batches = parquet.iter_batches(
        batch_size=_FIRST_BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False
    )
    while True:
        try:
            batch = next(batches, None)
        except _ERRORS as error:
            yield _damage(ref, error)
            return
        if batch is None:
            return
        row_bytes = batch.nbytes // max(batch.num_rows, 1) + 1
        parquet.reader.set_batch_size(max(1, min(_MAX_BATCH_ROWS, _BATCH_BYTES // row_bytes)))  # of the next
        names, values = batch.schema.names, [_values(column) for column in batch.columns]
        for row in zip(*values, strict=True):
            yield dict(zip(names, row, strict=True))


def _record(maker: RecordMaker, text_field: str, position: int, fields: dict[str, Any] | str) -> Item:
    if isinstance(fields, str):
        return Reject(position, fields)
    text = fields.get(text_field)
    if isinstance(text, bytes):
        try:
            fields[text_field] = text.decode()
        except UnicodeDecodeError:
            return Reject(position, "invalid_utf8")
    return maker.from_fields(position, fields)


def _values(column: pa.Array) -> list[Any]:
    """A column's values as Python's; text that is not UTF-8 stays bytes, what Python has no value for becomes None."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    try:
        found: list[Any] = column.to_pylist()
        return found
    except (
        ValueError,
        OverflowError,
        pa.ArrowException,
    ):  # one value spoils the list: a year beyond 9999, broken UTF-8
        return [_value(scalar) for scalar in column]


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return scalar.as_buffer().to_pybytes() if hasattr(scalar, "as_buffer") else None
    except (ValueError, OverflowError, pa.ArrowException):
        return None
