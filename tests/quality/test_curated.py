"""What is in a snapshot: a row for every document, the reason of every drop, and the kept texts as they are edited."""

from __future__ import annotations

from pathlib import Path

from corpus.lake import Lake, Manifest
from quality.funnel import add_tallies, tally_decisions, without_tokens
from tests.quality.small_corpus import (
    EMAIL,
    SSN,
    curate_folder,
    curation,
    documents_of,
    rows_of,
    small_corpus,
    trained_texts,
    verdicts,
    write_files,
)


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
    masked = "\n".join(trained_texts(lake, curate_folder(lake, folder).snapshot))
    assert EMAIL not in masked and SSN not in masked and "<EMAIL>" in masked and "<SSN>" in masked
    assert "Größe über alles: <EMAIL> 😀" in masked
    strict = curate_folder(lake, folder, curation(pii={"ssn": "drop", "email": "keep"})).snapshot
    texts = "\n".join(trained_texts(lake, strict))
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
    texts = [text for text in trained_texts(lake, made) if "Größe" in text or "lorem" in text]
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
