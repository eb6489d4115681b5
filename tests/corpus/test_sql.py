"""The guarded way in: what a query can do, what it cannot, and what its answer holds."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from corpus import names, sql
from corpus.answer import CONSOLE, EVERYTHING, Limits
from corpus.errors import LakeError
from corpus.facts import write_facts
from corpus.guard import QUERY_BYTES, QueryError, QueryTimeout
from corpus.lake import Lake, Manifest
from corpus.sql import run_query, stream_query
from corpus.sql_catalog import write_catalog
from corpus.views import VIEWS
from quality.measure import measure
from quality.pii import Pii
from tests.corpus.attacks import ENDLESS, READS, REVEALS, WRITES, files_under
from tests.corpus.clock import Clock
from tests.corpus.lakes import EMAIL, SECRETS, attach, read_sources, write_sources

leaked = pa.table({"secret": ["the-secret"]})  # what a Python replacement scan would find


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Documents with personal data in them, measured."""
    folder = tmp_path_factory.mktemp("guarded")
    made = Lake.open(folder / "lake")
    documents = read_sources(made, write_sources(folder / "data"), folder / "data")
    measure(made, documents, [Pii()], workers=1)
    for name, manifest in documents.items():
        attach(made, names.claim(made, name, "0" * 32, {}), manifest)
    write_catalog(made)
    return made


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake.open(tmp_path_factory.mktemp("empty") / "lake")


@pytest.fixture
def target(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Fills a query's places; afterwards nothing may have changed on disk."""
    out, secret = tmp_path / "out", tmp_path / "secret.csv"
    out.mkdir()
    secret.write_text("a,b\nthe-secret,1\n")
    monkeypatch.chdir(out)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    before = files_under(lake.root) | files_under(tmp_path)
    yield lambda query: query.format(out=out, secret=secret, lake=lake.root)
    assert files_under(lake.root) | files_under(tmp_path) == before


def column(lake: Lake, query: str, **options: Any) -> list[Any]:
    table = run_query(lake, query, **options).table
    values: list[Any] = table.column(0).to_pylist()
    return values


def without_the_guard(lake: Lake, query: str) -> str:
    """What the same connection answers if nobody looks at the query first."""
    with closing(sql._open_locked()) as connection:
        sql._create_views(connection, lake, VIEWS.keys() - {"raw_documents", "all_raw_documents"})
        try:
            return str(connection.execute(query).fetchall())
        except duckdb.Error:
            return ""


# ── attacks ──


@pytest.mark.parametrize(
    "query", [*WRITES.values(), *READS.values(), *REVEALS.values()], ids=[*WRITES, *READS, *REVEALS]
)
def test_the_guard_refuses(lake: Lake, target: Callable[[str], str], query: str) -> None:
    with pytest.raises(QueryError) as refused:
        run_query(lake, target(query))
    assert not any(secret in str(refused.value) for secret in ("the-secret", *SECRETS))
    assert "stored_" not in str(refused.value).replace("'stored_now_documents'", "")


@pytest.mark.parametrize("query", [*WRITES.values(), *READS.values()], ids=[*WRITES, *READS])
def test_behind_the_guard_duckdb_itself_writes_and_reads_nothing(
    lake: Lake, target: Callable[[str], str], query: str
) -> None:
    found = without_the_guard(lake, target(query))
    assert not any(secret in found for secret in ("the-secret", *SECRETS))


@pytest.mark.parametrize("query", ENDLESS.values(), ids=ENDLESS)
def test_a_query_without_end_ends(empty: Lake, query: str) -> None:
    with pytest.raises((QueryTimeout, QueryError)):  # none of them ends by itself
        run_query(empty, query, seconds=0.4)


def test_a_query_of_a_hundred_thousand_brackets_is_refused(empty: Lake) -> None:
    for query in (
        "SELECT " + "(" * 100_000 + "1" + ")" * 100_000,
        "WITH a AS (" * 4000 + "SELECT 1" + ") FROM a" * 4000,
    ):
        assert len(query) > QUERY_BYTES or query.startswith("WITH")
        with pytest.raises(QueryError):
            run_query(empty, query)


def test_no_column_of_a_view_gives_personal_data_away(lake: Lake) -> None:
    for query in ("SUMMARIZE documents", "SELECT max(text), min(text) FROM documents", "SELECT * FROM documents WHERE text LIKE '%@%'",
                  "SELECT list(documents) FROM documents", "SELECT any_value(text ORDER BY text DESC) FROM documents"):  # fmt: skip
        assert not any(secret in str(run_query(lake, query).table.to_pylist()) for secret in SECRETS)
    assert column(lake, f"SELECT count(*) FROM documents WHERE text LIKE '%{EMAIL}%'") == [0]
    assert column(lake, f"SELECT count(*) FROM raw_documents WHERE text LIKE '%{EMAIL}%'", raw=True) == [1]


def test_names_behind_the_views_are_others_each_time(lake: Lake) -> None:
    def behind() -> set[str]:
        with closing(sql._open_locked()) as connection:
            sql._create_views(connection, lake, {"documents"})
            text = str(
                connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
            )
        return set(re.findall("stored_[0-9a-f]{32}", text))

    first, second = behind(), behind()
    assert len(first) == len(second) == 3 and not first & second


def test_what_a_query_does_not_name_is_not_there_behind_it(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[set[str]] = []
    create = sql._create_views
    monkeypatch.setattr(
        sql,
        "_create_views",
        lambda connection, lake, views: (made.append(set(views)), create(connection, lake, views)),
    )
    run_query(lake, "WITH a AS (SELECT * FROM decisions) SELECT * FROM a, all_rejects")
    assert made == [{"decisions", "all_rejects"}]


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20))
def test_a_name_that_is_no_dataset_is_refused(name: str) -> None:
    assume(name.lower() not in VIEWS)
    quoted = name.replace('"', '""')
    with pytest.raises(QueryError):
        sql._check(_scratch, f'SELECT * FROM "{quoted}"', CONSOLE, raw=False)


_scratch = duckdb.connect()


# ── what a query may be ──


@pytest.mark.parametrize(
    "query",
    ["SELECT 1", "select 1;", "SELECT 1 ;; -- and; more", "SELECT 1 -- done", "SELECT 1 /* a;b */ ;", ";SELECT 1", "VALUES (1)", "FROM (SELECT 1)",
     "WITH a AS (SELECT 1), b AS (FROM a) FROM b", "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r WHERE x < 1) FROM r",
     "SELECT x FROM range(2) t(x) WHERE x = 1", "SELECT unnest([1])", "SELECT * FROM (SELECT 1 UNION ALL SELECT 2) LIMIT 1", "SELECT $$1$$::INTEGER",
     "WITH documents AS (SELECT 1) FROM documents"],
)  # fmt: skip
def test_one_select_in_any_dress(empty: Lake, query: str) -> None:
    assert column(empty, query) == [1]


_ENDS = st.lists(st.sampled_from([";", " ", "\n", "-- c;\n", "/* ; */", "--';"]), max_size=5).map("".join)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20), _ENDS)
def test_what_stands_behind_a_query_changes_nothing_and_its_text_is_kept(text: str, end: str) -> None:
    wrapped, _ = sql._check(
        _scratch, "SELECT '" + text.replace("'", "''") + "' " + end, EVERYTHING, raw=False
    )
    assert _scratch.execute(wrapped).fetchall() == [(text,)]


@pytest.mark.parametrize(
    "query", ["", " ;; ", "-- nothing", "SELECT 1; SELECT 2", "SELEC 1", "SELECT (", "SELECT $1", "SELECT 'é"]
)
def test_what_is_not_one_query_is_refused(empty: Lake, query: str) -> None:
    with pytest.raises(QueryError):
        run_query(empty, query)


def test_describe_summarize_and_show(lake: Lake) -> None:
    for query in ("DESCRIBE documents", "SHOW documents", "DESCRIBE SELECT * FROM documents"):
        assert "text" in column(lake, query)
    assert "text" in column(lake, "SUMMARIZE documents")
    for query in ("SHOW TABLES", "show  all tables;"):
        shown = column(lake, query)
        assert {"documents", "all_documents", "scores"} <= set(shown) and "raw_documents" not in shown
    assert "raw_documents" in column(lake, "SHOW TABLES", raw=True)


def test_names_in_any_case_and_quotes(lake: Lake) -> None:
    assert column(lake, 'SELECT count(*) FROM Documents, "rejects" r') == [42]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT * FROM documnts", "Did you mean 'documents'"),
        ("SELECT txt FROM documents", "text"),
        ("COPY documents TO 'x'", "one SELECT, DESCRIBE, SUMMARIZE or SHOW"),
        ("SELECT * FROM read_text('x')", "read_text"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("SELECT sum(text) FROM documents", "sum"),
    ],
)
def test_an_error_says_what_to_do(lake: Lake, query: str, said: str) -> None:
    with pytest.raises(QueryError, match=re.escape(said)):
        run_query(lake, query)


# ── the answer ──


def test_more_rows_than_the_limit_are_cut_and_said(empty: Lake) -> None:
    for limit, cut in ((9, True), (10, False), (11, False)):
        found = run_query(empty, "FROM range(10)", limit=limit)
        assert (found.table.num_rows, found.cut) == (min(limit, 10), cut)
    assert run_query(empty, "FROM range(5000)", limit=None).table.num_rows == 5000


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    rows = pa.table({"reason": [f"{i:032x}" for i in range(300)]})
    for name in ("good", "hurt"):
        part = lake.write_part("rejects", name, rows)
        lake.commit(Manifest("documents", name, "ingest", 1, {}, (), {"rejects": (part,)}))
    path = lake.part_path("rejects", "hurt")
    data = path.read_bytes()
    path.write_bytes(data[:500] + bytes([data[500] ^ 4]) + data[501:])
    with pytest.raises(LakeError, match="the part rejects/hurt is missing or damaged"):
        run_query(lake, "SELECT max(reason) FROM all_rejects")


def test_a_long_text_is_shortened_and_said(empty: Lake) -> None:
    query = "SELECT repeat('é', n) AS text FROM (VALUES (7999), (8000), (8001), (NULL)) t(n)"
    found = run_query(empty, query)
    assert [value and len(value) for value in found.table["text"].to_pylist()] == [7999, 8000, 8001, None]
    assert found.table["text"][2].as_py().endswith("é…") and found.shortened == 1
    whole = run_query(empty, query, limit=None)
    assert whole.shortened == 0 and whole.table["text"][2].as_py() == "é" * 8001


def test_an_answer_has_an_end_in_bytes(empty: Lake) -> None:
    limits = Limits(rows=1000, cell_chars=None, bytes=3_000_000)
    answer = stream_query(empty, "SELECT repeat('x', 100000) FROM range(100)", limits=limits)
    found = answer.read()
    assert answer.by_bytes
    assert found.cut and 24 <= found.table.num_rows <= 30
    with pytest.raises(QueryError, match="a row of the answer"):
        stream_query(empty, "SELECT [repeat('x', 4000000)]", limits=limits).read()


def test_rows_come_while_the_query_goes_on(empty: Lake) -> None:
    with closing(stream_query(empty, "SELECT * FROM range(100000000000)")) as answer:
        batches = [batch for batch, _ in zip(answer, range(3), strict=False)]
    assert [batch.num_rows for batch in batches] == [2048, 2048, 2048]


def test_who_takes_the_rows_may_take_his_time(empty: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpus.sql.time", clock := Clock())
    rows = 0
    for batch in stream_query(empty, "SELECT * FROM range(8192)", seconds=60):
        clock.ahead += 600
        time.sleep(0.1)  # for its watcher, who looks twenty times a second
        rows += batch.num_rows
    assert rows == 8192


def test_order_is_kept_with_and_without_a_limit(empty: Lake) -> None:
    for limit in (None, 100_000):
        found = column(empty, "SELECT i FROM range(50000) t(i) ORDER BY i DESC", limit=limit)
        assert found == list(range(49_999, -1, -1))


def test_types_that_come_out_plain(empty: Lake) -> None:
    found = run_query(empty, "SELECT sum(i) AS s, sum(i) * 10::HUGEINT ** 30 AS h, 'a'::ENUM ('a', 'b') AS e, 12::BIGNUM AS n, {'a': [1]} AS l, NULL AS z FROM range(3) t(i)")  # fmt: skip
    assert found.table.schema.field("s").type == pa.int64() and found.table["s"].to_pylist() == [3]
    assert found.table["e"].to_pylist() == ["a"] and found.table["l"].to_pylist() == [{"a": [1]}]
    assert not pa.types.is_dictionary(found.table.schema.field("e").type)


def test_two_columns_of_one_name_are_two(empty: Lake) -> None:
    assert run_query(empty, "SELECT 1 AS a, 2 AS a").table.to_pylist() == [{"a": 1, "a_1": 2}]


def test_an_error_in_the_middle_of_the_rows_is_an_error(empty: Lake) -> None:
    with pytest.raises(QueryError, match="bad"):
        stream_query(
            empty, "SELECT CASE WHEN i = 50000 THEN error('bad') ELSE i::VARCHAR END FROM range(100000) t(i)"
        ).read()


# ── documents ──


def test_a_filter_on_text_sees_what_is_shown(lake: Lake) -> None:
    assert column(
        lake, "SELECT own_id FROM documents WHERE contains(text, '<EMAIL>') AND text ILIKE '%court%'"
    ) == ["act-3"]
    assert column(lake, "SELECT count(*) FROM documents WHERE regexp_matches(text, 'case (1|2)-')") == [2]


def test_documents_join_with_themselves_by_id(lake: Lake) -> None:
    assert column(lake, "SELECT count(*) FROM documents a JOIN all_documents b USING (doc_id, text)") == [42]


# ── two at once ──


def test_readers_see_whole_states_while_a_writer_works(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    stop, seen = threading.Event(), list[tuple[int, int]]()

    def read() -> None:
        while not stop.is_set():
            found = run_query(
                lake,
                "SELECT (SELECT count(*) FROM rejects), (SELECT count(*) FROM all_rejects), (SELECT count(*) FROM erased)",
            )
            seen.append(tuple(column[0].as_py() for column in found.table.columns[:2]))

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for number in range(1, 16):
            owner = names.claim(lake, "growing", f"{number:032x}", {})
            table = pa.table({"source": ["s"] * number, "position": range(number)})
            parts = {"rejects": (lake.write_part("rejects", f"{number:032x}", table),)}
            attach(
                lake, owner, lake.commit(Manifest("documents", f"{number:032x}", "ingest", 1, {}, (), parts))
            )
            write_facts(lake, "erased", [{"doc_id": f"{number:032x}"}])
            write_catalog(lake)
        stop.set()
        for reader in readers:
            reader.result()
    committed = [number * (number + 1) // 2 for number in range(17)]
    whole = {(now, committed[now]) for now in range(16)}
    before_its_name = {
        (now, committed[now + 1]) for now in range(15)
    }  # an artifact is there before a name stands for it
    assert len(seen) > 2 and set(seen) <= whole | before_its_name


def test_queries_leave_nothing_behind(empty: Lake) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        run_query(empty, "SELECT count(*) FROM documents")
        stream_query(empty, "FROM range(100000)").close()
    assert len(os.listdir("/proc/self/fd")) <= before + 2
