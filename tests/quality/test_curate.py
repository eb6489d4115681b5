"""Curate: documents in, a snapshot out; the same one wherever, however and by however many it is made."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pytest

from corpus import ingest as ingest_module
from corpus.errors import ConfigError
from corpus.lake import Lake, Manifest
from corpus.snapshot import snapshot_parts
from quality import curate as curate_module
from quality import measure as measure_module
from tests.quality.small_corpus import (
    contents,
    curate_folder,
    curation,
    holdout,
    prose,
    read_sources,
    rows_of,
    small_corpus,
    write_files,
)


def test_order_names_workers_and_place_change_nothing(
    lake: Lake, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in (
        (ingest_module, "SMALL_BYTES"),
        (measure_module, "SMALL_BYTES"),
        (curate_module, "SMALL_ROWS"),
    ):
        monkeypatch.setattr(module, name, 0)
    write_files(tmp_path / "other names", small_corpus(), names="zyx")
    other = Lake.open(tmp_path / "far" / "away")
    sources = dict(reversed(read_sources(tmp_path / "other names").items()))
    found = curate_folder(other, folder, held=holdout(), workers=2, sources=sources)
    here = {name: data for name, data in contents(lake).items() if name in contents(other)}
    assert contents(other) == here and other.get("snapshot", found.snapshot.id) == found.snapshot
    assert curate_folder(lake, folder, held=holdout()).snapshot == found.snapshot


def test_nothing_is_made_twice(lake: Lake, folder: Path, snapshot: Manifest) -> None:
    before = {path: path.stat().st_mtime_ns for path in lake.root.rglob("*") if path.is_file()}
    assert curate_folder(lake, folder, held=holdout(), workers=2).snapshot == snapshot
    assert {path: path.stat().st_mtime_ns for path in lake.root.rglob("*") if path.is_file()} == before


def test_a_moved_lake_goes_on(lake: Lake, folder: Path, snapshot: Manifest, tmp_path: Path) -> None:
    shutil.copytree(lake.root, tmp_path / "moved")
    moved = Lake.open(tmp_path / "moved")
    assert curate_folder(moved, folder, held=holdout()).snapshot == snapshot
    other = curate_folder(moved, folder, curation(rules={"num_words": {"min": 30}}), holdout()).snapshot
    assert other.id != snapshot.id and rows_of(moved, other, "decisions")


def test_circumstance_and_spelling_are_not_identity_and_rules_are(
    lake: Lake, folder: Path, snapshot: Manifest
) -> None:
    same = [
        curation(stop_if={"source_loss": "1%"}), curation(overrides={"law": {"num_words": {"min": 5}}}),
        curation(rules={}, overrides={"law": {"num_words": {"min": 5}}, "general": {"num_words": {"min": 5}}}),
    ]  # fmt: skip
    assert [curate_folder(lake, folder, rules, holdout()).snapshot.id for rules in same] == [snapshot.id] * 3
    other = [
        curation(rules={"num_words": {"min": 6}}), curation(pii="drop"), curation(near_duplicates={"jaccard": 0.9}), curation(near_duplicates=None),
        curation(exact_duplicates=False),
    ]  # fmt: skip
    assert (
        len({snapshot.id, *(curate_folder(lake, folder, rules, holdout()).snapshot.id for rules in other)})
        == 6
    )


def test_other_rules_that_keep_the_same_share_what_is_made_of_the_texts(lake: Lake, folder: Path) -> None:
    one, two, other = (
        curate_folder(lake, folder, curation(rules={"num_words": {"min": n}})).snapshot for n in (5, 6, 1000)
    )
    keys = [[part.text_key() for part in snapshot_parts(lake, made)] for made in (one, two, other)]
    assert one.id != two.id and keys[0] == keys[1] and not set(keys[0]) & set(keys[2])


def test_many_pairs_are_stored_in_many_parts(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lake: Lake
) -> None:
    monkeypatch.setattr(curate_module, "_EDGES_PER_PART", 1)
    other = Lake.open(tmp_path / "lake")
    one, many = (curate_folder(found, folder).snapshot for found in (lake, other))
    pairs = [found.get("near_duplicates", one.parent("near_duplicates")) for found in (lake, other)]
    assert (
        len(pairs[0].parts("near_duplicates"))
        == 1
        < len(pairs[1].parts("near_duplicates"))
        == pairs[1].rows("near_duplicates")
    )
    assert rows_of(lake, pairs[0], "near_duplicates") == rows_of(other, pairs[1], "near_duplicates")
    assert many == one


# ── appending and renaming ──


def test_an_appended_file_changes_no_signal_of_others_and_only_its_unit_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_module, "MEAN_GROUP", 500)
    monkeypatch.setattr(ingest_module, "MAX_GROUP", 1000)
    draw = random.Random(3)
    write_files(tmp_path, {"law": [[prose(draw)] for _ in range(14)]})
    lake, sources = Lake.open(tmp_path / "lake"), read_sources(tmp_path, ["law"])
    before = curate_folder(lake, tmp_path, held=holdout(), sources=sources).snapshot
    stamps = {path: path.stat().st_mtime_ns for path in lake.root.rglob("*.parquet")}
    (tmp_path / "law" / "new.jsonl").write_text(json.dumps({"text": prose(draw)}) + "\n")
    after = curate_folder(lake, tmp_path, held=holdout(), sources=sources).snapshot
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    documents = [
        lake.get("documents", made.parent("documents")).parts("documents") for made in (before, after)
    ]
    new = {part.key for part in documents[1]} - {part.key for part in documents[0]}
    assert len(documents[0]) > 4 and 1 <= len(new) <= 2
    for operator in ("heuristics", "pii", "minhash", "held_out_overlap"):
        assert len(list((lake.root / operator / "parts").glob("*.parquet"))) == len(documents[0]) + len(new)
    old_rows, new_rows = (
        {row["doc_id"]: {**row, "snapshot_id": ""} for row in rows_of(lake, made, "signals")}
        for made in (before, after)
    )
    assert old_rows.items() <= new_rows.items() and len(new_rows) == 15


def test_a_rename_makes_nothing(lake: Lake, folder: Path, snapshot: Manifest) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in lake.root.rglob("*.parquet")}
    os.rename(folder / "law" / "a.jsonl", folder / "law" / "q.jsonl")
    try:
        assert curate_folder(lake, folder, held=holdout()).snapshot == snapshot
        assert {path: path.stat().st_mtime_ns for path in lake.root.rglob("*.parquet")} == stamps
    finally:
        os.rename(folder / "law" / "q.jsonl", folder / "law" / "a.jsonl")


# ── what is frozen ──


def test_a_frozen_set_outlives_rules_and_files_and_other_settings_are_refused(
    lake: Lake, folder: Path, snapshot: Manifest, tmp_path: Path
) -> None:
    held = snapshot.parent("holdout")
    assert (
        curate_folder(lake, folder, curation(rules={"num_words": {"min": 45}}), holdout()).snapshot.parent(
            "holdout"
        )
        == held
    )
    shutil.copytree(folder / "law", tmp_path / "law")
    (tmp_path / "law" / "a.jsonl").unlink()
    fewer = curate_folder(lake, tmp_path, held=holdout(), sources=read_sources(tmp_path, ["law"])).snapshot
    assert fewer.parent("holdout") == held
    with pytest.raises(ConfigError, match="frozen with documents_per_source: 4; the recipe says 5"):
        curate_folder(lake, folder, held=holdout(documents_per_source=5))
