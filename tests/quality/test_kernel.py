"""A kernel's cache is never older than any kernel it may have been compiled with."""

from __future__ import annotations

from pathlib import Path

from numba.core import config

from quality.kernel import kernel, sources_hash


def test_a_change_in_any_module_with_kernels_names_another_cache(tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text("@inlined\ndef a(): return 1\n")
    (tmp_path / "plain.py").write_text("def b(): return 1\n")
    before = sources_hash(tmp_path)
    (tmp_path / "plain.py").write_text("def b(): return 2\n")
    assert sources_hash(tmp_path) == before
    (tmp_path / "words.py").write_text("@inlined\ndef a(): return 2\n")
    assert sources_hash(tmp_path) != before


def test_other_packages_keep_numbas_own_cache_folder() -> None:
    before = config.CACHE_DIR
    kernel(lambda value: value)
    assert before == config.CACHE_DIR
