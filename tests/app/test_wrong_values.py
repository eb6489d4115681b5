"""Every key of a recipe, catalog and profile with values that it cannot have: one line each, in the words of YAML."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from app.profile import Profile
from app.recipe import Recipe
from app.reference import keys_of
from corpus.catalog import Source
from corpus.config import Section, build_section, set_key
from corpus.errors import ConfigError
from evals.task import TaskConfig

WRONG: list[Any] = [None, True, -1, 1.5, math.inf, math.nan, "", "perl", [], ["a", 5, None], {}, {"a": 1}, {5: None}, 10**30]  # fmt: skip
LEAST: dict[type[Section], dict[str, Any]] = {
    Recipe: {"name": "a", "sources": ["x"]}, Source: {"path": "x", "role": "domain"}, TaskConfig: {"path": "x"}, Profile: {},
}  # fmt: skip
NAMES = {"SIGNAL": "num_words", "TARGET": "holdout/domain", "METRIC": "bits_per_byte", "NAME": "code"}
PYTHON = re.compile(
    r"Input should|instance of|dictionary|unable to|valid (string|integer|number|list|boolean)|fractional|finite|\[key\]"
    r"|\b(None|True|False|inf|nan|str|float|bool|dict)\b(?<!\.inf)(?<!\.nan)"
)
SECTIONS = re.compile("|".join(rf"\b{each.__name__}\b" for each in Section.__subclasses__()))


def keys(section: type[Section]) -> list[str]:
    return [".".join(NAMES.get(step, step) for step in key.split(".")) for key in keys_of(section)]


def told(section: type[Section], key: str, value: Any) -> list[str]:
    """What is said of a value at a key."""
    tree = dict(LEAST[section])
    set_key(tree, key, value)
    try:
        build_section(section, tree, "here")
    except ConfigError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize("section", LEAST, ids=lambda section: section.__name__)
def test_a_wrong_value_is_told_in_the_words_of_yaml(section: type[Section]) -> None:
    for key in keys(section):
        for value in WRONG:
            lines = told(section, key, value)
            for line in lines:
                assert not PYTHON.search(line), (key, value, line)
                assert not SECTIONS.search(line), (key, value, line)
            of_it = [line for line in lines if f"{key}:" in line]
            assert len(of_it) <= 1, (key, value, of_it)
            if not isinstance(value, str):
                assert not any("Did you mean" in line for line in of_it), (key, value, of_it)


@pytest.mark.parametrize("section", LEAST, ids=lambda section: section.__name__)
def test_every_key_of_the_reference_is_a_key_of_the_models(section: type[Section]) -> None:
    for key in keys(section):
        for value in WRONG:
            for line in told(section, key, value):
                assert f"unknown key {key!r}" not in line
                above = [
                    f"here: {start}: " for start in (key[: dot.start()] for dot in re.finditer(r"\.", key))
                ]
                assert not (line.startswith(tuple(above)) and "cannot stand here" in line), (key, line)


MISTAKES: list[tuple[str, Any, str]] = [
    ("curation.rules.short_line_ratio", 0.5, "curation.rules.short_line_ratio: 0.5 cannot stand here; write a mapping such as {min: 0.5}"),
    ("gate.harm", {"holdout/general": {"bits_per_byte": "3%"}}, "gate.harm.holdout/general.bits_per_byte: '3%' cannot stand here; write a mapping such as {max_increase: 3%}"),
    ("training.schedule", "cosine", "training.schedule: 'cosine' cannot stand here; write a mapping such as {type: cosine}"),
    ("tokenizer", "bpe", "tokenizer: 'bpe' cannot stand here; write 'base_model', a mapping such as {path: TEXT} or a mapping such as {train: bpe}"),
    ("tokenizer", {"trin": 1}, "unknown key 'tokenizer.trin'. Did you mean 'train'?"),
    ("tokenizer.vocab_size", "many", "tokenizer.vocab_size: 'many' is not a count"),
    ("curation.pii", "hide", "curation.pii: 'hide' is not known. Valid here: 'drop', 'keep' or 'mask'."),
    ("curation.rules.num_words.min", [], "curation.rules.num_words.min: [] cannot stand here; write a number or text"),
    ("training.schedule.type", None, "training.schedule.type: null cannot stand here; write 'cosine' or 'wsd'"),
    ("runs", {5: {}}, "runs.5: the key 5 is not text; write it in quotes."),
    ("sources", "perl", "sources: 'perl' cannot stand here; write a list such as [TEXT]"),
    ("catalog", None, "catalog: null cannot stand here; write text"),
    ("seed", 1.5, "seed: 1.5 cannot stand here; write a whole number, 0 or more"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "message"), MISTAKES, ids=[f"{key}={value}" for key, value, _ in MISTAKES])  # fmt: skip
def test_a_mistake_is_one_line_with_what_can_stand_there(key: str, value: Any, message: str) -> None:
    (line,) = [line for line in told(Recipe, key, value) if "missing" not in line]
    assert line.startswith(f"here: {message}")
