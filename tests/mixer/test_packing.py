"""Packing: documents do not touch. Checked against a slow definition, and against a model from transformers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.packing import IGNORED, pack


@given(st.lists(st.tuples(st.integers(0, 70_000), st.booleans()), min_size=2, max_size=40))
def test_pack_follows_its_definition(drawn: list[tuple[int, bool]]) -> None:
    tokens = np.array([token for token, _ in drawn], dtype=np.int32)
    starts = np.array([start for _, start in drawn])
    packed = pack(tokens, starts)
    position, positions = -1, []
    for start in starts[:-1]:
        position = 0 if start else position + 1
        positions.append(position)
    assert packed["input_ids"].tolist() == tokens[:-1].tolist()
    assert packed["position_ids"].tolist() == positions
    assert packed["shift_labels"].tolist() == [
        IGNORED if start else token for token, start in zip(tokens[1:].tolist(), starts[1:], strict=True)
    ]
    assert {array.dtype for array in packed.values()} == {np.dtype(np.int64)}


def test_a_batch_packs_as_its_rows_alone() -> None:
    rng = np.random.default_rng(1)
    tokens, starts = rng.integers(0, 500, (5, 33)), rng.random((5, 33)) < 0.2
    together = pack(tokens, starts)
    for row in range(5):
        for name, array in pack(tokens[row], starts[row]).items():
            assert together[name][row].tolist() == array.tolist()


def test_eos_is_a_target_and_the_first_token_of_a_document_is_not() -> None:
    eos, first = 0, 9
    packed = pack(np.array([5, 6, eos, first, 8]), np.array([False, False, False, True, False]))
    assert packed["shift_labels"].tolist() == [6, eos, IGNORED, 8]
    assert packed["position_ids"].tolist() == [0, 1, 2, 0]


def test_there_is_no_attention_mask() -> None:
    assert set(pack(np.array([1, 2]), np.array([True, False]))) == {
        "input_ids",
        "position_ids",
        "shift_labels",
    }


@pytest.fixture(scope="module")
def tiny_llama() -> object:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    return LlamaForCausalLM(LlamaConfig(**sizes)).eval()


def test_a_packed_document_is_predicted_as_if_it_were_alone(tiny_llama: object) -> None:
    import torch

    rng = np.random.default_rng(2)
    tokens, starts = rng.integers(0, 64, (1, 25)), np.zeros((1, 25), dtype=bool)
    starts[0, [0, 9, 17]] = True
    packed = {name: torch.from_numpy(array) for name, array in pack(tokens, starts).items()}
    with torch.no_grad():
        whole = tiny_llama(
            input_ids=packed["input_ids"], position_ids=packed["position_ids"], use_cache=False
        ).logits[0]  # type: ignore[operator]
        alone = tiny_llama(input_ids=packed["input_ids"][:, 9:17], use_cache=False).logits[0]  # type: ignore[operator]
    assert torch.allclose(whole[9:17], alone, atol=1e-5)


def test_the_models_loss_takes_shift_labels_as_they_are(tiny_llama: object) -> None:
    import torch

    rng = np.random.default_rng(3)
    tokens, starts = rng.integers(0, 64, (2, 17)), rng.random((2, 17)) < 0.2
    packed = {name: torch.from_numpy(array) for name, array in pack(tokens, starts).items()}
    with torch.no_grad():
        found = tiny_llama(**packed, labels=packed["shift_labels"], use_cache=False)  # type: ignore[operator]
    expected = torch.nn.functional.cross_entropy(
        found.logits.reshape(-1, 64), packed["shift_labels"].reshape(-1), ignore_index=IGNORED
    )
    assert torch.isclose(found.loss, expected, atol=1e-6)
