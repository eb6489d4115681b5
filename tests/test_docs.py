"""The README and the docs are executed: commands exist, queries run, links lead somewhere, the recipe's keys are all there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.main import get_command

from app.cli import cli
from app.reference import render_catalog_reference, render_reference
from corpus.lake import Lake
from corpus.sql import run_query

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        found += [
            (page.name, block)
            for block in re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.S)
        ]
    return found


def test_every_command_that_is_shown_exists() -> None:
    verbs = get_command(cli).commands
    targets = re.findall(r"^([a-z_]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    for page, block in blocks("bash"):
        for line in filter(None, block.splitlines()):
            program, *words = shlex.split(line)
            if program == "make":
                assert words[0] in targets, f"{page}: {line}"
            else:
                assert program == "tilth", f"{page}: {line}"
                known = {name for option in verbs[words[0]].params for name in option.opts}
                assert {word for word in words if word.startswith("--")} <= known, f"{page}: {line}"


def test_every_verb_is_documented() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    shown = {*re.findall(r"tilth ([a-z-]+)", text), *re.findall(r"`([a-z-]+)`", text)}
    assert set(get_command(cli).commands) <= shown


@pytest.mark.parametrize(("page", "query"), blocks("sql"))
def test_queries_run(page: str, query: str, tmp_path: Path) -> None:
    assert run_query(Lake.open(tmp_path / "lake"), query).table.num_columns


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize(
    ("name", "render"), [("recipe", render_reference), ("catalog_keys", render_catalog_reference)]
)
def test_the_pages_of_keys_are_the_models(name: str, render: Callable[[], str]) -> None:
    page = (ROOT / "docs" / f"{name}.md").read_text("utf-8")
    assert page == render(), "python -m app.reference writes it"
    rows = [re.split(r" (?<!\\)\| ", row) for row in page.splitlines() if row.startswith("| `")]
    assert [row[0] for row in rows if len(row) != 4 or row[3].strip(" |") == ""] == []
