"""A Hugging Face model folder: what its files say, and whether a causal language model comes of them, without loading it.

Loading one to score is `quality.language_model`, to train `trainer.model`; both ask here first. No code in a folder is ever
run and the network is never reached. torch and transformers load on first use, not on import.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from corpus.errors import ConfigError, did_you_mean

_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"


class Outline(NamedTuple):
    """The model of a folder with shapes but no weights (on torch's meta device), and what its operator should know."""

    module: Any
    notes: list[str]


def read_model_config(folder: Path) -> dict[str, Any]:
    """The config.json of a Hugging Face model; ConfigError where there is none that holds a mapping."""
    try:
        tree = json.loads((folder / "config.json").read_text("utf-8"))
        if not isinstance(tree, dict):
            raise ValueError(f"it holds a {type(tree).__name__}, not a mapping")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{folder} holds no readable config.json ({error}); give the folder of a Hugging Face model, such as a run's export/"
        ) from error
    return tree


def read_max_positions(folder: Path) -> int | None:
    """How many positions the model of a folder has, without loading it; None where its config sets no bound."""
    config = read_model_config(folder)
    found = config.get("max_position_embeddings", config.get("n_positions"))
    return found if isinstance(found, int) else None


def check_weights(folder: Path) -> None:
    """Whether a model folder's weights are there and whole, as their headers say; loads none. ConfigError otherwise."""
    from safetensors import SafetensorError, safe_open

    for file in {*_weight_files(folder), *_loaded_files(folder)}:
        try:
            with safe_open(file, framework="numpy"):
                pass
        except (OSError, SafetensorError) as error:
            raise ConfigError(f"{file} is damaged ({error}); copy the model's folder again") from error


def hash_weights(folder: Path | str) -> str:
    """SHA-256 of a model folder's safetensors: of the one file, or of the sorted `name sha256` lines of its shards."""
    files = _weight_files(Path(folder))
    hashes = []
    for file in files:
        with file.open("rb") as opened:
            hashes.append(hashlib.file_digest(opened, "sha256").hexdigest())
    if len(files) == 1:
        return hashes[0]
    lines = "".join(f"{file.name} {digest}\n" for file, digest in zip(files, hashes, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def outline_model(folder: Path) -> Outline:
    """The model that loading a folder would make, complete; ConfigError, in one sentence, where it would not be one.

    transformers itself matches the names and shapes in the files' headers with the architecture that config.json asks for,
    so renamed, fused and tied weights are judged as loading judges them. It takes the seconds of importing transformers.
    """
    tree = read_model_config(folder)
    check_weights(folder)
    config, model_class = _architecture(folder, tree)
    shapes = _weight_shapes(folder)
    try:
        module, report = _match(model_class, config, shapes)
    except Exception as error:  # what config.json holds fails in many ways, as TypeError and KeyError too
        raise ConfigError(
            f"cannot make a {model_class.__name__} as {folder / 'config.json'} describes it: {_first_line(error)}"
        ) from error
    name = type(module).__name__
    if mismatched := sorted(report["mismatched_keys"], key=lambda one: str(one[0])):
        key, found, wanted = mismatched[0]
        raise ConfigError(
            f"{folder}: {key} is {list(found)} in its files and {list(wanted)} by its config.json ({_counted(mismatched)} of this {name} in all). Give the config.json and the weights of one model."
        )
    if lost := sorted(report["missing_keys"]):
        raise ConfigError(
            f"{folder} lacks {_counted(lost)} of its model, a {name}: {_some(lost)}. A model in part would start at random there; give a "
            "complete folder."
        )
    return Outline(module, _notes(folder, module, report, shapes))


def _architecture(folder: Path, tree: dict[str, Any]) -> tuple[Any, Any]:
    """The config and the class of transformers that make a folder's model; ConfigError where there is no such class."""
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    kind = tree.get("model_type")
    if not isinstance(kind, str):
        raise ConfigError(f"{folder / 'config.json'} names no model_type; give the folder of a whole model")
    if kind not in CONFIG_MAPPING_NAMES:
        library = f"transformers {transformers.__version__} knows no model_type {kind!r}"
        if "auto_map" in tree:
            raise ConfigError(
                f"{folder} needs the code that it brings (auto_map in its config.json), and Tilth never runs code from a model folder; "
                f"{library}. Give a model of an architecture that it has."
            )
        raise ConfigError(f"{folder}: {library}.{did_you_mean(kind, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)}")
    if tree.get("quantization_config"):
        raise ConfigError(
            f"{folder} holds quantised weights (quantization_config in its config.json); give the model as it was before quantisation"
        )
    try:
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # a value of the wrong type fails in many ways
        raise ConfigError(
            f"{folder / 'config.json'} is no config of a {kind}: {_first_line(error)}"
        ) from error
    reads_ahead = getattr(config, "is_encoder_decoder", False) or (
        kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES
        and not (getattr(config, "is_decoder", False) or getattr(config, "causal", False))
    )
    if reads_ahead or type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        named = next(iter(tree.get("architectures") or []), kind)
        raise ConfigError(
            f"{folder} is no causal language model, but a {named}; give a model that predicts the next token"
        )
    found = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    found = found[0] if isinstance(found, (tuple, list)) else found
    if getattr(found, "config_class", None) is config.sub_configs.get("text_config", config):
        config = (
            config.get_text_config()
        )  # of a model that reads more than text, as AutoModelForCausalLM takes it
    return config, found


def _match(model_class: Any, config: Any, shapes: dict[str, list[int]]) -> tuple[Any, dict[str, Any]]:
    """The model on the meta device, and what transformers says of weights with these shapes."""
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what it would list stands in the report
    weights = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    module, report = model_class.from_pretrained(
        None,
        config=config,
        state_dict=weights,
        device_map="meta",
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    return module, report


def _notes(folder: Path, module: Any, report: dict[str, Any], shapes: dict[str, list[int]]) -> list[str]:
    notes = []
    if extra := sorted(report["unexpected_keys"]):
        notes.append(
            f"{folder}: {_counted(extra)} in its files that a {type(module).__name__} does not have, left out: {_some(extra)}"
        )
    if "auto_map" in read_model_config(folder):
        notes.append(
            f"{folder} brings code (auto_map in its config.json), which Tilth never runs: its model is transformers' {type(module).__name__}"
        )
    if getattr(module.config, "tie_word_embeddings", False):
        for head, embedding in (getattr(module, "_tied_weights_keys", None) or {}).items():
            if (
                head in shapes
                and embedding in shapes
                and not _equal(_read(folder, head), _read(folder, embedding))
            ):
                notes.append(
                    f"{folder}: its config.json ties the embeddings (tie_word_embeddings), but {head} in its files is not {embedding}; "
                    "transformers leaves them apart, and so are they trained"
                )
    return notes


# ── files ──


def _weight_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ConfigError(f"{folder} holds no .safetensors file: give the folder of a Hugging Face model")
    return files


def _loaded_files(folder: Path) -> list[Path]:
    """The files that transformers loads: the whole model's one, else the shards that the index names."""
    if (folder / _WHOLE).is_file():
        return [folder / _WHOLE]
    if not (folder / _INDEX).is_file():
        raise ConfigError(
            f"{folder} holds neither {_WHOLE} nor {_INDEX}; give the folder of a whole Hugging Face model"
        )
    try:
        names = sorted(set(json.loads((folder / _INDEX).read_text("utf-8"))["weight_map"].values()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(f"{folder / _INDEX} is damaged ({error}); copy the model's folder again") from error
    if lost := [name for name in names if not (folder / name).is_file()]:
        raise ConfigError(
            f"{folder} lacks {len(lost)} of the {len(names)} files that its {_INDEX} names: {_some(lost)}. "
            "Copy the model's folder again."
        )
    return [folder / name for name in names]


def _weight_shapes(folder: Path) -> dict[str, list[int]]:
    """By name, the shape of every weight that would be loaded."""
    from safetensors import safe_open

    found = {}
    for file in _loaded_files(folder):
        with safe_open(file, framework="numpy") as opened:
            found.update({name: list(opened.get_slice(name).get_shape()) for name in opened.keys()})  # noqa: SIM118 - no mapping
    return found


def _read(folder: Path, name: str) -> Any:
    from safetensors import safe_open

    for file in _loaded_files(folder):
        with safe_open(file, framework="pt") as opened:
            if name in opened.keys():  # noqa: SIM118 - no mapping
                return opened.get_tensor(name)
    raise AssertionError(f"{name} was in a header")


def _equal(first: Any, second: Any) -> bool:
    import torch

    return torch.equal(first, second)


def _counted(names: list[Any]) -> str:
    return "1 weight" if len(names) == 1 else f"{len(names)} weights"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
