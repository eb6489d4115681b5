"""Overview: what the lake holds, how far the chosen version got, what happened last, and what to do next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import queries
from app.evaluation import scorecard_ids
from app.guard import guard_stop
from app.screens import frame, loaded
from corpus import names
from corpus.errors import ConfigError
from corpus.facts import read_facts
from corpus.json_file import well_formed
from corpus.lake import Lake, Manifest
from corpus.names import Claim
from evals.task import HOLDOUT_TASK
from quality.funnel import funnel_rows

# what a stage leaves → (its name for people, the page that shows it)
STAGES = {
    "documents": ("Ingest", "curation.py"), "snapshot": ("Curate", "curation.py"), "token_shards": ("Tokenize", "mixture.py"),
    "mixture": ("Mix", "mixture.py"), "run": ("Train", "training.py"), "scorecard": ("Evaluate", "scorecards.py"),
}  # fmt: skip
VERBS = {"documents": "ingest", "snapshot": "curate", "token_shards": "tokenize", "mixture": "mix", "run": "train", "scorecard": "eval"}  # fmt: skip


def show(lake: Lake, owner: Claim) -> None:
    figures(lake, owner)
    progress(lake, owner)
    st.subheader(f"Sources of {owner}", anchor=False)
    sources(lake, owner)
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Versions of recipes", anchor=False)
        frame.table(recipe_rows(lake), RECIPE_COLUMNS, alt="Versions of recipes and what each has")
        sizes(lake)
    with right:
        st.subheader("Latest", anchor=False)
        frame.table(latest(lake), LATEST_COLUMNS, alt="Latest events of the lake, newest first")


# ── the chosen version ──────────────────────────────────────────────────────────────────────────────────────────────


def figures(lake: Lake, owner: Claim) -> None:
    """The few numbers that say where the version stands."""
    snapshot = frame.artifact(lake, owner, "snapshot")
    tallies = snapshot.summary["sources"].values() if snapshot else []
    read, kept = sum(documents_read(snapshot).values()), sum(tally["kept"] for tally in tallies)
    tokens = sum(tally["tokens_kept"] or 0 for tally in tallies)
    runs = names.attached(lake, owner, "run")
    running = [fact["key"] for fact in runs if queries.is_running(lake, fact["id"])]
    columns = st.columns([5, 4, 5, 4, 8])
    columns[0].metric("Documents read", f"{read:,}" if snapshot else "–", border=True, height="stretch")
    columns[1].metric("Kept", f"{kept / read:.0%}" if read else "–", f"{kept:,} documents" if read else None, delta_color="off", delta_arrow="off", border=True, height="stretch")  # fmt: skip
    columns[2].metric("Tokens kept", f"{tokens:,}" if tokens else "–", border=True, height="stretch")
    columns[3].metric("Runs", len(runs), f"{running[0]} is training" if running else None, delta_arrow="off", border=True, height="stretch")  # fmt: skip
    champion = names.alias(lake, owner.name, "champion")
    columns[4].metric("Champion", champion["reference"].removeprefix(owner.name) if champion else "none yet", frame.moment(champion["time_utc"]) if champion else None, delta_color="off", delta_arrow="off", border=True, height="stretch")  # fmt: skip
    if champion:
        st.caption(f"The champion is {frame.plain(champion['reference'])}.")
    if not runs:
        frame.elsewhere(lake, owner, "run", "training run", "training.py")


def documents_read(snapshot: Manifest | None) -> dict[str, int]:
    """By source, as the funnel counts: what could not be read is among it."""
    rows = funnel_rows(snapshot.summary["sources"], snapshot.summary["rejects"]) if snapshot else []
    return {row["source"]: row["documents"] for row in rows if row["rule"] == "read"}


def progress(lake: Lake, owner: Claim) -> None:
    """The stages as a line of links; the first one that is missing says what to run."""
    done = stages_done(lake, owner)
    with st.container(horizontal=True, vertical_alignment="center"):
        for kind, (label, target) in STAGES.items():
            icon = ":material/check_circle:" if done[kind] else ":material/radio_button_unchecked:"
            st.page_link(target, label=label, icon=icon, disabled=not names.attached(lake, owner, kind), query_params=frame.address(owner))  # fmt: skip
    stop = guard_stop(lake, owner)
    missing = next((kind for kind in STAGES if not done[kind]), None)
    if stop:
        frame.stopped(stop)
    elif missing and goes_as_far_as(owner.recipe, missing):
        st.info(f"Next: {STAGES[missing][0].lower()}.", icon=":material/arrow_forward:")
        st.code(f"tilth {VERBS[missing]} RECIPE --lake {lake.root}", language="bash")
    elif owner.recipe.get("gate") and not names.alias(lake, owner.name, "champion"):
        st.info(
            "Everything is built and no checkpoint has been approved yet. Look at the scorecards, then sign one off.",
            icon=":material/arrow_forward:",
        )
        chosen = chosen_checkpoint(lake, owner) or "RUN/STEP"
        st.code(f'tilth select RECIPE --approve {chosen} --note "why" --lake {lake.root}', language="bash")


def chosen_checkpoint(lake: Lake, owner: Claim) -> str | None:
    """What the gate chooses of the stored scorecards, where it chooses one."""
    ids = scorecard_ids(lake, owner)
    champion = json.dumps(names.alias(lake, owner.name, names.CHAMPION), sort_keys=True)
    try:
        selection = loaded.selection(str(lake.root), owner.name, owner.version, ids, champion)
    except ConfigError:  # scorecards that cannot be compared; their page says why
        return None
    return selection.chosen if selection else None


def stages_done(lake: Lake, owner: Claim) -> dict[str, bool]:
    """By what each stage leaves, whether it is done: a run at its last step, a snapshot where no guard stopped the recipe."""
    done = {kind: bool(names.attached(lake, owner, kind)) for kind in STAGES}
    curated = done["snapshot"] and guard_stop(lake, owner) is None
    return done | {"snapshot": curated, "run": queries.is_trained(lake, owner)}


def goes_as_far_as(recipe: Mapping[str, Any], kind: str) -> bool:
    """Whether a stored recipe, which may be an older version's, gets to what a stage leaves: what `app.reach.first_missing` asks."""
    base, tasks = (
        recipe.get("base_model") or {},
        (recipe.get("evaluation") or {}).get("tasks", [HOLDOUT_TASK]),
    )
    scored = [task for task in tasks if task != HOLDOUT_TASK or recipe.get("holdout")]
    needs = {
        "token_shards": recipe.get("tokenizer") or base.get("path") or base.get("run"),
        "mixture": recipe.get("training"), "run": recipe.get("training"), "scorecard": recipe.get("training") and scored,
    }  # fmt: skip
    return bool(needs.get(kind, True))


def sources(lake: Lake, owner: Claim) -> None:
    with well_formed(lake.root / "facts" / "sources"):
        facts = {row["documents_id"]: row for row in read_facts(lake, "sources")}
    snapshot = frame.artifact(lake, owner, "snapshot")
    tallies: dict[str, Any] = snapshot.summary["sources"] if snapshot else {}
    read = documents_read(snapshot)
    rows = []
    for fact in names.attached(lake, owner, "documents"):
        row = facts.get(fact["id"], {"source": fact["key"]})
        tally = tallies.get(fact["key"])
        kept = {"kept": tally["kept"] / read[fact["key"]] if read[fact["key"]] else 0.0, "tokens": tally["tokens_kept"]} if tally else {}  # fmt: skip
        rows.append({**row, **kept, "size": frame.size(row.get("num_bytes") or 0)})
    if rows:
        frame.table(rows, SOURCE_COLUMNS, alt="Sources with their licence, size and the share that was kept")
    else:
        st.caption("None was read yet.")


SOURCE_COLUMNS = {
    "source": frame.text("Source"), "role": frame.text("Role"), "topic": frame.text("Topic"), "license": frame.text("Licence"), "num_files": frame.number("Files"),
    "num_documents": frame.number("Documents"), "num_rejects": frame.number("Rejects"), "size": frame.text("Text"), "kept": frame.share("Kept"), "tokens": frame.number("Tokens kept"),
}  # fmt: skip


# ── the lake ────────────────────────────────────────────────────────────────────────────────────────────────────────


def recipe_rows(lake: Lake) -> list[dict[str, Any]]:
    """One row per version, the newest first."""
    champions = {recipe: place["reference"] for recipe, alias, place in names.aliases(lake) if alias == "champion"}  # fmt: skip
    rows = []
    for name in names.recipe_names(lake):
        for owner in reversed(names.claims(lake, name)):
            has = {kind: len(names.attached(lake, owner, kind)) for kind in STAGES}
            done = stages_done(lake, owner)
            last = [label for kind, (label, _) in STAGES.items() if done[kind]]
            rows.append({
                "version": str(owner), "sources": len(owner.recipe.get("sources", [])), "reached": last[-1] if last else "claimed",
                "runs": has["run"], "scorecards": has["scorecard"], "champion": champion.partition("/")[2] if (champion := champions.get(name, "")).startswith(f"{owner}/") else "",
            })  # fmt: skip
    return rows


RECIPE_COLUMNS = {
    "version": frame.text("Version", 105), "sources": frame.number("Sources", width=75), "reached": frame.text("Reached", 80), "runs": frame.number("Runs", width=55),
    "scorecards": frame.number("Scorecards", width=95), "champion": frame.text("Champion", 110),
}  # fmt: skip


_NO_NEWS = ("self_test", "checkpoint_rotated")


def latest(lake: Lake, limit: int = 12) -> list[dict[str, Any]]:
    """Events of runs, artifacts getting a name, and sign-offs; newest first."""
    found: list[tuple[int, str, str]] = []
    for run_id in queries.run_ids(lake):
        name = queries.run_lineage(lake, run_id).get("name", run_id[:12])
        recipe = queries.run_lineage(lake, run_id).get("recipe", "")
        found += [
            (row["time_utc"], f"{row['kind'].replace('_', ' ')} at step {row['step']:,}", f"{recipe}/{name}")
            for row in queries.run_events(lake, run_id)[-limit:]
            if row["kind"] not in _NO_NEWS
        ]
    for kind in (kind for kind in names.ARTIFACT_KINDS if kind != "run"):  # whose own events are above
        for fact in queries.all_attached(lake, kind):
            key = f"/{fact['key']}" if fact["key"] else ""
            found.append((fact["time_utc"], f"{kind.replace('_', ' ')} ready", f"{fact['claim']}{key}"))
    with well_formed(lake.root / "facts" / "signoffs"):
        found += [(row["time_utc"], f"approved by {row['reviewer']}", row["reference"]) for row in read_facts(lake, "signoffs")]  # fmt: skip
    return [{"when": frame.moment(when), "what": what, "where": where} for when, what, where in sorted(found, reverse=True)[:limit]]  # fmt: skip


LATEST_COLUMNS = {
    "when": frame.text("UTC", 130),
    "where": frame.text("Where", 155),
    "what": frame.text("What"),
}


def sizes(lake: Lake) -> None:
    found = loaded.sizes(str(lake.root))
    parts = [f"{kind.replace('_', ' ')} {frame.size(bytes)}" for kind, bytes in found.items() if bytes]
    st.caption(
        f"{frame.size(sum(found.values()))} in all: {', '.join(parts)}. `tilth ls` lists every artifact."
    )


if __name__ == "__main__":
    frame.page("Overview", "What this lake holds, and how far the chosen version got.", show)
