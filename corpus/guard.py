"""What a query may be: one SELECT that names the lake's datasets and nothing else. Decided on its syntax tree, before it runs.

This is the inner of two walls. The outer one is DuckDB's own (`corpus.sql`: no external access, configuration locked), and
the console adds a process that can write to no file (`corpus.console`). Everything not known here is refused: a tree that
a newer DuckDB makes of new syntax is an error until someone has looked at it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from corpus.errors import ConfigError, TilthError, did_you_mean

QUERY_BYTES = (
    50_000  # nested a hundred thousand deep, a query overflows the parser's stack and ends the process
)

_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_TABLES = {
    "BASE_TABLE",
    "TABLE_FUNCTION",
    "SUBQUERY",
    "JOIN",
    "EXPRESSION_LIST",
    "EMPTY",
    "SHOW_REF",
    "PIVOT",
}
_ORDERS = {"ORDER_DEFAULT", "ASCENDING", "DESCENDING"}
_MODIFIERS = {"ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER"}
_KNOWN = _NODES | _TABLES | _ORDERS | _MODIFIERS

TABLE_FUNCTIONS = {"range", "generate_series", "unnest", "json_each", "json_tree", "repeat", "repeat_row"}
# Functions that tell of the machine or the connection, write to its log, wait, or run SQL given as text.
REFUSED_FUNCTIONS = {
    "getenv", "current_setting", "getvariable", "current_query", "pg_get_viewdef", "stats", "write_log", "sleep_ms", "pg_sleep",
    "nextval", "currval", "setval", "json_serialize_plan", "json_serialize_sql", "json_deserialize_sql", "json_execute_serialized_sql",
}  # fmt: skip


class QueryError(ConfigError):
    """The query is wrong, or asks for what the guard does not allow."""


class QueryTimeout(TilthError):
    """The query took longer than its limit and was stopped."""


def check_size(query: str) -> None:
    """Refuse a query so long that parsing it is a danger of its own."""
    if (size := len(query.encode("utf-8", "replace"))) > QUERY_BYTES:
        raise QueryError(f"the query has {size:,} bytes; {QUERY_BYTES:,} are the most")


def datasets_read(tree: Mapping[str, Any], public: Collection[str]) -> set[str]:
    """The names among `public` that a serialized statement reads (`json_serialize_sql`).

    Raises QueryError for whatever else it would do: another statement, another table or file, a function that is refused.
    """
    if tree.get("error"):
        raise QueryError(_not_a_query(str(tree.get("error_message", ""))))
    if len(tree["statements"]) != 1:
        raise QueryError(f"{len(tree['statements'])} statements arrived; give exactly one")
    found: set[str] = set()
    for node, defined in _walk(tree["statements"][0]):
        name = _table_named(node)
        if name is not None and name.lower() not in defined:
            found.add(_dataset(name, public))
    return found


def _not_a_query(message: str) -> str:
    if "Only SELECT" in message:
        return "not allowed here: a query is one SELECT, DESCRIBE, SUMMARIZE or SHOW; nothing is changed or written through it"
    return message


def _walk(statement: Any) -> Iterator[tuple[Mapping[str, Any], frozenset[str]]]:
    """Every object of the tree, each checked, with the names that WITH defines for it.

    Without recursion: trees may be deeper than Python's stack.
    """
    waiting: list[tuple[Any, frozenset[str]]] = [(statement, frozenset())]
    while waiting:
        node, defined = waiting.pop()
        if isinstance(node, dict):
            _check(node)
            yield node, defined
            for entry in (node.get("cte_map") or {}).get("map", []):
                name, body = entry["key"].lower(), entry["value"]
                recursive = body["query_node"]["type"] == "RECURSIVE_CTE_NODE"
                waiting.append((body, defined | {name} if recursive else defined))
                defined |= {name}
            waiting += [(value, defined) for key, value in node.items() if key != "cte_map"]
        elif isinstance(node, list):
            waiting += [(value, defined) for value in node]


def _check(node: Mapping[str, Any]) -> None:
    if "function_name" in node:
        name = str(node["function_name"]).lower()
        if name in REFUSED_FUNCTIONS or name.startswith("__internal"):
            raise QueryError(f"not allowed here: the function {name}()")
    kind = node.get("type")
    if "class" in node or not isinstance(kind, str):  # an expression, or a type
        return
    if kind not in _KNOWN:
        what = kind.removesuffix("_QUERY_NODE").removesuffix("_NODE").lower()
        raise QueryError(f"not allowed here: {what}; a query reads and does nothing else")
    if kind == "TABLE_FUNCTION":
        name = str(node["function"].get("function_name", "")).lower()
        if name not in TABLE_FUNCTIONS or _is_qualified(node["function"]):
            raise QueryError(
                f"not allowed here: the table function {name}(); there are {', '.join(sorted(TABLE_FUNCTIONS))}"
            )


def _table_named(node: Mapping[str, Any]) -> str | None:
    """The name of the table that a node reads, if it is one that reads a table."""
    kind = node.get("type")
    if (
        "class" in node
        or kind not in ("BASE_TABLE", "SHOW_REF")
        or (kind == "SHOW_REF" and node.get("query"))
    ):
        return None
    if node.get("show_type") == "SHOW_SPECIAL":
        raise QueryError("not allowed here; DESCRIBE documents and SHOW TABLES (alone) are")
    if node.get("at_clause"):
        raise QueryError("not allowed here: AT; a dataset has one state")
    if _is_qualified(node):
        path = ".".join(node.get("qualified_name", {}).get("path", ["?"]))
        raise QueryError(f"not allowed here: {path}; datasets are named without a schema")
    return str(node["table_name"])


def _is_qualified(node: Mapping[str, Any]) -> bool:
    path = node.get("qualified_name", {}).get("path", [""])
    schemas = [node.get(key) for key in ("catalog_name", "schema_name", "catalog", "schema")]
    return len(path) > 1 or any(schemas)


def _dataset(name: str, public: Collection[str]) -> str:
    for word in (name, name.lower()):
        if word in public:
            return word
    plain = sorted(word for word in public if not word.startswith("all_"))
    raise QueryError(
        f"there is no dataset {name!r}.{did_you_mean(name.lower(), public)} There are: {', '.join(plain)} (and all_… of most)."
    )
