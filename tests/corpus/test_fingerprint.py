"""Fingerprints: canonical, pinned, and refusing what has no stable form."""

from __future__ import annotations

import datetime
import decimal
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.fingerprint import ID_HEX, canonical_json, fingerprint, hash_bytes, hash_file

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_a_fingerprint_survives_json(value: Any) -> None:
    found = fingerprint(value)
    assert len(found) == ID_HEX
    assert fingerprint(json.loads(json.dumps(value))) == found


@given(VALUES, VALUES)
def test_equal_fingerprints_are_equal_values(a: Any, b: Any) -> None:
    assert (fingerprint(a) == fingerprint(b)) == (canonical_json(a) == canonical_json(b))


@given(st.dictionaries(st.text(max_size=5), st.integers(), min_size=2))
def test_the_order_of_keys_is_nothing(value: dict[str, int]) -> None:
    assert fingerprint(value) == fingerprint(dict(reversed(value.items())))


def test_the_canonical_form_is_pinned() -> None:
    """Every id in every lake depends on it."""
    value = {"b": [1, 2.5, -0.0, True, None], "a": "é\n\ud800", "c": {}}
    assert canonical_json(value) == '{"a":"\\u00e9\\n\\ud800","b":[1,2.5,0.0,true,null],"c":{}}'
    assert fingerprint(value) == "1c0cac0672d8214b48a5e581b57a9e94"
    assert fingerprint(1e22) != fingerprint(10**22)
    assert fingerprint((1, 2)) == fingerprint([1, 2])


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (0, False), (1, 1.0), ("1", 1), (None, "null"), ([], {}), ("", None), ([[1], 2], [1, [2]]), ({"a": None}, {})]
)  # fmt: skip
def test_what_differs_in_json_differs(one: Any, other: Any) -> None:
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize(
    ("value", "where"),
    [(float("nan"), "value"), ({"a": [1, float("inf")]}, r"value.a\[1\]"), ({1, 2}, "set"), ({1: "a"}, "only text keys"), ({"a": {None: 1}}, "value.a"), (b"a", "bytes"),
     (Path("a"), "Path"), (datetime.date(2024, 1, 1), "date"), (decimal.Decimal(1), "Decimal"), (object(), "object"), (frozenset(), "frozenset"), (range(3), "range")],
)  # fmt: skip
def test_what_has_no_stable_form_is_refused(value: Any, where: str) -> None:
    with pytest.raises((TypeError, ValueError), match=where):
        fingerprint(value)


def test_a_file_has_the_hash_of_its_bytes(tmp_path: Path) -> None:
    data = b"x" * (9 << 20)
    (tmp_path / "a").write_bytes(data)
    assert hash_file(tmp_path / "a") == hash_bytes(data) == hashlib.blake2b(data, digest_size=16).hexdigest()
    assert hash_bytes(memoryview(b"ab")) == hash_bytes(b"ab") != hash_bytes(b"")
