"""The door to transformers' Trainer, in one process: its loop and optimizer, our data, schedule, loss and commits.

What a step writes, in this order: its metrics, the held-out losses if they are due, the checkpoint if one is due. A loss
or gradient that is not a number raises before anything of the step is saved. Where files go is the run folder's
business (`trainer.run`), reached through `StepSink`.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.utils import logging

from corpus.errors import ConfigError, NotFinite
from trainer.config import Training, check_single_process
from trainer.data import DataPlane, PlanDataset, collate
from trainer.interruption import Interruption
from trainer.model import forward_logits
from trainer.schedule import Cadence, Curve

# Read when CUDA's matrix library starts; without it deterministic algorithms are refused there.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

_MAX_SKIPPED = 50  # fp16 skips a step while it looks for a loss scale; more in a row is no search


class StepSink(Protocol):
    """What the loop tells, as it happens; all values are per optimizer step, steps count from 1."""

    def step_done(self, step: int, figures: Mapping[tuple[str, str | None], float]) -> None:
        """Metrics of a finished step, by name and source."""
        ...

    def not_finite(self, step: int, metric: str) -> None:
        """The step's loss or gradient is not a number; NotFinite follows."""
        ...

    def measure(self, step: int, model: Any) -> bool:
        """Held-out losses are due (step 0: the reference). True asks the run to stop."""
        ...

    def commit(self, step: int, staged: Path, ended: str) -> None:
        """A checkpoint lies in `staged`; `ended` is `done`, `stopped`, `interrupted` or nothing."""
        ...


class Pretrainer(Trainer):
    """Trainer with packed sequences and targets, a curve of ours, and every step's figures by source."""

    loss_is_scaled_for_ga = True  # compute_loss divides by the targets of the whole step
    lr_scheduler: Any
    control: Any

    def __init__(
        self, model: Any, training: Training, data: DataPlane, curve: Curve, sink: StepSink, cadence: Cadence,
        staging: Path, micro_batch: int, interruption: Interruption,
    ):  # fmt: skip
        check_single_process()
        _quiet(training.device)
        self.curve, self.sink, self.cadence, self.interruption = curve, sink, cadence, interruption
        self.sources = data.sources
        self.step_tokens = data.global_batch_sequences * data.sequence_length
        self.ended = ""
        self.mark = time.monotonic()  # since when the current step has been running
        self._parts: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self._skipped = 0
        arguments = _arguments(
            training, data, staging, micro_batch, bool(getattr(model.config, "use_cache", False))
        )
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=PlanDataset(data),
            data_collator=collate,
            callbacks=[_Flow(self)],
        )
        self.remove_callback(PrinterCallback)  # prints to stdout, where results belong
        self.model_accepts_loss_kwargs = (
            True  # whatever the model takes: targets are counted over the whole step
        )
        self._check_engine(training.precision)

    def _check_engine(self, precision: str) -> None:
        """accelerate takes orders from the environment too; what it made of them must be what was asked for."""
        found = self.accelerator.distributed_type.name, self.args.n_gpu > 1, self.accelerator.mixed_precision
        if found != ("NO", False, "no" if precision == "fp32" else precision):
            raise ConfigError(
                f"accelerate was made to train as {found[0]} in {found[2]}, asked for was the engine single in {precision}: "
                "unset the environment variables whose names begin with ACCELERATE_"
            )

    # ── what transformers asks for ──

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        assert num_training_steps == self.curve.num_steps
        if self.lr_scheduler is None:
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer, self.curve.factor
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Moments and position are the checkpoint's, settings are ours: its state brings the settings of its time along."""
        ours = [
            {name: group[name] for name in ("initial_lr", "weight_decay", "betas")}
            for group in self.optimizer.param_groups
        ]
        super()._load_optimizer_and_scheduler(checkpoint)
        scheduler = self.lr_scheduler
        scheduler.base_lrs = [settings["initial_lr"] for settings in ours]
        scheduler._last_lr = [peak * self.curve.factor(scheduler.last_epoch) for peak in scheduler.base_lrs]
        for group, settings, rate in zip(self.optimizer.param_groups, ours, scheduler._last_lr, strict=True):
            group.update(settings, lr=rate)

    def set_rate(self) -> None:
        """Bring the schedule to the step that begins: transformers leaves it where it was when fp16 skips a step, yet counts the step."""
        with (
            warnings.catch_warnings()
        ):  # torch warns when a schedule moves before the optimizer did, which is the case in question
            warnings.simplefilter("ignore")
            while self.lr_scheduler.last_epoch < self.state.global_step:
                self.lr_scheduler.step()

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean loss over the targets of the whole step, of which this is one micro-batch; its sums per sequence are kept."""
        targets = inputs["shift_labels"]
        logits = forward_logits(model, inputs["input_ids"], inputs["position_ids"])
        nll = torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="none"
        )
        per_sequence = nll.view(targets.shape).sum(1)
        self._parts.append((inputs["source"], per_sequence.detach(), (targets != -100).sum(1)))
        return per_sequence.sum() / num_items_in_batch

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Called after every step, before it is saved; transformers' own history would make checkpoints grow."""
        if "grad_norm" not in logs:
            return  # the summary at the end, with the clock in it
        figures, step = self._figures(), self.state.global_step
        figures |= {
            ("learning_rate", None): logs["learning_rate"],
            ("grad_norm", None): float(logs["grad_norm"]),
        }
        self._check_finite(step, figures)
        now = time.monotonic()
        figures["tokens_per_second", None] = self.step_tokens / max(now - self.mark, 1e-9)
        self.mark = now
        self.sink.step_done(step, figures)
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, logs)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        step = self.state.global_step
        if self.sink.measure(step, self.model) and step < self.cadence.num_steps:
            self.ended = "stopped"
            self.control.should_save = self.control.should_training_stop = True
        self.control.should_evaluate = False
        self.mark = time.monotonic()
        return {}

    # ── figures ──

    def _figures(self) -> dict[tuple[str, str | None], float]:
        """Loss in nats per target of the step and of each source in it."""
        source, nll, count = (torch.cat(part).cpu().numpy() for part in zip(*self._parts, strict=True))
        self._parts.clear()
        losses = np.bincount(source, weights=nll.astype(np.float64), minlength=len(self.sources))
        targets = np.bincount(source, weights=count, minlength=len(self.sources))
        found: dict[tuple[str, str | None], float] = {("loss", None): float(losses.sum() / targets.sum())}
        for name, loss, number in zip(self.sources, losses, targets, strict=True):
            if number:
                found["loss", name] = float(loss / number)
        return found

    def _check_finite(self, step: int, figures: Mapping[tuple[str, str | None], float]) -> None:
        self._skipped = self._skipped + 1 if self.accelerator.optimizer_step_was_skipped else 0
        searching = 0 < self._skipped <= _MAX_SKIPPED
        for metric in ("loss", "grad_norm"):
            value = figures[metric, None]
            if not math.isfinite(value) and not (searching and metric == "grad_norm"):
                self.sink.not_finite(step, metric)
                raise NotFinite(
                    f"step {step}: the {metric} is {value}. The step was not saved; the last committed checkpoint stands. "
                    "Lower training.learning_rate or max_grad_norm, or look at the documents of this step."
                )

    def pretrain(self, checkpoint: Path | None) -> None:
        """Train from the first step, or on from a verified checkpoint, to the end or until something stops the run."""
        with _deterministic(self.args.device.type), self.interruption.listening():
            self.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))


class _Flow(TrainerCallback):
    """Says when to save, measure and stop; hands saved folders on."""

    def __init__(self, trainer: Pretrainer):
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 0 and self.trainer.cadence.measure_every:
            self.trainer.sink.measure(0, self.trainer.model)
        self.trainer.mark = time.monotonic()

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.set_rate()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        trainer, step = self.trainer, state.global_step
        if step == trainer.cadence.num_steps:
            trainer.ended = "done"
        elif trainer.interruption.signal is not None:
            trainer.ended = "interrupted"
            control.should_training_stop = True
        control.should_log = True
        control.should_evaluate = trainer.cadence.measures(step)
        control.should_save = trainer.cadence.saves(step) or trainer.ended != ""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        staged = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        self.trainer.sink.commit(state.global_step, staged, self.trainer.ended)
        self.trainer.mark = time.monotonic()


def _quiet(device: str) -> None:
    """stdout belongs to results: accelerate imports deepspeed, which says there what it thinks of the machine."""
    os.environ.setdefault("DS_ACCELERATOR", device)
    logging.disable_progress_bar()  # one bar per saved checkpoint


def _arguments(training: Training, data: DataPlane, staging: Path, micro_batch: int, use_cache: bool) -> Any:
    """TrainingArguments, each name checked against the installed version: an argument must never be lost silently."""
    wanted: dict[str, Any] = {
        "output_dir": str(staging),
        "max_steps": data.num_steps,
        "per_device_train_batch_size": micro_batch,
        "gradient_accumulation_steps": data.global_batch_sequences // micro_batch,
        "learning_rate": training.learning_rate,
        "weight_decay": training.weight_decay,
        "adam_beta1": training.beta1,
        "adam_beta2": training.beta2,
        "max_grad_norm": training.max_grad_norm,
        "seed": training.seed or 0,
        "bf16": training.precision == "bf16",
        "fp16": training.precision == "fp16",
        "use_cpu": training.device == "cpu",
        "train_sampling_strategy": "sequential",
        "dataloader_drop_last": True,
        "dataloader_pin_memory": training.device != "cpu",
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "use_cache": use_cache,  # the Trainer writes it into the config that checkpoints carry; our forward pass says its own
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # it reports 0.0 where the loss is not a number
        "save_strategy": "no",  # _Flow decides
        "eval_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "log_level": "error",
    }
    fields = {field.name for field in dataclasses.fields(TrainingArguments)}
    if lost := sorted(wanted.keys() - fields):
        raise ConfigError(
            f"this version of transformers has no training arguments {lost}; use the locked version"
        )
    arguments = TrainingArguments(**wanted)
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # several visible GPUs would become DataParallel, an engine nobody asked for
    return arguments


@contextmanager
def _deterministic(device: str) -> Iterator[None]:
    """On a GPU, deterministic kernels where there are any; CPU kernels are deterministic at a fixed number of threads."""
    if device == "cpu":
        yield
        return
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
