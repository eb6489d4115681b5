"""A small tokenizer, trained once: English, code and Hindi."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixer.tokenizer import Tokenizer, train_bpe

_TEXTS = [
    "The quick brown fox jumps over the lazy dog, and the dog does not mind at all. " * 5,
    "def add(left, right):\n    return left + right\n\n\nprint(add(1, 2000))\n" * 5,
    "धारा ३ के अनुसार कोई भी व्यक्ति कानून के विरुद्ध नहीं जा सकता। " * 5,
]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return _TEXTS


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return train_bpe(iter(_TEXTS), 500, tmp_path_factory.mktemp("tokenizer") / "bpe")


@pytest.fixture
def own_folder(tokenizer: Tokenizer, tmp_path: Path) -> Path:
    """A copy of the tokenizer's folder, free to be changed."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in tokenizer.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder
