"""Held-out sets: documents set apart by name, once, and frozen, so that scorecards of different snapshots are comparable.

The draw is by a keyed hash of content, so it depends neither on order nor on chance. Which documents may be drawn
(those that pass the recipe's rules, one per duplicate cluster) the caller says.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import field_validator

from corpus.config import Count, Section, Share, circumstance, identity
from corpus.errors import ConfigError
from corpus.json_file import read_json, well_formed
from corpus.lake import Lake, Manifest, artifact_id, now_utc
from corpus.names import check_name
from corpus.part import write_table

VERSION = 3
_CANDIDATE = ["doc_id", "content_hash", "num_bytes"]


class Holdout(Section):
    name: str = circumstance(
        description="the set is frozen under this name by the first run that no guard stops"
    )
    documents_per_source: Count = identity(
        500, description="about so many: each document's chance of being drawn aims at it"
    )
    max_share: Share = identity(0.02, description="of a source's bytes")

    @field_validator("name")
    @classmethod
    def _usable(cls, value: str) -> str:
        return check_name(value, "held-out set's name")

    def of_sample(self, share: float) -> Holdout:
        """This set for a sample of the documents: another set, under a name that no recipe can give.

        >>> Holdout(name="legal-1").of_sample(0.02).name
        'legal-1~sample-2%'
        """
        name = self.name if share >= 1 else f"{self.name}~sample-{100 * share:.12g}%"
        return self.model_copy(update={"name": name})


@dataclass(frozen=True)
class Candidate:
    """A document that may be drawn: it passes the absolute rules and is the keeper of its duplicate cluster."""

    doc_id: str
    content_hash: str
    num_bytes: int


def draw(
    name: str, config: Holdout, candidates: pa.Table, source_bytes: int, source_documents: int
) -> list[Candidate]:
    """The held-out documents of one source: those whose keyed hash, read as a fraction, is below p.

    `candidates` has the columns doc_id, content_hash and num_bytes, in any order of rows.
    p = min(documents_per_source / candidates, max_share · source bytes / candidates' bytes), so that each document is
    drawn or not whatever the others are. At least one where the source has more than one document, none where it has one.
    """
    if source_documents < 2 or not candidates.num_rows or not config.documents_per_source:
        return []
    share = config.max_share * source_bytes / max(1, pc.sum(candidates["num_bytes"]).as_py())
    p = min(config.documents_per_source / candidates.num_rows, share, 1.0)
    places = np.array([draw_place(name, content.as_py()) for content in candidates["content_hash"]])
    drawn = np.flatnonzero(places < p)
    if not len(drawn):
        drawn = np.flatnonzero(places == places.min())
    found = [Candidate(**row) for row in candidates.take(drawn).select(_CANDIDATE).to_pylist()]
    found.sort(key=lambda candidate: (draw_place(name, candidate.content_hash), candidate.doc_id))
    return found if p > places.min() else found[:1]


def draw_place(name: str, content: str) -> float:
    """The place of a content hash in the draw of this set, from 0 to 1: another name draws another set."""
    digest = hashlib.blake2b(content.encode(), digest_size=8, key=name.encode()[:64]).digest()
    return int.from_bytes(digest, "big") / 2**64


def frozen(lake: Lake, config: Holdout) -> Manifest | None:
    """The set of this name, if it is drawn; refuses a recipe that names it with other settings."""
    path = _freeze_path(lake, config.name)
    said = read_json(path)
    if said is None:
        return None
    with well_formed(path):
        id = str(said["id"])
    manifest = lake.get("holdout", id)
    asked = {key: config.identity()[key] for key in config.model_fields_set if key in config.identity()}
    if differing := {
        key: value for key, value in asked.items() if manifest.identity["config"].get(key) != value
    }:
        key, value = sorted(differing.items())[0]
        raise ConfigError(
            f"the held-out set {config.name!r} is frozen with {key}: {manifest.identity['config'].get(key)}; the recipe says {value}. "
            "Choose another name for a new set, or leave the key out to use this one."
        )
    return manifest


def commit_draw(
    lake: Lake,
    config: Holdout,
    rows: pa.Table,
    parents: list[tuple[str, str]],
    summary: Mapping[str, Any],
) -> Manifest:
    """A drawn set (`rows` has the columns of `held_out`) as an artifact; its name is not frozen by that.

    `parents` must stand for all that decides `rows`: of one id there is one set, and what is there is returned.
    """
    identity_ = draw_identity(config)
    id = artifact_id("holdout", "draw", VERSION, identity_, parents)
    if found := lake.find("holdout", id):
        return found
    rows = rows.set_column(0, "holdout_id", pa.array([id] * rows.num_rows, pa.string()))
    part = lake.write_part("held_out", id, rows)
    staged = lake.stage()
    try:
        hashes = pa.table({"content_hash": pa.array(sorted(rows["content_hash"].to_pylist()), pa.string())})
        write_table(staged / "content_hashes.parquet", hashes)  # what may be shared without the text
        return lake.commit(
            Manifest(
                "holdout", id, "draw", VERSION, identity_, tuple(parents), {"held_out": (part,)}, summary=dict(summary)
            ),
            staged,
        )  # fmt: skip
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def draw_identity(config: Holdout) -> dict[str, Any]:
    return {"name": config.name, "config": config.identity()}


def freeze(lake: Lake, config: Holdout, drawn: Manifest) -> Manifest:
    """Freeze the name for this set and return the set that has it: the first to freeze a name wins."""
    lake.create_json(_freeze_path(lake, config.name), {"id": drawn.id, "time_utc": now_utc()})
    winner = frozen(lake, config)
    assert winner is not None
    return winner


def held_out_rows(lake: Lake, manifest: Manifest) -> pa.Table:
    """The set's documents, edited text included."""
    return lake.read_part(manifest.parts("held_out")[0])


def _freeze_path(lake: Lake, name: str) -> Path:
    return lake.root / "names" / ".holdouts" / f"{name}.json"
