"""What each public dataset is made of: lists of part files from manifests, and small tables from facts and run folders.

Plain names show the newest version of every recipe name, `all_` names everything. A view never globs: what is not in a
manifest does not exist. How SQL runs over this is `corpus.sql`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus import names
from corpus.facts import read_facts
from corpus.lake import Lake, Manifest
from corpus.schema import DATASETS, OPERATORS, schema_of

# dataset → kind of the artifact whose manifests list its parts
PART_DATASETS = {
    "documents": "documents", "rejects": "documents", "signals": "snapshot", "decisions": "snapshot", "near_duplicates": "near_duplicates",
    "held_out": "holdout", "token_shards": "token_shards", "mixtures": "mixture", "scores": "scorecard",
}  # fmt: skip
RUN_DATASETS = ("metrics", "events")
FACT_DATASETS = ("sources", "files", "names", "signoffs", "audits", "erased", "contamination")

# Text whose personal data was not looked for yet is not shown: null until `tilth curate` has measured it.
_MASKED = (
    "SELECT {columns} FROM {stored}_raw_documents d LEFT JOIN "
    "(SELECT doc_id, any_value(masked_text) AS masked_text, true AS measured FROM {stored}_pii GROUP BY doc_id) p USING (doc_id)"
)


@dataclass(frozen=True)
class Relation:
    """Rows of one schema: in part files, or here."""

    schema: pa.Schema
    paths: tuple[Path, ...] = ()
    table: pa.Table | None = None


def relations(lake: Lake) -> dict[str, Relation]:
    """The stored relations that views are made of: `now_X` and `all_X` for parts, and one for each table of facts."""
    found: dict[str, Relation] = {}
    every = {kind: lake.artifacts(kind) for kind in sorted({*PART_DATASETS.values(), "pii"})}
    current = {kind: _current(lake, kind, every) for kind in every}
    for scope, chosen in (("now", current), ("all", every)):
        for dataset, kind in PART_DATASETS.items():
            name = "raw_documents" if dataset == "documents" else dataset
            found[f"{scope}_{name}"] = Relation(schema_of(dataset), _paths(lake, chosen[kind], dataset))
        found[f"{scope}_pii"] = Relation(OPERATORS["pii"], _paths(lake, chosen["pii"], "pii"))
        found[f"{scope}_snapshots"] = _table(
            "snapshots", [row for manifest in chosen["snapshot"] for row in snapshot_rows(manifest)]
        )
        found[f"{scope}_shard_parts"] = _shard_parts(chosen["token_shards"])
    found["pii_actions"] = _pii_actions(every["snapshot"])
    found["scorecards"] = _table(
        "scorecards", [row for manifest in every["scorecard"] for row in manifest.summary.get("rows", [])]
    )
    found["current_runs"] = Relation(
        pa.schema([("run_id", pa.string())]),
        table=pa.table({"run_id": pa.array(sorted(_current_runs(lake)), pa.string())}),
    )
    found |= {name: _table(name, rows) for name, rows in _fact_rows(lake).items()}
    found |= {name: _table(name, rows) for name, rows in _run_rows(lake).items()}
    return found


def view_sql(prefix: str) -> dict[str, str]:
    """Public view name → the query that makes it from `relations` stored under `prefix` + their names."""
    found: dict[str, str] = {}
    for public, scope in (("", "now"), ("all_", "all")):
        stored = prefix + scope
        found[f"{public}documents"] = _MASKED.format(
            columns=_columns(
                "documents", {"text": "CASE WHEN p.measured THEN coalesce(p.masked_text, d.text) END AS text"}
            ),
            stored=stored,
        )
        for dataset in (
            "rejects",
            "signals",
            "decisions",
            "near_duplicates",
            "held_out",
            "mixtures",
            "snapshots",
            "scores",
        ):
            found[f"{public}{dataset}"] = f"SELECT * FROM {stored}_{dataset}"
        columns = _columns("token_shards", {"token_shards_id": "p.token_shards_id"})
        found[f"{public}token_shards"] = (
            f"SELECT {columns} FROM {stored}_token_shards d JOIN {stored}_shard_parts p USING (part)"
        )
        found[f"{public}pii_spans"] = (
            "SELECT d.snapshot_id, p.doc_id, d.source, p.span['start'] AS start, p.span['end'] AS \"end\", p.span['type'] AS type, a.action "
            f"FROM (SELECT doc_id, unnest(spans) AS span FROM {stored}_pii) p JOIN {stored}_decisions d USING (doc_id) "
            f"JOIN {prefix}pii_actions a ON a.snapshot_id = d.snapshot_id AND a.type = p.span['type']"
        )
        scoped = "" if public else f" WHERE run_id IN (SELECT run_id FROM {prefix}current_runs)"
        for dataset in ("runs", "checkpoints", "scorecards", *RUN_DATASETS):
            found[f"{public}{dataset}"] = f"SELECT * FROM {prefix}{dataset}{scoped}"
    for dataset in FACT_DATASETS:
        found[dataset] = f"SELECT * FROM {prefix}{dataset}"
    return found


def _columns(dataset: str, instead: Mapping[str, str]) -> str:
    return ", ".join(instead.get(name, f'd."{name}"') for name in DATASETS[dataset].names)


# ── parts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _current(lake: Lake, kind: str, every: Mapping[str, list[Manifest]]) -> list[Manifest]:
    if kind == "pii":  # attached to no name of its own: it goes with the documents
        wanted = {fact["id"] for fact in names.current(lake, "documents")}
        return [manifest for manifest in every["pii"] if manifest.parent("documents") in wanted]
    wanted = {fact["id"] for fact in names.current(lake, kind)}
    return [manifest for manifest in every[kind] if manifest.id in wanted]


def _paths(lake: Lake, manifests: Iterable[Manifest], dataset: str) -> tuple[Path, ...]:
    return tuple(
        dict.fromkeys(lake.path_of(part) for manifest in manifests for part in manifest.parts(dataset))
    )


def _shard_parts(manifests: Iterable[Manifest]) -> Relation:
    rows = [
        {"token_shards_id": manifest.id, "part": part.key}
        for manifest in manifests
        for part in manifest.parts("token_shards")
    ]
    schema = pa.schema([("token_shards_id", pa.string()), ("part", pa.string())])
    return Relation(schema, table=pa.Table.from_pylist(rows, schema=schema))


def _pii_actions(snapshots: Iterable[Manifest]) -> Relation:
    rows = [
        {"snapshot_id": manifest.id, "type": kind, "action": action}
        for manifest in snapshots
        for kind, action in manifest.identity["pii"].items()
    ]
    schema = pa.schema([("snapshot_id", pa.string()), ("type", pa.string()), ("action", pa.string())])
    return Relation(schema, table=pa.Table.from_pylist(rows, schema=schema))


def snapshot_rows(manifest: Manifest) -> list[dict[str, Any]]:
    """One row of `snapshots` per source."""
    holdout = dict(manifest.parents).get("holdout")
    return [
        {
            "snapshot_id": manifest.id, "source": name, "num_documents": tally["documents"], "num_kept": tally["kept"], "num_dropped": tally["dropped"],
            "num_rejects": manifest.summary["rejects"].get(name, 0), "num_bytes": tally["bytes"], "num_bytes_kept": tally["bytes_kept"], "num_tokens": tally["tokens"],
            "num_tokens_kept": tally["tokens_kept"], "holdout_id": holdout, "sample": manifest.summary.get("sample", 1.0),
        }
        for name, tally in manifest.summary["sources"].items()
    ]  # fmt: skip


# ── facts and run folders ───────────────────────────────────────────────────────────────────────────────────────────


def _fact_rows(lake: Lake) -> dict[str, list[dict[str, Any]]]:
    sources = {
        (row["source"], row["documents_id"]): row for row in read_facts(lake, "sources")
    }  # the latest of each wins
    files = {
        (row["source"], row["documents_id"], row["file_hash"], row["occurrence"]): row
        for row in read_facts(lake, "files")
    }
    found = {
        "sources": list(sources.values()),
        "files": list(files.values()),
        "names": _name_rows(lake),
        "contamination": [],
    }
    return found | {name: read_facts(lake, name) for name in ("signoffs", "audits", "erased")}


def _name_rows(lake: Lake) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name in names.recipe_names(lake):
        for owner in names.claims(lake, name):
            facts = [fact for kind in names.ARTIFACT_KINDS for fact in names.attached(lake, owner, kind)]
            rows += [
                {
                    "name": name,
                    "version": owner.version,
                    "fingerprint": owner.fingerprint,
                    "time_utc": fact["time_utc"],
                    "kind": fact["kind"],
                    "id": fact["id"],
                }
                for fact in facts
            ]
    moves = [
        {"name": name, "alias": alias, "id": place["id"], "kind": "run", "time_utc": place["time_utc"]}
        for name, alias, place in names.aliases(lake)
    ]
    return rows + moves


def _current_runs(lake: Lake) -> set[str]:
    return {fact["id"] for fact in names.current(lake, "run")}


def _run_rows(lake: Lake) -> dict[str, list[dict[str, Any]]]:
    runs, checkpoints = [], []
    lines: dict[str, list[dict[str, Any]]] = {dataset: [] for dataset in RUN_DATASETS}
    for folder in sorted(path for path in lake.runs.glob("*") if (path / "lineage.json").exists()):
        lineage, status = _json(folder / "lineage.json"), _json(folder / "status.json")
        runs.append({**lineage, **status, "run_id": folder.name})
        checkpoints += checkpoint_rows(folder)
        for dataset in RUN_DATASETS:
            lines[dataset] += latest_attempts(json_lines(folder / f"{dataset}.jsonl"))
    return {"runs": runs, "checkpoints": checkpoints, **lines}


def checkpoint_rows(run_folder: Path) -> list[dict[str, Any]]:
    """Rows of `checkpoints` by step, those that rotation removed too: the latest word on each."""
    latest = {row["step"]: row for row in json_lines(run_folder / "checkpoints.jsonl")}
    return [latest[step] for step in sorted(latest)]


def json_lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a growing file: a torn last line is not there yet."""
    if not path.exists():
        return []
    whole = path.read_bytes().rpartition(b"\n")[0]
    return [json.loads(line) for line in whole.splitlines() if line.strip()]


def latest_attempts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of steps that were run more than once (after a kill), the rows of the last attempt."""
    last: dict[Any, int] = {}
    for row in rows:
        last[row.get("step")] = max(last.get(row.get("step"), 0), row.get("attempt") or 0)
    return [row for row in rows if (row.get("attempt") or 0) == last[row.get("step")]]


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def _table(dataset: str, rows: Iterable[Mapping[str, Any]]) -> Relation:
    schema = DATASETS[dataset]
    return Relation(
        schema,
        table=pa.Table.from_pylist(
            [{column: row.get(column) for column in schema.names} for row in rows], schema=schema
        ),
    )
