"""Plain text and Markdown: whole files, paragraphs, front matter."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.readers import Reading, Record, Reject
from corpus.records import RecordMaker
from corpus.text_reader import split_front_matter

Read = Callable[..., list[Any]]
ItemsOf = Callable[..., list[Record | Reject]]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("---\ntitle: [T\n---\nbody\n", [(0, "invalid_front_matter")]),
        ("---\ntitle: T\nbody without an end\n", [(0, "invalid_front_matter")]),
        ("---\ntitle: T\ntitle: U\n---\nbody\n", [(0, "invalid_front_matter")]),
        ("---\ntitle: !!int x\n---\nbody\n", [(0, "invalid_front_matter")]),
        *((f"---\nx: {value}\n---\nbody\n", [(0, "invalid_front_matter")]) for value in (
            "!!bool maybe", "!!float ''", "!!float 1_0", "!!int ''", "!!int 0b1", "!!null x", "!!set {a, b}", "!!omap [a: b]", "!!pairs [a: b]", "!!timestamp 2019-05-02", "!!binary aGk=",
            "!own y", "!!python/name:os.system", "0x" + "f" * 5000, "9" * 5000, '"\\UFFFFFFFF"', "!!map [a]", "!!seq {a: b}", "!!str [a]", "{!!merge a: {b: c}}", "{[a]: b}",
        )),
        ("---\na: &a [*a]\n---\nbody\n", [(0, "invalid_front_matter")]),
        ("---\na0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)) + "---\nbody\n", [(0, "invalid_front_matter")]),
        ("---\na: " + "[" * 1200 + "\n---\nbody\n", [(0, "invalid_front_matter")]),
        ("---\na: " + "x" * 100_000 + "\n---\nbody\n", [(0, "invalid_front_matter")]),
        ("---\ntitle: T\n---\n", [(0, "empty_text")]),
        ("---\ntitle: T\n---\n\nbody\n", ["body\n"]),
        ("---\r\ntitle: T\r\n---\r\nbody\r\n", ["body\n"]),
        ("\ufeff---\ntitle: T\n...\nbody\n", ["body\n"]),
        ("--- \n# a comment\n\ntitle: 'T'\n---\t\nbody", ["body"]),
        ("---\n---\nbody\n", ["body\n"]),
        ("---\n\nA rule across the page, then text.\n\n---\n", ["---\n\nA rule across the page, then text.\n\n---\n"]),
        ("----\ntitle: T\n---\nbody\n", ["----\ntitle: T\n---\nbody\n"]),
        ("# no front matter\n---\na: b\n---\n", ["# no front matter\n---\na: b\n---\n"]),
        (b"# \xff\n", [(0, "invalid_utf8")]),
        ("", [(-1, "empty_file")]),
        (" \n", [(0, "empty_text")]),
        ("a\0b", ["a\0b"]),
    ],
)  # fmt: skip
def test_markdown(read: Read, data: str | bytes, found: list[Any]) -> None:
    assert read("a.md", data) == found


@pytest.mark.parametrize(
    ("data", "whole", "paragraphs"),
    [
        ("a\r\nb\r\n\r\n \t\r\n\r\nc\r\n", ["a\nb\n\n \t\n\nc\n"], ["a\nb", "c"]),
        (b"a\n\n\xff\n\nb", [(0, "invalid_utf8")], ["a", (1, "invalid_utf8"), "b"]),
        ("a\n\n" + "x\n" * 30 + "\nb", [(0, "record_too_long")], ["a", (1, "record_too_long"), "b"]),
        ("a\n\n" + "x" * 60 + "\nmore\n\nb", [(0, "record_too_long")], ["a", (1, "record_too_long"), "b"]),
        ("é" * 26, [(0, "record_too_long")], [(0, "record_too_long")]),
        ("x" * 50, ["x" * 50], ["x" * 50]),
        ("\ufeffa", ["a"], ["a"]),
        ("\n\n  \n", [(0, "empty_text")], [(-1, "empty_file")]),
        ("", [(-1, "empty_file")], [(-1, "empty_file")]),
        ("a\0b\x0cc", ["a\0b\x0cc"], ["a\0b\x0cc"]),
    ],
)  # fmt: skip
def test_text(read: Read, data: str | bytes, whole: list[Any], paragraphs: list[Any]) -> None:
    assert read("a.txt", data, max_record_bytes=50) == whole
    assert read("a.txt", data, max_record_bytes=50, split="blank_lines") == paragraphs


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        ("a b\r\n\r\n \t\nc\n", ["a b", "c"]),
        (b"a\n\xff\nb", ["a", (1, "invalid_utf8"), "b"]),
        ("a\n" + "x" * 60 + "\nb", ["a", (1, "record_too_long"), "b"]),
        ("\n \n", [(-1, "empty_file")]),
        ("", [(-1, "empty_file")]),
    ],
)
def test_lines(read: Read, data: str | bytes, lines: list[Any]) -> None:
    assert read("a.txt", data, max_record_bytes=50, split="lines") == lines


def test_markdown_front_matter_is_the_records_fields(tmp_path: Path, items_of: ItemsOf) -> None:
    data = "---\ntitle: Land Act\nlanguage: no\npart: 010\nsource: https://x.org\ndate: 1894-02-01\n---\n\n# Land Act\n"
    [record] = items_of(tmp_path / "a.md", data, url_field="source", date_field="date", id_field="title")
    assert record == Record(
        0, "# Land Act\n", "Land Act", "https://x.org", datetime(1894, 2, 1), {"language": "no", "part": 10}
    )


SCALARS = st.sampled_from(
    ["maybe", "''", '"\\ud800"', '"\\UFFFFFFFF"', "0x" + "f" * 4000, "9" * 4301, "1e999", "-.inf", ".nan", "0o9", "-", "?", "~", "=", "<<", "*a", "&a", "|", ">-", "%x", "2019-05-02", "12:30", "1_000", "\\", "\t", "é", "\x85"]
) | st.text(max_size=6)  # fmt: skip
TAGS = st.sampled_from(
    ["", "", "&a ", "! ", "!x ", *(f"!!{tag} " for tag in ("bool", "int", "float", "null", "str", "seq", "map", "set", "omap", "pairs", "binary", "timestamp", "merge", "value", "python/tuple"))]
)  # fmt: skip
VALUES = st.recursive(
    st.builds(str.__add__, TAGS, SCALARS),
    lambda inner: (
        st.builds("{}[{}]".format, TAGS, st.lists(inner, max_size=3).map(", ".join))
        | st.builds("{}{{{}: {}, b}}".format, TAGS, inner, inner)
    ),
    max_leaves=6,
)


@settings(max_examples=400)
@given(st.lists(VALUES, min_size=1, max_size=3))
def test_front_matter_of_any_kind_is_a_record_or_a_reject(values: list[str]) -> None:
    text = "---\n" + "".join(f"key{i}: {value}\n" for i, value in enumerate(values)) + "---\nbody\n"
    fields, _ = split_front_matter(text)
    if fields is not None:
        record = RecordMaker(Reading()).from_text(0, "body", fields)
        assert isinstance(record, Record)
        written = json.dumps(record.metadata, allow_nan=False)
        assert json.loads(written) == record.metadata and written.encode()
