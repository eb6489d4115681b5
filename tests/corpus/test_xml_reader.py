"""XML: well-formed or not, in any encoding, and never more than the file itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import xml_reader as module
from corpus.readers import Record, Reject
from corpus.xml_held import HeldBytes

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


def test_records_within_records_without_end_are_a_few_rejects(read: Read) -> None:
    deep = "<r><s>one</s>" + "<s>" * 20_000 + "x" + "</s>" * 20_000 + "<s>two</s></r>"
    first, *between, last = read("a.xml", deep.encode(), text_field="s")
    assert (first, last) == ("one", "two")
    assert between[0] == (1, "nested_too_deep") and len(between) < 50


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
        ("<r a='" + "x" * 3_000_000 + "'><s>one</s></r>", [(0, "record_too_long"), "one"]),
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


PIECES = ["one\n\ntwo", "one \n - two", "\n \n", "\n", " ", "\t", "a", "one", "-", "- ", "•", "&nbsp;", "&amp;", "&#10;", "<p>", "</p>", "<b>", "</b>", "<x>", "</x>", "<doc>", "</doc>", "<!-- -->", "<![CDATA[", "]]>", "<note>", "</note>", "é", "&", "<?x?>"]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=40), st.integers(1, 9))
def test_how_a_file_is_sliced_says_nothing(
    items_of: ItemsOf, tmp_path_factory: Any, pieces: list[str], size: int
) -> None:
    path, data = (
        tmp_path_factory.mktemp("xml") / "a.xml",
        f"<r><doc>{''.join(pieces)}</doc><doc>two</doc></r>",
    )
    keys: dict[str, Any] = {"text_field": ".//doc", "exclude": ["note"], "id_field": "p"}
    whole = items_of(path, data, **keys)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SLICE", size)
        assert items_of(path, data, **keys) == whole


def test_long_white_space_is_as_short_white_space(read: Read) -> None:
    data = f"<doc>one{' ' * 100_000}\n{' ' * 100_000}two{chr(10) * 100_000}three</doc>"
    assert read("a.xml", data, text_field="doc") == ["one two\nthree"]


# ── ends that are missing ──

DOC = "<doc><p>{} " + "good text here " * 4 + "</p></doc>\n"
BROKEN = {"no end": "<doc><p>its end is missing\n", "no end of a part": "<doc><p>lost</doc>\n", "a sign": "<doc>a & b</doc>\n", "half a tag": "<doc><p cla\n", "half a section": "<doc><![CDATA[lost\n", "half a comment": "<doc><!-- lost\n"}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("limit", [2_000, 32 << 20])
def test_a_broken_record_costs_itself_whatever_follows(read: Read, broken: str, limit: int) -> None:
    data = "<r>\n" + DOC.format("one") * 10 + BROKEN[broken] + DOC.format("two") * 40_000 + "</r>"
    found = read("a.xml", data, text_field=".//doc", max_record_bytes=limit)
    assert [item[:3] for item in found[:10]] == ["one"] * 10
    assert [item for item in found if isinstance(item, tuple)] == [found[10]]
    assert len(found) == 10 + 1 + 40_000


def test_what_stands_before_damage_is_read_in_spite_of_a_missing_end(read: Read) -> None:
    data = f"<r>{DOC.format('one')}{BROKEN['no end']}{DOC.format('two') * 9}<doc>no end here".encode()
    packed = zstandard.ZstdCompressor().compressobj()
    cut = packed.compress(data) + packed.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    found = read("a.xml.zst", cut, text_field=".//doc")
    assert [item if isinstance(item, tuple) else item[:3] for item in found] == [
        "one", (1, "truncated_file"), *["two"] * 9, (11, "truncated_file")
    ]  # fmt: skip


@settings(max_examples=40)
@given(st.lists(st.sampled_from([None, None, *BROKEN.values()]), max_size=60), st.integers(10, 400))
def test_every_good_record_is_read_between_broken_ones(
    items_of: ItemsOf, tmp_path_factory: Any, broken: list[str | None], apart: int
) -> None:
    good = DOC.format("x" * apart)
    data = "<r>\n" + "".join((bad or "") + good for bad in broken) + "</r>"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SLICE", 256)
        patch.setattr(module, "_MIN_LIMIT", 1000)
        path = tmp_path_factory.mktemp("xml") / "a.xml"
        items = items_of(path, data, text_field=".//doc", max_record_bytes=1000)
    assert sum(isinstance(item, Record) for item in items) == len(broken)
    assert (
        sum(isinstance(item, Reject) for item in items) == sum(bad is not None for bad in broken)
        or not broken
    )


def test_a_record_that_is_only_long_costs_itself_and_those_below_it_know_what_is_above(
    tmp_path: Path, items_of: ItemsOf
) -> None:
    long = "<doc>" + "<p>too much of it</p>" * 200_000 + "</doc>"
    items = items_of(
        tmp_path / "a.xml", f"<r url='u'><doc>one</doc>{long}<doc>two</doc></r>", text_field=".//doc", url_field="@url", max_record_bytes=1000
    )  # fmt: skip
    assert items == [Record(0, "one", url="u"), Reject(1, "record_too_long"), Record(2, "two", url="u")]


def test_a_record_may_hold_others_and_much_besides_its_text(read: Read) -> None:
    inside = "<doc>in</doc>" + "<!-- not text -->" * 20_000
    data = f"<r><doc>{inside}</doc><doc>two</doc></r>"
    assert read("a.xml", data, text_field=".//doc", max_record_bytes=1000) == ["in", "two"]


def test_many_broken_records_in_one_file_cost_themselves(read: Read) -> None:
    bad, good = "<doc><p>" + "x" * 20_000, "<doc><p>good text here</p></doc>\n"
    found = read("a.xml", f"<r>{(bad + good) * 300}</r>", text_field=".//doc", max_record_bytes=100_000)
    assert sum(isinstance(item, str) for item in found) == 300
    assert len(found) == 600


@pytest.mark.parametrize(
    "unit",
    ["<doc>a law</doc>\n", "<doc>no end\n", "<doc>no end\n" + "<doc>a law</doc>\n" * 20, "<doc>", "<doc>a & b</doc>", "<doc><a>" * 50 + "</doc>", "<doc>no end\n<doc>a law</doc>\n", "<doc a=1>a & b</doc>", "<doc><p>no end<doc>a law</doc>"],
)  # fmt: skip
def test_what_damage_costs_is_as_the_size_of_the_file(
    read: Read, unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in what is fed to a parser, which a copy stands for too; and nothing that is good is the price."""
    monkeypatch.setattr(module, "_MIN_LIMIT", 50_000)

    def fed(size: int) -> int:
        total = 0
        add = HeldBytes.add

        def count(held: HeldBytes, data: bytes) -> None:
            nonlocal total
            total += len(data)
            add(held, data)

        num_units = size // len(unit)
        with monkeypatch.context() as patch:
            patch.setattr(HeldBytes, "add", count)
            found = read(
                "a.xml", "<r>\n<doc>no end\n" + unit * num_units + "</r>", text_field=".//doc", max_record_bytes=50_000
            )  # fmt: skip
        assert found.count("a law") == unit.count("<doc>a law</doc>") * num_units
        if "a law" in unit or "&" in unit:
            num_broken = unit.count("<doc") - unit.count("<doc>a law</doc>")
            assert len(found) - found.count("a law") == 1 + num_broken * num_units
        return total

    small, large = fed(300_000), fed(1_200_000)
    assert large < 5 * small


def test_after_damage_a_path_still_knows_what_stood_above(read: Read) -> None:
    data = "<d><b><p>one</p><p>a & b</p> <p>two</p><p>three</p></b><p>not this</p><b><p>four</p></b></d>"
    found = read("a.xml", data, text_field="b/p")
    assert found[:4] == ["one", (1, "invalid_xml"), "two", "three"]
    assert found[-1] == "four"
