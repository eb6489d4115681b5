"""Held-out sets: drawn by content alone, once per name, and then never changed."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.config import build_section
from corpus.errors import ConfigError
from corpus.holdout import Holdout, commit_draw, draw, draw_place, freeze, frozen, held_out_rows
from corpus.lake import Lake, Manifest
from corpus.schema import DATASETS


def config(**keys: Any) -> Holdout:
    return build_section(Holdout, {"name": "set-1", **keys}, "holdout")


def candidates(count: int, num_bytes: int = 100, start: int = 0) -> pa.Table:
    rows = [
        {"doc_id": f"d{i:05}", "content_hash": f"{i:032x}", "num_bytes": num_bytes}
        for i in range(start, start + count)
    ]
    return pa.Table.from_pylist(
        rows, schema=pa.schema([("doc_id", "string"), ("content_hash", "string"), ("num_bytes", "int64")])
    )


def ids(found: list[Any]) -> list[str]:
    return [candidate.doc_id for candidate in found]


# ── the draw ──


@given(st.integers(1, 60), st.integers(1, 30), st.floats(0.01, 1), st.randoms(use_true_random=False))
def test_order_changes_nothing(count: int, wanted: int, share: float, shuffle: random.Random) -> None:
    table = candidates(count)
    order = list(range(count))
    shuffle.shuffle(order)
    found = draw("n", config(documents_per_source=wanted, max_share=share), table, 100 * count, count + 1)
    assert found == draw(
        "n", config(documents_per_source=wanted, max_share=share), table.take(order), 100 * count, count + 1
    )
    assert len(found) >= 1 and len(set(ids(found))) == len(found)
    places = [draw_place("n", candidate.content_hash) for candidate in found]
    assert places == sorted(places)
    others = [
        draw_place("n", content)
        for content in table["content_hash"].to_pylist()
        if content not in {c.content_hash for c in found}
    ]
    assert not others or max(places) < min(others)


def test_more_of_a_source_draws_no_other_documents() -> None:
    """Whether a document is drawn hangs on its own hash and on p: p stays where the share of the source stays."""
    small = draw("n", config(max_share=0.2, documents_per_source=10**6), candidates(1000), 100_000, 1000)
    large = draw("n", config(max_share=0.2, documents_per_source=10**6), candidates(1500), 150_000, 1500)
    assert set(ids(small)) == {doc_id for doc_id in ids(large) if doc_id < "d01000"}


def test_sizes_are_near_what_is_asked_for() -> None:
    by_count = draw("n", config(documents_per_source=300, max_share=1), candidates(3000), 300_000, 3000)
    assert 250 < len(by_count) < 350
    by_bytes = draw("n", config(documents_per_source=10_000, max_share="5%"), candidates(3000), 600_000, 6000)
    assert 250 < len(by_bytes) < 350  # 5 % of the source's bytes, of which the candidates are half


def test_another_name_draws_another_set() -> None:
    one, two = (
        draw(name, config(documents_per_source=50), candidates(1000), 10**6, 1000) for name in ("a", "b")
    )
    assert len(set(ids(one)) & set(ids(two))) < 20


def test_one_at_least_of_a_source_with_more_than_one_and_none_of_one() -> None:
    tiny = config(documents_per_source=1, max_share="0.001%")
    assert len(draw("n", tiny, candidates(2), 200, 2)) == 1
    assert len(draw("n", tiny, candidates(1), 200, 2)) == 1  # two documents, one of which passes
    assert draw("n", tiny, candidates(1), 100, 1) == []
    assert draw("n", tiny, candidates(0), 200, 2) == []
    assert draw("n", config(documents_per_source=0), candidates(9), 900, 9) == []
    assert len(draw("n", config(max_share=1, documents_per_source=99), candidates(9), 900, 9)) == 9


# ── frozen by name ──


@given(st.floats(1e-6, 1, exclude_max=True), st.floats(1e-6, 1, exclude_max=True))
def test_the_set_of_a_sample_has_a_name_of_its_own_that_no_recipe_can_give(one: float, two: float) -> None:
    whole = config(documents_per_source=7)
    found = whole.of_sample(one)
    assert whole.of_sample(1.0) == whole and found.identity() == whole.identity()
    assert (found.name == whole.of_sample(two).name) == (f"{100 * one:.12g}" == f"{100 * two:.12g}")
    with pytest.raises(ConfigError, match="not usable"):
        config(name=found.name)


def freeze_some(lake: Lake, config: Holdout, start: int = 0) -> Manifest:
    rows = [
        {"doc_id": f"d{i}", "source": "s", "content_hash": f"{i:032x}", "text": f"text {i}"}
        for i in range(start, start + 3)
    ]
    table = pa.Table.from_pylist(rows, schema=DATASETS["held_out"])
    return freeze(lake, config, commit_draw(lake, config, table, [("documents", f"{start}")], {"n": 3}))


def test_a_set_is_frozen_under_its_name_and_found_again(lake: Lake) -> None:
    assert frozen(lake, config()) is None
    made = freeze_some(lake, config())
    assert frozen(lake, config()) == made == frozen(Lake.open(lake.root), config())
    table = held_out_rows(lake, made)
    assert table["holdout_id"].to_pylist() == [made.id] * 3 and table["text"].to_pylist() == [
        "text 0",
        "text 1",
        "text 2",
    ]
    assert list((lake.root / ".staging").iterdir()) == []


def test_a_draw_alone_freezes_no_name(lake: Lake) -> None:
    drawn = commit_draw(lake, config(), DATASETS["held_out"].empty_table(), [], {})
    assert frozen(lake, config()) is None
    assert freeze(lake, config(), drawn) == drawn == frozen(lake, config())


def test_a_set_that_is_drawn_already_is_not_written_again(lake: Lake) -> None:
    empty = DATASETS["held_out"].empty_table()
    made = commit_draw(lake, config(), empty, [], {})
    path = lake.path_of(made.parts("held_out")[0])
    written = path.stat().st_mtime_ns, path.stat().st_ino
    assert commit_draw(lake, config(), empty, [], {}) == made
    assert written == (path.stat().st_mtime_ns, path.stat().st_ino)


def test_hashes_stand_apart_from_the_text(lake: Lake) -> None:
    made = freeze_some(lake, config())
    path = lake.folder("holdout", made.id) / "files" / "content_hashes.parquet"
    assert pq.read_table(path).to_pydict() == {"content_hash": [f"{i:032x}" for i in range(3)]}


def test_the_first_to_freeze_a_name_wins(lake: Lake) -> None:
    first = freeze_some(lake, config())
    assert freeze_some(lake, config(), start=5) == first == frozen(lake, config())


def test_other_settings_under_a_frozen_name_are_refused(lake: Lake) -> None:
    made = freeze_some(lake, config(documents_per_source=40, max_share="5%"))
    with pytest.raises(
        ConfigError, match="'set-1' is frozen with documents_per_source: 40; the recipe says 50"
    ):
        frozen(lake, config(documents_per_source=50))
    with pytest.raises(ConfigError, match=r"frozen with max_share: 0\.05"):
        frozen(lake, config(max_share=0.1))
    assert (
        frozen(lake, config()) == made == frozen(lake, config(max_share=0.05))
    )  # left out: whatever it was drawn with
    assert frozen(lake, config(name="set-2", max_share=0.1)) is None


@pytest.mark.parametrize("name", ["../up", "a/b", "", "Ü", "UPPER"])
def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="not usable"):
        config(name=name)


def test_a_failure_while_freezing_freezes_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Lake, "commit", fail)
    with pytest.raises(ZeroDivisionError):
        commit_draw(lake, config(), DATASETS["held_out"].empty_table(), [], {})
    assert frozen(lake, config()) is None and list((lake.root / ".staging").iterdir()) == []
