"""Questions to a lake in tests, through our SQL and through the catalog that other clients open."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import duckdb

from corpus.lake import Lake
from corpus.sql import run_query
from corpus.views import VIEWS

Rows = list[dict[str, Any]]


PUBLIC = sorted(view for view in VIEWS if "raw" not in view)


def ask(lake: Lake, query: str, raw: bool = False) -> Rows:
    rows: Rows = run_query(lake, query, limit=None, raw=raw).table.to_pylist()
    return rows


def ask_catalog(lake: Lake, query: str) -> Rows:
    with closing(duckdb.connect(str(lake.root / "catalog.duckdb"), read_only=True)) as connection:
        rows: Rows = connection.sql(query).to_arrow_table().to_pylist()
        return rows


def in_order(rows: Iterable[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
