"""Blocks of bytes → lines, with memory bounded by the longest line allowed."""

from __future__ import annotations

from collections.abc import Iterator

from corpus.files import Content


def split_lines(content: Content, max_bytes: int) -> Iterator[bytes | None]:
    """Each line without its line feed; None stands for a line longer than `max_bytes`.

    The unfinished last line of a damaged stream is left out: `content.damage` then says why.
    """
    pieces: list[bytes] = []  # the line that is not finished yet
    size = 0
    for block in content:
        lines = block.split(b"\n")
        size += len(lines[0])
        if size <= max_bytes:
            pieces.append(lines[0])
        else:
            pieces.clear()
        if len(lines) == 1:
            continue
        yield b"".join(pieces) if size <= max_bytes else None
        for i in range(1, len(lines) - 1):
            yield lines[i] if len(lines[i]) <= max_bytes else None
        pieces, size = [lines[-1]], len(lines[-1])
    if size and not content.damage:
        yield b"".join(pieces) if size <= max_bytes else None
