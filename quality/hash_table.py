"""Hashes of byte strings and a table to find them again in, inside kernels.

The table is open addressing with linear probing over one uint64 array: slot k is (key, stamp << 32 | name). An entry
counts only under the current stamp, so that starting anew costs nothing, and a small document uses a small part of the
array, which stays in the processor's cache. Keys are 64-bit hashes that stand for their strings: two strings of a
document of a million words meet with a chance below 1e-7.
"""

from __future__ import annotations

import numpy as np

from quality.characters import Array
from quality.kernel import inlined, int64, kernel, uint64

_SEED = uint64(0x9E3779B97F4A7C15)
_PRIME = uint64(0x100000001B3)  # FNV-1a's
_MIX = uint64(0xD6E8FEB86659FD93)
_HALF, _ALL = uint64(32), uint64(0xFFFFFFFFFFFFFFFF)


@inlined
def mix(value: int) -> int:
    """A bijection of uint64 in which every input bit moves every output bit (Degski's mixer)."""
    value = (value ^ (value >> _HALF)) * _MIX
    value = (value ^ (value >> _HALF)) * _MIX
    return value ^ (value >> _HALF)


@kernel
def hash_bytes(data: Array, start: int, stop: int) -> int:
    """Hash of a stretch of bytes, its length included."""
    value = _SEED ^ uint64(stop - start)
    for position in range(start, stop):
        value = (value ^ uint64(data[position])) * _PRIME
    return mix(value)


@inlined
def eight_bytes(blocks: Array, position: int) -> int:
    """The eight bytes from `position` on of a byte array seen as uint64 `blocks`, which must reach one block further."""
    shift = uint64((position & 7) << 3)
    block = position >> 3
    above = (blocks[block + 1] << uint64(1)) << (
        uint64(63) - shift
    )  # in two steps: a shift by 64 is undefined
    return (blocks[block] >> shift) | above


@inlined
def hash_blocks(blocks: Array, start: int, stop: int) -> int:
    """Hash of a stretch of a byte array seen as uint64 `blocks`, eight bytes at a time."""
    value = _SEED ^ uint64(stop - start)
    while stop - start > 8:
        value = mix(value ^ eight_bytes(blocks, start))
        start += 8
    left = uint64((8 - (stop - start)) << 3)
    if stop > start:
        value = mix(value ^ (eight_bytes(blocks, start) & (_ALL >> left)))
    return value


@kernel
def table_size(num_keys: int) -> int:
    """Slots for up to `num_keys` keys: a power of two, at most half full."""
    size = 16
    while size < 2 * num_keys:
        size *= 2
    return size


@kernel
def roomy(slots: Array, num_keys: int) -> Array:
    """The table itself, or an empty larger one if it has no room for `num_keys` keys."""
    wanted = 2 * table_size(num_keys)
    return slots if len(slots) >= wanted else np.zeros(wanted, np.uint64)


@inlined
def name_of(slots: Array, size: int, stamp: int, key: int, fresh: int) -> int:
    """The name that `key` was given under this stamp; a new key is given the name `fresh` (below 2³²).

    With a name that no earlier key has, the result differs from `fresh` exactly when the key was seen before.
    """
    tag = uint64(stamp) << _HALF
    slot = int64(mix(key) & uint64(size - 1))
    while True:
        entry = slots[2 * slot + 1]
        if (entry >> _HALF) << _HALF != tag:
            slots[2 * slot] = key
            slots[2 * slot + 1] = tag | uint64(fresh)
            return fresh
        if slots[2 * slot] == key:
            return int64(entry & uint64(0xFFFFFFFF))
        slot = (slot + 1) & (size - 1)
