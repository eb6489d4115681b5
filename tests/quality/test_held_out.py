from __future__ import annotations

import pickle
import random
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import LakeError
from corpus.schema import OPERATORS
from quality.held_out import HeldOutIndex, HeldOutOverlap, near_held_out_rule
from tests.quality.word_windows import shingles

Row = tuple[str, str]
Found = tuple[float, float, str | None]


def brute_force(held: list[Row], text: str, n: int) -> Found:
    jaccard, containment, partner = 0.0, 0.0, None
    mine = shingles(text, n)
    for doc_id, other in sorted(held):
        theirs = shingles(other, n)
        if shared := len(mine & theirs):
            jaccard = max(jaccard, shared / len(mine | theirs))
            if shared / min(len(mine), len(theirs)) > containment:
                containment, partner = shared / min(len(mine), len(theirs)), doc_id
    return round(jaccard, 6), round(containment, 6), partner


def overlaps(index: HeldOutIndex, texts: list[str | None]) -> list[Found]:
    jaccard, containment, partner = index.overlap(pa.array(texts, pa.large_string()))
    names = [index.doc_ids[i] if i >= 0 else None for i in partner]
    return list(zip(jaccard.tolist(), containment.tolist(), names, strict=True))


def built(held: list[Row], n: int) -> HeldOutIndex:
    return HeldOutIndex.build([doc_id for doc_id, _ in held], [text for _, text in held], n)


WORDS = st.lists(st.sampled_from(["a", "b", "c", "ह", "ΣΑΣ", "é", "e\u0301", "."]), max_size=12).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(st.lists(WORDS, max_size=25), st.lists(WORDS, max_size=6), st.integers(1, 4))
def test_overlap_is_what_brute_force_finds(held: list[str], texts: list[str], n: int) -> None:
    rows = [(f"id{i * 7 % 100:02}", text) for i, text in enumerate(held)]
    assert overlaps(built(rows, n), [*texts]) == [brute_force(rows, text, n) for text in texts]


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, max_size=12), st.lists(st.tuples(WORDS, st.none() | WORDS), max_size=6))
def test_of_a_text_and_its_edited_form_the_greater_overlap_counts(
    held: list[str], texts: list[tuple[str, str | None]]
) -> None:
    rows = [(f"id{i // 2:02}", text) for i, text in enumerate(held)]  # two texts of a document
    index = built(rows, 2)
    found = index.greatest_overlap(*(pa.array(column, pa.large_string()) for column in zip(*texts, strict=True))) if texts else ([], [], [])  # fmt: skip
    for (text, edited), jaccard, containment, partner in zip(texts, *found, strict=True):
        each = [brute_force(rows, form, 2) for form in (text, edited) if form is not None]
        assert jaccard == max(j for j, _, _ in each) and containment == max(c for _, c, _ in each)
        nearest = [name for _, c, name in each if c == containment and name is not None]
        assert (index.doc_ids[partner] if partner >= 0 else None) == min(nearest, default=None)


def test_overlap_is_exact_where_boilerplate_makes_large_groups() -> None:
    draw = random.Random(0)
    heads = [" ".join(f"head{k}w{i}" for i in range(20)) for k in range(3)]
    held = [
        (f"{i:03}", f"{heads[i % 3]} " + " ".join(f"w{draw.randrange(60)}" for _ in range(30)))
        for i in range(80)
    ]
    texts = [
        *(text for _, text in held[::9]),
        heads[1],
        *(" ".join(f"w{draw.randrange(60)}" for _ in range(40)) + heads[2] for _ in range(10)),
    ]
    for n in (1, 2, 5):
        assert overlaps(built(held, n), [*texts]) == [brute_force(held, text, n) for text in texts]


def test_a_short_held_out_text_inside_a_long_document_is_contained() -> None:
    short = "the quick brown fox jumps over the lazy dog by the river"
    long = " ".join(f"w{i}" for i in range(3000))
    jaccard, containment, partner = overlaps(built([("h", short)], 5), [f"{long} {short.upper()}! {long}"])[0]
    assert (containment, partner) == (1.0, "h") and jaccard < 0.01


def test_a_document_inside_a_held_out_one_is_contained_too() -> None:
    text = " ".join(f"w{i}" for i in range(100))
    assert overlaps(built([("h", text)], 5), [" ".join(f"w{i}" for i in range(20, 40))])[0][1:] == (1.0, "h")


def test_repeated_shingles_count_once() -> None:
    assert overlaps(built([("h", "a b c d")], 2), ["a b a b a b x", "a b c d"]) == [
        (round(1 / 5, 6), round(1 / 3, 6), "h"),
        (1.0, 1.0, "h"),
    ]


def test_equal_containment_gives_the_smallest_id_whatever_the_order_of_building() -> None:
    rows = [
        ("m", "one two three four five"),
        ("b", "one two three four five"),
        ("z", "one two three four five six"),
    ]
    for order in (rows, rows[::-1]):
        assert overlaps(built(order, 5), ["One, two, three, four, five."])[0] == (1.0, 1.0, "b")


def test_without_words_or_without_held_out_documents_nothing_is_near() -> None:
    nothing = (0.0, 0.0, None)
    assert (
        overlaps(built([("h", "!!!"), ("i", "some words")], 5), ["???", "", None, "other words"])
        == [nothing] * 4
    )
    assert overlaps(built([], 5), ["some words"]) == [nothing]
    assert overlaps(built([("h", "x")], 5), []) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [(f"{i:02}", " ".join(f"w{i * j % 13}" for j in range(30))) for i in range(20)]
    built(rows, 3).save(tmp_path / "index")
    return tmp_path / "index"


def test_operator_gives_the_schema_row_for_row_and_does_not_depend_on_batches(folder: Path) -> None:
    texts = [" ".join(f"w{i * j % 13}" for j in range(3, 25)) for i in range(30)] + [None, ""]
    ids = [f"{i:032x}" for i in range(32)]
    columns = [pa.array(ids), pa.array(texts, pa.large_string()), pa.nulls(32, pa.large_string())]
    batch = pa.record_batch(columns, names=["doc_id", "text", "edited_text"])
    operator = pickle.loads(pickle.dumps(HeldOutOverlap(str(folder), "key")))
    whole = operator(batch)
    assert whole.schema == OPERATORS["held_out_overlap"] and whole.column("doc_id").to_pylist() == ids
    pieces = pa.Table.from_batches([operator(batch.slice(start, 5)) for start in range(0, 32, 5)])
    assert pieces.combine_chunks().to_batches()[0].equals(whole)
    assert whole.column("held_out_partner").null_count == 2
    assert operator(batch.slice(0, 0)).num_rows == 0


def test_saved_and_loaded_index_is_the_same_and_its_bytes_do_not_depend_on_order(
    folder: Path, tmp_path: Path
) -> None:
    loaded = HeldOutIndex.load(folder)
    rows = [(f"{i:02}", " ".join(f"w{i * j % 13}" for j in range(30))) for i in range(20)]
    random.Random(0).shuffle(rows)
    built(rows, 3).save(tmp_path / "again")
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == [
        path.read_bytes() for path in sorted((tmp_path / "again").iterdir())
    ]
    texts: list[str | None] = [text for _, text in rows]
    assert overlaps(loaded, texts) == overlaps(built(rows, 3), texts)


def test_only_the_key_is_identity() -> None:
    assert HeldOutOverlap("/here", "k").identity() == HeldOutOverlap("/there", "k").identity()
    assert HeldOutOverlap("/here", "k").identity() != HeldOutOverlap("/here", "l").identity()


def test_a_damaged_or_foreign_index_is_refused(folder: Path) -> None:
    np.save(folder / "sizes.npy", np.array([{"not": "numbers"}], object), allow_pickle=True)
    with pytest.raises(LakeError, match="it is built again from the held-out set"):
        HeldOutIndex.load(folder)
    (folder / "sizes.npy").unlink()
    with pytest.raises(LakeError, match="it is built again from the held-out set"):
        HeldOutIndex.load(folder)


def test_an_index_of_other_unicode_data_is_refused(folder: Path) -> None:
    head = folder / "index.json"
    head.write_text(head.read_text("utf-8").replace('"words": "', '"words": "0'), "utf-8")
    with pytest.raises(LakeError, match="Unicode"):
        HeldOutIndex.load(folder)


def test_the_rule_holds_at_either_threshold_and_where_nothing_was_measured_it_does_not() -> None:
    values = [(0.5, 0.0), (0.499999, 0.799999), (0.0, 0.8), (1.0, 1.0), (0.0, 0.0), (None, None)]
    frame = pl.DataFrame(
        values, schema={"held_out_jaccard": pl.Float64, "held_out_containment": pl.Float64}, orient="row"
    )
    near = frame.select(near_held_out_rule()).to_series().to_list()
    assert near == [True, False, True, True, False, False]
