"""The fields that a file's first record has, for a message about a source of which no record could be used.

Only the beginning of a file is looked at, and only names leave here. A CSV file without a header has values where others have
names: unless all of its first line are words such as a program would use, or one is the text field's, it is told how many
columns there are and no more.
Text, markdown and XML have no names.
"""

from __future__ import annotations

import csv
import json
import re

from corpus.compression import Damaged
from corpus.csv_reader import DELIMITERS
from corpus.errors import SourceError
from corpus.files import Content, FileRef
from corpus.readers import Reading, format_of

_HEAD = 1 << 20
_MAX_NAMES, _MAX_CHARS = 20, 40
# a word of letters and few digits, or nothing, which pandas calls its index
_COLUMN = re.compile(r"(?!.*\d{3})[^\W\d]\w*|")


def first_fields(ref: FileRef, reading: Reading) -> str:
    """The first names, each cut to a length; "" where the format has no names or the beginning cannot be read."""
    kind = reading.format or format_of(ref.path)
    try:
        if kind == "parquet":
            names = _of_parquet(ref)
        elif kind in ("csv", "json", "jsonl"):
            head = Content(ref).peek(_HEAD)[:_HEAD].decode("utf-8-sig", "replace").lstrip()
            names = _of_csv(head) if kind == "csv" else _of_json(head)
        else:
            names = []
    except (
        SourceError,
        Damaged,
        OSError,
        ValueError,
        RecursionError,
        csv.Error,
    ):  # Arrow's errors are of these
        return ""
    are_words = all(_COLUMN.fullmatch(name) and len(name) <= _MAX_CHARS for name in names)
    if kind == "csv" and not are_words and reading.text_field not in names:
        return f"{len(names)} columns, of which some do not look like names: perhaps it has no header"
    shown = [name if len(name) <= _MAX_CHARS else name[: _MAX_CHARS - 1] + "…" for name in names[:_MAX_NAMES]]
    return ", ".join(map(repr, shown))


def _of_parquet(ref: FileRef) -> list[str]:
    import pyarrow.parquet as pq

    from corpus.seekable import open_seekable

    with open_seekable(ref) as source:
        return list(pq.read_schema(source).names)


def _of_csv(head: str) -> list[str]:
    """The header by the delimiter that finds most names in it."""
    line = head.splitlines()[:1]
    found = max((next(csv.reader(line, delimiter=delimiter), []) for delimiter in DELIMITERS), key=len)
    return [name.strip() for name in found]


def _of_json(head: str) -> list[str]:
    """The keys of the first object, in an array or not."""
    value, _ = json.JSONDecoder().raw_decode(head.removeprefix("[").lstrip())
    return list(value) if isinstance(value, dict) else []
