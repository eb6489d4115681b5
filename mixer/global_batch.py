"""How many sequences an optimizer step takes, and whether a set of processes can share them.

The number depends on the recipe alone, never on the machine: another world size divides the same step differently.
"""

from __future__ import annotations

import math

from corpus.errors import ConfigError


def global_batch(global_batch_tokens: int, sequence_length: int) -> int:
    """Sequences per step: the nearest multiple of 64, or below 64 the nearest power of two; whatever the world size.

    >>> global_batch(1_000_000, 4096), global_batch(10_000, 512), global_batch(100, 512)
    (256, 16, 1)
    """
    exact = global_batch_tokens / sequence_length
    if exact >= 64:
        return 64 * max(1, math.floor(exact / 64 + 0.5))
    return min((2**power for power in range(7)), key=lambda size: (abs(size - exact), size))


def whole_steps(tokens: int, global_batch_tokens: int, sequence_length: int) -> int:
    """The steps of a run of so many tokens: the nearest whole number, at least one.

    >>> whole_steps(2_000_000, 10_000, 512), whole_steps(1, 10_000, 512)
    (244, 1)
    """
    return max(1, round(tokens / (global_batch(global_batch_tokens, sequence_length) * sequence_length)))


def check_division(sequences: int, world: int, micro: int) -> None:
    """ConfigError, naming values that fit, unless a step divides into whole micro-batches of all processes."""
    if world >= 1 and micro >= 1 and sequences % (world * micro) == 0:
        return
    worlds = [n for n in range(1, min(sequences, 64) + 1) if sequences % n == 0]
    micros = [n for n in range(1, min(sequences, 64) + 1) if world >= 1 and sequences % (world * n) == 0]
    fits = (
        f"micro-batches that fit {world} processes: {micros}"
        if micros
        else f"numbers of processes that fit: {worlds}"
    )
    raise ConfigError(
        f"a step of {sequences} sequences cannot be divided by {world} processes × micro-batch {micro}; {fits}"
    )
