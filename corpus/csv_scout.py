"""Where a CSV row ends that is too long to hold: its file is read once more, ahead of the rows, and none of it is held."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto

from corpus.files import Content

_PIECE = re.compile(rb"\n|[^\n]+")


class _State(Enum):
    FIELD_BEGINS = auto()
    UNQUOTED = auto()
    QUOTED = auto()
    AFTER_QUOTE = auto()
    BROKEN = auto()


class Scout:
    """Reads forward only, so that all that is asked of it costs one reading of the file."""

    def __init__(self, content: Content, delimiter: str):
        self._content, self._delimiter = content.again(), delimiter.encode()
        self._pieces = self._in_pieces()
        self.line = 0  # the one it is in
        # of a row that begins with this line, as far as it was read
        self._of_line, self._bytes_of_line = _State.FIELD_BEGINS, 0

    def row_end(self, line: int, most: int) -> int | None:
        """The number of the line after the row that begins at `line`.

        None where its quotes break, or it is longer than `most` bytes, which shows at `self.line`. `line` is never below
        `self.line`. A row that the end of a damaged file cuts off ends there.
        """
        while self.line < line and (piece := next(self._pieces, None)):
            if piece == b"\n":
                self._next_line()
        state, size = self._of_line, self._bytes_of_line
        while state is not _State.BROKEN and size <= most:
            piece = next(self._pieces, None)
            if piece is None:
                closed = state is not _State.QUOTED or self._content.damage
                return self.line + 1 if closed else None
            if piece == b"\n" and state is not _State.QUOTED:
                return self._next_line()
            size += len(piece)
            state = self._after_piece(state, piece)
        return None

    def _in_pieces(self) -> Iterator[bytes]:
        """Lines and line ends in turn; a line that lies across blocks is several pieces."""
        for block in self._content:
            for piece in _PIECE.finditer(block):
                yield piece[0]

    def _after_piece(self, state: _State, piece: bytes) -> _State:
        if piece == b"\n":
            self._next_line()
            return state
        after = self._follow(state, piece)
        self._of_line = after if state is self._of_line else self._follow(self._of_line, piece)
        self._bytes_of_line += len(piece)
        return after

    def _next_line(self) -> int:
        self.line += 1
        self._of_line, self._bytes_of_line = _State.FIELD_BEGINS, 0
        return self.line

    def _follow(self, state: _State, piece: bytes) -> _State:
        """The state of a row after more of it, as `csv` reads it; a carriage return may stand behind a closing quote."""
        at = 0
        while at < len(piece):
            if state is _State.BROKEN:
                return state
            if state is _State.FIELD_BEGINS:
                state = _State.QUOTED if piece.startswith(b'"', at) else _State.UNQUOTED
                at += state is _State.QUOTED
            elif state is _State.AFTER_QUOTE:
                state = self._closed(piece[at : at + 1])
                at += 1
            else:
                ends = b'"' if state is _State.QUOTED else self._delimiter
                at = piece.find(ends, at) + 1
                if not at:
                    return state
                state = _State.AFTER_QUOTE if state is _State.QUOTED else _State.FIELD_BEGINS
        return state

    def _closed(self, following: bytes) -> _State:
        if following == b'"':
            return _State.QUOTED
        if following == b"\r":
            return _State.UNQUOTED
        return _State.FIELD_BEGINS if following == self._delimiter else _State.BROKEN
