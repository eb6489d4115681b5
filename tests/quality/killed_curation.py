"""A curation in a process of its own, to be killed: from outside with workers alive, or at a chosen publication by itself.

python -m tests.quality.killed_curation FOLDER LAKE outside                     two workers, light operators, many small parts
python -m tests.quality.killed_curation FOLDER LAKE before|after PATTERN NUMBER     one process, real operators

Workers import this module: what is heavy waits inside the functions.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.quality.light_operator import Light


def light_operators(*_: Any) -> list[Light]:
    return [Light("heuristics"), Light("language"), Light("pii")]


def curate_lightly(lake: Any, folder: Path) -> str:
    """Parts of a few documents, each measured three times; returns the snapshot's id."""
    from corpus import ingest
    from quality import curate, measure
    from tests.quality.small_corpus import curate_folder, curation

    ingest.MEAN_GROUP, ingest.MAX_GROUP, ingest.SMALL_BYTES, measure.SMALL_BYTES = 500, 1000, 0, 0
    curate.operators = light_operators  # type: ignore[assignment]
    return curate_folder(lake, folder, curation(near_duplicates=None), workers=2).snapshot.id


def die_at(when: str, pattern: str, number: int) -> None:
    """Kill this process at the nth publication of a path that holds `pattern`: just before it, or just after."""
    count = 0

    def deadly(publish: Callable[..., Any]) -> Callable[..., Any]:
        def publish_or_die(source: Any, target: Any) -> Any:
            nonlocal count
            count += pattern in str(target)
            now = pattern in str(target) and count == number
            if now and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            done = publish(source, target)
            if now:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return publish_or_die

    os.replace, os.link = deadly(os.replace), deadly(os.link)


def main(folder: str, root: str, when: str, pattern: str = "", number: str = "0") -> None:
    from corpus.lake import Lake

    if when != "outside":
        die_at(when, pattern, int(number))
    lake = Lake.open(root)
    lake.sweep()
    if when == "outside":
        print(curate_lightly(lake, Path(folder)))
    else:
        from tests.quality.small_corpus import curate_folder, holdout

        print(curate_folder(lake, Path(folder), held=holdout()).snapshot.id)


if __name__ == "__main__":
    main(*sys.argv[1:])
