"""The `training` section of a recipe, and the architecture of a base trained from scratch.

What is identity changes weights or where a run may end; what is circumstance only changes where, how fast or what is
kept. Keys of features that do not exist yet are refused by their name. It covers neither the data (the plan) nor where
the first weights come from (`trainer.model.Base`).
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from corpus.config import (
    Count,
    MarginValue,
    Multiple,
    Rate,
    Section,
    Share,
    circumstance,
    identity,
    parse_count,
    parse_share,
    written,
)
from corpus.errors import ConfigError, one_of
from quality.language_model import resolve_device

NOT_THERE_YET = {
    "engine": ("ddp", "fsdp2", "zero"),
    "monitor.on_breach": ("raise_replay", "lower_learning_rate", "roll_back"),
    "training": (
        "activation_checkpointing", "dpo", "ewc", "freeze", "l2_sp", "layer_decay", "lora", "mixout", "optimizer", "phases",
        "probe", "qlora", "regularize", "sft", "unfreeze",
    ),
}  # fmt: skip


def parse_share_or_count(value: Any) -> float | int:
    """A share of the run (`1%`, `0.01`), or a number of tokens (`20M`); a number of 1 or more is tokens.

    >>> parse_share_or_count("1%"), parse_share_or_count(0.1), parse_share_or_count("20M")
    (0.01, 0.1, 20000000)
    """
    text = isinstance(value, str)
    small = isinstance(value, (int, float)) and not isinstance(value, bool) and value < 1
    if small or (text and value.strip().endswith("%")):
        return parse_share(value)
    return parse_count(value)


Positive = Annotated[Count, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveRate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Beta = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what every library's generator takes
ShareOrCount = Annotated[
    float | int, BeforeValidator(parse_share_or_count), written(r"[0-9][0-9_.]*\s*[%kKMGBT]?", "number")
]


def _refuse(where: str, arrived: str, possible: str) -> ConfigError:
    return ConfigError(f"{arrived!r} arrived, which is not there yet for {where}; {possible}")


class Schedule(Section):
    """The learning rate over the run, as a share of its peak; see `trainer.schedule`."""

    type: Literal["cosine", "wsd"] = identity("cosine", description="cosine or wsd (warm-up, stable, decay)")
    warmup: ShareOrCount = identity(0.01, description="share of the run, or tokens; linear from 0")
    floor: Share = identity(0.1, description="share of the peak, reached at the last step")
    decay: ShareOrCount | None = identity(
        None, absent_means=None, description="wsd: length of the final descent (default 20%)"
    )

    @model_validator(mode="after")
    def _fits(self) -> Schedule:
        if self.type == "cosine" and self.decay is not None:
            raise ValueError(
                "schedule.decay belongs to type: wsd; a cosine descends from its warmup to the last step"
            )
        shares = [part for part in (self.warmup, self.decay) if isinstance(part, float)]
        if sum(shares) > 1:
            raise ValueError(f"schedule.warmup and schedule.decay together are {sum(shares):.0%} of the run")
        return self


class Checkpoints(Section):
    """When the state is committed and what stays; the last step and milestones always do."""

    every: Positive | None = circumstance(None, description="tokens; default: a tenth of the run")
    keep_last: Annotated[int, Field(ge=1)] = circumstance(
        3, description="beside milestones and what is scored, signed or aliased"
    )
    milestones: list[Positive] = identity([], absent_means=[], description="tokens")


class Monitor(Section):
    """Held-out loss during the run, against its value before the first step."""

    every: Positive = identity(description="tokens; the last step is always measured")
    max_increase: dict[str, MarginValue] = identity(
        {}, description="by group or source: how far its held-out loss may rise, e.g. 3%"
    )
    tokens_per_source: Positive = identity(
        20_000, description="held-out tokens measured of each source, whole documents"
    )
    on_breach: list[str] = identity(["stop"], description="actions in order; [] only records the event")

    @field_validator("max_increase")
    @classmethod
    def _relative(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, margin in value.items():
            if margin.unit != "%":
                raise ValueError(
                    f"max_increase.{name}: {margin} arrived, but a loss has no percentage points; write 3% (of its value at step 0)"
                )
        return value

    @field_validator("on_breach")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        for action in value:
            if action in NOT_THERE_YET["monitor.on_breach"]:
                raise _refuse("on_breach", action, "'stop' is the only action so far")
            if action != "stop":
                raise ValueError(f"no action {action!r} arrived in on_breach is known; there is 'stop'")
        return value


class Architecture(Section):
    """A Llama to initialise: the defaults make about 1.6 M parameters beside the embeddings."""

    type: Literal["llama"] = identity("llama", absent_means="llama", description="llama")
    hidden_size: Positive = identity(192, description="width of the residual stream")
    num_hidden_layers: Annotated[int, Field(ge=1)] = identity(4, description="layers")
    num_attention_heads: Annotated[int, Field(ge=1)] = identity(6, description="must divide hidden_size")
    num_key_value_heads: Annotated[int, Field(ge=1)] | None = identity(
        None, absent_means=None, description="default: all heads"
    )
    intermediate_size: Positive = identity(512, description="width of the feed-forward layers")
    max_position_embeddings: Positive | None = identity(
        None, absent_means=None, description="default: the sequence length"
    )
    tie_word_embeddings: bool = identity(True, description="input and output embeddings are one matrix")

    @model_validator(mode="after")
    def _divides(self) -> Architecture:
        heads, groups = self.num_attention_heads, self.num_key_value_heads or self.num_attention_heads
        if self.hidden_size % heads or (self.hidden_size // heads) % 2:
            raise ValueError(
                f"hidden_size {self.hidden_size} does not make {heads} heads of an even size; choose a multiple of {2 * heads}"
            )
        if heads % groups:
            raise ValueError(f"num_attention_heads {heads} is not a multiple of num_key_value_heads {groups}")
        return self


class Training(Section):
    """How a run learns. `tokens`, `sequence_length` and `global_batch_tokens` also make its plan."""

    tokens: Count = identity(
        description="budget of the run; with the global batch it gives the number of steps"
    )
    sequence_length: Count = identity(description="tokens")
    global_batch_tokens: Count = identity(
        description="tokens of one step, to the nearest multiple of 64 sequences (a power of two below)"
    )
    learning_rate: Rate = identity(description="peak; 0.05x is a share of the base's peak")
    schedule: Schedule = identity(Schedule(), description="the learning rate over the run")
    weight_decay: NotNegative = identity(0.1, description="AdamW's; norms and biases have none")
    beta1: Beta = identity(0.9, description="AdamW's")
    beta2: Beta = identity(0.95, description="AdamW's")
    max_grad_norm: NotNegative = identity(1.0, description="0: no clipping")
    seed: Seed | None = identity(None, absent_means=None, description="default: the recipe's")
    # Identity, since it changes weights; `resolve_training` replaces `auto` by what the machine does before an id is made.
    precision: Literal["auto", "bf16", "fp16", "fp32"] = identity(
        "auto", description="of the computation; weights are always fp32"
    )
    checkpoints: Checkpoints = identity(
        Checkpoints(), description="when the state is committed, and what stays"
    )
    monitor: Monitor | None = identity(
        None, absent_means=None, description="held-out loss per source during the run; absent: not measured"
    )
    micro_batch_sequences: Annotated[int, Field(ge=0)] = circumstance(
        0, description="sequences of one forward pass; 0: chosen to fit"
    )
    engine: str = circumstance("single", description="single: one process")
    device: str = circumstance("auto", description="auto, cpu or cuda")

    @model_validator(mode="before")
    @classmethod
    def _later_keys(cls, tree: Any) -> Any:
        for key in tree if isinstance(tree, dict) else ():
            if key in NOT_THERE_YET["training"]:
                raise _refuse("training", str(key), "leave the key out")
        return tree

    @field_validator("engine")
    @classmethod
    def _single(cls, value: str) -> str:
        return check_engine(value)

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        return check_device(value)

    @model_validator(mode="after")
    def _sizes(self) -> Training:
        if self.sequence_length < 2 or self.global_batch_tokens < self.sequence_length:
            raise ValueError(
                f"global_batch_tokens {self.global_batch_tokens} must hold at least one sequence of {self.sequence_length} tokens (2 or more)"
            )
        if self.tokens < self.global_batch_tokens:
            raise ValueError(
                f"tokens {self.tokens} are less than one step of {self.global_batch_tokens}; raise tokens or lower global_batch_tokens"
            )
        if late := [count for count in self.checkpoints.milestones if count > self.tokens]:
            raise ValueError(
                f"checkpoints.milestones: {late[0]} tokens are beyond the run's {self.tokens} tokens"
            )
        return self


def resolve_training(training: Training, peak_learning_rate: float | None = None, seed: int = 0) -> Training:
    """Replace what depends on the base, the recipe or the machine by its value; resolving twice changes nothing.

    The learning rate becomes a number, `auto` precision and device what this machine does, the seed the recipe's. A run's
    id is made from the result. ConfigError: `0.05x` without a base peak, or fp16 without a GPU.
    """
    check_engine(training.engine)  # once more: a profile's value arrives without validation
    rate, device = training.learning_rate, resolve_device(training.device)
    if isinstance(rate, Multiple):
        if peak_learning_rate is None:
            raise ConfigError(
                f"training.learning_rate is {rate}, a share of the base's peak, but the base does not say its peak: give "
                "base_model.peak_learning_rate, or a plain learning rate such as 2e-5"
            )
        rate = float(f"{rate.factor * peak_learning_rate:.12g}")
    changes = {
        "learning_rate": rate,
        "precision": resolve_precision(training.precision, device),
        "device": device,
    }
    return training.model_copy(update=changes | {"seed": seed if training.seed is None else training.seed})


def resolve_precision(precision: str, device: str) -> str:
    """`auto` is bf16 on a GPU that computes it, else fp32."""
    if device == "cpu":
        if precision == "fp16":
            raise ConfigError("training.precision is fp16, which needs a GPU; write bf16, fp32 or auto")
        return "fp32" if precision == "auto" else precision
    if precision != "auto":
        return precision
    import torch

    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"


def check_engine(engine: str) -> str:
    """The only engine so far; another is refused by its name, never replaced."""
    if engine in NOT_THERE_YET["engine"]:
        raise _refuse("engine", engine, "write engine: single")
    if engine != "single":
        raise ConfigError(f"no engine {engine!r}; there is 'single'")
    return engine


def check_device(device: str) -> str:
    """A device that can be asked for; whether it is there, `resolve_device` finds."""
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"no device {device!r}; there are {one_of(['auto', 'cpu', 'cuda'])}")
    return device


def check_single_process() -> None:
    """One process, as the engine says: a launcher's environment would make the libraries do something else, silently."""
    world = os.environ.get("WORLD_SIZE", "1")
    if world != "1":
        raise ConfigError(
            f"WORLD_SIZE is {world}, but the engine single trains in one process; start without torchrun or accelerate launch"
        )
