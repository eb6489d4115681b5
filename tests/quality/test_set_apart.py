"""The held-out set: nothing that is trained on is one of its documents, near one, or holds one. Checked with Python sets."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from corpus.holdout import held_out_rows
from corpus.ingest import content_hash
from corpus.lake import Lake, Manifest
from tests.quality.small_corpus import (
    Sources,
    curate_folder,
    curation,
    documents_of,
    holdout,
    prose,
    read_sources,
    rows_of,
    sentence,
    small_corpus,
    unedited_held_out,
    verdicts,
    write_files,
)
from tests.quality.word_windows import is_near, shingles


def crowded_corpus() -> dict[str, list[list[str]]]:
    """Every text with relatives that a held-out document of it must take along: near, holding, held, spaced otherwise."""
    draw = random.Random(0)
    files: dict[str, list[list[str]]] = {"law": [[], []], "web": [[], []]}
    for number in range(30):
        text = prose(draw, 3)
        words = text.split()
        half = " ".join(words[: len(words) * 3 // 4])
        kin = [
            text.replace(" ", "\n", 3), f"{text} {sentence(draw, 3)}", f"{prose(draw, 4)} {text} {prose(draw, 4)}", half,
            " ".join([*words[:25], sentence(draw, 6), *words[25:]]), " ".join([*words[:8], *sentence(draw, 16).split(), *words[24:]]),
        ]  # fmt: skip
        family = [text, *draw.sample(kin, 3)]
        for i, member in enumerate(family):
            files["law" if (number + i) % 2 else "web"][i % 2].append(member)
    return files


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Manifest, Manifest]:
    folder = tmp_path_factory.mktemp("crowded")
    write_files(folder, crowded_corpus())
    lake = Lake.open(folder / "lake")
    made = curate_folder(lake, folder, held=holdout(documents_per_source=8))
    assert made.holdout is not None
    return lake, made.snapshot, made.holdout


def test_no_kept_document_is_near_a_held_out_one_and_every_other_that_is_is_named(
    crowded: tuple[Lake, Manifest, Manifest],
) -> None:
    lake, snapshot, held = crowded
    hidden = unedited_held_out(lake, snapshot, held)
    hashes = {content_hash(text) for text in hidden}
    counts = {"held_out": 0, "near_held_out": 0}
    for document, decision in zip(
        documents_of(lake, snapshot), rows_of(lake, snapshot, "decisions"), strict=True
    ):
        rules = [failure["rule"] for failure in decision["failures"]]
        itself = document["content_hash"] in hashes
        near = any(is_near(document["text"], text) for text in hidden)
        assert ("held_out" in rules) == itself and ("near_held_out" in rules) == (near and not itself)
        assert not (decision["kept"] and near)
        for rule in counts:
            counts[rule] += rule in rules
    assert counts["near_held_out"] > 10 and counts["held_out"] > len(
        hidden
    )  # copies spaced otherwise among them
    assert snapshot.summary["sources"]["law"]["kept"] > 10


def test_a_held_out_document_has_no_partner_and_one_near_it_has(
    crowded: tuple[Lake, Manifest, Manifest],
) -> None:
    lake, snapshot, held = crowded
    ids = set(held_out_rows(lake, held)["doc_id"].to_pylist())
    for row in rows_of(lake, snapshot, "decisions"):
        if row["drop_reason"] == "held_out":
            assert row["partner"] is row["partner_jaccard"] is row["partner_containment"] is None
        if row["drop_reason"] == "near_held_out":
            assert row["partner"] in ids - {row["doc_id"]} and row["partner_containment"] > 0


def test_the_set_holds_some_of_every_source_one_of_each_cluster(
    crowded: tuple[Lake, Manifest, Manifest],
) -> None:
    lake, _, held = crowded
    rows = held_out_rows(lake, held).to_pylist()
    assert {row["source"] for row in rows} == {"law", "web"} and len(rows) == len(
        {row["content_hash"] for row in rows}
    )
    for i, row in enumerate(rows):
        others = [shingles(other["text"]) for other in rows[:i]]
        mine = shingles(row["text"])
        assert all(len(mine & other) / len(mine | other) < 0.8 for other in others)
    assert held.summary["sources"] == {
        name: {"documents": len(mine), "bytes": sum(row["num_bytes"] for row in mine)}
        for name in ("law", "web") for mine in [[row for row in rows if row["source"] == name]]
    }  # fmt: skip
    assert [(row["source"], row["doc_id"]) for row in rows] == sorted(
        (row["source"], row["doc_id"]) for row in rows
    )
    assert all(
        row["holdout_id"] == held.id and row["role"] == {"law": "domain", "web": "general"}[row["source"]]
        for row in rows
    )


def test_it_is_a_parent_of_the_snapshot_and_of_what_was_measured_against_it(
    crowded: tuple[Lake, Manifest, Manifest],
) -> None:
    lake, snapshot, held = crowded
    assert snapshot.parents_of("holdout") == [held.id]
    overlaps = snapshot.parents_of("held_out_overlap")
    assert len(overlaps) == 2 and all(
        lake.get("held_out_overlap", id).parent("holdout") == held.id for id in overlaps
    )
    assert held.parents_of("documents") == snapshot.parents_of("documents")
    assert held.parents_of("near_duplicates") == snapshot.parents_of("near_duplicates")


def held_of(folder: Path, sources: Sources, **keys: object) -> tuple[Lake, Manifest, Manifest]:
    write_files(folder, sources)
    lake = Lake.open(folder / "lake")
    made = curate_folder(
        lake, folder, curation(rules={}), held=holdout(**keys), sources=read_sources(folder, sources)
    )
    assert made.holdout is not None
    return lake, made.snapshot, made.holdout


def test_short_texts_are_not_held_out_lest_they_take_whatever_holds_them(tmp_path: Path) -> None:
    short = [
        "subject to the provisions of",
        "no two ways about it said she once",
        "one two three four five six seven eight nine",
    ]
    chant = " ".join(["hear"] * 40)  # forty words, and one shingle
    draw = random.Random(2)
    long = [f"{prose(draw)} {text} {prose(draw)}" for text in short for _ in range(3)]
    lake, snapshot, held = held_of(
        tmp_path,
        {"law": [[*short, chant, *long]], "short": [short]},
        max_share=1.0,
        documents_per_source=10**6,
    )
    texts = {row["text"] for row in held_out_rows(lake, held).to_pylist()}
    assert texts == set(long)
    assert held.summary["sources"]["short"] == {"documents": 0, "bytes": 0}
    reasons = verdicts(lake, snapshot)
    assert reasons[chant] is None and all(
        reasons[text] in (None, "near_held_out", "exact_duplicate") for text in short
    )


def test_ten_words_are_long_enough(tmp_path: Path) -> None:
    nine, ten = (" ".join(f"word{i}" for i in range(n)) for n in (9, 10))
    lake, _, held = held_of(tmp_path, {"law": [[nine, ten.replace("word", "other")]]}, max_share=1.0)
    assert [len(re.findall(r"\w+", row["text"])) for row in held_out_rows(lake, held).to_pylist()] == [10]


def test_a_source_of_one_document_holds_none_out(tmp_path: Path) -> None:
    draw = random.Random(3)
    lake, snapshot, held = held_of(
        tmp_path, {"one": [[prose(draw)]], "two": [[prose(draw), prose(draw)]]}, documents_per_source=1
    )
    assert [row["source"] for row in held_out_rows(lake, held).to_pylist()] == ["two"]
    assert {name: tally["kept"] for name, tally in snapshot.summary["sources"].items()} == {
        "one": 1,
        "two": 1,
    }


def test_what_fails_a_rule_or_is_a_duplicate_is_not_held_out(tmp_path: Path) -> None:
    write_files(tmp_path, small_corpus())
    lake = Lake.open(tmp_path / "lake")
    rules = curation(rules={"num_words": {"min": 5, "max": 55}})
    everything = holdout(documents_per_source=10**6, max_share=1.0)
    made = curate_folder(lake, tmp_path, rules, everything)
    assert made.holdout is not None
    before = curate_folder(lake, tmp_path, rules).snapshot
    kept = {row["doc_id"] for row in rows_of(lake, before, "decisions") if row["kept"]}
    assert set(held_out_rows(lake, made.holdout)["doc_id"].to_pylist()) == kept
    after = rows_of(lake, made.snapshot, "decisions")
    assert not any(row["kept"] for row in after if row["doc_id"] in kept)
