"""What is wrong with a section, one line a mistake, in the words of YAML: the key, what arrived, what may stand there.

pydantic reports each member of a union by itself, and speaks of dictionaries, instances and strings that it cannot parse.
"""

from __future__ import annotations

import math
import re
import types
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from corpus.errors import did_you_mean, one_of

MOST = 5  # mistakes told at once
LONGEST = 80  # characters of what arrived
Keys = tuple[str, ...]
_CONSTANTS = {"None": "null", "True": "true", "False": "false"}


def explain(section: type[BaseModel], error: ValidationError, tree: Any, where: str) -> str:
    """The first mistakes of a section, a line each."""
    lines = dict.fromkeys(f"{where}: {line}" for line in _mistakes(section, error, tree, ()))
    return "\n".join(list(lines)[:MOST])


def _mistakes(section: type[BaseModel], error: ValidationError, tree: Any, above: Keys) -> Iterator[str]:
    """`above` are the keys that lead to the section."""
    found: dict[Keys, list[Any]] = {}
    for problem in error.errors():
        found.setdefault(place(section, problem["loc"], tree), []).append(problem)
    for keys, problems in found.items():
        if not any(len(other) > len(keys) and other[: len(keys)] == keys for other in found):
            yield from _mistake(section, keys, problems, tree, above)


def place(section: type[BaseModel], location: tuple[int | str, ...], tree: Any) -> Keys:
    """The keys of a problem's location as the user wrote them; pydantic puts the names of union members between them."""
    keys: list[str] = []
    for step in location:
        if isinstance(tree, dict) and step in tree:
            tree = tree[step]
        elif isinstance(tree, (list, tuple)) and isinstance(step, int):
            tree = tree[step] if step < len(tree) else None
        elif isinstance(tree, dict) and _has_field(annotation_at(section, keys), str(step)):
            tree = None  # a key that is not there
        else:
            continue
        keys.append(str(step))
    return tuple(keys)


def _mistake(
    section: type[BaseModel], keys: Keys, problems: list[Any], tree: Any, above: Keys
) -> Iterator[str]:
    """What all problems at one place say together."""
    key, kinds = ".".join((*above, *keys)), {problem["type"] for problem in problems}
    problem = next((each for each in problems if each["type"] == "value_error"), problems[0])
    if "extra_forbidden" in kinds:
        unknown = [each["loc"] for each in problems if each["type"] == "extra_forbidden"]
        valid = sorted({word for location in unknown for word in valid_keys(section, location[:-1])})
        yield f"unknown key {key!r}.{did_you_mean(keys[-1], valid)} Valid here: {one_of(valid)}."
    elif "missing" in kinds:
        yield f"the key {key!r} is missing."
    elif _is_key(problem):
        beside = f"{key}: " if key else ""
        yield f"{beside}the key {arrived(problem['input'])} is not text; write it in quotes."
    elif nested := _nested(section, keys, problem):
        yield from _mistakes(*nested, _at(tree, keys), (*above, *keys))
    else:
        # deeper than what was written: a validator wrote one value at several keys
        deeper = annotation_at(section, [str(step) for step in problem["loc"]])
        reason = _reason(annotation_at(section, keys) if deeper is Any else deeper, problem)
        # of a whole section: it may say itself which key in it is meant
        yield reason if not key or reason.startswith(f"{key}.") else f"{key}: {reason}"


def _is_key(problem: Any) -> bool:
    return problem["type"] == "invalid_key" or problem["loc"][-1:] == ("[key]",)


def _nested(
    section: type[BaseModel], keys: Keys, problem: Any
) -> tuple[type[BaseModel], ValidationError] | None:
    """The section that a validator built by itself, and what is wrong with it."""
    cause = getattr(problem.get("ctx", {}).get("error"), "__cause__", None)
    if not isinstance(cause, ValidationError):
        return None
    built = [part for part in _options(annotation_at(section, keys)) if _is_section(part)]
    return next(((part, cause) for part in built if part.__name__ == cause.title), None)


def _at(tree: Any, keys: Keys) -> Any:
    for key in keys:
        tree = tree[int(key)] if isinstance(tree, (list, tuple)) else tree[key]
    return tree


def _reason(annotation: Any, problem: Any) -> str:
    value = problem["input"]
    if problem["type"] == "value_error":
        return _said(problem["msg"].removeprefix("Value error, "), value)
    options = [part for part in _options(annotation) if part is not type(None)]
    if isinstance(value, str) and all(get_origin(part) is Literal for part in options):
        valid = [str(word) for part in options for word in get_args(part)]
        return f"{arrived(value)} is not known.{did_you_mean(value, valid)} Valid here: {one_of(valid)}."
    return f"{arrived(value)} cannot stand here; write {possible(annotation)}"


def _said(message: str, value: Any) -> str:
    """What a validator says, with what arrived as YAML has it, and no nearest word to what is none."""
    if isinstance(value, BaseModel):  # a whole section is no part of a message
        return message
    if not isinstance(value, (str, dict, list)):
        message = re.sub(r" Did you mean '[^']*'\?", "", message)
    named = repr(value) in message
    message = message.replace(repr(value), arrived(value), 1)
    message = re.sub(r"\b(None|True|False)\b(?!')", lambda word: _CONSTANTS[word[0]], message)
    return (
        message
        if named or isinstance(value, dict) or "arrived" in message
        else f"{message} (got {arrived(value)})"
    )


def arrived(value: Any) -> str:
    """A value as the user wrote it, or nearly.

    >>> arrived(None), arrived([True, 'a', float('inf')]), arrived({"a": 1})
    ('null', "[true, 'a', .inf]", 'a mapping')
    """
    if value is None or isinstance(value, bool):
        return _CONSTANTS[repr(value)]
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if isinstance(value, dict):
        return "a mapping"
    text = f"[{', '.join(map(arrived, value))}]" if isinstance(value, (list, tuple)) else repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}…"


# ── what may stand at a key ─────────────────────────────────────────────────────────────────────────────────────────

_WORDS: dict[Any, str] = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_SAMPLES: dict[Any, str] = {str: "TEXT", int: "1", float: "0.5", bool: "true"}
_WRITTEN = {"parse_count": "32k", "parse_share": "3%", "parse_rate": "2e-5", "parse_margin": "3%"}
_BOUNDS = (("ge", "{} or more"), ("gt", "above {}"), ("le", "{} at most"), ("lt", "below {}"))


def annotation_at(section: type[BaseModel], keys: Iterable[str]) -> Any:
    """The type of what stands at `keys` in a section; Any where nothing is declared."""
    here: Any = section
    for key in keys:
        here = next((below for part in _options(here) if (below := _below(part, key)) is not None), Any)
    return here


def _has_field(annotation: Any, key: str) -> bool:
    return any(_is_section(part) and _below(part, key) is not None for part in _options(annotation))


def _below(part: Any, key: str) -> Any:
    if _is_section(part):
        field = next((each for name, each in part.model_fields.items() if key in (name, each.alias)), None)
        if field is None:
            return None
        return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    if get_origin(part) is dict or (get_origin(part) is list and key.isdigit()):
        return get_args(part)[-1]
    return None


def possible(annotation: Any) -> str:
    """What may stand there, in words.

    >>> possible(int | list[str] | Literal["all"])
    "a whole number, a list such as [TEXT] or 'all'"
    """
    words = list(dict.fromkeys(_words(part) for part in _options(annotation) if part is not type(None)))
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _words(part: Any) -> str:
    if get_origin(part) is Annotated:
        inner, *metadata = get_args(part)
        if reader := _reader(metadata):
            return f"{_WORDS.get(inner, 'a value')} such as {reader}{_bounds(metadata)}"
        return f"{possible(inner)}{_bounds(metadata)}"
    if get_origin(part) is Literal:
        return one_of(map(str, get_args(part)))
    if _is_section(part) or get_origin(part) is dict:
        return f"a mapping such as {_sample(part)}"
    return (
        f"a list such as {_sample(part)}" if get_origin(part) is list else _WORDS.get(part, "another value")
    )


def _bounds(metadata: Iterable[Any]) -> str:
    limits = [limit for each in metadata for limit in (each, *getattr(each, "metadata", ()))]
    found = [words.format(getattr(limit, name)) for limit in limits for name, words in _BOUNDS if getattr(limit, name, None) is not None]  # fmt: skip
    return f", {' and '.join(dict.fromkeys(found))}" if found else ""


def _reader(metadata: Iterable[Any]) -> str:
    """How what `corpus.config` reads by itself is written: counts, shares, rates, margins."""
    return next((_WRITTEN[name] for each in metadata if (name := getattr(getattr(each, "func", None), "__name__", "")) in _WRITTEN), "")  # fmt: skip


def _sample(annotation: Any) -> str:
    """An example in YAML."""
    part: Any = next((each for each in _options(annotation) if each is not type(None)), Any)
    if get_origin(part) is Annotated:
        inner, *metadata = get_args(part)
        return _reader(metadata) or _sample(inner)
    if _is_section(part):
        required = [name for name, field in part.model_fields.items() if field.is_required()]
        shown = required or list(part.model_fields)[:1]
        return f"{{{', '.join(f'{name}: {_field_sample(part, name)}' for name in shown)}}}"
    if get_origin(part) is dict:
        return f"{{NAME: {_sample(get_args(part)[1])}}}"
    if get_origin(part) is list:
        return f"[{_sample(get_args(part)[0])}]"
    return str(get_args(part)[0]) if get_origin(part) is Literal else _SAMPLES.get(part, "…")


def _field_sample(section: Any, name: str) -> str:
    default = section.model_fields[name].default
    return str(default) if type(default) in (str, int, float) else _sample(_below(section, name))


def _options(annotation: Any) -> list[Any]:
    """The members of a union, or the one type."""
    if get_origin(annotation) in (Union, types.UnionType):
        return [member for part in get_args(annotation) for member in _options(part)]
    return [annotation]


def valid_keys(section: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand at `location`, found by walking the nested sections."""
    here: Any = section
    members: list[Any] = []  # the sections that the last field may hold; pydantic names the one it tried
    for step in location:
        field = getattr(here, "model_fields", {}).get(step)
        if field is not None:
            members = [part for part in _inside(field.annotation) if _is_section(part)]
            here = members[0] if members else here
        else:
            here = next((part for part in members if part.__name__ == step), here)
    return sorted(field.alias or name for name, field in here.model_fields.items())


def _inside(annotation: Any) -> list[Any]:
    return [annotation, *(inner for part in get_args(annotation) for inner in _inside(part))]


def _is_section(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)
