"""Guards on a curated corpus: a source that lost too much, a cluster that is too large."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from corpus.errors import GuardStop
from corpus.lake import Lake
from corpus.snapshot import check_guards
from tests.quality.small_corpus import (
    curate_folder,
    prose,
    read_sources,
    write_files,
)


def test_a_guard_stops_what_lost_too_much_from_twenty_documents_on(tmp_path: Path) -> None:
    draw = random.Random(5)
    bad = ["Too short."] * 9
    write_files(
        tmp_path,
        {
            "twenty": [[*bad, *(prose(draw) for _ in range(11))]],
            "nineteen": [[*bad, *(prose(draw) for _ in range(10))]],
        },
    )
    lake = Lake.open(tmp_path / "lake")
    made = curate_folder(lake, tmp_path, sources=read_sources(tmp_path, ["twenty", "nineteen"])).snapshot
    with pytest.raises(
        GuardStop, match=r"twenty lost 9 of 20 documents \(45%; the guard allows 40%\): too_few_words 9"
    ) as stop:
        check_guards(made, 0.4, 1000)
    assert "nineteen" not in str(stop.value)
    check_guards(made, 0.45, 1000)


def test_a_guard_stops_a_cluster_that_is_too_large(tmp_path: Path) -> None:
    text = prose(random.Random(6))
    write_files(tmp_path, {"law": [[f"{text}{' ' * i}" for i in range(8)]]})
    lake = Lake.open(tmp_path / "lake")
    made = curate_folder(lake, tmp_path, sources=read_sources(tmp_path, ["law"])).snapshot
    check_guards(made, None, 7)
    with pytest.raises(
        GuardStop,
        match=f"7 documents were dropped for the one document {made.summary['largest_cluster']['keeper']}",
    ):
        check_guards(made, None, 6)
