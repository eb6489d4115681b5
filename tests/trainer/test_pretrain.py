"""The loop itself: what it computes, what it logs, and what stops it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from toy_run import LENGTH, SEQUENCES, TINY, ToyData, run_toy, signal_after, toy_training

from corpus.errors import ConfigError, NotFinite, Stopped
from mixer.tokenizer import load_tokenizer
from trainer import pretrain
from trainer.data import collate
from trainer.model import Base, build_model, forward_logits
from trainer.run_folder import read_status


def rows(folder: Path, dataset: str, **wanted: Any) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / f"{dataset}.jsonl").read_text().splitlines()]
    return [row for row in lines if all(row[name] == value for name, value in wanted.items())]


def losses(folder: Path) -> dict[tuple[int, str | None], float]:
    return {(row["step"], row["source"]): row["value"] for row in rows(folder, "metrics", name="loss")}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("done") / "run"
    run_toy(folder)
    return folder


def test_loss_by_source_is_the_loss_of_that_source_s_sequences(done: Path):
    model = build_model(Base(architecture=TINY), load_tokenizer(done.parent / "tokenizer"), LENGTH, 0).eval()
    batch = collate(ToyData().batch(0, 0, SEQUENCES))
    with torch.no_grad():
        logits = forward_logits(model, batch["input_ids"], batch["position_ids"])
    nll = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), batch["labels"].flatten(), reduction="none"
    ).view(SEQUENCES, LENGTH)
    found = losses(done)
    for source, name in enumerate(("a", "b")):
        mine = batch["source"] == source
        assert found[1, name] == pytest.approx(
            float(nll[mine].sum() / (batch["labels"][mine] != -100).sum()), rel=1e-5
        )
    assert found[1, None] == pytest.approx(float(nll.sum() / (batch["labels"] != -100).sum()), rel=1e-5)
    assert (1, "never") not in found, "a source without tokens in a step has no loss in it"


@pytest.mark.parametrize("micro", [1, 4])
def test_the_micro_batch_changes_nothing_but_the_last_bits(done: Path, tmp_path: Path, micro: int):
    run_toy(tmp_path / "run", toy_training(micro_batch_sequences=micro))
    other, reference = losses(tmp_path / "run"), losses(done)
    assert other.keys() == reference.keys()
    assert all(other[key] == pytest.approx(reference[key], rel=2e-4) for key in reference)


def test_the_rate_follows_the_curve_to_its_floor(done: Path):
    rates = [row["value"] for row in rows(done, "metrics", name="learning_rate")]
    assert max(rates) == pytest.approx(5e-3)
    assert rates[-1] == pytest.approx(5e-4)
    assert len(rates) == 12


def test_every_step_has_its_figures(done: Path):
    for name in ("grad_norm", "tokens_per_second", "learning_rate"):
        assert [row["step"] for row in rows(done, "metrics", name=name)] == list(range(1, 13))
    assert rows(done, "metrics", step=12)[0]["tokens"] == 12 * SEQUENCES * LENGTH
    assert losses(done)[12, None] < losses(done)[1, None]


def test_the_weights_learn_in_fp32_whatever_the_computation(tmp_path: Path):
    result = run_toy(tmp_path / "run", toy_training(precision="bf16", steps=4))
    assert read_status(tmp_path / "run")["precision"] == "bf16"
    weights = load_file(result.export / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    run_toy(tmp_path / "fp32", toy_training(precision="fp32", steps=4))
    half, whole = losses(tmp_path / "run")[1, None], losses(tmp_path / "fp32")[1, None]
    assert half != whole, "the same weights and tokens, another computation"
    assert half == pytest.approx(whole, rel=1e-2)


def test_a_step_that_fp16_skips_leaves_the_rate_on_its_curve(
    tmp_path: Path, done: Path, monkeypatch: pytest.MonkeyPatch
):
    """Steps that accelerate skips while it looks for a loss scale count, so they take their place on the curve."""
    skipping = iter([True, True, False, True] + [False] * 99)
    monkeypatch.setattr(
        "accelerate.Accelerator.optimizer_step_was_skipped",
        property(lambda self: next(skipping)),
        raising=True,
    )
    run_toy(tmp_path / "run")
    rates = [
        [row["value"] for row in rows(folder, "metrics", name="learning_rate")]
        for folder in (tmp_path / "run", done)
    ]
    assert rates[0] == rates[1]


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, spoil: Any) -> None:
    """Spoil the logits of one step, counted in forward passes of two micro-batches."""
    calls = 0

    def forward(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        logits = forward_logits(*args)
        return spoil(logits) if calls == 2 * step else logits

    monkeypatch.setattr(pretrain, "forward_logits", forward)


def spoil_gradient(logits: torch.Tensor) -> torch.Tensor:
    logits.register_hook(lambda gradient: gradient * float("inf"))
    return logits


@pytest.mark.parametrize(
    ("metric", "spoil"),
    [("loss", lambda logits: logits * float("nan")), ("grad_norm", spoil_gradient)],
    ids=["loss", "gradient"],
)
def test_what_is_not_a_number_stops_the_run_before_it_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str, spoil: Any
):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        at_step(patch, 8, spoil)  # a step that would be saved
        with pytest.raises(NotFinite, match=f"step 8: the {metric}"):
            run_toy(folder)
    (event,) = rows(folder, "events", kind="not_finite")
    assert (event["step"], event["metric"], event["action"]) == (8, metric, "stop")
    assert max(row["step"] for row in rows(folder, "metrics")) == 7
    assert sorted(path.name for path in (folder / "checkpoints").glob("step_*")) == ["step_00000004"]
    assert read_status(folder)["status"] == "not_finite"
    assert run_toy(folder).status == "done", "the cause removed, the same call goes on"


UNLIKE = {
    "c": [1 + (60 - 7 * np.arange(60)) % 60]
}  # words run backwards, so its loss rises while the model learns


def monitored(**changes: Any) -> Any:
    tree = {"every": 2 * SEQUENCES * LENGTH, "max_increase": {"general": "0.5%"}} | changes
    return toy_training(steps=24, monitor=tree, learning_rate=2e-2)


def test_a_breach_stops_the_run_with_a_committed_checkpoint(tmp_path: Path):
    folder = tmp_path / "run"
    arguments: dict[str, Any] = {"training": monitored(), "held_out": UNLIKE, "groups": {"c": "general"}}
    result = run_toy(folder, **arguments)
    (event,) = rows(folder, "events", kind="tolerance_crossed")
    assert (result.status, result.last_step) == ("stopped", event["step"])
    assert 0 < result.last_step < 24
    reference = rows(folder, "metrics", name="held_out_group_loss", step=0)[0]["value"]
    assert event["threshold"] == pytest.approx(1.005 * reference)
    assert event["value"] > event["threshold"]
    assert (event["source"], event["action"]) == ("general", "stop")
    assert result.checkpoints[-1].step == result.last_step
    assert (result.export / "model.safetensors").exists()
    assert run_toy(folder, **arguments).last_step == result.last_step
    assert {row["attempt"] for row in rows(folder, "events")} == {1}, "a stopped run is not started again"


@pytest.mark.parametrize("before", [0, 1])
def test_a_signal_in_the_step_where_the_monitor_stops_is_obeyed(tmp_path: Path, before: int):
    folder = tmp_path / "run"
    arguments: dict[str, Any] = {"training": monitored(), "held_out": UNLIKE, "groups": {"c": "general"}}
    last = run_toy(tmp_path / "whole", **arguments).last_step
    with pytest.raises(Stopped, match=f"after step {last} of 24"):
        run_toy(folder, progress=signal_after(last - before), **arguments)
    assert read_status(folder)["status"] == "stopped"
    assert run_toy(folder, **arguments).status == "stopped"


def test_a_breach_can_be_recorded_only(tmp_path: Path):
    folder = tmp_path / "run"
    result = run_toy(folder, monitored(on_breach=[]), held_out=UNLIKE, groups={"c": "general"})
    events = rows(folder, "events", kind="tolerance_crossed")
    assert (result.status, result.last_step) == ("done", 24)
    assert {row["action"] for row in events} == {"none"}


def test_held_out_loss_is_measured_at_its_cadence_and_at_the_end(tmp_path: Path):
    folder = tmp_path / "run"
    run_toy(folder, toy_training(monitor={"every": 5 * SEQUENCES * LENGTH}))
    assert [row["step"] for row in rows(folder, "metrics", name="held_out_loss", source="a")] == [
        0,
        5,
        10,
        12,
    ]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("WORLD_SIZE", "2", "one process"), ("ACCELERATE_MIXED_PRECISION", "bf16", "ACCELERATE_")],
)
def test_a_launcher_s_environment_cannot_change_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=said):
        run_toy(tmp_path / "run")


def test_a_crash_is_put_on_record_and_the_same_call_goes_on(tmp_path: Path):
    def crash(step: int, total: int, figures: Any) -> None:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        run_toy(tmp_path / "run", progress=crash)
    assert read_status(tmp_path / "run")["status"] == "failed"
    assert "OSError" in rows(tmp_path / "run", "events", kind="failed")[0]["message"]
    assert run_toy(tmp_path / "run").status == "done"


def test_an_argument_that_transformers_lost_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fields = [
        field
        for field in pretrain.dataclasses.fields(pretrain.TrainingArguments)
        if field.name != "logging_nan_inf_filter"
    ]
    monkeypatch.setattr(pretrain.dataclasses, "fields", lambda kind: fields)
    with pytest.raises(ConfigError, match="logging_nan_inf_filter"):
        pretrain._arguments(toy_training(), ToyData(), tmp_path, 2, False)


def test_nothing_is_printed_to_stdout(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    run_toy(tmp_path / "run", toy_training(steps=4))
    assert capfd.readouterr().out == ""
