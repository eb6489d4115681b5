"""Word n-grams of documents as 64-bit hashes, from Arrow buffers, without a Python object per word.

Words are `\\w+` as Rust's regex means it (Alphabetic, marks, decimal digits, connectors, joiners: Python's `re` splits
Hindi at its vowel signs) of the text's normal form, NFC in lower case: one text has one set of shingles, however its
characters are written. A document of n or more words has one shingle per window of n words; one of fewer words has a single
shingle, all its words; one without a word has none, since there is nothing to compare.

MinHash signatures, exact Jaccard and the held-out scan share these hashes; what they mean is there, not here.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from corpus.fingerprint import hash_bytes
from quality.characters import UNICODE, Array, as_large_string, text_buffers
from quality.hash_table import eight_bytes
from quality.kernel import kernel
from quality.normal_form import CONTEXTUAL, with_normal_form

SHINGLES_VERSION = 3  # bumped by hand when a shingle's hash changes
_NUM_CODE_POINTS = 0x110000

# MurmurHash3's 64-bit finalizer: every input bit moves every output bit, so words that differ little share nothing.
_MIX_A, _MIX_B = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)
_SEED = np.uint64(0x9E3779B97F4A7C15)
_RADIX = np.uint64(0xD6E8FEB86659FD93)  # odd, so that no word of a window is shifted out of the sum


@functools.cache
def word_table() -> Array:
    """For each code point its lower-case UTF-8 bytes as a little-endian uint32, or 0 where it is no part of a word.

    Asked of polars' regex (Rust's `\\w`) and of `str.lower` once per process, about 0.2 s.
    """
    every = "".join(chr(point) for point in range(_NUM_CODE_POINTS) if not 0xD800 <= point < 0xE000)
    simple = every.replace(CONTEXTUAL[0], "").replace(CONTEXTUAL[1], "")
    lowered = _code_points(simple.lower())
    assert len(lowered) == len(simple), "a character beside İ lowers to more than one"
    is_word = np.zeros(_NUM_CODE_POINTS, bool)
    is_word[_code_points("".join(pl.Series([every]).str.extract_all(r"\w+")[0]))] = True
    table = np.zeros(_NUM_CODE_POINTS, np.uint32)
    table[_code_points(simple)] = np.where(is_word[lowered], _utf8_packed(lowered), 0)
    table[_code_points(CONTEXTUAL)] = _utf8_packed(
        _code_points("iσ")
    )  # never asked for, but no hole in a word
    return table


def _code_points(text: str) -> Array:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


def _utf8_packed(points: Array) -> Array:
    """The UTF-8 bytes of each code point, first byte lowest, in one uint32."""
    p, tail = points.astype(np.uint32), np.uint32(0x80)
    six = [(p >> np.uint32(shift)) & np.uint32(0x3F) | tail for shift in (0, 6, 12)]
    two = (p >> 6 | 0xC0) | six[0] << 8
    three = (p >> 12 | 0xE0) | six[1] << 8 | six[0] << 16
    four = (p >> 18 | 0xF0) | six[2] << 8 | six[1] << 16 | six[0] << 24
    return np.select([p < 0x80, p < 0x800, p < 0x10000], [p, two, three], four).astype(np.uint32)


@functools.cache
def shingles_identity() -> dict[str, object]:
    """What decides a shingle's hash beside n: our version, and the Unicode data of polars' regex and of Python.

    The table's own hash stands for the libraries' versions: a release that changes no character changes no id. What
    composes, no table here says.
    """
    return {"version": SHINGLES_VERSION, "words": hash_bytes(word_table().tobytes()), "unicode": UNICODE}


def raw_shingles(texts: pa.Array, ngram: int) -> tuple[Array, Array]:
    """Every document's shingle hashes in text order, repeats kept: (offsets int64 of n + 1, hashes uint64).

    A null text has no shingles. `texts` is a string or large_string array; slices are read in place.
    """
    assert ngram >= 1, ngram
    data, offsets = text_buffers(with_normal_form(as_large_string(texts)))
    lengths = np.diff(offsets)
    longest = int(lengths.max(initial=0))
    folded = np.empty(longest + longest // 2 + 32, np.uint8)  # lower case may lengthen: Ⱥ (2 bytes) to ⱥ (3)
    folded = folded[: len(folded) // 8 * 8]
    bounds = np.empty(len(folded) + 2, np.int32)
    starts = np.zeros(len(offsets), np.int64)
    hashes = np.empty(int(np.sum((lengths + 1) // 2)), np.uint64)  # at most one word every two bytes
    total = _shingle_documents(
        data, offsets, word_table(), ngram, folded, folded.view(np.uint64), bounds, starts, hashes
    )
    return starts, hashes[:total]


def shingle_hashes(texts: pa.Array, ngram: int) -> tuple[Array, Array]:
    """Every document's shingle set: (offsets int64 of n + 1, hashes uint64, sorted and unique)."""
    return sorted_unique(*raw_shingles(texts, ngram))


def sorted_unique(starts: Array, hashes: Array) -> tuple[Array, Array]:
    """Each document's hashes sorted, without repeats; `hashes` is overwritten."""
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        hashes[start:stop].sort()  # numpy sorts by SIMD, ten times faster than a compiled loop
    kept = np.zeros(len(starts), np.int64)
    return kept, hashes[: _drop_repeats(starts, hashes, kept)]


# ── kernels ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@kernel
def _fold(data: Array, start: int, stop: int, table: Array, folded: Array) -> int:
    """Write the document's words in lower case with a 0 for every other character; returns the bytes written.

    Bytes that are not UTF-8 read as no word, and no byte beyond `stop` is read.
    """
    i = start
    j: Any = 0
    while i < stop:
        byte = np.uint32(data[i])
        if byte < 0x80:
            folded[j] = table[byte]
            i += 1
            j += 1
            continue
        size = 2 if byte < 0xE0 else (3 if byte < 0xF0 else 4)
        if i + size > stop:
            break
        point = byte & np.uint32(0x7F >> size)
        for k in range(1, size):
            point = (point << np.uint32(6)) | np.uint32(data[i + k] & 0x3F)
        i += size
        packed = table[point] if point < _NUM_CODE_POINTS else np.uint32(0)
        folded[j] = packed
        folded[j + 1] = packed >> np.uint32(8)
        folded[j + 2] = packed >> np.uint32(16)
        folded[j + 3] = packed >> np.uint32(24)
        j += 1 + (packed > 0xFF) + (packed > 0xFFFF) + (packed > 0xFFFFFF)
    return j


@kernel
def _bound_words(folded: Array, size: int, bounds: Array) -> int:
    """Start and end of each word, in turn; returns the number of words. Without a branch: words end unpredictably."""
    count: Any = 0
    inside = False
    for j in range(size + 1):
        now = folded[j] != 0
        bounds[count] = j
        count += now != inside
        inside = now
    return count // 2


@kernel
def mix64(value: Any) -> Any:
    """MurmurHash3's finalizer, a bijection of uint64."""
    value = (value ^ (value >> _SHIFT)) * _MIX_A
    value = (value ^ (value >> _SHIFT)) * _MIX_B
    return value ^ (value >> _SHIFT)


@kernel
def _hash_word(blocks: Array, start: int, stop: int) -> Any:
    """Hash of a word's bytes, eight at a time; `blocks` is the folded text as uint64, read at any byte."""
    value: Any = _SEED
    while True:
        eight = eight_bytes(blocks, start)
        left = stop - start
        if left <= 8:
            return mix64(value ^ (eight & (np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64((8 - left) << 3))))
        value = mix64(value ^ eight)
        start += 8


@kernel
def _shingle_documents(
    data: Array,
    offsets: Array,
    table: Array,
    ngram: int,
    folded: Array,
    blocks: Array,
    bounds: Array,
    starts: Array,
    hashes: Array,
) -> int:
    """Fill `starts` and `hashes`; a window's hash is the sum of its words' hashes times powers of the radix, rolled on."""
    leaving = np.uint64(1)
    for _ in range(ngram):
        leaving *= _RADIX
    recent = np.zeros(ngram, np.uint64)
    total = 0
    for d in range(len(offsets) - 1):
        size = _fold(data, offsets[d], offsets[d + 1], table, folded)
        folded[size] = 0
        num_words = _bound_words(folded, size, bounds)
        rolled, slot = np.uint64(0), 0
        recent[:] = np.uint64(0)
        for w in range(num_words):
            word = _hash_word(blocks, bounds[2 * w], bounds[2 * w + 1])
            rolled = rolled * _RADIX + word - leaving * recent[slot]
            recent[slot] = word
            slot = slot + 1 if slot + 1 < ngram else 0
            hashes[total] = rolled
            total += (w + 1 >= ngram) | (w + 1 == num_words)
        starts[d + 1] = total
    return total


@kernel
def _drop_repeats(starts: Array, hashes: Array, kept: Array) -> int:
    """Close up each document's sorted hashes in place; fills `kept` (offsets) and returns the number left."""
    total = 0
    for d in range(len(starts) - 1):
        for i in range(starts[d], starts[d + 1]):
            if i == starts[d] or hashes[i] != hashes[i - 1]:
                hashes[total] = hashes[i]
                total += 1
        kept[d + 1] = total
    return total
