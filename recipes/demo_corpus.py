"""Write the demo's corpus folder, without a download: `python recipes/demo_corpus.py DIR`.

Real text of the installed packages (recipes/demo_text.py) in every format that there is a reader for, with what is planted
in it (recipes/demo_planted.py), and questions (recipes/demo_questions.py) about files that the corpus leaves out. Same
packages, same bytes.
"""

from __future__ import annotations

import csv
import gzip
import importlib.metadata
import io
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import demo_text
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from demo_planted import Prose, broken_files, copies, personal, unwanted
from demo_questions import HEADER, line_endings, question_rows, sentence_endings
from demo_text import Document, share

VERSION = 3  # raise it when the same packages give other bytes
STAMP = "corpus.json"

# ── formats ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def write(path: Path, data: bytes) -> None:
    """`data` under `path`, compressed as its last extension says, with no clock in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        data = gzip.compress(data, 6, mtime=0)
    elif path.suffix == ".zst":
        data = zstandard.compress(data, 6)
    path.write_bytes(data)


def write_jsonl(path: Path, documents: Iterable[Document]) -> None:
    rows = ({key: value for key, value in asdict(document).items() if value} for document in documents)
    write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


def write_parquet(path: Path, documents: Iterable[Document]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(document), "date": document.date or None} for document in documents]
    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd")


def write_csv(path: Path, header: list[str], rows: Iterable[Iterable[object]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write(path, text.getvalue().encode())


def write_markdown(path: Path, document: Document) -> None:
    front = {"id": document.id, "package": document.package, "license": document.license}
    lines = "".join(f"{key}: {json.dumps(value)}\n" for key, value in front.items())
    write(path, f"---\n{lines}---\n\n# {document.package}\n\n{document.text}\n".encode())


# ── the folder ──────────────────────────────────────────────────────────────────────────────────────────────────────


def split(documents: Iterable[Document]) -> tuple[list[Document], list[Document]]:
    """(for the corpus, for the questions): one file in nine is asked about, and not in the corpus."""
    found: tuple[list[Document], list[Document]] = ([], [])
    for document in documents:
        found[share("asked", document.id.partition("#")[0]) < 1 / 9].append(document)
    return found


def write_general(folder: Path, questions: Path) -> tuple[list[Document], int]:
    """handbook, topics, readmes, services; what is in them and the number of questions."""
    docs, asked = split(demo_text.handbook())
    pages, asked_pages = split(demo_text.topics())
    manuals = list(demo_text.readmes())
    planted = [*copies(docs), *personal(docs)]
    for rule, text in unwanted(Prose(docs), docs):
        planted.append(Document(f"planted/{rule}", text, "planted", "CC0-1.0"))
    third = len(docs) // 3
    write_jsonl(folder / "handbook" / "docstrings_0.jsonl.gz", docs[:third])
    write_jsonl(folder / "handbook" / "docstrings_1.jsonl", docs[third : 2 * third])
    write_parquet(folder / "handbook" / "docstrings_2.parquet", docs[2 * third :])
    write_jsonl(folder / "handbook" / "planted.jsonl.zst", planted)
    text = "\n\n".join(page.text.replace("\n\n", "\n") for page in pages)
    write(folder / "topics" / "topics.txt.zst", text.encode())
    for manual in manuals:
        write_markdown(folder / "readmes" / f"{manual.package}.md", manual)
    sections = list(_write_services(folder / "services"))
    rows = question_rows(sentence_endings(asked + asked_pages))
    write_csv(questions / "sentence_ending.csv", HEADER, rows)
    return [*docs, *pages, *manuals, *planted, *sections], len(rows)


def _write_services(folder: Path) -> Iterator[Document]:
    """One file a service, some compressed; for the summary, a document per section."""
    for name, data in demo_text.services():
        write(folder / (f"{name}.xml.gz" if name < "b" else f"{name}.xml"), data)
        for section in data.decode().split("<section ")[1:]:
            yield Document(name, re.sub(r"<[^>]*>", "", section), "botocore", "Apache-2.0")


def write_domain(folder: Path, questions: Path) -> tuple[list[Document], int]:
    """modules, library, models; what is in them and the number of questions."""
    modules, asked = split(demo_text.sources_of(demo_text.MODULES))
    library, asked_library = split(demo_text.sources_of(demo_text.LIBRARY))
    models = list(demo_text.models())
    planted = list(copies(modules))
    twice = modules[::60]  # the same file in two places of one source
    for prefix, documents in (("", modules), ("vendored/", twice)):
        for document in documents:
            write(folder / "modules" / (prefix + document.id), document.text.encode())
    half = len(library) // 2
    write_jsonl(folder / "library" / "library_0.jsonl.zst", library[:half] + planted)
    records = [asdict(document) for document in library[half:]]
    write_csv(
        folder / "library" / "library_1.csv.gz", list(records[0]), (record.values() for record in records)
    )
    write_parquet(folder / "models" / "models.parquet", models)
    rows = question_rows(line_endings(asked + asked_library))
    write_csv(questions / "line_ending.csv", HEADER, rows)
    return [*modules, *twice, *library, *planted, *models], len(rows)


def stamp() -> dict[str, Any]:
    """What the folder's content depends on."""
    read = {
        *demo_text.HANDBOOK,
        *demo_text.MODULES,
        *demo_text.LIBRARY,
        *demo_text.READMES,
        "botocore",
        "transformers",
    }
    names = sorted(read | {"lxml", "pyarrow", "zstandard"})
    versions = {name: importlib.metadata.version(name) for name in names}
    return {"version": VERSION, "python": platform.python_version(), "packages": versions}


def make(folder: Path) -> str:
    """Put the corpus at `folder` by one rename, unless it is there; returns one line about it."""
    made, name = stamp(), folder.name
    if folder.exists():
        if not (folder / STAMP).exists():
            raise SystemExit(f"{folder} exists and is not a demo corpus; give another folder")
        if json.loads((folder / STAMP).read_text("utf-8")) == made:
            return f"{name} exists: the demo corpus of these packages"
    staged = folder.with_name(f"{name}.{os.getpid()}")
    general, endings = write_general(staged / "general", staged / "eval")
    domain, lines = write_domain(staged / "domain", staged / "eval")
    for path, data in broken_files(general[0]):
        (staged / path).write_bytes(data)
    (staged / STAMP).write_text(json.dumps(made, indent=1) + "\n", "utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    staged.rename(folder)
    megabytes = sum(len(document.text) for document in general + domain) / 1e6
    counts = f"{len(general):,} general and {len(domain):,} domain documents, {megabytes:.1f} MB of text"
    return f"{name}: {counts}, {endings + lines} questions"


def main(arguments: list[str]) -> None:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise SystemExit("usage: python recipes/demo_corpus.py DIR")
    print(make(Path(arguments[0]).absolute()))


if __name__ == "__main__":
    main(sys.argv[1:])
