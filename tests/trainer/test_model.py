from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_run import LENGTH, TINY, VOCABULARY, write_tokenizer
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, MambaConfig, MambaForCausalLM

from corpus.errors import ConfigError
from mixer.tokenizer import load_tokenizer
from trainer.model import Base, build_model, check_folder, check_packing, check_vocabulary, load_model


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder: Path) -> Any:
    return load_tokenizer(tokenizer_folder)


def weights(model: Any) -> dict[str, torch.Tensor]:
    return dict(model.state_dict())


def same(a: Any, b: Any) -> bool:
    return all(torch.equal(x, y) for x, y in zip(weights(a).values(), weights(b).values(), strict=True))


def test_a_seed_decides_the_first_weights_and_nothing_else_does(tokenizer: Any):
    base = Base(architecture=TINY)
    torch.manual_seed(1)
    first = build_model(base, tokenizer, LENGTH, seed=3)
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    again = build_model(base, tokenizer, LENGTH, seed=3)
    assert same(first, again)
    assert torch.equal(state, torch.random.get_rng_state()), "the global random state is left alone"
    assert not same(first, build_model(base, tokenizer, LENGTH, seed=4))


def test_an_architecture_becomes_that_llama(tokenizer: Any):
    config = build_model(Base(architecture=TINY), tokenizer, LENGTH, 0).config
    assert (config.model_type, config.hidden_size, config.vocab_size) == ("llama", 32, VOCABULARY)
    assert (config.max_position_embeddings, config.eos_token_id) == (LENGTH, 0)


def test_a_half_precision_folder_is_loaded_in_fp32(tmp_path: Path, model_folder: Path):
    AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.bfloat16).save_pretrained(
        tmp_path / "half"
    )
    model = load_model(tmp_path / "half")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_pickle_is_not_read(tmp_path: Path, model_folder: Path):
    folder = shutil.copytree(model_folder, tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    torch.save(load_model(model_folder).state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"no \.safetensors file"):
        load_model(folder)


def test_a_folder_with_missing_weights_is_refused(tmp_path: Path, model_folder: Path):
    model = load_model(model_folder)
    kept = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if "layers.1.mlp" not in name and name != "lm_head.weight"
    }
    model.save_pretrained(tmp_path / "part", state_dict=kept)
    with pytest.raises(ConfigError, match="lacks 3 weights"):
        load_model(tmp_path / "part")


def test_what_is_no_model_folder_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"config\.json"):
        load_model(tmp_path)


def test_a_tokenizer_larger_than_the_model_is_refused(tmp_path: Path, model_folder: Path):
    larger = load_tokenizer(write_tokenizer(tmp_path / "larger", words=99))
    with pytest.raises(ConfigError, match="100 tokens, the model embeds 61"):
        build_model(Base(folder=model_folder), larger, LENGTH, 0)
    with pytest.raises(ConfigError, match="Give the tokenizer that the model was trained with"):
        check_vocabulary(model_folder, larger)


def test_another_tokenizer_of_the_same_size_is_refused(tmp_path: Path, model_folder: Path, tokenizer: Any):
    folder = shutil.copytree(model_folder, tmp_path / "own")
    write_tokenizer(folder)
    build_model(Base(folder=folder), tokenizer, LENGTH, 0)
    check_vocabulary(folder, tokenizer)
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace('"w1"', '"other"'))
    with pytest.raises(ConfigError, match="1 of the tokenizer's 61 tokens"):
        build_model(Base(folder=folder), tokenizer, LENGTH, 0)
    with pytest.raises(ConfigError, match="1 of the tokenizer's 61 tokens"):
        check_vocabulary(folder, tokenizer)


def test_sequences_longer_than_the_model_are_refused(model_folder: Path, tokenizer: Any):
    with pytest.raises(ConfigError, match="has 64 positions"):
        build_model(Base(folder=model_folder), tokenizer, 65, 0)


def test_a_folder_s_identity_is_its_content(tmp_path: Path, model_folder: Path):
    moved = shutil.copytree(model_folder, tmp_path / "moved")
    assert Base(folder=moved, name="x").identity() == Base(folder=model_folder).identity()
    config = moved / "config.json"
    config.write_text(config.read_text().replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 1e-05'))
    assert Base(folder=moved).identity() != Base(folder=model_folder).identity()


def test_a_base_is_one_thing():
    with pytest.raises(ConfigError, match="either"):
        Base()


def test_a_model_without_positions_is_refused_before_it_is_loaded(tmp_path: Path, model_folder: Path):
    assert check_folder(model_folder) == []
    MambaForCausalLM(
        MambaConfig(vocab_size=61, hidden_size=16, num_hidden_layers=1, state_size=4)
    ).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="MambaForCausalLM takes no position_ids"):
        check_folder(tmp_path)


def test_packed_documents_stay_apart(model_folder: Path):
    assert check_packing(load_model(model_folder)) < 1e-5


def test_packed_documents_stay_apart_with_learned_positions():
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=61, n_embd=32, n_layer=2, n_head=2, n_positions=64, bos_token_id=0, eos_token_id=0
        )
    )
    assert check_packing(model) < 1e-5


def test_a_model_that_mixes_documents_is_refused(model_folder: Path, monkeypatch: pytest.MonkeyPatch):
    model = load_model(model_folder)
    forward = model.forward

    def masked(input_ids: Any, **kwargs: Any) -> Any:
        return forward(input_ids=input_ids, attention_mask=torch.ones_like(input_ids), **kwargs)

    monkeypatch.setattr(model, "forward", masked)
    with pytest.raises(ConfigError, match="mixes packed documents"):
        check_packing(model)
    monkeypatch.setattr(
        model,
        "forward",
        lambda input_ids, position_ids, use_cache: forward(input_ids=input_ids, use_cache=False),
    )
    with pytest.raises(ConfigError, match="mixes packed documents"):
        check_packing(model)
