"""Ingest: what is read once is not read again; every record is a document or a reject."""

from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path

import pytest

from corpus import ingest as module
from corpus.catalog import Source
from corpus.errors import ConfigError, SourceError
from corpus.facts import file_names, read_facts
from corpus.ingest import (
    ingest,
    scan,
)
from corpus.lake import Lake
from corpus.schema import DOCUMENTS
from corpus.sql import run_query
from tests.corpus.reading import mtimes, read, rejects, rows, some_files, write


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
