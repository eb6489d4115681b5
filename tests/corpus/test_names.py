"""Names for people: a version is a fingerprint's for good, a reference means one thing or says why not."""

from __future__ import annotations

import tempfile
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import ConfigError, LakeError, UnknownName
from corpus.lake import Lake, Manifest
from corpus.names import (
    ARTIFACT_KINDS,
    Claim,
    alias,
    aliases,
    attach,
    attached,
    check_name,
    check_run_name,
    claim,
    claims,
    current,
    move_alias,
    newest,
    recipe_names,
    resolve,
    versions,
)
from tests.corpus.together import run_together


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

    def claim_one(number: int) -> None:
        fingerprint = "abc"[number % 3]
        found.append((fingerprint, claim(lake, "legal", fingerprint, {}).version))

    run_together(9, claim_one)
    assert len(found) == 9 and len(set(found)) == 3
    assert sorted(version for _, version in set(found)) == [1, 2, 3]


def test_names_do_not_share_versions(lake: Lake) -> None:
    assert str(claim(lake, "a", "f", {})) == "a@1" and str(claim(lake, "b", "f", {})) == "b@1"
    assert str(claim(lake, "a", "g", {"k": 1})) == "a@2" and claims(lake, "a")[1].recipe == {"k": 1}
    assert recipe_names(lake) == ["a", "b"]


@pytest.mark.parametrize("name", [*ARTIFACT_KINDS, "champion", "Upper"])
def test_a_run_is_not_called_what_something_else_is(name: str) -> None:
    assert check_run_name("replay-30") == "replay-30"
    with pytest.raises(ConfigError, match=r"cannot be called|not usable"):
        check_run_name(name)


@pytest.mark.parametrize("name", ["", "Upper", "../x", ".hidden", "a/b", "a b", "ü", "a" * 65, "a@1"])
def test_a_name_that_is_no_name_is_refused(lake: Lake, name: str) -> None:
    with pytest.raises(ConfigError, match="not usable"):
        check_name(name)
    with pytest.raises(ConfigError):
        claim(lake, name, "f", {})
    with pytest.raises(ConfigError):
        move_alias(lake, "recipe", name, "id", 1, "ref")


# ── what a version has ──


def test_attached_is_the_latest_of_each_key(lake: Lake) -> None:
    owner = claim(lake, "legal", "f", {})
    for id, key in (("1", "b"), ("2", "a"), ("3", "b"), ("1", "b"), ("4", "run/1000")):
        attach(lake, owner, "scorecard", id, key)
    assert [(fact["key"], fact["id"]) for fact in attached(lake, owner, "scorecard")] == [
        ("a", "2"), ("b", "1"), ("run/1000", "4"),
    ]  # fmt: skip
    assert attached(lake, owner, "run") == []


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("123")), max_size=8))
def test_a_version_has_what_was_attached_last(said: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.open(folder)
        owner = claim(lake, "legal", "f", {})
        for key, id in said:
            attach(lake, owner, "run", id, key)
            attach(lake, owner, "run", id, key)
        assert {fact["key"]: fact["id"] for fact in attached(lake, owner, "run")} == dict(said)
        files = list((lake.root / "names" / "legal" / "1" / "run").rglob("*.json"))
        changes = sum(id != next((i for k, i in reversed(said[:n]) if k == key), None) for n, (key, id) in enumerate(said))  # fmt: skip
        assert len(files) == changes


def test_what_an_earlier_tilth_attached_is_still_attached(lake: Lake) -> None:
    owner = claim(lake, "legal", "f", {})
    path = lake.root / "names" / "legal" / "1" / "run" / "a.1.json"
    lake.write_json(path, {"kind": "run", "id": "1", "key": "a", "time_utc": 5})
    attach(lake, owner, "run", "1", "a")
    attach(lake, owner, "run", "2", "a")
    attach(lake, owner, "run", "1", "a")
    assert [fact["id"] for fact in attached(lake, owner, "run")] == ["1"]
    assert len(list(path.parent.iterdir())) == 3


# ── which version stands for a name ──


@settings(max_examples=25)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=8))
def test_the_version_run_last_stands_for_the_name(fingerprints: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.open(folder)
        for fingerprint in fingerprints:
            made(lake, "legal", fingerprint, snapshot=fingerprint * 32)
            assert [fact["id"] for fact in current(lake, "snapshot")] == [fingerprint * 32]
        order = list(dict.fromkeys(reversed(fingerprints)))
        assert [found.fingerprint for found in versions(lake, "legal")] == order


def test_a_sample_does_not_hide_the_whole_corpus(lake: Lake) -> None:
    def run(fingerprint: str, sample: float, *kinds: str) -> None:
        owner = claim(lake, "legal", fingerprint, {}, sample)
        for kind in kinds:
            attach(lake, owner, kind, make(lake, kind, fingerprint * 32))

    run("a", 0.01, "snapshot", "mixture")
    assert newest(lake, "legal", "snapshot") == claims(lake, "legal")[0]
    run("b", 1.0, "snapshot")
    run("a", 0.01, "snapshot")
    assert [fact["id"] for fact in current(lake, "snapshot")] == ["b" * 32]
    assert [fact["id"] for fact in current(lake, "mixture")] == ["a" * 32]  # the whole corpus has none yet
    assert [found.sample for found in claims(lake, "legal")] == [0.01, 1.0]


# ── damage ──


def test_a_damaged_fact_is_a_lake_error_that_names_it(lake: Lake) -> None:
    owner = made(lake, "legal", "f", snapshot="a" * 32)
    move_alias(lake, "legal", "champion", "r" * 32, 1, "ref")
    asks: dict[str, Callable[[], object]] = {
        "claim.json": lambda: claims(lake, "legal"),
        "snapshot": lambda: attached(lake, owner, "snapshot"),
        "000001.json": lambda: alias(lake, "legal", "champion"),
    }
    for name, ask in asks.items():
        (path,) = [path for path in lake.root.rglob("*.json") if name in path.name and path.parent.name != "a" * 32]  # fmt: skip
        whole = path.read_text()
        for content in ("{", "", "[]", "{}"):
            path.write_text(content)
            with pytest.raises(LakeError, match=f"{path} is damaged"):
                ask()
        path.write_text(whole)


def test_an_alias_whose_earlier_place_was_lost_moves_on(lake: Lake) -> None:
    for step in range(3):
        move_alias(lake, "legal", "champion", "r" * 32, step, "ref")
    next(lake.root.rglob("000001.json")).unlink()
    move_alias(lake, "legal", "champion", "r" * 32, 9, "ref")
    assert alias(lake, "legal", "champion")["step"] == 9  # type: ignore[index]


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
    "legal/mixture": ("mixture", MIXTURE, None), "legal/mixture/replay-30": ("mixture", MIXTURE, None), "legal/run/replay-30": ("run", RUN, None), "legal@1/replay-30": ("run", RUN, None), "legal/replay-30/1000": ("run", RUN, 1000),
    "legal/replay-30/step_00001000": ("run", RUN, 1000), "champion": ("run", RUN, 1000), "legal/champion": ("run", RUN, 1000),
    " legal@1/snapshot ": ("snapshot", SNAPSHOT, None), SNAPSHOT: ("snapshot", SNAPSHOT, None), SNAPSHOT[:7]: ("snapshot", SNAPSHOT, None),
    f"{RUN[:8]}/50": ("run", RUN, 50), "legal@1/champion": ("run", RUN, 1000), " champion ": ("run", RUN, 1000),
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
    "legal/snapshot/garbage": "has no snapshot 'garbage'", "legal/mixture/replay-3": "Did you mean 'replay-30'", "legal/replay-30/1000/x": "nothing can stand",
    "legal/champion/x": "nothing can stand", f"{SNAPSHOT}/50": "nothing can stand", f"{RUN[:8]}/50/x": "nothing can stand", "legal@1/run/1000": "has no run '1000'",
    "legal@2/champion": r"is of another version: legal/champion is legal@1/replay-30/1000", "legal@": "version number", "legal@/champion": "version number", "legal@²": "version number",
    "legal@1/replay-30/²": "not a step number", f"{RUN[:8]}/٣": "not a step number", "legal@1/replay-30/step_": "not a step number",
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
