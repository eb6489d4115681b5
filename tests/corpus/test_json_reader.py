"""JSON: lines and documents; a broken value costs itself."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from corpus import json_reader as module
from corpus.readers import Record, Reject
from tests.growth import LINEAR, growth

Read = Callable[..., list[Any]]
ItemsOf = Callable[..., list[Record | Reject]]

ONE, TWO = '{"text": "one"}', '{"text": "two"}'

JSONL: list[tuple[str | bytes, list[Any]]] = [
    ('{"text": "bad', [(1, "invalid_json")]), ('{"text": "bad"', [(1, "invalid_json")]), ('{"text": "bad"}}', [(1, "invalid_json")]), ("{'text': 'bad'}", [(1, "invalid_json")]),
    ('{"text" "bad"}', [(1, "invalid_json")]), ("text", [(1, "invalid_json")]), ("{", [(1, "invalid_json")]), ("\0\0\0", [(1, "invalid_json")]), ('{"text": "a\tb"}', [(1, "invalid_json")]),
    ('{"text": "\\x"}', [(1, "invalid_json")]), ('{"text": "\\u12"}', [(1, "invalid_json")]), ('{"text": 01}', [(1, "invalid_json")]), ('\ufeff{"text": "a"}', [(1, "invalid_json")]),
    ("[]", [(1, "wrong_type")]), ("3", [(1, "wrong_type")]), ('"text"', [(1, "wrong_type")]), ("null", [(1, "wrong_type")]), ("NaN", [(1, "wrong_type")]), ('["text", "x"]', [(1, "wrong_type")]),
    ('{"text": 3}', [(1, "wrong_type")]), ('{"text": ["a"]}', [(1, "wrong_type")]), ('{"text": {"a": 1}}', [(1, "wrong_type")]), ('{"text": true}', [(1, "wrong_type")]), ('{"text": 1e5}', [(1, "wrong_type")]),
    ("{}", [(1, "missing_text")]), ('{"text": null}', [(1, "missing_text")]), ('{"Text": "a"}', [(1, "missing_text")]), ('{"text ": "a"}', [(1, "missing_text")]),
    ('{"text": ""}', [(1, "empty_text")]), ('{"text": " \\n\\t\\u00a0"}', [(1, "empty_text")]),
    (b'{"text": "\xff"}', [(1, "invalid_utf8")]), (b'{"text": "\xed\xa0\x80"}', [(1, "invalid_utf8")]), (b"\x80\x81", [(1, "invalid_utf8")]), ('{"text": "é"}'.encode("latin-1"), [(1, "invalid_utf8")]),
    ('{"text": "\\ud800"}', [(1, "lone_surrogate")]), ('{"text": "a\\udc00\\ud800"}', [(1, "lone_surrogate")]),
    ("[" * 5000, [(1, "nested_too_deep")]), ('{"a":' * 5000, [(1, "nested_too_deep")]), ('{"text": "a", "b": ' + "[" * 100 + "]" * 100 + "}", [(1, "nested_too_deep")]),
    ('{"text": "' + "x" * 30_000 + '"}', [(1, "record_too_long")]), ("x" * 50_000, [(1, "record_too_long")]),
    ("", []), ("  \t\r", []), ('  {"text": "in"}  \r', ["in"]), ('{"text": "in", "n": ' + "9" * 900 + "}", ["in"]), ('{"text": "in", "n": NaN, "m": -Infinity}', ["in"]),
    ('{"text": "\\ud83d\\ude00"}', ["😀"]), ('{"text": "a\\u0000b"}', ["a\0b"]), ('{"text": "a\\r\\nb\\rc"}', ["a\nb\rc"]), ('{"text": "one", "text": "in"}', ["in"]),
    ('{"text": "in", "a": "\\ud800"}', ["in"]), ('{"text": "\\ufeff"}', ["\ufeff"]), ('{"text": "in"}\r', ["in"]),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "middle"), JSONL)
@pytest.mark.parametrize("ending", ["", "\n"])
def test_jsonl(read: Read, bad: str | bytes, middle: list[Any], ending: str) -> None:
    bad = bad.encode("utf-8", "surrogatepass") if isinstance(bad, str) else bad
    data = ONE.encode() + b"\n" + bad + b"\n" + TWO.encode() + ending.encode()
    assert read("a.jsonl", data, max_record_bytes=30_000) == ["one", *middle, "two"]
    if middle and not isinstance(middle[0], str) and not bad.startswith(b"\xef\xbb\xbf"):
        packed = zstandard.ZstdCompressor().compress(bad)
        assert read("b.jsonl.zst", packed, max_record_bytes=30_000) == [(0, middle[0][1])]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ('[{"text": "one"}, {"text": "two"}]', ["one", "two"]),
        ('[\n  {\n    "text": "one"\n  },\n  {"text": "two"}\n]\n', ["one", "two"]),
        ('{"text": "one", "a": [{"b": 1}, {"c": 2}]}', ["one"]),
        ('{\n"text": "one"}\n{\n"text": "two"}', ["one", "two"]),
        ('{"text": "one"}{"text": "two"}', ["one", "two"]),
        ('{"text": "one"}\n{"text": bad}\n{"text": "two"}\n', ["one", (1, "invalid_json"), "two"]),
        ('[{"text": "one"}, {"text": bad}, {"text": "two"}]', ["one", (1, "invalid_json"), "two"]),
        ('[{"text": "one"}, {"text": "bad}, {"text": "lost"}, {"text": "two"}]', ["one", (1, "invalid_json"), "lost", "two"]),
        ('[{"text": "one"}, {"text": "two"}', ["one", "two", (2, "truncated_file")]),
        ('[{"text": "one"}, {"text": "two"},]', ["one", "two"]),
        ('[{"text": "one"}, {"text": ""}', ["one", (1, "empty_text"), (2, "truncated_file")]),
        ('[{"text": "one"}, 3', ["one", (1, "wrong_type"), (2, "truncated_file")]),
        ('[{"text": "one"}, {"text": bad}', ["one", (1, "invalid_json"), (2, "truncated_file")]),
        ('[{"text": "one"}, {"text": bad]', ["one", (1, "invalid_json")]),
        (gzip.compress(b'[{"text": "one"}, {"text": ""}', mtime=0)[:-8], ["one", (1, "empty_text"), (2, "truncated_file")]),
        ('{"text": "one"} {"text": "two"}e', ["one", "two", (2, "truncated_file")]),
        ('{"text": "one"} {"text": "two"}.', ["one", "two", (2, "truncated_file")]),
        ('[{"text": "one"} {"text": "two"}e-', ["one", "two", (2, "truncated_file")]),
        ('[{"text": "one"}, {"text": "tw', ["one", (1, "truncated_file")]),
        ('[{"text": "one"}, {"text": tru', ["one", (1, "truncated_file")]),
        ('[{"text": "one"}, 3, "two", null, [1, [2]], {}, {"text": "two"}]', ["one", *((i, "wrong_type") for i in range(1, 5)), (5, "missing_text"), "two"]),
        (b'[{"text": "one"}, {"text": "\xff"}, {"text": "two"}]', ["one", (1, "invalid_utf8"), "two"]),
        ('[{"text": "one"}, {"text": "\\ud800"}, {"text": "two"}]', ["one", (1, "lone_surrogate"), "two"]),
        ('[{"text": "one"}, ' + '{"a":' * 5000 + '1}, {"text": "two"}]', ["one", (1, "nested_too_deep"), "two"]),
        ('[{"text": "one"}, {"text": "' + "x" * 5000 + '"}, {"text": "two"}]', ["one", (1, "record_too_long"), "two"]),
        ('[{"text": "one", "n": ' + "9" * 900 + '}, {"text": "two"}]', ["one", "two"]),
        ('[{"text": "one"} {"text": "two"}]', ["one", "two"]),
        ('{"data": [{"text": "one"}]}', [(0, "missing_text")]),
        ("not json", [(0, "invalid_json")]),
        ("{}", [(0, "missing_text")]),
        ("[]", [(-1, "empty_file")]),
        ("  ", [(-1, "empty_file")]),
    ],
)  # fmt: skip
def test_json_documents(read: Read, data: str | bytes, found: list[Any]) -> None:
    assert read("a.json", data, max_record_bytes=1500) == found


@given(st.data())
def test_a_json_array_is_read_as_json_reads_it_whatever_the_blocks(
    items_of: ItemsOf, tmp_path_factory: Any, data: Any
) -> None:
    texts = data.draw(
        st.lists(
            st.text(st.characters(exclude_categories=("Cs",)), min_size=1).filter(
                lambda t: t.strip() and "\r" not in t
            ),
            min_size=1,
            max_size=20,
        )
    )
    filler = data.draw(st.integers(0, 70_000))
    whole = json.dumps(
        [{"text": text, "filler": "x" * filler} for text in texts],
        ensure_ascii=data.draw(st.booleans()),
        indent=data.draw(st.none() | st.just(1)),
    )
    items = items_of(tmp_path_factory.mktemp("json") / "a.json", whole)
    assert [item.text for item in items if isinstance(item, Record)] == texts == [text for item, text in zip(items, texts, strict=True) if item]  # fmt: skip


@pytest.mark.parametrize("number", ["12.5e7", "12.5E+7", "-1e-7", "0.5", "123", "-0.25"])
def test_a_number_of_an_array_is_one_value_wherever_the_window_ends(
    read: Read, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for window in range(1, 40):
        monkeypatch.setattr(module, "_WINDOW", window)
        assert read("a.json", f"[{ONE},\n{number}, {TWO}]") == ["one", (1, "wrong_type"), "two"]


@pytest.mark.parametrize("number", ["9" * 300_000, "-1." + "9" * 300_000, "9" * 300_000 + "e-7"])
def test_a_number_that_is_too_long_is_one_reject_and_not_held(
    read: Read, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []
    fill = module._Values._fill

    def count(values: Any, size: int = 0) -> bool:
        filled = fill(values, size)
        held.append(len(values._window))
        return filled

    monkeypatch.setattr(module._Values, "_fill", count)
    for window in (64 << 10, 1000, 7):
        monkeypatch.setattr(module, "_WINDOW", window)
        data = f"[{ONE},\n{number}, {TWO}]"
        assert read("a.json", data, max_record_bytes=30_000) == ["one", (1, "record_too_long"), "two"]
    assert max(held) < 200_000


# ── damage ──


@pytest.mark.parametrize(
    "between", [",", "\n", " , ", "\n,\n", ",\n\n", "\n \n", " \n", "\t,\r\n", ",\n" + " " * 1000]
)
def test_the_next_object_is_found_after_any_separator(read: Read, between: str) -> None:
    data = f'[{{"text": "one"}}, {{"text": bad}}{between}{{"text": "two"}}]'
    assert read("a.json", data) == ["one", (1, "invalid_json"), "two"]


BROKEN = [
    "bad", "bad1 bad2", "tru", "'bad'", '"a\\q"', '"a\tb"', "}", "undefined", "-",
    "{bad}", "{bad: 1}", '{"a": [{"text": "inner"}, {"text": "inner"}], "n": bad}', '{"a": {"text": "inner"}, }', '{"a": "},{", "b": bad}', '{"text": "raw\nline", "b": ["}", {"text": "inner"}\n,{"text": "inner"}]}',
    '[1 2,\n{"text": "inner"},\n{"text": "inner"}]', '{"a" 1}', '{"a": "\\q", "b": [{},{}]}', '{"text": "say \\"x\\" }, {", "n": 01}',
]  # fmt: skip


@pytest.mark.parametrize("bad", BROKEN)
@pytest.mark.parametrize("between", [",", ", ", "\n,\n", " ,"])
def test_a_broken_value_whose_quotes_and_brackets_close_costs_itself_alone(
    read: Read, bad: str, between: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing in it becomes a document, and nothing behind it is lost."""
    data = f"[{between.join([ONE, bad, bad, TWO, bad, ONE])}]"
    expected = ["one", (1, "invalid_json"), (2, "invalid_json"), "two", (4, "invalid_json"), "one"]
    for window in (64 << 10, 1, 7):
        monkeypatch.setattr(module, "_WINDOW", window)
        assert read("a.json", data) == expected


@pytest.mark.parametrize(
    ("bad", "found"),
    [
        ('{"text": "bad}', [(1, "invalid_json")]),
        ('{"text": bad"}', [(1, "invalid_json")]),
        ('{"text": "5" wide"}', [(1, "invalid_json")]),
        ('{"a": [bad}', [(1, "invalid_json")]),
        ('{"a": {"n": bad}', [(1, "invalid_json")]),
        ('{"text": bad}}', [(1, "invalid_json"), (2, "invalid_json")]),
    ],
)
def test_where_they_do_not_close_the_next_object_behind_another_is_a_value(
    read: Read, bad: str, found: list[Any]
) -> None:
    assert read("a.json", f"[{ONE}, {bad}, {TWO}, {ONE}]") == ["one", *found, "two", "one"]


def test_words_between_objects_cost_themselves(read: Read) -> None:
    assert read("a.json", '[{"text": bad} {"text": "one"} x, {"text": "two"}, y\n{"text": "three"}]') == [(0, "invalid_json"), "one", (2, "invalid_json"), "two", (4, "invalid_json"), "three"]  # fmt: skip
    assert read("a.json", '{"text": bad}} , {"text": "two"}') == [(0, "invalid_json"), (1, "invalid_json"), "two"]  # fmt: skip
    assert read("a.json", '[x {"text": "no"}, {"text": "two"}]') == [(0, "invalid_json"), "two"]


OBJECT = st.text(st.characters(codec="ascii", exclude_characters="\r"), max_size=8).map(
    lambda text: {"text": f"a {text}", "n": ["[", [{"m": text}]]}
)
LISTED = st.lists(OBJECT, max_size=3).map(lambda objects: [*objects, 1])
ELEMENTS = st.lists(OBJECT | st.integers(0, 99) | LISTED, max_size=8)
LAYOUTS = st.sampled_from([(",", ""), (", ", " "), (",\n", "\n"), (",\n  ", "\n  "), ("\r\n,", " ")])


def texts_of(values: Any) -> list[str]:
    return [value["text"] for value in values if isinstance(value, dict)]


def texts_in(items: list[Record | Reject]) -> list[str]:
    return [item.text for item in items if isinstance(item, Record)]


@given(ELEMENTS, OBJECT, ELEMENTS, LAYOUTS, st.sampled_from(["[", "[[", "[,", "[ [,", "[\n"]), st.sampled_from(["", "]", "\n] \n"]), st.sampled_from([64 << 10, 1, 7]))  # fmt: skip
def test_a_stray_bracket_costs_itself_alone(
    items_of: ItemsOf, tmp_path_factory: Any, before: list[Any], behind: Any, after: list[Any], layout: tuple[str, str], stray: str, ending: str, window: int
) -> None:  # fmt: skip
    """Whatever stands around it, and whether the array has its end: each object is read, those of whole lists are not."""
    between, space = layout
    elements = [*map(json.dumps, before), stray + json.dumps(behind), *map(json.dumps, after)]
    data = f"[{space}{between.join(elements)}{ending}"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_WINDOW", window)
        items = items_of(tmp_path_factory.mktemp("json") / "a.json", data)
    told = [item.reason for item in items if isinstance(item, Reject) and item.reason != "truncated_file"]
    num_no_objects = sum(not isinstance(value, dict) for value in before + after)
    if after and isinstance(after[-1], list) and not ending:
        return  # its end may be the array's
    assert texts_in(items) == texts_of([*before, behind, *after])
    assert sorted(told) == ["invalid_json"] * stray.count("[") + ["wrong_type"] * num_no_objects


@given(ELEMENTS, st.lists(LISTED, min_size=1, max_size=2), ELEMENTS, LAYOUTS, st.sampled_from([64 << 10, 1, 7]))  # fmt: skip
def test_a_list_that_is_closed_in_an_array_that_goes_on_is_one_reject(
    items_of: ItemsOf, tmp_path_factory: Any, before: list[Any], lists: list[Any], after: list[Any], layout: tuple[str, str], window: int
) -> None:  # fmt: skip
    between, space = layout
    elements = [*before, *lists, *after]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_WINDOW", window)
        data = f"[{space}{between.join(map(json.dumps, elements))}{space}]"
        items = items_of(tmp_path_factory.mktemp("json") / "a.json", data)
    assert texts_in(items) == texts_of(elements)
    assert [item.position for item in items] == list(range(len(elements)))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (f'[[1, 2], {ONE}]', [(0, "wrong_type"), "one"]),
        (f'[[{TWO}], {ONE}]', [(0, "wrong_type"), "one"]),
        (f'[[{TWO}]]', [(0, "wrong_type")]),
        (f'[{ONE}, [{TWO}, bad], {TWO}]', ["one", (1, "invalid_json"), "two"]),
        (f'[{ONE}, [{TWO}, {{bad}}, {ONE}]', ["one", (1, "invalid_json"), "two", (3, "invalid_json"), "one"]),
        (f'[{ONE}, [x, {TWO}, {ONE}]', ["one", (1, "invalid_json"), (2, "invalid_json"), "two", "one"]),
        (f'[{ONE}, [3, {TWO}, {ONE}]', ["one", (1, "invalid_json"), (2, "wrong_type"), "two", "one"]),
        (f'[{ONE}, [{{bad}}, [{TWO}], {ONE}', ["one", (1, "invalid_json"), (2, "invalid_json"), (3, "wrong_type"), "one", (5, "truncated_file")]),
        (f'[{ONE}, [{TWO}, [{ONE}, {TWO}]', ["one", (1, "invalid_json"), "two", (3, "invalid_json"), "one", "two"]),
        (f'[{ONE}, [{TWO}]\n[{ONE}, {TWO}]\n', ["one", (1, "invalid_json"), "two", "one", "two"]),
        (f'[{ONE}, [1, 2', ["one", (1, "truncated_file")]),
        (f'[{ONE}, [1, 2]', ["one", (1, "wrong_type"), (2, "truncated_file")]),
    ],
)  # fmt: skip
def test_which_lists_are_stray_brackets(read: Read, data: str, found: list[Any]) -> None:
    assert read("a.json", data) == found


@pytest.mark.parametrize("stray", ["[", "[,", "[ ["])
@pytest.mark.parametrize("records", [100, 1_000, 3_000, 10_000])
def test_behind_a_stray_bracket_nothing_is_lost_however_much_it_is(
    read: Read, stray: str, records: int
) -> None:
    texts = [f"{i} {'x' * 80}" for i in range(records)]
    data = json.dumps([{"text": text} for text in texts]).replace(", ", f",\n{stray}", 1)
    found = read("a.json", data, max_record_bytes=100_000)
    assert [item for item in found if isinstance(item, str)] == texts
    assert len(found) == records + stray.count("[")


@given(st.lists(OBJECT, min_size=3, max_size=6), st.integers(0, 5), st.integers(0, 9), st.sampled_from([None, 0, 1, 2, 4, "\t"]), st.booleans(), st.sampled_from([64 << 10, 1, 7]))  # fmt: skip
def test_a_record_cut_off_in_its_string_costs_itself_alone_where_elements_have_lines_of_their_own(
    items_of: ItemsOf, tmp_path_factory: Any, objects: list[Any], cut: int, kept: int, indent: Any, windows: bool, window: int
) -> None:  # fmt: skip
    """On one line what ends the string could be the next record's quote: that record may be lost too, and no other."""
    cut %= len(objects)
    marked = [{**value, "text": f"text{i:06}"} for i, value in enumerate(objects)]
    whole = json.dumps([*marked[:cut], "HERE", *marked[cut + 1 :]], indent=indent)
    data = whole.replace('"HERE"', '{"text": "' + f"text{cut:06}"[:kept])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_WINDOW", window)
        items = items_of(tmp_path_factory.mktemp("json") / "a.json", data.replace("\n", "\r\n") if windows else data)  # fmt: skip
    lost = {cut} if indent is not None else {cut, cut + 1}
    wanted = [value["text"] for i, value in enumerate(marked) if i not in lost]
    assert [text for text in texts_in(items) if text in wanted] == wanted
    if indent is not None:
        assert texts_in(items) == wanted


def test_an_object_further_in_than_the_elements_is_none_of_them(read: Read) -> None:
    data = (
        '[\n  {"text": "one"},\n  {"text": "cut,\n   "n": [\n    {"text": "inner"}]},\n  {"text": "two"}\n]'
    )
    assert read("a.json", data) == ["one", (1, "invalid_json"), "two"]
    data = '[\n  {"text": "cut,\n   "n": [\n    {"text": "inner"}],\n  {"text": "two"}\n]'
    assert read("a.json", data) == [(0, "invalid_json"), "two"]


@pytest.mark.parametrize("size", [1_000, 200_000])
def test_broken_records_of_any_number_cost_no_good_one(read: Read, size: int) -> None:
    bad, good = f'{{"text": "{"x" * size}", "n": bad}}', f'{{"text": "{"y" * (size // 2)}"}}'
    found = read("a.json", f"[{','.join([bad, good] * 60)}]", max_record_bytes=1_000_000)
    assert found == [(i, "invalid_json") if i % 2 == 0 else "y" * (size // 2) for i in range(120)]


def test_a_value_without_its_end_costs_itself_alone(read: Read) -> None:
    bad, good = '{"a": [1,', f'{{"text": "{"y" * 90_000}"}}'
    data = "[" + ",\n".join([bad, *[good] * 12] * 30) + "]"
    found = read("a.json", data, max_record_bytes=500_000)
    assert sum(isinstance(item, str) for item in found) == 30 * 12
    assert len(found) == 30 * 13


@pytest.mark.parametrize(
    "unit", [" ", "\n", "}", "}\n", "}\n ", "},", "} ,", "{", "\n{" + " " * 50, '{"a":[', '\n{"a":[' + "1," * 200, '},\n{"a' + "a" * 50, "[", '\n{"text": "one"},\n{"text": bad}', "\n{x", "\n{x}", "x,", "},\n{x[", '","},{x,', '\n{"a":[x' + "1," * 200, '"},{x{,', "[{},", "[{},{},", "[{x},", "[{}] x ", "[{x}] x,", '["{",', "[1,{},", '\n{x "', '\n  {x "', '}\n{"a\\"']
)  # fmt: skip
def test_what_hostile_text_costs_is_as_its_size(
    read: Read, unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place where an object begins is looked for in time as the text's length; what is decoded is counted."""

    def decoded(size: int) -> int:
        total = 0
        decode, bracketed_size = module._Values._decode, module._Values._bracketed_size

        def count(values: Any) -> Any:
            nonlocal total
            total += len(values._window) - values._at
            return decode(values)

        def count_closing(values: Any) -> int:
            nonlocal total
            size = bracketed_size(values)
            total += max(size, values._open_until - values._at)
            return size

        with monkeypatch.context() as patch:
            patch.setattr(module._Values, "_decode", count)
            patch.setattr(module._Values, "_bracketed_size", count_closing)
            read("a.json", '[{"text": bad}' + unit * (size // len(unit)) + "x", max_record_bytes=20_000)
        return total

    small, large = decoded(100_000), decoded(400_000)
    assert large < 6 * max(small, 100_000)


@pytest.mark.parametrize(
    ("first", "unit"), [("}", "\n"), ("", "}\n"), ("", "} "), ("", "}"), ("", "\n  "), ("\n", "  ")]
)
def test_looking_for_an_object_takes_no_time_of_its_own(first: str, unit: str) -> None:
    def look(size: int) -> None:
        assert module._next_object("  ").search(first + unit * (size // len(unit)) + "x") is None

    assert growth(look, 4000) < LINEAR
