"""Items from the files people have: every format, every way to write an answer, and every row accounted for."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import ConfigError
from evals.items import TaskItems, load_items
from evals.task import holdout_hash
from evals.task_rows import read_rows
from tests.evals.cards import task_config

NAMED = {"question": "question", "choices": ["a", "b", "c"], "answer": "answer"}
ROWS: list[dict[str, Any]] = [
    {
        "question": f"What is item {n}?",
        "a": f"first {n}",
        "b": f"second {n}",
        "c": f"third {n}",
        "answer": "ABC"[n % 3],
    }
    for n in range(6)
]


def load(path: Path | str, root: Path | None = None, name: str = "law", **keys: Any) -> TaskItems:
    keys.setdefault("columns", NAMED)
    return load_items(task_config({"path": str(path), **keys}, name), name, root)


def write_csv(path: Path, rows: list[dict[str, Any]], header: bool = True) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        if header:
            writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def answers(task: TaskItems) -> dict[str, str]:
    return {item.question: item.choices[item.answer] for item in task.items}


def reasons(task: TaskItems) -> list[tuple[int, str]]:
    return [(reject.row, reject.reason) for reject in task.rejects]


EXPECTED = {f"What is item {n}?": f"{['first', 'second', 'third'][n % 3]} {n}" for n in range(6)}


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


def test_renaming_splitting_and_reordering_files_change_no_hash(tmp_path: Path) -> None:
    whole = load(write_jsonl(tmp_path / "whole.jsonl", ROWS))
    parts = tmp_path / "parts"
    parts.mkdir()
    write_jsonl(parts / "z.jsonl", ROWS[:2])
    write_jsonl(parts / "a.jsonl", ROWS[:1:-1])
    split = load(parts)
    assert split.task_hash == whole.task_hash
    assert [item.item for item in split.items] == [item.item for item in whole.items]


def test_what_changes_the_task_hash(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", ROWS)
    same = {
        load(path).task_hash,
        load(path, role="general", topic="law", license="MIT").task_hash,
        load(path, name="other").task_hash,
    }
    assert len(same) == 1
    fewer = load(write_jsonl(tmp_path / "b.jsonl", ROWS[:5])).task_hash
    other = load(write_jsonl(tmp_path / "c.jsonl", [*ROWS[:5], {**ROWS[5], "answer": "A"}])).task_hash
    prompted = load(path, prompt="Q: {question}").task_hash
    shown = load(path, num_fewshot=1).task_hash
    assert len({*same, fewer, other, prompted, shown}) == 5


# ── examples, prompts, clusters ─────────────────────────────────────────────────────────────────


def test_examples_are_the_first_rows_and_are_not_scored(tmp_path: Path) -> None:
    task = load(write_jsonl(tmp_path / "a.jsonl", [*ROWS, ROWS[0]]), num_fewshot=2)
    assert [shot.question for shot in task.shots] == ["What is item 0?", "What is item 1?"]
    assert sorted(answers(task)) == sorted(EXPECTED)[2:]
    assert reasons(task) == [(6, "shown_as_example")]


def test_examples_from_their_own_file(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "dev.jsonl", [*ROWS[:2], {**ROWS[2], "answer": "?"}])
    write_jsonl(tmp_path / "test.jsonl", ROWS[1:])
    task = load("test.jsonl", root=tmp_path, num_fewshot=2, fewshot_path="dev.jsonl")
    assert [shot.question for shot in task.shots] == ["What is item 0?", "What is item 1?"]
    assert sorted(answers(task)) == sorted(EXPECTED)[2:]
    assert sorted(reject.reason for reject in task.rejects) == ["answer_not_a_choice", "shown_as_example"]
    with pytest.raises(ConfigError, match="there are 2 usable"):
        load("test.jsonl", root=tmp_path, num_fewshot=3, fewshot_path="dev.jsonl")


def test_an_empty_file_of_examples_is_not_the_task_s_own_items(tmp_path: Path) -> None:
    (tmp_path / "dev.jsonl").write_text("")
    write_jsonl(tmp_path / "test.jsonl", ROWS)
    with pytest.raises(ConfigError, match=r"there are 0 usable examples in dev\.jsonl"):
        load("test.jsonl", root=tmp_path, num_fewshot=2, fewshot_path="dev.jsonl")


@given(
    st.lists(st.sampled_from([*ROWS, {**ROWS[2], "answer": "?"}]), min_size=5, max_size=9),
    st.integers(0, 2),
    st.booleans(),
)
def test_rows_are_items_rejects_and_the_examples_among_them(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], shots: int, own: bool
) -> None:
    folder = tmp_path_factory.mktemp("task")
    write_jsonl(folder / "test.jsonl", rows)
    write_jsonl(folder / "dev.jsonl", ROWS[:2])
    try:
        task = load(
            "test.jsonl", root=folder, num_fewshot=shots, **{} if own else {"fewshot_path": "dev.jsonl"}
        )
    except ConfigError:  # too few examples, or no item besides them
        return
    assert len(task.items) + len(task.rejects) + (shots if own else 0) == len(rows)


def test_examples_stay_the_same_when_files_are_renamed(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, names in ((first, ("a", "b")), (second, ("b", "a"))):
        folder.mkdir()
        for name, rows in zip(names, (ROWS[:3], ROWS[3:]), strict=True):
            write_jsonl(folder / f"{name}.jsonl", rows)
    assert load(first, num_fewshot=2).shots_hash == load(second, num_fewshot=2).shots_hash


def test_the_prompt_is_description_examples_question(tmp_path: Path) -> None:
    task = load(write_jsonl(tmp_path / "a.jsonl", ROWS[:2]), num_fewshot=1, description="About law.\n\n")
    (item,) = task.items
    assert (
        task.context_of(item) == "About law.\n\nWhat is item 0?\nAnswer: first 0\n\nWhat is item 1?\nAnswer:"
    )
    assert task.continuations_of(item) == [" first 1", " second 1", " third 1"]


def test_letters_and_context_in_the_prompt(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "passage": "Read {this}."}, {**ROWS[1], "passage": ""}]
    task = load(
        write_jsonl(tmp_path / "a.jsonl", rows),
        columns={**NAMED, "context": "passage"}, prompt="{context}{question}\n{choices}\nAnswer:", continuation=" {letter}",
    )  # fmt: skip
    first, second = sorted(task.items, key=lambda item: item.question)
    assert (
        task.context_of(first)
        == "Read {this}.\n\nWhat is item 0?\nA. first 0\nB. second 0\nC. third 0\nAnswer:"
    )
    assert task.context_of(second).startswith("What is item 1?")
    assert task.continuations_of(first) == [" A", " B", " C"]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"prompt": "{qestion}"}, "Did you mean 'question'"),
        ({"continuation": "Answer"}, "{choice} or {letter}"),
        ({"separator": "{choice}"}, "no places"),
        ({"num_fewshot": -1}, "num_fewshot"),
        ({"path": ""}, "path"),
        ({"columns": {"choise": "a"}}, "Did you mean 'choices'"),
        ({"metric": "acc"}, "metric"),
    ],
)
def test_a_wrong_task_is_one_clear_error(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        task_config({"path": "a.csv", **keys}, "law")
    assert words in str(error.value)
    assert "tasks.law" in str(error.value)


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


def test_what_items_are_reported_under_has_a_hash_of_its_own(tmp_path: Path) -> None:
    """Role and source are written into every row, so they are in the scorecard's id; what is asked stays the same task."""
    rows = [{**row, "group": f"g{n // 2}"} for n, row in enumerate(ROWS)]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    by_file, by_group = load(path), load(path, columns={**NAMED, "source": "group"})
    general = load(path, role="general")
    assert {found.task_hash for found in (by_file, by_group, general)} == {by_file.task_hash}
    assert len({found.slices_hash for found in (by_file, by_group, general)}) == 3
    assert load(path).slices_hash == by_file.slices_hash


def test_the_holdout_task_needs_no_file_and_hashes_its_texts() -> None:
    assert task_config({"type": "holdout"}, "holdout").path == ""
    one = holdout_hash(["a", "b"], ["x", "y"])
    assert one == holdout_hash(["b", "a"], ["y", "x"])
    assert len({one, holdout_hash(["a", "b"], ["y", "x"]), holdout_hash(["a"], ["x"])}) == 3
