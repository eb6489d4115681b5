"""Rows of a task's files: what is damaged costs itself alone."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from evals.task_rows import read_rows
from tests.evals.task_files import EXPECTED, ROWS, answers, load, reasons, write_jsonl


def test_csv_rows_that_are_ragged_or_not_utf8_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        b"question,a,b,c,answer\nq,x,y,z,A\nshort,x\nq\xff2,x,y,z,B\n"
        + b'"long, quoted\nover lines",x,y,z,C\n'
    )
    task = load(path)
    assert answers(task) == {"q": "x", "long, quoted\nover lines": "z"}
    assert reasons(task) == [(1, "wrong_number_of_columns"), (2, "invalid_utf8")]


def test_an_unclosed_quote_loses_only_its_own_row(tmp_path: Path) -> None:
    rows = [f"question {n},x,y,z,A" for n in range(20)]
    for name, bad in (("begin", '"open,x,y,z,A'), ("middle", 'q,"x,y,z,A'), ("last", 'q,x,y,z,"A')):
        for number in (0, 7, 19):
            damaged = [*rows[:number], bad, *rows[number:]]
            path = tmp_path / f"{name}{number}.csv"
            path.write_text("question,a,b,c,answer\n" + "\n".join(damaged) + "\n")
            task = load(path)
            assert len(task.items) == 20
            assert reasons(task) == [(number, "invalid_csv")]


@given(st.lists(st.text(alphabet='ab,"\r\n', max_size=6), max_size=8), st.booleans())
def test_csv_rows_are_items_or_rejects_whatever_the_quotes(lines: list[str], header: bool) -> None:
    """As many rows as lines at most, numbered without a gap; what csv writes is read back whole."""
    text = "q,r\n" + "\n".join(lines)
    found = list(read_rows("a.csv", text.encode(), None, header))
    assert [number for number, _ in found] == list(range(len(found)))
    assert len(found) <= len(text.splitlines()) and (header or found)
    out = io.StringIO()
    csv.writer(out).writerows([("q", "r"), *((line, "x") for line in lines)])
    kept = [cells for _, cells in read_rows("a.csv", out.getvalue().encode(), None, True)]
    assert [cells if isinstance(cells, str) else cells["q"] for cells in kept] == lines


def test_what_is_not_a_number_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    bad = [{**ROWS[0], "question": value} for value in (math.nan, math.inf)] + [{**ROWS[0], "a": math.nan}]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*ROWS, *bad]))
    task = load(path)
    assert answers(task) == EXPECTED
    assert [reason for _, reason in reasons(task)] == ["not_a_number"] * 3


def test_a_damaged_parquet_or_json_file_loses_only_itself(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "good.jsonl", ROWS)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "bad.json").write_text("[{")
    task = load(tmp_path)
    assert answers(task) == EXPECTED
    assert sorted(reasons(task)) == [(-1, "corrupt_file"), (-1, "invalid_json")]
