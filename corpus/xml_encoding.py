"""The bytes of an XML file in any encoding of text → slices of UTF-8, which is all that the parser is given."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from corpus.files import Content
from corpus.xml_records import CONTROL, NOT_TEXT

_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r"))
_CONTROL_PATTERN = re.compile(b"[" + re.escape(_CONTROLS) + b"]")
_DECLARATION = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*['\"]([A-Za-z0-9._-]+)")
_ENCODINGS = re.compile(
    r"utf-?8|us-?ascii|ascii|latin-?1|iso-?8859-?\d+|windows-?\d+|cp\d+|koi8-?[ru]|mac-?\w+"
    r"|shift_?jis|euc-?(jp|kr|cn)|iso-2022-jp|gb(2312|k|18030)|big5"
)

codecs.register_error("tilth.mark", lambda error: (NOT_TEXT, error.end))  # type: ignore[attr-defined]


def encoding_of(head: bytes) -> str | None:
    """The encoding by byte order mark, by how `<` is written, or as declared; None where it is not one of text."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head[:2] in (b"<\0", b"\0<"):
        return "utf-16-le" if head[0] else "utf-16-be"
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8"
    declared = _DECLARATION.match(head.lstrip())
    name = declared[1].decode().lower() if declared else "utf-8"
    if re.match(r"u(tf|cs)[-_]?(16|32|2|4)", name):
        return "utf-8"  # the declaration was read as bytes, so it is not what it says
    try:
        return codecs.lookup(name).name if _ENCODINGS.fullmatch(name) else None
    except LookupError:
        return None


def utf8_slices(content: Content, encoding: str, size: int) -> Iterator[bytes]:
    """Slices of UTF-8, with marks where there were bytes that are no text, or control characters."""
    decoder = codecs.getincrementaldecoder(encoding)("tilth.mark")
    for block in content:
        for start in range(0, len(block), size):
            yield _without_controls(decoder.decode(block[start : start + size]).encode())
    yield _without_controls(decoder.decode(b"", final=True).encode())


def _without_controls(data: bytes) -> bytes:
    if len(data.translate(None, _CONTROLS)) == len(data):
        return data
    return _CONTROL_PATTERN.sub(CONTROL.encode(), data)
