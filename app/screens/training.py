"""Training: losses by source, held-out losses, pace, events and checkpoints; it follows runs while they go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from app import charts, queries
from app.screens import frame, loaded
from corpus import names
from corpus.lake import Lake
from corpus.names import Claim
from corpus.run_rows import checkpoint_rows

REFRESH_SECONDS, WAIT_SECONDS = 3, 15  # while a run goes; while one is still to come
HELD_OUT, HELD_OUT_GROUP = "held_out_loss", "held_out_group_loss"
WORDS = {"done": "done", "stopped": "stopped by its monitor", "not_finite": "stopped: a number was not finite", "failed": "failed", "interrupted": "interrupted; the same command resumes"}  # fmt: skip


def show(lake: Lake, owner: Claim) -> None:
    begun = begun_runs(lake, owner)
    if not begun:
        frame.missing(lake, owner, "run", "training run", "tilth train RECIPE", "training.py")
        return
    chosen = st.pills("Only these runs", list(begun), selection_mode="multi", key="runs", bind="query-params")  # fmt: skip
    picked = {
        name: begun[name] for name in begun if not chosen or name in chosen
    }  # none chosen: all, those too that begin while one looks
    going = [name for name, id in begun.items() if queries.is_running(lake, id)]
    seconds = REFRESH_SECONDS if going else WAIT_SECONDS if awaited(lake, owner, begun) else None
    st.fragment(board, run_every=seconds)(lake, owner, picked, list(begun), going)


def begun_runs(lake: Lake, owner: Claim) -> dict[str, str]:
    """Name → id of the version's runs that have a folder."""
    there = set(queries.run_ids(lake))
    return {fact["key"]: fact["id"] for fact in names.attached(lake, owner, "run") if fact["id"] in there}


def awaited(lake: Lake, owner: Claim, begun: Mapping[str, str]) -> list[str]:
    """The version's runs that have not begun or not ended; without a section `runs` there is one, `main`."""
    return [name for name in owner.recipe.get("runs") or ["main"] if not is_finished(lake, begun.get(name))]


def is_finished(lake: Lake, run_id: str | None) -> bool:
    return run_id is not None and queries.run_status(lake, run_id)["status"] != "running"


def board(
    lake: Lake, owner: Claim, runs: Mapping[str, str], order: Sequence[str], going: Sequence[str]
) -> None:
    """Everything of the chosen runs; asked again every few seconds while one of them goes."""
    with frame.guarded():
        begun = begun_runs(lake, owner)
        if list(begun) != list(order) or [name for name, id in begun.items() if queries.is_running(lake, id)] != list(going):  # fmt: skip
            st.rerun()  # one has begun or ended: the whole page is drawn anew
        rows = figures(lake, runs)
        state(lake, runs, rows)
        losses(rows, order)
        held_out(rows, order)
        pace(rows, order)
        happened(lake, owner, runs)


def figures(lake: Lake, runs: Mapping[str, str]) -> list[dict[str, Any]]:
    """The metrics of the runs as rows with run, name, source, step, value and tokens."""
    found = []
    for name, run_id in runs.items():
        path = lake.runs / run_id / "metrics.jsonl"
        stored = loaded.metrics(str(lake.root), run_id, path.stat().st_size) if path.exists() else []
        found += [{**row, "run": name} for row in stored if row["value"] is not None]
    return found


# ── how the runs stand ──────────────────────────────────────────────────────────────────────────────────────────────


def state(lake: Lake, runs: Mapping[str, str], rows: list[dict[str, Any]]) -> None:
    """Where each run stands; its status is written at checkpoints only, its metrics at every step."""
    columns = st.columns(max(3, len(runs)))
    for column, (name, run_id) in zip(columns, runs.items(), strict=False):
        status = queries.run_status(lake, run_id)
        steps = [row["step"] for row in rows if row["run"] == name]
        last, whole = max([int(status.get("last_step") or 0), *steps]), int(status.get("max_steps") or 0)
        with column.container(border=True):
            st.markdown(f"**{frame.plain(name)}**")
            st.progress(min(1.0, last / whole) if whole else 0.0, text=f"step {last:,} of {whole:,}" if whole else "starting")  # fmt: skip
            st.caption(" · ".join(described(lake, run_id, status)))


def described(lake: Lake, run_id: str, status: Mapping[str, Any]) -> list[str]:
    word = WORDS.get(status["status"], status["status"])
    if status["status"] == "running":
        word = "training now" if queries.is_running(lake, run_id) else "no process trains it; the same command resumes"  # fmt: skip
    parameters = status.get("num_parameters")
    facts = [f"{parameters / 1e6:,.2f} M parameters" if parameters else None, status.get("precision"), f"from {queries.run_lineage(lake, run_id).get('base', '?')}"]  # fmt: skip
    return [word, *(frame.plain(fact) for fact in facts if fact)]


# ── curves ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def losses(rows: list[dict[str, Any]], order: Sequence[str]) -> None:
    overall = pick(rows, "loss", None)
    if not overall:
        st.caption("No step is done yet.")
        return
    st.subheader("Training loss", anchor=False)
    st.altair_chart(charts.run_lines(overall, "nats per token", order), alt="Lines: training loss over steps, a line a run")  # fmt: skip
    with st.expander("Training loss by source", expanded=True):
        grid(rows, "loss", order, "Training loss of {source} over steps, a line a run")


def held_out(rows: list[dict[str, Any]], order: Sequence[str]) -> None:
    measured = [row for row in rows if row["name"] in (HELD_OUT, HELD_OUT_GROUP)]
    if not measured:
        return
    st.subheader("Held-out loss", anchor=False)
    st.caption("Measured during the run on the same held-out text each time; at step 0 before anything was learned. Lower is better.")  # fmt: skip
    grid(
        rows,
        HELD_OUT_GROUP,
        order,
        "Held-out loss of {source} sources over steps, a line a run",
        dots=True,
        suffix=" (role)",
    )
    with st.expander("Held-out loss by source"):
        grid(rows, HELD_OUT, order, "Held-out loss of {source} over steps, a line a run", dots=True)


def pace(rows: list[dict[str, Any]], order: Sequence[str]) -> None:
    st.subheader("Schedule and pace", anchor=False)
    titles = {"learning_rate": ("Learning rate", "~e"), "grad_norm": ("Gradient norm", "~g"), "tokens_per_second": ("Tokens per second", "~s")}  # fmt: skip
    for column, (name, (title, form)) in zip(st.columns(3), titles.items(), strict=True):
        found = pick(rows, name, None)
        if found:
            column.caption(title)
            column.altair_chart(charts.run_lines(found, title, order, height=190, format=form, legend=False, zero=True), alt=f"Lines: {title.lower()} over steps, a line a run")  # fmt: skip


def grid(rows: list[dict[str, Any]], name: str, order: Sequence[str], alt: str, dots: bool = False, suffix: str = "") -> None:  # fmt: skip
    """A small chart a source, three in a row."""
    sources = sorted({row["source"] for row in rows if row["name"] == name and row["source"]})
    for start in range(0, len(sources), 3):
        for column, source in zip(st.columns(3), sources[start : start + 3], strict=False):
            column.caption(f"**{frame.plain(source)}**{suffix}")
            chart = charts.run_lines(
                pick(rows, name, source), "nats per token", order, height=190, dots=dots, legend=False
            )
            column.altair_chart(chart, alt=alt.format(source=source))


def pick(rows: list[dict[str, Any]], name: str, source: str | None) -> list[dict[str, Any]]:
    """The rows of one figure, thinned run by run to what a line can show."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["name"] == name and row["source"] == source:
            found.setdefault(row["run"], []).append(
                {key: row[key] for key in ("run", "step", "value", "tokens")}
            )
    return [row for line in found.values() for row in charts.thin(line)]


# ── events and checkpoints ──────────────────────────────────────────────────────────────────────────────────────────


def happened(lake: Lake, owner: Claim, runs: Mapping[str, str]) -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("Events", anchor=False)
        events = [{**row, "run": name, "when": frame.moment(row["time_utc"]), "what": row["kind"].replace("_", " ")} for name, id in runs.items() for row in queries.run_events(lake, id)]  # fmt: skip
        events.sort(key=lambda row: -row["time_utc"])
        crossed = [row for row in events if row["kind"] in ("tolerance_crossed", "not_finite", "failed")]
        for row in crossed[:3]:
            st.warning(f"**{frame.plain(row['run'])}**, step {row['step']:,}: {frame.plain(row['message'] or row['what'])}", icon=":material/warning:")  # fmt: skip
        frame.table(events[:500], EVENT_COLUMNS, alt="Events of the runs, newest first", most=12)
    with right:
        st.subheader("Checkpoints", anchor=False)
        rows = [{**row, "run": name, "when": frame.moment(row["committed_utc"])} for name, id in runs.items() for row in checkpoint_rows(lake.runs / id)]  # fmt: skip
        chosen = frame.table(rows, CHECKPOINT_COLUMNS, alt="Committed checkpoints", select=True, most=12, key="checkpoints")  # fmt: skip
        if chosen is not None:
            reference = f"{owner}/{rows[chosen]['run']}/{rows[chosen]['step']}"
            st.page_link("lineage.py", label=f"Lineage of {frame.plain(reference)}", icon=":material/account_tree:", query_params=frame.address(owner, ref=reference))  # fmt: skip


EVENT_COLUMNS = {
    "when": frame.text("UTC", 125), "run": frame.text("Run", "small"), "step": frame.number("Step"), "what": frame.text("What", "medium"), "message": frame.text("Message", "large"),
}  # fmt: skip
CHECKPOINT_COLUMNS = {
    "run": frame.text("Run", "small"), "step": frame.number("Step"), "tokens": frame.number("Tokens"), "milestone": st.column_config.CheckboxColumn("Milestone"),
    "exists": st.column_config.CheckboxColumn("There", help="rotation deletes older ones"), "when": frame.text("Committed, UTC"),
}  # fmt: skip


if __name__ == "__main__":
    frame.page("Training", "How the runs went, source by source. The page follows runs while they go.", show)
