"""Examples in docstrings are run: every module of the packages that shows one."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from tests.test_house import MODULES

ROOT = Path(__file__).parents[1]
SHOWING = [module for module in MODULES if ">>> " in (ROOT / module).read_text("utf-8")]


@pytest.mark.parametrize("module", SHOWING)
def test_examples_in_docstrings_hold(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(
        importlib.import_module(module.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    )
    assert found.attempted
    assert not found.failed
