"""What is wrong with a model folder is told in one sentence, without loading it, and the same when it is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpus.errors import ConfigError
from quality.language_model import load_causal_model
from quality.model_folder import hash_weights, outline_model


def small(name: str, **changes: Any) -> Any:
    """A random model of a named architecture."""
    import torch
    import transformers

    torch.manual_seed(0)
    sizes = {
        "vocab_size": 50,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    made: dict[str, Any] = {
        "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **changes)),
        "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=50, n_embd=32, n_layer=1, n_head=2)),
        "bare gpt2": lambda: transformers.GPT2Model(transformers.GPT2Config(vocab_size=50, n_embd=32, n_layer=1, n_head=2)),
        "mixtral": lambda: transformers.MixtralForCausalLM(
            transformers.MixtralConfig(**sizes, num_key_value_heads=2, num_local_experts=2)
        ),
        "bert": lambda: transformers.BertModel(transformers.BertConfig(**sizes)),
        "bert decoder": lambda: transformers.BertLMHeadModel(transformers.BertConfig(**sizes, is_decoder=True)),
        "t5": lambda: transformers.T5ForConditionalGeneration(
            transformers.T5Config(vocab_size=50, d_model=32, d_ff=48, d_kv=8, num_layers=1, num_heads=2)
        ),
    }  # fmt: skip
    return made[name]()


@pytest.fixture(scope="module")
def model() -> Any:
    return small("llama")


def change(file: str, **values: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return edit


def change_weights(edit: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(folder / "model.safetensors")
        edit(weights)
        save_file(weights, folder / "model.safetensors", {"format": "pt"})

    return rewrite


# ── what is a causal language model ──


@pytest.mark.parametrize("name", ["llama", "gpt2", "bare gpt2", "mixtral", "bert decoder"])
def test_the_outline_of_a_model_is_the_model_without_its_weights(name: str, tmp_path: Path) -> None:
    small(name).save_pretrained(tmp_path, max_shard_size="20KB")
    module, notes = outline_model(tmp_path)
    loaded = load_causal_model(tmp_path)
    assert notes == []
    assert {name: value.shape for name, value in module.state_dict().items()} == {
        name: value.shape for name, value in loaded.state_dict().items()
    }
    assert {str(value.device) for value in module.parameters()} == {"meta"}


@pytest.mark.parametrize(("name", "said"), [("bert", "BertModel"), ("t5", "T5ForConditionalGeneration")])
def test_a_model_that_reads_ahead_is_no_causal_language_model(name: str, said: str, tmp_path: Path) -> None:
    small(name).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=f"is no causal language model, but a {said}"):
        outline_model(tmp_path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (change("config.json", model_type="lama"), "knows no model_type 'lama'. Did you mean 'llama'?"),
        (change("config.json", model_type="own", auto_map={"AutoConfig": "own.C"}), "Tilth never runs code from a model folder"),
        (change("config.json", quantization_config={"quant_method": "gptq"}), "quantised weights"),
        (change("config.json", hidden_size=64), "lm_head.weight is [50, 32] in its files and [50, 64] by its config.json"),
        (change_weights(lambda weights: weights.pop("lm_head.weight")), "lacks 1 weight of its model, a LlamaForCausalLM: lm_head.weight"),
        (lambda folder: (folder / "model.safetensors").rename(folder / "other.safetensors"), "neither model.safetensors nor"),
    ],
    ids=["unknown", "own code", "quantised", "other sizes", "a weight too few", "other file"],
)  # fmt: skip
def test_what_makes_no_whole_model_is_told_in_a_line(
    model: Any, tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    model.save_pretrained(tmp_path)
    damage(tmp_path)
    for read in (outline_model, load_causal_model):
        with pytest.raises(ConfigError) as caught:
            read(tmp_path)
        assert said in str(caught.value)
        assert str(tmp_path) in str(caught.value)
        assert not any(word in str(caught.value) for word in ("trust_remote_code", "http", "pip ", "\n"))


def test_a_missing_shard_is_named(model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    lost = sorted(tmp_path.glob("*.safetensors"))[1]
    lost.unlink()
    with pytest.raises(ConfigError, match=f"lacks 1 of the .* files .*{lost.name}"):
        outline_model(tmp_path)


# ── what is told ──


def test_weights_that_the_model_does_not_have_are_told(model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    change_weights(
        lambda weights: weights.update({"model.layers.7.x": weights["model.norm.weight"].clone()})
    )(tmp_path)
    (note,) = outline_model(tmp_path).notes
    assert "1 weight" in note
    assert "model.layers.7.x" in note


def test_tied_embeddings_that_differ_are_told_and_left_apart(tmp_path: Path) -> None:
    small("llama").save_pretrained(tmp_path)
    change("config.json", tie_word_embeddings=True)(tmp_path)
    (note,) = outline_model(tmp_path).notes
    assert "lm_head.weight in its files is not model.embed_tokens.weight" in note
    loaded = load_causal_model(tmp_path)
    assert loaded.lm_head.weight.data_ptr() != loaded.model.embed_tokens.weight.data_ptr()
    loaded.save_pretrained(tmp_path / "again")
    again = load_causal_model(tmp_path / "again")
    assert again.lm_head.weight.equal(loaded.lm_head.weight)
    assert again.model.embed_tokens.weight.equal(loaded.model.embed_tokens.weight)


def test_tied_embeddings_that_are_written_twice_are_one(tmp_path: Path) -> None:
    small("llama", tie_word_embeddings=True).save_pretrained(tmp_path)
    assert outline_model(tmp_path).notes == []
    change_weights(
        lambda weights: weights.update({"lm_head.weight": weights["model.embed_tokens.weight"].clone()})
    )(tmp_path)
    assert outline_model(tmp_path).notes == []


def test_code_of_a_model_that_transformers_knows_is_told_and_not_run(model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    change("config.json", auto_map={"AutoModelForCausalLM": "own.Model"})(tmp_path)
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (note,) = outline_model(tmp_path).notes
    assert "Tilth never runs" in note
    load_causal_model(tmp_path)
    assert not (tmp_path / "ran").exists()


# ── its files ──


def test_weights_hash_follows_the_bytes_of_every_shard(model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "one")
    model.save_pretrained(tmp_path / "many", max_shard_size="20KB")
    whole, shards = hash_weights(tmp_path / "one"), hash_weights(tmp_path / "many")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 1
    assert whole != shards
    shard = sorted((tmp_path / "many").glob("*.safetensors"))[-1]
    shard.write_bytes(shard.read_bytes() + b" ")
    assert hash_weights(tmp_path / "many") != shards


@pytest.mark.parametrize("content", [None, "{}", '{"model_type": "llama"}'])
def test_a_folder_without_a_model_is_a_clear_error(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ConfigError, match=str(tmp_path)):
        outline_model(tmp_path)
    with pytest.raises(ConfigError):
        hash_weights(tmp_path)


def cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def lose_a_layer(folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_hidden_layers": 3}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_short, "is damaged"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"junk!"), "is damaged"),
        (lambda folder: (folder / "config.json").write_text("[1]"), "holds a list, not a mapping"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "llama", "hidden_size": "x"}'), "no config of a llama"),
        (lose_a_layer, "lacks 9 weights"),
    ],
    ids=["cut short", "no safetensors", "list", "text for a number", "a layer too few"],
)  # fmt: skip
def test_a_damaged_folder_is_a_clear_error(
    model: Any,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    damage: Callable[[Path], object],
    said: str,
) -> None:
    model.save_pretrained(tmp_path)
    damage(tmp_path)
    capfd.readouterr()
    with pytest.raises(ConfigError, match=said) as caught:
        outline_model(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert capfd.readouterr() == ("", ""), "the error says it all"
