"""Ids hang on content alone: names, order, place and number of workers change none."""

from __future__ import annotations

import gzip
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import ingest as module
from corpus.files import FileRef
from corpus.fingerprint import hash_bytes
from corpus.ingest import (
    content_hash,
    content_order,
    doc_id,
)
from corpus.lake import Lake
from corpus.records import Format
from corpus.sql import run_query
from tests.corpus.reading import read, rejects, rows, some_files, write

PACKED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


# endings among which a rename changes nothing: without a declared format, and with one
SAME: dict[str | None, list[str]] = {
    None: [".jsonl", ".ndjson", ".JSONL", ".jsonl.gz", ".jsonl.zst"], "jsonl": [".jsonl", ".txt", ".dat", ".gz", ".xml.zst", "", ".parquet"],
}  # fmt: skip


@settings(max_examples=25)
@given(st.permutations(range(8)), st.integers(0, 3), st.sampled_from([None, "jsonl"]), st.data())
def test_names_and_order_of_files_change_nothing(
    order: list[int], folders: int, format: str | None, data: st.DataObject
) -> None:
    files = list(some_files(8).values())
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MEAN_GROUP", 400)
        made = []
        for name, texts in (("plain", files), ("shuffled", [files[i] for i in order])):
            for number, found in enumerate(texts):
                deeper = f"sub{number % folders}" if folders and name == "shuffled" else ""
                ending = data.draw(st.sampled_from(SAME[format])) if name == "shuffled" else ".jsonl"
                write(Path(temporary, name, deeper), {f"{name}{number}{ending}": found})
            lake = Lake.open(Path(temporary, f"lake of {name}"))
            made.append(read(lake, Path(temporary, name), format=format))
        assert made[0] == made[1] and len({part.key for part in made[0].parts("documents")}) > 1


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["", ".gz", ".zst"])), min_size=1, max_size=4),
    st.data(),
)
def test_one_id_is_one_content_whatever_the_files_are_called(
    files: list[tuple[int, str]], data: st.DataObject
) -> None:
    """A lake that saw the files under other names first holds the same under an id as one that did not."""
    endings = st.lists(
        st.sampled_from([".jsonl", ".txt", ".md", ".csv", ".dat", ".txt.gz", ".csv.zst"]),
        min_size=len(files),
        max_size=len(files),
    )
    with tempfile.TemporaryDirectory() as temporary:
        old, folder = Lake.open(Path(temporary, "old")), Path(temporary, "d")
        for turn, names in enumerate((data.draw(endings), data.draw(endings))):
            folder.mkdir()
            for number, ((text, packing), ending) in enumerate(zip(files, names, strict=True)):
                content = f'text\n{{"text": "record {text}"}}\n'.encode()
                (folder / f"{number}{ending}").write_bytes(PACKED[packing](content))
            new = Lake.open(Path(temporary, f"new{turn}"))
            one, two = read(old, folder), read(new, folder)
            assert one == two and rows(old, one) == rows(new, two) and rejects(old, one) == rejects(new, two)
            assert len({row["doc_id"] for row in rows(old, one)}) == one.rows("documents")
            folder.rename(folder.with_name(f"done{turn}"))


def test_an_ending_that_says_another_format_is_another_reading(lake: Lake, tmp_path: Path) -> None:
    write(tmp_path / "d", {"a.dat": ["hello"]})
    assert rejects(lake, read(lake, tmp_path / "d")) == [(-1, "unknown_format")]
    for ending, found in ((".jsonl", "hello"), (".txt", '{"text": "hello"}\n'), (".jsonl", "hello")):
        [path] = (tmp_path / "d").iterdir()
        path.rename(path.with_suffix(ending))
        assert [row["text"] for row in rows(lake, read(lake, tmp_path / "d"))] == [found]
    assert len(lake.artifacts("documents")) == 3


def test_two_lakes_and_any_number_of_workers_agree_to_the_byte(
    tmp_path: Path, small_groups: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SMALL_BYTES", 0)
    write(tmp_path / "data", some_files(20))
    lakes = [Lake.open(tmp_path / "one"), Lake.open(tmp_path / "far" / "two")]
    made = [read(lake, tmp_path / "data", workers) for lake, workers in zip(lakes, (1, 2), strict=True)]
    assert made[0] == made[1] and len(made[0].parts("documents")) > 3
    for part in made[0].parts("documents"):
        assert lakes[0].path_of(part).read_bytes() == lakes[1].path_of(part).read_bytes()


def test_a_source_s_name_and_reading_are_identity_and_its_place_and_role_are_not(
    lake: Lake, tmp_path: Path
) -> None:
    write(tmp_path / "a", {"1.jsonl": ["hello"]})
    write(tmp_path / "b", {"2.jsonl": ["hello"]})
    same = [
        read(lake, tmp_path / "a").id,
        read(lake, tmp_path / "b", role="general", topic="t", license="MIT", curated=True).id,
    ]
    other = [
        read(lake, tmp_path / "a", text_field="other").id, read(lake, tmp_path / "a", id_field="id").id,
        read(lake, tmp_path / "a", sample=0.5).id,
    ]  # fmt: skip
    assert len(set(same)) == 1 and len({*same, *other}) == 4


def test_byte_identical_files_are_all_there(lake: Lake, tmp_path: Path) -> None:
    write(tmp_path / "d", {f"{name}.jsonl": ["twin", "other"] for name in "abc"})
    manifest = read(lake, tmp_path / "d")
    found = rows(lake, manifest)
    assert (
        len(found) == 6 == len({row["doc_id"] for row in found})
        and len({row["content_hash"] for row in found}) == 2
    )
    assert sorted({row["occurrence"] for row in found}) == [0, 1, 2]
    one = {row["doc_id"] for row in found if row["occurrence"] == 0}
    (tmp_path / "d" / "b.jsonl").unlink()
    assert one < {row["doc_id"] for row in rows(lake, read(lake, tmp_path / "d"))}


def test_ids_are_what_they_are_documented_to_be(lake: Lake, tmp_path: Path) -> None:
    write(tmp_path / "d", {"a.jsonl": ["é  one", "two"]})
    file_hash = hash_bytes((tmp_path / "d" / "a.jsonl").read_bytes())
    first, second = rows(lake, read(lake, tmp_path / "d"))
    assert (first["file_hash"], first["doc_id"], second["doc_id"]) == (
        file_hash,
        doc_id("s", file_hash, 0, 0),
        doc_id("s", file_hash, 0, 1),
    )
    assert first["content_hash"] == content_hash("é one") and first["num_bytes"] == len("é  one".encode())


def test_a_copy_that_is_read_otherwise_changes_no_id(lake: Lake, tmp_path: Path) -> None:
    write(tmp_path / "d", {"z.jsonl": ["one"], "y.jsonl": ["one"]})
    before = rows(lake, read(lake, tmp_path / "d"))
    assert [row["occurrence"] for row in before] == [0, 1]
    for ending in ("csv", "json", "txt", "dat", "xml", "md", "parquet"):
        write(tmp_path / "d", {f"a.{ending}": ["one"]})
        after = rows(lake, read(lake, tmp_path / "d"))
        assert len({row["doc_id"] for row in after}) == len(after)
        assert all(row in after for row in before)
        before = after
    assert run_query(lake, "SELECT count(*) AS n FROM all_files").table.to_pylist() == [{"n": 9}]


ENDINGS = st.sampled_from(["", *get_args(Format)])


@given(st.lists(st.tuples(st.integers(0, 2), ENDINGS), min_size=1, max_size=9), st.booleans(), st.data())
def test_appending_a_file_numbers_no_other_anew(
    found: list[tuple[int, str]], declared: bool, data: st.DataObject
) -> None:
    files = [
        (FileRef(f"/{name}", False, 1, ""), f"{hash:032x}", None if declared else ending)
        for name, (hash, ending) in zip(data.draw(st.permutations(range(len(found)))), found, strict=True)
    ]
    before, after = content_order(files[1:]), content_order(files)
    numbers = {(file.hash, file.occurrence): file.ending for file in after}
    assert len(numbers) == len(after)
    assert {(file.hash, file.occurrence): file.ending for file in before}.items() <= numbers.items()


def test_what_unicode_says_of_texts_is_identity(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "d", {"a.jsonl": ["hello"]})
    made = read(lake, tmp_path / "d")
    monkeypatch.setattr(unicodedata, "unidata_version", "99.0.0")
    assert read(lake, tmp_path / "d").id != made.id


def test_ids_of_yesterday_are_ids_of_today(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails, every lake is read anew: raise `ingest.VERSION` or `EXTRACTION_VERSION`, and write the new ids here."""
    monkeypatch.setattr(unicodedata, "unidata_version", "14.0.0")
    (tmp_path / "a.jsonl").write_text(
        '{"text": "é  one\\r\\ntwo", "id": 5}\nbroken\n{"text": "b", "date": "2019-05-02"}\n'
    )
    made = read(lake, tmp_path / "a.jsonl", id_field="id", date_field="date")
    assert made.id == "9b44dd31a4560786faef77d9c3f15ad3"
    assert [part.rows_hash for name in ("documents", "rejects") for part in made.parts(name)] == [
        "bbd47c0264812653b06449b1d2e14a10",
        "4529e558022d23b5a5333ee254b7fc8e",
    ]


@given(st.text(max_size=20), st.text(" \n\t\u00a0", max_size=3))
def test_content_hash_does_not_see_white_space_or_composition(text: str, space: str) -> None:
    hash = content_hash(text)
    assert hash == content_hash(space + text + space) == content_hash(unicodedata.normalize("NFD", text))
    assert hash == content_hash("  ".join(text.split(" ")))


def test_content_hash_sees_what_is_said() -> None:
    assert len({content_hash(text) for text in ("a b", "ab", "a B", "a b.", "", "ﬁ", "fi")}) == 7
