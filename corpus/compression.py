"""Stored bytes → the bytes inside: gzip and Zstandard, in bounded blocks, up to the point where a file is damaged.

The decompressors are zlib's and zstandard's; what is here is the loop around them, because their file objects lose what
they had already decoded when a stream ends early (gzip), or do not say that it ended early (zstandard).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import zstandard

SUFFIXES = (".gz", ".zst", ".zstd")
# What one slice may become: deflate expands at most 1032 times (2 MiB here), a zstd block of 4 bytes to 128 KiB (8 MiB).
_SLICE = {"gzip": 2 << 10, "zstd": 256}


class Damaged(Exception):
    """A stream broke; `reason` is the reject's. Everything before the damage has been handed out."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def compression_of(head: bytes) -> str | None:
    """How a file is compressed, by its first bytes alone: what a name says of it is often wrong, and changes with a rename.

    >>> compression_of(b"{}"), compression_of(bytes([31, 139, 8, 0]))
    (None, 'gzip')
    """
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    # a frame, or one of the sixteen kinds of frame to be skipped, which pzstd and seekable files have
    frame = head.startswith(b"\x28\xb5\x2f\xfd") or (head[1:4] == b"\x2a\x4d\x18" and head[0] >> 4 == 5)
    return "zstd" if frame else None


def inflate(blocks: Iterator[bytes], kind: str) -> Iterator[bytes]:
    """The decompressed content of `blocks`, frame after frame; raises `Damaged` where it breaks.

    A stream that breaks in a slice is decoded again from the slice's start in single bytes, so that nothing that can be
    decoded is lost (zlib; zstandard decodes whole blocks of up to 128 KiB, so there the broken block is lost).
    """
    decoder: Any = None
    for block in blocks:
        rest = memoryview(block)
        while rest:
            if decoder is None:
                rest = _without_padding(rest) if kind == "gzip" else rest
                if not rest:
                    break
                decoder = _DECODERS[kind]()
            piece = bytes(rest[: _SLICE[kind]])
            yield from _decode(decoder, piece)
            used = len(piece) - len(decoder.unused_data)
            rest = rest[used:]
            decoder = None if decoder.eof else decoder
    if decoder is not None:
        raise Damaged("truncated_file")


def _decode(decoder: Any, piece: bytes) -> Iterator[bytes]:
    before = decoder.copy() if hasattr(decoder, "copy") else None
    try:
        if data := decoder.decompress(piece):
            yield data
    except (zlib.error, zstandard.ZstdError) as error:
        if before is not None:
            yield from _salvage(before, piece)
        raise Damaged("corrupt_file") from error


def _salvage(decoder: Any, piece: bytes) -> Iterator[bytes]:
    found = bytearray()
    try:
        for i in range(len(piece)):
            found += decoder.decompress(piece[i : i + 1])
    except zlib.error:
        pass
    if found:
        yield bytes(found)


def _without_padding(rest: memoryview) -> memoryview:
    """Zeros may follow a gzip member (tapes, block devices)."""
    return rest[len(rest) - len(bytes(rest).lstrip(b"\0")) :] if rest[0] == 0 else rest


_DECODERS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(wbits=31),
    # 128 MiB is the window of `zstd --long=27`, the largest that decoders accept unasked
    "zstd": lambda: zstandard.ZstdDecompressor(max_window_size=128 << 20).decompressobj(),
}
