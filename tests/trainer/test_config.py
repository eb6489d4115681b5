from __future__ import annotations

from typing import Any

import pytest

from corpus.config import build_section, parse_yaml
from corpus.errors import ConfigError
from trainer.config import Architecture, Training, check_single_process, resolve_training

EXAMPLE = """
tokens: 2B
sequence_length: 4096
global_batch_tokens: 1M
learning_rate: 0.05x
schedule: {type: cosine, warmup: 1%, floor: 10%}
weight_decay: 0.1
checkpoints: {every: 100M, keep_last: 5, milestones: [1B, 2B]}
monitor: {every: 50M, max_increase: {general: 3%}, on_breach: [stop]}
"""


def build(text: str = EXAMPLE, **changes: Any) -> Training:
    return build_section(Training, parse_yaml(text) | changes, "training")


def test_a_recipe_s_section_is_read_with_its_suffixes():
    training = build()
    assert (training.tokens, training.checkpoints.milestones) == (2_000_000_000, [10**9, 2 * 10**9])
    assert (training.schedule.warmup, training.schedule.floor) == (0.01, 0.1)
    assert build(schedule={"warmup": "20M"}).schedule.warmup == 20_000_000


def test_circumstance_changes_no_identity():
    plain = build()
    moved = build(
        micro_batch_sequences=8,
        device="cpu",
        checkpoints={"every": "1M", "keep_last": 9, "milestones": ["1B", "2B"]},
    )
    assert plain.identity() == moved.identity()


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 1e-4}, {"seed": 3}, {"precision": "bf16"}, {"schedule": {"type": "wsd"}}, {"monitor": None}, {"beta2": 0.99},
        {"checkpoints": {"milestones": ["1B"]}},
    ],
    ids=str,
)  # fmt: skip
def test_what_changes_weights_or_results_changes_the_identity(change: dict[str, Any]):
    assert build().identity() != build(**change).identity()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"engine": "fsdp2"}, "'fsdp2' arrived, which is not there yet"),
        ({"engine": "zero"}, "not there yet"),
        ({"engine": "magic"}, "no engine 'magic'"),
        ({"ewc": 0.1}, "'ewc' arrived, which is not there yet"),
        ({"freeze": ["embeddings"]}, "'freeze' arrived, which is not there yet"),
        ({"learning_rat": 1}, "Did you mean 'learning_rate'?"),
        (
            {"monitor": {"every": "1M", "on_breach": ["raise_replay"]}},
            "'raise_replay' arrived, which is not there yet",
        ),
        ({"monitor": {"every": "1M", "on_breach": ["panic"]}}, "'panic'"),
        ({"monitor": {"every": "1M", "max_increase": {"general": "2pp"}}}, "no percentage points"),
        ({"monitor": {"every": "1M", "max_increase": {"general": 3}}}, "has no unit"),
        ({"checkpoints": {"milestones": ["3B"]}}, "beyond the run's"),
        (
            {"checkpoints": {"keep_last": 0}},
            "keep_last: 0 cannot stand here; write a whole number, 1 or more",
        ),
        ({"schedule": {"type": "cosine", "decay": "10%"}}, "belongs to type: wsd"),
        ({"schedule": {"type": "wsd", "warmup": "60%", "decay": "60%"}}, "120%"),
        ({"global_batch_tokens": 100}, "at least one sequence"),
        ({"tokens": 1000}, "less than one step"),
        ({"device": "tpu"}, "no device 'tpu'"),
        ({"weight_decay": -1}, "weight_decay: -1 cannot stand here; write a number, 0 or more"),
        ({"weight_decay": float("nan")}, "weight_decay: .nan cannot stand here; write a number, 0 or more"),
        ({"max_grad_norm": -1}, "max_grad_norm: -1 cannot stand here; write a number, 0 or more"),
        ({"beta1": 1.5}, "beta1: 1.5 cannot stand here; write a number, 0 or more and below 1"),
        ({"beta2": -0.1}, "beta2: -0.1 cannot stand here; write a number, 0 or more"),
        ({"seed": -1}, "seed: -1 cannot stand here; write a whole number, 0 or more"),
        (
            {"seed": 2**32},
            "seed: 4294967296 cannot stand here; write a whole number, 0 or more and below 4294967296",
        ),
        (
            {"micro_batch_sequences": -1},
            "micro_batch_sequences: -1 cannot stand here; write a whole number, 0 or more",
        ),
        (
            {"monitor": {"every": 0}},
            "monitor.every: 0 cannot stand here; write a whole number such as 32k, 1 or more",
        ),
        ({"monitor": {"every": 1, "tokens_per_source": 0}}, "tokens_per_source: 0 cannot stand here"),
        ({"checkpoints": {"every": 0}}, "checkpoints.every: 0 cannot stand here"),
        ({"checkpoints": {"milestones": [0]}}, "milestones.0: 0 cannot stand here"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_refusals_name_the_key(change: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match="training") as caught:
        build(**change)
    assert said in str(caught.value)


def test_resolving_makes_the_rate_a_number_and_auto_a_fact():
    resolved = resolve_training(build(device="cpu"), peak_learning_rate=3e-4, seed=17)
    assert (resolved.learning_rate, resolved.precision, resolved.seed) == (1.5e-5, "fp32", 17)
    assert resolve_training(resolved) == resolved
    assert resolve_training(build(device="cpu", seed=4), peak_learning_rate=1e-3, seed=17).seed == 4


def test_a_share_of_an_unknown_peak_is_refused():
    with pytest.raises(ConfigError, match="peak_learning_rate"):
        resolve_training(build(device="cpu"))


def test_fp16_needs_a_gpu():
    with pytest.raises(ConfigError, match="needs a GPU"):
        resolve_training(build(device="cpu", precision="fp16", learning_rate=1e-4))


def test_an_engine_that_a_profile_brings_is_checked_too():
    with pytest.raises(ConfigError, match="'fsdp2' arrived, which is not there yet"):
        resolve_training(build(device="cpu").model_copy(update={"engine": "fsdp2"}), peak_learning_rate=1e-3)


def test_a_launcher_s_environment_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="one process"):
        check_single_process()


@pytest.mark.parametrize(
    "key",
    ["hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size", "max_position_embeddings"],
)  # fmt: skip
def test_an_architecture_has_at_least_one_of_everything(key: str):
    for value in (0, -1):
        with pytest.raises(ConfigError, match=f"architecture: {key}: "):
            build_section(Architecture, {key: value}, "architecture")


def test_heads_must_divide_the_architecture():
    with pytest.raises(ConfigError, match="multiple of 10"):
        build_section(Architecture, {"hidden_size": 64, "num_attention_heads": 5}, "architecture")
    with pytest.raises(ConfigError, match="num_key_value_heads 4"):
        build_section(
            Architecture,
            {"hidden_size": 48, "num_attention_heads": 6, "num_key_value_heads": 4},
            "architecture",
        )
