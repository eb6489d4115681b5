"""What every section of a recipe, catalog or profile is made of: declared fields, suffixed numbers, YAML 1.2.

Each field of a `Section` says whether it is *identity* (part of the ids of what it makes) or *circumstance* (where, how
fast, how shown). It does not cover what the sections mean: each sits beside its consumer.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticUndefined

from corpus.errors import ConfigError
from corpus.mistakes import explain

MISSING: Any = object()
_NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
_SUFFIXES = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}


def identity(default: Any = PydanticUndefined, *, absent_means: Any = MISSING, description: str = "") -> Any:
    """A field that is part of an id. `absent_means` keeps old ids when the field is new: equal to it, it is left out."""
    return _declared("identity", default, absent_means, description)


def circumstance(default: Any = PydanticUndefined, *, description: str = "") -> Any:
    """A field that says where, how fast or how shown, and never changes an id."""
    return _declared("circumstance", default, MISSING, description)


def _declared(part: str, default: Any, absent_means: Any, description: str) -> Any:
    extra: dict[str, Any] = {"declared": part}
    if absent_means is not MISSING:
        extra["absent_means"] = absent_means
    keywords: dict[str, Any] = {"description": description or None, "json_schema_extra": extra}
    if isinstance(default, (dict, list)):
        return Field(default_factory=lambda: type(default)(default), **keywords)
    return Field(default=default, **keywords)


class Section(BaseModel):
    """A frozen group of declared keys; an unknown key is refused with the nearest valid name."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        populate_by_name=True,
        validate_default=True,
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            extra = field.json_schema_extra
            assert isinstance(extra, dict) and extra.get("declared") in ("identity", "circumstance"), (
                f"{cls.__name__}.{name} is declared neither identity nor circumstance"
            )

    def identity(self) -> dict[str, Any]:
        """The identity fields in JSON form, leaving out those equal to what their absence means."""
        found: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            extra: Any = field.json_schema_extra
            value = getattr(self, name)
            if extra["declared"] != "identity" or (
                "absent_means" in extra and value == extra["absent_means"]
            ):
                continue
            found[name] = identity_of(value)
        return found


def identity_of(value: Any) -> Any:
    """The JSON form of a config value, with every nested section reduced to its identity fields."""
    if isinstance(value, Section):
        return value.identity()
    if isinstance(value, (Margin, Multiple)):
        return str(value)
    if isinstance(value, dict):
        return {str(key): identity_of(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [identity_of(item) for item in value]
    return value


SectionT = TypeVar("SectionT", bound=Section)

# ── suffixed numbers ──


def parse_count(value: Any) -> int:
    """A whole number with an optional decimal suffix.

    >>> parse_count("32k"), parse_count("2B"), parse_count("1.5M"), parse_count(7)
    (32000, 2000000000, 1500000, 7)
    """
    number = None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = Decimal(value)
    elif isinstance(value, str) and (
        match := re.fullmatch(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*([kKMGBT]?)\s*", value)
    ):
        number = Decimal(match[1].replace("_", "")) * _SUFFIXES[match[2]]
    if number is None or not number.is_finite() or number < 0 or number != number.to_integral_value():
        raise ValueError(f"{value!r} is not a count; write a whole number such as 500, 32k, 1.5M or 2B")
    return int(number)


def parse_share(value: Any) -> float:
    """A share between 0 and 1, written `3%` or `0.03`.

    >>> parse_share("3%"), parse_share(0.25)
    (0.03, 0.25)
    """
    number = _percent(value)
    if number is None and isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value)
    if number is None or not 0 <= number <= 1:
        raise ValueError(f"{value!r} is not a share; write 3% or 0.03 (between 0 and 1)")
    return number


def _percent(value: Any) -> float | None:
    match = re.fullmatch(rf"\s*({_NUMBER})\s*%\s*", value) if isinstance(value, str) else None
    return round(float(match[1]) / 100, 12) if match else None


def _shortest(number: float) -> str:
    """The shortest form that reads back as the same number, so that two values never share an id."""
    return repr(float(number)).removesuffix(".0")


@dataclass(frozen=True)
class Multiple:
    """A multiple of the base model's own value, written `0.05x`."""

    factor: float

    def __str__(self) -> str:
        return f"{_shortest(self.factor)}x"


def parse_rate(value: Any) -> float | Multiple:
    """A learning rate, absolute (`2e-5`) or a multiple of the base's peak (`0.05x`)."""
    if isinstance(value, Multiple):
        return value
    if (
        isinstance(value, str)
        and (match := re.fullmatch(rf"\s*({_NUMBER})\s*x\s*", value))
        and float(match[1]) > 0
    ):
        return Multiple(float(match[1]))
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf:
        return float(value)
    raise ValueError(f"{value!r} is not a learning rate; write 2e-5, or 0.05x for a share of the base's peak")


@dataclass(frozen=True)
class Margin:
    """A margin with its unit: `3%` is relative to the baseline, `2pp` is absolute percentage points."""

    value: float
    unit: str

    def __str__(self) -> str:
        return f"{_shortest(self.value)}{self.unit}"

    def absolute(self, baseline: float) -> float:
        """The margin in the metric's own unit, given the baseline's value."""
        return abs(baseline) * self.value / 100 if self.unit == "%" else self.value / 100


def parse_margin(value: Any) -> Margin:
    """A margin must carry its unit: `3%` (relative) or `2pp` (absolute percentage points)."""
    if isinstance(value, Margin):
        return value
    if isinstance(value, str) and (match := re.fullmatch(rf"\s*({_NUMBER})\s*(%|pp)\s*", value)):
        return Margin(float(match[1]), match[2])
    raise ValueError(f"{value!r} has no unit; write 3% (of the baseline's value) or 2pp (percentage points)")


_as_text = PlainSerializer(lambda value: str(value) if isinstance(value, (Margin, Multiple)) else value)


def written(pattern: str, *types: str) -> WithJsonSchema:
    """What may stand in the YAML, for `app.editor_schema`: a text of this pattern, or a value of one of these types."""
    text = {"type": "string", "pattern": rf"^\s*{pattern}\s*$"}
    return WithJsonSchema({"anyOf": [{"type": name} for name in types] + [text]} if types else text)


Count = Annotated[
    int, BeforeValidator(parse_count), written(r"[0-9][0-9_]*(\.[0-9]+)?\s*[kKMGBT]?", "number")
]
Share = Annotated[float, BeforeValidator(parse_share), written(rf"{_NUMBER}\s*%", "number")]
Rate = Annotated[Any, BeforeValidator(parse_rate), _as_text, written(rf"{_NUMBER}\s*x", "number")]
MarginValue = Annotated[Any, BeforeValidator(parse_margin), _as_text, written(rf"{_NUMBER}\s*(%|pp)")]


# ── YAML 1.2 ────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Loader(yaml.SafeLoader):
    """PyYAML reads YAML 1.1, where `no` is false, `2e-5` is text, `010` is 8 and `12:30` is 750.

    It knows the tags of YAML 1.2's core and no others: a `!!set`, for one, has no order.
    """

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        if isinstance(node, yaml.MappingNode):
            keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
            if repeated := [key for key, count in keys.items() if count > 1]:
                raise ConfigError(
                    f"{node.start_mark.name}: the key {repeated[0]!r} stands twice in one mapping"
                )
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: Any) -> None:
        """YAML 1.1 merges mappings here; 1.2 does not."""


def _parse_int(text: str) -> int:
    number = int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    str(number)  # ValueError for thousands of digits, which no JSON could be written with
    return number


def _parse_float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
_TAG = "tag:yaml.org,2002:"
# tag, how it is written, its first characters, what is read
_SCALARS: list[tuple[str, str, Iterable[str], Callable[[str], Any]]] = [
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF", lambda text: text[0] in "tT"),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+", "-+0123456789", _parse_int),
    ("float", rf"{_FLOAT}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+0123456789.", _parse_float),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""], lambda text: None),
]


def _add_scalar(tag: str, written: str, first: Iterable[str], read: Callable[[str], Any]) -> None:
    pattern = re.compile(rf"(?:{written})\Z")

    def construct(loader: _Loader, node: yaml.ScalarNode) -> Any:
        text = loader.construct_scalar(node)
        if not pattern.match(text):
            raise yaml.constructor.ConstructorError(None, None, f"{text!r} is no {tag}", node.start_mark)
        return read(text)

    _Loader.add_implicit_resolver(_TAG + tag, pattern, list(first))
    _Loader.add_constructor(_TAG + tag, construct)


_Loader.yaml_implicit_resolvers = {}
_Loader.yaml_constructors = {
    tag: yaml.SafeLoader.yaml_constructors[tag]
    for tag in (None, *(_TAG + name for name in ("str", "seq", "map")))
}
for _scalar in _SCALARS:
    _add_scalar(*_scalar)


def read_yaml(path: Path) -> dict[str, Any]:
    """One YAML 1.2 mapping from a file; errors name the file, line and column."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror or error}. Give the path of a YAML file."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read {path}: {error}. Save it as UTF-8.") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str = "<text>") -> dict[str, Any]:
    """One YAML 1.2 mapping from text; `name` is how errors call it."""
    tree = _load(text, name)
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{name} holds a {type(tree).__name__}; a mapping of keys was expected")
    return tree


def parse_scalar(text: str) -> Any:
    """A `--set` value read by the same rules as YAML (`2e-5` a number, `no` text, `[a, b]` a list)."""
    return _load(text, f"the value {text!r}")


def _load(text: str, name: str) -> Any:
    try:
        loader = _Loader(text)
        loader.name = name
        return loader.get_single_data()
    except ConfigError:
        raise
    # besides its own errors PyYAML lets through what int() and chr() say of numbers too large, and its own recursion
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        reason = (
            "it is nested too deep" if isinstance(error, RecursionError) else " ".join(str(error).split())
        )
        raise ConfigError(f"{name} is not valid YAML: {reason}") from error


def apply_sets(tree: dict[str, Any], sets: list[str]) -> dict[str, Any]:
    """A copy of `tree` with each `a.b=c` written into it; the keys are the same as in the YAML."""
    result = _copy(tree)
    for item in sets:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {item!r} has no value; write --set key.subkey=value")
        set_key(result, key.strip(), parse_scalar(text))
    return result


def set_key(tree: dict[str, Any], dotted: str, value: Any) -> None:
    """Write `value` at `a.b.c`, making mappings on the way; a value that is not a mapping is in the way: refused."""
    *path, last = dotted.split(".")
    if not all([*path, last]):
        raise ConfigError(f"cannot set {dotted!r}: a key between the dots is empty; write key.subkey")
    for name in path:
        below = tree.setdefault(name, {})
        if below is None:
            below = tree[name] = {}
        if not isinstance(below, dict):
            raise ConfigError(f"cannot set {dotted!r}: {name!r} is {below!r}, not a mapping")
        tree = below
    tree[last] = value


def _copy(value: Any) -> Any:
    return {key: _copy(item) for key, item in value.items()} if isinstance(value, dict) else value


def build_section(section: type[SectionT], tree: Any, where: str) -> SectionT:
    """Validate `tree` as `section`; the first problem becomes one clear `ConfigError` that names the key."""
    try:
        return section.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(explain(section, error, tree, where)) from error
