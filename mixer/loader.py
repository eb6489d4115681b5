"""From a plan and the streams of its sources to arrays for a model, and to the documents behind them.

Everything is computed from the sequence numbers asked for: there is no position to save and none to restore.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mixer.packing import pack
from mixer.plan import MixPlan
from mixer.token_shards import TokenStream


def read_sequences(
    plan: MixPlan, streams: Mapping[str, TokenStream], sequences: np.ndarray
) -> dict[str, np.ndarray]:
    """The given sequences (int64, shape (B,)), packed: `input_ids`, `position_ids`, `shift_labels`, int64 (B, L).

    Beside them, int64 (B,): `source` (its place in `plan.sources`), `epoch`, and `sequence` as asked.
    """
    found = plan.locate_many(sequences)
    length = plan.sequence_length
    tokens = np.empty((len(found.source), length + 1), dtype=np.int64)
    starts = np.zeros(tokens.shape, dtype=np.bool_)
    for row, (source, start) in enumerate(
        zip(found.source.tolist(), found.token_start.tolist(), strict=True)
    ):
        stream = streams[plan.sources[source].name]
        stream.read_into(start, tokens[row])
        starts[row, stream.document_starts(start, start + length + 1) - start] = True
    return pack(tokens, starts) | {
        "source": found.source,
        "epoch": found.epoch,
        "sequence": np.asarray(sequences, np.int64),
    }


@dataclass(frozen=True)
class SeenDocument:
    """Part of a document that a step reads: tokens [token_start, token_stop) of the stream of its source."""

    sequence: int
    source: str
    epoch: int
    doc_id: str
    token_start: int
    token_stop: int


def documents_of_step(plan: MixPlan, streams: Mapping[str, TokenStream], step: int) -> list[SeenDocument]:
    """What step `step` trains on, in the order of its sequences; the inverse of `plan.steps_of`.

    A document counts as seen where its tokens are inputs. The token after the last input is only a target, and none
    when it opens a document.
    """
    seen = []
    for sequence in plan.sequences_of_step(step).tolist():
        where = plan.locate(sequence)
        for doc_id, start, stop in streams[where.source].documents(
            where.token_start, where.token_start + plan.sequence_length
        ):
            seen.append(SeenDocument(sequence, where.source, where.epoch, doc_id, start, stop))
    return seen
