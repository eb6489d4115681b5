"""Explanations: what a snapshot knows of one document, and what other rules would change, without measuring anything."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpus.errors import ConfigError, UnknownName
from corpus.lake import Lake, Manifest
from corpus.schema import MEASURED_SIGNALS
from quality import explain
from quality.curation import Curation
from quality.decide import SourceInput
from quality.explain import Flips, what_if, why
from tests.quality.small_corpus import (
    EMAIL,
    SSN,
    curate_folder,
    curation,
    documents_of,
    furnished_corpus,
    holdout,
    kept_documents,
    prose,
    read_sources,
    rows_of,
    write_files,
    write_revealing,
)


def inputs_of(lake: Lake, snapshot: Manifest) -> list[SourceInput]:
    """Sources as a recipe may list them: in any order."""
    return [
        SourceInput(name, entry["role"], entry["topic"], entry["curated"], lake.get("documents", entry["documents"]), measured)
        for name, entry in sorted(snapshot.identity["sources"].items(), reverse=True)
        for measured in [{operator: lake.get(operator, id) for operator, id in entry["measured"].items()}]
    ]  # fmt: skip


def ask(
    lake: Lake, snapshot: Manifest, rules: Curation, sources: list[SourceInput] | None = None
) -> dict[str, Flips]:
    sources = inputs_of(lake, snapshot) if sources is None else sources
    near, held = (
        lake.get(kind, dict(snapshot.parents)[kind]) if kind in dict(snapshot.parents) else None
        for kind in ("near_duplicates", "holdout")
    )
    resolved = {source.name: rules.for_source(source.name, source.topic, source.role) for source in sources}
    return {found.source: found for found in what_if(lake, snapshot, sources, rules, resolved, near, held)}


# ── why ──


def test_every_document_can_be_explained_by_its_id(lake: Lake, snapshot: Manifest) -> None:
    rows = zip(
        documents_of(lake, snapshot),
        rows_of(lake, snapshot, "decisions"),
        rows_of(lake, snapshot, "signals"),
        strict=True,
    )
    for document, decision, signals in list(rows)[::5]:
        found = why(lake, snapshot, document["doc_id"], raw=True)
        assert found.document == document and found.decision == decision
        assert found.signals == {name: signals[name] for name in MEASURED_SIGNALS}
        assert (found.partner is None) == (decision["partner"] is None)
        assert found.partner is None or found.partner["doc_id"] == decision["partner"]
        assert why(lake, snapshot, document["doc_id"][:12], raw=True) == found


def test_a_signal_that_came_after_a_snapshot_is_null_in_it(
    lake: Lake, snapshot: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain, "MEASURED_SIGNALS", {**MEASURED_SIGNALS, "of_a_later_version": pa.int64()})
    found = why(lake, snapshot, documents_of(lake, snapshot)[0]["doc_id"])
    assert found.signals["of_a_later_version"] is None and found.signals["num_words"]


def test_the_rules_in_force_stand_with_value_and_threshold_and_those_that_failed_are_the_failures(
    lake: Lake, snapshot: Manifest
) -> None:
    for decision, signals in zip(
        rows_of(lake, snapshot, "decisions"), rows_of(lake, snapshot, "signals"), strict=True
    ):
        rules = why(lake, snapshot, decision["doc_id"]).rules
        stored = snapshot.identity["sources"][decision["source"]]["rules"]
        dropping = [f"pii_{kind}" for kind, action in snapshot.identity["pii"].items() if action == "drop"]
        assert [rule["rule"] for rule in rules] == [name for name, *_ in stored] + dropping
        failures = {failure["rule"] for failure in decision["failures"]}
        assert {rule["rule"] for rule in rules if rule["failed"]} == failures & {
            rule["rule"] for rule in rules
        }
        for rule in rules:
            assert rule["value"] == signals[rule["signal"]]
            beyond = (
                rule["value"] - rule["threshold"]
                if rule["kind"] == "max"
                else rule["threshold"] - rule["value"]
            )
            assert rule["failed"] == (beyond > 0)
            assert (rule["distance"] is None) == (rule["threshold"] == 0)
            assert rule["distance"] is None or rule["distance"] * rule["threshold"] == pytest.approx(
                abs(beyond)
            )


def test_a_rule_on_a_source_s_own_field_shows_what_the_field_says(tmp_path: Path) -> None:
    (tmp_path / "law").mkdir()
    record = {
        "text": "a document of its own, of a few words",
        "court": "high",
        "decided": "2020-05-01",
        "votes": "7",
    }
    (tmp_path / "law" / "a.jsonl").write_text(json.dumps(record))
    lake = Lake.open(tmp_path / "lake")
    bounds = {
        "metadata.court": {"allow": ["high"]},
        "metadata.votes": {"min": 5},
        "date": {"min": "2000-01-01"},
    }
    made = curate_folder(
        lake, tmp_path, curation(rules=bounds), sources=read_sources(tmp_path, ["law"], date_field="decided")
    ).snapshot
    (document,) = documents_of(lake, made)
    shown = {
        rule["signal"]: (rule["value"], rule["failed"], rule["distance"])
        for rule in why(lake, made, document["doc_id"]).rules
    }
    assert shown == {
        "metadata.court": ("high", False, None), "metadata.votes": ("7", False, pytest.approx(0.4)), "date": ("2020-05-01", False, None),
    }  # fmt: skip


def test_personal_data_is_shown_only_when_it_is_asked_for(lake: Lake, folder: Path) -> None:
    made = curate_folder(lake, folder, curation(pii={"email": "keep", "ssn": "drop"})).snapshot
    secret = [row for row in documents_of(lake, made) if EMAIL in row["text"] or SSN in row["text"]]
    assert len(secret) == 3
    for row in secret:
        shown = why(lake, made, row["doc_id"]).document["text"]
        assert EMAIL not in shown and SSN not in shown and ("<EMAIL>" in shown or "<SSN>" in shown)
        assert why(lake, made, row["doc_id"], raw=True).document["text"] == row["text"]


def test_own_fields_and_what_failed_are_shown_masked(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    sources = write_revealing(tmp_path, ssn=SSN)
    rules = curation(rules={"metadata.ssn": {"deny": [SSN]}})
    made = curate_folder(lake, tmp_path, rules, sources=sources).snapshot
    found = why(lake, made, EMAIL)  # it is found by what it is called
    shown = {name: found.document[name] for name in ("own_id", "url", "metadata")}
    assert shown == {"own_id": "<EMAIL>", "url": "https://x.example/<EMAIL>", "metadata": '{"ssn": "<SSN>"}'}
    assert found.decision["failures"][0]["value"] == "<SSN>"
    assert why(lake, made, EMAIL, raw=True).document["own_id"] == EMAIL


def test_the_file_is_called_what_it_is_called_now(lake: Lake, snapshot: Manifest, folder: Path) -> None:
    document = documents_of(lake, snapshot)[0]

    def now() -> list[str]:
        curate_folder(lake, folder, held=holdout())
        return why(lake, snapshot, document["doc_id"]).files

    (here,) = why(lake, snapshot, document["doc_id"]).files
    there = here.replace(".jsonl", "-renamed.jsonl")
    for old, new in ((here, there), (there, here), (here, there), (there, here)):
        os.rename(old, new)
        assert now() == [new]


@pytest.fixture
def own_ids(tmp_path: Path) -> tuple[Lake, Manifest]:
    (tmp_path / "law").mkdir()
    lines = [
        json.dumps({"text": f"a document of its own, number {i} of some", "id": own})
        for i, own in enumerate("0123456789abcdefxx")
    ]
    (tmp_path / "law" / "a.jsonl").write_text("\n".join(lines))
    lake = Lake.open(tmp_path / "lake")
    return lake, curate_folder(
        lake, tmp_path, sources=read_sources(tmp_path, ["law"], id_field="id")
    ).snapshot


def test_a_source_s_own_id_is_a_name_and_beats_the_start_of_another_s(own_ids: tuple[Lake, Manifest]) -> None:
    lake, snapshot = own_ids
    starts = {row["doc_id"][0] for row in documents_of(lake, snapshot)}
    for own in starts:  # each the own id of one, and what the ids of others begin with
        assert why(lake, snapshot, own).document["own_id"] == own
    with pytest.raises(UnknownName, match="'x' stands for 2 documents"):
        why(lake, snapshot, "x")


def test_what_is_not_there_is_said(lake: Lake, snapshot: Manifest) -> None:
    with pytest.raises(UnknownName, match="no document 'nowhere' in this snapshot"):
        why(lake, snapshot, "nowhere")
    with pytest.raises(UnknownName, match="no document ''"):
        why(lake, snapshot, "")
    (start, shared), *_ = Counter(row["doc_id"][0] for row in documents_of(lake, snapshot)).most_common()
    with pytest.raises(
        UnknownName, match=rf"'{start}' stands for {shared} documents, for instance .* more of it"
    ):
        why(lake, snapshot, start)


def test_a_held_out_partner_that_left_the_corpus_is_shown_from_the_set(tmp_path: Path) -> None:

    draw = random.Random(0)
    text = f"{prose(draw, 6)} Write to {EMAIL}."
    write_files(tmp_path, {"law": [[text], [prose(draw)]]})
    lake, sources = Lake.open(tmp_path / "lake"), read_sources(tmp_path, ["law"])
    held = holdout(documents_per_source=10**6, max_share=1.0)
    rules = curation(pii="keep")
    curate_folder(lake, tmp_path, rules, held, sources=sources)
    (tmp_path / "law" / "a.jsonl").unlink()
    write_files(tmp_path, {"law": [[], [f"{text} One sentence more."]]})
    made = curate_folder(lake, tmp_path, rules, held, sources=sources).snapshot
    near = documents_of(lake, made)[0]
    found = why(lake, made, near["doc_id"])
    assert found.decision["drop_reason"] == "near_held_out"
    assert found.partner is not None and found.partner["text"] == text.replace(EMAIL, "<EMAIL>")
    raw = why(lake, made, near["doc_id"], raw=True).partner
    assert raw is not None and raw["text"] == text


# ── what if ──


def test_unchanged_rules_flip_nothing(lake: Lake, snapshot: Manifest) -> None:
    found = ask(lake, snapshot, curation())
    assert sorted(found) == ["law", "web"]
    for name, flips in found.items():
        assert (flips.newly_kept, flips.newly_dropped, flips.examples) == (0, 0, [])
        assert flips.before == flips.after == snapshot.summary["sources"][name]


CHANGES: dict[str, dict[str, Any]] = {
    "stricter": {"rules": {"num_words": {"min": 45}}},
    "looser": {"rules": {}},
    "only here": {"overrides": {"law": {"num_words": {"min": 49}}}},
    "another nearness": {"near_duplicates": {"jaccard": 0.99}},
    "another keeper": {"near_duplicates": {"keep": ["num_words"]}},
    "copies may stay": {"exact_duplicates": False},
    "no near-duplicates": {"near_duplicates": None},
    "data drops": {"pii": "drop"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_would_be_is_what_is_when_it_is_done(
    lake: Lake, snapshot: Manifest, folder: Path, change: str
) -> None:
    rules = curation(**CHANGES[change])
    asked = ask(lake, snapshot, rules)
    done = curate_folder(lake, folder, rules, holdout()).snapshot
    before, after = kept_documents(lake, snapshot), kept_documents(lake, done)
    for name, flips in asked.items():
        assert (
            flips.before == snapshot.summary["sources"][name] and flips.after == done.summary["sources"][name]
        )
        assert flips.newly_kept - flips.newly_dropped == len(after[name]) - len(before[name])
        gone = {
            row["doc_id"]: row["drop_reason"] for row in rows_of(lake, done, "decisions") if not row["kept"]
        }
        for example in flips.examples:
            assert example["is"] == (example["doc_id"] not in gone) and example["reason_after"] == gone.get(
                example["doc_id"]
            )


EDITED_CHANGES: list[dict[str, Any]] = [
    {"rules": {"num_words": {"min": 60}}}, {"exact_duplicates": False}, {"pii": {"email": "drop"}},
]  # fmt: skip


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Path, Manifest]:
    folder = tmp_path_factory.mktemp("furnished")
    write_files(folder, furnished_corpus())
    lake = Lake.open(folder / "lake")
    return lake, folder, curate_folder(lake, folder, curation(presets=["c4"]), holdout()).snapshot


@pytest.mark.parametrize("change", EDITED_CHANGES)
def test_so_it_is_where_lines_are_cut_and_data_is_masked(
    furnished: tuple[Lake, Path, Manifest], change: dict[str, Any]
) -> None:
    lake, folder, before = furnished
    rules = curation(presets=["c4"], **change)
    asked = ask(lake, before, rules)
    done = curate_folder(lake, folder, rules, holdout()).snapshot
    assert {name: flips.after for name, flips in asked.items()} == done.summary["sources"]
    assert any(flips.newly_kept or flips.newly_dropped for flips in asked.values())


def test_other_edits_cannot_be_asked_for(furnished: tuple[Lake, Path, Manifest]) -> None:
    lake, _, before = furnished
    for change in ({"overrides": {"web": {"c4_lines": None}}}, {"pii": {"email": "keep"}}):
        with pytest.raises(
            ConfigError,
            match=r"^this change makes other texts of source '\w+': .*lines .*personal data.*Run `tilth curate`",
        ):
            ask(lake, before, curation(presets=["c4"], **change))


def test_asking_writes_nothing(lake: Lake, snapshot: Manifest) -> None:
    before = {path: path.stat().st_mtime_ns for path in lake.root.rglob("*")}
    ask(lake, snapshot, curation(rules={"num_words": {"min": 45}}))
    assert {path: path.stat().st_mtime_ns for path in lake.root.rglob("*")} == before


def test_one_source_can_be_asked_for(lake: Lake, snapshot: Manifest) -> None:
    web = [source for source in inputs_of(lake, snapshot) if source.name == "web"]
    found = ask(lake, snapshot, curation(near_duplicates=None, exact_duplicates=False), web)
    assert list(found) == ["web"] and found["web"].before == snapshot.summary["sources"]["web"]
    assert found["web"].newly_kept == 2 and len(found["web"].examples) == 2


@pytest.mark.parametrize("keys", [
    {"presets": ["c4"]}, {"pii": "keep"}, {"pii": {"email": "keep"}}, {"near_duplicates": {"ngram": 3}}, {"near_duplicates": {"bands": 32}}, {"near_duplicates": {"num_perm": 64}},
])  # fmt: skip
def test_what_was_not_measured_cannot_be_asked_for(
    lake: Lake, snapshot: Manifest, keys: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=r"this change (needs|makes) .*`tilth curate`") as refused:
        ask(lake, snapshot, curation(**keys))
    assert "edited" not in str(refused.value) and "was not, or" not in str(refused.value)


def test_pairs_that_were_never_found_cannot_be_asked_for(lake: Lake, folder: Path) -> None:
    made = curate_folder(lake, folder, curation(near_duplicates=None)).snapshot
    with pytest.raises(ConfigError, match=r"needs (minhash|near-duplicates)"):
        ask(lake, made, curation())
