"""Curate: documents in, a snapshot out; the same one wherever, however and by however many it is made."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from corpus import ingest as ingest_module
from corpus.errors import ConfigError, GuardStop
from corpus.holdout import held_out_rows
from corpus.lake import Lake, Manifest
from corpus.snapshot import check_guards, kept_texts, snapshot_parts
from quality import curate as curate_module
from quality import measure as measure_module
from quality.funnel import add_tallies, tally_decisions, without_tokens
from tests.quality.small_corpus import (
    EMAIL,
    SSN,
    contents,
    curate_folder,
    curation,
    documents_of,
    holdout,
    kept_documents,
    prose,
    read_sources,
    rows_of,
    small_corpus,
    verdicts,
    write_files,
)


@pytest.fixture(scope="module")
def folder() -> Any:
    with tempfile.TemporaryDirectory() as temporary:
        write_files(Path(temporary), small_corpus())
        yield Path(temporary)


@pytest.fixture(scope="module")
def lake(folder: Path) -> Lake:
    """Measured once for the whole module: a test that decides anew takes a fifth of a second."""
    lake = Lake.open(folder / "lake")
    curate_folder(lake, folder, held=holdout())
    return lake


@pytest.fixture(scope="module")
def snapshot(lake: Lake, folder: Path) -> Manifest:
    return curate_folder(lake, folder, held=holdout()).snapshot


def kept(lake: Lake, snapshot: Manifest) -> list[str]:
    return [text for part in snapshot_parts(lake, snapshot) for _, text in kept_texts(lake, part)]


# ── the same, however it is made ──


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


# ── what is in it ──


def test_rows_zip_with_the_documents(lake: Lake, snapshot: Manifest) -> None:
    documents = documents_of(lake, snapshot)
    for dataset in ("decisions", "signals"):
        rows = rows_of(lake, snapshot, dataset)
        assert [row["doc_id"] for row in rows] == [row["doc_id"] for row in documents]
        assert {row["snapshot_id"] for row in rows} == {snapshot.id}
        assert [row["source"] for row in rows] == [row["source"] for row in documents]
    signals = rows_of(lake, snapshot, "signals")
    assert [row["content_hash"] for row in signals] == [row["content_hash"] for row in documents]
    assert [row["num_bytes"] for row in signals] == [len(row["text"].encode()) for row in documents]
    assert all(
        row["num_words"] is not None and row["held_out_jaccard"] is not None and row["num_tokens"] is None
        for row in signals
    )
    assert {(row["source"], row["role"], row["topic"]) for row in signals} == {
        ("law", "domain", "law"),
        ("web", "general", "web"),
    }


def test_read_is_kept_dropped_and_rejected_and_tallies_add_up(folder: Path, tmp_path: Path) -> None:
    write_files(tmp_path, small_corpus())
    with (tmp_path / "law" / "a.jsonl").open("a") as file:
        file.write('not json\n{"text": 5}\n')
    lake = Lake.open(tmp_path / "lake")
    made = curate_folder(lake, tmp_path).snapshot
    decisions = rows_of(lake, made, "decisions")
    parts = made.parts("decisions")
    tallies = made.summary["sources"]
    tables = [lake.read_part(part) for part in parts]
    for name, tally in tallies.items():
        of_source = [table for table in tables if table["source"][0].as_py() == name]
        assert tally == without_tokens(add_tallies(map(tally_decisions, of_source)))
        assert (tally["tokens"], tally["tokens_kept"]) == (None, None)  # there is no tokenizer
        mine = [row for row in decisions if row["source"] == name]
        assert tally["documents"] == len(mine) == tally["kept"] + tally["dropped"]
        assert (
            tally["kept"] == sum(row["kept"] for row in mine)
            and sum(tally["first"].values()) == tally["dropped"]
        )
    lines = sum(path.read_text("utf-8").count("\n") for path in tmp_path.rglob("*.jsonl"))
    assert lines == sum(tally["documents"] for tally in tallies.values()) + sum(
        made.summary["rejects"].values()
    )
    assert made.summary["rejects"] == {"law": 2, "web": 0}


def test_every_planted_fault_has_its_reason(lake: Lake, snapshot: Manifest, folder: Path) -> None:
    reasons = verdicts(lake, snapshot)
    assert reasons["Too short."] == "too_few_words" and reasons["!!! ??? !!!"] == "too_few_words"
    found = {row["drop_reason"] for row in rows_of(lake, snapshot, "decisions")}
    assert found >= {None, "too_few_words", "exact_duplicate", "near_duplicate", "held_out"}
    by_id = {row["doc_id"]: row for row in documents_of(lake, snapshot)}
    for row in rows_of(lake, snapshot, "decisions"):
        if row["drop_reason"] == "exact_duplicate":
            assert row["partner_jaccard"] == row["partner_containment"] == 1
            assert by_id[row["partner"]]["content_hash"] == by_id[row["doc_id"]]["content_hash"]
        if row["drop_reason"] in ("exact_duplicate", "near_duplicate"):
            keeper = next(
                other for other in rows_of(lake, snapshot, "decisions") if other["doc_id"] == row["partner"]
            )
            assert keeper["kept"] and keeper["cluster"] == row["cluster"] == row["partner"]


def test_kept_texts_are_masked_and_a_dropped_type_drops(lake: Lake, folder: Path) -> None:
    masked = "\n".join(kept(lake, curate_folder(lake, folder).snapshot))
    assert EMAIL not in masked and SSN not in masked and "<EMAIL>" in masked and "<SSN>" in masked
    assert "Größe über alles: <EMAIL> 😀" in masked
    strict = curate_folder(lake, folder, curation(pii={"ssn": "drop", "email": "keep"})).snapshot
    texts = "\n".join(kept(lake, strict))
    assert EMAIL in texts and SSN not in texts and "<SSN>" not in texts
    dropped = [row for row in rows_of(lake, strict, "decisions") if row["drop_reason"] == "pii_ssn"]
    assert len(dropped) == 1 and dropped[0]["failures"] == [
        {"rule": "pii_ssn", "signal": "num_pii_ssn", "value": "1", "threshold": "0"}
    ]


def test_lines_are_cut_where_the_preset_is_asked_for(lake: Lake, folder: Path) -> None:
    asked = {
        "presets": ["c4"],
        "rules": {"num_sentences_after_cuts": {"min": 1}},
        "overrides": {"web": {"num_lorem_ipsum_after_cuts": None}, "law": {"c4_lines": None}},
        "c4_lines": {"min_words_per_line": 4},
    }
    made = curate_folder(lake, folder, curation(**asked)).snapshot
    texts = [text for text in kept(lake, made) if "Größe" in text or "lorem" in text]
    assert len(texts) == 1 and "Größe" in texts[0]
    lorem = next(row for row in rows_of(lake, made, "decisions") if row["num_cut_bytes"] and row["kept"])
    assert lorem["num_cut_bytes"] == len("lorem ipsum dolor\n")


def test_overrides_hold_for_their_source_only(lake: Lake, folder: Path) -> None:
    made = curate_folder(
        lake, folder, curation(rules={"num_words": {"min": 1000}}, overrides={"law": {"num_words": None}})
    ).snapshot
    tallies = made.summary["sources"]
    assert tallies["web"]["kept"] == 0 and tallies["web"]["first"] == {
        "too_few_words": tallies["web"]["documents"]
    }
    assert tallies["law"]["kept"] > 0 and "too_few_words" not in tallies["law"]["any"]


def test_other_rules_that_keep_the_same_share_what_is_made_of_the_texts(lake: Lake, folder: Path) -> None:
    one, two, other = (
        curate_folder(lake, folder, curation(rules={"num_words": {"min": n}})).snapshot for n in (5, 6, 1000)
    )
    keys = [[part.text_key() for part in snapshot_parts(lake, made)] for made in (one, two, other)]
    assert one.id != two.id and keys[0] == keys[1] and not set(keys[0]) & set(keys[2])


# ── laws of deciding ──


@pytest.fixture(scope="module")
def judged(lake: Lake, folder: Path) -> Manifest:
    """Absolute rules, no edits, nothing held out."""
    return curate_folder(lake, folder, curation(pii="keep")).snapshot


def test_curating_what_was_kept_keeps_all_of_it(lake: Lake, judged: Manifest, tmp_path: Path) -> None:
    texts = kept_documents(lake, judged)
    write_files(tmp_path, {name: [found] for name, found in texts.items()})
    again = Lake.open(tmp_path / "lake")
    made = curate_folder(again, tmp_path, curation(pii="keep")).snapshot
    assert kept_documents(again, made) == texts


def test_removing_what_was_dropped_changes_no_verdict_of_what_was_kept(
    lake: Lake, judged: Manifest, tmp_path: Path
) -> None:
    rows = list(zip(documents_of(lake, judged), rows_of(lake, judged, "decisions"), strict=True))
    dropped = sorted(row["doc_id"] for row, decision in rows if not decision["kept"])
    contents_kept = {row["content_hash"] for row, decision in rows if decision["kept"]}
    for gone in (set(dropped[::2]), set(dropped[1::2]), set(dropped[:3])):
        rest: dict[str, list[list[str]]] = {"law": [[]], "web": [[]]}
        for row, _ in rows:
            if row["doc_id"] not in gone:
                rest[row["source"]][0].append(row["text"])
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        write_files(folder, rest)
        fewer = Lake.open(folder / "lake")
        made = curate_folder(fewer, folder, curation(pii="keep")).snapshot
        after = zip(documents_of(fewer, made), rows_of(fewer, made, "decisions"), strict=True)
        assert {row["content_hash"] for row, decision in after if decision["kept"]} == contents_kept


def test_duplicates_are_not_judged_against_what_is_dropped(tmp_path: Path) -> None:
    draw = random.Random(1)
    text = prose(draw, 5)
    write_files(tmp_path, {"law": [[f"{text} Write to {EMAIL}.", text]], "web": [[prose(draw)]]})
    lake = Lake.open(tmp_path / "lake")
    reasons = verdicts(lake, curate_folder(lake, tmp_path, curation(pii="drop")).snapshot)
    assert reasons[f"{text} Write to {EMAIL}."] == "pii_email" and reasons[text] is None


def test_the_curated_source_keeps_its_copies(tmp_path: Path) -> None:
    draw = random.Random(2)
    shared = [prose(draw) for _ in range(6)]
    write_files(tmp_path, {"law": [shared], "web": [shared]})
    for name in ("law", "web"):
        lake = Lake.open(tmp_path / f"lake of {name}")
        sources = read_sources(tmp_path)
        sources[name] = sources[name].model_copy(update={"curated": True})
        made = curate_folder(lake, tmp_path, sources=sources).snapshot
        assert {found: len(texts) for found, texts in kept_documents(lake, made).items()} == {
            "law": 0,
            "web": 0,
            name: 6,
        }


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


# ── odd corpora ──


def test_a_source_of_one_document_an_empty_one_and_one_of_rejects(tmp_path: Path) -> None:
    text = prose(random.Random(4))
    write_files(tmp_path, {"one": [[text]], "none": [], "broken": [[]]})
    (tmp_path / "broken" / "a.jsonl").write_text("not json\n" * 3)
    lake = Lake.open(tmp_path / "lake")
    made = curate_folder(
        lake, tmp_path, held=holdout(), sources=read_sources(tmp_path, ["one", "none", "broken"])
    )
    assert verdicts(lake, made.snapshot) == {text: None}
    assert {name: tally["documents"] for name, tally in made.snapshot.summary["sources"].items()} == {
        "one": 1,
        "none": 0,
        "broken": 0,
    }
    assert made.snapshot.summary["rejects"] == {"one": 0, "none": 0, "broken": 3}
    assert made.holdout is not None and made.holdout.rows("held_out") == 0
    with pytest.raises(GuardStop, match=r"broken lost 3 of 3 documents") as stop:
        check_guards(made.snapshot, 0.0, 0)
    assert "one lost" not in str(stop.value) and "none lost" not in str(stop.value)


@pytest.mark.parametrize("held", [None, holdout()])
def test_nothing_at_all_is_a_snapshot_of_nothing(tmp_path: Path, held: Any) -> None:
    write_files(tmp_path, {"none": []})
    lake = Lake.open(tmp_path / "lake")
    made = curate_folder(lake, tmp_path, held=held, sources=read_sources(tmp_path, ["none"])).snapshot
    assert documents_of(lake, made) == rows_of(lake, made, "decisions") == kept(lake, made) == []
    assert made.summary["largest_cluster"] == {"keeper": None, "dropped": 0}


def test_a_corpus_of_which_nothing_is_kept_is_still_a_snapshot(lake: Lake, folder: Path) -> None:
    made = curate_folder(
        lake, folder, curation(rules={"num_words": {"min": 10**6}}), holdout(name="set-of-none")
    ).snapshot
    assert kept(lake, made) == [] and all(tally["kept"] == 0 for tally in made.summary["sources"].values())
    assert held_out_rows(lake, lake.get("holdout", made.parent("holdout"))).num_rows == 0


def test_without_any_rule_everything_is_kept(lake: Lake, folder: Path) -> None:
    made = curate_folder(
        lake, folder, curation(rules={}, near_duplicates=None, exact_duplicates=False, pii="keep")
    ).snapshot
    assert all(row["kept"] and row["failures"] == [] for row in rows_of(lake, made, "decisions"))
    assert kept(lake, made) == [row["text"] for row in documents_of(lake, made)]


# ── guards ──


def test_a_guard_stops_what_lost_too_much_from_twenty_documents_on(tmp_path: Path) -> None:
    draw = random.Random(5)
    bad = ["Too short."] * 9
    write_files(
        tmp_path,
        {
            "twenty": [[*bad, *(prose(draw) for _ in range(11))]],
            "nineteen": [[*bad, *(prose(draw) for _ in range(10))]],
        },
    )
    lake = Lake.open(tmp_path / "lake")
    made = curate_folder(lake, tmp_path, sources=read_sources(tmp_path, ["twenty", "nineteen"])).snapshot
    with pytest.raises(
        GuardStop, match=r"twenty lost 9 of 20 documents \(45%; the guard allows 40%\): too_few_words 9"
    ) as stop:
        check_guards(made, 0.4, 1000)
    assert "nineteen" not in str(stop.value)
    check_guards(made, 0.45, 1000)


def test_a_guard_stops_a_cluster_that_is_too_large(tmp_path: Path) -> None:
    text = prose(random.Random(6))
    write_files(tmp_path, {"law": [[f"{text}{' ' * i}" for i in range(8)]]})
    lake = Lake.open(tmp_path / "lake")
    made = curate_folder(lake, tmp_path, sources=read_sources(tmp_path, ["law"])).snapshot
    check_guards(made, None, 7)
    with pytest.raises(
        GuardStop,
        match=f"7 documents were dropped for the one document {made.summary['largest_cluster']['keeper']}",
    ):
        check_guards(made, None, 6)


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
