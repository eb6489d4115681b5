"""A held-out set that is frozen: it stays what it was, and says what it has none of."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from corpus.holdout import held_out_rows
from corpus.lake import Lake
from quality import held_out, set_apart
from quality.curate import Curated
from quality.shingles import shingles_identity
from tests.quality.small_corpus import (
    curate_folder,
    furnished_corpus,
    holdout,
    prose,
    read_sources,
    verdicts,
    write_files,
)


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


def test_where_none_is_asked_for_that_is_the_reason_told(tmp_path: Path) -> None:
    draw = random.Random(9)
    write_files(tmp_path, {name: [[prose(draw) for _ in range(5)]] for name in ("law", "web")})
    lake = Lake.open(tmp_path / "lake")
    made, said = curate_saying(lake, tmp_path, "law", "web", documents_per_source=0)
    assert made.holdout is not None and not made.holdout.rows("held_out")
    assert said.count("holdout.documents_per_source is 0") == 1 and "passes the rules" not in said
    _, said = curate_saying(lake, tmp_path, "law", "web", documents_per_source=0)
    assert (
        "law: the held-out set set-1 has none of it, since it was frozen with documents_per_source: 0" in said
    )
