"""Canonical hashes of configuration and bytes: the ids of everything in the lake.

A fingerprint covers literals only (text, whole and finite numbers, booleans, null, lists, mappings with text keys).
What has no stable form (sets, NaN, objects) is refused, never guessed at.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

ID_HEX = 32


def fingerprint(value: Any) -> str:
    """32 hex digits of blake2b-128 over the canonical JSON of `value`; key order never matters.

    >>> fingerprint({"b": 1, "a": [2.5, None]}) == fingerprint({"a": [2.5, None], "b": 1})
    True
    """
    return hash_bytes(canonical_json(value).encode())


def canonical_json(value: Any) -> str:
    """Sorted keys, no spaces, shortest float form; raises TypeError or ValueError where there is no stable form."""
    return json.dumps(
        _stable(value, "value"), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def hash_bytes(data: bytes | memoryview) -> str:
    return hashlib.blake2b(data, digest_size=ID_HEX // 2).hexdigest()


def hash_file(path: Path) -> str:
    """Hash of a file's bytes, read in 8 MiB blocks."""
    digest = hashlib.blake2b(digest_size=ID_HEX // 2)
    with path.open("rb") as file:
        while block := file.read(8 << 20):
            digest.update(block)
    return digest.hexdigest()


def _stable(value: Any, where: str) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value!r}: a number that is not finite has no fingerprint")
        return 0.0 if value == 0 else value  # -0.0 and 0.0 are one number
    if isinstance(value, (list, tuple)):
        return [_stable(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict):
        if bad := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"{where} has the key {bad[0]!r}: only text keys have a fingerprint")
        return {key: _stable(item, f"{where}.{key}") for key, item in value.items()}
    raise TypeError(f"{where} is a {type(value).__name__}: it has no stable form to fingerprint")
