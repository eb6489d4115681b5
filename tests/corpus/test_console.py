"""The console's process: every query is answered in time, nothing is written, nobody is left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from corpus import names
from corpus.answer import CONSOLE, EVERYTHING
from corpus.console import Console, run_query_in_process
from corpus.errors import TilthError, UnknownName
from corpus.guard import QueryError, QueryTimeout
from corpus.lake import Lake
from tests.corpus.attacks import DEAF, ENDLESS, HUNGRY, READS, REVEALS, WRITES, files_under
from tests.corpus.clock import Clock
from tests.corpus.lakes import SECRETS, attach, read_sources, write_sources
from tests.processes import family_of, lives, still_alive, wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder = tmp_path_factory.mktemp("console")
    made = Lake.open(folder / "lake")
    for name, manifest in read_sources(made, write_sources(folder / "data"), folder / "data").items():
        attach(made, names.claim(made, name, "0" * 32, {}), manifest)
    return made


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    with Console() as made:
        yield made


def ask(console: Console, lake: Lake, query: str, **options: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = console.stream(lake.root, query, **options).read().table.to_pylist()
    return rows


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children() if lives(process)}


# ── the same answers ──


def test_it_answers_as_the_query_would_here(console: Console, lake: Lake) -> None:
    from corpus.sql import run_query

    for query in ("SELECT own_id, num_bytes, date FROM documents ORDER BY ALL", "SHOW TABLES", "FROM rejects", "SELECT sum(num_bytes) AS s FROM documents",
                  "FROM range(3000)", "SELECT repeat('x', 9000) AS x", "SELECT 'a'::ENUM ('a') AS e, [{'a': 1}] AS l, NULL AS n", "FROM documents WHERE false"):  # fmt: skip
        here, there = run_query(lake, query), console.stream(lake.root, query).read()
        assert there.table.equals(here.table) and (there.cut, there.shortened) == (here.cut, here.shortened)
    large = console.stream(lake.root, "SELECT [repeat('x', 99000)] FROM range(900)")
    assert large.read().cut and large.by_bytes


def test_errors_come_through_as_they_are(console: Console, lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="Did you mean 'documents'"):
        ask(console, lake, "FROM documnts")
    with pytest.raises(QueryError, match="bad"):
        ask(
            console,
            lake,
            "SELECT CASE WHEN i = 50000 THEN error('bad') END FROM range(100000) t(i)",
            limits=EVERYTHING,
        )
    with pytest.raises(UnknownName, match="there is no lake"):
        console.stream(tmp_path / "nowhere", "SELECT 1")


def test_a_worker_is_kept_for_the_next_query(console: Console, lake: Lake) -> None:
    ask(console, lake, "SELECT 1")
    before = children()
    for _ in range(3):
        ask(console, lake, "SELECT count(*) FROM documents")
    assert children() == before


def test_this_side_never_loads_duckdb(lake: Lake) -> None:
    code = f"import sys; from corpus.console import run_query_in_process as q; print(q({str(lake.root)!r}, 'SELECT 7 AS a').table.to_pylist(), 'duckdb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[{'a': 7}] False\n" and done.stderr == ""


# ── attacks ──


def test_the_whole_table_of_attacks_changes_no_file(console: Console, lake: Lake, tmp_path: Path) -> None:
    out, secret = tmp_path / "out", tmp_path / "secret.csv"
    out.mkdir()
    secret.write_text("a,b\nthe-secret,1\n")
    before = files_under(lake.root) | files_under(tmp_path)
    for query in [*WRITES.values(), *READS.values(), *REVEALS.values()]:
        with pytest.raises(QueryError) as refused:  # at once: a QueryTimeout is no QueryError
            ask(console, lake, query.format(out=out, secret=secret, lake=lake.root))
        assert not any(found in str(refused.value) for found in ("the-secret", *SECRETS))
    assert files_under(lake.root) | files_under(tmp_path) == before


@pytest.mark.parametrize(
    "query", [ENDLESS["cross join"], *HUNGRY.values(), *DEAF.values()], ids=["cross join", *HUNGRY, *DEAF]
)
def test_whatever_it_is_it_ends_in_time_and_the_next_is_answered(
    console: Console, lake: Lake, query: str
) -> None:
    ask(console, lake, "SELECT 1")  # the worker is up
    with pytest.raises((QueryTimeout, QueryError)):  # too long, or too large: that depends on the machine
        ask(console, lake, query, seconds=0.5)
    assert ask(console, lake, "SELECT 2 AS a") == [{"a": 2}]


def test_a_worker_that_no_interrupt_reaches_is_killed_and_the_next_query_is_answered(lake: Lake) -> None:
    with Console() as console:
        before = children()
        ask(console, lake, "SELECT 1")
        (deaf,) = children() - before
        os.kill(deaf, signal.SIGSTOP)
        with pytest.raises(QueryTimeout):
            ask(console, lake, "SELECT 1", seconds=0.1)
        assert wait_until(lambda: deaf not in children())
        assert ask(console, lake, "SELECT 2 AS a") == [{"a": 2}]


def test_a_worker_can_write_to_no_file_and_has_less_memory_than_the_machine(tmp_path: Path) -> None:
    code = """
import resource, sys
from corpus.console_worker import _limit_resources
_limit_resources()
try:
    with open(sys.argv[1], 'w') as file: file.write('x')
except OSError as error: print(error.errno)
try: bytes(5 << 30)
except MemoryError: print('memory')
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["27", "memory"]  # EFBIG


# ── streaming ──


def test_rows_are_passed_on_as_they_come(console: Console, lake: Lake) -> None:
    with closing(console.stream(lake.root, "SELECT * FROM range(100000000000)", limits=EVERYTHING)) as answer:
        assert isinstance(answer.schema, pa.Schema)
        first = [batch.num_rows for batch, _ in zip(answer, range(3), strict=False)]
    assert first == [2048] * 3
    assert ask(console, lake, "SELECT 3 AS a") == [{"a": 3}]


def test_who_takes_the_rows_may_take_his_time(
    console: Console, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's own clock is `corpus.sql`'s."""
    monkeypatch.setattr("corpus.console.time", clock := Clock())
    rows = 0
    for batch in console.stream(
        lake.root, "SELECT i, repeat('x', 1000) FROM range(40960) t(i)", limits=EVERYTHING, seconds=60
    ):
        rows += batch.num_rows
        clock.ahead += 600
    assert rows == 40960


def test_an_answer_that_is_let_go_ends_its_query(lake: Lake) -> None:
    with Console(spare=0) as console:
        before = children()
        answer = console.stream(lake.root, "SELECT * FROM range(100000000000)", limits=EVERYTHING)
        next(iter(answer))
        assert children() - before
        del answer
        assert wait_until(lambda: children() <= before)


# ── processes ──


def test_threads_ask_at_the_same_time(console: Console, lake: Lake) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = list(
            pool.map(
                lambda i: ask(console, lake, f"SELECT {i} AS a, count(*) AS n FROM range(1000000)"), range(12)
            )
        )
    assert found == [[{"a": i, "n": 1_000_000}] for i in range(12)]


def test_a_query_that_has_to_wait_too_long_is_told_so(lake: Lake) -> None:
    with (
        Console(at_once=1, spare=0) as console,
        closing(console.stream(lake.root, "FROM range(100000000)", limits=EVERYTHING)),
    ):
        with pytest.raises(QueryTimeout, match="other queries"):
            console.stream(lake.root, "SELECT 1", seconds=0.1)


def test_a_worker_outlives_the_thread_that_started_it(lake: Lake) -> None:
    with Console() as console:
        found: list[Any] = []
        first = threading.Thread(target=lambda: found.append(ask(console, lake, "SELECT 1 AS a")))
        first.start()
        first.join()
        before = children()
        time.sleep(0.2)
        assert children() == before and found == [[{"a": 1}]]
        assert ask(console, lake, "SELECT 2 AS a") == [{"a": 2}]


def test_a_worker_that_is_killed_is_replaced(lake: Lake) -> None:
    with Console() as console:
        before = children()
        ask(console, lake, "SELECT 1")
        for pid in children() - before:
            os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: not any(worker.is_ready() for worker in console._idle))
        assert ask(console, lake, "SELECT 2 AS a") == [{"a": 2}]


def test_a_worker_that_dies_in_a_query_is_an_error(lake: Lake) -> None:
    with Console() as console:
        before = children()
        answer = console.stream(lake.root, "FROM range(100000000000)", limits=EVERYTHING)
        for pid in children() - before:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(QueryError, match="ended the process"):
            list(answer)


def test_after_a_kill_the_next_worker_is_on_its_way(lake: Lake) -> None:
    with Console() as console:
        before = children()
        ask(console, lake, "SELECT 1")
        with pytest.raises(QueryTimeout):
            ask(console, lake, DEAF["repeat"], seconds=0.1)
        assert len(children() - before) >= 1
    assert wait_until(lambda: children() <= before)


@pytest.mark.parametrize("query", [ENDLESS["cross join"], DEAF["repeat"], "SELECT 1"])
def test_nobody_outlives_a_parent_that_is_killed(lake: Lake, query: str) -> None:
    code = f"""
import threading, time
from corpus.console import Console
console = Console()
threading.Thread(target=lambda: print(console.stream({str(lake.root)!r}, 'SELECT 1').read().table.num_rows, flush=True)).start()
time.sleep(0.1)
threading.Thread(target=lambda: console.stream({str(lake.root)!r}, {query!r}, seconds=60).read(), daemon=True).start()
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None and parent.stdout.readline() == "1\n"
    time.sleep(0.5)
    workers = family_of(parent.pid)
    assert workers
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert still_alive(workers) == []


def test_a_worker_that_cannot_start_says_how_to_see_why(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpus.console._PROGRAM", "raise SystemExit(1)")
    with Console(spare=0) as console, pytest.raises(TilthError, match="did not start"):
        console.stream(lake.root, "SELECT 1")


def test_the_shared_console_cuts_like_the_others(lake: Lake) -> None:
    found = run_query_in_process(lake.root, "FROM range(5000)")
    assert found.table.num_rows == CONSOLE.rows and found.cut
    assert run_query_in_process(lake.root, "FROM range(5000)", limit=None).table.num_rows == 5000
