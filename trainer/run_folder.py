"""A run folder: what stands in which file, and how each is written.

    run.yaml           the resolved configuration, written once; its identity part decides whether a run may go on here
    lineage.json       names and ids of what the run was made from
    metrics.jsonl      events.jsonl  checkpoints.jsonl      append-only rows of the datasets of those names
    checkpoints/       step_00001000/ with COMMITTED.json last
    export/            a plain Hugging Face model and its tokenizer, of the last step
    status.json        where the run stands

Training itself is `trainer.run`; this module reads and writes files.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from corpus.config import read_yaml
from corpus.errors import ConfigError
from corpus.json_file import read_json, write_json
from corpus.lake import now_utc
from corpus.part import sync_folder
from corpus.process import this_process
from corpus.run_rows import json_lines
from mixer.tokenizer import TOKENIZER_FILES
from trainer.checkpoint import Checkpoint

_MODEL_FILES = ("config.json", "generation_config.json", "model*.safetensors", "model.safetensors.index.json")
_ABSENT = "nothing"


@contextmanager
def lock_run(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """One process at a time in a run folder; a second waits. The lock dies with its process, however it dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        waited = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waited:
                    say(
                        f"waiting: another process is training in {folder}; this one goes on when it has ended"
                    )
                waited = True
                time.sleep(0.2)
        yield


def write_config(
    folder: Path, run_id: str, identity: Mapping[str, Any], circumstance: Mapping[str, Any]
) -> None:
    """Write run.yaml, or compare with the one that is there: ConfigError names the first identity key that differs."""
    path = folder / "run.yaml"
    if path.exists():
        found = read_yaml(path)
        old = {"run_id": found["run_id"], **found["identity"]}
        for key, before, now in compare_config(old, {"run_id": run_id, **identity}):
            raise ConfigError(
                f"the run folder {folder} was made with {key} = {before}, now it is {now}. A run folder is its configuration: "
                f"set {key} back to continue, or train in another folder."
            )
        return
    tree = {"run_id": run_id, "identity": dict(identity), "circumstance": dict(circumstance)}
    staging = path.with_name(".run.yaml.tmp")
    plain = json.loads(json.dumps(tree))
    staging.write_text(
        yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120), "utf-8"
    )
    os.replace(staging, path)
    sync_folder(folder)


class _Dumper(yaml.SafeDumper):
    """Quotes every text: PyYAML leaves bare what is a number to a reader of YAML 1.2, such as the id 123e12 and the name 0089."""


_Dumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def compare_config(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted keys whose values differ, with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            yield from compare_config(
                old.get(name, _ABSENT), new.get(name, _ABSENT), f"{key}.{name}".strip(".")
            )
    elif old != new:
        yield key, old, new


def write_status(folder: Path, **fields: Any) -> None:
    """Replace status.json; fields that are not given stay as they are."""
    path = folder / "status.json"
    write_json(path, read_status(folder) | fields | this_process() | {"updated_utc": now_utc()})


def read_status(folder: Path) -> dict[str, Any]:
    return read_json(folder / "status.json") or {}


def next_attempt(folder: Path) -> int:
    """The number of this attempt; every attempt's first event carries its own."""
    return 1 + max((int(row["attempt"]) for row in json_lines(folder / "events.jsonl")), default=0)


def write_export(folder: Path, checkpoint: Checkpoint, tokenizer_folder: Path) -> Path:
    """`export/`: the checkpoint's model and the tokenizer, as plain transformers loads them; made whole or not at all."""
    target, staging = folder / "export", folder / ".export"
    for stale in (staging, target):
        if stale.exists():
            shutil.rmtree(stale)
    staging.mkdir()
    for source, patterns in ((checkpoint.folder, _MODEL_FILES), (tokenizer_folder, TOKENIZER_FILES)):
        for pattern in patterns:
            for path in sorted(source.glob(pattern)):
                shutil.copyfile(path, staging / path.name)
                with (staging / path.name).open("rb") as file:
                    os.fsync(file.fileno())
    sync_folder(staging)
    os.replace(staging, target)
    sync_folder(folder)
    return target
