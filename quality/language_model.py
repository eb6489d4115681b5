"""The door to causal language models that score text: token ids in, one negative log-likelihood per token out.

Perplexity, the scorer, the monitor and DoReMi share it, so a number means the same everywhere. It covers neither training
(`trainer/model.py`) nor tokenizers (`mixer/tokenizer.py`). torch and transformers load on first use, not on import.

**Windowing.** The stream of a document is its prefix token and its tokens. The prefix is BOS where the tokenizer has one, the
state that training learns first tokens from. Else it is EOS, the field's standard (lm-eval): most models without BOS were
trained on documents in a row and know it so; training here leaves that state alone, since documents are kept apart.
The model reads at most `window` tokens at once. The first window predicts up to `window` tokens; each later one predicts
the next `stride` tokens and reads back as far as `window` reaches. So every token is scored exactly once, and from the
second window on with at least `window - stride + 1` tokens of context. The prefix stands before the first window only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.errors import ConfigError, one_of
from quality.model_folder import outline_model

Progress = Callable[[int, int], None]  # tokens scored, tokens in all
# float32 logits held at once. [CPU, 7 M parameters, 8,000 tokens: 4,150 tokens/s with 2^22 of them, 2,500 with 2^26.]
MAX_LOGITS = {"cpu": 1 << 22, "other": 1 << 27}
MAX_BATCH_TOKENS = 16_384
DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class LanguageModel:
    """A causal model ready to score: the torch module, where it runs, and the limits a caller must respect."""

    module: Any
    device: str
    vocab_size: int
    max_positions: int | None
    keeps_logits: bool  # its forward can leave out the logits of tokens that are context only


def load_language_model(folder: Path | str, device: str = "cpu", dtype: str = "float32") -> LanguageModel:
    """A local Hugging Face folder as a scoring model; never runs code from it and never reaches the network.

    `device`: `cpu`, `cuda`, `cuda:1` or `auto` (the accelerator where there is one). Raises ConfigError when the folder
    holds no model that transformers can read from safetensors.
    """
    device = resolve_device(device)
    return wrap_language_model(load_causal_model(Path(folder), dtype).to(device))


def load_causal_model(folder: Path, dtype: str = "float32") -> Any:
    """A Hugging Face folder as a torch module on the CPU: safetensors only, no code from it, no network, no weight left to chance."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    if dtype not in DTYPES:
        raise ConfigError(f"dtype {dtype!r} is not one of {one_of(DTYPES)}")
    outline_model(folder)  # refuses with a reason what transformers would load in part, or explain at length
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, dtype), local_files_only=True, trust_remote_code=False, use_safetensors=True, output_loading_info=True
        )  # fmt: skip
    except (
        Exception
    ) as error:  # a damaged folder fails in many ways, as safetensors' own errors and as TypeError
        raise ConfigError(f"cannot load a causal language model from {folder}: {error}") from error
    if lost := [*report["missing_keys"], *report["mismatched_keys"]]:
        raise ConfigError(f"{folder} lacks {len(lost)} weights of its model; they would start at random")
    return model


def resolve_device(device: str) -> str:
    """`auto` is `cuda` where torch can use one; torch is asked only where there could be one. ConfigError: a GPU that is not there."""
    if device == "cpu" or not any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")):
        found = False
    else:
        import torch

        found = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if found else "cpu"
    if device != "cpu" and not found:
        raise ConfigError(f"the device is {device}, but torch finds no GPU here; write device: auto or cpu")
    return device


def wrap_language_model(module: Any) -> LanguageModel:
    """A torch module that is already in memory (a model in training, say) as a scoring model on its own device."""
    config = module.config
    return LanguageModel(
        module=module,
        device=str(next(module.parameters()).device),
        vocab_size=int(config.vocab_size),
        max_positions=getattr(config, "max_position_embeddings", None),
        keeps_logits="logits_to_keep" in inspect.signature(module.forward).parameters,
    )


def score_tokens(
    model: LanguageModel,
    sequences: Sequence[NDArray[Any]],
    window: int,
    stride: int | None = None,
    *,
    prefix_id: int,
    starts: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> list[NDArray[np.float32]]:
    """Negative log-likelihood in nats of every token, one float32 array per sequence of token ids (special tokens left out).

    `starts[i]` leaves the first tokens of sequence i unscored: they are context, cut from the left where the window ends.
    The result does not depend on the order or company of the sequences beyond rounding of the last float32 bits.
    `stride` is half the window where it is not given. Raises ConfigError for a window the model cannot read.
    """
    stride = max(1, window // 2) if stride is None else stride
    _check_window(model, window, stride)
    first = [0] * len(sequences) if starts is None else list(starts)
    streams = [
        np.concatenate(([prefix_id], np.asarray(ids, dtype=np.int64))).astype(np.int64) for ids in sequences
    ]
    _check_ids(model, streams)
    scores = [
        np.zeros(max(0, len(stream) - 1 - start), dtype=np.float32)
        for stream, start in zip(streams, first, strict=True)
    ]
    windows = [
        w for i, stream in enumerate(streams) for w in _cut(i, len(stream) - 1, first[i] + 1, window, stride)
    ]
    total, done = sum(len(score) for score in scores), 0
    with _scoring(model.module):
        for batch in _batches(windows, model):
            for one, nll in zip(batch, _score_batch(model, streams, batch), strict=True):
                offset = one.first - 1 - first[one.sequence]
                scores[one.sequence][offset : offset + len(nll)] = nll
                done += len(nll)
            if progress is not None:
                progress(done, total)
    return scores


def score_continuations(
    model: LanguageModel,
    contexts: Sequence[NDArray[Any]],
    continuations: Sequence[Sequence[NDArray[Any]]],
    window: int,
    *,
    prefix_id: int,
    progress: Progress | None = None,
) -> list[list[NDArray[np.float32]]]:
    """Nats of every token of several continuations of each context, as `score_tokens` with `starts` gives them.

    The context is read once for all its continuations [4 choices after 220 tokens: a third of the work]. It is cut from
    the left so that the longest continuation fits the window, hence all continuations see the same context.
    """
    _check_window(model, window, 1)
    heads = [
        np.concatenate(([prefix_id], np.asarray(ids, dtype=np.int64))).astype(np.int64) for ids in contexts
    ]
    _check_ids(model, [*heads, *(np.asarray(ids) for group in continuations for ids in group if len(ids))])
    total, done = sum(len(ids) for group in continuations for ids in group), 0
    found = []
    for head, group in zip(heads, continuations, strict=True):
        with _scoring(model.module):
            scores = _score_group(model, head, group, window)
        if scores is None:
            wholes = [np.concatenate((head[1:], ids)) for ids in group]
            starts = [len(head) - 1] * len(group)
            scores = score_tokens(model, wholes, window, window, prefix_id=prefix_id, starts=starts)
        found.append(scores)
        done += sum(map(len, scores))
        if progress is not None:
            progress(done, total)
    return found


def _score_group(
    model: LanguageModel, head: NDArray[np.int64], group: Sequence[NDArray[Any]], window: int
) -> list[NDArray[np.float32]] | None:
    """One context and its continuations; None where the model or the lengths do not allow to share the context."""
    import torch

    lengths = [len(ids) for ids in group]
    if not lengths or min(lengths) < 1 or max(lengths) > window:
        return None
    context = torch.from_numpy(head[-(window - max(lengths) + 1) :].copy()).to(model.device)
    options = {"logits_to_keep": 1} if model.keeps_logits else {}
    read = model.module(input_ids=context[None], use_cache=True, **options)
    cache = getattr(read, "past_key_values", None)
    if cache is None or not hasattr(cache, "batch_repeat_interleave"):
        return None
    targets = np.zeros((len(group), max(lengths)), dtype=np.int64)
    for row, ids in enumerate(group):
        targets[row, : len(ids)] = ids
    wanted = torch.from_numpy(targets).to(model.device)
    logits = read.logits[:, -1:].float().expand(len(group), -1, -1)
    if max(lengths) > 1:
        cache.batch_repeat_interleave(len(group))
        rest = model.module(input_ids=wanted[:, :-1], past_key_values=cache, use_cache=True).logits.float()
        logits = torch.cat([logits, rest], dim=1)
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none")
    nll = losses.view(wanted.shape).cpu().numpy()
    return [nll[row, :length] for row, length in enumerate(lengths)]


class _Window(NamedTuple):
    """Inputs [begin, last) of a stream predict its positions [first, last]."""

    sequence: int
    begin: int
    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.begin


def _cut(sequence: int, last_target: int, first_target: int, window: int, stride: int) -> Iterator[_Window]:
    """The windows of one stream; see the module's docstring for the rule."""
    first = first_target
    while first <= last_target:
        last = min(first + (window if first == 1 else stride) - 1, last_target)
        yield _Window(sequence, max(0, last - window), first, last)
        first = last + 1


def _batches(windows: list[_Window], model: LanguageModel) -> Iterator[list[_Window]]:
    """Windows of near-equal length together, longest first, so that what does not fit fails at once."""
    ordered = sorted(windows, key=lambda w: (-w.length, w.sequence, w.first))
    most = MAX_LOGITS["cpu" if model.device == "cpu" else "other"]
    budget = min(MAX_BATCH_TOKENS, max(1, most // model.vocab_size))
    start = 0
    while start < len(ordered):
        rows = max(1, budget // ordered[start].length)
        yield ordered[start : start + rows]
        start += rows


def _score_batch(
    model: LanguageModel, streams: list[NDArray[np.int64]], batch: list[_Window]
) -> list[NDArray[np.float32]]:
    import torch

    width = max(one.length for one in batch)
    keep_from = min(one.first - 1 - one.begin for one in batch) if model.keeps_logits else 0
    inputs, targets = np.zeros((2, len(batch), width), dtype=np.int64)
    for row, one in enumerate(batch):
        inputs[row, : one.length] = streams[one.sequence][one.begin : one.last]
        targets[row, : one.length] = streams[one.sequence][one.begin + 1 : one.last + 1]
    # Padded on the right, so nothing reads the padding. The mask is given only then: an all-ones mask and a cache each
    # switch off transformers' detection of packed documents, a trap that the training side meets.
    options: dict[str, Any] = {"use_cache": False}
    if any(one.length < width for one in batch):
        lengths = np.array([one.length for one in batch])
        options["attention_mask"] = torch.from_numpy(
            (np.arange(width) < lengths[:, None]).astype(np.int64)
        ).to(model.device)
    if keep_from:
        options["logits_to_keep"] = width - keep_from
    logits = model.module(input_ids=torch.from_numpy(inputs).to(model.device), **options).logits
    wanted = torch.from_numpy(targets[:, keep_from:].copy()).to(model.device)
    losses = torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), wanted.flatten(), reduction="none"
    )
    nll = losses.view(wanted.shape).cpu().numpy()
    return [
        nll[row, one.first - 1 - one.begin - keep_from : one.length - keep_from]
        for row, one in enumerate(batch)
    ]


@contextmanager
def _scoring(module: Any) -> Iterator[None]:
    """Inference mode without dropout; a model in training is handed back in training."""
    import torch

    training = module.training
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        module.train(training)


def _check_window(model: LanguageModel, window: int, stride: int) -> None:
    if model.max_positions is not None and window > model.max_positions:
        raise ConfigError(
            f"a window of {window} tokens is longer than the model's {model.max_positions} positions; give at most that"
        )
    if not 1 <= stride <= window:
        raise ConfigError(
            f"a stride of {stride} does not fit a window of {window} tokens; give 1 to {window}"
        )


def _check_ids(model: LanguageModel, streams: list[NDArray[np.int64]]) -> None:
    top = max((int(stream.max()) for stream in streams), default=0)
    low = min((int(stream.min()) for stream in streams), default=0)
    if top >= model.vocab_size or low < 0:
        raise ConfigError(
            f"token id {top if top >= model.vocab_size else low} does not exist in a model of {model.vocab_size} tokens: "
            "the tokenizer is not this model's"
        )
