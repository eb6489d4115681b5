"""Shingles by their contract, word for word: what the kernel of `quality.shingles` must agree with."""

from __future__ import annotations

import functools
import unicodedata

import polars as pl


def words(text: str) -> list[str]:
    """`\\w+` of Rust's regex on the NFC text in lower case, which is NFC again."""
    small = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())
    return pl.Series([small]).str.extract_all(r"\w+")[0].to_list()


def windows(text: str, n: int) -> list[tuple[str, ...]]:
    """Every window of n words, in order; of fewer words one of them all, of none none."""
    found = words(text)
    return [tuple(found[i : i + n]) for i in range(max(1, len(found) - n + 1))] if found else []


@functools.cache
def shingles(text: str, n: int = 5) -> frozenset[tuple[str, ...]]:
    return frozenset(windows(text, n))


def is_near(text: str, held: str) -> bool:
    """Near enough to a held-out text to be kept out of training: as docs/curation.md tells it."""
    one, two = shingles(text), shingles(held)
    shared = len(one & two)
    return bool(shared) and (shared / len(one | two) >= 0.5 or shared / min(len(one), len(two)) >= 0.8)
