"""Content: unpacked by its first bytes, and all of it up to where it is damaged."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from corpus.compression import Damaged, inflate
from corpus.errors import SourceError
from corpus.files import Content, list_files, open_bytes
from tests.corpus.file_writing import write_file

PACK = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compress,
}


def unpack(data: bytes, kind: str, step: int) -> tuple[bytes, str | None]:
    found = b""
    try:
        for piece in inflate(iter([data[i : i + step] for i in range(0, len(data), step)]), kind):
            found += piece
    except Damaged as damaged:
        return found, damaged.reason
    return found, None


@given(
    st.lists(st.binary(max_size=2000), min_size=1, max_size=4),
    st.sampled_from(["gzip", "zstd"]),
    st.integers(1, 500),
)
def test_frames_after_each_other_are_one_content(parts: list[bytes], kind: str, step: int) -> None:
    assert unpack(b"".join(map(PACK[kind], parts)), kind, step) == (b"".join(parts), None)


@given(
    st.binary(min_size=1, max_size=5000), st.sampled_from(["gzip", "zstd"]), st.integers(1, 500), st.data()
)
def test_a_truncated_stream_gives_its_beginning_and_says_so(
    content: bytes, kind: str, step: int, data: Any
) -> None:
    packed = PACK[kind](content)
    found, reason = unpack(packed[: data.draw(st.integers(1, len(packed) - 1))], kind, step)
    assert reason == "truncated_file"
    assert content.startswith(found)


@given(st.sampled_from(["gzip", "zstd"]), st.data())
def test_a_flipped_byte_never_raises_anything_else(kind: str, data: Any) -> None:
    packed = bytearray(PACK[kind](bytes(range(256)) * 20))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    found, reason = unpack(bytes(packed), kind, 100)
    assert reason in (None, "truncated_file", "corrupt_file")
    assert reason or found == bytes(range(256)) * 20


def test_nothing_before_gzip_damage_is_lost() -> None:
    content = b"".join(b"line %d\n" % i for i in range(2000))
    packed = gzip.compress(content)
    found, reason = unpack(
        packed[:-8] + b"\0" * 8, "gzip", 1 << 20
    )  # all of it is there, and its checksum is wrong
    assert (found, reason) == (content, "corrupt_file")
    found, reason = unpack(packed + b"junk", "gzip", 1 << 20)
    assert (found, reason) == (content, "corrupt_file")
    assert unpack(packed + b"\0" * 512, "gzip", 1 << 20) == (content, None)


@pytest.mark.parametrize(
    ("name", "data", "content", "damage"),
    [
        ("a.txt", b"plain", b"plain", None),
        ("a.txt", b"\xef\xbb\xbfplain", b"plain", None),
        ("a.txt", b"\xef\xbb", b"\xef\xbb", None),
        ("a.txt.gz", gzip.compress(b"\xef\xbb\xbfpacked", mtime=0), b"packed", None),
        ("a.txt", gzip.compress(b"packed, though the name does not say so", mtime=0), b"packed, though the name does not say so", None),
        ("a.TXT.ZST", PACK["zstd"](b"packed"), b"packed", None),
        ("a.txt.gz", b"not packed", b"not packed", None),
        ("a.txt.zst", b"\x5a\x2a\x4d\x18\x04\0\0\0skip" + PACK["zstd"](b"packed"), b"packed", None),
        ("a.txt", b"\x50\x2a\x4d\x18\0\0\0\0" + PACK["zstd"](b"one") + b"\x5f\x2a\x4d\x18\x01\0\0\0x" + PACK["zstd"](b"two"), b"onetwo", None),
        ("a.txt.zst", b"\x50\x2a\x4d\x18\x04\0\0\0sk", b"", "truncated_file"),
        ("a.txt.gz", b"", b"", None),
        ("a.txt.gz", b"\x1f\x8b", b"", "truncated_file"),
        ("a.txt.zst", PACK["zstd"](b"packed")[:6], b"", "truncated_file"),
        ("a.txt.gz", gzip.compress(b"", mtime=0), b"", None),
    ],
)  # fmt: skip
def test_content_is_unpacked_by_its_first_bytes(
    tmp_path: Path, name: str, data: bytes, content: bytes, damage: str | None
) -> None:
    [ref] = list_files(str(write_file(tmp_path / name, data)))
    stream = Content(ref)
    assert b"".join(stream) == content
    assert stream.damage == damage


def test_peeking_takes_nothing_away(tmp_path: Path) -> None:
    [ref] = list_files(
        str(write_file(tmp_path / "a.txt.gz", gzip.compress(b"\xef\xbb\xbf" + b"0123456789" * 300_000)))
    )
    stream = Content(ref)
    assert stream.peek(5)[:5] == b"\xef\xbb\xbf01"
    assert len(stream.peek(2_000_000)) >= 2_000_000
    assert b"".join(stream) == b"0123456789" * 300_000


def test_open_bytes_reads_as_a_file_does(tmp_path: Path) -> None:
    content = b"line\n" * 500_000
    packed = PACK["zstd"](content)
    [ref] = list_files(str(write_file(tmp_path / "a.zst", packed)))
    with open_bytes(ref) as file:
        assert file.readline() == b"line\n"
        assert file.read() == content[5:]
    [ref] = list_files(str(write_file(tmp_path / "a.zst", packed[:-30])))
    with open_bytes(ref) as file, pytest.raises(SourceError, match="truncated_file"):
        file.read()
