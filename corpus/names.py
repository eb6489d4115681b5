"""Names for people: `NAME[@N][/KIND | /RUN[/STEP]]`, aliases that move, and unique id prefixes.

`NAME@N` is one resolved recipe plus its inputs: the same fingerprint keeps its N, a new one claims the next. All of it is
append-only facts under `names/` and `aliases/`, made by exclusive create; no index to go stale.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.errors import ConfigError, UnknownName, did_you_mean
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
MIN_PREFIX = 6


@dataclass(frozen=True)
class Claim:
    """One version of a recipe name."""

    name: str
    version: int
    fingerprint: str
    recipe: dict[str, Any]

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


def claim(lake: Lake, name: str, fingerprint: str, recipe: dict[str, Any]) -> Claim:
    """The version of `name` that has this fingerprint, claiming the next free one if there is none."""
    check_name(name)
    while True:
        known = claims(lake, name)
        for found in known:
            if found.fingerprint == fingerprint:
                return found
        version = max((found.version for found in known), default=0) + 1
        tree = {
            "name": name,
            "version": version,
            "fingerprint": fingerprint,
            "recipe": recipe,
            "time_utc": now_utc(),
        }
        if lake.create_json(_folder(lake, name, version) / "claim.json", tree):
            return Claim(name, version, fingerprint, recipe)


def claims(lake: Lake, name: str) -> list[Claim]:
    """All versions of a name, oldest first."""
    found = [
        json.loads(path.read_text("utf-8")) for path in (lake.root / "names" / name).glob("*/claim.json")
    ]
    return [
        Claim(t["name"], t["version"], t["fingerprint"], t["recipe"])
        for t in sorted(found, key=lambda t: t["version"])
    ]


def recipe_names(lake: Lake) -> list[str]:
    return sorted(
        path.name for path in (lake.root / "names").glob("*") if path.is_dir() and NAME.fullmatch(path.name)
    )


def attach(lake: Lake, owner: Claim, kind: str, id: str, key: str = "") -> None:
    """Record that this version of the name has artifact `id`; `key` tells several of a kind apart (a source, a run)."""
    path = _folder(lake, owner.name, owner.version) / kind / f"{key or kind}.{id}.json"
    if not path.exists():
        lake.create_json(path, {"kind": kind, "id": id, "key": key, "time_utc": now_utc()})


def attached(lake: Lake, owner: Claim, kind: str) -> list[dict[str, Any]]:
    """The artifacts of a kind that a version has, the latest of each key, ordered by key."""
    found = [
        json.loads(path.read_text("utf-8"))
        for path in (_folder(lake, owner.name, owner.version) / kind).rglob("*.json")
    ]
    latest = {fact["key"]: fact for fact in sorted(found, key=lambda fact: (fact["time_utc"], fact["id"]))}
    return [latest[key] for key in sorted(latest)]


def newest(lake: Lake, name: str, kind: str) -> Claim | None:
    """The newest version of a name that has an artifact of this kind."""
    return next((found for found in reversed(claims(lake, name)) if attached(lake, found, kind)), None)


def current(lake: Lake, kind: str) -> list[dict[str, Any]]:
    """What plain views show: of every recipe name the newest version's artifacts of a kind, each with its `claim`."""
    owners = [owner for name in recipe_names(lake) if (owner := newest(lake, name, kind))]
    return [{**fact, "claim": owner} for owner in owners for fact in attached(lake, owner, kind)]


# ── aliases ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def move_alias(lake: Lake, recipe: str, alias: str, id: str, step: int | None, reference: str) -> None:
    """Point `alias` (for instance `champion`) of a recipe name at a checkpoint; earlier places stay on record."""
    folder = lake.root / "aliases" / check_name(recipe) / check_name(alias, "alias")
    while True:
        number = len(list(folder.glob("*.json"))) + 1
        tree = {"id": id, "step": step, "reference": reference, "time_utc": now_utc()}
        if lake.create_json(folder / f"{number:06d}.json", tree):
            return


def alias(lake: Lake, recipe: str, name: str) -> dict[str, Any] | None:
    """Where an alias of a recipe name points now."""
    moves = sorted((lake.root / "aliases" / recipe / name).glob("*.json"))
    return json.loads(moves[-1].read_text("utf-8")) if moves else None


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
    head, *rest = [step for step in reference.strip().split("/") if step] or [""]
    name, at, number = head.partition("@")
    if name in recipe_names(lake):
        return _resolve_name(lake, reference, name, number if at else "", rest, kind)
    pointed = {recipe: place for recipe, word, place in aliases(lake) if word == reference}
    if len(pointed) > 1:
        several = ", ".join(f"{recipe}/{reference}" for recipe in sorted(pointed))
        raise UnknownName(f"{reference!r} stands for several: {several}. Name one.")
    for place in pointed.values():
        return Resolved("run", place["id"], place["step"])
    if found := _by_prefix(lake, head, kind):
        return Resolved(found[0], found[1], _step(rest[0], reference) if rest else None)
    known = recipe_names(lake) + [word for _, word, _ in aliases(lake)]
    raise UnknownName(
        f"nothing is named {reference!r}.{did_you_mean(name, known)} `tilth ls` lists names and ids."
    )


def _resolve_name(
    lake: Lake, reference: str, name: str, number: str, rest: list[str], kind: str | None
) -> Resolved:
    if number and not number.isdigit():
        raise UnknownName(f"{reference!r}: after @ stands a version number, for instance {name}@1")
    known = claims(lake, name)
    if number and int(number) not in [found.version for found in known]:
        raise UnknownName(
            f"{name!r} has no version {number}; there are {', '.join(str(found) for found in known)}"
        )
    if rest and (place := alias(lake, name, rest[0])):
        return Resolved("run", place["id"], place["step"])
    wanted = rest[0] if rest and rest[0] in ARTIFACT_KINDS else (kind or "snapshot") if not rest else "run"
    owner = (
        next(found for found in known if found.version == int(number))
        if number
        else newest(lake, name, wanted)
    )
    if owner is None:
        raise UnknownName(f"{name!r} has no {wanted} yet. Run its recipe first: `tilth run RECIPE`.")
    facts = attached(lake, owner, wanted)
    if rest and rest[0] not in ARTIFACT_KINDS:
        facts = [fact for fact in facts if fact["key"] == rest[0]]
        if not facts:
            runs = [fact["key"] for fact in attached(lake, owner, "run")]
            raise UnknownName(
                f"{owner} has no run {rest[0]!r}.{did_you_mean(rest[0], runs)} Its runs: {', '.join(runs) or 'none yet'}."
            )
    elif len(rest) > 1 and len(facts) > 1:
        facts = [fact for fact in facts if fact["key"] == "/".join(rest[1:])] or facts
    if not facts:
        raise UnknownName(f"{owner} has no {wanted} yet. Run its recipe first: `tilth run RECIPE`.")
    if len(facts) > 1:
        several = ", ".join(f"{owner}/{fact['key']}" for fact in facts)
        raise UnknownName(f"{reference!r} stands for several: {several}. Name one.")
    step = _step(rest[1], reference) if wanted == "run" and len(rest) > 1 else None
    return Resolved(wanted, facts[0]["id"], step, owner, facts[0]["key"] if wanted == "run" else None)


def _step(text: str, reference: str) -> int:
    digits = text.removeprefix("step_")
    if not digits.isdigit():
        raise UnknownName(f"{reference!r}: {text!r} is not a step number")
    return int(digits)


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
