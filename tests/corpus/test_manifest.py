"""Manifests: their JSON, the id that they give an artifact, and the errors of damaged ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import LakeError
from corpus.lake import FileEntry, Lake, Manifest, artifact_id
from corpus.part import Part
from tests.corpus.small_artifact import manifest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
IDS = st.text("0123456789abcdef", min_size=1, max_size=4)
PARTS = st.builds(Part, st.just("rejects"), IDS, st.integers(0), st.integers(0), IDS, IDS)
TREES = st.dictionaries(st.text(max_size=4), JSON, max_size=3)
MANIFESTS = st.builds(
    Manifest, st.text(max_size=4), IDS, st.text(max_size=4), st.integers(), TREES,
    st.lists(st.tuples(st.text(max_size=4), IDS), max_size=3).map(tuple),
    st.dictionaries(st.text(max_size=4), st.lists(PARTS, max_size=2).map(tuple), max_size=2),
    st.dictionaries(st.text(max_size=4), st.builds(FileEntry, st.integers(0), IDS), max_size=2), TREES,
)  # fmt: skip


@given(MANIFESTS)
def test_manifest_to_json_and_back_is_the_identity(manifest: Manifest) -> None:
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest


@given(TREES, st.lists(st.tuples(st.text(max_size=3), IDS), max_size=3))
def test_an_id_is_of_kind_operator_version_identity_and_parents(
    identity: dict[str, Any], parents: list[tuple[str, str]]
) -> None:
    id = artifact_id("k", "o", 1, identity, parents)
    assert id == artifact_id("k", "o", 1, dict(reversed(identity.items())), parents)
    others = [
        artifact_id("x", "o", 1, identity, parents), artifact_id("k", "x", 1, identity, parents), artifact_id("k", "o", 2, identity, parents),
        artifact_id("k", "o", 1, {**identity, "a new key": 0}, parents), artifact_id("k", "o", 1, identity, [*parents, ("x", "y")]),
    ]  # fmt: skip
    assert len({id, *others}) == 6


DAMAGE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "not an object": lambda tree: [tree],
    "a key is gone": lambda tree: {key: value for key, value in tree.items() if key != "parents"},
    "a part without a hash": lambda tree: {
        **tree,
        "datasets": {"rejects": [{"dataset": "rejects", "key": "k"}]},
    },
    "parents of another form": lambda tree: {**tree, "parents": ["documents"]},
    "files of another form": lambda tree: {**tree, "files": {"a": 5}},
    "another format": lambda tree: {**tree, "format": 2},
    "no format": lambda tree: {key: value for key, value in tree.items() if key != "format"},
    "another artifact's": lambda tree: {**tree, "id": "0" * 32},
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_manifest_is_a_lake_error_that_names_it(lake: Lake, damage: str) -> None:
    made = lake.commit(manifest(lake))
    path = lake.folder("documents", made.id) / "manifest.json"
    path.write_text(json.dumps(DAMAGE[damage](json.loads(path.read_text()))))
    with pytest.raises(LakeError, match=made.id):
        lake.find("documents", made.id)


def test_a_manifest_cut_short_anywhere_is_a_lake_error(lake: Lake) -> None:
    made = lake.commit(manifest(lake))
    path = lake.folder("documents", made.id) / "manifest.json"
    whole = path.read_bytes()
    for size in range(0, len(whole) - 1, 37):
        path.write_bytes(whole[:size])
        with pytest.raises(LakeError, match="damaged"):
            lake.get("documents", made.id)
