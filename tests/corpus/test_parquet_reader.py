"""Parquet: rows of every kind of column, past damaged row groups."""

from __future__ import annotations

import errno
import functools
import gzip
import random
import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from corpus import seekable
from corpus.errors import SourceError
from corpus.files import list_files
from corpus.readers import Reading, Record, Reject, read_records

Read = Callable[..., list[Any]]
ItemsOf = Callable[..., list[Record | Reject]]


def parquet_bytes(table: pa.Table, path: Path, **options: Any) -> bytes:
    pq.write_table(table, path, **options)
    return path.read_bytes()


def test_parquet_damage(read: Read, tmp_path: Path) -> None:
    noise = random.Random(4)
    texts = [noise.randbytes(100).hex() for _ in range(100)]
    data = parquet_bytes(pa.table({"text": texts}), tmp_path / "t", row_group_size=10, compression="zstd", write_page_checksum=True, use_dictionary=False)  # fmt: skip
    start = pq.ParquetFile(tmp_path / "t").metadata.row_group(3).column(0).data_page_offset
    broken = data[: start + 700] + b"\xff" * 20 + data[start + 720 :]
    assert read("a.parquet", broken) == [*texts[:30], (30, "corrupt_file"), *texts[40:]]
    for bad in (
        b"",
        b"PAR1",
        b"PAR1junkPAR1",
        data[:-1],
        data[: len(data) // 2],
        b"x" * 1000,
        data[:-8] + b"\xff\xff\xff\x7fPAR1",
        gzip.compress(data[:-1]),
    ):
        assert read("a.parquet", bad) == [(-1, "corrupt_file")]


def test_compressed_parquet_is_read_whatever_it_is_called(read: Read, tmp_path: Path) -> None:
    data = parquet_bytes(pa.table({"text": ["one", "two"]}), tmp_path / "t")
    for name in ("a.parquet.gz", "a.parquet"):
        assert read(name, gzip.compress(data)) == ["one", "two"]
        assert read(name, zstandard.compress(data)) == ["one", "two"]
        assert read(name, gzip.compress(data)[:-3]) == [(-1, "truncated_file")]
    assert read("a.parquet.gz", data) == ["one", "two"]


def test_a_copy_that_would_fill_the_disk_is_not_made(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = gzip.compress(parquet_bytes(pa.table({"text": ["one" * 1000]}), tmp_path / "t"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(SourceError, match=r"needs more than 500 bytes.*Set TMPDIR"):
        read("a.parquet.gz", data)


def test_a_temporary_folder_that_fails_is_told_as_such(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = gzip.compress(parquet_bytes(pa.table({"text": ["one" * 1000]}), tmp_path / "t"))

    def gone(*args: Any) -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    failing: list[tuple[Any, str, Any, str]] = [
        (tempfile, "TemporaryFile", gone, "No usable temporary directory found"),
        (shutil, "disk_usage", gone, "No usable temporary directory found"),
        (tempfile, "TemporaryFile", functools.partial(open, "/dev/full", "w+b"), "No space left on device"),
    ]
    for module, name, fail, reason in failing:
        with monkeypatch.context() as patched:
            patched.setattr(module, name, fail)
            with pytest.raises(SourceError) as told:
                read("a.parquet.gz", data)
        assert str(told.value) == f"cannot copy {tmp_path / 'a.parquet.gz'} to a temporary file: {reason}. Set TMPDIR to a folder with space."  # fmt: skip


def test_a_disk_that_fails_is_no_damage(read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = parquet_bytes(pa.table({"text": ["one"]}), tmp_path / "t")

    def fail(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(seekable, "_copy", fail)
    with pytest.raises(SourceError, match="No space left"):
        read("a.parquet.gz", gzip.compress(data))


def test_parquet_values(tmp_path: Path, items_of: ItemsOf) -> None:
    invalid = pa.StringArray.from_buffers(
        4, pa.py_buffer(b"\0\0\0\0\3\0\0\0\4\0\0\0\7\0\0\0\x0a\0\0\0"), pa.py_buffer(b"one\xfftwoabc")
    )
    table = pa.table({
        "text": invalid,
        "when": pa.array([1, 2, 3, 2**62], pa.timestamp("us", "Asia/Kolkata")),
        "ns": pa.array([1, 2, 3, 4], pa.timestamp("ns")),
        "blob": [b"a", b"\xff", None, b""],
        "tags": [["x"], None, [], ["y", None]],
        "n": [1.5, float("nan"), None, 2.0],
    })  # fmt: skip
    one, bad, three, four = items_of(
        tmp_path / "a.parquet", parquet_bytes(table, tmp_path / "t"), date_field="when"
    )
    assert bad == Reject(1, "invalid_utf8")
    assert isinstance(one, Record)
    assert one.date == datetime(1970, 1, 1, 0, 0, 0, 1)
    assert one.metadata == {"ns": "1970-01-01T00:00:00", "blob": "a", "tags": ["x"], "n": 1.5}
    assert isinstance(three, Record)
    assert three.metadata == {"ns": "1970-01-01T00:00:00", "blob": None, "tags": [], "n": None}
    assert isinstance(four, Record)
    assert (four.text, four.date, four.metadata["n"]) == ("abc", None, 2.0)


@pytest.mark.parametrize(
    ("kind", "found"),
    [(pa.large_string(), ["a", (1, "missing_text"), (2, "empty_text")]), (pa.string_view(), ["a", (1, "missing_text"), (2, "empty_text")]), (pa.binary(), ["a", (1, "missing_text"), (2, "empty_text")]),
     (pa.dictionary(pa.int32(), pa.string()), ["a", (1, "missing_text"), (2, "empty_text")])],
)  # fmt: skip
def test_parquet_kinds_of_text(read: Read, tmp_path: Path, kind: pa.DataType, found: list[Any]) -> None:
    table = pa.table({"text": pa.array(["a", None, ""], kind)})
    assert read("a.parquet", parquet_bytes(table, tmp_path / "t")) == found


def test_parquet_without_the_text_column(read: Read, tmp_path: Path) -> None:
    nested = parquet_bytes(pa.table({"doc": [{"text": "a"}, None], "n": [1, 2]}), tmp_path / "t")
    assert read("a.parquet", nested) == [(-1, "missing_text")]
    assert read("a.parquet", nested, text_field="doc.text") == ["a", (1, "missing_text")]
    assert read("a.parquet", nested, text_field="n") == [(0, "wrong_type"), (1, "wrong_type")]
    assert read(
        "a.parquet", parquet_bytes(pa.table({"text": pa.array([], pa.string())}), tmp_path / "t")
    ) == [(-1, "empty_file")]


def arrow_memory(path: Path) -> tuple[int, int]:
    """How many records there are, and the most that Arrow held while they were read."""
    [ref] = list_files(str(path))
    pool = pa.proxy_memory_pool(pa.default_memory_pool())
    before = pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        count = sum(isinstance(item, Record) for item in read_records(ref, Reading()))
    finally:
        pa.set_memory_pool(before)
    return count, pool.max_memory()


def test_parquet_memory_does_not_grow_with_the_row_group(tmp_path: Path) -> None:
    noise = random.Random(3)
    texts = [noise.randbytes(1000).hex() for _ in range(20_000)]
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"text": texts}), path, row_group_size=20_000, use_dictionary=False, data_page_size=64 << 10
    )
    del texts
    count, peak = arrow_memory(path)
    assert count == 20_000
    assert path.stat().st_size > 20_000_000
    assert peak < 16_000_000


@pytest.mark.parametrize("kind", [pa.string(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet_memory_does_not_grow_with_what_a_dictionary_stands_for(
    tmp_path: Path, kind: pa.DataType
) -> None:
    """A few kilobytes of file, short rows first, are hundreds of megabytes of text."""
    texts = pa.array(["short"] * 1000 + ["x" * 400_000] * 1000, kind)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": texts}), path, compression="zstd")
    del texts
    count, peak = arrow_memory(path)
    assert count == 2000
    assert path.stat().st_size < 20_000
    assert peak < 40_000_000
