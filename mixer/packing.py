"""Tokens → what a model is given: inputs, positions that start again in every document, targets.

There is no attention mask on purpose: transformers models see packed documents in the positions, and an all-ones mask
makes them forget it (documents then read each other). Which tokens are read is the plan's business.
"""

from __future__ import annotations

import numpy as np

IGNORED = -100  # the target that the loss of transformers leaves out


def pack(tokens: np.ndarray, starts: np.ndarray) -> dict[str, np.ndarray]:
    """Model inputs of sequences of L + 1 tokens; any number of leading dimensions, all results int64 (…, L).

    `starts` (bool, shape of `tokens`) marks the first token of each document. `input_ids` are the first L tokens.
    `position_ids` count from 0 in each document; a document cut by the sequence's start counts from 0 there.
    `shift_labels` are the last L tokens, already aligned with the inputs (the keyword of transformers' causal loss;
    `labels`, which the models require beside it, would be shifted once more, so give it the same array or leave
    the loss to the trainer). The first token of a document is no target (−100); its EOS is one.

    >>> packed = pack(np.array([5, 0, 7, 8, 0]), np.array([False, False, True, False, False]))
    >>> packed["position_ids"].tolist(), packed["shift_labels"].tolist()
    ([0, 1, 0, 1], [0, -100, 8, 0])
    """
    length = tokens.shape[-1] - 1
    places = np.arange(length, dtype=np.int64)
    opened = np.maximum.accumulate(np.where(starts[..., :-1], places, 0), axis=-1)
    return {
        "input_ids": tokens[..., :-1].astype(np.int64),
        "position_ids": places - opened,
        "shift_labels": np.where(starts[..., 1:], IGNORED, tokens[..., 1:]).astype(np.int64, copy=False),
    }
