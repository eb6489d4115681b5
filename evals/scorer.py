"""Scores: one row per item and metric from a checkpoint's token likelihoods, in the schema of the `scores` dataset.

Bits per byte of documents and multiple choice by the likelihood of each choice. Token scores and their windowing come from
`quality.language_model`; what rows say about a checkpoint is said in `evals.scorecard` and after. Generation is not covered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus.errors import ConfigError, NotFinite
from corpus.schema import DATASETS
from evals.items import Item, TaskItems
from quality.language_model import LanguageModel, Progress, score_continuations, score_tokens

SCORER_VERSION = 1  # bumped by hand when the same model and items give other scores
DOCUMENT_COLUMNS = ("doc_id", "source", "role", "text", "cluster")

Row = dict[str, Any]
Warn = Callable[[str], None]


class Tokenizer(Protocol):
    """What scoring needs of a tokenizer: ids without special tokens, and what stands before a document."""

    @property
    def bos_id(self) -> int | None: ...

    @property
    def eos_id(self) -> int: ...

    def encode_batch(self, texts: list[str], /) -> Sequence[Any]: ...


def prefix_of(tokenizer: Tokenizer) -> tuple[str, int]:
    """What the first token of a text is conditioned on: (`bos`, its id) where there is one, else (`eos`, its id).

    The first token of a document must be predicted from something. Models see BOS there in training, or the EOS of the
    document before; taking one for the other changed a perplexity from 39 to 17 million.
    """
    return ("eos", tokenizer.eos_id) if tokenizer.bos_id is None else ("bos", tokenizer.bos_id)


def score_bits_per_byte(
    model: LanguageModel,
    tokenizer: Tokenizer,
    documents: pa.Table,
    *,
    window: int,
    stride: int | None = None,
    task: str = "holdout",
    progress: Progress | None = None,
) -> pa.Table:
    """One `bits_per_byte` row per document: nll in nats over all its tokens, bytes of its UTF-8 text, value = nll/(ln 2 · bytes).

    `documents` has doc_id, source, role, text and cluster, as the `held_out` dataset does. EOS is not scored. Raises
    NotFinite when the model's likelihoods are not numbers.
    """
    if missing := set(DOCUMENT_COLUMNS) - set(documents.column_names):
        raise ConfigError(
            f"documents to score lack {sorted(missing)}; they need {', '.join(DOCUMENT_COLUMNS)}"
        )
    columns = {name: documents.column(name).to_pylist() for name in DOCUMENT_COLUMNS}
    texts = [text or "" for text in columns["text"]]  # an erased document has no text left
    ids = _encode(tokenizer, texts)
    scores = score_tokens(model, ids, window, stride, prefix_id=prefix_of(tokenizer)[1], progress=progress)
    rows = []
    for index, text in enumerate(texts):
        nll, num_bytes = _sum(scores[index], task, columns["doc_id"][index]), len(text.encode())
        rows.append(
            _row(
                task=task,
                item=columns["doc_id"][index],
                cluster=columns["cluster"][index] or columns["doc_id"][index],
                source=columns["source"][index],
                role=columns["role"][index],
                metric="bits_per_byte",
                value=nll / (math.log(2) * num_bytes) if num_bytes else None,
                nll=nll,
                bytes=num_bytes,
                tokens=len(ids[index]),
            )
        )
    return pa.Table.from_pylist(rows, schema=DATASETS["scores"])


def score_multiple_choice(
    model: LanguageModel,
    tokenizer: Tokenizer,
    items: TaskItems,
    *,
    window: int,
    progress: Progress | None = None,
    warn: Warn | None = None,
) -> pa.Table:
    """Three rows per item: `acc` (likeliest choice), `acc_norm` (likeliest per byte) and `gold_nll` (nats of the right choice).

    A tie goes to the first choice. Each row carries nll, bytes and tokens of the right choice as it is scored. A prompt
    longer than the window loses its beginning; `warn` is told how many did.
    """
    encoded = _encode_items(tokenizer, items)
    if warn is not None and (
        cut := sum(len(context) + max(map(len, choices)) > window for context, choices in encoded)
    ):
        warn(
            f"{items.name}: {cut:,} of {len(encoded):,} prompts are longer than the window of {window:,} tokens and lose their beginning"
        )
    contexts, choices = [context for context, _ in encoded], [choices for _, choices in encoded]
    scores = score_continuations(
        model, contexts, choices, window, prefix_id=prefix_of(tokenizer)[1], progress=progress
    )
    rows = [
        row
        for item, found in zip(items.items, scores, strict=True)
        for row in _choice_rows(items, item, found)
    ]
    return pa.Table.from_pylist(rows, schema=DATASETS["scores"])


def choice_tokens(context: NDArray[np.int64], wholes: Sequence[NDArray[np.int64]]) -> int:
    """Where the scored tokens of every choice begin, given the tokens of the context and of context + choice.

    A tokenizer may join the end of the context with the beginning of a choice. So the two are encoded together, and what
    is scored begins at the first token that differs from the context's own. All choices of an item begin at the same
    token, the earliest such, or their likelihoods would cover different text. At least one token is always scored.

    >>> choice_tokens(np.array([5, 6]), [np.array([5, 6, 7]), np.array([5, 9])])
    1
    """
    start = len(context)
    for whole in wholes:
        shared = min(len(context), len(whole))
        differs = np.flatnonzero(context[:shared] != whole[:shared])
        start = min(start, int(differs[0]) if len(differs) else shared, len(whole) - 1)
    return max(0, start)


def _encode_items(
    tokenizer: Tokenizer, items: TaskItems
) -> list[tuple[NDArray[np.int64], list[NDArray[np.int64]]]]:
    """Per item: the tokens every choice shares, and the tokens that are scored for each choice."""
    texts, counts = [], []
    for item in items.items:
        context = items.context_of(item)
        texts += [context, *(context + choice for choice in items.continuations_of(item))]
        counts.append(len(item.choices))
    ids = _encode(tokenizer, texts)
    found, position = [], 0
    for count in counts:
        context_ids, wholes = ids[position], ids[position + 1 : position + 1 + count]
        start = choice_tokens(context_ids, wholes)
        found.append((context_ids[:start], [whole[start:] for whole in wholes]))
        position += 1 + count
    return found


def _choice_rows(items: TaskItems, item: Item, scores: Sequence[NDArray[np.float32]]) -> list[Row]:
    nll = np.array([_sum(score, items.name, item.item) for score in scores])
    num_bytes = np.array([len(text.encode()) for text in items.continuations_of(item)])
    likeliest, per_byte = int(np.argmin(nll)), int(np.argmin(nll / num_bytes))
    gold = {
        "nll": float(nll[item.answer]),
        "bytes": int(num_bytes[item.answer]),
        "tokens": len(scores[item.answer]),
    }
    shared = {
        "task": items.name,
        "item": item.item,
        "cluster": item.cluster,
        "source": item.source,
        "role": items.config.role,
    }
    return [
        _row(**shared, **gold, metric=metric, value=value, prediction=str(chosen), target=str(item.answer))
        for metric, value, chosen in (
            ("acc", float(likeliest == item.answer), likeliest),
            ("acc_norm", float(per_byte == item.answer), per_byte),
            ("gold_nll", gold["nll"], likeliest),
        )
    ]


def _row(**cells: Any) -> Row:
    return {"scorecard_id": None, "prediction": None, "target": None} | cells


def _encode(tokenizer: Tokenizer, texts: list[str]) -> list[NDArray[np.int64]]:
    ids = [np.asarray(one, dtype=np.int64) for one in tokenizer.encode_batch(texts)]
    special = {tokenizer.bos_id, tokenizer.eos_id} - {None}
    if ids and all(len(one) and int(one[0]) in special for one in ids):
        raise ConfigError(
            "the tokenizer puts a special token before every text; scoring adds its own, and would score it as text. "
            "Encode without special tokens."
        )
    return ids


def _sum(scores: NDArray[np.float32], task: str, item: str) -> float:
    total = float(scores.sum(dtype=np.float64))
    if not math.isfinite(total):
        raise NotFinite(
            f"task {task}, item {item}: the model's likelihood is {total}, not a number; the checkpoint is broken"
        )
    return total
