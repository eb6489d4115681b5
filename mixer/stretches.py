"""Stretches: a text cut before every single space between two visible characters, where no token changes.

Which tokenizers allow it is found out here, not assumed; texts of the others are encoded whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import njit

BATCH_CHARS = 1 << 20

# A single space between two characters that are surely visible; as `_visible` below, for text.
_SEEN = r"[^\s\x00-\x20\x7f-\xa0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f\u3000]"
_SPACE = re.compile(f"(?<={_SEEN})(?= {_SEEN})")


def pieces(text: str) -> Iterator[str]:
    """A long text in pieces of about `BATCH_CHARS`, cut where no token changes."""
    start = 0
    while len(text) - start > BATCH_CHARS and (cut := _SPACE.search(text, start + BATCH_CHARS // 2)):
        yield text[start : cut.start()]
        start = cut.start()
    yield text[start:]


# ── which tokenizers ────────────────────────────────────────────────────────────────────────────────────────────────

_BEFORE = [
    "a", "Zz", "don't", "5", "123", "4567", ".", "...", "x.", "(", "_", "/*", "é", "中文", "का", "धारा३", "।", "“", "😀",
    "\n\nx", "  b", "\ta\n1", "x\u00a0y", "1,000.50",
]  # fmt: skip
_AFTER = [
    "a", "Zz", "'s", "'LL", "5", "123", "4567", ".", "...", ".x", "(b", "_", "//", "é", "中文", "का", "३", "”", "😀",
    "b\n\n", "b  c", "1\t2", "y\u00a0z", "\u0301b",
]  # fmt: skip


def breaks_at_spaces(encoder: Any) -> bool:
    """Whether text may be cut before any single space between two visible characters without changing a token.

    So it is for BPEs that split into words first (GPT-2's way and its descendants). Their pieces are merged one by one,
    so it suffices that a piece always ends there; that is tried for every pair of kinds of characters.
    """
    tree = json.loads(encoder.to_str())
    model, normalizer, splitter = tree["model"], tree.get("normalizer"), tree.get("pre_tokenizer")
    plain = (
        model.get("type") == "BPE"
        and not model.get("dropout")
        and (normalizer is None or normalizer.get("type") == "NFC")
    )
    if not plain or splitter is None or any(_reaches_out(token) for token in tree.get("added_tokens", [])):
        return False
    split = encoder.pre_tokenizer.pre_tokenize_str
    lone = {
        text: [piece for piece, _ in split(text)] for text in (*_BEFORE, *(f" {text}" for text in _AFTER))
    }
    return all(
        [piece for piece, _ in split(f"{left} {right}")] == lone[left] + lone[f" {right}"]
        for left in _BEFORE
        for right in _AFTER
    )


def _reaches_out(token: dict[str, Any]) -> bool:
    """An added token that is looked for in text and may take a space with it; special ones are only text here."""
    return not token["special"] and (
        any(space in token["content"] for space in " ▁")
        or token["lstrip"]
        or token["rstrip"]
        or token["single_word"]
    )


# ── the kernel ──────────────────────────────────────────────────────────────────────────────────────────────────────


@njit(cache=True, nogil=True)
def _visible(data: np.ndarray, at: int) -> bool:
    """Whether the character with a byte at `at` is surely neither white space nor a control character (UTF-8)."""
    first = at
    while first > 0 and at - first < 3 and (data[first] & 0xC0) == 0x80:
        first -= 1
    lead = data[first]
    if lead < 0x80:
        return 0x20 < lead < 0x7F
    if first + 1 >= data.size:
        return False
    second = data[first + 1]
    third = data[first + 2] if first + 2 < data.size else 0
    if lead == 0xC2:
        return second > 0xA0  # U+0080–009F controls, U+00A0
    if lead == 0xE1:
        return second != 0x9A and second != 0xA0  # U+1680, U+180E and their neighbours
    if lead == 0xE2:
        spaces = second == 0x80 and (third <= 0x8F or 0xA8 <= third <= 0xAF)  # U+2000–200F, U+2028–202F
        return not (spaces or second == 0x81)  # U+205F and its neighbours
    return not (lead == 0xE3 and second == 0x80 and third == 0x80)  # U+3000


@njit(cache=True, nogil=True)
def cut_stretches(data: np.ndarray, ends: np.ndarray, cuts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Stretch n is data[cuts[n]:cuts[n + 1]]; text t has the stretches bounds[t] to bounds[t + 1]."""
    bounds = np.zeros(ends.size + 1, dtype=np.int64)
    count = 0
    start = 0
    for text in range(ends.size):
        stop = ends[text]
        if stop > start:
            cuts[count] = start
            count += 1
        for at in range(start + 1, stop - 1):
            if (
                data[at] == 32
                and data[at + 1] != 32
                and data[at - 1] != 32
                and _visible(data, at - 1)
                and _visible(data, at + 1)
            ):
                cuts[count] = at
                count += 1
        bounds[text + 1] = count
        start = stop
    cuts[count] = start
    return cuts[: count + 1], bounds
