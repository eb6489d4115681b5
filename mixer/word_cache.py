"""Encode the stretches between spaces once: a text is mostly words that were seen before.

[Indian Acts: 2.0 M stretches, 5 % of them different; splitting and merging them one by one is what an encoder does all
day.] Only for tokenizers that `breaks_at_spaces`. Nothing here changes a token: what is not known is encoded by the
tokenizer itself, and lookups compare the bytes.
"""

from __future__ import annotations

import os
import threading
from itertools import pairwise
from typing import Any

import numpy as np
from numba import njit

from mixer.stretches import cut_stretches

_SLOTS = 1 << 21  # a batch has at most `BATCH_CHARS` / 2 stretches, so the table never fills within one
_MAX_WORDS = 400_000
_MAX_BYTES = 16 << 20
_ENCODE_AT_ONCE = 4096


class WordCache:
    """What stretches of text encode to, for one encoder; forgotten and begun again when it has grown large."""

    def __init__(self, encoder: Any, dtype: np.dtype[Any]):
        self._encoder = encoder
        self._dtype = dtype
        # Slots depend on a number nobody can know, so no text can be made to fill one neighbourhood of them.
        self._seed = np.uint64(int.from_bytes(os.urandom(8), "little"))
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._table = np.full(_SLOTS, -1, dtype=np.int32)
        self._words = _Pool(np.dtype(np.uint8))
        self._ids = _Pool(self._dtype)

    def counts(self, texts: list[str]) -> list[int]:
        """The number of tokens of each text; together `BATCH_CHARS`, or one piece of `pieces`."""
        with self._lock:
            entries, bounds = self._entries(texts)
            sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(self._ids.lengths()[entries])])
        return (sums[bounds[1:]] - sums[bounds[:-1]]).tolist()

    def ids(self, texts: list[str]) -> list[np.ndarray]:
        """The tokens of each text; together `BATCH_CHARS`, or one piece of `pieces`."""
        with self._lock:
            entries, bounds = self._entries(texts)
            return [self._ids.gather(entries[start:stop]) for start, stop in pairwise(bounds.tolist())]

    def _entries(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """The entry of every stretch, in order, and where each text's stretches begin and end among them."""
        if len(self._words) > _MAX_WORDS or self._words.size > _MAX_BYTES:
            self._forget()
        encoded = [text.encode("utf-8") for text in texts]
        raw = b"".join(encoded)
        data = np.frombuffer(raw, dtype=np.uint8)
        ends = np.cumsum([len(part) for part in encoded], dtype=np.int64)
        cuts, bounds = cut_stretches(data, ends, np.empty(raw.count(b" ") + len(texts) + 1, np.int64))
        entries = _find(data, cuts, self._seed, self._table, *self._words.arrays())
        if (missing := np.flatnonzero(entries < 0)).size:
            spans = zip(cuts[missing].tolist(), cuts[missing + 1].tolist(), strict=True)
            self._learn(list(dict.fromkeys(raw[start:stop] for start, stop in spans)))
            entries = _find(data, cuts, self._seed, self._table, *self._words.arrays())
        return entries, bounds

    def _learn(self, words: list[bytes]) -> None:
        """Encode stretches that are not known, and keep them."""
        first = len(self._words)
        for at in range(0, len(words), _ENCODE_AT_ONCE):
            texts = [word.decode("utf-8") for word in words[at : at + _ENCODE_AT_ONCE]]
            encodings = self._encoder.encode_batch_fast(texts, add_special_tokens=False)
            self._ids.extend([np.array(encoding.ids, dtype=self._dtype) for encoding in encodings])
        self._words.extend([np.frombuffer(word, dtype=np.uint8) for word in words])
        _insert(first, self._seed, self._table, *self._words.arrays())


class _Pool:
    """Arrays of different lengths, one after another."""

    def __init__(self, dtype: np.dtype[Any]):
        self._values = np.empty(1 << 16, dtype=dtype)
        self._bounds = np.zeros(1 << 12, dtype=np.int64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        return int(self._bounds[self._count])

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """All values, and the bounds of each array among them."""
        return self._values, self._bounds[: self._count + 1]

    def lengths(self) -> np.ndarray:
        return np.diff(self._bounds[: self._count + 1])

    def gather(self, entries: np.ndarray) -> np.ndarray:
        return _gather(entries, *self.arrays())

    def extend(self, arrays: list[np.ndarray]) -> None:
        joined = np.concatenate(arrays)
        ends = self.size + np.cumsum([array.size for array in arrays], dtype=np.int64)
        self._values = _grown(self._values, self.size, joined)
        self._bounds = _grown(self._bounds, self._count + 1, ends)
        self._count += len(arrays)


def _grown(array: np.ndarray, used: int, more: np.ndarray) -> np.ndarray:
    if used + more.size > array.size:
        larger = np.empty(2 * (used + more.size), dtype=array.dtype)
        larger[:used] = array[:used]
        array = larger
    array[used : used + more.size] = more
    return array


# ── kernels ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@njit(cache=True, nogil=True)
def _slot(
    data: np.ndarray,
    start: int,
    stop: int,
    seed: np.uint64,
    table: np.ndarray,
    words: np.ndarray,
    bounds: np.ndarray,
) -> np.int64:
    """The slot that holds these bytes, or the free one where they belong."""
    state = seed
    for at in range(start, stop):
        state = (state ^ np.uint64(data[at])) * np.uint64(0x9E3779B97F4A7C15)
        state ^= state >> np.uint64(29)
    slot = np.int64(state & np.uint64(table.size - 1))
    while table[slot] >= 0:
        first = bounds[table[slot]]
        if bounds[table[slot] + 1] - first == stop - start:
            same = True
            for offset in range(stop - start):
                if words[first + offset] != data[start + offset]:
                    same = False
                    break
            if same:
                return slot
        slot = (slot + 1) & (table.size - 1)
    return slot


@njit(cache=True, nogil=True)
def _find(
    data: np.ndarray,
    cuts: np.ndarray,
    seed: np.uint64,
    table: np.ndarray,
    words: np.ndarray,
    bounds: np.ndarray,
) -> np.ndarray:
    """The entry of each stretch, −1 where it is not known."""
    entries = np.empty(cuts.size - 1, dtype=np.int32)
    for n in range(cuts.size - 1):
        entries[n] = table[_slot(data, cuts[n], cuts[n + 1], seed, table, words, bounds)]
    return entries


@njit(cache=True, nogil=True)
def _insert(first: int, seed: np.uint64, table: np.ndarray, words: np.ndarray, bounds: np.ndarray) -> None:
    for entry in range(first, bounds.size - 1):
        table[_slot(words, bounds[entry], bounds[entry + 1], seed, table, words, bounds)] = entry


@njit(cache=True, nogil=True)
def _gather(entries: np.ndarray, values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    size = 0
    for entry in entries:
        size += bounds[entry + 1] - bounds[entry]
    out = np.empty(size, dtype=values.dtype)
    at = 0
    for entry in entries:
        for place in range(bounds[entry], bounds[entry + 1]):
            out[at] = values[place]
            at += 1
    return out
