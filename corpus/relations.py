"""The stored relations that views are made of: lists of part files from manifests, and small tables of facts and runs.

Nothing here globs for parts: what is not in a manifest does not exist. `now_` relations hold what the version has that
stands for its recipe name, `all_` ones everything; tables of facts have one scope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from corpus import names, own_fields
from corpus.facts import FILE_KEY, latest, read_facts
from corpus.lake import Lake, Manifest
from corpus.part import Part
from corpus.run_rows import all_checkpoint_rows, event_rows, metric_rows, run_rows
from corpus.schema import DATASETS, OPERATORS

# dataset → kind of the artifact whose manifests list its parts
PART_DATASETS = {
    "rejects": "documents", "signals": "snapshot", "decisions": "snapshot", "near_duplicates": "near_duplicates", "held_out": "holdout",
    "token_shards": "token_shards", "mixtures": "mixture", "scores": "scorecard",
}  # fmt: skip
PART = pa.field("part", pa.int32())  # which part a row is of, where a relation tells its parts apart


@dataclass(frozen=True)
class Relation:
    """Rows of one schema: in part files, or here. With `ordinals` each file's rows also have that number as `part`.

    `mixed` files were written by several versions of an operator: some may be from before a column came.
    """

    schema: pa.Schema
    paths: tuple[str, ...] = ()
    ordinals: tuple[int, ...] | None = None
    mixed: bool = False
    table: pa.Table | None = None


class Relations:
    """The stored relations of a lake by name, each made when asked for; a manifest is read once.

    `{now,all}_X` for each X of `PART_DATASETS`, documents, masks, held_documents, held_masks, pii, pii_parts, snapshots,
    guards, scorecards and shard_parts; without a scope: pii_actions, current_runs, current_documents, and the tables of facts and runs.
    """

    def __init__(self, lake: Lake):
        self._lake = lake
        self._manifests: dict[tuple[str, str], list[Manifest]] = {}

    def __getitem__(self, name: str) -> Relation:
        scope, _, rest = name.partition("_")
        if scope not in ("now", "all"):
            return self._unscoped(name)
        if rest in PART_DATASETS:
            made = self._manifests_of(scope, PART_DATASETS[rest])
            paths = self._paths(part for manifest in made for part in manifest.parts(rest))
            return Relation(DATASETS[rest], tuple(dict.fromkeys(paths)), mixed=_is_mixed(made))
        return self._scoped(scope, rest)

    def _scoped(self, scope: str, name: str) -> Relation:
        find = partial(self._manifests_of, scope)
        match name:
            case "documents" | "masks":
                return self._documents(find("documents"), masks=name == "masks")
            case "held_documents" | "held_masks":
                drawn_from = {id for drawn in find("holdout") for id in drawn.parents_of("documents")}
                documents = [
                    found for found in self._manifests_of("all", "documents") if found.id in drawn_from
                ]
                return self._documents(documents, masks=name == "held_masks")
            case "pii" | "pii_parts":
                return self._pii(find("snapshot"), numbers=name == "pii_parts")
            case "snapshots":
                return _table(name, [row for found in find("snapshot") for row in snapshot_rows(found)])
            case "guards":
                return _table("events", [row for found in find("snapshot") for row in guard_rows(found)])
            case "scorecards":
                return _table(
                    name, [row for found in find("scorecard") for row in found.summary.get("rows", [])]
                )
            case "shard_parts":
                rows = [
                    (found.id, part.key)
                    for found in find("token_shards")
                    for part in found.parts("token_shards")
                ]
                return _rows(rows, token_shards_id=pa.string(), part=pa.string())
        raise KeyError(name)

    def _unscoped(self, name: str) -> Relation:
        if name == "pii_actions":
            snapshots = self._manifests_of("all", "snapshot")
            rows = [(found.id, *action) for found in snapshots for action in found.identity["pii"].items()]
            return _rows(rows, snapshot_id=pa.string(), type=pa.string(), action=pa.string())
        if name == "current_runs":
            return _rows(
                sorted({(fact["id"],) for fact in names.current(self._lake, "run")}), run_id=pa.string()
            )
        if name == "current_documents":
            return _rows([(found.id,) for found in self._manifests_of("now", "documents")], id=pa.string())
        return _table(name, _TABLES[name](self._lake))

    def _manifests_of(self, scope: str, kind: str) -> list[Manifest]:
        if scope == "all":
            self._manifests_of("now", kind)  # first: what a name stands for was there before, so all hold it
        if (scope, kind) not in self._manifests:
            read = self._lake.artifacts if scope == "all" else partial(_current, self._lake)
            self._manifests[scope, kind] = read(kind)
        return self._manifests[scope, kind]

    def _numbered(
        self, schema: pa.Schema, parts: Iterable[tuple[int, Part]], made: Iterable[Manifest]
    ) -> Relation:
        numbers, found = zip(*parts, strict=True) if (parts := list(parts)) else ((), ())
        return Relation(schema.append(PART), tuple(self._paths(found)), numbers, _is_mixed(made))

    def _paths(self, parts: Iterable[Part]) -> Iterator[str]:
        folders: dict[str, str] = {}  # thousands of parts: text is joined, no Path made
        for part in parts:
            if part.dataset not in folders:
                folders[part.dataset] = str(self._lake.path_of(part).parent)
            yield f"{folders[part.dataset]}/{part.key}.parquet"

    def _documents(self, manifests: Iterable[Manifest], masks: bool) -> Relation:
        """The parts of documents, numbered, −1 where personal data was not looked for; or, numbered alike, what was found."""
        measured = self.best_pii()
        parts = {part.key: part for manifest in manifests for part in manifest.parts("documents")}
        if masks:
            found = [(number, measured[key]) for number, key in enumerate(parts) if key in measured]
            columns = ["masked_text", *own_fields.MASKED_FIELDS.values()]
            return self._numbered(_some("pii", "doc_id", *columns), found, self._manifests_of("all", "pii"))
        numbers = [
            (number if key in measured else -1, part) for number, (key, part) in enumerate(parts.items())
        ]
        return self._numbered(DATASETS["documents"], numbers, manifests)

    def best_pii(self) -> dict[str, Part]:
        """documents part key → the pii part that looked for most types, the newest version among these.

        One that did not look through own fields does not count: what was not looked through is not shown.
        """
        documents = {found.id: found for found in self._manifests_of("all", "documents")}
        best: dict[str, Part] = {}
        for pii in sorted(self._manifests_of("all", "pii"), key=_thoroughness):
            read = documents.get(pii.parent("documents")) if pii.version >= own_fields.SINCE else None
            if read:
                keys = [part.key for part in read.parts("documents")]
                best |= dict(zip(keys, pii.parts("pii"), strict=True))
        return best

    def _pii(self, snapshots: Iterable[Manifest], numbers: bool) -> Relation:
        """What each snapshot's own measurement found: the parts, numbered, or which snapshot and source a number is of."""
        measured = {found.id: found for found in self._manifests_of("all", "pii")}
        parts: dict[str, tuple[int, Part]] = {}
        rows = []
        for snapshot in snapshots:
            for source, entry in snapshot.identity["sources"].items():
                pii = measured.get(entry["measured"].get("pii", ""))
                for part in pii.parts("pii") if pii else ():
                    number, _ = parts.setdefault(part.key, (len(parts), part))
                    rows.append((snapshot.id, source, number))
        if numbers:
            return _rows(rows, snapshot_id=pa.string(), source=pa.string(), part=PART.type)
        return self._numbered(_some("pii", "doc_id", "spans"), parts.values(), measured.values())


def _current(lake: Lake, kind: str) -> list[Manifest]:
    wanted = {fact["id"] for fact in names.current(lake, kind)}
    return [found for id in sorted(wanted) if (found := lake.find(kind, id))]


def _is_mixed(made: Iterable[Manifest]) -> bool:
    return len({manifest.version for manifest in made}) > 1


def _thoroughness(pii: Manifest) -> tuple[int, int, str]:
    return len(pii.identity.get("types", ())), pii.version, pii.id


def _some(operator: str, *columns: str) -> pa.Schema:
    return pa.schema([OPERATORS[operator].field(name) for name in columns])


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _table(dataset: str, rows: Iterable[Mapping[str, Any]]) -> Relation:
    schema = DATASETS[dataset]
    plain = [{name: row.get(name) for name in schema.names} for row in rows]
    return Relation(schema, table=pa.Table.from_pylist(plain, schema=schema))


def _rows(rows: Iterable[tuple[Any, ...]], **columns: pa.DataType) -> Relation:
    schema = pa.schema(list(columns.items()))
    return Relation(
        schema, table=pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows], schema)
    )


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


def guard_rows(snapshot: Manifest) -> list[dict[str, Any]]:
    """The rows of `events` that a snapshot's curation left: what it did not do in full, and what is out of the ordinary."""
    guards = snapshot.summary.get("guards", [])
    return [{**guard, "snapshot_id": snapshot.id, "sequence": number} for number, guard in enumerate(guards)]


def _latest(dataset: str, *key: str) -> Callable[[Lake], list[dict[str, Any]]]:
    """Rows of facts of which a later one of the same key replaces an earlier."""
    return lambda lake: list(latest(read_facts(lake, dataset), key).values())


def _name_rows(lake: Lake) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for owner in (owner for name in names.recipe_names(lake) for owner in names.claims(lake, name)):
        of_owner = {"name": owner.name, "version": owner.version, "fingerprint": owner.fingerprint}
        for kind in names.ARTIFACT_KINDS:
            rows += [of_owner | fact for fact in names.attached(lake, owner, kind)]
    moves = [
        {**place, "name": name, "alias": alias, "kind": "run"} for name, alias, place in names.aliases(lake)
    ]
    return rows + moves


_TABLES: dict[str, Callable[[Lake], list[dict[str, Any]]]] = {
    "sources": _latest("sources", "source", "documents_id"),
    "files": _latest("files", *FILE_KEY),
    "names": _name_rows,
    "contamination": lambda lake: [],
    "runs": run_rows,
    "checkpoints": all_checkpoint_rows,
    "metrics": metric_rows,
    "events": event_rows,
    **{name: partial(read_facts, dataset=name) for name in ("signoffs", "audits", "erased")},
}
