"""Where work runs: in this process or in others, the same results, and a clear end when a worker dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil
import pytest

from corpus.engine import Call, kept_workers, release_workers, run_calls
from corpus.errors import LakeError, PartError
from tests.processes import HANGS, family_of, lives, still_alive, wait_until


def write(folder: str, name: str) -> None:
    Path(folder, name).write_text(f"{os.getpid()} {os.environ.get('POLARS_MAX_THREADS')}")


def fail(message: str) -> None:
    raise LakeError(message)


def die(folder: str, name: str, times: int) -> None:
    """Kill this very process the first `times` times, then work."""
    tries = Path(folder, f"{name}.tries")
    tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
    if len(tries.read_text()) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    write(folder, name)


def linger(folder: str, name: str) -> None:
    """Begin while another call kills its worker, which ends this one too; then die once by itself, then work."""
    tries = Path(folder, f"{name}.tries")
    tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
    if tries.read_text() == "x":
        time.sleep(HANGS)
        raise AssertionError("nothing ended this call")
    if tries.read_text() == "xx":
        os.kill(os.getpid(), signal.SIGKILL)
    write(folder, name)


def die_beside(folder: str, name: str, other: str) -> None:
    """Kill this process once the other call is under way; the second time work."""
    tries = Path(folder, f"{other}.tries")
    assert wait_until(lambda: tries.exists() and bool(tries.read_text()))
    die(folder, name, 1)


def written(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".tries"}


@pytest.mark.parametrize("workers", [1, 2])
def test_every_call_runs_once_and_progress_adds_up(workers: int, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    calls = [Call(name, write, (str(tmp_path), name), size) for name, size in (("a", 5), ("b", 1), ("c", 4))]
    run_calls(calls, workers, "test", lambda *progress: seen.append(progress))
    assert written(tmp_path) == {"a", "b", "c"}
    assert [total for _, _, total in seen] == [10] * 3 and seen[-1] == ("test", 10, 10)
    here, threads = zip(*(path.read_text().split() for path in tmp_path.iterdir()), strict=True)
    assert (str(os.getpid()) in here) == (workers == 1)
    assert workers == 1 or set(threads) == {"1"}
    assert os.environ["POLARS_MAX_THREADS"] != "1"  # as it was before


def test_nothing_to_do_starts_no_worker_and_reports_nothing() -> None:
    seen: list[tuple[str, int, int]] = []
    run_calls([], 2, "test", lambda *progress: seen.append(progress))
    assert seen == [] and _workers() == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_comes_through_as_it_is(workers: int, tmp_path: Path) -> None:
    calls = [Call("bad", fail, ("the disk is on fire",)), *(Call(n, write, (str(tmp_path), n)) for n in "ab")]
    with pytest.raises(LakeError, match=r"^the disk is on fire$"):
        run_calls(calls, workers, "test")
    assert _workers() == []


def _workers() -> list[psutil.Process]:
    """Children that run calls: other tests of this process may have left helpers of their own (a tracker, a console)."""
    return [
        child
        for child in psutil.Process().children()
        if child.pid not in _before and "resource_tracker" not in " ".join(child.cmdline())
    ]


_before: set[int] = set()


@pytest.fixture(autouse=True)
def _children_before() -> None:
    _before.clear()
    _before.update(child.pid for child in psutil.Process().children())


def test_a_worker_that_dies_once_is_forgiven_each_call_by_itself(tmp_path: Path) -> None:
    calls = [Call(n, die, (str(tmp_path), n, 1 if n in "ad" else 0)) for n in "abcd"]
    run_calls(calls, 2, "test")
    assert written(tmp_path) == set("abcd")


def test_a_call_that_another_took_along_has_its_second_chance_still(tmp_path: Path) -> None:
    calls = [Call("a", linger, (str(tmp_path), "a")), Call("b", die_beside, (str(tmp_path), "b", "a"))]
    run_calls(calls, 2, "test")
    assert written(tmp_path) == set("ab")


def test_a_death_is_noticed_while_another_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool alone tells of it when that call ends, if it last woke before the one that dies was there. `linger` never does."""
    start = ProcessPoolExecutor._spawn_process  # type: ignore[attr-defined]

    def start_late(pool: ProcessPoolExecutor) -> None:
        time.sleep(0.2)  # the pool is awake, and looks whom it has
        start(pool)

    monkeypatch.setattr(ProcessPoolExecutor, "_spawn_process", start_late)
    calls = [Call("a", linger, (str(tmp_path), "a")), Call("b", die_beside, (str(tmp_path), "b", "a"))]
    run_calls(calls, 2, "test")
    assert (tmp_path / "a.tries").read_text() == "xxx"  # ended with the other, by itself, and done


def test_a_worker_that_dies_twice_is_an_error_that_names_the_part(tmp_path: Path) -> None:
    calls = [Call(f"part {n}", die, (str(tmp_path), n, 9 if n == "b" else 0)) for n in "abc"]
    with pytest.raises(
        PartError, match=r"measure: the worker on part b died twice .*the same command resumes"
    ):
        run_calls(calls, 2, "measure")
    assert (tmp_path / "b.tries").read_text() == "xxx"  # beside others, and twice alone
    assert _workers() == []


def test_workers_that_are_kept_do_the_next_calls_too_until_they_are_released(tmp_path: Path) -> None:
    def pids(name: str) -> set[str]:
        folder = tmp_path / name
        folder.mkdir()
        run_calls([Call(n, write, (str(folder), n)) for n in "abcdef"], 2, "test")
        return {path.read_text().split()[0] for path in folder.iterdir()}

    with kept_workers():
        first = pids("first")
        kept = {str(child.pid) for child in _workers()}
        assert first <= kept and pids("second") <= kept
        release_workers()
        assert _workers() == []
        assert not pids("third") & kept
    assert _workers() == []


def test_a_kept_worker_that_dies_or_fails_leaves_no_broken_pool(tmp_path: Path) -> None:
    with kept_workers():
        run_calls([Call(n, die, (str(tmp_path), n, 1 if n == "a" else 0)) for n in "abcd"], 2, "test")
        assert written(tmp_path) == set("abcd")
        with pytest.raises(LakeError, match="fire"):
            run_calls([Call("bad", fail, ("fire",)), Call("e", write, (str(tmp_path), "e"))], 2, "test")
        run_calls([Call(n, write, (str(tmp_path), n)) for n in "fg"], 2, "test")
        assert written(tmp_path) >= set("abcdfg")
    assert _workers() == []


@pytest.mark.parametrize("deaths", [1, 2])
def test_kept_workers_that_died_with_nothing_to_do_are_replaced(deaths: int, tmp_path: Path) -> None:
    with kept_workers():
        run_calls([Call(n, write, (str(tmp_path), n)) for n in "abcdef"], 2, "test")
        dead = _workers()[:deaths]
        for worker in dead:
            worker.kill()
        assert wait_until(lambda: not any(map(lives, dead)))
        time.sleep(0.1)  # the pool hears of it
        run_calls([Call(n, write, (str(tmp_path), n)) for n in "gh"], 2, "test")
        assert written(tmp_path) == set("abcdefgh")


PARENT = """
import sys
from corpus.engine import Call, run_calls
from tests.corpus.test_engine import work_on

if __name__ == "__main__":
    run_calls([Call(str(n), work_on, (sys.argv[1], n)) for n in range(2)], 2, "test")
"""


def work_on(folder: str, number: int) -> None:
    """Say who works, then go on for as long as one lives."""
    Path(folder, f"{number}.tmp").write_text(str(os.getpid()))
    os.rename(Path(folder, f"{number}.tmp"), Path(folder, str(number)))
    while True:
        time.sleep(0.05)
        Path(folder, f"{number}.beat").write_text(str(time.time()))


def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py"), str(tmp_path)], env=environment)
    try:
        said = [tmp_path / str(number) for number in range(2)]
        assert wait_until(lambda: all(path.exists() for path in said))
        pids = [int(path.read_text()) for path in said]
        family = family_of(parent.pid)
        assert {child.pid for child in family} >= set(pids)
    finally:
        parent.kill()
        parent.wait()
    assert still_alive(family) == []
    last = [
        (tmp_path / f"{number}.beat").stat().st_mtime_ns
        for number in range(2)
        if (tmp_path / f"{number}.beat").exists()
    ]
    time.sleep(0.2)
    assert last == [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("*.beat"))]
