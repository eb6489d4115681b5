"""Edits of a kept document: lines cut and personal data masked, as spans over its unedited text. Cut beats mask.

The text itself is never rewritten in the lake: an edit is applied where text leaves it (tokens, the held-out set, export).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Replacement = tuple[int, int, bytes]  # a span, and what stands there instead


def edit_text(
    text: str, cuts: Iterable[Mapping[str, Any]], pii: Iterable[Mapping[str, Any]], actions: Mapping[str, str]
) -> str:
    """`text` without its cut spans and with the PII types whose action is `mask` replaced by typed placeholders.

    Spans are half-open UTF-8 byte offsets into `text`, sorted and disjoint within each of the two lists.

    >>> edit_text("write to a@b.org", [], [{"start": 9, "end": 16, "type": "email"}], {"email": "mask"})
    'write to <EMAIL>'
    """
    removed = _removed(cuts)
    masked = [
        (start, end, b"<%s>" % span["type"].upper().encode())
        for span, pieces in _left(pii, actions, removed)
        for start, end in pieces
    ]
    if not removed and not masked:
        return text
    source, pieces, at = text.encode(), [], 0
    for start, end, replacement in sorted(removed + masked):
        pieces += [source[at:start], replacement]
        at = end
    return b"".join([*pieces, source[at:]]).decode()


def num_masked(
    cuts: Iterable[Mapping[str, Any]], pii: Iterable[Mapping[str, Any]], actions: Mapping[str, str]
) -> int:
    """Of how many spans `edit_text` puts a placeholder in the text: those to mask that are not cut altogether."""
    return sum(next(pieces, None) is not None for _, pieces in _left(pii, actions, _removed(cuts)))


def _removed(cuts: Iterable[Mapping[str, Any]]) -> list[Replacement]:
    return [(cut["start"], cut["end"], b"") for cut in cuts]


def _left(
    pii: Iterable[Mapping[str, Any]], actions: Mapping[str, str], removed: Sequence[Replacement]
) -> Iterator[tuple[Mapping[str, Any], Iterator[tuple[int, int]]]]:
    """Each span to mask, and the pieces of it that the cuts leave."""
    ends = [end for _, end, _ in removed]
    for span in pii:
        if actions.get(span["type"]) == "mask":
            first = bisect_right(ends, span["start"])
            yield span, _outside(span["start"], span["end"], removed, first)


def _outside(start: int, end: int, removed: Sequence[Replacement], first: int) -> Iterator[tuple[int, int]]:
    """What is left of a span beside the cuts, from the first that ends in it or behind it: half a telephone number is still one's own."""
    for i in range(first, len(removed)):
        cut_start, cut_end, _ = removed[i]
        if end <= cut_start:
            break
        if start < cut_start:
            yield start, cut_start
        start = cut_end
    if start < end:
        yield start, end
