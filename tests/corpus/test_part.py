"""One writer: equal content is equal bytes, whatever the chunking; nothing half-written, nothing published for the dead."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import LakeError
from corpus.part import rows_hash, write_part
from corpus.schema import DATASETS, OPERATORS, schema_of

SPAN = st.fixed_dictionaries({"start": st.integers(0, 9), "end": st.none() | st.integers(0, 9)})
KINDS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), st.integers(-5, 5)),
    (pa.float64(), st.floats(allow_nan=False)),
    (pa.bool_(), st.booleans()),
    (pa.string(), st.text(max_size=3)),
    (pa.large_string(), st.text(max_size=3)),
    (pa.timestamp("us"), st.integers(0, 10)),
    (pa.list_(pa.uint32()), st.lists(st.integers(0, 9), max_size=3)),
    (pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64())])), st.lists(SPAN, max_size=2)),
]


@st.composite
def columns(draw: st.DrawFn) -> tuple[pa.DataType, list[Any]]:
    kind, values = draw(st.sampled_from(KINDS))
    return kind, draw(st.lists(st.none() | values, min_size=1, max_size=6))


def hash_of(array: pa.Array | pa.ChunkedArray) -> str:
    return rows_hash(pa.table({"column": array}))


@given(columns(), st.integers(0, 6))
def test_rows_hash_does_not_see_chunks_or_slices(column: tuple[pa.DataType, list[Any]], cut: int) -> None:
    kind, values = column
    whole = pa.array(values, kind)
    pieces = pa.chunked_array([whole.slice(0, cut), whole.slice(cut)], kind)
    padded = pa.array([values[0], *values, None], kind).slice(1, len(values))
    assert hash_of(whole) == hash_of(pieces) == hash_of(padded)


@given(columns(), columns())
def test_rows_hash_sees_every_value_null_and_type(
    first: tuple[pa.DataType, list[Any]], second: tuple[pa.DataType, list[Any]]
) -> None:
    one, two = (pa.array(values, kind) for kind, values in (first, second))
    assert (hash_of(one) == hash_of(two)) == (one.type == two.type and one.to_pylist() == two.to_pylist())


def test_rows_hash_sees_names_and_order() -> None:
    a, b = pa.array([1, 2]), pa.array([3, 4])
    hashes = {
        rows_hash(pa.table(columns)) for columns in ({"a": a, "b": b}, {"a": b, "b": a}, {"b": b, "a": a})
    }
    assert len(hashes) == 3
    assert hash_of(pa.array(["ab", "c"])) != hash_of(pa.array(["a", "bc"]))
    assert hash_of(pa.array([[1], [2, 3]])) != hash_of(pa.array([[1, 2], [3]]))


def rejects(count: int = 3) -> pa.Table:
    rows = [
        {"source": "s", "file_hash": f"{i:032x}", "occurrence": 0, "position": i, "reason": "r"}
        for i in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=DATASETS["rejects"])


def test_equal_content_is_equal_bytes_whatever_the_chunks(tmp_path: Path) -> None:
    table = rejects(20_000)
    chunked = pa.concat_tables([table.slice(0, 7), table.slice(7, 9000), table.slice(9007)])
    one = write_part(tmp_path / "a.parquet", "rejects", "k", table)
    two = write_part(tmp_path / "b.parquet", "rejects", "k", chunked)
    assert one == two and (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert one.rows == 20_000 and one.bytes == (tmp_path / "a.parquet").stat().st_size


def test_a_part_has_its_dataset_s_schema_whatever_the_order_and_width_of_columns(tmp_path: Path) -> None:
    table = pa.table(
        {"reason": pa.array(["r"], pa.large_string()), "source": ["s"], "position": pa.array([1], pa.int32())}
    )
    part = write_part(tmp_path / "a.parquet", "rejects", "k", table)
    read = pq.read_table(tmp_path / "a.parquet")
    assert read.schema.equals(DATASETS["rejects"])
    assert read.to_pylist() == [
        {"source": "s", "file_hash": None, "occurrence": None, "position": 1, "reason": "r"}
    ]
    assert part.rows_hash == rows_hash(read)


@pytest.mark.parametrize("dataset", sorted(DATASETS | OPERATORS))
def test_every_dataset_can_be_written_empty_and_read_back(dataset: str, tmp_path: Path) -> None:
    part = write_part(tmp_path / "a.parquet", dataset, "k", schema_of(dataset).empty_table())
    assert part.rows == 0 and pq.read_table(tmp_path / "a.parquet").schema.equals(schema_of(dataset))


def test_only_the_owner_reads_raw_text(tmp_path: Path) -> None:
    for dataset, mode in (("documents", 0o600), ("pii", 0o600), ("held_out", 0o600), ("rejects", 0o644)):
        write_part(tmp_path / f"{dataset}.parquet", dataset, "k", schema_of(dataset).empty_table())
        assert (tmp_path / f"{dataset}.parquet").stat().st_mode & 0o777 == mode & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# ── what goes wrong ──


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        LakeError, match=r"cannot write .*a\.parquet: No space left on device\. Free some space"
    ):
        write_part(tmp_path / "a.parquet", "rejects", "k", rejects())
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_middle_of_a_file_leaves_nothing(tmp_path: Path) -> None:
    with largest_file(4096), pytest.raises(LakeError, match="File too large"):
        write_part(tmp_path / "a.parquet", "rejects", "k", rejects(50_000))
    assert list(tmp_path.iterdir()) == []


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel refuses to let a file grow beyond `size` bytes: a disk that fills up while a part is written."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "rejects").write_text("in the way")
    with pytest.raises(LakeError, match="cannot write"):
        write_part(tmp_path / "rejects" / "parts" / "a.parquet", "rejects", "k", rejects())


def test_a_worker_whose_parent_is_gone_publishes_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, corpus.process as process\n"
        "from pathlib import Path\n"
        "from corpus.part import write_part\n"
        "from corpus.schema import DATASETS\n"
        "process._parent = 1 << 30\n"
        "write_part(Path(sys.argv[1]), 'rejects', 'k', DATASETS['rejects'].empty_table())\n"
        "print('published')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.parquet")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert not (tmp_path / "a.parquet").exists()
