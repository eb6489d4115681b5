"""What a recipe's runs become: their base, seeds, devices and lengths, and what happens when one of them breaks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from app.origin import read_origin
from app.planned import planned_runs, scratch_architecture
from app.profile import Profile
from app.queries import run_lineage
from app.recipe import LoadedRecipe, load_recipe
from corpus import names
from corpus.errors import ConfigError
from tests.app.command import refused, tilth
from tests.app.small_lake import copy_lake
from trainer import config
from trainer.run_folder import write_status


def load(corpus: Path, *sets: str) -> LoadedRecipe:
    return load_recipe(corpus / "recipe.yaml", sets)


def planned(loaded: LoadedRecipe, device: str = "cpu") -> dict[str, Any]:
    return {
        name: run.training
        for name, run in planned_runs(loaded, loaded.runs(), Profile(device=device)).items()
    }


# ── which steps were taken ──


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": "stopped", "last_step": 2}, "has the steps 1 to 2; there is no step 3"),
        ({"status": "done", "last_step": 4}, ""),
        ({"status": "interrupted", "last_step": 2}, "planned: the run has not taken this step yet"),
    ],
)
def test_lineage_tells_steps_that_a_run_took_from_those_it_did_not(
    small_lake: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    lake = copy_lake(small_lake, tmp_path)
    folder = lake.runs / names.resolve(lake, "small/replay-30", "run").id
    write_status(folder, **changes)
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["step"] <= changes["last_step"]]
    (folder / "metrics.jsonl").write_text("".join(kept), "utf-8")
    found = tilth("lineage", "small/replay-30/3", "--lake", lake.root)
    assert found.code == (2 if changes["status"] == "stopped" else 0)
    assert (said in found.out + found.err) if said else "planned" not in found.out
    assert "planned" not in tilth("lineage", "small/replay-30/2", "--lake", lake.root).out


# ── what is planned ──


def test_a_base_reads_the_training_as_it_is_written(corpus: Path) -> None:
    """A share of 100% is 1.0 once it is read, and a 1 that is read again is one token."""
    loaded = load(corpus, "training.schedule={type: wsd, warmup: 0%, decay: 100%}")
    schedules = [training.schedule for training in planned(loaded).values()]
    assert [(type(found.decay), found.decay) for found in schedules] == [(float, 1.0)] * 3


@pytest.mark.parametrize("key", ["tokens", "learning_rate"])
def test_what_a_base_has_a_key_for_stands_there_alone(corpus: Path, key: str) -> None:
    """What `0.5x` of a run refers to is the rate that the base was trained with."""
    with pytest.raises(ConfigError, match=rf"base_model\.scratch\.{key}, and nowhere else"):
        load(corpus, f"base_model.scratch.training={{{key}: 0.01}}")


def test_a_base_takes_its_own_keys_and_neither_monitor_nor_milestones(corpus: Path) -> None:
    loaded = load(
        corpus,
        "base_model.scratch.training={weight_decay: 0, schedule.floor: 50%}",
        "training.checkpoints.milestones=[2048]",
        "base_model.scratch.tokens=1024",
    )
    base, run = planned(loaded)["base"], planned(loaded)["replay-30"]
    assert (base.tokens, base.learning_rate, base.weight_decay, base.schedule.floor) == (1024, 1e-2, 0, 0.5)
    assert (base.monitor, base.checkpoints.milestones) == (None, [])
    assert (run.tokens, run.learning_rate, run.weight_decay, run.schedule.floor) == (2048, 5e-3, 0.1, 0.1)


def test_the_profile_s_device_decides_what_auto_precision_is(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "resolve_device", lambda device: "cuda" if device == "auto" else device)
    monkeypatch.setattr(config, "resolve_precision", lambda precision, device: f"{precision} on {device}")
    loaded = load(corpus)
    assert {training.precision for training in planned(loaded, "cpu").values()} == {"auto on cpu"}
    assert {training.precision for training in planned(loaded, "auto").values()} == {"auto on cuda"}


def test_fp16_on_a_profile_s_cpu_is_refused_before_any_work(corpus: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(corpus, tmp_path / "corpus")
    (folder / "profiles.yaml").write_text("default: {device: cpu}\n")
    said = tilth(
        "run", folder / "recipe.yaml", "--lake", tmp_path / "lake", "--set", "training.precision=fp16"
    )
    assert said.code == 2 and "fp16, which needs a GPU" in said.err
    assert not (tmp_path / "lake").exists()


def test_sources_of_a_base_and_of_a_tokenizer_have_no_order(corpus: Path) -> None:
    first, second = (
        load(
            corpus,
            f"base_model.scratch.sources={order}",
            f"tokenizer={{train: bpe, vocab_size: 400, sources: {order}}}",
        )
        for order in ("[prose, code]", "[code, prose]")
    )
    assert first.recipe.identity() == second.recipe.identity()
    assert planned_runs(first, {}, Profile())["base"].sources == ["code", "prose"]


@pytest.mark.parametrize(
    ("keep", "said"), [(-1, "model.safetensors is damaged"), (None, "no .safetensors file")]
)
def test_a_base_with_damaged_weights_is_refused_before_any_work(
    corpus: Path, small_lake: Path, tmp_path: Path, keep: int | None, said: str
) -> None:
    export = next(small_lake.glob("runs/*/export"))
    weights = shutil.copytree(export, tmp_path / "model") / "model.safetensors"
    whole = weights.read_bytes()
    weights.unlink()
    if keep is not None:
        weights.write_bytes(whole[:keep])
    base = f"base_model={{path: {weights.parent}, peak_learning_rate: 1e-3}}"
    told = tilth("run", corpus / "recipe.yaml", "--lake", tmp_path / "lake", "--set", base)
    assert told.code == 2 and said in told.err and not (tmp_path / "lake").exists()


# ── positions ──


def test_a_base_has_positions_for_all_that_is_read_later(corpus: Path) -> None:
    def positions(*sets: str) -> int | None:
        loaded = load(corpus, *sets)
        assert loaded.recipe.base_model and loaded.recipe.base_model.scratch
        return scratch_architecture(loaded, loaded.recipe.base_model.scratch).max_position_embeddings

    assert positions() == 64
    assert positions("runs.long={training.sequence_length: 128}") == 128
    assert positions("evaluation.window_tokens=256") == 256
    assert positions("base_model.scratch.training={sequence_length: 32}") == 64
    assert positions("base_model.scratch.architecture.max_position_embeddings=512") == 512


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("evaluation.window_tokens=256", "evaluation.window_tokens is 256"),
        ("runs.long={training.sequence_length: 128}", "runs.long: training.sequence_length is 128"),
        (
            "base_model.scratch.training={sequence_length: 128}",
            "base_model.scratch: sequence_length is 128",
        ),
    ],
)
def test_more_than_the_base_has_positions_for_is_refused_before_any_work(
    corpus: Path, tmp_path: Path, change: str, said: str
) -> None:
    command = ["run", corpus / "recipe.yaml", "--lake", tmp_path / "lake", "--set", change]
    told = tilth(*command, "--set", "base_model.scratch.architecture.max_position_embeddings=100")
    assert told.code == 2 and said in told.err and "has 100 positions" in told.err
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"n_positions": 100}')
    base = f"base_model={{path: {tmp_path / 'model'}, peak_learning_rate: 1e-3}}"
    if "scratch" not in change:
        told = tilth(*command, "--set", base)
        assert told.code == 2 and said in told.err and "has 100 positions" in told.err
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    "change",
    [
        "seed=-1", "training.seed=-1", "training.weight_decay=.nan", "evaluation.window_tokens=0", "base_model.scratch.tokens=0",
        "base_model.scratch.learning_rate=-1", "base_model.peak_learning_rate=0", "base_model.scratch.architecture.num_hidden_layers=0",
        "tokenizer.vocab_size=257", "tokenizer.sample=0", "base_model.scratch.sources=[]", "base_model.scratch.sources=[prose, prose]",
    ],
)  # fmt: skip
def test_a_number_out_of_range_is_one_line_that_names_the_key(corpus: Path, change: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(corpus, change)
    key = change.partition("=")[0].split(".")[-1]
    assert f"{key}: " in str(caught.value)
    assert "\n" not in str(caught.value)


# ── runs ──


def test_a_run_s_seed_decides_its_order_and_its_weights(small_lake: Path, tmp_path: Path) -> None:
    copy_lake(small_lake, tmp_path)
    recipe = small_lake.parent / "corpus" / "recipe.yaml"
    said = tilth(
        "run", recipe, "--lake", tmp_path / "lake", "--until", "train", "--json",
        "--set", "runs={replay-30: {}, same: {training.seed: 5}, other: {training.seed: 6}}",
    )  # fmt: skip
    assert said.code == 0, said.err
    result = json.loads(said.out)["result"]
    mixtures, runs = result["mixtures"], result["runs"]
    assert mixtures["same"] == mixtures["replay-30"], "5 is the recipe's own seed"
    assert mixtures["other"] != mixtures["same"] != mixtures["base"]
    assert runs["same"] == runs["replay-30"] != runs["other"]
    weights = [
        (tmp_path / "lake" / "runs" / runs[name] / "export" / "model.safetensors").read_bytes()
        for name in ("same", "other")
    ]
    assert weights[0] != weights[1]


def test_a_run_that_meets_nan_stops_no_other(small_lake: Path, tmp_path: Path) -> None:
    copy_lake(small_lake, tmp_path)
    recipe = small_lake.parent / "corpus" / "recipe.yaml"
    broken = "{training.learning_rate: 1e38, training.schedule.warmup: 0}"
    options = ["--lake", tmp_path / "lake", "--set", f"runs={{broken: {broken}, replay-30: {{}}}}", "--json"]
    said = tilth("run", recipe, *options)
    assert said.code == 3
    assert "did not finish: broken (a loss or gradient was not a number)" in said.err
    result = json.loads(said.out)["result"]
    assert [key for key in result["scorecards"] if key.startswith("replay-30/")]
    assert result["selection"] is not None
    assert tilth("select", recipe, *options, "--approve", "replay-30/4", "--note", "it finished").code == 0, (
        "what finished can be approved"
    )


def test_a_run_that_its_monitor_stops_stops_no_other_and_is_told_by_exit_3(
    small_lake: Path, tmp_path: Path
) -> None:
    copy_lake(small_lake, tmp_path)
    recipe = small_lake.parent / "corpus" / "recipe.yaml"
    watched = "{training.learning_rate: 1.0, training.schedule.warmup: 0, training.monitor: {every: 512, max_increase: {general: 1%}}}"
    options = [
        "--lake",
        tmp_path / "lake",
        "--set",
        f"runs={{watched: {watched}, replay-30: {{}}}}",
        "--json",
    ]
    for _ in range(2):
        said = tilth("run", recipe, *options)
        assert said.code == 3
        assert "did not finish: watched (stopped by its monitor at step 1 of 4)" in said.err
        result = json.loads(said.out)["result"]
        assert {"watched/1", "replay-30/4"} <= set(result["scorecards"])
        assert result["selection"]["verdict"] in ("PASSED", "FAILED", "INCONCLUSIVE")


def test_a_base_that_meets_nan_ends_the_walk(small_lake: Path, tmp_path: Path) -> None:
    copy_lake(small_lake, tmp_path)
    recipe = small_lake.parent / "corpus" / "recipe.yaml"
    said = tilth("run", recipe, "--lake", tmp_path / "lake", "--set", "base_model.scratch.learning_rate=1e38")
    assert said.code == 3 and "not saved" in said.err


def test_more_than_a_run_of_the_lake_has_positions_for_is_refused_before_any_work(small_lake: Path) -> None:
    recipe = small_lake.parent / "corpus" / "recipe.yaml"
    said = tilth(
        "run", recipe, "--lake", small_lake, "--set", "name=longer", "--set", "tokenizer=base_model",
        "--set", "base_model={run: small/base, peak_learning_rate: 1e-3}", "--set", "evaluation.window_tokens=65",
    )  # fmt: skip
    assert said.code == 2
    assert (
        "evaluation.window_tokens is 65, but the model of base_model.run 'small/base' has 64 positions"
        in said.err
    )
    assert not said.out


@pytest.mark.parametrize("base", ["small/replay-00", "small/base/4", "small"])
def test_a_base_by_the_recipe_s_own_name_is_refused_which_would_lead_to_its_own_runs(
    small_lake: Path, base: str
) -> None:
    """small/replay-00 stands for the run of the newest version, which is the one that is to start from it."""
    recipe = small_lake.parent / "corpus" / "recipe.yaml"
    asked = ["train", recipe, "--lake", small_lake, "--set", "tokenizer=base_model", "--set"]
    told = tilth(*asked, f"base_model={{run: {base}, peak_learning_rate: 1e-3}}")
    refused(told, f"{base!r} leads to the recipe's own runs", "Write the version: small@N/")


def test_a_run_goes_on_from_a_version_of_its_own_name(small_lake: Path, tmp_path: Path) -> None:
    lake = copy_lake(small_lake, tmp_path)
    recipe = small_lake.parent / "corpus" / "recipe.yaml"
    asked = [
        "train",
        recipe,
        "--lake",
        lake.root,
        "--set",
        "tokenizer=base_model",
        "--runs",
        "replay-00",
        "--set",
    ]
    base = "base_model={run: small@1/replay-00, peak_learning_rate: 1e-3}"
    assert tilth(*asked, base).code == 0
    before = names.resolve(lake, "small@1/replay-00", "run").id
    after = names.resolve(lake, "small@2/replay-00", "run").id
    assert read_origin(lake, run_lineage(lake, after)) == names.Resolved("run", before, 4)
    again = tilth(*asked, base)
    assert again.code == 0 and names.claims(lake, "small")[-1].version == 2, "nothing new"


@pytest.mark.parametrize("ending", ["bin", "idx"])
def test_damaged_tokens_are_not_trained_on_and_are_made_again(
    small_lake: Path, tmp_path: Path, ending: str
) -> None:
    lake = copy_lake(small_lake, tmp_path)
    path = sorted((lake.root / "token_shards" / "parts").glob(f"*.{ending}"))[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:-6] + bytes([whole[-6] ^ 0x40]) + whole[-5:])
    command = ["train", small_lake.parent / "corpus" / "recipe.yaml", "--lake", lake.root]
    assert tilth(*command).code == 0, "what is trained already is done"
    told = tilth(*command, "--set", "training.weight_decay=0.2")
    assert told.code == 1 and f"{path} is not as it was written" in told.err
    for name in told.err.partition("or delete ")[2].partition(": it is")[0].split(" and "):
        found = Path(name)
        shutil.rmtree(found) if found.is_dir() else found.unlink()
    assert tilth(*command, "--set", "training.weight_decay=0.2").code == 0
    assert path.read_bytes() == whole
