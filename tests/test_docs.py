"""The README and the docs are executed: commands exist, queries run, links lead somewhere, the recipe's keys are all there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import cast

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from app.cli import cli
from app.profile import Profile
from app.recipe import Recipe, load_recipe
from app.reference import PAGES as MADE
from corpus.catalog import build_catalog
from corpus.config import apply_sets, build_section, read_yaml
from corpus.lake import Lake
from corpus.records import REASONS
from corpus.sql import run_query
from evals.task import TaskConfig

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
VERBS = {
    verb: {name for option in command.params for name in option.opts}
    for verb, command in cast(TyperGroup, get_command(cli)).commands.items()
}
OTHERS_OPTIONS: set[str] = set()  # options of other programs that the pages name


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        found += [
            (page.name, block)
            for block in re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.S)
        ]
    return found


def test_every_command_that_is_shown_exists() -> None:
    targets = re.findall(r"^([a-z_]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    for page, block in blocks("bash"):
        for line in filter(None, block.splitlines()):
            program, *words = shlex.split(line)
            if program == "make":
                assert words[0] in targets, f"{page}: {line}"
            else:
                assert program == "tilth", f"{page}: {line}"
                assert {word for word in words if word.startswith("--")} <= VERBS[words[0]], f"{page}: {line}"


def test_every_verb_is_documented() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    shown = {*re.findall(r"tilth ([a-z-]+)", text), *re.findall(r"`([a-z-]+)`", text)}
    assert VERBS.keys() <= shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_that_is_shown_exists(page: Path) -> None:
    """Options beside a verb are that verb's, others some verb's; docs/options.md has all, being made of them."""
    text = page.read_text("utf-8")
    asides = [aside for aside in re.findall(r"`([^`]+)`", text) if re.match(r"tilth [a-z-]+ ", aside)]
    for aside in asides:
        shown = set(re.findall(r"(?<!\S)\[*(--[a-z-]+)", aside))
        assert shown <= VERBS[aside.split()[1]], aside
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) <= set().union(*VERBS.values()) | OTHERS_OPTIONS


@pytest.mark.parametrize(("page", "query"), blocks("sql"))
def test_queries_run(page: str, query: str, tmp_path: Path) -> None:
    assert run_query(Lake.open(tmp_path / "lake"), query).table.num_columns


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", MADE)
def test_the_pages_that_are_made_are_up_to_date(name: str) -> None:
    page = (ROOT / "docs" / name).read_text("utf-8")
    assert page == MADE[name](), "python -m app.reference writes it"
    rows = [
        re.split(r" (?<!\\)\| ", row.removesuffix(" |")) for row in page.splitlines() if row.startswith("| `")
    ]
    assert [row[0] for row in rows if len(row) != len(rows[0]) or not row[-1] or not row[-2]] == []


def test_every_reason_of_a_reject_is_listed() -> None:
    listed = re.search(r"^Reasons: (.*?);", (ROOT / "docs" / "catalog.md").read_text("utf-8"), re.M | re.S)
    assert listed and re.findall(r"`([a-z_0-9]+)`", listed.group(1)) == list(REASONS)


# ── what is shown as YAML is read by the models ──


def test_the_recipe_of_the_readme_goes_with_the_catalog_of_its_page(tmp_path: Path) -> None:
    recipe = next(block for page, block in blocks("yaml") if page == "README.md")
    catalog = next(block for page, block in blocks("yaml") if page == "catalog.md")
    (tmp_path / "recipe.yaml").write_text(recipe)
    (tmp_path / "data_catalog.yaml").write_text(catalog)
    assert load_recipe(tmp_path / "recipe.yaml").recipe.gate


@pytest.mark.parametrize(("page", "block"), blocks("yaml"))
def test_what_is_shown_as_yaml_is_valid(page: str, block: str, tmp_path: Path) -> None:
    (tmp_path / "shown.yaml").write_text(block)
    tree = apply_sets(read_yaml(tmp_path / "shown.yaml"), [])
    if isinstance(tree.get("sources"), dict):
        build_catalog(tree, tmp_path, page)
        for name, task in tree.get("tasks", {}).items():
            build_section(TaskConfig, task, f"{page}: {name}")
    elif tree.keys() <= Recipe.model_fields.keys():
        build_section(Recipe, {"name": "shown", "sources": ["statutes", "web"], **tree}, page)
    else:
        for name, profile in tree.items():
            build_section(Profile, profile, f"{page}: {name}")


@pytest.mark.parametrize("name", ["demo", "domain_cpt"])
def test_a_recipe_of_ours_is_valid(name: str) -> None:
    assert load_recipe(ROOT / "recipes" / f"{name}.yaml").recipe.gate
