"""A progress bar of a training run on stderr; results go to stdout, so the two never mix."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Report = Callable[[int, int, Mapping[str, float]], None]  # step, steps in all, figures of the step by name
_LINES = 10


@contextmanager
def show_progress(label: str) -> Iterator[Report]:
    """Yields what `train_run` takes as `progress`: a live bar on a terminal, some lines in a log file."""
    if not sys.stderr.isatty():
        yield _lines(label)
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"), TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=False) as bar:
        task = bar.add_task(label, total=None, figures="")
        yield lambda step, total, figures: bar.update(
            task, completed=step, total=total, figures=render_figures(figures)
        )


def _lines(label: str) -> Report:
    last = -1

    def report(step: int, total: int, figures: Mapping[str, float]) -> None:
        nonlocal last
        tenth = step * _LINES // max(total, 1)
        if tenth > last:
            last = tenth
            print(f"{label}: step {step} of {total}  {render_figures(figures)}", file=sys.stderr, flush=True)

    return report


def render_figures(figures: Mapping[str, float]) -> str:
    """The figures that people watch.

    >>> render_figures({"loss": 3.14159, "tokens_per_second": 12345.6})
    'loss 3.142  12,346 tokens/s'
    """
    parts = []
    if "loss" in figures:
        parts.append(f"loss {figures['loss']:.3f}")
    if "tokens_per_second" in figures:
        parts.append(f"{figures['tokens_per_second']:,.0f} tokens/s")
    return "  ".join(parts)
