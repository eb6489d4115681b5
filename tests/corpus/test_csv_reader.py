"""CSV: rows by header; a quote that does not close costs its line."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import csv_reader, csv_scout, files
from corpus.readers import Record, Reject

Read = Callable[..., list[Any]]
ItemsOf = Callable[..., list[Record | Reject]]

CSV: list[tuple[str | bytes, list[Any]]] = [
    ('"bad"x,1', [(1, "invalid_csv")]), ('"bad""x,1', [(1, "invalid_csv")]), ('"bad\n', [(1, "invalid_csv")]), ('bad,"', [(1, "invalid_csv")]), ('"bad" ,1', [(1, "invalid_csv")]), ("bad\rx,1", [(1, "invalid_csv")]),
    ("bad", [(1, "wrong_column_count")]), ("bad,1,2", [(1, "wrong_column_count")]), ("bad,1,", [(1, "wrong_column_count")]), (",,,,", [(1, "wrong_column_count")]),
    (",1", [(1, "empty_text")]), ('" ",1', [(1, "empty_text")]), (b"\xff,1", [(1, "invalid_utf8")]), (b"in,\xff", [(1, "invalid_utf8")]), ("é,1".encode("latin-1"), [(1, "invalid_utf8")]),
    ("x" * 5000 + ",1", [(1, "record_too_long")]), ('"' + "x\n" * 2000 + '",1', [(1, "record_too_long")]), ('1,"' + "x" * 5000 + '\n""y, z""\n"', [(1, "record_too_long")]), ('"a\n' + "x" * 5000 + '","b\nc"\r', [(1, "record_too_long")]),
    ('"' + "x\n" * 1000 + 'y"z\n', [(1, "invalid_csv"), *((i, "wrong_column_count") for i in range(2, 1002))]), ('"' + "x" * 5000 + '\n"y', [(1, "record_too_long"), (2, "invalid_csv")]),
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
        ("a.csv", 'text\n"' + "line of a law\n" * 200 + '"\nlast\n', [(0, "record_too_long"), "last"]),
        ("a.csv", 'text\n"' + "line of a law\n" * 1000 + '"\nlast\n', [(0, "invalid_csv"), *["line of a law"] * 999, (1000, "invalid_csv"), "last"]),
        ("a.csv", 'text\n"' + "line of a law\n" * 200, [(0, "invalid_csv"), *["line of a law"] * 199]),
        ("a.csv.gz", gzip.compress(b'text\none\n"' + b"line of a law\n" * 200, mtime=0)[:-8], ["one", (1, "record_too_long"), (2, "truncated_file")]),
    ],
)  # fmt: skip
def test_csv_files(read: Read, name: str, data: str | bytes, found: list[Any]) -> None:
    assert read(name, data, max_record_bytes=1500) == found


@pytest.mark.parametrize(
    ("header", "names"),
    [("text,n,n", ["n", "n.1"]), ("n,text,n,n", ["n", "n.1", "n.2"]), ("text,n,n,n.1", ["n", "n.2", "n.1"]), ("text,n.1,n,n", ["n.1", "n", "n.2"]), ("text,,", ["", ".1"]), ("text,n, n ", ["n", "n.1"])],
)  # fmt: skip
def test_columns_of_one_name_are_all_kept(
    items_of: ItemsOf, tmp_path: Path, header: str, names: list[str]
) -> None:
    at = [name.strip() for name in header.split(",")].index("text")
    values = [f"value {i}" for i in range(len(names))]
    row = [*values[:at], "a law", *values[at:]]
    (item,) = items_of(tmp_path / "a.csv", f"{header}\n{','.join(row)}\n")
    assert isinstance(item, Record) and item.metadata == dict(zip(names, values, strict=True))


def test_of_two_columns_of_one_name_the_first_is_meant(items_of: ItemsOf, tmp_path: Path) -> None:
    (item,) = items_of(tmp_path / "a.csv", "id,text,id\nfirst,a law,second\n", id_field="id")
    assert isinstance(item, Record) and (item.own_id, item.metadata) == ("first", {"id.1": "second"})


ROWS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1, max_size=30).filter(str.strip), min_size=1, max_size=8)  # fmt: skip


@given(ROWS, st.sampled_from([1 << 20, 7, 1]), st.sampled_from([10, 1000]), st.booleans())
def test_carriage_returns_end_the_lines_of_a_file_without_line_feeds(
    items_of: ItemsOf, tmp_path_factory: Any, texts: list[str], size: int, limit: int, stray: bool
) -> None:
    """As line feeds do, whatever the quotes and the limit."""
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    rows = ["text,n", *(f'"{text.replace(chr(34), chr(34) * 2)}",1' for text in texts), "last,2"]
    data = "\n".join([*rows[:1], *['"stray,3'] * stray, *rows[1:], ""])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(files, "BLOCK_BYTES", size)
        found = items_of(path, data.replace("\n", "\r"), max_record_bytes=limit)
        assert found == items_of(path, data, max_record_bytes=limit)


def short(items: list[Record | Reject]) -> list[Any]:
    return [item.text if isinstance(item, Record) else item.reason for item in items]


def test_a_stray_quote_costs_its_line_whatever_comes_up_to_the_next(read: Read) -> None:
    good = [f"law {i}" for i in range(20_000)]
    rows = "".join(f"{text},1\n" for text in good)
    data = f'text,n\n"stray one,1\n{rows}screen 5",3\nlast,4\n'
    assert read("a.csv", data, max_record_bytes=2_000) == [(0, "invalid_csv"), *good, 'screen 5"', "last"]


PIECES = st.lists(
    st.sampled_from(['"', '"', '""', "\n", "\n", "\r\n", ",", "x", "é", "yy", '"a\nb"', "z" * 12]), max_size=60
)  # fmt: skip


@given(PIECES, st.integers(4, 20), st.integers(1, 4))
def test_where_blocks_end_decides_nothing(
    items_of: ItemsOf, tmp_path_factory: Any, pieces: list[str], limit: int, reach: int
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    found = []
    for size in (1 << 20, 7, 1):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(files, "BLOCK_BYTES", size)
            patched.setattr(csv_reader, "_PASSED", reach)
            found.append(short(items_of(path, "text\n" + "".join(pieces), max_record_bytes=limit)))
    assert found[0] == found[1] == found[2]


@given(PIECES, st.integers(1, 40))
def test_a_limit_costs_no_row_but_the_long_ones(
    items_of: ItemsOf, tmp_path_factory: Any, pieces: list[str], limit: int
) -> None:
    """Whatever the quotes, and wherever the blocks end: the same rows are there, and the same are broken."""
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    data = "text\n" + "".join(pieces)
    whole = short(items_of(path, data))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(files, "BLOCK_BYTES", 7)
        patched.setattr(csv_reader, "_PASSED", 1_000)  # where every long row has its end in reach
        bounded = short(items_of(path, data, max_record_bytes=limit))
    if whole == ["empty_file"] or limit < len("text"):
        return
    assert len(bounded) == len(whole)
    assert all(found in (expected, "record_too_long") for found, expected in zip(bounded, whole, strict=True))
    assert bounded == whole or limit < len(data.encode())


def test_ahead_of_a_long_row_only_line_ends_are_looked_for(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed: list[bytes] = []
    follow = csv_scout.Scout._follow

    def noted(scout: Any, state: Any, piece: bytes) -> Any:
        followed.append(piece)
        return follow(scout, state, piece)

    monkeypatch.setattr(csv_scout.Scout, "_follow", noted)
    long = '"' + "of a law\n" * 200 + '"\n'
    found = read("a.csv", "text\n" + ("short\n" * 500 + long) * 2 + "last\n", max_record_bytes=1_000)
    short = ["short"] * 500
    assert found == [*short, (500, "record_too_long"), *short, (1001, "record_too_long"), "last"]
    assert b"short" not in followed


@pytest.mark.parametrize(
    "unit", ['"a\n', 'a,"\n', 'a,"""b\n', '"\n', 'a,""\n', 'x"y\n', 'x","\n', '"",""""\n', '","\n', '"' + "x" * 700 + "\n", ("x" * 700 + '","\n')]
)  # fmt: skip
def test_what_quotes_cost_is_as_the_size(read: Read, unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def given_lines(size: int) -> int:
        """Lines fed to csv, and pieces looked at ahead."""
        total = 0
        give, follow = csv_reader._Lines.__next__, csv_scout.Scout._follow

        def counted(lines: Any) -> str:
            nonlocal total
            total += 1
            return give(lines)

        def followed(scout: Any, state: Any, piece: bytes) -> Any:
            nonlocal total
            total += 1
            return follow(scout, state, piece)

        with monkeypatch.context() as patch:
            patch.setattr(csv_reader._Lines, "__next__", counted)
            patch.setattr(csv_scout.Scout, "_follow", followed)
            read("a.csv", "text,n\n" + unit * (size // len(unit)), max_record_bytes=5_000)
        return total

    small, large = given_lines(20_000), given_lines(80_000)
    assert large < 6 * small
