"""Train N = train k, kill -9 anywhere, resume: the same bits, in weights, optimizer and metrics."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import pytest
import torch
from killed_run import KILLS, child

from corpus.run_rows import checkpoint_rows
from tests.processes import HANGS, wait_until
from trainer.checkpoint import read_checkpoints

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def processes() -> Iterator[BaseContext]:
    """Processes from a server that has the libraries loaded already: real ones, in half a second instead of five."""
    context = multiprocessing.get_context("forkserver")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[1])]))
        context.set_forkserver_preload(["killed_run", "trainer.pretrain"])
        yield context


def run_child(context: Any, *arguments: Any) -> Any:
    process = context.Process(target=child, args=arguments)
    process.start()
    return process


def finish(process: Any) -> int:
    process.join(HANGS)
    assert process.exitcode is not None, "the child hangs"
    return process.exitcode


def metrics(folder: Path) -> dict[tuple[Any, ...], float]:
    """Value by (step, name, source), of the latest attempt at each step; the clock left out."""
    found: dict[tuple[Any, ...], float] = {}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["name"] != "tokens_per_second":
            found[row["step"], row["name"], row["source"]] = row["value"]
    return found


def state(folder: Path) -> dict[str, Any]:
    return {name: torch.load(folder / name, weights_only=True) for name in ("optimizer.pt", "scheduler.pt")}


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory,
    processes: BaseContext,
    model_folder: Path,
    tokenizer_folder: Path,
) -> Path:
    """The run that nobody disturbed."""
    folder = tokenizer_folder.parent / "whole"
    assert finish(run_child(processes, folder, model_folder, None, 0)) == 0
    return folder


def assert_same(folder: Path, whole: Path) -> None:
    assert (folder / "export" / "model.safetensors").read_bytes() == (
        whole / "export" / "model.safetensors"
    ).read_bytes()
    last, expected = read_checkpoints(folder)[-1], read_checkpoints(whole)[-1]
    assert (last.step, last.ended, last.weights_sha256) == (12, "done", expected.weights_sha256)
    assert equal(state(last.folder), state(expected.folder))
    assert metrics(folder) == metrics(whole)
    assert [(row["step"], row["exists"]) for row in checkpoint_rows(folder)] == [
        (4, False),
        (8, False),
        (12, True),
    ]


def test_killed_at_every_turn_of_a_save_the_run_ends_with_the_same_bits(
    processes: BaseContext, whole: Path, model_folder: Path
):
    folder = whole.parent / "killed"
    for kill in KILLS:
        assert finish(run_child(processes, folder, model_folder, kill, 0)) == -signal.SIGKILL, (
            f"{kill.__name__} did not happen"
        )
    assert finish(run_child(processes, folder, model_folder, None, 0)) == 0
    assert_same(folder, whole)
    attempts = {json.loads(line)["attempt"] for line in (folder / "events.jsonl").read_text().splitlines()}
    assert attempts == set(range(1, len(KILLS)))  # the last two children had nothing left to train


def test_killed_from_outside_at_any_moment_the_run_ends_with_the_same_bits(
    processes: BaseContext, whole: Path, model_folder: Path
):
    folder = whole.parent / "shot"
    path = folder / "metrics.jsonl"
    for size in (3_000, 12_000):
        process = run_child(processes, folder, model_folder, None, 0.05)
        enough = size + (path.stat().st_size if path.exists() else 0)
        wait_until(lambda enough=enough: path.exists() and path.stat().st_size >= enough, process.is_alive)
        process.kill()
        assert finish(process) == -signal.SIGKILL
    assert finish(run_child(processes, folder, model_folder, None, 0)) == 0
    assert_same(folder, whole)
