"""The app's charts, from plain rows: Altair specifications, no Streamlit.

Colours are Okabe and Ito's, told apart by people who see colours differently; where a colour carries a verdict, a shape or
a word does too. Every chart has its sentence for screen readers in the page that shows it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt

Rows = Sequence[Mapping[str, Any]]

COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C8C8C", "#B8A90B"]
GREY, BLUE, ORANGE, VERMILLION = "#8C8C8C", "#0072B2", "#E69F00", "#D55E00"
OUTCOMES = {
    "kept": "#0072B2", "quality rule": "#E69F00", "duplicate": "#56B4E9", "personal data": "#CC79A7", "held out": "#009E73", "not readable": "#8C8C8C",
}  # fmt: skip
VERDICTS = {
    "IMPROVED": BLUE,
    "NO CHANGE WITHIN MARGIN": GREY,
    "INCONCLUSIVE": ORANGE,
    "REGRESSED": VERMILLION,
}
SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]
MAX_POINTS = 400  # of one line; more cannot be told apart at the width of a page


def outcome(rule: str) -> str:
    """What kind of outcome a row of the funnel is."""
    if rule in ("kept", "rejected"):
        return {"kept": "kept", "rejected": "not readable"}[rule]
    if rule in ("held_out", "near_held_out"):
        return "held out"
    if rule in ("exact_duplicate", "near_duplicate"):
        return "duplicate"
    return "personal data" if rule.startswith("pii_") else "quality rule"


# ── curation ────────────────────────────────────────────────────────────────────────────────────────────────────────


def outcome_bars(rows: Rows, unit: str) -> alt.Chart:
    """Shares of what was read by source and outcome; rows have source, outcome and `unit` (documents or tokens)."""
    return (
        _chart(rows)
        .mark_bar(height={"band": 0.7})
        .encode(
            x=alt.X(f"sum({unit}):Q", stack="normalize", axis=alt.Axis(format="%"), title=f"share of {unit} read"),
            y=alt.Y("source:N", title=None, axis=alt.Axis(labelLimit=200)),
            color=alt.Color("outcome:N", scale=_scale(OUTCOMES), legend=_legend("top", 3)),
            order=alt.Order("rank:Q"),
            tooltip=["source:N", "outcome:N", alt.Tooltip(f"sum({unit}):Q", format=",", title=unit)],
        )
        .properties(height=40 * len({row["source"] for row in rows}) + 130)
    )  # fmt: skip


def rule_heatmap(rows: Rows, rules: Sequence[str], unit: str) -> alt.LayerChart:
    """Share of each source that a rule was the first to drop; rows have source, rule, share and `unit`."""
    many = len({row["source"] for row in rows}) > 4
    base = _chart(rows).encode(
        x=alt.X("source:N", title=None, axis=alt.Axis(labelAngle=-40 if many else 0, labelLimit=120, labelOverlap=False, orient="top")),
        y=alt.Y("rule:N", title=None, sort=list(rules), axis=alt.Axis(labelLimit=220)),
        tooltip=["source:N", "rule:N", alt.Tooltip(f"{unit}:Q", format=","), alt.Tooltip("share:Q", format=".2%")],
    )  # fmt: skip
    scale = alt.Scale(scheme="blues", domainMin=0, domainMax=max([0.05, *(row["share"] for row in rows)]))
    cells = base.mark_rect(cornerRadius=2).encode(color=alt.Color("share:Q", scale=scale, legend=None))
    top = max([0.05, *(row["share"] for row in rows)])
    words = base.mark_text(fontSize=11).encode(
        text=alt.Text("share:Q", format=".1%"),
        color=alt.condition(f"datum.share > {top * 0.55}", alt.value("white"), alt.value("#333333")),
    )
    return alt.layer(cells, words).properties(height=26 * len(rules) + (90 if many else 40))


# ── mixture ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def weight_dots(rows: Rows) -> alt.LayerChart:
    """Weights by source beside the baselines; rows have source, weighting (this mixture, natural, …) and weight."""
    order = ["this mixture", "natural", "uniform", "UniMax"]
    base = _chart(rows).encode(y=alt.Y("source:N", title=None, axis=alt.Axis(labelLimit=200)))
    span = base.mark_rule(color=GREY, opacity=0.4).encode(x="min(weight):Q", x2="max(weight):Q")
    dots = base.mark_point(size=110, filled=True, opacity=0.9).encode(
        x=alt.X("weight:Q", axis=alt.Axis(format="%"), title="share of tokens"),
        color=alt.Color("weighting:N", scale=alt.Scale(domain=order, range=COLOURS[:4]), legend=_legend("top")),
        shape=alt.Shape("weighting:N", scale=alt.Scale(domain=order, range=SHAPES[:4])),
        tooltip=["source:N", "weighting:N", alt.Tooltip("weight:Q", format=".2%")],
    )  # fmt: skip
    return alt.layer(span, dots).properties(height=40 * len({row["source"] for row in rows}) + 110)


def ledger_areas(rows: Rows) -> alt.Chart:
    """Tokens consumed by source over the steps of a plan; rows have step, source, tokens and epochs."""
    return (
        _chart(rows)
        .mark_area(line=True, opacity=0.75)
        .encode(
            x=_steps(),
            y=alt.Y("tokens:Q", title="tokens consumed", axis=alt.Axis(format="~s")),
            color=alt.Color("source:N", scale=alt.Scale(range=COLOURS), legend=_legend("top")),
            tooltip=["step:Q", "source:N", alt.Tooltip("tokens:Q", format=","), alt.Tooltip("epochs:Q", format=".2f")],
        )
        .properties(height=280)
    )  # fmt: skip


# ── training ────────────────────────────────────────────────────────────────────────────────────────────────────────


DASHES = [[1, 0], [6, 2], [2, 2], [8, 2, 2, 2], [10, 4], [1, 3]]


def run_lines(
    rows: Rows, title: str, runs: Sequence[str], *, height: int = 280, format: str = "~g", dots: bool = False, legend: bool = True, zero: bool = False
) -> alt.LayerChart:  # fmt: skip
    """A figure over the steps of runs; rows have run, step, value and tokens. Runs differ in colour and dash."""
    key = alt.Legend(orient="top", title=None, symbolType="stroke", symbolStrokeWidth=3, symbolSize=500) if legend else None  # fmt: skip
    base = _chart(rows).encode(
        x=_steps(),
        y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=zero, nice=True), axis=alt.Axis(format=format, tickCount=5)),
        color=alt.Color("run:N", scale=alt.Scale(domain=list(runs), range=COLOURS), legend=key),
        tooltip=["run:N", "step:Q", alt.Tooltip("value:Q", format=".5~g", title=title), alt.Tooltip("tokens:Q", format=",")],
    )  # fmt: skip
    dashes = alt.StrokeDash("run:N", scale=alt.Scale(domain=list(runs), range=DASHES), legend=key)
    lines = base.mark_line(strokeWidth=1.8).encode(strokeDash=dashes)
    points = base.mark_point(filled=True, size=40 if dots else 12, opacity=1 if dots else 0)
    return alt.layer(lines, points).properties(height=height)


def thin(rows: list[dict[str, Any]], limit: int = MAX_POINTS) -> list[dict[str, Any]]:
    """At most about `limit` rows in their order, the first and last among them: means would hide a spike's step."""
    if len(rows) <= limit:
        return rows
    stride = (len(rows) - 1) / (limit - 1)
    return [rows[round(i * stride)] for i in range(limit)]


# ── scorecards ──────────────────────────────────────────────────────────────────────────────────────────────────────


def pareto(rows: Rows, titles: tuple[str, str], lines: Sequence[Mapping[str, Any]] = (), format: str = ".3f") -> alt.LayerChart:  # fmt: skip
    """Checkpoints as points with their intervals as crosses; rows have checkpoint, x, x_low, x_high, y, y_low, y_high.

    Each of `lines` has `x` or `y`, and a `label`: thresholds, such as no change and the most harm that the gate allows.
    """
    names = [str(row["checkpoint"]) for row in rows]
    scale, axis = alt.Scale(zero=False, padding=24), alt.Axis(format=format, tickCount=7)
    x, y = alt.X("x:Q", scale=scale, axis=axis, title=titles[0]), alt.Y("y:Q", scale=scale, axis=axis, title=titles[1])  # fmt: skip
    colour = alt.Color("checkpoint:N", scale=alt.Scale(domain=names, range=COLOURS), legend=_legend("top"))
    base = _chart(rows).encode(color=colour)
    wide = base.mark_rule(strokeWidth=1.8).encode(x=alt.X("x_low:Q", scale=scale, axis=axis, title=titles[0]), x2="x_high:Q", y=y)  # fmt: skip
    tall = base.mark_rule(strokeWidth=1.8).encode(x=x, y=alt.Y("y_low:Q", scale=scale, axis=axis, title=titles[1]), y2="y_high:Q")  # fmt: skip
    points = base.mark_point(filled=True, size=150, opacity=1).encode(
        x=x, y=y,
        shape=alt.Shape("checkpoint:N", scale=alt.Scale(domain=names, range=SHAPES), legend=None),
        tooltip=["checkpoint:N", alt.Tooltip("x:Q", format=".4f", title=titles[0]), alt.Tooltip("y:Q", format=".4f", title=titles[1])],
    )  # fmt: skip
    return alt.layer(*[layer for line in lines for layer in _threshold(line)], wide, tall, points).properties(height=420)  # fmt: skip


def _threshold(line: Mapping[str, Any]) -> tuple[alt.Chart, alt.Chart]:
    """A labelled line across the plot: solid grey for no change, dashed for a limit."""
    upright, limit = "x" in line, bool(line.get("limit"))
    base = _chart([line])
    place = {"x": alt.X("x:Q")} if upright else {"y": alt.Y("y:Q")}
    rule = base.mark_rule(color=VERMILLION if limit else GREY, strokeDash=[6, 4] if limit else [1, 0], opacity=0.8).encode(**place)  # fmt: skip
    where = (
        {"y": alt.value(8), "align": "left", "dx": 5}
        if upright
        else {"x": alt.value(6), "align": "left", "dy": -7}
    )
    words = base.mark_text(color=VERMILLION if limit else GREY, fontSize=11, align="left", dx=where.get("dx", 0), dy=where.get("dy", 0))  # fmt: skip
    return rule, words.encode(
        text="label:N", **place, **{key: where[key] for key in ("x", "y") if key in where}
    )


def forest(rows: Rows, title: str) -> alt.LayerChart:
    """Paired differences with their intervals; rows have target, delta, low, high and verdict. Zero is marked."""
    order = [str(row["target"]) for row in rows]
    base = _chart(rows).encode(
        y=alt.Y("target:N", sort=order, title=None, axis=alt.Axis(labelLimit=240)),
        color=alt.Color("verdict:N", scale=_scale(VERDICTS), legend=_legend("top")),
    )
    shapes = alt.Scale(domain=list(VERDICTS), range=["triangle-up", "square", "circle", "triangle-down"])
    zero = _chart([{"at": 0}]).mark_rule(color=GREY).encode(x="at:Q")
    bars = base.mark_rule(strokeWidth=2.5).encode(x=alt.X("low:Q", title=title, scale=alt.Scale(padding=20), axis=alt.Axis(tickCount=8)), x2="high:Q")  # fmt: skip
    points = base.mark_point(filled=True, size=110, opacity=1).encode(
        x="delta:Q",
        shape=alt.Shape("verdict:N", scale=shapes, legend=None),
        tooltip=["target:N", alt.Tooltip("delta:Q", format="+.4f"), alt.Tooltip("low:Q", format="+.4f"), alt.Tooltip("high:Q", format="+.4f"), "verdict:N"],
    )  # fmt: skip
    return alt.layer(zero, bars, points).properties(height=34 * len(rows) + 110)


def _chart(rows: Rows) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=_finite(rows)))


def _scale(colours: Mapping[str, str]) -> alt.Scale:
    return alt.Scale(domain=list(colours), range=list(colours.values()))


def _steps() -> alt.X:
    return alt.X("step:Q", title="step", axis=alt.Axis(format=",d", tickMinStep=1))


def _legend(orient: str, columns: int = 4) -> alt.Legend:
    return alt.Legend(orient=orient, title=None, labelLimit=260, columns=columns)


def _finite(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """JSON has neither infinity nor NaN: an interval without an end is drawn without one, a loss that is no number not at all."""
    return [
        {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()}
        for row in rows
    ]  # fmt: skip
