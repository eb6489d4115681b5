"""Readers: whatever the format, damage costs what is damaged and nothing else, in bounded memory."""

from __future__ import annotations

import gzip
import json
import os
import random
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.files import list_files
from corpus.readers import REASONS, Reading, Record, Reject, format_of, read_records

Read = Callable[..., list[Any]]
ItemsOf = Callable[..., list[Record | Reject]]

ONE, TWO = '{"text": "one"}', '{"text": "two"}'
XML = "<r><s>one</s>{}<s>two</s></r>"


def line(text: str, **fields: Any) -> str:
    return json.dumps({"text": text, **fields})


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_truncated_stream_keeps_every_record_before_its_end(read: Read, suffix: str) -> None:
    noise = random.Random(1)
    texts = [f"record {i} {noise.randbytes(40).hex()}" for i in range(5000)]
    lines = [line(text) for text in texts]
    formats: dict[str, tuple[str, dict[str, Any]]] = {
        "jsonl": ("\n".join(lines), {}),
        "json": ("[" + ",".join(lines) + "]", {}),
        "csv": ("text\n" + "\n".join(texts), {}),
        "txt": ("\n\n".join(texts), {"split": "blank_lines"}),
        "xml": ("<r>" + "".join(f"<s>{text}</s>" for text in texts) + "</r>", {"text_field": "s"}),
    }  # fmt: skip
    for ending, (whole, reading) in formats.items():
        packed = (
            gzip.compress(whole.encode())
            if suffix == "gz"
            else zstandard.ZstdCompressor().compress(whole.encode())
        )
        found = read(f"a.{ending}.{suffix}", packed[: len(packed) * 9 // 10], **reading)
        kept = len(found) - 1
        assert kept > 3000
        assert found == [*texts[:kept], (kept, "truncated_file")], ending
        assert read(f"a.{ending}.{suffix}", packed, **reading) == texts


@given(
    st.sampled_from(["jsonl", "json", "csv", "txt", "md", "xml"]), st.sampled_from(["plain", "gzip", "zstd"])
)
def test_how_a_file_is_packed_is_seen_in_its_bytes_not_in_its_name(ending: str, packing: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        whole = wholes(folder)[ending]
        data = {"plain": bytes, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}[packing](
            whole
        )
        found = []
        for name in ("a", "b.gz", "c.zst", "d.ZSTD"):
            stem, suffix = os.path.splitext(name)
            path = folder / f"{stem}.{ending}{suffix}"
            path.write_bytes(data)
            found.append(list(read_records(list_files(str(path))[0], Reading())))
        assert all(items == found[0] for items in found) and isinstance(found[0][0], Record)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.txt.zst"])
def test_an_empty_file_is_empty_whatever_its_name(read: Read, name: str) -> None:
    assert read(name, b"") == [(-1, "empty_file")]


def test_formats_by_name(read: Read) -> None:
    assert [format_of(name) for name in ("s3://a/b.JSONL.zst", "a.ndjson", "x/42-3141.05.xml", "a.tar.gz", "README", ".gz", "a.md.gz", "a.pq")] == [
        "jsonl", "jsonl", "xml", None, None, None, "markdown", "parquet",
    ]  # fmt: skip
    assert read("README", "text") == [(-1, "unknown_format")]
    assert read("README", "text", format="text") == ["text"]
    assert read("a.jsonl", ONE, format="text") == [ONE]


# ── every file at once ──


def wholes(folder: Path) -> dict[str, bytes]:
    """A file of each format, as it should be."""
    texts = [f"record {i}" for i in range(5)]
    pq.write_table(pa.table({"text": texts}), folder / "whole", row_group_size=2)
    return {
        "jsonl": "\n".join(map(line, texts)).encode(),
        "json": json.dumps([{"text": text} for text in texts], indent=1).encode(),
        "csv": ("text,n\n" + "".join(f'"{text}",1\n' for text in texts)).encode(),
        "xml": ("<r>" + "".join(f"<text>{text}</text>" for text in texts) + "</r>").encode(),
        "md": b"---\ntitle: T\n---\nbody\n",
        "txt": b"words\n\nwords",
        "parquet": (folder / "whole").read_bytes(),
    }


DAMAGE = [
    b"\xff\xfe",
    b"\0" * 50,
    b'"',
    b"{",
    b"]}",
    b"<",
    b"&",
    b"<!--",
    b"\\ud800",
    b"[" * 3000,
    b"\r",
    b"'",
    b"<text>",
    b": - :",
    b"9" * 5000,
]


def malformed_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    noise = random.Random(2)
    for ending, whole in wholes(folder).items():
        for i, piece in enumerate(DAMAGE):
            place = len(whole) // 2
            yield f"broken{i}.{ending}", whole[:place] + piece + whole[place:]
        for i in range(0, len(whole), max(1, len(whole) // 8)):
            yield f"cut{i}.{ending}", whole[:i]
            yield f"cut{i}.{ending}.gz", gzip.compress(whole)[: i + 12]
            yield f"cut{i}.{ending}.zst", zstandard.ZstdCompressor().compress(whole)[: i // 2 + 5]
        for i in range(4):
            yield f"noise{i}.{ending}", noise.randbytes(noise.randrange(3000))
    yield "LICENSE", b"of no known format"


def test_hundreds_of_malformed_files_stop_nothing_and_take_nothing_along(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    files = dict(malformed_files(tmp_path))
    assert len(files) > 200
    good = {f"good{i}.jsonl": line(f"good {i}").encode() for i in range(20)}
    for name, data in (files | good).items():
        (folder / name).write_bytes(data)
    found = {Path(ref.path).name: list(read_records(ref, Reading())) for ref in list_files(str(folder))}
    assert found.keys() == files.keys() | good.keys()
    assert all(items for items in found.values()), "every file leaves a record or a reject"
    for i in range(20):
        assert found[f"good{i}.jsonl"] == [Record(0, f"good {i}")]
    damaged = [name for name, items in found.items() if any(isinstance(item, Reject) for item in items)]
    reasons = {item.reason for items in found.values() for item in items if isinstance(item, Reject)}
    assert len(damaged) > 200
    assert reasons <= set(REASONS)
    assert len(reasons) > 12


FORMATS = ["jsonl", "json", "csv", "text", "markdown", "xml", "parquet"]


@settings(max_examples=300)
@given(
    st.sampled_from(FORMATS),
    st.binary(max_size=400) | st.text("{}[]\",:\\\n\r\t<>/&;!-= 'stex1?", max_size=400).map(str.encode),
    st.sampled_from(["", ".gz", ".zst"]),
    st.booleans(),
)
def test_nothing_in_a_file_can_raise(
    items_of: ItemsOf, tmp_path_factory: Any, kind: str, data: bytes, packing: str, lines: bool
) -> None:
    packed = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}[packing](data)
    reading = {
        "format": kind,
        "text_field": "s" if kind == "xml" else "text",
        "max_record_bytes": 200,
        "split": "blank_lines" if lines else "file",
    }
    items = items_of(tmp_path_factory.mktemp("any") / f"a.x{packing}", packed, **reading)
    assert items
    for item in items:
        if isinstance(item, Record):
            assert item.text.strip()
            assert len(item.text.encode()) <= 200


@settings(max_examples=150)
@given(st.sampled_from(["jsonl", "json", "csv", "xml"]), st.data())
def test_one_flipped_byte_costs_at_most_two_records(
    items_of: ItemsOf, tmp_path_factory: Any, kind: str, data: Any
) -> None:
    """The record it is in, and, where it removes the boundary, the one beside it; nothing else changes."""
    texts = [f"record number {i} of {chr(97 + i)}" for i in range(20)]  # no byte makes one of them another
    whole = {
        "jsonl": "\n".join(map(line, texts)),
        "json": "[" + ",\n".join(map(line, texts)) + "]",
        "csv": "text,n\n" + "".join(f'"{text}",1\n' for text in texts),
        "xml": "<r>" + "\n".join(f"<s>{text}</s>" for text in texts) + "</r>",
    }[kind].encode()
    first = {"json": 1, "csv": 7, "xml": 3}.get(kind, 0)  # not the header or the root
    place, byte = data.draw(st.integers(first, len(whole) - 6)), data.draw(st.integers(0, 255))
    items = items_of(
        tmp_path_factory.mktemp("flip") / f"a.{kind}",
        whole[:place] + bytes([byte]) + whole[place + 1 :],
        text_field="s" if kind == "xml" else "text",
    )
    kept = [item.text for item in items if isinstance(item, Record) and item.text in texts]
    assert len(kept) >= 18
    assert kept == sorted(kept, key=texts.index)


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "jsonl.zst", "json", "csv", "xml", "txt"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, ending: str) -> None:
    noise = random.Random(5)
    texts = [noise.randbytes(900).hex() for _ in range(10_000)]
    make: dict[str, tuple[str, Callable[[str], str], str, dict[str, Any]]] = {
        "json": ("[", lambda text: line(text) + ",\n", "]", {}),
        "csv": ("text,n\n", lambda text: f'"{text}\n{text}",1\n', "", {}),
        "xml": ("<r>", lambda text: f"<s><p>{text}</p></s>\n", "</r>", {"text_field": "s"}),
        "txt": ("", lambda text: text + "\n\n", "", {"split": "blank_lines"}),
    }
    head, body, tail, reading = make.get(ending, ("", lambda text: line(text) + "\n", "", {}))
    data = (head + "".join(map(body, texts)) + tail).encode()
    pack: dict[str, Callable[[bytes], bytes]] = {
        "gz": lambda data: gzip.compress(data, 1),
        "zst": zstandard.ZstdCompressor().compress,
    }
    path = tmp_path / f"a.{ending}"
    path.write_bytes(pack.get(ending.rpartition(".")[2], bytes)(data))
    size = len(data)
    del data, texts
    [ref] = list_files(str(path))
    tracemalloc.start()
    try:
        count = sum(isinstance(item, Record) for item in read_records(ref, Reading(**reading)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 10_000
    assert size > 18_000_000
    assert peak < 6_000_000


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_bomb_is_unpacked_a_little_at_a_time(tmp_path: Path, kind: str) -> None:
    data = (line("x" * 1000) + "\n").encode() * 20_000
    path = tmp_path / f"a.jsonl.{kind}"
    path.write_bytes(gzip.compress(data) if kind == "gz" else zstandard.ZstdCompressor().compress(data))
    [ref] = list_files(str(path))
    del data
    tracemalloc.start()
    try:
        assert sum(isinstance(item, Record) for item in read_records(ref, Reading())) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("ending", "reading"),
    [("jsonl", {}), ("json", {}), ("csv", {}), ("xml", {"text_field": "s"}), ("txt", {"split": "blank_lines"}), ("txt", {}), ("md", {})],
)  # fmt: skip
def test_a_line_of_50_mb_is_one_reject_in_bounded_memory(
    tmp_path: Path, ending: str, reading: dict[str, Any]
) -> None:
    long = "x" * 50_000_000
    data = {
        "jsonl": f'{ONE}\n{{"text": "{long}"}}\n{TWO}\n', "json": f'[{ONE}, {{"text": "{long}"}}, {TWO}]', "csv": f"text\none\n{long}\ntwo\n",
        "xml": XML.format(f"<s>{long}</s>"), "txt": f"one\n\n{long}\n\ntwo\n", "md": long,
    }[ending]  # fmt: skip
    path = tmp_path / f"a.{ending}"
    path.write_text(data)
    del data, long
    tracemalloc.start()
    try:
        found = [
            item.text if isinstance(item, Record) else item.reason
            for item in read_records(list_files(str(path))[0], Reading(max_record_bytes="1M", **reading))
        ]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    whole = ending == "md" or (ending == "txt" and not reading)
    assert found == (["record_too_long"] if whole else ["one", "record_too_long", "two"])
    assert peak < 12_000_000
