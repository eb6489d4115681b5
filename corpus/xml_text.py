"""The text of an XML element: which elements stand on lines of their own, and which run on in the line.

XML does not say. What is known by name (HTML, JATS, TEI, DocBook and legal vocabularies agree on much) is decided by name; any
other element runs on where it stands among text (`see <cite>§ 7</cite> above`), and stands alone where its siblings are
elements only. A label (a number, a table cell) is followed by a space and what it labels: "(a) If an owner …".
"""

from __future__ import annotations

import re
from functools import lru_cache

_INLINE = """a abbr acronym b bdi bdo big bold cite citation dfn em emph emphasis ext-link font hi i ins italic kbd mark monospace
    q s samp sc small smallcaps span strike strong sub subscript sup superscript tt u ulink underline uri var xref"""
_LABEL = "cell cb enum entry label lb marker num pb td th"
_BLOCK = """abstract article aside blockquote body br caption chapter dd div dl dt figcaption figure footer h1 h2 h3 h4 h5 h6 head
    header heading hr item li list ol p para paragraph part pre row sec section simpara subsection table tbody tfoot thead title tr ul"""
_KEEPS_SPACE = {"pre", "programlisting", "screen", "literallayout", "verbatim"}

# XML 1.0 has no control characters but tab and line ends, so these can mark places until the text is finished.
_OPEN, _CLOSE, _LABELLED, _SPACE, _LINE = "\x1e", "\x1d", "\x1f", "\x1c", "\x1a"
UNKNOWN, INLINE, LABEL, BLOCK = range(4)
_KIND, _HAS_TEXT, _HAS_BLOCKS, _KEEPS = 3, 4, 8, 16
_OPENING, _CLOSING = (_OPEN, "", " ", _OPEN), (_CLOSE, "", _LABELLED, _CLOSE)
_ELEMENT_BYTES = 32
_AFTER_LABEL = re.compile(rf"{_LABELLED}[ {_OPEN}{_LABELLED}]*")
_BEFORE_PUNCTUATION = re.compile(rf"{_LABELLED}(?=[.,;:!?)\]])")
_BREAKS = re.compile(rf"[{_OPEN}{_CLOSE}\n][ \n{_OPEN}{_CLOSE}]*")
_SPACES = re.compile(r"[ \t\r\n]+")
_RUN = re.compile(r"  +")
_LINE_ENDS = re.compile(r"\n(?:[ \t\r]*\n[ \t\r\n]*|[ \t\r]*(?=[-*•–] ))")  # a blank line, or a list item


@lru_cache(maxsize=64)
def kinds_of(inline: tuple[str, ...] = ()) -> dict[str, int]:
    """What is known of elements by their local name: INLINE, LABEL or BLOCK. Names are also known in upper case."""
    known = (
        dict.fromkeys(_BLOCK.split(), BLOCK)
        | dict.fromkeys(_LABEL.split(), LABEL)
        | dict.fromkeys(_INLINE.split(), INLINE)
    )
    return known | {name.upper(): kind for name, kind in known.items()} | dict.fromkeys(inline, INLINE)


class TextJoiner:
    """Collects one record's text from its elements in document order.

    Three lists that grow and shrink together hold what is known of the elements that are open: this is called for every
    element and every piece of text, so it makes no objects.
    """

    def __init__(self, kinds: dict[str, int]):
        self._kinds = kinds
        self._pieces: list[str] = []
        self._run: list[
            str
        ] = []  # the last characters, of which more may come: where they were cut means nothing
        self._starts: list[int] = []  # the place of the element's opening mark
        self._states: list[int] = []  # its kind, and what was seen directly in it
        self._undecided: list[list[int] | None] = []  # marks around its children of no known kind
        self.size = 0  # characters so far, and what keeping track of elements takes

    def begin(self, name: str, space: str | None = None) -> None:
        """An element begins; `space` is its xml:space."""
        self.end_run()
        pieces, states = self._pieces, self._states
        kind = self._kinds.get(name, UNKNOWN)
        keeps = states[-1] & _KEEPS if states else 0
        if space is not None:
            keeps = _KEEPS if space == "preserve" else 0
        elif name in _KEEPS_SPACE:
            keeps = _KEEPS
        self._starts.append(len(pieces))
        self._undecided.append(None)
        states.append(kind | keeps)
        self.size += _ELEMENT_BYTES
        pieces.append(_OPENING[kind])

    def add(self, data: str) -> None:
        """Characters directly in the innermost element."""
        if self._run or not data.isspace():
            self.size += len(data)
        self._run.append(data)

    def end_run(self) -> None:
        """What comes next is not next to the last characters in the document."""
        if not self._run:
            return
        data = self._run[0] if len(self._run) == 1 else "".join(self._run)
        self._run.clear()
        state = self._states[-1]
        if data.isspace():
            if state & _KEEPS:
                data = data.replace("\n", _LINE).replace(" ", _SPACE)
            self._pieces.append(data if state & _KEEPS or not data.isascii() else " ")
            return
        self._states[-1] = state | _HAS_TEXT
        if state & _KEEPS:
            data = data.replace("\n", _LINE).replace(" ", _SPACE)
        elif "\n" in data:
            data = _SPACES.sub(" ", _LINE_ENDS.sub(_CLOSE, data))
        elif "\t" in data or "\r" in data:
            data = _SPACES.sub(" ", data)
        self._pieces.append(data)

    def end(self) -> int:
        """The innermost element ends; returns the place where it starts."""
        self.end_run()
        start, state, undecided = self._starts.pop(), self._states.pop(), self._undecided.pop()
        pieces, kind = self._pieces, state & _KIND
        if undecided:
            if state & _HAS_TEXT or len(undecided) == 2:
                for place in undecided:
                    pieces[place] = ""
            else:
                state |= _HAS_BLOCKS
        pieces.append(_CLOSING[kind])
        if self._states:
            if state & _HAS_BLOCKS or kind == BLOCK:
                self._states[-1] |= _HAS_BLOCKS
            elif kind == UNKNOWN:
                above = self._undecided[-1]
                if above is None:
                    above = self._undecided[-1] = []
                above += (start, len(pieces) - 1)
        return start

    def text(self, start: int = 0) -> str:
        """The finished text of what was collected from a place on."""
        text = "".join(self._pieces[start:] if start else self._pieces)
        if "  " in text:  # first of all: the patterns below are linear only where spaces stand alone
            text = _RUN.sub(" ", text)
        if _LABELLED in text:
            text = _AFTER_LABEL.sub(" ", _BEFORE_PUNCTUATION.sub("", text))
        text = _BREAKS.sub("\n", text).replace(" \n", "\n")
        if "  " in text:
            text = _RUN.sub(" ", text)
        text = text.strip(" \n")
        if _LINE in text or _SPACE in text:
            text = text.replace(_LINE, "\n").replace(_SPACE, " ")
        return text
