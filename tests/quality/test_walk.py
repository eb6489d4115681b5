"""The walk is the greedy of the contract, over stored pairs and over large buckets alike."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quality.large_buckets
import quality.walk
from corpus.fingerprint import fingerprint
from corpus.schema import DATASETS
from quality.compile import compile_walk
from quality.large_buckets import LargeBuckets
from quality.near_duplicates import NearDuplicates, find_edges
from quality.walk import walk
from tests.quality.near_texts import SMALL, exact, families, write_parts

Dropped = dict[str, tuple[str, float, float]]  # content → keeper, Jaccard, containment


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


def walk_slowly(order: list[str], edges: dict[tuple[str, str], float], threshold: float) -> Dropped:
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


def walked(
    order: list[str], edges: pa.Table, threshold: float, buckets: LargeBuckets | None = None
) -> Dropped:
    found = walk(order, order, edges, buckets or LargeBuckets.none(), threshold)
    assert not found.num_cut_short and not found.guards()
    columns = ("place", "keeper", "exact", "jaccard", "containment")
    rows = found.dropped.select(columns).iter_rows()
    return {order[place]: (order[keeper], jaccard, held) for place, keeper, _, jaccard, held in rows}


@settings(deadline=None)
@given(EDGES, st.permutations(NAMES), st.integers(0, 9), st.sampled_from([0.5, 0.8, 0.9]), st.booleans())
def test_walk_is_the_greedy_of_the_contract(
    edges: dict[tuple[str, str], float], order: list[str], listed: int, threshold: float, encoded: bool
) -> None:
    assert walked(order[:listed], edge_table(edges, encoded), threshold) == walk_slowly(
        order[:listed], edges, threshold
    )


def test_walk_makes_no_chains_and_counts_only_listed_documents() -> None:
    edges = edge_table({("a", "b"): 0.9, ("b", "c"): 0.9, ("c", "d"): 0.9})
    assert walked(["a", "b", "c", "d"], edges, 0.8) == {"b": ("a", 0.9, 1.0), "d": ("c", 0.9, 1.0)}
    assert walked(["b", "a", "c", "d"], edges, 0.8) == {"a": ("b", 0.9, 1.0), "c": ("b", 0.9, 1.0)}
    assert walked(["a", "c", "d"], edges, 0.8) == {"d": ("c", 0.9, 1.0)}
    assert walked([], edges, 0.8) == {} and walked(["a", "b"], edge_table({}), 0.8) == {}


def test_walk_reads_tables_in_pieces_of_any_encoding() -> None:
    pieces = [
        edge_table({("a", "b"): 0.9}, True),
        edge_table({("c", "b"): 0.95}, True),
        edge_table({("c", "d"): 0.85}, True),
    ]
    assert walked(["a", "c", "b", "d"], pa.concat_tables(pieces), 0.8) == {
        "b": ("c", 0.95, 1.0),
        "d": ("c", 0.85, 1.0),
    }


# ── with large buckets ──

COMPLETE = NearDuplicates(num_perm=64, bands=64, ngram=2)  # a pair of J 0.5 is missed once in 10¹⁹


def crowd(seed: int) -> dict[str, str]:
    """content → text: templates of 3 to 70 versions, from nearly the same to half the same, and some texts of their own."""
    draw = random.Random(seed)
    texts = []
    for template in range(6):
        body = [f"w{template}x{draw.randrange(400)}" for _ in range(40)]
        for version in range(draw.choice([3, 10, 30, 70])):
            words = list(body)
            for _ in range(draw.randrange(12)):
                words[draw.randrange(40)] = f"v{version}y{draw.randrange(99)}"
            texts.append(" ".join([*words, f"own{version}"]))
    return {fingerprint(text): text for text in texts}


@pytest.mark.parametrize("limit", [1, 8, 64])
@pytest.mark.parametrize("seed", range(3))
def test_walk_is_the_greedy_over_all_pairs_whatever_is_stored_as_a_bucket(
    tmp_path: Path, seed: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality.walk, "_MEMBERS_PER_BLOCK", 7)
    texts, draw = crowd(seed), random.Random(seed)
    found, buckets = find(tmp_path, texts, COMPLETE, limit)
    assert (len(buckets.sizes) > 20) == (limit < 64)
    every = {pair: exact(texts[pair[0]], texts[pair[1]], COMPLETE.ngram) for pair in combinations(texts, 2)}
    for threshold, share in ((0.5, 1.0), (0.8, 1.0), (0.8, 0.5), (0.93, 1.0)):
        order = draw.sample(sorted(texts), int(share * len(texts)))
        expected = greedy(order, every, threshold)
        assert expected and walked(order, found, threshold, buckets) == expected


def find(
    folder: Path, texts: dict[str, str], config: NearDuplicates, limit: int
) -> tuple[pa.Table, LargeBuckets]:
    rows = [(fingerprint(["document", content]), text) for content, text in texts.items()]
    parts = write_parts(folder / "parts", [rows[::2], rows[1::2]], config)
    table, _ = find_edges(parts, config, folder / "scratch", folder / "buckets", limit)
    return table, LargeBuckets.open(folder / "buckets")


def greedy(order: list[str], every: dict[tuple[str, str], tuple[float, float]], threshold: float) -> Dropped:
    """The contract, with containment: every pair is compared."""
    kept: list[str] = []
    dropped: Dropped = {}
    for content in order:
        pairs = [(other, *(every.get((content, other)) or every[other, content])) for other in kept]
        best = max(pairs, key=lambda pair: pair[1], default=("", 0.0, 0.0))
        if best[1] >= threshold:
            dropped[content] = best
        else:
            kept.append(content)
    return dropped


@pytest.mark.parametrize("limit", [1, 8, 64])
def test_walk_of_contents_that_come_again_with_other_edits_is_the_greedy(tmp_path: Path, limit: int) -> None:
    """Both ways of storing pairs, with every content at three places of different texts, some texts of several contents."""
    texts, draw = crowd(3), random.Random(3)
    found, buckets = find(tmp_path, texts, COMPLETE, limit)
    every = {pair: exact(texts[pair[0]], texts[pair[1]], COMPLETE.ngram) for pair in combinations(texts, 2)}
    order = [
        (content, draw.choice(["t1", "t2", "t3", f"{content}-{cut}"])) for content in texts for cut in "abc"
    ]
    order = draw.sample(sorted(set(order)), len(set(order)))
    kept: list[int] = []
    expected = {}
    for place, (content, text) in enumerate(order):
        same = [k for k in kept if order[k][0] == content] + [k for k in kept if order[k][1] == text]
        near = (
            []
            if same
            else [(*(every.get((content, order[k][0])) or every[order[k][0], content]), k) for k in kept]
        )
        best = max(near, key=lambda found: (found[0], -found[2]), default=(0.0, 0.0, -1))
        if same:
            expected[place] = (same[0], True, 1.0, 1.0)
        elif best[0] >= 0.8:
            expected[place] = (best[2], False, *best[:2])
        else:
            kept.append(place)
    walked = walk(*map(list, zip(*order, strict=True)), found, buckets, 0.8)
    assert {place: tuple(rest) for place, *rest in walked.dropped.iter_rows()} == expected
    assert {exact for _, exact, *_ in expected.values()} == {True, False}


@pytest.mark.parametrize("limit", [1, 64])
def test_what_walk_kept_is_kept_when_walked_again(tmp_path: Path, limit: int) -> None:
    texts = {fingerprint(text): text for _, text in families(60, seed=5)}
    table, buckets = find(tmp_path, texts, SMALL, limit)
    dropped = walked(sorted(texts), table, 0.6, buckets)
    kept = [content for content in sorted(texts) if content not in dropped]
    assert dropped and walked(kept, table, 0.6, buckets) == {}
    assert all(keeper in set(kept) and jaccard >= 0.6 for keeper, jaccard, _ in dropped.values())


def test_a_bucket_of_documents_that_differ_costs_no_more_than_a_few_comparisons_a_member_and_is_told(
    tmp_path: Path,
) -> None:
    """All of 1,000 share the one band; at a threshold that none reaches, all are kept and would sweep."""
    body = " ".join(f"w{k}" for k in range(60))
    texts = {fingerprint(text): text for text in (f"{body} own{i}" for i in range(1000))}
    table, buckets = find(tmp_path, texts, NearDuplicates(num_perm=1, bands=1, ngram=2), 64)
    (size,) = buckets.sizes
    found = walk(sorted(texts), sorted(texts), table, buckets, 0.99)
    assert not found.dropped.height and found.num_cut_short == 1
    (guard,) = found.guards()
    assert guard.keys() <= set(DATASETS["events"].names) and guard["value"] == 1 and guard["threshold"] == 8
    near = walk(sorted(texts), sorted(texts), table, buckets, 0.9)
    assert near.dropped.height >= size - 1 and near.num_cut_short == 0 and not near.guards()


def test_a_bucket_of_one_more_than_all_pairs_is_compared_as_fully(tmp_path: Path) -> None:
    body = " ".join(f"w{k}" for k in range(600))
    texts = {fingerprint(text): text for text in (f"{body} own{i}" for i in range(65))}
    table, buckets = find(tmp_path, texts, NearDuplicates(num_perm=1, bands=1, ngram=2), 64)
    assert buckets.sizes.tolist() == [65] and walked(sorted(texts), table, 0.999, buckets) == {}


def test_every_kernel_of_the_walk_is_run_to_compile_it_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = {
        (module, name): found
        for module in (quality.walk, quality.large_buckets)
        for name, found in vars(module).items()
        if hasattr(found, "py_func") and found.__module__ == module.__name__
    }
    run = set()

    def noted(place: tuple[ModuleType, str]) -> Callable[..., Any]:
        def kernel(*arguments: Any) -> Any:
            run.add(place)
            return kernels[place](*arguments)

        return kernel

    for module, name in kernels:
        monkeypatch.setattr(module, name, noted((module, name)))
    compile_walk(tmp_path)
    assert run == kernels.keys() and len(run) >= 4


def test_thresholds_below_what_is_stored_are_refused() -> None:
    with pytest.raises(ValueError, match="below 0"):
        walk(["a"], ["a"], edge_table({}), LargeBuckets.none(), 0.4)
