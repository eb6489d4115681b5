"""Tokenize: a snapshot's kept, edited texts as token shards, one shard per part; and the tokenizer it is done with.

A shard is keyed by the kept text of its part and the tokenizer, so a snapshot that keeps the same documents of a part
under other rules shares the shard.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpus.engine import Call, Progress, run_calls
from corpus.errors import LakeError
from corpus.fingerprint import fingerprint, hash_file
from corpus.ingest import in_sample
from corpus.lake import Lake, Manifest, artifact_id
from corpus.part import Part, sync_folder
from corpus.schema import DATASETS
from corpus.snapshot import SnapshotPart, kept_texts, snapshot_parts
from mixer.token_shards import TokenStream, open_shard, write_shard
from mixer.tokenizer import (
    TOKENIZER_FILES,
    TokenCount,
    Tokenizer,
    library_version,
    load_tokenizer,
    train_bpe,
)
from quality.measure import measure
from quality.pii import Pii

VERSION = 1
FIT_VERSION, IMPORT_VERSION = 3, 2  # of a tokenizer that is fitted here, and of one that is taken over


# ── the tokenizer ───────────────────────────────────────────────────────────────────────────────────────────────────


def fit_tokenizer(
    lake: Lake,
    documents: Mapping[str, Manifest],
    vocab_size: int,
    sample: float,
    workers: int = 1,
    progress: Progress | None = None,
) -> Manifest:
    """A byte-level BPE fitted on a content-hash sample of these documents.

    Personal data is looked for first, and every type masked: what is in a vocabulary leaves the lake with every model. No
    other signal is looked at, so nothing goes in circles.
    """
    measured = measure(lake, documents, [Pii()], workers, progress)
    pii = {name: found["pii"] for name, found in measured.items()}
    identity = {"train": "bpe", "vocab_size": vocab_size, "sample": sample, "tokenizers": library_version()}
    parents = [(manifest.kind, manifest.id) for found in (documents, pii) for manifest in found.values()]
    id = artifact_id("tokenizer", "train_bpe", FIT_VERSION, identity, parents)
    if found := lake.find("tokenizer", id):
        return found
    staged = lake.stage()
    try:
        trained = train_bpe(_sampled_texts(lake, documents, pii, sample, progress), vocab_size, staged)
        summary = {"vocab_size": trained.vocab_size, "fingerprint": trained.fingerprint}
        return lake.commit(
            Manifest("tokenizer", id, "train_bpe", FIT_VERSION, identity, tuple(parents), summary=summary),
            staged,
        )
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def import_tokenizer(lake: Lake, folder: Path) -> Manifest:
    """A Hugging Face tokenizer folder as an artifact, so that the lake is whole without the folder."""
    loaded = load_tokenizer(folder)
    identity = {"path": loaded.fingerprint}
    id = artifact_id("tokenizer", "import", IMPORT_VERSION, identity, [])
    if found := lake.find("tokenizer", id):
        return found
    staged = lake.stage()
    try:
        for name in TOKENIZER_FILES:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, staged / name)
        summary = {"vocab_size": loaded.vocab_size, "fingerprint": loaded.fingerprint}
        return lake.commit(
            Manifest("tokenizer", id, "import", IMPORT_VERSION, identity, (), summary=summary), staged
        )
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def tokenizer_folder(lake: Lake, tokenizer: Manifest) -> Path:
    return lake.folder("tokenizer", tokenizer.id) / "files"


def token_counter(lake: Lake, tokenizer: Manifest) -> TokenCount:
    """The operator that counts a document's tokens."""
    return TokenCount(str(tokenizer_folder(lake, tokenizer)), tokenizer.id)


def _sampled_texts(
    lake: Lake,
    documents: Mapping[str, Manifest],
    pii: Mapping[str, Manifest],
    sample: float,
    progress: Progress | None = None,
) -> Iterator[str]:
    """The texts with all personal data masked. `progress` is of them: reading their words is most of a fit's time."""
    total, done = sum(manifest.rows("documents") for manifest in documents.values()), 0
    for name, manifest in documents.items():
        for part, found in zip(manifest.parts("documents"), pii[name].parts("pii"), strict=True):
            table = lake.read_part(part, ["content_hash", "text"])
            masked = lake.read_part(found, ["masked_text"])["masked_text"]
            table = table.set_column(1, "text", pc.coalesce(masked, table["text"]))
            for batch in table.to_batches(max_chunksize=256):
                for content, text in zip(
                    batch["content_hash"].to_pylist(), batch["text"].to_pylist(), strict=True
                ):
                    if text is not None and (sample >= 1 or in_sample(content, sample)):
                        yield text
                done += batch.num_rows
                if progress:
                    progress("fit the tokenizer", done, total)


# ── the shards ──────────────────────────────────────────────────────────────────────────────────────────────────────


def tokenize(
    lake: Lake, snapshot: Manifest, tokenizer: Manifest, workers: int, progress: Progress | None = None
) -> Manifest:
    """The token shards of a snapshot: `.bin`/`.idx` beside a Parquet of doc_ids, in the order of its parts."""
    identity: dict[str, Any] = {"tokenizers": library_version()}
    parents = [("snapshot", snapshot.id), ("tokenizer", tokenizer.id)]
    id = artifact_id("token_shards", "tokenize", VERSION, identity, parents)
    if found := lake.find("token_shards", id):
        return found
    parts = snapshot_parts(lake, snapshot)
    keys = [fingerprint([part.text_key(), tokenizer.id, VERSION, identity]) for part in parts]
    folder = str(tokenizer_folder(lake, tokenizer))
    missing = [
        (part, key) for part, key in zip(parts, keys, strict=True) if lake.task("token_shards", key) is None
    ]
    calls = [
        Call(
            f"tokens of {part.source} {key[:8]}",
            write_part_shard,
            (str(lake.root), part, key, folder),
            part.documents.bytes,
        )
        for part, key in missing
    ]
    run_calls(calls, workers, "tokenize", progress)
    records = [record for key in keys if (record := lake.task("token_shards", key))]
    assert len(records) == len(parts), "a part was not tokenized"
    sources: dict[str, dict[str, Any]] = {}
    for part, record in zip(parts, records, strict=True):
        tally = sources.setdefault(part.source, {"tokens": 0, "documents": 0, "shards": []})
        tally["tokens"] += record.tally["tokens"]
        tally["documents"] += record.parts["token_shards"][0].rows
        tally["shards"].append(record.key)
    for name, entry in snapshot.identity["sources"].items():
        tally = sources.setdefault(name, {"tokens": 0, "documents": 0, "shards": []})
        tally.update(role=entry["role"], topic=entry["topic"])
    datasets = {"token_shards": tuple(part for record in records for part in record.parts["token_shards"])}
    return lake.commit(
        Manifest(
            "token_shards",
            id,
            "tokenize",
            VERSION,
            identity,
            tuple(parents),
            datasets,
            summary={"sources": sources},
        )
    )


def write_part_shard(root: str, part: SnapshotPart, key: str, folder: str) -> None:
    """In a worker: one part's kept texts to one shard. The task record, written last, makes the shard exist."""
    lake = Lake(Path(root))
    prefix = shard_prefix(lake, key)
    tokenizer: Tokenizer = load_tokenizer(Path(folder))
    shard = write_shard(prefix, kept_texts(lake, part), tokenizer)
    sync_folder(prefix.parent)
    table = shard.table
    constant = {"part": key, "source": part.source}
    for name, value in constant.items():
        table = table.append_column(name, pa.array([value] * table.num_rows, pa.string()))
    table = table.append_column("ordinal", pa.array(range(table.num_rows), pa.int64()))
    written: Part = lake.write_part(
        "token_shards",
        key,
        table.select([name for name in DATASETS["token_shards"].names if name in table.column_names]),
    )
    hashes = {ending: hash_file(prefix.with_name(f"{key}.{ending}")) for ending in ("bin", "idx")}
    lake.commit_task(
        "token_shards", key, {"token_shards": [written]}, {"tokens": shard.num_tokens, "hashes": hashes}
    )


def shard_prefix(lake: Lake, key: str) -> Path:
    return lake.root / "token_shards" / "parts" / key


def verify_shards(lake: Lake, shards: Manifest, sources: Sequence[str]) -> None:
    """LakeError, naming the file, unless every shard of these sources is, to the byte, as it was written.

    Read once, before training: a token that was damaged later is learnt like any other, and nothing would tell.
    """
    for name in sources:
        for key in shards.summary["sources"][name]["shards"]:
            record = lake.task("token_shards", key)
            if record is None:
                raise LakeError(
                    f"{lake.task_path('token_shards', key)} is missing. Restore it, or delete {lake.folder('token_shards', shards.id)}: it is tokenized again."
                )
            written = record.tally["hashes"]
            for ending in ("bin", "idx"):
                path = shard_prefix(lake, key).with_name(f"{key}.{ending}")
                if not path.is_file() or hash_file(path) != written.get(ending):
                    raise LakeError(
                        f"{path} is {'not as it was written' if path.is_file() else 'missing'}. Restore it, or delete "
                        f"{lake.task_path('token_shards', key)} and {lake.folder('token_shards', shards.id)}: it is tokenized again."
                    )


def open_streams(
    lake: Lake, shards: Manifest, sources: Sequence[str] | None = None
) -> dict[str, TokenStream]:
    """The token stream of each source, memory-mapped, with the doc_ids of its documents."""
    wanted = (
        shards.summary["sources"]
        if sources is None
        else {name: shards.summary["sources"][name] for name in sources}
    )
    return {
        name: TokenStream(
            [
                open_shard(shard_prefix(lake, key), lake.part_path("token_shards", key))
                for key in entry["shards"]
            ]
        )
        for name, entry in wanted.items()
    }
