"""CSV: rows by header; a quote that does not close costs its line."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest

from corpus.readers import Record, Reject

Read = Callable[..., list[Any]]
ItemsOf = Callable[..., list[Record | Reject]]

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
        ("a.csv", "text,n,text\na,1,b\n", [(-1, "missing_text")]),
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
