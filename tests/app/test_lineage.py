"""Lineage beyond the steps themselves: weights that go on, and a text that changed its id because its file grew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from app import queries
from corpus import names
from corpus.lake import Lake
from tests.app.command import tilth


def lineage(lake: Lake, reference: str) -> tuple[str, dict[str, Any]]:
    """What the verb says, as text and as JSON."""
    text = tilth("lineage", reference, "--lake", lake.root)
    assert text.code == 0, text.err
    return text.out, json.loads(tilth("lineage", reference, "--json", "--lake", lake.root).out)


def run_id(lake: Lake, reference: str) -> str:
    return names.resolve(lake, reference, "run").id


def read_by(lake: Lake, reference: str, step: int) -> list[str]:
    return [row["doc_id"] for row in queries.lineage_of_step(lake, run_id(lake, reference), step).documents]


# ── weights that go on ──


@pytest.fixture
def chained(small_lake: Path, tmp_path: Path) -> Lake:
    """small@1/base, replay-00 from its end, and a later run from a checkpoint of replay-00."""
    lake = Lake(tmp_path / "lake")
    shutil.copytree(small_lake, lake.root, symlinks=True)
    first, later = lake.runs / run_id(lake, "small/replay-00"), lake.runs / ("e" * 32)
    shutil.copytree(first, later)
    told = json.loads((later / "lineage.json").read_text("utf-8"))
    told |= {"run_id": later.name, "name": "later", "recipe": "small@1", "base": "small@1/replay-00/2"}
    (later / "lineage.json").write_text(json.dumps(told), "utf-8")
    return lake


def went_on(lake: Lake, document: str) -> dict[str, str]:
    return {row["run"]: row["base"] for row in lineage(lake, document)[1]["went_on"]}


def test_a_document_is_in_all_runs_that_go_on_from_one_that_read_it(chained: Lake) -> None:
    found = went_on(chained, read_by(chained, "small/base", 4)[0])
    assert found == {
        "replay-00": "small@1/base", "replay-30": "small@1/base", "later": "small@1/replay-00/2",
    }  # fmt: skip
    assert went_on(chained, read_by(chained, "small/replay-30", 1)[0]).keys() <= found.keys()


def test_what_was_read_after_the_checkpoint_did_not_go_on_from_it(chained: Lake) -> None:
    early = set(read_by(chained, "small/replay-00", 1)) | set(read_by(chained, "small/replay-00", 2))
    late = set(read_by(chained, "small/replay-00", 3)) | set(read_by(chained, "small/replay-00", 4))
    assert went_on(chained, min(early)) == {"later": "small@1/replay-00/2"}
    assert late - early and went_on(chained, min(late - early)) == {}


def test_the_text_names_the_runs_that_went_on(chained: Lake) -> None:
    text, _ = lineage(chained, read_by(chained, "small/base", 4)[0])
    assert "small@1/replay-00 went on from small@1/base" in text
    assert "small@1/later went on from small@1/replay-00/2" in text


def test_a_step_says_what_its_run_started_from(chained: Lake) -> None:
    text, found = lineage(chained, "small/replay-00/2")
    assert "started from small@1/base" in text and "tilth lineage small@1/base" in text
    assert (found["base"], found["base_id"]) == ("small@1/base", run_id(chained, "small/base"))
    text, found = lineage(chained, "small/base/2")
    assert "started from new weights" in text and found["base_id"] is None


def test_a_name_that_moved_since_is_not_taken_for_the_base(chained: Lake) -> None:
    """A base that is written without a version is one only if it has the weights that the run started from."""
    path = chained.runs / ("e" * 32) / "lineage.json"
    told = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**told, "base": "small/base"}), "utf-8")
    base = read_by(chained, "small/base", 4)[0]
    assert went_on(chained, base)["later"] == "small/base"
    told["identity"]["base"]["weights_sha256"] = "0" * 64
    path.write_text(json.dumps({**told, "base": "small/base"}), "utf-8")
    assert "later" not in went_on(chained, base)
