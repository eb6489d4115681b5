"""Runs in SQL while they grow: torn lines, later attempts, folders that have only begun."""

from __future__ import annotations

import json
from pathlib import Path

from corpus.lake import Lake
from corpus.run_rows import latest_attempts
from tests.corpus.asking import ask
from tests.corpus.lakes import (
    line,
    write_lines,
    write_run,
)


def test_a_torn_last_line_is_not_there_yet(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    run = write_run(lake, "c" * 32, "growing")
    before = ask(lake, "FROM all_metrics ORDER BY step")
    assert [(row["attempt"], row["step"]) for row in before] == [(1, 10), (1, 20), (2, 25)]
    path = lake.runs / run / "metrics.jsonl"
    whole = path.read_text().rpartition("\n")[0] + "\n"
    path.write_text(whole + json.dumps(line(run, 2, 5, 30, name="loss", value=0.5)))
    assert ask(lake, "FROM all_metrics ORDER BY step") == before
    with path.open("a") as file:
        file.write("\n")
    assert [row["value"] for row in ask(lake, "FROM all_metrics WHERE step = 30")] == [0.5]


def test_an_attempt_takes_back_what_came_after_its_checkpoint() -> None:
    steps = [(1, 0), (1, 10), (1, 20), (1, 30), (2, 20), (2, 30), (2, 40), (3, 30)]
    rows = [line("r", attempt, 0, step) for attempt, step in steps]
    kept = [(row["attempt"], row["step"]) for row in latest_attempts(rows)]
    assert kept == [(1, 0), (1, 10), (2, 20), (3, 30)]
    assert latest_attempts(rows[:4]) == rows[:4] and latest_attempts([]) == []


def test_events_of_every_attempt_stay(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    run = write_run(lake, "c" * 32, "twice")
    crossed = [line(run, 1, 5, 20, kind="tolerance_crossed"), line(run, 2, 0, 20, kind="started")]
    write_lines(lake.runs / run / "events.jsonl", crossed)
    assert [row["kind"] for row in ask(lake, "FROM all_events")] == ["tolerance_crossed", "started"]


def test_a_damaged_line_costs_itself_alone(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    run = write_run(lake, "c" * 32, "hurt")
    path = lake.runs / run / "events.jsonl"
    path.write_bytes(
        path.read_bytes()
        + b"\0" * 40
        + b"\n[1]\n\n{}\n"
        + json.dumps(line(run, 2, 1, 25, kind="later")).encode()
        + b"\n"
    )
    assert [row["kind"] for row in ask(lake, "FROM all_events")] == ["started", "resumed", "later"]


def test_a_run_folder_that_has_only_begun_is_a_row(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    folder = lake.runs / ("d" * 32)
    folder.mkdir(parents=True)
    assert ask(lake, "FROM all_runs") == []
    (folder / "lineage.json").write_text('{"name": "new"}')
    write_lines(folder / "metrics.jsonl", [])
    assert [(row["name"], row["status"]) for row in ask(lake, "FROM all_runs")] == [("new", None)]
    assert ask(lake, "FROM all_metrics") == []
