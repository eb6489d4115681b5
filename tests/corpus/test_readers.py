"""Readers: every format's records, and that damage costs what is damaged and nothing else."""

from __future__ import annotations

import gzip
import json
import random
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import ConfigError
from corpus.files import list_files
from corpus.readers import REASONS, Reading, Record, Reject, format_of, parse_date, read_records

Read = Callable[..., list[Any]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Writes a file and reads it: texts stand for records, (position, reason) for rejects."""

    def read(name: str, data: bytes | str, **reading: Any) -> list[Any]:
        items = items_of(tmp_path / name, data, **reading)
        return [item.text if isinstance(item, Record) else (item.position, item.reason) for item in items]

    return read


def items_of(path: Path, data: bytes | str, **reading: Any) -> list[Record | Reject]:
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
    items = list(read_records(list_files(str(path))[0], Reading(**reading)))
    positions = [item.position for item in items if isinstance(item, Record)]
    assert positions == sorted(set(positions)), "positions make doc_ids: no two records may share one"
    assert {item.reason for item in items if isinstance(item, Reject)} <= set(REASONS)
    return items


def line(text: str, **fields: Any) -> str:
    return json.dumps({"text": text, **fields})


def parquet_bytes(table: pa.Table, path: Path, **options: Any) -> bytes:
    pq.write_table(table, path, **options)
    return path.read_bytes()


# ── damage, format by format: what is broken is a reject at its place, what is not is read ──

ONE, TWO = line("one"), line("two")
XML = "<r><s>one</s>{}<s>two</s></r>"

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
def test_a_json_array_is_read_as_json_reads_it_whatever_the_blocks(tmp_path_factory: Any, data: Any) -> None:
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


CSV: list[tuple[str | bytes, list[Any]]] = [
    ('"bad"x,1', [(1, "invalid_csv")]), ('"bad""x,1', [(1, "invalid_csv")]), ('"bad\n', [(1, "invalid_csv")]), ('bad,"', [(1, "invalid_csv")]), ('"bad" ,1', [(1, "invalid_csv")]), ("bad\rx,1", [(1, "invalid_csv")]),
    ("bad", [(1, "wrong_column_count")]), ("bad,1,2", [(1, "wrong_column_count")]), ("bad,1,", [(1, "wrong_column_count")]), (",,,,", [(1, "wrong_column_count")]),
    (",1", [(1, "empty_text")]), ('" ",1', [(1, "empty_text")]), (b"\xff,1", [(1, "invalid_utf8")]), (b"in,\xff", [(1, "invalid_utf8")]), ("é,1".encode("latin-1"), [(1, "invalid_utf8")]),
    ("x" * 5000 + ",1", [(1, "record_too_long")]), ('"' + "x\n" * 2000 + '",1', [(1, "invalid_csv"), *((i, "wrong_column_count") for i in range(2, 2001)), (2001, "invalid_csv")]),
    ("", []), ("\r", []), ('"a, ""b""\nc",1', ['a, "b"\nc']), ('"a\r\nb",1', ["a\nb"]), ("a\0b,1", ["a\0b"]), ("a'b\"c,1", ["a'b\"c"]), ("in,1\r", ["in"]), ('"in","1"', ["in"]), (" in ,1", [" in "]),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "middle"), CSV)
def test_csv(read: Read, bad: str | bytes, middle: list[Any]) -> None:
    bad = bad.encode() if isinstance(bad, str) else bad
    assert read("a.csv", b"text,n\none,1\n" + bad + b"\ntwo,2\n", max_record_bytes=1500) == [
        "one",
        *middle,
        "two",
    ]


@pytest.mark.parametrize(
    ("name", "data", "found"),
    [
        ("a.tsv", "text\tn\na, b\t1\n", ["a, b"]),
        ("a.csv", "n;text\n1;a, b\n", ["a, b"]),
        ("a.csv", "n|text\n1|a\n", ["a"]),
        ("a.csv", '\ufeff"text",n\na,1\n', ["a"]),
        ("a.csv", "text\nhello | world; or\tnot\n", ["hello | world; or\tnot"]),
        ("a.csv", "\n\ntext\na\n", ["a"]),
        ("a.csv", "body,n\na,1\n", [(-1, "missing_text")]),
        ("a.csv", "x" * 5000 + "\na\n", [(-1, "missing_text")]),
        ("a.csv", '"text\n', [(-1, "missing_text")]),
        ("a.csv", "text,n\n", [(-1, "empty_file")]),
        ("a.csv", "\n \n", [(-1, "empty_file")]),
        ("a.csv", 'text,n\n"one', [(0, "invalid_csv")]),
        ("a.csv.gz", gzip.compress(b'text,n\none,1\n"cut\noff', mtime=0)[:-8], ["one", (1, "truncated_file")]),
        ("a.csv.gz", gzip.compress(b"te", mtime=0)[:-4], [(-1, "truncated_file")]),
    ],
)  # fmt: skip
def test_csv_files(read: Read, name: str, data: str | bytes, found: list[Any]) -> None:
    assert read(name, data, max_record_bytes=1500) == found


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
        (f"<!DOCTYPE r [<!ENTITY a '{'x' * 100_000}'>]><r><s>{'&a;' * 1000}</s></r>", [(0, "xml_entity")]),
        ("<!DOCTYPE r [<!ENTITY a SYSTEM 'file:///etc/hostname'>]><r><s>one</s><s>&a;</s></r>", ["one", (1, "xml_entity")]),
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


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("---\ntitle: [T\n---\nbody\n", [(0, "invalid_front_matter")]),
        ("---\ntitle: T\nbody without an end\n", [(0, "invalid_front_matter")]),
        ("---\ntitle: T\ntitle: U\n---\nbody\n", [(0, "invalid_front_matter")]),
        ("---\ntitle: !!int x\n---\nbody\n", [(0, "invalid_front_matter")]),
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


def test_parquet_damage(read: Read, tmp_path: Path) -> None:
    noise = random.Random(4)
    texts = [noise.randbytes(100).hex() for _ in range(100)]
    data = parquet_bytes(pa.table({"text": texts}), tmp_path / "t", row_group_size=10, compression="zstd", write_page_checksum=True, use_dictionary=False)  # fmt: skip
    start = pq.ParquetFile(tmp_path / "t").metadata.row_group(3).column(0).data_page_offset
    broken = data[: start + 700] + b"\xff" * 20 + data[start + 720 :]
    assert read("a.parquet", broken) == [*texts[:30], (30, "corrupt_file"), *texts[40:]]
    for bad in (
        b"",
        b"PAR1",
        b"PAR1junkPAR1",
        data[:-1],
        data[: len(data) // 2],
        b"x" * 1000,
        data[:-8] + b"\xff\xff\xff\x7fPAR1",
        gzip.compress(data),
    ):
        assert read("a.parquet", bad) == [(-1, "corrupt_file")]


def test_parquet_values(tmp_path: Path) -> None:
    invalid = pa.StringArray.from_buffers(
        4, pa.py_buffer(b"\0\0\0\0\3\0\0\0\4\0\0\0\7\0\0\0\x0a\0\0\0"), pa.py_buffer(b"one\xfftwoabc")
    )
    table = pa.table({
        "text": invalid,
        "when": pa.array([1, 2, 3, 2**62], pa.timestamp("us", "Asia/Kolkata")),
        "ns": pa.array([1, 2, 3, 4], pa.timestamp("ns")),
        "blob": [b"a", b"\xff", None, b""],
        "tags": [["x"], None, [], ["y", None]],
        "n": [1.5, float("nan"), None, 2.0],
    })  # fmt: skip
    one, bad, three, four = items_of(
        tmp_path / "a.parquet", parquet_bytes(table, tmp_path / "t"), date_field="when"
    )
    assert bad == Reject(1, "invalid_utf8")
    assert isinstance(one, Record)
    assert one.date == datetime(1970, 1, 1, 0, 0, 0, 1)
    assert one.metadata == {"ns": "1970-01-01T00:00:00", "blob": "a", "tags": ["x"], "n": 1.5}
    assert isinstance(three, Record)
    assert three.metadata == {"ns": "1970-01-01T00:00:00", "blob": None, "tags": [], "n": None}
    assert isinstance(four, Record)
    assert (four.text, four.date, four.metadata["n"]) == ("abc", None, 2.0)


@pytest.mark.parametrize(
    ("kind", "found"),
    [(pa.large_string(), ["a", (1, "missing_text"), (2, "empty_text")]), (pa.string_view(), ["a", (1, "missing_text"), (2, "empty_text")]), (pa.binary(), ["a", (1, "missing_text"), (2, "empty_text")]),
     (pa.dictionary(pa.int32(), pa.string()), ["a", (1, "missing_text"), (2, "empty_text")])],
)  # fmt: skip
def test_parquet_kinds_of_text(read: Read, tmp_path: Path, kind: pa.DataType, found: list[Any]) -> None:
    table = pa.table({"text": pa.array(["a", None, ""], kind)})
    assert read("a.parquet", parquet_bytes(table, tmp_path / "t")) == found


def test_parquet_without_the_text_column(read: Read, tmp_path: Path) -> None:
    nested = parquet_bytes(pa.table({"doc": [{"text": "a"}, None], "n": [1, 2]}), tmp_path / "t")
    assert read("a.parquet", nested) == [(-1, "missing_text")]
    assert read("a.parquet", nested, text_field="doc.text") == ["a", (1, "missing_text")]
    assert read("a.parquet", nested, text_field="n") == [(0, "wrong_type"), (1, "wrong_type")]
    assert read(
        "a.parquet", parquet_bytes(pa.table({"text": pa.array([], pa.string())}), tmp_path / "t")
    ) == [(-1, "empty_file")]


# ── compressed, truncated, misnamed ──


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_truncated_stream_keeps_every_record_before_its_end(read: Read, suffix: str) -> None:
    noise = random.Random(1)
    texts = [f"record {i} {noise.randbytes(40).hex()}" for i in range(5000)]
    lines = [line(text) for text in texts]
    formats: dict[str, tuple[str, dict[str, Any]]] = {
        "jsonl": ("\n".join(lines), {}),
        "json": ("[" + ",".join(lines) + "]", {}),
        "csv": ("text\n" + "\n".join(texts), {}),
        "txt": ("\n\n".join(texts), {"split": "blank_lines"}),
        "xml": ("<r>" + "".join(f"<s>{text}</s>" for text in texts) + "</r>", {"text_field": "s"}),
    }  # fmt: skip
    for ending, (whole, reading) in formats.items():
        packed = (
            gzip.compress(whole.encode())
            if suffix == "gz"
            else zstandard.ZstdCompressor().compress(whole.encode())
        )
        found = read(f"a.{ending}.{suffix}", packed[: len(packed) * 9 // 10], **reading)
        kept = len(found) - 1
        assert kept > 3000
        assert found == [*texts[:kept], (kept, "truncated_file")], ending
        assert read(f"a.{ending}.{suffix}", packed, **reading) == texts


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.txt.zst", "a.md.gz", "a.csv.gz", "a.xml.zst", "a.json.gz"])
def test_what_is_not_packed_though_its_name_says_so(read: Read, name: str) -> None:
    assert [reason for _, reason in read(name, "text\nnot packed\n")] == ["corrupt_file"]
    assert read(name, b"") == [(-1, "empty_file")]


def test_formats_by_name(read: Read) -> None:
    assert [format_of(name) for name in ("s3://a/b.JSONL.zst", "a.ndjson", "x/42-3141.05.xml", "a.tar.gz", "README", ".gz", "a.md.gz", "a.pq")] == [
        "jsonl", "jsonl", "xml", None, None, None, "markdown", "parquet",
    ]  # fmt: skip
    assert read("README", "text") == [(-1, "unknown_format")]
    assert read("README", "text", format="text") == ["text"]
    assert read("a.jsonl", ONE, format="text") == [ONE]


# ── every file at once ──


def malformed_files() -> Iterator[tuple[str, bytes]]:
    """More than two hundred files that are broken in one way each."""
    for i, (bad, _) in enumerate(JSONL):
        yield f"jsonl{i}.jsonl", bad.encode("utf-8", "surrogatepass") if isinstance(bad, str) else bad
    for i, (bad, _) in enumerate(CSV):
        yield f"csv{i}.csv", b"text,n\n" + (bad.encode() if isinstance(bad, str) else bad)
    for i, (bad, _) in enumerate(XML_DAMAGE):
        yield f"xml{i}.xml", b"<r>" + (bad.encode() if isinstance(bad, str) else bad) + b"</r>"
    noise = random.Random(2)
    for ending in ("jsonl", "json", "csv", "txt", "md", "xml", "parquet", "jsonl.gz", "jsonl.zst", "bin"):
        for j in range(8):
            yield f"noise{j}.{ending}", noise.randbytes(noise.randrange(3000))
        yield f"empty.{ending}", b""
        yield f"nul.{ending}", bytes(1000)
    whole = "\n".join([ONE, TWO]).encode()
    for j in range(0, 40, 5):
        yield f"cut{j}.jsonl.gz", gzip.compress(whole)[:j]
        yield f"cut{j}.jsonl.zst", zstandard.ZstdCompressor().compress(whole)[:j]


def test_two_hundred_malformed_files_stop_nothing_and_take_nothing_along(tmp_path: Path) -> None:
    files = dict(malformed_files())
    assert len(files) > 200
    good = {f"good{i}.jsonl": line(f"good {i}").encode() for i in range(20)}
    for name, data in (files | good).items():
        (tmp_path / name).write_bytes(data)
    found = {Path(ref.path).name: list(read_records(ref, Reading())) for ref in list_files(str(tmp_path))}
    assert found.keys() == files.keys() | good.keys()
    assert all(items for items in found.values()), "every file leaves a record or a reject"
    for name in good:
        assert [item.text for item in found[name] if isinstance(item, Record)] == [
            json.loads(good[name])["text"]
        ]
    reasons = {item.reason for items in found.values() for item in items if isinstance(item, Reject)}
    assert reasons <= set(REASONS)
    assert len(reasons) > 12


FORMATS = ["jsonl", "json", "csv", "text", "markdown", "xml", "parquet"]


@settings(max_examples=300)
@given(
    st.sampled_from(FORMATS),
    st.binary(max_size=400) | st.text("{}[]\",:\\\n\r\t<>/&;!-= 'stex1?", max_size=400).map(str.encode),
    st.sampled_from(["", ".gz", ".zst"]),
    st.booleans(),
)
def test_nothing_in_a_file_can_raise(
    tmp_path_factory: Any, kind: str, data: bytes, packing: str, lines: bool
) -> None:
    packed = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}[packing](data)
    reading = {
        "format": kind,
        "text_field": "s" if kind == "xml" else "text",
        "max_record_bytes": 200,
        "split": "blank_lines" if lines else "file",
    }
    items = items_of(tmp_path_factory.mktemp("any") / f"a.x{packing}", packed, **reading)
    assert items
    for item in items:
        if isinstance(item, Record):
            assert item.text.strip()
            assert len(item.text.encode()) <= 200


@settings(max_examples=150)
@given(st.sampled_from(["jsonl", "json", "csv", "xml"]), st.data())
def test_one_flipped_byte_costs_at_most_two_records(tmp_path_factory: Any, kind: str, data: Any) -> None:
    """The record it is in, and, where it removes the boundary, the one beside it; nothing else changes."""
    texts = [f"record number {i}" for i in range(20)]
    whole = {
        "jsonl": "\n".join(map(line, texts)),
        "json": "[" + ",\n".join(map(line, texts)) + "]",
        "csv": "text,n\n" + "".join(f'"{text}",1\n' for text in texts),
        "xml": "<r>" + "\n".join(f"<s>{text}</s>" for text in texts) + "</r>",
    }[kind].encode()
    first = {"json": 1, "csv": 7, "xml": 3}.get(kind, 0)  # not the header or the root
    place, byte = data.draw(st.integers(first, len(whole) - 6)), data.draw(st.integers(0, 255))
    items = items_of(
        tmp_path_factory.mktemp("flip") / f"a.{kind}",
        whole[:place] + bytes([byte]) + whole[place + 1 :],
        text_field="s" if kind == "xml" else "text",
    )
    kept = [item.text for item in items if isinstance(item, Record) and item.text in texts]
    assert len(kept) >= 18
    assert kept == sorted(kept, key=texts.index)


# ── memory ──


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "jsonl.zst", "json", "csv", "xml", "txt"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, ending: str) -> None:
    noise = random.Random(5)
    texts = [noise.randbytes(900).hex() for _ in range(10_000)]
    make: dict[str, tuple[str, Callable[[str], str], str, dict[str, Any]]] = {
        "json": ("[", lambda text: line(text) + ",\n", "]", {}),
        "csv": ("text,n\n", lambda text: f'"{text}\n{text}",1\n', "", {}),
        "xml": ("<r>", lambda text: f"<s><p>{text}</p></s>\n", "</r>", {"text_field": "s"}),
        "txt": ("", lambda text: text + "\n\n", "", {"split": "blank_lines"}),
    }
    head, body, tail, reading = make.get(ending, ("", lambda text: line(text) + "\n", "", {}))
    data = (head + "".join(map(body, texts)) + tail).encode()
    pack: dict[str, Callable[[bytes], bytes]] = {
        "gz": lambda data: gzip.compress(data, 1),
        "zst": zstandard.ZstdCompressor().compress,
    }
    path = tmp_path / f"a.{ending}"
    path.write_bytes(pack.get(ending.rpartition(".")[2], bytes)(data))
    size = len(data)
    del data, texts
    [ref] = list_files(str(path))
    tracemalloc.start()
    try:
        count = sum(isinstance(item, Record) for item in read_records(ref, Reading(**reading)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 10_000
    assert size > 18_000_000
    assert peak < 6_000_000


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_bomb_is_unpacked_a_little_at_a_time(tmp_path: Path, kind: str) -> None:
    data = (line("x" * 1000) + "\n").encode() * 20_000
    path = tmp_path / f"a.jsonl.{kind}"
    path.write_bytes(gzip.compress(data) if kind == "gz" else zstandard.ZstdCompressor().compress(data))
    [ref] = list_files(str(path))
    del data
    tracemalloc.start()
    try:
        assert sum(isinstance(item, Record) for item in read_records(ref, Reading())) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


def test_parquet_memory_does_not_grow_with_the_row_group(tmp_path: Path) -> None:
    noise = random.Random(3)
    texts = [noise.randbytes(1000).hex() for _ in range(20_000)]
    pq.write_table(
        pa.table({"text": texts}),
        tmp_path / "a.parquet",
        row_group_size=20_000,
        use_dictionary=False,
        data_page_size=64 << 10,
    )
    del texts
    [ref] = list_files(str(tmp_path / "a.parquet"))
    pool = pa.proxy_memory_pool(pa.default_memory_pool())
    before = pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        assert sum(isinstance(item, Record) for item in read_records(ref, Reading())) == 20_000
    finally:
        pa.set_memory_pool(before)
    assert ref.size > 20_000_000
    assert pool.max_memory() < 16_000_000


@pytest.mark.parametrize(
    ("ending", "reading"),
    [("jsonl", {}), ("json", {}), ("csv", {}), ("xml", {"text_field": "s"}), ("txt", {"split": "blank_lines"}), ("txt", {}), ("md", {})],
)  # fmt: skip
def test_a_line_of_50_mb_is_one_reject_in_bounded_memory(
    tmp_path: Path, ending: str, reading: dict[str, Any]
) -> None:
    long = "x" * 50_000_000
    data = {
        "jsonl": f'{ONE}\n{{"text": "{long}"}}\n{TWO}\n', "json": f'[{ONE}, {{"text": "{long}"}}, {TWO}]', "csv": f"text\none\n{long}\ntwo\n",
        "xml": XML.format(f"<s>{long}</s>"), "txt": f"one\n\n{long}\n\ntwo\n", "md": long,
    }[ending]  # fmt: skip
    path = tmp_path / f"a.{ending}"
    path.write_text(data)
    del data, long
    tracemalloc.start()
    try:
        found = [
            item.text if isinstance(item, Record) else item.reason
            for item in read_records(list_files(str(path))[0], Reading(max_record_bytes="1M", **reading))
        ]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    whole = ending == "md" or (ending == "txt" and not reading)
    assert found == (["record_too_long"] if whole else ["one", "record_too_long", "two"])
    assert peak < 12_000_000


# ── fields ──


def test_fields_become_id_url_date_and_metadata(tmp_path: Path) -> None:
    fields = {
        "case": 17,
        "from": "https://x.org/1",
        "when": "2019-04-25T12:57:54+02:00",
        "meta": {"court": "HC"},
        "tags": ["a"],
        "n": None,
    }
    reading = {"id_field": "case", "url_field": "from", "date_field": "when"}
    [record] = items_of(tmp_path / "a.jsonl", line("x", **fields), **reading)
    assert record == Record(0, "x", "17", "https://x.org/1", datetime(2019, 4, 25, 10, 57, 54), {"meta": {"court": "HC"}, "tags": ["a"], "n": None})  # fmt: skip
    [record] = items_of(tmp_path / "a.jsonl", line("x", **fields), metadata="none", **reading)
    assert isinstance(record, Record)
    assert (record.metadata, record.own_id) == ({}, "17")
    [record] = items_of(
        tmp_path / "a.jsonl",
        line("x", **fields),
        metadata=["tags", "meta.court", "absent"],
        id_field="meta.court",
    )
    assert isinstance(record, Record)
    assert (record.metadata, record.own_id) == ({"tags": ["a"], "meta.court": "HC"}, "HC")


def test_a_date_that_cannot_be_read_stays_in_the_metadata(tmp_path: Path) -> None:
    [record] = items_of(tmp_path / "a.jsonl", line("x", when="25/04/2019"), date_field="when")
    assert isinstance(record, Record)
    assert (record.date, record.metadata) == (None, {"when": "25/04/2019"})


def test_metadata_is_plain_json_whatever_the_source(tmp_path: Path) -> None:
    fields = (
        '{"text": "x", "id": null, "a": NaN, "b": 1e999, "c": "\\ud800", "d": {"e\\udfff": [-Infinity]}, "n": '
        + "9" * 5000
        + "}"
    )
    [record] = items_of(tmp_path / "a.jsonl", fields, id_field="id")
    assert isinstance(record, Record)
    assert record.own_id is None
    written = json.dumps(record.metadata, ensure_ascii=False, allow_nan=False).encode()
    assert json.loads(written) == {"a": None, "b": None, "c": "���", "d": {"e���": [None]}, "n": "9" * 5000}


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("2019-04-25", (2019, 4, 25)), ("2019-04-25T12:57:54Z", (2019, 4, 25, 12, 57, 54)), ("2019-04-25 12:57:54.5-05:30", (2019, 4, 25, 18, 27, 54, 500000)), ("20190425", (2019, 4, 25)),
        ("2019-04", (2019, 4, 1)), ("2019", (2019, 1, 1)), (2019, (2019, 1, 1)), ("2019/04/25", (2019, 4, 25)), ("25 April 2019", (2019, 4, 25)), ("April 5, 2019", (2019, 4, 5)), ("Apr 5, 2019", (2019, 4, 5)),
        ("Thu, 25 Apr 2019 12:57:54 +0200", (2019, 4, 25, 10, 57, 54)), (1556197074, (2019, 4, 25, 12, 57, 54)), ("1556197074", (2019, 4, 25, 12, 57, 54)), (1556197074000, (2019, 4, 25, 12, 57, 54)),
        (1556197074.25, (2019, 4, 25, 12, 57, 54, 250000)), (20190425, (2019, 4, 25)), (" 2019-04-25\n", (2019, 4, 25)),
    ],
)  # fmt: skip
def test_dates(value: Any, date: tuple[int, ...]) -> None:
    assert parse_date(value) == datetime(*date)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["", "yesterday", "25/04/2019", "04/25/2019", None, True, [], {}, float("nan"), float("inf"), 1e300, 10**400, "2019-13-45", "٢٠١٩", "x" * 1000, "0001-01-01T00:00:00+14:00"])  # fmt: skip
def test_what_is_no_date_is_none(value: Any) -> None:
    assert parse_date(value) is None


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)))
def test_iso_dates_come_back(value: datetime) -> None:
    assert parse_date(value.isoformat()) == value == parse_date(value)


def test_markdown_front_matter_is_the_records_fields(tmp_path: Path) -> None:
    data = "---\ntitle: Land Act\nlanguage: no\npart: 010\nsource: https://x.org\ndate: 1894-02-01\n---\n\n# Land Act\n"
    [record] = items_of(tmp_path / "a.md", data, url_field="source", date_field="date", id_field="title")
    assert record == Record(
        0, "# Land Act\n", "Land Act", "https://x.org", datetime(1894, 2, 1), {"language": "no", "part": 10}
    )


# ── the text and the fields of XML ──

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


def test_blocks_stand_on_lines_and_what_is_inline_runs_on(tmp_path: Path) -> None:
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


def test_an_attribute_is_the_records_own_or_the_nearest_aboves(tmp_path: Path) -> None:
    data = "<docs url='u'><doc id='1'><t>one</t></doc><doc><t id='2' xml:lang='en'>two</t></doc></docs>"
    one, two = items_of(tmp_path / "a.xml", data, text_field="t", id_field="@id", url_field="@url")
    assert isinstance(one, Record)
    assert isinstance(two, Record)
    assert (one.own_id, one.url, one.metadata) == ("1", "u", {})
    assert (two.own_id, two.url, two.metadata) == ("2", "u", {"id": "2"})


def test_a_field_may_stand_in_what_is_left_out(tmp_path: Path) -> None:
    data = "<doc><meta><date>2020-01-02</date><junk>x</junk></meta><p>one</p></doc>"
    [record] = items_of(tmp_path / "a.xml", data, text_field="doc", exclude=["meta"], date_field="meta/date")
    assert record == Record(0, "one", date=datetime(2020, 1, 2))


@given(st.recursive(st.text("ab \n", max_size=4), lambda inner: st.tuples(st.sampled_from(["p", "b", "num", "x", "y"]), st.lists(inner, max_size=4)), max_leaves=12))  # fmt: skip
def test_joining_loses_no_character_and_adds_only_space(tmp_path_factory: Any, tree: Any) -> None:
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


# ── the section ──


def test_the_identity_of_reading() -> None:
    assert Reading().identity() == {"format": None, "text_field": "text"}
    assert Reading(max_record_bytes="33554432", exclude=[], metadata="all").identity() == Reading().identity()
    changed: list[dict[str, Any]] = [
        {"format": "xml"}, {"text_field": "body"}, {"split": "blank_lines"}, {"exclude": ["a"]}, {"id_field": "a"}, {"url_field": "a"}, {"date_field": "a"},
        {"metadata": "none"}, {"metadata": []}, {"max_record_bytes": "1M"}, {"inline": ["w"]},
    ]  # fmt: skip
    identities = {json.dumps(Reading(**change).identity(), sort_keys=True) for change in changed}
    assert len(identities) == len(changed)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"format": "jsonlines"}, "format: 'jsonlines' is not known. Did you mean 'jsonl'?"),
        ({"txt_field": "a"}, "unknown key 'txt_field'. Did you mean 'text_field'?"),
        ({"format": "xml", "text_field": "a[1]"}, "'a[1]' is not a path that is understood"),
        ({"exclude": ["a b"]}, "'a b' is not a path that is understood"),
        ({"metadata": "some"}, "metadata: "),
    ],
)  # fmt: skip
def test_a_wrong_section_is_one_clear_error(tree: dict[str, Any], message: str) -> None:
    from corpus.config import build_section

    with pytest.raises(ConfigError) as caught:
        build_section(Reading, tree, "source 'a'")
    assert message in str(caught.value)
