"""A small corpus with a planted fault of every kind, and the way from its files to a snapshot."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from corpus.catalog import Source
from corpus.config import build_section
from corpus.holdout import Holdout, freeze, held_out_rows
from corpus.ingest import ingest, scan
from corpus.lake import Lake, Manifest
from corpus.snapshot import kept_texts, snapshot_parts
from quality.curate import Curated, curate
from quality.curation import Curation

WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "that",
    "it",
    "is",
    "was",
    "for",
    "on",
    "are",
    "with",
    "as",
    "his",
    "they",
    "at",
    "be",
    "this",
    "from",
    "have",
    "or",
    "by",
    "one",
    "had",
    "not",
    "but",
    "what",
    "all",
    "were",
    "when",
    "there",
    "can",
    "an",
    "your",
    "which",
    "their",
    "said",
    "if",
    "do",
    "will",
    "each",
    "about",
    "how",
    "up",
    "out",
    "them",
    "then",
    "she",
    "many",
    "some",
    "so",
    "these",
    "would",
    "other",
    "into",
    "has",
    "more",
    "her",
    "two",
    "like",
    "him",
    "see",
    "time",
    "could",
]
EMAIL, SSN = "maria.gruber@example.org", "536-90-4399"
ROLES = {"law": {"role": "domain", "topic": "law"}, "web": {"role": "general", "topic": "web"}}
Sources = Mapping[str, list[list[str]]]  # source → files → texts


def sentence(draw: random.Random, words: int = 12) -> str:
    return f"{' '.join(draw.choices(WORDS, k=words)).capitalize()}."


def prose(draw: random.Random, sentences: int = 4) -> str:
    return " ".join(sentence(draw) for _ in range(sentences))


def small_corpus(documents: int = 24, seed: int = 0) -> dict[str, list[list[str]]]:
    """Two sources in three files each; the texts of `law` hold copies of their own and of `web`'s."""
    draw = random.Random(seed)
    law, web = ([prose(draw) for _ in range(documents)] for _ in range(2))
    law += [
        law[0], f"  {law[1]}\n\n", law[2].replace(" ", "\n", 7),  # copies, but for white space
        law[3] + " Alas!", web[0] + " Moreover.", law[4].replace("the", "a", 1),  # near copies
        "Too short.", f"Write to {EMAIL}. {prose(draw)}", f"Her number is SSN {SSN}. {prose(draw)}", f"Größe über alles: {EMAIL} 😀 {prose(draw)}",
    ]  # fmt: skip
    web += [web[1], f"{prose(draw)}\nlorem ipsum dolor\n{prose(draw)}", "!!! ??? !!!"]
    return {name: [texts[i::3] for i in range(3)] for name, texts in (("law", law), ("web", web))}


def furniture(draw: random.Random, lines: int = 8) -> str:
    """Lines that the c4 preset cuts."""
    return "".join(f"We and our partners use cookies with {sentence(draw, 14)}\n" for _ in range(lines))


def address(draw: random.Random) -> str:
    name, host = ("".join(draw.choices("abcdefghijklmnop", k=8)) for _ in range(2))
    return f"{name}@{host}.org"


def furnished_corpus() -> dict[str, list[list[str]]]:
    """Texts that are far apart until lines are cut and personal data is masked, then copies, near copies and containers."""
    draw = random.Random(4)
    files: dict[str, list[list[str]]] = {"law": [[], []], "web": [[], []]}
    for number in range(16):
        body = "".join(f"{sentence(draw, 10)}\n" for _ in range(6))
        other = "".join(f"{sentence(draw, 10)}\n" for _ in range(7))
        pages = [
            furniture(draw) + body, body + furniture(draw), body, furniture(draw) + body + sentence(draw, 4),
            other + furniture(draw) + body + other[::-1], furniture(draw) + other,
        ]  # fmt: skip
        pairs = [draw.sample(WORDS, 2) for _ in range(14)]
        letters = [
            " ".join(f"{one.capitalize()} {two}: {address(draw)}." for one, two in pairs) for _ in range(3)
        ]
        for i, text in enumerate([*pages, *letters, letters[0], " ".join(f"{a} {b}" for a, b in pairs)]):
            files["law" if (number + i) % 2 else "web"][i % 2].append(text)
    return files


def write_files(folder: Path, sources: Sources, names: Iterable[str] = "abcdefghijklmnop") -> None:
    for source, files in sources.items():
        (folder / source).mkdir(parents=True, exist_ok=True)
        for name, texts in zip(names, files, strict=False):
            lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
            (folder / source / f"{name}.jsonl").write_text(lines, "utf-8")


def curation(**keys: Any) -> Curation:
    return build_section(Curation, {"rules": {"num_words": {"min": 5}}, **keys}, "curation")


def holdout(**keys: Any) -> Holdout:
    return build_section(
        Holdout, {"name": "set-1", "documents_per_source": 4, "max_share": "20%", **keys}, "holdout"
    )


def read_sources(folder: Path, names: Iterable[str] = ("law", "web"), **keys: Any) -> dict[str, Source]:
    return {
        name: Source.model_validate(
            {"path": str(folder / name), **ROLES.get(name, {"role": "domain"}), **keys}
        )
        for name in names
    }


def write_revealing(folder: Path, **fields: str) -> dict[str, Source]:
    """A source of one document, whose own id and link hold an address; and more fields."""
    (folder / "law").mkdir()
    own = {"id": EMAIL, "link": f"https://x.example/{EMAIL}", **fields}
    record = {"text": "a document of its own, of a few words", **own}
    (folder / "law" / "a.jsonl").write_text(json.dumps(record))
    return read_sources(folder, ["law"], id_field="id", url_field="link")


def curate_folder(
    lake: Lake, folder: Path, rules: Curation | None = None, held: Holdout | None = None, workers: int = 1, sources: dict[str, Source] | None = None,
    sample: float = 1.0, say: Callable[[str], None] = lambda text: None,
) -> Curated:  # fmt: skip
    """Ingest the sources of a folder and curate them; a held-out set that was drawn is frozen, as in the flow."""
    sources = sources or read_sources(folder)
    files = scan(lake, sources, "/")
    documents = ingest(
        lake, {name: (source, files[name]) for name, source in sources.items()}, workers, sample
    )
    made = curate(
        lake,
        {name: (source, documents[name]) for name, source in sources.items()},
        rules or curation(),
        held,
        None,
        workers,
        say=say,
    )
    if held and made.holdout:
        assert freeze(lake, held.of_sample(sample), made.holdout) == made.holdout
    return made


def rows_of(lake: Lake, manifest: Manifest, dataset: str) -> list[dict[str, Any]]:
    return [row for part in manifest.parts(dataset) for row in lake.read_part(part).to_pylist()]


def documents_of(lake: Lake, snapshot: Manifest) -> list[dict[str, Any]]:
    """The documents of a snapshot in its order."""
    entries = sorted(snapshot.identity["sources"].items())
    return [
        row
        for _, entry in entries
        for row in rows_of(lake, lake.get("documents", entry["documents"]), "documents")
    ]


def verdicts(lake: Lake, snapshot: Manifest) -> dict[str, str | None]:
    """Text → why it was dropped, or None."""
    found = zip(documents_of(lake, snapshot), rows_of(lake, snapshot, "decisions"), strict=True)
    return {document["text"]: decision["drop_reason"] for document, decision in found}


def kept_documents(lake: Lake, snapshot: Manifest) -> dict[str, list[str]]:
    """Source → the unedited texts of what was kept."""
    kept: dict[str, list[str]] = {name: [] for name in snapshot.identity["sources"]}
    for document, decision in zip(
        documents_of(lake, snapshot), rows_of(lake, snapshot, "decisions"), strict=True
    ):
        if decision["kept"]:
            kept[document["source"]].append(document["text"])
    return kept


def trained_texts(lake: Lake, snapshot: Manifest) -> list[str]:
    """The texts of what was kept, edited."""
    return [text for part in snapshot_parts(lake, snapshot) for _, text in kept_texts(lake, part)]


def unedited_held_out(lake: Lake, snapshot: Manifest, held: Manifest) -> list[str]:
    ids = set(held_out_rows(lake, held)["doc_id"].to_pylist())
    return [row["text"] for row in documents_of(lake, snapshot) if row["doc_id"] in ids]


def contents(lake: Lake) -> dict[str, bytes]:
    """Every file that holds what was made, by its place in the lake: parts, the tasks' records, manifests and their files."""
    return {
        path.relative_to(lake.root).as_posix(): path.read_bytes()
        for path in sorted(lake.root.rglob("*"))
        if path.is_file()
        and path.name != "context.json"
        and path.relative_to(lake.root).parts[0] not in ("facts", "names", ".cache")
    }
