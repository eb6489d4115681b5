from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toy_run import ToyData

from corpus.errors import ConfigError
from mixer.loader import read_sequences
from mixer.plan import make_plan, plan_source
from mixer.token_shards import TokenStream, open_shard, write_shard
from mixer.tokenizer import load_tokenizer
from trainer.data import PlanData, PlanDataset, collate, resolve_micro_batch


@pytest.fixture
def plan_data(tmp_path: Path, tokenizer_folder: Path) -> PlanData:
    tokenizer, streams, sources = load_tokenizer(tokenizer_folder), {}, []
    for name, stride in (("law", 1), ("web", 7)):
        documents = [
            (f"{name}{i}", " ".join(f"w{(i + stride * k) % 60}" for k in range(9 + i))) for i in range(30)
        ]
        write_shard(tmp_path / name, documents, tokenizer)
        streams[name] = TokenStream([open_shard(tmp_path / name)])
        sources.append(plan_source(name, len(streams[name]), 16))
    plan = make_plan(
        sources,
        [(0, {"law": 0.75, "web": 0.25})],
        seed=3,
        sequence_length=16,
        global_batch_sequences=8,
        num_steps=5,
    )
    return PlanData(plan, streams)


def test_a_plan_is_a_data_plane(plan_data: PlanData):
    assert (plan_data.num_steps, plan_data.global_batch_sequences, plan_data.sources) == (
        5,
        8,
        ("law", "web"),
    )
    found = plan_data.batch(2, 4, 3)
    expected = read_sequences(plan_data.plan, plan_data.streams, np.array([20, 21, 22]))
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_another_plan_has_another_fingerprint(plan_data: PlanData):
    moved = PlanData(plan_data.plan.append_segment(24, {"law": 0.5, "web": 0.5}), plan_data.streams)
    assert moved.fingerprint != plan_data.fingerprint
    assert PlanData(plan_data.plan, {}).fingerprint == plan_data.fingerprint


@pytest.mark.parametrize("micro", [1, 2, 4, 8])
def test_any_micro_batch_reads_the_same_sequences_in_order(plan_data: PlanData, micro: int):
    dataset = PlanDataset(plan_data)
    assert len(dataset) == 40
    loader = torch.utils.data.DataLoader(dataset, batch_size=micro, collate_fn=collate)
    found = torch.cat([batch["input_ids"] for batch in loader])
    whole = read_sequences(plan_data.plan, plan_data.streams, np.arange(40))
    assert np.array_equal(found.numpy(), whole["input_ids"])


def test_a_batch_becomes_int64_tensors_whose_labels_are_the_shifted_ones():
    batch = collate(ToyData().batch(0, 0, 2))
    assert batch["labels"] is batch["shift_labels"]
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())
    assert set(batch) == {"input_ids", "position_ids", "shift_labels", "labels", "source"}


def test_a_micro_batch_divides_the_step_or_is_refused():
    data = ToyData(global_batch_sequences=12)
    assert resolve_micro_batch(3, data, 61, "cpu") == 3
    with pytest.raises(ConfigError, match=r"\[1, 2, 3, 4, 6, 12\]"):
        resolve_micro_batch(5, data, 61, "cpu")


def test_the_chosen_micro_batch_fits():
    assert resolve_micro_batch(0, ToyData(global_batch_sequences=12), 61, "cpu") == 12
    assert resolve_micro_batch(0, ToyData(global_batch_sequences=12, sequence_length=512), 61, "cpu") == 4
    assert (
        resolve_micro_batch(0, ToyData(global_batch_sequences=12, sequence_length=2048), 32_000, "cpu") == 1
    )
    assert (
        resolve_micro_batch(0, ToyData(global_batch_sequences=7, sequence_length=1_000_000), 61, "cpu") == 1
    )
