"""How near every document is to a held-out one: exact overlap of word n-gram sets, against an index of the held-out set.

MinHash bands would miss both what this is for: pairs of Jaccard 0.5 (a band of 8 rows finds 6 % of them) and a short
held-out text inside a long document (containment). So every document is scanned. Which documents are held out, and that
the held-out texts themselves are excluded, is decided elsewhere.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pyarrow as pa

from corpus.errors import LakeError
from corpus.schema import OPERATORS
from quality.characters import Array, as_large_string
from quality.kernel import kernel
from quality.minhash import text_slices
from quality.shingles import mix64, shingle_hashes, shingles_identity
from quality.verification import DIGITS

NEAR_JACCARD, NEAR_CONTAINMENT = 0.5, 0.8  # a document at or beyond either is not trained on
_SLICE_BYTES = 4 << 20  # text per kernel call
_ARRAYS = ("keys", "groups", "postings", "documents", "sizes")
_DENSE_SHARE = 1 / 16  # a group of this share of the documents is added as a row, not one by one


def near_held_out_rule() -> pl.Expr:
    """Whether a row of `held_out_overlap` is too near to the held-out set to be trained on; not where nothing was measured."""
    near = (pl.col("held_out_jaccard") >= NEAR_JACCARD) | (pl.col("held_out_containment") >= NEAR_CONTAINMENT)
    return near.fill_null(False)


@dataclass(frozen=True, eq=False)
class HeldOutIndex:
    """The shingles of the held-out documents, inverted.

    A document may have several texts, each of which counts as one: its id then stands as often in `doc_ids`, which is
    sorted; documents are numbered in that order. `keys` holds the distinct shingle hashes, ascending. Keys of
    the same documents form a group (boilerplate: a scan then counts per group, not per key): keys[i] belongs to the
    documents documents[postings[g]:postings[g + 1]], g = groups[i]. `sizes` are the documents' set sizes.
    """

    doc_ids: tuple[str, ...]
    ngram: int
    shingles: Mapping[str, object]  # shingles_identity() when it was built
    keys: Array  # uint64
    groups: Array  # int32
    postings: Array  # int64, one more than groups
    documents: Array  # int32
    sizes: Array  # int64

    @classmethod
    def build(cls, doc_ids: Sequence[str], texts: Any, ngram: int = 5) -> HeldOutIndex:
        """From the held-out documents, in any order; `texts` is a list or an Arrow array."""
        texts = (
            texts
            if isinstance(texts, (pa.Array, pa.ChunkedArray))
            else pa.array(list(texts), pa.large_string())
        )
        order = sorted(range(len(doc_ids)), key=doc_ids.__getitem__)
        assert len(doc_ids) == len(texts), "one id for each text"
        offsets, hashes = shingle_hashes(as_large_string(texts).take(pa.array(order, pa.int64())), ngram)
        sizes = np.diff(offsets)
        owners = np.repeat(np.arange(len(order), dtype=np.int32), sizes)
        by_hash = np.argsort(hashes, kind="stable")
        keys, first = np.unique(hashes[by_hash], return_index=True)
        grouped = _group(np.append(first, len(hashes)), owners[by_hash])
        return cls(tuple(doc_ids[i] for i in order), ngram, shingles_identity(), keys, *grouped, sizes)

    def save(self, folder: Path) -> None:
        """Write index.json and one .npy per array into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
        head = {"doc_ids": self.doc_ids, "ngram": self.ngram, "shingles": self.shingles}
        (folder / "index.json").write_text(json.dumps(head, sort_keys=True), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> HeldOutIndex:
        """What `save` wrote; LakeError where it is damaged, or was made with other Unicode data than this process has."""
        try:
            head = json.loads((folder / "index.json").read_text("utf-8"))
            arrays = [np.load(folder / f"{name}.npy", allow_pickle=False) for name in _ARRAYS]
        except (OSError, ValueError, EOFError) as error:
            raise LakeError(
                f"cannot read the held-out index in {folder}: {error}. Delete the folder {folder.parents[1]}: it is built again from the held-out set."
            ) from error
        if head["shingles"] != shingles_identity():
            raise LakeError(
                f"the held-out index in {folder} was built with other Unicode data or shingles than this version has. Delete the folder {folder.parents[1]}: it is built again from the held-out set."
            )
        return cls(tuple(head["doc_ids"]), head["ngram"], head["shingles"], *arrays)

    def overlap(self, texts: Any) -> tuple[Array, Array, Array]:
        """(max Jaccard, max containment, number of the document with the latter or −1) of each text, all held-out documents compared.

        Containment is |A ∩ H| / min(|A|, |H|). Of equal containments the document with the smallest id is given.
        """
        counted = [
            _scan(*shingle_hashes(part, self.ngram), *self._lookup)
            for part in text_slices(as_large_string(texts), _SLICE_BYTES)
        ]
        empty = (np.zeros(0), np.zeros(0), np.zeros(0, np.int64))
        jaccard, containment, partner = (
            np.concatenate(columns) for columns in zip(empty, *counted, strict=True)
        )
        return np.round(jaccard, DIGITS), np.round(containment, DIGITS), partner

    def greatest_overlap(self, texts: pa.Array, edited: pa.Array) -> tuple[Array, Array, Array]:
        """`overlap` of texts or, where that is greater, of their edited forms (null where a text has none)."""
        jaccard, containment, partner = self.overlap(texts)
        at = np.flatnonzero(edited.is_valid())
        again = self.overlap(edited.take(pa.array(at)))
        jaccard[at] = np.maximum(jaccard[at], again[0])
        more, equal = again[1] > containment[at], again[1] == containment[at]
        partner[at] = np.where(
            more, again[2], np.where(equal, np.minimum(partner[at], again[2]), partner[at])
        )
        containment[at] = np.maximum(containment[at], again[1])
        return jaccard, containment, partner

    @functools.cached_property
    def _lookup(self) -> tuple[Any, ...]:
        """What the scan reads: a directory (keys whose upper bits are p are keys[directory[p]:directory[p + 1]]), dense rows."""
        bits = len(self.keys).bit_length() + 1
        shift = 64 - bits
        prefixes = np.arange(1 << bits, dtype=np.uint64) << np.uint64(shift)
        directory = np.append(np.searchsorted(self.keys, prefixes), len(self.keys)).astype(np.int32)
        large = np.flatnonzero(np.diff(self.postings) > len(self.sizes) * _DENSE_SHARE)
        rows = np.zeros((len(large), len(self.sizes)), np.uint8)
        for row, group in zip(rows, large, strict=True):
            row[self.documents[self.postings[group] : self.postings[group + 1]]] = 1
        dense = np.full(len(self.postings) - 1, -1, np.int32)
        dense[large] = np.arange(len(large))
        return (
            self.keys,
            directory,
            shift,
            self.groups,
            self.postings,
            self.documents,
            dense,
            rows,
            self.sizes,
        )


def _group(starts: Array, documents: Array) -> tuple[Array, Array, Array]:
    """(group of each key, postings, documents) where keys with equal documents[starts[i]:starts[i + 1]] share a group."""
    if len(starts) == 1:
        return np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros(0, np.int32)
    marks = np.add.reduceat(
        _marks(int(documents.max()) + 1)[documents], starts[:-1]
    )  # of a set, whatever its order
    _, leader, groups = np.unique(marks, return_index=True, return_inverse=True)
    assert _equal_to_leader(starts, documents, leader[groups]), (
        "two sets of documents have one mark: change the marks"
    )
    lengths = np.diff(starts)[leader]
    kept = [documents[starts[key] : starts[key + 1]] for key in leader]
    return groups.astype(np.int32), np.append(0, np.cumsum(lengths)).astype(np.int64), np.concatenate(kept)


@functools.lru_cache(maxsize=2)
def _load_index(folder: str, key: str) -> HeldOutIndex:
    return HeldOutIndex.load(Path(folder))


@dataclass(frozen=True)
class HeldOutOverlap:
    """The operator `held_out_overlap`: the greatest overlap of each document, edited or not, with any held-out one.

    `index_folder` is where `HeldOutIndex.save` wrote the index (circumstance); `index_key` says what it was built from, for
    instance the held-out set's id (identity). The index knows its n.
    """

    index_folder: str
    index_key: str

    name: ClassVar[str] = "held_out_overlap"
    version: ClassVar[int] = 2
    reads: ClassVar[tuple[str, ...]] = ("text", "edited_text")

    def identity(self) -> dict[str, object]:
        return {"index": self.index_key, "shingles": shingles_identity()}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        index = _load_index(self.index_folder, self.index_key)
        found = index.greatest_overlap(batch.column("text"), batch.column("edited_text"))
        jaccard, containment, partner = found
        ids = pa.array(index.doc_ids, pa.string()).take(pa.array(partner, mask=partner < 0))
        columns = [batch.column("doc_id"), pa.array(jaccard), pa.array(containment), ids]
        return pa.RecordBatch.from_arrays(columns, schema=OPERATORS[self.name])


# ── kernels ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@kernel
def _marks(count: int) -> Array:
    """A fixed random-looking number for each document."""
    marks = np.empty(count, np.uint64)
    for i in range(count):
        marks[i] = mix64(np.uint64(i + 1))
    return marks


@kernel
def _equal_to_leader(starts: Array, documents: Array, leader: Array) -> bool:
    for key in range(len(leader)):
        first, other, size = starts[leader[key]], starts[key], starts[key + 1] - starts[key]
        if starts[leader[key] + 1] - first != size:
            return False
        for i in range(size):
            if documents[first + i] != documents[other + i]:
                return False
    return True


@kernel
def _scan(
    starts: Array, hashes: Array, keys: Array, directory: Array, shift: int, groups: Array, postings: Array, documents: Array,
    dense: Array, rows: Array, sizes: Array,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Count, for each text's set of hashes, those it shares with each held-out document."""
    num_texts = len(starts) - 1
    jaccard, containment, partner = np.zeros(num_texts), np.zeros(num_texts), np.full(num_texts, -1, np.int64)
    weights, met = np.zeros(len(dense), np.int32), np.empty(len(dense) + 1, np.int32)
    shared = np.zeros(len(sizes), np.int32)
    for text in range(num_texts):
        num_met = 0
        for i in range(starts[text], starts[text + 1]):
            key = _find(keys, directory, shift, hashes[i])
            if key >= 0:
                group = groups[key]
                met[num_met] = group
                num_met += weights[group] == 0
                weights[group] += np.int32(1)
        if num_met:
            _add_groups(met[:num_met], weights, postings, documents, dense, rows, shared)
            found = _greatest(shared, sizes, starts[text + 1] - starts[text])
            jaccard[text], containment[text], partner[text] = found
    return jaccard, containment, partner


@kernel
def _find(keys: Array, directory: Array, shift: int, value: Any) -> int:
    """The place of a hash among the sorted keys, or −1; its upper bits lead to the few keys that begin with them."""
    prefix = np.int64(value >> np.uint64(shift))
    for key in range(directory[prefix], directory[prefix + 1]):
        if keys[key] == value:
            return key
    return -1


@kernel
def _add_groups(
    met: Array, weights: Array, postings: Array, documents: Array, dense: Array, rows: Array, shared: Array
) -> None:
    """Add each group's weight to its documents' counts, and clear it."""
    for group in met:
        weight = weights[group]
        weights[group] = 0
        if dense[group] >= 0:
            _add_row(shared, rows[dense[group]], weight)
        else:
            for p in range(postings[group], postings[group + 1]):
                shared[documents[p]] += weight


@kernel
def _add_row(shared: Array, row: Array, weight: int) -> None:
    """A loop of its own, which the compiler turns into vector instructions."""
    for document in range(len(row)):
        shared[document] += np.int32(weight * row[document])


@kernel
def _greatest(shared: Array, sizes: Array, size: int) -> tuple[float, float, int]:
    """Max Jaccard, max containment and the first document of the latter; clears the counts."""
    jaccard, containment, partner = 0.0, 0.0, -1
    for document in range(len(shared)):
        count = shared[document]
        if count:
            shared[document] = 0
            jaccard = max(jaccard, count / (size + sizes[document] - count))
            held = count / min(size, sizes[document])
            if held > containment:
                containment, partner = held, document
    return jaccard, containment, partner
