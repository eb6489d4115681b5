"""XML records: every outermost element that the text field's path means, read as a stream by expat.

Nothing outside the file is ever read, and entities that expand others are refused. After a place that is not well-formed the
next element of the record's name is looked for, so one broken record costs one record. So does a refused entity.

A record that lacks its end swallows those after it. What was fed since a record began is therefore held, and it is known which
records ended inside of which that did not: where one turns out to be broken, or holds others for too long, each open one is a
reject, and those that ended in them are read once more. All that is fed is so fed a few times at most.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from xml.parsers import expat

from corpus.files import Content
from corpus.records import Item, Reading, Record, Reject
from corpus.xml_encoding import encoding_of, utf8_slices
from corpus.xml_held import HeldBytes
from corpus.xml_paths import parse_path
from corpus.xml_records import Level, Overgrown, RecordCollector, Refused

_SLICE = (
    16 << 10
)  # what a parser is fed at a time: no more is copied where a document ends in the middle of it
_MAX_TAG = 1 << 20  # bytes of one tag, attributes and all; expat keeps an unfinished one in memory
_MAX_ENTITY = 64  # characters that an entity of the file's own may stand for: a sign or a name, not a bomb
_MAX_ERRORS = 100_000  # with no record between them
_MAX_STRAY_ENDS = 1000  # such errors, after which no end tag is read on behind
_MAX_NAME = 256  # bytes of a tag up to the end of its name
_MAX_PASSED_OVER = 16 << 20  # bytes below an element that may turn out to have been left open
_AROUND = b"<tilth>"  # stands around a piece of a document
_DOCUMENT = re.compile(rb"<\?xml\s")
_COMMENT, _HIDING_ENDS = re.compile(b"<!--"), re.compile(rb"-->|\]\]>")
_INSTRUCTION, _HIDING_INSTRUCTION = re.compile(rb"<\?"), re.compile(rb"<\?(?:[^<?]++|\?(?!>))*+<")
_WHOLE_TAG = re.compile(rb"""<(?:[^<>"']|"[^"<]*"|'[^'<]*')*>""")
_MIN_LIMIT = 1 << 20  # bytes; a record of a shorter limit may have this much of markup all the same
# Bytes that may be looked through again after damage, for each byte that lies before it and each that a record may have: the
# work stays linear in the file, and damage in one place leaves enough for the next.
_REREAD = 8
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
_END_NAME = re.compile(rb"(?:[^\s<>/:]+:)?([^\s<>]+)")
_TAG_MISMATCH = expat.errors.codes[expat.errors.XML_ERROR_TAG_MISMATCH]
_NO_ELEMENTS = expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS]


def read_xml(content: Content, reading: Reading) -> Iterator[Item]:
    """One record per outermost element that `text_field` means; positions count them."""
    encoding = encoding_of(content.peek(1024))
    if encoding is None:
        yield Reject(-1, "unknown_encoding")
        return
    stream = _XmlStream(reading)
    for data in utf8_slices(content, encoding, _SLICE):
        yield from stream.feed(data)
        if stream.stopped:
            return
    yield from stream.finish(content.damage)


# ── documents ───────────────────────────────────────────────────────────────────────────────────────────────────────

Step = Callable[[], None]


class _XmlStream:
    """Bytes in, finished records out. One expat parser at a time; another after damage or for a further document."""

    def __init__(self, reading: Reading):
        self._path = parse_path(reading.text_field)
        self._next_record = _tag_of(self._path.last)
        self._sought = _or_comment(self._next_record) if self._next_record else _DOCUMENT
        limit = max(reading.max_record_bytes, _MIN_LIMIT)
        self._max_reach, self._may_reread = 2 * limit, _REREAD * limit
        self._collector = RecordCollector(reading, lambda: self._parser.CurrentByteIndex, self._max_reach)
        self._waiting: deque[bytes | Step] = deque()  # what is to be read again, and what to do in between
        self._held = HeldBytes()
        self._parser: Any = None
        self._errors = self._in_a_row = 0
        self._carry = b""
        self._in_comment = False  # one between records, too long to be fed
        self._told_of_end = False
        self._cut_in_section = False  # the file ends in a CDATA section, of which nothing was read again yet
        self.stopped = False
        self._open_parser()

    def feed(self, data: bytes) -> Iterator[Item]:
        """The records that end in this slice, or in what waits."""
        self._waiting.append(data)
        while self._waiting and not self.stopped:
            step = self._waiting.popleft()
            if not isinstance(step, bytes):
                step()
            elif self._parser is None:
                self._seek(step)
            elif self._in_comment:
                self._seek_end_of_comment(step)
            elif step:
                self._parse(step)
            yield from self._drain()

    def finish(self, damage: str | None) -> Iterator[Item]:
        """What the end of the file adds: the damage, an unfinished record, or that there was no record at all."""
        while damage and self._parser is not None and self._go_back(None, self._held.fed):
            yield from self.feed(b"")
        if damage and (self._parser is None or not self._collector.in_record):
            self._stop(damage)
        while not self.stopped and self._parser is not None and self._held.fed:
            if damage:
                self._cut_off(damage)
            else:
                self._parse(b"", final=True)
            yield from self.feed(b"")
        if not (self.stopped or self._told_of_end) and self._carry.rfind(b"<") > self._carry.rfind(b">"):
            self._reject("truncated_file")
        nothing = not self._collector.count and self._collector.met_element
        yield from self._drain()
        if nothing:
            yield Reject(-1, "missing_text")

    def _drain(self) -> list[Item]:
        found, self._collector.ready = self._collector.ready, []
        if any(isinstance(item, Record) for item in found):
            self._in_a_row = 0
        return found

    def _open_fragment(self) -> None:
        """What follows is a piece of a document; its elements stand side by side."""
        self._open_parser(_AROUND, self._path.above)

    def _open_behind_damage(self) -> None:
        """What follows is such a piece, of which nothing was read before."""
        self._open_fragment()
        self._parser.ProcessingInstructionHandler = self._collector.instruction
        self._collector.behind_damage = True

    def _open_parser(self, around: bytes = b"", above: tuple[str, ...] = ()) -> None:
        collector, parser = self._collector, expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.UseForeignDTD(True)  # so that HTML's names (&nbsp;) are skipped entities instead of errors
        if hasattr(parser, "SetReparseDeferralEnabled"):
            parser.SetReparseDeferralEnabled(False)  # what is put off looks like a tag without its end
        parser.Parse(around)
        parser.StartElementHandler, parser.EndElementHandler = collector.start, collector.end
        parser.CharacterDataHandler = collector.text
        parser.CommentHandler, parser.StartCdataSectionHandler = collector.comment, collector.start_section
        parser.EndCdataSectionHandler = collector.end_section
        parser.SkippedEntityHandler = collector.skipped_entity
        parser.EntityDeclHandler, parser.ExternalEntityRefHandler = _check_entity, _refuse_entity
        self._parser = parser
        collector.begin_document(above)
        self._held.clear(len(around))

    def _close_parser(self) -> None:
        """The next record is looked for."""
        self._parser, self._carry = None, b""

    def _parse(self, data: bytes, final: bool = False) -> None:
        parser, held, collector = self._parser, self._held, self._collector
        held.add(data)
        try:
            parser.Parse(data, final)
        except Overgrown:
            return self._outgrow(parser.CurrentByteIndex)
        except Refused as refused:
            return self._pass_over(refused.reason, refused.place or parser.CurrentByteIndex)
        except expat.ExpatError as error:
            return self._recover(error.code, parser.ErrorByteIndex)
        place = parser.CurrentByteIndex
        if collector.in_doubt and held.match(_HIDING_INSTRUCTION, place):
            return self._pass_over(None, place)  # whether it ends or not
        if held.fed - place > _MAX_TAG + _SLICE:
            return self._pass_over_token(place)
        if not collector.in_record:
            if held.fed - collector.passed_over > _MAX_PASSED_OVER:
                collector.forget_passed_over()
            held.keep_from(collector.passed_over or place)  # a tag that began may be a further document's
        elif held.fed - collector.began > self._reach():
            self._check_length(place)
        else:
            held.keep_from(collector.began)
        if final:
            self._close_parser()

    def _seek(self, data: bytes) -> None:
        """Begin at the next record's tag, or a comment that may hide some; where any root is a record, at the next document."""
        data = self._carry + data
        found = self._sought.search(data)
        if found is None:
            self._carry = data[-_MAX_NAME:]
            return
        self._carry = b""
        (self._open_behind_damage if self._next_record else self._open_parser)()
        self._waiting.appendleft(data[found.start() :])

    def _seek_end_of_comment(self, data: bytes) -> None:
        """What of a slice is in the comment is not fed to the parser, which knows of its beginning."""
        data = self._carry + data
        found = data.find(b"--")
        self._carry = data[-1:] if found < 0 else b""
        if found >= 0:
            self._in_comment = False
            self._waiting.appendleft(data[found:])

    # ── damage ──

    def _recover(self, code: int, place: int) -> None:
        """After an error at a byte: a further document, or else the next place where a record begins."""
        collector, held = self._collector, self._held
        if code == _TAG_MISMATCH and collector.passed_over:
            collector.meet_end_of(held.group(_END_NAME, place))
        if code in _AFTER_ROOT and not held.match(_HIDING_INSTRUCTION, place):
            if not self._go_back("truncated_file", place):
                self._go_on(self._inside("truncated_file"), self._open_parser, place)
        elif code == _NO_ELEMENTS and not collector.in_element:
            self._close_parser()
        elif code == _TAG_MISMATCH and self._reads_on_behind_end():
            self._reject(None if self._errors else "invalid_xml")
            self._go_on([], self._open_behind_damage, place)
        elif code in _CUT_OFF:
            self._meet_end()
            self._fail("truncated_file", held.fed, is_loss=code != _NO_ELEMENTS)
        else:
            self._fail("invalid_xml", place, self._is_loss(held.find_last(b"<", place), place))

    def _reads_on_behind_end(self) -> bool:
        """A stray end tag between records hides nothing: read on behind it, a record knows what begins above it.

        But not where a piece of a document has elements above it, and not behind any number of such tags.
        """
        between = not self._collector.in_record and self._in_a_row < _MAX_STRAY_ENDS
        return between and self._next_record is not None and not self._path.above

    def _fail(self, reason: str, place: int, is_loss: bool) -> None:
        """What cannot be read up to a place is in records, or between them; there later errors are the first one's, but for a loss.

        Where any element may be a record, the rest of the document is one.
        """
        if self._collector.in_record:
            self._break(reason, place)
        elif not self._go_back(None if is_loss else reason, place):
            is_told = is_loss or not self._errors or self._next_record is None
            self._reject(reason if is_told else None)
            self._go_on([], self._close_parser, place)

    def _go_back(self, reason: str | None, place: int) -> bool:
        """Between records, read again what was passed over below an element that has not ended: a second time, found anywhere.

        The error is met again; so there is no reason yet where it is a loss.
        """
        collector, again = self._collector, self._collector.passed_over
        length = place - again
        if collector.in_record or not again or length > self._may_reread + _REREAD * again:
            return False
        self._may_reread, self._cut_in_section = self._may_reread - length, False
        self._reject(None if self._errors else reason)
        self._go_on([], partial(self._open_again, length * collector.read_again), again)
        return True

    def _open_again(self, length: int) -> None:
        (self._open_behind_damage if self._collector.behind_damage else self._open_fragment)()
        self._collector.read_again, self._collector.anywhere_before = True, length and length + len(_AROUND)

    def _is_loss(self, token: int, place: int) -> bool:
        """Whether what begins at `token`, and is in error at a place, is a record's tag, or hides records."""
        held = self._held
        if self._collector.section:
            return True
        if held.match(_COMMENT, token):
            return held.find(_HIDING_ENDS, token, place) is None
        ended = held.match(_WHOLE_TAG, token)
        is_record = self._next_record is not None and held.match(self._next_record, token) is not None
        return is_record and not (ended and ended <= place)

    def _pass_over(self, reason: str | None, place: int) -> None:
        """After what is refused the next record is looked for, by a parser that knows none of the file's own entities.

        What is refused in the file's own declarations costs no record; one that uses them is refused in its turn.
        """
        of_entity = reason == "xml_entity"
        self._collector.entities_refused |= of_entity
        self._collector.behind_damage = True  # what is read again may not end at this place
        if (reason is None or of_entity) and self._go_back(None, place):
            return
        if reason is None:
            return self._go_on([], self._close_parser, place)
        if self._collector.in_record:
            self._break(reason, place, hidden=False)
        elif of_entity or reason == "truncated_file":
            self._reject(None if of_entity and self._next_record else reason)
            self._go_on([], self._close_parser, place)
        else:
            self._fail(reason, place, is_loss=False)

    def _pass_over_token(self, place: int) -> None:
        """What begins at a place is longer than a tag may be. A comment between records may."""
        held = self._held
        if held.match(_COMMENT, place) and not self._collector.in_record:
            self._in_comment = not held.ends_with(b"-")  # which may be of the comment's end
        else:
            is_loss = held.match(_INSTRUCTION, place) is not None or self._is_loss(place, held.fed)
            self._fail("record_too_long", held.fed, is_loss)

    def _reach(self) -> int:
        """How long a record may be that holds others: the less is left to look through again, the shorter."""
        left = self._may_reread + _REREAD * self._collector.began
        return max(_SLICE, min(self._max_reach, left // 4))

    def _check_length(self, place: int) -> None:
        """A record beyond the reach lacks its end if others are in it, or seem to be; else it is only long, and let go of."""
        held, collector = self._held, self._collector
        length = held.fed - collector.began
        if collector.holds_others:
            self._outgrow(held.fed)
        elif self._next_record and held.find(self._next_record, collector.began + 1) is not None:
            self._break("record_too_long" if length > collector.max_bytes else "invalid_xml", held.fed)
        else:
            held.cut(min(place, held.fed - _MAX_NAME))

    def _outgrow(self, place: int) -> None:
        """Records that hold others for too long are given up: those that began in the first half of what they hold.

        So half of it is read again at most, and the work stays linear.
        """
        levels = self._collector.open
        half = levels[0].began + min(self._max_reach, place - levels[0].began) // 2
        num_lost = sum(level.began < half for level in levels)
        if num_lost == len(levels):
            self._break("record_too_long", place)
        else:
            steps = self._inside("record_too_long", num_lost)
            self._go_on(steps, self._open_behind_damage, levels[num_lost].began)

    def _break(self, reason: str, place: int, hidden: bool = True) -> None:
        """The records at hand cannot be read, for what was met up to a place.

        The next one is looked for after the last that ended inside of them: what is not closed may hide it.
        """
        steps = self._inside(reason)
        if self._cut_in_section:
            self._cut_in_section = False
            steps.append(self._end_sections)
        last = self._collector.open[-1]
        found = self._find_hidden(last, place) if hidden else None
        if found is not None and self._next_record:
            if place - found <= self._may_reread + _REREAD * found:
                self._may_reread -= place - found
                place = found
            else:
                steps += [partial(self._reject, reason)] * self._held.count(self._next_record, found, place)
        self._go_on(steps, self._close_parser, place)

    def _find_hidden(self, level: Level, place: int) -> int | None:
        """Where a record seems to begin that the parser has not seen, before a place."""
        held = self._held
        back = held.end_of(level.last, level.last_end) if level.last else level.began + 1
        if self._collector.hid >= back:
            back = held.find(_HIDING_ENDS, self._collector.hid) or back
        return held.find(self._next_record, back, place) if self._next_record else None

    def _inside(self, reason: str, num_lost: int | None = None) -> list[bytes | Step]:
        """Of each record that is open a reject, and of those that ended in it the bytes, to be read once more.

        Of elements nested too deep, none of which ended, the outermost and the innermost stand for all.
        """
        levels = self._collector.open[:num_lost]
        ended = any(level.last for level in levels)
        if reason == "nested_too_deep" and not ended:
            levels = [levels[0], *levels[1:][-1:]]
        steps: list[bytes | Step] = [self._open_fragment] if ended else []
        for level in levels:
            steps.append(partial(self._reject, reason))
            if level.last:
                end = self._held.end_of(level.last, level.last_end)
                steps += self._held.between(level.first, end, _SLICE)
        return steps

    def _go_on(self, steps: list[bytes | Step], then: Step, place: int) -> None:
        """After some steps what was fed from a place on is read again; what is before it is done with."""
        if self._in_a_row > _MAX_ERRORS:
            return self._stop("corrupt_file")
        self._in_comment = False
        self._may_reread += _REREAD * place
        self._waiting.extendleft(reversed([*steps, then, *self._held.after(max(place, 1))]))

    def _meet_end(self) -> None:
        self._told_of_end = True
        self._cut_in_section = self._collector.section > 0

    def _end_sections(self) -> None:
        """What lies before the cut was read again: a section that begins from here on has no end."""
        self._collector.no_section_ends = True

    def _cut_off(self, damage: str) -> None:
        """After what is not there a record without its end may be at hand, or one that ends where the damage begins."""
        self._meet_end()
        if self._collector.in_record:
            self._break(damage, self._held.fed)
        elif not self._go_back(None, self._held.fed):
            self._close_parser()

    def _reject(self, reason: str | None) -> None:
        """Count an error, which may be that of a record."""
        if reason:
            self._collector.reject(reason)
        self._errors += 1
        self._in_a_row += 1

    def _stop(self, reason: str) -> None:
        self._collector.reject(reason)
        self.stopped = True


def _or_comment(tag: re.Pattern[bytes]) -> re.Pattern[bytes]:
    return re.compile(tag.pattern + b"|" + _COMMENT.pattern)


def _tag_of(name: str) -> re.Pattern[bytes] | None:
    """The beginning of an element's tag, with any prefix; None where any element is meant."""
    if name in ("", "*"):
        return None
    return re.compile(rb"<(?:[^\s<>/:=&'\"!?]+:)?" + re.escape(name.encode()) + rb"(?=[\s/>])")


def _check_entity(name: str, is_parameter: bool, value: str | None, *_place: Any) -> None:
    """A document's own entity may stand for a few characters; one that holds others, or markup, is refused."""
    if value is not None and (is_parameter or len(value) > _MAX_ENTITY or "&" in value or "<" in value):
        raise Refused("xml_entity")


def _refuse_entity(_context: str, *_place: Any) -> int:
    raise Refused("xml_entity")
