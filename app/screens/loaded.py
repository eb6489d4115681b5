"""What pages load, kept between reruns. Keys are the lake's folder and ids of immutable artifacts, so nothing goes stale.

Values that hold text are forgotten after ten minutes, so that what is erased from the lake leaves the app too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from app import lineage, queries, samples, verdicts
from app.evaluation import open_cards
from app.samples import Wanted
from corpus.lake import Lake
from corpus.names import Claim, claims
from evals.comparison import Comparison
from evals.scorecard import Scorecard
from evals.select import Selection
from quality.explain import Explanation, why

TEXT_SECONDS = 600


def _lake(root: str) -> Lake:
    return Lake.open(Path(root), create=False)


# ── curation ──


@st.cache_data(show_spinner="Reading documents …", ttl=TEXT_SECONDS, max_entries=64)
def documents(root: str, snapshot_id: str, wanted: Wanted, offset: int, limit: int) -> list[dict[str, Any]]:
    lake = _lake(root)
    return samples.page_of_documents(lake, lake.get("snapshot", snapshot_id), wanted, offset, limit)


@st.cache_data(show_spinner=False, ttl=TEXT_SECONDS, max_entries=64)
def explanation(root: str, snapshot_id: str, document: str) -> Explanation:
    lake = _lake(root)
    return why(lake, lake.get("snapshot", snapshot_id), document)


@st.cache_data(show_spinner=False, max_entries=16)
def rejects(root: str, snapshot_id: str) -> list[dict[str, Any]]:
    lake = _lake(root)
    return samples.reject_counts(lake, lake.get("snapshot", snapshot_id))


# ── scorecards ──


@st.cache_data(show_spinner="Reading scorecards …", max_entries=8)
def scorecards(root: str, name: str, version: int, ids: tuple[str, ...]) -> dict[str, Scorecard]:
    """`ids` are the version's scorecards now: a new one is another entry."""
    lake = _lake(root)
    return open_cards(lake, _claim(lake, name, version))


@st.cache_data(show_spinner="Applying the gate …", max_entries=8)
def selection(root: str, name: str, version: int, ids: tuple[str, ...], champion: str) -> Selection | None:
    lake = _lake(root)
    return verdicts.select_stored(lake, _claim(lake, name, version), scorecards(root, name, version, ids))


@st.cache_data(show_spinner=False, max_entries=16)
def values(root: str, name: str, version: int, ids: tuple[str, ...]) -> list[verdicts.Value]:
    gate = verdicts.stored_gate(_claim(_lake(root), name, version))
    return verdicts.values(scorecards(root, name, version, ids), verdicts.confidence_of(gate))


@st.cache_data(show_spinner="Comparing …", max_entries=32)
def comparisons(
    root: str, name: str, version: int, ids: tuple[str, ...], baseline: str, candidates: tuple[str, ...]
) -> tuple[dict[str, list[Comparison]], dict[str, str]]:
    cards = scorecards(root, name, version, ids)
    gate = verdicts.stored_gate(_claim(_lake(root), name, version))
    return verdicts.compare_all(cards[baseline], {key: cards[key] for key in candidates}, gate)


def _claim(lake: Lake, name: str, version: int) -> Claim:
    return next(found for found in claims(lake, name) if found.version == version)


# ── lineage and mixture ──


@st.cache_data(show_spinner="Asking the plan …", ttl=60, max_entries=32)
def step_lineage(root: str, run_id: str, step: int) -> lineage.StepLineage:
    """Not only immutable: a run that goes on takes a step that was planned."""
    return lineage.lineage_of_step(_lake(root), run_id, step)


@st.cache_data(show_spinner="Looking through snapshots and runs …", ttl=60, max_entries=32)
def document_lineage(root: str, document: str) -> lineage.DocumentLineage:
    """Not only immutable: runs go on, so it is asked again after a minute."""
    return lineage.lineage_of_document(_lake(root), document)


@st.cache_data(show_spinner=False, max_entries=32)
def ledger(root: str, mixture_id: str, points: int) -> list[dict[str, Any]]:
    lake = _lake(root)
    return queries.ledger_over_steps(lake.get("mixture", mixture_id), points)


@st.cache_data(show_spinner=False, max_entries=32)
def mixture_rows(root: str, mixture_id: str) -> list[dict[str, Any]]:
    lake = _lake(root)
    parts = lake.get("mixture", mixture_id).parts("mixtures")
    return [row for part in parts for row in lake.read_part(part).to_pylist()]


# ── runs and sizes: these grow ──


@st.cache_data(show_spinner=False, max_entries=16)
def metrics(root: str, run_id: str, bytes: int) -> list[dict[str, Any]]:
    """The metrics of a run while their file has this size; the file only grows."""
    return queries.run_metrics(_lake(root), run_id)


@st.cache_data(show_spinner=False, ttl=30, max_entries=8)
def sizes(root: str) -> dict[str, int]:
    """Bytes by kind of artifact."""
    return queries.bytes_by_kind(_lake(root))
