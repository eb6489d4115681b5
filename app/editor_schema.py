"""JSON schemas of recipes and catalogs, so that an editor completes keys and marks mistakes while one types.

`python -m app.editor_schema` writes them beside the docs. They come from the models that validate a recipe; what only those
can say (which sources there are, that weights add up) is not in them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.profile import Profile
from app.recipe import Recipe
from corpus.catalog import Catalog
from corpus.config import Section
from evals.task import TaskConfig

FOLDER = Path(__file__).parents[1] / "docs"
_OURS = ("declared", "absent_means")  # our own notes on a field mean nothing to an editor


def render_schemas() -> dict[str, str]:
    """File name → JSON text (draft 2020-12), one for recipes and one for data_catalog.yaml."""
    catalog = _schema(Catalog, "data_catalog.yaml")
    task = _schema(TaskConfig, "task")
    catalog["$defs"] |= task.pop("$defs") | {"TaskConfig": task}
    catalog["properties"]["tasks"]["additionalProperties"] = {"$ref": "#/$defs/TaskConfig"}
    recipe = _schema(Recipe, "recipe")
    for key in Profile.model_fields:  # of the machine: refused in a recipe
        recipe["$defs"]["Training"]["properties"].pop(key, None)
    found = {"recipe.schema.json": recipe, "catalog.schema.json": catalog}
    return {name: json.dumps(schema, indent=1) + "\n" for name, schema in found.items()}


def _schema(section: type[Section], title: str) -> dict[str, Any]:
    schema: dict[str, Any] = _without_notes(section.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}


def _without_notes(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_notes(item) for key, item in value.items() if key not in _OURS}
    return [_without_notes(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    for name, text in render_schemas().items():
        (FOLDER / name).write_text(text, "utf-8")
