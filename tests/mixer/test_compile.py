"""Set-up leaves no kernel of the mixer to be compiled by a first command."""

from __future__ import annotations

import importlib
from pathlib import Path

import numba

import mixer
from mixer.compile import compile_kernels


def test_every_kernel_is_compiled_beforehand() -> None:
    compile_kernels()
    modules = [
        f"mixer.{path.stem}"
        for path in Path(mixer.__path__[0]).glob("*.py")
        if "njit" in path.read_text("utf-8")
    ]
    kernels = {
        name: value
        for module in modules
        for name, value in vars(importlib.import_module(module)).items()
        if isinstance(value, numba.core.registry.CPUDispatcher)
    }
    inner = {name for kernel in kernels.values() for name in kernel.py_func.__code__.co_names}
    assert len(kernels) > 5
    # One that kernels alone call is compiled with them, and shows no signature where they come from the cache.
    assert [name for name, kernel in kernels.items() if not (kernel.signatures or name in inner)] == []
