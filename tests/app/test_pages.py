"""Every page of the app on an empty lake, on a small real one, and on one that is damaged or half built; no browser."""

from __future__ import annotations

import doctest
import html
import importlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import queries, verdicts
from app.lineage import find_document, lineage_of_step
from app.server import LAKE_VARIABLE
from corpus import names
from corpus.lake import Lake, Manifest, now_utc
from corpus.process import this_process
from quality.explain import why
from tests.app.command import tilth
from tests.app.small_lake import PLANTED_EMAIL, PLANTED_SSN, QUESTIONS

MAIN = Path(__file__).parents[2] / "app" / "main.py"
PAGES = ["overview", "curation", "sql", "mixture", "training", "scorecards", "lineage"]


@pytest.fixture(autouse=True)
def fresh_caches() -> Iterator[None]:
    yield
    st.cache_data.clear()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Opens a page of the app on a lake, with query parameters."""

    def open_page(lake: Path, page: str, **query: str) -> AppTest:
        monkeypatch.setenv(LAKE_VARIABLE, str(lake))
        test = AppTest.from_file(str(MAIN), default_timeout=60).run()
        assert not test.exception, [found.value for found in test.exception]
        if page != "overview":
            test.switch_page(f"pages/{page}.py")
        for name, value in query.items():
            test.query_params[name] = value
        return test.run()

    return open_page


def shown(test: AppTest) -> str:
    """Everything a page says, tables and HTML included."""
    assert not test.exception, [found.value for found in test.exception]
    said = [*test.title, *test.subheader, *test.markdown, *test.caption, *test.info, *test.warning, *test.error, *test.success, *test.code, *test.metric]  # fmt: skip
    words = [str(element.value) for element in said]
    words += [element.value.to_csv() for element in test.dataframe]
    words += [html.unescape(element.proto.body) for element in test.get("html")]
    return "\n".join(words)


@pytest.mark.parametrize("module", ["app.marked", "app.pages.frame", "app.pages.curation", "app.pages.sql"])
def test_examples_in_docstrings_hold(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted
    assert not found.failed


# ── being written, empty, half built, damaged ──


@pytest.mark.slow
def test_pages_open_while_their_lake_is_written(small_lake_folder: Path, opened: Any) -> None:
    """It builds the lake of the tests below, so it stands first; each round looks at every page."""
    code = f"from pathlib import Path; from tests.app.small_lake import build_small_lake; build_small_lake(Path({str(small_lake_folder)!r}))"
    writer = subprocess.Popen([sys.executable, "-c", code], cwd=MAIN.parents[1], stderr=subprocess.DEVNULL)
    try:
        while writer.poll() is None:
            for page in PAGES:
                shown(opened(small_lake_folder / "lake", page))
            time.sleep(0.5)
    finally:
        writer.kill()
        assert writer.wait() == 0


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_an_empty_lake_says_how_to_fill_it(tmp_path: Path, opened: Any, page: str) -> None:
    Lake.open(tmp_path / "lake")
    assert "tilth run" in shown(opened(tmp_path / "lake", page))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_without_any_lake_says_how_to_make_one(tmp_path: Path, opened: Any, page: str) -> None:
    assert "tilth run" in shown(opened(tmp_path / "none", page))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_a_version_that_has_nothing_yet_names_what_is_missing(
    tmp_path: Path, opened: Any, page: str
) -> None:
    lake = Lake.open(tmp_path / "lake")
    names.claim(lake, "early", "0" * 32, {"name": "early", "sources": ["prose"], "training": {"tokens": 1}})
    said = shown(opened(lake.root, page))
    assert "tilth" in said or page == "sql"


@pytest.mark.parametrize("page", PAGES)
def test_a_name_that_is_being_claimed_is_no_recipe_yet(tmp_path: Path, opened: Any, page: str) -> None:
    lake = Lake.open(tmp_path / "lake")
    (lake.root / "names" / "demo" / "1").mkdir(parents=True)
    assert "tilth run" in shown(opened(lake.root, page))


@pytest.mark.parametrize("page", ["overview", "mixture", "training", "scorecards", "lineage"])
def test_a_page_of_a_version_without_training_names_the_versions_that_have_it(
    small_lake: Path, tmp_path: Path, opened: Any, page: str
) -> None:
    shutil.copytree(small_lake, tmp_path / "lake", symlinks=True)
    lake = Lake.open(tmp_path / "lake", create=False)
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
    lake = tmp_path / "lake"
    shutil.copytree(small_lake, lake, symlinks=True)
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


def test_a_lake_of_another_format_is_refused_with_its_words(tmp_path: Path, opened: Any) -> None:
    (tmp_path / "format.json").write_text('{"format": 99}')
    assert "format 99" in shown(opened(tmp_path, "overview"))


# ── a small real lake ──


def test_overview_counts_what_was_read_and_kept_and_names_the_sources(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "overview")
    said = shown(test)
    tiles = {tile.label: tile.value for tile in test.metric}
    funnel = opened(small_lake, "curation").dataframe[0].value.groupby("rule")["documents"].sum()
    assert tiles["Documents read"] == f"{funnel['read']:,}"
    assert tiles["Kept"] == f"{funnel['kept'] / funnel['read']:.0%}"
    assert funnel["rejected"] > 0
    assert "small@1" in said
    assert "CC0-1.0" in said
    assert "approve" in said  # no champion yet: what to do next


@pytest.mark.parametrize(("chosen", "named"), [("replay-30/4", "replay-30/4"), (None, "RUN/STEP")])
def test_the_command_that_signs_off_names_what_the_gate_chooses(
    small_lake: Path, opened: Any, monkeypatch: pytest.MonkeyPatch, chosen: str | None, named: str
) -> None:
    select_stored = verdicts.select_stored

    def select_chosen(*given: Any) -> Any:
        selection = select_stored(*given)
        assert selection is not None
        return replace(selection, chosen=chosen)

    monkeypatch.setattr(verdicts, "select_stored", select_chosen)
    assert f"tilth select RECIPE --approve {named} " in shown(opened(small_lake, "overview"))


def test_the_funnel_adds_up_and_every_row_leads_somewhere(small_lake: Path, opened: Any) -> None:
    table = opened(small_lake, "curation").dataframe[0].value
    for _, rows in table.groupby("source"):
        counted = dict(zip(rows["rule"], rows["documents"], strict=True))
        assert counted.pop("read") == sum(counted.values())
    assert {"near_duplicate", "exact_duplicate", "pii_ssn", "too_few_words", "rejected"} <= set(table["rule"])


def test_a_funnel_row_that_is_selected_leads_to_its_documents(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "curation")
    rule = list(test.dataframe[0].value["rule"]).index("near_duplicate")
    test.session_state["funnel all sources"] = {"selection": {"rows": [rule], "columns": [], "cells": []}}
    test.run()
    next(button for button in test.button if button.label.startswith("Look at 1")).click()
    table = test.run().dataframe[0].value
    assert list(table["reason"]) == ["near_duplicate"]


@pytest.mark.parametrize("outcome", ["kept", "dropped", "too_few_words", "pii_ssn", "held_out"])
def test_documents_of_every_outcome_are_listed_with_their_reason(
    small_lake: Path, opened: Any, outcome: str
) -> None:
    test = opened(small_lake, "curation", view="Documents", source="prose", outcome=outcome)
    table = test.dataframe[0].value
    assert len(table)
    assert set(table["source"]) == {"prose"}
    if outcome not in ("kept", "dropped"):
        assert set(table["reason"]) == {outcome}


def test_pages_of_documents_follow_each_other_without_gap_or_repeat(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "curation", view="Documents", outcome="kept")
    first = list(test.dataframe[0].value["id"])
    total = int(test.markdown[0].value.split("**")[1])
    found = list(first)
    for page in range(2, -(-total // len(first)) + 1):
        test.get("pagination")[0].set_value(page)
        found += list(test.run().dataframe[0].value["id"])
    assert len(found) == len(set(found)) == total


def test_personal_data_is_never_shown(small_lake: Path, opened: Any) -> None:
    for document, placeholder in (("p63", "<EMAIL>"), ("p64", "<SSN>")):
        said = shown(opened(small_lake, "curation", view="Documents", doc=document))
        assert placeholder in said
        assert PLANTED_EMAIL not in said
        assert PLANTED_SSN not in said


def test_a_document_lists_the_rules_it_passes_with_the_nearest_first(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "curation", view="Documents", doc="p63")
    (passed,) = [element.value for element in test.dataframe if "keeps" in element.value]
    lake = Lake.open(small_lake, create=False)
    (snapshot,) = names.current(lake, "snapshot")
    found = why(lake, lake.get("snapshot", snapshot["id"]), "p63")
    assert list(passed["rule"]) == [rule["rule"] for rule in found.passed] and len(passed) > 2
    away = passed["away"].dropna()
    assert list(away) == sorted(away)


def test_markup_in_a_document_stays_text(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "curation", view="Documents", doc="p65")
    bodies = "".join(element.proto.body for element in test.get("html"))
    assert "<script>" not in bodies
    assert "&lt;script&gt;" in bodies


def test_a_near_duplicate_stands_beside_its_partner_with_the_difference_marked(
    small_lake: Path, opened: Any
) -> None:
    test = opened(small_lake, "curation", view="Documents", doc="p0")
    said = shown(test)
    assert "near_duplicate" in said
    assert "Its partner p61" in said
    assert any('<mark class="diff">' in element.proto.body for element in test.get("html"))
    assert {"Jaccard", "Containment"} <= {metric.label for metric in test.metric}


def test_a_document_that_does_not_exist_is_a_message(small_lake: Path, opened: Any) -> None:
    assert "no document 'nonsense'" in shown(opened(small_lake, "curation", view="Documents", doc="nonsense"))


def test_rejects_stand_by_reason_and_file(small_lake: Path, opened: Any) -> None:
    said = shown(opened(small_lake, "curation", view="Rejects"))
    assert "two.jsonl" in said
    assert {"invalid_json", "wrong_type"} <= set(said.replace(",", " ").split())


@pytest.mark.parametrize(
    ("reason", "position", "more"),
    [("invalid_json", 3, False), ("wrong_type", 0, False), ("truncated_file", 3, True), ("corrupt_file", 7, True), ("missing_text", -1, True), ("empty_file", -1, False)],
)  # fmt: skip
def test_a_reject_that_ends_its_file_is_said_to_lose_what_followed(
    small_lake: Path, opened: Any, monkeypatch: pytest.MonkeyPatch, reason: str, position: int, more: bool
) -> None:
    read_part = Lake.read_part

    def read_rejects(lake: Lake, part: Any, columns: Any = None) -> Any:
        table = read_part(lake, part, columns)
        if columns is None or "position" not in columns:
            return table
        rows = [{**row, "reason": reason, "position": position} for row in table.to_pylist()[:1]]
        return table.schema.empty_table().from_pylist(rows, schema=table.schema)

    monkeypatch.setattr(Lake, "read_part", read_rejects)
    said = shown(opened(small_lake, "curation", view="Rejects"))
    assert "**1** record could not be read" in said
    assert ("what followed in it is lost too" in said) is more
    assert ("Nothing else of their files was lost" in said) is (not more)


def test_rules_show_thresholds_and_what_is_done_about_personal_data(small_lake: Path, opened: Any) -> None:
    said = shown(opened(small_lake, "curation", view="Rules"))
    assert "≥ 12" in said
    assert "ssn,drop" in said


def test_what_curation_had_to_tell_stands_beside_the_duplicates(
    small_lake: Path, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = Lake.find

    def find_with_guard(lake: Lake, kind: str, id: str) -> Manifest | None:
        found = find(lake, kind, id)
        guards = [{"kind": "large_bucket", "message": "3 groups of more than 64 documents"}]
        return (
            replace(found, summary={**found.summary, "guards": guards})
            if found and kind == "snapshot"
            else found
        )

    monkeypatch.setattr(Lake, "find", find_with_guard)
    test = opened(small_lake, "curation", view="Rules")
    shown(test)
    assert [element.value for element in test.info] == ["3 groups of more than 64 documents"]


def test_a_query_answers_with_rows_and_a_csv(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "sql")
    test.text_area(key="q").set_value("SELECT source, count(*) AS n FROM documents GROUP BY ALL ORDER BY ALL")
    submit(test)
    rows = next(element.value for element in test.dataframe if "n" in element.value.columns)
    lake = Lake.open(small_lake, create=False)
    read = {
        f"{fact['key']}": lake.get("documents", fact["id"]).rows("documents")
        for fact in names.current(lake, "documents")
    }
    assert dict(zip(rows["source"], rows["n"], strict=True)) == read
    assert test.get("download_button")


@pytest.mark.parametrize(
    ("query", "word"),
    [("SELECT * FROM nothing", "nothing"), ("COPY (SELECT 1) TO 'rows.csv'", ""), ("SELECT 1; SELECT 2", "one"), ("", "")],
)  # fmt: skip
def test_a_query_that_is_wrong_or_not_allowed_is_answered_as_text(
    small_lake: Path, opened: Any, query: str, word: str
) -> None:
    test = opened(small_lake, "sql")
    test.text_area(key="q").set_value(query)
    submit(test)
    assert test.error
    assert word in test.code[-1].value


def test_every_example_runs(small_lake: Path, opened: Any) -> None:
    from app.pages.sql import EXAMPLES

    test = opened(small_lake, "sql")
    for example in EXAMPLES:
        test.selectbox(key="example").set_value(example).run()
        assert test.text_area(key="q").value == EXAMPLES[example]
        submit(test)
        assert not test.error, (example, [code.value for code in test.code])


def submit(test: AppTest) -> None:
    next(button for button in test.button if button.label == "Run").click()
    test.run()
    assert not test.exception


def test_the_ledger_at_the_last_step_is_the_budget(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "mixture", run="replay-30")
    budget = int(test.metric[0].value.replace(",", ""))
    ledger = test.dataframe[1].value
    assert ledger["tokens"].sum() == budget
    test.slider[0].set_value(2).run()
    assert test.dataframe[1].value["tokens"].sum() == budget // 2


def test_training_shows_runs_events_and_checkpoints(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "training")
    said = shown(test)
    assert "replay-30" in said
    assert "checkpoint committed" in said
    checkpoints = next(element.value for element in test.dataframe if "exists" in element.value)
    assert checkpoints[checkpoints["exists"]].groupby("run")["step"].max().to_dict() == dict.fromkeys(["base", "replay-00", "replay-30"], 4)  # fmt: skip


def test_a_run_that_goes_is_said_to_train_and_one_without_a_process_is_not(
    small_lake: Path, tmp_path: Path, opened: Any
) -> None:
    lake = Lake(tmp_path / "lake")
    shutil.copytree(small_lake, lake.root, symlinks=True)
    run = names.resolve(lake, "small/replay-30", "run").id
    status = {**queries.run_status(lake, run), "status": "running", "updated_utc": 0, **this_process()}
    ago = now_utc() - 600 * 10**6
    for changes, goes in (
        ({}, True),
        ({"pid": 2**22 + 1}, False),
        ({"started": status["started"] - 100}, False),  # the pid was used again
        ({"host": "another", "updated_utc": now_utc()}, True),
        ({"host": "another", "updated_utc": ago}, False),
    ):
        lake.write_json(lake.runs / run / "status.json", {**status, **changes})
        assert queries.is_running(lake, run) is goes, changes
        if not changes or "pid" in changes:
            said = "training now" if goes else "no process trains it"
            assert said in shown(opened(lake.root, "training"))


@pytest.mark.parametrize("status", ["running", "failed", "not_finite", "interrupted"])
def test_train_is_checked_when_the_runs_are_finished_not_when_they_start(
    small_lake: Path, tmp_path: Path, opened: Any, status: str
) -> None:
    def look() -> tuple[list[str], str]:
        test = opened(lake.root, "overview")
        links = [link.proto.icon for link in test.get("page_link") if link.proto.label == "Train"]
        return links, shown(test)

    lake = Lake(tmp_path / "lake")
    shutil.copytree(small_lake, lake.root, symlinks=True)
    assert ["check_circle" in icon for icon in look()[0]] == [True]
    run = names.resolve(lake, "small/replay-30", "run").id
    lake.write_json(lake.runs / run / "status.json", {**queries.run_status(lake, run), "status": status})
    icons, said = look()
    assert ["check_circle" in icon for icon in icons] == [False]
    assert "tilth train RECIPE" in said
    assert "run ready" not in said


@pytest.mark.parametrize(("allowed", "stops"), [(0.1, True), (0.8, False)])
def test_what_a_guard_stopped_is_said_and_not_called_done(
    small_lake: Path, tmp_path: Path, opened: Any, allowed: float, stops: bool
) -> None:
    shutil.copytree(small_lake, tmp_path / "lake", symlinks=True)
    lake = Lake.open(tmp_path / "lake", create=False)
    (first,) = names.claims(lake, "small")
    curation = {**first.recipe["curation"], "stop_if": {"source_loss": allowed}}
    second = names.claim(lake, "small", "9" * 32, {**first.recipe, "curation": curation})
    for kind in ("documents", "snapshot"):
        for fact in names.attached(lake, first, kind):
            names.attach(lake, second, kind, fact["id"], fact["key"])

    def look() -> tuple[str, bool, str]:
        test = opened(lake.root, "overview", recipe="small", version="2")
        (icon,) = [link.proto.icon for link in test.get("page_link") if link.proto.label == "Curate"]
        said = shown(test)
        return said, "check_circle" in icon, "\n".join(error.value for error in test.error)

    said, curated, error = look()
    assert curated is not stops
    assert ("Next: tokenize" in said) is not stops
    assert ("prose lost" in error) is stops
    for view in ("Funnel", "Rejects"):
        test = opened(lake.root, "curation", recipe="small", version="2", view=view)
        assert any("prose lost" in error.value for error in test.error) is stops
    (shards,) = names.attached(lake, first, "token_shards")
    names.attach(lake, second, "token_shards", shards["id"])  # it was allowed more, and went on
    assert look()[1:] == (True, "")


def test_parts_that_versions_share_are_counted_once(small_lake: Path, tmp_path: Path) -> None:
    shutil.copytree(small_lake, tmp_path / "lake", symlinks=True)
    lake = Lake.open(tmp_path / "lake", create=False)
    change = "curation.overrides={prose: {num_words: {min: 30}}}"  # the shards of code stay as they are
    recipe = small_lake.parent / "corpus" / "recipe.yaml"
    assert tilth("tokenize", recipe, "--lake", lake.root, "--set", change).code == 0
    rows = queries.list_things(lake, "token_shards")
    on_disk = sum(path.stat().st_size for path in (lake.root / "token_shards" / "parts").iterdir())
    assert len(rows) == 2
    assert queries.bytes_by_kind(lake)["token_shards"] == on_disk < sum(row["bytes"] for row in rows)


def test_scorecards_give_the_gates_verdict_and_the_items_that_would_decide(
    small_lake: Path, opened: Any
) -> None:
    test = opened(small_lake, "scorecards")
    said = shown(test)
    assert "INCONCLUSIVE" in said
    rules = next(element.value for element in test.dataframe if "holds" in element.value)
    assert set(rules["holds"]) <= {"holds", "broken", "cannot tell"}
    assert rules["needed"].notna().any()
    assert len(test.get("vega_lite_chart") or test.get("arrow_vega_lite_chart")) == 1


def test_a_comparison_against_another_baseline_turns_its_sign(small_lake: Path, opened: Any) -> None:
    def change(baseline: str, candidate: str) -> float:
        test = opened(small_lake, "scorecards", section="Comparison", baseline=baseline)
        table = next(element.value for element in test.dataframe if "verdict" in element.value)
        row = table[(table["checkpoint"] == candidate) & (table["target"] == "holdout/domain")]
        return float(row["delta"].iloc[0])

    assert change("base/4", "replay-30/4") == -change("replay-30/4", "base/4") != 0


def test_the_gate_s_limits_are_drawn_from_its_own_baseline_only(small_lake: Path, opened: Any) -> None:
    drawn = {
        baseline: shown(opened(small_lake, "scorecards", baseline=baseline)).count(
            "a dashed line is the harm"
        )
        for baseline in ("base/4", "replay-30/4")
    }
    assert drawn == {"base/4": 1, "replay-30/4": 0}


def test_scores_stand_side_by_side_with_their_intervals(small_lake: Path, opened: Any) -> None:
    table = opened(small_lake, "scorecards", section="Scores").dataframe[0].value
    assert {"base/4", "replay-00/4", "replay-30/4"} <= set(table.columns)
    assert table["base/4"].str.fullmatch(r"\d+\.\d{4} \[\d+\.\d{4}, \d+\.\d{4}\]").all()


def test_items_that_flipped_are_counted_and_listed(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "scorecards", section="Items", task="endings", candidate="replay-00/4")
    counts = {metric.label: int(metric.value) for metric in test.metric}
    assert sum(counts.values()) == QUESTIONS
    flips = [element.value for element in test.dataframe if "flip" in element.value]
    assert sum(len(table) for table in flips) == counts["Gained"] + counts["Lost"]


def test_held_out_documents_are_listed_by_how_much_they_changed(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "scorecards", section="Items", task="holdout")
    counts = {metric.label: int(metric.value) for metric in test.metric}
    assert counts["Read better"] + counts["Read worse"] <= counts["Documents"]
    changes = next(element.value for element in test.dataframe if "change" in element.value)["change"].astype(
        float
    )
    assert list(changes.abs()) == sorted(changes.abs(), reverse=True)


def test_lineage_of_a_checkpoint_lists_what_the_command_line_lists(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "lineage", ref="small@1/replay-30/3")
    pieces = test.dataframe[-1].value
    lake = Lake.open(small_lake, create=False)
    found = lineage_of_step(lake, names.resolve(lake, "small/replay-30", "run").id, 3)
    assert list(pieces["doc_id"]) == [row["doc_id"] for row in found.documents]


def test_lineage_of_a_document_names_the_steps_that_saw_it(small_lake: Path, opened: Any) -> None:
    lake = Lake.open(small_lake, create=False)
    run = names.resolve(lake, "small/replay-30", "run").id
    document = lineage_of_step(lake, run, 2).documents[0]["doc_id"]
    test = opened(small_lake, "lineage", document=document)
    seen = next(element.value for element in test.dataframe if "steps" in element.value)
    row = seen[seen["run"] == "small@1/replay-30"]
    assert "2" in row["steps"].iloc[0].split(", ")


def test_lineage_of_a_document_names_the_runs_that_went_on_from_one_that_read_it(
    small_lake: Path, opened: Any
) -> None:
    lake = Lake.open(small_lake, create=False)
    run = names.resolve(lake, "small/base", "run").id
    document = lineage_of_step(lake, run, 2).documents[0]["doc_id"]
    test = opened(small_lake, "lineage", document=document)
    found = next(element.value for element in test.dataframe if "base" in element.value)
    assert set(zip(found["run"], found["base"], strict=True)) == {
        ("small@1/replay-00", "small@1/base"), ("small@1/replay-30", "small@1/base"),
    }  # fmt: skip


def test_lineage_of_a_document_lists_the_other_ids_of_its_text(small_lake: Path, opened: Any) -> None:
    """p60 says what p1 says."""
    lake = Lake.open(small_lake, create=False)
    test = opened(small_lake, "lineage", document="p60")
    (found,) = [element.value for element in test.dataframe if "other" in element.value]
    assert list(found["other"]) == [find_document(lake, "p1")["doc_id"]]
    assert list(found["versions"]) == ["small@1"]


def test_a_reference_that_names_nothing_is_a_message(small_lake: Path, opened: Any) -> None:
    assert "nothing is named" in shown(opened(small_lake, "lineage", ref="smell/replay/3"))


def test_an_unknown_recipe_or_version_in_the_address_falls_back_to_what_there_is(
    small_lake: Path, opened: Any
) -> None:
    assert "small@1" in shown(opened(small_lake, "overview", recipe="nonsense", version="7"))


def test_an_address_names_its_version_and_keeps_it(small_lake: Path, tmp_path: Path, opened: Any) -> None:
    lake = Lake(tmp_path / "lake")
    shutil.copytree(small_lake, lake.root, symlinks=True)
    names.claim(lake, "small", "f" * 32, {"name": "small", "sources": []})
    assert opened(lake.root, "overview").query_params["version"] == "2"
    test = opened(lake.root, "scorecards", recipe="small", version="1")
    assert "INCONCLUSIVE" in shown(test)
    assert test.query_params["version"] == "1"
