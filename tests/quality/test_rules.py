"""Rules: bounds are inclusive, a missing value passes, names are unique, and what cannot be a rule is refused by name."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.config import build_section
from corpus.errors import ConfigError
from corpus.schema import MEASURED_SIGNALS
from quality.rules import FAILURES, PRESETS, SIGNALS, Bound, Rule, build_rules, check_signal, one_spelling
from tests.quality.rule_text import rule_text

VALUES = st.lists(st.none() | st.integers(-3, 3), min_size=1, max_size=8)


def fails(rule: Rule, values: list[Any], kind: Any = None) -> list[bool]:
    frame = pl.DataFrame({rule.signal: pl.Series(values, dtype=kind)})
    return frame.select(rule.fails()).to_series().to_list()


@given(VALUES, st.integers(-3, 3))
def test_a_document_fails_beyond_its_bound_and_not_at_it(values: list[int | None], bound: int) -> None:
    low, high = (Rule("r", "num_words", kind, float(bound)) for kind in ("min", "max"))
    for kind in (pl.Int64, pl.Float64):
        assert fails(low, values, kind) == [value is not None and value < bound for value in values]
        assert fails(high, values, kind) == [value is not None and value > bound for value in values]


@given(st.lists(st.none() | st.sampled_from("abc"), max_size=8), st.sets(st.sampled_from("abc")))
def test_lists_allow_and_deny(values: list[str | None], listed: set[str]) -> None:
    allow, deny = (Rule("r", "language", kind, tuple(sorted(listed))) for kind in ("allow", "deny"))
    assert fails(allow, values, pl.String) == [value is not None and value not in listed for value in values]
    assert fails(deny, values, pl.String) == [value in listed for value in values]


def test_metadata_is_text_and_a_number_is_read_from_it() -> None:
    values = ["2", "10", "x", None, "1e1"]
    assert fails(Rule("r", "metadata.level", "min", 5.0), values) == [True, False, False, False, False]
    assert fails(Rule("r", "metadata.level", "min", "2"), values) == [
        False,
        True,
        False,
        False,
        True,
    ]  # as text
    assert fails(Rule("r", "metadata.level", "allow", ("2", "x")), values) == [
        False,
        True,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("kind", ["min", "max"])
def test_metadata_that_is_no_number_fails_no_bound(kind: str) -> None:
    values = ["nan", "NaN", "-nan", "x", "", None]
    assert fails(Rule("r", "metadata.level", kind, 0.5), values) == [False] * len(values)
    assert fails(Rule("r", "metadata.level", kind, 0.5), ["inf", "-inf"]) == [kind == "max", kind == "min"]


def test_dates_are_compared_as_days() -> None:
    rule = Rule("r", "date", "min", "2020-01-01")
    assert fails(rule, ["2019-12-31", "2020-01-01", None]) == [True, False, False]


# ── building ──


def test_every_rule_has_a_name_of_its_own() -> None:
    bounds = {
        name: {"min": 1, "max": 2}
        for name, kind in MEASURED_SIGNALS.items()
        if name not in ("language", "held_out_partner")
    }
    rules = build_rules({**bounds, "language": {"allow": ["en"], "deny": ["de"]}})
    assert len(rules) == 2 * len(bounds) + 2 == len({rule.name for rule in rules})
    assert {rule.name for rule in rules} >= {name for pair in FAILURES.values() for name in pair}


def test_rules_keep_the_recipe_s_order_and_null_is_none() -> None:
    rules = build_rules(
        {
            "short_line_ratio": {"max": 0.67},
            "num_words": None,
            "language": {"allow": ["en"]},
            "language_score": {"min": 0.65},
            "list_ratio": {"max": 0.3},
        }
    )
    assert [rule.to_json() for rule in rules] == [
        ["too_many_short_lines", "short_line_ratio", "max", 0.67], ["language_not_allowed", "language", "allow", ["en"]],
        ["language_uncertain", "language_score", "min", 0.65], ["too_many_newlines", "list_ratio", "max", 0.3],
    ]  # fmt: skip
    assert build_rules({"num_words": {"min": None, "max": 9}})[0].name == "too_many_words"


@pytest.mark.parametrize(
    ("bounds", "merged"),
    [
        ({"language": {"allow": ["en"], "min_score": 0.6}}, {"language": {"allow": ["en"]}, "language_score": {"min": 0.6}}),
        ({"language": {"min_score": None}}, {"language": {}, "language_score": {"min": None}}),
        ({"language": None}, {"language": None, "language_score": {"min": None}}),
        ({"language_score": {"min": 0.4}, "language": None}, {"language_score": {"min": 0.4}, "language": None}),
        ({"language": {"min_score": 0.6}, "language_score": {"max": 0.9}}, {"language": {}, "language_score": {"min": 0.6, "max": 0.9}}),
        ({"language": {"min_score": 0.6}, "language_score": {"min": 0.9}}, {"language": {}, "language_score": {"min": 0.9}}),
        ({"language": {"deny": ["de"]}, "num_words": None}, {"language": {"deny": ["de"]}, "num_words": None}),
    ],
)  # fmt: skip
def test_a_certainty_has_one_spelling(bounds: dict[str, Any], merged: dict[str, Any]) -> None:
    assert one_spelling(bounds) == merged
    assert one_spelling(merged) | {"language": None} == merged | {"language": None}


def test_rules_say_what_they_ask() -> None:
    texts = [
        rule_text(rule)
        for rule in build_rules(
            {
                "num_words": {"min": 50, "max": 100_000},
                "short_line_ratio": {"max": 0.1234567},
                "language": {"deny": ["en", "hi"]},
            }
        )
    ]
    assert texts == [
        "num_words >= 50",
        "num_words <= 100000",
        "short_line_ratio <= 0.1234567",
        "language not in en, hi",
    ]


def test_presets_are_the_published_thresholds() -> None:
    """Gopher: arXiv 2112.11446, tables A1; C4 and FineWeb as in datatrove 0.10.1."""
    asked = {name: [rule_text(rule) for rule in build_rules(preset)] for name, preset in PRESETS.items()}
    assert asked["gopher_quality"] == [
        "num_words >= 50", "num_words <= 100000", "mean_word_length >= 3", "mean_word_length <= 10", "hash_ratio <= 0.1", "ellipsis_ratio <= 0.1",
        "bullet_line_ratio <= 0.9", "ellipsis_line_ratio <= 0.3", "alpha_word_ratio >= 0.8", "num_stop_words >= 2",
    ]  # fmt: skip
    assert asked["c4"] == [
        "num_lorem_ipsum_after_cuts <= 0",
        "num_curly_brackets_after_cuts <= 0",
        "num_sentences_after_cuts >= 5",
    ]
    assert asked["fineweb"] == [
        "line_punct_ratio >= 0.12",
        "short_line_ratio <= 0.67",
        "char_dup_ratio <= 0.01",
        "list_ratio <= 0.3",
    ]
    assert asked["gopher"] == asked["gopher_repetition"] + asked["gopher_quality"]
    dups = [
        f"dup_{n}_gram_char_ratio <= {bound}"
        for n, bound in zip(range(5, 11), ("0.15", "0.14", "0.13", "0.12", "0.11", "0.1"), strict=True)
    ]
    assert asked["gopher_repetition"] == [
        "dup_paragraph_ratio <= 0.3", "dup_paragraph_char_ratio <= 0.2", "dup_line_ratio <= 0.3", "dup_line_char_ratio <= 0.2",
        "top_2_gram_char_ratio <= 0.2", "top_3_gram_char_ratio <= 0.18", "top_4_gram_char_ratio <= 0.16", *dups,
    ]  # fmt: skip


# ── what is refused ──


def check(signal: str, **bound: Any) -> None:
    check_signal(signal, build_section(Bound, bound, "bound") if bound else None, "curation.rules")


@pytest.mark.parametrize("signal", sorted(SIGNALS))
def test_any_rule_can_be_switched_off(signal: str) -> None:
    check(signal)


def test_what_is_a_rule_passes() -> None:
    for signal, bound in (
        ("num_words", {"min": 5}), ("short_line_ratio", {"max": 0.5}), ("language", {"allow": ["en"], "min_score": 0.5}), ("url", {"deny": ["x"]}),
        ("date", {"min": "2020-01-01"}), ("metadata.court", {"allow": ["high"]}), ("metadata.level", {"min": 2}),
    ):  # fmt: skip
        check(signal, **bound)


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a misspelt signal": ("num_word", {"min": 5}, "Did you mean 'num_words'"),
    "a signal of later": ("perplexity", {"max": 5}, "reserved for a later feature"),
    "text with a bound": ("language", {"min": 5}, "language is text"),
    "a number with a list": ("num_words", {"allow": ["5"]}, "num_words is a number"),
    "a number in quotes": ("num_words", {"min": "5"}, "'5' is text"),
    "a share of words": ("num_words", {"min": "5%"}, "num_words is a count; 0.05 is not a whole number"),
    "half a thousandth": ("num_words", {"min": "1.0005k"}, "is not a count"),
    "more than all": ("list_ratio", {"max": "130%"}, "is not a share"),
    "nearness to what is held out": (
        "held_out_jaccard",
        {"max": 0.3},
        "held_out_jaccard cannot be ruled on.*near_held_out",
    ),
    "a held-out partner": ("held_out_partner", {"deny": ["x"]}, "held_out_partner cannot be ruled on"),
    "a list of none": ("num_words", {"deny": []}, "num_words is a number"),
    "days in a list": ("date", {"deny": ["2020-01-01"]}, "date is a day; use min or max"),
    "a certainty that is no number": ("language", {"min_score": float("nan")}, "is not a share"),
    "a certainty beyond all": ("language", {"min_score": 65}, "65 is not a share"),
    "a backslash": ("metadata.a\\b", {"deny": ["x"]}, "a metadata key with a backslash"),
    "a thirteenth month": ("date", {"min": "2020-13-45"}, "'2020-13-45' is not a day"),
    "a certainty of words": ("num_words", {"min_score": 0.5}, "min_score belongs to language"),
    "a year for a day": ("date", {"min": 2020}, "write YYYY-MM-DD"),
    "a day of another form": ("date", {"max": "5 May 2020"}, "write YYYY-MM-DD"),
    "truth": ("num_words", {"min": True}, "not a bound"),
    "no end": ("num_words", {"max": float("inf")}, "leave out the side"),
    "no number": ("num_words", {"max": float("nan")}, "leave out the side"),
    "an unknown key": ("num_words", {"mn": 5}, "Did you mean 'min'"),
    "nothing between": ("num_words", {"min": 300, "max": 100}, "min 300 is above max 100"),
    "nothing between shares": ("list_ratio", {"min": "30%", "max": 0.1}, r"min 0\.3 is above max 0\.1"),
    "no day between": (
        "date",
        {"min": "2021-01-01", "max": "2020-01-01"},
        "min 2021-01-01 is above max 2020-01-01",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_a_rule_is_refused_by_name(case: str) -> None:
    signal, bound, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message):
        check(signal, **bound)


@pytest.mark.parametrize(
    ("written", "number"),
    [("2k", 2000), ("1.5M", 1_500_000), ("30%", 0.3), (" 0.5 % ", 0.005), (7, 7), ("2020-01-01", "2020-01-01"), ("2", "2"), ("G1", "G1")],
)  # fmt: skip
def test_a_suffixed_number_is_a_number(written: Any, number: Any) -> None:
    bound = build_section(Bound, {"min": written, "max": written}, "bound")
    assert bound.min == bound.max == number
    assert bound == build_section(Bound, {"min": number, "max": number}, "bound")


def test_an_empty_bound_is_refused() -> None:
    with pytest.raises(ConfigError, match="null to switch it off"):
        build_section(Bound, {}, "bound")
