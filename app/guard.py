"""The guards of a version's stored recipe, applied again to its snapshot: whether they stopped it."""

from __future__ import annotations

from corpus import names
from corpus.errors import GuardStop
from corpus.lake import Lake
from corpus.names import Claim
from corpus.snapshot import check_guards
from quality.curation import StopIf


def stored_stop_if(owner: Claim) -> StopIf:
    """The guards that a version's recipe declared."""
    curation = owner.recipe.get("curation") or {}
    return StopIf.model_validate(curation.get("stop_if") or {})


def guard_stop(lake: Lake, owner: Claim) -> str | None:
    """What the guard that stopped a version says; None where none did.

    A guard changes no id, so a run that was allowed more has the same version: its tokens show that it went on.
    """
    snapshots = names.attached(lake, owner, "snapshot")
    snapshot = lake.find("snapshot", snapshots[0]["id"]) if snapshots else None
    if snapshot is None:
        return None
    stop_if = stored_stop_if(owner)
    try:
        check_guards(snapshot, stop_if.source_loss, stop_if.cluster_size)
    except GuardStop as stop:
        return None if _went_on(lake, owner, snapshot.id) else str(stop)
    return None


def _went_on(lake: Lake, owner: Claim, snapshot_id: str) -> bool:
    shards = [lake.find("token_shards", fact["id"]) for fact in names.attached(lake, owner, "token_shards")]
    return any(found and found.parent("snapshot") == snapshot_id for found in shards)
