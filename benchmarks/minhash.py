"""Speed of MinHash signatures on a folder of text, beside datasketch, rensa and datatrove where those are installed.

    python benchmarks/minhash.py PATH [--megabytes 32]

Every regular file under PATH that is UTF-8 is one document, as it is. All sides make 128 permutations of word 5-grams from
text, tokenizing included, in one thread, timed in seconds of the processor and megabytes (10⁶) of UTF-8. Ours is the best
of three after a first run that compiles; a peer runs over the same documents in order until its time is up. Peers that
take tokens (datasketch, rensa) get them from one `re.findall`; datatrove uses its own tokenizer (spaCy), or that `re`
where spaCy is missing. rensa is its full update: its headline path hashes a sample of the shingles, another function.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasketch
import numpy as np
import pyarrow as pa

from quality.minhash import MinHash
from quality.shingles import shingle_hashes

NGRAM, NUM_PERM = 5, 128
PEER_SECONDS = 4.0
Sign = Callable[[str], object]


def read_texts(path: Path, max_bytes: float) -> list[str]:
    """The folder's texts in path order, up to a size; what is no UTF-8 is left out."""
    texts, taken = list[str](), 0
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file() and taken < max_bytes:
            try:
                texts.append(file.read_text(encoding="utf-8"))
            except UnicodeDecodeError:
                continue
            taken += len(texts[-1].encode())
    return texts


def as_batch(texts: list[str]) -> pa.RecordBatch:
    ids = pa.array([f"{i:032x}" for i in range(len(texts))])
    return pa.record_batch({"doc_id": ids, "text": pa.array(texts, pa.large_string())})


def megabytes(texts: list[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def our_speed(texts: list[str]) -> float:
    operator, batch = MinHash(NUM_PERM, NGRAM), as_batch(texts)
    operator(batch.slice(0, 1))
    return max(megabytes(texts) / seconds(lambda: operator(batch)) for _ in range(3))


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def peer_speed(sign: Sign, texts: list[str]) -> float:
    """MB/s over the first documents that fit into the time."""
    sign("a first run that loads what it needs")
    start, done = time.process_time(), 0
    for text in texts:
        sign(text)
        done += len(text.encode())
        if time.process_time() - start > PEER_SECONDS:
            break
    return done / 1e6 / (time.process_time() - start)


def ngrams(text: str) -> list[str]:
    words = re.findall(r"\w+", text.lower())
    return [" ".join(words[i : i + NGRAM]) for i in range(max(1, len(words) - NGRAM + 1))]


# ── peers: each a function of one text ──────────────────────────────────────────────────────────────────────────────


def peers() -> Iterator[tuple[str, Sign]]:
    """Every peer that is installed; a line for each that is not."""
    yield "datasketch update", datasketch_update
    yield "datasketch update_batch", datasketch_batch
    for name, load in (("rensa (full)", load_rensa), ("datatrove", load_datatrove)):
        try:
            yield load(name)
        except ImportError as error:
            print(f"{name}: not installed ({error}); the bench extra has it")


def datasketch_update(text: str) -> object:
    signature = datasketch.MinHash(NUM_PERM)
    for ngram in ngrams(text):
        signature.update(ngram.encode())
    return signature.hashvalues


def datasketch_batch(text: str) -> object:
    signature = datasketch.MinHash(NUM_PERM)
    signature.update_batch([ngram.encode() for ngram in ngrams(text)])
    return signature.hashvalues


def load_rensa(name: str) -> tuple[str, Sign]:
    from rensa import RMinHash

    def sign(text: str) -> object:
        signature = RMinHash(num_perm=NUM_PERM, seed=1)
        signature.update(ngrams(text))
        return signature.digest()

    return name, sign


def load_datatrove(name: str) -> tuple[str, Sign]:
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
    from datatrove.utils.hashing import HashConfig
    from datatrove.utils.word_tokenizers import WordTokenizer

    class Words(WordTokenizer):
        def word_tokenize(self, text: str) -> list[str]:
            return re.findall(r"\w+", text)

        sent_tokenize = span_tokenize = word_tokenize

    sha1 = HashConfig(hash_fc="sha1")  # as FineWeb had it; its xxhash call fails with xxhash 4
    config = MinhashConfig(n_grams=NGRAM, num_buckets=16, hashes_per_bucket=NUM_PERM // 16, hash_config=sha1)
    try:
        step: Any = MinhashDedupSignature("memory://unused", config, language="eng")
    except ImportError:
        step, name = (
            MinhashDedupSignature("memory://unused", config, language=Words()),
            f"{name} (re, no spaCy)",
        )

    def sign(text: str) -> object:
        shingles = step.get_shingles(text)
        return step.get_signature(shingles) if shingles.size else None

    return name, sign


def is_equal_to_datasketch(text: str) -> bool:
    """Our signature against datasketch's from the same 32-bit shingle hashes."""
    _, hashes = shingle_hashes(pa.array([text], pa.large_string()), NGRAM)
    reference = datasketch.MinHash(NUM_PERM, seed=1, scheme="affine32", hashfunc=int)
    reference.update_batch((hashes >> np.uint64(32)).tolist())
    ours = MinHash(NUM_PERM, NGRAM)(as_batch([text])).column("signature")[0].as_py()
    return bool(np.array_equal(reference.hashvalues, ours))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--megabytes", type=float, default=32.0, help="of text to read at most")
    options = parser.parse_args()
    texts = read_texts(options.path, options.megabytes * 1e6)
    if not texts:
        parser.error(f"no UTF-8 text in {options.path}; give a folder of text files")
    num_ascii = sum(text.isascii() for text in texts)
    print(f"{len(texts)} documents, {megabytes(texts):.1f} MB, {num_ascii} of them ASCII")
    checked = texts[:: max(1, len(texts) // 20)]
    print(
        f"signatures equal to datasketch's in {sum(map(is_equal_to_datasketch, checked))} of {len(checked)}"
    )
    ours = our_speed(texts)
    print(f"{'tilth':28}{ours:9.2f} MB/s")
    for name, sign in peers():
        speed = peer_speed(sign, texts)
        print(f"{name:28}{speed:9.2f} MB/s{ours / speed:9.1f} times slower")


if __name__ == "__main__":
    main()
