"""Rows of a task's files as they stand: csv, jsonl, json or parquet → one mapping of cells per row, or a reason why not.

Files are small next to a corpus and are read whole. What the cells mean is said in `evals.task`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.errors import ConfigError, one_of

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
}
MAX_CELL_CHARS = 1 << 24

Cells = dict[str | int, Any]  # by name where the file has names, and by position from 0 where it has an order


@dataclass(frozen=True)
class RejectedRow:
    """A row that is not scored. `row` counts from 0 (csv: without the header; jsonl: lines), −1 is the whole file."""

    file: str
    row: int
    reason: str


def split_name(path: str) -> tuple[str, str]:
    """The stem and the extension of a file name without its compression.

    >>> split_name("eval/law_test.csv.gz")
    ('law_test', '.csv')
    """
    name = PurePosixPath(path.replace("\\", "/"))
    if name.suffix in (".gz", ".zst"):
        name = name.with_suffix("")
    return name.stem, name.suffix.lower()


def read_rows(path: str, data: bytes, format: str | None, header: bool) -> Iterator[tuple[int, Cells | str]]:
    """(row number, its cells or a reason it cannot be read), in file order; ConfigError for an unknown format."""
    kind = format or FORMATS.get(split_name(path)[1])
    if kind in ("csv", "tsv"):
        return _csv_rows(data, header, "\t" if kind == "tsv" else ",")
    if kind == "jsonl":
        return _json_lines(data)
    if kind == "json":
        return _json_rows(data)
    if kind == "parquet":
        return _parquet_rows(data)
    raise ConfigError(
        f"cannot tell the format of {path}: name it with format, one of {one_of(set(FORMATS.values()))}"
    )


def _csv_rows(data: bytes, header: bool, delimiter: str) -> Iterator[tuple[int, Cells | str]]:
    csv.field_size_limit(MAX_CELL_CHARS)  # the default of 131,072 characters ends the file with an error
    text = data.decode("utf-8-sig", errors="surrogateescape")
    names: list[str] | None = None
    row = 0
    for cells in _csv_records(list(io.StringIO(text, newline="")), delimiter):
        if header and names is None and isinstance(cells, list):
            names = [name.strip() for name in cells]
            continue
        yield row, cells if isinstance(cells, str) else _csv_cells(cells, names)
        row += 1


def _csv_records(lines: list[str], delimiter: str) -> Iterator[list[str] | str]:
    """The cells of every record, or why there are none.

    A quote that is never closed, or by a later row's, takes the lines in between into its record. A record of several
    lines that has another width than the first one, or no end, is therefore read again line by line.
    """
    reader, width = csv.reader(lines, delimiter=delimiter), 0
    while (begin := reader.line_num) < len(lines):
        try:
            cells = next(reader, [])
            swallowed = reader.line_num - begin > 1 and len(cells) != (width or len(cells))
        except csv.Error:
            cells, swallowed = [], True
        record = lines[begin : reader.line_num]
        if swallowed or (reader.line_num == len(lines) and not _is_closed(record, delimiter)):
            yield from _csv_lines(record, delimiter)
        elif cells:
            width = width or len(cells)
            yield cells


def _csv_lines(lines: list[str], delimiter: str) -> Iterator[list[str] | str]:
    for line in lines:
        try:
            cells = next(csv.reader([line], delimiter=delimiter, strict=True), [])
        except csv.Error:
            yield "invalid_csv"
            continue
        if cells:
            yield cells


def _is_closed(record: list[str], delimiter: str) -> bool:
    """Whether the last record of a file ends outside of quotes: only a strict reader tells."""
    try:
        next(csv.reader(record, delimiter=delimiter, strict=True), None)
    except csv.Error as error:
        return "unexpected end" not in str(error)
    return True


def _csv_cells(cells: list[str], names: list[str] | None) -> Cells | str:
    if names is not None and len(cells) != len(names):
        return "wrong_number_of_columns"
    found: Cells = dict(enumerate(cells))
    if names is not None:
        found.update(zip(names, cells, strict=True))
    return found


def _json_lines(data: bytes) -> Iterator[tuple[int, Cells | str]]:
    for row, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n")):
        if line.strip():
            parsed, reason = _parse_json(line)
            yield row, reason or _json_cells(parsed)


def _json_rows(data: bytes) -> Iterator[tuple[int, Cells | str]]:
    parsed, reason = _parse_json(data.removeprefix(b"\xef\xbb\xbf"))
    if isinstance(parsed, dict):
        lists = [value for value in parsed.values() if isinstance(value, list)]
        parsed = lists[0] if len(lists) == 1 else parsed
    if reason or not isinstance(parsed, list):
        yield -1, reason or "wrong_type"
        return
    for row, value in enumerate(parsed):
        yield row, _json_cells(value)


def _parse_json(data: bytes) -> tuple[Any, str]:
    try:
        return json.loads(data.decode("utf-8")), ""
    except UnicodeDecodeError:
        return None, "invalid_utf8"
    except (ValueError, RecursionError):
        return None, "invalid_json"


def _json_cells(value: Any) -> Cells | str:
    if isinstance(value, dict):
        return dict(value)
    return dict(enumerate(value)) if isinstance(value, list) else "wrong_type"


def _parquet_rows(data: bytes) -> Iterator[tuple[int, Cells | str]]:
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError, ValueError):
        yield -1, "corrupt_file"
        return
    for row, cells in enumerate(table.to_pylist()):
        yield row, {**dict(enumerate(cells.values())), **cells}
