"""CSV records: a header line, then rows of its width. After a quote that does not close, the next line begins anew."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from corpus.files import Content
from corpus.lines import split_lines
from corpus.records import Item, Reading, RecordMaker, Reject

DELIMITERS = ",\t;|"


def read_csv(content: Content, reading: Reading) -> Iterator[Item]:
    """Rows by header; positions count rows after it. The delimiter is the one that makes the text field a column."""
    # the limit is one per process; a field is bounded by the lines that are fed
    csv.field_size_limit(max(csv.field_size_limit(), reading.max_record_bytes + 1))
    lines = _Lines(content, reading.max_record_bytes)
    delimiter, columns = _header(lines, reading.text_field)
    if columns.count(reading.text_field) != 1:
        if columns or content.damage:  # else the file is empty
            yield Reject(-1, content.damage or "missing_text")
        return
    maker, position = RecordMaker(reading), 0
    for row in _rows(lines, delimiter):
        yield _record(maker, position, columns, row)
        position += 1
    if content.damage:
        yield Reject(position, content.damage)


def _record(maker: RecordMaker, position: int, columns: list[str], row: list[str] | str) -> Item:
    if isinstance(row, str):
        return Reject(position, row)
    joined = "".join(row)
    if not joined.isascii():
        try:
            joined.encode()
        except UnicodeEncodeError:
            return Reject(position, "invalid_utf8")
    if len(row) != len(columns):
        return Reject(position, "wrong_column_count")
    return maker.from_fields(position, dict(zip(columns, row, strict=True)))


def _header(lines: _Lines, text_field: str) -> tuple[str, list[str]]:
    """The delimiter and the column names of the first line that is not blank; no names where there is none."""
    try:
        line = next((line for line in lines if not line.isspace()), None)
    except _TooLong:
        return ",", [""]
    if line is None:
        return ",", []
    for delimiter in DELIMITERS:
        try:
            columns = [name.strip() for name in next(csv.reader([line], delimiter=delimiter, strict=True))]
        except csv.Error:
            columns = [""]
        if text_field in columns:
            return delimiter, columns
    return ",", columns


def _rows(lines: _Lines, delimiter: str) -> Iterator[list[str] | str]:
    """Rows, or the reason why there is none at this place.

    Linear in the input: a line that opens a quote ends, or breaks, the quoted field of an earlier line, so no line is
    fed more than twice.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin_row()
        try:
            row = next(reader)
        except StopIteration:
            return
        except (csv.Error, _TooLong):
            if lines.at_end and lines.damaged:
                return  # the row that was cut off: the damage is reported once
            yield "invalid_csv" if lines.in_row else "record_too_long"
            lines.again()
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
        else:
            if row:
                yield row


class _TooLong(Exception):
    pass


class _Lines:
    """The lines for csv, bounded, and able to go back to the line after the one where the current row began."""

    def __init__(self, content: Content, max_bytes: int):
        self._content, self._max_bytes = content, max_bytes
        self._lines = split_lines(content, max_bytes)
        self._held = (
            bytearray()
        )  # the lines of the current row, and after going back those that were given already
        self._row = self._next = 0  # where in it the row begins, and the line that comes next
        self._long_is_next = False  # after what is held comes a line that was too long to hold
        self.at_end = False

    @property
    def damaged(self) -> bool:
        return self._content.damage is not None

    @property
    def in_row(self) -> bool:
        return self._next > self._row

    def begin_row(self) -> None:
        if self._next == len(self._held):
            self._held.clear()
            self._next = 0
        self._row = self._next

    def again(self) -> None:
        """Give all but the first line of the current row once more."""
        if self.in_row:
            self._next = self._held.index(b"\n", self._row) + 1

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        self.at_end = False
        if self._next < len(self._held):
            end = self._held.index(b"\n", self._next) + 1
            line = bytes(self._held[self._next : end])
        else:
            line = self._read()
        self._next += len(line)
        if self._next - self._row > self._max_bytes + 1:
            raise _TooLong
        return line.decode("utf-8", "surrogateescape")

    def _read(self) -> bytes:
        """One more line of the content; it is held until the row has ended."""
        if not self._long_is_next:
            try:
                found = next(self._lines)
            except StopIteration:
                self.at_end = True
                raise
            if found is not None:
                line = found + b"\n"
                self._held += line
                return line
        self._long_is_next = self.in_row  # the row before it ends first, and is rejected
        raise _TooLong
