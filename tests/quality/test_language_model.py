"""Windowed token scores of a tiny random model against the rule applied one token at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.errors import ConfigError
from quality import language_model
from quality.language_model import (
    LanguageModel,
    load_language_model,
    resolve_device,
    score_continuations,
    score_tokens,
    wrap_language_model,
)
from tests.random_model import random_model

BOS = 1


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return random_model(50, 64)


def sequences(*lengths: int) -> list[np.ndarray]:
    generator = np.random.default_rng(3)
    return [generator.integers(2, 50, size=length) for length in lengths]


def nll_given(model: LanguageModel, context: np.ndarray, target: int) -> float:
    """One token from its context, by a plain forward pass of one row."""
    import torch

    with torch.no_grad():
        logits = model.module.eval()(input_ids=torch.tensor(context)[None], use_cache=False).logits[0, -1]
    return float(-torch.log_softmax(logits.double(), -1)[target])


def by_the_rule(model: LanguageModel, ids: np.ndarray, window: int, stride: int) -> np.ndarray:
    """The windowing rule written a second time, without windows: which context does each token get?"""
    stream = np.concatenate([[BOS], ids])
    scores = []
    for position in range(1, len(stream)):
        if position <= window:
            last = min(window, len(stream) - 1)
        else:
            last = min(window + stride * -(-(position - window) // stride), len(stream) - 1)
        begin = max(0, last - window)
        scores.append(nll_given(model, stream[begin:position], int(stream[position])))
    return np.array(scores)


@pytest.mark.parametrize(("window", "stride"), [(8, 8), (8, 4), (8, 1), (8, 3), (1, 1), (64, 32)])
def test_every_token_is_scored_once_with_the_context_of_the_rule(
    model: LanguageModel, window: int, stride: int
) -> None:
    given = sequences(1, 7, 8, 9, 21, 40)
    found = score_tokens(model, given, window, stride, prefix_id=BOS)
    for ids, scores in zip(given, found, strict=True):
        assert scores.shape == ids.shape
        assert scores == pytest.approx(by_the_rule(model, ids, window, stride), abs=2e-5)


def test_scores_do_not_depend_on_company_or_order(model: LanguageModel) -> None:
    given = sequences(30, 3, 17, 17, 1, 55)
    together = score_tokens(model, given, 16, 8, prefix_id=BOS)
    for index, ids in enumerate(given):
        assert score_tokens(model, [ids], 16, 8, prefix_id=BOS)[0] == pytest.approx(together[index], abs=1e-5)
    backwards = score_tokens(model, given[::-1], 16, 8, prefix_id=BOS)[::-1]
    for one, other in zip(together, backwards, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_the_same_call_gives_the_same_bits(model: LanguageModel) -> None:
    given = sequences(30, 3, 17)
    first, second = (score_tokens(model, given, 16, 8, prefix_id=BOS) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_starts_score_the_tail_and_leave_the_rest_as_context(model: LanguageModel) -> None:
    given = sequences(20, 6)
    whole = score_tokens(model, given, 64, prefix_id=BOS)
    tails = score_tokens(model, given, 64, prefix_id=BOS, starts=[17, 6])
    assert tails[0] == pytest.approx(whole[0][17:], abs=1e-5)
    assert len(tails[1]) == 0


def test_context_longer_than_the_window_is_cut_from_the_left(model: LanguageModel) -> None:
    (ids,) = sequences(40)
    tail = score_tokens(model, [ids], 10, 10, prefix_id=BOS, starts=[37])[0]
    assert tail == pytest.approx(
        [nll_given(model, ids[29:end], int(ids[end])) for end in (37, 38, 39)], abs=2e-5
    )


def test_small_batches_give_the_same_scores(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    given = sequences(30, 3, 17, 17, 1, 55)
    whole = score_tokens(model, given, 16, 8, prefix_id=BOS)
    monkeypatch.setattr(language_model, "MAX_BATCH_TOKENS", 1)
    for one, other in zip(whole, score_tokens(model, given, 16, 8, prefix_id=BOS), strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_a_model_in_training_goes_back_to_training_and_keeps_its_gradients(model: LanguageModel) -> None:
    model.module.train()
    score_tokens(model, sequences(5), 8, prefix_id=BOS)
    assert model.module.training
    assert all(parameter.requires_grad for parameter in model.module.parameters())


def test_progress_counts_tokens_up_to_all(model: LanguageModel) -> None:
    seen: list[tuple[int, int]] = []
    score_tokens(
        model, sequences(30, 5), 8, 4, prefix_id=BOS, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (35, 35)
    assert seen == sorted(seen)


def test_nothing_to_score_is_no_error(model: LanguageModel) -> None:
    assert score_tokens(model, [], 8, prefix_id=BOS) == []
    assert [len(scores) for scores in score_tokens(model, sequences(0), 8, prefix_id=BOS)] == [0]


@pytest.mark.parametrize(
    ("window", "stride", "ids"), [(65, 8, [2]), (8, 9, [2]), (8, 0, [2]), (8, 4, [50]), (8, 4, [-1])]
)
def test_what_the_model_cannot_read_is_refused(
    model: LanguageModel, window: int, stride: int, ids: list[int]
) -> None:
    with pytest.raises(ConfigError):
        score_tokens(model, [np.array(ids)], window, stride, prefix_id=BOS)


def test_a_saved_model_loads_and_scores_the_same(model: LanguageModel, tmp_path: Path) -> None:
    model.module.save_pretrained(tmp_path)
    loaded = load_language_model(tmp_path)
    assert (loaded.device, loaded.vocab_size, loaded.max_positions) == ("cpu", 50, 64)
    given = sequences(12)
    assert np.array_equal(
        score_tokens(loaded, given, 8, prefix_id=BOS)[0], score_tokens(model, given, 8, prefix_id=BOS)[0]
    )


def test_loading_a_model_draws_no_bar(
    model: LanguageModel, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model.module.save_pretrained(tmp_path)
    capfd.readouterr()
    load_language_model(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_device_is_the_machine_s_or_refused() -> None:
    assert resolve_device("cpu") == "cpu"
    if resolve_device("auto") == "cpu":
        for device in ("cuda", "cuda:1"):
            with pytest.raises(ConfigError, match="no GPU here"):
                resolve_device(device)


def test_importing_the_door_does_not_load_torch() -> None:
    code = "import sys, quality.language_model; print('torch' in sys.modules, 'transformers' in sys.modules)"
    ran: Any = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "False"]


# ── continuations of a shared context ───────────────────────────────────────────────────────────


def tiny(name: str) -> LanguageModel:
    """A random model of another architecture: learned positions, rotary ones, a sliding window, no key-value cache."""
    import torch
    import transformers

    torch.manual_seed(1)
    sizes = {
        "vocab_size": 50,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "max_position_embeddings": 64,
    }
    heads = {"num_attention_heads": 4}
    made: dict[str, Any] = {
        "gpt2": lambda: transformers.GPT2Config(
            vocab_size=50, n_embd=32, n_layer=2, n_head=4, n_positions=64
        ),
        "neox": lambda: transformers.GPTNeoXConfig(**sizes, **heads),
        "sliding": lambda: transformers.MistralConfig(
            **sizes, **heads, num_key_value_heads=2, sliding_window=5
        ),
        "mamba": lambda: transformers.MambaConfig(
            vocab_size=50, hidden_size=32, num_hidden_layers=2, state_size=4
        ),
    }
    return wrap_language_model(transformers.AutoModelForCausalLM.from_config(made[name]()))


def continuations_one_by_one(
    model: LanguageModel, context: np.ndarray, group: list[np.ndarray], window: int
) -> list[np.ndarray]:
    kept = np.concatenate([[BOS], context])[-(window - max(map(len, group)) + 1) :]
    wholes = [np.concatenate([kept, ids]) for ids in group]
    return [
        np.array([nll_given(model, whole[:n], int(whole[n])) for n in range(len(kept), len(whole))])
        for whole in wholes
    ]


@pytest.mark.parametrize("window", [64, 12])
def test_continuations_of_a_shared_context_are_scored_as_if_alone(model: LanguageModel, window: int) -> None:
    contexts, group = sequences(20, 0, 7), sequences(3, 1, 5, 5)
    found = score_continuations(model, contexts, [group] * 3, window, prefix_id=BOS)
    for context, scores in zip(contexts, found, strict=True):
        for one, expected in zip(
            scores, continuations_one_by_one(model, context, group, window), strict=True
        ):
            assert one == pytest.approx(expected, abs=2e-5)


@pytest.mark.filterwarnings("ignore")  # Mamba says that its fast kernels are not installed
@pytest.mark.parametrize("name", ["gpt2", "neox", "sliding", "mamba"])
def test_other_architectures_give_the_same_scores_shared_batched_and_alone(name: str) -> None:
    other = tiny(name)
    (context,), group = sequences(9), sequences(3, 1, 5)
    (shared,) = score_continuations(other, [context], [group], 60, prefix_id=BOS)
    wholes = [np.concatenate([context, ids]) for ids in group]
    batched = score_tokens(other, wholes, 60, prefix_id=BOS, starts=[len(context)] * 3)
    for one, two, alone in zip(
        shared, batched, continuations_one_by_one(other, context, group, 60), strict=True
    ):
        assert one == pytest.approx(alone, abs=2e-5)
        assert two == pytest.approx(alone, abs=2e-5)


def test_a_continuation_longer_than_the_window_is_scored_in_windows(model: LanguageModel) -> None:
    (context, long, short) = sequences(4, 20, 2)
    ((first, second),) = score_continuations(model, [context], [[long, short]], 8, prefix_id=BOS)
    assert (len(first), len(second)) == (20, 2)
    assert np.isfinite(first).all()


def test_continuations_tell_their_progress(model: LanguageModel) -> None:
    seen: list[tuple[int, int]] = []
    group = sequences(3, 1)
    score_continuations(
        model,
        sequences(4, 4),
        [group, group],
        32,
        prefix_id=BOS,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(4, 8), (8, 8)]
