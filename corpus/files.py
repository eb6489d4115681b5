"""Where a source's bytes are: files found by path, folder, glob or fsspec URL, their hashes, and their content in blocks.

It knows nothing of records. fsspec is asked for URLs only; local paths never go through it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from corpus.compression import Damaged, compression_of, inflate
from corpus.errors import SourceError
from corpus.fingerprint import ID_HEX
from corpus.paths import Tell, find_paths
from corpus.urls import list_url, open_url, stat_url

BLOCK_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"
_SETTLED_S = 2.0  # a file younger than this may be written again within one tick of its clock, unseen


@dataclass(frozen=True)
class FileRef:
    """One stored file: an absolute path or a URL, its size, and a stamp that changes when it is written (mtime or ETag)."""

    path: str
    url: bool
    size: int
    stamp: str

    @property
    def name(self) -> str:
        """The path as text for people and facts: bytes of a name that are not UTF-8 are shown as `\\xe9`."""
        return self.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


# ── finding ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def list_files(
    path: str, root: Path | str | None = None, apart: Path | None = None, tell_dead: Tell = lambda path: None
) -> list[FileRef]:
    """The files of a source, sorted by path: a file, a folder (recursive), a glob (`**` and `{a,b}` too) or an fsspec URL.

    Names that start with a dot, links that lead nowhere (their paths are told), and what lies below the folder `apart` are
    skipped. A relative path starts at `root`, which may be a URL. A folder without files gives an empty list; what does not exist, or a glob that
    matches nothing, is a ConfigError; a folder that cannot be read is a SourceError.
    """
    where = path if "://" in path or "://" not in str(root) else f"{str(root).rstrip('/')}/{path}"
    if "://" in where and not where.startswith("file://"):
        return [FileRef(name, True, size, stamp) for name, size, stamp in list_url(where)]
    where = os.path.expanduser(where.removeprefix("file://"))
    found = find_paths(where, "" if root is None else str(root), apart, tell_dead)
    return [FileRef(name, False, about.st_size, str(about.st_mtime_ns)) for name, about in found.items()]


def check_unchanged(ref: FileRef) -> None:
    """SourceError if the file is gone, or has another size or stamp than when it was listed."""
    try:
        if ref.url:
            now = FileRef(ref.path, True, *stat_url(ref.path, ref.stamp))
        else:
            found = os.stat(ref.path)
            now = FileRef(ref.path, False, found.st_size, str(found.st_mtime_ns))
    except Exception as error:
        raise unreadable(ref, error) from error
    if now != ref:
        raise SourceError(
            f"{ref.name} changed while it was read ({ref.size} bytes then, {now.size} now). Run again when nothing writes to it."
        )


def unreadable(ref: FileRef, error: Exception) -> SourceError:
    """What the disk or the network said, as the error of a source: it is no damage, the bytes may be good."""
    if isinstance(error, SourceError):
        return error
    if isinstance(error, FileNotFoundError):
        return SourceError(f"{ref.name} is gone since it was listed. Put it back, or run the command again.")
    reason = getattr(error, "strerror", None) or str(error)
    return SourceError(
        f"cannot read {ref.name}: {type(error).__name__}: {reason}. Make it readable and run again."
    )


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def stored_blocks(ref: FileRef) -> Iterator[bytes]:
    """The file's stored bytes in blocks of 1 MiB. A failing disk or network is a SourceError, never a reject."""
    size = 0
    with closing(_open_stored(ref)) as file:
        while block := _full_block(ref, file):
            size += len(block)
            yield block
    if ref.url and size < ref.size:
        raise unreadable(ref, EOFError(f"it ended after {size:,} of its {ref.size:,} bytes"))


def _open_stored(ref: FileRef) -> BinaryIO:
    try:
        if not ref.url:
            return open(ref.path, "rb", buffering=0)
        return open_url(ref.path)
    except Exception as error:
        raise unreadable(ref, error) from error


def _full_block(ref: FileRef, file: BinaryIO) -> bytes:
    """A block that is short only at the end: a network gives what has come, and where blocks end may decide what damage costs."""
    pieces: list[bytes] = []
    wanted = BLOCK_BYTES
    try:
        while wanted and (piece := file.read(wanted)):
            pieces.append(piece)
            wanted -= len(piece)
    except Exception as error:
        raise unreadable(ref, error) from error
    return b"".join(pieces)


def unpacked_blocks(ref: FileRef) -> Iterator[bytes]:
    """The file's decompressed bytes in blocks. Raises Damaged where the stream breaks, after all that could be decoded."""
    stored = stored_blocks(ref)
    first = next(stored, b"")
    kind = compression_of(first[:4])
    blocks = _chain(first, stored)
    yield from inflate(blocks, kind) if kind else blocks


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


class Content:
    """A file's decompressed bytes in blocks, without a UTF-8 byte order mark; iterate it once.

    A damaged stream ends like a short one; after the iteration `damage` holds the reject's reason, or None.
    """

    def __init__(self, ref: FileRef):
        self.damage: str | None = None
        self._ref, self._blocks = ref, self._read(ref)
        self._ahead: list[bytes] = []

    def again(self) -> Content:
        """The same from the beginning, for one who reads ahead."""
        return Content(self._ref)

    def peek(self, size: int) -> bytes:
        """The first `size` bytes or more, fewer only where there are no more; they stay to be iterated."""
        held = sum(map(len, self._ahead))
        while held < size and (block := next(self._blocks, b"")):
            self._ahead.append(block)
            held += len(block)
        return b"".join(self._ahead)

    def __iter__(self) -> Iterator[bytes]:
        head = self.peek(len(_BOM)).removeprefix(_BOM)
        self._ahead = []
        if head:
            yield head
        yield from self._blocks

    def _read(self, ref: FileRef) -> Iterator[bytes]:
        try:
            yield from unpacked_blocks(ref)
        except Damaged as damaged:
            self.damage = damaged.reason


def open_bytes(ref: FileRef) -> BinaryIO:
    """The file's decompressed content as a file object; reading past damage raises SourceError."""
    return io.BufferedReader(_ContentFile(ref), BLOCK_BYTES)


class _ContentFile(io.RawIOBase):
    def __init__(self, ref: FileRef):
        self._ref, self._content = ref, Content(ref)
        self._blocks, self._block = iter(self._content), memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._block:
            self._block = memoryview(next(self._blocks, b""))
            if not self._block and self._content.damage:
                raise SourceError(f"{self._ref.name} is damaged: {self._content.damage}. Fetch it again.")
        size = min(len(buffer), len(self._block))
        buffer[:size] = self._block[:size]
        self._block = self._block[size:]
        return size


# ── hashing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class HashCache:
    """Content hashes of files by (path, size, stamp), in an append-only file of JSON lines.

    Any number of writers may append: a line is one write, begins with a line end of its own, and a torn one is skipped.
    """

    def __init__(self, path: Path):
        self._path = path
        self._known: dict[tuple[str, int, str], str] | None = None

    def hash_of(self, ref: FileRef) -> str:
        """blake2b-128 of the stored bytes, as `fingerprint.hash_file`. Raises SourceError if the file changes meanwhile."""
        if self._known is None:
            self._known = dict(self._read())
        key = (ref.path, ref.size, ref.stamp)
        if key not in self._known:
            digest = hashlib.blake2b(digest_size=ID_HEX // 2)
            for block in stored_blocks(ref):
                digest.update(block)
            check_unchanged(ref)
            self._known[key] = digest.hexdigest()
            if _settled(ref):
                self._append(key, self._known[key])
        return self._known[key]

    def _read(self) -> Iterator[tuple[tuple[str, int, str], str]]:
        if not self._path.exists():
            return
        for line in self._path.read_bytes().split(b"\n"):
            try:
                path, size, stamp, hash = json.loads(line)
            except ValueError:
                continue
            yield (path, size, stamp), hash

    def _append(self, key: tuple[str, int, str], hash: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = "\n" + json.dumps([*key, hash]) + "\n"
        with self._path.open("ab", buffering=0) as file:
            file.write(line.encode())


def _settled(ref: FileRef) -> bool:
    return bool(ref.stamp) if ref.url else time.time_ns() - int(ref.stamp) > _SETTLED_S * 1e9
