"""Edges: the pairs that brute force finds, with exact values, whatever the order; and the buckets that are no pairs."""

from __future__ import annotations

import functools
import itertools
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import corpus.sql
import quality.candidate_pairs
import quality.large_buckets
import quality.verification
from corpus.errors import PartError
from corpus.fingerprint import fingerprint
from corpus.schema import DATASETS
from quality.large_buckets import LargeBuckets
from quality.minhash import MinHash
from quality.near_duplicates import NearDuplicates, find_edges, s_curve
from quality.shingles import shingle_hashes
from tests.quality.near_texts import SMALL, Row, exact, families, write_parts


def edges_of(
    folder: Path, parts: list[list[Row]], config: NearDuplicates = SMALL
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    written = write_parts(folder / "parts", parts, config)
    table, events = find_edges(written, config, folder / "scratch", folder / "buckets")
    assert list((folder / "scratch").iterdir()) == [], "scratch is left as it was"
    assert [field.name for field in table.schema] == DATASETS["near_duplicates"].names
    return table.cast(DATASETS["near_duplicates"]).to_pylist(), events


def test_edges_are_the_pairs_that_brute_force_finds_with_exact_values(tmp_path: Path) -> None:
    rows = families(60)
    found, events = edges_of(tmp_path, [rows[:50], rows[50:]])
    text_of = dict(sorted(rows, reverse=True))
    smallest = {text: doc_id for doc_id, text in text_of.items()}
    expected = {}
    ids = sorted(smallest.values())
    for i, a in enumerate(ids):
        for b in ids[i + 1 :]:
            jaccard, containment = exact(text_of[a], text_of[b], SMALL.ngram)
            if jaccard >= 0.5:
                expected[a, b] = (jaccard, containment)
    got = {(row["doc_a"], row["doc_b"]): (row["jaccard"], row["containment"]) for row in found}
    assert len(expected) > 50 and not events
    assert got.items() <= expected.items(), "no pair that is not one, and every value exact"
    assert len(got) >= 0.95 * len(expected)
    assert [(row["doc_a"], row["doc_b"]) for row in found] == sorted(got)
    for row in found:
        assert row["content_a"] == fingerprint(text_of[row["doc_a"]]) and row["content_b"] == fingerprint(
            text_of[row["doc_b"]]
        )


def test_pairs_in_few_bands_have_the_number_of_equal_bands(tmp_path: Path) -> None:
    rows = families(20)
    found, _ = edges_of(tmp_path, [rows])
    ids = pa.array([row[0] for row in rows])
    batch = pa.record_batch(
        [ids, pa.array([row[1] for row in rows], pa.large_string())], names=["doc_id", "text"]
    )
    signature = dict(rows) | dict(
        zip(ids.to_pylist(), MinHash(32, 2)(batch).column("signature").to_pylist(), strict=True)
    )
    for row in found:
        a, b = signature[row["doc_a"]], signature[row["doc_b"]]
        assert row["num_bands"] == sum(a[k : k + 2] == b[k : k + 2] for k in range(0, 32, 2))


def test_order_of_parts_and_rows_and_number_of_threads_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = families(40, seed=3) + [(f"{i:032x}", f"same start of many texts number {i}") for i in range(90)]
    first = edges_of(tmp_path / "a", [rows[:20], rows[20:]])
    shuffled = random.Random(1).sample(rows, len(rows))
    monkeypatch.setattr(corpus.sql, "open_scratch", functools.partial(corpus.sql.open_scratch, threads=1))
    monkeypatch.setattr(quality.candidate_pairs, "_COMPACT_ROWS", 10)
    monkeypatch.setattr(quality.verification, "_PAIRS_PER_BLOCK", 7)
    monkeypatch.setattr(quality.large_buckets, "_SETS_PER_BLOCK", 7)
    monkeypatch.setattr(quality.large_buckets, "_MEMBERS_PER_BLOCK", 7)
    assert edges_of(tmp_path / "b", [shuffled[:70], [], shuffled[70:80], shuffled[80:]]) == first
    assert first[0] and first[1]
    one, other = (
        {path.name: path.read_bytes() for path in (tmp_path / name / "buckets").iterdir()} for name in "ab"
    )
    assert one == other and len(one["hashes"]) > 90 * 8


def test_exact_copies_are_one_document_of_the_smallest_id(tmp_path: Path) -> None:
    text, near = "one two three four five six seven eight", "one two three four five six seven nine"
    found, _ = edges_of(tmp_path, [[("d", text), ("b", near), ("c", text)], [("a", text), ("e", near)]])
    assert [(row["doc_a"], row["doc_b"]) for row in found] == [("a", "b")]


def test_documents_without_words_and_lone_documents_have_no_edges(tmp_path: Path) -> None:
    assert edges_of(tmp_path / "wordless", [[("a", "!!!"), ("b", "???"), ("c", "")]]) == ([], [])
    assert (
        edges_of(tmp_path / "mixed", [[("a", "!!!"), ("b", "??"), ("c", "word"), ("d", "Word.")]])[0][0][
            "jaccard"
        ]
        == 1.0
    )
    assert edges_of(tmp_path / "lone", [[("a", "just one document here")]]) == ([], [])
    assert edges_of(tmp_path / "empty", [[]]) == ([], [])
    assert edges_of(tmp_path / "none", []) == ([], [])


def bucket(size: int) -> list[Row]:
    """Texts of which any two share 58 of 62 shingles: a few bands hold nearly all of them."""
    return [(f"{i:032x}", " ".join(f"w{k}" for k in range(60)) + f" own{i}") for i in range(size)]


def test_a_bucket_of_64_is_compared_in_full_and_of_a_larger_one_the_members_are_stored(
    tmp_path: Path,
) -> None:
    config = NearDuplicates(num_perm=1, bands=1, ngram=2)
    full, events = edges_of(tmp_path / "64", [bucket(64)], config)
    alike = {doc for row in full for doc in (row["doc_a"], row["doc_b"])}
    assert len(full) == len(alike) * (len(alike) - 1) // 2 and len(alike) > 55 and not events
    assert len(LargeBuckets.open(tmp_path / "64" / "buckets").sizes) == 0
    rows = bucket(200)
    pairs, events = edges_of(tmp_path / "200", [rows], config)
    stored = LargeBuckets.open(tmp_path / "200" / "buckets")
    (size,) = stored.sizes
    assert size > 150 and not {doc for row in pairs for doc in (row["doc_a"], row["doc_b"])} & set(
        ids_of(stored, rows)
    )
    (event,) = events
    assert event["kind"] == "large_bucket" and event["value"] == size and event["threshold"] == 64
    assert ids_of(stored, rows)[0] in event["message"] and event.keys() <= set(DATASETS["events"].names)


def ids_of(stored: LargeBuckets, rows: list[Row]) -> list[str]:
    """The documents of the only bucket."""
    by_content = {fingerprint(text): doc_id for doc_id, text in rows}
    contents = stored.contents.to_pylist()
    return [by_content[contents[member]] for member in stored.members]


def test_the_sets_of_a_large_bucket_are_those_of_its_documents(tmp_path: Path) -> None:
    rows = bucket(200)
    edges_of(tmp_path, [rows[:90], rows[90:]], NearDuplicates(num_perm=1, bands=1, ngram=2))
    stored = LargeBuckets.open(tmp_path / "buckets")
    assert stored.hashes is not None
    texts = {fingerprint(text): text for _, text in rows}
    offsets, hashes = shingle_hashes(pa.array([texts[content] for content in stored.contents.to_pylist()]), 2)
    assert stored.set_starts.tolist() == offsets.tolist() and stored.hashes.read().tolist() == hashes.tolist()


def test_bands_that_hold_the_same_documents_are_one_large_bucket(tmp_path: Path) -> None:
    rows = [(f"{i:032x}", " ".join(f"w{k}" for k in range(400)) + f" own{i}") for i in range(70)]
    edges_of(tmp_path, [rows], SMALL)
    stored = LargeBuckets.open(tmp_path / "buckets")
    sets = {tuple(stored.members[start:end]) for start, end in itertools.pairwise(stored.starts.tolist())}
    assert len(sets) == len(stored.sizes) < SMALL.bands


def test_a_minhash_part_of_other_rows_or_settings_is_refused(tmp_path: Path) -> None:
    (a, b) = write_parts(tmp_path / "parts", [families(5), families(5, seed=9)[:4]], SMALL)
    for wrong in ([(a[0], b[1])], [(b[0], a[1])]):
        with pytest.raises(PartError, match="row for row"):
            find_edges(wrong, SMALL, tmp_path / "scratch", tmp_path / "buckets")
    config = NearDuplicates(num_perm=64, bands=16)
    with pytest.raises(PartError, match="num_perm"):
        find_edges([a], config, tmp_path / "scratch", tmp_path / "buckets")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_threshold_below_what_is_stored_is_refused() -> None:
    with pytest.raises(ValueError, match="only pairs from"):
        NearDuplicates(jaccard=0.4)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"bands": 15}, "give one of 1, 2, 4"),
        ({"keep": ["curatd"]}, "Did you mean 'curated'"),
        ({"ngram": 0}, "1 or more"),
    ],
)
def test_wrong_settings_say_what_is_possible(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NearDuplicates(**keys)


def test_default_bands_catch_a_pair_at_the_threshold_with_the_printed_probability() -> None:
    curve = dict(s_curve(NearDuplicates().bands, NearDuplicates().rows))
    assert curve[0.0] == 0 and curve[1.0] == 1 and 0.94 < curve[0.8] < 0.95
    assert list(curve.values()) == sorted(curve.values())
