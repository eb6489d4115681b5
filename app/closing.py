"""What `tilth run` says at its end: the funnel in short, the gate, one line of lineage, and how to open the app."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from app.render import render_funnel_summary, render_selection, render_table
from corpus import names

if TYPE_CHECKING:
    from app.flow import Work


def closing_text(work: Work) -> str:
    """The results of what was built or found, in the order of the flow."""
    parts = []
    if work.curated:
        parts.append(render_funnel_summary(work.curated.snapshot))
    if work.scorecards:
        parts.append(_scores(work))
    if work.selection:
        parts.append(render_selection(work.selection))
    if line := _lineage_line(work):
        parts.append(line)
    parts.append(f"open the app:  {_program()} app{_lake_option(work)}")
    return "\n\n".join(parts)


def _scores(work: Work) -> str:
    rows = [
        {"checkpoint": key, **row}
        for key, card in work.scorecards.items()
        for row in card.summary["rows"]
        if row["metric"] in ("bits_per_byte", "acc")
    ]
    return render_table(
        rows, ["checkpoint", "task", "role", "metric", "value", "standard_error", "num_items"]
    )


def _lineage_line(work: Work) -> str:
    """From the chosen (else the last) checkpoint to one document that its last step trained on."""
    from app.lineage import lineage_of_step

    if not work.scorecards:
        return ""
    key = work.selection.chosen if work.selection and work.selection.chosen else [*work.scorecards][-1]
    name, _, at = key.partition("/")
    runs = {fact["key"]: fact["id"] for fact in names.attached(work.lake, work.claim, "run")}
    if name not in runs:
        return ""
    tilth, lake, step = _program(), _lake_option(work), int(at)
    first = lineage_of_step(work.lake, runs[name], step).documents[0]
    return (
        f"lineage: {work.claim}/{name}/{step} trained on {first['doc_id']} (source {first['source']}, epoch {first['epoch']}) among others\n"
        f"         {tilth} lineage {work.claim}/{name}/{step}{lake}    and    {tilth} why {first['doc_id'][:12]}{lake}"
    )


def _program() -> str:
    """What to type for this program: its name where the shell finds it by that, else as it was called."""
    called, found = Path(sys.argv[0]), which("tilth")
    by_name = called.name != "tilth" or (found and Path(found).resolve() == called.resolve())
    return "tilth" if by_name else shlex.quote(str(called))


def _lake_option(work: Work) -> str:
    """What a command needs to find this lake, written as it was given."""
    from app.profile import Profile

    lake = work.profile.lake
    return "" if lake == Profile().lake else f" --lake {shlex.quote(lake)}"
