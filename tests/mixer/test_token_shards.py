"""Token shards, checked by a parser of Megatron's format that shares nothing with the writer."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mixer.token_shards as module
from corpus.errors import LakeError
from corpus.lake import Lake
from mixer.megatron import read_index, write_index
from mixer.packing import pack
from mixer.token_shards import Shard, TokenStream, num_sequences, open_shard, unused_tokens, write_shard
from mixer.tokenizer import Tokenizer

ROOT = Path(__file__).parents[2]
_DOCUMENTS = [("a", "The quick brown fox."), ("b", ""), ("c", "dog " * 40), ("d", "धारा ३")]


def parse_megatron(prefix: Path) -> list[list[int]]:
    """The documents of an indexed dataset, byte by byte from the format's definition."""
    index, binary = Path(f"{prefix}.idx").read_bytes(), Path(f"{prefix}.bin").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    assert int.from_bytes(index[9:17], "little") == 1
    width, letter = {4: (4, "i"), 8: (2, "H")}[index[17]]
    sequences, documents = int.from_bytes(index[18:26], "little"), int.from_bytes(index[26:34], "little")
    lengths = struct.unpack_from(f"<{sequences}i", index, 34)
    pointers = struct.unpack_from(f"<{sequences}q", index, 34 + 4 * sequences)
    bounds = struct.unpack_from(f"<{documents}q", index, 34 + 12 * sequences)
    assert len(index) == 34 + 12 * sequences + 8 * documents
    assert bounds == tuple(range(sequences + 1))
    assert len(binary) == width * sum(lengths)
    return [
        list(struct.unpack_from(f"<{n}{letter}", binary, at)) for n, at in zip(lengths, pointers, strict=True)
    ]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("bos_id", [None, 7])
def test_a_document_is_bos_tokens_eos_as_megatron_reads_it(
    tmp_path: Path, tokenizer: Tokenizer, wide: bool, bos_id: int | None
) -> None:
    size = 70_000 if wide else tokenizer.vocab_size
    used = Tokenizer(tokenizer.folder, "", size, tokenizer.eos_id, bos_id, tokenizer.encoder)
    shard = write_shard(tmp_path / "part", iter(_DOCUMENTS), used)
    opening = [] if bos_id is None else [bos_id]
    expected = [
        opening + ids.tolist() + [used.eos_id] for ids in used.encode_batch([text for _, text in _DOCUMENTS])
    ]
    assert parse_megatron(tmp_path / "part") == expected
    assert (tmp_path / "part.idx").read_bytes()[17] == (4 if wide else 8)
    assert shard.num_tokens == sum(map(len, expected))


def test_training_predicts_the_first_token_from_what_scoring_gives_it(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    """A token that no target asks for is scored in a state that the model never learned from."""
    texts = ["The quick brown fox", "over the lazy dog"]
    shard = write_shard(tmp_path / "s", [(f"d{n}", text) for n, text in enumerate(texts)], tokenizer)
    tokens = np.asarray(shard.tokens)
    starts = np.zeros(len(tokens), np.bool_)
    starts[shard.document_starts(0, len(tokens))] = True
    packed = pack(tokens, starts)
    opened = packed["input_ids"] == tokenizer.bos_id
    assert packed["position_ids"][opened].tolist() == [0, 0]
    assert packed["shift_labels"][opened].tolist() == [int(ids[0]) for ids in tokenizer.encode_batch(texts)]


def test_the_table_lists_documents_in_order(tmp_path: Path, tokenizer: Tokenizer) -> None:
    shard = write_shard(tmp_path / "part", _DOCUMENTS, tokenizer)
    documents = parse_megatron(tmp_path / "part")
    table = shard.table
    assert table.column("doc_id").to_pylist() == ["a", "b", "c", "d"]
    assert table.column("num_tokens").to_pylist() == [len(ids) for ids in documents]
    assert table.column("token_start").to_pylist() == np.cumsum([0, *map(len, documents)])[:-1].tolist()


def test_batches_do_not_show_in_the_bytes(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shard(tmp_path / "one", _DOCUMENTS, tokenizer)
    monkeypatch.setattr(module, "_BATCH_CHARS", 1)
    write_shard(tmp_path / "many", iter(_DOCUMENTS), tokenizer)
    for ending in ("bin", "idx"):
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"many.{ending}").read_bytes()


def test_a_shard_without_documents_can_be_written_and_opened(tmp_path: Path, tokenizer: Tokenizer) -> None:
    assert write_shard(tmp_path / "empty", [], tokenizer).table.num_rows == 0
    assert parse_megatron(tmp_path / "empty") == []
    assert len(TokenStream([open_shard(tmp_path / "empty")])) == 0


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path, tokenizer: Tokenizer) -> None:
    def broken() -> object:
        yield "a", "text"
        raise RuntimeError("source went away")

    with pytest.raises(RuntimeError):
        write_shard(tmp_path / "part", broken(), tokenizer)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_leaves_is_swept(tmp_path: Path, tokenizer: Tokenizer) -> None:
    lake = Lake.open(tmp_path / "lake")
    prefix = lake.root / "token_shards" / "parts" / "part"
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from mixer import token_shards\n"
        "from mixer.tokenizer import load_tokenizer\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "token_shards.write_shard(Path(sys.argv[1]), [('a', 'text')], load_tokenizer(Path(sys.argv[2])))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(prefix), str(tokenizer.folder)], cwd=ROOT, check=False)
    assert len(list(prefix.parent.iterdir())) == 2
    lake.sweep()
    assert list(prefix.parent.iterdir()) == []


@pytest.mark.parametrize("damage", ["short bin", "no bin", "short idx", "not an index", "no idx"])
def test_a_damaged_shard_is_refused(tmp_path: Path, tokenizer: Tokenizer, damage: str) -> None:
    write_shard(tmp_path / "part", _DOCUMENTS, tokenizer)
    binary, index = tmp_path / "part.bin", tmp_path / "part.idx"
    if damage == "short bin":
        binary.write_bytes(binary.read_bytes()[:-2])
    elif damage == "short idx":
        index.write_bytes(index.read_bytes()[:-1])
    elif damage == "not an index":
        index.write_bytes(b"MMIDXXX" + index.read_bytes()[7:])
    else:
        (binary if damage == "no bin" else index).unlink()
    with pytest.raises(LakeError):
        open_shard(tmp_path / "part")


def test_an_index_of_many_sequences_per_document_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "x.idx").open("wb") as file:
        write_index(file, np.array([3, 4]), np.dtype("<u2"))
    data = bytearray((tmp_path / "x.idx").read_bytes())
    assert read_index(tmp_path / "x.idx").num_tokens == 7
    data[26:34] = (2).to_bytes(8, "little")
    (tmp_path / "x.idx").write_bytes(bytes(data))
    with pytest.raises(LakeError, match="one sequence per document"):
        read_index(tmp_path / "x.idx")


# ── the stream ──────────────────────────────────────────────────────────────────────────────────────────────────────


def make_shard(prefix: Path, lengths: list[int], first: int = 0) -> Shard:
    """A shard of documents of these lengths whose tokens count up from `first`."""
    tokens = np.arange(first, first + sum(lengths), dtype=np.uint16)
    Path(f"{prefix}.bin").write_bytes(tokens.tobytes())
    with Path(f"{prefix}.idx").open("wb") as file:
        write_index(file, np.array(lengths, dtype=np.int64), np.dtype("<u2"))
    return open_shard(
        prefix,
        pa.table({"doc_id": pa.array([f"{prefix.name}{n}" for n in range(len(lengths))], pa.string())}),
    )


@given(st.lists(st.lists(st.integers(1, 9), max_size=5), max_size=4), st.data())
def test_a_stream_is_its_shards_one_after_another(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[list[int]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("stream")
    shards, spans, total = [], [], 0
    for number, lengths in enumerate(shapes):
        shards.append(make_shard(folder / f"s{number}-", lengths, total))
        for ordinal, length in enumerate(lengths):
            spans.append((f"s{number}-{ordinal}", total, total + length))
            total += length
    stream = TokenStream(shards)
    start = data.draw(st.integers(0, total))
    stop = data.draw(st.integers(start, total))
    assert len(stream) == total
    assert stream.read(start, stop).tolist() == list(range(start, stop))
    overlapping = [
        (name, max(a, start), min(b, stop)) for name, a, b in spans if max(a, start) < min(b, stop)
    ]
    assert stream.documents(start, stop) == overlapping
    assert stream.document_starts(start, stop).tolist() == [a for _, a, _ in spans if start <= a < stop]


def test_reading_beyond_the_stream_is_refused(tmp_path: Path) -> None:
    stream = TokenStream([make_shard(tmp_path / "s", [4])])
    with pytest.raises(ValueError, match="stream of 4"):
        stream.read(2, 5)


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_sequences_and_tail_cover_the_stream(num_tokens: int, length: int) -> None:
    sequences = num_sequences(num_tokens, length)
    assert sequences * length + (1 if sequences else 0) + unused_tokens(num_tokens, length) == num_tokens
    assert unused_tokens(num_tokens, length) <= length
    assert sequences == sum(1 for i in range(num_tokens) if i * length + length + 1 <= num_tokens)


def test_a_shard_travels_by_its_path_not_by_its_tokens(tmp_path: Path) -> None:
    shard = make_shard(tmp_path / "s", [5000, 3])
    pq.write_table(pa.table({"doc_id": ["x", "y"]}), tmp_path / "s.parquet")
    carried = pickle.dumps(TokenStream([open_shard(tmp_path / "s", tmp_path / "s.parquet")]))
    assert len(carried) < 1000
    stream = pickle.loads(carried)
    assert stream.read(0, 5003).tolist() == shard.tokens.tolist()
    assert stream.documents(5000, 5002) == [("y", 5000, 5002)]


def test_doc_ids_are_asked_for_only_where_given(tmp_path: Path) -> None:
    make_shard(tmp_path / "s", [4, 4])
    stream = TokenStream([open_shard(tmp_path / "s")])
    assert stream.document_starts(0, 8).tolist() == [0, 4]
    with pytest.raises(LakeError, match="without its documents table"):
        stream.documents(0, 8)
    other = TokenStream([open_shard(tmp_path / "s", pa.table({"doc_id": ["only one"]}))])
    with pytest.raises(LakeError, match="2 documents, its table 1"):
        other.documents(0, 8)
