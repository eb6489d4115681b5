"""Training processes that kill themselves, with SIGKILL, at every turn of a save."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from toy_run import LENGTH, SEQUENCES, run_toy, toy_training

STEP = SEQUENCES * LENGTH


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_in(module: Any, name: str, call: int = 1) -> None:
    """Replace a function so that its nth call kills the process instead."""
    whole, calls = getattr(module, name), 0

    def deadly(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        return die() if calls == call else whole(*args, **kwargs)

    setattr(module, name, deadly)


def in_a_torn_line() -> None:
    """In the middle of writing the metrics of step 3."""
    from trainer import journal

    write, calls = os.write, 0

    def half(file: int, data: bytes) -> int:
        nonlocal calls
        calls += b'"name": "loss"' in data
        if calls == 3:
            write(file, data[: len(data) // 2])
            die()
        return write(file, data)

    journal.os = type("os", (), {**vars(os), "write": staticmethod(half)})


def in_the_optimizer_s_file() -> None:
    """The weights are written, the optimizer is half written."""
    save = torch.save

    def half(value: Any, path: Any, **kwargs: Any) -> None:
        save(value, path, **kwargs)
        os.truncate(path, os.path.getsize(path) // 2)
        die()

    torch.save = half


def before_the_commit() -> None:
    """The folder has its name, COMMITTED.json is missing."""
    from trainer import checkpoint

    die_in(checkpoint, "write_json")


def after_the_commit() -> None:
    """COMMITTED.json is there, its row in checkpoints.jsonl is not."""
    from trainer import checkpoint

    die_in(checkpoint, "_record", call=2)  # the first is at the start


def in_the_rotation() -> None:
    """The oldest checkpoint is no longer committed, its files are still there."""
    from trainer import checkpoint

    die_in(checkpoint.shutil, "rmtree")


def in_the_export() -> None:
    from trainer import run_folder

    die_in(run_folder.shutil, "copyfile", call=2)


KILLS: list[Callable[[], None]] = [
    in_a_torn_line, in_the_optimizer_s_file, before_the_commit, after_the_commit, in_the_rotation, in_the_export,
]  # fmt: skip


def training() -> Any:
    return toy_training(checkpoints={"every": 4 * STEP, "keep_last": 1}, monitor={"every": 2 * STEP})


def child(folder: Path, model_folder: Path, kill: Callable[[], None] | None, pause: float) -> None:
    """A process of its own: train, and die where `kill` says."""
    from trainer.model import Base

    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    if kill is not None:
        kill()
    run_toy(folder, training(), base=Base(folder=model_folder), progress=lambda *args: time.sleep(pause))
