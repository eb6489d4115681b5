"""XML: well-formed or not, in any encoding, and never more than the file itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from corpus.readers import Record, Reject

Read = Callable[..., list[Any]]
ItemsOf = Callable[..., list[Record | Reject]]

XML = "<r><s>one</s>{}<s>two</s></r>"

XML_DAMAGE: list[tuple[str | bytes, list[Any]]] = [
    ("<s>a & b</s>", [(1, "invalid_xml")]), ("<s>a < b</s>", [(1, "invalid_xml")]), ("<s>a<i>b</s>", [(1, "invalid_xml")]), ("<s>a</x></s>", [(1, "invalid_xml")]), ("<s>bad", [(1, "invalid_xml")]),
    ("<s>a</s", [(1, "invalid_xml")]), ("<s a=1>b</s>", [(1, "invalid_xml")]), ('<s a="1" a="2">b</s>', [(1, "invalid_xml")]), ("<s>&#0;</s>", [(1, "invalid_xml")]), ("<s>&#xd800;</s>", [(1, "invalid_xml")]),
    ("<s>a\0b</s>", [(1, "invalid_xml")]), ("<s>a\x0bb</s>", [(1, "invalid_xml")]), ("<s>a\uffffb</s>", [(1, "invalid_xml")]), ("<s><!-- a -- b --></s>", [(1, "invalid_xml")]), ("<x></s>", [(1, "invalid_xml")]),
    (b"<s>\xff</s>", [(1, "invalid_utf8")]), (b"<s>\xed\xa0\x80</s>", [(1, "invalid_utf8")]), ("<s>é</s>".encode("latin-1"), [(1, "invalid_utf8")]), (b"<s>a<i>\xfe</i></s>", [(1, "invalid_utf8")]),
    ("<s></s>", [(1, "empty_text")]), ("<s/>", [(1, "empty_text")]), ("<s> \n </s>", [(1, "empty_text")]), ("<s>" + "x" * 5000 + "</s>", [(1, "record_too_long")]), ("<s>" + "<i>x</i>" * 500 + "</s>", [(1, "record_too_long")]),
    ("", []), (" \n ", []), ("<t>not asked for</t>", []), ("stray text", []), (b"<t>\xff</t>", []), ("<!-- <s>no</s> -->", []), ("<?pi <s>?>", []),
    ("<s>a&nbsp;b &hellip; &unknown;</s>", ["a\xa0b … &unknown;"]), ("<s>&lt;&#65;&#x42;<![CDATA[<c> & ]]></s>", ["<AB<c> &"]), ("<s>out <s>in</s></s>", ["out in"]), ("<x:s xmlns:x='u'>in</x:s>", ["in"]),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "middle"), XML_DAMAGE)
def test_xml(read: Read, bad: str | bytes, middle: list[Any]) -> None:
    before, after = XML.split("{}")
    bad = bad.encode() if isinstance(bad, str) else bad
    assert read("a.xml", before.encode() + bad + after.encode(), text_field="s", max_record_bytes=1500) == [
        "one",
        *middle,
        "two",
    ]


BOMB = "<!DOCTYPE r [<!ENTITY a 'ha'>" + "".join(f"<!ENTITY {y} '{f'&{x};' * 10}'>" for x, y in zip("abcdefghi", "bcdefghij", strict=True)) + "]>"  # fmt: skip


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (BOMB + "<r><s>&j;</s></r>", [(0, "xml_entity")]),
        (BOMB + "<r><s>one</s><s>&eacute; &j;</s><s>tw&eacute;</s></r>", ["one", (1, "xml_entity"), "twé"]),
        (BOMB + "<r><s>one</s></r>", ["one"]),
        (f"<!DOCTYPE r [<!ENTITY a '{'x' * 100_000}'>]><r><s>{'&a;' * 1000}</s></r>", [(0, "xml_entity")]),
        ("<!DOCTYPE r [<!ENTITY a SYSTEM 'file:///etc/hostname'>]><r><s>one</s><s>&a;</s><s>two</s></r>", ["one", (1, "xml_entity"), "two"]),
        ("<!DOCTYPE r [<!ENTITY % a SYSTEM 'http://127.0.0.1:9/x.dtd'>%a;]><r><s>one</s></r>", ["one"]),
        ("<!DOCTYPE r SYSTEM 'http://127.0.0.1:9/x.dtd'><r><s>one&eacute;</s></r>", ["oneé"]),
        ("<!DOCTYPE r [<!ENTITY c '©'><!ENTITY pic SYSTEM 'a.gif' NDATA gif>]><r><s>&c; one</s></r>", ["© one"]),
        ("<r>" + "<a>" * 2000, [(0, "nested_too_deep")]),
        ("<r><s>one</s>" + "<a>" * 2000, ["one", (1, "nested_too_deep")]),
        ("<r a='" + "x" * 3_000_000 + "'><s>one</s></r>", [(0, "invalid_xml"), "one"]),
        ("<r><s>one</s><s>tw", ["one", (1, "truncated_file")]),
        ("<r><s>one</s><s>tw</", ["one", (1, "truncated_file")]),
        ("<r><s>one</s><!-- <s>tw", ["one", (1, "truncated_file")]),
        ("<r><s>one</s>", ["one", (1, "truncated_file")]),
        ("<r><s>one</s></r>trailing", ["one", (1, "invalid_xml")]),
        ("<r><s>one</s><s>lost<s>two</s><s>three</s></r>", ["one", (1, "invalid_xml"), "two", "three"]),
        ("<?xml version='1.0'?>\n<r><s>one</s></r>\n<?xml version='1.0'?>\n<r><s>two</s></r>\n<r><s>three</s></r>\n", ["one", "two", "three"]),
        ("hello", [(0, "invalid_xml")]),
        ('{"text": "x"}', [(0, "invalid_xml")]),
        ("<r> </r>", [(-1, "missing_text")]),
        ("<r/>", [(-1, "missing_text")]),
        (" \n", [(-1, "empty_file")]),
        ("<?xml version='1.0' encoding='zlib_codec'?><r><s>one</s></r>", [(-1, "unknown_encoding")]),
        ("<?xml version='1.0' encoding='klingon'?><r><s>one</s></r>", [(-1, "unknown_encoding")]),
        ("<?xml version='1.0' encoding='iso-8859-1'?><r><s>onéé</s></r>".encode("latin-1"), ["onéé"]),
        ("<?xml version='1.0' encoding='windows-1252'?><r><s>“one”</s></r>".encode("cp1252"), ["“one”"]),
        ("<?xml version='1.0' encoding='Shift_JIS'?><r><s>日本</s></r>".encode("shift_jis"), ["日本"]),
        ("<?xml version='1.0' encoding='utf-16'?><r><s>é日</s></r>".encode("utf-16"), ["é日"]),
        ("<r><s>é日</s></r>".encode("utf-16-be"), ["é日"]),
        ("<?xml version='1.0' encoding='utf-16'?><r><s>é</s></r>".encode(), ["é"]),
        ("\ufeff<?xml version='1.0' encoding='utf-8'?><r><s>é</s></r>", ["é"]),
    ],
)  # fmt: skip
def test_xml_files(read: Read, data: str | bytes, found: list[Any]) -> None:
    assert read("a.xml", data, text_field=".//s") == found
