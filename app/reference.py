"""Keys of recipes, catalogs and profiles, and options of verbs, as tables made from the code: `python -m app.reference` writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from pydantic_core import PydanticUndefined
from typer.core import TyperGroup
from typer.main import get_command

from app.cli import cli
from app.editor_schema import FOLDER
from app.profile import Profile
from app.recipe import Recipe
from corpus.catalog import Source
from corpus.config import Section, identity_of
from evals.task import TaskConfig
from trainer.config import Training

_HEAD = """# Which keys does a recipe have?

Made by `python -m app.reference` from the models that validate a recipe. *Identity* is part of the ids of what the key
makes; *circumstance* says where, how fast or how shown, and changes no id. Counts take `k`, `M`, `B`; shares `3%`; margins
`3%` or `2pp`; `--set a.b=value` uses the same keys. A word in capitals stands for a name. An unknown key is refused with the
nearest valid one. Editors that know YAML schemas complete keys and mark mistakes from [recipe.schema.json](recipe.schema.json) and, for the catalog,
[catalog.schema.json](catalog.schema.json): see the first line of each file in `recipes/`. What belongs to the machine is
refused in a recipe and stands in a [profile](profiles.md).

"""
_CATALOG_HEAD = """# Which keys does a catalog have?

Made by `python -m app.reference`, like [recipe.md](recipe.md). NAME is the name of the source or the task.

"""
_PROFILE_HEAD = """# Where do I say what belongs to the machine?

Made by `python -m app.reference`, like [recipe.md](recipe.md). A profile says where the lake is and how this machine works. It
changes no id and is no part of a recipe, where its keys are refused. `profiles.yaml` stands beside the recipe, else in
`~/.config/tilth` (`$XDG_CONFIG_HOME/tilth`), which verbs without a recipe read alone; one file is read, not both. It holds
profiles by name:

```yaml
default: {lake: ~/lake}
server: {lake: /srv/lake, workers: 16, device: cuda}
```

`--profile server` takes one of them. Without it `default` is taken, where there is one; a key that is left out has the
default below. `--lake FOLDER` goes before the profile's lake.

| key | default | meaning |
|---|---|---|
"""
_OPTIONS_HEAD = """# Which options has a command?

Made by `python -m app.reference` from the commands themselves; [cli.md](cli.md) says what each of them prints.

| option | default | meaning | at |
|---|---|---|---|
"""
# what the keys of mappings are names of
_NAMES = {
    "curation.rules": ("SIGNAL",),
    "curation.overrides": ("NAME", "SIGNAL"),
    "gate.harm": ("TARGET", "METRIC"),
}
_COLUMNS = """| key | default | part of an id | meaning |
|---|---|---|---|
"""


def render_reference() -> str:
    """The page docs/recipe.md."""
    return _HEAD + _table(_rows(Recipe, ""))


def render_catalog_reference() -> str:
    """The page docs/catalog_keys.md."""
    sources, tasks = _rows(Source, "sources.NAME."), _rows(TaskConfig, "tasks.NAME.")
    return _CATALOG_HEAD + _table([*sources, *tasks])


def render_profile_reference() -> str:
    """The page docs/profiles.md."""
    return _PROFILE_HEAD + "".join(
        f"| `{key}` | {default} | {_cell(text)} |\n" for key, default, _, text in _rows(Profile, "")
    )


def render_options() -> str:
    """The page docs/options.md: each option with the verbs that have it."""
    verbs = cast(TyperGroup, get_command(cli)).commands
    rows: dict[str, list[str]] = {}
    for verb, command in verbs.items():
        for option in command.params:
            if option.opts[0].startswith("--"):
                rows.setdefault(_option_row(option), []).append(verb)
    return _OPTIONS_HEAD + "".join(
        f"{row} | {'every command' if len(found) == len(verbs) else ', '.join(found)} |\n"
        for row, found in rows.items()
    )


def _option_row(option: Any) -> str:
    name = option.opts[0] if option.is_flag else f"{option.opts[0]} {option.opts[0].strip('-').upper()}"
    default = f"`{option.default}`" if option.default and not (option.required or option.is_flag) else ""
    return f"| `{name}` | {'required' if option.required else default} | {_cell(option.help)}"


def keys_of(section: type[Section]) -> list[str]:
    """Every key of a section, those of the sections in it too; a word in capitals stands for a name."""
    return [key for key, *_ in _rows(section, "")]


def _table(rows: Iterable[tuple[str, str, str, str]]) -> str:
    return _COLUMNS + "".join(
        f"| `{key}` | {default} | {part} | {_cell(text)} |\n" for key, default, part, text in rows
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _rows(section: type[Section], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in section.model_fields.items():
        if section is Training and name in Profile.model_fields:
            continue  # of the machine: refused in a recipe
        extra: Any = field.json_schema_extra
        key = f"{prefix}{name}"
        yield (
            key,
            _default(field),
            "identity" if extra["declared"] == "identity" else "circumstance",
            field.description or "",
        )
        for inner, depth in _sections(field.annotation):
            names = _NAMES.get(key, ("NAME",) * depth)
            yield from _rows(inner, ".".join((key, *names, "")))


def _sections(annotation: Any, depth: int = 0) -> Iterator[tuple[type[Section], int]]:
    """The sections that a key may hold, and in how many nested mappings."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation, depth
        return
    below = depth + (getattr(annotation, "__origin__", None) is dict)
    for part in getattr(annotation, "__args__", ()):
        yield from _sections(part, below)


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.default_factory() if field.default_factory else field.default
    if value is PydanticUndefined or value in (None, "") or isinstance(value, Section):
        return ""
    return f"`{identity_of(value)}`".replace("\n", "\\n")


PAGES = {
    "recipe.md": render_reference,
    "catalog_keys.md": render_catalog_reference,
    "profiles.md": render_profile_reference,
    "options.md": render_options,
}

if __name__ == "__main__":
    for page, render in PAGES.items():
        (FOLDER / page).write_text(render(), "utf-8")
