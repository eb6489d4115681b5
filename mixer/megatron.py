"""The `.idx` file that stands beside a `.bin` of tokens: Megatron-LM's indexed dataset, version 1.

Little-endian: magic `MMIDIDX\\0\\0`, version (u64) 1, dtype code (u8), number of sequences (u64), number of document
indices (u64), then per sequence its length (i32) and its byte offset in the `.bin` (i64), then the document indices
(i64), which start at 0 and count sequences. Here a document is one sequence. Multimodal modes are not covered.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from corpus.errors import LakeError

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
DTYPES: dict[int, np.dtype[Any]] = {4: np.dtype("<i4"), 8: np.dtype("<u2")}
_HEADER = struct.Struct("<9sQBQQ")


@dataclass(frozen=True)
class Index:
    """What an `.idx` says. `pointers` are byte offsets, memory-mapped and not aligned: search them with `bisect`."""

    dtype: np.dtype[Any]
    lengths: np.ndarray
    pointers: np.ndarray
    num_tokens: int


def write_index(file: BinaryIO, lengths: np.ndarray, dtype: np.dtype[Any]) -> None:
    """Write the index of documents of these lengths (tokens, EOS included) that lie one after another."""
    code = next(code for code, known in DTYPES.items() if known == dtype)
    ends = np.cumsum(lengths, dtype=np.int64)
    pointers = np.concatenate([np.zeros(1, np.int64), ends])[: len(lengths)] * dtype.itemsize
    file.write(_HEADER.pack(MAGIC, VERSION, code, len(lengths), len(lengths) + 1))
    file.write(lengths.astype("<i4").tobytes())
    file.write(pointers.astype("<i8").tobytes())
    file.write(np.arange(len(lengths) + 1, dtype="<i8").tobytes())


def read_index(path: Path) -> Index:
    """Map an index; LakeError when it is not one, is cut short, or holds sequences that are not documents."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
    except OSError as error:
        raise LakeError(f"cannot read the token index {path}: {error}") from error
    if len(header) < _HEADER.size or not header.startswith(MAGIC):
        raise LakeError(f"{path} is not a Megatron index (it does not start with MMIDIDX)")
    _, version, code, count, documents = _HEADER.unpack(header)
    if version != VERSION or code not in DTYPES or documents != count + 1:
        raise LakeError(
            f"{path}: version {version}, dtype code {code}, {count} sequences in {documents - 1} documents; "
            f"readable are version {VERSION}, codes {sorted(DTYPES)}, one sequence per document"
        )
    if size != _HEADER.size + 12 * count + 8 * documents:
        raise LakeError(
            f"{path} has {size} bytes, not the {_HEADER.size + 12 * count + 8 * documents} of {count} documents: cut short?"
        )
    mapped = np.memmap(path, mode="r", dtype=np.uint8)
    lengths = np.ndarray(count, "<i4", mapped, _HEADER.size)
    pointers = np.ndarray(count, "<i8", mapped, _HEADER.size + 4 * count)
    num_tokens = (int(pointers[-1]) // DTYPES[code].itemsize + int(lengths[-1])) if count else 0
    return Index(DTYPES[code], lengths, pointers, num_tokens)
