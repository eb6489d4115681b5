"""Personal data in a document's own fields: the id and the URL that its source gave it, and the metadata of its record.

Each is masked as a whole, without spans: nothing is trained on it. A URL is read unescaped. Of metadata each value is read
alone, after its key, which says what a number is; all else of the JSON text stays as it was.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from corpus.edits import edit_text
from corpus.schema import PII_TYPES

Span = tuple[int, int, str]  # half-open bytes, and the type
Find = Callable[[pa.Array], Sequence[Sequence[Span]]]
_ALL = dict.fromkeys(PII_TYPES, "mask")
_HINT = re.compile("[@0-9०-९０-９]")  # there is no personal data without
_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*+"(?=(\s*:)?)|-?[0-9][0-9.eE+-]*')
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")  # in `homePhone`


class _Value(NamedTuple):
    """A text to look through, after the word that says what it is."""

    label: str
    text: str


def masked_fields(batch: pa.RecordBatch, find: Find) -> list[list[str | None]]:
    """Own ids, URLs and metadata of the batch with placeholders; None where there is nothing to mask."""
    own_ids = [_Value("id", own_id or "") for own_id in batch.column("own_id").to_pylist()]
    urls = [_Value("", unquote(url or "")) for url in batch.column("url").to_pylist()]
    return [_mask_all(own_ids, find), _mask_all(urls, find), _masked_metadata(batch.column("metadata"), find)]


def _mask_all(values: Sequence[_Value], find: Find) -> list[str | None]:
    """Each text with placeholders, None where nothing was found in it."""
    masked: list[str | None] = [None] * len(values)
    hinted = [row for row, value in enumerate(values) if _HINT.search(value.text)]
    texts = [f"{values[row].label}\n{values[row].text}" for row in hinted]
    for row, found in zip(hinted, find(pa.array(texts, pa.large_string())), strict=True):
        before = len(values[row].label.encode()) + 1
        spans = [
            {"start": a - before, "end": b - before, "type": kind} for a, b, kind in found if a >= before
        ]
        masked[row] = edit_text(values[row].text, [], spans, _ALL) if spans else None
    return masked


def _masked_metadata(column: pa.Array, find: Find) -> list[str | None]:
    texts = column.to_pylist()
    hinted = pc.fill_null(pc.match_substring_regex(column, _HINT.pattern), False)
    places: list[tuple[int, int, int]] = []
    values: list[_Value] = []
    for row in pc.indices_nonzero(hinted).to_pylist():
        for start, end, value in _values(texts[row]):
            places.append((row, start, end))
            values.append(value)
    edits: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
    for (row, start, end), masked in zip(places, _mask_all(values, find), strict=True):
        if masked is not None:
            edits[row].append((start, end, json.dumps(masked, ensure_ascii=False)))
    return [_replaced(texts[row], edits[row]) if row in edits else None for row in range(len(column))]


def _values(text: str) -> Iterator[tuple[int, int, _Value]]:
    """Where the keys, texts and numbers of JSON stand, and what they say; a key speaks for what follows it."""
    label = ""
    for found in _LITERAL.finditer(text):
        literal, is_key = found.group(), found.group(1) is not None
        said = literal.strip('"') if "\\" not in literal else str(json.loads(literal))
        if _HINT.search(said):
            yield found.start(), found.end(), _Value("" if is_key else label, said)
        if is_key:
            label = _HUMP.sub(" ", said)


def _replaced(text: str, edits: Sequence[tuple[int, int, str]]) -> str:
    pieces, at = [], 0
    for start, end, said in edits:
        pieces += [text[at:start], said]
        at = end
    return "".join([*pieces, text[at:]])
