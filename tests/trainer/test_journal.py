from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.run_rows import json_lines
from corpus.schema import DATASETS
from trainer.journal import Journal, JsonLines


def journal(folder: Path, attempt: int = 1) -> Journal:
    return Journal(folder, "metrics", "run", attempt)


def test_rows_have_every_column_of_their_dataset_in_order(tmp_path: Path):
    found = journal(tmp_path)
    found.append(
        3, [{"name": "loss", "value": 1.5}, {"name": "loss", "source": "web", "value": float("nan")}]
    )
    rows = json_lines(tmp_path / "metrics.jsonl")
    assert [list(row) for row in rows] == [DATASETS["metrics"].names] * 2
    assert [row["sequence"] for row in rows] == [0, 1]
    assert rows[1]["value"] is None, "NaN is no JSON"


@given(cut=st.integers(0, 400))
def test_a_torn_tail_is_cut_when_the_file_is_opened_again(tmp_path_factory: pytest.TempPathFactory, cut: int):
    folder = tmp_path_factory.mktemp("journal")
    first = journal(folder)
    first.append(1, [{"name": "loss", "value": 1.0}, {"name": "loss", "value": 2.0}])
    path = folder / "metrics.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: min(cut, len(whole))])
    kept = whole[: min(cut, len(whole))].count(b"\n")
    assert len(json_lines(path)) == kept, "readers leave a torn line out"
    journal(folder, attempt=2).append(2, [{"name": "loss", "value": 3.0}])
    lines = path.read_text().splitlines()
    assert [json.loads(line)["value"] for line in lines] == [*[1.0, 2.0][:kept], 3.0]


def test_a_long_torn_tail_is_cut_too(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"{}\n" + b"x" * 200_000)
    JsonLines(path, "metrics").close()
    assert path.read_bytes() == b"{}\n"


def test_an_unknown_column_is_our_own_mistake(tmp_path: Path):
    with pytest.raises(AssertionError, match="colour"):
        journal(tmp_path).append(1, [{"colour": 1}])


def test_zeros_that_a_power_cut_left_cost_their_line_only(tmp_path: Path):
    journal(tmp_path).append(1, [{"name": "loss", "value": float(value)} for value in range(3)])
    path = tmp_path / "metrics.jsonl"
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + bytes(len(second) - 1) + b"\n" + third + bytes(4096))
    journal(tmp_path, attempt=2).append(2, [{"name": "loss", "value": 3.0}])
    assert [row["value"] for row in json_lines(path)] == [0.0, 2.0, 3.0]
