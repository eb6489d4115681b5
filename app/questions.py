"""The questions that need more than a look-up: what-if, compare, and writing rows out."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import pyarrow as pa

from app.render import render_comparison, render_table
from corpus import names
from corpus.answer import Answer
from corpus.catalog import Source
from corpus.differences import find_differences
from corpus.errors import ConfigError, UnknownName
from corpus.holdout import Holdout, draw_identity, frozen
from corpus.lake import Lake, Manifest

if TYPE_CHECKING:
    from evals.gate import Gate
    from evals.scorecard import Scorecard
    from quality.decide import SourceInput
    from quality.explain import Flips

# ── what if ─────────────────────────────────────────────────────────────────────────────────────────────────────────

# What comes after curation plays no part: a gate on a held-out set is no reason not to ask what goes without one.
_ONLY_CURATION = ("mixture={}", "training=null", "runs={}", "evaluation={}", "gate=null")


def what_if(recipe: Path, sets: list[str], lake: Lake) -> list[Flips]:
    """The newest snapshot of the recipe's name beside what the recipe says with `sets`; nothing is measured or written."""
    from app.recipe import load_recipe
    from quality.explain import what_if as flips

    loaded = load_recipe(recipe, [*sets, *_ONLY_CURATION])
    owner = names.newest(lake, loaded.recipe.name, "snapshot")
    if owner is None:
        raise UnknownName(
            f"{loaded.recipe.name!r} has no snapshot in {lake.root} yet. Make one with `tilth curate {recipe}`."
        )
    snapshot = lake.get("snapshot", names.attached(lake, owner, "snapshot")[0]["id"])
    holdout, sample = loaded.recipe.holdout, snapshot.summary.get("sample", 1.0)
    held_out = _held_out(lake, snapshot, holdout and holdout.of_sample(sample), recipe)
    inputs = []
    for name, source in loaded.sources.items():
        entry = snapshot.identity["sources"].get(name)
        if entry is None:
            raise ConfigError(
                f"the snapshot of {owner} has no source {name!r}; it has {', '.join(snapshot.identity['sources'])}. Use the recipe that made it."
            )
        inputs.append(_source_input(lake, name, source, entry, held_out))
    curation = loaded.recipe.curation
    rules = {found.name: curation.for_source(found.name, found.topic, found.role) for found in inputs}
    edges = _parent(lake, snapshot, "near_duplicates")
    redraws = held_out is not None and holdout is not None and frozen(lake, holdout.of_sample(sample)) is None
    return [
        replace(one, redraws=redraws, version=str(owner))
        for one in flips(lake, snapshot, inputs, curation, rules, edges, held_out)
    ]


def _held_out(lake: Lake, snapshot: Manifest, holdout: Holdout | None, recipe: Path) -> Manifest | None:
    """The held-out set that the snapshot excludes, or None if the recipe says so; any other would have to be drawn."""
    if holdout is None:
        return None
    excluded, wanted = _parent(lake, snapshot, "holdout"), frozen(lake, holdout)
    if wanted is None and excluded and excluded.identity == draw_identity(holdout):
        return excluded  # drawn, but a guard stopped the run before it was frozen
    if excluded is None or wanted is None or wanted.id != excluded.id:
        found = f"the held-out set {excluded.identity['name']!r}" if excluded else "no held-out set"
        raise ConfigError(
            f"the snapshot excludes {found}, the recipe asks for {holdout.name!r}: that must be drawn and compared first. Run `tilth curate {recipe}` with it; what is measured already is kept."
        )
    return excluded


def _source_input(
    lake: Lake, name: str, source: Source, entry: Mapping[str, Any], held_out: Manifest | None
) -> SourceInput:
    """A source of the snapshot as the recipe describes it now; without a held-out set nothing is near to one."""
    from quality.decide import SourceInput

    asked = {
        operator: id
        for operator, id in entry["measured"].items()
        if held_out or operator != "held_out_overlap"
    }
    measured = {operator: lake.get(operator, id) for operator, id in asked.items()}
    documents = lake.get("documents", entry["documents"])
    return SourceInput(name, source.role, source.topic, source.curated, documents, measured)


def _parent(lake: Lake, manifest: Manifest, kind: str) -> Manifest | None:
    found = [id for parent, id in manifest.parents if parent == kind]
    return lake.get(kind, found[0]) if found else None


# ── compare ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def compare(lake: Lake, first: str, second: str) -> tuple[str, Any, int]:
    """Differences of two things of one kind, as text, as rows, and as an exit code (scorecards: 3 regressed, 4 inconclusive).

    A checkpoint or run stands for its scorecard, a name for its snapshot.
    """
    one, two = _candidates(lake, first), _candidates(lake, second)
    a, b = one[-1], two[-1]
    if a.kind != b.kind:
        raise ConfigError(
            f"{first!r} is a {a.kind} and {second!r} a {b.kind}; two things of one kind can be compared"
        )
    if a.kind == "scorecard":
        from evals.evaluate import open_scorecard

        one_card, other_card = _newest_pair(
            [open_scorecard(lake, card, first) for card in one],
            [open_scorecard(lake, card, second) for card in two],
        )
        return compare_cards(one_card, other_card, _gate(lake, second) or _gate(lake, first))
    if a.kind == "snapshot":
        rows = compare_snapshots(a, b)
        return render_table(rows), rows, 0
    changed = [
        {"key": key, "first": before, "second": after}
        for key, before, after in find_differences(a.identity, b.identity)
    ]
    return render_table(changed) if changed else "no difference", changed, 0


def compare_cards(a: Scorecard, b: Scorecard, gate: Gate | None) -> tuple[str, Any, int]:
    from app.verdicts import confidence_of
    from evals.comparison import Verdict, compare_scorecards

    rows = compare_scorecards(a, b, margins=gate.margins() if gate else None, confidence=confidence_of(gate))
    verdicts = {row.verdict for row in rows if row.level != "source"}
    code = 3 if Verdict.REGRESSED in verdicts else 4 if Verdict.INCONCLUSIVE in verdicts else 0
    return render_comparison(rows), [asdict(row) for row in rows], code


def compare_snapshots(a: Manifest, b: Manifest) -> list[dict[str, Any]]:
    """Kept documents and tokens by source, and the rules that differ."""
    rows: list[dict[str, Any]] = []
    for source in sorted({*a.summary["sources"], *b.summary["sources"]}):
        one, two = a.summary["sources"].get(source, {}), b.summary["sources"].get(source, {})
        rows += [
            {
                "source": source,
                "what": what,
                "first": one.get(what, 0),
                "second": two.get(what, 0),
                "change": None
                if None in (one.get(what, 0), two.get(what, 0))
                else two.get(what, 0) - one.get(what, 0),
            }
            for what in ("documents", "kept", "tokens_kept")
        ]
        before, after = (
            {rule[0]: rule[3] for rule in m.identity["sources"].get(source, {}).get("rules", [])}
            for m in (a, b)
        )
        rows += [
            {
                "source": source,
                "what": f"rule {rule}",
                "first": before.get(rule),
                "second": after.get(rule),
                "change": None,
            }
            for rule in sorted({*before, *after})
            if before.get(rule) != after.get(rule)
        ]
    return rows


def _candidates(lake: Lake, reference: str) -> list[Manifest]:
    """The artifact that a reference stands for; for a checkpoint its scorecards, the newest last."""
    found = names.resolve(lake, reference)
    if found.kind != "run":
        return [lake.get(found.kind, found.id)]
    from app.evaluation import scorecards_of
    from app.queries import run_status
    from trainer.checkpoint import checkpoint_id

    step = found.step if found.step is not None else int(run_status(lake, found.id).get("last_step") or 0)
    cards = scorecards_of(lake, checkpoint_id(found.id, step))
    if not cards:
        raise UnknownName(
            f"{reference!r} has no scorecard at step {step}. Make one with `tilth eval RECIPE`."
        )
    return cards


def _gate(lake: Lake, reference: str) -> Gate | None:
    """The gate of the recipe that a name is of; an id and an alias are of none."""
    from app.verdicts import stored_gate

    owner = names.resolve(lake, reference).claim
    return stored_gate(owner) if owner else None


def _newest_pair(one: list[Scorecard], two: list[Scorecard]) -> tuple[Scorecard, Scorecard]:
    """The newest scorecards of two checkpoints that can be compared; where none can, the newest, which then say why."""
    from evals.scorecard import check_comparable

    for a in reversed(one):
        for b in reversed(two):
            try:
                check_comparable(a, b)
            except ConfigError:
                continue
            return a, b
    return one[-1], two[-1]


# ── rows out ────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_rows(rows: pa.Table | Answer, format_: str, out: TextIO) -> None:
    """A query's rows as an aligned `table`, as `csv` with a header, as `json` (an object a line) or as an `array` of objects.

    All but a table are written as the rows come; a table is read whole first.
    """
    if format_ == "table":
        table = rows if isinstance(rows, pa.Table) else rows.read().table
        header = "  ".join(table.column_names) + "\n(no rows)"
        out.write(
            (render_table([_with_moments(row) for row in table.to_pylist()]) if table.num_rows else header)
            + "\n"
        )
    elif format_ == "csv":
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(rows.schema.names)
        for row in _plain_rows(rows):
            cells = row.values()
            writer.writerow([_json(cell) if isinstance(cell, (list, dict)) else cell for cell in cells])
    elif format_ == "json":
        for row in _plain_rows(rows):
            out.write(_json(row) + "\n")
    else:
        before = "["
        for row in _plain_rows(rows):
            out.write(f"{before}\n{_json(row)}")
            before = ","
        out.write("[]\n" if before == "[" else "\n]\n")


def _with_moments(row: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of columns called …_utc as the moments they are."""
    return {
        name: _moment(value) if name.endswith("_utc") and isinstance(value, int) else value
        for name, value in row.items()
    }


def _moment(time_utc: int) -> str | int:
    """Microseconds since 1970 as ISO time; a number that is no moment stays one."""
    try:
        return f"{datetime.fromtimestamp(time_utc / 1e6, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return time_utc


def _plain_rows(rows: pa.Table | Answer) -> Iterator[dict[str, Any]]:
    for batch in rows.to_batches(max_chunksize=10_000) if isinstance(rows, pa.Table) else rows:
        for row in batch.to_pylist():
            yield {name: _plain(value) for name, value in row.items()}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _plain(value: Any) -> Any:
    """The value as JSON has it: decimals (SQL sums integers to them) as numbers, what is no number as null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return None if isinstance(value, float) and not isfinite(value) else value
