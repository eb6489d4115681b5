"""Two checkpoints on the same items: differences with intervals and a verdict, and the items behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from app import charts, verdicts
from app.render import interval_label
from app.screens import frame
from corpus.names import Claim
from evals.comparison import Comparison
from evals.metric import METRICS, TASK_METRICS
from evals.scorecard import Scorecard
from evals.task import HOLDOUT_TASK

SHOWN_ITEMS = 200
LEVELS = ["task and role", "source"]


def show_comparison(baseline: str, found: Mapping[str, Sequence[Comparison]]) -> None:
    """Paired differences of one candidate as a picture, and of all candidates as a table."""
    left, middle, right = st.columns([2, 2, 3])
    with left:
        candidate = st.selectbox("Checkpoint", list(found), index=len(found) - 1, key="candidate", bind="query-params")  # fmt: skip
    rows = found[candidate or next(iter(found))]
    interval = interval_label(rows[0].confidence)
    metrics = list(dict.fromkeys(row.metric for row in rows))
    with middle:
        metric = st.selectbox("Metric", metrics, index=metrics.index("bits_per_byte") if "bits_per_byte" in metrics else 0, key="compared", bind="query-params")  # fmt: skip
    with right:
        level = st.segmented_control(
            "By", LEVELS, default=LEVELS[0], key="by", bind="query-params", required=True
        )
    drawn = [row for row in rows if row.metric == metric]
    if drawn and metric:
        points = [{"target": row.target, "delta": row.delta, "low": row.low, "high": row.high, "verdict": str(row.verdict)} for row in drawn]  # fmt: skip
        better = "below zero is better" if METRICS[metric].lower_is_better else "above zero is better"
        st.altair_chart(charts.forest(points, f"{metric}, {candidate} − {baseline} ({better})"), alt=f"Differences of {metric} between {candidate} and {baseline} with {interval}s, a line a task, role or source")  # fmt: skip
    st.subheader("Every comparison", anchor=False)
    listed = [one for compared in found.values() for one in compared if (one.level == "source") == (level == LEVELS[1])]  # fmt: skip
    named = [name for name, compared in found.items() for one in compared if (one.level == "source") == (level == LEVELS[1])]  # fmt: skip
    frame.table([_row(name, one) for name, one in zip(named, listed, strict=True)], COLUMNS | {"interval": frame.text(interval, 145)}, alt="Paired comparisons with interval, p-value, items and verdict", most=24)  # fmt: skip
    st.caption(
        f"Checkpoint − {frame.plain(baseline)} on the same items. **Smallest visible** is the smallest true change that these items would show with a power of 80%. Sources are "
        "explored, so their p-values are adjusted together (Benjamini–Hochberg)."
    )


COLUMNS = {
    "checkpoint": frame.text("Checkpoint", 120), "target": frame.text("Task", 140), "metric": frame.text("Metric", 105), "verdict": frame.text("Verdict", 180), "delta": frame.text("Change", 70),
    "interval": frame.text("Interval", 145), "p": frame.text("p", 70), "n": frame.number("Items"), "needed": frame.number("Would decide", width=105, help="about how many items like these would decide"),
    "baseline": frame.number("Baseline", "%.4f"), "candidate": frame.number("Value", "%.4f"), "mde": frame.number("Smallest visible", "%.4f", width=130),
}  # fmt: skip


def _row(name: str, one: Comparison) -> dict[str, Any]:
    return {
        "checkpoint": name, "target": one.target, "metric": one.metric, "baseline": one.baseline, "candidate": one.candidate, "delta": f"{one.delta:+.4f}",
        "interval": f"[{one.low:+.4f}, {one.high:+.4f}]", "p": f"{one.p_adjusted:.2g}", "n": one.num_items, "mde": one.minimum_detectable, "verdict": str(one.verdict), "needed": one.num_needed,
    }  # fmt: skip


# ── items ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def show_items(
    owner: Claim, cards: Mapping[str, Scorecard], baseline: str, candidates: Sequence[str]
) -> None:
    """The items that a candidate gained and lost, or the documents that it reads better and worse."""
    left, right = st.columns(2)
    candidate = left.selectbox("Checkpoint", list(candidates), index=len(candidates) - 1, key="candidate", bind="query-params") or candidates[-1]  # fmt: skip
    tasks = sorted(set(cards[baseline].header.tasks) & set(cards[candidate].header.tasks))
    task = right.selectbox("Task", tasks, key="task", bind="query-params") or tasks[0]
    if task == HOLDOUT_TASK:
        documents(owner, cards[baseline], cards[candidate])
    else:
        choices(cards[baseline], cards[candidate], task)


def choices(before: Scorecard, after: Scorecard, task: str) -> None:
    """Right to wrong and wrong to right, by item; the questions' text stays in the task's own files."""
    metric = st.segmented_control("Metric", TASK_METRICS["multiple_choice"][:2], default="acc", key="flips", required=True) or "acc"  # fmt: skip
    changes = verdicts.item_changes(before, after, task, metric)
    counts = verdicts.flip_counts(changes)
    for column, (word, count) in zip(st.columns(4), counts.items(), strict=True):
        column.metric(word.capitalize(), f"{count:,}", border=True)
    flips = verdicts.largest_changes(changes, SHOWN_ITEMS)
    if not flips:
        st.caption("No item changed.")
        return
    rows = [{**row, "flip": "gained" if row["change"] > 0 else "lost"} for row in flips]
    columns = {"flip": frame.text("Flip"), "item": frame.text("Item"), "source": frame.text("Source"), "right": frame.text("Right choice"), "said_before": frame.text(f"{before.name} said"), "said_after": frame.text(f"{after.name} said")}  # fmt: skip
    frame.table(rows, columns, alt="Items that changed between right and wrong", most=18)
    st.caption("Choices are numbered from 0. An item is known by the hash of its content; its text stays in the task's files.")  # fmt: skip


def documents(owner: Claim, before: Scorecard, after: Scorecard) -> None:
    """Held-out documents by how much their bits per byte changed."""
    changes = verdicts.item_changes(before, after, HOLDOUT_TASK, "bits_per_byte")
    better, worse = changes.filter(changes["change"] < 0).height, changes.filter(changes["change"] > 0).height
    columns = st.columns(4)
    for column, (label, count) in zip(columns, {"Read better": better, "Read worse": worse, "Documents": changes.height}.items(), strict=False):  # fmt: skip
        column.metric(label, f"{count:,}", border=True)
    rows = verdicts.largest_changes(changes, SHOWN_ITEMS)
    chosen = frame.table([{**row, "change": f"{row['change']:+.4f}"} for row in rows], DOCUMENT_COLUMNS, alt="Held-out documents by change of bits per byte, largest first", select=True, key="changed documents", most=18)  # fmt: skip
    st.caption("Largest changes first; below zero is better. Select a row to read the document.")
    if chosen is not None:
        where = frame.address(owner, view="Documents", doc=rows[chosen]["item"])
        st.page_link("curation.py", label=f"Read {rows[chosen]['item'][:12]}", icon=":material/description:", query_params=where)  # fmt: skip


DOCUMENT_COLUMNS = {
    "item": frame.text("Document"), "source": frame.text("Source"), "role": frame.text("Role"), "bytes": frame.number("Bytes"), "before": frame.number("Baseline", "%.4f"),
    "after": frame.number("Checkpoint", "%.4f"), "change": frame.text("Change"),
}  # fmt: skip
