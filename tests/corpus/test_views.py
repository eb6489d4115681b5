"""Views: in SQL stands what the Python API returns, empty before there is data, with personal data masked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from corpus import names
from corpus.facts import read_facts
from corpus.guard import QueryError
from corpus.lake import Lake, Manifest
from corpus.relations import Relations, guard_rows, snapshot_rows
from corpus.run_rows import checkpoint_rows, json_lines, latest_attempts
from corpus.schema import DATASETS, OWN_FIELDS
from corpus.sql import run_query
from corpus.sql_catalog import write_catalog
from corpus.views import RAW, VIEWS, relations_of, view_schema
from quality.measure import measure
from quality.pii import Pii
from tests.corpus.lakes import (
    EMAIL,
    PHONE,
    SECRETS,
    Story,
    attach,
    build_story,
    line,
    read_sources,
    write_lines,
    write_run,
    write_sources,
)

Rows = list[dict[str, Any]]
PUBLIC = sorted(view for view in VIEWS if "raw" not in view)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return build_story(tmp_path_factory.mktemp("story"))


def ask(lake: Lake, query: str, raw: bool = False) -> Rows:
    rows: Rows = run_query(lake, query, limit=None, raw=raw).table.to_pylist()
    return rows


def ask_catalog(lake: Lake, query: str) -> Rows:
    with closing(duckdb.connect(str(lake.root / "catalog.duckdb"), read_only=True)) as connection:
        rows: Rows = connection.sql(query).to_arrow_table().to_pylist()
        return rows


def in_order(rows: Iterable[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)


# ── what views there are ──


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


# ── the law: every view equals what Python reads ──


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
    assert empty == {"contamination", "near_duplicates", "all_near_duplicates"}


# ── plain and all ──


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


# ── personal data ──


def test_no_view_shows_personal_data_unless_asked(story: Story) -> None:
    write_catalog(story.lake)
    for view in PUBLIC:
        for rows in (ask(story.lake, f"FROM {view}"), ask_catalog(story.lake, f"FROM {view}")):
            assert not [secret for secret in SECRETS if secret in json.dumps(rows, default=str)], view
    assert EMAIL in json.dumps(ask(story.lake, "FROM raw_documents", raw=True), default=str)


@pytest.mark.parametrize("view", sorted(RAW))
def test_what_is_raw_is_there_for_those_only_who_ask(story: Story, view: str) -> None:
    assert ask(story.lake, f"FROM {view}", raw=True)
    with pytest.raises(QueryError, match="there is no dataset"):
        ask(story.lake, f"FROM {view}")


def test_a_document_s_own_fields_are_masked_as_its_text_is(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    raw = {
        "own_id": EMAIL,
        "url": f"https://x.example/?m={EMAIL}",
        "metadata": json.dumps({"tel": PHONE, "n": 1}),
    }
    part = lake.write_part("documents", "d", pa.Table.from_pylist([{"doc_id": "x", "text": "t", **raw}]))
    documents = Manifest("documents", "d" * 32, "ingest", 1, {}, (), {"documents": (part,)})
    attach(lake, names.claim(lake, "one", "0" * 32, {}), lake.commit(documents))
    query = "SELECT own_id, url, metadata FROM documents"
    assert ask(lake, query) == [dict.fromkeys(raw)]  # not looked for yet
    pii = lake.write_part("pii", "p", pa.table({"doc_id": ["x"]}))
    parents = (("documents", documents.id),)
    lake.commit(Manifest("pii", "p" * 32, "pii", 2, {}, parents, {"pii": (pii,)}))
    assert ask(lake, query) == [dict.fromkeys(raw)]  # an older version looked through the text only
    measure(lake, {"s": documents}, [Pii()], workers=1)
    shown = {
        "own_id": "<EMAIL>",
        "url": "https://x.example/?m=<EMAIL>",
        "metadata": '{"tel": "<PHONE>", "n": 1}',
    }
    assert ask(lake, query) == [shown]
    write_catalog(lake)
    assert ask_catalog(lake, query) == [shown]


def test_text_is_null_until_personal_data_was_looked_for(tmp_path: Path) -> None:
    lake, documents = two_readings(tmp_path)
    assert [row["text"] for row in ask(lake, "FROM documents")] == [None] * 54
    measure(lake, {"body": documents["body"]}, [Pii()], workers=1)
    assert ask(lake, "SELECT count(text) AS n FROM documents") == [{"n": 12}]


def test_another_reading_of_the_same_file_has_its_own_mask(tmp_path: Path) -> None:
    lake, documents = two_readings(tmp_path)
    measure(lake, documents, [Pii()], workers=1)
    found = ask(
        lake,
        "SELECT doc_id, text FROM documents WHERE doc_id IN (SELECT doc_id FROM documents GROUP BY 1 HAVING count(*) = 2) ORDER BY text",
    )
    assert len(found) == 24
    assert sum("<EMAIL>" in row["text"] for row in found) == 1
    assert len({row["text"] for row in found}) == 24
    assert EMAIL not in json.dumps(found)


def test_the_measurement_that_looked_for_most_is_shown(tmp_path: Path) -> None:
    lake, documents = two_readings(tmp_path)
    measure(lake, documents, [Pii()], workers=1)
    before = ask(lake, "SELECT text FROM documents ORDER BY ALL")
    measure(lake, documents, [Pii(types=("card",))], workers=1)
    assert ask(lake, "SELECT text FROM documents ORDER BY ALL") == before


def two_readings(folder: Path) -> tuple[Lake, dict[str, Manifest]]:
    """Acts and the web's bodies (42 documents) and, with the same ids, the web's summaries (12)."""
    sources = write_sources(folder / "data")
    lake = Lake.open(folder / "lake")
    bodies = read_sources(lake, sources, folder / "data")
    summary = sources["web"].model_copy(update={"text_field": "summary"})
    found = {
        "acts": bodies["acts"],
        "body": bodies["web"],
        "summary": read_sources(lake, {"web": summary}, folder / "data")["web"],
    }
    for i, (name, manifest) in enumerate(found.items()):
        attach(lake, names.claim(lake, name, f"{i:032x}", {}), manifest)
    return lake, found


def test_a_held_out_text_keeps_no_type_that_its_recipe_left_in(tmp_path: Path) -> None:
    lake, documents = two_readings(tmp_path)
    measure(lake, documents, [Pii()], workers=1)
    drawn = {row["doc_id"]: row for row in ask(lake, "FROM raw_documents WHERE source = 'acts'", raw=True)}
    rows = [
        {"holdout_id": "h", "doc_id": id, "content_hash": row["content_hash"], "text": row["text"]}
        for id, row in drawn.items()
    ]
    part = lake.write_part("held_out", "h", pa.Table.from_pylist(rows, schema=DATASETS["held_out"]))
    parents = (("documents", documents["acts"].id),)
    lake.commit(Manifest("holdout", "h" * 32, "draw", 1, {}, parents, {"held_out": (part,)}))
    found = ask(lake, "SELECT text FROM all_held_out")
    assert len(found) == 30 and sum("<EMAIL>" in row["text"] for row in found) == 1
    assert EMAIL not in json.dumps(found)
    assert EMAIL in json.dumps(rows)


# ── growing files ──


def test_a_torn_last_line_is_not_there_yet(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    run = write_run(lake, "c" * 32, "growing")
    before = ask(lake, "FROM all_metrics ORDER BY step")
    assert [(row["attempt"], row["step"]) for row in before] == [(1, 10), (1, 20), (2, 25)]
    path = lake.runs / run / "metrics.jsonl"
    whole = path.read_text().rpartition("\n")[0] + "\n"
    path.write_text(whole + json.dumps(line(run, 2, 5, 30, name="loss", value=0.5)))
    assert ask(lake, "FROM all_metrics ORDER BY step") == before
    with path.open("a") as file:
        file.write("\n")
    assert [row["value"] for row in ask(lake, "FROM all_metrics WHERE step = 30")] == [0.5]


def test_an_attempt_takes_back_what_came_after_its_checkpoint() -> None:
    steps = [(1, 0), (1, 10), (1, 20), (1, 30), (2, 20), (2, 30), (2, 40), (3, 30)]
    rows = [line("r", attempt, 0, step) for attempt, step in steps]
    kept = [(row["attempt"], row["step"]) for row in latest_attempts(rows)]
    assert kept == [(1, 0), (1, 10), (2, 20), (3, 30)]
    assert latest_attempts(rows[:4]) == rows[:4] and latest_attempts([]) == []


def test_events_of_every_attempt_stay(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    run = write_run(lake, "c" * 32, "twice")
    crossed = [line(run, 1, 5, 20, kind="tolerance_crossed"), line(run, 2, 0, 20, kind="started")]
    write_lines(lake.runs / run / "events.jsonl", crossed)
    assert [row["kind"] for row in ask(lake, "FROM all_events")] == ["tolerance_crossed", "started"]


def test_a_damaged_line_costs_itself_alone(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    run = write_run(lake, "c" * 32, "hurt")
    path = lake.runs / run / "events.jsonl"
    path.write_bytes(
        path.read_bytes()
        + b"\0" * 40
        + b"\n[1]\n\n{}\n"
        + json.dumps(line(run, 2, 1, 25, kind="later")).encode()
        + b"\n"
    )
    assert [row["kind"] for row in ask(lake, "FROM all_events")] == ["started", "resumed", "later"]


def test_a_run_folder_that_has_only_begun_is_a_row(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    folder = lake.runs / ("d" * 32)
    folder.mkdir(parents=True)
    assert ask(lake, "FROM all_runs") == []
    (folder / "lineage.json").write_text('{"name": "new"}')
    write_lines(folder / "metrics.jsonl", [])
    assert [(row["name"], row["status"]) for row in ask(lake, "FROM all_runs")] == [("new", None)]
    assert ask(lake, "FROM all_metrics") == []
