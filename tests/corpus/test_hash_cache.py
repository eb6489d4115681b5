"""The hash cache: no file is hashed twice, and none that changed goes by its old hash."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from corpus.errors import SourceError
from corpus.files import HashCache, list_files
from corpus.fingerprint import hash_bytes
from tests.corpus.file_writing import write_file
from tests.corpus.together import run_together


def test_a_hash_is_of_the_stored_bytes_and_is_cached(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.txt", b"x" * 3_000_000, age_s=10)
    [ref] = list_files(str(path))
    assert HashCache(tmp_path / "cache").hash_of(ref) == hash_bytes(path.read_bytes())
    os.utime(
        write_file(path, b"y" * 3_000_000), ns=(int(ref.stamp), int(ref.stamp))
    )  # unseen: same size and time
    assert HashCache(tmp_path / "cache").hash_of(ref) == hash_bytes(b"x" * 3_000_000)
    os.utime(path, ns=(1, 1))
    assert HashCache(tmp_path / "cache").hash_of(list_files(str(path))[0]) == hash_bytes(b"y" * 3_000_000)


def test_a_file_written_a_moment_ago_is_not_cached(tmp_path: Path) -> None:
    """It could be written again within one tick of its clock."""
    [ref] = list_files(str(write_file(tmp_path / "a.txt")))
    HashCache(tmp_path / "cache").hash_of(ref)
    assert not (tmp_path / "cache").exists()


def test_a_torn_line_of_the_cache_costs_that_line_only(tmp_path: Path) -> None:
    cache = tmp_path / "deep" / "cache"
    refs = [list_files(str(write_file(tmp_path / name, name, age_s=10)))[0] for name in ("a", "b", "c")]
    HashCache(cache).hash_of(refs[0])
    with cache.open("ab") as file:
        file.write(b'["/torn", 3, "17')
    HashCache(cache).hash_of(refs[1])
    with cache.open("ab") as file:
        file.write(b"\nnot json\n[1]\n[1, 2, 3]\n{}\n\xff\n")
    again = HashCache(cache)
    for ref in refs:
        Path(ref.path).unlink()
    assert [again.hash_of(ref) for ref in refs[:2]] == [hash_bytes(b"a"), hash_bytes(b"b")]
    with pytest.raises(SourceError):
        again.hash_of(refs[2])


def test_two_writers_share_a_cache(tmp_path: Path) -> None:
    refs = [
        list_files(str(write_file(tmp_path / f"{i:03}.txt", f"{i}" * 50, age_s=10)))[0] for i in range(60)
    ]
    caches = [HashCache(tmp_path / "cache") for _ in range(4)]
    run_together(4, lambda number: [caches[number].hash_of(ref) for ref in refs])
    lines = [json.loads(line) for line in (tmp_path / "cache").read_text().split("\n") if line]
    assert {line[0]: line[3] for line in lines} == {
        ref.path: hash_bytes(Path(ref.path).read_bytes()) for ref in refs
    }
