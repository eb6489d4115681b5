"""NAME@N is one resolved recipe and everything outside it that it reads, by content and not by place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.bases import base_run
from app.flow import Work, scan_sources
from app.profile import Profile
from app.recipe import load_recipe
from app.report import Report
from app.version import version_fingerprint
from corpus import names
from corpus.lake import Lake
from tests.app.small_lake import write_corpus

Fingerprint = Callable[..., str]
MODEL = {
    "config.json": "{}",
    "model.safetensors": "weights",
    "tokenizer.json": "{}",
    "tokenizer.model": "m",
    "merges.txt": "a b",
}
OUTSIDE = {
    "tokenizer": ["tokenizer={path: model}"],
    "base_model": ["base_model={path: model}"],
    "both": ["base_model={path: model}", "tokenizer=base_model"],
}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write_corpus(tmp_path / "corpus")
    write_model(tmp_path / "corpus" / "model")
    return tmp_path / "corpus"


def write_model(folder: Path) -> None:
    folder.mkdir()
    for name, text in MODEL.items():
        (folder / name).write_text(text)


@pytest.fixture
def fingerprint(corpus: Path, lake: Lake) -> Fingerprint:
    def fingerprint(*sets: str, sample: float = 1.0) -> str:
        loaded = load_recipe(corpus / "recipe.yaml", sets)
        work = Work(lake, loaded, Profile(), Report(quiet=True), sample)
        if loaded.recipe.base_model and (run := loaded.recipe.base_model.run):
            work.given = base_run(lake, run, loaded.recipe.name)
        return version_fingerprint(work, scan_sources(work))

    return fingerprint


@pytest.mark.parametrize("what", OUTSIDE)
@pytest.mark.parametrize("file", MODEL)
def test_other_content_of_a_model_is_another_version(
    corpus: Path, fingerprint: Fingerprint, what: str, file: str
) -> None:
    before = fingerprint(*OUTSIDE[what])
    (corpus / "model" / file).write_text("other")
    assert fingerprint(*OUTSIDE[what]) != before
    (corpus / "model" / file).write_text(MODEL[file])
    assert fingerprint(*OUTSIDE[what]) == before


@pytest.mark.parametrize("what", OUTSIDE)
def test_where_a_model_stands_and_what_is_beside_it_is_no_part(
    corpus: Path, fingerprint: Fingerprint, what: str
) -> None:
    before = fingerprint(*OUTSIDE[what])
    (corpus / "model" / "README.md").write_text("words")
    (corpus / "model" / "notes.txt").write_text("words")
    (corpus / "model" / "runs").mkdir()
    (corpus / "model" / "runs" / "a.json").write_text("{}")
    assert fingerprint(*OUTSIDE[what]) == before
    shutil.move(corpus / "model", corpus / "moved")
    assert fingerprint(*(one.replace("path: model", "path: moved") for one in OUTSIDE[what])) == before


def test_other_questions_are_another_version(corpus: Path, fingerprint: Fingerprint) -> None:
    before, path = fingerprint(), corpus / "endings.csv"
    shutil.copy(path, corpus / "elsewhere.csv")
    assert fingerprint("catalog.tasks.endings.path=elsewhere.csv") == before
    path.write_text(path.read_text() + "x,1,2,3,4,1\n")
    assert fingerprint() != before
    path.unlink()
    assert fingerprint() not in ("", before)  # curating needs no questions


def test_a_base_that_is_a_run_is_the_checkpoint_it_means_now(lake: Lake, fingerprint: Fingerprint) -> None:
    owner = names.claim(lake, "older", "f", {})
    for run in ("a" * 32, "b" * 32):
        (lake.runs / run / "export").mkdir(parents=True)
    said = []
    for run in ("a" * 32, "b" * 32, "a" * 32):
        names.attach(lake, owner, "run", run, "main")
        said.append(fingerprint("base_model={run: older/main}", "tokenizer=base_model"))
    assert said[0] == said[2] != said[1]


def test_a_large_file_is_hashed_once(corpus: Path, lake: Lake, fingerprint: Fingerprint) -> None:
    for path in [*corpus.rglob("*")]:
        os.utime(path, (1e9, 1e9))

    def hashed() -> list[str]:
        lines = (lake.root / ".cache" / "file_hashes.jsonl").read_text().splitlines()
        return [line for line in lines if "safetensors" in line]

    for _ in range(2):
        fingerprint(*OUTSIDE["both"])
        assert len(hashed()) == 1


def test_a_sample_is_another_version(fingerprint: Fingerprint) -> None:
    assert len({fingerprint(), fingerprint(sample=0.5), fingerprint("seed=6"), fingerprint()}) == 3
