"""Processes in tests: whether one is still there."""

from __future__ import annotations

import psutil


def lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:  # it ended just now
        return False
