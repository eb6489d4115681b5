"""The views: one query for each public dataset, over stored relations that stand in braces (`corpus.relations`).

Plain names show what the version has that stands for its recipe name, `all_` names everything. Text and a document's own fields are shown
with personal data masked.
"""

from __future__ import annotations

from string import Formatter

import pyarrow as pa

from corpus.schema import DATASETS, OWN_FIELDS

FACT_DATASETS = ("names", "signoffs", "audits", "erased", "contamination")
RUN_DATASETS = ("runs", "checkpoints", "metrics", "events")
_MASKED = ("documents", "held_out")
RAW = frozenset(
    scope + "raw_" + name for name in _MASKED for scope in ("", "all_")
)  # for those who ask for unmasked text

_SHOWN = ("text", *OWN_FIELDS)  # masked where there is anything to mask
# What is masked of a document is found by its part, not by its id alone: two readings of one file share ids, not texts.
_MASKS = f"""(
    SELECT part, doc_id, {", ".join(f"any_value(masked_{name}) AS masked_{name}" for name in _SHOWN)}
    FROM {{masks}} WHERE {" OR ".join(f"masked_{name} IS NOT NULL" for name in _SHOWN)} GROUP BY part, doc_id)"""
# What was not looked through yet (part −1) is not shown.
_DOCUMENTS = (
    "SELECT {columns} FROM {{documents}} d LEFT JOIN {masks} m ON m.part = d.part AND m.doc_id = d.doc_id"
)
# A recipe may leave some types of personal data in the edited text; here a document with any shows its masked text instead.
_HELD_OUT = """SELECT {columns} FROM {{held_out}} d LEFT JOIN (
    SELECT r.doc_id, r.content_hash, bool_and(r.part >= 0) AS measured, max(m.masked_text) AS masked_text
    FROM {{held_documents}} r LEFT JOIN {masks} m ON m.part = r.part AND m.doc_id = r.doc_id
    WHERE r.doc_id IN (SELECT doc_id FROM {{held_out}}) GROUP BY r.doc_id, r.content_hash
) k ON k.doc_id = d.doc_id AND k.content_hash = d.content_hash"""
_PII_SPANS = """SELECT s.snapshot_id, p.doc_id, s.source, p.span['start'] AS start, p.span['end'] AS "end", p.span['type'] AS type, a.action
FROM (SELECT part, doc_id, unnest(spans) AS span FROM {pii}) p
JOIN {pii_parts} s ON s.part = p.part JOIN {pii_actions} a ON a.snapshot_id = s.snapshot_id AND a.type = p.span['type']"""
# Rows of these stand in a file, whose name is a fact: parts know its content only.
_IN_FILE = ("documents", "rejects")
_FILE_KEY = "(source, file_hash, occurrence)"
# Grouped, DuckDB sees that the join changes no count, and leaves it out where `file` is not asked for: 0.1 s per million rows, not 0.4.
_FILE = f""" LEFT JOIN (
    SELECT source, file_hash, occurrence, any_value(file) AS file FROM {{files}} GROUP BY ALL) f USING {_FILE_KEY}"""
_FILES = f"""SELECT f.* FROM {{files}} f SEMI JOIN (
    SELECT source, file_hash, occurrence FROM {{now_documents}} UNION SELECT source, file_hash, occurrence FROM {{now_rejects}}
) u USING {_FILE_KEY}"""
_TOKEN_SHARDS = "SELECT {columns} FROM {{token_shards}} d JOIN {{shard_parts}} p ON p.part = d.part"


def view_schema(dataset: str) -> pa.Schema:
    """The columns of a dataset's view: those of its rows, and the name of the file that they stand in."""
    schema = DATASETS[dataset]
    return schema.append(pa.field("file", pa.string())) if dataset in _IN_FILE else schema


def _columns(dataset: str, **instead: str) -> str:
    if dataset in _IN_FILE:
        instead["file"] = "f.file"
    return ", ".join(
        f'{instead[name]} AS "{name}"' if name in instead else f'd."{name}"'
        for name in view_schema(dataset).names
    )


def _scoped_views() -> dict[str, str]:
    """The views that show one scope (`now` or `all`) of what artifacts hold; relations are named without it."""
    masks, held = _MASKS.format(masks="{masks}"), _MASKS.format(masks="{held_masks}")
    plain = [
        "signals",
        "decisions",
        "near_duplicates",
        "mixtures",
        "snapshots",
        "scores",
        "scorecards",
    ]
    return {
        **{name: f"SELECT * FROM {{{name}}}" for name in plain},
        "documents": _DOCUMENTS.format(
            columns=_columns(
                "documents", **{name: f"CASE WHEN d.part >= 0 THEN coalesce(m.masked_{name}, d.{name}) END" for name in _SHOWN},
            ), masks=masks
        ) + _FILE,
        "held_out": _HELD_OUT.format(
            columns=_columns("held_out", text="CASE WHEN k.measured THEN coalesce(k.masked_text, d.text) END"), masks=held
        ),
        "pii_spans": _PII_SPANS,
        "token_shards": _TOKEN_SHARDS.format(columns=_columns("token_shards", token_shards_id="p.token_shards_id")),
        "raw_documents": f"SELECT {_columns('documents')} FROM {{documents}} d{_FILE}",
        "rejects": f"SELECT {_columns('rejects')} FROM {{rejects}} d{_FILE}",
        "raw_held_out": "SELECT * FROM {held_out}",
    }  # fmt: skip


def _views() -> dict[str, str]:
    found = {}
    for name, query in _scoped_views().items():
        for public, scope in ((name, "now"), (f"all_{name}", "all")):
            found[public] = query.format_map(_Scope(scope))
    for name in RUN_DATASETS:
        found[name] = f"SELECT * FROM {{{name}}} WHERE run_id IN (SELECT run_id FROM {{current_runs}})"
        found[f"all_{name}"] = f"SELECT * FROM {{{name}}}"
    for name, scope in (("events", "now"), ("all_events", "all")):  # what curation has to tell is of no run
        found[name] += f" UNION ALL SELECT * FROM {{{scope}_guards}}"
    found |= {"files": _FILES, "all_files": "SELECT * FROM {files}", "all_sources": "SELECT * FROM {sources}"}
    found["sources"] = "SELECT * FROM {sources} WHERE documents_id IN (SELECT id FROM {current_documents})"
    for name in FACT_DATASETS:
        found[name] = f"SELECT * FROM {{{name}}}"
    return found


class _Scope(dict[str, str]):
    """Puts the scope before the name of every relation that has one."""

    def __init__(self, scope: str):
        self.scope = scope

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}" if name in ("pii_actions", "files") else f"{{{self.scope}_{name}}}"


def quoted(value: object) -> str:
    """A text as an SQL literal."""
    return "'" + str(value).replace("'", "''") + "'"


VIEWS = _views()  # public name → query; relations stand in braces


def relations_of(view: str) -> set[str]:
    """The names of the stored relations that a view reads."""
    return {field for _, field, _, _ in Formatter().parse(VIEWS[view]) if field}
