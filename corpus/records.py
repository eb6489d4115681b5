"""Records and rejects, the section that says how a source is read, and how a source's own fields become a record.

How each format is taken apart is in its own module; `corpus.readers` chooses among them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from pydantic import model_validator

from corpus.config import Count, Section, identity
from corpus.xml_paths import parse_path

EXTRACTION_VERSION = 8  # bumped when the text or the fields that come out of the same bytes change

REASONS = {
    "invalid_json": "not a JSON value",
    "invalid_csv": "quotes that do not close, or close inside a field",
    "invalid_xml": "not well-formed XML",
    "invalid_front_matter": "the YAML between the `---` lines cannot be read",
    "invalid_utf8": "bytes that are not UTF-8 (or not the declared encoding)",
    "lone_surrogate": "half of a UTF-16 pair, which has no UTF-8 form",
    "wrong_type": "the record is not an object, or its text is not text",
    "wrong_column_count": "a row with more or fewer fields than the header",
    "missing_text": "no text field, or two columns of its name",
    "empty_text": "nothing but whitespace",
    "record_too_long": "longer than max_record_bytes",
    "nested_too_deep": "nested deeper than any text is",
    "xml_entity": "an entity that reads a file or expands others",
    "unknown_encoding": "an XML encoding that is not read",
    "truncated_file": "the file ends in the middle of something",
    "corrupt_file": "the bytes contradict the format",
    "unknown_format": "no format given, and none known by the file's ending",
    "empty_file": "no record in it",
}
MAX_DEPTH = 64  # of a record's own fields


@dataclass(slots=True)
class Record:
    """One document as its source has it. `position` counts from 0 in its file; `date` is UTC without a zone."""

    position: int
    text: str
    own_id: str | None = None
    url: str | None = None
    date: datetime | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Reject:
    """What could not be read: where (−1: the whole file) and why (a key of `REASONS`); never any text."""

    position: int
    reason: str


Item = Record | Reject
Format = Literal["jsonl", "json", "parquet", "csv", "text", "markdown", "xml"]


class Reading(Section):
    """How the files of a source become records. Field names may be dotted (`meta.date`); in XML they are paths."""

    format: Format | None = identity(
        None, description="without one, each file's ending decides (after .gz or .zst)"
    )
    text_field: str = identity(
        "text",
        description="jsonl, json, parquet, csv: the field; xml: the path of a record, such as .//section; else unused",
    )
    split: Literal["file", "blank_lines", "lines"] = identity(
        "file",
        absent_means="file",
        description="plain text: the whole file, or a record per paragraph or line",
    )
    exclude: list[str] = identity([], absent_means=[], description="xml: paths whose text is left out")
    inline: list[str] = identity(
        [], absent_means=[], description="xml: further elements that run on in the line"
    )
    id_field: str | None = identity(None, absent_means=None, description="the record's own id")
    url_field: str | None = identity(None, absent_means=None, description="where the record came from")
    date_field: str | None = identity(
        None, absent_means=None, description="ISO 8601, RFC 2822, a year, or seconds since 1970"
    )
    metadata: Literal["all", "none"] | list[str] = identity(
        "all", absent_means="all", description="which of the other fields to keep"
    )
    max_record_bytes: Count = identity(
        32 << 20, absent_means=32 << 20, description="a longer record is rejected"
    )

    @model_validator(mode="after")
    def _xml_paths(self) -> Reading:
        fields = [self.text_field, self.id_field, self.url_field, self.date_field, *self.metadata_fields]
        for path in [*self.exclude, *(fields if self.format == "xml" else [])]:
            if path is not None:
                parse_path(path)
        return self

    @property
    def metadata_fields(self) -> list[str]:
        return [] if isinstance(self.metadata, str) else self.metadata


# ── fields → record ─────────────────────────────────────────────────────────────────────────────────────────────────

_MISSING: Any = object()


class RecordMaker:
    """Turns a source's own fields into records, with one set of checks for every format."""

    def __init__(self, reading: Reading):
        self._reading = reading
        self._max_bytes = reading.max_record_bytes
        self._own = [name for name in (reading.id_field, reading.url_field, reading.date_field) if name]

    def from_fields(self, position: int, fields: dict[str, Any]) -> Item:
        """A record from an object's fields, its text among them. `fields` is consumed."""
        text = take(fields, self._reading.text_field)
        if text is _MISSING or text is None:
            return Reject(position, "missing_text")
        if not isinstance(text, str):
            return Reject(position, "wrong_type")
        return self.from_text(position, text, fields)

    def from_text(self, position: int, text: str, fields: dict[str, Any] | None = None) -> Item:
        """A record from its text and its other fields; line ends become line feeds."""
        if problem := self._problem(text):
            return Reject(position, problem)
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        return self._with_fields(Record(position, text), fields) if fields else Record(position, text)

    def _problem(self, text: str) -> str | None:
        if not text or text.isspace():
            return "empty_text"
        size = len(text)
        if not text.isascii():
            try:
                size = len(text.encode())
            except UnicodeEncodeError:
                return "lone_surrogate"
        return "record_too_long" if size > self._max_bytes else None

    def _with_fields(self, record: Record, fields: dict[str, Any]) -> Record:
        reading = self._reading
        if self._own:
            record.own_id = _as_id(take(fields, reading.id_field))
            record.url = _as_id(take(fields, reading.url_field))
            given = take(fields, reading.date_field)
            record.date = parse_date(given)
            if record.date is None and given is not _MISSING and reading.date_field:
                fields[reading.date_field] = given  # kept where SQL can see what could not be read
        if reading.metadata == "all":
            record.metadata = {plain_text(key): plain(value) for key, value in fields.items()}
        elif reading.metadata != "none":
            found = {name: take(fields, name) for name in reading.metadata}
            record.metadata = {name: plain(value) for name, value in found.items() if value is not _MISSING}
        return record


def take(fields: dict[str, Any], name: str | None) -> Any:
    """Remove and return a field; a dotted name also reaches into nested objects (which keep theirs)."""
    if name is None:
        return _MISSING
    value = fields.pop(name, _MISSING)
    if value is _MISSING and "." in name:
        value = fields
        for step in name.split("."):
            value = value.get(step, _MISSING) if isinstance(value, dict) else _MISSING
    return value


def _as_id(value: Any) -> str | None:
    if value is _MISSING or value == "":
        return None
    found = plain(value)
    return None if found is None else str(found)


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def plain(value: Any) -> Any:
    """A field's value in JSON's own types: times as ISO 8601, bytes as text where they are text, no NaN, no half pairs."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {plain_text(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace") if _is_utf8(value) else None
    return plain_text(str(value))


def plain_text(text: str) -> str:
    """The text with U+FFFD for lone surrogates."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def too_deep(value: Any, max_nodes: int = 1 << 62) -> bool:
    """Whether a value nests beyond `MAX_DEPTH` or has more nodes than allowed (YAML aliases can stand for billions)."""
    level: list[Any] = [value]
    nodes = 0
    for _ in range(MAX_DEPTH + 1):
        nodes += len(level)
        if not level or nodes > max_nodes:
            return bool(level)
        level = [item for part in level for item in _children(part)]
    return True


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


# ── dates ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_DATE_FORMATS = ("%Y-%m", "%Y/%m/%d", "%d %B %Y", "%d %b %Y", "%B %d, %Y", "%b %d, %Y")
_EPOCH = datetime(1970, 1, 1)


def parse_date(value: Any) -> datetime | None:
    """A date as UTC without a zone, or None: ISO 8601, RFC 2822, `2 May 2019`, a year, or a number since 1970.

    Numbers are seconds, milliseconds, microseconds or nanoseconds by their size. Day/month order is never guessed.

    >>> parse_date("2019-04-25T12:57:54+02:00"), parse_date(1556197074), parse_date("25/04/2019")
    (datetime.datetime(2019, 4, 25, 10, 57, 54), datetime.datetime(2019, 4, 25, 12, 57, 54), None)
    """
    try:
        if isinstance(value, datetime):
            return _utc(value)
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day)
        if isinstance(value, str):
            return _parse_date_text(value.strip())
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _parse_date_number(value)
    except (ValueError, OverflowError, TypeError):
        pass
    return None


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value.replace(tzinfo=None)


def _parse_date_text(text: str) -> datetime | None:
    if len(text) > 64 or not text.isascii():
        return None
    if text.isdigit() and len(text) not in (4, 8):
        return _parse_date_number(int(text))
    if text.isdigit() and len(text) == 4:
        return datetime(int(text), 1, 1)
    attempts: list[Callable[[str], datetime]] = [datetime.fromisoformat]
    attempts += [lambda given, form=form: datetime.strptime(given, form) for form in _DATE_FORMATS]  # type: ignore[misc]
    for attempt in [*attempts, parsedate_to_datetime]:
        try:
            return _utc(attempt(text))
        except (ValueError, TypeError, IndexError):
            continue
    return None


def _parse_date_number(number: float) -> datetime | None:
    if float(number).is_integer() and 1000 <= number <= 2999:
        return datetime(int(number), 1, 1)
    if float(number).is_integer() and 10_000_101 <= number <= 29_991_231:
        return _parse_date_text(str(int(number)))
    seconds = next((number / scale for scale in (1, 1e3, 1e6, 1e9) if abs(number) < 1e11 * scale), None)
    return None if seconds is None else _EPOCH + timedelta(seconds=seconds)
