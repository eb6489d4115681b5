"""A tokenizer that is fitted here: from documents with personal data masked, and its parents say so."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow as pa

from corpus.lake import Lake, Manifest
from mixer.tokenize import fit_tokenizer, tokenizer_folder
from tests.quality.small_corpus import prose

NAME, NUMBER = "zeldagrubermann", "536904399"


def documents_of(lake: Lake, texts: list[str]) -> dict[str, Manifest]:
    rows = [{"doc_id": f"d{i}", "content_hash": f"{i:032x}", "text": text} for i, text in enumerate(texts)]
    part = lake.write_part("documents", "d", pa.Table.from_pylist(rows))
    return {"law": lake.commit(Manifest("documents", "d" * 32, "ingest", 1, {}, (), {"documents": (part,)}))}


def test_personal_data_reaches_no_vocabulary(tmp_path: Path) -> None:
    draw = random.Random(1)
    secret = f"Write to {NAME}@example.org or SSN {NUMBER}."
    lake = Lake.open(tmp_path / "lake")
    documents = documents_of(lake, [f"{prose(draw)} {secret}" for _ in range(60)])
    made = fit_tokenizer(lake, documents, 1024, 1.0)
    tree = json.loads((tokenizer_folder(lake, made) / "tokenizer.json").read_text())["model"]
    learnt = " ".join([*tree["vocab"], *("".join(pair) for pair in tree["merges"])])
    assert "EMAIL" in learnt
    assert not [part for part in ("zelda", "grubermann", "5369") if part in learnt]
    (pii,) = lake.artifacts("pii")
    assert made.parents == (("documents", documents["law"].id), ("pii", pii.id))


def test_asking_again_fits_nothing_again(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    documents = documents_of(lake, [prose(random.Random(number)) for number in range(9)])
    told: list[tuple[str, int, int]] = []

    def progress(what: str, done: int, total: int) -> None:
        told.append((what, done, total))

    first = fit_tokenizer(lake, documents, 300, 0.5, 1, progress)
    assert told[-1] == ("fit the tokenizer", 9, 9)
    told.clear()
    assert fit_tokenizer(lake, documents, 300, 0.5, 1, progress) == first and first.version == 3
    assert not told
