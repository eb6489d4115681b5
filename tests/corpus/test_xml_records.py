"""XML: how text joins, which elements are records, and where their fields are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.readers import Record, Reject

Read = Callable[..., list[Any]]
ItemsOf = Callable[..., list[Record | Reject]]

SECTION = """<?xml version='1.0' encoding='utf-8'?>
<section xmlns="https://example.org/law" xmlns:xi="http://www.w3.org/2001/XInclude" doc="Code">
  <num>42-2102</num>
  <heading>Purpose.</heading>
  <text>In this chapter the <cite path="§1">Council</cite>, by <cite>§ 7</cite>,  supports:</text>
  <para>
    <num>(1)</num>
    <text>rental;</text>
    <para>
      <num>(A)</num>
      <text>low-and
      moderate-income.</text>
    </para>
  </para>
  <para><num>(2)</num></para>
  <para><num>(3)</num><text>H<sub>2</sub>O<note>left out</note>.</text></para>
  <table><tr><th>Year</th><th>Fee</th></tr><tr><td>1999</td><td><p>5</p></td></tr></table>
  <annotations>
    <annotation type="History" date="1986-08-09">Aug. 9, 1986</annotation>
    <annotation type="Editor"><cite>D.C. Law</cite> added this.</annotation>
  </annotations>
</section>"""

SECTION_TEXT = """42-2102 Purpose.
In this chapter the Council, by § 7, supports:
(1) rental;
(A) low-and moderate-income.
(2)
(3) H2O.
Year Fee
1999 5"""


def test_blocks_stand_on_lines_and_what_is_inline_runs_on(tmp_path: Path, items_of: ItemsOf) -> None:
    reading = {
        "text_field": ".//section",
        "exclude": [".//annotations", "text/note"],
        "metadata": ["heading"],
        "id_field": "num",
        "date_field": "annotation/@date",
    }
    [record] = items_of(tmp_path / "a.xml", SECTION, **reading)
    assert record == Record(0, SECTION_TEXT, "42-2102", None, datetime(1986, 8, 9), {"heading": "Purpose."})
    [record] = items_of(
        tmp_path / "a.xml", SECTION, text_field="/section", exclude=["annotation[@type='History']", "note"]
    )
    assert record == Record(0, SECTION_TEXT + "\nD.C. Law added this.", metadata={"doc": "Code"})


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("<p>one</p><p>two</p>", "one\ntwo"),
        ("  one\n   two  ", "one two"),
        ("one\n\n  two\n - three\n - four", "one\ntwo\n- three\n- four"),
        ("<b>He</b><i>llo</i> <b>you</b>", "Hello you"),
        ("one<br/>two", "one\ntwo"),
        ("<x>one</x><y>two</y>", "one\ntwo"),
        ("see <x>one</x>, <y>two</y>", "see one, two"),
        ("<x>one</x> was first", "one was first"),
        ("see <x><y>one</y></x>!", "see one!"),
        ("list: <x><y>one</y><y>two</y></x> end", "list:\none\ntwo\nend"),
        ("<ul><li>one</li><li>two <b>b</b></li></ul>tail", "one\ntwo b\ntail"),
        ("<num>1</num>. <p>one</p>", "1.\none"),
        ("<num>1</num><b>one</b> <num>2</num> two", "1 one 2 two"),
        ("<pre>a  b\n  c</pre><p>d</p>", "a  b\n  c\nd"),
        ("<x xml:space='preserve'>a  b\n\n  c</x>", "a  b\n\n  c"),
        ("a&#xa0;&#x2003;b", "a\xa0\u2003b"),
        ("<P>one</P><P>two</P>", "one\ntwo"),
        ("<img/><p>one</p><img/>", "one"),
        ("a<!-- x -->b<?pi?>c", "abc"),
    ],
)  # fmt: skip
def test_how_elements_join(read: Read, inside: str, text: str) -> None:
    assert read("a.xml", f"<doc>{inside}</doc>", text_field=".") == [text]


def test_further_inline_elements_can_be_named(read: Read) -> None:
    data = "<doc><w>one</w> <w>two</w></doc>"
    assert read("a.xml", data, text_field="doc") == ["one\ntwo"]
    assert read("a.xml", data, text_field="doc", inline=["w"]) == ["one two"]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("p", ["1", "2", "3"]), (".//p", ["1", "2", "3"]), ("//p", ["1", "2", "3"]), ("b/p", ["2"]), ("a//p", ["2"]), ("/d/p", ["1", "3"]), ("/p", [(-1, "missing_text")]), ("d/*", ["1", "2", "3"]), ("x:p", ["1", "2", "3"]),
        ("p[@k]", ["1", "3"]), ("p[@k='v']", ["3"]), ("nothing", [(-1, "missing_text")]), (".", ["1\n2\n3"]), ("*", ["1\n2\n3"]),
    ],
)  # fmt: skip
def test_paths(read: Read, path: str, found: list[Any]) -> None:
    data = "<d xmlns:x='u'><x:p k='u'>1</x:p><a><b><p>2</p></b></a><p k='v'>3</p></d>"
    assert read("a.xml", data, text_field=path) == found


def test_an_attribute_is_the_records_own_or_the_nearest_aboves(tmp_path: Path, items_of: ItemsOf) -> None:
    data = "<docs url='u'><doc id='1'><t>one</t></doc><doc><t id='2' xml:lang='en'>two</t></doc></docs>"
    one, two = items_of(tmp_path / "a.xml", data, text_field="t", id_field="@id", url_field="@url")
    assert isinstance(one, Record)
    assert isinstance(two, Record)
    assert (one.own_id, one.url, one.metadata) == ("1", "u", {})
    assert (two.own_id, two.url, two.metadata) == ("2", "u", {"id": "2"})


@pytest.mark.parametrize(
    ("inside", "text"),
    [("<x>one</x><note>n</note><y>two</y>", "one\ntwo"), ("<note>n</note><x>one</x><y>two</y>", "one\ntwo"), ("one\n<note>n</note>\ntwo", "one two"), ("one<note>n</note>two", "onetwo")],
)  # fmt: skip
def test_what_is_left_out_leaves_no_trace(read: Read, inside: str, text: str) -> None:
    assert read("a.xml", f"<doc>{inside}</doc>", text_field="doc", exclude=["note"]) == [text]


def test_a_field_may_stand_in_what_is_left_out(tmp_path: Path, items_of: ItemsOf) -> None:
    data = "<doc><meta><date>2020-01-02</date><junk>x</junk></meta><p>one</p></doc>"
    [record] = items_of(tmp_path / "a.xml", data, text_field="doc", exclude=["meta"], date_field="meta/date")
    assert record == Record(0, "one", date=datetime(2020, 1, 2))


@given(st.recursive(st.text("ab \n", max_size=4), lambda inner: st.tuples(st.sampled_from(["p", "b", "num", "x", "y"]), st.lists(inner, max_size=4)), max_leaves=12))  # fmt: skip
def test_joining_loses_no_character_and_adds_only_space(
    items_of: ItemsOf, tmp_path_factory: Any, tree: Any
) -> None:
    def write(node: Any) -> str:
        return node if isinstance(node, str) else f"<{node[0]}>{''.join(map(write, node[1]))}</{node[0]}>"

    def letters(node: Any) -> str:
        return "".join(node.split()) if isinstance(node, str) else "".join(map(letters, node[1]))

    [item] = items_of(tmp_path_factory.mktemp("join") / "a.xml", f"<doc>{write(tree)}</doc>", text_field=".")
    if letters(tree):
        assert isinstance(item, Record)
        assert "".join(item.text.split()) == letters(tree)
        assert item.text == item.text.strip()
        assert "  " not in item.text
        assert "\n\n" not in item.text
    else:
        assert item == Reject(0, "empty_text")
