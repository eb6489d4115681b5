"""Names for people: a version is a fingerprint's for good, a reference means one thing or says why not."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import ConfigError, UnknownName
from corpus.lake import Lake, Manifest
from corpus.names import (
    Claim,
    alias,
    aliases,
    attach,
    attached,
    check_name,
    claim,
    claims,
    current,
    move_alias,
    newest,
    recipe_names,
    resolve,
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(tmp_path)


def make(lake: Lake, kind: str, id: str) -> str:
    if kind == "run":
        (lake.runs / id).mkdir(parents=True, exist_ok=True)
    else:
        lake.commit(Manifest(kind, id, "o", 1, {}, ()))
    return id


def made(lake: Lake, name: str, fingerprint: str, **attachments: str) -> Claim:
    owner = claim(lake, name, fingerprint, {"name": name})
    for kind, id in attachments.items():
        attach(lake, owner, kind, make(lake, kind, id))
    return owner


# ── claims ──


@settings(max_examples=25)
@given(st.lists(st.sampled_from("abcd"), max_size=8))
def test_a_fingerprint_keeps_its_version_and_a_new_one_claims_the_next(fingerprints: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.open(folder)
        versions = [claim(lake, "legal", fingerprint, {}).version for fingerprint in fingerprints]
        order = list(dict.fromkeys(fingerprints))
        assert versions == [order.index(fingerprint) + 1 for fingerprint in fingerprints]
        assert [found.fingerprint for found in claims(lake, "legal")] == order


def test_many_claim_at_once_and_every_fingerprint_has_one_version(lake: Lake) -> None:
    found: list[tuple[str, int]] = []
    threads = [
        threading.Thread(target=lambda f=f: found.append((f, claim(lake, "legal", f, {}).version)))  # type: ignore[misc]
        for f in "abcabcabc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 9 and len(set(found)) == 3
    assert sorted(version for _, version in set(found)) == [1, 2, 3]


def test_names_do_not_share_versions(lake: Lake) -> None:
    assert str(claim(lake, "a", "f", {})) == "a@1" and str(claim(lake, "b", "f", {})) == "b@1"
    assert str(claim(lake, "a", "g", {"k": 1})) == "a@2" and claims(lake, "a")[1].recipe == {"k": 1}
    assert recipe_names(lake) == ["a", "b"]


@pytest.mark.parametrize("name", ["", "Upper", "../x", ".hidden", "a/b", "a b", "ü", "a" * 65, "a@1"])
def test_a_name_that_is_no_name_is_refused(lake: Lake, name: str) -> None:
    with pytest.raises(ConfigError, match="not usable"):
        check_name(name)
    with pytest.raises(ConfigError):
        claim(lake, name, "f", {})
    with pytest.raises(ConfigError):
        move_alias(lake, "recipe", name, "id", 1, "ref")


# ── what a version has ──


def test_attached_is_the_latest_of_each_key_and_attaching_again_is_nothing(lake: Lake) -> None:
    owner = claim(lake, "legal", "f", {})
    for id, key in (("1", "b"), ("2", "a"), ("3", "b"), ("1", "b"), ("4", "run/1000")):
        attach(lake, owner, "scorecard", id, key)
    assert [(fact["key"], fact["id"]) for fact in attached(lake, owner, "scorecard")] == [
        ("a", "2"), ("b", "3"), ("run/1000", "4"),
    ]  # fmt: skip
    assert attached(lake, owner, "run") == []


def test_plain_views_show_the_newest_version_that_has_the_kind(lake: Lake) -> None:
    made(lake, "legal", "f", snapshot="a" * 32, mixture="b" * 32)
    second = made(lake, "legal", "g", snapshot="c" * 32)
    made(lake, "other", "f", snapshot="d" * 32)
    assert [(fact["id"], str(fact["claim"])) for fact in current(lake, "snapshot")] == [
        ("c" * 32, "legal@2"), ("d" * 32, "other@1"),
    ]  # fmt: skip
    assert [fact["id"] for fact in current(lake, "mixture")] == ["b" * 32]
    assert newest(lake, "legal", "snapshot") == second and newest(lake, "legal", "run") is None


# ── aliases ──


def test_an_alias_moves_and_its_places_stay_on_record(lake: Lake) -> None:
    for step in (1, 2, 3):
        move_alias(lake, "legal", "champion", "r" * 32, step, f"legal/run/{step}")
    assert alias(lake, "legal", "champion")["step"] == 3  # type: ignore[index]
    assert [(recipe, word, place["step"]) for recipe, word, place in aliases(lake)] == [
        ("legal", "champion", 3)
    ]
    assert len(list((lake.root / "aliases" / "legal" / "champion").glob("*.json"))) == 3
    assert alias(lake, "legal", "other") is None and alias(lake, "nobody", "champion") is None


def test_more_than_nine_moves_are_still_in_order(lake: Lake) -> None:
    for step in range(12):
        move_alias(lake, "legal", "champion", "r" * 32, step, "ref")
    assert alias(lake, "legal", "champion")["step"] == 11  # type: ignore[index]


# ── references ──

SNAPSHOT, SNAPSHOT_2, RUN, MIXTURE = "a1" * 16, "a2" * 16, "b1" * 16, "a1b" + "0" * 29


@pytest.fixture
def full(lake: Lake) -> Lake:
    first = made(lake, "legal", "f", snapshot=SNAPSHOT)
    attach(lake, first, "run", make(lake, "run", RUN), "replay-30")
    attach(lake, first, "run", make(lake, "run", "c1" * 16), "replay-00")
    attach(lake, first, "mixture", make(lake, "mixture", MIXTURE), "replay-30")
    made(lake, "legal", "g", snapshot=SNAPSHOT_2)
    move_alias(lake, "legal", "champion", RUN, 1000, "legal@1/replay-30/1000")
    return lake


MEANINGS = {
    "legal": ("snapshot", SNAPSHOT_2, None), "legal@1": ("snapshot", SNAPSHOT, None), "legal@2/snapshot": ("snapshot", SNAPSHOT_2, None),
    "legal/mixture": ("mixture", MIXTURE, None), "legal@1/replay-30": ("run", RUN, None), "legal/replay-30/1000": ("run", RUN, 1000),
    "legal/replay-30/step_00001000": ("run", RUN, 1000), "champion": ("run", RUN, 1000), "legal/champion": ("run", RUN, 1000),
    " legal@1/snapshot ": ("snapshot", SNAPSHOT, None), SNAPSHOT: ("snapshot", SNAPSHOT, None), SNAPSHOT[:7]: ("snapshot", SNAPSHOT, None),
    f"{RUN[:8]}/50": ("run", RUN, 50),
}  # fmt: skip


@pytest.mark.parametrize("reference", MEANINGS)
def test_a_reference_means_one_thing(full: Lake, reference: str) -> None:
    found = resolve(full, reference)
    assert (found.kind, found.id, found.step) == MEANINGS[reference]


def test_a_bare_name_means_the_kind_that_is_asked_for(full: Lake) -> None:
    assert resolve(full, "legal@1", "mixture").id == MIXTURE
    assert (
        resolve(full, "legal/replay-30").run == "replay-30"
        and str(resolve(full, "legal@1").claim) == "legal@1"
    )


REFUSED = {
    "lega": "Did you mean 'legal'", "legal@9": r"no version 9; there are legal@1, legal@2", "legal@x": "version number",
    "legal/replay-03": r"Did you mean 'replay-00'|Did you mean 'replay-30'", "legal/replay-30/last": "not a step number", "legal/run": "several",
    "legal@2/run": "no run yet", "legal/scorecard": "no scorecard yet", "": "nothing is named", "ffffff": "nothing is named", "a1a1": "nothing is named",
}  # fmt: skip


@pytest.mark.parametrize("reference", REFUSED)
def test_a_reference_that_means_nothing_says_what_there_is(full: Lake, reference: str) -> None:
    with pytest.raises(UnknownName, match=REFUSED[reference]):
        resolve(full, reference)


def test_an_id_prefix_of_several_is_refused_unless_the_kind_decides(lake: Lake) -> None:
    make(lake, "snapshot", "abcdef" + "0" * 26)
    make(lake, "mixture", "abcdef" + "1" * 26)
    with pytest.raises(UnknownName, match=r"several: mixture abcdef1+, snapshot abcdef0+"):
        resolve(lake, "abcdef")
    assert resolve(lake, "abcdef", "mixture").id == "abcdef" + "1" * 26


def test_an_alias_that_two_recipes_have_is_not_the_first_one_s(full: Lake) -> None:
    made(full, "other", "f", snapshot="d" * 32)
    move_alias(full, "other", "champion", "c1" * 16, 7, "ref")
    with pytest.raises(UnknownName, match="several: legal/champion, other/champion"):
        resolve(full, "champion")
    assert resolve(full, "other/champion").step == 7
