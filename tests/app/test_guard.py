"""What the app says of a version's guards is what they said when it was last curated, whatever its first recipe allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.guard import guard_stop, record_guards
from corpus import names
from corpus.errors import LakeError
from corpus.facts import read_facts
from corpus.lake import Lake
from tests.app.command import tilth

LENIENT, STRICT = "curation.stop_if.source_loss=null", "curation.stop_if.source_loss=1%"


def curate(corpus: Path, lake: Path, stop_if: str) -> int:
    sets = ["--set", stop_if, "--set", "holdout=null", "--set", "gate=null", "--set", "tokenizer=null",
            "--set", "training=null", "--set", "base_model=null", "--set", "runs={}", "--set", "evaluation={}"]  # fmt: skip
    return tilth("curate", corpus / "recipe.yaml", "--lake", lake, *sets).code


def stop_of(root: Path) -> str | None:
    lake = Lake.open(root, create=False)
    (owner,) = names.claims(lake, "small")
    return guard_stop(lake, owner)


@pytest.mark.parametrize("order", [(STRICT, LENIENT, STRICT), (LENIENT, STRICT, LENIENT)])
def test_the_last_run_says_whether_a_guard_stopped_a_recipe_that_only_curates(
    corpus: Path, tmp_path: Path, order: tuple[str, ...]
) -> None:
    for stop_if in order:
        stopped = stop_if == STRICT
        assert curate(corpus, tmp_path / "lake", stop_if) == (3 if stopped else 0)
        stop = stop_of(tmp_path / "lake")
        assert ("prose lost" in stop if stop else False) is stopped


def test_what_is_said_again_is_one_fact(corpus: Path, tmp_path: Path) -> None:
    for _ in range(3):
        curate(corpus, tmp_path / "lake", STRICT)
    assert len(read_facts(Lake.open(tmp_path / "lake"), "guards")) == 1


def test_nothing_is_said_of_a_snapshot_that_no_guard_has_spoken_of(corpus: Path, tmp_path: Path) -> None:
    """A lake from before there were such facts, and a run that was killed between its snapshot and the guards."""
    curate(corpus, tmp_path / "lake", LENIENT)
    lake = Lake.open(tmp_path / "lake", create=False)
    (owner,) = names.claims(lake, "small")
    (fact,) = names.attached(lake, owner, "snapshot")
    snapshot = lake.get("snapshot", fact["id"])
    record_guards(lake, owner, snapshot, "too much")
    assert guard_stop(lake, owner) == "too much"
    names.attach(lake, owner, "snapshot", "e" * 32)
    assert guard_stop(lake, owner) is None
    for path in (lake.root / "facts" / "guards").rglob("*.json"):
        path.unlink()
    assert guard_stop(lake, owner) is None


def test_a_damaged_fact_is_named(corpus: Path, tmp_path: Path) -> None:
    curate(corpus, tmp_path / "lake", STRICT)
    (path,) = (tmp_path / "lake" / "facts" / "guards").rglob("*.json")
    path.write_text("{", "utf-8")
    with pytest.raises(LakeError, match=path.name):
        stop_of(tmp_path / "lake")
