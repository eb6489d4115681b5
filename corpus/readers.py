"""One file → its records and rejects, whatever its format. Bad content never raises and never ends a file early.

A reject says where and why, and everything that can be read before and after it is read. Memory is bounded by one record.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from corpus.compression import SUFFIXES
from corpus.csv_reader import read_csv
from corpus.files import Content, FileRef
from corpus.json_reader import read_json, read_jsonl
from corpus.records import EXTRACTION_VERSION, REASONS, Format, Item, Reading, Record, Reject, parse_date
from corpus.text_reader import read_markdown, read_text
from corpus.xml_reader import read_xml

__all__ = [
    "EXTRACTION_VERSION",
    "REASONS",
    "Reading",
    "Record",
    "Reject",
    "format_of",
    "parse_date",
    "read_records",
]

_ENDINGS: dict[str, Format] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "csv",
    ".txt": "text", ".text": "text", ".md": "markdown", ".markdown": "markdown", ".xml": "xml",
}  # fmt: skip

_READERS: dict[Format, Callable[[Content, Reading], Iterator[Item]]] = {
    "jsonl": read_jsonl, "json": read_json, "csv": read_csv, "text": read_text, "markdown": read_markdown, "xml": read_xml,
}  # fmt: skip


def read_records(ref: FileRef, reading: Reading) -> Iterator[Item]:
    """The records and rejects of a file, in order. Raises SourceError only where the file itself cannot be read.

    A file without a record is one reject at position −1, so every file of a source leaves a row.
    """
    empty = True
    for item in _items(ref, reading):
        empty = False
        yield item
    if empty:
        yield Reject(-1, "empty_file")


def _items(ref: FileRef, reading: Reading) -> Iterator[Item]:
    kind = reading.format or format_of(ref.path)
    if kind is None:
        return iter([Reject(-1, "unknown_format")])
    if kind == "parquet":
        from corpus.parquet_reader import read_parquet  # pyarrow.parquet takes a tenth of a second to import

        return read_parquet(ref, reading)
    return _READERS[kind](Content(ref), reading)


def format_of(path: str) -> Format | None:
    """The format that a file's name says, after .gz or .zst.

    >>> format_of("c4/part-0.json.gz"), format_of("LICENSE")
    ('json', None)
    """
    stem, suffix = os.path.splitext(path.lower())
    if suffix in SUFFIXES:
        suffix = os.path.splitext(stem)[1]
    return _ENDINGS.get(suffix)
