"""Laws of deciding: what was kept is kept again, and what was dropped has no say in it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from corpus.lake import Lake, Manifest
from tests.quality.small_corpus import (
    EMAIL,
    curate_folder,
    curation,
    documents_of,
    kept_documents,
    prose,
    read_sources,
    rows_of,
    verdicts,
    write_files,
)


@pytest.fixture(scope="module")
def judged(lake: Lake, folder: Path) -> Manifest:
    """Absolute rules, no edits, nothing held out."""
    return curate_folder(lake, folder, curation(pii="keep")).snapshot


def test_curating_what_was_kept_keeps_all_of_it(lake: Lake, judged: Manifest, tmp_path: Path) -> None:
    texts = kept_documents(lake, judged)
    write_files(tmp_path, {name: [found] for name, found in texts.items()})
    again = Lake.open(tmp_path / "lake")
    made = curate_folder(again, tmp_path, curation(pii="keep")).snapshot
    assert kept_documents(again, made) == texts


def test_removing_what_was_dropped_changes_no_verdict_of_what_was_kept(
    lake: Lake, judged: Manifest, tmp_path: Path
) -> None:
    rows = list(zip(documents_of(lake, judged), rows_of(lake, judged, "decisions"), strict=True))
    dropped = sorted(row["doc_id"] for row, decision in rows if not decision["kept"])
    contents_kept = {row["content_hash"] for row, decision in rows if decision["kept"]}
    for gone in (set(dropped[::2]), set(dropped[1::2]), set(dropped[:3])):
        rest: dict[str, list[list[str]]] = {"law": [[]], "web": [[]]}
        for row, _ in rows:
            if row["doc_id"] not in gone:
                rest[row["source"]][0].append(row["text"])
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        write_files(folder, rest)
        fewer = Lake.open(folder / "lake")
        made = curate_folder(fewer, folder, curation(pii="keep")).snapshot
        after = zip(documents_of(fewer, made), rows_of(fewer, made, "decisions"), strict=True)
        assert {row["content_hash"] for row, decision in after if decision["kept"]} == contents_kept


def test_duplicates_are_not_judged_against_what_is_dropped(tmp_path: Path) -> None:
    draw = random.Random(1)
    text = prose(draw, 5)
    write_files(tmp_path, {"law": [[f"{text} Write to {EMAIL}.", text]], "web": [[prose(draw)]]})
    lake = Lake.open(tmp_path / "lake")
    reasons = verdicts(lake, curate_folder(lake, tmp_path, curation(pii="drop")).snapshot)
    assert reasons[f"{text} Write to {EMAIL}."] == "pii_email" and reasons[text] is None


def test_the_curated_source_keeps_its_copies(tmp_path: Path) -> None:
    draw = random.Random(2)
    shared = [prose(draw) for _ in range(6)]
    write_files(tmp_path, {"law": [shared], "web": [shared]})
    for name in ("law", "web"):
        lake = Lake.open(tmp_path / f"lake of {name}")
        sources = read_sources(tmp_path)
        sources[name] = sources[name].model_copy(update={"curated": True})
        made = curate_folder(lake, tmp_path, sources=sources).snapshot
        assert {found: len(texts) for found, texts in kept_documents(lake, made).items()} == {
            "law": 0,
            "web": 0,
            name: 6,
        }
