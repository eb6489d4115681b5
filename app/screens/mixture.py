"""Mixture: what each run reads, beside the weightings it could have had, and the exact ledger of the plan."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import charts, queries
from app.screens import frame, loaded
from corpus import names
from corpus.lake import Lake, Manifest
from corpus.names import Claim
from mixer.mix import open_plan
from mixer.plan import MixPlan

BASELINES = {
    "weight": "this mixture",
    "natural_weight": "natural",
    "uniform_weight": "uniform",
    "unimax_weight": "UniMax",
}


def show(lake: Lake, owner: Claim) -> None:
    facts = {fact["key"]: fact["id"] for fact in names.attached(lake, owner, "mixture")}
    if not facts:
        frame.missing(lake, owner, "mixture", "mixture", "tilth mix RECIPE", "mixture.py")
        return
    run = st.segmented_control("Run", list(facts), default=list(facts)[-1], key="run", bind="query-params", required=True) or list(facts)[-1]  # fmt: skip
    mixture = lake.get("mixture", facts[run])
    plan = open_plan(mixture)
    figures(plan)
    for note in mixture.summary.get("notes", []):
        st.warning(frame.plain(note), icon=":material/info:")
    weights(lake, mixture)
    ledger(lake, owner, run, mixture, plan)
    shards(lake, owner)


def figures(plan: MixPlan) -> None:
    columns = st.columns(5)
    columns[0].metric("Token budget", f"{plan.num_tokens:,}", border=True)
    columns[1].metric("Steps", f"{plan.num_steps:,}", border=True)
    columns[2].metric("Global batch", f"{plan.global_batch_sequences:,} sequences", border=True)
    columns[3].metric("Sequence length", f"{plan.sequence_length:,} tokens", border=True)
    columns[4].metric("Seed", plan.seed, border=True)


def weights(lake: Lake, mixture: Manifest) -> None:
    rows = loaded.mixture_rows(str(lake.root), mixture.id)
    st.subheader("Weights", anchor=False)
    left, right = st.columns([2, 3], gap="large")
    with left:
        dots = [
            {"source": row["source"], "weighting": label, "weight": row[column]}
            for row in rows
            for column, label in BASELINES.items()
            if row[column] is not None
        ]
        st.altair_chart(charts.weight_dots(dots), alt="Dots: the share of tokens that each source gets in this mixture, and would get by natural, uniform and UniMax weighting")  # fmt: skip
    with right:
        frame.table(rows, WEIGHT_COLUMNS, alt="Weights, tokens and epochs by source")
        st.caption("Weights count tokens. Epochs say how often a source is read; from about 4 on, repeated tokens are worth less.")  # fmt: skip


_PERCENT = "percent"
WEIGHT_COLUMNS = {
    "source": frame.text("Source"), "role": frame.text("Role"), "weight": frame.number("Weight", _PERCENT), "tokens": frame.number("Tokens"), "epochs": frame.number("Epochs", "%.2f"),
    "available_tokens": frame.number("Available tokens"), "natural_weight": frame.number("Natural", _PERCENT), "uniform_weight": frame.number("Uniform", _PERCENT), "unimax_weight": frame.number("UniMax", _PERCENT),
}  # fmt: skip


def ledger(lake: Lake, owner: Claim, run: str, mixture: Manifest, plan: MixPlan) -> None:
    """Tokens over the steps, and at one step exactly, by epoch."""
    st.subheader("Ledger", anchor=False)
    rows = loaded.ledger(str(lake.root), mixture.id, 60)
    left, right = st.columns(2, gap="large")
    with left:
        st.altair_chart(charts.ledger_areas([row for row in rows if row["tokens"] or row["step"] == 0]), alt="Areas: tokens consumed by source over the steps of the plan")  # fmt: skip
    with right:
        reached = run_step(lake, owner, run)
        step = st.slider("After step", 0, plan.num_steps, reached or plan.num_steps, key=f"ledger step {run}")
        frame.table(ledger_rows(plan, step), LEDGER_COLUMNS, alt="Tokens of each source consumed after the chosen step")  # fmt: skip
        told = (
            f"{run} stands at step {reached:,}. " if reached is not None else f"{run} was not trained yet. "
        )
        st.caption(
            told
            + "The ledger comes from the plan, not from a log: it is the same for every number of machines."
        )


LEDGER_COLUMNS = {
    "source": frame.text("Source"), "tokens": frame.number("Tokens"), "share": frame.number("Share", _PERCENT), "epochs": frame.number("Epochs", "%.2f"),
    "by_epoch": frame.text("Tokens by epoch"), "unused": frame.number("Unused tail", help="tokens at the end of the source's stream that fill no sequence"),
}  # fmt: skip


def ledger_rows(plan: MixPlan, step: int) -> list[dict[str, Any]]:
    consumed = plan.consumed(step * plan.global_batch_sequences)
    unused, total = plan.unused(), sum(map(sum, consumed.values()))
    sizes = {source.name: source.num_sequences * plan.sequence_length for source in plan.sources}
    return [
        {
            "source": source, "tokens": sum(epochs), "share": sum(epochs) / total if total else 0.0, "epochs": sum(epochs) / max(1, sizes[source]),
            "by_epoch": " + ".join(f"{tokens:,}" for tokens in epochs), "unused": unused[source],
        }
        for source, epochs in consumed.items()
    ]  # fmt: skip


def run_step(lake: Lake, owner: Claim, run: str) -> int | None:
    """The last step of the version's run of this name; None if it has not begun."""
    found = [fact["id"] for fact in names.attached(lake, owner, "run") if fact["key"] == run]
    if not found or found[0] not in queries.run_ids(lake):
        return None
    return int(queries.run_status(lake, found[0]).get("last_step") or 0)


def shards(lake: Lake, owner: Claim) -> None:
    found = frame.artifact(lake, owner, "token_shards")
    if found is None:
        return
    with st.expander("Token shards"):
        rows = [{"source": name, "role": entry["role"], "topic": entry["topic"], "tokens": entry["tokens"], "shards": len(entry["shards"])} for name, entry in sorted(found.summary["sources"].items())]  # fmt: skip
        frame.table(rows, {"source": frame.text("Source"), "role": frame.text("Role"), "topic": frame.text("Topic"), "tokens": frame.number("Tokens"), "shards": frame.number("Shards")}, alt="Token shards by source")  # fmt: skip


if __name__ == "__main__":
    frame.page("Mixture", "What a run reads, in which shares, how often, and in exactly what amounts.", show)
