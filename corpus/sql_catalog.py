"""`catalog.duckdb`: the views for any DuckDB client, replaced by swapping a link while runs write and clients read.

    catalog.duckdb                       a link to the newest of
    .catalog/<place>-<hash>.duckdb       views only; files are named absolutely, and <place> says under which root
    .catalog/<place>-<hash>/             tables of facts and runs as they were, as Parquet

A client that has an older one open keeps it for an hour at least after a newer one came, and until three newer ones are
there; then its tables are deleted and it has to open the link again. `tilth sql` never opens any of them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.fingerprint import fingerprint
from corpus.lake import Lake
from corpus.part import publish, reading, rows_hash, staging_path
from corpus.relations import PART, Relation, Relations
from corpus.views import RAW, VIEWS, quoted, relations_of

KEPT, KEPT_SECONDS = 3, 3600.0  # older ones are deleted, but none that was the newest within the hour
_GLOB = str.maketrans({"[": "[[]", "*": "[*]", "?": "[?]"})


def catalog_exists(lake: Lake) -> bool:
    return (lake.root / "catalog.duckdb").exists()


def write_catalog(lake: Lake) -> Path:
    """Make `catalog.duckdb` show what the lake holds now; returns the file that it links to."""
    folder = lake.root / ".catalog"
    folder.mkdir(exist_ok=True)
    views = {name: query for name, query in VIEWS.items() if name not in RAW}
    found = Relations(lake)
    relations = {
        name: found[name] for name in sorted({name for view in views for name in relations_of(view)})
    }
    content = {name: _identity(relation) for name, relation in relations.items()}
    target = folder / f"{_place(lake)}-{fingerprint([views, content])}.duckdb"
    if not target.exists():
        _build(target, views, relations)
    _swap(lake.root / "catalog.duckdb", target)
    _prune(folder, target)
    return target


def is_catalog_moved(lake: Lake) -> bool:
    """Whether the catalog's views name files where the lake stood before it was moved."""
    link = lake.root / "catalog.duckdb"
    return link.is_symlink() and not Path(os.readlink(link)).name.startswith(f"{_place(lake)}-")


def follow_move(lake: Lake) -> None:
    """Write the catalog again if the lake was moved. For commands that only read: a lake that cannot be written stays as it is."""
    if is_catalog_moved(lake):
        with suppress(OSError):
            write_catalog(lake)


def _place(lake: Lake) -> str:
    return fingerprint(str(lake.root))[:8]


def _identity(relation: Relation) -> list[Any]:
    rows = None if relation.table is None else rows_hash(relation.table)
    return [relation.paths, relation.ordinals, relation.mixed, relation.schema.names, rows]


def _build(target: Path, views: Mapping[str, str], relations: Mapping[str, Relation]) -> None:
    from corpus.sql import create_views_file  # loads duckdb, which most commands need not

    tables = target.with_suffix("")
    staging = target.with_name(f".{uuid.uuid4().hex}")
    staging.mkdir()
    for name, relation in relations.items():
        table = relation.schema.empty_table() if relation.table is None else relation.table
        pq.write_table(table, staging / f"{name}.parquet")
    try:
        os.rename(staging, tables)
    except OSError:  # another writer was at the same
        shutil.rmtree(staging)
    sources = {name: _source(relation, tables / f"{name}.parquet") for name, relation in relations.items()}
    file = staging.with_suffix(".duckdb")
    # DuckDB cannot write under a folder with '?' in its name.
    with tempfile.TemporaryDirectory() as elsewhere:
        made = Path(elsewhere) / "made.duckdb"
        create_views_file(made, {name: query.format_map(sources) for name, query in views.items()})
        shutil.copyfile(made, file)
    publish(file, target)


def _source(relation: Relation, table: Path) -> str:
    """A relation as a subquery that needs nothing but its files; `table` is its file here, empty where it is in parts."""
    columns = ", ".join(f'r."{name}"' for name in relation.schema.names)
    files = _read(relation, table)
    if relation.ordinals is None or not relation.paths:
        return f"(SELECT {columns} FROM {files} r)"
    numbers = (
        f"(SELECT unnest({_list(relation.paths)}) AS filename, unnest({list(relation.ordinals)}) AS part)"
    )
    columns = columns.replace('r."part"', "n.part")
    return f"(SELECT {columns} FROM {files} r JOIN {numbers} n ON n.filename = r.filename)"


def _read(relation: Relation, table: Path) -> str:
    """The scan of a relation's files.

    DuckDB takes the columns of the first file for those of all, or those of all that there are, which opens every one. So
    where a part may be from before a column came, the empty `table` stands first and says what there should be.
    """
    options = "filename=true, hive_partitioning=false"  # a folder above may be named column=value
    paths = relation.paths or (str(table),)
    if relation.mixed or not _has_all(relation.schema, paths[0]):
        paths = (str(table), *paths)
        options += ", union_by_name=true"
    return f"read_parquet({_list(tuple(path.translate(_GLOB) for path in paths))}, {options})"


def _has_all(schema: pa.Schema, path: str) -> bool:
    with reading(Path(path)):
        found = pq.read_schema(path)
    wanted = (field for field in schema if field != PART)
    return all(field.name in found.names and found.field(field.name).type == field.type for field in wanted)


def _list(paths: tuple[str, ...]) -> str:
    return "[" + ", ".join(quoted(path) for path in paths) + "]"


def _swap(link: Path, target: Path) -> None:
    to = f"{target.parent.name}/{target.name}"
    if link.is_symlink():
        if os.readlink(link) == to:
            return
        with suppress(FileNotFoundError):  # another writer may have deleted it
            os.utime(link.parent / os.readlink(link))  # its hour begins now
    staging = staging_path(link)
    staging.symlink_to(to)
    os.replace(staging, link)


def _prune(folder: Path, current: Path) -> None:
    """Delete catalogs that are neither among the newest nor of the last hour, their tables, and what a kill left."""
    age = {path: time.time() - _mtime(path) for path in folder.iterdir()}
    catalogs = sorted(
        (path for path in age if path.suffix == ".duckdb" and path.name[0] != "."), key=age.__getitem__
    )
    kept = {current.stem, *(path.stem for path in catalogs[:KEPT])}
    kept |= {path.stem for path in catalogs if age[path] < KEPT_SECONDS}
    for path in age:
        if path.name.split(".duckdb")[0] not in kept and age[path] > KEPT_SECONDS:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()
