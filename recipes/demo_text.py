"""Text that the installed packages bring along, as documents: what recipes/demo_corpus.py writes into a folder.

General text is English: docstrings, READMEs, service descriptions, the reference of Python itself. Domain text is Python
source. Only packages under permissive licences, each document with its package's name. Same packages, same documents.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import importlib.metadata
import inspect
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from email.message import Message
from pathlib import Path
from pydoc_data.topics import topics as language_topics
from typing import cast

import lxml.etree
import lxml.html


def names(text: str) -> list[str]:
    return text.split()


IMPORTED_AS = {"scikit-learn": "sklearn"}  # where it is not the distribution's name in small letters
HANDBOOK = names("numpy scipy scikit-learn pandas nltk numba streamlit polars huggingface_hub trl peft")
MODULES = names("networkx rich pydantic")
LIBRARY = names("werkzeug flask jinja2 click requests urllib3 starlette uvicorn fsspec")
READMES = names("""
    accelerate aioitertools altair annotated-types attrs cfn-lint cloudpickle datasets deepspeed docker duckdb einops
    evaluate fsspec graphql-core httpx2 huggingface_hub idna markdown-it-py moto msgpack narwhals nltk pandas peft
    phonenumbers pillow polars portalocker pyarrow pydeck python-dotenv requests rich rouge_score ruff sacrebleu
    safetensors sqlitedict starlette streamlit sympy tabulate threadpoolctl tokenizers torch transformers trl truststore
    typer urllib3 uvicorn xmltodict
""")
SERVICES = names("""
    acm athena autoscaling batch cloudtrail codecommit dax ecr efs events firehose glacier kinesis kms polly ram route53
    scheduler sns sqs ssm sts translate workmail
""")
PERMISSIVE = re.compile(r"\b(MIT|BSD|0BSD|Apache|ISC|PSF|Python Software Foundation|Zlib|CC0)\b", re.I)
RECIPROCAL = re.compile(r"GPL|Mozilla|\bMPL|Academic Free|Eclipse", re.I)


@dataclass(frozen=True)
class Document:
    id: str
    text: str
    package: str
    license: str
    date: str = ""


@dataclass(frozen=True)
class Package:
    """An installed distribution. `folder` is the one that its modules' folders stand in."""

    name: str
    license: str
    folder: Path
    readme: str


def open_package(name: str) -> Package:
    """An installed distribution; SystemExit for one that is missing or not under a permissive licence."""
    try:
        found = importlib.metadata.distribution(name)
        metadata = cast(Message, found.metadata)
    except importlib.metadata.PackageNotFoundError:
        raise SystemExit(f"{name} is not installed; the demo's text comes from requirements.lock") from None
    stated = _stated_license(metadata)
    if not PERMISSIVE.search(stated) or RECIPROCAL.search(stated):
        raise SystemExit(f"{name} is not under a permissive licence ({stated or 'none stated'})")
    readme = str(metadata.get_payload() or metadata["Description"] or "")
    return Package(metadata["Name"], stated, Path(str(found.locate_file(""))), readme)


def _stated_license(metadata: Message) -> str:
    classifiers = [line for line in metadata.get_all("Classifier") or [] if line.startswith("License")]
    named = " AND ".join(line.rpartition("::")[2].strip() for line in classifiers)
    stated = metadata.get("License-Expression") or named or metadata.get("License") or ""
    return str(stated).partition("\n")[0][:120]


def share(*words: object) -> float:
    """A number in [0, 1) that depends on the words alone: how everything in the demo's text is drawn."""
    digest = hashlib.blake2b("\x1f".join(map(str, words)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


# ── English ─────────────────────────────────────────────────────────────────────────────────────────────────────────

MARKUP = [
    (re.compile(r":[\w:+-]+:`~?([^`<]+?)\s*(?:<[^`]*>)?`"), r"\1"),  # :class:`~a.B` and :ref:`text <target>`
    (re.compile(r"`([^`<]+?)\s*<[^`>]*>`_*"), r"\1"),
    (re.compile(r"(``|`|\*\*|\*)(?=\S)(.+?)(?<=\S)\1_*"), r"\2"),
    (re.compile(r"!?\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r'"([^"\s]+)"'), r"\1"),  # the reference of Python quotes every name
]
NOT_PROSE = tuple(" \t.:-*|+@#~=[<!$`?>")


def prose(text: str) -> list[str]:
    """The paragraphs of running English in a docstring, page or README, each on one line, without markup."""
    found = []
    for block in re.split(r"\n\s*\n", re.sub(r"(?ms)^```.*?^```", "", text)):
        lines = block.strip("\n").splitlines()
        if not lines or any(line.startswith(NOT_PROSE) for line in lines):
            continue
        paragraph = " ".join(line.strip() for line in lines)
        for pattern, plain in MARKUP:
            paragraph = pattern.sub(plain, paragraph)
        is_sentence = paragraph.endswith((".", "!", "?")) and len(paragraph.split()) >= 8
        if is_sentence and not re.search(r"[{}<>|\\]|::", paragraph):
            found.append(paragraph)
    return list(dict.fromkeys(found))


def documents_of(paragraphs: Iterable[str], like: Document, least: int, most: int) -> Iterator[Document]:
    """Paragraphs in order, cut into documents of about `most` characters; one under `least` is left out."""
    cuts: list[list[str]] = [[]]
    for paragraph in paragraphs:
        if sum(map(len, cuts[-1])) + len(paragraph) > most:
            cuts.append([])
        cuts[-1].append(paragraph)
    for number, cut in enumerate(cuts):
        text = "\n\n".join(cut)
        if len(text) >= least:
            yield replace(like, id=f"{like.id}#{number}" if len(cuts) > 1 else like.id, text=text)


def python_files(package: Package, least: int, most: int) -> Iterator[tuple[str, str]]:
    """(path, source) of a package's modules of `least` to `most` bytes, tests left out."""
    module = IMPORTED_AS.get(package.name, package.name.lower())
    for path in sorted((package.folder / module).rglob("*.py")):
        name = path.relative_to(package.folder).as_posix()
        if least <= path.stat().st_size <= most and "test" not in name:
            yield name, path.read_text("utf-8")


def docstrings(node: ast.Module | ast.ClassDef) -> Iterator[str]:
    """Of a module, its classes, functions and methods; what is defined inside a function is left out."""
    yield ast.get_docstring(node) or ""
    for child in node.body:
        if isinstance(child, ast.ClassDef):
            yield from docstrings(child)
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield ast.get_docstring(child) or ""


def handbook() -> Iterator[Document]:
    """Docstrings, prose only: one or more documents per module."""
    for package in map(open_package, HANDBOOK):
        for path, source in python_files(package, 2_000, 400_000):
            paragraphs = dict.fromkeys(part for text in docstrings(ast.parse(source)) for part in prose(text))
            yield from documents_of(paragraphs, Document(path, "", package.name, package.license), 450, 4_000)


def topics() -> Iterator[Document]:
    """The reference of the language, which Python carries for `help()`."""
    for name, text in sorted(language_topics.items()):
        yield from documents_of(prose(text), Document(f"topics/{name}", "", "python", "PSF-2.0"), 450, 4_000)


def readmes() -> Iterator[Document]:
    """What packages say about themselves."""
    for package in map(open_package, READMES):
        like = Document(f"readme/{package.name}", "", package.name, package.license)
        yield from documents_of(prose(inspect.cleandoc(package.readme))[:40], like, 300, 12_000)


def services() -> Iterator[tuple[str, bytes]]:
    """(name, XML) of service descriptions: a section per operation, with the original's inline and block elements."""
    package = open_package("botocore")
    for name in SERVICES:
        folder = sorted((package.folder / "botocore" / "data" / name).iterdir())[-1]
        model = json.loads(gzip.decompress((folder / "service-2.json.gz").read_bytes()))
        root = lxml.etree.Element("service", name=name, license=package.license)
        for operation, told in sorted(model["operations"].items()):
            members = model["shapes"].get(told.get("input", {}).get("shape"), {}).get("members", {})
            html = " ".join(part.get("documentation", "") for part in [told, *members.values()])
            section = lxml.html.fragment_fromstring(html, create_parent="section")
            for element in section.iter():
                element.attrib.clear()
            section.attrib.update({"id": f"{name}.{operation}", "date": folder.name})
            if len(section.text_content()) > 400:
                root.append(section)
        yield name, lxml.etree.tostring(root, encoding="utf-8", xml_declaration=True, pretty_print=True)


# ── Python ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def sources_of(packages: Iterable[str]) -> Iterator[Document]:
    """Python files as they are."""
    for package in map(open_package, packages):
        for path, source in python_files(package, 1_000, 16_000):
            yield Document(path, source, package.name, package.license)


def models() -> Iterator[Document]:
    """Model configurations and tokenizers: written from one template, so near-duplicates occur by themselves."""
    package = open_package("transformers")
    for path, source in python_files(package, 1_500, 12_000):
        told = re.search(r"/(configuration|tokenization|processing)_\w+\.py$", path)
        if told and share("model", path) < 0.3:
            year = re.search(r"Copyright (20\d\d)", source)
            date = f"{year[1]}-01-01" if year else ""
            yield Document(path, source, package.name, package.license, date)
