"""Compile every kernel into the cache: `python -m quality.compile`, run at set-up so that no first command waits for it.

Two workers that find nothing compiled both compile everything, about half a minute each; found in the cache it is nothing.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa

from quality.curate import operators
from quality.curation import Curation
from quality.held_out import HeldOutIndex, HeldOutOverlap
from quality.near_duplicates import NearDuplicates, find_edges

TEXTS = (
    "The quick brown fox jumps over the lazy dog, and the dog does not mind at all.",
    "Naïve café: पढ़ना 123-45-6789, a@b.org.",
    "",
)


def compile_kernels() -> None:
    """Run every operator once on ASCII, on other text, and on none."""
    batch = pa.RecordBatch.from_pydict(
        {"doc_id": pa.array(["a", "b", "c"]), "text": pa.array(TEXTS, pa.large_string())}
    )
    for operator in operators(Curation(presets=["c4"]), None):
        operator(batch)
    with tempfile.TemporaryDirectory() as folder:
        HeldOutIndex.build(["a"], [TEXTS[0]], 5).save(Path(folder) / "index")
        HeldOutOverlap(str(Path(folder) / "index"), "a")(batch)
        find_edges([], NearDuplicates(), Path(folder))


if __name__ == "__main__":
    compile_kernels()
