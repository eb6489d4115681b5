"""DuckDB over the lake; the only door to duckdb.

`run_query` is the one guarded way in for the app's console and `tilth sql`: registered datasets only, one statement,
nothing read or written outside, bounded in time and memory. `write_catalog` makes the file that other clients open.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from corpus.errors import ConfigError, TilthError, did_you_mean
from corpus.fingerprint import fingerprint
from corpus.lake import Lake
from corpus.part import publish
from corpus.schema import DATASETS
from corpus.views import Relation, relations, view_sql

CONSOLE_SECONDS, CONSOLE_ROWS, CONSOLE_MEMORY = 30.0, 1000, "1GB"
STORAGE_VERSION = "v1.0.0"  # DuckDB 1.x can read it


class QueryError(ConfigError):
    """The query is wrong, or asks for what the guard does not allow."""


class QueryTimeout(TilthError):
    """The query took longer than its limit and was interrupted."""


@dataclass(frozen=True)
class Result:
    """Rows of a query; `cut` says that there are more than the limit let through."""

    table: pa.Table
    cut: bool


def open_scratch(temp_directory: Path, memory: str = "1GB", threads: int = 2) -> Any:
    """An in-memory connection for folding parts into tables; it spills to `temp_directory` and orders nothing by itself."""
    temp_directory.mkdir(parents=True, exist_ok=True)
    return duckdb.connect(
        ":memory:",
        config={
            "memory_limit": memory,
            "threads": threads,
            "temp_directory": str(temp_directory),
            "preserve_insertion_order": False,
        },
    )


# ── the guarded way in ──────────────────────────────────────────────────────────────────────────────────────────────


def open_guarded(lake: Lake, raw: bool = False, memory: str = CONSOLE_MEMORY) -> Any:
    """A locked connection that sees the lake's views and nothing else. `raw` adds `raw_documents`, text unmasked.

    External access is off with nothing allowed: with allowed folders COPY and ATTACH could write into the lake.
    """
    connection = duckdb.connect(
        ":memory:", config={"memory_limit": memory, "python_enable_replacements": False}
    )
    prefix = f"stored_{uuid.uuid4().hex}_"  # not to be guessed: raw text stands behind one of these names
    for name, relation in relations(lake).items():
        connection.register(prefix + name, _scannable(relation))
    for name, query in view_sql(prefix).items():
        connection.execute(f"CREATE TEMP VIEW {name} AS {query}")
    if raw:
        connection.execute(f"CREATE TEMP VIEW raw_documents AS SELECT * FROM {prefix}now_raw_documents")
    connection.execute("SET temp_directory = ''")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def run_query(
    lake: Lake, query: str, *, limit: int | None = CONSOLE_ROWS, seconds: float | None = CONSOLE_SECONDS, raw: bool = False
) -> Result:  # fmt: skip
    """The rows of one SELECT (or DESCRIBE, SUMMARIZE, SHOW) over the lake's views, as an Arrow table.

    Raises QueryError for a query that is wrong or not allowed, QueryTimeout after `seconds`.
    """
    wrapped = wrap_query(query, None if limit is None else limit + 1)
    with closing(
        open_guarded(lake, raw)
    ) as guarded:  # a connection of its own: nothing is left behind for the next query
        try:
            with _interrupted_after(guarded, seconds) as late:
                table = guarded.sql(wrapped).to_arrow_table()
        except duckdb.InterruptException as error:
            raise _timeout(seconds) from error
        except duckdb.Error as error:
            if late.is_set():
                raise _timeout(seconds) from error
            raise QueryError(_explain(error)) from error
    cut = limit is not None and table.num_rows > limit
    return Result(table.slice(0, limit) if cut else table, cut)


def wrap_query(query: str, limit: int | None) -> str:
    """The query as a subquery, which only a statement that returns rows can be; QueryError for none or for several."""
    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as error:
        raise QueryError(_explain(error)) from error
    if len(statements) != 1:
        raise QueryError(f"{len(statements)} statements arrived; give exactly one")
    text = statements[0].query.strip().rstrip(";").strip()
    return f"SELECT * FROM (\n{text}\n)" + ("" if limit is None else f" LIMIT {limit}")


def _timeout(seconds: float | None) -> QueryTimeout:
    return QueryTimeout(
        f"the query took longer than {seconds:g} s and was stopped. Ask for less, or aggregate."
    )


@contextmanager
def _interrupted_after(connection: Any, seconds: float | None) -> Iterator[threading.Event]:
    """Interrupt the connection after a while, again and again: an interrupt between two phases of a query is lost."""
    late, done = threading.Event(), threading.Event()

    def watch() -> None:
        if not done.wait(seconds):
            late.set()
            while not done.wait(0.1):
                connection.interrupt()

    watcher = threading.Thread(target=watch, daemon=True)
    if seconds is not None:
        watcher.start()
    try:
        yield late
    finally:
        done.set()
        if seconds is not None:
            watcher.join()


def _scannable(relation: Relation) -> Any:
    if relation.table is not None:
        return relation.table
    if not relation.paths:
        return relation.schema.empty_table()
    return pads.dataset([str(path) for path in relation.paths], schema=relation.schema, format="parquet")


def _explain(error: Exception) -> str:
    text = str(error).split("\n\nLINE")[0].strip()
    if "does not exist" in text and "Table with name" in text:
        word = text.split("Table with name ")[1].split(" ")[0]
        text = f"there is no dataset {word!r}.{did_you_mean(word, view_sql(''))} There are: {', '.join(sorted(DATASETS))} (and all_… of most)."
    elif "disabled by configuration" in text or "Permission Error" in text:
        text = (
            f"not allowed here: a query reads the lake's datasets and nothing else ({text.splitlines()[0]})"
        )
    return text


# ── catalog.duckdb ──────────────────────────────────────────────────────────────────────────────────────────────────


def write_catalog(lake: Lake) -> Path:
    """Swap `catalog.duckdb` onto a new file that holds only views; a client that has the old one open keeps it.

    Views name files absolutely, so a moved lake gets a new file on the next writing command.
    """
    folder = lake.root / ".catalog"
    folder.mkdir(exist_ok=True)
    build = folder / f".{uuid.uuid4().hex[:12]}"
    queries = {
        f"stored_{name}": _stored_sql(name, relation, folder) for name, relation in relations(lake).items()
    }
    digest = fingerprint([sorted(queries.items()), str(lake.root)])
    target = folder / f"{digest}.duckdb"
    if not target.exists():
        connection = duckdb.connect()
        connection.execute(f"ATTACH '{_quoted(build)}' AS made (STORAGE_VERSION '{STORAGE_VERSION}')")
        connection.execute("USE made")
        for name, query in {**queries, **view_sql("stored_")}.items():
            connection.execute(f"CREATE VIEW {name} AS {query}")
        connection.execute("USE memory; DETACH made")
        connection.close()
        publish(build, target)
    _swap(lake.root / "catalog.duckdb", Path(".catalog") / target.name)
    return target


def _swap(link: Path, target: Path) -> None:
    if link.is_symlink() and os.readlink(link) == str(target):
        return
    staging = link.with_name(f".{link.name}.{uuid.uuid4().hex[:12]}")
    staging.symlink_to(target)
    os.replace(staging, link)


def _stored_sql(name: str, relation: Relation, folder: Path) -> str:
    """A query that any DuckDB client can run for a stored relation; tables of facts are written as files first."""
    paths = list(relation.paths)
    if relation.table is not None and relation.table.num_rows:
        paths = [
            folder / f"{fingerprint([name, relation.table.schema.names, relation.table.to_pylist()])}.parquet"
        ]
        if not paths[0].exists():
            staging = paths[0].with_suffix(f".{uuid.uuid4().hex[:8]}.tmp")
            pq.write_table(relation.table, staging)
            publish(staging, paths[0])
    if not paths:
        columns = ", ".join(
            f'NULL::{_duckdb_type(field.type)} AS "{field.name}"' for field in relation.schema
        )
        return f"SELECT {columns} WHERE false"
    columns = ", ".join(f'"{field.name}"' for field in relation.schema)
    return f"SELECT {columns} FROM read_parquet([{', '.join(f'{chr(39)}{_quoted(path)}{chr(39)}' for path in paths)}], union_by_name=true)"


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _duckdb_type(kind: pa.DataType) -> str:
    if pa.types.is_struct(kind):
        return "STRUCT(" + ", ".join(f'"{field.name}" {_duckdb_type(field.type)}' for field in kind) + ")"
    if pa.types.is_list(kind):
        return _duckdb_type(kind.value_type) + "[]"
    names = {
        "string": "VARCHAR",
        "large_string": "VARCHAR",
        "int64": "BIGINT",
        "int32": "INTEGER",
        "uint32": "UINTEGER",
        "double": "DOUBLE",
        "bool": "BOOLEAN",
    }
    return "TIMESTAMP" if pa.types.is_timestamp(kind) else names[str(kind)]
