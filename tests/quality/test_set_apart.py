"""The held-out set: nothing that is trained on is one of its documents, near one, or holds one. Checked with Python sets."""

from __future__ import annotations

import random
import re
import shutil
import unicodedata
from pathlib import Path

import pytest

from corpus.errors import LakeError
from corpus.fingerprint import hash_file
from corpus.holdout import held_out_rows
from corpus.ingest import content_hash, ingest, scan
from corpus.lake import Lake, Manifest
from corpus.snapshot import kept_texts, snapshot_parts
from quality import held_out, set_apart
from quality.curate import Curated, curate
from quality.shingles import shingles_identity
from tests.quality.small_corpus import (
    EMAIL,
    SSN,
    WORDS,
    Sources,
    curate_folder,
    curation,
    documents_of,
    furnished_corpus,
    furniture,
    holdout,
    kept_documents,
    prose,
    read_sources,
    rows_of,
    sentence,
    small_corpus,
    verdicts,
    write_files,
)
from tests.quality.word_windows import shingles


def is_near(text: str, held: str) -> bool:
    one, two = shingles(text), shingles(held)
    shared = len(one & two)
    return bool(shared) and (shared / len(one | two) >= 0.5 or shared / min(len(one), len(two)) >= 0.8)


def crowded_corpus() -> dict[str, list[list[str]]]:
    """Every text with relatives that a held-out document of it must take along: near, holding, held, spaced otherwise."""
    draw = random.Random(0)
    files: dict[str, list[list[str]]] = {"law": [[], []], "web": [[], []]}
    for number in range(30):
        text = prose(draw, 3)
        words = text.split()
        half = " ".join(words[: len(words) * 3 // 4])
        kin = [
            text.replace(" ", "\n", 3), f"{text} {sentence(draw, 3)}", f"{prose(draw, 4)} {text} {prose(draw, 4)}", half,
            " ".join([*words[:25], sentence(draw, 6), *words[25:]]), " ".join([*words[:8], *sentence(draw, 16).split(), *words[24:]]),
        ]  # fmt: skip
        family = [text, *draw.sample(kin, 3)]
        for i, member in enumerate(family):
            files["law" if (number + i) % 2 else "web"][i % 2].append(member)
    return files


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Manifest, Manifest]:
    folder = tmp_path_factory.mktemp("crowded")
    write_files(folder, crowded_corpus())
    lake = Lake.open(folder / "lake")
    made = curate_folder(lake, folder, held=holdout(documents_per_source=8))
    assert made.holdout is not None
    return lake, made.snapshot, made.holdout


def raw_texts(lake: Lake, snapshot: Manifest, held: Manifest) -> list[str]:
    ids = set(held_out_rows(lake, held)["doc_id"].to_pylist())
    return [row["text"] for row in documents_of(lake, snapshot) if row["doc_id"] in ids]


def test_no_kept_document_is_near_a_held_out_one_and_every_other_that_is_is_named(
    crowded: tuple[Lake, Manifest, Manifest],
) -> None:
    lake, snapshot, held = crowded
    hidden = raw_texts(lake, snapshot, held)
    hashes = {content_hash(text) for text in hidden}
    counts = {"held_out": 0, "near_held_out": 0}
    for document, decision in zip(
        documents_of(lake, snapshot), rows_of(lake, snapshot, "decisions"), strict=True
    ):
        rules = [failure["rule"] for failure in decision["failures"]]
        itself = document["content_hash"] in hashes
        near = any(is_near(document["text"], text) for text in hidden)
        assert ("held_out" in rules) == itself and ("near_held_out" in rules) == (near and not itself)
        assert not (decision["kept"] and near)
        for rule in counts:
            counts[rule] += rule in rules
    assert counts["near_held_out"] > 10 and counts["held_out"] > len(
        hidden
    )  # copies spaced otherwise among them
    assert snapshot.summary["sources"]["law"]["kept"] > 10


def test_the_set_holds_some_of_every_source_one_of_each_cluster(
    crowded: tuple[Lake, Manifest, Manifest],
) -> None:
    lake, _, held = crowded
    rows = held_out_rows(lake, held).to_pylist()
    assert {row["source"] for row in rows} == {"law", "web"} and len(rows) == len(
        {row["content_hash"] for row in rows}
    )
    for i, row in enumerate(rows):
        others = [shingles(other["text"]) for other in rows[:i]]
        mine = shingles(row["text"])
        assert all(len(mine & other) / len(mine | other) < 0.8 for other in others)
    assert held.summary["sources"] == {
        name: {"documents": len(mine), "bytes": sum(row["num_bytes"] for row in mine)}
        for name in ("law", "web") for mine in [[row for row in rows if row["source"] == name]]
    }  # fmt: skip
    assert [(row["source"], row["doc_id"]) for row in rows] == sorted(
        (row["source"], row["doc_id"]) for row in rows
    )
    assert all(
        row["holdout_id"] == held.id and row["role"] == {"law": "domain", "web": "general"}[row["source"]]
        for row in rows
    )


def test_it_is_a_parent_of_the_snapshot_and_of_what_was_measured_against_it(
    crowded: tuple[Lake, Manifest, Manifest],
) -> None:
    lake, snapshot, held = crowded
    assert snapshot.parents_of("holdout") == [held.id]
    overlaps = snapshot.parents_of("held_out_overlap")
    assert len(overlaps) == 2 and all(
        lake.get("held_out_overlap", id).parent("holdout") == held.id for id in overlaps
    )
    assert held.parents_of("documents") == snapshot.parents_of("documents")
    assert held.parents_of("near_duplicates") == snapshot.parents_of("near_duplicates")


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


def held_of(folder: Path, sources: Sources, **keys: object) -> tuple[Lake, Manifest, Manifest]:
    write_files(folder, sources)
    lake = Lake.open(folder / "lake")
    made = curate_folder(
        lake, folder, curation(rules={}), held=holdout(**keys), sources=read_sources(folder, sources)
    )
    assert made.holdout is not None
    return lake, made.snapshot, made.holdout


def test_short_texts_are_not_held_out_lest_they_take_whatever_holds_them(tmp_path: Path) -> None:
    short = [
        "subject to the provisions of",
        "no two ways about it said she once",
        "one two three four five six seven eight nine",
    ]
    chant = " ".join(["hear"] * 40)  # forty words, and one shingle
    draw = random.Random(2)
    long = [f"{prose(draw)} {text} {prose(draw)}" for text in short for _ in range(3)]
    lake, snapshot, held = held_of(
        tmp_path,
        {"law": [[*short, chant, *long]], "short": [short]},
        max_share=1.0,
        documents_per_source=10**6,
    )
    texts = {row["text"] for row in held_out_rows(lake, held).to_pylist()}
    assert texts == set(long)
    assert held.summary["sources"]["short"] == {"documents": 0, "bytes": 0}
    reasons = verdicts(lake, snapshot)
    assert reasons[chant] is None and all(
        reasons[text] in (None, "near_held_out", "exact_duplicate") for text in short
    )


def test_ten_words_are_long_enough(tmp_path: Path) -> None:
    nine, ten = (" ".join(f"word{i}" for i in range(n)) for n in (9, 10))
    lake, _, held = held_of(tmp_path, {"law": [[nine, ten.replace("word", "other")]]}, max_share=1.0)
    assert [len(re.findall(r"\w+", row["text"])) for row in held_out_rows(lake, held).to_pylist()] == [10]


def test_a_source_of_one_document_holds_none_out(tmp_path: Path) -> None:
    draw = random.Random(3)
    lake, snapshot, held = held_of(
        tmp_path, {"one": [[prose(draw)]], "two": [[prose(draw), prose(draw)]]}, documents_per_source=1
    )
    assert [row["source"] for row in held_out_rows(lake, held).to_pylist()] == ["two"]
    assert {name: tally["kept"] for name, tally in snapshot.summary["sources"].items()} == {
        "one": 1,
        "two": 1,
    }


def test_what_fails_a_rule_or_is_a_duplicate_is_not_held_out(tmp_path: Path) -> None:
    write_files(tmp_path, small_corpus())
    lake = Lake.open(tmp_path / "lake")
    rules = curation(rules={"num_words": {"min": 5, "max": 55}})
    everything = holdout(documents_per_source=10**6, max_share=1.0)
    made = curate_folder(lake, tmp_path, rules, everything)
    assert made.holdout is not None
    before = curate_folder(lake, tmp_path, rules).snapshot
    kept = {row["doc_id"] for row in rows_of(lake, before, "decisions") if row["kept"]}
    assert set(held_out_rows(lake, made.holdout)["doc_id"].to_pylist()) == kept
    after = rows_of(lake, made.snapshot, "decisions")
    assert not any(row["kept"] for row in after if row["doc_id"] in kept)


# ── edited texts: what is trained on is not what is measured ──


CUTS_WEB = {
    "presets": ["c4"],
    "rules": {"num_words": {"min": 5}, "num_sentences_after_cuts": {"min": 1}},
    "overrides": {"law": {"c4_lines": None}},
}


def trained_texts(lake: Lake, snapshot: Manifest) -> list[str]:
    return [text for part in snapshot_parts(lake, snapshot) for _, text in kept_texts(lake, part)]


@pytest.mark.parametrize("keys", [{"presets": ["c4"]}, CUTS_WEB, {"near_duplicates": None}, {"pii": "keep"}])
def test_no_text_that_is_trained_on_is_near_a_held_out_one(tmp_path: Path, keys: dict[str, object]) -> None:
    write_files(tmp_path, furnished_corpus())
    lake = Lake.open(tmp_path / "lake")
    made = curate_folder(lake, tmp_path, curation(**keys), holdout(documents_per_source=8))
    assert made.holdout is not None
    edited = held_out_rows(lake, made.holdout)["text"].to_pylist()
    hidden = {*edited, *raw_texts(lake, made.snapshot, made.holdout)}
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


def test_a_held_out_document_has_no_partner_and_one_near_it_has(
    crowded: tuple[Lake, Manifest, Manifest],
) -> None:
    lake, snapshot, held = crowded
    ids = set(held_out_rows(lake, held)["doc_id"].to_pylist())
    for row in rows_of(lake, snapshot, "decisions"):
        if row["drop_reason"] == "held_out":
            assert row["partner"] is row["partner_jaccard"] is row["partner_containment"] is None
        if row["drop_reason"] == "near_held_out":
            assert row["partner"] in ids - {row["doc_id"]} and row["partner_containment"] > 0


# ── drawn sets ──


def drawn(lake: Lake, folder: Path, **law: object) -> Manifest:
    """A draw that a guard kept from being frozen; `law` changes that source."""
    sources = read_sources(folder)
    sources["law"] = sources["law"].model_copy(update=law)
    files = scan(lake, sources, "/")
    documents = ingest(lake, {name: (source, files[name]) for name, source in sources.items()}, 1)
    found = {name: (source, documents[name]) for name, source in sources.items()}
    made = curate(lake, found, curation(), holdout(documents_per_source=5, max_share=1.0), None, 1).holdout
    assert made is not None
    return made


@pytest.mark.parametrize("change", [{"role": "general"}, {"topic": "statutes"}, {"curated": True}])
def test_a_source_that_is_said_to_be_another_draws_a_set_of_its_own_and_leaves_the_first(
    tmp_path: Path, change: dict[str, object]
) -> None:
    draw = random.Random(2)
    shared = [
        prose(draw) for _ in range(12)
    ]  # each near a text of the other source: the curated one is drawn
    write_files(tmp_path, {"law": [[f"{text} Alas indeed!" for text in shared]], "web": [shared]})
    lake = Lake.open(tmp_path / "lake")
    first = drawn(lake, tmp_path)
    before = held_out_rows(lake, first)
    second = drawn(lake, tmp_path, **change)
    alone = Lake.open(tmp_path / "another")
    assert second == drawn(alone, tmp_path, **change) and second.id != first.id
    assert held_out_rows(lake, first) == before
    for made in (first, second):
        (part,) = made.parts("held_out")
        assert hash_file(lake.path_of(part)) == part.bytes_hash and held_out_rows(lake, made).num_rows


def drawn_with_index(folder: Path, seed: int) -> tuple[Lake, Manifest, Manifest]:
    """A lake with a set drawn from six texts of each source, and the index of it."""
    draw = random.Random(seed)
    write_files(folder, {name: [[prose(draw) for _ in range(6)]] for name in ("law", "web")})
    lake = Lake.open(folder / "lake")
    held = drawn(lake, folder)
    (index,) = lake.artifacts("held_out_index")
    return lake, held, index


def test_an_index_is_not_made_of_a_set_whose_documents_are_gone(tmp_path: Path) -> None:
    lake, held, index = drawn_with_index(tmp_path, 3)
    shutil.rmtree(lake.folder("held_out_index", index.id))
    assert set_apart.held_out_index(lake, held) == index
    shutil.rmtree(lake.folder("held_out_index", index.id))
    shutil.rmtree(lake.folder("documents", held.parents_of("documents")[0]))
    with pytest.raises(LakeError, match=r"held-out set set-1 .* documents .* not in the lake"):
        set_apart.held_out_index(lake, held)
    assert lake.artifacts("held_out_index") == []


def test_a_damaged_index_is_a_lake_error_and_is_made_again_once_it_is_deleted(tmp_path: Path) -> None:
    lake, held, index = drawn_with_index(tmp_path, 4)
    home = lake.folder("held_out_index", index.id)
    postings = home / "files" / "index" / "postings.npy"
    data = postings.read_bytes()
    postings.write_bytes(data[:-8] + b"\xff" * 7 + b"\x7f")  # beyond the documents: a kernel would read there
    with pytest.raises(LakeError, match=r"postings\.npy is missing or damaged"):
        set_apart.held_out_index(lake, held)
    shutil.rmtree(home)
    assert set_apart.held_out_index(lake, held) == index and postings.read_bytes() == data


# ── frozen sets ──


def curate_saying(
    lake: Lake, folder: Path, *names: str, sample: float = 1.0, **keys: object
) -> tuple[Curated, str]:
    said: list[str] = []
    sources, held = read_sources(folder, names), holdout(**keys)
    made = curate_folder(lake, folder, held=held, sources=sources, sample=sample, say=said.append)
    return made, "\n".join(said)


def test_a_sample_freezes_a_set_of_its_own(tmp_path: Path) -> None:
    draw = random.Random(7)
    write_files(tmp_path, {"law": [[prose(draw) for _ in range(80)]]})
    lake = Lake.open(tmp_path / "lake")
    few, said = curate_saying(lake, tmp_path, "law", sample=0.2, documents_per_source=20)
    assert few.holdout is not None and few.holdout.identity["name"] == "set-1~sample-20%"
    assert "set-1~sample-20%" in said and "set-1 itself" in said
    all_, said = curate_saying(lake, tmp_path, "law", documents_per_source=20)
    assert all_.holdout is not None and all_.holdout.identity["name"] == "set-1" and "~" not in said
    assert all_.holdout.rows("held_out") > few.holdout.rows("held_out")
    assert curate_saying(lake, tmp_path, "law", sample=0.2, documents_per_source=20)[0] == few
    assert curate_saying(lake, tmp_path, "law", documents_per_source=20)[0] == all_


def test_a_frozen_set_says_which_sources_it_has_none_of_and_which_documents_are_gone(tmp_path: Path) -> None:
    draw = random.Random(8)
    law, web, new = ([prose(draw) for _ in range(12)] for _ in range(3))
    write_files(tmp_path, {"law": [law], "web": [web]})
    lake = Lake.open(tmp_path / "lake")
    first, said = curate_saying(lake, tmp_path, "law", "web")
    assert first.holdout is not None and said.count("\n") == 1  # near-duplicates, the draw
    again, said = curate_saying(lake, tmp_path, "law", "web")
    assert again == first and said == ""
    held = {row["text"] for row in held_out_rows(lake, first.holdout).to_pylist()}
    write_files(
        tmp_path, {"law": [[text for text in law if text not in held]], "new": [new], "one": [[prose(draw)]]}
    )
    later, said = curate_saying(lake, tmp_path, "law", "new", "one")
    assert later.holdout == first.holdout
    assert "new: the held-out set set-1 has none of it, since it was frozen before" in said
    assert "give holdout another name" in said and "one:" not in said
    num_law, num_web = (first.holdout.summary["sources"][name]["documents"] for name in ("law", "web"))
    assert (
        f"law: {num_law} of its {num_law} documents in the held-out set set-1 are not in this corpus" in said
    )
    assert (
        f"web: {num_web} of its {num_web} documents in the held-out set set-1 are not in this corpus" in said
    )


def test_other_unicode_data_build_the_index_again_and_leave_the_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, furnished_corpus())
    lake = Lake.open(tmp_path / "lake")
    first = curate_folder(lake, tmp_path, held=holdout())
    newer = {**shingles_identity(), "words": "another Unicode"}
    for module in (held_out, set_apart):
        monkeypatch.setattr(module, "shingles_identity", lambda: newer)
    made = curate_folder(lake, tmp_path, held=holdout())
    assert made.holdout == first.holdout and made.snapshot.id != first.snapshot.id
    assert verdicts(lake, made.snapshot) == verdicts(lake, first.snapshot)
    assert len(lake.artifacts("held_out_index")) == 2
