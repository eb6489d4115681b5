"""What an editor is told about recipes and catalogs is what the program accepts."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from app.editor_schema import FOLDER, render_schemas
from corpus.config import read_yaml
from tests.app.small_lake import CATALOG, RECIPE

ROOT = Path(__file__).parents[2]
SCHEMAS = {name: json.loads(text) for name, text in render_schemas().items()}


def mistakes(kind: str, tree: dict[str, Any]) -> list[str]:
    return [error.message for error in Draft202012Validator(SCHEMAS[f"{kind}.schema.json"]).iter_errors(tree)]


def test_the_files_beside_the_docs_are_the_models() -> None:
    for name, text in render_schemas().items():
        assert (FOLDER / name).read_text("utf-8") == text, f"python -m app.editor_schema writes {name}"
        Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("name", ["demo.yaml", "domain_cpt.yaml"])
def test_the_recipes_here_have_no_mistake(name: str) -> None:
    assert mistakes("recipe", read_yaml(ROOT / "recipes" / name)) == []


def test_catalogs_have_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text(CATALOG, "utf-8")
    assert mistakes("catalog", read_yaml(tmp_path / "catalog.yaml")) == []
    assert mistakes("catalog", read_yaml(ROOT / "data_catalog.yaml")) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("traning", {}), ("holdout.name", None), ("training.tokens", "2 hundred"), ("training.learning_rate", "fast"), ("training.schedule", {"tipe": "wsd"}),
        ("curation.near_duplicates.jaccard", [1]), ("mixture.within", "evenly"), ("training.checkpoints.every", "often"), ("training.monitor.max_increase", {"general": "3"}),
    ],
)  # fmt: skip
def test_a_mistake_is_marked(tmp_path: Path, path: str, value: Any) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE, "utf-8")
    tree = copy.deepcopy(read_yaml(tmp_path / "recipe.yaml"))
    *folders, key = path.split(".")
    place = tree
    for folder in folders:
        place = place[folder]
    place[key] = value
    assert mistakes("recipe", tree)
