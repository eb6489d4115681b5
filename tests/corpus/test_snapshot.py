"""A snapshot read back: kept texts with their edits, keys that know what a text hangs on, and guards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from corpus.errors import GuardStop
from corpus.lake import Lake, Manifest
from corpus.part import Part
from corpus.schema import schema_of
from corpus.snapshot import check_guards, edited_column, edited_texts, kept_texts, snapshot_parts

TEXTS = ["mail ü@x.org now", "cut this\nkeep this", None, "plain", "dropped"]
EDITS: dict[str, list[dict[str, Any]]] = {
    "pii": [
        {"spans": [{"start": 5, "end": 13, "type": "email"}], "num_pii_email": 1},
        {},
        {},
        {"spans": []},
        {},
    ],
    "c4_lines": [{}, {"cuts": [{"start": 0, "end": 9, "reason": "policy"}]}, {}, {}, {}],
}
KEPT = [True, True, True, True, False]


def commit(lake: Lake, dataset: str, source: str, rows: list[dict[str, Any]]) -> tuple[str, tuple[Part, ...]]:
    """An artifact of two parts, of two rows and of the others."""
    parts = tuple(
        lake.write_part(
            dataset, f"{dataset}-{source}-{i}", pa.Table.from_pylist(found, schema=schema_of(dataset))
        )
        for i, found in enumerate((rows[:2], rows[2:]))
    )
    kind = "snapshot" if dataset == "decisions" else dataset
    lake.commit(Manifest(kind, f"{dataset}-{source}", "o", 1, {}, (), {dataset: parts}))
    return f"{dataset}-{source}", parts


def snapshot(lake: Lake, pii: dict[str, str] | None = None, cut_lines: bool = True) -> Manifest:
    """Two sources of the same five documents in two parts each."""
    sources, decisions = {}, []
    for name in ("b", "a"):
        documents, _ = commit(
            lake, "documents", name, [{"doc_id": f"{name}{i}", "text": text} for i, text in enumerate(TEXTS)]
        )
        measured = {
            kind: commit(lake, kind, name, [{"doc_id": f"{name}{i}", **row} for i, row in enumerate(rows)])[0]
            for kind, rows in EDITS.items()
        }
        sources[name] = {"documents": documents, "measured": measured, "cut_lines": cut_lines}
        decisions.append(
            commit(
                lake,
                "decisions",
                name,
                [{"doc_id": f"{name}{i}", "kept": kept} for i, kept in enumerate(KEPT)],
            )[1]
        )
    identity = {"sources": sources, "pii": pii or {"email": "mask"}}
    parts = tuple(part for found in reversed(decisions) for part in found)
    return Manifest(
        "snapshot",
        "s",
        "decide",
        1,
        identity,
        (),
        {"decisions": parts},
        summary={"kept_hashes": ["k0", "k1", "k2", "k3"]},
    )


def texts(lake: Lake, made: Manifest) -> list[tuple[str, str]]:
    return [found for part in snapshot_parts(lake, made) for found in kept_texts(lake, part)]


def test_kept_texts_come_edited_in_order_sources_by_name(lake: Lake) -> None:
    of_one = ["mail <EMAIL> now", "keep this", "plain"]
    expected = [(f"{name}{i}", text) for name in "ab" for i, text in zip((0, 1, 3), of_one, strict=True)]
    assert texts(lake, snapshot(lake)) == expected


def test_edits_apply_only_where_they_are_asked_for(lake: Lake) -> None:
    found = dict(texts(lake, snapshot(lake, {"email": "keep"}, cut_lines=False)))
    assert found["a0"] == TEXTS[0] and found["a1"] == TEXTS[1]


def test_any_rows_of_a_part_can_be_read_edited(lake: Lake) -> None:
    part = snapshot_parts(lake, snapshot(lake))[1]
    assert list(edited_texts(lake, part, pa.array([False, True, True]))) == [
        ("a3", "plain"),
        ("a4", "dropped"),
    ]
    assert list(edited_texts(lake, part, pa.array([True, False, False]))) == []  # erased


def test_the_edited_column_stands_row_for_row_and_is_null_where_nothing_is_edited(lake: Lake) -> None:
    parts = snapshot_parts(lake, snapshot(lake))[:2]
    assert edited_column(lake, parts[0]).to_pylist() == ["mail <EMAIL> now", "keep this"]
    assert edited_column(lake, parts[0], pa.array([False, True])).to_pylist() == [None, "keep this"]
    assert edited_column(lake, parts[1]).to_pylist() == [None] * 3
    bare = replace(parts[0], pii=None, c4_lines=None)
    assert edited_column(lake, bare).to_pylist() == [None] * 2 and bare.edits() != parts[0].edits()


def test_a_text_key_hangs_on_what_is_kept_and_how_it_is_edited_and_on_nothing_else(lake: Lake) -> None:
    part = snapshot_parts(lake, snapshot(lake))[0]
    assert part.decisions is not None and part.pii is not None
    same = [
        replace(
            part, decisions=replace(part.decisions, key="other", rows_hash="other")
        ),  # other rules, the same rows kept
        replace(part, pii_actions={"email": "mask", "ssn": "drop", "card": "keep"}),
    ]
    other = [
        replace(part, kept_hash="other"), replace(part, pii_actions={"email": "keep"}), replace(part, c4_lines=None), replace(part, pii=None),
        replace(part, documents=replace(part.documents, key="other")),
    ]  # fmt: skip
    assert {found.text_key() for found in same} == {part.text_key()}
    assert len({part.text_key(), *(found.text_key() for found in other)}) == 6


# ── guards ──


def judged(documents: int, dropped: int, cluster: int = 0, rejects: int = 0, sample: float = 1.0) -> Manifest:
    tally = {
        "documents": documents,
        "dropped": dropped,
        "first": {"too_few_words": dropped - 1, "near_duplicate": 1} if dropped else {},
    }
    summary = {
        "sources": {"web": tally, "fine": {**tally, "dropped": 0, "first": {}}},
        "largest_cluster": {"keeper": "d1", "dropped": cluster}, "rejects": {"web": rejects}, "sample": sample,
    }  # fmt: skip
    return Manifest("snapshot", "0123456789abcdef", "decide", 1, {}, (), summary=summary)


def test_what_could_not_be_read_is_lost_too() -> None:
    check_guards(judged(1, 0, rejects=18), 0.4, 1000)
    check_guards(judged(60, 0, rejects=40), 0.4, 1000)
    check_guards(judged(60, 0, rejects=4000, sample=0.01), 0.4, 1000)
    with pytest.raises(GuardStop, match=r"web lost 20 of 20 documents \(100%; .*\): 20 could not be read"):
        check_guards(judged(0, 0, rejects=20), 0.4, 1000)
    with pytest.raises(GuardStop, match=r"web lost 41 of 100 .*: 31 could not be read, too_few_words 9"):
        check_guards(judged(69, 10, rejects=31), 0.4, 1000)


def test_a_source_without_one_usable_record_is_lost_however_small() -> None:
    check_guards(judged(0, 0), 0.4, 1000)  # an empty source
    check_guards(judged(0, 0, rejects=1), None, 1000)
    check_guards(judged(0, 0, rejects=100, sample=0.01), 0.4, 1000)  # its documents may be outside the sample
    with pytest.raises(GuardStop, match=r"web lost 1 of 1 documents \(100%; .*\): 1 could not be read"):
        check_guards(judged(0, 0, rejects=1), 0.4, 1000)


def test_losses_are_guarded_from_twenty_documents_on() -> None:
    check_guards(judged(19, 19), 0.4, 1000)
    check_guards(judged(20, 8), 0.4, 1000)  # exactly what is allowed
    check_guards(judged(20, 20), None, None)
    with pytest.raises(
        GuardStop,
        match=r"web lost 9 of 20 documents \(45%; the guard allows 40%\): too_few_words 8, near_duplicate 1",
    ) as stop:
        check_guards(judged(20, 9), 0.4, 1000)
    assert stop.value.exit_code == 3 and "0123456789ab" in str(stop.value) and "fine" not in str(stop.value)


def test_what_is_held_out_is_not_lost() -> None:
    made = judged(20, 15)
    made.summary["sources"]["web"]["first"] = {"held_out": 5, "near_held_out": 4, "too_few_words": 6}
    check_guards(made, 0.3, 1000)
    with pytest.raises(GuardStop, match=r"web lost 6 of 20 documents \(30%; .*\): too_few_words 6\n"):
        check_guards(made, 0.29, 1000)


def test_a_source_of_which_nothing_is_left_is_told_so_whatever_is_held_out_of_it() -> None:
    made = judged(20, 20)
    made.summary["sources"]["web"]["first"] = {"held_out": 2, "too_few_words": 18}
    with pytest.raises(
        GuardStop, match=r"lost 18 of 20 .*: too_few_words 18\. Nothing of it is left to train on"
    ):
        check_guards(made, 0.4, 1000)
    made.summary["sources"]["web"]["first"] = {"held_out": 2, "too_few_words": 17}
    with pytest.raises(GuardStop) as stop:
        check_guards(made, 0.4, 1000)
    assert "Nothing of it is left" not in str(stop.value)


@pytest.mark.parametrize(("dropped", "advised"), [(100, "100%"), (87, "87%"), (41, "41%")])
def test_the_advice_would_let_the_recipe_pass(dropped: int, advised: str) -> None:
    made = judged(100, dropped)
    with pytest.raises(GuardStop, match=f"source_loss={advised}$"):
        check_guards(made, 0.4, 1000)
    check_guards(made, float(advised.rstrip("%")) / 100, 1000)


def test_each_guard_is_advised_on_by_its_own_setting() -> None:
    with pytest.raises(GuardStop, match=r"--set curation.stop_if.cluster_size=1001$"):
        check_guards(judged(0, 0, cluster=1001), 0.4, 1000)
    with pytest.raises(GuardStop, match=r"source_loss=51% --set curation.stop_if.cluster_size=1001$"):
        check_guards(judged(199, 101, cluster=1001), 0.4, 1000)


def test_the_size_of_clusters_is_guarded() -> None:
    check_guards(judged(0, 0, cluster=1000), 0.4, 1000)
    with pytest.raises(GuardStop, match="1001 documents were dropped for the one document d1"):
        check_guards(judged(0, 0, cluster=1001), 0.4, 1000)


def test_every_guard_that_stops_is_named() -> None:
    with pytest.raises(GuardStop, match=r"(?s)web lost.*1001 documents"):
        check_guards(judged(100, 50, cluster=1001), 0.4, 1000)
