"""Config: what YAML 1.2 says, suffixed numbers, units, clear errors, and which fields make an id."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.config import (
    Count,
    Margin,
    MarginValue,
    Multiple,
    Rate,
    Section,
    Share,
    apply_sets,
    build_section,
    circumstance,
    identity,
    parse_count,
    parse_margin,
    parse_rate,
    parse_scalar,
    parse_share,
    parse_yaml,
    read_yaml,
)
from corpus.errors import ConfigError
from corpus.fingerprint import fingerprint

# ── YAML 1.2 ──

SCALARS: list[tuple[str, Any]] = [
    ("2e-5", 2e-5), ("2E5", 2e5), ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0), ("-.5", -0.5), ("+1.5", 1.5), (".inf", float("inf")), ("-.inf", float("-inf")),
    ("no", "no"), ("yes", "yes"), ("on", "on"), ("off", "off"), ("y", "y"), ("n", "n"), ("NO", "NO"),
    ("true", True), ("False", False), ("TRUE", True), ("tRue", "tRue"),
    ("010", 10), ("0", 0), ("-7", -7), ("+7", 7), ("0x1F", 31), ("0o17", 15), ("1_000", "1_000"), ("0b11", "0b11"),
    ("12:30", "12:30"), ("1:2:3", "1:2:3"), ("2024-01-31", "2024-01-31"), ("2001-12-14t21:59:43.10-05:00", "2001-12-14t21:59:43.10-05:00"),
    ("2B", "2B"), ("32k", "32k"), ("3%", "3%"), ("2pp", "2pp"), ("0.05x", "0.05x"), ("1.2.3", "1.2.3"), ("=", "="),
    ("null", None), ("~", None), ("", None), ("Null", None), ("none", "none"), ("'no'", "no"), ('"010"', "010"), ("[1, no]", [1, "no"]), ("{a: 2e-5}", {"a": 2e-5}),
]  # fmt: skip


@pytest.mark.parametrize(("written", "read"), SCALARS)
def test_scalars_are_read_as_yaml_1_2_says(written: str, read: Any) -> None:
    found = parse_scalar(written)
    assert (type(found), found) == (type(read), read)
    assert parse_yaml(f"key: {written}") == {"key": read}


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\x85\u2028\u2029\ufeff\ufffe\uffff")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcxyz", min_size=1, max_size=5), inner, max_size=3), max_leaves=10,
))  # fmt: skip
def test_json_is_yaml(value: Any) -> None:
    written = json.dumps(value, ensure_ascii=False)
    if "\x7f" not in written:
        assert parse_scalar(written) == value


@pytest.mark.parametrize(
    "text",
    ["a: [1", "a: b: c", "@", "a: !!int x", "a: !!map [1]", "a: !!python/name:os.system", "!!binary x: 1", "a: &x [*y]", "\x00", "a: !!timestamp x", "[" * 5000, "a: " + "9" * 5000],
)  # fmt: skip
def test_broken_yaml_is_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError, match="not valid YAML"):
        parse_yaml(text)


@pytest.mark.parametrize(
    "value", ["!!bool maybe", "!!float ''", "!!set {a, b}", "!!timestamp 2019-05-02", "0x" + "f" * 5000, '"\\UFFFFFFFF"', "{!!merge a: {b: c}}"]
)  # fmt: skip
def test_what_yaml_1_2_does_not_have_is_a_config_error(value: str) -> None:
    with pytest.raises(ConfigError, match=r"recipe\.yaml is not valid YAML"):
        parse_yaml(f"key: {value}", "recipe.yaml")
    with pytest.raises(ConfigError, match="not valid YAML"):
        apply_sets({}, [f"key={value}"])


def test_tags_of_yaml_1_2_are_read() -> None:
    text = "{a: !!str 5, b: !!int 0x1F, c: !!float 1, d: !!bool true, e: !!null ~, f: !!seq [1], g: !!map {h: -.INF}}"
    assert parse_yaml(text) == {
        "a": "5",
        "b": 31,
        "c": 1.0,
        "d": True,
        "e": None,
        "f": [1],
        "g": {"h": -math.inf},
    }


def test_a_yaml_error_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: a\nsources: [\n")
    with pytest.raises(ConfigError, match=r"recipe.yaml.*line 3"):
        read_yaml(path)
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        read_yaml(tmp_path / "nowhere.yaml")
    path.write_bytes(b"name: \xff")
    with pytest.raises(ConfigError, match="cannot read"):
        read_yaml(path)


def test_a_repeated_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="'b' stands twice"):
        parse_yaml("a: {b: 1, c: 2, b: 3}")


def test_a_file_must_hold_a_mapping() -> None:
    assert parse_yaml("") == {}
    with pytest.raises(ConfigError, match="list"):
        parse_yaml("- a")


# ── suffixed numbers and units ──


@pytest.mark.parametrize(
    ("given_", "number"),
    [("2B", 2 * 10**9), ("32k", 32_000), ("32K", 32_000), ("1.5M", 1_500_000), ("1G", 10**9), ("1T", 10**12), (7, 7), (7.0, 7), ("1_000", 1000), (" 5 k ", 5000),
     ("9007199254740993", 9007199254740993), ("9007199254740.993k", 9007199254740993), (10**30, 10**30)],
)  # fmt: skip
def test_counts(given_: Any, number: int) -> None:
    assert parse_count(given_) == number


@pytest.mark.parametrize(
    "given_",
    [7.5, "1.0005k", "k", "2 billion", "-5", -5, True, None, float("nan"), float("inf"), [], "1e3", "٣"],
)
def test_what_is_no_count_is_refused(given_: Any) -> None:
    with pytest.raises(ValueError, match="is not a count"):
        parse_count(given_)


@pytest.mark.parametrize(("given_", "share"), [("3%", 0.03), ("0.1%", 0.001), ("1e-3%", 1e-5), (0.25, 0.25), (0, 0.0), (1, 1.0), ("100%", 1.0)])  # fmt: skip
def test_shares(given_: Any, share: float) -> None:
    assert parse_share(given_) == share


@pytest.mark.parametrize("given_", ["150%", 1.5, -0.1, "3", "3pp", True, None, float("nan")])
def test_what_is_no_share_is_refused(given_: Any) -> None:
    with pytest.raises(ValueError, match="is not a share"):
        parse_share(given_)


def test_rates() -> None:
    assert parse_rate(2e-5) == 2e-5
    assert parse_rate("0.05x") == Multiple(0.05)
    for wrong in (0, -1e-5, True, None, "2e-5 x x", "x", "..x", "0x", float("inf"), float("nan")):
        with pytest.raises(ValueError, match="is not a learning rate"):
            parse_rate(wrong)


def test_a_margin_carries_its_unit() -> None:
    assert parse_margin("3%").absolute(baseline=-2.0) == pytest.approx(0.06)
    assert parse_margin("2pp").absolute(baseline=-2.0) == pytest.approx(0.02)
    for bare in (3, 0.03, "3", "three %", "-1%", None, True):
        with pytest.raises(ValueError, match="has no unit"):
            parse_margin(bare)


@given(st.floats(0, 1e9, allow_nan=False), st.sampled_from(["%", "pp"]))
def test_a_margin_reads_back_from_what_it_prints(value: float, unit: str) -> None:
    assert parse_margin(str(Margin(value, unit))) == Margin(value, unit)


@given(st.floats(1e-12, 1e9))
def test_a_multiple_reads_back_from_what_it_prints(factor: float) -> None:
    assert parse_rate(str(Multiple(factor))) == Multiple(factor)


# ── sections ──


class Inner(Section):
    depth: int = identity(3)
    workers: int = circumstance(2)


class Other(Section):
    width: int = identity()


class Outer(Section):
    name: str = identity()
    rate: Rate = identity("0.05x")
    budget: Count = identity("2B")
    share: Share = identity("3%")
    margin: MarginValue = identity("2pp")
    kind: Literal["static", "natural", "unimax"] = identity("static")
    inner: Inner = identity(Inner())
    rooms: dict[str, Inner] = identity({})
    either: Inner | Other | None = identity(None, absent_means=None)
    tags: list[str] = identity([], absent_means=[])
    folder: str = circumstance("here")
    listed: Literal["all"] | list[str] = identity("all", absent_means="all")


def test_identity_holds_identity_fields_only_and_no_absent_ones() -> None:
    assert build_section(Outer, {"name": "a"}, "recipe").identity() == {
        "name": "a", "rate": "0.05x", "budget": 2_000_000_000, "share": 0.03, "margin": "2pp", "kind": "static", "inner": {"depth": 3}, "rooms": {},
    }  # fmt: skip


def test_circumstance_changes_no_fingerprint_and_identity_does() -> None:
    base = {"name": "a", "rooms": {"x": {}}}

    def id_of(**changes: Any) -> str:
        return fingerprint(build_section(Outer, base | changes, "recipe").identity())

    assert id_of() == id_of(folder="there", inner={"workers": 9}, tags=[], either=None, listed="all")
    changed = [id_of(name="b"), id_of(tags=["t"]), id_of(inner={"depth": 4}), id_of(rooms={"x": {"depth": 1}}), id_of(either={}), id_of(margin="2%"), id_of(rate="0.0512345678x"), id_of(rate="0.0512345679x")]  # fmt: skip
    assert len({id_of(), *changed}) == 1 + len(changed)


def test_a_new_field_with_absent_means_keeps_old_ids() -> None:
    class Before(Section):
        a: int = identity(1)

    class After(Before):
        b: str = identity("off", absent_means="off")

    assert fingerprint(Before(a=2).identity()) == fingerprint(After(a=2).identity())
    assert fingerprint(Before(a=2).identity()) != fingerprint(After(a=2, b="on").identity())


def test_a_field_must_be_declared() -> None:
    with pytest.raises(AssertionError, match="neither identity nor circumstance"):

        class Bad(Section):
            a: int = 1


def test_defaults_are_not_shared_and_sections_are_frozen() -> None:
    one, two = Outer(name="a"), Outer(name="b")
    one.tags.append("x")
    assert two.tags == []
    with pytest.raises(ValueError, match="frozen"):
        one.name = "c"


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"nam": "a"}, "recipe: unknown key 'nam'. Did you mean 'name'? Valid here: 'budget', 'either'"),
        ({"name": "a", "inner": {"dept": 1}}, "unknown key 'inner.dept'. Did you mean 'depth'? Valid here: 'depth' or 'workers'."),
        ({"name": "a", "rooms": {"name": {"dpth": 1}}}, "unknown key 'rooms.name.dpth'. Did you mean 'depth'?"),
        ({"name": "a", "either": {"widht": 1}}, "unknown key 'either.widht'. Did you mean 'width'?"),
        ({}, "recipe: the key 'name' is missing."),
        ({"name": "a", "kind": "natral"}, "kind: 'natral' is not known. Did you mean 'natural'? Valid here: 'natural', 'static' or 'unimax'."),
        ({"name": "a", "margin": 3}, "margin: 3 has no unit; write 3% (of the baseline's value) or 2pp (percentage points)"),
        ({"name": "a", "budget": "2 billion"}, "budget: '2 billion' is not a count"),
        ({"name": 3}, "recipe: name: 3 cannot stand here; write text"),
        ({"name": {"a": 1}}, "recipe: name: a mapping cannot stand here; write text"),
        ({"name": "a", "listed": 3}, "recipe: listed: 3 cannot stand here; write 'all' or a list such as [TEXT]"),
        ({"name": "a", "listed": ["a", None]}, "recipe: listed.1: null cannot stand here; write text"),
        ({"name": "a", "either": 3}, "recipe: either: 3 cannot stand here; write a mapping such as {depth: 3} or a mapping such as {width: 1}"),
        ({"name": "a", "rooms": {"x": 2}}, "recipe: rooms.x: 2 cannot stand here; write a mapping such as {depth: 3}"),
        ({"name": "a", "rooms": {5: {}}}, "recipe: rooms.5: the key 5 is not text; write it in quotes."),
        ({"name": "a", None: 3}, "recipe: the key null is not text; write it in quotes."),
        ({"name": "a", "kind": None}, "recipe: kind: null cannot stand here; write 'natural', 'static' or 'unimax'"),
        ({"name": "a", "budget": True}, "recipe: budget: true is not a count; write a whole number"),
        ({"name": "a", "inner": {"depth": float("inf")}}, "recipe: inner.depth: .inf cannot stand here; write a whole number"),
        ([], "recipe: [] cannot stand here; write a mapping such as {name: TEXT}"),
        (None, "recipe: null cannot stand here; write a mapping such as {name: TEXT}"),
        ({"name": ["x" * 500]}, "xxx…] cannot stand here"),
    ],
)  # fmt: skip
def test_errors_say_where_what_and_what_is_valid(tree: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_section(Outer, tree, "recipe")
    assert message in str(caught.value)


# ── --set ──


def test_sets_use_the_keys_of_the_yaml_and_leave_the_tree_alone() -> None:
    tree = {"training": {"tokens": "2B"}, "name": "a", "empty": None}
    sets = [
        "training.rate=2e-5",
        "training.tokens=1M",
        "a.b.c=[1, no]",
        "name=no",
        "empty.x=1",
        "note=a=b",
        "none=",
    ]
    changed = apply_sets(tree, sets)
    assert changed == {
        "training": {"tokens": "1M", "rate": 2e-5}, "name": "no", "a": {"b": {"c": [1, "no"]}}, "empty": {"x": 1}, "note": "a=b", "none": None,
    }  # fmt: skip
    assert tree == {"training": {"tokens": "2B"}, "name": "a", "empty": None}


@pytest.mark.parametrize(
    ("item", "message"),
    [("a.b", "no value"), ("=1", "no value"), ("name.x=1", "not a mapping"), ("a..b=1", "empty"), ("a.=1", "empty"), ("a=[1", "not valid YAML"), ("a=\x00", "not valid YAML")],
)  # fmt: skip
def test_wrong_sets_are_refused(item: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        apply_sets({"name": "a"}, [item])
