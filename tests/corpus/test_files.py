"""Files: what a path, folder, glob or URL finds, hashes that are cached safely, and content up to where it is damaged."""

from __future__ import annotations

import gzip
import json
import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from corpus.compression import Damaged, inflate
from corpus.errors import ConfigError, SourceError
from corpus.files import Content, FileRef, HashCache, check_unchanged, list_files, open_bytes
from corpus.fingerprint import hash_bytes
from corpus.readers import Reading, Record, read_records


def write(path: Path, data: bytes | str = "x", age_s: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    if age_s:
        os.utime(path, (path.stat().st_mtime - age_s,) * 2)
    return path


def names(refs: list[FileRef], folder: Path) -> list[str]:
    return [os.path.relpath(ref.path, folder) for ref in refs]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "b.jsonl",
        "a.txt",
        "deep/er/c.md",
        "deep/d.txt",
        ".hidden",
        ".git/config",
        "deep/.cache/e.txt",
    ):
        write(tmp_path / name)
    return tmp_path


# ── finding ──


def test_a_folder_gives_every_file_below_it_sorted_and_nothing_hidden(tree: Path) -> None:
    assert names(list_files("", tree), tree) == ["a.txt", "b.jsonl", "deep/d.txt", "deep/er/c.md"]
    assert list_files(str(tree)) == list_files(".", tree) == list_files(f"file://{tree}")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("a.txt", ["a.txt"]), ("*.txt", ["a.txt"]), ("**/*.txt", ["a.txt", "deep/d.txt"]), ("**", ["a.txt", "b.jsonl", "deep/d.txt", "deep/er/c.md"]),
     ("deep/**/*", ["deep/d.txt", "deep/er/c.md"]), ("{a.txt,deep}", ["a.txt", "deep/d.txt", "deep/er/c.md"]), ("**/*.{md,jsonl}", ["b.jsonl", "deep/er/c.md"]),
     ("{deep/{er,none}/*,[ab].txt}", ["a.txt", "deep/er/c.md"]), ("deep/../*.txt", ["a.txt"]), ("*/er/c.md", ["deep/er/c.md"]), (".git/*", [".git/config"]), ("*/.cache/*", ["deep/.cache/e.txt"]),
     ("[ab].*", ["a.txt", "b.jsonl"]), ("deep", ["deep/d.txt", "deep/er/c.md"])],
)  # fmt: skip
def test_files_and_globs(tree: Path, pattern: str, found: list[str]) -> None:
    assert names(list_files(pattern, tree), tree) == found


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    write(tmp_path / "data[1].txt")
    assert names(list_files("data[1].txt", tmp_path), tmp_path) == ["data[1].txt"]


def test_links_are_followed_once_and_pipes_and_dead_links_are_no_files(tree: Path) -> None:
    (tree / "loop").symlink_to(tree)
    (tree / "dead").symlink_to(tree / "nowhere")
    os.mkfifo(tree / "pipe")
    outside = write(tree.parent / uuid.uuid4().hex / "far.txt")
    (tree / "linked").symlink_to(outside.parent)
    assert names(list_files("", tree), tree) == [
        "a.txt",
        "b.jsonl",
        "deep/d.txt",
        "deep/er/c.md",
        "linked/far.txt",
    ]


@pytest.mark.parametrize("pattern", ["", "**", "**/*.txt", "**/**/*.txt", "*/**/*.txt"])
def test_loops_of_links_end(tmp_path: Path, pattern: str) -> None:
    write(tmp_path / "a" / "one.txt")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "to_itself.txt").symlink_to(tmp_path / "a" / "to_itself.txt")
    assert names(list_files(pattern, tmp_path), tmp_path) == ["a/one.txt"]


@pytest.mark.parametrize("pattern", ["", "**/*.txt", "*/*.txt", "*/no/*.txt"])
def test_a_folder_that_cannot_be_listed_is_an_error(
    tmp_path: Path, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.txt")
    write(tmp_path / "closed" / "b.txt")

    def refuse(path: str, call: Any = os.scandir) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return call(path)

    def refuse_stat(path: str, call: Any = os.stat, **keywords: Any) -> Any:
        if "closed/" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return call(path, **keywords)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "lstat", refuse_stat)
    with pytest.raises(SourceError, match=r"cannot read .*closed.*: Permission denied"):
        list_files(pattern, tmp_path)


def test_what_lies_below_the_lake_is_no_source(tree: Path) -> None:
    lake = tree / "deep" / "lake"
    write(lake / "documents" / "parts" / "p.txt")
    (tree / "link").symlink_to(lake / "documents")
    for pattern in ("", "**/*.txt", "{deep,a.txt}"):
        found = names(list_files(pattern, tree, lake), tree)
        assert found == [name for name in names(list_files(pattern, tree), tree) if "p.txt" not in name] != []
    for inside in ("deep/lake", "deep/lake/documents/*", "link", "deep/lake/documents/parts/p.txt"):
        with pytest.raises(ConfigError, match=r"leads into the lake .*deep/lake"):
            list_files(inside, tree, lake)
    with pytest.raises(ConfigError, match="matches no file"):
        list_files("deep/*/documents/parts/*", tree, lake)
    assert names(list_files("deep", tree, lake), tree) == ["deep/d.txt", "deep/er/c.md"]


def test_the_root_is_no_pattern(tmp_path: Path) -> None:
    write(tmp_path / "data[1]{a,b}" / "x.txt")
    write(tmp_path / "data1a" / "y.txt")
    assert names(list_files("*.txt", tmp_path / "data[1]{a,b}"), tmp_path) == ["data[1]{a,b}/x.txt"]


def test_an_empty_folder_is_an_empty_source(tmp_path: Path) -> None:
    assert list_files(str(tmp_path)) == []


@pytest.mark.parametrize(
    ("path", "message"),
    [("deep/dd.txt", "deep exists and holds d.txt, er; there is no 'dd.txt' in it. Did you mean 'd.txt'?"), ("*.xml", "nothing in it matches '*.xml'"),
     ("nowhere/at/all.txt", "there is no 'nowhere' in it"), ("nowhere/*.txt", "there is no 'nowhere'"), ("d*p", "nothing in it matches"), ("{x,y}.txt", "nothing in it matches '{x,y}.txt'"), ("qq://a/b", "unknown protocol 'qq'"), ("memory://nothing/*.txt", "matches no file")],
)  # fmt: skip
def test_what_is_not_there_is_one_clear_error(tree: Path, path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        list_files(path, tree)
    assert message in str(caught.value)
    assert path.split("/")[-1] in str(caught.value)


@pytest.mark.parametrize(
    "path",
    ["acts.jsonl", "*.jsonl", "*", "**/*.jsonl", "{acts,none}.jsonl", "acts.jsonl/*", "acts.jsonl/a.jsonl", "acts.jsonl/deep/**", "*/a.jsonl", "**/acts.jsonl/*"],
)  # fmt: skip
@pytest.mark.parametrize("leads_to", ["nowhere/at/all", "acts.jsonl"])
def test_where_only_dead_links_match_they_are_named(tmp_path: Path, path: str, leads_to: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "acts.jsonl").symlink_to(leads_to)
    (tmp_path / "none.txt").touch()
    with pytest.raises((ConfigError, SourceError)) as caught:
        list_files(f"in/{path}", tmp_path)
    message = str(caught.value)
    assert str(tmp_path / "in" / "acts.jsonl") in message
    assert "a link that leads nowhere" in message or "Too many levels of symbolic links" in message
    assert "there is no" not in message and "nothing in it" not in message


def test_dead_links_beside_files_are_told_also_where_a_folder_was_wanted(tree: Path) -> None:
    (tree / "gone.txt").symlink_to("nowhere")
    (tree / "lost").symlink_to("nowhere")
    told: list[str] = []
    assert names(list_files("{*.txt,*/d.txt,lost/*}", tree, None, told.append), tree) == [
        "a.txt",
        "deep/d.txt",
    ]
    assert [os.path.basename(path) for path in told] == ["gone.txt", "lost"]


def test_a_pipe_is_said_to_be_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=r"'pipe' in .* is no file and no folder"):
        list_files("pipe", tmp_path)


def test_a_protocol_without_its_package_says_what_to_install() -> None:
    message = "Please install package_that_is_not_there"
    fsspec.register_implementation(
        "absent", "package_that_is_not_there.FileSystem", clobber=True, errtxt=message
    )
    with pytest.raises(
        ConfigError, match=r"needs a package that is not installed: .*package_that_is_not_there"
    ):
        list_files("absent://bucket/a.jsonl")


# ── changes and hashes ──


def test_a_change_or_a_loss_while_reading_is_a_source_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "one", age_s=10)
    [ref] = list_files(str(path))
    check_unchanged(ref)
    write(path, "three")
    with pytest.raises(SourceError, match="changed while it was read"):
        check_unchanged(ref)
    path.unlink()
    for use in (check_unchanged, HashCache(tmp_path / "cache").hash_of, lambda ref: list(Content(ref))):
        with pytest.raises(SourceError, match="is gone"):
            use(ref)


def test_a_hash_is_of_the_stored_bytes_and_is_cached(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", b"x" * 3_000_000, age_s=10)
    [ref] = list_files(str(path))
    assert HashCache(tmp_path / "cache").hash_of(ref) == hash_bytes(path.read_bytes())
    os.utime(write(path, b"y" * 3_000_000), ns=(int(ref.stamp), int(ref.stamp)))  # unseen: same size and time
    assert HashCache(tmp_path / "cache").hash_of(ref) == hash_bytes(b"x" * 3_000_000)
    os.utime(path, ns=(1, 1))
    assert HashCache(tmp_path / "cache").hash_of(list_files(str(path))[0]) == hash_bytes(b"y" * 3_000_000)


def test_a_file_written_a_moment_ago_is_not_cached(tmp_path: Path) -> None:
    """It could be written again within one tick of its clock."""
    [ref] = list_files(str(write(tmp_path / "a.txt")))
    HashCache(tmp_path / "cache").hash_of(ref)
    assert not (tmp_path / "cache").exists()


def test_a_torn_line_of_the_cache_costs_that_line_only(tmp_path: Path) -> None:
    cache = tmp_path / "deep" / "cache"
    refs = [list_files(str(write(tmp_path / name, name, age_s=10)))[0] for name in ("a", "b", "c")]
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
    refs = [list_files(str(write(tmp_path / f"{i:03}.txt", f"{i}" * 50, age_s=10)))[0] for i in range(60)]
    caches = [HashCache(tmp_path / "cache") for _ in range(4)]
    threads = [threading.Thread(target=lambda c=cache: [c.hash_of(ref) for ref in refs]) for cache in caches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [json.loads(line) for line in (tmp_path / "cache").read_text().split("\n") if line]
    assert {line[0]: line[3] for line in lines} == {
        ref.path: hash_bytes(Path(ref.path).read_bytes()) for ref in refs
    }


# ── content ──

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
    [ref] = list_files(str(write(tmp_path / name, data)))
    stream = Content(ref)
    assert b"".join(stream) == content
    assert stream.damage == damage


def test_peeking_takes_nothing_away(tmp_path: Path) -> None:
    [ref] = list_files(
        str(write(tmp_path / "a.txt.gz", gzip.compress(b"\xef\xbb\xbf" + b"0123456789" * 300_000)))
    )
    stream = Content(ref)
    assert stream.peek(5)[:5] == b"\xef\xbb\xbf01"
    assert len(stream.peek(2_000_000)) >= 2_000_000
    assert b"".join(stream) == b"0123456789" * 300_000


def test_open_bytes_reads_as_a_file_does(tmp_path: Path) -> None:
    content = b"line\n" * 500_000
    packed = PACK["zstd"](content)
    [ref] = list_files(str(write(tmp_path / "a.zst", packed)))
    with open_bytes(ref) as file:
        assert file.readline() == b"line\n"
        assert file.read() == content[5:]
    [ref] = list_files(str(write(tmp_path / "a.zst", packed[:-30])))
    with open_bytes(ref) as file, pytest.raises(SourceError, match="truncated_file"):
        file.read()


# ── URLs ──


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
