"""Pairs from the lake: what was damaged there is said, and never compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.errors import LakeError
from corpus.fingerprint import fingerprint
from corpus.lake import Lake, Manifest
from quality.near_duplicates import NearDuplicates, find_edges
from quality.pairs import read_pairs
from quality.walk import walk
from tests.quality.near_texts import write_parts

CONFIG = NearDuplicates(num_perm=1, bands=1, ngram=2)
BODY = " ".join(f"w{k}" for k in range(60))
TEXTS = {fingerprint(text): text for text in (f"{BODY} own{i}" for i in range(100))}  # more than are paired


@pytest.fixture
def found(tmp_path: Path) -> tuple[Lake, Manifest]:
    lake = Lake.open(tmp_path / "lake")
    rows = [(fingerprint(["document", content]), text) for content, text in TEXTS.items()]
    staged = lake.stage()
    table, _ = find_edges(write_parts(tmp_path / "parts", [rows], CONFIG), CONFIG, lake.scratch(), staged)
    edges = (lake.write_part("near_duplicates", "edges", table),)
    made = Manifest("near_duplicates", "a" * 32, "find_edges", 1, {}, (), {"near_duplicates": edges})
    return lake, lake.commit(made, staged)


def test_pairs_are_read_as_they_were_found(found: tuple[Lake, Manifest]) -> None:
    pairs = read_pairs(*found)
    assert pairs is not None and pairs.buckets.sizes.tolist() == [98]
    assert walk(sorted(TEXTS), sorted(TEXTS), pairs.edges, pairs.buckets, 0.9).dropped.height == 97
    assert read_pairs(found[0], None) is None


@pytest.mark.parametrize("name", ["hashes", "members", "starts", "set_starts", "contents.parquet"])
def test_a_damaged_file_of_large_buckets_is_a_lake_error(found: tuple[Lake, Manifest], name: str) -> None:
    lake, made = found
    path = lake.folder(made.kind, made.id) / "files" / name
    data = path.read_bytes()
    flipped = data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 64]) + data[len(data) // 2 + 1 :]
    for damaged in (data[: len(data) // 8 * 4], flipped, b""):
        path.write_bytes(damaged)
        with pytest.raises(LakeError, match=rf"{name} is missing or damaged"):
            read_pairs(lake, made)
    path.unlink()
    with pytest.raises(LakeError, match=rf"{name} is missing or damaged"):
        read_pairs(lake, made)
