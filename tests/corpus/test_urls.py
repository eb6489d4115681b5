"""URLs: found, read, hashed and seen to change as files are, in memory and behind a real server of S3's protocol."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from corpus.errors import ConfigError, SourceError
from corpus.files import HashCache, check_unchanged, list_files
from corpus.fingerprint import hash_bytes
from corpus.readers import Reading, Record, read_records


def test_memory_urls() -> None:
    folder = f"memory:///{uuid.uuid4().hex}"
    for name in ("a.jsonl", "deep/b.jsonl.gz", "deep/.hidden/c.jsonl", "d.txt"):
        data = b'{"text": "one"}\n'
        with fsspec.open(f"{folder}/{name}", "wb") as file:
            file.write(gzip.compress(data) if name.endswith("gz") else data)

    def found(path: str, root: str | None = None) -> list[str]:
        refs = list_files(path, root)
        assert all(ref.url and ref.size for ref in refs)
        return [ref.path.removeprefix(folder + "/") for ref in refs]

    assert found(folder) == ["a.jsonl", "d.txt", "deep/b.jsonl.gz"]
    assert found("**/*.jsonl*", folder) == ["a.jsonl", "deep/b.jsonl.gz"]
    assert found("a.jsonl", folder + "/") == ["a.jsonl"]
    assert found("{d.txt,deep/*.{gz,zst},absent}", folder) == ["d.txt", "deep/b.jsonl.gz"]
    [ref] = list_files(f"{folder}/deep/*.gz")
    assert [item.text for item in read_records(ref, Reading()) if isinstance(item, Record)] == ["one"]
    check_unchanged(ref)
    fsspec.filesystem("memory").pipe(ref.path, b"longer than before, by much")
    with pytest.raises(SourceError, match="changed"):
        check_unchanged(ref)
    fsspec.filesystem("memory").rm(ref.path)
    with pytest.raises(SourceError, match="is gone"):
        check_unchanged(ref)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket behind a real server of S3's protocol on this machine."""
    pytest.importorskip("s3fs")
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        filesystem = fsspec.filesystem("s3", use_listings_cache=False)
        filesystem.mkdir("corpus")
        yield "s3://corpus"
        filesystem.clear_instance_cache()
    server.stop()


def test_s3(bucket: str, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    store = fsspec.filesystem("s3", use_listings_cache=False)
    lines = b"".join(json.dumps({"text": f"record {i} " + "x" * 300}).encode() + b"\n" for i in range(10_000))
    pq.write_table(
        pa.table({"text": [f"row {i}" for i in range(100)]}), tmp_path / "t.parquet", row_group_size=10
    )
    files = {
        "in/a.jsonl": lines,
        "in/b.jsonl.gz": gzip.compress(lines)[:-1000],
        "in/deep/c.parquet": (tmp_path / "t.parquet").read_bytes(),
        "in/.hidden.jsonl": b"{}",
        "out/d.jsonl": b"{}",
    }
    for name, data in files.items():
        store.pipe(f"{bucket}/{name}", data)
    refs = list_files("in", bucket)
    assert [ref.path for ref in refs] == [
        f"{bucket}/in/{name}" for name in ("a.jsonl", "b.jsonl.gz", "deep/c.parquet")
    ]
    assert [ref.path for ref in list_files(f"{bucket}/in/**/*.parquet")] == [f"{bucket}/in/deep/c.parquet"]
    cache = HashCache(tmp_path / "cache")
    assert [cache.hash_of(ref) for ref in refs] == [
        hash_bytes(files[ref.path.removeprefix(bucket + "/")]) for ref in refs
    ]

    plain, packed, table = (list(read_records(ref, Reading())) for ref in refs)
    assert len(plain) == 10_000
    assert all(isinstance(item, Record) for item in plain)
    assert packed[:-1] == plain[: len(packed) - 1]
    assert packed[-1].reason == "truncated_file"  # type: ignore[union-attr]
    assert len(packed) > 8_000
    assert [item.text for item in table if isinstance(item, Record)] == [f"row {i}" for i in range(100)]

    check_unchanged(refs[0])
    store.pipe(refs[0].path, lines.replace(b"record 7 ", b"RECORD 7 "))  # of the same size: the ETag tells
    with pytest.raises(SourceError, match="changed"):
        check_unchanged(refs[0])
    again = list_files(refs[0].path)[0]
    assert HashCache(tmp_path / "cache").hash_of(again) != cache.hash_of(refs[0])
    for path, message in (
        (f"{bucket}/nothing/*.jsonl", "matches no file"),
        (f"{bucket}-not/a", "s3://corpus-not/a"),
    ):
        with pytest.raises(ConfigError, match=message):
            list_files(path)
