"""The house itself: which way imports point, who may import what, how large a module may grow, what is installed."""

from __future__ import annotations

import ast
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FLOW = (
    "corpus",
    "quality",
    "mixer",
    "trainer",
    "evals",
    "app",
)  # a package imports itself and those before it
DOORS = {
    "duckdb": ("corpus/sql.py",),
    "ray": ("corpus/engine.py",),
    "fasttext": ("quality/classifier.py",),
    "torch": ("quality/language_model.py", "quality/model_folder.py", "trainer/*"),
    "transformers": (
        "quality/language_model.py",
        "quality/model_folder.py",
        "mixer/tokenizer.py",
        "trainer/model.py",
        "trainer/pretrain.py",
    ),
    "tokenizers": ("mixer/tokenizer.py",),
    "accelerate": ("trainer/engines.py",),
    "deepspeed": ("trainer/engines.py",),
    "trl": ("trainer/finetune.py",),
    "peft": ("trainer/finetune.py",),
    "lm_eval": ("evals/harness.py",),
    "streamlit": ("app/screens/*",),
    "datasketch": (),  # the reference of tests and benchmarks
    "rensa": (),
    "datatrove": (),
    "kenlm": (),
}
# Parquet in the lake is written and read by corpus/part.py, one form and every page's checksum verified. Here it is something else:
OTHER_PARQUET = {
    "corpus/parquet_reader.py": "a source's file",
    "corpus/field_names.py": "the schema of a source's file",
    "corpus/own_fields.py": "the schema of a part, which has no page",
    "corpus/sql_catalog.py": "tables for DuckDB to read, which the catalog makes again; the schema of a part",
    "corpus/sql.py": "DuckDB's scan of parts, with their checksums verified",
    "quality/compile.py": "a made-up file, to compile kernels on",
    "evals/task_rows.py": "a task's file",
    "app/export.py": "a file that leaves the lake",
}
DRAWERS = {"util", "utils", "helper", "helpers", "common", "misc"}
EXTRAS = ("ray", "bench", "kenlm")
MAX_MODULE_LINES, MAX_FUNCTION_LINES = 450, 70

MODULES = sorted(
    path.relative_to(ROOT).as_posix() for package in FLOW for path in (ROOT / package).rglob("*.py")
)


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text("utf-8"), module)


def imported(tree: ast.AST) -> Iterator[str]:
    """The dotted names that any import statement asks for, those inside functions and under TYPE_CHECKING too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield node.module or ""


def imports_against_the_flow(module: str, tree: ast.AST) -> list[str]:
    own = FLOW.index(module.partition("/")[0])
    tops = ((name, name.partition(".")[0]) for name in imported(tree))
    return [name for name, top in tops if top in FLOW and FLOW.index(top) > own]


def imports_past_a_door(module: str, tree: ast.AST) -> list[str]:
    tops = ((name, name.partition(".")[0]) for name in imported(tree))
    return [
        name for name, top in tops if top in DOORS and not any(fnmatch(module, door) for door in DOORS[top])
    ]


# ── imports ──


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_backwards_along_the_flow(module: str) -> None:
    assert imports_against_the_flow(module, parsed(module)) == []


@pytest.mark.parametrize("module", MODULES)
def test_a_heavy_library_is_imported_at_its_door_only(module: str) -> None:
    assert imports_past_a_door(module, parsed(module)) == []


def parquet_touched(tree: ast.AST) -> list[str]:
    """By which names a module can read or write Parquet: pyarrow's modules, and methods of data frames."""
    modules = {"pyarrow.parquet", "pyarrow.dataset"}
    names = [name for name in imported(tree) if name in modules]
    calls = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return names + [call for call in calls if re.fullmatch(r"(read|scan|write|sink)_parquet", call)]


def test_parquet_of_the_lake_is_written_and_read_in_one_place() -> None:
    touching = {module for module in MODULES if parquet_touched(parsed(module))}
    assert touching - {"corpus/part.py"} == OTHER_PARQUET.keys()
    assert parquet_touched(ast.parse("import pyarrow.parquet as pq\npl.scan_parquet(a)")) != []


def test_lazy_and_typing_imports_are_seen_too() -> None:
    tree = ast.parse("def f():\n    import evals.gate\nif TYPE_CHECKING:\n    from torch.nn import Module\n")
    assert imports_against_the_flow("quality/rules.py", tree) == ["evals.gate"]
    assert imports_past_a_door("quality/rules.py", tree) == ["torch.nn"]
    assert imports_past_a_door("trainer/data.py", tree) == []


def test_importing_the_first_packages_or_the_command_line_loads_nothing_heavy() -> None:
    heavy = {"torch", "transformers", "streamlit", "duckdb", "ray", "datasets"}
    assert loaded_by(["corpus", "quality", "app", "app.cli"]) & heavy == set()


def test_no_module_of_the_first_packages_loads_a_model_library_but_at_its_door() -> None:
    at_a_door = {door for library in ("torch", "transformers") for door in DOORS[library]}
    names = [module for module in MODULES if module.startswith(FLOW[:3]) and module not in at_a_door]
    loaded = loaded_by(
        [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in names]
    )
    assert loaded & {"torch", "transformers", "streamlit"} == set()


def loaded_by(names: list[str]) -> set[str]:
    """The top-level modules in memory after importing `names` in a fresh interpreter."""
    code = f"import sys\nfor name in {names!r}: __import__(name)\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


# ── shape ──


def test_no_module_is_a_drawer() -> None:
    everywhere = [*MODULES, *(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py"))]
    named = [
        module
        for module in everywhere
        if DRAWERS & set(module.removesuffix(".py").replace("_", "/").split("/"))
    ]
    assert named == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_read_in_one_sitting(module: str) -> None:
    assert len((ROOT / module).read_text("utf-8").splitlines()) <= MAX_MODULE_LINES
    functions = [
        node for node in ast.walk(parsed(module)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES]
    assert long == []


@pytest.mark.parametrize("module", [module for module in MODULES if not module.endswith("__init__.py")])
def test_a_module_opens_by_saying_why_it_exists(module: str) -> None:
    assert ast.get_docstring(parsed(module))


# ── config ──


def sections() -> Iterator[tuple[str, ast.ClassDef]]:
    """Every class that is a Section, however far removed, with its module."""
    classes = [
        (module, node)
        for module in MODULES
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.ClassDef)
    ]
    known = {"Section"}
    while True:
        found = [
            (module, node)
            for module, node in classes
            if known & {base.id for base in node.bases if isinstance(base, ast.Name)}
        ]
        names = known | {node.name for _, node in found}
        if names == known:
            return (yield from found)
        known = names


def undeclared(node: ast.ClassDef) -> list[str]:
    """The fields of a section that say neither `identity(…)` nor `circumstance(…)`."""
    fields = [
        line
        for line in node.body
        if isinstance(line, ast.AnnAssign) and not ast.unparse(line.annotation).startswith("ClassVar")
    ]
    declared = [
        field
        for field in fields
        if isinstance(field.value, ast.Call) and ast.unparse(field.value.func) in ("identity", "circumstance")
    ]
    return [ast.unparse(field.target) for field in fields if field not in declared]


def test_every_config_key_is_identity_or_circumstance() -> None:
    found = list(sections())
    assert len(found) > 5
    assert [f"{module}: {node.name}.{field}" for module, node in found for field in undeclared(node)] == []


def test_an_undeclared_key_is_seen() -> None:
    tree = ast.parse(
        "class A(Section):\n    a: int = identity(1)\n    b: int = 2\n    c: ClassVar[int] = 3\n    d: str\n"
    )
    assert isinstance(tree.body[0], ast.ClassDef)
    assert undeclared(tree.body[0]) == ["b", "d"]


@pytest.mark.parametrize("module", [module for module in MODULES if module != "corpus/config.py"])
def test_config_is_made_of_sections_only(module: str) -> None:
    classes = [node for node in ast.walk(parsed(module)) if isinstance(node, ast.ClassDef)]
    assert [node.name for node in classes if "BaseModel" in map(ast.unparse, node.bases)] == []


# ── set-up ──


@pytest.mark.parametrize("connect", ["connect", "connect_ex"])
def test_no_test_connects_beyond_this_machine(connect: str) -> None:
    with socket.socket() as ours, pytest.raises(AssertionError, match="without a network"):
        getattr(ours, connect)(("192.0.2.1", 9))


def requirements(lock: str) -> list[Requirement]:
    lines = (ROOT / lock).read_text("utf-8").splitlines()
    return [Requirement(line) for line in lines if not line.startswith(("#", "--"))]


def names(asked: Iterable[Requirement]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in asked}


def test_what_the_project_asks_for_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    main = names(requirements("requirements.lock"))
    assert names(map(Requirement, project["dependencies"])) <= main
    for extra in EXTRAS:
        own = names(requirements(f"requirements-{extra}.lock"))
        assert names(map(Requirement, project["optional-dependencies"][extra])) <= own
        assert own.isdisjoint(main)


def test_the_environment_is_the_lock_s() -> None:
    pinned = [
        found
        for found in requirements("requirements.lock")
        if found.marker is None or found.marker.evaluate()
    ]
    assert [str(found) for found in pinned if metadata.version(found.name) not in found.specifier] == []


@pytest.mark.parametrize("lock", ["requirements.lock", *(f"requirements-{extra}.lock" for extra in EXTRAS)])
def test_a_lock_pins_exactly_and_names_no_place_to_download_from(lock: str) -> None:
    assert all(re.fullmatch(r"==[\w.]+", str(found.specifier)) for found in requirements(lock))
    assert not re.search(r"https?:|file:|index-url|find-links", (ROOT / lock).read_text("utf-8"))


def test_what_is_no_module_is_packed_too() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    packed = {
        f"{package.replace('.', '/')}/{name}"
        for package, names in setuptools["package-data"].items()
        for name in names
    }
    other = {
        path.relative_to(ROOT).as_posix()
        for package in FLOW
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    assert other == packed
    assert {*FLOW, *(module.rpartition("/")[0].replace("/", ".") for module in MODULES)} == set(
        setuptools["packages"]
    )
