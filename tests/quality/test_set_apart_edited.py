"""The held-out set and edits: no text as it is trained on is near one as it is measured, whatever is cut and masked."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import pytest

from corpus.holdout import held_out_rows
from corpus.ingest import content_hash
from corpus.lake import Lake
from tests.quality.small_corpus import (
    EMAIL,
    SSN,
    WORDS,
    curate_folder,
    curation,
    furnished_corpus,
    furniture,
    holdout,
    kept_documents,
    prose,
    read_sources,
    rows_of,
    sentence,
    trained_texts,
    unedited_held_out,
    verdicts,
    write_files,
)
from tests.quality.word_windows import is_near, shingles

CUTS_WEB = {
    "presets": ["c4"],
    "rules": {"num_words": {"min": 5}, "num_sentences_after_cuts": {"min": 1}},
    "overrides": {"law": {"c4_lines": None}},
}


def test_its_texts_are_edited_as_those_to_train_on_are(tmp_path: Path) -> None:
    draw = random.Random(1)
    texts = [f"{prose(draw)} Write to {EMAIL} or say SSN {SSN}. {prose(draw)}" for _ in range(4)]
    write_files(tmp_path, {"law": [texts]})
    lake = Lake.open(tmp_path / "lake")
    made = curate_folder(
        lake,
        tmp_path,
        held=holdout(documents_per_source=2, max_share=1.0),
        sources=read_sources(tmp_path, ["law"]),
    )
    assert made.holdout is not None and made.holdout.rows("held_out") >= 1
    for row in held_out_rows(lake, made.holdout).to_pylist():
        assert EMAIL not in row["text"] and "<EMAIL>" in row["text"] and "<SSN>" in row["text"]
        assert row["num_bytes"] == len(row["text"].encode()) and row["content_hash"] in {
            content_hash(text) for text in texts
        }


@pytest.mark.parametrize("keys", [{"presets": ["c4"]}, CUTS_WEB, {"near_duplicates": None}, {"pii": "keep"}])
def test_no_text_that_is_trained_on_is_near_a_held_out_one(tmp_path: Path, keys: dict[str, object]) -> None:
    write_files(tmp_path, furnished_corpus())
    lake = Lake.open(tmp_path / "lake")
    made = curate_folder(lake, tmp_path, curation(**keys), holdout(documents_per_source=8))
    assert made.holdout is not None
    edited = held_out_rows(lake, made.holdout)["text"].to_pylist()
    hidden = {*edited, *unedited_held_out(lake, made.snapshot, made.holdout)}
    trained = trained_texts(lake, made.snapshot)
    assert len(edited) >= 6 and len(trained) >= 20
    assert [text for text in trained if any(is_near(text, held) for held in hidden)] == []
    assert len({content_hash(text) for text in trained}) == len(trained), "copies"


def test_nor_is_one_that_writes_its_characters_otherwise(tmp_path: Path) -> None:
    """Vietnamese composed and decomposed, Hindi with a letter's dot in one character or two."""
    vietnamese = (
        "Điều này quy định về quyền và nghĩa vụ của người lao động trong trường hợp chấm dứt hợp đồng"
    )
    hindi = "यह क़ानून सड़क पर पढ़ने वाले बड़े लड़कों के लिए ज़रूरी है और फ़िर भी ग़लत पढ़ाई"
    draw = random.Random(0)
    law, web = list[str](), list[str]()
    for vocabulary, rewrite in ((vietnamese, decomposed), (hindi, dotted)):
        texts = [
            unicodedata.normalize("NFC", " ".join(draw.choices(vocabulary.split(), k=60))) for _ in range(8)
        ]
        law += texts
        other = list(map(rewrite, texts))
        assert all(a != b for a, b in zip(texts, other, strict=True))
        web += [f"{text} {draw.choice(WORDS)} {draw.choice(WORDS)}" for text in other]
        web += [" ".join(draw.choices(WORDS, k=60)) for _ in range(8)]
    write_files(tmp_path, {"law": [law], "web": [web]})
    lake = Lake.open(tmp_path / "lake")
    made = curate_folder(
        lake,
        tmp_path,
        curation(rules={"num_words": {"min": 5}}),
        holdout(documents_per_source=6, max_share=0.5),
    )
    assert made.holdout is not None
    held = [row["text"] for row in held_out_rows(lake, made.holdout).to_pylist()]
    trained = [text for texts in kept_documents(lake, made.snapshot).values() for text in texts]
    assert any(not text.isascii() for text in held) and trained
    assert not [text for text in trained if any(is_near(text, other) for other in held)]


def decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def dotted(text: str) -> str:
    """Each letter and its dot as one character, which NFC takes apart."""
    for letter in map(chr, range(0x958, 0x960)):
        text = text.replace(unicodedata.normalize("NFC", letter), letter)
    return text


def test_nor_if_the_set_was_frozen_under_other_edits(tmp_path: Path) -> None:
    write_files(tmp_path, furnished_corpus())
    lake = Lake.open(tmp_path / "lake")
    first = curate_folder(lake, tmp_path, curation(pii="keep"), holdout(documents_per_source=8)).holdout
    made = curate_folder(lake, tmp_path, curation(presets=["c4"]), holdout(documents_per_source=8))
    assert first is not None and made.holdout == first
    hidden = held_out_rows(lake, first)["text"].to_pylist()
    trained = trained_texts(lake, made.snapshot)
    assert [text for text in trained if any(is_near(text, held) for held in hidden)] == []


def test_a_document_of_which_no_line_is_left_is_neither_kept_nor_held_out(tmp_path: Path) -> None:
    draw = random.Random(5)
    menus = ["\n\n".join(" ".join(draw.choices(WORDS, k=2)) for _ in range(30)) for _ in range(12)]
    texts = [prose(draw, 6) for _ in range(12)]
    write_files(tmp_path, {"law": [[*menus, *texts]]})
    lake = Lake.open(tmp_path / "lake")
    rules = curation(presets=["c4"], rules={"num_sentences_after_cuts": None})
    everything = holdout(documents_per_source=10**6, max_share=0.5)
    made = curate_folder(lake, tmp_path, rules, everything, sources=read_sources(tmp_path, ["law"]))
    assert made.holdout is not None
    assert {row["text"] for row in held_out_rows(lake, made.holdout).to_pylist()} <= set(texts)
    reasons = verdicts(lake, made.snapshot)
    assert {reasons[text] for text in menus} == {"empty_after_cuts"}
    assert "" not in trained_texts(lake, made.snapshot)
    row = next(
        row for row in rows_of(lake, made.snapshot, "decisions") if row["drop_reason"] == "empty_after_cuts"
    )
    (failure,) = row["failures"]
    assert (failure["signal"], failure["threshold"]) == ("cut_byte_ratio", "no text is left")
    assert made.snapshot.summary["sources"]["law"]["first"]["empty_after_cuts"] == len(menus)


def test_a_held_out_text_is_long_enough_after_its_edits_too(tmp_path: Path) -> None:
    draw = random.Random(6)
    texts = [furniture(draw) + sentence(draw, 9) for _ in range(8)]
    write_files(tmp_path, {"law": [[*texts, *(prose(draw) for _ in range(8))]]})
    lake = Lake.open(tmp_path / "lake")
    rules = curation(presets=["c4"], rules={"num_sentences_after_cuts": None, "num_words": {"min": 1}})
    everything = holdout(documents_per_source=10**6, max_share=1.0)
    made = curate_folder(lake, tmp_path, rules, everything, sources=read_sources(tmp_path, ["law"]))
    assert made.holdout is not None
    rows = held_out_rows(lake, made.holdout).to_pylist()
    assert len(rows) == 8 and all(len(shingles(row["text"])) > 5 for row in rows)
