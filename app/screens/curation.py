"""Curation: what each rule dropped from each source, the documents behind every number, and why each of them."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import charts
from app.guard import guard_stop
from app.samples import Counting, Wanted, count_documents, rules_in_force, rules_of
from app.screens import frame, loaded
from app.screens.document import explain, show_document
from corpus.lake import Lake, Manifest
from corpus.names import Claim
from quality.funnel import funnel_rows, told_cuts

VIEWS = ["Funnel", "Documents", "Rejects", "Rules"]
PAGE_ROWS = 20
EVERY, DROPPED, KEPT = "all sources", "dropped", "kept"
COUNTING: dict[str, Counting] = {"first reason": "first", "failing": "any", "only this rule": "only"}


def show(lake: Lake, owner: Claim) -> None:
    snapshot = frame.artifact(lake, owner, "snapshot")
    if snapshot is None:
        frame.missing(lake, owner, "snapshot", "snapshot", "tilth curate RECIPE", "curation.py")
        return
    if stop := guard_stop(lake, owner):
        frame.stopped(stop)
    view = st.segmented_control("View", VIEWS, default=VIEWS[0], key="view", bind="query-params", required=True, label_visibility="collapsed")  # fmt: skip
    {"Funnel": funnel, "Documents": documents, "Rejects": rejects, "Rules": rules}[view or VIEWS[0]](
        lake, owner, snapshot
    )


# ── the funnel ──────────────────────────────────────────────────────────────────────────────────────────────────────


def funnel(lake: Lake, owner: Claim, snapshot: Manifest) -> None:
    unit = st.segmented_control("Count", ["documents", "tokens"], default="documents", key="unit", bind="query-params", required=True) or "documents"  # fmt: skip
    rows = funnel_rows(snapshot.summary["sources"], snapshot.summary["rejects"])
    for line in told_cuts(snapshot.summary["sources"]):
        st.info(frame.plain(line), icon=":material/info:")
    left, right = st.columns([1, 1], gap="large")
    with left:
        st.subheader("What became of each source", anchor=False)
        bars = [_bar(row, unit) for row in rows if row["rule"] != "read" and row[unit]]
        if bars:
            st.altair_chart(charts.outcome_bars(bars, unit), alt=f"Bars: share of {unit} of each source that was kept, dropped by kind of rule, or not readable")  # fmt: skip
    with right:
        st.subheader("Which rule dropped what first", anchor=False)
        heatmap(rows, unit)
    st.subheader("Every rule", anchor=False)
    names = [EVERY, *sorted(snapshot.summary["sources"])]
    source = st.selectbox("Source", names, key="source", bind="query-params", width=300)
    rows = [row for row in rows if source in (EVERY, row["source"])]
    st.caption(
        "Read = not readable + first reasons + kept. **Failing** counts documents that fail the rule beside others; **only this rule** those that fail no "
        "other rule of the document itself; duplicates are judged after. Select a row to look at its documents."
    )
    chosen = frame.table(rows, FUNNEL_COLUMNS, key=f"funnel {source}", alt="Documents and tokens by source and rule", select=True, most=24)  # fmt: skip
    if chosen is not None:
        look_at(rows[chosen])


FUNNEL_COLUMNS = {
    "source": frame.text("Source"), "rule": frame.text("Rule"), "documents": frame.number("Documents", help="with this rule as the first reason"), "tokens": frame.number("Tokens"),
    "failing": frame.number("Failing"), "only_this_rule": frame.number("Only this rule", help="no other rule of the document itself; duplicates are judged after"), "only_this_rule_tokens": frame.number("… its tokens"),
}  # fmt: skip


def _bar(row: dict[str, Any], unit: str) -> dict[str, Any]:
    kind = charts.outcome(row["rule"])
    return {
        "source": row["source"],
        "outcome": kind,
        "rank": list(charts.OUTCOMES).index(kind),
        unit: row[unit],
    }


def heatmap(rows: list[dict[str, Any]], unit: str) -> None:
    read = {row["source"]: row[unit] or 0 for row in rows if row["rule"] == "read"}
    cells = [
        {
            "source": row["source"],
            "rule": row["rule"],
            unit: row[unit],
            "share": row[unit] / read[row["source"]],
        }
        for row in rows
        if row["rule"] not in ("read", "kept") and row[unit] and read[row["source"]]
    ]
    totals: dict[str, int] = {}
    for cell in cells:
        totals[cell["rule"]] = totals.get(cell["rule"], 0) + cell[unit]
    ranked = sorted(totals, key=lambda rule: (-totals[rule], rule))[:16]
    if not ranked:
        st.caption("No rule dropped anything.")
        return
    shown = [cell for cell in cells if cell["rule"] in ranked]
    st.altair_chart(charts.rule_heatmap(shown, ranked, unit), alt=f"Table: share of each source's {unit} by the rule that dropped them first")  # fmt: skip
    if len(totals) > len(ranked):
        st.caption(f"The {len(ranked)} rules that dropped most of {len(totals)}; the table below has all.")


def look_at(row: dict[str, Any]) -> None:
    """From a row of the funnel to what it counts."""
    rule = row["rule"]
    where = {"view": "Rejects"} if rule == "rejected" else {"view": "Documents", "source": row["source"]} | ({} if rule == "read" else {"outcome": rule})  # fmt: skip
    jump(f"Look at {row['documents']:,} of {row['source']}: {rule.replace('_', ' ')}", **where)


def jump(label: str, **state: str) -> None:
    """Another view of this page. Not a link: Streamlit leaves the address alone for a link to the page that one is on."""
    st.button(
        frame.plain(label), icon=":material/arrow_forward:", on_click=st.session_state.update, args=(state,)
    )


# ── documents ───────────────────────────────────────────────────────────────────────────────────────────────────────


def documents(lake: Lake, owner: Claim, snapshot: Manifest) -> None:
    wanted = filters(snapshot)
    total = count_documents(snapshot, wanted)
    pages = max(1, -(-total // PAGE_ROWS))
    st.markdown(
        f"**{total:,}** document{'s' * (total != 1)}" + (f", {PAGE_ROWS} on a page" if pages > 1 else "")
    )
    at = st.pagination(pages, key=f"page {wanted}") if pages > 1 else 1
    rows = loaded.documents(str(lake.root), snapshot.id, wanted, (at - 1) * PAGE_ROWS, PAGE_ROWS)
    if rows:
        chosen = frame.table([_listed(row) for row in rows], LISTED_COLUMNS, key=f"documents {wanted} {at}", alt="Documents with reason, value, threshold and the beginning of their text", select=True)  # fmt: skip
        if chosen is not None and st.session_state.get("picked") != rows[chosen]["doc_id"]:
            st.session_state["picked"] = st.session_state["doc"] = rows[chosen]["doc_id"]
    asked = st.text_input("One document", key="doc", bind="query-params", placeholder="a doc_id, the start of one, or the source's own id; or select a row above")  # fmt: skip
    if asked:
        with st.container(border=True), frame.guarded():
            show_document(owner, explain(str(lake.root), snapshot.id, asked))


def filters(snapshot: Manifest) -> Wanted:
    left, middle, right = st.columns([2, 3, 3])
    names = [EVERY, *sorted(snapshot.summary["sources"])]
    source = left.selectbox("Source", names, key="source", bind="query-params")
    chosen_source = None if source == EVERY else source
    outcomes = [DROPPED, KEPT, *(rule for rule, _ in rules_of(snapshot, chosen_source))]
    with middle, frame.addressed("outcome", outcomes):
        outcome = st.selectbox(
            "Outcome", outcomes, key="outcome", help="Dropped for any reason, kept, or a rule."
        )
    if outcome in (KEPT, DROPPED):
        return Wanted(chosen_source, kept=outcome == KEPT)
    with right, frame.addressed("counting", list(COUNTING)):
        counting = st.segmented_control("The rule is its", list(COUNTING), key="counting", required=True)  # fmt: skip
    return Wanted(chosen_source, rule=outcome, counting=COUNTING[counting or "first reason"])


LISTED_COLUMNS = {
    "id": frame.text("Document", 150), "source": frame.text("Source", 90), "reason": frame.text("First reason", 170), "value": frame.text("Value", 75), "threshold": frame.text("Threshold", 75),
    "others": frame.number("Others", width=65, help="rules that it fails besides"), "tokens": frame.number("Tokens", width=70), "excerpt": frame.text("Beginning of the text, masked"),
}  # fmt: skip


def _listed(row: dict[str, Any]) -> dict[str, Any]:
    first: dict[str, Any] = next(
        (failure for failure in row["failures"][:1] if failure["signal"] != "content_hash"), {}
    )
    return {
        "id": row["own_id"] or row["doc_id"][:12], "source": row["source"], "reason": row["drop_reason"] or "kept", "value": short(first.get("value")), "threshold": first.get("threshold"),
        "others": max(0, len(row["failures"]) - 1), "tokens": row["num_tokens"], "excerpt": " ".join(row["excerpt"].split()),
    }  # fmt: skip


def short(value: str | None) -> str | None:
    """A stored value for a narrow column.

    >>> short("0.786919831"), short("en"), short("12")
    ('0.7869', 'en', '12')
    """
    try:
        return value if value is None or value.isdigit() else f"{float(value):.4g}"
    except ValueError:
        return value


# ── rejects and rules ───────────────────────────────────────────────────────────────────────────────────────────────


def rejects(lake: Lake, owner: Claim, snapshot: Manifest) -> None:
    rows = loaded.rejects(str(lake.root), snapshot.id)
    if not rows:
        st.success("Every record could be read.", icon=":material/check:")
        return
    records, breaks = (sum(row[key] for row in rows) for key in ("records", "breaks"))
    st.markdown(f"**{records:,}** record{'s' * (records != 1)} could not be read, and no text of them is kept. {loss(records, breaks)}")  # fmt: skip
    names = sorted({row["source"] for row in rows})
    source = st.selectbox("Source", [EVERY, *names], key="rejects_of", width=300)
    shown = [row for row in rows if source in (EVERY, row["source"])]
    left, right = st.columns([1, 2], gap="large")
    with left:
        st.subheader("By reason", anchor=False)
        reasons: dict[str, int] = {}
        for row in shown:
            reasons[row["reason"]] = reasons.get(row["reason"], 0) + row["records"]
        frame.table([{"reason": reason, "records": count} for reason, count in sorted(reasons.items(), key=lambda found: -found[1])], {"reason": frame.text("Reason"), "records": frame.number("Records")}, alt="Rejects by reason")  # fmt: skip
    with right:
        st.subheader("By file", anchor=False)
        frame.table([{**row, "file": tail(row["file"])} for row in shown[:1000]], {"source": frame.text("Source"), "file": frame.text("File"), "reason": frame.text("Reason"), "records": frame.number("Records"), "first_records": frame.text("At record")}, alt="Rejects by file")  # fmt: skip
        if len(shown) > 1000:
            st.caption(f"The first 1,000 of {len(shown):,}; the SQL page has `rejects` whole.")


def loss(records: int, breaks: int) -> str:
    """What else is lost of the files that have rejects.

    >>> loss(3, 0)
    'Nothing else of their files was lost.'
    >>> loss(1, 1)
    '**1** of them stands for a file that is cut off, damaged or unreadable as a whole: what followed in it is lost too, and is not counted.'
    """
    if not breaks:
        return "Nothing else of their files was lost."
    told = f"**{breaks:,}** of them stand{'s' * (breaks == 1)} for a file that is cut off, damaged or unreadable as a whole: what followed in it is lost too, and is not counted."
    return told + (" Of the other files nothing else was lost." if records > breaks else "")


def tail(path: str, parts: int = 3) -> str:
    """The end of a path, which tells files of a source apart.

    >>> tail("/data/general/handbook/a.jsonl")
    '…/general/handbook/a.jsonl'
    """
    pieces = path.split("/")
    return path if len(pieces) <= parts else "…/" + "/".join(pieces[-parts:])


def rules(lake: Lake, owner: Claim, snapshot: Manifest) -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("Rules in force", anchor=False)
        st.caption("A document that is outside of what a rule keeps fails it. Presets, rules and overrides of the recipe are resolved by source.")  # fmt: skip
        frame.table(rules_in_force(snapshot), {"rule": frame.text("Rule"), "signal": frame.text("Signal"), "keeps": frame.text("Keeps"), "sources": frame.text("Sources")}, alt="Rules with their thresholds", most=18)  # fmt: skip
    with right:
        near = snapshot.identity.get("near_duplicates")
        st.subheader("Duplicates", anchor=False)
        st.markdown(_duplicates(snapshot.identity["exact_duplicates"], near))
        cluster = snapshot.summary["largest_cluster"]
        if cluster["dropped"]:
            st.markdown(f"The largest cluster dropped **{cluster['dropped']:,}** documents for one.")
            jump(
                f"Look at their keeper {cluster['keeper'][:12]}",
                view="Documents",
                doc=cluster["keeper"],
            )
        for guard in snapshot.summary.get("guards", ()):
            st.info(frame.plain(guard["message"]), icon=":material/info:")
        st.subheader("Personal data", anchor=False)
        frame.table([{"type": kind, "action": action} for kind, action in sorted(snapshot.identity["pii"].items())], {"type": frame.text("Type"), "action": frame.text("Action")}, alt="What is done about each type of personal data")  # fmt: skip


def _duplicates(exact: bool, near: dict[str, Any] | None) -> str:
    lines = ["Exact copies are dropped." if exact else "Exact copies are kept."]
    if near:
        lines.append(
            f"Near-duplicates from a Jaccard similarity of {near['jaccard']:g} on are dropped: {near['num_perm']} permutations in {near['bands']} bands over "
            f"{near['ngram']}-grams of words. Kept first: {', '.join(near['keep'])}."
        )
    return " ".join(lines)


if __name__ == "__main__":
    frame.page("Curation", "What was kept, what was dropped, and why. Text is shown with personal data masked.", show)  # fmt: skip
