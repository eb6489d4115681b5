"""catalog.duckdb: any DuckDB client may open it, at any time, while runs write."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus import names, process
from corpus.facts import read_facts, write_facts
from corpus.lake import Lake, Manifest
from corpus.schema import DATASETS
from corpus.sql import run_query
from corpus.sql_catalog import follow_move, is_catalog_moved, write_catalog
from quality.measure import measure
from quality.pii import Pii
from tests.corpus.lakes import SECRETS, attach, read_sources, write_sources

CLIENT = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("CREATE TABLE mine AS SELECT 1 AS a")
print(len(connection.sql("FROM erased").fetchall()), flush=True)
sys.stdin.readline()
connection.execute("INSERT INTO mine VALUES (2)")
print(len(connection.sql("FROM erased").fetchall()), len(connection.sql("FROM mine").fetchall()), flush=True)
sys.stdin.readline()
"""


def erase(lake: Lake, number: int) -> None:
    """Something that the catalog shows changes."""
    write_facts(lake, "erased", [{"doc_id": f"{number:032x}", "reason": "test"}])


def ask(lake: Lake, query: str) -> list[tuple[Any, ...]]:
    with closing(duckdb.connect(str(lake.root / "catalog.duckdb"), read_only=True)) as connection:
        rows: list[tuple[Any, ...]] = connection.sql(query).fetchall()
        return rows


def catalogs(lake: Lake) -> set[str]:
    return {path.name for path in (lake.root / ".catalog").iterdir() if path.suffix == ".duckdb"}


# ── the file ──


def test_it_is_a_link_to_a_file_of_views_that_older_clients_read(lake: Lake) -> None:
    target = write_catalog(lake)
    link = lake.root / "catalog.duckdb"
    assert link.is_symlink() and not os.path.isabs(os.readlink(link)) and link.resolve() == target
    header = target.read_bytes()[:24]
    assert (
        header[8:12] == b"DUCK" and int.from_bytes(header[12:20], "little") == 64
    )  # the storage of DuckDB 0.9 to 1.1
    assert ask(lake, "SELECT count(*) FROM duckdb_tables()") == [(0,)]
    assert ask(lake, "SELECT count(*) FROM duckdb_views() WHERE NOT internal AND view_name LIKE '%raw%'") == [
        (0,)
    ]
    assert ("documents",) in ask(lake, "SHOW TABLES")


def test_it_attaches_under_any_name(lake: Lake) -> None:
    erase(lake, 1)
    write_catalog(lake)
    with closing(duckdb.connect()) as connection:
        connection.execute(f"ATTACH '{lake.root}/catalog.duckdb' AS other (READ_ONLY)")
        assert len(connection.sql("FROM other.erased").fetchall()) == 1
        assert connection.sql("FROM other.documents").fetchall() == []


def test_the_same_lake_is_the_same_file(lake: Lake) -> None:
    first = write_catalog(lake)
    stamp = first.stat().st_mtime_ns
    assert write_catalog(lake) == first and first.stat().st_mtime_ns == stamp and len(catalogs(lake)) == 1
    erase(lake, 1)
    assert write_catalog(lake) != first and len(catalogs(lake)) == 2


@pytest.mark.parametrize(
    "name",
    [
        "it's",
        "a [b] *",
        "what?",
        "ünï cødé",
        'double " quote',
        "source=evil",
        "text=x",
        "doc_id=7",
        "part=-1",
        "{} ${x} %s %41 ~",
        "a\nb; --",
    ],
)
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    lake = Lake.open(tmp_path / name / "lake")
    documents = read_sources(lake, write_sources(tmp_path / "data"), tmp_path / "data")
    measure(lake, documents, [Pii()], workers=1)
    attach(lake, names.claim(lake, "one", "0" * 32, {}), documents["acts"])
    write_catalog(lake)
    assert ask(lake, "SELECT count(text) FROM documents") == [(30,)]
    assert not any(secret in str(ask(lake, "FROM documents")) for secret in SECRETS)
    for query in (
        "SELECT doc_id, source, text FROM documents ORDER BY doc_id",
        "FROM all_rejects ORDER BY ALL",
    ):
        assert ask(lake, query) == [tuple(row.values()) for row in run_query(lake, query).table.to_pylist()]


def decided(lake: Lake, id: str, version: int, old: bool) -> None:
    """A snapshot of one document; an `old` one from before a signal and the threshold of a failure."""
    rows = {
        "signals": {"doc_id": id, "num_words": 3, "num_lorem_ipsum_after_cuts": 5},
        "decisions": {
            "doc_id": id,
            "failures": [{"rule": "r", "signal": "s", "value": "1", "threshold": "2"}],
        },
    }
    parts = {}
    for name, row in rows.items():
        table = pa.Table.from_pylist([row], DATASETS[name])
        parts[name] = (lake.write_part(name, id, table),)
        if old and name == "signals":
            pq.write_table(table.drop_columns(["num_lorem_ipsum_after_cuts"]), lake.path_of(parts[name][0]))
        elif old:
            short = pa.array([[{"rule": "r", "signal": "s"}]])
            at = table.column_names.index("failures")
            pq.write_table(table.set_column(at, "failures", short), lake.path_of(parts[name][0]))
    summary: dict[str, Any] = {"sources": {}, "rejects": {}, "guards": []}
    identity: dict[str, Any] = {"pii": {}, "sources": {}}
    lake.commit(Manifest("snapshot", id * 32, "decide", version, identity, (), parts, summary=summary))


@pytest.mark.parametrize("ids", ["ab", "ba", "a"])
def test_parts_from_before_a_column_came_have_null_there(lake: Lake, ids: str) -> None:
    for id in ids:  # the catalog lists them by id
        old = id == ids[0]
        decided(lake, id, version=1 if old else 2, old=old)
    write_catalog(lake)
    lorem = {id: None if id == ids[0] else 5 for id in sorted(ids)}
    query = "SELECT doc_id, num_lorem_ipsum_after_cuts FROM all_signals ORDER BY doc_id"
    assert ask(lake, query) == list(lorem.items())
    query = "SELECT doc_id, failures[1].rule, failures[1].threshold FROM all_decisions ORDER BY doc_id"
    assert ask(lake, query) == [(id, "r", None if id == ids[0] else "2") for id in sorted(ids)]
    assert ask(lake, "SELECT sum(num_words) FROM all_signals") == [(3 * len(ids),)]


def test_parts_of_one_version_are_not_all_opened_to_learn_their_columns(lake: Lake) -> None:
    """Of 3,000 parts that takes a quarter of a second a query, 0.01 s otherwise."""
    query = "SELECT sql FROM duckdb_views() WHERE view_name = 'all_signals'"
    decided(lake, "a", version=2, old=False)
    decided(lake, "b", version=2, old=False)
    write_catalog(lake)
    ((plain,),) = ask(lake, query)
    decided(lake, "c", version=1, old=True)
    write_catalog(lake)
    ((mixed,),) = ask(lake, query)
    assert "union_by_name" in mixed and "union_by_name" not in plain


# ── while others write and read ──


def test_a_client_that_writes_to_it_hinders_no_writer_of_ours(lake: Lake) -> None:
    write_catalog(lake)
    link = str(lake.root / "catalog.duckdb")
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, link], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert client.stdin is not None and client.stdout is not None
    with client.stdin, client.stdout:
        assert client.stdout.readline() == "0\n"
        for number in (1, 2):
            erase(lake, number)
            write_catalog(lake)
        assert ask(lake, "SELECT count(*) FROM erased") == [(2,)]
        client.stdin.write("\n")
        client.stdin.flush()
        assert client.stdout.readline() == "0 2\n"  # it keeps what it opened
        client.kill()
        client.wait()
    assert any((lake.root / ".catalog").glob("*.wal"))  # what it left behind hinders nobody
    erase(lake, 3)
    write_catalog(lake)
    assert ask(lake, "SELECT count(*) FROM erased") == [(3,)]


def test_a_reader_keeps_what_it_has_open(lake: Lake) -> None:
    erase(lake, 1)
    write_catalog(lake)
    with closing(duckdb.connect(str(lake.root / "catalog.duckdb"), read_only=True)) as reader:
        for number in range(2, 8):
            erase(lake, number)
            write_catalog(lake)
        assert len(reader.sql("FROM erased").fetchall()) == 1
    assert ask(lake, "SELECT count(*) FROM erased") == [(7,)]


def test_many_write_it_at_once(lake: Lake) -> None:
    def one(number: int) -> None:
        erase(lake, number)
        write_catalog(lake)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one, range(12)))
    write_catalog(lake)
    assert ask(lake, "SELECT count(*) FROM erased") == [(len(read_facts(lake, "erased")),)] == [(12,)]
    assert not [path for path in (lake.root / ".catalog").iterdir() if path.name.startswith(".")]


# ── a moved lake ──


def test_a_moved_lake_gets_another(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "here")
    assert not is_catalog_moved(lake)
    erase(lake, 1)
    write_catalog(lake)
    assert not is_catalog_moved(lake)
    shutil.move(lake.root, tmp_path / "there")
    moved = Lake.open(tmp_path / "there")
    assert is_catalog_moved(moved)
    with pytest.raises(duckdb.Error):
        ask(moved, "FROM erased")
    follow_move(moved)
    assert not is_catalog_moved(moved) and ask(moved, "SELECT count(*) FROM erased") == [(1,)]


def test_a_lake_without_a_catalog_gets_none_by_being_read(lake: Lake) -> None:
    follow_move(lake)
    assert not (lake.root / "catalog.duckdb").exists()


# ── old ones ──


def age(lake: Lake, hours: float) -> None:
    then = time.time() - hours * 3600
    for path in [lake.root / ".catalog", *(lake.root / ".catalog").iterdir()]:
        os.utime(path, (then, then))


def test_old_ones_go_but_the_newest_few_and_those_of_the_last_hour(lake: Lake) -> None:
    made = []
    for number in range(8):
        erase(lake, number)
        made.append(write_catalog(lake).name)
    assert catalogs(lake) == set(made)  # all of this hour
    age(lake, 2)
    (lake.root / ".catalog" / ".left-by-a-kill.duckdb").touch()
    (lake.root / ".catalog" / "gone.duckdb.wal").touch()
    age(lake, 2)
    erase(lake, 100)
    last = write_catalog(lake).name
    assert {last, made[-1]} <= catalogs(lake) and len(
        catalogs(lake)
    ) == 3  # made[-1] was the newest until now
    folders = {path.name for path in (lake.root / ".catalog").iterdir() if path.suffix != ".duckdb"}
    assert folders == {name.removesuffix(".duckdb") for name in catalogs(lake)}
    assert ask(lake, "SELECT count(*) FROM erased") == [(9,)]


def test_what_a_kill_left_of_the_link_is_swept(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    write_catalog(lake)
    (lake.root / "catalog.duckdb").unlink()
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write_catalog(lake)
    lake.sweep()
    assert len(list(lake.root.glob(".catalog.duckdb*"))) == 1  # its writer lives
    monkeypatch.setattr(process, "_start_time", lambda pid: None)
    lake.sweep()
    assert list(lake.root.glob(".catalog.duckdb*")) == []


def test_the_one_in_use_stays_however_old(lake: Lake) -> None:
    target = write_catalog(lake)
    age(lake, 1000)
    assert write_catalog(lake) == target and target.exists() and ask(lake, "FROM erased") == []
