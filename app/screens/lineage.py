"""Lineage: from a checkpoint back to the documents of each step, and from a document to all that saw it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import queries
from app.evaluation import scorecards_of
from app.lineage import StepLineage
from app.render import base_of_run
from app.screens import frame, loaded
from corpus import names
from corpus.errors import UnknownName
from corpus.facts import read_facts
from corpus.lake import Lake, Manifest
from corpus.names import Claim
from corpus.run_rows import checkpoint_rows
from trainer.checkpoint import checkpoint_id

SHOWN_PIECES = 2_000


def show(lake: Lake, owner: Claim) -> None:
    kinds = ["Checkpoint", "Document"]
    asked = st.query_params.get("document")
    kind = st.segmented_control("Start from", kinds, default=kinds[bool(asked)], key="from", required=True)
    if kind == "Document":
        document(lake, owner)
    else:
        checkpoint(lake, owner)


# ── from a checkpoint ───────────────────────────────────────────────────────────────────────────────────────────────


def checkpoint(lake: Lake, owner: Claim) -> None:
    reference = choose_checkpoint(lake, owner)
    if reference is None:
        frame.missing(lake, owner, "run", "training run", "tilth train RECIPE", "lineage.py")
        return
    found = queries.resolve_step(lake, reference)
    if found is None:
        raise UnknownName(f"{reference!r} is no run or checkpoint. Write NAME/RUN/STEP, for instance {owner}/base/1.")  # fmt: skip
    run_id, step = found
    lineage = queries.run_lineage(lake, run_id)
    st.mermaid_chart(diagram(lake, lineage, run_id, step), alt=f"Diagram: the artifacts from the sources to {reference} and its scorecard")  # fmt: skip
    if step < 1:
        st.caption("No step is done yet, so nothing was read.")
        return
    documents_of_step(owner, loaded.step_lineage(str(lake.root), run_id, step))


def choose_checkpoint(lake: Lake, owner: Claim) -> str | None:
    """The reference in the box; a run and step of the chosen version fill it."""
    runs = {fact["key"]: fact["id"] for fact in names.attached(lake, owner, "run") if fact["id"] in queries.run_ids(lake)}  # fmt: skip
    if not runs:
        return None
    last = list(runs)[-1]
    status = int(queries.run_status(lake, runs[last]).get("last_step") or 0)
    default = f"{owner}/{last}/{status}"
    committed = [f"{owner}/{name}/{row['step']}" for name, id in runs.items() for row in checkpoint_rows(lake.runs / id)]  # fmt: skip
    options = list(dict.fromkeys([default, *committed]))
    return st.selectbox("Checkpoint, or any NAME/RUN/STEP", options, key="ref", bind="query-params", accept_new_options=True, help="Any step of a run can be asked for, committed or not; also an alias such as champion.") or default  # fmt: skip


def diagram(lake: Lake, lineage: dict[str, Any], run_id: str, step: int) -> str:
    """A Mermaid flowchart of what a checkpoint came from and what judged it. Labels hold names and ids, no text."""
    mixture = lake.get("mixture", lineage["mixture_id"])
    snapshot = lake.get("snapshot", lineage["snapshot_id"])
    lines = ["flowchart LR"]
    lines.append(f'  sources["{_sources(snapshot)}"] --> snapshot')
    for kind, id in snapshot.parents:
        if kind == "holdout":
            lines.append(f'  held["held-out set<br/>{id[:8]}"] -. excluded .-> snapshot')
    lines += [
        f'  snapshot["snapshot<br/>{snapshot.id[:8]}"] --> shards["token shards<br/>{mixture.parent("token_shards")[:8]}"]',
        f'  tokenizer["tokenizer<br/>{lineage["tokenizer_id"][:8]}"] --> shards',
        f'  shards --> mixture["mixture<br/>{mixture.id[:8]}"] --> run["run {_label(lineage["name"])}<br/>{run_id[:8]}"]',
        f'  base["base<br/>{_label(str(lineage.get("base")))}"] --> run --> point(["step {step:,}"])',
    ]
    for number, card in enumerate(scorecards_of(lake, checkpoint_id(run_id, step))):
        lines.append(f'  point --> card{number}["scorecard<br/>{card.id[:8]}"]')
    if any((place["id"], place["step"]) == (run_id, step) for _, alias, place in names.aliases(lake) if alias == "champion"):  # fmt: skip
        lines.append('  point --> champion{{"champion"}}')
    lines.append("  classDef here fill:#2F6B4F,color:#ffffff,stroke:#2F6B4F\n  class point here")
    return "\n".join(lines)


def _sources(snapshot: Manifest, most: int = 10) -> str:
    """One box for all sources: each with the documents that were kept of those that were read."""
    tallies = sorted(snapshot.summary["sources"].items())
    lines = [f"{_label(name)} {tally['kept']:,} / {tally['documents']:,}" for name, tally in tallies[:most]]
    return "<br/>".join(lines + ([f"and {len(tallies) - most} more"] if len(tallies) > most else []))


def _label(words: str) -> str:
    """Text inside a Mermaid label: letters, digits and what cannot end it."""
    return "".join(sign if sign.isalnum() or sign in " .-_/@" else "·" for sign in words)[:48]


def documents_of_step(owner: Claim, found: StepLineage) -> None:
    for change in found.accepted:
        st.caption(f"Accepted on the way: {frame.plain(change)}.")
    if found.base_id:
        st.page_link("lineage.py", label=f"The run started from {frame.plain(found.base)}, whose documents are in its weights too", icon=":material/account_tree:", query_params=frame.address(owner, ref=found.base_reference))  # fmt: skip
    unique = {row["doc_id"] for row in found.documents}
    sources: dict[str, int] = {}
    for row in found.documents:
        sources[row["source"]] = sources.get(row["source"], 0) + row["tokens"]
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.subheader(f"Up to step {found.step:,}", anchor=False)
        ledger = [{"source": source, "step": sources.get(source, 0), "tokens": sum(epochs), "epochs": len(epochs)} for source, epochs in found.ledger.items()]  # fmt: skip
        frame.table(ledger, {"source": frame.text("Source"), "step": frame.number("Tokens of this step"), "tokens": frame.number("Tokens so far"), "epochs": frame.number("Epochs begun")}, alt="Tokens by source in this step and so far")  # fmt: skip
        st.caption("From the plan, not from a log: a resumed run, or one on more machines, saw the same.")
        if not found.taken:
            st.caption("Planned: the run has not taken this step yet.")
    with right:
        st.subheader(f"{len(unique):,} documents of this step", anchor=False)
        rows = found.documents[:SHOWN_PIECES]
        chosen = frame.table(rows, PIECE_COLUMNS, alt="Pieces of documents in the order of the step's sequences", select=True, key="pieces", most=14)  # fmt: skip
        if len(found.documents) > SHOWN_PIECES:
            st.caption(f"The first {SHOWN_PIECES:,} of {len(found.documents):,} pieces; `tilth lineage --json` lists all.")  # fmt: skip
        if chosen is not None:
            doc = rows[chosen]["doc_id"]
            st.page_link("curation.py", label=f"Read {doc[:12]} and why it was kept", icon=":material/description:", query_params=frame.address(owner, view="Documents", doc=doc))  # fmt: skip


PIECE_COLUMNS = {
    "sequence": frame.number("Sequence"), "source": frame.text("Source"), "epoch": frame.number("Epoch"), "doc_id": frame.text("Document"), "tokens": frame.number("Tokens"),
}  # fmt: skip


# ── from a document ─────────────────────────────────────────────────────────────────────────────────────────────────


def document(lake: Lake, owner: Claim) -> None:
    asked = st.text_input("Document", key="document", bind="query-params", placeholder="a doc_id, the start of one, or a source's own id")  # fmt: skip
    if not asked:
        st.caption("Documents and their ids stand on the Curation page, in the steps of a checkpoint, and in SQL.")  # fmt: skip
        return
    found = loaded.document_lineage(str(lake.root), asked.strip())
    row = found.document
    st.markdown(f"#### {frame.plain(str(row['own_id'] or row['doc_id'][:12]))}")
    st.caption(f"{row['doc_id']} · source {frame.plain(row['source'])} · record {row['record']:,} of {frame.plain(', '.join(row['files']) or row['file_hash'][:12])}")  # fmt: skip
    st.page_link("curation.py", label="Its text, and why", icon=":material/description:", query_params=frame.address(owner, view="Documents", doc=row["doc_id"]))  # fmt: skip
    st.subheader("Decisions", anchor=False)
    frame.table(found.decisions, DECISION_COLUMNS, alt="What each snapshot decided about the document")
    st.subheader("Training", anchor=False)
    if not found.seen:
        st.caption("No step of any run saw it" + (" under this id." if found.same_text else "."))
    else:
        rows = [_seen(lake, seen) for seen in found.seen]
        frame.table(rows, SEEN_COLUMNS, alt="Runs whose steps saw the document")
        st.caption("Steps count from 1. A checkpoint contains the document when one of its steps came before it.")  # fmt: skip
    if found.went_on:
        st.caption("Its traces are also in the runs that went on from one that had read it:")
        rows = [{"run": f"{row['recipe']}/{row['run']}", "base": base_of_run(row)} for row in found.went_on]
        frame.table(rows, WENT_ON_COLUMNS, alt="Runs that went on from a run that had read the document")
    if found.same_text:
        st.caption("The same text stands in the lake under other ids too: a record has another one as soon as its file changes.")  # fmt: skip
        rows = [_same_text(other) for other in found.same_text]
        frame.table(rows, SAME_TEXT_COLUMNS, alt="Other documents with the same text, and runs with it")


DECISION_COLUMNS = {
    "snapshot": frame.text("Snapshot"), "kept": st.column_config.CheckboxColumn("Kept"), "drop_reason": frame.text("First reason"), "partner": frame.text("Partner"),
    "partner_jaccard": frame.number("Jaccard", "%.3f"), "num_tokens": frame.number("Tokens"), "num_masked": frame.number("Masked"),
}  # fmt: skip
SEEN_COLUMNS = {
    "run": frame.text("Run"), "times": frame.number("Steps that saw it"), "first": frame.number("First"), "last": frame.number("Last"), "epochs": frame.number("Epochs"),
    "steps": frame.text("Steps", "medium"), "checkpoints": frame.text("In the checkpoints of steps", "medium"), "signed": frame.text("Signed off"),
}  # fmt: skip

WENT_ON_COLUMNS = {"run": frame.text("Run"), "base": frame.text("Went on from")}
SAME_TEXT_COLUMNS = {
    "other": frame.text("Document"), "versions": frame.text("In"), "seen": frame.text("Seen by", "medium"), "went_on": frame.text("Went on in", "medium"),
}  # fmt: skip


def _seen(lake: Lake, seen: dict[str, Any]) -> dict[str, Any]:
    steps = [step for step, _ in seen["steps"]]
    prefix = f"{seen['recipe']}/{seen['run']}"
    ids = {checkpoint_id(seen["run_id"], step) for step in seen["checkpoints"]}
    signed = [row["reference"] for row in read_facts(lake, "signoffs") if row["checkpoint_id"] in ids]
    return {
        "run": prefix, "times": len(steps), "first": steps[0], "last": steps[-1], "epochs": len({epoch for _, epoch in seen["steps"]}),
        "steps": _listed(steps), "checkpoints": _listed(seen["checkpoints"]), "signed": ", ".join(signed),
    }  # fmt: skip


def _same_text(other: dict[str, Any]) -> dict[str, Any]:
    seen = [f"{row['recipe']}/{row['run']} ({_listed([step for step, _ in row['steps']])})" for row in other["seen"]]  # fmt: skip
    went_on = [f"{row['recipe']}/{row['run']}" for row in other["went_on"]]
    return {
        "other": other["doc_id"], "versions": ", ".join(other["versions"]), "seen": "; ".join(seen), "went_on": ", ".join(went_on),
    }  # fmt: skip


def _listed(steps: list[int], limit: int = 12) -> str:
    return ", ".join(map(str, steps[:limit])) + (f" … {len(steps)} in all" if len(steps) > limit else "")


if __name__ == "__main__":
    frame.page("Lineage", "What a checkpoint was made of, and where a document went.", show)
