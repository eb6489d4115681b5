"""The entry point: help, verbs, options that all have, and what nobody expected."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app import cli
from corpus import ingest
from tests.app.command import REPOSITORY, refused, tilth
from tests.app.small_lake import write_corpus


def test_help_loads_nothing_heavy() -> None:
    """That is what makes it quick: a tenth of a second."""
    command = [sys.executable, "-X", "importtime", "-m", "app.cli", "--help"]
    told = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stderr
    loaded = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    heavy = {
        "torch",
        "transformers",
        "polars",
        "pyarrow",
        "duckdb",
        "numba",
        "numpy",
        "streamlit",
        "pydantic",
        "yaml",
    }
    assert "app" in loaded and not heavy & loaded


def test_the_verbs_are_those_of_the_design() -> None:
    verbs = "run ingest curate tokenize mix train eval select why what-if compare lineage sql ls export app doctor"
    said = tilth("--help")
    listed = said.out.partition("Commands:")[2].split("\n")
    assert said.code == 0 and [line.split()[0] for line in listed if line.strip()] == verbs.split()
    assert tilth() == said


def test_every_verb_but_the_app_has_json_and_all_have_lake_and_profile() -> None:
    from app.options import cli as commands

    for command in commands.registered_commands:
        assert command.callback is not None
        options = set(command.callback.__annotations__)
        assert {"lake", "profile"} <= options
        assert "json_" in options or command.name == "app"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian", "r.yaml"], ["No such command 'trian'", "'train'"]),
        (["run"], ["Missing argument"]),
        (["run", "r.yaml", "--untill", "mix"], ["No such option: --untill", "--until"]),
        (["app", "--port", "many"], ["--port", "integer"]),
    ],
)
def test_a_wrong_command_is_told_in_one_line(arguments: list[str], words: list[str]) -> None:
    refused(tilth(*arguments), *words)


def test_a_profile_s_lake_may_be_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_corpus(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profiles.yaml").write_text("default: {lake: ~/lake}\n")
    for option, place in (([], "lake"), (["--lake", "~/other"], "other")):
        assert tilth("ingest", tmp_path / "recipe.yaml", *option).code == 0
        assert (tmp_path / "home" / place / "format.json").exists()
    assert not (tmp_path / "~").exists()


def test_the_funnel_of_a_sample_says_so(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    command = ["curate", tmp_path / "recipe.yaml", "--lake", tmp_path / "lake"]
    assert "of a sample of 50.00% of the documents" in tilth(*command, "--sample", "50%").out
    assert "of a sample" not in tilth(*command).out


def test_the_funnel_says_how_much_is_cut_of_what_is_kept(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    cookies = "We and our partners use cookies to make this page better for you and for them.\n" * 3
    lines = (tmp_path / "code.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    rows = [row | {"text": cookies + row["text"]} for row in rows]
    (tmp_path / "code.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    presets = (
        "curation.overrides={code: {num_sentences_after_cuts: null, num_curly_brackets_after_cuts: null}}"
    )
    command = [
        "curate",
        tmp_path / "recipe.yaml",
        "--lake",
        tmp_path / "lake",
        "--set",
        "curation.presets=[c4]",
    ]
    said = tilth(*command, "--set", presets, "--set", "curation.stop_if.source_loss=100%")
    assert said.code == 0, said.err
    assert "source 'code':" in said.out and "`tilth tokenize` counts what is trained on" in said.out


def test_an_unexpected_error_is_one_line_that_names_the_part(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(ingest, "read_records", fail)
    said = tilth("ingest", corpus / "recipe.yaml", "--lake", tmp_path / "lake")
    assert said.code == 1 and said.err.count("\n") == 1
    assert (
        said.err.startswith("tilth: ingest, ")
        and "unit" in said.err
        and "ZeroDivisionError: division by zero" in said.err
    )
    monkeypatch.setenv(cli.TRACEBACK, "1")
    said = tilth("ingest", corpus / "recipe.yaml", "--lake", tmp_path / "lake")
    assert said.code == 1 and "Traceback" in said.err and "read_records" in said.err


def test_a_full_disk_is_exit_1(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ingest, "read_records", fail)
    said = tilth("ingest", corpus / "recipe.yaml", "--lake", tmp_path / "lake")
    assert said.code == 1 and "No space left on device" in said.err and "the same command resumes" in said.err
