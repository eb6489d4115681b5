"""Verdicts across documents: who is dropped for whom, by a plain walk over plain lists."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.config import build_section
from corpus.schema import DATASETS
from quality.curation import Curation
from quality.large_buckets import LargeBuckets
from quality.pairs import Pairs
from quality.verdicts import SCHEMA, candidate_columns, find_duplicates, keeper_order

Document = dict[str, Any]
Edge = tuple[int, int, float]


def curation(**keys: Any) -> Curation:
    return build_section(Curation, keys, "curation")


def candidates(documents: list[Document]) -> pl.DataFrame:
    schema = {
        "doc_id": pl.String,
        "content_hash": pl.String,
        "edited_hash": pl.String,
        "num_bytes": pl.Int64,
        "curated": pl.Boolean,
        "date": pl.Datetime,
        "num_chars": pl.Int64,
    }
    rows = [{"num_bytes": 1, "date": None, "edited_hash": None, **document} for document in documents]
    frame = pl.DataFrame(rows, schema=schema)
    frame = frame.with_columns(trained_hash=pl.coalesce("edited_hash", "content_hash"))
    return frame.with_columns(source=pl.lit("s"), part=pl.arange(pl.len(), dtype=pl.Int64) // 3)


def pairs(edges: list[Edge], dictionary: bool = False) -> Pairs:
    rows = [
        {"content_a": f"c{a}", "content_b": f"c{b}", "jaccard": jaccard, "containment": jaccard}
        for a, b, jaccard in edges
    ]
    table = pa.Table.from_pylist(rows, schema=DATASETS["near_duplicates"]).select(
        ["content_a", "content_b", "jaccard", "containment"]
    )
    if dictionary:
        for i, name in enumerate(("content_a", "content_b")):
            table = table.set_column(i, name, table[name].dictionary_encode())
    return Pairs(table, LargeBuckets.none())


@st.composite
def corpora(draw: st.DrawFn, edited: bool = True) -> tuple[list[Document], list[Edge]]:
    contents = draw(st.lists(st.integers(0, 7), max_size=14))
    documents = [
        {
            "doc_id": f"d{i:02}",
            "content_hash": f"c{content}",
            "curated": draw(st.booleans()),
            "num_chars": draw(st.integers(1, 3)),
            # cut or masked to one of three texts, to that of an unedited one, or not at all
            "edited_hash": draw(st.sampled_from(["e0", "e1", "e2", "c0", None, None, None]))
            if edited
            else None,
        }
        for i, content in enumerate(contents)
    ]
    joined = st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda pair: pair[0] < pair[1])
    edges = draw(st.dictionaries(joined, st.sampled_from([0.5, 0.7, 0.8, 0.9]), max_size=12))
    return documents, [(a, b, jaccard) for (a, b), jaccard in edges.items()]


def by_hand(
    documents: list[Document], edges: list[Edge], threshold: float
) -> dict[str, tuple[str, str, float]]:
    """doc_id → (rule, keeper, Jaccard), one document after another in keeper order."""
    near = {frozenset((f"c{a}", f"c{b}")): jaccard for a, b, jaccard in edges if jaccard >= threshold}
    order = sorted(
        documents, key=lambda d: (not d["curated"], -d["num_chars"], d["content_hash"], d["doc_id"])
    )
    kept: list[tuple[str, str, str]] = []  # doc_id, content, text that is trained on
    fate: dict[
        tuple[str, str], tuple[str, str, float]
    ] = {}  # of what is dropped; a copy of it in both has it too
    dropped = {}
    for document in order:
        content, doc_id = document["content_hash"], document["doc_id"]
        text = document["edited_hash"] or content
        same = [other for other, held, _ in kept if held == content]
        same += [other for other, _, read in kept if read == text]
        rivals = [
            (near[frozenset((content, held))], other)
            for other, held, _ in kept
            if frozenset((content, held)) in near
        ]
        if (content, text) in fate:
            dropped[doc_id] = fate[content, text]
        elif same:
            dropped[doc_id] = fate[content, text] = ("exact", same[0], 1.0)
        elif rivals:
            best = max(jaccard for jaccard, _ in rivals)
            keeper = next(other for jaccard, other in rivals if jaccard == best)
            dropped[doc_id] = fate[content, text] = ("near", keeper, best)
        else:
            kept.append((doc_id, content, text))
    return dropped


def found(frame: pl.DataFrame) -> dict[str, tuple[str, str, float]]:
    return {
        row["doc_id"]: ("exact" if row["exact"] else "near", row["partner"], row["jaccard"])
        for row in frame.iter_rows(named=True)
    }


@settings(max_examples=150)
@given(corpora(), st.sampled_from([0.5, 0.8]), st.booleans(), st.randoms(use_true_random=False))
def test_verdicts_are_those_of_a_walk_by_hand(
    case: tuple[list[Document], list[Edge]], threshold: float, dictionary: bool, shuffle: random.Random
) -> None:
    documents, edges = case
    rules = curation(near_duplicates={"jaccard": threshold})
    verdicts = find_duplicates(candidates(documents), pairs(edges, dictionary), rules)
    assert found(verdicts.dropped) == by_hand(documents, edges, threshold)
    shuffled = [*documents]
    shuffle.shuffle(shuffled)
    again = find_duplicates(candidates(shuffled), pairs(edges[::-1]), rules)
    assert found(again.dropped) == found(verdicts.dropped)


@given(corpora())
def test_removing_what_was_dropped_changes_no_verdict_and_judging_the_kept_drops_nothing(
    case: tuple[list[Document], list[Edge]],
) -> None:
    documents, edges = case
    gone = set(find_duplicates(candidates(documents), pairs(edges), curation()).dropped["doc_id"])
    kept = [document for document in documents if document["doc_id"] not in gone]
    assert find_duplicates(candidates(kept), pairs(edges), curation()).rows.height == 0


@given(corpora())
def test_clusters_are_the_dropped_with_their_keeper(case: tuple[list[Document], list[Edge]]) -> None:
    documents, edges = case
    verdicts = find_duplicates(candidates(documents), pairs(edges), curation())
    assert dict(verdicts.rows.schema) == SCHEMA
    clusters = dict(verdicts.rows.select("doc_id", "cluster").iter_rows())
    dropped = found(verdicts.dropped)
    assert clusters == {
        **{keeper: keeper for _, keeper, _ in dropped.values()},
        **{doc_id: keeper for doc_id, (_, keeper, _) in dropped.items()},
    }
    sizes: dict[str, int] = {}
    for _, keeper, _ in dropped.values():
        sizes[keeper] = sizes.get(keeper, 0) + 1
    largest = max(sizes.values(), default=0)
    assert verdicts.largest_cluster() == (
        min((k for k, n in sizes.items() if n == largest), default=None),
        largest,
    )
    parts = verdicts.by_part()
    assert sum(frame.height for frame in parts.values()) == verdicts.rows.height
    where = dict(candidates(documents).select("doc_id", "part").iter_rows())
    assert all(where[doc_id] == part for (_, part), frame in parts.items() for doc_id in frame["doc_id"])


COPIES = [
    {"doc_id": "a", "content_hash": "c1", "curated": False, "num_chars": 5}, {"doc_id": "b", "content_hash": "c1", "curated": True, "num_chars": 5},
    {"doc_id": "c", "content_hash": "c2", "curated": False, "num_chars": 9}, {"doc_id": "d", "content_hash": "c2", "curated": False, "num_chars": 9},
]  # fmt: skip


def test_a_copy_of_a_near_duplicate_is_one_too_of_the_same_keeper() -> None:
    dropped = found(find_duplicates(candidates(COPIES), pairs([(1, 2, 0.9)]), curation()).dropped)
    assert dropped == {"a": ("exact", "b", 1.0), "c": ("near", "b", 0.9), "d": ("near", "b", 0.9)}


@given(corpora())
def test_a_dropped_copy_is_one_of_what_is_kept_and_of_what_is_kept_none_is_a_copy(
    case: tuple[list[Document], list[Edge]],
) -> None:
    documents, edges = case
    by_id = {document["doc_id"]: document for document in documents}
    dropped = found(find_duplicates(candidates(documents), pairs(edges), curation()).dropped)
    kept = [document for document in documents if document["doc_id"] not in dropped]
    for hashes in ([d["edited_hash"] or d["content_hash"] for d in kept], [d["content_hash"] for d in kept]):
        assert len(set(hashes)) == len(hashes)
    near = {frozenset((f"c{a}", f"c{b}")) for a, b, jaccard in edges if jaccard >= 0.8}
    contents = [document["content_hash"] for document in kept]
    assert not any(frozenset((one, two)) in near for i, one in enumerate(contents) for two in contents[:i])
    for doc_id, (rule, keeper, _) in dropped.items():
        assert keeper not in dropped
        mine, other = by_id[doc_id], by_id[keeper]
        one_text = (mine["edited_hash"] or mine["content_hash"]) == (
            other["edited_hash"] or other["content_hash"]
        )
        if rule == "exact":
            assert mine["content_hash"] == other["content_hash"] or one_text
        else:
            assert frozenset((mine["content_hash"], other["content_hash"])) in near


def test_copies_make_no_chains() -> None:
    rows = [
        {"doc_id": "Y", "content_hash": "c1", "edited_hash": None, "curated": True, "num_chars": 9},
        {"doc_id": "X", "content_hash": "c1", "edited_hash": "t1", "curated": False, "num_chars": 9},  # cut
        {"doc_id": "Z", "content_hash": "c2", "edited_hash": "t1", "curated": False, "num_chars": 8},
    ]
    assert found(find_duplicates(candidates(rows), None, curation()).dropped) == {"X": ("exact", "Y", 1.0)}
    assert found(find_duplicates(candidates(rows[1:]), None, curation()).dropped) == {
        "Z": ("exact", "X", 1.0)
    }


def test_a_text_is_judged_again_where_it_is_cut_otherwise() -> None:
    """B is a copy of A once it is cut, and C has its content but not its text; D comes between and is near them."""
    rows = [
        {"doc_id": name, "content_hash": content, "edited_hash": edited, "curated": False, "num_chars": 9 - i}
        for i, (name, content, edited) in enumerate(
            [("A", "c0", "t"), ("B", "c1", "t"), ("D", "c2", None), ("C", "c1", "u")]
        )
    ]
    near = pairs([(1, 2, 0.9)])
    assert found(find_duplicates(candidates(rows), None, curation()).dropped) == {"B": ("exact", "A", 1.0)}
    assert found(find_duplicates(candidates(rows), near, curation()).dropped) == {
        "B": ("exact", "A", 1.0), "C": ("near", "D", 0.9),
    }  # fmt: skip


def test_copies_by_their_edits_are_told_apart_where_exact_copies_may_stay() -> None:
    rows = [{**row, "edited_hash": "e"} for row in COPIES]
    dropped = found(find_duplicates(candidates(rows), None, curation()).dropped)
    assert dropped == dict.fromkeys("acd", ("exact", "b", 1.0))
    stay = curation(exact_duplicates=False)
    near = pairs([(1, 2, 0.9)])
    assert set(found(find_duplicates(candidates(rows), near, stay).dropped)) == {"c", "d"}


def test_exact_copies_may_stay_and_near_ones_may() -> None:
    table = pairs([(1, 2, 0.9)])
    near_only = found(find_duplicates(candidates(COPIES), table, curation(exact_duplicates=False)).dropped)
    assert near_only == {"c": ("near", "b", 0.9), "d": ("near", "b", 0.9)}
    exact_only = found(find_duplicates(candidates(COPIES), table, curation(near_duplicates=None)).dropped)
    assert exact_only == {"a": ("exact", "b", 1.0), "d": ("exact", "c", 1.0)}
    neither = curation(near_duplicates=None, exact_duplicates=False)
    assert find_duplicates(candidates(COPIES), table, neither).rows.height == 0
    assert found(find_duplicates(candidates(COPIES), None, curation()).dropped) == exact_only


def test_the_keeper_is_curated_then_new_then_long_then_the_smallest_content() -> None:
    from datetime import datetime

    old, new = datetime(2001, 1, 1), datetime(2020, 1, 1)
    rows = [
        {"doc_id": "1", "content_hash": "z", "curated": True, "num_chars": 1, "date": None},
        {"doc_id": "2", "content_hash": "z", "curated": False, "num_chars": 1, "date": new},
        {"doc_id": "3", "content_hash": "z", "curated": False, "num_chars": 9, "date": old},
        {"doc_id": "4", "content_hash": "z", "curated": False, "num_chars": 9, "date": None},
        {"doc_id": "6", "content_hash": "y", "curated": False, "num_chars": 8, "date": None},
        {"doc_id": "5", "content_hash": "z", "curated": False, "num_chars": 8, "date": None},
        {"doc_id": "7", "content_hash": "z", "curated": False, "num_chars": 8, "date": None},
    ]
    order = keeper_order(candidates(rows[::-1]), ["curated", "date", "length"])["doc_id"].to_list()
    assert order == ["1", "2", "3", "4", "6", "5", "7"]


def test_any_measured_signal_can_say_who_is_kept() -> None:
    keep = ["num_bytes", "num_chars", "length", "num_words", "curated"]
    frame = pl.DataFrame({
        "doc_id": ["a", "b"], "content_hash": ["c", "c"], "edited_hash": [None, "e"], "num_bytes": [3, 3], "num_chars": [3, 3], "num_words": [1, 2], "date": [None, None],
    })  # fmt: skip
    rows = candidate_columns(frame, "s", 0, False, keep)
    assert keeper_order(rows, keep)["doc_id"].to_list() == ["b", "a"]
    dropped = find_duplicates(rows, None, curation(near_duplicates={"keep": keep})).dropped
    assert dropped["doc_id"].to_list() == ["a"]
