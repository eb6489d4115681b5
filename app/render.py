"""Results as text for a terminal: tables, funnels, gates, explanations. No numbers are computed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.lineage import DocumentLineage, StepLineage
    from corpus.lake import Manifest
    from evals.comparison import Comparison
    from evals.gate import GateResult
    from evals.select import Selection
    from quality.explain import Explanation, Flips
    from quality.near_duplicates import NearDuplicates


NOT_MEASURED = "-"


def render_table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None, limit: int = 60
) -> str:
    """Rows as aligned columns; numbers to the right, long cells cut."""
    if not rows:
        return "(no rows)"
    columns = list(columns or rows[0])
    cells = [[_cell(row.get(column), limit) for column in columns] for row in rows]
    numeric = [
        all(
            isinstance(row.get(column), (int, float, type(None))) or row[column] == NOT_MEASURED
            for row in rows
        )
        for column in columns
    ]
    widths = [max(len(column), *(len(line[i]) for line in cells)) for i, column in enumerate(columns)]
    lines = [
        "  ".join(
            _pad(column, width, right) for column, width, right in zip(columns, widths, numeric, strict=True)
        ).rstrip()
    ]
    lines.append("  ".join("─" * width for width in widths))
    lines += [
        "  ".join(
            _pad(text, width, right) for text, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in cells
    ]
    return "\n".join(lines)


def _pad(text: str, width: int, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)


def _cell(value: Any, limit: int = 60) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    text = " ".join(str(value).split()) or ""
    return text if len(text) <= limit else text[: limit - 1] + "…"


# ── curate ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def render_funnel(snapshot: Manifest) -> str:
    """Documents and tokens by source and rule. Read = rejected + rules (first reason) + kept."""
    from quality.funnel import funnel_rows, told_cuts

    rows = funnel_rows(snapshot.summary["sources"], snapshot.summary["rejects"])
    shown = [{**row, "share": _share(row, snapshot)} for row in rows]
    for row in shown:
        if snapshot.summary["sources"][row["source"]]["tokens"] is None:
            row |= {"tokens": NOT_MEASURED, "only_this_rule_tokens": NOT_MEASURED}
    table = _sample_of_files(snapshot) + render_table(
        shown,
        [
            "source",
            "rule",
            "documents",
            "share",
            "tokens",
            "failing",
            "only_this_rule",
            "only_this_rule_tokens",
        ],
    )
    return "\n".join([table, *told_cuts(snapshot.summary["sources"])])


def render_funnel_summary(snapshot: Manifest, num_reasons: int = 3) -> str:
    """One line a source: read = rejected + dropped + kept, and the rules that dropped most."""
    from quality.funnel import told_cuts

    rows = []
    for source, tally in snapshot.summary["sources"].items():
        rejected = snapshot.summary["rejects"].get(source, 0)
        reasons = sorted(tally["first"].items(), key=lambda found: (-found[1], found[0]))
        shown = ", ".join(f"{rule} {count:,}" for rule, count in reasons[:num_reasons]) + (
            f", {len(reasons) - num_reasons} more rules" if len(reasons) > num_reasons else ""
        )
        rows.append({
            "source": source, "read": tally["documents"] + rejected, "rejected": rejected, "dropped": tally["dropped"], "kept": tally["kept"], "tokens kept": _known(tally["tokens_kept"]),
            "masked": tally["masked"], "dropped most by": shown,
        })  # fmt: skip
    table = _sample_of_files(snapshot) + render_table(rows, limit=110)
    return "\n".join([table, *told_cuts(snapshot.summary["sources"])])


def _known(tokens: int | None) -> int | str:
    return NOT_MEASURED if tokens is None else tokens


def _sample_of_files(snapshot: Manifest) -> str:
    said = _sample_of(snapshot.summary.get("sample", 1.0))
    return said and f"{said.rstrip()}; what could not be read is counted in all files\n"


def _sample_of(share: float) -> str:
    """Said above all numbers of a snapshot that are not of the whole corpus."""
    return f"of a sample of {share:.2%} of the documents, by content\n" if share < 1 else ""


def render_s_curve(config: NearDuplicates | None) -> str:
    """How likely a pair of some Jaccard is to be looked at: what the bands of the setting mean."""
    if config is None:
        return "near-duplicates: not looked for"
    from quality.near_duplicates import s_curve

    rows = config.num_perm // config.bands
    points = ", ".join(
        f"J {jaccard:.1f}: {p:.0%}"
        for jaccard, p in s_curve(config.bands, rows)
        if round(jaccard * 20) % 2 == 0 and jaccard >= 0.5
    )
    return f"near-duplicates: dropped from J {config.jaccard:g} on; {config.bands} bands × {rows} rows make a pair a candidate with probability {points}"


def _share(row: Mapping[str, Any], snapshot: Manifest) -> str:
    read = snapshot.summary["sources"][row["source"]]["documents"] + snapshot.summary["rejects"].get(
        row["source"], 0
    )
    return f"{row['documents'] / read:.1%}" if read else ""


def render_documents(documents: Mapping[str, Manifest]) -> str:
    rows = [
        {"source": name, "files": m.summary["files"], "documents": m.rows("documents"), "rejects": m.rows("rejects"), "bytes": m.summary["bytes"], "id": m.id[:12]}
        for name, m in documents.items()
    ]  # fmt: skip
    return render_table(rows)


def render_why(owners: Sequence[str], found: Explanation) -> str:
    """What one snapshot decided; `owners` are the versions of recipe names that have it."""
    decision, document = found.decision, found.document
    lines = [
        f"in {', '.join(owners) or 'a snapshot without a name'} (snapshot {decision['snapshot_id'][:12]})",
        f"{document['doc_id']}  source {document['source']}, {document['num_bytes']:,} bytes, record {document['record']} of {', '.join(found.files) or document['file_hash'][:12]}",
        f"{'kept' if decision['kept'] else 'dropped: ' + decision['drop_reason']}",
    ]
    if decision["failures"]:
        lines += ["", render_table(decision["failures"], ["rule", "signal", "value", "threshold"])]
    if passed := _nearest_rules(found.passed):
        lines += ["", passed]
    if decision["partner"]:
        lines += [
            "",
            f"partner {decision['partner']}: Jaccard {_cell(decision['partner_jaccard'])}, containment {_cell(decision['partner_containment'])}",
        ]
        if found.partner:
            lines.append(f"  {_cell(found.partner['text'], 160)}")
    shown = {name: value for name, value in found.signals.items() if value is not None}
    lines += [
        "",
        "signals: " + ", ".join(f"{name} {_cell(value)}" for name, value in shown.items()),
        "",
        _cell(document["text"], 400),
    ]
    return "\n".join(lines)


def _nearest_rules(passed: Sequence[Mapping[str, Any]], most: int = 5) -> str:
    rows = [
        {
            "passed": rule["rule"], "signal": rule["signal"], "value": _cell(rule["value"]), "threshold": f"{_BOUNDS[rule['kind']]} {_threshold(rule['threshold'])}",
            "away": "" if rule["distance"] is None else f"{rule['distance']:.0%}",
        }
        for rule in passed[:most]
    ]  # fmt: skip
    more = f"\n… and {len(passed) - most} more rules (--json lists all)" if len(passed) > most else ""
    return render_table(rows) + more if rows else ""


_BOUNDS = {"min": "at least", "max": "at most", "allow": "one of", "deny": "none of"}


def _threshold(value: Any) -> str:
    return ", ".join(value) if isinstance(value, (list, tuple)) else _cell(value)


_REDRAWS = (
    "the held-out set of this snapshot is not frozen: `tilth curate` under other rules draws another,"
    " so what is held out, or near it, may differ from this\n"
)


def render_flips(flips: Sequence[Flips]) -> str:
    rows = [
        {
            "source": f.source, "kept_before": f.before["kept"], "kept_after": f.after["kept"], "tokens_before": _known(f.before["tokens_kept"]), "tokens_after": _known(f.after["tokens_kept"]),
            "newly_kept": f.newly_kept, "newly_dropped": f.newly_dropped,
        }
        for f in flips
    ]  # fmt: skip
    examples = [{"source": f.source, **example} for f in flips for example in f.examples]
    head = f"before: {flips[0].version} as curated; after: the recipe as it stands with --set\n"
    told = _sample_of(min(f.sample for f in flips)) + (_REDRAWS if flips[0].redraws else "")
    return f"{head}{told}{render_table(rows)}" + (
        "\n\nfor instance\n"
        + render_table(examples, ["source", "doc_id", "tokens", "reason_before", "reason_after"])
        if examples
        else "\n\nno document flips"
    )


# ── mix and train ───────────────────────────────────────────────────────────────────────────────────────────────────


def render_mixture(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    columns = [
        "source",
        "role",
        "weight",
        "tokens",
        "epochs",
        "available_tokens",
        "natural_weight",
        "uniform_weight",
        "unimax_weight",
    ]
    return f"{name}\n{render_table(rows, columns)}"


def render_losses(rows: Sequence[Mapping[str, Any]]) -> str:
    """First and last loss of each run by source."""
    return render_table(rows, ["run", "source", "metric", "first", "last", "step"])


# ── evaluate and select ─────────────────────────────────────────────────────────────────────────────────────────────


def render_scores(rows: Sequence[Mapping[str, Any]]) -> str:
    return render_table(rows, ["scorecard", "task", "role", "metric", "value", "standard_error", "num_items"])


def interval_label(confidence: float) -> str:
    """
    >>> interval_label(0.95), interval_label(0.999)
    ('95% interval', '99.9% interval')
    """
    return f"{100 * confidence:.10g}% interval"


def render_comparison(rows: Sequence[Comparison]) -> str:
    shown = [
        {
            "target": c.target, "metric": c.metric, "baseline": c.baseline, "candidate": c.candidate, "delta": f"{c.delta:+.4f}", interval_label(c.confidence): f"[{c.low:+.4f}, {c.high:+.4f}]",
            "p": f"{c.p_adjusted:.3g}", "n": c.num_items, "smallest visible": c.minimum_detectable, "verdict": _verdict(c.verdict, c.num_needed),
        }
        for c in rows
    ]  # fmt: skip
    return render_table(shown)


def _verdict(verdict: Any, needed: int | None) -> str:
    return (
        f"{verdict} (n ≈ {needed:,} would decide)"
        if str(verdict) == "INCONCLUSIVE" and needed
        else str(verdict)
    )


def render_gate(result: GateResult) -> str:
    rows = [
        {
            "rule": f"{r.kind} {r.target} {r.metric}", "criterion": r.criterion, "baseline": r.baseline, "candidate": r.candidate, "delta": f"{r.delta:+.4f}",
            interval_label(result.confidence): f"[{r.low:+.4f}, {r.high:+.4f}]", "n": r.num_items, "verdict": _verdict(r.verdict, r.num_needed), "holds": {True: "yes", False: "no", None: "cannot tell"}[r.passed],
        }
        for r in result.rules
    ]  # fmt: skip
    return f"{result.candidate} against {result.baseline}: {result.verdict}\n{render_table(rows)}"


def render_selection(selection: Selection) -> str:
    axis = f"{selection.axes[0][0]} {selection.axes[0][1]}"
    rows = [
        {"checkpoint": r.name, "gate": r.gate.verdict, axis: r.objective, "pareto": r.pareto, "P(best)": f"{r.p_best:.2f}", "against champion": "is champion" if r.is_champion else r.against_champion.verdict if r.against_champion else ""}
        for r in selection.rows
    ]  # fmt: skip
    chosen = f"chosen: {selection.chosen}" if selection.chosen else f"nothing chosen: {selection.verdict}"
    gates = [*(row.gate for row in selection.rows), *selection.behind_champion]
    behind = "".join(f"\nnot chosen: {why_behind(gate)}" for gate in selection.behind_champion)
    return "\n\n".join(render_gate(gate) for gate in gates) + f"\n\n{render_table(rows)}\n{chosen}{behind}"


def why_behind(gate: GateResult) -> str:
    """Why a checkpoint cannot be chosen though its own gate does not fail, from its failed comparison with the champion."""
    failed = ", ".join(f"{rule.target} {rule.metric}" for rule in gate.rules if rule.passed is False)
    return f"{gate.candidate}, which fails against {gate.baseline} ({failed})"


# ── lineage ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def render_step(found: StepLineage, limit: int = 40) -> str:
    documents = {row["doc_id"] for row in found.documents}
    ledger = ", ".join(
        f"{source} {sum(tokens):,} tokens, {_cell(found.epochs[source])} epochs"
        for source, tokens in found.ledger.items()
        if tokens
    )
    more = (
        f"\n… and {len(found.documents) - limit:,} more pieces (--json lists all)"
        if len(found.documents) > limit
        else ""
    )
    planned = "" if found.taken else ", planned: the run has not taken this step yet"
    head = f"{found.name} step {found.step}: {len(documents):,} documents{planned}. So far: {ledger}"
    base = "new weights" if found.base == "scratch" else found.base
    if found.base_id:
        base += f", whose documents are in the weights too: tilth lineage {found.base_reference}"
    table = render_table(found.documents[:limit], ["sequence", "source", "epoch", "doc_id", "tokens"])
    accepted = "".join(f"\naccepted {change}" for change in found.accepted)
    return f"{head}\nstarted from {base}{accepted}\n{table}{more}"


def render_document(found: DocumentLineage, limit: int = 6) -> str:
    document = found.document
    lines = [
        f"{document['doc_id']}  source {document['source']}, record {document['record']} of {', '.join(document['files']) or document['file_hash'][:12]}",
        "",
        "decisions",
    ]
    lines.append(
        render_table(
            [{**d, "kept": d["kept"]} for d in found.decisions],
            ["snapshot", "kept", "drop_reason", "partner", "num_tokens"],
        )
    )
    lines += ["", "training"]
    unseen = "no step of any run saw it" + (" under this id" if found.same_text else "")
    lines += [_training(found.seen) if found.seen else unseen, *_went_on(found.went_on)]
    lines += [line for other in found.same_text[:limit] for line in _same_text(other)]
    if len(found.same_text) > limit:
        lines.append(f"… and {len(found.same_text) - limit:,} more documents of the same text (--json lists all)")  # fmt: skip
    return "\n".join(lines)


def _went_on(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"{row['recipe']}/{row['run']} went on from {base_of_run(row)}" for row in runs]


def base_of_run(row: Mapping[str, Any]) -> str:
    """What a run went on from, as its recipe called it, and what that is where the name leads elsewhere now."""
    moved = row["base_reference"] != row["base"]
    return f"{row['base']} ({row['base_reference']})" if moved else str(row["base"])


def _same_text(other: Mapping[str, Any]) -> list[str]:
    document = f"{other['doc_id']} (in {', '.join(other['versions']) or 'no version'})"
    if not other["seen"]:
        return ["", f"the same text is {document}; no step of any run saw that"]
    return [
        "",
        f"the same text was read as {document}",
        _training(other["seen"]),
        *_went_on(other["went_on"]),
    ]


def _training(seen: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        {
            "run": f"{s['recipe']}/{s['run']}", "steps": len(s["steps"]), "first": s["steps"][0][0], "last": s["steps"][-1][0], "epochs": len({e for _, e in s["steps"]}),
            "at": _list([str(step) for step, _ in s["steps"]]), "in checkpoints": _list([str(step) for step in s["checkpoints"]]),
        }
        for s in seen
    ]  # fmt: skip
    return render_table(rows)


def _list(words: Sequence[str], limit: int = 6) -> str:
    return ", ".join(words[:limit]) + (f", … ({len(words)})" if len(words) > limit else "")
