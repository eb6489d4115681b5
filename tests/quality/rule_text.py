"""A rule as one line, for tests to compare: `short_line_ratio <= 0.67`, `language in en, hi`."""

from __future__ import annotations

from quality.rules import Rule

_WORDS = {"min": ">=", "max": "<=", "allow": "in", "deny": "not in"}


def rule_text(rule: Rule) -> str:
    return f"{rule.signal} {_WORDS[rule.kind]} {rule.threshold_text()}"
