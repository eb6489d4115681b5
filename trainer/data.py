"""What a training loop reads: sequences by number, from a plan, as tensors in the plan's order.

There is no iterator and so no position to lose: sequence numbers are the state, and the step gives them. Packing and
order are the mixer's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from corpus.fingerprint import fingerprint
from mixer.global_batch import check_division
from mixer.loader import read_sequences
from mixer.plan import MixPlan
from mixer.token_shards import TokenStream

Batch = Mapping[str, np.ndarray]
# Sequences of one forward pass where none are given: bounded by tokens (attention, activations) and by float32 logits,
# of which cross-entropy holds three copies.
MAX_TOKENS = {"cpu": 2_048, "cuda": 32_768}
MAX_LOGITS = {"cpu": 1 << 24, "cuda": 1 << 29}


class DataPlane(Protocol):
    """All the data of a run: num_steps × global_batch_sequences sequences of sequence_length tokens."""

    @property
    def num_steps(self) -> int: ...
    @property
    def global_batch_sequences(self) -> int: ...
    @property
    def sequence_length(self) -> int: ...
    @property
    def sources(self) -> tuple[str, ...]: ...
    @property
    def fingerprint(self) -> str:
        """What decides every batch; a run does not continue on another."""
        ...

    def batch(self, step: int, first: int, count: int) -> Batch:
        """Sequences [first, first + count) of a step: `input_ids`, `position_ids`, `shift_labels` (count, L), `source` (count,)."""
        ...


class PlanData:
    """A mixer's plan over open token streams, as a `DataPlane`."""

    def __init__(self, plan: MixPlan, streams: Mapping[str, TokenStream]):
        self.plan, self.streams = plan, streams
        self.num_steps = plan.num_steps
        self.global_batch_sequences = plan.global_batch_sequences
        self.sequence_length = plan.sequence_length
        self.sources = tuple(source.name for source in plan.sources)

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.plan.to_json())

    def batch(self, step: int, first: int, count: int) -> Batch:
        begin = step * self.global_batch_sequences + first
        return read_sequences(self.plan, self.streams, np.arange(begin, begin + count, dtype=np.int64))


class PlanDataset:
    """A map-style dataset whose item i is sequence i of the run; a loader's batch is one read of the plan.

    Map-style, because transformers then resumes by sequence number, exactly, on any number of processes.
    """

    def __init__(self, data: DataPlane):
        self.data = data

    def __len__(self) -> int:
        return self.data.num_steps * self.data.global_batch_sequences

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> Batch:
        step, first = divmod(indices[0], self.data.global_batch_sequences)
        assert indices == list(range(indices[0], indices[0] + len(indices))), "sequences are read in order"
        assert first + len(indices) <= self.data.global_batch_sequences, "a micro-batch lies within one step"
        return self.data.batch(step, first, len(indices))


def collate(batch: Batch) -> dict[str, Any]:
    """Arrays → int64 tensors. `labels` is `shift_labels` again: transformers counts targets only where it stands."""
    import torch

    names = ("input_ids", "position_ids", "shift_labels", "source")
    tensors = {name: torch.from_numpy(np.ascontiguousarray(batch[name], dtype=np.int64)) for name in names}
    return tensors | {"labels": tensors["shift_labels"]}


def resolve_micro_batch(asked: int, data: DataPlane, vocab_size: int, device: str) -> int:
    """Sequences of one forward pass: as asked if a step divides by it (else ConfigError), or the most that fit."""
    total, length = data.global_batch_sequences, data.sequence_length
    if asked:
        check_division(total, 1, asked)
        return asked
    room = min(MAX_TOKENS[device] // length, MAX_LOGITS[device] // (length * vocab_size))
    return max(size for size in range(1, total + 1) if total % size == 0 and size <= max(room, 1))
