"""Doctor: what this machine can do, and what follows from it."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from pathlib import Path
from typing import Any

PACKAGES = (
    "polars",
    "pyarrow",
    "duckdb",
    "numba",
    "torch",
    "transformers",
    "streamlit",
    "phonenumbers",
    "py3langid",
)
EXTRAS = {
    "s3fs": "s3:// sources",
    "ray": "the Ray engine (not there yet)",
    "kenlm": "KenLM perplexity (not there yet)",
    "rensa": "make bench",
    "datatrove": "make bench",
}
BROWSERS = ("chromium", "chromium-browser")  # what the browser tests drive


def examine(lake: str) -> list[dict[str, Any]]:
    """Rows of (what, found, means, ok); ok False is what makes the exit code 1, None is only a remark."""
    return [*_machine(), *_disk(lake), *_packages(), *_accelerator(), _browser()]


def _machine() -> list[dict[str, Any]]:
    import psutil

    cores, memory = len(os.sched_getaffinity(0)), psutil.virtual_memory()
    return [
        {"what": "cores", "found": str(cores), "means": f"{cores} workers by default", "ok": True},
        {
            "what": "memory",
            "found": f"{memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} free",
            "means": "curation needs about 0.7 GiB per worker",
            "ok": memory.available > 2**30 or None,
        },
    ]


def _disk(lake: str) -> list[dict[str, Any]]:
    folder = Path(lake).resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    writable = os.access(folder, os.W_OK)
    return [
        {
            "what": "lake",
            "found": f"{lake}: {free / 2**30:.1f} GiB free",
            "means": "writable" if writable else f"{folder} is not writable",
            "ok": writable,
        }
    ]


def _packages() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name in PACKAGES:
        version = _version(name)
        rows.append(
            {
                "what": name,
                "found": version or "missing",
                "means": "" if version else "make installs it from requirements.lock",
                "ok": version is not None,
            }
        )
    for name, means in EXTRAS.items():
        version = _version(name)
        rows.append(
            {
                "what": f"{name} (extra)",
                "found": version or "not installed",
                "means": means,
                "ok": True if version else None,
            }
        )
    return rows


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _accelerator() -> list[dict[str, Any]]:
    from quality.language_model import resolve_device
    from trainer.config import resolve_precision

    device = resolve_device("auto")
    return [
        {
            "what": "accelerator",
            "found": device,
            "means": f"training computes in {resolve_precision('auto', device)}; one process (engine: single)",
            "ok": True,
        }
    ]


def find_browser() -> str | None:
    """The path of the Chromium that the browser tests drive, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def _browser() -> dict[str, Any]:
    found = find_browser()
    return {
        "what": "chromium",
        "found": found or "not installed",
        "means": "only the browser tests need it",
        "ok": True if found else None,
    }
