"""Near-duplicates: which documents are nearly the same text, found by MinHash and verified exactly.

`find_edges` folds a whole corpus into a table of verified pairs and, of what many share, the large buckets; `quality.walk`
turns these into verdicts, for any threshold, in seconds. Exact copies count as one document here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import field_validator, model_validator

from corpus.config import Count, Section, Share, identity
from corpus.errors import PartError, did_you_mean, one_of
from corpus.part import open_part, read_part, reading
from corpus.schema import DATASETS, MEASURED_SIGNALS
from quality.candidate_pairs import ALL_PAIRS_UP_TO, band_keys, find_pairs
from quality.large_buckets import mark, write_large_buckets
from quality.spill import Spill
from quality.verification import MIN_JACCARD, read_sets, verify

Array = np.ndarray[Any, np.dtype[Any]]

EDGES_VERSION = 2  # bumped by hand when find_edges gives other rows
KEEPER_KEYS = ("curated", "date", "length")


class NearDuplicates(Section):
    """The near-duplicates section of a curation: how pairs are found, from which Jaccard one is dropped, which is kept."""

    jaccard: Share = identity(
        0.8, description="of the word n-gram sets, from which one of two documents is dropped"
    )
    ngram: Count = identity(5, description="words of a shingle")
    num_perm: Count = identity(128, description="permutations of a signature")
    bands: Count = identity(16, description="of num_perm / bands rows; must divide num_perm")
    keep: list[str] = identity(
        list(KEEPER_KEYS),
        description="keeper order: curated first, newest date, longest, or highest of a signal",
    )

    @field_validator("jaccard")
    @classmethod
    def _stored(cls, value: float) -> float:
        if value < MIN_JACCARD:
            raise ValueError(
                f"jaccard is {value:g}, but only pairs from {MIN_JACCARD:g} on are stored; give {MIN_JACCARD:g} to 1"
            )
        return value

    @field_validator("keep")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        valid = (*KEEPER_KEYS, *MEASURED_SIGNALS)
        for key in value:
            if key not in valid:
                raise ValueError(
                    f"keep: no key {key!r}.{did_you_mean(key, valid)} There are {one_of(KEEPER_KEYS)}, or any measured signal"
                )
        return value

    @model_validator(mode="after")
    def _whole_bands(self) -> NearDuplicates:
        for name in ("ngram", "num_perm", "bands"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give 1 or more")
        if self.num_perm % self.bands:
            whole = [bands for bands in range(1, self.num_perm + 1) if self.num_perm % bands == 0]
            raise ValueError(
                f"{self.bands} bands do not divide num_perm {self.num_perm}; give one of {', '.join(map(str, whole))}"
            )
        return self

    @property
    def rows(self) -> int:
        """Permutations in a band."""
        return self.num_perm // self.bands


def s_curve(bands: int, rows: int) -> list[tuple[float, float]]:
    """(Jaccard, probability that two documents of that Jaccard share a band), 1 − (1 − Jʳ)ᵇ, in steps of 0.05.

    >>> [round(p, 3) for j, p in s_curve(16, 8) if j in (0.5, 0.7, 0.8, 0.9)]
    [0.061, 0.613, 0.947, 1.0]
    """
    return [(step / 20, 1 - (1 - (step / 20) ** rows) ** bands) for step in range(21)]


# ── edges ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def find_edges(
    parts: Sequence[tuple[Path, Path]], config: NearDuplicates, scratch: Path, buckets: Path, all_pairs_up_to: int = ALL_PAIRS_UP_TO
) -> tuple[pa.Table, list[dict[str, Any]]]:  # fmt: skip
    """The candidate pairs of a corpus, verified: (rows of `near_duplicates` with Jaccard ≥ 0.5, guard events).

    `parts` are (documents part, minhash part), row for row; their order, and that of rows in them, changes nothing. The
    ids of the table are dictionary-encoded: write large ones slice by slice.
    Documents with one content_hash are one document, that of the smallest doc_id. Rows are sorted by (doc_a, doc_b) with
    doc_a < doc_b. Band buckets of more than `all_pairs_up_to` members are not pairs: they are written into the folder
    `buckets` (`LargeBuckets.open` reads it), and an event tells of them. `scratch` is a folder for what does not fit in
    memory; nothing is left in it.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=scratch)))
        keys, pairs, hashes = (
            stack.enter_context(Spill(folder / name, "uint64")) for name in ("keys", "pairs", "hashes")
        )
        members = stack.enter_context(Spill(folder / "members", "uint32"))
        found = _find_candidates(parts, config, folder / "duckdb", keys, pairs, members, all_pairs_up_to)
        sets = read_sets(
            [documents for documents, _ in parts], found.ordinals, found.wanted, config.ngram, hashes
        )
        in_bucket = mark(members, len(found.wanted))[found.wanted]
        contents = found.names.column("content_hash").filter(pa.array(in_bucket)).combine_chunks()
        write_large_buckets(buckets, contents, members, found.starts, sets)
        blocks = verify(pairs, sets, keys, found.rows, config.bands)
        return _edges_table(blocks, found), _events(found, members, all_pairs_up_to)


@dataclass(frozen=True)
class _Candidates:
    """What banding found. An ordinal numbers the documents in id order, one per content."""

    rows: Array  # ordinal → row in the parts, one after the other
    ordinals: Array  # the reverse; −1 for copies and for documents without shingles
    wanted: Array  # mask by ordinal: which are in any pair or large bucket
    names: pa.Table  # doc_id and content_hash of those, in order
    starts: Array  # where each large bucket begins in `members`


def _find_candidates(
    parts: Sequence[tuple[Path, Path]], config: NearDuplicates, temporary: Path, keys: Spill, pairs: Spill, members: Spill, all_pairs_up_to: int
) -> _Candidates:  # fmt: skip
    from corpus.sql import open_scratch  # the door to duckdb, opened only where it is used

    with open_scratch(temporary, memory="700MB") as connection:
        num_rows = _read_members(connection, parts, config, keys)
        rows = _number_documents(connection)
        starts = find_pairs(connection, keys, config.bands, rows, pairs, members, all_pairs_up_to)
        ordinals = np.full(num_rows, -1, np.int64)
        ordinals[rows] = np.arange(len(rows))
        wanted = _members_of(pairs, len(rows)) | mark(members, len(rows))
        return _Candidates(rows, ordinals, wanted, _names(connection, np.flatnonzero(wanted)), starts)


def _read_members(
    connection: Any, parts: Sequence[tuple[Path, Path]], config: NearDuplicates, keys: Spill
) -> int:
    """Table `members` of the documents that have shingles, and the band keys of every row; returns the number of rows."""
    connection.execute("CREATE TABLE members (row BIGINT, doc_id VARCHAR, content_hash VARCHAR)")
    row = 0
    for documents, minhash in parts:
        ids = read_part(documents, ["doc_id", "content_hash"])
        counts = []
        for group in _row_groups(minhash, ids.column("doc_id"), documents):
            keys.append(band_keys(_signatures(group, config.num_perm, minhash), config.bands))
            counts.append(group.column("num_shingles").to_numpy())
        numbered = ids.append_column("row", pa.array(np.arange(row, row + len(ids))))
        connection.register("arrived", numbered.filter(pa.array(np.concatenate([np.zeros(0), *counts]) > 0)))
        connection.execute("INSERT INTO members SELECT row, doc_id, content_hash FROM arrived")
        connection.unregister("arrived")
        row += len(ids)
    return row


def _row_groups(minhash: Path, ids: pa.ChunkedArray, documents: Path) -> Iterator[pa.Table]:
    """A minhash part piece by piece (a million short documents have half a gigabyte of signatures), checked against `ids`."""
    row = 0
    with open_part(minhash) as file:
        for number in range(file.num_row_groups):
            with reading(minhash):
                group = file.read_row_group(number, columns=["doc_id", "num_shingles", "signature"])
            if not group.column("doc_id").equals(ids.slice(row, len(group))):
                break
            row += len(group)
            yield group
    if row != len(ids):
        raise PartError(f"{minhash} is not row for row with {documents}; measure minhash again")


def _signatures(measured: pa.Table, num_perm: int, path: Path) -> Array:
    values = measured.column("signature").combine_chunks().flatten().to_numpy()
    if len(values) != len(measured) * num_perm:
        raise PartError(
            f"{path} has signatures of another length than num_perm {num_perm}; measure minhash with the recipe's settings"
        )
    return values.reshape(-1, num_perm)


def _number_documents(connection: Any) -> Array:
    """Table `documents`: one row per content, of its smallest doc_id, numbered in id order. Returns their rows in that order."""
    connection.execute("""
        CREATE TABLE documents AS
        SELECT row_number() OVER (ORDER BY doc_id) - 1 AS ordinal, *
        FROM (SELECT content_hash, min(doc_id) AS doc_id, arg_min(row, doc_id) AS row FROM members GROUP BY content_hash)
    """)
    connection.execute("DROP TABLE members")
    return (
        connection.execute("SELECT row FROM documents ORDER BY ordinal").fetchnumpy()["row"].astype(np.int64)
    )


def _members_of(pairs: Spill, num_documents: int) -> Array:
    """Which ordinals are in any pair."""
    wanted = np.zeros(num_documents, bool)
    for start in range(0, pairs.length, 1 << 20):
        block = pairs.read()[start : start + (1 << 20)]
        wanted[block >> np.uint64(32)] = True
        wanted[block & np.uint64(0xFFFFFFFF)] = True
        pairs.release()
    return wanted


def _names(connection: Any, ordinals: Array) -> pa.Table:
    """doc_id and content_hash of documents given by ascending ordinals, in that order."""
    connection.register("asked", pa.table({"ordinal": ordinals}))
    table = connection.sql(
        "SELECT doc_id, content_hash FROM documents SEMI JOIN asked USING (ordinal) ORDER BY ordinal"
    ).to_arrow_table()
    connection.unregister("asked")
    return table.cast(pa.schema([("doc_id", pa.string()), ("content_hash", pa.string())])).combine_chunks()


def _edges_table(blocks: Iterable[Mapping[str, Array]], found: _Candidates) -> pa.Table:
    """Ids as dictionaries: as plain text, the edges of a corpus that is one template would take gigabytes."""
    place = (np.cumsum(found.wanted) - 1).astype(np.int32)
    columns: dict[str, list[Array]] = {name: [] for name in ("a", "b", "jaccard", "containment", "num_bands")}
    for block in blocks:
        for name, kept in columns.items():
            kept.append(place[block[name]] if name in "ab" else block[name])
    a, b, *numbers = (
        pa.array(np.concatenate(kept)) if kept else [] for kept in map(columns.pop, list(columns))
    )
    kind = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema(
        [
            field.with_type(kind) if field.type == pa.string() else field
            for field in DATASETS["near_duplicates"]
        ]
    )
    words = [found.names.column(name).combine_chunks() for name in ("doc_id", "content_hash")]
    ids = (
        [pa.DictionaryArray.from_arrays(codes, texts) for texts in words for codes in (a, b)]
        if len(a)
        else [[]] * 4
    )
    return pa.table([*ids, *numbers], schema=schema)


def _events(found: _Candidates, members: Spill, all_pairs_up_to: int) -> list[dict[str, Any]]:
    """The guard event of large buckets, by the largest; the columns are those of `events`."""
    sizes = np.diff(found.starts)
    if not len(sizes):
        return []
    largest = int(np.argmax(sizes))
    first = np.count_nonzero(found.wanted[: members.read()[found.starts[largest]]])
    doc_id = found.names.column("doc_id")[first].as_py()
    return [{
        "kind": "large_bucket", "metric": "bucket_size", "value": float(sizes[largest]), "threshold": float(all_pairs_up_to), "action": "compare_with_kept",
        "message": f"{len(sizes):,} groups of more than {all_pairs_up_to} documents may be near-duplicates, the largest of {sizes[largest]:,} (one is {doc_id}): each is compared with those that are kept, not with all",
    }]  # fmt: skip
