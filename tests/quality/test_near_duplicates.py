from __future__ import annotations

import functools
import random
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import corpus.sql
import quality.candidate_pairs
import quality.verification
from corpus.errors import PartError
from corpus.fingerprint import fingerprint
from corpus.schema import DATASETS
from quality.minhash import MinHash
from quality.near_duplicates import NearDuplicates, find_edges, s_curve, walk

Row = tuple[str, str]  # doc_id, text
SMALL = NearDuplicates(
    num_perm=32, bands=16, ngram=2
)  # two rows a band: at J ≥ 0.5 a pair is missed once in a hundred


def write_parts(folder: Path, parts: list[list[Row]], config: NearDuplicates) -> list[tuple[Path, Path]]:
    folder.mkdir(parents=True)
    paths = []
    for number, rows in enumerate(parts):
        ids, texts = [row[0] for row in rows], [row[1] for row in rows]
        hashes = [fingerprint(" ".join(text.split())) for text in texts]
        documents = pa.table(
            {
                "doc_id": pa.array(ids, pa.string()),
                "text": pa.array(texts, pa.large_string()),
                "content_hash": pa.array(hashes, pa.string()),
            }
        )
        batches = (
            documents.select(["doc_id", "text"]).combine_chunks().to_batches()
            or documents.schema.empty_table().to_batches()
        )
        signed = pa.Table.from_batches(
            [MinHash(config.num_perm, config.ngram)(batch) for batch in batches],
            schema=None if batches else MINHASH,
        )
        paths.append((folder / f"documents-{number}.parquet", folder / f"minhash-{number}.parquet"))
        pq.write_table(documents, paths[-1][0], row_group_size=3)
        pq.write_table(signed, paths[-1][1], row_group_size=3)
    return paths


MINHASH = MinHash()(
    pa.record_batch([pa.array([], pa.string()), pa.array([], pa.large_string())], names=["doc_id", "text"])
).schema


def edges_of(
    folder: Path, parts: list[list[Row]], config: NearDuplicates = SMALL
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    table, events = find_edges(write_parts(folder / "parts", parts, config), config, folder / "scratch")
    assert list((folder / "scratch").iterdir()) == [], "scratch is left as it was"
    assert [field.name for field in table.schema] == DATASETS["near_duplicates"].names
    return table.cast(DATASETS["near_duplicates"]).to_pylist(), events


@functools.cache
def shingles(text: str, n: int) -> set[tuple[str, ...]]:
    words = pl.Series([text.lower()]).str.extract_all(r"\w+")[0].to_list()
    return {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))} if words else set()


def exact(a: str, b: str, n: int) -> tuple[float, float]:
    left, right = shingles(a, n), shingles(b, n)
    shared = len(left & right)
    return round(shared / len(left | right), 6), round(shared / min(len(left), len(right)), 6)


def families(count: int, seed: int = 0) -> list[Row]:
    """Texts of 40 words, each with a few versions in which some words differ, some exact copies among them."""
    draw = random.Random(seed)
    rows: list[str] = []
    for family in range(count):
        base = [f"w{draw.randrange(500)}" for _ in range(40)]
        for version in range(draw.randrange(1, 5)):
            words = list(base)
            for _ in range(version * draw.randrange(0, 4)):
                words[draw.randrange(40)] = f"x{family}{draw.randrange(99)}"
            rows.append(" ".join(words))
    return [(fingerprint(["document", i]), text) for i, text in enumerate(rows)]


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
    assert edges_of(tmp_path / "b", [shuffled[:70], [], shuffled[70:80], shuffled[80:]]) == first
    assert first[0] and first[1]


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


def test_a_bucket_of_64_is_compared_in_full_and_a_larger_one_with_its_anchors(tmp_path: Path) -> None:
    config = NearDuplicates(num_perm=1, bands=1, ngram=2)
    full, events = edges_of(tmp_path / "64", [bucket(64)], config)
    alike = {doc for row in full for doc in (row["doc_a"], row["doc_b"])}
    assert len(full) == len(alike) * (len(alike) - 1) // 2 and len(alike) > 55 and not events
    starred, events = edges_of(tmp_path / "200", [bucket(200)], config)
    members = sorted({doc for row in starred for doc in (row["doc_a"], row["doc_b"])})
    anchors = set(members[:8])
    assert {row["doc_a"] for row in starred} == anchors
    assert len(starred) == 8 * (len(members) - 8) + 28
    (event,) = events
    assert event["kind"] == "large_bucket" and event["value"] == len(members) and event["threshold"] == 64
    assert members[0] in event["message"] and event.keys() <= set(DATASETS["events"].names)


def test_a_minhash_part_of_other_rows_or_settings_is_refused(tmp_path: Path) -> None:
    (a, b) = write_parts(tmp_path / "parts", [families(5), families(5, seed=9)[:4]], SMALL)
    for wrong in ([(a[0], b[1])], [(b[0], a[1])]):
        with pytest.raises(PartError, match="row for row"):
            find_edges(wrong, SMALL, tmp_path / "scratch")
    with pytest.raises(PartError, match="num_perm"):
        find_edges([a], NearDuplicates(num_perm=64, bands=16), tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []


# ── verdicts ──


def edge_table(edges: dict[tuple[str, str], float], encoded: bool = False) -> pa.Table:
    rows = [(a, b, a, b, jaccard, 1.0, 1) for (a, b), jaccard in edges.items()]
    columns = (
        [
            pa.array(column, field.type)
            for column, field in zip(zip(*rows, strict=True), DATASETS["near_duplicates"], strict=True)
        ]
        if rows
        else []
    )
    if not rows:
        return DATASETS["near_duplicates"].empty_table()
    if encoded:
        columns = [column.dictionary_encode() if column.type == pa.string() else column for column in columns]
    return pa.table(columns, names=DATASETS["near_duplicates"].names)


def walk_slowly(
    order: list[str], edges: dict[tuple[str, str], float], threshold: float
) -> dict[str, tuple[str, float, float]]:
    """The contract in five lines."""
    kept: list[str] = []
    dropped = {}
    for content in order:
        near = [(edges.get((content, other), edges.get((other, content), 0.0)), other) for other in kept]
        best = max(near, key=lambda pair: pair[0], default=(0.0, ""))
        if best[0] >= threshold:
            dropped[content] = (best[1], best[0], 1.0)
        else:
            kept.append(content)
    return dropped


NAMES = [f"c{i}" for i in range(9)]
EDGES = st.dictionaries(
    st.sampled_from([(a, b) for a in NAMES for b in NAMES if a < b]),
    st.sampled_from([0.5, 0.6, 0.79, 0.8, 0.9, 1.0]),
    max_size=25,
)


@settings(deadline=None)
@given(EDGES, st.permutations(NAMES), st.integers(0, 9), st.sampled_from([0.5, 0.8, 0.9]), st.booleans())
def test_walk_is_the_greedy_of_the_contract(
    edges: dict[tuple[str, str], float], order: list[str], listed: int, threshold: float, encoded: bool
) -> None:
    assert walk(order[:listed], edge_table(edges, encoded), threshold) == walk_slowly(
        order[:listed], edges, threshold
    )


def test_walk_makes_no_chains_and_counts_only_listed_documents() -> None:
    edges = edge_table({("a", "b"): 0.9, ("b", "c"): 0.9, ("c", "d"): 0.9})
    assert walk(["a", "b", "c", "d"], edges, 0.8) == {"b": ("a", 0.9, 1.0), "d": ("c", 0.9, 1.0)}
    assert walk(["b", "a", "c", "d"], edges, 0.8) == {"a": ("b", 0.9, 1.0), "c": ("b", 0.9, 1.0)}
    assert walk(["a", "c", "d"], edges, 0.8) == {"d": ("c", 0.9, 1.0)}
    assert walk([], edges, 0.8) == {} and walk(["a", "b"], edge_table({}), 0.8) == {}


def test_walk_reads_tables_in_pieces_of_any_encoding() -> None:
    pieces = [
        edge_table({("a", "b"): 0.9}, True),
        edge_table({("c", "b"): 0.95}, True),
        edge_table({("c", "d"): 0.85}, True),
    ]
    assert walk(["a", "c", "b", "d"], pa.concat_tables(pieces), 0.8) == {
        "b": ("c", 0.95, 1.0),
        "d": ("c", 0.85, 1.0),
    }


def test_what_walk_kept_is_kept_when_walked_again(tmp_path: Path) -> None:
    rows = families(60, seed=5)
    table, _ = find_edges(write_parts(tmp_path / "parts", [rows], SMALL), SMALL, tmp_path / "scratch")
    order = sorted({fingerprint(text) for _, text in rows})
    dropped = walk(order, table, 0.6)
    kept = [content for content in order if content not in dropped]
    assert dropped and walk(kept, table, 0.6) == {}
    assert all(keeper in set(kept) and jaccard >= 0.6 for keeper, jaccard, _ in dropped.values())


def test_thresholds_below_what_is_stored_are_refused() -> None:
    with pytest.raises(ValueError, match="below 0"):
        walk(["a"], edge_table({}), 0.4)
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
