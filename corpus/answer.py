"""An answer: the rows of a query as they come, cut to what a screen or a process can hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from corpus.guard import QueryError

BATCH_ROWS = 2048
BATCH_BYTES = 8 << 20  # a batch of more is passed on in pieces


@dataclass(frozen=True)
class Limits:
    """The most an answer may hold; None: all there is."""

    rows: int | None = 1000
    cell_chars: int | None = 8000
    bytes: int | None = 32 << 20


CONSOLE = Limits()
EVERYTHING = Limits(None, None, None)


@dataclass(frozen=True)
class Result:
    """A whole answer. `cut`: there are more rows than were let through; `shortened`: how many cells lost their end."""

    table: pa.Table
    cut: bool
    shortened: int = 0


@dataclass
class Omitted:
    """What an answer leaves out, known when it has been taken to the end."""

    cut: bool = False
    by_bytes: bool = False  # not the number of its rows, but their size cut it
    shortened: int = 0


class Answer:
    """Rows as they come: iterate over its batches once; then `cut`, `by_bytes` and `shortened` say what was left out."""

    def __init__(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch], omitted: Omitted):
        self.schema = schema
        self._batches = batches
        self._omitted = omitted  # shared with who makes the batches, who must not know this: a cycle would keep the query alive

    @property
    def cut(self) -> bool:
        return self._omitted.cut

    @property
    def by_bytes(self) -> bool:
        return self._omitted.by_bytes

    @property
    def shortened(self) -> int:
        return self._omitted.shortened

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._batches

    def close(self) -> None:
        """End the query, whatever of it is left."""
        if close := getattr(self._batches, "close", None):
            close()

    def read(self) -> Result:
        """All of it as one table; sums of integers, which SQL gives as decimals, become integers where they fit."""
        table = pa.Table.from_batches(list(self), self.schema)
        for i, field in enumerate(table.schema):
            if pa.types.is_decimal(field.type) and field.type.scale == 0:
                table = table.set_column(i, field.name, _integers(table.column(i)))
        return Result(table, self.cut, self.shortened)


def limited(schema: pa.Schema, batches: Iterator[pa.RecordBatch], limits: Limits) -> Answer:
    """An answer over plain batches that keeps to the limits. Raises QueryError for a row that is larger than a whole answer."""
    plain, omitted = plain_schema(schema), Omitted()
    return Answer(plain, _limited(plain, batches, limits, omitted), omitted)


def _limited(
    schema: pa.Schema, batches: Iterator[pa.RecordBatch], limits: Limits, omitted: Omitted
) -> Iterator[pa.RecordBatch]:
    rows_left, bytes_left = limits.rows, limits.bytes
    most = BATCH_BYTES if bytes_left is None else min(BATCH_BYTES, bytes_left // 16)
    for batch in batches:
        if rows_left is not None:
            batch, omitted.cut = batch.slice(0, rows_left), batch.num_rows > rows_left
            rows_left -= batch.num_rows
        batch = _plain(batch, schema)
        if limits.cell_chars is not None:
            batch, shortened = _shorten(batch, limits.cell_chars)
            omitted.shortened += shortened
        for piece in _pieces(batch, most):
            if bytes_left is not None:
                bytes_left -= piece.nbytes
                if bytes_left < 0:
                    omitted.cut = omitted.by_bytes = True
                    _check_row(piece, limits)
                    return
            yield piece
        if omitted.cut:
            return


def _check_row(piece: pa.RecordBatch, limits: Limits) -> None:
    if limits.bytes is not None and piece.num_rows == 1 and piece.nbytes > limits.bytes:
        raise QueryError(
            f"a row of the answer has {piece.nbytes >> 20} MB, more than an answer may have. Ask for fewer columns, or for less of them."
        )


def _pieces(batch: pa.RecordBatch, most: int) -> Iterator[pa.RecordBatch]:
    """The batch in pieces of at most so many bytes, or of one row."""
    if batch.num_rows <= 1 or batch.nbytes <= most:
        if batch.num_rows:
            yield batch
        return
    half = batch.num_rows // 2
    yield from _pieces(batch.slice(0, half), most)
    yield from _pieces(batch.slice(half), most)


def _shorten(batch: pa.RecordBatch, chars: int) -> tuple[pa.RecordBatch, int]:
    """Texts longer than this end in an ellipsis."""
    shortened = 0
    for i, field in enumerate(batch.schema):
        if not (pa.types.is_string(field.type) or pa.types.is_large_string(field.type)):
            continue
        column = batch.column(i)
        long = pc.greater(pc.utf8_length(column), chars)
        if pc.any(long).as_py():
            cut = pc.binary_join_element_wise(
                pc.utf8_slice_codeunits(column, 0, chars),
                pa.scalar("…", field.type),
                pa.scalar("", field.type),
            )
            batch = batch.set_column(i, field, pc.if_else(long, cut, column))
            shortened += pc.sum(long).as_py()
    return batch, shortened


# ── Arrow types that JSON, CSV and data frames know ─────────────────────────────────────────────────────────────────


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Enumerations as text, DuckDB's own types as the bytes they are stored in."""
    return pa.schema([pa.field(field.name, _plain_type(field.type)) for field in schema])


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _plain(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        column.storage if isinstance(column, pa.ExtensionArray) else column if column.type == field.type else column.cast(field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _integers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:  # beyond 64 bits
        return column
