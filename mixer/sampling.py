"""Which source comes next, and which of its sequences: both from integers, both without an index file.

Source choice is Tijdeman's rule for the chairman assignment problem (R. Tijdeman, "The chairman assignment problem",
Discrete Mathematics 32, 1980): after any number of sequences every source is within 1 − 1/(2k − 2) sequences of its
share, k the number of sources with a weight. Order inside a source is a keyed Feistel permutation, one per epoch.
Weights, caps and the ledger are the plan's business.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numba import njit

# Weights are whole multiples of 2^-24. All deficits are then zero again after 2^24 sequences, so the choice is periodic:
# any position is found from at most one period's work (about two seconds), however long the plan.
UNITS = 1 << 24
BLOCK = 4096
_KEPT_BLOCKS = 64
_ROUNDS = 8


def to_units(shares: Sequence[float]) -> tuple[int, ...]:
    """Shares as whole multiples of 2^-24 that add up to 1 exactly (largest remainder; ties go to the first).

    >>> to_units([0.5, 0.25, 0.25]) == (UNITS // 2, UNITS // 4, UNITS // 4)
    True
    """
    total = sum(shares)
    if len(shares) == 0 or min(shares) < 0 or not 0 < total < float("inf"):
        raise ValueError(f"shares must be 0 or more and not all 0, got {list(shares)}")
    exact = [share / total * UNITS for share in shares]
    units = [int(value) for value in exact]
    order = sorted(range(len(shares)), key=lambda i: (units[i] - exact[i], i))
    spare = UNITS - sum(units)
    for i in order[:spare]:
        units[i] += 1
    return tuple(units)


# ── source choice ───────────────────────────────────────────────────────────────────────────────────────────────────


@njit(cache=True, nogil=True)
def _choose(units: np.ndarray, deficits: np.ndarray, choices: np.ndarray) -> bool:
    """Fill `choices`; `deficits` (in units: share·t − count) is carried on. False if the rule found nobody.

    Among the sources owed at least 1/(2k − 2), the one whose debt would first exceed 1 − 1/(2k − 2) comes next; ties go
    to the first. Everything is multiplied by 2k − 2, so the arithmetic is whole.
    """
    k = units.size
    scale = max(2 * k - 2, 1)
    limit = UNITS * (scale - 1)
    for step in range(choices.size):
        best = -1
        best_deadline = np.int64(0)
        for i in range(k):
            deficits[i] += units[i]
            owed = scale * deficits[i]
            if owed < UNITS:
                continue
            deadline = np.int64(0) if owed > limit else (limit - owed) // (scale * units[i]) + 1
            if best < 0 or deadline < best_deadline:
                best, best_deadline = i, deadline
        if best < 0:
            return False
        deficits[best] -= UNITS
        choices[step] = best
    return True


class Chairman:
    """The endless sequence of source choices for one set of weights; every answer is a pure function of them.

    `units` are multiples of 2^-24 that add up to 1; a source with 0 units is never chosen. States at block starts are
    found in order, once, and kept (k integers per 4096 choices). Safe to share between threads.
    """

    def __init__(self, units: tuple[int, ...]):
        if sum(units) != UNITS or min(units) < 0:
            raise ValueError(f"units must be 0 or more and add up to {UNITS}, got {units}")
        self.units = units
        self._active = np.flatnonzero(units)
        self._weights = np.array(units, dtype=np.int64)[self._active]
        self._starts = [
            np.zeros(self._active.size, dtype=np.int64)
        ]  # deficits at the start of each block of the period
        self._blocks: OrderedDict[int, tuple[np.ndarray, np.ndarray]] = OrderedDict()
        self._lock = threading.Lock()

    def counts(self, position: int) -> np.ndarray:
        """How often each source stands among the first `position` choices; int64, shape (sources,)."""
        period, within = divmod(position, UNITS)
        block, offset = divmod(within, BLOCK)
        result = period * np.array(self.units, dtype=np.int64) + self._counts_at(block)
        if offset:
            choices, _ = self._block(block)
            result += np.bincount(choices[:offset], minlength=len(self.units))
        return result

    def choose(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each position (int64): the source chosen there, and how often it was chosen before (both int64)."""
        periods, within = np.divmod(np.asarray(positions, dtype=np.int64), UNITS)
        blocks, offsets = np.divmod(within, BLOCK)
        sources = np.empty(periods.shape, dtype=np.int64)
        ordinals = np.empty(periods.shape, dtype=np.int64)
        for block in np.unique(blocks).tolist():
            here = blocks == block if np.ndim(blocks) and blocks.size > 1 else slice(None)
            choices, before = self._block(block)
            sources[here] = choices[offsets[here]]
            ordinals[here] = before[offsets[here]]
        return sources, ordinals + periods * np.array(self.units, dtype=np.int64)[sources]

    def position(self, source: int, ordinal: int) -> int:
        """Where `source` is chosen for the time number `ordinal` (from 0); the inverse of `choose`."""
        units = self.units[source]
        if units == 0 or ordinal < 0:
            raise ValueError(f"source {source} with {units} units is never chosen for the time {ordinal}")
        period, rest = divmod(ordinal, units)
        block = (
            max(0, (rest - 1) * UNITS // units) // BLOCK
        )  # counts stay within one of the share, so it is not earlier
        while self._counts_at(block + 1)[source] <= rest:
            block += 1
        choices, before = self._block(block)
        offset = int(np.flatnonzero((choices == source) & (before == rest))[0])
        return period * UNITS + block * BLOCK + offset

    def _counts_at(self, block: int) -> np.ndarray:
        """Counts at the start of a block of the period, from the deficits: count = (share·t − deficit)."""
        with self._lock:
            start = self._start(block)
        result = np.zeros(len(self.units), dtype=np.int64)
        result[self._active] = (
            self._weights * (block * BLOCK) - start
        ) // UNITS  # exact: the difference is a multiple
        return result

    def _block(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        """(choices, how often each was chosen before) of one block; the latest blocks are kept."""
        with self._lock:
            if block in self._blocks:
                self._blocks.move_to_end(block)
                return self._blocks[block]
            deficits = self._start(block).copy()
            choices = self._run(deficits)
        found = self._active[choices]
        before = np.empty(BLOCK, dtype=np.int64)
        for source, count in enumerate(self._counts_at(block).tolist()):
            mine = np.flatnonzero(found == source)
            before[mine] = count + np.arange(mine.size)
        with self._lock:
            self._blocks[block] = (found, before)
            while len(self._blocks) > _KEPT_BLOCKS:
                self._blocks.popitem(last=False)
        return found, before

    def _start(self, block: int) -> np.ndarray:
        while len(self._starts) <= block:
            deficits = self._starts[-1].copy()
            self._run(deficits)
            self._starts.append(deficits)
        return self._starts[block]

    def _run(self, deficits: np.ndarray) -> np.ndarray:
        choices = np.empty(BLOCK, dtype=np.int64)
        found = _choose(self._weights, deficits, choices)
        assert found, (
            f"no source is owed a sequence for units {self.units}: Tijdeman's theorem says this cannot be"
        )
        return choices


@lru_cache(maxsize=64)
def chairman(units: tuple[int, ...]) -> Chairman:
    """The shared `Chairman` of these weights."""
    return Chairman(units)


# ── order inside a source ───────────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=4096)
def epoch_key(seed: int, source: str, epoch: int) -> tuple[int, ...]:
    """Round keys of a source's order in one epoch; they depend on its name, so other sources come and go freely."""
    digest = hashlib.blake2b(f"{seed}\0{epoch}\0{source}".encode(), digest_size=4 * _ROUNDS).digest()
    return tuple(int.from_bytes(digest[4 * i : 4 * i + 4], "little") for i in range(_ROUNDS))


def permute(indices: np.ndarray, size: int, key: tuple[int, ...]) -> np.ndarray:
    """Where each of `indices` (int64, below `size`) goes under the permutation of range(size) named by `key`; int64."""
    return _feistel(indices, size, key, True)


def unpermute(indices: np.ndarray, size: int, key: tuple[int, ...]) -> np.ndarray:
    """The inverse of `permute`."""
    return _feistel(indices, size, key, False)


def _feistel(indices: np.ndarray, size: int, key: tuple[int, ...], forward: bool) -> np.ndarray:
    values = np.ascontiguousarray(indices, dtype=np.int64)
    if values.size and (values.min() < 0 or values.max() >= size):
        raise ValueError(f"indices must be in [0, {size}), got {values.min()} to {values.max()}")
    return _walk(values.ravel(), size, np.array(key, dtype=np.uint64), forward).reshape(values.shape)


@njit(cache=True, nogil=True)
def _mix(value: np.uint64, key: np.uint64) -> np.uint64:
    """A 64-bit finaliser (two multiply-xorshift steps with odd constants) of one half and its round key."""
    value = (value ^ key) * np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return value ^ (value >> np.uint64(29))


@njit(cache=True, nogil=True)
def _walk(values: np.ndarray, size: int, keys: np.ndarray, forward: bool) -> np.ndarray:
    """Feistel network over the next even power of two, repeated until the value is below `size` (cycle walking)."""
    half = np.uint64(1)
    while (np.uint64(1) << (np.uint64(2) * half)) < np.uint64(size):
        half += np.uint64(1)
    mask = (np.uint64(1) << half) - np.uint64(1)
    result = np.empty_like(values)
    for n in range(values.size):
        value = np.uint64(values[n])
        while True:
            left, right = value >> half, value & mask
            for r in range(keys.size):
                if forward:
                    left, right = right, left ^ (_mix(right, keys[r]) & mask)
                else:
                    left, right = right ^ (_mix(left, keys[keys.size - 1 - r]) & mask), left
            value = (left << half) | right
            if value < np.uint64(size):
                break
        result[n] = np.int64(value)
    return result
