"""Every page of a lake that is empty, half built or damaged, and what an address may ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from corpus import names
from corpus.lake import Lake
from tests.app.screens.page import PAGES, shown
from tests.app.small_lake import copy_lake


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_an_empty_lake_says_how_to_fill_it(tmp_path: Path, opened: Any, page: str) -> None:
    Lake.open(tmp_path / "lake")
    assert "tilth run" in shown(opened(tmp_path / "lake", page))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_without_any_lake_says_how_to_make_one(tmp_path: Path, opened: Any, page: str) -> None:
    assert "tilth run" in shown(opened(tmp_path / "none", page))
    assert not (tmp_path / "none").exists()


NOTHING_YET = {
    "overview": ["tilth ingest RECIPE"],
    "curation": ["early@1 has no snapshot yet.", "tilth curate RECIPE"],
    "sql": ["SQL"],  # asks whatever there is
    "mixture": ["early@1 has no mixture yet.", "tilth mix RECIPE"],
    "training": ["early@1 has no training run yet.", "tilth train RECIPE"],
    "scorecards": ["early@1 has no scorecard yet.", "tilth eval RECIPE"],
    "lineage": ["early@1 has no training run yet.", "tilth train RECIPE"],
}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_a_version_that_has_nothing_yet_names_what_is_missing(
    tmp_path: Path, opened: Any, page: str
) -> None:
    lake = Lake.open(tmp_path / "lake")
    names.claim(lake, "early", "0" * 32, {"name": "early", "sources": ["prose"], "training": {"tokens": 1}})
    said = shown(opened(lake.root, page))
    assert [words for words in NOTHING_YET[page] if words not in said] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_name_that_is_being_claimed_is_no_recipe_yet(tmp_path: Path, opened: Any, page: str) -> None:
    lake = Lake.open(tmp_path / "lake")
    (lake.root / "names" / "demo" / "1").mkdir(parents=True)
    assert "tilth run" in shown(opened(lake.root, page))


@pytest.mark.parametrize("page", ["overview", "mixture", "training", "scorecards", "lineage"])
def test_a_page_of_a_version_without_training_names_the_versions_that_have_it(
    small_lake: Path, tmp_path: Path, opened: Any, page: str
) -> None:
    lake = copy_lake(small_lake, tmp_path)
    (first,) = names.claims(lake, "small")
    run = names.resolve(lake, "small@1/replay-30", "run")
    names.move_alias(lake, "small", names.CHAMPION, run.id, 4, "small@1/replay-30/4")
    names.claim(lake, "small", "d" * 32, first.recipe)
    test = opened(lake.root, page)
    said = shown(test).replace("\\", "")
    assert "small@1 has a" in said
    links = [link.proto.label.replace("\\", "") for link in test.get("page_link")]
    assert "Show small@1" in links
    if page == "overview":
        assert next(tile.value for tile in test.metric if tile.label == "Champion") == "@1/replay-30/4"
        assert "The champion is small@1/replay-30/4." in said
    else:
        assert "small@2 has no" in said


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_a_damaged_lake_shows_a_message_and_no_traceback(
    small_lake: Path, tmp_path: Path, opened: Any, page: str
) -> None:
    lake = copy_lake(small_lake, tmp_path).root
    for folder in ("decisions", "snapshot", "mixture", "scores", "runs"):
        for path in (lake / folder).rglob("*.*"):
            if path.suffix in (".parquet", ".json", ".jsonl"):
                path.write_bytes(path.read_bytes()[:7])
    for view in ({}, {"view": "Documents"}):
        test = opened(lake, page, **view)
        said = shown(test)
        if page != "sql":  # which reads nothing before it is asked
            assert "This cannot be shown." in said
            assert any(str(lake) in code.value for code in test.code), "the message names the file"


@pytest.mark.parametrize("record", ["{}", "[]", '{"rows": [{}], "time_utc": 1}'])
def test_records_that_are_json_and_lack_what_they_should_hold_are_a_message(
    small_lake: Path, tmp_path: Path, opened: Any, record: str
) -> None:
    lake = copy_lake(small_lake, tmp_path)
    for path in lake.runs.rglob("events.jsonl"):  # a damaged line never was
        path.write_text(f'{path.read_text("utf-8")}{{}}\n{{"kind": "failed"}}\n', "utf-8")
    assert "This cannot be shown." not in shown(opened(lake.root, "overview"))
    for dataset in ("signoffs", "sources"):
        path = lake.root / "facts" / dataset / "empty.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record)
        test = opened(lake.root, "overview")
        assert "This cannot be shown." in shown(test)
        assert any(str(path.parent) in code.value for code in test.code), "the message names where"
        path.unlink()


@pytest.mark.parametrize("pattern", ["claim.json", "*.json"])
def test_a_claim_or_an_attachment_without_its_keys_is_a_message(
    small_lake: Path, tmp_path: Path, opened: Any, pattern: str
) -> None:
    copy_lake(small_lake, tmp_path)
    for path in (tmp_path / "lake" / "names" / "small").rglob(pattern):
        if path.name == pattern or path.name != "claim.json":
            path.write_text("{}")
    assert "This cannot be shown." in shown(opened(tmp_path / "lake", "overview"))


def test_a_lake_of_another_format_is_refused_with_its_words(tmp_path: Path, opened: Any) -> None:
    (tmp_path / "format.json").write_text('{"format": 99}')
    assert "format 99" in shown(opened(tmp_path, "overview"))


def test_an_unknown_recipe_or_version_in_the_address_falls_back_to_what_there_is(
    small_lake: Path, opened: Any
) -> None:
    assert "small@1" in shown(opened(small_lake, "overview", recipe="nonsense", version="7"))


def test_an_address_names_its_version_and_keeps_it(small_lake: Path, tmp_path: Path, opened: Any) -> None:
    lake = copy_lake(small_lake, tmp_path)
    names.claim(lake, "small", "f" * 32, {"name": "small", "sources": []})
    assert opened(lake.root, "overview").query_params["version"] == "2"
    test = opened(lake.root, "scorecards", recipe="small", version="1")
    assert "INCONCLUSIVE" in shown(test)
    assert test.query_params["version"] == "1"
