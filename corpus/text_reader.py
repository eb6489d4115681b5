"""Plain text (a file, or its paragraphs) and Markdown with YAML front matter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from corpus.config import parse_yaml
from corpus.errors import ConfigError
from corpus.files import Content
from corpus.lines import split_lines
from corpus.records import Item, Reading, RecordMaker, Reject, too_deep

_MAX_FRONT_MATTER = 64 << 10  # characters
_MAX_NODES = 10_000
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_BEGINS_A_MAPPING = re.compile(r"---[ \t]*\n(?:[ \t]*(?:#.*)?\n)*[\w\"'][^\n:]*:(?:\s|\Z)")


def read_text(content: Content, reading: Reading) -> Iterator[Item]:
    """The whole file as one record, or one per paragraph (`split: blank_lines`) or line (`split: lines`)."""
    if reading.split != "file":
        return _read_paragraphs(content, reading)
    return _read_whole(content, reading)


def _read_whole(content: Content, reading: Reading) -> Iterator[Item]:
    text = _whole_text(content, reading.max_record_bytes)
    if isinstance(text, Reject):
        yield text
    elif text:
        yield RecordMaker(reading).from_text(0, text)


def _whole_text(content: Content, max_bytes: int) -> str | Reject:
    """A file's text with line feeds, "" for an empty file, or why there is none."""
    data = content.peek(max_bytes + 4)
    if len(data) > max_bytes + 3:
        return Reject(0, "record_too_long")
    data = b"".join(content)
    if content.damage:
        return Reject(0, content.damage)
    try:
        return data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        return Reject(0, "invalid_utf8")


def _read_paragraphs(content: Content, reading: Reading) -> Iterator[Item]:
    maker, position = RecordMaker(reading), 0
    pieces = _paragraphs if reading.split == "blank_lines" else _lines
    for paragraph in pieces(content, reading.max_record_bytes):
        yield (
            Reject(position, paragraph)
            if isinstance(paragraph, str)
            else _paragraph_record(maker, position, paragraph)
        )
        position += 1
    if content.damage:
        yield Reject(position, content.damage)


def _lines(content: Content, max_bytes: int) -> Iterator[bytes | str]:
    """The lines that are not blank, or the reason why one is no record."""
    for line in split_lines(content, max_bytes):
        if line is None:
            yield "record_too_long"
        elif line and not line.isspace():
            yield line.removesuffix(b"\r")


def _paragraphs(content: Content, max_bytes: int) -> Iterator[bytes | str]:
    """The lines between blank lines, or the reason why they are no record."""
    lines: list[bytes] = []
    size = 0
    for line in split_lines(content, max_bytes):
        if line is not None and (not line or line.isspace()):
            if size:
                yield b"\n".join(lines) if lines else "record_too_long"
            lines, size = [], 0
            continue
        size += max_bytes + 1 if line is None else len(line) + 1
        if line is None or size > max_bytes + 1:
            lines.clear()
        else:
            lines.append(line.removesuffix(b"\r"))
    if size and not content.damage:
        yield b"\n".join(lines) if lines else "record_too_long"


def _paragraph_record(maker: RecordMaker, position: int, paragraph: bytes) -> Item:
    try:
        return maker.from_text(position, paragraph.decode())
    except UnicodeDecodeError:
        return Reject(position, "invalid_utf8")


def read_markdown(content: Content, reading: Reading) -> Iterator[Item]:
    """One record per file: what follows the front matter. Its keys are the record's fields."""
    text = _whole_text(content, reading.max_record_bytes)
    if isinstance(text, Reject):
        yield text
    elif text:
        fields, body = split_front_matter(text)
        if fields is None:
            yield Reject(0, "invalid_front_matter")
        else:
            yield RecordMaker(reading).from_text(0, body.lstrip("\n"), fields)


def split_front_matter(text: str) -> tuple[dict[str, Any] | None, str]:
    """The front matter's fields and the text after it; None where front matter begins but cannot be read.

    A first line `---` is a rule across the page, not front matter, unless a key follows it.

    >>> split_front_matter("---\\ntitle: Land Act\\n---\\n# Land Act\\n")
    ({'title': 'Land Act'}, '# Land Act\\n')
    """
    if not text.startswith("---"):
        return {}, text
    found = _FRONT_MATTER.match(text, 0, _MAX_FRONT_MATTER)
    if found is not None and not found[1].strip():
        return {}, text[found.end() :]
    if not _BEGINS_A_MAPPING.match(text, 0, _MAX_FRONT_MATTER):
        return {}, text
    if found is None:
        return None, text
    try:
        fields = parse_yaml(found[1], "front matter")
    except ConfigError:
        return None, text
    return (
        (None, text)
        if too_deep(fields, _MAX_NODES)
        else ({str(key): value for key, value in fields.items()}, text[found.end() :])
    )
