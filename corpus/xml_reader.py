"""XML records: every outermost element that the text field's path means, read as a stream by expat.

Nothing outside the file is ever read, and entities that expand others are refused. After a place that is not well-formed the
next element of the record's name is looked for, so one broken record costs one record. So does a refused entity.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from corpus.files import Content
from corpus.records import Item, Reading, Reject
from corpus.xml_paths import parse_path
from corpus.xml_records import CONTROL, NOT_TEXT, RecordCollector, Refused

_SLICE = 64 << 10
_MAX_TAG = 1 << 20  # bytes of one tag, attributes and all; expat keeps an unfinished one in memory
_MAX_ENTITY = 64  # characters that an entity of the file's own may stand for: a sign or a name, not a bomb
_MAX_ERRORS = 100_000
_MAX_REREAD = 8  # times the bytes a record may have, in all: what is looked through again after damage
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r"))
_CONTROL_PATTERN = re.compile(b"[" + re.escape(_CONTROLS) + b"]")
_DECLARATION = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*['\"]([A-Za-z0-9._-]+)")
_ENCODINGS = re.compile(
    r"utf-?8|us-?ascii|ascii|latin-?1|iso-?8859-?\d+|windows-?\d+|cp\d+|koi8-?[ru]|mac-?\w+"
    r"|shift_?jis|euc-?(jp|kr|cn)|iso-2022-jp|gb(2312|k|18030)|big5"
)
_AFTER_ROOT = {
    expat.errors.codes[text]
    for text in (expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT, expat.errors.XML_ERROR_MISPLACED_XML_PI)
}
_CUT_OFF = {
    expat.errors.codes[text]
    for text in (
        expat.errors.XML_ERROR_NO_ELEMENTS,
        expat.errors.XML_ERROR_UNCLOSED_TOKEN,
        expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
        expat.errors.XML_ERROR_ASYNC_ENTITY,
    )
}
_NO_ELEMENTS = expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS]

codecs.register_error("tilth.mark", lambda error: (NOT_TEXT, error.end))  # type: ignore[attr-defined]


def read_xml(content: Content, reading: Reading) -> Iterator[Item]:
    """One record per outermost element that `text_field` means; positions count them."""
    encoding = _encoding(content.peek(1024))
    if encoding is None:
        yield Reject(-1, "unknown_encoding")
        return
    stream = _XmlStream(reading)
    for data in _utf8(content, encoding):
        yield from stream.feed(data)
        if stream.stopped:
            return
    yield from stream.finish(content.damage)


# ── bytes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _encoding(head: bytes) -> str | None:
    """The encoding by byte order mark, by how `<` is written, or as declared; None where it is not one of text."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head[:2] in (b"<\0", b"\0<"):
        return "utf-16-le" if head[0] else "utf-16-be"
    declared = _DECLARATION.match(head.removeprefix(codecs.BOM_UTF8).lstrip())
    name = declared[1].decode().lower() if declared else "utf-8"
    if re.match(r"u(tf|cs)[-_]?(16|32|2|4)", name):
        return "utf-8"  # the declaration was read as bytes, so it is not what it says
    try:
        return codecs.lookup(name).name if _ENCODINGS.fullmatch(name) else None
    except LookupError:
        return None


def _utf8(content: Content, encoding: str) -> Iterator[bytes]:
    """Slices of UTF-8, with marks where there were bytes that are no text, or control characters."""
    decoder = codecs.getincrementaldecoder(encoding)("tilth.mark")
    for block in content:
        for start in range(0, len(block), _SLICE):
            yield _without_controls(decoder.decode(block[start : start + _SLICE]).encode())
    yield _without_controls(decoder.decode(b"", final=True).encode())


def _without_controls(data: bytes) -> bytes:
    if len(data.translate(None, _CONTROLS)) == len(data):
        return data
    return _CONTROL_PATTERN.sub(CONTROL.encode(), data)


# ── documents ───────────────────────────────────────────────────────────────────────────────────────────────────────


class _XmlStream:
    """Bytes in, finished records out. One expat parser at a time; another after damage or for a further document."""

    def __init__(self, reading: Reading):
        self._path = parse_path(reading.text_field)
        name = None if self._path.last in ("", "*") else re.escape(self._path.last.encode())
        self._next_record = name and re.compile(rb"<(?:[\w.-]+:)?" + name + rb"(?=[\s/>])")
        self._collector = RecordCollector(reading, lambda: self._parser.CurrentByteIndex)
        self._held = _Held(reading.max_record_bytes)
        self._parser: Any = None
        self._errors, self._may_reread = 0, _MAX_REREAD * reading.max_record_bytes
        self._carry = b""
        self.stopped = False
        self._open_parser()

    def feed(self, data: bytes) -> Iterator[Item]:
        """The records that end in this slice."""
        data, self._carry = self._carry + data, b""
        while data and not self.stopped:
            data = self._seek(data) if self._parser is None else self._parse(data)
        yield from self._drain()

    def finish(self, damage: str | None) -> Iterator[Item]:
        """What the end of the file adds: the damage, an unfinished record, or that there was no record at all."""
        if damage:
            self._collector.reject(damage)
        while not damage and not self.stopped and self._parser is not None and self._held.fed:
            yield from self.feed(self._parse(b"", final=True))
        nothing = not self._collector.count and self._collector.met_element
        yield from self._drain()
        if nothing:
            yield Reject(-1, "missing_text")

    def _drain(self) -> list[Item]:
        found, self._collector.ready = self._collector.ready, []
        return found

    def _open_parser(self, above: tuple[str, ...] = ()) -> None:
        self._collector.begin_document(above)
        self._held.clear()
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.UseForeignDTD(True)  # so that HTML's names (&nbsp;) are skipped entities instead of errors
        parser.StartElementHandler, parser.EndElementHandler = self._collector.start, self._collector.end
        parser.CharacterDataHandler = self._collector.text
        parser.SkippedEntityHandler = self._collector.skipped_entity
        parser.EntityDeclHandler, parser.ExternalEntityRefHandler = _check_entity, _refuse_entity
        self._parser = parser

    def _parse(self, data: bytes, final: bool = False) -> bytes:
        """Feed the parser; returns what is to be looked at again."""
        parser = self._parser
        self._held.add(data)
        try:
            parser.Parse(data, final)
        except Refused as refused:
            return self._pass_over(refused.reason, parser.CurrentByteIndex)
        except expat.ExpatError as error:
            return self._recover(error.code, parser.ErrorByteIndex)
        if self._held.fed - parser.CurrentByteIndex > _MAX_TAG + _SLICE:
            return self._recover(0, self._held.fed)
        self._held.keep_from(self._collector.began if self._collector.in_record else self._held.fed)
        if final:
            self._parser = None
        return b""

    def _pass_over(self, reason: str, place: int) -> bytes:
        """After what is refused the next record is looked for, by a parser that knows none of the file's own entities.

        What is refused in the file's own declarations costs no record; one that uses them is refused in its turn.
        """
        if reason != "xml_entity" or self._next_record is None or self._errors >= _MAX_ERRORS:
            return self._stop(reason)
        if self._collector.in_record:
            self._collector.reject(reason)
        self._errors += 1
        self._collector.entities_refused = True
        self._parser = None
        return self._held.after(max(place, 1))

    def _stop(self, reason: str) -> bytes:
        self._collector.reject(reason)
        self.stopped = True
        return b""

    def _recover(self, code: int, place: int) -> bytes:
        """After an error at a byte: a further document, or else the next place where a record begins.

        That place is looked for from the beginning of the record at hand: if its end is what is missing, the records
        after it seemed to be inside of it.
        """
        if code in _AFTER_ROOT:
            rest = self._held.after(place)
            self._open_parser()
            return rest
        in_record = self._collector.in_record
        if code == _NO_ELEMENTS and not self._collector.met_element:
            self._parser = None
            return b""
        if in_record or not self._errors:  # later errors between records are the first one's
            self._collector.reject("truncated_file" if code in _CUT_OFF else "invalid_xml")
        self._errors += 1
        if self._errors > _MAX_ERRORS:
            return self._stop("corrupt_file")
        if in_record and self._may_reread > 0 and self._held.holds(self._collector.began):
            self._may_reread -= place - self._collector.began
            place = self._collector.began + 1
        self._parser = None
        return self._held.after(max(place, 1))

    def _seek(self, data: bytes) -> bytes:
        found = self._next_record.search(data) if self._next_record else None
        if found is None:
            self._carry = data[-256:] if self._next_record else b""
            return b""
        self._open_parser(self._path.above)
        return data[found.start() :]


class _Held:
    """The bytes of the document since the record at hand began, as far as they are no more than a record may have."""

    def __init__(self, max_bytes: int):
        self._max_bytes = max_bytes
        self.clear()

    def clear(self) -> None:
        self._slices: list[bytes] = []
        self._first = self.fed = 0  # the place of the first byte held, and of the end

    def add(self, data: bytes) -> None:
        self._slices.append(data)
        self.fed += len(data)

    def keep_from(self, place: int) -> None:
        """Let go of what is before the slice of a place, and of everything where that is still too much."""
        while self._slices and (
            self._first + len(self._slices[0]) <= place or self.fed - self._first > 2 * self._max_bytes
        ):
            self._first += len(self._slices.pop(0))

    def holds(self, place: int) -> bool:
        return self._first <= place

    def after(self, place: int) -> bytes:
        """What was fed from a place on, as far as it is held."""
        return b"".join(self._slices)[max(0, place - self._first) :]


def _check_entity(name: str, is_parameter: bool, value: str | None, *_place: Any) -> None:
    """A document's own entity may stand for a few characters; one that holds others, or markup, is refused."""
    if value is not None and (is_parameter or len(value) > _MAX_ENTITY or "&" in value or "<" in value):
        raise Refused("xml_entity")


def _refuse_entity(_context: str, *_place: Any) -> int:
    raise Refused("xml_entity")
