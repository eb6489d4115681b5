"""One document, wherever a page shows it: what was decided and why, its masked text, its partner beside it, its signals."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.charts import outcome
from app.marked import mark_difference, mark_text
from app.samples import keeps
from app.screens import frame, loaded
from corpus.names import Claim
from quality.explain import Explanation

STYLE = """<style>
.tilth-text {white-space: pre-wrap; overflow-wrap: anywhere; overflow-y: auto; max-height: 26rem; padding: .75rem 1rem; border: 1px solid #8884;
  border-radius: .5rem; font-family: "Source Code Pro", monospace; font-size: .82rem; line-height: 1.5;}
.tilth-text mark {color: inherit; border-radius: .2rem; padding: 0 .1rem;}
.tilth-text mark.pii {background: #CC79A755; font-weight: 600;}
.tilth-text mark.diff {background: #E69F0055; text-decoration: underline; text-decoration-thickness: 2px; text-underline-offset: 3px;}
.tilth-text .more {opacity: .6; font-style: italic;}
</style>"""
COLOURS = {
    "kept": "blue",
    "quality rule": "orange",
    "duplicate": "violet",
    "personal data": "red",
    "held out": "green",
}


def show_document(owner: Claim, found: Explanation, lineage_link: bool = True) -> None:
    """All that the snapshot knows of a document."""
    heading(found)
    if lineage_link:
        where = frame.address(owner, document=found.document["doc_id"])
        st.page_link("lineage.py", label="Runs and steps that saw it", icon=":material/account_tree:", query_params=where)  # fmt: skip
    reasons(found.decision)
    if found.decision["partner"]:
        partner(found, owner)
    else:
        text_block(mark_text(found.document["text"] or ""), "Text, personal data masked")
    if found.passed:
        with st.expander("Rules that it passes"):
            passed(found)
    with st.expander("Every signal"):
        signals(found.signals)


def heading(found: Explanation) -> None:
    document, decision = found.document, found.decision
    name = document["own_id"] or document["doc_id"][:12]
    st.markdown(f"#### {frame.plain(str(name))}")
    with st.container(horizontal=True):
        word = "kept" if decision["kept"] else decision["drop_reason"]
        st.badge("kept" if decision["kept"] else f"dropped: {word.replace('_', ' ')}", color=COLOURS[outcome(word)])  # fmt: skip
        st.badge(frame.plain(document["source"]), color="gray")
        if decision["num_tokens"] is not None:
            st.badge(f"{decision['num_tokens']:,} tokens", color="gray")
        st.badge(frame.size(document["num_bytes"]), color="gray")
        if decision["num_masked"]:
            st.badge(f"{decision['num_masked']:,} masked", color="red")
        if decision["num_cut_bytes"]:
            st.badge(f"{frame.size(decision['num_cut_bytes'])} cut", color="orange")
    files = ", ".join(found.files) or document["file_hash"][:12]
    st.caption(f"{document['doc_id']} · record {document['record']:,} of {frame.plain(files)}" + (f" · {document['date']:%Y-%m-%d}" if document["date"] else ""))  # fmt: skip


def reasons(decision: dict[str, Any]) -> None:
    """Every rule that failed, the first one first."""
    if not decision["failures"]:
        return
    columns = {"rule": frame.text("Failing rule"), "signal": frame.text("Signal"), "value": frame.text("Value"), "threshold": frame.text("Threshold")}  # fmt: skip
    frame.table(decision["failures"], columns, alt="Rules that this document fails, with value and threshold")
    if len(decision["failures"]) > 1:
        st.caption("The first one, in the order of the recipe, is its drop reason.")


def passed(found: Explanation) -> None:
    """The rules in force for its source that it passes, those nearest to their threshold first."""
    rows = [
        {"rule": rule["rule"], "signal": rule["signal"], "value": "" if rule["value"] is None else _shown(rule["value"]), "keeps": keeps(rule["kind"], rule["threshold"]), "away": rule["distance"]}
        for rule in found.passed
    ]  # fmt: skip
    columns = {"rule": frame.text("Rule"), "signal": frame.text("Signal"), "value": frame.text("Value"), "keeps": frame.text("Keeps"), "away": frame.number("Away", help="from the threshold, as a share of it", format="percent")}  # fmt: skip
    frame.table(rows, columns, alt="Rules that this document passes, the nearest to failing first")


def partner(found: Explanation, owner: Claim) -> None:
    """The document that this one was dropped for, or resembles, beside it."""
    decision, other = found.decision, found.partner
    near = (owner.recipe.get("curation") or {}).get("near_duplicates") or {}
    shared = f"Shared {near.get('ngram', 'n')}-grams of words"
    left, right, _ = st.columns([1, 1, 3])
    left.metric("Jaccard", _share(decision["partner_jaccard"]), help=f"{shared} over all of both")
    right.metric("Containment", _share(decision["partner_containment"]), help=f"{shared} over those of the smaller text")  # fmt: skip
    if other is None or other["text"] is None or found.document["text"] is None:
        text_block(mark_text(found.document["text"] or ""), "Text, personal data masked")
        st.caption(f"Its partner {decision['partner']} is not among the documents of this snapshot.")
        return
    mine, theirs = mark_difference(found.document["text"], other["text"])
    this, that = st.columns(2)
    with this:
        text_block(mine, "This document")
    with that:
        text_block(
            theirs, f"Its partner {other.get('own_id') or other['doc_id'][:12]}, source {other['source']}"
        )


def text_block(marked: str, caption: str) -> None:
    """Marked text (from `app.marked`, where everything is escaped) that keeps its lines and scrolls by itself."""
    st.caption(frame.plain(caption))
    st.html(f'{STYLE}<div class="tilth-text" tabindex="0">{marked or "<i>(no text)</i>"}</div>')


def signals(found: dict[str, Any]) -> None:
    rows = [{"signal": name, "value": _shown(value)} for name, value in found.items() if value is not None]
    third = -(-len(rows) // 3)
    for column, start in zip(st.columns(3), range(0, 3 * third, max(1, third)), strict=False):
        with column:
            frame.table(rows[start : start + third], {"signal": frame.text("Signal"), "value": frame.text("Value")}, alt="Signals")  # fmt: skip


def explain(lake_root: str, snapshot_id: str, document: str) -> Explanation:
    return loaded.explanation(lake_root, snapshot_id, document.strip())


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _shown(value: Any) -> str:
    return (
        f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    )
