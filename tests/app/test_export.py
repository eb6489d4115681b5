"""Export: kept documents with their own fields, masked as views show them, and the licence that belongs to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from app.export import export
from corpus import names
from corpus.catalog import Source
from corpus.errors import ConfigError
from corpus.holdout import Holdout
from corpus.ingest import ingest, scan
from corpus.lake import Lake, Manifest
from corpus.sql import run_query
from quality.curate import curate
from quality.curation import Curation
from quality.model_folder import hash_weights
from tests.corpus.lakes import EMAIL, prose
from trainer.checkpoint import read_checkpoints


def make(
    lake: Lake, folder: Path, name: str, license: str, number: int, curation: Curation | None = None
) -> Manifest:
    """A snapshot of a source `web`, another one for every name."""
    rows = [
        {"id": f"{name}-{i}", "url": f"https://x.example/{i}", "day": "2020-01-02", "text": prose(number + i), "by": EMAIL}
        for i in range(20)
    ]  # fmt: skip
    (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = Source(
        path=f"{name}.jsonl", role="domain", topic="t", license=license,
        id_field="id", url_field="url", date_field="day", metadata=["by"],
    )  # fmt: skip
    files = scan(lake, {"web": source}, str(folder))["web"]
    documents = ingest(lake, {"web": (source, files)}, workers=1)["web"]
    holdout = Holdout(name=f"{name}-held", documents_per_source=1, max_share=0.5)
    curated = curate(lake, {"web": (source, documents)}, curation or Curation(), holdout, None, workers=1)
    names.attach(lake, names.claim(lake, name, name, {}), "snapshot", curated.snapshot.id)
    return curated.snapshot


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder = tmp_path_factory.mktemp("export")
    found = Lake.open(folder / "lake")
    make(found, folder, "one", "CC0-1.0", 0)
    make(found, folder, "two", "Proprietary", 500)
    return found


def read(folder: Path, to: str) -> list[dict[str, Any]]:
    if to == "jsonl":
        return [json.loads(line) for line in (folder / "web.jsonl").read_text().splitlines()]
    rows: list[dict[str, Any]] = pq.read_table(folder / "web.parquet").to_pylist()
    return [{**row, "date": row["date"].isoformat()} for row in rows]


@pytest.mark.parametrize("to", ["jsonl", "parquet"])
def test_what_is_exported_is_what_the_views_show_of_what_is_kept(lake: Lake, tmp_path: Path, to: str) -> None:
    (file,) = export(lake, "one", to, tmp_path / "out")
    query = """SELECT d.* FROM all_documents d JOIN decisions c USING (doc_id) WHERE c.kept AND own_id LIKE 'one-%'"""
    shown = {row["doc_id"]: row for row in run_query(lake, query).table.to_pylist()}
    rows = read(tmp_path / "out", to)
    assert file["documents"] == len(rows) == len(shown) > 10
    for row in rows:
        view = shown[row["doc_id"]]
        assert {name: row[name] for name in ("source", "own_id", "url", "metadata")} == {
            name: view[name] for name in ("source", "own_id", "url", "metadata")
        }
        assert row["date"] == view["date"].isoformat() and "in case" in row["text"]
    assert EMAIL not in json.dumps(rows) and "by" in rows[0]["metadata"]


@pytest.mark.parametrize("reference", ["small/replay-30", "small/replay-30/4", "small/replay-30/2"])
def test_a_checkpoint_is_a_folder_that_transformers_loads_and_nothing_else(
    small_lake: Path, tmp_path: Path, reference: str
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    lake, out = Lake.open(small_lake, create=False), tmp_path / "out"
    rows = export(lake, reference, "hf", out)
    assert {row["file"] for row in rows} == {path.name for path in out.iterdir()}
    assert not {"COMMITTED.json", "trainer_state.json", "optimizer.pt"} & {row["file"] for row in rows}
    found = names.resolve(lake, reference, "run")
    step = found.step or 4
    committed = next(one for one in read_checkpoints(lake.runs / found.id) if one.step == step)
    assert hash_weights(out) == committed.weights_sha256
    model = AutoModelForCausalLM.from_pretrained(out)
    tokens = AutoTokenizer.from_pretrained(out)("the of and", return_tensors="pt")
    assert model(**tokens).logits.shape[-1] == model.config.vocab_size
    with pytest.raises(ConfigError, match="cannot be exported as 'jsonl'"):
        export(lake, reference, "jsonl", tmp_path / "other")


@pytest.mark.parametrize(
    ("reference", "read"),
    [("small/base", ["prose"]), ("small/replay-30", ["code", "prose"]), ("small/replay-00/2", ["code", "prose"])],
)  # fmt: skip
def test_a_model_names_the_licences_of_all_that_its_weights_have_read(
    small_lake: Path, tmp_path: Path, reference: str, read: list[str]
) -> None:
    """replay-00 itself reads code alone; its base had read prose."""
    known = {"code": "MIT", "prose": "CC0-1.0"}
    rows = export(Lake.open(small_lake, create=False), reference, "hf", tmp_path / "out")
    expected = {source: known[source] for source in read}
    assert json.loads((tmp_path / "out" / "LICENSES.json").read_text()) == expected
    (weights,) = [row["license"] for row in rows if row["file"] == "model.safetensors"]
    assert weights == ", ".join(sorted(expected.values()))


def test_the_licence_is_the_one_of_this_snapshot_s_source(lake: Lake, tmp_path: Path) -> None:
    for name, license in (("one", "CC0-1.0"), ("two", "Proprietary")):
        (file,) = export(lake, name, "jsonl", tmp_path / name)
        assert file["license"] == license
        assert json.loads((tmp_path / name / "LICENSES.json").read_text()) == {"web.jsonl": license}


@pytest.mark.parametrize("to", ["jsonl", "parquet"])
def test_a_source_of_which_nothing_is_kept_is_an_empty_file(tmp_path: Path, to: str) -> None:
    lake = Lake.open(tmp_path / "lake")
    none = Curation.model_validate({"rules": {"num_words": {"min": 1_000_000}}, "pii": {"email": "mask"}})
    make(lake, tmp_path, "none", "CC0-1.0", 0, none)
    (file,) = export(lake, "none", to, tmp_path / "out")
    assert file["documents"] == 0 and read(tmp_path / "out", to) == []
