"""Scorecards: the gate's verdict, what was traded for what, scores side by side, and every comparison with its error bar."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from app import charts, verdicts
from app.evaluation import scorecard_ids
from app.render import interval_label, why_behind
from app.screens import frame, loaded
from app.screens.comparisons import show_comparison, show_items
from corpus import names
from corpus.lake import Lake
from corpus.names import Claim
from evals.gate import Gate, GateResult
from evals.metric import METRICS, find_metric
from evals.scorecard import Scorecard
from evals.select import Selection

VIEWS = ["Verdict", "Comparison", "Items", "Scores"]
WORDS = {"PASSED": ("green", ":material/check_circle:"), "FAILED": ("red", ":material/cancel:"), "INCONCLUSIVE": ("orange", ":material/help:")}  # fmt: skip
DIRECTION = {True: "lower is better", False: "higher is better"}


@dataclass(frozen=True)
class Stored:
    """A version's scorecards with what caches know them by, and the chosen baseline and candidates."""

    lake: Lake
    owner: Claim
    ids: tuple[str, ...]
    cards: Mapping[str, Scorecard]
    baseline: str
    candidates: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str, int, tuple[str, ...]]:
        return str(self.lake.root), self.owner.name, self.owner.version, self.ids

    @property
    def interval(self) -> str:
        """What its intervals are called."""
        return interval_label(verdicts.confidence_of(verdicts.stored_gate(self.owner)))


def show(lake: Lake, owner: Claim) -> None:
    ids = scorecard_ids(lake, owner)
    if not ids:
        frame.missing(lake, owner, "scorecard", "scorecard", "tilth eval RECIPE", "scorecards.py")
        return
    cards = loaded.scorecards(str(lake.root), owner.name, owner.version, ids)
    view = st.segmented_control("View", VIEWS, default=VIEWS[0], key="section", bind="query-params", required=True, label_visibility="collapsed") or VIEWS[0]  # fmt: skip
    stored = choose(lake, owner, ids, cards)
    if view == "Verdict":
        selection = verdict(stored)
        trade_off(stored)
        if selection:
            gates(selection)
    elif view == "Scores":
        scores(stored)
    elif not stored.candidates:
        st.info("There is nothing beside the baseline to compare.", icon=":material/inbox:")
    else:
        found, refused = loaded.comparisons(*stored.key, stored.baseline, stored.candidates)
        for name, why in refused.items():
            st.warning(f"{frame.plain(name)} cannot be compared.", icon=":material/block:")
            st.code(why, language=None, wrap_lines=True)
        if found and view == "Comparison":
            show_comparison(stored.baseline, found)
        elif found:
            show_items(stored.owner, stored.cards, stored.baseline, list(found))


def choose(lake: Lake, owner: Claim, ids: tuple[str, ...], cards: Mapping[str, Scorecard]) -> Stored:
    left, right = st.columns([1, 3])
    default = verdicts.default_baseline(owner, cards)
    baseline = left.selectbox("Baseline", list(cards), index=list(cards).index(default), key="baseline", bind="query-params") or default  # fmt: skip
    others = [name for name in cards if name != baseline]
    with right:
        chosen = st.pills("Only these checkpoints", others, selection_mode="multi", key=f"checkpoints against {baseline}")  # fmt: skip
    return Stored(
        lake, owner, ids, cards, baseline, tuple(name for name in others if not chosen or name in chosen)
    )


# ── the gate and the selection ──────────────────────────────────────────────────────────────────────────────────────


def verdict(stored: Stored) -> Selection | None:
    """The recipe's gate over the stored scorecards, and what it selects."""
    if verdicts.stored_gate(stored.owner) is None:
        st.info("The recipe has no gate, so there is no verdict. The comparisons stand for themselves.", icon=":material/info:")  # fmt: skip
        return None
    champion = json.dumps(names.alias(stored.lake, stored.owner.name, "champion"), sort_keys=True)
    with frame.guarded():
        selection = loaded.selection(*stored.key, champion)
        if selection is None:
            st.info("Only the baseline was scored so far.", icon=":material/inbox:")
            return None
        banner(selection)
        candidates(selection)
        return selection
    return None


def gates(selection: Selection) -> None:
    """Every rule of the gate for every candidate."""
    st.subheader("The gate, rule by rule", anchor=False)
    for row in selection.rows:
        color, icon = WORDS[row.gate.verdict]
        with st.expander(f"{frame.plain(row.name)}: :{color}[{row.gate.verdict}]", icon=icon, expanded=True):
            rules(row.gate)
    st.caption(
        f"Against {frame.plain(selection.rows[0].gate.baseline)}. A gain is tested against no change. A guard is a test of non-inferiority: it holds when harm beyond its margin is "
        "refuted, and cannot tell otherwise; guards are adjusted together (Holm)."
    )


def banner(selection: Selection) -> None:
    if selection.chosen:
        st.success(f"**{frame.plain(selection.chosen)}** passes the gate and is the best of those that can be chosen.", icon=":material/check_circle:")  # fmt: skip
    elif selection.verdict == "INCONCLUSIVE":
        st.warning("**INCONCLUSIVE**: no checkpoint passes the gate, and for at least one the items cannot tell. Below stands how many would.", icon=":material/help:")  # fmt: skip
    else:
        st.error(
            "**FAILED**: no checkpoint passes the gate and holds against the champion.",
            icon=":material/cancel:",
        )
    for gate in selection.behind_champion:
        st.caption(frame.plain(f"Not chosen: {why_behind(gate)}."))
    if selection.champion_left_out:
        st.caption(frame.plain(f"{selection.champion_left_out}."))


def candidates(selection: Selection) -> None:
    target, metric = selection.axes[0]
    rows = [
        {
            "checkpoint": row.name, "gate": row.gate.verdict, "objective": row.objective, "interval": f"[{row.low:.4f}, {row.high:.4f}]", "p_best": row.p_best,
            "pareto": row.pareto, "dominated": ", ".join(row.dominated_by), "champion": "is champion" if row.is_champion else row.against_champion.verdict if row.against_champion else "",
        }
        for row in selection.rows
    ]  # fmt: skip
    columns = {
        "checkpoint": frame.text("Checkpoint"), "gate": frame.text("Gate"), "objective": frame.number(f"{target} {metric}", "%.4f", help=DIRECTION[find_metric(metric).lower_is_better]),
        "interval": frame.text(interval_label(selection.rows[0].gate.confidence)), "p_best": frame.share("P(best)", help=f"of those that can be chosen: how often it would be the best on {target} {metric} if its items were drawn again"),
        "pareto": st.column_config.CheckboxColumn("In the Pareto set", help="no other is surely better on every axis of the gate"), "dominated": frame.text("Dominated by"),
        "champion": frame.text("Against the champion"),
    }  # fmt: skip
    frame.table(rows, columns, alt="Candidates with gate, objective, Pareto set and chance of being the best")
    st.caption(
        f"A checkpoint can be chosen that passes the gate and is not shown to be worse than the champion. P(best) draws the items of {frame.plain(target)} again, {selection.draws:,} times; "
        "the gate's verdicts stand as they are."
    )


def rules(result: GateResult) -> None:
    rows = [
        {
            "rule": f"{rule.kind}: {rule.target} {rule.metric} {rule.criterion}", "holds": {True: "holds", False: "broken", None: "cannot tell"}[rule.passed], "verdict": str(rule.verdict),
            "delta": f"{rule.delta:+.4f}", "interval": f"[{rule.low:+.4f}, {rule.high:+.4f}]", "p": f"{rule.p_adjusted:.2g}", "n": rule.num_items, "needed": rule.num_needed,
            "baseline": rule.baseline, "candidate": rule.candidate, "mde": rule.minimum_detectable,
        }
        for rule in result.rules
    ]  # fmt: skip
    columns = RULE_COLUMNS | {"interval": frame.text(interval_label(result.confidence), 128)}
    frame.table(rows, columns, alt=f"Rules of the gate for {result.candidate} against {result.baseline}")


RULE_COLUMNS = {
    "rule": frame.text("Rule", 318), "holds": frame.text("It", 75), "verdict": frame.text("Verdict", 178), "delta": frame.text("Change", 70), "interval": frame.text("Interval", 128),
    "p": frame.text("p", 60, help="a gain: against no change; a guard: against harm of its margin, adjusted"), "n": frame.number("Items", width=55),
    "needed": frame.number("Would decide", width=97, help="about how many items like these would decide"), "baseline": frame.number("Baseline", "%.4f"), "candidate": frame.number("Checkpoint", "%.4f"),
    "mde": frame.number("Smallest visible", "%.4f", width=130, help="the smallest true change that these items would show with a power of 80%"),
}  # fmt: skip


# ── what was traded ─────────────────────────────────────────────────────────────────────────────────────────────────


def trade_off(stored: Stored) -> None:
    """One target against another, as changes from the baseline (paired, so narrow) or as values."""
    values = [one for one in loaded.values(*stored.key) if one.level != "source"]
    known = list(dict.fromkeys(f"{one.target} {one.metric}" for one in values))
    if len(known) < 2:
        return
    st.subheader("Domain against general", anchor=False)
    x, y = default_axes(stored.owner, known)
    left, middle, right = st.columns(3)
    x = left.selectbox("Across", known, index=known.index(x), key="x", bind="query-params") or x
    y = middle.selectbox("Up", known, index=known.index(y), key="y", bind="query-params") or y
    with right:
        mode = st.segmented_control("Show", ["change", "values"], default="change", key="show", bind="query-params", required=True)  # fmt: skip
    rows = changes(stored, x, y) if mode == "change" else absolute(stored, values, x, y)
    if not rows:
        st.caption("Nothing to show: choose a checkpoint.")
        return
    word = "change of " if mode == "change" else ""
    lines = thresholds(stored, x, y) if mode == "change" else []
    titles = f"{word}{x}", f"{word}{y}"
    intervals = f"{stored.interval}s"
    st.altair_chart(charts.pareto(rows, titles, lines), alt=f"Scatter of checkpoints with {intervals}: {titles[0]} across, {titles[1]} up")  # fmt: skip
    sides = [f"{axis}: {DIRECTION[find_metric(axis.rpartition(' ')[2]).lower_is_better]}" for axis in (x, y)]
    told = f"Changes against {stored.baseline}, paired by item{'; a dashed line is the harm that the gate still allows' if any(line.get('limit') for line in lines) else ''}. " if mode == "change" else "Intervals of values hold the items' own spread: two that overlap can still differ surely, see the change. "  # fmt: skip
    st.caption(frame.plain(f"{'; '.join(sides)}. Crosses are {intervals}. {told}"))


def default_axes(owner: Claim, known: list[str]) -> tuple[str, str]:
    """The first gain across and the first guard of the same metric up, else held-out domain and general, else what there is."""
    gate = verdicts.stored_gate(owner)
    wanted = [f"{target} {metric}" for _, target, metric, _ in gate.rules()] if gate else []
    gains = (
        {f"{target} {metric}" for kind, target, metric, _ in gate.rules() if kind == "gain"}
        if gate
        else set()
    )
    same = sorted(wanted, key=lambda axis: "bits_per_byte" not in axis)
    across = [axis for axis in [*same, "holdout/domain bits_per_byte", *known] if axis in known and (not gains or axis in gains)] or known  # fmt: skip
    up = [axis for axis in [*same, "holdout/general bits_per_byte", *known] if axis in known and axis not in (across[0], *gains)] or known  # fmt: skip
    return across[0], up[0]


def changes(stored: Stored, x: str, y: str) -> list[dict[str, Any]]:
    if not stored.candidates:
        return []
    found, _ = loaded.comparisons(*stored.key, stored.baseline, stored.candidates)
    rows = []
    for name, compared in found.items():
        by_axis = {f"{one.target} {one.metric}": one for one in compared}
        if x in by_axis and y in by_axis:
            a, b = by_axis[x], by_axis[y]
            rows.append({"checkpoint": name, "x": a.delta, "x_low": a.low, "x_high": a.high, "y": b.delta, "y_low": b.low, "y_high": b.high})  # fmt: skip
    return rows


def absolute(stored: Stored, values: list[verdicts.Value], x: str, y: str) -> list[dict[str, Any]]:
    rows = []
    for name in (stored.baseline, *stored.candidates):
        mine = {f"{one.target} {one.metric}": one for one in values if one.checkpoint == name}
        if x in mine and y in mine:
            a, b = mine[x], mine[y]
            rows.append({"checkpoint": name, "x": a.value, "x_low": a.low, "x_high": a.high, "y": b.value, "y_low": b.low, "y_high": b.high})  # fmt: skip
    return rows


def thresholds(stored: Stored, x: str, y: str) -> list[dict[str, Any]]:
    """No change on both axes, and the gate's margins where this baseline is the gate's and it guards them."""
    lines: list[dict[str, Any]] = [{"x": 0.0, "label": "no change"}, {"y": 0.0, "label": "no change"}]
    gate: Gate | None = verdicts.stored_gate(stored.owner)
    if gate is None or verdicts.gate_baseline(gate, stored.cards) != stored.baseline:
        return lines
    values = {f"{one.target} {one.metric}": one.value for one in loaded.values(*stored.key) if one.checkpoint == stored.baseline}  # fmt: skip
    for _, target, metric, guard in gate.rules():
        axis = f"{target} {metric}"
        if guard is not None and axis in (x, y) and axis in values:
            limit = (1 if METRICS[metric].lower_is_better else -1) * guard.margin.absolute(values[axis])
            lines.append({"x" if axis == x else "y": limit, "label": f"gate: {guard}", "limit": True})
    return lines


# ── side by side ────────────────────────────────────────────────────────────────────────────────────────────────────


def scores(stored: Stored) -> None:
    """One row a task, role or source and metric; one column a checkpoint: value and interval."""
    values = loaded.values(*stored.key)
    metrics = list(dict.fromkeys(one.metric for one in values))
    left, right = st.columns(2)
    with left:
        metric = st.segmented_control("Metric", ["all", *metrics], default="all", key="metric", bind="query-params", required=True)  # fmt: skip
    with right:
        level = st.segmented_control("By", ["task and role", "source"], default="task and role", key="by", bind="query-params", required=True)  # fmt: skip
    shown = [
        one
        for one in values
        if metric in ("all", one.metric) and (one.level == "source") == (level == "source")
    ]
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for one in shown:
        row = rows.setdefault((one.target, one.metric), {"target": one.target, "metric": one.metric, "better": "lower" if METRICS[one.metric].lower_is_better else "higher", "items": one.num_items})  # fmt: skip
        row[one.checkpoint] = f"{one.value:.4f} [{one.low:.4f}, {one.high:.4f}]" if one.low is not None else f"{one.value:.4f}"  # fmt: skip
    order = [stored.baseline, *stored.candidates]
    columns = {"target": frame.text("Task"), "metric": frame.text("Metric"), "better": frame.text("Better is"), "items": frame.number("Items")} | {name: frame.text(name) for name in order}  # fmt: skip
    frame.table(
        list(rows.values()), columns, alt=f"Scores of every checkpoint with {stored.interval}s", most=24
    )
    st.caption(f"Value and {stored.interval}, clustered where items belong together; Wilson's for shares of independent items. The baseline stands first.")  # fmt: skip


if __name__ == "__main__":
    frame.page(
        "Scorecards", "What each checkpoint can do, against a baseline, item by item, with error bars.", show
    )
