"""A file's decompressed bytes, to be read at any place: as Parquet is, whose index is at its end.

What is compressed, or behind a server that sends files as a whole only, is copied to an unnamed temporary file (in `TMPDIR`),
which is gone with the reading. It takes at most half of what is free there.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

from corpus.compression import compression_of
from corpus.errors import SourceError
from corpus.files import FileRef, unpacked_blocks, unreadable
from corpus.urls import head_of, open_anywhere


@contextmanager
def open_seekable(ref: FileRef) -> Iterator[str | BinaryIO | io.RawIOBase]:
    """The path of a plain local file, else something to read from. A disk or network that fails is a SourceError.

    Raises Damaged where what is compressed breaks.
    """
    in_place = _in_place(ref)
    if isinstance(in_place, str):
        yield in_place
    elif in_place is not None:
        with in_place:
            yield in_place
    else:
        with _copy(ref) as copy:
            yield copy


def _in_place(ref: FileRef) -> str | _Remote | None:
    """What reads the file where it is; None where a copy is needed."""
    try:
        if ref.url:
            return _open_remote(ref)
        with open(ref.path, "rb") as file:
            return None if compression_of(file.read(4)) else ref.path
    except Exception as error:
        raise unreadable(ref, error) from error


def _open_remote(ref: FileRef) -> _Remote | None:
    file = open_anywhere(ref.path)
    if file is None:
        return None
    remote = _Remote(ref, file)
    if ref.size and compression_of(head_of(ref.path, 4)):
        remote.close()
        return None
    return remote


def _copy(ref: FileRef) -> BinaryIO:
    """A temporary file with the content. What fails in reading the source is told as such: an OSError is of the copy."""
    try:
        with ExitStack() as stack:
            copy = stack.enter_context(tempfile.TemporaryFile())
            _fill(ref, copy)
            stack.pop_all()
            return copy
    except OSError as error:
        raise SourceError(
            f"cannot copy {ref.name} to a temporary file: {error.strerror or error}. Set TMPDIR to a folder with space."
        ) from error


def _fill(ref: FileRef, copy: BinaryIO) -> None:
    most = shutil.disk_usage(tempfile.gettempdir()).free // 2
    size = 0
    for block in unpacked_blocks(ref):
        size += len(block)
        if size > most:
            raise SourceError(
                f"cannot read {ref.name}: a copy of it needs more than {most:,} bytes, half of what is free in {tempfile.gettempdir()}. Set TMPDIR to a folder with more space, or decompress it first."
            )
        copy.write(block)
    copy.seek(0)


class _Remote(io.RawIOBase):
    """A remote file of which every failure is a SourceError, a piece that comes short too: Arrow would take it for damage."""

    def __init__(self, ref: FileRef, file: BinaryIO):
        self._ref, self._file = ref, file
        self._size = file.seek(0, os.SEEK_END)
        file.seek(0)

    def close(self) -> None:
        self._file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        at = self._file.tell()
        wanted = min(len(buffer), max(self._size - at, 0))
        try:
            piece = self._file.read(wanted) if wanted else b""
        except Exception as error:
            raise unreadable(self._ref, error) from error
        if len(piece) < wanted:
            got = f"it sent {len(piece):,} of the {wanted:,} bytes from {at:,} on"
            raise unreadable(self._ref, EOFError(got))
        buffer[:wanted] = piece
        return wanted
