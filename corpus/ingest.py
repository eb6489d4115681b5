"""Source → documents: every record of every file becomes a row of `documents` or of `rejects`.

A source is cut into units by the content of its files, never by their names or order, so an appended file disturbs one
unit and a renamed one none (unless no format is declared and its ending now says another). A unit is read by one worker,
streaming, and its parts are cut by the text they hold.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus.catalog import Source
from corpus.engine import Call, Progress, run_calls
from corpus.facts import FILE_KEY, write_changes, write_facts
from corpus.files import FileRef, HashCache, check_unchanged, list_files
from corpus.fingerprint import ID_HEX, fingerprint
from corpus.lake import Lake, Manifest, artifact_id
from corpus.nfc import nfc
from corpus.part import Part
from corpus.readers import EXTRACTION_VERSION, Reading, Record, format_of, read_records
from corpus.schema import DATASETS, REJECTS

VERSION = 3
CUT_BYTES = 32 << 20  # text of a part, that of the other fields counted in
CUT_ROWS = (
    65_536  # a part of tiny documents is work too: half a kilobyte of signature each, whatever the text
)
MEAN_GROUP, MAX_GROUP = 32 << 20, 64 << 20  # stored bytes of a group of small files
SMALL_BYTES = 4 << 20  # of files; below it, starting workers costs more than reading
MAX_GROUP_FILES = 20_000  # a group of tiny files is work too
# Where names decide how files are read, byte-identical ones are counted per format, each format from a number of its own: one
# that is appended numbers none anew that is read otherwise, and no two share their ids. A further format goes to the end.
_FIRST_OCCURRENCE = {
    ending: place * 100_000_000
    for place, ending in enumerate(("jsonl", "json", "parquet", "csv", "text", "markdown", "xml", ""))
}


@dataclass(frozen=True)
class SourceFile:
    """A file: where it is, and what decides its records.

    `ending` is the format that its name says, "" for none; it is None, and the name decides nothing, where the source declares
    a format. `occurrence` tells byte-identical files apart: it counts those that are read alike.
    """

    ref: FileRef
    hash: str
    ending: str | None
    occurrence: int

    @property
    def identity(self) -> list[Any]:
        return [self.hash, self.occurrence, *([] if self.ending is None else [self.ending])]


Files = list[SourceFile]  # in the order of what decides their records


@dataclass(frozen=True)
class Unit:
    """Files that are read together, in order."""

    files: tuple[SourceFile, ...]

    def key(self, identity: dict[str, Any]) -> str:
        return fingerprint({"identity": identity, "files": [file.identity for file in self.files]})

    @property
    def bytes(self) -> int:
        return sum(file.ref.size for file in self.files)


def reading_identity(name: str, source: Source, sample: float) -> dict[str, Any]:
    """What decides the content of a source's documents, given its files."""
    identity: dict[str, Any] = {
        "source": name,
        "reading": reading_of(source).identity(),
        "extraction": EXTRACTION_VERSION,
        "version": VERSION,
        "unicode": unicodedata.unidata_version,  # by it texts are blank, and content hashes equal
    }
    return identity if sample >= 1 else {**identity, "sample": sample}


def reading_of(source: Source) -> Reading:
    return Reading.model_validate({key: getattr(source, key) for key in Reading.model_fields})


def scan(
    lake: Lake, sources: Mapping[str, Source], root: str, say: Callable[[str], None] = lambda text: None
) -> dict[str, Files]:
    """The files of each source with their content hashes. Raises ConfigError where there is nothing to read.

    All sources are listed before the first file is hashed, which may take hours. The lake itself is no source.
    """
    listed = {name: _list(lake, name, source, root, say) for name, source in sources.items()}
    cache = hash_cache(lake)
    return {
        name: content_order(
            (ref, cache.hash_of(ref), None if sources[name].format else format_of(ref.path) or "")
            for ref in refs
        )
        for name, refs in listed.items()
    }


def _list(lake: Lake, name: str, source: Source, root: str, say: Callable[[str], None]) -> list[FileRef]:
    """The files of a source; links that lead nowhere are no files, and may be what is missing."""
    dead: list[str] = []
    refs = list_files(source.path, root, lake.root, dead.append)
    if dead:
        links = "a link that leads" if len(dead) == 1 else f"{len(dead):,} links that lead"
        first = FileRef(dead[0], False, 0, "").name
        say(f"source {name!r}: passing over {links} nowhere{', such as' if len(dead) > 1 else ':'} {first}")
    return refs


def hash_cache(lake: Lake) -> HashCache:
    """Content hashes of files outside the lake that were hashed before."""
    return HashCache(lake.root / ".cache" / "file_hashes.jsonl")


def content_order(found: Iterable[tuple[FileRef, str, str | None]]) -> Files:
    """(file, content hash, ending) in an order that names have no part in; byte-identical files are numbered."""
    files: Files = []
    seen: Counter[tuple[str, str | None]] = Counter()
    for ref, hash, ending in sorted(found, key=lambda file: (file[1], file[2] or "", file[0].path)):
        first = 0 if ending is None else _FIRST_OCCURRENCE[ending]
        files.append(SourceFile(ref, hash, ending, first + seen[hash, ending]))
        seen[hash, ending] += 1
    assert len({(file.hash, file.occurrence) for file in files}) == len(files), "two files would share ids"
    return files


def ingest(
    lake: Lake,
    sources: Mapping[str, tuple[Source, Files]],
    workers: int,
    sample: float = 1.0,
    progress: Progress | None = None,
) -> dict[str, Manifest]:
    """The documents of each source: units that are in the lake are taken from there, those of all sources are read together."""
    plans = {
        name: _Plan(name, source, group(files), reading_identity(name, source, sample))
        for name, (source, files) in sources.items()
    }
    calls = [
        call
        for plan in plans.values()
        if lake.find("documents", plan.id) is None
        for call in plan.calls(lake, sample)
    ]
    large = sum(call.size for call in calls) > SMALL_BYTES
    run_calls(calls, workers if large else 1, "ingest", progress)
    found = {}
    for name, plan in plans.items():
        found[name] = lake.find("documents", plan.id) or lake.commit(plan.manifest(lake))
        _write_facts(lake, name, plan.source, found[name], plan.units)
    return found


@dataclass(frozen=True)
class _Plan:
    """What there is to do for one source."""

    name: str
    source: Source
    units: list[Unit]
    identity: dict[str, Any]

    @property
    def parents(self) -> list[tuple[str, str]]:
        return [("files", fingerprint([file.identity for unit in self.units for file in unit.files]))]

    @property
    def id(self) -> str:
        return artifact_id("documents", "ingest", VERSION, self.identity, self.parents)

    def calls(self, lake: Lake, sample: float) -> list[Call]:
        reading = reading_of(self.source)
        keyed = [(unit, unit.key(self.identity)) for unit in self.units]
        return [
            Call(f"{self.name} unit {key[:8]}", ingest_unit, (str(lake.root), self.name, reading, unit, key, sample), unit.bytes + 1)
            for unit, key in keyed if lake.task("ingest", key) is None
        ]  # fmt: skip

    def manifest(self, lake: Lake) -> Manifest:
        records = [record for unit in self.units if (record := lake.task("ingest", unit.key(self.identity)))]
        assert len(records) == len(self.units), "a unit was not ingested"
        datasets = {
            name: tuple(part for record in records for part in record.parts[name])
            for name in ("documents", "rejects")
        }
        summary = {
            name: sum(record.tally[name] for record in records) for name in ("files", "sampled_out", "bytes")
        }
        return Manifest(
            "documents",
            self.id,
            "ingest",
            VERSION,
            self.identity,
            tuple(self.parents),
            datasets,
            summary=summary,
        )


def group(files: Files) -> list[Unit]:
    """Units of files in content order: a large file alone, small ones together up to where a file's hash ends the group."""
    units: list[Unit] = []
    open_: Files = []
    size = 0
    for file in files:
        bytes = file.ref.size
        if bytes >= MEAN_GROUP:
            units.append(Unit((file,)))
            continue
        if open_ and (size + bytes > MAX_GROUP or len(open_) >= MAX_GROUP_FILES):
            units.append(Unit(tuple(open_)))
            open_, size = [], 0
        open_.append(file)
        size += bytes
        # each byte ends the group with the same small chance, so groups have the same mean size for any file size
        if int(file.hash[-12:], 16) / 16**12 < max(bytes, MEAN_GROUP / MAX_GROUP_FILES * 2) / MEAN_GROUP:
            units.append(Unit(tuple(open_)))
            open_, size = [], 0
    return [*units, Unit(tuple(open_))] if open_ else units


# ── in a worker ─────────────────────────────────────────────────────────────────────────────────────────────────────


def ingest_unit(root: str, name: str, reading: Reading, unit: Unit, key: str, sample: float) -> None:
    """Read a unit's files and commit its parts. Memory is bounded by one part."""
    lake = Lake(Path(root))
    documents, rejects = (_Cutter(lake, dataset, key) for dataset in ("documents", "rejects"))
    tally = {"files": len(unit.files), "sampled_out": 0, "bytes": 0}
    for file in unit.files:
        ref, hash, k = file.ref, file.hash, file.occurrence
        check_unchanged(ref)
        last = -1
        for record in read_records(ref, reading):
            if not isinstance(record, Record):
                row: tuple[Any, ...] = (name, hash, k, record.position, record.reason)
                rejects.add(dict(zip(REJECTS.names, row, strict=True)), 0)
                continue
            assert record.position > last, (
                f"{ref.name}: record {record.position} after {last}: a doc_id twice"
            )
            last = record.position
            document = document_row(name, hash, k, record)
            if sample < 1 and not in_sample(document["content_hash"], sample):
                tally["sampled_out"] += 1
                continue
            tally["bytes"] += document["num_bytes"]
            documents.add(document, text_bytes(document))
        check_unchanged(ref)
    lake.commit_task("ingest", key, {"documents": documents.finish(), "rejects": rejects.finish()}, tally)


def document_row(source: str, file_hash: str, occurrence: int, record: Record) -> dict[str, Any]:
    """A row of `documents`. `doc_id` covers where the record stands, `content_hash` what its text says."""
    return {
        "doc_id": doc_id(source, file_hash, occurrence, record.position), "source": source, "file_hash": file_hash, "occurrence": occurrence,
        "record": record.position, "text": record.text, "content_hash": content_hash(record.text), "num_bytes": len(record.text.encode()),
        "own_id": record.own_id, "url": record.url, "date": record.date,
        "metadata": json.dumps(record.metadata, ensure_ascii=False, sort_keys=True, default=str) if record.metadata else None,
    }  # fmt: skip


def text_bytes(document: Mapping[str, Any]) -> int:
    """What a document holds of text in all its fields: a short text may come with a page of HTML."""
    others = (document[name] or "" for name in ("own_id", "url", "metadata"))
    return document["num_bytes"] + sum(len(text if text.isascii() else text.encode()) for text in others)


def doc_id(source: str, file_hash: str, occurrence: int, record: int) -> str:
    """32 hex digits of blake2b-128 over (source, file content hash, occurrence of that file, record number)."""
    return hashlib.blake2b(
        f"{source}\0{file_hash}\0{occurrence}\0{record}".encode(), digest_size=ID_HEX // 2
    ).hexdigest()


def content_hash(text: str) -> str:
    """32 hex digits of what a text says: NFC, every run of whitespace one space, none at the ends.

    >>> content_hash("a  b\\n") == content_hash("a b")
    True
    """
    folded = " ".join(nfc(text).split())
    return hashlib.blake2b(folded.encode(), digest_size=ID_HEX // 2).hexdigest()


def in_sample(content: str, share: float) -> bool:
    """Whether a content hash falls in the sample of this share; samples of growing shares contain each other."""
    return (
        int(hashlib.blake2b(content.encode(), digest_size=8, key=b"sample").hexdigest(), 16) < share * 2**64
    )


class _Cutter:
    """Collects rows, column by column, and writes a part whenever the text in hand, or the rows, reach the cut."""

    def __init__(self, lake: Lake, dataset: str, key: str):
        self._lake, self._dataset, self._key = lake, dataset, key
        self._schema = DATASETS[dataset]
        self._parts: list[Part] = []
        self._start()

    def _start(self) -> None:
        self._columns: dict[str, list[Any]] = {name: [] for name in self._schema.names}
        self._rows = self._bytes = 0

    def add(self, row: Mapping[str, Any], num_bytes: int) -> None:
        if self._rows and (self._bytes + num_bytes > CUT_BYTES or self._rows >= CUT_ROWS):
            self._flush()
        for name, column in self._columns.items():
            column.append(row[name])
        self._rows += 1
        self._bytes += num_bytes

    def _flush(self) -> None:
        table = pa.table(self._columns, schema=self._schema)
        part_key = fingerprint([self._key, len(self._parts)])
        self._parts.append(self._lake.write_part(self._dataset, part_key, table))
        self._start()

    def finish(self) -> list[Part]:
        if self._rows:
            self._flush()
        return self._parts


# ── the artifact ────────────────────────────────────────────────────────────────────────────────────────────────────


def _write_facts(lake: Lake, name: str, source: Source, manifest: Manifest, units: list[Unit]) -> None:
    languages = list(source.language)
    row = {
        "source": name, "documents_id": manifest.id, "role": source.role, "topic": source.topic, "license": source.license, "language": languages,
        "format": source.format or "", "curated": source.curated, "num_files": sum(len(unit.files) for unit in units), "num_documents": manifest.rows("documents"),
        "num_rejects": manifest.rows("rejects"), "num_bytes": manifest.summary["bytes"],
    }  # fmt: skip
    write_facts(lake, "sources", [row], f"{name} {manifest.id}")
    names = [
        {"source": name, "file": file.ref.name, "file_hash": file.hash, "occurrence": file.occurrence, "bytes": file.ref.size}
        for unit in units for file in unit.files
    ]  # fmt: skip
    write_changes(lake, "files", names, FILE_KEY, name)
