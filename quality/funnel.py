"""The funnel: how many documents and tokens each rule dropped, by source. Tallies are integers and add up over parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
import pyarrow as pa

Tally = dict[str, Any]
_COUNTS = (
    "documents",
    "bytes",
    "tokens",
    "kept",
    "dropped",
    "bytes_kept",
    "tokens_kept",
    "masked",
    "cut_bytes",
)
TOLD_CUT = 0.01
_RULES = ("first", "first_tokens", "any", "any_tokens", "only", "only_tokens")


def tally_decisions(decisions: pa.Table) -> Tally:
    """The tally of one part's `decisions`: totals, and by rule the documents (and tokens) it is the first, any or the only reason for."""
    frame = pl.DataFrame(
        pl.from_arrow(
            decisions.select(
                ["kept", "drop_reason", "failures", "num_bytes", "num_tokens", "num_masked", "num_cut_bytes"]
            )
        )
    )
    kept = frame.filter("kept")
    tally: Tally = {
        "documents": frame.height, "bytes": _sum(frame, "num_bytes"), "tokens": _sum(frame, "num_tokens"),
        "kept": kept.height, "dropped": frame.height - kept.height, "bytes_kept": _sum(kept, "num_bytes"), "tokens_kept": _sum(kept, "num_tokens"),
        "masked": _sum(kept, "num_masked"), "cut_bytes": _sum(kept, "num_cut_bytes"),
    }  # fmt: skip
    dropped = frame.filter(~pl.col("kept")).with_columns(
        pl.col("failures").list.len().alias("num_failures"), pl.col("num_tokens").fill_null(0)
    )
    tally["first"], tally["first_tokens"] = _by_rule(dropped, pl.col("drop_reason"))
    every = dropped.explode("failures")
    rule = pl.col("failures").struct.field("rule")
    tally["any"], tally["any_tokens"] = _by_rule(every, rule)
    tally["only"], tally["only_tokens"] = _by_rule(every.filter(pl.col("num_failures") == 1), rule)
    return tally


def _sum(frame: pl.DataFrame, column: str) -> int:
    return int(frame[column].sum() or 0)


def _by_rule(frame: pl.DataFrame, rule: pl.Expr) -> tuple[dict[str, int], dict[str, int]]:
    grouped = (
        frame.group_by(rule.alias("rule"))
        .agg(pl.len().alias("n"), pl.col("num_tokens").sum().alias("tokens"))
        .sort("rule")
    )
    return dict(zip(grouped["rule"], grouped["n"], strict=True)), dict(
        zip(grouped["rule"], grouped["tokens"], strict=True)
    )


def add_tallies(tallies: Iterable[Tally]) -> Tally:
    """The sum of tallies; the order in which they are added changes nothing."""
    counts: Counter[str] = Counter()
    rules: dict[str, Counter[str]] = {name: Counter() for name in _RULES}
    for tally in tallies:
        counts.update({name: tally[name] for name in _COUNTS})
        for name in _RULES:
            rules[name].update(tally[name])
    return {name: counts[name] for name in _COUNTS} | {
        name: dict(sorted(rules[name].items())) for name in _RULES
    }


def without_tokens(tally: Tally) -> Tally:
    """The tally of a source whose tokens were not counted: None for each number of them, not 0."""
    counts = {name: None for name in _COUNTS if name.startswith("tokens")}
    return tally | counts | {name: dict.fromkeys(tally[name]) for name in _RULES if name.endswith("tokens")}


def told_cuts(sources: Mapping[str, Tally]) -> list[str]:
    """A line for each source of whose kept bytes more than TOLD_CUT are cut: tokens here are those of texts as they were read,
    since only then do they add up from what was read to what was kept."""
    return [
        f"source {source!r}: {tally['cut_bytes'] / tally['bytes_kept']:.1%} of the bytes of what is kept are cut."
        + (
            ""
            if tally["tokens_kept"] is None
            else " Tokens here are counted before; `tilth tokenize` counts what is trained on."
        )
        for source, tally in sources.items()
        if tally["cut_bytes"] > TOLD_CUT * tally["bytes_kept"]
    ]


def funnel_rows(sources: Mapping[str, Tally], rejects: Mapping[str, int]) -> list[dict[str, Any]]:
    """One row per source and rule (and one each for read, rejected and kept), for printing and for the app.

    `documents` of the rules (the first failing rule of each document) plus `kept` is what was read. `only_this_rule` counts
    those that fail no other rule of the document itself. Duplicates are judged after, among documents that fail nothing:
    without the rule some of these would be dropped as duplicates, so it is the most that switching the rule off could keep.
    """
    rows = []
    for source, tally in sources.items():
        rows.append(_row(source, "read", tally["documents"] + rejects.get(source, 0), tally["tokens"]))
        if rejects.get(source):
            rows.append(_row(source, "rejected", rejects[source], None))
        for rule, count in sorted(tally["first"].items(), key=lambda found: (-found[1], found[0])):
            rows.append(
                _row(
                    source,
                    rule,
                    count,
                    tally["first_tokens"][rule],
                    tally["any"][rule],
                    tally["only"].get(rule, 0),
                    tally["only_tokens"].get(rule, None if tally["tokens"] is None else 0),
                )
            )
        for rule in sorted(tally["any"].keys() - tally["first"].keys()):
            none = None if tally["tokens"] is None else 0
            rows.append(_row(source, rule, 0, none, tally["any"][rule], 0, none))
        rows.append(_row(source, "kept", tally["kept"], tally["tokens_kept"]))
    return rows


def _row(
    source: str,
    rule: str,
    documents: int,
    tokens: int | None,
    any_: int | None = None,
    only: int | None = None,
    only_tokens: int | None = None,
) -> dict[str, Any]:
    return {
        "source": source,
        "rule": rule,
        "documents": documents,
        "tokens": tokens,
        "failing": any_,
        "only_this_rule": only,
        "only_this_rule_tokens": only_tokens,
    }
