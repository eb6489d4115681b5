"""Rules on metadata that no document can fail are told: a name mistyped would switch a rule off unseen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from corpus.lake import Lake
from tests.quality.small_corpus import curate_folder, curation

LAW = {"kind": "act", "votes": "7", "score": 0.5, "when": "2019-05-02", "deep": {"year": 2001}, "none": None}
WEB = {"kind": "page", "score": "high", "nan": "nan", "rank": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    for name, fields in (("law", LAW), ("web", WEB)):
        (folder / name).mkdir()
        lines = [{"text": f"{name} {i} is one of the texts that are here", **fields} for i in range(3)]
        (folder / name / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def told(folder: Path, tmp_path: Path, **keys: Any) -> list[str]:
    said: list[str] = []
    keys = {"pii": "keep", "near_duplicates": None, **keys}
    curate_folder(Lake(tmp_path / "lake"), folder, curation(**keys), say=said.append)
    return [text for text in said if "metadata." in text]


@pytest.mark.parametrize(
    ("field", "bound", "message"),
    [("nope", {"max": 3}, "no document of law, web has it"), ("nope", {"allow": ["x"]}, "no document of law, web has it"), ("none", {"min": 1}, "no document of law, web has it"),
     ("kind", {"max": 3}, "in no document of law, web is it a number"), ("nan", {"max": 3}, "in no document of law, web is it a number"), ("kind", {"min": "2019-01-01"}, "in no document of law, web is it a date"),
     ("kind", {"min": 3, "deny": ["x"]}, "in no document of law, web is it a number")],
)  # fmt: skip
def test_a_rule_that_no_document_can_fail_is_told_once(
    folder: Path, tmp_path: Path, field: str, bound: dict[str, Any], message: str
) -> None:
    (text,) = told(folder, tmp_path, rules={f"metadata.{field}": bound})
    assert f"metadata.{field}" in text and message in text and "drops nothing" in text


@pytest.mark.parametrize(
    ("field", "bound"),
    [("kind", {"allow": ["act"]}), ("kind", {"deny": ["none of these"]}), ("kind", {"max": "2019-01-01"}), ("votes", {"max": 9}), ("score", {"min": 0.1}), ("rank", {"max": 9}), ("when", {"min": "2019-01-01"}), ("deep.year", {"min": 1990}), ("nope", None)],
)  # fmt: skip
def test_a_rule_that_a_document_of_one_source_can_fail_is_not(
    folder: Path, tmp_path: Path, field: str, bound: dict[str, Any] | None
) -> None:
    assert told(folder, tmp_path, rules={f"metadata.{field}": bound}) == []


def test_only_the_sources_that_have_the_rule_count(folder: Path, tmp_path: Path) -> None:
    (text,) = told(folder, tmp_path, overrides={"web": {"metadata.votes": {"max": 9}}})
    assert "no document of web has it" in text
