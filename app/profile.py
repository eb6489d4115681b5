"""A profile: what belongs to the machine, never to the recipe. It changes no id.

Read from `profiles.yaml` beside the recipe, else from the user's configuration folder; the default suits a laptop.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import field_validator

from corpus.config import Section, apply_sets, build_section, circumstance, read_yaml
from corpus.errors import ConfigError, did_you_mean, one_of
from trainer.config import check_device, check_engine


class Profile(Section):
    lake: str = circumstance("lake", description="folder of the lake; relative to the working directory")
    engine: str = circumstance(
        "single",
        description="how training is divided; single: one process, others are refused until they exist",
    )
    workers: int = circumstance(0, description="processes for ingest and measuring; 0: one per core")
    device: str = circumstance("auto", description="auto, cpu or cuda: where models train and score")
    threads: int = circumstance(0, description="threads of a training process; 0: the library's choice")
    micro_batch_sequences: int = circumstance(
        0, description="sequences of one forward pass; 0: chosen to fit"
    )

    @field_validator("engine")
    @classmethod
    def _engine(cls, value: str) -> str:
        return check_engine(value)

    @field_validator("device")
    @classmethod
    def _device(cls, value: str) -> str:
        return check_device(value)

    @field_validator("workers", "threads", "micro_batch_sequences")
    @classmethod
    def _not_negative(cls, value: int) -> int:
        if value < 0:
            raise ValueError(f"{value} arrived; write 0 for what suits the machine, or more")
        return value

    @property
    def num_workers(self) -> int:
        return self.workers or len(os.sched_getaffinity(0))


def load_profile(recipe_folder: Path | None, name: str | None, lake: str | None = None) -> Profile:
    """The named profile, or `default` where there is one, or the built-in default; `lake` overrides its lake."""
    found = _read_profiles(recipe_folder)
    if name is not None and name not in found:
        folders = " or ".join(str(folder) for folder in _profile_folders(recipe_folder))
        there = f"There are {one_of(found)}." if found else f"Write one into profiles.yaml, in {folders}."
        raise ConfigError(f"there is no profile {name!r}.{did_you_mean(name, found)} {there}")
    tree = found.get(name or "default", {})
    profile = build_section(Profile, tree, f"profile {name or 'default'}")
    where = profile.lake if lake is None else lake
    if not where.strip():
        told = "--lake" if lake is not None else f"lake of profile {name or 'default'!r}"
        raise ConfigError(f"{told} is empty. Give a folder, or leave it out.")
    return profile.model_copy(update={"lake": os.path.expanduser(where)})


def _profile_folders(recipe_folder: Path | None) -> list[Path]:
    """Where profiles.yaml is looked for: beside the recipe, then among the user's settings."""
    user = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "tilth"
    return [*filter(None, [recipe_folder]), user]


def _read_profiles(recipe_folder: Path | None) -> dict[str, Any]:
    for folder in _profile_folders(recipe_folder):
        if (folder / "profiles.yaml").exists():
            return apply_sets(read_yaml(folder / "profiles.yaml"), [])
    return {}
