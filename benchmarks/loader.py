"""Loader throughput: plan → locate → read → pack into arrays for a model, in one process; beside a bare read.

The bare read takes random windows of the same file and casts them, with no plan, documents or packing: the ceiling.

    python benchmarks/loader.py [--tokens 50M] [--sequence-length 2048]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from corpus.config import parse_count
from mixer.loader import read_sequences
from mixer.megatron import write_index
from mixer.plan import MixPlan, make_plan, plan_source
from mixer.token_shards import TokenStream, open_shard

_SHARES = {"domain": 0.5, "general": 0.3, "web": 0.2}
_MEAN_DOCUMENT = 600
_SECONDS = 4.0
_TARGET = 5e6


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument(
        "--tokens", type=parse_count, default=parse_count("50M"), help="size of each of three sources"
    )
    arguments.add_argument("--sequence-length", type=parse_count, default=2048)
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        streams = {
            name: write_source(Path(folder) / name, asked.tokens, seed) for seed, name in enumerate(_SHARES)
        }
        plan = plan_of(streams, asked.sequence_length)
        ours = measure(lambda step: read_sequences(plan, streams, plan.sequences_of_step(step)), plan)
        bare = measure(lambda step: bare_read(streams["domain"], plan, step), plan)
    verdict = "reached" if ours >= _TARGET else "MISSED"
    print(
        f"loader {ours / 1e6:.1f} M tokens/s (target {_TARGET / 1e6:.0f}: {verdict}); bare read {bare / 1e6:.1f} M tokens/s; ratio {ours / bare:.2f}"
    )


def write_source(prefix: Path, num_tokens: int, seed: int) -> TokenStream:
    """One shard of random tokens in documents of exponential length."""
    rng = np.random.default_rng(seed)
    lengths = np.maximum(
        2, rng.exponential(_MEAN_DOCUMENT, max(1, num_tokens // _MEAN_DOCUMENT)).astype(np.int64)
    )
    rng.integers(0, 32_000, int(lengths.sum()), dtype=np.uint16).tofile(f"{prefix}.bin")
    with Path(f"{prefix}.idx").open("wb") as file:
        write_index(file, lengths, np.dtype(np.uint16))
    return TokenStream([open_shard(prefix)])


def plan_of(streams: dict[str, TokenStream], sequence_length: int) -> MixPlan:
    """Long enough that the timed steps never come to its end; sources are read again and again."""
    sources = [
        plan_source(name, len(stream), sequence_length, max_epochs=1e9) for name, stream in streams.items()
    ]
    return make_plan(
        sources,
        [(0, _SHARES)],
        seed=17,
        sequence_length=sequence_length,
        global_batch_sequences=64,
        num_steps=10**6,
    )


def bare_read(stream: TokenStream, plan: MixPlan, step: int) -> list[np.ndarray]:
    starts = np.random.default_rng(step).integers(
        0, len(stream) - plan.sequence_length, plan.global_batch_sequences
    )
    tokens = stream.shards[0].tokens
    return [tokens[start : start + plan.sequence_length].astype(np.int64) for start in starts.tolist()]


def measure(read_step: Callable[[int], object], plan: MixPlan) -> float:
    """Tokens per second over whole steps, after one step to warm up."""
    read_step(0)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < _SECONDS:
        steps += 1
        read_step(steps)
    return steps * plan.global_batch_sequences * plan.sequence_length / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
