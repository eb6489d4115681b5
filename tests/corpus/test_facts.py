"""Facts are only ever added; the latest word on a subject is the last one, though it was said before."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import facts
from corpus.errors import LakeError
from corpus.facts import FILE_KEY, file_names, read_facts, write_changes, write_facts
from corpus.lake import Lake
from tests.corpus.together import run_together


def said(lake: Lake, dataset: str = "d") -> list[Any]:
    return [row["say"] for row in read_facts(lake, dataset)]


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from("xy"), st.sampled_from("abc")), max_size=8))
def test_the_latest_word_on_every_subject_is_the_last_one_said(words: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.open(folder)
        for subject, word in words:
            write_facts(lake, "d", [{"of": subject, "say": word}], subject)
        latest = {row["of"]: row["say"] for row in read_facts(lake, "d")}
        assert latest == dict(words)
        changes = [
            word for i, (subject, word) in enumerate(words)
            if word != next((before for of, before in reversed(words[:i]) if of == subject), None)
        ]  # fmt: skip
        assert sorted(said(lake)) == sorted(changes)


def test_order_does_not_hang_on_the_clock(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([50, 40, 30])  # set back twice
    monkeypatch.setattr(facts, "now_utc", lambda: next(times))
    for word in "aba":
        write_facts(lake, "d", [{"say": word}], "x")
    assert said(lake) == ["a", "b", "a"]


def test_equal_rows_without_a_subject_are_one_fact(lake: Lake) -> None:
    for rows in ([{"say": 1}], [{"say": 1}], [{"say": 2}], [{"say": 1}]):
        write_facts(lake, "d", rows)
    assert said(lake) == [1, 2]


def test_rows_keep_their_order_and_their_own_time(lake: Lake) -> None:
    write_facts(lake, "d", [{"say": "b", "time_utc": 7}, {"say": "a"}], "x")
    rows = read_facts(lake, "d")
    assert [row["say"] for row in rows] == ["b", "a"] and rows[0]["time_utc"] == 7 < rows[1]["time_utc"]


def test_a_fact_that_was_lost_is_no_obstacle(lake: Lake) -> None:
    for word in "abc":
        write_facts(lake, "d", [{"say": word}], "x")
    sorted((lake.root / "facts" / "d").rglob("*.json"))[0].unlink()
    write_facts(lake, "d", [{"say": "d"}], "x")
    assert said(lake) == ["b", "c", "d"]


@pytest.mark.parametrize("content", ["{", "", "[]", "{}", '{"rows": 5, "time_utc": 1}', '{"rows": [], "time_utc": null}'])  # fmt: skip
def test_a_damaged_fact_is_a_lake_error_that_names_it(lake: Lake, content: str) -> None:
    write_facts(lake, "d", [{"say": "a"}], "x")
    (path,) = (lake.root / "facts" / "d").rglob("*.json")
    path.write_text(content)
    for ask in (lambda: read_facts(lake, "d"), lambda: write_facts(lake, "d", [{"say": "b"}], "x")):
        with pytest.raises(LakeError, match=f"{path} is damaged"):
            ask()


def test_nothing_said_is_no_rows(lake: Lake) -> None:
    assert read_facts(lake, "d") == []
    write_facts(lake, "d", [], "x")
    assert read_facts(lake, "d") == []


def test_many_may_speak_of_one_subject_at_once(lake: Lake) -> None:
    run_together(12, lambda number: write_facts(lake, "d", [{"say": number % 2}], "x"))
    words = said(lake)
    assert set(words) == {0, 1} and all(one != two for one, two in pairwise(words))


def test_a_file_is_called_what_it_was_last_called(lake: Lake) -> None:
    def name(file: str, source: str = "s") -> None:
        row = {"source": source, "file": file, "file_hash": "h", "occurrence": 0, "bytes": 1}
        write_changes(lake, "files", [row], FILE_KEY, source)

    for file in ("a", "b", "a"):
        name(file)
        assert file_names(lake, "s") == {("h", 0): file}
    name("c", "t")
    assert file_names(lake, "s") == {("h", 0): "a"} and file_names(lake, "u") == {}


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 2), max_size=3), max_size=6))
def test_changes_hold_what_is_new_and_no_more(said_in_turn: list[dict[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        lake, known, recorded = Lake.open(temporary), {}, 0
        for words in said_in_turn:
            rows = [{"of": key, "say": word} for key, word in words.items()]
            recorded += len(words.items() - known.items())
            known |= words
            for _ in range(2):
                write_changes(lake, "d", rows, ("of",), "x")
                found = read_facts(lake, "d")
                assert {row["of"]: row["say"] for row in found} == known and len(found) == recorded


def test_many_may_change_one_subject_at_once(lake: Lake) -> None:
    def change(number: int) -> None:
        rows = [{"of": of, "say": number} for of in range(3)] + [{"of": 10 + number, "say": 0}]
        write_changes(lake, "d", rows, ("of",), "x")

    run_together(8, change)
    found = {row["of"]: row["say"] for row in read_facts(lake, "d")}
    assert found.keys() == {0, 1, 2, *range(10, 18)} and found[0] == found[1] == found[2]
