"""The decorator of compiled functions that call one another across modules.

numba's own cache looks only at the file a function stands in: after a change in `words.py` it would go on running the
old words inside `repetition.py`. Here the cache folder is named for the content of every module of this package that
holds kernels, so a change in one compiles them all anew and a stale one is never found.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core import config

F = TypeVar("F", bound=Callable[..., object])

# numpy's integer types for use inside kernels; as Any, since to a type checker an int64 is no int and to numba it is
int64: Any = np.int64
uint64: Any = np.uint64


@functools.cache
def _cache_folder() -> str:
    here = Path(__file__).parent
    return str(Path(config.CACHE_DIR or here / "__pycache__") / f"kernels-{sources_hash(here)}")


def sources_hash(package: Path) -> str:
    """Hash of the modules of a package folder that hold kernels, 16 hexadecimal digits."""
    digest = blake2b(digest_size=8)
    for path in sorted(package.glob("*.py")):
        source = path.read_bytes()
        if b"@kernel" in source or b"@inlined" in source:
            digest.update(source)
    return digest.hexdigest()


def kernel(function: F) -> F:
    """Compile at the first call, cached on disk, without the GIL."""
    return _compile(function, "never")


def inlined(function: F) -> F:
    """A kernel copied into its callers: for what runs once a word or more often (twice as fast for `next_word`)."""
    return _compile(function, "always")


def _compile(function: F, inline: str) -> F:
    folder = _cache_folder()
    before, config.CACHE_DIR = config.CACHE_DIR, folder
    try:
        compiled: F = numba.njit(cache=True, nogil=True, inline=inline)(function)
        return compiled
    finally:
        config.CACHE_DIR = before
