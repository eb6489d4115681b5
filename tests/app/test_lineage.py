"""Lineage beyond the steps themselves: weights that go on, and a text that changed its id because its file grew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from app.lineage import lineage_of_step
from app.origin import find_origin, record_origin
from app.queries import checkpoint_weights
from corpus import names
from corpus.lake import Lake
from corpus.run_rows import checkpoint_rows
from tests.app.command import tilth
from tests.app.small_lake import copy_lake


def lineage(lake: Lake, reference: str) -> tuple[str, dict[str, Any]]:
    """What the verb says, as text and as JSON."""
    text = tilth("lineage", reference, "--lake", lake.root)
    assert text.code == 0, text.err
    return text.out, json.loads(tilth("lineage", reference, "--json", "--lake", lake.root).out)


def run_id(lake: Lake, reference: str) -> str:
    return names.resolve(lake, reference, "run").id


def read_by(lake: Lake, reference: str, step: int) -> list[str]:
    return [row["doc_id"] for row in lineage_of_step(lake, run_id(lake, reference), step).documents]


# ── weights that go on ──


@pytest.fixture
def chained(small_lake: Path, tmp_path: Path) -> Lake:
    """small@1/base, replay-00 from its end, and a later run from a checkpoint of replay-00."""
    lake = copy_lake(small_lake, tmp_path)
    first, later = lake.runs / run_id(lake, "small/replay-00"), lake.runs / ("e" * 32)
    shutil.copytree(first, later)
    told = json.loads((later / "lineage.json").read_text("utf-8"))
    told |= {"run_id": later.name, "name": "later", "recipe": "small@1", "base": "small@1/replay-00/2"}
    told["base_checkpoint"] = record_origin(first.name, 2)
    (weights,) = [row["weights_sha256"] for row in checkpoint_rows(first) if row["step"] == 2]
    told["identity"]["base"]["weights_sha256"] = weights
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


@pytest.mark.parametrize(("name", "leads_there"), [("small@1/replay-00/2", True), ("small/replay-00", False), ("moved@3/away", False), ("small/base", False)])  # fmt: skip
def test_a_base_is_the_checkpoint_on_record_whatever_its_name_leads_to_now(
    chained: Lake, name: str, leads_there: bool
) -> None:
    path = chained.runs / ("e" * 32) / "lineage.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "base": name}), "utf-8")
    assert "later" in went_on(chained, min(read_by(chained, "small/replay-00", 1)))
    text, found = lineage(chained, f"{'e' * 32}/1")
    origin = run_id(chained, "small/replay-00")
    assert (found["base_id"], found["base_step"]) == (origin, 2)
    assert f"tilth lineage {name if leads_there else f'{origin}/2'}" in text
    said = lineage(chained, min(read_by(chained, "small/replay-00", 1)))[0]
    assert f"small@1/later went on from {name}{'' if leads_there else f' ({origin}/2)'}\n" in f"{said}\n"
    lineage(chained, found["base_reference"])


def test_of_a_run_made_before_it_was_recorded_the_checkpoint_is_found_by_its_weights(chained: Lake) -> None:
    for id in (run_id(chained, "small/base"), "e" * 32):
        path = chained.runs / id / "lineage.json"
        told = json.loads(path.read_text("utf-8"))
        del told["base_checkpoint"]
        path.write_text(json.dumps(told), "utf-8")
    assert lineage(chained, f"{'e' * 32}/1")[1]["base_step"] == 2
    assert lineage(chained, "small/base/2")[1]["base_id"] is None


def test_an_exported_model_is_known_by_its_weights_and_one_from_elsewhere_is_not(chained: Lake) -> None:
    first = run_id(chained, "small/replay-00")
    weights = checkpoint_weights(chained, first)
    assert find_origin(chained, weights[2]) == {"run_id": first, "step": 2}
    assert find_origin(chained, "0" * 64) is None


def test_a_run_that_left_its_first_weights_as_they_were_is_not_their_origin(chained: Lake) -> None:
    """A control with a learning rate of nothing, from a model from elsewhere: all its checkpoints have that model's weights."""
    control = chained.runs / ("e" * 32)
    told = json.loads((control / "lineage.json").read_text("utf-8"))
    (weights,) = {row["weights_sha256"] for row in checkpoint_rows(control) if row["step"] == 4}
    told["identity"]["base"]["weights_sha256"] = weights
    (control / "lineage.json").write_text(json.dumps({**told, "base_checkpoint": None}), "utf-8")
    shutil.rmtree(chained.runs / run_id(chained, "small/replay-00"))  # which has these weights too
    assert find_origin(chained, weights) is None
    assert lineage(chained, f"{'e' * 32}/4")[1]["base_id"] is None


def test_a_run_that_goes_on_has_read_what_its_metrics_say_in_both_directions(
    small_lake: Path, tmp_path: Path
) -> None:
    """The status knows of the last checkpoint only; what was trained since stands in the metrics."""
    lake = copy_lake(small_lake, tmp_path)
    id = run_id(lake, "small/replay-30")
    status = json.loads((lake.runs / id / "status.json").read_text("utf-8"))
    lake.write_json(lake.runs / id / "status.json", {**status, "status": "running", "last_step": 2})
    for step in (1, 2, 3, 4):
        assert lineage_of_step(lake, id, step).taken
        document = lineage(lake, read_by(lake, "small/replay-30", step)[0])[1]
        (seen,) = [row for row in document["seen"] if row["run_id"] == id]
        assert step in [number for number, _ in seen["steps"]]


# ── a text whose file grew ──


@pytest.fixture(scope="module")
def grown(small_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """small@1 is trained; a line more in a file gave all its records new ids in small@2, which is only curated.

    The line more has the own id p3 too, and is another text: one own id that stands for two documents of a version.
    """
    folder = tmp_path_factory.mktemp("grown")
    lake = copy_lake(small_lake, folder)
    shutil.copytree(small_lake.parent / "corpus", folder / "corpus")
    with (folder / "corpus" / "prose" / "one.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"id": "p3", "text": "Another text of the same own id. " * 9}) + "\n")
    said = tilth("curate", folder / "corpus" / "recipe.yaml", "--lake", lake.root)
    assert said.code == 0, said.err
    return lake


def ids(lake: Lake, own_id: str) -> tuple[str, str]:
    """The doc_ids of a record of one.jsonl in small@1 and in small@2; `why` knows them."""
    old, new = (
        json.loads(tilth("why", own_id, "--snapshot", f"small@{version}", "--json", "--lake", lake.root).out)
        for version in (1, 2)
    )
    return old[0]["document"]["doc_id"], new[0]["document"]["doc_id"]


def trained(lake: Lake) -> str:
    """The own id of a document that the base read."""
    own = {
        row["doc_id"]: row["own_id"] for part in _parts(lake) for row in part
        if row["own_id"] not in (None, "p3")
    }  # fmt: skip
    return next(own[doc_id] for doc_id in read_by(lake, "small@1/base", 4) if doc_id in own)


def _parts(lake: Lake) -> list[list[dict[str, Any]]]:
    return [
        lake.read_part(part, ["doc_id", "own_id"]).to_pylist()
        for manifest in lake.artifacts("documents") for part in manifest.parts("documents")
    ]  # fmt: skip


def test_a_text_that_was_read_under_another_id_is_found(grown: Lake) -> None:
    old, new = ids(grown, trained(grown))
    text, found = lineage(grown, new)
    (other,) = [other for other in found["same_text"] if other["doc_id"] == old]
    assert other["versions"] == ["small@1"]
    assert other["seen"] == lineage(grown, old)[1]["seen"]
    assert other["went_on"] == lineage(grown, old)[1]["went_on"]
    assert found["seen"] == [] and "no step of any run saw it under this id" in text
    assert f"the same text was read as {old} (in small@1)" in text
    assert f"the same text is {new} (in small@2)" in lineage(grown, old)[0]


def test_a_text_that_stands_once_has_no_other(grown: Lake) -> None:
    assert lineage(grown, read_by(grown, "small@1/replay-00", 1)[0])[1]["same_text"] == []


def test_why_of_an_earlier_id_says_whose_it_is(grown: Lake) -> None:
    old, new = ids(grown, trained(grown))
    refused = tilth("why", old, "--lake", grown.root)
    assert refused.code == 2 and "small@1" in refused.err and f"why {old} --snapshot small@1" in refused.err
    refused = tilth("why", new, "--snapshot", "small@1", "--lake", grown.root)
    assert refused.code == 2 and f"why {new} --snapshot small@2" in refused.err
    assert "--snapshot" not in tilth("why", "f" * 32, "--lake", grown.root).err


def test_an_own_id_is_that_of_the_newest_version(grown: Lake) -> None:
    own_id = trained(grown)
    assert lineage(grown, own_id)[1]["document"]["doc_id"] == ids(grown, own_id)[1]


def test_an_own_id_of_two_documents_of_a_version_lists_them(grown: Lake) -> None:
    said = tilth("lineage", "p3", "--lake", grown.root)
    assert said.code == 2 and "Give more of it" not in said.err
    assert said.err.count("(small@2)") == 2 and "small@1" not in said.err and "Give a doc_id" in said.err
    said = tilth("why", "p3", "--lake", grown.root)
    assert said.code == 2 and "Give a doc_id" in said.err and "Give more of it" not in said.err
