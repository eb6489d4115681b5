"""Texts that are near one another, as parts of documents and signatures, and their overlap counted with Python sets."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.fingerprint import fingerprint
from quality.minhash import MinHash
from quality.near_duplicates import NearDuplicates
from tests.quality.word_windows import shingles

Row = tuple[str, str]  # doc_id, text
SMALL = NearDuplicates(
    num_perm=32, bands=16, ngram=2
)  # two rows a band: at J ≥ 0.5 a pair is missed once in a hundred


def write_parts(folder: Path, parts: list[list[Row]], config: NearDuplicates) -> list[tuple[Path, Path]]:
    folder.mkdir(parents=True)
    paths = []
    for number, rows in enumerate(parts):
        ids, texts = [row[0] for row in rows], [row[1] for row in rows]
        hashes = [fingerprint(" ".join(text.split())) for text in texts]
        documents = pa.table(
            {
                "doc_id": pa.array(ids, pa.string()),
                "text": pa.array(texts, pa.large_string()),
                "content_hash": pa.array(hashes, pa.string()),
            }
        )
        batches = (
            documents.select(["doc_id", "text"]).combine_chunks().to_batches()
            or documents.schema.empty_table().to_batches()
        )
        signed = pa.Table.from_batches(
            [MinHash(config.num_perm, config.ngram)(batch) for batch in batches],
            schema=None if batches else MINHASH,
        )
        paths.append((folder / f"documents-{number}.parquet", folder / f"minhash-{number}.parquet"))
        pq.write_table(documents, paths[-1][0], row_group_size=3)
        pq.write_table(signed, paths[-1][1], row_group_size=3)
    return paths


MINHASH = MinHash()(
    pa.record_batch([pa.array([], pa.string()), pa.array([], pa.large_string())], names=["doc_id", "text"])
).schema


def exact(a: str, b: str, n: int) -> tuple[float, float]:
    left, right = shingles(a, n), shingles(b, n)
    shared = len(left & right)
    return round(shared / len(left | right), 6), round(shared / min(len(left), len(right)), 6)


def families(count: int, seed: int = 0) -> list[Row]:
    """Texts of 40 words, each with a few versions in which some words differ, some exact copies among them."""
    draw = random.Random(seed)
    rows: list[str] = []
    for family in range(count):
        base = [f"w{draw.randrange(500)}" for _ in range(40)]
        for version in range(draw.randrange(1, 5)):
            words = list(base)
            for _ in range(version * draw.randrange(0, 4)):
                words[draw.randrange(40)] = f"x{family}{draw.randrange(99)}"
            rows.append(" ".join(words))
    return [(fingerprint(["document", i]), text) for i, text in enumerate(rows)]
