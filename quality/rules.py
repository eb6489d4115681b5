"""A rule: a polars expression over one signal, named for the failure it finds. Decide, what-if and audit share it.

The presets are thresholds published for English web prose; their definitions are those of huggingface/datatrove's filters
(the signals' docstrings say which). They drop almost all source code and most statutes: see the recipes' overrides.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
import pyarrow as pa
from pydantic import field_validator, model_validator

from corpus.config import Section, Share, identity, parse_count, parse_share
from corpus.errors import ConfigError, did_you_mean
from corpus.schema import DATASETS, HELD_OUT_SIGNALS, MEASURED_SIGNALS

# signal → (name of the failure below min, name of the failure above max); others are <signal>_too_low / _too_high
FAILURES: dict[str, tuple[str, str]] = {
    "num_words": ("too_few_words", "too_many_words"),
    "mean_word_length": ("words_too_short", "words_too_long"),
    "hash_ratio": ("too_few_hashes", "too_many_hashes"),
    "ellipsis_ratio": ("too_few_ellipses", "too_many_ellipses"),
    "bullet_line_ratio": ("too_few_bullet_lines", "too_many_bullet_lines"),
    "ellipsis_line_ratio": ("too_few_ellipsis_lines", "too_many_ellipsis_lines"),
    "alpha_word_ratio": ("too_few_alphabetic_words", "too_many_alphabetic_words"),
    "num_stop_words": ("too_few_stop_words", "too_many_stop_words"),
    "line_punct_ratio": ("too_few_punctuated_lines", "too_many_punctuated_lines"),
    "short_line_ratio": ("too_few_short_lines", "too_many_short_lines"),
    "char_dup_ratio": ("too_few_duplicate_line_chars", "too_many_duplicate_line_chars"),
    "list_ratio": ("too_few_newlines", "too_many_newlines"),
    "num_lorem_ipsum_after_cuts": ("no_lorem_ipsum", "lorem_ipsum"),
    "num_curly_brackets_after_cuts": ("no_curly_bracket", "curly_bracket"),
    "num_sentences_after_cuts": ("too_few_sentences", "too_many_sentences"),
    "language_score": ("language_uncertain", "language_too_certain"),
    "dup_paragraph_ratio": ("too_few_duplicate_paragraphs", "too_many_duplicate_paragraphs"),
    "dup_paragraph_char_ratio": ("too_few_duplicate_paragraph_chars", "too_many_duplicate_paragraph_chars"),
    "dup_line_ratio": ("too_few_duplicate_lines", "too_many_duplicate_lines"),
    "dup_line_char_ratio": ("too_few_repeated_line_chars", "too_many_repeated_line_chars"),
    "num_tokens": ("too_few_tokens", "too_many_tokens"),
    "num_chars": ("too_few_chars", "too_many_chars"),
    "num_bytes": ("too_few_bytes", "too_many_bytes"),
}  # fmt: skip

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "gopher_quality": {
        "num_words": {"min": 50, "max": 100_000}, "mean_word_length": {"min": 3, "max": 10}, "hash_ratio": {"max": 0.1},
        "ellipsis_ratio": {"max": 0.1}, "bullet_line_ratio": {"max": 0.9}, "ellipsis_line_ratio": {"max": 0.3},
        "alpha_word_ratio": {"min": 0.8}, "num_stop_words": {"min": 2},
    },
    "gopher_repetition": {
        "dup_paragraph_ratio": {"max": 0.3}, "dup_paragraph_char_ratio": {"max": 0.2}, "dup_line_ratio": {"max": 0.3}, "dup_line_char_ratio": {"max": 0.2},
        "top_2_gram_char_ratio": {"max": 0.2}, "top_3_gram_char_ratio": {"max": 0.18}, "top_4_gram_char_ratio": {"max": 0.16},
        "dup_5_gram_char_ratio": {"max": 0.15}, "dup_6_gram_char_ratio": {"max": 0.14}, "dup_7_gram_char_ratio": {"max": 0.13},
        "dup_8_gram_char_ratio": {"max": 0.12}, "dup_9_gram_char_ratio": {"max": 0.11}, "dup_10_gram_char_ratio": {"max": 0.10},
    },
    "c4": {"num_lorem_ipsum_after_cuts": {"max": 0}, "num_curly_brackets_after_cuts": {"max": 0}, "num_sentences_after_cuts": {"min": 5}},
    "fineweb": {"line_punct_ratio": {"min": 0.12}, "short_line_ratio": {"max": 0.67}, "char_dup_ratio": {"max": 0.01}, "list_ratio": {"max": 0.3}},
}  # fmt: skip
PRESETS["gopher"] = PRESETS["gopher_repetition"] | PRESETS["gopher_quality"]
CUTTING_PRESETS = {"c4"}  # they also cut lines: switched off where `c4_lines` is overridden with null

METADATA = "metadata."  # before the name of a source's own field: signals that only the source knows
TEXT_SIGNALS = {"own_id", "url", *(name for name, kind in MEASURED_SIGNALS.items() if kind == pa.string())}
COUNT_SIGNALS = {name for name, kind in MEASURED_SIGNALS.items() if kind == pa.int64()}
SIGNALS = {**dict.fromkeys(MEASURED_SIGNALS), "date": None, "own_id": None, "url": None}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_SUFFIXED = re.compile(r"\s*[0-9][0-9_.]*\s*[kKMGBT%]\s*")


class Bound(Section):
    """What one signal may be. Bounds are inclusive: a value equal to one passes."""

    min: float | str | None = identity(None, absent_means=None, description="a number, or a day for dates")
    max: float | str | None = identity(None, absent_means=None, description="a number, or a day for dates")
    allow: list[str] | None = identity(None, absent_means=None, description="for text: one of these")
    deny: list[str] | None = identity(None, absent_means=None, description="for text: none of these")
    min_score: Share | None = identity(
        None,
        absent_means=None,
        description="language only: the least certainty, another spelling of language_score.min",
    )

    @field_validator("min", "max", mode="before")
    @classmethod
    def _a_number_or_date(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError(f"{value!r} is not a bound; give a number (or, for `date`, YYYY-MM-DD)")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{value!r} is not a bound; leave out the side that is open")
        if isinstance(value, str) and _SUFFIXED.fullmatch(value):
            return parse_share(value) if "%" in value else parse_count(value)
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Bound:
        if not self.model_fields_set:
            raise ValueError(
                "a rule needs min, max, allow, deny or (language) min_score; write null to switch it off"
            )
        if problem := crossing({"min": self.min, "max": self.max}):
            raise ValueError(problem)
        return self


def crossing(bound: Mapping[str, Any]) -> str:
    """What is wrong with a bound that no value can keep to; "" for nothing. A number and a text are not compared."""
    low, high = bound.get("min"), bound.get("max")
    are_text = isinstance(low, str), isinstance(high, str)
    if low is None or high is None or are_text[0] != are_text[1] or low <= high:
        return ""
    return f"min {_shown(low)} is above max {_shown(high)}, and no value is between them"


def _shown(threshold: Any) -> str:
    return f"{threshold:.12g}" if isinstance(threshold, (int, float)) else str(threshold)


@dataclass(frozen=True)
class Rule:
    """One way for a document to fail: `signal` beyond `threshold` (kind min or max), or not in / in a list."""

    name: str
    signal: str
    kind: str
    threshold: Any

    def fails(self) -> pl.Expr:
        """True where the document fails; a missing value fails no bound. Metadata is text: a number is read from it.

        `nan` is no value: polars holds it to be greater than any number.
        """
        column = pl.col(self.signal)
        if self.kind in ("allow", "deny"):
            listed = column.is_in(list(self.threshold))
            return (~listed if self.kind == "allow" else listed).fill_null(False)
        if self.signal.startswith(METADATA) and not isinstance(self.threshold, str):
            column = column.cast(pl.Float64, strict=False).fill_nan(None)
        bound = pl.lit(self.threshold)
        return (column < bound if self.kind == "min" else column > bound).fill_null(False)

    def threshold_text(self) -> str:
        return ", ".join(self.threshold) if self.kind in ("allow", "deny") else _shown(self.threshold)

    def distance(self, value: Any) -> float | None:
        """How far a value is from the threshold, as a share of it; None where neither is such a number.

        >>> Rule("too_few_words", "num_words", "min", 50.0).distance(60)
        0.2
        """
        if self.kind not in ("min", "max") or isinstance(self.threshold, str) or not self.threshold:
            return None
        try:
            away = abs(float(value) - self.threshold) / abs(self.threshold)
        except (TypeError, ValueError):
            return None
        return away if math.isfinite(away) else None

    @classmethod
    def from_json(cls, tree: Sequence[Any]) -> Rule:
        name, signal, kind, threshold = tree
        return cls(name, signal, kind, tuple(threshold) if isinstance(threshold, list) else threshold)

    def to_json(self) -> list[Any]:
        return [
            self.name,
            self.signal,
            self.kind,
            list(self.threshold) if isinstance(self.threshold, tuple) else self.threshold,
        ]


def one_spelling(bounds: Mapping[str, Mapping[str, Any] | None]) -> dict[str, dict[str, Any] | None]:
    """`language.min_score` written as `language_score.min`, so that layers of bounds merge whatever the spelling.

    A null `language` switches off both.
    """
    found: dict[str, dict[str, Any] | None] = {}
    for signal, bound in bounds.items():
        if signal != "language":
            found[signal] = None if bound is None else {**(found.get(signal) or {}), **bound}
            continue
        score = found.get("language_score", {})
        if bound is None:
            found["language"] = None
            found["language_score"] = None if score is None else {"min": None, **score}
        else:
            found["language"] = {key: value for key, value in bound.items() if key != "min_score"}
            if "min_score" in bound:
                found["language_score"] = {**(score or {}), "min": bound["min_score"]}
    return found


def build_rules(bounds: Mapping[str, Mapping[str, Any] | None]) -> list[Rule]:
    """The rules of (signal → bound, in one spelling), in order; a null bound is a rule switched off."""
    return [rule for signal, bound in bounds.items() if bound for rule in _rules_of(signal, bound)]


def _rules_of(signal: str, bound: Mapping[str, Any]) -> Iterable[Rule]:
    below, above = FAILURES.get(signal, (f"{signal}_too_low", f"{signal}_too_high"))
    for kind, name in (("min", below), ("max", above)):
        if bound.get(kind) is not None:
            yield Rule(name, signal, kind, _threshold(signal, bound[kind]))
    if bound.get("allow") is not None:
        yield Rule(f"{signal}_not_allowed", signal, "allow", tuple(bound["allow"]))
    if bound.get("deny") is not None:
        yield Rule(f"{signal}_denied", signal, "deny", tuple(bound["deny"]))


def _threshold(signal: str, value: Any) -> Any:
    return value if signal == "date" or isinstance(value, str) else float(value)


def check_signal(signal: str, bound: Bound | None, where: str) -> None:
    """Refuse a rule on a signal that does not exist, or of a form that its type cannot have."""
    if signal.startswith(METADATA):
        if "\\" in signal:
            raise ConfigError(
                f"{where}: {signal}: a metadata key with a backslash cannot be ruled on. Give the field another name in the source's files."
            )
        return
    if signal not in SIGNALS:
        reserved = signal in DATASETS["signals"].names
        more = (
            " It is reserved for a later feature."
            if reserved
            else f"{did_you_mean(signal, SIGNALS)} `tilth sql 'DESCRIBE signals'` lists them."
        )
        raise ConfigError(f"{where}: there is no signal {signal!r} to make a rule of.{more}")
    if signal in HELD_OUT_SIGNALS and bound is not None:
        raise ConfigError(
            f"{where}: {signal} cannot be ruled on: held-out documents themselves would fail, and count as lost. "
            "What is near them is left out without a rule, as near_held_out."
        )
    if bound is not None:
        _check_form(signal, bound, where)


def _check_form(signal: str, bound: Bound, where: str) -> None:
    given = [value for value in (bound.min, bound.max) if value is not None]
    if bound.min_score is not None and signal != "language":
        raise ConfigError(f"{where}: min_score belongs to language; use min for {signal}")
    if signal in TEXT_SIGNALS:
        if given:
            raise ConfigError(f"{where}: {signal} is text; use allow or deny, not min or max")
        return
    kind = "day" if signal == "date" else "number"
    if bound.allow is not None or bound.deny is not None:
        raise ConfigError(f"{where}: {signal} is a {kind}; use min or max, not allow or deny")
    for value in given:
        if signal == "date":
            if not _is_day(value):
                raise ConfigError(f"{where}: date: {value!r} is not a day; write YYYY-MM-DD")
        elif isinstance(value, str):
            raise ConfigError(f"{where}: {signal} is a number; {value!r} is text")
        elif signal in COUNT_SIGNALS and value != int(value):
            raise ConfigError(f"{where}: {signal} is a count; {value:g} is not a whole number")


def _is_day(value: Any) -> bool:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True
