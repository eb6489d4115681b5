"""Evaluate: a checkpoint, the held-out set and tasks → a scorecard, as an artifact with one row per item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from corpus.holdout import held_out_rows
from corpus.json_file import read_json
from corpus.lake import Lake, Manifest, artifact_id
from evals.code_version import code_version
from evals.items import TaskItems
from evals.scorecard import (
    Scorecard,
    ScorecardHeader,
    TaskHeader,
    Windowing,
    build_scorecard,
    holdout_header,
    task_header,
)
from evals.scorer import SCORER_VERSION, prefix_of, score_bits_per_byte, score_multiple_choice
from evals.task import HOLDOUT_TASK, holdout_hash
from mixer.tokenizer import load_tokenizer

VERSION = 1


@dataclass(frozen=True)
class Subject:
    """What is scored: the weights in `folder`, and where they come from."""

    name: str
    folder: Path
    tokenizer: Path
    tokenizer_id: str
    checkpoint_id: str
    weights_sha256: str
    run_id: str | None = None
    step: int | None = None
    snapshot_id: str | None = None
    mixture_id: str | None = None


def evaluate(
    lake: Lake, subject: Subject, holdout: Manifest | None, tasks: Mapping[str, TaskItems], window: int, *, device: str = "auto",
    progress: Callable[[str, int, int], None] | None = None, say: Callable[[str], None] = lambda text: None,
) -> Manifest:  # fmt: skip
    """The scorecard of a checkpoint: found, or scored now. The model is loaded only in the second case."""
    header = scorecard_header(lake, subject, holdout, tasks, window)
    identity = {"header": header.identity(), "scorer": SCORER_VERSION}
    parents = [("checkpoint", subject.checkpoint_id)] + ([("holdout", holdout.id)] if holdout else [])
    id = artifact_id("scorecard", "evaluate", VERSION, identity, parents)
    if found := lake.find("scorecard", id):
        return found
    from quality.language_model import load_language_model

    model, tokenizer = load_language_model(subject.folder, device), load_tokenizer(subject.tokenizer)
    tables = []
    if holdout:
        tables.append(
            score_bits_per_byte(
                model,
                tokenizer,
                held_out_rows(lake, holdout),
                window=window,
                task=HOLDOUT_TASK,
                progress=_report(progress, HOLDOUT_TASK),
            )
        )
    for name, items in tasks.items():
        tables.append(
            score_multiple_choice(
                model, tokenizer, items, window=window, progress=_report(progress, name), warn=say
            )
        )
    card = build_scorecard(header, tables, id)
    part = lake.write_part("scores", id, card.rows)
    summary = {
        "header": header.model_dump(mode="json", exclude={"name", "code_version"}),
        "rows": card.summary(id).to_pylist(),
    }
    return lake.commit(
        Manifest(
            "scorecard",
            id,
            "evaluate",
            VERSION,
            identity,
            tuple(parents),
            {"scores": (part,)},
            summary=summary,
        ),
        context={"code_version": code_version()},
    )


def scorecard_header(
    lake: Lake, subject: Subject, holdout: Manifest | None, tasks: Mapping[str, TaskItems], window: int
) -> ScorecardHeader:
    headers: dict[str, TaskHeader] = {name: task_header(items) for name, items in tasks.items()}
    if holdout:
        rows = held_out_rows(lake, holdout)
        headers[HOLDOUT_TASK] = holdout_header(
            holdout_hash(rows["doc_id"].to_pylist(), rows["text"].to_pylist())
        )
    prefix, _ = prefix_of(load_tokenizer(subject.tokenizer))
    return ScorecardHeader(
        weights_sha256=subject.weights_sha256, tokenizer_id=subject.tokenizer_id, snapshot_id=subject.snapshot_id, mixture_id=subject.mixture_id, tasks=headers,
        windowing=Windowing(window=window, stride=window // 2, prefix="bos" if prefix == "bos" else "eos"), name=subject.name, checkpoint_id=subject.checkpoint_id,
        run_id=subject.run_id, step=subject.step,
    )  # fmt: skip


def open_scorecard(lake: Lake, manifest: Manifest, name: str) -> Scorecard:
    """A stored scorecard, items and all: every statistic is computed from these.

    `name` is what the checkpoint is called where it is asked for: equal runs share a scorecard, and each has its own name.
    """
    context = read_json(lake.folder(manifest.kind, manifest.id) / "context.json") or {}
    beside = {
        "name": name,
        "code_version": context.get("code_version", ""),
    }  # circumstance: not in the manifest
    header = ScorecardHeader.model_validate(manifest.summary["header"] | beside)
    return Scorecard(header, lake.read_part(manifest.parts("scores")[0]))


def _report(progress: Callable[[str, int, int], None] | None, task: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(f"eval {task}", done, total)
