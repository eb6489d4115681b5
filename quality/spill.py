"""Numbers in a file, read through a memory map: what a fold over a whole corpus cannot keep in memory."""

from __future__ import annotations

import mmap
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class Numbers:
    """A flat file of one number type that is there already. `release` gives the pages read so far back."""

    def __init__(self, path: Path, dtype: str):
        self._path, self._dtype = path, np.dtype(dtype)
        self._map: mmap.mmap | None = None
        self.length = path.stat().st_size // self._dtype.itemsize

    def read(self) -> Array:
        """All numbers as a read-only array that lives in the file."""
        if not self.length:
            return np.frombuffer(b"", self._dtype)
        if self._map is None:
            with self._path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(self._map, self._dtype)

    def release(self) -> None:
        """Stop counting what was read as this process's memory; the next read takes it from the page cache again."""
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)


class Spill(Numbers):
    """Numbers that are written here and needed for a while only. Append first, then `read`.

    >>> import tempfile
    >>> with Spill(Path(tempfile.mkdtemp()) / "numbers", "uint64") as spill:
    ...     spill.append(np.arange(3))
    ...     int(spill.read().sum())
    3
    """

    def __init__(self, path: Path, dtype: str):
        self._file = path.open("xb")
        super().__init__(path, dtype)

    def append(self, values: Array) -> None:
        assert self._map is None, "a spill is written before it is read"
        self._file.write(np.ascontiguousarray(values, self._dtype).data)
        self.length += values.size

    def read(self) -> Array:
        """All numbers as a read-only array; it must not outlive the spill."""
        self._file.flush()
        return super().read()

    def __enter__(self) -> Spill:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)
