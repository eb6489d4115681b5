"""The public entry: a run folder that is started, found done, refused, exported."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toy_run import LENGTH, SEQUENCES, TINY, ToyData, run_toy, signal_after, toy_training

from corpus.errors import ConfigError, LakeError, Stopped
from corpus.lake import Lake
from corpus.run_rows import checkpoint_rows, json_lines, run_rows
from corpus.schema import DATASETS
from trainer.model import Base, forward_logits, load_model
from trainer.record import Recorder
from trainer.run import RunResult
from trainer.run_folder import read_status

STEP = SEQUENCES * LENGTH


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunResult]:
    folder = tmp_path_factory.mktemp("done") / "run"
    lineage = {
        "name": "legal-cpt@1/replay-30",
        "recipe": "legal-cpt@1",
        "mixture_id": "m",
        "snapshot_id": "s",
        "tokenizer_id": "t",
    }
    return folder, run_toy(folder, lineage=lineage)


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "status.json"
    }


def test_a_finished_run_is_found_done_and_left_alone(done: tuple[Path, RunResult]):
    folder, result = done
    before = content(folder)
    assert run_toy(folder) == result
    assert content(folder) == before
    assert (result.status, result.last_step, [found.step for found in result.checkpoints]) == (
        "done",
        12,
        [4, 8, 12],
    )


def test_what_is_circumstance_may_change(done: tuple[Path, RunResult]):
    folder, result = done
    assert run_toy(folder, toy_training(micro_batch_sequences=1, checkpoints={"every": STEP})) == result


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"training": toy_training(learning_rate=1e-3)}, "training.learning_rate"),
        ({"training": toy_training(seed=1)}, "training.seed"),
        ({"data": ToyData(seed=1)}, "plan"),
        (
            {"base": Base(architecture=TINY.model_copy(update={"intermediate_size": 96}))},
            "base.architecture.intermediate_size",
        ),
        ({"run_id": "other"}, "run_id"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_identity_key_that_differs_is_refused_by_name(
    done: tuple[Path, RunResult], change: dict[str, Any], key: str
):
    with pytest.raises(ConfigError, match=f"was made with {key} = "):
        run_toy(done[0], **change)


def test_a_plan_of_another_shape_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="mix again"):
        run_toy(tmp_path / "run", data=ToyData(global_batch_sequences=8))
    with pytest.raises(ConfigError, match="mix again"):
        run_toy(tmp_path / "run", data=ToyData(num_steps=99))


def test_the_export_loads_with_plain_transformers(done: tuple[Path, RunResult]):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, result = done
    model = AutoModelForCausalLM.from_pretrained(result.export)
    tokens = AutoTokenizer.from_pretrained(result.export)("w3 w4 w5", return_tensors="pt")
    trained = load_model(result.checkpoints[-1].folder)
    with torch.no_grad():
        theirs = model(**tokens).logits
        assert theirs.shape == (1, 3, 61)
        ours = forward_logits(trained, tokens["input_ids"], torch.arange(3)[None])
    assert torch.allclose(theirs, ours, atol=1e-6), "as it was trained, without our position ids too"
    assert model.config.use_cache, "the export generates at full speed"
    last = load_file(result.checkpoints[-1].folder / "model.safetensors")
    assert all(
        torch.equal(last[name], tensor)
        for name, tensor in load_file(result.export / "model.safetensors").items()
    )


def test_rows_fit_the_datasets(done: tuple[Path, RunResult], tmp_path: Path):
    folder, result = done
    lake = Lake.open(tmp_path / "lake")
    lake.runs.mkdir(exist_ok=True)
    (lake.runs / "toy").symlink_to(folder)
    (row,) = run_rows(lake)
    assert row.keys() >= set(DATASETS["runs"].names)
    assert (row["run_id"], row["recipe"], row["status"], row["max_steps"], row["engine"]) == (
        "toy",
        "legal-cpt@1",
        "done",
        12,
        "single",
    )
    assert row["num_parameters"] == sum(
        tensor.numel() for tensor in load_file(result.export / "model.safetensors").values()
    )
    for dataset in ("metrics", "events", "checkpoints"):
        lines = (folder / f"{dataset}.jsonl").read_text().splitlines()
        assert {tuple(json.loads(line)) for line in lines} == {tuple(DATASETS[dataset].names)}
    assert [found["weights_sha256"] for found in checkpoint_rows(folder)] == [
        found.weights_sha256 for found in result.checkpoints
    ]


def test_no_pickle_is_left(done: tuple[Path, RunResult]):
    assert not list(done[0].rglob("training_args.bin"))
    for path in done[0].rglob("*.pt"):
        assert (path.parent / "COMMITTED.json").exists()
        torch.load(path, weights_only=True)


def test_milestones_and_protected_steps_outlive_rotation(tmp_path: Path):
    training = toy_training(checkpoints={"every": STEP, "keep_last": 2, "milestones": [3 * STEP]})
    result = run_toy(tmp_path / "run", training, protected=lambda step: step == 6)
    assert [found.step for found in result.checkpoints] == [3, 6, 11, 12]
    assert [found.milestone for found in result.checkpoints] == [True, False, False, False]
    assert sum(not row["exists"] for row in checkpoint_rows(tmp_path / "run")) == 8


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_after_its_step_and_the_same_call_resumes(
    tmp_path: Path, done: tuple[Path, RunResult], number: int
):
    folder = tmp_path / "run"
    handler = signal.getsignal(number)
    with pytest.raises(Stopped, match="which is committed") as caught:
        run_toy(folder, progress=signal_after(5, number))
    assert caught.value.exit_code == 128 + number
    assert signal.getsignal(number) is handler
    status = read_status(folder)
    assert (status["status"], status["last_step"]) == ("interrupted", 6)
    assert not (folder / "export").exists()
    result = run_toy(folder)
    assert result.status == "done"
    assert result.checkpoints[-1].weights_sha256 == done[1].checkpoints[-1].weights_sha256


@pytest.mark.parametrize("at", ["the last step", "its save"])
def test_a_signal_at_the_very_end_is_obeyed_too_and_the_same_call_finds_the_run_done(
    tmp_path: Path, done: tuple[Path, RunResult], at: str, monkeypatch: pytest.MonkeyPatch
):
    folder, interrupt = tmp_path / "run", signal_after(12)
    if at == "its save":
        commit = Recorder.commit
        monkeypatch.setattr(
            Recorder, "commit", lambda self, step, *rest: (interrupt(step), commit(self, step, *rest))
        )
    with pytest.raises(Stopped, match="after step 12 of 12") as caught:
        run_toy(folder, progress=interrupt if at == "the last step" else None)
    assert caught.value.exit_code == 128 + signal.SIGTERM
    assert read_status(folder)["status"] == "done"
    result = run_toy(folder)
    assert (result.status, {row["attempt"] for row in json_lines(folder / "events.jsonl")}) == ("done", {1})
    assert result.checkpoints[-1].weights_sha256 == done[1].checkpoints[-1].weights_sha256


def test_a_damaged_checkpoint_is_not_loaded(tmp_path: Path):
    folder = tmp_path / "run"
    with pytest.raises(Stopped):
        run_toy(folder, progress=signal_after(5))
    path = folder / "checkpoints" / "step_00000006" / "optimizer.pt"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(LakeError, match=r"step_00000006/optimizer\.pt"):
        run_toy(folder)


def test_zeros_in_the_journals_do_not_end_a_run(tmp_path: Path):
    """What a power cut leaves of a file that was not yet on the disk."""
    folder = tmp_path / "run"
    with pytest.raises(Stopped):
        run_toy(folder, progress=signal_after(5))
    for path in folder.glob("*.jsonl"):
        *before, last = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(before) + bytes(len(last) - 1) + b"\n" + bytes(100))
    assert run_toy(folder).status == "done"
    assert [row["step"] for row in checkpoint_rows(folder)] == [4, 6, 8, 12]


def test_a_reference_that_is_lost_is_put_on_record(tmp_path: Path):
    """Without the losses of step 0 the monitor cannot give an alarm, and must not keep silent about it."""
    folder = tmp_path / "run"
    monitored: dict[str, Any] = {"every": 4 * STEP, "max_increase": {"a": "3%"}}
    with pytest.raises(Stopped):
        run_toy(folder, toy_training(monitor=monitored), progress=signal_after(5))
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if json.loads(line)["step"] > 0))
    assert run_toy(folder, toy_training(monitor=monitored)).status == "done"
    (event,) = [row for row in json_lines(folder / "events.jsonl") if row["kind"] == "reference_lost"]
    assert "'a'" in event["message"]


def test_a_second_process_waits_and_finds_it_done(done: tuple[Path, RunResult]):
    folder, result = done
    said: list[str] = []
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        def let_go(text: str) -> None:
            said.append(text)
            fcntl.flock(file, fcntl.LOCK_UN)

        assert run_toy(folder, say=let_go) == result
    assert len(said) == 1
    assert "waiting" in said[0]


def test_importing_the_entry_loads_no_heavy_library():
    heavy = "sorted({'torch', 'transformers', 'accelerate', 'duckdb', 'streamlit'} & set(sys.modules))"
    command = f"import sys, trainer.run, trainer.config; print({heavy})"
    found = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
