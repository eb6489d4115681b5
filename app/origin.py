"""The origin of a run: the checkpoint of another run in this lake that its first weights are.

It is found and recorded when the run is made, since names move later and weights may come to be found twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.queries import checkpoint_weights, end_of, run_ids, run_lineage
from corpus.errors import UnknownName
from corpus.json_file import well_formed
from corpus.lake import Lake
from corpus.names import Resolved, resolve

ORIGIN = "base_checkpoint"  # the key of lineage.json


def record_origin(run_id: str, step: int) -> dict[str, Any]:
    """What lineage.json holds of a checkpoint that a run starts from."""
    return {"run_id": run_id, "step": step}


def read_origin(lake: Lake, lineage: Mapping[str, Any]) -> Resolved | None:
    """The checkpoint that a run started from; None for new weights and for a model from elsewhere."""
    with well_formed(lake.runs / lineage["run_id"] / "lineage.json"):
        if ORIGIN in lineage:
            recorded = lineage[ORIGIN]
        else:  # of a run made before it was recorded
            weights = lineage["identity"]["base"].get("weights_sha256")
            recorded = find_origin(lake, weights) if weights else None
        return Resolved("run", recorded["run_id"], int(recorded["step"])) if recorded else None


def find_origin(lake: Lake, weights_sha256: str) -> dict[str, Any] | None:
    """The checkpoint of this lake with these weights, as recorded: a model folder may be one that was exported from here.

    A run that started from the same weights and did not change them is not their origin.
    """
    for run_id in run_ids(lake):
        if run_lineage(lake, run_id)["identity"]["base"].get("weights_sha256") == weights_sha256:
            continue
        for step, its in checkpoint_weights(lake, run_id).items():
            if its == weights_sha256:
                return record_origin(run_id, step)
    return None


def reference_to(lake: Lake, origin: Resolved, name: str) -> str:
    """How a checkpoint can be asked for: by the name it went by where that still leads there, else by its run's id."""
    try:
        found = resolve(lake, name, "run")
    except UnknownName:
        found = None
    leads_there = (
        found and (found.kind, found.id) == ("run", origin.id) and end_of(lake, found) == origin.step
    )
    return name if leads_there else f"{origin.id}/{origin.step}"
