"""One training run, from nothing or from wherever it was left, to its end: the public entry of the trainer.

The same call starts a run, resumes it and finds it done. A run's state is its last committed checkpoint; the other files
say what happened. What stands where is `trainer.run_folder`, what is written `trainer.record`, the loop `trainer.pretrain`.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from corpus.errors import ConfigError, LakeError, NotFinite, Stopped, one_of
from corpus.fingerprint import fingerprint, hash_bytes
from corpus.json_file import write_json
from mixer.global_batch import global_batch
from mixer.tokenizer import Tokenizer, load_tokenizer
from trainer.accepted import check_acceptable, identities, read_accepted, record_accepted
from trainer.checkpoint import (
    Checkpoint,
    clean_checkpoints,
    read_checkpoints,
    staging_folder,
    verify_checkpoint,
)
from trainer.config import Training, check_single_process, resolve_training
from trainer.data import DataPlane, resolve_micro_batch
from trainer.interruption import Interruption
from trainer.model import Base, build_model, check_packing, count_parameters, load_model
from trainer.monitor import HeldOutMonitor
from trainer.progress import Report
from trainer.record import Recorder, read_reference
from trainer.run_folder import (
    check_config,
    lock_run,
    next_attempt,
    read_config,
    write_config,
    write_export,
    write_status,
)
from trainer.schedule import Cadence, build_cadence, build_curve

if TYPE_CHECKING:
    from trainer.pretrain import Pretrainer

HeldOut = Mapping[str, Sequence[np.ndarray]]
FINISHED = ("done", "stopped")


@dataclass(frozen=True)
class RunResult:
    """How a run stands: `done`, or `stopped` by its monitor; either way with checkpoints and an export."""

    status: str
    last_step: int
    checkpoints: tuple[Checkpoint, ...]
    export: Path


@dataclass(frozen=True)
class _Run:
    """What a run is made of, checked and resolved."""

    folder: Path
    run_id: str
    training: Training
    base: Base
    data: DataPlane
    tokenizer: Tokenizer
    monitor: HeldOutMonitor | None
    config: str
    configs: frozenset[str]  # it, and those before a change was accepted
    protected: Callable[[int], bool]
    progress: Report | None

    @property
    def step_tokens(self) -> int:
        return self.data.global_batch_sequences * self.data.sequence_length


def train_run(
    folder: Path,
    run_id: str,
    training: Training,
    base: Base,
    data: DataPlane,
    held_out: HeldOut,
    tokenizer_folder: Path,
    protected: Callable[[int], bool] = lambda step: False,
    progress: Report | None = None,
    *,
    groups: Mapping[str, str] | None = None,
    lineage: Mapping[str, Any] | None = None,
    accept: Collection[str] = (),
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr),
) -> RunResult:
    """Train in `folder` until the plan's last step, resuming by itself; return at once if that is done already.

    `held_out` holds token ids per source and document, without special tokens; `groups` the group of each source (what
    `max_increase` may name). `lineage` is recorded (name, recipe, mixture_id, snapshot_id, tokenizer_id, base …).
    `protected` says which steps rotation must leave, `accept` the identity keys that may differ from this folder's.
    Raises ConfigError before any work (another key that differs, a model that does not fit), NotFinite, and Stopped after a
    signal, once the step is committed.
    """
    check_single_process()
    check_acceptable(accept)
    training = resolve_training(training)
    _check_plan(training, data)
    tokenizer = load_tokenizer(tokenizer_folder)
    monitor = _build_monitor(training, held_out, groups or {}, tokenizer)
    identity = _identity(training, base, data, monitor, tokenizer)
    with lock_run(folder, say):
        write_config(
            folder,
            run_id,
            identity,
            {"training": training.model_dump(mode="json"), "base": base.name, **_versions()},
        )
        differing = check_config(folder, run_id, identity, accept)
        if not (folder / "lineage.json").exists():
            write_json(folder / "lineage.json", {"base": base.name, **(lineage or {}), "run_id": run_id})
        clean_checkpoints(folder)
        if differing:
            _accept(folder, differing, _milestones(training, data))
        run = _Run(
            folder,
            run_id,
            training,
            base,
            data,
            tokenizer,
            monitor,
            fingerprint(identity),
            frozenset(map(fingerprint, identities(folder, read_config(folder)["identity"]))),
            protected,
            progress,
        )
        last, heard = _last_checkpoint(run), None
        if last is None or last.ended not in FINISHED:
            heard = _train(run, last)
            last = _last_checkpoint(run)
        assert last is not None and (heard is not None or last.ended in FINISHED)
        if last.ended in FINISHED:
            result = _finish(run, last)
        if heard is not None:  # at the very end of a run too: what comes after it must not begin
            raise Stopped(
                f"stopped by a signal after step {last.step} of {data.num_steps}, which is committed", heard
            )
        return result


def _finish(run: _Run, last: Checkpoint) -> RunResult:
    export = run.folder / "export"
    if not export.exists():
        verify_checkpoint(last)
        write_export(run.folder, last, run.tokenizer.folder)
    write_status(run.folder, status=last.ended, last_step=last.step)
    return RunResult(last.ended, last.step, tuple(read_checkpoints(run.folder)), export)


def _milestones(training: Training, data: DataPlane) -> Set[int]:
    step_tokens = data.global_batch_sequences * data.sequence_length
    return build_cadence(training, data.num_steps, step_tokens).milestones


def check_milestones(folder: Path, milestones: Set[int]) -> None:
    """ConfigError where a run that goes on with these milestones has passed one that it did not keep."""
    committed = read_checkpoints(folder)
    kept = {found.step for found in committed if found.milestone}
    if committed and (past := [step for step in milestones - kept if step <= committed[-1].step]):
        raise ConfigError(
            f"training.checkpoints.milestones: step {min(past)} is past, the run in {folder} stands at step {committed[-1].step}; name later ones"
        )


def _accept(folder: Path, differing: Iterable[tuple[str, Any, Any]], milestones: Set[int]) -> None:
    """Put on record what the run goes on with; ConfigError where it cannot: it has ended, or a milestone is past."""
    check_milestones(folder, milestones)
    committed = read_checkpoints(folder)
    last = committed[-1] if committed else None
    if last is not None and last.ended in FINISHED:
        raise ConfigError(
            f"the run in {folder} is {last.ended} at step {last.step}: it does not go on, so there is nothing to accept. Train another, "
            "for instance with base_model.run to go on from its weights."
        )
    record_accepted(folder, 0 if last is None else last.step, differing)


def _last_checkpoint(run: _Run) -> Checkpoint | None:
    found = read_checkpoints(run.folder)
    if found and not (found[-1].config in run.configs and found[-1].run_id == run.run_id):
        raise LakeError(
            f"{found[-1].folder} was committed by another run; delete the folder, or train elsewhere"
        )
    return found[-1] if found else None


# ── one attempt ──


def _train(run: _Run, last: Checkpoint | None) -> int | None:
    """Train from the base or on from `last`, until the run is finished or a signal came, which is returned; raises what ends it otherwise."""
    attempt = next_attempt(run.folder)
    model = _first_model(run, last)
    cadence = build_cadence(run.training, run.data.num_steps, run.step_tokens)
    recorder = Recorder(
        run.folder, run.run_id, attempt, run.training, run.config, run.data.global_batch_sequences, run.data.num_steps,
        cadence.milestones, run.monitor, run.protected, run.progress, {} if last is None else read_reference(run.folder),
    )  # fmt: skip
    try:
        return _run_attempt(run, last, model, cadence, recorder)
    finally:
        recorder.close()


def _run_attempt(
    run: _Run, last: Checkpoint | None, model: Any, cadence: Cadence, recorder: Recorder
) -> int | None:
    step = 0 if last is None else last.step
    trainer = _pretrainer(run, model, cadence, recorder)
    difference = check_packing(trainer.model)
    recorder.event(step, "started", _describe(run, trainer))
    recorder.event(step, "self_test", "packed documents stay apart", metric="packing", value=difference)
    for change in read_accepted(run.folder):
        recorder.event(step, "accepted", str(change), metric=change.key)
    _note_versions(run, recorder, step)
    _note_reference(run, recorder, step)
    write_status(run.folder, **_facts(run, model), status="running", attempt=recorder.attempt, last_step=step)
    try:
        trainer.pretrain(None if last is None else last.folder)
    except NotFinite:  # the recorder has put it on record
        write_status(run.folder, status="not_finite")
        raise
    except BaseException as error:
        write_status(run.folder, status="failed")
        recorder.event(recorder.last_step, "failed", f"{type(error).__name__} ended the attempt")
        raise
    recorder.event(
        recorder.last_step,
        trainer.ended,
        f"the run is {trainer.ended} at step {recorder.last_step} of {run.data.num_steps}",
    )
    if trainer.ended == "interrupted":
        write_status(run.folder, status="interrupted")
    return trainer.interruption.signal


def _first_model(run: _Run, last: Checkpoint | None) -> Any:
    if last is None:
        return build_model(run.base, run.tokenizer, run.data.sequence_length, run.training.seed or 0)
    verify_checkpoint(last)
    return load_model(last.folder)


def _pretrainer(run: _Run, model: Any, cadence: Cadence, recorder: Recorder) -> Pretrainer:
    from trainer.pretrain import Pretrainer

    micro = resolve_micro_batch(
        run.training.micro_batch_sequences, run.data, int(model.config.vocab_size), run.training.device
    )
    curve = build_curve(run.training.schedule, run.data.num_steps, run.step_tokens)
    return Pretrainer(
        model,
        run.training,
        run.data,
        curve,
        recorder,
        cadence,
        staging_folder(run.folder),
        micro,
        Interruption(),
    )


# ── what is checked and recorded ──


def _check_plan(training: Training, data: DataPlane) -> None:
    """The plan must be the one that the configuration asks for."""
    sequences = global_batch(training.global_batch_tokens, training.sequence_length)
    if (data.sequence_length, data.global_batch_sequences) != (training.sequence_length, sequences):
        raise ConfigError(
            f"the plan makes steps of {data.global_batch_sequences} sequences of {data.sequence_length} tokens, the training asks for "
            f"{sequences} of {training.sequence_length}: mix again with the same training section"
        )
    if (
        abs(data.num_steps * sequences * training.sequence_length - training.tokens)
        > sequences * training.sequence_length
    ):
        raise ConfigError(
            f"the plan has {data.num_steps} steps, which are not the {training.tokens} tokens that the training asks for: mix again"
        )


def _build_monitor(
    training: Training, held_out: HeldOut, groups: Mapping[str, str], tokenizer: Tokenizer
) -> HeldOutMonitor | None:
    if training.monitor is None:
        return None
    prefix = tokenizer.eos_id if tokenizer.bos_id is None else tokenizer.bos_id
    return HeldOutMonitor(held_out, groups, training.monitor.max_increase, training.sequence_length, prefix)


def _identity(
    training: Training, base: Base, data: DataPlane, monitor: HeldOutMonitor | None, tokenizer: Tokenizer
) -> dict[str, Any]:
    """All that decides the weights and where the run may end."""
    held_out = {}
    if monitor is not None:
        for name, documents in monitor.held_out.items():
            held_out[name] = fingerprint(
                [hash_bytes(np.ascontiguousarray(ids, np.int64).tobytes()) for ids in documents]
            )
    return {
        "training": training.identity(), "base": base.identity(), "plan": data.fingerprint, "tokenizer": tokenizer.fingerprint,
        "held_out": held_out, "groups": dict(monitor.groups) if monitor is not None else {},
    }  # fmt: skip


def _facts(run: _Run, model: Any) -> dict[str, Any]:
    return {
        "run_id": run.run_id, "engine": run.training.engine, "precision": run.training.precision, "num_parameters": count_parameters(model),
        "max_steps": run.data.num_steps, "sequence_length": run.data.sequence_length,
        "global_batch_sequences": run.data.global_batch_sequences,
    }  # fmt: skip


def _versions() -> dict[str, Any]:
    return {
        "versions": {name: version(name) for name in ("torch", "transformers", "accelerate")},
        "python": platform.python_version(),
    }


def _note_versions(run: _Run, recorder: Recorder, step: int) -> None:
    """The same bits are promised for the same libraries only, so a change is put on record."""
    before = read_config(run.folder)["circumstance"].get("versions", {})
    changed = [
        f"{name} {before.get(name)} → {now}"
        for name, now in _versions()["versions"].items()
        if before.get(name) != now
    ]
    if changed:
        recorder.event(step, "versions_changed", ", ".join(changed))


def _note_reference(run: _Run, recorder: Recorder, step: int) -> None:
    """On damaged metrics a run goes on, but then its limits have nothing to be compared with: put on record."""
    lost = run.monitor.limits.keys() - recorder.reference.keys() if run.monitor and step else set()
    if lost:
        named = one_of(name for _, name in lost)
        recorder.event(
            step, "reference_lost", f"the held-out loss of {named} at step 0 is lost: no rise is noticed"
        )


def _describe(run: _Run, trainer: Pretrainer) -> str:
    import torch

    arguments = trainer.args
    return (
        f"{arguments.device}, {run.training.precision}, {torch.get_num_threads()} threads, steps of "
        f"{run.data.global_batch_sequences} sequences in micro-batches of {arguments.per_device_train_batch_size}"
    )
