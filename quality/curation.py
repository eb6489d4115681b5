"""The curation section of a recipe: presets, rules, overrides by source, topic and role, duplicates, PII, guards.

It resolves to one list of rules per source. What the rules do is `quality.rules`; when they are applied, `quality.decide`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import field_validator, model_validator

from corpus.config import Count, Section, Share, circumstance, identity
from corpus.errors import ConfigError, did_you_mean, one_of
from corpus.schema import C4_SIGNALS, HELD_OUT_SIGNALS, PII_TYPES, TOKENS_SIGNALS
from quality.near_duplicates import NearDuplicates
from quality.rules import (
    CUTTING_PRESETS,
    PRESETS,
    Bound,
    Rule,
    build_rules,
    check_signal,
    crossing,
    one_spelling,
)

PiiAction = Literal["mask", "drop", "keep"]


class C4LineCuts(Section):
    """Which lines the c4 preset cuts (datatrove's C4QualityFilter; terminal punctuation off, as FineWeb has it)."""

    terminal_punct: bool = identity(
        False, description="cut lines that do not end in . ! ? \" or ', or end in ..."
    )
    min_words_per_line: int = identity(3, description="cut lines with fewer words")
    max_word_length: int = identity(1000, description="cut lines with a longer word")
    javascript: bool = identity(True, description="cut lines that mention javascript")
    policy: bool = identity(True, description="cut lines of cookie and privacy notices")


class StopIf(Section):
    """Guards: what a recipe would rather not do. They change no id; a stopped snapshot can still be looked at."""

    source_loss: Share | None = circumstance(
        0.4,
        description="of a source's documents unreadable or dropped, what is held out or near it aside, from 20 on",
    )
    cluster_size: Count | None = circumstance(1000, description="documents dropped for one keeper")


@dataclass(frozen=True)
class SourceRules:
    """What holds for one source: its rules in order, and whether the c4 preset's line cuts apply."""

    rules: tuple[Rule, ...]
    cut_lines: bool


class Curation(Section):
    presets: list[str] = identity([], description="gopher, gopher_quality, gopher_repetition, fineweb, c4")
    rules: dict[str, Bound | None] = identity(
        {},
        description="by signal: {min: …, max: …, allow: […], deny: […]}, beside or instead of the presets'; null switches one off",
    )
    overrides: dict[str, dict[str, Bound | None]] = identity(
        {}, description="by source, topic or role; source beats topic beats role; null switches off"
    )
    exact_duplicates: bool = identity(
        True, absent_means=True, description="drop copies, by text after NFC and folding of whitespace"
    )
    near_duplicates: NearDuplicates | None = identity(
        NearDuplicates(), description="null: they are not looked for"
    )
    pii: dict[str, PiiAction] = identity(
        dict.fromkeys(PII_TYPES, "mask"),
        description="by type of personal data: mask, drop (the document) or keep",
    )
    c4_lines: C4LineCuts = identity(
        C4LineCuts(), absent_means=C4LineCuts(), description="line cuts of the c4 preset"
    )
    stop_if: StopIf = circumstance(StopIf(), description="guards: the recipe stops with exit 3")
    decontamination: Any = identity(None, absent_means=None, description="not there yet")

    @field_validator("presets")
    @classmethod
    def _known_presets(cls, value: list[str]) -> list[str]:
        for name in value:
            if name not in PRESETS:
                raise ValueError(
                    f"no preset {name!r}.{did_you_mean(name, PRESETS)} There are {one_of(PRESETS)}"
                )
        return value

    @field_validator("pii", mode="before")
    @classmethod
    def _pii(cls, value: Any) -> Any:
        """One word for all types, or an action by type; types that are not named keep `mask`."""
        if isinstance(value, str):
            return dict.fromkeys(PII_TYPES, value)
        if value is not None and not isinstance(value, dict):
            raise ValueError(
                f"{value!r} is no action; write mask, drop or keep, or a mapping of types to these: {{email: drop}}"
            )
        for kind in value or {}:
            if kind not in PII_TYPES:
                raise ValueError(
                    f"no PII type {kind!r}.{did_you_mean(str(kind), PII_TYPES)} There are {one_of(PII_TYPES)}"
                )
        return dict.fromkeys(PII_TYPES, "mask") | (value or {})

    @field_validator("decontamination")
    @classmethod
    def _absent(cls, value: Any) -> Any:
        if value is not None:
            raise ValueError("decontamination against tasks is not there yet; leave the key out")
        return value

    @model_validator(mode="after")
    def _signals(self) -> Curation:
        for where, bounds in (
            ("rules", self.rules),
            *((f"overrides.{name}", found) for name, found in self.overrides.items()),
        ):
            for signal, bound in bounds.items():
                if signal != "c4_lines":
                    check_signal(signal, bound, f"curation.{where}")
                elif bound is not None:
                    raise ValueError(
                        f"{where}.c4_lines: the line cuts of the c4 preset can only be switched off here: null"
                    )
        return self

    def check_overrides(self, known: set[str]) -> None:
        """Every override must be of a source, topic or role of the recipe; ConfigError names the nearest."""
        for name in self.overrides:
            if name not in known:
                raise ConfigError(
                    f"curation.overrides.{name}: no source, topic or role of this recipe.{did_you_mean(name, known)} There are {one_of(known)}."
                )

    def check_measured(self, tokens: bool, holdout: bool) -> None:
        """A rule or a keeper key on what is not measured would do nothing: ConfigError says what would have it measured."""
        for signal, where in self._named.items():
            if signal in TOKENS_SIGNALS and not tokens:
                raise ConfigError(
                    f"curation.{where}: {signal} is not measured without a tokenizer. Add tokenizer: {{path: DIR}} or {{train: bpe}}, or a base_model with a path or run."
                )
            if signal in HELD_OUT_SIGNALS and not holdout:
                raise ConfigError(
                    f"curation.{where}: {signal} is not measured without a held-out set. Add holdout: {{name: NAME}}."
                )

    def bounds_for(self, source: str, topic: str, role: str) -> dict[str, dict[str, Any] | None]:
        """Signal → bound for a source: presets, then rules, then overrides of its role, topic and name, key by key."""
        merged: dict[str, dict[str, Any] | None] = {}
        layers: list[dict[str, Any]] = [PRESETS[name] for name in self.presets]
        layers += [
            {signal: _given(bound) for signal, bound in bounds.items()}
            for bounds in (self.rules, *(self.overrides.get(key, {}) for key in (role, topic, source)))
        ]
        for layer in layers:
            for signal, bound in one_spelling(layer).items():
                merged[signal] = None if bound is None else {**(merged.get(signal) or {}), **bound}
        return merged

    def check_bounds(self, source: str, topic: str, role: str) -> None:
        """Bounds of several layers may leave nothing between them: ConfigError before anything is measured."""
        for signal, bound in self.bounds_for(source, topic, role).items():
            if bound and (problem := crossing(bound)):
                raise ConfigError(
                    f"curation: for source {source!r}: {signal}: {problem}, once presets, rules and overrides are merged. "
                    "Give the other side too, or null to leave it open."
                )

    def for_source(self, source: str, topic: str, role: str) -> SourceRules:
        bounds = self.bounds_for(source, topic, role)
        cut = any(name in CUTTING_PRESETS for name in self.presets) and bounds.pop("c4_lines", {}) is not None
        bounds.pop("c4_lines", None)
        return SourceRules(tuple(build_rules(bounds)), cut)

    @property
    def keep(self) -> list[str]:
        """The keeper order, among exact copies too."""
        return (self.near_duplicates or NearDuplicates()).keep

    @property
    def needs_c4_lines(self) -> bool:
        return bool(CUTTING_PRESETS & set(self.presets)) or bool(C4_SIGNALS.keys() & self._named.keys())

    @property
    def _named(self) -> dict[str, str]:
        """Each signal that a rule or the keeper order asks for, and where it stands."""
        found = dict.fromkeys(self.keep, "near_duplicates.keep")
        found |= {signal: f"overrides.{name}" for name, bounds in self.overrides.items() for signal, bound in bounds.items() if bound is not None}  # fmt: skip
        return found | {signal: "rules" for signal, bound in self.rules.items() if bound is not None}


def _given(bound: Bound | None) -> dict[str, Any] | None:
    return None if bound is None else {name: getattr(bound, name) for name in bound.model_fields_set}
