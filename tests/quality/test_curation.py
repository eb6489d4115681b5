"""The curation section: which rules a source ends up with, and what is refused before any work."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.config import build_section
from corpus.errors import ConfigError
from corpus.schema import PII_TYPES
from quality.curation import Curation
from tests.quality.rule_text import rule_text


def build(**keys: Any) -> Curation:
    return build_section(Curation, keys, "curation")


def asked(
    curation: Curation, source: str = "statutes", topic: str = "law", role: str = "domain"
) -> list[str]:
    return [rule_text(rule) for rule in curation.for_source(source, topic, role).rules]


LAYER = st.none() | st.integers(0, 9)


@given(*[LAYER] * 4, st.sets(st.sampled_from(["domain", "law", "statutes"])))
def test_source_beats_topic_beats_role_beats_rules(
    rules: int | None, role: int | None, topic: int | None, source: int | None, given: set[str]
) -> None:
    layers = {"domain": role, "law": topic, "statutes": source}
    overrides = {
        key: {"num_words": None if value is None else {"min": value}}
        for key, value in layers.items()
        if key in given
    }
    curation = build(rules={"num_words": None if rules is None else {"min": rules}}, overrides=overrides)
    deciding = next((layers[key] for key in ("statutes", "law", "domain") if key in given), rules)
    assert asked(curation) == ([] if deciding is None else [f"num_words >= {deciding}"])
    assert asked(curation, "other", "other", "general") == (
        [] if rules is None else [f"num_words >= {rules}"]
    )


SCORES = {
    "0.2": {"language": {"min_score": 0.2}}, "0.4": {"language_score": {"min": 0.4}}, "off": {"language": {"min_score": None}}, "none": {"language": None},
    "open": {"language_score": {"min": None}}, "null": {"language_score": None},
}  # fmt: skip
SCORE = st.sampled_from(sorted(SCORES))


@given(SCORE, st.dictionaries(st.sampled_from(["domain", "law", "statutes"]), SCORE))
def test_a_certainty_nearer_by_beats_the_others_in_either_spelling(rules: str, given: dict[str, str]) -> None:
    curation = build(rules=SCORES[rules], overrides={key: SCORES[score] for key, score in given.items()})
    nearest = next((given[key] for key in ("statutes", "law", "domain") if key in given), rules)
    assert asked(curation) == ([f"language_score >= {nearest}"] if nearest[0] == "0" else [])


def test_a_null_language_switches_its_certainty_off() -> None:
    rules = {"language": {"allow": ["en"], "min_score": 0.65}, "language_score": {"max": 0.9}}
    curation = build(rules=rules, overrides={"law": {"language": None}})
    assert asked(curation) == ["language_score <= 0.9"]


def test_bounds_are_merged_key_by_key() -> None:
    curation = build(
        presets=["gopher_quality"], rules={"num_words": {"min": 5}, "language": {"allow": ["en"], "min_score": 0.65}},
        overrides={"law": {"num_words": {"max": 9}, "language": {"allow": ["en", "hi"]}}, "statutes": {"num_words": {"min": None}}},
    )  # fmt: skip
    assert asked(curation)[0] == "num_words <= 9"
    assert asked(curation)[-2:] == ["language in en, hi", "language_score >= 0.65"]
    assert asked(curation, "cases")[:2] == ["num_words >= 5", "num_words <= 9"]
    assert asked(curation, "web", "web", "general")[:2] == ["num_words >= 5", "num_words <= 100000"]


def test_a_rule_that_is_off_can_be_on_again_nearer_by() -> None:
    curation = build(
        presets=["fineweb"],
        overrides={"domain": {"list_ratio": None}, "statutes": {"list_ratio": {"max": 0.9}}},
    )
    assert "list_ratio <= 0.9" in asked(curation)
    assert not any("list_ratio" in text for text in asked(curation, "cases"))


def test_rules_stand_in_recipe_order_presets_first() -> None:
    curation = build(
        presets=["fineweb", "c4"], rules={"num_words": {"min": 5}, "char_dup_ratio": {"max": 0.5}}
    )
    assert asked(curation) == [
        "line_punct_ratio >= 0.12", "short_line_ratio <= 0.67", "char_dup_ratio <= 0.5", "list_ratio <= 0.3", "num_lorem_ipsum_after_cuts <= 0",
        "num_curly_brackets_after_cuts <= 0", "num_sentences_after_cuts >= 5", "num_words >= 5",
    ]  # fmt: skip


def test_lines_are_cut_where_the_c4_preset_is_and_not_switched_off() -> None:
    curation = build(presets=["c4"], overrides={"law": {"c4_lines": None}})
    assert not curation.for_source("statutes", "law", "domain").cut_lines
    assert curation.for_source("web", "web", "general").cut_lines and curation.needs_c4_lines
    assert not build(presets=["fineweb"]).for_source("web", "web", "general").cut_lines
    assert not build().needs_c4_lines and build(rules={"cut_byte_ratio": {"max": 0.5}}).needs_c4_lines
    assert build(overrides={"web": {"num_sentences_after_cuts": {"min": 2}}}).needs_c4_lines
    assert not build(presets=["c4"], rules={"c4_lines": None}).for_source("web", "", "general").cut_lines


def test_what_the_keeper_order_names_is_measured() -> None:
    assert build(near_duplicates={"keep": ["cut_byte_ratio"]}).needs_c4_lines
    assert not build(rules={"cut_byte_ratio": None}).needs_c4_lines


UNMEASURED: dict[str, tuple[dict[str, Any], str]] = {
    "tokens": ({"rules": {"num_tokens": {"min": 20}}}, r"curation\.rules: num_tokens .*Add tokenizer: "),
    "tokens of a source": (
        {"overrides": {"law": {"num_tokens": {"max": "2k"}}}},
        r"curation\.overrides\.law: num_tokens .*Add tokenizer: ",
    ),
    "tokens to keep": ({"near_duplicates": {"keep": ["num_tokens"]}}, r"near_duplicates\.keep: num_tokens "),
    "held out to keep": ({"near_duplicates": {"keep": ["held_out_containment"]}}, "Add holdout: "),
}


@pytest.mark.parametrize("case", UNMEASURED)
def test_a_rule_on_what_is_not_measured_is_refused(case: str) -> None:
    keys, message = UNMEASURED[case]
    with pytest.raises(ConfigError, match=message):
        build(**keys).check_measured(tokens=False, holdout=False)
    build(**keys).check_measured(tokens=True, holdout=True)


def test_a_rule_that_is_off_needs_nothing_measured() -> None:
    build(rules={"num_tokens": None, "cut_byte_ratio": {"max": 0.5}}).check_measured(False, False)


def test_pii_is_one_word_or_one_a_type() -> None:
    assert build().pii == dict.fromkeys(PII_TYPES, "mask") == build(pii="mask").pii == build(pii=None).pii
    assert build(pii="drop").pii == dict.fromkeys(PII_TYPES, "drop")
    assert build(pii={"email": "keep", "ssn": "drop"}).pii == {
        **dict.fromkeys(PII_TYPES, "mask"),
        "email": "keep",
        "ssn": "drop",
    }


def test_guards_change_no_id_and_rules_do() -> None:
    assert build(stop_if={"source_loss": "80%", "cluster_size": "1k"}).identity() == build().identity()
    others = [
        build(rules={"num_words": {"min": 1}}), build(presets=["c4"]), build(pii="drop"), build(near_duplicates=None), build(exact_duplicates=False),
        build(near_duplicates={"jaccard": 0.9}), build(c4_lines={"policy": False}), build(overrides={"law": {"num_words": None}}),
    ]  # fmt: skip
    assert len({str(found.identity()) for found in [build(), *others]}) == 9


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown preset": ({"presets": ["gophr"]}, "no preset 'gophr'. Did you mean 'gopher'"),
    "an unknown signal": (
        {"rules": {"num_wrds": {"min": 1}}},
        "no signal 'num_wrds'.*Did you mean 'num_words'",
    ),
    "an unknown signal of an override": (
        {"overrides": {"law": {"num_wrds": None}}},
        r"curation\.overrides\.law.*num_wrds",
    ),
    "an unknown type": ({"pii": {"e-mail": "mask"}}, "no PII type 'e-mail'. Did you mean 'email'"),
    "a list of types": ({"pii": ["email"]}, r"\['email'\] is no action; write mask, drop or keep"),
    "a number for an action": ({"pii": 5}, "5 is no action"),
    "an unknown action": ({"pii": {"email": "hide"}}, "mask"),
    "a threshold that is not stored": ({"near_duplicates": {"jaccard": 0.4}}, "only pairs from 0.5"),
    "a later feature": ({"decontamination": {"tasks": "all"}}, "not there yet"),
    "cuts with a bound": ({"rules": {"c4_lines": {"min": 1}}}, "only be switched off"),
    "an unknown key": ({"preset": ["c4"]}, "Did you mean 'presets'"),
    "a loss beyond all": ({"stop_if": {"source_loss": 1.5}}, "not a share"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_said(case: str) -> None:
    keys, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message) as refused:
        build(**keys)
    assert "{'" not in str(refused.value)  # the mapping that was read is no part of the message


CROSSED: dict[str, dict[str, Any]] = {
    "a preset's": {"presets": ["gopher_quality"], "rules": {"num_words": {"max": 40}}},
    "a rule's": {"rules": {"num_words": {"min": 50}}, "overrides": {"law": {"num_words": {"max": 40}}}},
    "an override's": {"overrides": {"domain": {"num_words": {"max": 40}}, "statutes": {"num_words": {"min": 50}}}},
}  # fmt: skip


@pytest.mark.parametrize("case", CROSSED)
def test_bounds_that_cross_once_they_are_merged_are_refused(case: str) -> None:
    curation = build(**CROSSED[case])
    with pytest.raises(ConfigError, match="source 'statutes': num_words: min 50 is above max 40"):
        curation.check_bounds("statutes", "law", "domain")


def test_a_certainty_crosses_in_either_spelling() -> None:
    curation = build(rules={"language": {"min_score": 0.65}, "language_score": {"max": 0.5}})
    with pytest.raises(ConfigError, match=r"language_score: min 0\.65 is above max 0\.5"):
        curation.check_bounds("statutes", "law", "domain")


def test_bounds_that_cross_in_no_source_are_kept() -> None:
    rules = {"num_words": {"min": 40, "max": 40}, "metadata.level": {"min": 2, "max": "1"}}
    overrides = {"law": {"num_words": {"min": None, "max": 4}}, "web": {"num_words": None}}
    for source in ("law", "web", "other"):
        build(rules=rules, overrides=overrides).check_bounds(source, "", "domain")


def test_an_override_must_be_of_something_the_recipe_has() -> None:
    curation = build(overrides={"statuts": {"num_words": None}})
    with pytest.raises(ConfigError, match=r"overrides\.statuts: .*Did you mean 'statutes'"):
        curation.check_overrides({"statutes", "law", "domain"})
    curation.check_overrides({"statuts"})


def test_the_keeper_order_holds_for_exact_copies_too() -> None:
    assert build(near_duplicates=None).keep == ["curated", "date", "length"] == build().keep
    assert build(near_duplicates={"keep": ["num_words"]}).keep == ["num_words"]
