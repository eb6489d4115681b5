"""The catalog: every source and every evaluation task, as declared in data_catalog.yaml.

It says what there is and where; which of it a recipe uses, the recipe says. Only the sources a recipe names are looked at.
Tasks are kept as plain mappings here: `evals.task` owns their keys.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator

from corpus.config import Section, build_section, circumstance
from corpus.errors import ConfigError, did_you_mean
from corpus.readers import Reading

Role = Literal["domain", "general"]
SOURCE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Source(Reading):
    """One source. How its text is read is identity of its documents; role, topic and licence matter to later stages."""

    path: str = circumstance(description="file, folder, glob or fsspec URL; relative to the catalog's root")
    role: Role = circumstance(
        description="what the model is for (domain), or what it must not forget (general)"
    )
    topic: str = circumstance("", description="a free label; rules and weights can be set by topic")
    license: str = circumstance("", description="SPDX id, or a word of your own where there is none")
    language: str | list[str] = circumstance(
        "",
        description="the language or languages expected; told to people, and checked by a rule on `language` only",
    )
    curated: bool = circumstance(
        False, description="already curated elsewhere: preferred when near-duplicates compete"
    )

    @field_validator("path")
    @classmethod
    def _path(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("it is empty; give a file, a folder, a glob or a URL ('.' is all of the root)")
        return value

    @field_validator("language")
    @classmethod
    def _languages(cls, value: str | list[str]) -> list[str]:
        return [value] if isinstance(value, str) and value else list(value or [])


class Catalog(Section):
    root: str = circumstance(
        "",
        description="folder or URL that relative paths start from; ${VARIABLE} and ${VARIABLE:-default} are filled in",
    )
    sources: dict[str, Source] = circumstance({}, description="NAME: where its text is, and what it is")
    tasks: dict[str, dict[str, Any]] = circumstance(
        {}, description="NAME: a file of questions and how it is asked"
    )

    @field_validator("sources")
    @classmethod
    def _names(cls, value: dict[str, Source]) -> dict[str, Source]:
        for name in value:
            if not SOURCE_NAME.fullmatch(name):
                raise ValueError(
                    f"the source name {name!r} is not usable; use letters, digits, '_' and '-' (64 at most)"
                )
        return value

    def source(self, name: str) -> Source:
        if name not in self.sources:
            raise ConfigError(
                f"the catalog has no source {name!r}.{did_you_mean(name, self.sources)} It has: {', '.join(sorted(self.sources)) or 'none'}."
            )
        return self.sources[name]

    def task(self, name: str) -> dict[str, Any]:
        if name not in self.tasks:
            raise ConfigError(
                f"the catalog has no task {name!r}.{did_you_mean(name, self.tasks)} It has: {', '.join(sorted(self.tasks)) or 'none'}."
            )
        return self.tasks[name]


def build_catalog(tree: dict[str, Any], folder: Path, name: str = "the catalog") -> Catalog:
    """A catalog from a parsed mapping; its root becomes definite, relative to `folder`."""
    return resolve_root(build_section(Catalog, tree, name), folder)


def resolve_root(catalog: Catalog, folder: Path) -> Catalog:
    """Fill ${VARIABLE} in the root and make it absolute; a missing variable is an error only here, when it is needed."""

    def fill(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if not value and match[2] is not None:  # `:-` as in a shell: also where the variable is empty
            return match[2]
        if value is None:
            raise ConfigError(
                f"the catalog's root is {catalog.root!r}, and the variable {match[1]} is not set. Set it, or give --set catalog.root=FOLDER."
            )
        return value

    root = re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", fill, catalog.root)
    if "://" not in root:
        root = str((folder / Path(root).expanduser()).resolve())
    return catalog.model_copy(update={"root": root})
