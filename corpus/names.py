"""Names for people: `NAME[@N][/KIND | /RUN[/STEP]]`, aliases that move, and unique id prefixes.

`NAME@N` is one resolved recipe plus its inputs: the same fingerprint keeps its N, a new one claims the next. All of it is
append-only facts under `names/` and `aliases/`, made by exclusive create; no index to go stale. Of several versions the one
that was run last stands for the name, one of a whole corpus before one of a sample.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpus.errors import ConfigError, UnknownName, did_you_mean
from corpus.facts import next_path
from corpus.json_file import read_json, well_formed
from corpus.lake import Lake, now_utc

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
ARTIFACT_KINDS = (
    "documents",
    "near_duplicates",
    "holdout",
    "snapshot",
    "tokenizer",
    "token_shards",
    "mixture",
    "run",
    "scorecard",
)
CHAMPION = "champion"
MIN_PREFIX = 6


@dataclass(frozen=True)
class Claim:
    """One version of a recipe name, the share of the documents it read, and when it was last run."""

    name: str
    version: int
    fingerprint: str
    recipe: dict[str, Any]
    sample: float = 1.0
    run_utc: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class Resolved:
    """What a reference stands for. `step` is set for a checkpoint (kind `run`)."""

    kind: str
    id: str
    step: int | None = None
    claim: Claim | None = None
    run: str | None = None


def check_name(name: str, what: str = "name") -> str:
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"the {what} {name!r} is not usable; use lower-case letters, digits, '.', '_' and '-' (64 at most, first a letter or digit)"
        )
    return name


def check_run_name(name: str) -> str:
    """The name of a run stands where a kind or an alias may stand too: NAME/RUN."""
    if check_name(name, "run name") in (*ARTIFACT_KINDS, CHAMPION):
        raise ConfigError(
            f"a run cannot be called {name!r}: NAME/{name} is something else. Choose another name."
        )
    return name


def claim(lake: Lake, name: str, fingerprint: str, recipe: dict[str, Any], sample: float = 1.0) -> Claim:
    """The version of `name` that has this fingerprint, claiming the next free one if there is none; it is now the last one run."""
    check_name(name)
    while True:
        known = claims(lake, name)
        last = max((found.run_utc for found in known), default=0)
        time_utc = max(now_utc(), last + 1)
        for found in known:
            if found.fingerprint == fingerprint:
                if found.run_utc < last:
                    again = _folder(lake, name, found.version) / "again" / f"{time_utc}.json"
                    lake.create_json(again, {"time_utc": time_utc})
                return found
        version = max((found.version for found in known), default=0) + 1
        tree = {
            "name": name, "version": version, "fingerprint": fingerprint, "recipe": recipe, "sample": sample, "time_utc": time_utc,
        }  # fmt: skip
        if lake.create_json(_folder(lake, name, version) / "claim.json", tree):
            return Claim(name, version, fingerprint, recipe, sample)


def claims(lake: Lake, name: str) -> list[Claim]:
    """All versions of a name, oldest first."""
    found = [_read_claim(path) for path in (lake.root / "names" / name).glob("*/claim.json")]
    return sorted(found, key=lambda claim: claim.version)


def _read_claim(path: Path) -> Claim:
    tree = read_json(path) or {}
    with well_formed(path):
        times = [tree["time_utc"], *(int(again.stem) for again in path.parent.glob("again/*.json"))]
        sample = tree.get("sample", 1.0)
        return Claim(tree["name"], tree["version"], tree["fingerprint"], tree["recipe"], sample, max(times))


def versions(lake: Lake, name: str) -> list[Claim]:
    """All versions of a name, the one that stands for it first: whole corpora before samples, the last run before earlier ones."""
    return sorted(claims(lake, name), key=lambda found: (found.sample >= 1, found.run_utc), reverse=True)


def recipe_names(lake: Lake) -> list[str]:
    """The names that have a version; a folder without one is being claimed."""
    found = {path.parents[1].name for path in (lake.root / "names").glob("*/*/claim.json")}
    return sorted(name for name in found if NAME.fullmatch(name))


def attach(lake: Lake, owner: Claim, kind: str, id: str, key: str = "") -> None:
    """Record that this version of the name now has artifact `id`; `key` tells several of a kind apart (a source, a run).

    Said again, nothing is written; going back to an earlier artifact is a new fact.
    """
    before = next((fact for fact in attached(lake, owner, kind) if fact["key"] == key), None)
    if before is None or before["id"] != id:
        time_utc = max(now_utc(), before["time_utc"] + 1 if before else 0)
        path = _folder(lake, owner.name, owner.version) / kind / f"{key or kind}.{time_utc}.{id}.json"
        lake.create_json(path, {"kind": kind, "id": id, "key": key, "time_utc": time_utc})


def attached(lake: Lake, owner: Claim, kind: str) -> list[dict[str, Any]]:
    """The artifacts of a kind that a version has, the latest of each key, ordered by key."""
    paths = (_folder(lake, owner.name, owner.version) / kind).rglob("*.json")
    found = sorted((_read_fact(path) for path in paths), key=lambda fact: (fact["time_utc"], fact["id"]))
    latest = {fact["key"]: fact for fact in found}
    return [latest[key] for key in sorted(latest)]


def _read_fact(path: Path) -> dict[str, Any]:
    tree = read_json(path) or {}
    with well_formed(path):
        return {name: tree[name] for name in ("kind", "id", "key", "time_utc")}


def newest(lake: Lake, name: str, kind: str) -> Claim | None:
    """The version that stands for a name where an artifact of this kind is asked for: the first of `versions` that has one."""
    return next((found for found in versions(lake, name) if attached(lake, found, kind)), None)


def current(lake: Lake, kind: str) -> list[dict[str, Any]]:
    """What plain views show: the artifacts of a kind of the version that stands for each recipe name, each with its `claim`."""
    owners = [owner for name in recipe_names(lake) if (owner := newest(lake, name, kind))]
    return [{**fact, "claim": owner} for owner in owners for fact in attached(lake, owner, kind)]


# ── aliases ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def move_alias(lake: Lake, recipe: str, alias: str, id: str, step: int | None, reference: str) -> None:
    """Point `alias` (for instance `champion`) of a recipe name at a checkpoint; earlier places stay on record."""
    folder = lake.root / "aliases" / check_name(recipe) / check_name(alias, "alias")
    while True:
        moves = sorted(folder.glob("*.json"))
        tree = {"id": id, "step": step, "reference": reference, "time_utc": now_utc()}
        if lake.create_json(next_path(moves, folder), tree):
            return


def alias(lake: Lake, recipe: str, name: str) -> dict[str, Any] | None:
    """Where an alias of a recipe name points now."""
    moves = sorted((lake.root / "aliases" / recipe / name).glob("*.json"))
    if not moves:
        return None
    place = read_json(moves[-1]) or {}
    with well_formed(moves[-1]):
        return {name: place[name] for name in ("id", "step", "reference", "time_utc")}


def aliases(lake: Lake) -> list[tuple[str, str, dict[str, Any]]]:
    """Every (recipe, alias, place) now."""
    folders = sorted(folder for folder in (lake.root / "aliases").glob("*/*") if folder.is_dir())
    return [
        (folder.parent.name, folder.name, place)
        for folder in folders
        if (place := alias(lake, folder.parent.name, folder.name))
    ]


# ── references ──────────────────────────────────────────────────────────────────────────────────────────────────────


def resolve(lake: Lake, reference: str, kind: str | None = None) -> Resolved:
    """What `reference` stands for; `kind` is what a bare name should mean. Raises UnknownName with what there is."""
    reference = reference.strip()
    head, *rest = [step for step in reference.split("/") if step] or [""]
    name, at, number = head.partition("@")
    if name in recipe_names(lake):
        version = _version(lake, reference, name, number) if at else None
        return _resolve_name(lake, reference, name, version, rest, kind)
    pointed = {recipe: place for recipe, word, place in aliases(lake) if word == reference}
    if len(pointed) > 1:
        several = ", ".join(f"{recipe}/{reference}" for recipe in sorted(pointed))
        raise UnknownName(f"{reference!r} stands for several: {several}. Name one.")
    for place in pointed.values():
        return Resolved("run", place["id"], place["step"])
    if found := _by_prefix(lake, head, kind):
        if found[0] != "run":
            _must_end(reference, head, rest)
        return Resolved(found[0], found[1], _step(reference, rest))
    known = recipe_names(lake) + [word for _, word, _ in aliases(lake)]
    raise UnknownName(
        f"nothing is named {reference!r}.{did_you_mean(name, known)} `tilth ls` lists names and ids."
    )


def claim_of(lake: Lake, reference: str) -> Claim:
    """The version that NAME@N or NAME@N/… is of; UnknownName where there is none."""
    name, _, number = reference.strip().partition("/")[0].partition("@")
    return _version(lake, reference, name, number)


def _version(lake: Lake, reference: str, name: str, number: str) -> Claim:
    if not _is_number(number):
        raise UnknownName(f"{reference!r}: after @ stands a version number, for instance {name}@1")
    known = claims(lake, name)
    found = next((claim for claim in known if claim.version == int(number)), None)
    if found is None:
        raise UnknownName(
            f"{name!r} has no version {number}; there are {', '.join(str(claim) for claim in known) or 'none'}"
        )
    return found


def _resolve_name(
    lake: Lake, reference: str, name: str, version: Claim | None, rest: list[str], kind: str | None
) -> Resolved:
    if rest and (place := alias(lake, name, rest[0])):
        _must_end(reference, rest[0], rest[1:])
        if version and place["id"] not in [fact["id"] for fact in attached(lake, version, "run")]:
            raise UnknownName(
                f"{reference!r} is of another version: {name}/{rest[0]} is {place['reference']}. Leave out @{version.version}."
            )
        return Resolved("run", place["id"], place["step"])
    wanted, key, step = kind or "snapshot", "", None
    if rest and rest[0] in ARTIFACT_KINDS:
        wanted, key = rest[0], "/".join(rest[1:])
    elif rest:
        wanted, key, step = "run", rest[0], _step(reference, rest[1:])
    owner = version or newest(lake, name, wanted)
    facts = attached(lake, owner, wanted) if owner else []
    if not facts:
        raise UnknownName(
            f"{owner or repr(name)} has no {wanted} yet. Run its recipe first: `tilth run RECIPE`."
        )
    chosen = [fact for fact in facts if not key or fact["key"] == key]
    if not chosen:
        keys = [fact["key"] for fact in facts if fact["key"]]
        raise UnknownName(
            f"{owner} has no {wanted} {key!r}.{did_you_mean(key, keys)} "
            + (f"There are {', '.join(keys)}." if keys else f"It has one, {owner}/{wanted}.")
        )
    if len(chosen) > 1:
        several = ", ".join(f"{owner}/{fact['key']}" for fact in chosen)
        raise UnknownName(f"{reference!r} stands for several: {several}. Name one.")
    return Resolved(wanted, chosen[0]["id"], step, owner, chosen[0]["key"] if wanted == "run" else None)


def _step(reference: str, rest: list[str]) -> int | None:
    """The step that stands behind a run; None where nothing does."""
    if not rest:
        return None
    digits = rest[0].removeprefix("step_")
    if not _is_number(digits):
        raise UnknownName(f"{reference!r}: {rest[0]!r} is not a step number")
    _must_end(reference, rest[0], rest[1:])
    return int(digits)


def _is_number(text: str) -> bool:
    """Whether int() reads it, and a file name could hold it: `isdigit` alone takes '²' too."""
    return text.isascii() and text.isdecimal() and len(text) < 19


def _must_end(reference: str, last: str, rest: list[str]) -> None:
    """Refuse what stands behind the end of a reference."""
    if rest:
        raise UnknownName(f"{reference!r}: nothing can stand behind {last!r}; there is {rest[0]!r}")


def _by_prefix(lake: Lake, prefix: str, kind: str | None) -> tuple[str, str] | None:
    if not re.fullmatch(rf"[0-9a-f]{{{MIN_PREFIX},32}}", prefix):
        return None
    found = sorted({(k, path.name) for k, path in _id_folders(lake, prefix) if kind in (None, k)})
    if len(found) > 1:
        listed = ", ".join(f"{k} {id}" for k, id in found[:5])
        raise UnknownName(f"the id prefix {prefix!r} stands for several: {listed}. Give more of it.")
    return found[0] if found else None


def _id_folders(lake: Lake, prefix: str) -> Iterable[tuple[str, Path]]:
    for kind in ARTIFACT_KINDS:
        folder = lake.runs if kind == "run" else lake.root / kind
        for path in folder.glob(f"{prefix}*"):
            if path.is_dir():
                yield kind, path


def _folder(lake: Lake, name: str, version: int) -> Path:
    return lake.root / "names" / name / str(version)
