"""Scorecards: the gate, comparisons, scores and items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from corpus import names
from tests.app.screens.page import shown
from tests.app.small_lake import QUESTIONS, copy_lake


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


def test_a_run_trained_anew_is_no_candidate_any_more_though_the_page_was_shown_before(
    small_lake: Path, tmp_path: Path, opened: Any
) -> None:
    lake = copy_lake(small_lake, tmp_path)
    (owner,) = names.claims(lake, "small")
    runs = {fact["key"]: fact["id"] for fact in names.attached(lake, owner, "run")}
    assert "replay-30/4" in candidates(opened(lake.root, "scorecards"))
    names.attach(lake, owner, "run", runs["replay-00"], "replay-30")
    assert candidates(opened(lake.root, "scorecards")) == {"replay-00/4"}


def candidates(test: Any) -> set[str]:
    return set(next(element.value for element in test.dataframe if "p_best" in element.value)["checkpoint"])


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
