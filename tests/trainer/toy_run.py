"""A toy run for the trainer's tests: a tokenizer of 61 words, a Llama of two layers, documents of counting words.

Importable by test processes too, so that a killed child and the test agree on every input.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixer.packing import pack
from trainer.config import Architecture, Training
from trainer.model import Base
from trainer.run import RunResult, train_run

LENGTH = 64
SEQUENCES = 4
VOCABULARY = 61
TINY = Architecture(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)


def write_tokenizer(folder: Path, words: int = VOCABULARY - 1) -> Path:
    """A Hugging Face tokenizer folder with words w0 … and an end-of-text token, id 0."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {"<|endoftext|>": 0} | {f"w{number}": number + 1 for number in range(words)}
    encoder = Tokenizer(models.WordLevel(vocabulary, unk_token="<|endoftext|>"))
    encoder.pre_tokenizer = pre_tokenizers.Whitespace()
    folder.mkdir(parents=True, exist_ok=True)
    encoder.save(str(folder / "tokenizer.json"))
    declared = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(declared), "utf-8")
    return folder


@dataclass
class ToyData:
    """Documents that count up from a random word; source `b` counts by three and starts higher."""

    num_steps: int = 12
    global_batch_sequences: int = SEQUENCES
    sequence_length: int = LENGTH
    sources: tuple[str, ...] = ("a", "b", "never")
    seed: int = 0

    @property
    def fingerprint(self) -> str:
        return f"toy-{self.num_steps}-{self.global_batch_sequences}-{self.seed}"

    def batch(self, step: int, first: int, count: int) -> dict[str, np.ndarray]:
        numbers = range(
            step * self.global_batch_sequences + first, step * self.global_batch_sequences + first + count
        )
        packed = [pack(*self._sequence(number)) for number in numbers]
        found = {name: np.stack([one[name] for one in packed]) for name in packed[0]}
        return found | {"source": np.array([number % 2 for number in numbers], dtype=np.int64)}

    def _sequence(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        random, stride = np.random.default_rng((self.seed, number)), 3 if number % 2 else 1
        tokens = np.zeros(self.sequence_length + 1, dtype=np.int64)
        starts = np.zeros(self.sequence_length + 1, dtype=np.bool_)
        place = 0
        while place < len(tokens):
            length = int(random.integers(5, 20))
            words = 1 + (int(random.integers(60)) + stride * np.arange(length)) % 60
            words[-1] = 0
            starts[place] = True
            tokens[place : place + length] = words[: len(tokens) - place]
            place += length
        return tokens, starts


def toy_training(**changes: Any) -> Training:
    steps = changes.pop("steps", 12)
    tree: dict[str, Any] = {
        "tokens": steps * SEQUENCES * LENGTH,
        "sequence_length": LENGTH,
        "global_batch_tokens": SEQUENCES * LENGTH,
        "learning_rate": 5e-3,
        "micro_batch_sequences": 2,
        "device": "cpu",
        "checkpoints": {"every": 4 * SEQUENCES * LENGTH},
        "schedule": {"warmup": 0.1},
    }
    return Training.model_validate(tree | changes)


def toy_held_out() -> dict[str, list[np.ndarray]]:
    return {
        "a": [1 + np.arange(start, start + 80) % 60 for start in (3, 30)],
        "b": [1 + 3 * np.arange(40) % 60],
    }


def run_toy(folder: Path, training: Training | None = None, **changes: Any) -> RunResult:
    """`train_run` on toy inputs; `changes` replace its arguments."""
    training = training or toy_training()
    steps = training.tokens // (SEQUENCES * LENGTH)
    arguments: dict[str, Any] = {
        "run_id": "toy", "training": training, "base": Base(architecture=TINY), "data": ToyData(num_steps=steps),
        "held_out": toy_held_out(), "tokenizer_folder": folder.parent / "tokenizer",
    }  # fmt: skip
    arguments |= changes
    if not arguments["tokenizer_folder"].exists():
        write_tokenizer(arguments["tokenizer_folder"])
    return train_run(folder, **arguments)


def signal_after(step: int, number: int = signal.SIGTERM) -> Callable[..., None]:
    """A run's progress that sends a signal to its own process after a step; the run hears it when the next one ends."""

    def progress(done: int, *_: Any) -> None:
        if done == step:
            os.kill(os.getpid(), number)

    return progress
