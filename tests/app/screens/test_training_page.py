"""Mixture and training: the ledger, and runs as they go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app import queries
from corpus import names
from corpus.lake import now_utc
from corpus.process import this_process
from tests.app.screens.page import shown
from tests.app.small_lake import copy_lake


def test_the_ledger_at_the_last_step_is_the_budget(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "mixture", run="replay-30")
    budget = int(test.metric[0].value.replace(",", ""))
    ledger = test.dataframe[1].value
    assert ledger["tokens"].sum() == budget
    test.slider[0].set_value(2).run()
    assert test.dataframe[1].value["tokens"].sum() == budget // 2


def test_training_shows_runs_events_and_checkpoints(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "training")
    said = shown(test)
    assert "replay-30" in said
    assert "checkpoint committed" in said
    checkpoints = next(element.value for element in test.dataframe if "exists" in element.value)
    assert checkpoints[checkpoints["exists"]].groupby("run")["step"].max().to_dict() == dict.fromkeys(["base", "replay-00", "replay-30"], 4)  # fmt: skip


def test_a_run_that_goes_is_said_to_train_and_one_without_a_process_is_not(
    small_lake: Path, tmp_path: Path, opened: Any
) -> None:
    lake = copy_lake(small_lake, tmp_path)
    run = names.resolve(lake, "small/replay-30", "run").id
    status = {**queries.run_status(lake, run), "status": "running", "updated_utc": 0, **this_process()}
    ago = now_utc() - 600 * 10**6
    for changes, goes in (
        ({}, True),
        ({"pid": 2**22 + 1}, False),
        ({"started": status["started"] - 100}, False),  # the pid was used again
        ({"host": "another", "updated_utc": now_utc()}, True),
        ({"host": "another", "updated_utc": ago}, False),
    ):
        lake.write_json(lake.runs / run / "status.json", {**status, **changes})
        assert queries.is_running(lake, run) is goes, changes
        if not changes or "pid" in changes:
            said = "training now" if goes else "no process trains it"
            assert said in shown(opened(lake.root, "training"))


def test_the_run_of_a_recipe_without_runs_is_awaited_once_its_base_is_trained(
    small_lake: Path, tmp_path: Path
) -> None:
    from app.screens.training import awaited, begun_runs

    lake = copy_lake(small_lake, tmp_path)
    (first,) = names.claims(lake, "small")
    assert awaited(lake, first, begun_runs(lake, first)) == []
    second = names.claim(lake, "small", "7" * 32, {**first.recipe, "runs": {}})
    runs = {fact["key"]: fact["id"] for fact in names.attached(lake, first, "run")}
    names.attach(lake, second, "run", runs["base"], "base")
    assert awaited(lake, second, begun_runs(lake, second)) == ["main"]
    names.attach(lake, second, "run", runs["replay-30"], "main")
    assert awaited(lake, second, begun_runs(lake, second)) == []
