"""A held-out set that is drawn: each source's own, and the index of it, made again where it is lost."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from corpus.errors import LakeError
from corpus.fingerprint import hash_file
from corpus.holdout import held_out_rows
from corpus.ingest import ingest, scan
from corpus.lake import Lake, Manifest
from quality import set_apart
from quality.curate import curate
from tests.quality.small_corpus import (
    curation,
    holdout,
    prose,
    read_sources,
    write_files,
)


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
