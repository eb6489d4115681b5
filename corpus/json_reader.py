"""JSON records: one object per line, or the values of a JSON document (an array, or objects one after the other).

Both keep going after a broken record: lines at the next line, documents where its quotes and brackets close, so that nothing
in it becomes a document and nothing behind it is lost. Where they do not close, or the record is too long to hold, at the next
place where an object begins after another has ended: what is in it cannot be told from what follows.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

from corpus.files import Content
from corpus.lines import split_lines
from corpus.records import MAX_DEPTH, Item, Reading, RecordMaker, Reject, too_deep

_HEAD = 1 << 20  # bytes looked at to tell lines from a document
_WINDOW = 64 << 10  # characters
# Characters that may be looked through again after damage, for each that lies before it and each that a record may have: the
# work stays linear in the file, and damage in one place leaves enough for the next.
_REREAD = 8
_MAX_DIGITS = 4300  # of an integer that Python reads and writes as text


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MAX_DIGITS else digits


_DECODER = json.JSONDecoder(parse_constant=lambda name: None)  # NaN and Infinity, which JSON does not have
_LONG_INTEGERS = json.JSONDecoder(parse_constant=lambda name: None, parse_int=_integer)


# ── lines ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_jsonl(content: Content, reading: Reading) -> Iterator[Item]:
    """One object per line; positions are line numbers from 0. Blank lines are nothing."""
    maker = RecordMaker(reading)
    number = 0
    for line in split_lines(content, reading.max_record_bytes):
        if line is None:
            yield Reject(number, "record_too_long")
        elif line and not line.isspace():
            yield _line_record(maker, number, line)
        number += 1
    if content.damage:
        yield Reject(number, content.damage)


def _line_record(maker: RecordMaker, number: int, line: bytes) -> Item:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return Reject(number, "invalid_utf8")
    try:
        value = _decode(text)
    except json.JSONDecodeError:
        return Reject(number, "invalid_json")
    except RecursionError:
        return Reject(number, "nested_too_deep")
    return _value_record(maker, number, value, text)


def _decode(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # Python's limit on the digits of an integer
        return _LONG_INTEGERS.decode(text)


def _value_record(maker: RecordMaker, number: int, value: Any, text: str) -> Item:
    if not isinstance(value, dict):
        return Reject(number, "wrong_type")
    if text.count("{") + text.count("[") > MAX_DEPTH and too_deep(value):
        return Reject(number, "nested_too_deep")
    return maker.from_fields(number, value)


# ── documents ───────────────────────────────────────────────────────────────────────────────────────────────────────


def read_json(content: Content, reading: Reading) -> Iterator[Item]:
    """The objects of a JSON array, of one object, or of objects after each other; positions count values.

    A file whose first line is a whole object is read by lines: much of what is called .json is.
    """
    if _is_lines(content.peek(_HEAD)):
        return read_jsonl(content, reading)
    return _Values(content, reading).read()


def _is_lines(head: bytes) -> bool:
    first, _, rest = head.lstrip().partition(b"\n")
    if not first.startswith(b"{") or not rest.strip():
        return False
    try:
        _decode(first.decode())
    except (ValueError, RecursionError):
        return False
    return True


_SEPARATORS = re.compile(r"[\s,]*")
_BEGINNING = re.compile(
    r"\s*|-?[0-9.eE+-]{0,99}|t(r(ue?)?)?|f(a(lse?|l)?)?|n(u(ll?)?)?|N(aN?)?|-?I[a-z]{0,7}|\\?u?[0-9a-fA-F]{0,4}"
)
_DIGITS = re.compile(r"[0-9.eE+-]*+")
_GOES_ON = re.compile(r"\s*+(?:\]|,[\s,]*+[^\s,])")  # an array, behind an element
_MAY_GO_ON = re.compile(r"(\.|[eE][+-]?)?")  # between what may be half a number and the end of a window
_MAX_INDENT = 100
_LAID_OUT = 100  # values that tell whether objects have lines of their own


def _next_object(indent: str) -> re.Pattern[str]:
    """Where an object begins after another, or on a line of its own as far in as the elements or not at all.

    Such a line cannot stand in a string. Nothing is given back: linear in any text.
    """
    return re.compile(rf"\}}[^\S\n]*+[,\n][\s,]*+\{{|\n(?:{re.escape(indent)})?\{{")


_NEXT_OBJECT = _next_object("")


# To where a value that is no JSON ends, told by its quotes and brackets: what an array's elements are made of beside brackets,
# and what stands between brackets. Strings end before what may follow one, else quotes are missing or too many.
_STRING = r'"(?:[^"\\]++|\\.)*+"'
_WORD = re.compile(rf"(?:{_STRING}|\}}|[^\[\]{{}}\",\n]++)(?=\s*+[,\]]|\n)", re.DOTALL)
_BETWEEN_BRACKETS = re.compile(rf'(?:[^\[\]{{}}"]++|{_STRING}(?=\s*+[,:\]}}]))*+', re.DOTALL)
_HALF_STRING = re.compile(r'(?:"(?:[^"\\]++|\\.)*+(?:\\|"\s*+)?)?', re.DOTALL)  # to the end of a window
_HALF_WORD = re.compile(rf'(?:[^\[\]{{}}",\n]++|\}}\s*+|{_HALF_STRING.pattern})', re.DOTALL)
_CLOSING = {"{": "}", "[": "]"}


class _Values:
    """A window over a JSON document that moves from value to value and holds little more than one of them."""

    def __init__(self, content: Content, reading: Reading):
        self._content, self._texts = content, _Texts(content)
        self._maker, self._limit = RecordMaker(reading), reading.max_record_bytes
        self._may_reread = _REREAD * reading.max_record_bytes
        self._window, self._at = "", 0
        self._open_until = 0  # up to here brackets did not close
        self._in_array = False
        self._next_object = _NEXT_OBJECT
        self._values_to_lay_out = _LAID_OUT  # until one tells how far in its line it begins
        self._lost_end = False  # in a broken value, whose reject tells it

    def read(self) -> Iterator[Item]:
        count = 0
        while self._next_value():
            yield self._value(count)
            count += 1
        if (self._content.damage or self._in_array) and not self._lost_end:
            yield Reject(count, self._content.damage or "truncated_file")

    def _next_value(self) -> bool:
        """Move to where the next value begins; False at the end."""
        while True:
            start = self._at
            self._at = _SEPARATORS.match(self._window, start).end()  # type: ignore[union-attr]  # it matches anywhere
            here = self._window[self._at : self._at + 1]
            if not here:
                if (newline := self._newline(start)) >= 0:
                    self._at = newline  # to see how far in the value is
                if not self._fill():
                    return False
            elif here == ("]" if self._in_array else "["):
                self._in_array = not self._in_array
                self._at += 1
            else:
                if self._values_to_lay_out:
                    self._lay_out(start)
                return True

    def _lay_out(self, start: int) -> None:
        """See how far in an object begins on a line of its own."""
        self._values_to_lay_out -= 1
        newline = self._newline(start)
        if newline >= 0 and self._window[self._at] == "{":
            self._next_object = _next_object(self._window[newline + 1 : self._at])
            self._values_to_lay_out = 0

    def _newline(self, start: int) -> int:
        """Where the line begins that is now in sight, if not before `start` or farther away than elements are; else -1."""
        return self._window.rfind("\n", max(start, self._at - _MAX_INDENT), self._at)

    def _value(self, count: int) -> Item:
        while True:
            try:
                value, end = self._decode()
            except (json.JSONDecodeError, RecursionError) as error:
                if self._may_go_on(error) and self._grow():
                    continue
                return Reject(count, self._pass_broken(error))
            text = self._window[self._at : end]
            if not (_MAY_GO_ON.fullmatch(self._window, end) and self._grow()):
                break  # what follows is in sight: `12` is not the beginning of `123`, or of `12e7`
        if isinstance(value, list) and self._is_stray_bracket(len(text)):
            return Reject(count, self._pass_bracket())
        self._at += len(text)  # not `end`: growing moves the window
        if len(text) > self._limit:
            self._pass_digits()
        return self._record(count, value, text)

    def _decode(self) -> tuple[Any, int]:
        try:
            return _DECODER.raw_decode(self._window, self._at)
        except json.JSONDecodeError:
            raise
        except ValueError:
            return _LONG_INTEGERS.raw_decode(self._window, self._at)

    def _record(self, count: int, value: Any, text: str) -> Item:
        try:
            size = len(text) if text.isascii() else len(text.encode())
        except UnicodeEncodeError:
            return Reject(count, "invalid_utf8")
        if size > self._limit:
            return Reject(count, "record_too_long")
        return _value_record(self._maker, count, value, text)

    def _pass_digits(self) -> None:
        """Move behind a number that was not taken in as a whole."""
        while True:
            self._at = _DIGITS.match(self._window, self._at).end()  # type: ignore[union-attr]  # it matches anywhere
            if self._at < len(self._window) or not self._fill():
                return

    def _may_go_on(self, error: Exception) -> bool:
        """Whether more text could mend it: a string without end, or nothing but the beginning of a word after the error."""
        if not isinstance(error, json.JSONDecodeError):
            return False
        return error.msg.startswith("Unterminated string") or bool(
            _BEGINNING.fullmatch(self._window, error.pos)
        )

    def _reason(self, error: Exception) -> str:
        if isinstance(error, RecursionError):
            return "nested_too_deep"
        if not self._may_go_on(error):
            return "invalid_json"
        if self._texts.ended:
            return self._content.damage or "truncated_file"
        return "record_too_long" if len(self._window) - self._at > self._limit else "invalid_json"

    def _pass_broken(self, error: Exception) -> str:
        """Move behind a broken value; returns the reason why it is no record."""
        reason = self._reason(error)
        size = self._closed_size(error)
        if not isinstance(error, RecursionError) and self._is_stray_bracket(size):
            return self._pass_bracket()
        if size:
            self._at += size
        else:
            self._skip()
        self._shorten()
        return reason

    def _pass_bracket(self) -> str:
        self._at += 1
        self._open_until = 0  # it was this one
        self._shorten()
        return "invalid_json"

    def _is_stray_bracket(self, size: int) -> bool:
        """Whether a list of `size` characters (0: it does not close) has objects that are elements of the array around it.

        So it is where the array does not go on behind it: what closes the list is then the array's own end.
        """
        if not self._in_array or self._window[self._at] != "[":
            return False
        if self._window.find("{", self._at, self._at + size if size else len(self._window)) < 0:
            return False
        return not size or not self._goes_on(size)

    def _goes_on(self, size: int) -> bool:
        """Whether the array has its end, or a comma and something more, `size` characters from here."""
        while not _GOES_ON.match(self._window, self._at + size):
            if not (_SEPARATORS.fullmatch(self._window, self._at + size) and self._grow()):
                return False
        return True

    def _closed_size(self, error: Exception) -> int:
        """How long a broken value is if its quotes and brackets tell it, else 0.

        Where they do not close, whatever is broken up to there is left to `_skip`, so that no text is looked through for each
        of the brackets before it.
        """
        if isinstance(error, RecursionError) or self._may_go_on(error) or self._at < self._open_until:
            return 0
        if self._window[self._at] in _CLOSING:
            return self._bracketed_size()
        return self._word_size() if self._in_array else 0

    def _word_size(self) -> int:
        while not (word := _WORD.match(self._window, self._at)):
            if not (_HALF_WORD.fullmatch(self._window, self._at) and self._grow()):
                return 0
        return word.end() - self._at

    def _bracketed_size(self) -> int:
        """How long the value is if its brackets match; 0 where they do not, or nest deeper than a record may."""
        awaited: list[str] = []
        size = 0
        while len(awaited) <= MAX_DEPTH:
            size = _BETWEEN_BRACKETS.match(self._window, self._at + size).end() - self._at  # type: ignore[union-attr]  # it matches anywhere
            here = self._window[self._at + size : self._at + size + 1]
            if here in _CLOSING:
                awaited.append(_CLOSING[here])
            elif awaited and here == awaited[-1]:
                awaited.pop()
                if not awaited:
                    return size + 1
            elif _HALF_STRING.fullmatch(self._window, self._at + size) and self._grow():
                continue
            else:
                break
            size += 1
        self._open_until = self._at + size
        return 0

    def _skip(self) -> None:
        """Move to the next place where an object begins after another has ended or on a line of its own, or to the end."""
        self._at += self._window[self._at] != "}"  # one too many of them may be the other's end
        while not (found := self._next_object.search(self._window, self._at)):
            self._at = max(self._at, len(self._window) - 1024)  # the place may lie across two windows
            if not self._fill():
                self._at, self._lost_end = len(self._window), True
                return
        self._at = found.end() - 1

    def _shorten(self) -> None:
        """After an error: each costs a look through the window up to it (for its line number)."""
        if len(self._window) - self._at > 2 * _WINDOW:
            self._may_reread -= len(self._window)
            self._texts.give_back(self._window[self._at + _WINDOW :])
            self._window = self._window[: self._at + _WINDOW]
        if self._at > _WINDOW // 16:
            self._drop()

    def _grow(self) -> bool:
        """Take in as much again, as far as a value may go; False where it may not, or there is no more."""
        size = len(self._window) - self._at
        reach = max(_WINDOW, (self._may_reread + _REREAD * self._at) // 4)
        return size <= min(self._limit, reach) and self._fill(max(size, _WINDOW))

    def _fill(self, size: int = 0) -> bool:
        """Drop what is behind and take in `size` characters more, or a window of them; False where there are none."""
        more = self._texts.take(size or _WINDOW)
        self._drop()
        self._window += more
        return bool(more)

    def _drop(self) -> None:
        """What is behind is done with."""
        self._may_reread += _REREAD * self._at
        self._open_until -= self._at
        self._window, self._at = self._window[self._at :], 0


class _Texts:
    """A content's characters, in pieces of any size, with a way back."""

    def __init__(self, content: Content):
        self._blocks = iter(content)
        # undecodable bytes become lone surrogates, so that only the value they stand in is rejected
        self._utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text, self._at, self._all_read = "", 0, False

    @property
    def ended(self) -> bool:
        return self._all_read and self._at >= len(self._text)

    def take(self, size: int) -> str:
        """The next `size` characters, fewer at the end."""
        pieces = [self._text[self._at : self._at + size]]
        self._at += size
        held = len(pieces[0])
        while held < size and not self._all_read:
            block = next(self._blocks, b"")
            self._all_read = not block
            text = self._utf8.decode(block, final=self._all_read)
            pieces.append(text[: size - held])
            self._text, self._at = text, len(pieces[-1])
            held += len(pieces[-1])
        return "".join(pieces)

    def give_back(self, text: str) -> None:
        """Put characters back in front."""
        self._text, self._at = text + self._text[self._at :], 0
