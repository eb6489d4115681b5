"""Which documents are in a sample, and which files are read together: content alone decides."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import ingest as module
from corpus.files import FileRef
from corpus.ingest import (
    Files,
    content_order,
    group,
    in_sample,
)
from corpus.lake import Lake
from tests.corpus.reading import read, rows, write


def test_samples_of_growing_shares_contain_each_other_and_hang_on_content_only(
    lake: Lake, tmp_path: Path
) -> None:
    write(tmp_path / "d", {"a.jsonl": [f"text {i}" for i in range(400)]})
    write(tmp_path / "e", {"z.jsonl": [f" text  {i} " for i in range(399, -1, -1)]})
    shares = (0.05, 0.2, 0.5, 1.0)
    kept = [
        {row["content_hash"] for row in rows(lake, read(lake, tmp_path / "d", sample=share))}
        for share in shares
    ]
    assert all(small < large for small, large in pairwise(kept))
    assert all(abs(len(found) / 400 - share) < 0.08 for found, share in zip(kept, shares, strict=True))
    made = read(lake, tmp_path / "e", sample=0.2)
    assert {row["content_hash"] for row in rows(lake, made)} == kept[1]
    assert made.summary["sampled_out"] + made.rows("documents") == 400


def test_the_whole_is_in_the_sample_of_everything() -> None:
    assert all(in_sample(f"{i:032x}", 1.0) for i in range(100)) and not any(
        in_sample(f"{i:032x}", 0.0) for i in range(100)
    )


SIZES = st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 2**128 - 1)), max_size=60)


def listed(files: list[tuple[int, int]]) -> Files:
    return content_order(
        (FileRef(f"/{i}", False, size, ""), f"{hash:032x}", None) for i, (size, hash) in enumerate(files)
    )


@given(SIZES, st.integers(0, 1500), st.integers(0, 2**128 - 1))
def test_groups_hold_every_file_once_in_order_and_stay_small(
    files: list[tuple[int, int]], size: int, hash: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MEAN_GROUP", 1000)
        patch.setattr(module, "MAX_GROUP", 2000)
        patch.setattr(module, "MAX_GROUP_FILES", 8)
        units = group(listed(files))
        assert {entry for unit in units for entry in unit.files} == set(listed(files))
        assert sum(len(unit.files) for unit in units) == len(files)
        assert all(
            [file.hash for file in unit.files] == sorted(file.hash for file in unit.files) for unit in units
        )
        for unit in units:
            assert 1 <= len(unit.files) <= 8 and (unit.bytes <= 2000 or len(unit.files) == 1)
        keys = {unit.key({}) for unit in units}
        after = {unit.key({}) for unit in group(listed([*files, (size, hash)]))}
        assert len(keys) == len(units) and len(after - keys) >= 1


def test_mean_group_size_does_not_hang_on_the_size_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    for size in (40_000, 400_000, 4_000_000):
        files = [(size, draw.getrandbits(128)) for _ in range(40 * module.MEAN_GROUP // size)]
        mean = sum(size for size, _ in files) / len(group(listed(files)))
        assert 0.5 < mean / module.MEAN_GROUP < 1.3
