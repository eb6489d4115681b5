"""A model folder to start from is looked at before any work, and with transformers only until a run has started from it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import trainer.model
from app.profile import Profile
from app.reach import check_base
from app.recipe import load_recipe
from mixer.tokenizer import train_bpe
from tests.app.command import refused, tilth
from tests.app.small_lake import PROSE, write_corpus
from trainer.model import config_fingerprint


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small corpus with a recipe that goes on from the folder `model` beside it."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    vocabulary = train_bpe(iter([PROSE]), 300, folder / "model").vocab_size
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder / "model")
    return folder


def change_config(**values: object) -> Callable[[Path], object]:
    def edit(model: Path) -> None:
        path = model / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return edit


def another_tokenizer(model: Path) -> None:
    train_bpe(iter([PROSE]), 310, model)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (change_config(num_hidden_layers=2), "lacks 9 weights"),
        (change_config(model_type="own", auto_map={}), "never runs code"),
        (another_tokenizer, "they do not belong together"),
    ],
    ids=["weights", "code", "tokenizer"],
)
def test_a_base_that_cannot_be_trained_is_refused_before_any_work(
    corpus: Path, tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(shutil.copytree(corpus / "model", tmp_path / "model"))
    base = f"base_model={{path: {tmp_path / 'model'}, peak_learning_rate: 1e-3}}"
    sets = ["--set", base, "--set", "tokenizer=base_model"]
    refused(tilth("train", corpus / "recipe.yaml", "--lake", tmp_path / "lake", *sets), said)
    assert not (tmp_path / "lake").exists()


def test_once_a_run_has_started_from_it_transformers_is_not_asked_again(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = f"base_model={{path: {corpus / 'model'}, peak_learning_rate: 1e-3}}"
    loaded = load_recipe(corpus / "recipe.yaml", [base, "tokenizer=base_model"])
    path, run = str(corpus / "model"), tmp_path / "runs" / ("0" * 64)
    monkeypatch.setattr(trainer.model, "check_folder", lambda folder: [f"{folder} was asked"])

    def asked() -> bool:
        return bool(check_base(loaded, path, Profile(lake=str(tmp_path))))

    run.mkdir(parents=True)
    started = {"base": path, "identity": {"base": {"config": config_fingerprint(corpus / "model")}}}
    (run / "lineage.json").write_text(json.dumps(started))
    assert asked(), "it has a name in the lake, but loaded no weights yet"
    (run / "status.json").write_text(json.dumps({"status": "running", "attempt": 1}))
    assert not asked()
    (run / "lineage.json").write_text(json.dumps(started | {"base": "another"}))
    assert asked()
