"""Rules on metadata that no document can fail: a field of which there is none, or whose values are not what the bound is.

What a source's metadata holds is known to its files only, so a mistyped name is no error when the recipe is read. Here it is
told. Of documents that have the field only the first part is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from corpus.lake import Lake
from quality.curation import SourceRules
from quality.decide import SourceInput, metadata_value
from quality.rules import METADATA, Rule


def idle_rules(lake: Lake, inputs: Sequence[SourceInput], rules: Mapping[str, SourceRules]) -> Iterator[str]:
    """One sentence for each bound on metadata that no document of any source it is for can fail."""
    sources: dict[Rule, list[SourceInput]] = {}
    for found in inputs:
        for rule in rules[found.name].rules:
            if rule.signal.startswith(METADATA) and found.documents.rows("documents"):
                sources.setdefault(rule, []).append(found)
    for rule, its in sources.items():
        if not _any(lake, its, rule, _usable(rule) | rule.fails()):
            names = ", ".join(found.name for found in its)
            has = _any(lake, its, rule, pl.col(rule.signal).is_not_null())
            why = (
                f"in no document of {names} is it {_wanted(rule)}"
                if has
                else f"no document of {names} has it"
            )
            yield f"the rule {rule.name} on {rule.signal} drops nothing: {why}. Check the name and the bound."


def _any(lake: Lake, sources: Sequence[SourceInput], rule: Rule, check: pl.Expr) -> bool:
    for found in sources:
        for part in found.documents.parts("documents"):
            frame = pl.DataFrame(pl.from_arrow(lake.read_part(part, ["metadata"])))
            values = frame.select(metadata_value(pl.col("metadata"), rule.signal).alias(rule.signal))
            if values.select(check.fill_null(False).any()).item():
                return True
    return False


def _usable(rule: Rule) -> pl.Expr:
    """Whether a value is one that the bound can be compared with."""
    value = pl.col(rule.signal)
    if rule.kind in ("allow", "deny"):
        return value.is_not_null()
    if isinstance(rule.threshold, str):
        return value.str.contains(r"^\d{4}") if rule.threshold[:4].isdigit() else value.is_not_null()
    return value.cast(pl.Float64, strict=False).fill_nan(None).is_not_null()


def _wanted(rule: Rule) -> str:
    return "a date" if isinstance(rule.threshold, str) else "a number"
