"""Compile every kernel of curation into the cache: `python -m quality.compile`, run at set-up so that no first command waits for it.

Two workers that find nothing compiled both compile everything, about half a minute each; found in the cache it is nothing.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.schema import OWN_FIELDS
from quality.curate import operators
from quality.curation import Curation
from quality.held_out import HeldOutIndex, HeldOutOverlap
from quality.large_buckets import LargeBuckets
from quality.minhash import MinHash
from quality.near_duplicates import NearDuplicates, find_edges
from quality.walk import walk

TEXTS = (
    "The quick brown fox jumps over the lazy dog, and the dog does not mind at all.",
    "Naïve café: पढ़ना १२ 123-45-6789, a@b.org.",
    "",
)


def compile_kernels() -> None:
    """Run every operator once on ASCII, on other text, and on none."""
    batch = pa.RecordBatch.from_pydict(
        {"doc_id": pa.array(["a", "b", "c"]), "text": pa.array(TEXTS, pa.large_string())}
        | {name: pa.nulls(3, pa.string()) for name in OWN_FIELDS}
    )
    for operator in operators(Curation(presets=["c4"]), None):
        operator(batch)
    with tempfile.TemporaryDirectory() as folder:
        HeldOutIndex.build(["a"], [TEXTS[0]], 5).save(Path(folder) / "index")
        HeldOutOverlap(str(Path(folder) / "index"), "a")(batch.append_column("edited_text", batch["text"]))
        compile_walk(Path(folder))


def compile_walk(folder: Path) -> None:
    """Find and walk three near-duplicates, once as stored pairs and once as a large bucket."""
    texts = [f"{' '.join(f'word{i}' for i in range(40))} {own}" for own in "abc"]
    table = pa.table(
        {"doc_id": list("abc"), "content_hash": list("abc"), "text": pa.array(texts, pa.large_string())}
    )
    config = NearDuplicates()
    signed = MinHash(config.num_perm, config.ngram)(table.select(["doc_id", "text"]).to_batches()[0])
    parts = (folder / "documents.parquet", folder / "minhash.parquet")
    for path, rows in zip(parts, (table, pa.Table.from_batches([signed])), strict=True):
        pq.write_table(rows, path)
    for all_pairs_up_to in (2, 64):
        buckets = folder / f"buckets-{all_pairs_up_to}"
        edges, _ = find_edges([parts], config, folder / "scratch", buckets, all_pairs_up_to)
        walk(list("abc"), list("abc"), edges, LargeBuckets.open(buckets), config.jaccard)


if __name__ == "__main__":
    compile_kernels()
