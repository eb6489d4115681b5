"""CSV records: a header line, then rows of its width. After a quote that does not close, the next line begins anew.

A row too long to hold is passed over to where it ends, read ahead by `corpus.csv_scout`. Where that is far, its quote is
taken for one that does not close: a stray one would else take every row up to the next quote with it.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator

from corpus.csv_scout import Scout
from corpus.files import Content
from corpus.lines import split_lines
from corpus.records import Item, Reading, RecordMaker, Reject

DELIMITERS = ",\t;|"
_HEAD = 64 << 10  # bytes that tell how lines end
_PASSED = 8  # times as long as a record may be is a row that is passed over


def read_csv(content: Content, reading: Reading) -> Iterator[Item]:
    """Rows by header; positions count rows after it. The delimiter is the one that makes the text field a column."""
    if _has_only_returns(content.peek(_HEAD)[:_HEAD]):
        content = _Returns(content)
    # the limit is one per process; a field is bounded by the lines that are fed
    csv.field_size_limit(max(csv.field_size_limit(), reading.max_record_bytes + 1))
    lines = _Lines(content, reading.max_record_bytes)
    delimiter, columns = _header(lines, reading.text_field)
    if columns.count(reading.text_field) != 1:
        if columns or content.damage:  # else the file is empty
            yield Reject(-1, content.damage or "missing_text")
        return
    maker, position, names = RecordMaker(reading), 0, _distinct(columns)
    for row in _rows(lines, delimiter):
        yield _record(maker, position, names, row)
        position += 1
    if content.damage:
        yield Reject(position, content.damage)


def _has_only_returns(head: bytes) -> bool:
    return b"\n" not in head and b"\r" in head


class _Returns(Content):
    """A content whose lines end in carriage returns, as old spreadsheets wrote them, with line feeds instead."""

    def __init__(self, content: Content):
        self._content = content

    @property
    def damage(self) -> str | None:  # type: ignore[override]
        return self._content.damage

    def again(self) -> Content:
        return _Returns(self._content.again())

    def __iter__(self) -> Iterator[bytes]:
        return (block.replace(b"\r", b"\n") for block in self._content)


def _record(maker: RecordMaker, position: int, names: list[str], row: list[str] | str) -> Item:
    if isinstance(row, str):
        return Reject(position, row)
    joined = "".join(row)
    if not joined.isascii():
        try:
            joined.encode()
        except UnicodeEncodeError:
            return Reject(position, "invalid_utf8")
    if len(row) != len(names):
        return Reject(position, "wrong_column_count")
    return maker.from_fields(position, dict(zip(names, row, strict=True)))


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


def _distinct(columns: list[str]) -> list[str]:
    """Names for the columns, each its own; the second `n` is `n.1`, as in pandas.

    >>> _distinct(["n", "n", "n.1"])
    ['n', 'n.2', 'n.1']
    """
    taken, repeats, names = set(columns), Counter[str](), dict[str, None]()
    for column in columns:
        name = column
        while name in names or (name != column and name in taken):
            repeats[column] += 1
            name = f"{column}.{repeats[column]}"
        names[name] = None
    return list(names)


def _rows(lines: _Lines, delimiter: str) -> Iterator[list[str] | str]:
    """Rows, or the reason why there is none at this place."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin_row()
        try:
            row = next(reader)
        except StopIteration:
            return
        except _TooLong:
            yield lines.pass_long_row(delimiter)
        except (csv.Error, _Broken):
            if lines.at_end and lines.damaged:
                return  # the row that was cut off: the damage is reported once
            yield "invalid_csv"
            lines.again()
        else:
            if row:
                yield row
            continue
        reader = csv.reader(lines, delimiter=delimiter, strict=True)


class _TooLong(Exception):
    pass


class _Broken(Exception):
    pass


class _Lines:
    """The lines for csv, bounded, and able to go back to the line after the one where the current row began.

    Linear in the input: the lines of a row that breaks are given once more, each as the first of a row. One that does not
    end in its line would go on as the broken one did, and break where that did, so it is broken off at once.
    """

    def __init__(self, content: Content, max_bytes: int):
        self._content, self._max_bytes = content, max_bytes
        self._lines = split_lines(content, max_bytes)
        self._num_read = 0  # lines taken from there
        self._held = (
            bytearray()
        )  # the lines of the current row, and after going back those that were given already
        self._row = self._next = 0  # where in it the row begins, and the line that comes next
        self._row_number = self._number = 0  # the same as numbers of lines
        self._long_is_next = False  # after what is held comes a line that was too long to hold
        self._broken_at = 0  # the line where the last broken row broke
        self._scout: Scout | None = None
        self.at_end = False

    @property
    def damaged(self) -> bool:
        return self._content.damage is not None

    @property
    def _in_row(self) -> bool:
        return self._number > self._row_number

    def begin_row(self) -> None:
        if self._next == len(self._held):
            self._held.clear()
            self._next = 0
        self._row, self._row_number = self._next, self._number

    def again(self) -> None:
        """The row is broken: give all but its first line once more."""
        self._broken_at = max(self._broken_at, self._number - 1)
        self._to_second_line()

    def pass_long_row(self, delimiter: str) -> str:
        """Go on behind a row that is too long to hold, or behind its first line where it breaks or has no end in reach.

        Returns why there is no row.
        """
        reason = "invalid_csv" if self._next > self._row else "record_too_long"
        if self._row_number >= self._broken_at:
            self._scout = self._scout or Scout(self._content, delimiter)
            end = self._scout.row_end(self._row_number, _PASSED * self._max_bytes)
            if end is not None:
                self._go_to(end)
                return "record_too_long"
            self._broken_at = self._scout.line
        self._to_second_line()
        return reason

    def _to_second_line(self) -> None:
        if self._next > self._row:
            self._next = self._held.index(b"\n", self._row) + 1
        self._number = self._row_number + 1

    def _go_to(self, number: int) -> None:
        for _ in range(number - self._num_read):
            next(self._lines, None)
        self._held.clear()
        self._row = self._next = 0
        self._num_read = self._number = number
        self._long_is_next = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        self.at_end = False
        if self._in_row and self._row_number < self._broken_at:
            raise _Broken
        if self._next < len(self._held):
            end = self._held.index(b"\n", self._next) + 1
            line = bytes(self._held[self._next : end])
        else:
            line = self._read()
        self._next += len(line)
        self._number += 1
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
            self._num_read += 1
            if found is not None:
                line = found + b"\n"
                self._held += line
                return line
        self._long_is_next = self._in_row  # where the row before it is broken, it comes again
        raise _TooLong
