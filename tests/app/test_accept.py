"""`tilth train --accept KEY`: a run that goes on under another value of a key keeps its id and its names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpus import names
from corpus.lake import Lake
from tests.app.command import tilth
from tests.app.small_lake import copy_lake
from trainer.accepted import read_accepted

BROKEN = "runs.replay-30={training.learning_rate: 1e38, training.schedule.warmup: 0}"
MENDED = "runs.replay-30={training.learning_rate: 1e-3, training.schedule.warmup: 0}"
RATE = ["--accept", "training.learning_rate"]


@pytest.fixture
def broken(small_lake: Path, tmp_path: Path) -> list[object]:
    """What follows the verb of a command on a lake where small@2/replay-30 met a number that is none."""
    copy_lake(small_lake, tmp_path)
    asked: list[object] = [
        small_lake.parent / "corpus" / "recipe.yaml", "--lake", tmp_path / "lake", "--runs", "replay-30",
    ]  # fmt: skip
    assert tilth("train", *asked, "--set", BROKEN).code == 3
    return asked


def run_id(asked: list[object], reference: str) -> str:
    return names.resolve(Lake.open(Path(str(asked[2]))), reference, "run").id


def test_a_run_that_broke_goes_on_with_a_lower_rate_under_its_old_id(broken: list[object]) -> None:
    first = run_id(broken, "small@2/replay-30")
    said = tilth("train", *broken, "--set", MENDED, *RATE, "--json")
    assert said.code == 0, said.err
    assert run_id(broken, "small@3/replay-30") == first
    lake = Lake.open(Path(str(broken[2])))
    (change,) = read_accepted(lake.runs / first)
    assert (change.key, change.before, change.now, change.step) == ("training.learning_rate", 1e38, 1e-3, 0)
    query = "SELECT DISTINCT metric, message FROM events WHERE kind = 'accepted'"
    assert json.loads(tilth("sql", query, "--json", "--lake", lake.root).out) == [
        {"metric": change.key, "message": str(change)}
    ]
    assert f"accepted {change}\n" in tilth("lineage", "small/replay-30/2", "--lake", lake.root).out
    again = tilth("run", *broken, "--set", MENDED)
    assert again.code == 0 and "another run" not in again.err, "what was accepted need not be said again"
    assert run_id(broken, "small@3/replay-30") == first
    gate = tilth(
        "run", *broken, "--set", MENDED, "--set", "gate.gain={holdout/domain: {bits_per_byte: improves}}"
    )
    assert gate.code == 0 and run_id(broken, "small/replay-30") == first


def test_without_it_another_value_is_another_run_and_the_key_is_told(broken: list[object]) -> None:
    said = tilth("train", *broken, "--set", MENDED)
    assert said.code == 0
    assert "another run than small@2/replay-30, because of training.learning_rate" in said.err
    assert run_id(broken, "small@3/replay-30") != run_id(broken, "small@2/replay-30")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--accept", "training.weight_decay"], ["training.learning_rate", "would have to name"]),
        (["--accept", "training.seed"], ["--accept training.seed", "training.learning_rate"]),
        ([*RATE, "--set", "mixture.weights={domain: 0.6, general: 0.4}"], ["mixture", "would have to name"]),
    ],
)  # fmt: skip
def test_what_cannot_be_accepted_is_told_and_nothing_is_trained(
    broken: list[object], options: list[str], words: list[str]
) -> None:
    lake = Lake.open(Path(str(broken[2])))
    before = sorted(path.name for path in lake.runs.iterdir())
    said = tilth("train", *broken, "--set", MENDED, *options)
    assert said.code == 2 and all(word in said.err for word in words), said.err
    assert sorted(path.name for path in lake.runs.iterdir()) == before


def test_nothing_goes_on_where_one_of_the_runs_cannot(broken: list[object]) -> None:
    """replay-30 broke and would go on; replay-00 is done, and comes after it."""
    both = "runs={replay-30: %s, replay-00: %s}"
    broke, mended = (change.removeprefix("runs.replay-30=") for change in (BROKEN, MENDED))
    asked = [broken[0], *broken[1:3]]
    assert tilth("train", *asked, "--set", both % (broke, "{}")).code == 3
    events = [path.read_bytes() for path in sorted(Path(str(broken[2])).glob("runs/*/events.jsonl"))]
    said = tilth("train", *asked, "--set", both % (mended, "{training.learning_rate: 2e-3}"), *RATE)
    assert said.code == 2 and "replay-00 is done at step 4" in said.err and "--runs names" in said.err
    assert events == [path.read_bytes() for path in sorted(Path(str(broken[2])).glob("runs/*/events.jsonl"))]


def test_a_finished_run_accepts_nothing(broken: list[object]) -> None:
    said = tilth("train", *broken, "--set", "runs.replay-30={training.learning_rate: 1e-3}", *RATE)
    assert said.code == 2 and "would have to name" in said.err, "the last run of that name is the broken one"
    assert tilth("train", *broken, "--set", "name=other").code == 0
    said = tilth("train", *broken, "--set", "name=other", "--set", "training.learning_rate=1e-3", *RATE)
    assert said.code == 2 and "done at step 4" in said.err and "nothing to accept" in said.err
    found = json.loads(tilth("ls", "run", "--json", "--lake", broken[2]).out)
    assert not [row for row in found if "other@2/replay-30" in row["names"]], "it was given no name"


def test_the_configuration_it_began_with_is_a_new_run_beside_it(broken: list[object]) -> None:
    first = run_id(broken, "small@2/replay-30")
    assert tilth("train", *broken, "--set", MENDED, *RATE).code == 0
    again = tilth("train", *broken, "--set", BROKEN)
    assert again.code == 3, "it breaks once more, and touches nothing of the one that went on"
    lake = Lake.open(Path(str(broken[2])))
    (beside,) = {
        path.parent.name for path in lake.runs.glob("*/events.jsonl") if '"not_finite"' in path.read_text()
    } - {first}
    assert len(read_accepted(lake.runs / first)) == 1 and not read_accepted(lake.runs / beside)
    assert run_id(broken, "small@3/replay-30") == first
    assert run_id(broken, "small@2/replay-30") in (first, beside)
