"""The door to the model that is trained: made from an architecture, or loaded from a local folder, in fp32 either way.

Half-precision weights stand still: of a bf16 checkpoint trained at 1e-5, 85 % never moved. So weights are fp32 and only
the computation is cast. It also asks every model once whether packed documents stay apart. Scoring text has its own
door (`quality.language_model`). torch and transformers load on first use, not on import.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import Any

from corpus.errors import ConfigError
from corpus.fingerprint import fingerprint
from mixer.tokenizer import Tokenizer, load_tokenizer
from quality.language_model import load_causal_model
from quality.model_folder import hash_weights, outline_model, read_model_config
from trainer.config import Architecture

# Where a config was saved and by what; neither changes the model.
_CIRCUMSTANCE = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache")
_PACKING_TOLERANCE = (
    1e-4  # of the largest logit, fp32; separate documents differ by 1e-6, mixed ones by 1e-2 or more
)


@dataclass(frozen=True)
class Base:
    """Where a run's first weights come from: an architecture to initialise, or a Hugging Face folder to load."""

    architecture: Architecture | None = None
    folder: Path | None = None
    name: str = ""  # what people call it; never part of an id

    def __post_init__(self) -> None:
        if (self.architecture is None) == (self.folder is None):
            raise ConfigError(
                "a base is either an architecture to train from scratch or the folder of a model"
            )

    @cached_property
    def _identity(self) -> dict[str, Any]:
        if self.folder is None:
            assert self.architecture is not None
            return {"architecture": self.architecture.identity()}
        return {"weights_sha256": hash_weights(self.folder), "config": config_fingerprint(self.folder)}

    def identity(self) -> dict[str, Any]:
        """What decides the first weights, whatever the folder is called: the architecture, or the content of the folder."""
        return dict(self._identity)


def config_fingerprint(folder: Path) -> str:
    """What of a folder's config.json decides the model."""
    config = read_model_config(folder)
    return fingerprint({name: value for name, value in config.items() if name not in _CIRCUMSTANCE})


def check_vocabulary(folder: Path, tokenizer: Tokenizer) -> None:
    """ConfigError where the tokenizer is not that of a folder's model; told by its files in milliseconds."""
    rows = read_model_config(folder).get("vocab_size")
    if isinstance(rows, int):
        _check_rows(rows, tokenizer)
    _check_own_tokenizer(folder, tokenizer)


def check_folder(folder: Path) -> list[str]:
    """Whether training can start from a folder, as far as can be known without its weights; ConfigError otherwise.

    Returns what the operator should know of it. That packed documents stay apart, `check_packing` asks the loaded model.
    """
    outline = outline_model(folder)
    if "position_ids" not in signature(outline.module.forward).parameters:
        raise ConfigError(
            f"{folder}: {type(outline.module).__name__} takes no position_ids, so documents that are packed into one sequence would mix. "
            "Give a model whose attention follows positions."
        )
    return outline.notes


def build_model(base: Base, tokenizer: Tokenizer, sequence_length: int, seed: int) -> Any:
    """The model that a run starts from, fp32, on the CPU; ConfigError where it does not fit the tokenizer or the sequences."""
    if base.folder is not None:
        model = load_model(base.folder)
        _check_own_tokenizer(base.folder, tokenizer)
    else:
        assert base.architecture is not None
        model = _init_llama(base.architecture, tokenizer, sequence_length, seed)
    check_model(model, tokenizer, sequence_length)
    return model


def load_model(folder: Path) -> Any:
    """A Hugging Face folder as an fp32 model, complete or not at all."""
    return load_causal_model(folder, "float32")


def check_model(model: Any, tokenizer: Tokenizer, sequence_length: int) -> None:
    """ConfigError unless the model has a row for every token and a position for every place of a sequence."""
    _check_rows(int(model.get_input_embeddings().weight.shape[0]), tokenizer)
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and sequence_length > positions:
        raise ConfigError(
            f"training.sequence_length is {sequence_length}, the model has {positions} positions; give at most that"
        )


def forward_logits(model: Any, input_ids: Any, position_ids: Any) -> Any:
    """Logits (B, L, V) of packed sequences, as training computes them.

    No attention mask and no cache: with either, transformers no longer sees where the positions start again, and packed
    documents read each other, silently.
    """
    return model(input_ids=input_ids, position_ids=position_ids, use_cache=False).logits


def check_packing(model: Any) -> float:
    """Does document B change when the document A packed before it changes? Returns the largest difference of B's logits.

    Relative to the largest logit, in fp32, in the model's own device and attention implementation. ConfigError where
    documents mix: such a model would learn from text that its sequence happens to hold.
    """
    import torch

    device = next(model.parameters()).device
    top = min(int(model.config.vocab_size), 1000)
    generator = torch.Generator().manual_seed(0)
    first = torch.randint(0, top, (2, 7), generator=generator)
    second = torch.randint(0, top, (1, 6), generator=generator).expand(2, -1)
    first[1] = (first[0] + 1) % top  # every token of A differs, so that a model of any size shows it
    ids = torch.cat([first, second], 1).to(device)
    positions = torch.cat([torch.arange(7), torch.arange(6)]).expand(2, -1).to(device)
    training = model.training
    model.eval()
    with torch.no_grad():
        logits = forward_logits(model, ids, positions)[:, 7:].float()
    model.train(training)
    difference = float((logits[0] - logits[1]).abs().max() / logits.abs().max().clamp_min(1e-12))
    if not difference <= _PACKING_TOLERANCE:
        raise ConfigError(
            f"{type(model).__name__} mixes packed documents: logits of a document changed by {difference:.1%} when the one before it "
            "changed. Its attention ignores position_ids; such a model cannot be trained on packed sequences here."
        )
    return difference


def count_parameters(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _init_llama(architecture: Architecture, tokenizer: Tokenizer, sequence_length: int, seed: int) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=architecture.hidden_size,
        intermediate_size=architecture.intermediate_size,
        num_hidden_layers=architecture.num_hidden_layers,
        num_attention_heads=architecture.num_attention_heads,
        num_key_value_heads=architecture.num_key_value_heads or architecture.num_attention_heads,
        max_position_embeddings=architecture.max_position_embeddings or sequence_length,
        tie_word_embeddings=architecture.tie_word_embeddings,
        bos_token_id=tokenizer.bos_id,
        eos_token_id=tokenizer.eos_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).float()


def _check_rows(rows: int, tokenizer: Tokenizer) -> None:
    if rows < tokenizer.vocab_size:
        raise ConfigError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, the model embeds {rows}: they do not belong together. "
            "Give the tokenizer that the model was trained with."
        )


def _check_own_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """A model folder that brings a tokenizer must bring this one: equal sizes hide that ids mean other words."""
    if not (folder / "tokenizer.json").is_file():
        return
    own, given = (found.encoder.get_vocab() for found in (load_tokenizer(folder), tokenizer))
    differing = sum(own.get(token) != number for token, number in given.items())
    if differing:
        raise ConfigError(
            f"{differing} of the tokenizer's {len(given)} tokens have another id, or none, in the base's own tokenizer ({folder}): "
            "the model would read other words than the text says. Use tokenizer: base_model."
        )
