"""What the guards said of a version when it was last curated: a fact, since what they allow is circumstance and changes no id."""

from __future__ import annotations

from corpus import names
from corpus.facts import read_facts, write_facts
from corpus.lake import Lake, Manifest
from corpus.names import Claim


def record_guards(lake: Lake, owner: Claim, snapshot: Manifest, stop: str = "") -> None:
    """Record what stopped a version at its snapshot; nothing where all guards passed."""
    row = {"version": str(owner), "snapshot_id": snapshot.id, "stop": stop}
    write_facts(lake, "guards", [row], subject=str(owner))


def guard_stop(lake: Lake, owner: Claim) -> str | None:
    """What the guard said that stopped a version's snapshot last; None where they passed, or have not spoken of it yet."""
    said = [row for row in read_facts(lake, "guards") if row["version"] == str(owner)]
    snapshots = [fact["id"] for fact in names.attached(lake, owner, "snapshot")]
    return said[-1]["stop"] or None if said and said[-1]["snapshot_id"] in snapshots else None
