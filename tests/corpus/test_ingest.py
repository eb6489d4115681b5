"""Ingest: ids hang on content alone; what is read once is not read again; every record is a document or a reject."""

from __future__ import annotations

import gzip
import json
import os
import random
import tempfile
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import ingest as module
from corpus.catalog import Source
from corpus.errors import ConfigError, SourceError
from corpus.facts import file_names, read_facts
from corpus.files import FileRef
from corpus.fingerprint import hash_bytes
from corpus.ingest import (
    Files,
    content_hash,
    content_order,
    doc_id,
    group,
    in_sample,
    ingest,
    scan,
)
from corpus.lake import Lake, Manifest
from corpus.records import Format
from corpus.schema import DOCUMENTS
from corpus.sql import run_query

Texts = dict[str, list[str]]  # file name → its documents


def write(folder: Path, files: Texts) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, texts in files.items():
        (folder / name).write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


def read(lake: Lake, folder: Path, workers: int = 1, sample: float = 1.0, **keys: Any) -> Manifest:
    source = Source.model_validate({"path": str(folder), "role": "domain", **keys})
    return ingest(lake, {"s": (source, scan(lake, {"s": source}, "/")["s"])}, workers, sample)["s"]


def rows(lake: Lake, manifest: Manifest) -> list[dict[str, Any]]:
    return [row for part in manifest.parts("documents") for row in lake.read_part(part).to_pylist()]


def rejects(lake: Lake, manifest: Manifest) -> list[tuple[int, str]]:
    found = [row for part in manifest.parts("rejects") for row in lake.read_part(part).to_pylist()]
    return [(row["position"], row["reason"]) for row in found]


def mtimes(lake: Lake) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in lake.root.rglob("*.parquet")}


def some_files(count: int = 12, seed: int = 0) -> Texts:
    draw = random.Random(seed)
    return {
        f"{number}.jsonl": [
            f"text {number} {i} " + "x" * draw.randrange(80) for i in range(draw.randrange(1, 4))
        ]
        for number in range(count)
    }


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(tmp_path / "lake")


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a hundred bytes come in several groups, as files of megabytes do."""
    monkeypatch.setattr(module, "MEAN_GROUP", 400)
    monkeypatch.setattr(module, "MAX_GROUP", 800)


# ── identity ──


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
    assert made.id == "93d33b49cfe43d4b5108093256d5f898"
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


# ── what is read again ──


def test_appending_a_file_disturbs_only_the_unit_it_falls_in(
    lake: Lake, tmp_path: Path, small_groups: None
) -> None:
    write(tmp_path / "d", some_files(30))
    before = read(lake, tmp_path / "d")
    old_rows, old_mtimes = {row["doc_id"]: row for row in rows(lake, before)}, mtimes(lake)
    for number in range(5):
        write(tmp_path / "d", {f"new{number}.jsonl": [f"appended {number}"]})
        after = read(lake, tmp_path / "d")
        new_rows = {row["doc_id"]: row for row in rows(lake, after)}
        assert old_rows.items() <= new_rows.items() and len(new_rows) == len(old_rows) + 1
        keys, kept = ({part.key for part in manifest.parts("documents")} for manifest in (before, after))
        assert (
            len(keys - kept) <= 2 and len(kept - keys) <= 3
        )  # the group it fell in, cut in two where its hash says so
        assert len(keys) > 8
        now = mtimes(lake)
        assert all(now[path] == old_mtimes[path] for path in old_mtimes)
        before, old_rows, old_mtimes = after, new_rows, now


def test_a_rename_reads_nothing_and_changes_the_files_fact_only(lake: Lake, tmp_path: Path) -> None:
    write(tmp_path / "d", {"a.jsonl": ["hello"], "z.jsonl": ["world"]})
    made = read(lake, tmp_path / "d")
    stamps = mtimes(lake)
    hash = next(hash for (hash, _), name in file_names(lake, "s").items() if name.endswith("a.jsonl"))
    for old, new in (("a", "b"), ("b", "a"), ("a", "b")):
        os.rename(tmp_path / "d" / f"{old}.jsonl", tmp_path / "d" / f"{new}.jsonl")
        assert read(lake, tmp_path / "d") == made and mtimes(lake) == stamps
        assert file_names(lake, "s")[hash, 0] == str(tmp_path / "d" / f"{new}.jsonl")
        shown = run_query(lake, f"SELECT file FROM all_files WHERE file_hash = '{hash}'").table
        assert shown.to_pylist() == [{"file": str(tmp_path / "d" / f"{new}.jsonl")}]
    assert len(read_facts(lake, "sources")) == 1


def test_an_appended_file_adds_its_name_and_repeats_none(lake: Lake, tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / "d", {f"{number}.jsonl": [f"text {number}"]})
        read(lake, tmp_path / "d")
        assert len(read_facts(lake, "files")) == number + 1
    assert run_query(lake, "SELECT count(*) AS n FROM all_files").table.to_pylist() == [{"n": 6}]


def test_another_role_is_a_fact_not_another_reading(lake: Lake, tmp_path: Path) -> None:
    write(tmp_path / "d", {"a.jsonl": ["hello"]})
    for role in ("domain", "general", "domain"):
        made = read(lake, tmp_path / "d", role=role)
        assert read_facts(lake, "sources")[-1]["role"] == role
    assert len(lake.artifacts("documents")) == 1 and made.summary == {
        "files": 1,
        "sampled_out": 0,
        "bytes": 5,
    }


# ── everything read is a row ──


def test_every_record_is_a_document_or_a_reject(lake: Lake, tmp_path: Path) -> None:
    lines = ['{"text": "one"}', "not json", '{"text": 5}', '{"text": ""}', '{"other": 1}', '{"text": "six"}']
    write(tmp_path / "d", {"a.jsonl": []})
    (tmp_path / "d" / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "d" / "b.jsonl").write_text("")
    (tmp_path / "d" / "c.bin").write_bytes(b"\0")
    whole = gzip.compress(
        b'{"text": "kept"}\n' * 3 + b'{"text": "' + random.Random(0).randbytes(4000).hex().encode() + b'"}'
    )
    (tmp_path / "d" / "d.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    made = read(lake, tmp_path / "d")
    assert sorted(row["text"] for row in rows(lake, made)) == ["kept"] * 3 + ["one", "six"]
    assert sorted(rejects(lake, made)) == [
        (-1, "empty_file"), (-1, "unknown_format"), (1, "invalid_json"), (2, "wrong_type"), (3, "empty_text"), (3, "truncated_file"), (4, "missing_text"),
    ]  # fmt: skip
    assert made.summary == {"files": 4, "sampled_out": 0, "bytes": 3 * 4 + 6}
    assert made.rows("documents") + made.rows("rejects") == 12


def test_parts_are_cut_by_text_and_by_rows_and_hold_all_in_order(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{i:03} " + "x" * (i % 7 * 10) for i in range(100)]
    write(tmp_path / "d", {"a.jsonl": texts})
    monkeypatch.setattr(module, "CUT_BYTES", 150)
    monkeypatch.setattr(module, "CUT_ROWS", 4)
    made = read(lake, tmp_path / "d")
    sizes = [
        [row["num_bytes"] for row in lake.read_part(part, ["num_bytes"]).to_pylist()]
        for part in made.parts("documents")
    ]
    assert all(len(part) <= 4 and (sum(part) <= 150 or len(part) == 1) for part in sizes)
    assert any(len(part) == 4 for part in sizes) and any(len(part) < 4 for part in sizes[:-1])
    assert [row["text"] for row in rows(lake, made)] == texts and [
        row["record"] for row in rows(lake, made)
    ] == [*range(100)]


def test_the_text_of_other_fields_cuts_a_part_too(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [json.dumps({"text": f"short {i}", "id": "é" * 30, "html": "x" * 100}) for i in range(20)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    monkeypatch.setattr(module, "CUT_BYTES", 500)
    made = read(lake, tmp_path / "a.jsonl", id_field="id")
    assert [part.rows for part in made.parts("documents")] == [2] * 10
    assert made.summary["bytes"] == sum(len(f"short {i}") for i in range(20))


def test_rejects_are_cut_too(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.jsonl").write_text("broken\n" * 50)
    monkeypatch.setattr(module, "CUT_ROWS", 20)
    made = read(lake, tmp_path / "d")
    assert [part.rows for part in made.parts("rejects")] == [20, 20, 10] and made.parts("documents") == ()
    assert rejects(lake, made) == [(i, "invalid_json") for i in range(50)]


def test_fields_of_its_own_are_kept(lake: Lake, tmp_path: Path) -> None:
    record = {
        "text": "hello",
        "case": 7,
        "link": "http://x.org",
        "decided": "2019-05-02",
        "court": {"name": "ü", "level": 2},
    }
    (tmp_path / "a.jsonl").write_text(json.dumps(record))
    made = read(lake, tmp_path / "a.jsonl", id_field="case", url_field="link", date_field="decided")
    [part] = made.parts("documents")
    table = lake.read_part(part)
    assert table.schema.equals(DOCUMENTS)
    row = table.to_pylist()[0]
    assert (row["own_id"], row["url"], str(row["date"])) == ("7", "http://x.org", "2019-05-02 00:00:00")
    assert row["metadata"] == '{"court": {"level": 2, "name": "ü"}}'


# ── odd sources ──


def test_an_empty_folder_is_a_source_of_nothing(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    made = read(lake, tmp_path / "d")
    assert made.rows("documents") == made.rows("rejects") == 0 and made.summary["files"] == 0
    assert read(lake, tmp_path / "d") == made


def test_links_that_lead_nowhere_are_told_and_change_nothing(lake: Lake, tmp_path: Path) -> None:
    write(tmp_path / "d", {"a.jsonl": ["one"]})
    sources = {name: Source.model_validate({"path": name, "role": "domain"}) for name in ("d", "d/*.jsonl")}
    told: list[str] = []
    before = scan(lake, sources, str(tmp_path), told.append)
    assert told == []
    for name in ("c", "b.jsonl", "e.txt"):
        (tmp_path / "d" / name).symlink_to(tmp_path / "nowhere")
    (tmp_path / "d" / "f.jsonl").symlink_to(tmp_path / "d" / "f.jsonl")
    os.mkfifo(tmp_path / "d" / "pipe.jsonl")
    assert scan(lake, sources, str(tmp_path), told.append) == before
    first, second = told
    assert "'d'" in first and "4 links" in first and str(tmp_path / "d" / "b.jsonl") in first
    assert "'d/*.jsonl'" in second and "2 links" in second and str(tmp_path / "d" / "b.jsonl") in second


def test_one_document_is_a_source(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("all there is")
    assert [row["text"] for row in rows(lake, read(lake, tmp_path / "a.txt"))] == ["all there is"]


def test_a_source_that_is_not_there_is_an_error_before_any_work(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="matches no file"):
        read(lake, tmp_path / "missing")
    assert lake.artifacts("documents") == [] and not (lake.root / "tasks").exists()


def test_every_source_is_looked_for_before_the_first_is_hashed(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "d", {"a.jsonl": ["one"]})
    monkeypatch.setattr(module.HashCache, "hash_of", lambda cache, ref: pytest.fail("hashed"))
    sources = {name: Source.model_validate({"path": name, "role": "domain"}) for name in ("d", "missing")}
    with pytest.raises(ConfigError, match="matches no file"):
        scan(lake, sources, str(tmp_path))


@pytest.mark.parametrize("path", [".", "**/*.jsonl"])
def test_the_lake_is_no_source_of_itself(tmp_path: Path, path: str) -> None:
    write(tmp_path, {"a.jsonl": ["one"]})
    lake = Lake.open(tmp_path / "lake")
    write(lake.root, {"b.jsonl": ["two"]})
    assert len({read(lake, tmp_path / path).id for _ in range(3)}) == 1
    assert [row["text"] for row in rows(lake, read(lake, tmp_path / path))] == ["one"]


def test_a_name_that_is_not_utf_8_is_shown_as_its_bytes(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/d/caf\xe9.jsonl")).write_text('{"text": "one"}')
    made = read(lake, tmp_path / "d")
    assert [row["text"] for row in rows(lake, made)] == ["one"] and read(lake, tmp_path / "d") == made
    assert run_query(lake, "SELECT file FROM all_files").table.to_pylist() == [
        {"file": f"{tmp_path}/d/caf\\xe9.jsonl"}
    ]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_changes_after_it_was_listed_is_an_error(
    lake: Lake, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SMALL_BYTES", 0)
    write(tmp_path / "d", {"a.jsonl": ["one"]})
    big = "x" * 100
    source = Source.model_validate({"path": str(tmp_path / "d"), "role": "domain"})
    files = scan(lake, {"s": source}, "/")["s"]
    write(tmp_path / "d", {"a.jsonl": ["one", big]})
    with pytest.raises(SourceError, match=r"a\.jsonl changed while it was read"):
        ingest(lake, {"s": (source, files), "t": (source, files)}, workers)
    assert lake.artifacts("documents") == []


def test_a_record_number_that_comes_twice_is_fatal(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "d", {"a.jsonl": ["one"]})
    monkeypatch.setattr(
        module, "read_records", lambda ref, reading: iter([module.Record(0, "a"), module.Record(0, "b")])
    )
    with pytest.raises(AssertionError, match="a doc_id twice"):
        read(lake, tmp_path / "d")


# ── samples ──


def test_samples_of_growing_shares_contain_each_other_and_hang_on_content_only(
    lake: Lake, tmp_path: Path
) -> None:
    write(tmp_path / "d", {"a.jsonl": [f"text {i}" for i in range(400)]})
    write(tmp_path / "e", {"z.jsonl": [f" text  {i} " for i in range(399, -1, -1)]})
    shares = (0.05, 0.2, 0.5, 1.0)
    kept = [
        {row["content_hash"] for row in rows(lake, read(lake, tmp_path / "d", sample=share))}
        for share in shares
    ]
    assert all(small < large for small, large in pairwise(kept))
    assert all(abs(len(found) / 400 - share) < 0.08 for found, share in zip(kept, shares, strict=True))
    made = read(lake, tmp_path / "e", sample=0.2)
    assert {row["content_hash"] for row in rows(lake, made)} == kept[1]
    assert made.summary["sampled_out"] + made.rows("documents") == 400


def test_the_whole_is_in_the_sample_of_everything() -> None:
    assert all(in_sample(f"{i:032x}", 1.0) for i in range(100)) and not any(
        in_sample(f"{i:032x}", 0.0) for i in range(100)
    )


# ── groups ──

SIZES = st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 2**128 - 1)), max_size=60)


def listed(files: list[tuple[int, int]]) -> Files:
    return content_order(
        (FileRef(f"/{i}", False, size, ""), f"{hash:032x}", None) for i, (size, hash) in enumerate(files)
    )


@given(SIZES, st.integers(0, 1500), st.integers(0, 2**128 - 1))
def test_groups_hold_every_file_once_in_order_and_stay_small(
    files: list[tuple[int, int]], size: int, hash: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MEAN_GROUP", 1000)
        patch.setattr(module, "MAX_GROUP", 2000)
        patch.setattr(module, "MAX_GROUP_FILES", 8)
        units = group(listed(files))
        assert {entry for unit in units for entry in unit.files} == set(listed(files))
        assert sum(len(unit.files) for unit in units) == len(files)
        assert all(
            [file.hash for file in unit.files] == sorted(file.hash for file in unit.files) for unit in units
        )
        for unit in units:
            assert 1 <= len(unit.files) <= 8 and (unit.bytes <= 2000 or len(unit.files) == 1)
        keys = {unit.key({}) for unit in units}
        after = {unit.key({}) for unit in group(listed([*files, (size, hash)]))}
        assert len(keys) == len(units) and len(after - keys) >= 1


def test_mean_group_size_does_not_hang_on_the_size_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    for size in (40_000, 400_000, 4_000_000):
        files = [(size, draw.getrandbits(128)) for _ in range(40 * module.MEAN_GROUP // size)]
        mean = sum(size for size, _ in files) / len(group(listed(files)))
        assert 0.5 < mean / module.MEAN_GROUP < 1.3
