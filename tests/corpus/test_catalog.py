"""The catalog: what there is and where; what is wrong with it is said before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.catalog import Catalog, Source, build_catalog, resolve_root
from corpus.config import build_section, read_yaml
from corpus.errors import ConfigError

CATALOG = """\
root: ${LEGAL_DATA:-data}
sources:
  cases: {path: cases/*.jsonl.zst, role: domain, topic: law, license: CC0-1.0, language: en, text_field: text, id_field: case_id}
  statutes: {path: statutes, role: domain, language: [en, hi], text_field: .//section, format: xml}
  web: {path: web/*.json.gz, role: general, curated: true}
tasks:
  mmlu: {path: mmlu.csv, type: multiple_choice}
"""


def catalog_of(folder: Path, text: str) -> Catalog:
    """What a recipe reads from a file with this text."""
    path = folder / "data_catalog.yaml"
    path.write_text(text)
    return build_catalog(read_yaml(path), folder, str(path))


def test_a_catalog_reads_as_it_is_written(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, CATALOG)
    assert catalog.root == str(tmp_path / "data") and sorted(catalog.sources) == ["cases", "statutes", "web"]
    assert catalog.source("cases").language == ["en"] and catalog.source("statutes").language == ["en", "hi"]
    assert catalog.source("web").language == [] and catalog.source("web").curated
    assert catalog.task("mmlu") == {"path": "mmlu.csv", "type": "multiple_choice"}


def test_the_language_no_is_norwegian(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, "sources: {a: {path: x, role: domain, language: no}}")
    assert catalog.source("a").language == ["no"]


def test_identity_of_a_source_is_how_its_text_is_read() -> None:
    def source(**keys: object) -> Source:
        return build_section(Source, {"path": "a", "role": "domain", **keys}, "source")

    same = [
        source(),
        source(path="b"),
        source(role="general"),
        source(topic="t", license="MIT", language="en", curated=True),
    ]
    assert all(found.identity() == same[0].identity() for found in same)
    assert (
        source(text_field="body").identity()
        != same[0].identity()
        != source(split="blank_lines", format="text").identity()
    )


@pytest.mark.parametrize(
    ("root", "expected"),
    [("", "here"), ("data", "here/data"), ("/abs", "/abs"), ("${SET}/x", "/from/env/x"), ("${UNSET:-/else}", "/else"), ("${UNSET:-}", "here"),
     ("${EMPTY:-/else}", "/else"), ("${EMPTY}/x", "/x"), ("${SET:-/else}", "/from/env"), ("s3://bucket/a", "s3://bucket/a"), ("../up", "up")],
)  # fmt: skip
def test_roots_become_definite(
    root: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SET", "/from/env")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("UNSET", raising=False)
    found = build_catalog({"root": root}, tmp_path / "here").root
    assert found == (expected if "://" in expected else str(tmp_path / expected))


def test_a_variable_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEGAL_DATA", raising=False)
    with pytest.raises(ConfigError, match=r"LEGAL_DATA is not set.*--set catalog\.root"):
        build_catalog({"root": "${LEGAL_DATA}/x"}, tmp_path)


def test_resolving_twice_is_resolving_once(tmp_path: Path) -> None:
    catalog = build_catalog({"root": "data"}, tmp_path)
    assert resolve_root(catalog, Path("/other")) == catalog


REFUSED = {
    "an unknown key": (
        {"sources": {"a": {"path": "x", "role": "domain", "pth": 1}}},
        r"unknown key 'sources\.a\.pth'.*Did you mean 'path'",
    ),
    "an unknown format": (
        {"sources": {"a": {"path": "x", "role": "domain", "format": "jsonlines"}}},
        "format",
    ),
    "no role": ({"sources": {"a": {"path": "x"}}}, r"'sources\.a\.role' is missing"),
    "no path": ({"sources": {"a": {"role": "domain"}}}, r"'sources\.a\.path' is missing"),
    "an unknown role": ({"sources": {"a": {"path": "x", "role": "legal"}}}, "role"),
    "a name with a slash": ({"sources": {"a/b": {"path": "x", "role": "domain"}}}, "'a/b' is not usable"),
    "a key of its own": ({"surces": {}}, "Did you mean 'sources'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_said(case: str, tmp_path: Path) -> None:
    tree, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message):
        build_catalog(tree, tmp_path)  # type: ignore[arg-type]


def test_what_is_not_in_it_is_said_with_what_is(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, CATALOG)
    with pytest.raises(ConfigError, match=r"no source 'case'\. Did you mean 'cases'"):
        catalog.source("case")
    with pytest.raises(ConfigError, match=r"no task 'x'\. It has: mmlu"):
        catalog.task("x")
