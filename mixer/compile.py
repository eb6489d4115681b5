"""Compile every kernel of the mixer into the cache: `python -m mixer.compile`, run at set-up as `quality.compile` is."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from mixer.plan import make_plan, plan_source
from mixer.tokenizer import train_bpe

TEXTS = ["The quick brown fox jumps over the lazy dog.", "Naïve café: पढ़ना १२.", ""]


def compile_kernels() -> None:
    """Tokenize three texts with a tokenizer of their own, and ask a plan for a sequence and back."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = train_bpe(iter(TEXTS), 300, Path(folder) / "tokenizer")
        tokenizer.count_batch(TEXTS)
        tokenizer.encode_batch(TEXTS)
    sources = [plan_source(name, 1000, 8) for name in ("domain", "general")]
    weights = {"domain": 0.7, "general": 0.3}
    plan = make_plan(
        sources, [(0, weights)], seed=0, sequence_length=8, global_batch_sequences=4, num_steps=2
    )
    plan.locate_many(np.arange(8))
    plan.steps_of("domain", 0, 1000)


if __name__ == "__main__":
    compile_kernels()
