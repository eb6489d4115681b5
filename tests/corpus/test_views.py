"""Views: in SQL stands what the Python API returns, empty before there is data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from corpus import names
from corpus.facts import read_facts
from corpus.lake import Lake, Manifest
from corpus.relations import Relations, guard_rows, snapshot_rows
from corpus.run_rows import checkpoint_rows, json_lines
from corpus.schema import DATASETS, OWN_FIELDS
from corpus.sql import run_query
from corpus.sql_catalog import write_catalog
from corpus.views import VIEWS, relations_of, view_schema
from tests.corpus.asking import PUBLIC, Rows, ask, ask_catalog, in_order
from tests.corpus.lakes import (
    Story,
    attach,
    read_sources,
    write_sources,
)


def test_every_dataset_is_a_view_with_its_columns(story: Story) -> None:
    for name in DATASETS:
        assert run_query(story.lake, f"FROM {name}").table.column_names == view_schema(name).names
    assert {name.removeprefix("all_") for name in PUBLIC} == DATASETS.keys()


def test_every_relation_that_a_view_names_exists(tmp_path: Path) -> None:
    found = Relations(Lake.open(tmp_path / "lake"))
    for view in VIEWS:
        for name in relations_of(view):
            assert found[name].schema.names


def test_every_view_is_empty_before_there_is_data(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    write_catalog(lake)
    for view in VIEWS:
        found = run_query(lake, f"FROM {view}", raw=True)
        assert found.table.num_rows == 0 and not found.cut
        assert found.table.column_names == view_schema(view.removeprefix("all_").removeprefix("raw_")).names
    for view in PUBLIC:
        assert ask_catalog(lake, f"FROM {view}") == []


def read(lake: Lake, manifests: Iterable[Manifest], dataset: str) -> Rows:
    parts = {part.key: part for manifest in manifests for part in manifest.parts(dataset)}
    return [row for part in parts.values() for row in lake.read_part(part).to_pylist()]


def current(lake: Lake, kind: str) -> list[Manifest]:
    return [lake.get(kind, id) for id in sorted({fact["id"] for fact in names.current(lake, kind)})]


def masked_documents(lake: Lake, manifests: Iterable[Manifest]) -> Rows:
    """Documents beside their pii parts, row for row."""
    masks = {manifest.parent("documents"): manifest for manifest in lake.artifacts("pii")}
    rows: dict[str, Rows] = {}
    for manifest in manifests:
        found = masks.get(manifest.id)
        for i, part in enumerate(manifest.parts("documents")):
            documents = lake.read_part(part).to_pylist()
            pii = lake.read_part(found.parts("pii")[i]).to_pylist() if found else [None] * len(documents)
            rows[part.key] = [masked(row, mask) for row, mask in zip(documents, pii, strict=True)]
    return [row for part in rows.values() for row in part]


def masked(row: dict[str, Any], pii: dict[str, Any] | None) -> dict[str, Any]:
    shown = {name: pii and (row[name] if pii[f"masked_{name}"] is None else pii[f"masked_{name}"]) for name in ("text", *OWN_FIELDS)}  # fmt: skip
    return {**row, **shown}


def span_rows(lake: Lake, snapshots: Iterable[Manifest]) -> Rows:
    return [
        {"snapshot_id": snapshot.id, "doc_id": row["doc_id"], "source": source, **span, "action": snapshot.identity["pii"][span["type"]]}
        for snapshot in snapshots
        for source, entry in snapshot.identity["sources"].items()
        for row in read(lake, [lake.get("pii", entry["measured"]["pii"])], "pii")
        for span in row["spans"]
    ]  # fmt: skip


def shard_rows(lake: Lake, shards: Iterable[Manifest]) -> Rows:
    return [
        {**row, "token_shards_id": manifest.id}
        for manifest in shards
        for row in read(lake, [manifest], "token_shards")
    ]


def fact_rows(lake: Lake, dataset: str) -> Rows:
    return [{name: row.get(name) for name in DATASETS[dataset].names} for row in read_facts(lake, dataset)]


def run_rows(lake: Lake, dataset: str, runs: Iterable[str]) -> Rows:
    rows: Rows = []
    for run in sorted(runs):
        folder = lake.runs / run
        if dataset == "checkpoints":
            rows += checkpoint_rows(folder)
        elif dataset == "runs":
            rows.append(
                {
                    **json.loads((folder / "lineage.json").read_text()),
                    **json.loads((folder / "status.json").read_text()),
                    "run_id": run,
                }
            )
        else:
            lines = json_lines(folder / f"{dataset}.jsonl")
            rows += [row for row in lines if dataset == "events" or row["attempt"] == 2 or row["step"] < 25]
    return [{name: row.get(name) for name in DATASETS[dataset].names} for row in rows]


def told_rows(lake: Lake, every: bool) -> Rows:
    """What curation tells beside the events of runs."""
    found = lake.artifacts("snapshot") if every else current(lake, "snapshot")
    rows = [row for manifest in found for row in guard_rows(manifest)]
    return [{column: row.get(column) for column in DATASETS["events"].names} for row in rows]


def name_rows(lake: Lake) -> Rows:
    rows: Rows = []
    for name in names.recipe_names(lake):
        for claim in names.claims(lake, name):
            for kind in names.ARTIFACT_KINDS:
                rows += [
                    {**fact, "name": name, "version": claim.version, "fingerprint": claim.fingerprint}
                    for fact in names.attached(lake, claim, kind)
                ]
    rows += [
        {**place, "name": name, "alias": alias, "kind": "run"} for name, alias, place in names.aliases(lake)
    ]
    return [{column: row.get(column) for column in DATASETS["names"].names} for row in rows]


PARTS = {
    "rejects": "documents", "signals": "snapshot", "decisions": "snapshot", "near_duplicates": "near_duplicates", "held_out": "holdout",
    "mixtures": "mixture", "scores": "scorecard",
}  # fmt: skip


MADE: dict[str, tuple[str, Callable[[Lake, list[Manifest]], Rows]]] = {
    "documents": ("documents", masked_documents),
    "raw_documents": ("documents", lambda lake, found: read(lake, found, "documents")),
    "raw_held_out": ("holdout", lambda lake, found: read(lake, found, "held_out")),
    "pii_spans": ("snapshot", span_rows),
    "token_shards": ("token_shards", shard_rows),
    "snapshots": (
        "snapshot",
        lambda lake, found: [row for manifest in found for row in snapshot_rows(manifest)],
    ),
    "scorecards": (
        "scorecard",
        lambda lake, found: [row for manifest in found for row in manifest.summary["rows"]],
    ),
}


def python_rows(story: Story, view: str) -> Rows:
    lake, name, every = story.lake, view.removeprefix("all_"), view.startswith("all_")
    kind = PARTS.get(name) or MADE.get(name, ("", None))[0]
    if kind:
        found = lake.artifacts(kind) if every else current(lake, kind)
        rows = read(lake, found, name) if name in PARTS else MADE[name][1](lake, found)
        schema = view_schema(name.removeprefix("raw_"))
        if "file" in schema.names:
            called = {
                (row["source"], row["file_hash"], row["occurrence"]): row["file"]
                for row in read_facts(lake, "files")
            }
            rows = [
                {**row, "file": called[row["source"], row["file_hash"], row["occurrence"]]} for row in rows
            ]
        return [{column: row.get(column) for column in schema.names} for row in rows]
    if name in ("runs", "checkpoints", "metrics", "events"):
        rows = run_rows(lake, name, story.runs.values() if every else [story.runs["kept"]])
        return rows + (told_rows(lake, every) if name == "events" else [])
    if name == "names":
        return name_rows(lake)
    return fact_rows(lake, name)


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_a_view_equals_what_python_reads(story: Story, view: str) -> None:
    assert in_order(ask(story.lake, f"FROM {view}", raw=True)) == in_order(python_rows(story, view))


def test_the_catalog_shows_other_clients_the_same(story: Story) -> None:
    write_catalog(story.lake)
    for view in PUBLIC:
        assert in_order(ask_catalog(story.lake, f"FROM {view}")) == in_order(python_rows(story, view)), view


def test_the_law_is_about_something(story: Story) -> None:
    empty = {view for view in VIEWS if not python_rows(story, view)}
    assert empty == {"contamination"}


def test_plain_views_show_the_newest_version_of_every_name(story: Story) -> None:
    assert {row["snapshot_id"] for row in ask(story.lake, "FROM decisions")} == {story.new.id}
    assert {row["snapshot_id"] for row in ask(story.lake, "FROM all_decisions")} == {
        story.old.id,
        story.new.id,
    }
    assert {row["run_id"] for row in ask(story.lake, "FROM runs")} == {story.runs["kept"]}
    assert {row["run_id"] for row in ask(story.lake, "FROM all_runs")} == set(story.runs.values())


def test_a_newer_version_takes_the_place_of_an_older_one(story: Story, tmp_path: Path) -> None:
    shutil.copytree(story.lake.root, tmp_path / "lake")
    lake = Lake.open(tmp_path / "lake")
    third = names.claim(lake, "legal", "3" * 32, {})
    assert {row["snapshot_id"] for row in ask(lake, "FROM snapshots")} == {
        story.new.id
    }  # it has no snapshot yet
    attach(lake, third, story.old)
    assert {row["snapshot_id"] for row in ask(lake, "FROM snapshots")} == {story.old.id}
    assert len(ask(lake, "FROM token_shards")) == len(
        ask(story.lake, "FROM token_shards")
    )  # nor token shards


def test_a_reject_says_which_file_it_stands_in(story: Story) -> None:
    (found,) = ask(story.lake, "SELECT file, position, reason FROM rejects WHERE source = 'acts'")
    assert Path(found["file"]).name == "acts.jsonl" and (found["position"], found["reason"]) != (None, None)


def test_a_renamed_file_is_shown_by_its_new_name(tmp_path: Path) -> None:
    sources = write_sources(tmp_path / "data")
    lake = Lake.open(tmp_path / "lake")
    path = tmp_path / "data" / "acts.jsonl"
    for name in ("acts.jsonl", "renamed.jsonl", "acts.jsonl"):
        path = path.rename(path.with_name(name))
        acts = {"acts": sources["acts"].model_copy(update={"path": name})}
        attach(lake, names.claim(lake, "one", name, {}), read_sources(lake, acts, tmp_path / "data")["acts"])
        for view in ("documents", "rejects", "files"):
            found = ask(lake, f"SELECT DISTINCT file FROM {view}")
            assert [Path(row["file"]).name for row in found] == [name], view


def test_plain_sources_and_files_are_those_of_the_versions_that_stand_for_their_names(tmp_path: Path) -> None:
    sources = write_sources(tmp_path / "data")
    lake = Lake.open(tmp_path / "lake")
    found = read_sources(lake, sources, tmp_path / "data")
    for name, of in (("one", "web"), ("two", "web"), ("one", "acts")):
        owner = names.claim(lake, name, of, {})
        attach(lake, owner, found[of], of)
    assert {row["source"] for row in ask(lake, "FROM sources")} == {"acts", "web"}
    attach(lake, names.claim(lake, "two", "acts", {}), found["acts"], "acts")
    for view in ("sources", "files"):
        assert {row["source"] for row in ask(lake, f"FROM {view}")} == {"acts"}
        assert {row["source"] for row in ask(lake, f"FROM all_{view}")} == {"acts", "web"}
