"""Token shards: documents as token ids in Megatron's `.bin`/`.idx`, and the stream that a source's shards make.

A document is [BOS, if the tokenizer has one] tokens EOS, and one sequence of the index. What a training sequence is
(a fixed window of the stream) is stated here; packing it for a model and choosing its order are not.
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from corpus.errors import LakeError
from corpus.part import read_part, staging_path
from mixer.megatron import Index, read_index, write_index
from mixer.tokenizer import Tokenizer

_BATCH_DOCUMENTS = 4096
_BATCH_CHARS = 4 << 20
_MAX_DOCUMENT = 2**31 - 1  # the index holds lengths as int32
_TABLE = pa.schema([("doc_id", pa.string()), ("token_start", pa.int64()), ("num_tokens", pa.int64())])


def num_sequences(num_tokens: int, sequence_length: int) -> int:
    """How many training sequences a stream holds: sequence i is the tokens [i·L, i·L + L + 1).

    >>> num_sequences(8, 4), num_sequences(9, 4)
    (1, 2)
    """
    return max(0, (num_tokens - 1) // sequence_length)


def unused_tokens(num_tokens: int, sequence_length: int) -> int:
    """The tail of a stream that no sequence reads; shorter than L + 1."""
    sequences = num_sequences(num_tokens, sequence_length)
    return num_tokens - (sequences * sequence_length + 1) if sequences else num_tokens


@dataclass(frozen=True)
class Shard:
    """One open `.bin`/`.idx`. `documents` is the Parquet (or its table) with the `doc_id` of each document in order."""

    prefix: Path
    documents: Path | pa.Table | None = field(default=None, repr=False, compare=False)

    @cached_property
    def index(self) -> Index:
        return read_index(self.prefix.with_name(self.prefix.name + ".idx"))

    @cached_property
    def tokens(self) -> np.ndarray:
        """All tokens, memory-mapped, read-only; uint16 or int32."""
        path = self.prefix.with_name(self.prefix.name + ".bin")
        expected = self.index.num_tokens * self.index.dtype.itemsize
        if not path.is_file() or path.stat().st_size != expected:
            found = f"{path.stat().st_size} bytes" if path.is_file() else "no file"
            raise LakeError(
                f"{path}: {found}, but its index describes {expected} bytes; tokenize this part again"
            )
        return (
            np.memmap(path, dtype=self.index.dtype, mode="r") if expected else np.empty(0, self.index.dtype)
        )

    @property
    def num_tokens(self) -> int:
        return self.index.num_tokens

    @property
    def num_documents(self) -> int:
        return len(self.index.lengths)

    @cached_property
    def doc_ids(self) -> pa.ChunkedArray:
        if self.documents is None:
            raise LakeError(
                f"shard {self.prefix.name} was opened without its documents table, so its tokens have no doc_id"
            )
        table = (
            self.documents if isinstance(self.documents, pa.Table) else read_part(self.documents, ["doc_id"])
        )
        if table.num_rows != self.num_documents:
            raise LakeError(
                f"shard {self.prefix.name} holds {self.num_documents} documents, its table {table.num_rows}"
            )
        return table.column("doc_id")

    @property
    def table(self) -> pa.Table:
        """Per document, in order: doc_id, token_start (in the shard), num_tokens (BOS and EOS included)."""
        starts = np.asarray(self.index.pointers) // self.index.dtype.itemsize
        columns = [self.doc_ids, pa.array(starts, pa.int64()), pa.array(self.index.lengths.astype(np.int64))]
        return pa.table(columns, schema=_TABLE)

    def first_document(self, token: int) -> int:
        """The ordinal of the first document that ends after `token`; O(log n) pages touched."""
        return bisect_right(self.index.pointers, token * self.index.dtype.itemsize) - 1

    def document_starts(self, start: int, stop: int) -> np.ndarray:
        """Where documents begin, of the tokens [start, stop) of this shard; int64, ascending."""
        pointers, size = self.index.pointers, self.index.dtype.itemsize
        return pointers[bisect_left(pointers, start * size) : bisect_left(pointers, stop * size)] // size

    def __reduce__(self) -> tuple[Any, ...]:
        return Shard, (
            self.prefix,
            self.documents,
        )  # the maps are opened anew, never copied to another process


def open_shard(prefix: Path, documents: Path | pa.Table | None = None) -> Shard:
    """Map the shard at `prefix` (path without `.bin`/`.idx`); LakeError when a file is missing or does not fit.

    `documents` is needed only by what asks for doc_ids.
    """
    shard = Shard(Path(prefix), documents)
    assert shard.tokens.size == shard.num_tokens
    return shard


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_shard(path_prefix: Path, documents: Iterable[tuple[str, str]], tokenizer: Tokenizer) -> Shard:
    """Stream `(doc_id, text)` into `<prefix>.bin` and `<prefix>.idx`, in the given order; memory is one batch of text.

    Both files appear under their names only when whole, the index last. The returned shard has the `table` of
    documents. A document without text is [BOS] EOS, so that documents and rows stay one to one.
    """
    prefix = Path(path_prefix)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    staged = {ending: staging_path(prefix.with_name(f"{prefix.name}.{ending}")) for ending in ("bin", "idx")}
    try:
        doc_ids, lengths = _write_tokens(staged["bin"], documents, tokenizer)
        with staged["idx"].open("wb") as file:
            write_index(file, np.array(lengths, dtype=np.int64), tokenizer.dtype)
            _sync(file)
        for ending, path in staged.items():
            os.replace(path, prefix.with_name(f"{prefix.name}.{ending}"))
    finally:
        for path in staged.values():
            path.unlink(missing_ok=True)
    return open_shard(prefix, pa.table({"doc_id": pa.array(doc_ids, pa.string())}))


def _write_tokens(
    path: Path, documents: Iterable[tuple[str, str]], tokenizer: Tokenizer
) -> tuple[list[str], list[int]]:
    doc_ids: list[str] = []
    lengths: list[int] = []
    opening = np.array([] if tokenizer.bos_id is None else [tokenizer.bos_id], dtype=tokenizer.dtype)
    closing = np.array([tokenizer.eos_id], dtype=tokenizer.dtype)
    with path.open("wb") as file:
        for batch in _batches(documents):
            for (doc_id, _), ids in zip(
                batch, tokenizer.encode_batch([text for _, text in batch]), strict=True
            ):
                whole = np.concatenate([opening, ids, closing])
                if whole.size > _MAX_DOCUMENT:
                    raise LakeError(
                        f"document {doc_id} has {whole.size} tokens; the index holds at most {_MAX_DOCUMENT}"
                    )
                file.write(whole.tobytes())
                doc_ids.append(doc_id)
                lengths.append(whole.size)
        _sync(file)
    return doc_ids, lengths


def _batches(documents: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    batch: list[tuple[str, str]] = []
    size = 0
    for doc_id, text in documents:
        batch.append((doc_id, text))
        size += len(text)
        if len(batch) == _BATCH_DOCUMENTS or size >= _BATCH_CHARS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


# ── reading a source ────────────────────────────────────────────────────────────────────────────────────────────────


class TokenStream:
    """The shards of one source, one after another, as a single run of tokens; offsets are in tokens of the whole."""

    def __init__(self, shards: Sequence[Shard]):
        self.shards = tuple(shard for shard in shards if shard.num_tokens)
        self._ends = list(accumulate(shard.num_tokens for shard in self.shards))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def read(self, start: int, stop: int) -> np.ndarray:
        """The tokens [start, stop); a copy, int64."""
        tokens = np.empty(stop - start, dtype=np.int64)
        self.read_into(start, tokens)
        return tokens

    def read_into(self, start: int, out: np.ndarray) -> None:
        """Fill `out` (one dimension) with the tokens from `start` on."""
        for shard, begin, end, at in self._pieces(start, start + out.size):
            out[at : at + end - begin] = shard.tokens[begin:end]

    def document_starts(self, start: int, stop: int) -> np.ndarray:
        """Where documents begin in [start, stop), in stream offsets; int64, ascending."""
        found = [
            shard.document_starts(begin, end) + (start + at - begin)
            for shard, begin, end, at in self._pieces(start, stop)
        ]
        return found[0] if len(found) == 1 else np.concatenate([np.empty(0, np.int64), *found])

    def documents(self, start: int, stop: int) -> list[tuple[str, int, int]]:
        """`(doc_id, start, stop)` of each document that overlaps [start, stop), clipped to it; stream offsets."""
        found = []
        for shard, begin, end, at in self._pieces(start, stop):
            shift = start + at - begin
            size = shard.index.dtype.itemsize
            for ordinal in range(shard.first_document(begin), bisect_left(shard.index.pointers, end * size)):
                first = int(shard.index.pointers[ordinal]) // size
                last = first + int(shard.index.lengths[ordinal])
                found.append(
                    (shard.doc_ids[ordinal].as_py(), max(first, begin) + shift, min(last, end) + shift)
                )
        return found

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[Shard, int, int, int]]:
        """(shard, begin, end inside it, offset from `start`) of each shard that [start, stop) touches."""
        if not 0 <= start <= stop <= len(self):
            raise ValueError(f"tokens [{start}, {stop}) asked of a stream of {len(self)}")
        number = bisect_right(self._ends, start)
        at = 0
        while start + at < stop:
            base = self._ends[number] - self.shards[number].num_tokens
            begin, end = start + at - base, min(stop, self._ends[number]) - base
            yield self.shards[number], begin, end, at
            at += end - begin
            number += 1
