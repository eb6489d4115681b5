"""What a recipe or a command names and can never get is refused before any work: no lake is made."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from tests.app.command import Said, refused, tilth


def select(corpus: Path, *arguments: str) -> Said:
    said = tilth("select", corpus / "recipe.yaml", "--lake", corpus / "lake", *arguments)
    assert not (corpus / "lake").exists()
    return said


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ("gate.harm={endings/nope: {acc: {max_decrease: 5pp}}}", ["'endings/nope'", "'endings/general'"]),
        ("gate.harm={endings/genral: {acc: {max_decrease: 5pp}}}", ["Did you mean 'endings/general'"]),
        ("gate.baseline=replay-00/²", ["'²' is not a step number"]),
        ("gate.baseline=replay-00/", ["not a step number"]),
    ],
)
def test_a_gate_that_can_never_be_applied_is_refused(corpus: Path, gate: str, words: list[str]) -> None:
    refused(select(corpus, "--set", gate), *words)


def test_a_baseline_with_leading_zeros_is_read_as_its_number(corpus: Path, tmp_path: Path) -> None:
    said = tilth("select", corpus / "recipe.yaml", "--lake", tmp_path, "--set", "gate.baseline=replay-00/037")
    refused(said, "'replay-00/37' will not be scored", "replay-00/4")


@pytest.mark.parametrize("reference", ["repaly-30/4", "repaly-30", "small/repaly-30/4"])
def test_a_run_that_is_not_there_cannot_be_approved(corpus: Path, reference: str) -> None:
    refused(select(corpus, "--approve", reference), "'repaly-30'", "Did you mean 'replay-30'")


def test_a_reviewer_without_a_login_name_is_asked_for_one(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(getpass, "getuser", unknown)
    refused(select(corpus, "--approve", "replay-30/4"), "--reviewer NAME")
