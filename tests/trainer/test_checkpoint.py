from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from corpus.errors import LakeError
from corpus.run_rows import checkpoint_rows
from trainer import checkpoint
from trainer.checkpoint import (
    COMMITTED,
    checkpoint_folder,
    checkpoint_id,
    clean_checkpoints,
    commit_checkpoint,
    read_checkpoints,
    rotate_checkpoints,
    staging_folder,
    verify_checkpoint,
)


def stage(folder: Path, step: int) -> Path:
    staged = staging_folder(folder) / f"checkpoint-{step}"
    staged.mkdir(parents=True)
    save_file({"w": np.array([step])}, staged / "model.safetensors")
    (staged / "optimizer.pt").write_bytes(b"state %d" % step)
    (staged / "training_args.bin").write_bytes(b"a pickle")
    return staged


def commit(folder: Path, step: int, milestone: bool = False) -> None:
    facts: dict[str, Any] = {
        "run_id": "run",
        "step": step,
        "sequences": 4 * step,
        "tokens": 256 * step,
        "config": "c",
    }
    commit_checkpoint(folder, stage(folder, step), facts | {"milestone": milestone, "ended": ""})


def test_a_commit_publishes_everything_but_the_pickle(tmp_path: Path):
    commit(tmp_path, 1000)
    (found,) = read_checkpoints(tmp_path)
    assert found.folder == tmp_path / "checkpoints" / "step_00001000"
    assert set(found.files) == {"model.safetensors", "optimizer.pt"}
    assert {path.name for path in found.folder.iterdir()} == {*found.files, COMMITTED}
    assert found.id == checkpoint_id("run", 1000)
    verify_checkpoint(found)
    assert checkpoint_rows(tmp_path) == [found.row()]


def test_without_a_commit_there_is_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    commit(tmp_path, 1)

    def killed(path: Path, tree: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            commit(tmp_path, 2)
    stage(tmp_path, 3)
    assert checkpoint_folder(tmp_path, 2).exists()
    assert [found.step for found in read_checkpoints(tmp_path)] == [1]
    clean_checkpoints(tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_00000001"]


@pytest.mark.parametrize("damage", ["change", "cut", "lose"])
def test_a_damaged_file_is_named_before_anything_is_loaded(tmp_path: Path, damage: str):
    commit(tmp_path, 1)
    (found,) = read_checkpoints(tmp_path)
    path = found.folder / "optimizer.pt"
    {
        "change": lambda: path.write_bytes(b"state 2"),
        "cut": lambda: path.write_bytes(b"st"),
        "lose": path.unlink,
    }[damage]()
    with pytest.raises(LakeError, match=r"optimizer\.pt"):
        verify_checkpoint(found)


@settings(max_examples=15)  # each example is some forty fsyncs
@given(
    steps=st.lists(st.integers(1, 60), unique=True, min_size=1, max_size=8),
    milestones=st.sets(st.integers(1, 60)),
    protected=st.sets(st.integers(1, 60)),
    keep=st.integers(1, 4),
)
def test_rotation_keeps_the_last_milestones_and_what_is_protected(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[int],
    milestones: set[int],
    protected: set[int],
    keep: int,
):
    folder = tmp_path_factory.mktemp("run")
    for step in steps:
        commit(folder, step, step in milestones)
    gone = {found.step for found in rotate_checkpoints(folder, keep, protected.__contains__)}
    left = {found.step for found in read_checkpoints(folder)}
    free = sorted(set(steps) - milestones - protected)
    assert left | gone == set(steps) and not left & gone
    assert gone == set(free[:-keep])
    assert {row["step"]: row["exists"] for row in checkpoint_rows(folder)} == {
        step: step in left for step in steps
    }


def test_rotation_takes_the_commit_away_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    commit(tmp_path, 1)
    commit(tmp_path, 2)

    def killed(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            rotate_checkpoints(tmp_path, 1, lambda step: False)
    assert [found.step for found in read_checkpoints(tmp_path)] == [2]
    clean_checkpoints(tmp_path)
    assert [(row["step"], row["exists"]) for row in checkpoint_rows(tmp_path)] == [(1, False), (2, True)]
    assert not checkpoint_folder(tmp_path, 1).exists()


def test_a_row_that_a_kill_prevented_is_written_at_the_next_start(tmp_path: Path):
    commit(tmp_path, 1)
    (tmp_path / "checkpoints.jsonl").unlink()
    clean_checkpoints(tmp_path)
    assert checkpoint_rows(tmp_path) == [found.row() for found in read_checkpoints(tmp_path)]


def test_a_newer_format_is_refused(tmp_path: Path):
    commit(tmp_path, 1)
    path = checkpoint_folder(tmp_path, 1) / COMMITTED
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(LakeError, match="newer"):
        read_checkpoints(tmp_path)
