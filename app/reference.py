"""The keys of recipes and catalogs as tables, from the models that validate them: `python -m app.reference` writes both pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic_core import PydanticUndefined

from app.editor_schema import FOLDER
from app.recipe import Recipe
from corpus.catalog import Source
from corpus.config import Section, identity_of
from evals.task import TaskConfig

_HEAD = """# Which keys does a recipe have?

Made by `python -m app.reference` from the models that validate a recipe. *Identity* is part of the ids of what the key
makes; *circumstance* says where, how fast or how shown, and changes no id. Counts take `k`, `M`, `B`; shares `3%`; margins
`3%` or `2pp`; `--set a.b=value` uses the same keys. An unknown key is refused with the nearest valid one. Editors that know
YAML schemas complete keys and mark mistakes from [recipe.schema.json](recipe.schema.json) and, for the catalog,
[catalog.schema.json](catalog.schema.json): see the first line of each file in `recipes/`.

"""
_CATALOG_HEAD = """# Which keys does a catalog have?

Made by `python -m app.reference`, like [recipe.md](recipe.md). NAME is the name of the source or the task.

"""
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


def _table(rows: Iterable[tuple[str, str, str, str]]) -> str:
    return _COLUMNS + "".join(
        f"| `{key}` | {default} | {part} | {_cell(text)} |\n" for key, default, part, text in rows
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _rows(section: type[Section], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in section.model_fields.items():
        extra: Any = field.json_schema_extra
        key = f"{prefix}{name}"
        yield (
            key,
            _default(field),
            "identity" if extra["declared"] == "identity" else "circumstance",
            field.description or "",
        )
        for inner, inside in _sections(field.annotation):
            yield from _rows(inner, f"{key}.{'NAME.' if inside else ''}")


def _sections(annotation: Any, in_mapping: bool = False) -> Iterator[tuple[type[Section], bool]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation, in_mapping
        return
    mapping = in_mapping or getattr(annotation, "__origin__", None) is dict
    for part in getattr(annotation, "__args__", ()):
        yield from _sections(part, mapping)


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.default_factory() if field.default_factory else field.default
    if value is PydanticUndefined or value in (None, "") or isinstance(value, Section):
        return ""
    return f"`{identity_of(value)}`".replace("\n", "\\n")


if __name__ == "__main__":
    (FOLDER / "recipe.md").write_text(render_reference(), "utf-8")
    (FOLDER / "catalog_keys.md").write_text(render_catalog_reference(), "utf-8")
