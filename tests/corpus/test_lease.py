"""A lease: the second waits for the living, takes from the dead at once, and is never kept by an error."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from corpus import lease
from corpus.lake import Lake
from corpus.lease import STALE_SECONDS, hold_lease
from corpus.process import is_alive
from tests.corpus.together import run_together
from tests.processes import dead_pid, lives, wait_until


def path_of(lake: Lake) -> Path:
    return lake.root / "leases" / "work.json"


def left_by(lake: Lake, **holder: Any) -> Path:
    lake.write_json(path_of(lake), {"pid": os.getpid(), "host": platform.node(), **holder})
    return path_of(lake)


def take(lake: Lake, then: Callable[[], object] = lambda: None) -> tuple[bool, list[str]]:
    """Whether the lease was waited for, and what was said; `then` is done once it is said."""
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        then()

    with hold_lease(lake, "work", say, poll_seconds=0.01) as waited:
        assert path_of(lake).exists()
    return waited, said


def make_stale(path: Path) -> None:
    os.utime(path, (time.time() - STALE_SECONDS - 5,) * 2)


def test_a_free_lease_is_taken_without_a_word_and_given_back(lake: Lake) -> None:
    assert take(lake) == (False, []) and take(lake) == (False, [])
    assert not path_of(lake).exists()


def test_leases_on_different_things_do_not_wait(lake: Lake) -> None:
    with hold_lease(lake, "other", pytest.fail):
        assert take(lake) == (False, [])


def test_the_second_waits_until_the_first_has_ended(lake: Lake) -> None:
    order: list[str] = []
    held, waited_for = threading.Event(), threading.Event()

    def first() -> None:
        with hold_lease(lake, "work", pytest.fail):
            held.set()
            waited_for.wait()
            order.append("first ended")

    thread = threading.Thread(target=first)
    thread.start()
    held.wait()
    waited, said = take(lake, waited_for.set)
    order.append("second")
    thread.join()
    assert waited and order == ["first ended", "second"]
    assert len(said) == 1 and str(os.getpid()) in said[0] and "waiting" in said[0]


@pytest.mark.parametrize("again", range(8))  # eight takers met in every second try once
def test_of_many_one_holds_at_a_time_also_when_a_dead_one_is_found(lake: Lake, again: int) -> None:
    left_by(lake, pid=dead_pid())
    inside: list[int] = []
    most: list[int] = []

    def one(number: int) -> None:
        with hold_lease(lake, "work", lambda text: None, poll_seconds=0.005):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.01)
            inside.remove(number)

    run_together(8, one)
    assert most == [1] * 8


def test_an_error_gives_the_lease_back(lake: Lake) -> None:
    with pytest.raises(ZeroDivisionError), hold_lease(lake, "work", pytest.fail):
        raise ZeroDivisionError
    assert take(lake) == (False, [])


def test_what_another_took_is_not_given_back_for_it(lake: Lake) -> None:
    with hold_lease(lake, "work", pytest.fail):
        left_by(lake, pid=1, key="another's")
    assert json.loads(path_of(lake).read_text())["key"] == "another's"


# ── the dead ──


def test_a_dead_process_s_lease_is_taken_at_once(lake: Lake) -> None:
    left_by(lake, pid=dead_pid())
    assert take(lake) == (False, [])


def test_a_reused_pid_is_not_the_holder(lake: Lake) -> None:
    left_by(lake, started=psutil.Process().create_time() - 1000)
    assert take(lake) == (False, [])


def test_a_killed_process_that_nobody_buried_is_dead(lake: Lake) -> None:
    holder = subprocess.Popen(["sleep", "60"])
    try:
        left_by(lake, pid=holder.pid, started=psutil.Process(holder.pid).create_time())
        assert is_alive(holder.pid)
        holder.kill()
        assert wait_until(lambda: not lives(psutil.Process(holder.pid)))
        assert not is_alive(holder.pid)
        assert take(lake) == (False, [])
    finally:
        holder.wait()


def test_another_host_s_lease_is_believed_while_it_beats(lake: Lake) -> None:
    path = left_by(lake, host="elsewhere", pid=dead_pid())
    waited, said = take(lake, lambda: make_stale(path))
    assert waited and "elsewhere" in said[0]


def test_a_lease_that_was_copied_with_its_lake_is_taken_though_the_process_lives(
    lake: Lake, tmp_path: Path
) -> None:
    with hold_lease(lake, "work", pytest.fail):
        shutil.copytree(lake.root, tmp_path / "copy")
    copy = Lake.open(tmp_path / "copy", create=False)
    waited, said = take(copy, lambda: make_stale(path_of(copy)))
    assert waited and str(os.getpid()) in said[0]


def test_another_host_s_lease_without_a_heartbeat_is_taken(lake: Lake) -> None:
    make_stale(left_by(lake, host="elsewhere"))
    assert take(lake) == (False, [])


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_an_unreadable_lease_is_taken_when_nothing_keeps_it_fresh(lake: Lake, content: str) -> None:
    path = left_by(lake)
    path.write_text(content)
    make_stale(path)
    assert take(lake) == (False, [])


def test_a_holder_keeps_its_lease_fresh(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.02)
    with hold_lease(lake, "work", pytest.fail):
        os.utime(path_of(lake), (0, 0))
        assert wait_until(lambda: path_of(lake).stat().st_mtime > 0)
        path_of(lake).unlink()  # a lost lease does not stop the work
        time.sleep(0.05)
