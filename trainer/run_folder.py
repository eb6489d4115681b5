"""A run folder: what stands in which file, and how each is written.

    run.yaml           the resolved configuration, written once; its identity part decides whether a run may go on here
    accepted.json      changes of it that the run goes on with, if any; `trainer.accepted`
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
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from corpus.config import read_yaml
from corpus.differences import find_differences
from corpus.errors import ConfigError
from corpus.json_file import read_json, well_formed, write_json
from corpus.lake import now_utc
from corpus.part import sync_folder
from corpus.process import this_process
from corpus.run_rows import json_lines
from mixer.tokenizer import TOKENIZER_FILES
from trainer.accepted import ACCEPTABLE, covers, identities, read_accepted
from trainer.checkpoint import Checkpoint

_MODEL_FILES = ("config.json", "generation_config.json", "model*.safetensors", "model.safetensors.index.json")


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
    """Write run.yaml, unless it is there; see `check_config`."""
    path = folder / "run.yaml"
    if path.exists():
        return
    tree = {"run_id": run_id, "identity": dict(identity), "circumstance": dict(circumstance)}
    staging = path.with_name(".run.yaml.tmp")
    plain = json.loads(json.dumps(tree))
    with staging.open("w", encoding="utf-8") as file:
        yaml.dump(plain, file, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
        file.flush()
        os.fsync(file.fileno())
    os.replace(staging, path)
    sync_folder(folder)


def read_config(folder: Path) -> dict[str, Any]:
    """What run.yaml says: run_id, identity and circumstance; LakeError if it is damaged."""
    with well_formed(folder / "run.yaml"):
        tree = read_yaml(folder / "run.yaml")
        return {key: tree[key] for key in ("run_id", "identity", "circumstance")}


def check_config(
    folder: Path, run_id: str, identity: Mapping[str, Any], accept: Collection[str] = ()
) -> list[tuple[str, Any, Any]]:
    """Where `identity` differs from the one with which this folder's run goes on, if every such key is in `accept`.

    ConfigError names the first that is not.
    """
    tree = read_config(folder)
    *_, before = identities(folder, tree["identity"])
    found = list(find_differences({"run_id": tree["run_id"], **before}, {"run_id": run_id, **identity}))
    for key, old, new in found:
        if not covers(accept, key):
            raise ConfigError(
                f"the run folder {folder} {'goes on' if read_accepted(folder) else 'was made'} with {key} = {old}, now it is {new}. "
                f"A run folder is its configuration: set {key} back to continue"
                + (f", give --accept {key}" if covers(ACCEPTABLE, key) else "")
                + ", or train in another folder."
            )
    return found


class _Dumper(yaml.SafeDumper):
    """Quotes every text: PyYAML leaves bare what is a number to a reader of YAML 1.2, such as the id 123e12 and the name 0089."""


_Dumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


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
