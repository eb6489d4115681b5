"""XML records: every outermost element that the text field's path means, read as a stream by expat.

Nothing outside the file is ever read, and entities that expand others are refused. After a place that is not well-formed the
next element of the record's name is looked for, so one broken record costs one record. So does a refused entity.

A record that lacks its end swallows those after it. What was fed since a record began is therefore held, and looked through
again where it turns out to be broken, or is so long that it must be let go of while another seems to begin inside of it.
"""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from corpus.files import Content
from corpus.records import Item, Reading, Reject
from corpus.xml_paths import parse_path
from corpus.xml_records import CONTROL, NOT_TEXT, RecordCollector, Refused

_SLICE = (
    16 << 10
)  # what a parser is fed at a time: no more is copied where a document ends in the middle of it
_MAX_TAG = 1 << 20  # bytes of one tag, attributes and all; expat keeps an unfinished one in memory
_MAX_ENTITY = 64  # characters that an entity of the file's own may stand for: a sign or a name, not a bomb
_MAX_ERRORS = 100_000
_MAX_NAME = 256  # bytes of a tag up to the end of its name
_MIN_LIMIT = 1 << 20  # bytes; a record of a shorter limit may have this much of markup all the same
# Bytes that may be looked through again after damage, for each byte that lies before it and each that a record may have: the
# work stays linear in the file, and damage in one place leaves enough for the next.
_REREAD = 8
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
        self._next_record = _tag_of(self._path.last)
        self._collector = RecordCollector(reading, lambda: self._parser.CurrentByteIndex)
        self._max_bytes, limit = reading.max_record_bytes, max(reading.max_record_bytes, _MIN_LIMIT)
        self._max_reach, self._may_reread = 2 * limit, _REREAD * limit
        self._waiting: deque[bytes] = deque()  # what was fed, and is to be looked at again
        self._held = _Held()
        self._parser: Any = None
        self._above: tuple[str, ...] = ()  # the elements that the document at hand is taken to be in
        self._errors = 0
        self._carry = b""
        self.stopped = False
        self._open_parser()

    def feed(self, data: bytes) -> Iterator[Item]:
        """The records that end in this slice, or in what waits."""
        self._waiting.append(data)
        while self._waiting and not self.stopped:
            data = self._waiting.popleft()
            if self._parser is None:
                self._seek(data)
            elif data:
                self._parse(data)
            yield from self._drain()

    def finish(self, damage: str | None) -> Iterator[Item]:
        """What the end of the file adds: the damage, an unfinished record, or that there was no record at all."""
        if damage and (self._parser is None or not self._collector.in_record):
            self._stop(damage)
        while not self.stopped and self._parser is not None and self._held.fed:
            if damage:
                self._cut_off(damage)
            else:
                self._parse(b"", final=True)
            yield from self.feed(b"")
        nothing = not self._collector.count and self._collector.met_element
        yield from self._drain()
        if nothing:
            yield Reject(-1, "missing_text")

    def _drain(self) -> list[Item]:
        found, self._collector.ready = self._collector.ready, []
        return found

    def _open_parser(self) -> None:
        self._collector.begin_document(self._above)
        self._held.clear()
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.UseForeignDTD(True)  # so that HTML's names (&nbsp;) are skipped entities instead of errors
        parser.StartElementHandler, parser.EndElementHandler = self._collector.start, self._collector.end
        parser.CharacterDataHandler = self._collector.text
        parser.SkippedEntityHandler = self._collector.skipped_entity
        parser.EntityDeclHandler, parser.ExternalEntityRefHandler = _check_entity, _refuse_entity
        self._parser = parser

    def _parse(self, data: bytes, final: bool = False) -> None:
        parser, held = self._parser, self._held
        held.add(data)
        try:
            parser.Parse(data, final)
        except Refused as refused:
            return self._pass_over(refused.reason, parser.CurrentByteIndex)
        except expat.ExpatError as error:
            return self._recover(error.code, parser.ErrorByteIndex)
        if held.fed - parser.CurrentByteIndex > _MAX_TAG + _SLICE:
            return self._recover(0, held.fed)
        if not self._collector.in_record:
            held.keep_from(parser.CurrentByteIndex)  # a tag that began may be a further document's
        elif held.fed - self._collector.began > self._reach():
            self._check_length()
        else:
            held.keep_from(self._collector.began)
        if final:
            self._parser = None

    # ── damage ──

    def _reach(self) -> int:
        """How long a record may be that holds others: the less is left to look through again, the shorter."""
        left = self._may_reread + _REREAD * self._collector.began
        return max(_SLICE, min(self._max_reach, left // 4))

    def _check_length(self) -> None:
        """A record beyond the reach lacks its end if another seems to begin in it; else it is only long, and let go of."""
        held = self._held
        nested = held.find(self._next_record, self._collector.began + 1) if self._next_record else None
        if nested is None:
            held.keep_from(held.fed - _MAX_NAME)
        else:
            length = held.fed - self._collector.began
            self._reject("record_too_long" if length > self._max_bytes else "invalid_xml")
            self._go_on(held.fed, nested)

    def _pass_over(self, reason: str, place: int) -> None:
        """After what is refused the next record is looked for, by a parser that knows none of the file's own entities.

        What is refused in the file's own declarations costs no record; one that uses them is refused in its turn.
        """
        in_record, of_entity = self._collector.in_record, reason == "xml_entity"
        if self._next_record is None or not (in_record or of_entity):
            return self._stop(reason)
        self._reject(reason if in_record else None)
        self._collector.entities_refused |= of_entity
        # what lies too deep in a record was seen by then, and is no record of its own
        look_back = in_record and reason != "nested_too_deep"
        self._go_on(place, self._collector.began + 1 if look_back else place)

    def _recover(self, code: int, place: int) -> None:
        """After an error at a byte: a further document, or else the next place where a record begins.

        That place is looked for from the beginning of the record at hand: if its end is what is missing, the records
        after it seemed to be inside of it.
        """
        if code in _AFTER_ROOT:
            self._look_again(place)
            return self._open_parser()
        in_record = self._collector.in_record
        if code == _NO_ELEMENTS and not self._collector.met_element:
            self._parser = None
            return
        reason = "truncated_file" if code in _CUT_OFF else "invalid_xml"
        # later errors between records are the first one's
        self._reject(reason if in_record or not self._errors else None)
        if code in _CUT_OFF and not in_record:
            place = self._held.fed  # what the end of the file cuts off, such as a comment, holds no record
        self._go_on(place, self._collector.began + 1 if in_record else place)

    def _cut_off(self, damage: str) -> None:
        """After what is not there a record without its end may be at hand, or one that ends where the damage begins."""
        in_record, place = self._collector.in_record, self._held.fed
        self._reject(damage if in_record else None)
        self._go_on(place, self._collector.began + 1 if in_record else place)

    def _reject(self, reason: str | None) -> None:
        """Count an error, which may be that of a record."""
        if reason:
            self._collector.reject(reason)
        self._errors += 1

    def _stop(self, reason: str) -> None:
        self._collector.reject(reason)
        self.stopped = True

    def _go_on(self, place: int, back: int) -> None:
        """Look for the next record from `back` where that is held and may be looked through again, else from `place`."""
        if self._errors > _MAX_ERRORS:
            return self._stop("corrupt_file")
        if self._held.holds(back) and place - back <= self._may_reread + _REREAD * back:
            self._may_reread -= place - back
            place = back
        self._look_again(max(place, 1))
        self._parser = None

    def _look_again(self, place: int) -> None:
        """What was fed from a place on waits; what is before it is done with."""
        self._may_reread += _REREAD * place
        self._waiting.extendleft(reversed(self._held.after(place)))

    def _seek(self, data: bytes) -> None:
        """Begin a document at the next record's tag, if it is in this slice."""
        if self._next_record is None:
            return
        data = self._carry + data
        found = self._next_record.search(data)
        if found is None:
            self._carry = data[-_MAX_NAME:]
            return
        self._carry, self._above = b"", self._path.above
        self._open_parser()
        self._waiting.appendleft(data[found.start() :])


def _tag_of(name: str) -> re.Pattern[bytes] | None:
    """The beginning of an element's tag, with any prefix; None where any element is meant."""
    if name in ("", "*"):
        return None
    return re.compile(rb"<(?:[\w.-]+:)?" + re.escape(name.encode()) + rb"(?=[\s/>])")


class _Held:
    """The bytes of the document from the record at hand on, in the slices that were fed."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._slices: deque[bytes] = deque()
        self._first = self.fed = 0  # the place of the first byte held, and of the end

    def add(self, data: bytes) -> None:
        self._slices.append(data)
        self.fed += len(data)

    def keep_from(self, place: int) -> None:
        """Let go of the slices before the one in which a place is."""
        while self._slices and self._first + len(self._slices[0]) <= place:
            self._first += len(self._slices.popleft())

    def holds(self, place: int) -> bool:
        return self._first <= place

    def after(self, place: int) -> list[bytes]:
        """What was fed from a place on, as far as it is held."""
        self.keep_from(place)
        first, *others = self._slices or [b""]
        return [first[max(0, place - self._first) :], *others]

    def find(self, pattern: re.Pattern[bytes], place: int) -> int | None:
        """Where a pattern is first met at a place held or after it."""
        start = max(place, self._first)
        found = pattern.search(b"".join(self._slices), start - self._first)
        return found and self._first + found.start()


def _check_entity(name: str, is_parameter: bool, value: str | None, *_place: Any) -> None:
    """A document's own entity may stand for a few characters; one that holds others, or markup, is refused."""
    if value is not None and (is_parameter or len(value) > _MAX_ENTITY or "&" in value or "<" in value):
        raise Refused("xml_entity")


def _refuse_entity(_context: str, *_place: Any) -> int:
    raise Refused("xml_entity")
