"""DuckDB over the lake; the only door to duckdb.

`run_query` and `stream_query` are the one guarded way in for the app's console and `tilth sql`: registered datasets only,
one statement, nothing read or written outside, bounded in time and memory. What other clients open is `corpus.sql_catalog`.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from pyarrow.fs import LocalFileSystem

from corpus.answer import BATCH_ROWS, CONSOLE, EVERYTHING, Answer, Limits, Result, limited
from corpus.guard import QueryError, QueryTimeout, check_size, datasets_read
from corpus.lake import Lake
from corpus.part import read_part
from corpus.relations import PART, Relation, Relations
from corpus.views import RAW, VIEWS, quoted, relations_of

__all__ = ["QueryError", "QueryTimeout", "Result", "open_scratch", "run_query", "stream_query"]

CONSOLE_SECONDS, CONSOLE_ROWS, CONSOLE_MEMORY = 30.0, CONSOLE.rows, "1GB"
STORAGE_VERSION = "v1.0.0"  # DuckDB 1.x can read it
_PARQUET = pads.ParquetFileFormat(
    default_fragment_scan_options=pads.ParquetFragmentScanOptions(page_checksum_verification=True)
)
_READING_FAILED = "reading the stream registered"
_SHOW_TABLES = {"show tables", "show all tables"}


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


def run_query(
    lake: Lake, query: str, *, limit: int | None = CONSOLE_ROWS, seconds: float | None = CONSOLE_SECONDS, raw: bool = False
) -> Result:  # fmt: skip
    """The rows of one SELECT (or DESCRIBE, SUMMARIZE, SHOW) over the lake's views, as an Arrow table.

    Cells and bytes are limited too where rows are (`corpus.answer.CONSOLE`). `raw` adds `raw_documents`, text unmasked.
    What a person typed goes through `corpus.console`: here, one list of four billion numbers takes the machine's memory.
    Raises QueryError for a query that is wrong or not allowed, QueryTimeout after `seconds`, LakeError for a damaged part.
    """
    limits = EVERYTHING if limit is None else Limits(rows=limit)
    return stream_query(lake, query, limits=limits, seconds=seconds, raw=raw).read()


def stream_query(
    lake: Lake, query: str, *, limits: Limits = EVERYTHING, seconds: float | None = CONSOLE_SECONDS, raw: bool = False
) -> Answer:  # fmt: skip
    """The same as batches that are made as they are taken: memory is bounded whatever the number of rows.

    `seconds` is the time that the query itself may take, not who takes its rows.
    """
    batches = _batches(lake, query, limits, seconds, raw)
    schema = next(batches)
    assert isinstance(schema, pa.Schema)
    return limited(schema, batches, limits)


def _batches(lake: Lake, query: str, limits: Limits, seconds: float | None, raw: bool) -> Iterator[Any]:
    """First the schema, then batches, on a connection of its own: nothing is left behind for the next query."""
    with closing(_open_locked()) as connection, _Patience(connection, seconds) as patience:
        with patience.working():
            text, views = _check(connection, query, limits, raw)
            patience.paths = _create_views(connection, lake, views)
            reader = connection.sql(text).to_arrow_reader(BATCH_ROWS)
        yield reader.schema
        while True:
            with patience.working():
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    return
            yield batch


def _open_locked() -> Any:
    """A connection that can reach nothing outside: with allowed folders COPY and ATTACH could write into the lake."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": CONSOLE_MEMORY, "temp_directory": "", "python_enable_replacements": False,
            "autoload_known_extensions": False, "autoinstall_known_extensions": False,
        },
    )  # fmt: skip
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")
    return connection


def _check(connection: Any, query: str, limits: Limits, raw: bool) -> tuple[str, set[str]]:
    """The query as it will run, a subquery with a limit, and the views it reads. Raises QueryError for anything else."""
    check_size(query)
    public = VIEWS.keys() if raw else VIEWS.keys() - RAW
    text = _without_semicolons(query)
    if " ".join(text.lower().split()) in _SHOW_TABLES:
        text = "SELECT unnest([" + ", ".join(f"'{name}'" for name in sorted(public)) + "]) AS name"
    views = datasets_read(_tree(connection, text), public)
    more = "" if limits.rows is None else f" LIMIT {limits.rows + 1}"
    wrapped = f"SELECT * FROM (\n{text}\n){more}"
    assert datasets_read(_tree(connection, wrapped), public) == views, "wrapping changed the query"
    return wrapped, views


def _tree(connection: Any, text: str) -> dict[str, Any]:
    rows = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchall()
    tree: dict[str, Any] = json.loads(rows[0][0])
    return tree


def _without_semicolons(query: str) -> str:
    """Without what may stand around a query and not inside a subquery: semicolons, and comments behind them."""
    data = query.encode()
    for offset, kind in reversed(duckdb.tokenize(query)):
        if kind == duckdb.token_type.operator and data[offset : offset + 1] == b";":
            data = data[:offset]
        elif kind != duckdb.token_type.comment:
            break
    return data.decode().strip().lstrip("; \t\r\n")


def _create_views(connection: Any, lake: Lake, views: Iterable[str]) -> list[str]:
    """The views, and behind names that cannot be guessed what they are made of: raw text stands behind one of these.

    Returns the paths of the parts that they read.
    """
    found = Relations(lake)
    relations = {
        name: found[name] for name in sorted({name for view in views for name in relations_of(view)})
    }
    stored = {name: f"stored_{uuid.uuid4().hex}" for name in relations}
    for name, relation in relations.items():
        connection.register(stored[name], _scannable(relation))
    for view in views:
        connection.execute(f"CREATE TEMP VIEW {view} AS {VIEWS[view].format_map(stored)}")
    return [path for relation in relations.values() for path in relation.paths]


def _scannable(relation: Relation) -> Any:
    if relation.table is not None:
        return relation.table
    if not relation.paths:
        return relation.schema.empty_table()
    numbers = relation.ordinals
    return pads.FileSystemDataset.from_paths(
        list(relation.paths), schema=relation.schema, format=_PARQUET, filesystem=LocalFileSystem(),
        partitions=None if numbers is None else [pc.field(PART.name) == pa.scalar(number, PART.type) for number in numbers],
    )  # fmt: skip


class _Patience:
    """Interrupts a connection that has worked too long, again and again: an interrupt between two phases is lost.

    Where reading failed, it looks which of the `paths` of parts is damaged: DuckDB does not say.
    """

    def __init__(self, connection: Any, seconds: float | None):
        self._connection, self._seconds = connection, seconds
        self.paths: list[str] = []
        self._left = float("inf") if seconds is None else seconds
        self._since: float | None = None
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Patience:
        self._watcher.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._watcher.join()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Counts the time inside, and turns what DuckDB raises there into errors of ours."""
        self._since = time.monotonic()
        try:
            yield
        except (duckdb.Error, OSError, pa.ArrowException, MemoryError, RecursionError) as error:
            if self._is_over():
                raise QueryTimeout(
                    f"the query took longer than {self._seconds:g} s and was stopped. Ask for less, or aggregate."
                ) from error
            if _READING_FAILED in str(error):
                for path in self.paths:
                    read_part(Path(path))
            raise QueryError(_explain(error)) from error
        finally:
            self._left -= time.monotonic() - self._since
            self._since = None

    def _is_over(self) -> bool:
        since = self._since
        return since is not None and time.monotonic() - since > self._left

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            if self._is_over():
                self._connection.interrupt()


def _explain(error: Exception) -> str:
    text = str(error).split("\n\nLINE")[0].strip()
    if isinstance(error, RecursionError):
        return "the query is nested too deep"
    if isinstance(error, MemoryError) or "Out of Memory" in text or "malloc" in text:
        return f"the query needs more memory than it may have ({CONSOLE_MEMORY}). Ask for less, or aggregate."
    if "disabled by configuration" in text or "Permission Error" in text:
        return (
            f"not allowed here: a query reads the lake's datasets and nothing else ({text.splitlines()[0]})"
        )
    return text


# ── files for other clients ─────────────────────────────────────────────────────────────────────────────────────────


def create_views_file(path: Path, views: Mapping[str, str]) -> None:
    """A new DuckDB file at `path` with these views (name → query) and nothing else; each query must run here."""
    with closing(duckdb.connect()) as connection:
        connection.execute(f"ATTACH {quoted(path)} AS made (STORAGE_VERSION '{STORAGE_VERSION}')")
        connection.execute("USE made")
        for name, query in sorted(views.items()):
            connection.execute(f"CREATE VIEW {name} AS {query}")
        connection.execute("USE memory; DETACH made")
