"""Charts: valid specifications from rows as they come, nothing that JSON cannot hold, thinning that keeps the ends."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import charts
from corpus.schema import PII_TYPES
from quality.curation import Curation
from quality.rules import PRESETS

POINT = {
    "checkpoint": "a/1",
    "x": 1.0,
    "x_low": -math.inf,
    "x_high": math.inf,
    "y": 2.0,
    "y_low": 1.5,
    "y_high": math.nan,
}
CASES: dict[str, Any] = {
    "outcome_bars": lambda: charts.outcome_bars([{"source": "s", "outcome": "kept", "rank": 0, "tokens": math.nan}], "tokens"),
    "rule_heatmap": lambda: charts.rule_heatmap([{"source": "s", "rule": "r", "share": math.nan, "tokens": math.inf}], ["r"], "tokens"),
    "weight_dots": lambda: charts.weight_dots([{"source": "s", "weighting": "natural", "weight": math.nan}]),
    "ledger_areas": lambda: charts.ledger_areas([{"step": 1, "source": "s", "tokens": 10, "epochs": math.inf}]),
    "run_lines": lambda: charts.run_lines([{"run": "r", "step": 1, "value": math.nan, "tokens": 10}], "loss", ["r"]),
    "pareto": lambda: charts.pareto([POINT], ("domain", "general"), [{"x": 0.0, "label": "no change"}, {"y": 0.1, "label": "gate", "limit": True}]),
    "forest": lambda: charts.forest([{"target": "t", "delta": 0.1, "low": -math.inf, "high": math.inf, "verdict": "INCONCLUSIVE"}], "change"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_chart_is_a_valid_specification_without_infinities(name: str) -> None:
    json.dumps(CASES[name]().to_dict(), allow_nan=False)


@given(st.lists(st.integers(), max_size=60), st.integers(2, 20))
def test_thinning_keeps_order_and_both_ends(values: list[int], limit: int) -> None:
    rows = [{"value": value, "at": at} for at, value in enumerate(values)]
    thin = charts.thin(rows, limit)
    assert len(thin) <= max(limit, 0) or len(rows) <= limit
    assert [row["at"] for row in thin] == sorted({row["at"] for row in thin})
    assert thin[:1] == rows[:1]
    assert thin[-1:] == rows[-1:]


def test_every_rule_has_an_outcome_with_a_colour() -> None:
    rules = {
        rule.name
        for name in PRESETS
        for rule in Curation(presets=[name]).for_source("s", "t", "general").rules
    }
    assert len(rules) > 20
    assert {charts.outcome(rule) for rule in rules} == {"quality rule"}
    others = {
        "kept": "kept", "rejected": "not readable", "held_out": "held out", "near_held_out": "held out",
        "exact_duplicate": "duplicate", "near_duplicate": "duplicate", **{f"pii_{kind}": "personal data" for kind in PII_TYPES},
    }  # fmt: skip
    assert {rule: charts.outcome(rule) for rule in others} == others
    assert {*others.values(), "quality rule"} <= set(charts.OUTCOMES)
