"""A run that goes on under another value of a key: what may change, that it takes effect, and that it is on record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toy_run import LENGTH, SEQUENCES, ToyData, run_toy, signal_after, toy_training

from corpus.errors import ConfigError, LakeError, Stopped
from corpus.run_rows import json_lines
from trainer.accepted import ACCEPTABLE, FILE, check_acceptable, read_accepted
from trainer.config import Training
from trainer.schedule import build_curve

STEP = SEQUENCES * LENGTH


def interrupted(folder: Path, training: Training | None = None, after: int = 6, **changes: Any) -> Path:
    """A run that a signal stopped after a step of its 12."""
    with pytest.raises(Stopped, match=f"after step {after} of 12"):
        run_toy(folder, training, progress=signal_after(after - 1), **changes)
    return folder


def weights(folder: Path, training: Training | None = None, **changes: Any) -> str:
    return run_toy(folder, training, **changes).checkpoints[-1].weights_sha256


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> str:
    return weights(tmp_path_factory.mktemp("untouched") / "run")


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 1e-3}, {"weight_decay": 0.5}, {"beta1": 0.5}, {"beta2": 0.9}, {"max_grad_norm": 0.01},
        {"schedule": {"type": "wsd", "warmup": 0.1}}, {"precision": "bf16"},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_what_is_accepted_takes_effect_and_can_be_taken_back(
    tmp_path: Path, untouched: str, change: dict[str, Any]
) -> None:
    """The optimizer's and the schedule's saved states carry their old settings, which would win silently."""
    (key,) = (f"training.{name}" for name in change)
    folder = interrupted(tmp_path / "run")
    assert weights(folder, toy_training(**change), accept=[key]) != untouched
    folder = interrupted(tmp_path / "back")
    interrupted(folder, toy_training(**change), after=8, accept=[key])
    (folder / "checkpoints" / "step_00000008" / "COMMITTED.json").unlink()
    assert weights(folder, accept=[key]) == untouched


def test_the_rate_follows_the_schedule_of_now(tmp_path: Path) -> None:
    folder = interrupted(tmp_path / "run")
    run_toy(folder, toy_training(learning_rate=1e-3), accept=["training.learning_rate"])
    rates = [row["value"] for row in json_lines(folder / "metrics.jsonl") if row["name"] == "learning_rate"]
    curve = build_curve(toy_training().schedule, 12, STEP)
    peaks = [5e-3] * 6 + [1e-3] * 6
    assert rates == pytest.approx([peak * curve.factor(step) for step, peak in enumerate(peaks)], rel=1e-12)


def test_it_is_on_record_and_the_same_call_finds_the_run_done(tmp_path: Path) -> None:
    folder, training = interrupted(tmp_path / "run"), toy_training(learning_rate=1e-3, weight_decay=0.0)
    before = (folder / "run.yaml").read_bytes()
    result = run_toy(folder, training, accept=["training.learning_rate", "training.weight_decay"])
    assert [(change.key, change.before, change.now, change.step) for change in read_accepted(folder)] == [
        ("training.learning_rate", 5e-3, 1e-3, 6),
        ("training.weight_decay", 0.1, 0.0, 6),
    ]
    events = [row for row in json_lines(folder / "events.jsonl") if row["kind"] == "accepted"]
    assert [(row["metric"], row["step"], row["message"]) for row in events] == [
        ("training.learning_rate", 6, "training.learning_rate: 0.005 → 0.001 after step 6"),
        ("training.weight_decay", 6, "training.weight_decay: 0.1 → 0.0 after step 6"),
    ]
    assert (folder / "run.yaml").read_bytes() == before
    assert run_toy(folder, training) == result, "what was accepted once need not be said again"
    assert run_toy(folder, training, accept=["training.learning_rate"]) == result
    with pytest.raises(ConfigError, match=r"goes on with training\.learning_rate = 0\.001, now it is 0\.005"):
        run_toy(folder)


def test_a_key_within_an_accepted_one_is_accepted_and_one_beside_it_is_not(tmp_path: Path) -> None:
    folder = interrupted(tmp_path / "run")
    changed = toy_training(schedule={"warmup": 0.1, "floor": 0.5}, weight_decay=0.2)
    with pytest.raises(ConfigError, match=r"training\.weight_decay = 0\.1.*--accept training\.weight_decay"):
        run_toy(folder, changed, accept=["training.schedule"])
    assert read_accepted(folder) == []
    assert run_toy(folder, changed, accept=["training.schedule", "training.weight_decay"]).status == "done"


def test_what_a_run_is_made_of_cannot_be_accepted(tmp_path: Path) -> None:
    folder = interrupted(tmp_path / "run")
    for change in ({"data": ToyData(seed=1)}, {"training": toy_training(seed=1)}):
        with pytest.raises(ConfigError, match="was made with"):
            run_toy(folder, accept=ACCEPTABLE, **change)
    for key in ("training.seed", "training.tokens", "plan", "training", "training.learning_rte"):
        with pytest.raises(ConfigError, match=f"--accept {key}: "):
            check_acceptable([key])
    with pytest.raises(ConfigError, match=r"Did you mean 'training\.learning_rate'"):
        check_acceptable(["training.learning_rte"])
    with pytest.raises(ConfigError, match=r"Did you mean 'training\.learning_rate'"):
        check_acceptable(["learning_rate"])
    for key in ("training.tokens", "training", "training.checkpoints"):
        with pytest.raises(ConfigError) as told:
            check_acceptable([key, "training.tokens"])
        assert "Did you mean" not in str(told.value)


def test_a_run_that_has_ended_accepts_nothing(tmp_path: Path) -> None:
    run_toy(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"done at step 12.*nothing to accept"):
        run_toy(tmp_path / "run", toy_training(learning_rate=1e-3), accept=["training.learning_rate"])
    assert not (tmp_path / "run" / FILE).exists()


def test_a_record_that_is_damaged_names_its_file(tmp_path: Path) -> None:
    folder = interrupted(tmp_path / "run")
    (folder / FILE).write_text('{"changes": [{"key": 1}]}')
    with pytest.raises(LakeError, match=FILE):
        run_toy(folder)


def test_a_milestone_that_is_past_cannot_be_accepted(tmp_path: Path) -> None:
    folder = interrupted(tmp_path / "run")
    for step, refused in ((5, True), (6, True), (7, False)):
        every = {"every": 4 * STEP, "milestones": [step * STEP]}
        key = ["training.checkpoints.milestones"]
        if refused:
            with pytest.raises(ConfigError, match=f"step {step} is past"):
                run_toy(folder, toy_training(checkpoints=every), accept=key)
        else:
            done = run_toy(folder, toy_training(checkpoints=every), accept=key)
            assert 7 in {found.step for found in done.checkpoints if found.milestone}
