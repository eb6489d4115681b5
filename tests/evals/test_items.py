"""Items from the files people have: every format, every way to write an answer, and every row accounted for."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.errors import ConfigError
from tests.evals.task_files import EXPECTED, NAMED, ROWS, answers, load, reasons, write_csv, write_jsonl


def test_every_format_gives_the_same_items(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ROWS)
    write_csv(tmp_path / "bare.csv", ROWS, header=False)
    write_jsonl(tmp_path / "a.jsonl", ROWS)
    (tmp_path / "a.json").write_text(json.dumps(ROWS))
    (tmp_path / "wrapped.json").write_text(json.dumps({"version": 1, "data": ROWS}))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    positions = {"question": 0, "choices": [1, 2, 3], "answer": 4}
    loaded = [
        load(tmp_path / name)
        for name in ("a.csv", "a.jsonl", "a.json", "wrapped.json", "a.csv.gz", "a.parquet")
    ]
    loaded.append(load(tmp_path / "bare.csv", columns=positions))
    loaded.append(load(tmp_path / "a.csv", columns=positions, header=True))
    for task in loaded:
        assert answers(task) == EXPECTED
        assert task.rejects == ()
        assert task.task_hash == loaded[0].task_hash


def test_a_file_with_names_read_by_position_reports_its_header_as_a_reject(tmp_path: Path) -> None:
    task = load(
        write_csv(tmp_path / "a.csv", ROWS), columns={"question": 0, "choices": [1, 2, 3], "answer": 4}
    )
    assert answers(task) == EXPECTED
    assert reasons(task) == [(0, "answer_not_a_choice")]


@pytest.mark.parametrize(
    "column",
    [["x", "y", "z"], {"A": "x", "B": "y", "C": "z"}, {"text": ["x", "y", "z"], "label": ["A", "B", "C"]}],
)
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_choices_in_one_column(tmp_path: Path, column: Any, suffix: str) -> None:
    rows = [
        {"question": "one", "choices": column, "answer": "B"},
        {"question": "two", "choices": column, "answer": "C"},
    ]
    path = tmp_path / f"a.{suffix}"
    if suffix == "jsonl":
        write_jsonl(path, rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    assert answers(load(path, columns={})) == {"one": "y", "two": "z"}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (["A", "C", "b"], [0, 2, 1]),
        (["(a)", "C.", "B"], [None, 2, 1]),
        ([0, 2, 1], [0, 2, 1]),
        (["0", " 2 ", "1"], [0, 2, 1]),
        ([0.0, 2.0, 1.0], [0, 2, 1]),
        ([1, 3, 2], [0, 2, 1]),
        (["one", "three", "two"], [0, 2, 1]),
        (["B", 0, "three"], [1, 0, 2]),
        ([0, 7, "four"], [0, None, None]),
        ([0, float("nan"), True], [0, None, None]),
    ],
)
def test_answers_as_letter_index_or_text(
    tmp_path: Path, column: list[Any], expected: list[int | None]
) -> None:
    rows = [
        {"question": f"q{n}", "choices": ["one", "two", "three"], "answer": value}
        for n, value in enumerate(column)
    ]
    task = load(write_jsonl(tmp_path / "a.jsonl", rows), columns={})
    found = {item.question: item.answer for item in task.items}
    assert [found.get(f"q{n}") for n in range(len(column))] == expected
    assert len(task.rejects) == expected.count(None)


def test_answers_that_could_be_two_things_are_not_guessed(tmp_path: Path) -> None:
    rows = [{"question": f"q{n}", "choices": ["1", "2", "3"], "answer": n} for n in (1, 2)]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    with pytest.raises(ConfigError, match="answer_is"):
        load(path, columns={})
    for answer_is, expected in (("index", ["2", "3"]), ("index_from_1", ["1", "2"]), ("text", ["1", "2"])):
        assert sorted(answers(load(path, columns={}, answer_is=answer_is)).values()) == expected


def test_one_task_may_mix_files_with_letters_and_files_with_indices(tmp_path: Path) -> None:
    write_csv(tmp_path / "dev.csv", ROWS[:3])
    write_csv(tmp_path / "test.csv", [{**row, "answer": "ABC".index(row["answer"])} for row in ROWS[3:]])
    task = load("*.csv", root=tmp_path)
    assert answers(task) == EXPECTED
    assert {item.source for item in task.items} == {"dev", "test"}


def test_every_row_is_an_item_an_example_or_a_reject(tmp_path: Path) -> None:
    good = {"question": "good", "choices": ["x", "y"], "answer": 0}
    bad = [
        "{broken",
        json.dumps([1, 2]),
        json.dumps("text"),
        json.dumps({**good, "question": " "}),
        json.dumps({**good, "question": None}),
        json.dumps({**good, "question": "\ud800"}),
        json.dumps({**good, "choices": ["x"]}),
        json.dumps({**good, "choices": ["x", ""]}),
        json.dumps({**good, "choices": ["x", ["y"]]}),
        json.dumps({**good, "choices": None}),
        json.dumps({**good, "choices": [f"c{n}" for n in range(27)]}),
        json.dumps({**good, "answer": None}),
        json.dumps({**good, "answer": 2}),
        json.dumps({**good, "choices": ["x", "x"]}),
        json.dumps(good),
    ]
    path = tmp_path / "a.jsonl"
    path.write_bytes(("\n".join([json.dumps(good), *bad]) + "\n\n").encode() + b'\xff{"question": 1}\n')
    task = load(path, columns={})
    assert [item.question for item in task.items] == ["good"]
    assert [reason for _, reason in reasons(task)] == [
        "invalid_json", "missing_choice", "wrong_type", "missing_question", "missing_question", "invalid_utf8", "too_few_choices",
        "missing_choice", "wrong_type", "missing_choice", "too_many_choices", "missing_answer", "answer_not_a_choice",
        "right_choice_not_unique", "invalid_utf8", "duplicate_item",
    ]  # fmt: skip
    assert reasons(task)[0][0] == 1


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({**NAMED, "question": "questoin"}, ["'questoin'", "Did you mean 'question'?", "'a', 'answer', 'b'"]),
        ({**NAMED, "choices": ["a", "d"]}, ["no column 'd'", "'answer'"]),
        ({"question": 0, "choices": [1, 2, 3], "answer": 9}, ["no column 9", "positions 0 to 4"]),
    ],
)
def test_a_wrong_column_names_the_columns_there_are(
    tmp_path: Path, columns: dict[str, Any], words: list[str]
) -> None:
    path = write_csv(
        tmp_path / "a.csv", ROWS, header="questoin" in str(columns) or "d" in str(columns["choices"])
    )
    with pytest.raises(ConfigError) as error:
        load(path, columns=columns)
    for word in words:
        assert word in str(error.value)


def test_a_task_without_items_says_why(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{**ROWS[0], "answer": "Z"}])
    with pytest.raises(ConfigError, match="answer_not_a_choice"):
        load(path)
    with pytest.raises(ConfigError):
        load(tmp_path / "none.csv")
    path = write_jsonl(tmp_path / "a.unknown", ROWS)
    with pytest.raises(ConfigError, match="format"):
        load(path)
    assert answers(load(path, format="jsonl")) == EXPECTED


def test_items_that_share_a_passage_or_a_named_group_are_one_cluster(tmp_path: Path) -> None:
    rows = [{**row, "passage": f"p{n // 3}", "group": f"g{n // 2}"} for n, row in enumerate(ROWS)]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    by_passage = load(path, columns={**NAMED, "context": "passage"})
    assert len({item.cluster for item in by_passage.items}) == 2
    named = load(path, columns={**NAMED, "context": "passage", "cluster": "group", "source": "group"})
    assert {item.cluster for item in named.items} == {"g0", "g1", "g2"}
    assert {item.source for item in named.items} == {"g0", "g1", "g2"}
    alone = load(path)
    assert [item.cluster for item in alone.items] == [item.item for item in alone.items]
    assert {item.source for item in alone.items} == {"law"}
