"""XML that is broken anywhere: what is good is found, what is not is told, and neither takes long."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import xml_reader as module
from corpus.readers import Record, Reject
from corpus.xml_held import HeldBytes

Read = Callable[..., list[Any]]
ItemsOf = Callable[..., list[Record | Reject]]

GOOD = [
    "<s>GOOD. a law</s>\n", "<s t='a &gt; b'>GOOD. <b>a</b> law</s>", "<x:s><p>GOOD.</p><p/></x:s>",
    "<p>\n<s>GOOD. in a part</s></p>", "<s><!-- <s>hidden</s> -->GOOD.</s>", "<s><![CDATA[<s> & ]]>GOOD.</s>",
]  # fmt: skip
BROKEN = [
    "<s>no end\n", "<s><p>no end\n", "<s a='1'><p>no end</p>\n", "<s>a & b</s>\n", "<s>a<i>b</s>", "<s a=1>b</s>",
    "<s t='A & B'>b</s>", "<s a='1' a='2'/>", "<s cl\n", "<s/ >b</s>", "<s>a</s ", "<s><p cla\n",
]  # fmt: skip
BETWEEN = [
    "\n",
    "text & text",
    "</p>",
    "</r>",
    "<p>",
    "<p/>",
    "<p a=1>",
    "<!-- <s>hidden</s> -->",
    "<!-- & -->",
    "</p><?pi a?>",
    "</p><![CDATA[a]]>",
]
UNCLOSED = ["<s><!-- lost\n", "<s><![CDATA[lost\n"]
UNCLOSED_BETWEEN = ["<h><![CDATA[ lost</h>", "<h><?php lost</h>"]
STRAY = ["</s>", "<r>", "<?xml version='1.0'?>"]


@contextmanager
def small(slice: int, limit: int = 1 << 20) -> Iterator[list[int]]:
    """Slices of a size; what is fed to a parser is counted, in bytes."""
    fed: list[int] = []
    add = HeldBytes.add

    def count(held: HeldBytes, data: bytes) -> None:
        fed.append(len(data))
        add(held, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SLICE", slice)
        patch.setattr(module, "_MIN_LIMIT", limit)
        patch.setattr(HeldBytes, "add", count)
        yield fed


def numbered(pieces: list[str]) -> tuple[str, list[str]]:
    """The pieces in one, and the names that the good ones got."""
    parts = [piece.replace("GOOD.", f"GOOD{number}.") for number, piece in enumerate(pieces)]
    return "<r>" + "".join(parts), re.findall(r"GOOD\d+\.", "".join(parts))


def texts(items: list[Record | Reject]) -> str:
    return "\n".join(item.text for item in items if isinstance(item, Record))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([*GOOD, *BROKEN, *BETWEEN]), max_size=80),
    st.sampled_from(["</r>", "", "<s", "<s cl", "<s>cut", "<!-- cut", "<s>cut</"]), st.integers(1, 200),
)  # fmt: skip
def test_every_good_record_is_found_and_every_broken_one_told(
    items_of: ItemsOf, tmp_path_factory: Any, pieces: list[str], end: str, slice: int
) -> None:
    data, good = numbered([*pieces, end])
    path = tmp_path_factory.mktemp("xml") / "a.xml"
    items = items_of(path, data, text_field="s")
    found = [re.findall(r"GOOD\d+\.", item.text) for item in items if isinstance(item, Record)]
    assert found == [[name] for name in good]
    num_broken = sum(piece in BROKEN for piece in pieces) + (end in ("<s cl", "<s>cut", "<s>cut</"))
    assert sum(isinstance(item, Reject) for item in items) >= num_broken
    for limit in (1 << 20, 300):
        with small(slice, limit) as fed:
            again = items_of(path, data, text_field="s", max_record_bytes=min(limit, 32 << 20))
        assert texts(again) == texts(items) and (again == items or limit == 300)
        assert sum(fed) <= 8 * len(data) + 2 * slice * sum(isinstance(item, Reject) for item in items) + 99


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([*GOOD[:4], *BROKEN, *UNCLOSED, *STRAY, *BETWEEN[:6]]), max_size=60),
    st.integers(0, 99), st.integers(1, 200),
)  # fmt: skip
def test_what_is_not_closed_hides_no_good_record(
    items_of: ItemsOf, tmp_path_factory: Any, pieces: list[str], cut: int, slice: int
) -> None:
    data, _ = numbered(pieces)
    data = data[: len(data) - cut]
    good = re.findall(r"<(?:s[^>]*|x:s><p|s)>(GOOD\d+\.)(?=(?:[^<]|<(?!/?(?:x:)?s\b))*</(?:x:)?s>)", data)
    path = tmp_path_factory.mktemp("xml") / "a.xml"
    items = items_of(path, data, text_field="s")
    assert [name for name in good if name not in texts(items)] == []
    with small(slice):
        assert items_of(path, data, text_field="s") == items


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([*GOOD, *(f"{bad}</x>" for bad in BROKEN), *BETWEEN]), max_size=40),
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(UNCLOSED_BETWEEN)), min_size=1, max_size=5),
    st.integers(1, 200),
)  # fmt: skip
def test_behind_damage_what_is_not_closed_costs_no_good_record(
    items_of: ItemsOf, tmp_path_factory: Any, pieces: list[str], lost: list[tuple[int, str]], slice: int
) -> None:
    path = tmp_path_factory.mktemp("xml") / "a.xml"
    for place, token in sorted(lost, reverse=True):
        pieces.insert(place, token)
    data, good = numbered(["</x>", *pieces])
    items = items_of(path, data, text_field="s")
    assert [re.findall(r"GOOD\d+\.", item.text) for item in items if isinstance(item, Record)] == [
        [name] for name in good
    ]
    with small(slice):
        assert items_of(path, data, text_field="s") == items


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from([*GOOD[:3], *GOOD[4:], "text", "<p><s>no</s></p>", "<p/>", "</c><c n='good'>"]), max_size=60
    ),
    st.integers(0, 60), st.sampled_from(["<x>", "<p n='9'>lost", "<c2><p>lost", "<sx>lost</s>", "</c><x><c>", "<x n='9'><s>GOOD.</s>" * 3]),
    st.sampled_from(["c/s", ".//c/s", "/r/c/s", "r//c/s", "*/c/s"]), st.sampled_from(["</c></r>", "</c>", ""]),
    st.integers(1, 200),
)  # fmt: skip
def test_an_element_left_open_between_records_hides_none_of_its_parent(
    items_of: ItemsOf,
    tmp_path_factory: Any,
    pieces: list[str],
    place: int,
    bad: str,
    path: str,
    end: str,
    slice: int,
) -> None:
    data, good = numbered(["<c n='good'>", *pieces[:place], bad, *pieces[place:], end])
    file = tmp_path_factory.mktemp("xml") / "a.xml"
    items = items_of(file, data, text_field=path, id_field="@n")
    records = [item for item in items if isinstance(item, Record)]
    assert re.findall(r"GOOD\d+\.", texts(items)) == good
    assert {record.own_id for record in records} <= {None, "good"}
    assert len(items) - len(records) == 1 or (end != "</c></r>" and bad == "<sx>lost</s>")
    with small(slice) as fed:
        assert items_of(file, data, text_field=path, id_field="@n") == items
    assert sum(fed) <= 8 * len(data) + 2 * slice + 99


@pytest.mark.parametrize("path", ["c/s", "/r/c/s"])
def test_what_elements_left_open_hide_is_read_again_within_bounds(
    read: Read, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    many = [f"a good law {number}" for number in range(3000)]
    data = "<r><c><s>one</s>{}" + "".join(f"<s>{text}</s>\n" for text in many) + "</c><c><s>two</s></c></r>"
    for bad in ("<x>", "<x><x>"):
        assert read("a.xml", data.format(bad), text_field=path) == ["one", (1, "invalid_xml"), *many, "two"]
    strays = "<r><c>" + "".join(f"<x><s>{text}</s>" for text in many[:400]) + "</c></r>"
    assert read("a.xml", strays, text_field=path) == [(0, "invalid_xml"), *many[:400]]
    with small(1000):
        monkeypatch.setattr(module, "_MAX_PASSED_OVER", 20_000)
        found = read("a.xml", data.format("<x>"), text_field=path)
        assert (
            found[:2] == ["one", (1, "invalid_xml")]
            and len(found) > 3
            and found[2:-1] == many[3 - len(found) :]
        )


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("<s>one</s><toc><s>no</s><br></toc><s>two</s>", ["one", (1, "invalid_xml"), "two"]),
        ("<x><s>one</s><s>a & b</s><s>two</s>", [(0, "invalid_xml"), "one", (2, "invalid_xml"), "two"]),
        ("<x><s>one</s><![CDATA[<s>no</s>]]><s>two</s>", [(0, "invalid_xml"), "one", "two"]),
        ("<x><s>one</s><c><s>two</s></c>", ["two", (1, "invalid_xml")]),
        ("<toc><s>no</s></toc><s>one</s><s", ["one", (1, "invalid_xml")]),
    ],
)
def test_what_is_no_record_elsewhere_is_none_behind_an_element_left_open(
    read: Read, data: str, found: list[Any]
) -> None:
    assert read("a.xml", f"<r><c>{data}</c></r>", text_field="c/s") == found


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("<r>" + "<s t='A & B'>x</s>\n" * 400 + "</r>", [(n, "invalid_xml") for n in range(400)]),
        ("<r><s>one</s><s a=1>b</s><s>c</s><s a=1>d</s><s>e</s></r>", ["one", (1, "invalid_xml"), "c", (3, "invalid_xml"), "e"]),
        ("<r><s>a & b</s><s>two</s><!-- never closed <s>three</s><s>four</s>", [(0, "invalid_xml"), "two", (2, "truncated_file")]),
        ("<r><s>one</s><s>two</s><![CDATA[ never closed <s>three</s>", ["one", "two", (2, "truncated_file")]),
        ("<r><s>a & b</s><s>two</s><![CDATA[ never closed <s>three</s>", [(0, "invalid_xml"), "two", "three"]),
        ("<r><s>a & b</s><s>two</s><s cl", [(0, "invalid_xml"), "two", (2, "truncated_file")]),
        ("<r><s>a & b</s> <s", [(0, "invalid_xml"), (1, "truncated_file")]),
        ("<r><s>a & b <!-- cut", [(0, "invalid_xml"), (1, "truncated_file")]),
        ("<r><s>a & b</s><!-- <s>no</s> --><s>two</s></r>", [(0, "invalid_xml"), "two"]),
        ("<r><s>a <!-- <s>no</s> --> & b</s><s>two</s></r>", [(0, "invalid_xml"), "two"]),
        ("<?xml version='1.0'?><r><s>one</s><s>bb is cut<?xml version='1.0'?><r><s>two</s></r>", ["one", (1, "truncated_file"), "two"]),
        ("<?xml version='1.0'?><r><s>cut<s>in</s><?xml version='1.0'?><r><s>two</s></r>", [(0, "truncated_file"), "in", "two"]),
        ("<r><s>a & b</s><s>x</s><?xml version='1.0'?><r><s>four</s><s>five</s></r>", [(0, "invalid_xml"), "x", "four", "five"]),
        ("<r><s>out<s>in</s></s><s>lost<s>one</s><b><s>two</s></b></r>", ["outin", (1, "invalid_xml"), "one", "two"]),
        ("<r><é:s>one</é:s><é:s>a & b</é:s><é:s>two</é:s></r>", ["one", (1, "invalid_xml"), "two"]),
        ("<r><s>lost<s/><s>one</s></r>", [(0, "invalid_xml"), (1, "empty_text"), "one"]),
        ("<r><s>a <s><![CDATA[x]]></s><s>y</s><b/><s>b<![CDATA[ never</s></r>", [(0, "truncated_file"), "x", "y", (3, "truncated_file")]),
        ("<r><s>one</s><s><?lost <s>two</s><s>three</s></r>", ["one", (1, "truncated_file"), "two", "three"]),
    ],
)  # fmt: skip
def test_each_loss_is_told(read: Read, data: str, found: list[Any]) -> None:
    assert read("a.xml", data, text_field="/r/s" if "<b>" not in data else "s") == found


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("<h><?php lost</h><s>one</s>", ["one"]),
        ("<h><?php a?><![CDATA[a]]><?php lost</h><s>one</s><![CDATA[<s>two</s>]]>", ["one", "two"]),
        ("<p><s>one</s></p><h><![CDATA[ lost</h><s>two</s>", ["one", "two"]),
        ("<p><s>one</s></p><h><?php lost</h><s>two</s>", ["one", "two"]),
        ("<h><![CDATA[ lost</h><s>one</s><s><![CDATA[two]]></s>", ["one", "two"]),
        ("<!-- a --><h><![CDATA[ lost</h><s>one</s>", ["one"]),
        ("<s>one</s><?php lost", ["one", (2, "truncated_file")]),
        ("<![CDATA[x:s><s>one</s><?x:s <s>two</s>?>", ["one", "two"]),
        ("<?x:s <s>one</s>?><s>two</s>", ["one", "two"]),
        ("<?xml <s>one</s>?><s>two</s>", ["one", "two"]),
        ("<s>no end<s>one</s><?pi <s>?><![CDATA[<s>]]><s>two</s></x>", [(1, "invalid_xml"), "one", "two"]),
        ("<?xml version='1.0'?><!DOCTYPE r [<!ENTITY e 'two'>]><r><s>&e;</s></r>", ["two"]),
    ],
)
def test_behind_damage_only_a_comment_hides_records(
    items_of: ItemsOf, tmp_path: Path, data: str, found: list[Any]
) -> None:
    for slice in (16 << 10, 1, 7, 20):
        with small(slice):
            items = items_of(tmp_path / "a.xml", f"<r></x>{data}", text_field="s")
        assert [
            item.text if isinstance(item, Record) else (item.position, item.reason) for item in items
        ] == [(0, "invalid_xml"), *found]


def test_where_the_root_is_the_record_the_next_document_is_read(read: Read) -> None:
    data = "<?xml version='1.0'?><r>a & b</r><?xml bad?><r>b</r><?xml version='1.0'?><r>two</r>"
    assert read("a.xml", data, text_field=".") == [(0, "invalid_xml"), (1, "invalid_xml"), "two"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("</x>", "invalid_xml"),
        ("&", "invalid_xml"),
        ("<a>" * 1500, "nested_too_deep"),
        (f"<a t='{'x' * 900_000}'>" * 3, "record_too_long"),
    ],
)
def test_where_any_element_may_be_a_record_each_document_that_is_cut_short_is_told(
    read: Read, bad: str, reason: str
) -> None:
    data = f"<?xml version='1.0'?><r><body><p>one</p></body>{bad}<body><p>two</p></body></r>\n"
    found = read("a.xml", data * 4, text_field="body/*", max_record_bytes=1 << 20)
    assert found == ["one", (1, reason), "one", (3, reason), "one", (5, reason), "one", (7, reason)]


@pytest.mark.parametrize("path", [".//text", "page/text", "/r/page/text"])
def test_a_broken_record_ends_no_file_of_good_ones(
    read: Read, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(module, "_MAX_ERRORS", 500)
    good = [f"a good law {number}" for number in range(3000)]
    data = "".join(f"<page><text>{text}</text></page>\n" for text in ["bad & bad", *good])
    assert read("a.xml", f"<r>{data}</r>", text_field=path) == [(0, "invalid_xml"), *good]


def test_stray_ends_between_records_end_no_file(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_ERRORS", 2000)
    data = "<r><s>a & b</s><s>one</s>" + "</a>" * 3000 + "<s>two</s>"
    assert read("a.xml", data, text_field="s") == [(0, "invalid_xml"), "one", "two"]


@pytest.mark.parametrize("passed", ["<![CDATA[<b>]]>", "<?pi <b>?>"])
def test_what_is_passed_over_behind_damage_is_no_error(
    read: Read, monkeypatch: pytest.MonkeyPatch, passed: str
) -> None:
    monkeypatch.setattr(module, "_MAX_ERRORS", 100)
    data = "<r></x>" + f"<!-- a -->{passed}" * 1000 + "<s>one</s>"
    assert read("a.xml", data, text_field="s") == [(0, "invalid_xml"), "one"]


def test_a_file_of_nothing_but_errors_is_given_up(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_ERRORS", 500)
    found = read("a.xml", "<r>" + "<s>a & b</s>" * 3000, text_field="s")
    assert len(found) < 510 and found[-1] == (len(found) - 1, "corrupt_file")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["good", "good", "a & b", "<i>no end"]), max_size=40), st.integers(1, 200))
def test_behind_damage_records_know_again_what_begins_above_them(
    items_of: ItemsOf, tmp_path_factory: Any, texts: list[str], slice: int
) -> None:
    """All but the first page behind a broken one: to find its record, its own tag was passed over."""
    data = "".join(f"<page num='{num}'><p><s>{text}</s></p></page>" for num, text in enumerate(texts))
    with small(slice):
        items = items_of(
            tmp_path_factory.mktemp("xml") / "a.xml", f"<r>{data}</r>", text_field="s", id_field="@num"
        )
    expected = [
        str(num) if num == 0 or texts[num - 1] == "good" else None
        for num, text in enumerate(texts)
        if text == "good"
    ]
    assert [item.own_id for item in items if isinstance(item, Record)] == expected


def test_behind_damage_what_holds_no_tags_is_read_over(items_of: ItemsOf, tmp_path: Path) -> None:
    title = "<?page 2?><title><![CDATA[a & b]]></title>"
    page = f"{title}<page num='2'>{title}<s>two</s></page>"
    items = items_of(
        tmp_path / "a.xml", f"<r><page><s>a & b</s></page>{page}{page}</r>", text_field="s", id_field="@num"
    )
    assert items[1:] == [Record(1, "two"), Record(2, "two", own_id="2")]


@pytest.mark.parametrize("token", UNCLOSED_BETWEEN)
def test_behind_damage_nothing_that_is_not_closed_hides_the_rest_of_a_file(read: Read, token: str) -> None:
    good = [f"a good law {number}" for number in range(10_000)]
    data = "<r></x><s>first</s></act>" + token + "".join(f"<s>{text}</s>\n" for text in good)
    for end in ("</r>", "<s><![CDATA[last]]></s><?pi?></r>"):
        found = read("a.xml", data + end, text_field="s")
        assert found == [(0, "invalid_xml"), "first", *good, *["last"] * ("last" in end)]


def test_many_unclosed_elements_between_records_hide_none(read: Read) -> None:
    deep = "<br>" * 1500 + "<s>two</s>"
    assert read("a.xml", f"<r><s>one</s></x>{deep}", text_field="s") == ["one", (1, "invalid_xml"), "two"]
    assert read("a.xml", f"<r><s>one</s>{deep}", text_field="s") == ["one", (1, "nested_too_deep"), "two"]


@pytest.mark.parametrize("num", [400, 999, 1100, 5000])
@pytest.mark.parametrize("bad", ["<s>no end here\n", "<s><p>no end here\n"])
def test_ends_that_are_missing_at_any_depth_cost_no_other_record(read: Read, bad: str, num: int) -> None:
    data = "<r>" + "".join(f"{bad}<s>a good law {number}</s>\n" for number in range(num)) + "</r>"
    found = read("a.xml", data, text_field="s")
    assert [item for item in found if isinstance(item, str)] == [
        f"a good law {number}" for number in range(num)
    ]
    assert len(found) == 2 * num


def test_a_section_that_never_ends_is_looked_through_once(read: Read) -> None:
    data = "<r>" + "<s><![CDATA[lost\n<s>good</s>" * 4000
    with small(16 << 10) as fed:
        found = read("a.xml", data, text_field="s")
    assert found.count("good") == 4000 and len(found) == 8000
    assert sum(fed) < 4000 * 3 * (16 << 10)


# ── what is long ──


def test_a_long_comment_between_records_hides_what_it_holds(read: Read) -> None:
    for end, last in (("-->", ["two"]), ("", [(1, "truncated_file")])):
        data = f"<r><s>one</s><!-- {'<s>no</s> - ' * 200_000}{end}<s>two</s></r>"
        assert read("a.xml", data, text_field="/r/s") == ["one", *last]


def test_a_long_instruction_that_never_closes_is_a_loss(read: Read) -> None:
    data = f"<r><s>one</s><?php {'<s>no</s> ' * 110_000}{'<s>two</s> ' * 9000}"
    found = read("a.xml", data, text_field="s")
    assert found[:2] == ["one", (1, "record_too_long")] and found[-1] == "two"


@pytest.mark.parametrize("kept", ["all", "none"])
def test_what_a_record_s_own_tag_holds_counts(read: Read, kept: str) -> None:
    data = f"<r><s>one</s><s t='{'x' * 3000}'>b</s><s t='{'x' * 2_000_000}'>b</s><s>two</s></r>"
    found = read("a.xml", data, text_field="s", metadata=kept, max_record_bytes=2000)
    assert found == ["one", (1, "record_too_long") if kept == "all" else "b", (2, "record_too_long"), "two"]


def test_a_record_of_many_empty_elements_is_too_long_before_its_text(read: Read) -> None:
    data = f"<r><s>{'<a/>' * 1000}x</s><s>two</s></r>"
    assert read("a.xml", data, text_field="s", max_record_bytes=2000) == [(0, "record_too_long"), "two"]


def test_what_is_left_out_has_a_depth_too(read: Read) -> None:
    data = f"<r><s>one<note>{'<a>' * 5000}</s><s>two</s></r>"
    assert read("a.xml", data, text_field="s", exclude=["note"]) == [(0, "nested_too_deep"), "two"]


def test_a_missing_end_of_what_is_left_out_hides_nothing(read: Read) -> None:
    data = "<r><s>one<note>lost</s>" + "<s>two</s>" * 3 + "</r>"
    assert read("a.xml", data, text_field="s", exclude=["note"]) == [(0, "invalid_xml"), *["two"] * 3]


def test_attributes_that_a_document_gives_by_default_are_bounded(read: Read) -> None:
    data = f"<!DOCTYPE r [<!ATTLIST a x CDATA '{'v' * 500_000}'>]><r><s>{'<a>' * 900}x{'</a>' * 900}</s><s>two</s></r>"
    assert read("a.xml", data, text_field="s", max_record_bytes=1 << 20) == [(0, "record_too_long"), "two"]


# ── bytes ──


def test_a_byte_order_mark_says_more_than_a_declaration(read: Read) -> None:
    data = b"\xef\xbb\xbf" + "<?xml version='1.0' encoding='iso-8859-1'?><r><s>é</s></r>".encode()
    assert read("a.xml", data, text_field="s") == ["é"]


@pytest.mark.parametrize(
    "bad", [b"<s t='a\xff'>b</s>", b"<s>b<id>\xff</id></s>", b"<s>b<note><id>\xff</id></note></s>"]
)
def test_bytes_that_are_no_text_are_told_in_fields_too(read: Read, bad: bytes) -> None:
    for data, reason in ((bad, "invalid_utf8"), (bad.replace(b"\xff", b"\x01"), "invalid_xml")):
        found = read(
            "a.xml", b"<r>" + data + b"<s>two</s></r>", text_field="s", exclude=["note"], id_field="id"
        )
        assert found == [(0, reason), "two"]


def test_bytes_that_are_no_text_in_what_is_not_kept_cost_nothing(tmp_path: Path, items_of: ItemsOf) -> None:
    data = b"<r><s>one<note t='\xff'>\xff</note></s></r>"
    assert items_of(tmp_path / "a.xml", data, text_field="s", exclude=["note"]) == [Record(0, "one")]
