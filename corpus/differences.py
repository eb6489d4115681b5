"""What differs between two identities, by dotted key: why an artifact or a run is another one."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from corpus.fingerprint import canonical_json

ABSENT = "nothing"  # the value of a key that is not there


def find_differences(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted keys whose values differ, with both values.

    >>> list(find_differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}}))
    [('a.b', 1, 3), ('c', 2, 'nothing')]
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            yield from find_differences(
                old.get(name, ABSENT), new.get(name, ABSENT), f"{key}.{name}".strip(".")
            )
    elif canonical_json(old) != canonical_json(new):  # 1 and 1.0 are two identities
        yield key, old, new


def with_values(identity: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The identity with other values at some dotted keys; ABSENT takes a key away.

    >>> with_values({"a": {"b": 1}, "c": 2}, {"a.b": 3, "c": ABSENT})
    {'a': {'b': 3}}
    """
    changed = copy.deepcopy(dict(identity))
    for key, value in values.items():
        *parents, name = key.split(".")
        tree = changed
        for parent in parents:
            tree = tree.setdefault(parent, {})
        if value == ABSENT:
            tree.pop(name, None)
        else:
            tree[name] = value
    return changed
