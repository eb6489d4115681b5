"""Mistakes in a recipe, an option or a profile: one line each, before any work."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.app.command import refused, tilth
from tests.app.small_lake import write_corpus

MISTAKES: list[tuple[str, list[str]]] = [
    ("curaton.presets=[c4]", ["unknown key 'curaton'", "'curation'"]),
    ("training.learning_rte=1", ["'training.learning_rte'", "'learning_rate'"]),
    ("sources=[prose, cod]", ["no source 'cod'", "'code'"]),
    ("sources=[prose, prose]", ["'prose' stands twice"]),
    ("sources=[]", ["at least one source"]),
    ("catalog=nowhere.yaml", ["nowhere.yaml"]),
    ("catalog.sources.prose.path=nowhere", ["nowhere", "matches no file"]),
    ("catalog.sources.prose.path=''", ["sources.prose.path", "empty"]),
    ("runs.replay-30={mixture.weights: {domain: 1.0}}", ["runs.replay-30: source 'prose'", "in no group"]),
    ("catalog.sources.prose.formt=csv", ["'sources.prose.formt'", "'format'"]),
    ("catalog.sources.prose.format=cvs", ["'cvs'", "'csv'"]),
    ("catalog.sources.prose.role=genral", ["'genral'", "'general'"]),
    ("catalog.root=${TILTH_NO_SUCH_FOLDER}", ["TILTH_NO_SUCH_FOLDER", "not set"]),
    ("catalog.tasks.endings.path=nowhere.csv", ["nowhere.csv"]),
    ("catalog.tasks.endings.columns.answer=anser", ["anser"]),
    ("curation.presets=[gophr]", ["no preset 'gophr'", "'gopher'"]),
    ("curation.rules.num_wrds.min=3", ["num_wrds", "'num_words'"]),
    ("curation.rules.num_words.mn=3", ["mn", "'min'"]),
    ("curation.overrides.cde.num_words.min=3", ["cde", "'code'"]),
    ("curation.pii.emal=mask", ["'emal'", "'email'"]),
    ("curation.pii.email=msk", ["'msk'", "'mask'"]),
    ("curation.pii=[email]", ["curation.pii", "['email'] is no action", "mask, drop or keep"]),
    ("curation.rules.language.min_score=.nan", ["min_score", "nan is not a share"]),
    ("curation.rules.held_out_partner.min=1", ["held_out_partner cannot be ruled"]),
    ("curation.rules.date.min=2020-13-45", ["'2020-13-45' is not a day"]),
    ("curation.rules.num_words.min=30%", ["num_words is a count"]),
    ("curation.decontamination={tasks: all}", ["decontamination", "not there yet"]),
    ("curation.stop_if.source_loss=150%", ["150%", "not a share"]),
    ("holdout.max_shre=1%", ["'holdout.max_shre'", "'max_share'"]),
    ("tokenizer={train: wordpiece}", ["'wordpiece'", "bpe"]),
    ("tokenizer={path: nowhere}", ["nowhere", "tokenizer"]),
    ("tokenizer.sources=[prse]", ["'prse'", "'prose'"]),
    ("tokenizer=base_model", ["base_model.path or base_model.run"]),
    ("base_model={path: nowhere}", ["nowhere", "config.json"]),
    ("base_model={}", ["exactly one of path, run and scratch"]),
    ("base_model.scratch.sources=[prse]", ["'prse'", "'prose'"]),
    ("base_model.scratch.training.tokns=4", ["tokns", "'tokens'"]),
    ("mixture.strategy=doremi", ["'doremi'", "not there yet"]),
    ("mixture.strategy=statc", ["'statc'", "'static'"]),
    ("mixture.weights={domain: 0.7, genral: 0.3}", ["'genral'", "'general'"]),
    ("mixture.weights={domain: 0.7, general: 0.7}", ["1.4", "add up to 1"]),
    ("mixture.phases=[{}]", ["phases", "not there yet"]),
    ("training.phases=[{}]", ["phases", "not there yet"]),
    ("training.engine=fsdp2", ["'fsdp2'", "not there yet", "profiles.yaml"]),
    ("training.device=cpu", ["device", "machine", "profiles.yaml"]),
    ("workers=2", ["workers", "machine", "profiles.yaml"]),
    ("base_model.scratch.training.micro_batch_sequences=4", ["micro_batch_sequences", "profiles.yaml"]),
    ("runs={replay-30: {training.device: cpu}}", ["runs.replay-30", "device", "profiles.yaml"]),
    ("training.monitor.on_breach=[raise_replay]", ["'raise_replay'", "not there yet"]),
    ("training.monitor.max_increase={genral: 3%}", ["'genral'", "'general'"]),
    ("training.monitor.max_increase={general: 3}", ["no unit"]),
    ("training.precision=fp16", ["fp16", "GPU"]),
    ("training.tokens=2Bn", ["'2Bn'", "not a count"]),
    ("training.schedule.type=cosin", ["'cosin'", "'cosine'"]),
    ("evaluation.fast={every: 1k}", ["not there yet", "training.monitor"]),
    ("evaluation.tasks=[endngs]", ["no task 'endngs'", "'endings'"]),
    ("evaluation.full.at=milestone", ["'milestone'", "'milestones'"]),
    ("gate.baseline=replay-3", ["'replay-3'", "'replay-30'"]),
    ("gate.gain={holdout/domian: {bits_per_byte: improves}}", ["'holdout/domian'", "'holdout/domain'"]),
    ("gate.gain={holdout/domain: {bits_per_bte: improves}}", ["'bits_per_bte'", "'bits_per_byte'"]),
    ("gate.gain={holdout/domain: {acc: improves}}", ["holdout/domain has no metric 'acc'", "'bits_per_byte'"]),
    ("gate.gain={holdout/domain: {bits_per_byte: improve}}", ["'improve'", "'improves'"]),
    ("gate.harm={holdout/general: {bits_per_byte: {max_increase: 3}}}", ["no unit"]),
    ("gate.harm={holdout/general: {bits_per_byte: {max_increase: 3pp}}}", ["not a share"]),
    ("gate.harm={endings: {acc: {max_increase: 3pp}}}", ["max_decrease"]),
    ("runs.replay-00.sources=[prose]", ["'sources' cannot differ between runs"]),
    ("runs={base: {}}", ["cannot be called 'base'"]),
    ("runs={base_model: {}}", ["cannot be called 'base_model'"]),
    ("runs={champion: {}, snapshot: {}}", ["cannot be called 'champion'"]),
    ("runs={snapshot: {}}", ["cannot be called 'snapshot'"]),
    ("runs={Other: {}}", ["'Other' is not usable"]),
    ("name=Small Recipe", ["'Small Recipe' is not usable"]),
    ("seed", ["no value"]),
    ("=3", ["no value"]),
    ("seed..x=3", ["empty"]),
    ("seed.x=3", ["'seed' is 5, not a mapping"]),
    ("seed=[", ["not valid YAML"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), MISTAKES, ids=[change for change, _ in MISTAKES])
def test_a_mistake_in_a_recipe_is_told_in_one_line_before_any_work(
    corpus: Path, change: str, words: list[str]
) -> None:
    refused(tilth("run", corpus / "recipe.yaml", "--lake", corpus / "lake", "--set", change), *words)
    assert not (corpus / "lake").exists()


def test_a_mistake_in_a_source_that_the_recipe_does_not_name_is_no_matter(
    corpus: Path, tmp_path: Path
) -> None:
    command = ["ingest", corpus / "recipe.yaml", "--lake", tmp_path / "lake"]
    assert tilth(*command, "--set", "catalog.sources.other={path: x, rol: domain, text_field: 1}").code == 0
    refused(tilth(*command, "--set", "catalog.sources.prose.rol=domain"), "'sources.prose.rol'", "'role'")


def test_an_unknown_key_in_the_file_and_several_at_once_are_one_line(corpus: Path, tmp_path: Path) -> None:
    tree = yaml.safe_load((corpus / "recipe.yaml").read_text()) | {
        "catalog": str(corpus / "catalog.yaml"),
        "sede": 1,
        "gat": 2,
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(tree))
    refused(tilth("run", tmp_path / "recipe.yaml"), "'sede'", "'seed'", "'gat'", "'gate'")
    (tmp_path / "recipe.yaml").write_text("name: {a: [b\nsources: [prose]\n")
    refused(tilth("run", tmp_path / "recipe.yaml"), "recipe.yaml", "line 2")
    refused(tilth("run", tmp_path / "nothing.yaml"), "nothing.yaml", "No such file")
    refused(tilth("run", tmp_path), "cannot read", "Is a directory.", "YAML")


def test_mistakes_in_options_are_told_in_one_line(corpus: Path) -> None:
    recipe, lake = corpus / "recipe.yaml", ["--lake", corpus / "lake"]
    refused(tilth("run", recipe, *lake, "--until", "trian"), "'trian'", "'train'")
    refused(tilth("run", recipe, *lake, "--runs", "replay-0"), "no run 'replay-0'", "'replay-30'")
    refused(tilth("run", recipe, *lake, "--runs", ""), "no run ''", "'replay-30'")
    refused(tilth("run", recipe, "--lake", ""), "--lake is empty")
    for seconds in ("0", "-5", "nan"):
        refused(tilth("sql", "SELECT 1", "--seconds", seconds, *lake), f"--seconds {seconds}")
    refused(tilth("train", recipe, *lake, "--accept", ""), "--accept ''")
    refused(tilth("run", recipe, *lake, "--sample", "150%"), "--sample", "150%")
    refused(tilth("run", recipe, *lake, "--sample", "0%"), "--sample", "leaves no documents")
    refused(tilth("run", recipe, *lake, "--profile", "lapto"), "no profile 'lapto'", "profiles.yaml")
    refused(tilth("sql", "SELECT 1", "--format", "jsn", *lake), "'jsn'", "'json'")
    refused(tilth("ls", *lake), "no lake at")
    assert not (corpus / "lake").exists()


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("{engine: fsdp2}", ["'fsdp2'", "not there yet"]),
        ("{engin: single}", ["'engin'", "'engine'"]),
        ("{device: gpu}", ["'gpu'", "'cuda'"]),
        ("{workers: -1}", ["-1"]),
        ("{workers: many}", ["workers", "many"]),
    ],
)
def test_a_mistake_in_a_profile_is_told_in_one_line(tmp_path: Path, profile: str, words: list[str]) -> None:
    write_corpus(tmp_path)
    (tmp_path / "profiles.yaml").write_text(f"laptop: {{}}\nbig: {profile}\n")
    refused(tilth("run", tmp_path / "recipe.yaml", "--lake", tmp_path / "lake", "--profile", "big"), *words)
    refused(
        tilth("run", tmp_path / "recipe.yaml", "--lake", tmp_path / "lake", "--profile", "bg"),
        "'bg'",
        "'big'",
    )
    assert not (tmp_path / "lake").exists()


def test_a_place_that_cannot_be_a_lake_is_a_mistake_in_the_command(corpus: Path, tmp_path: Path) -> None:
    recipe = corpus / "recipe.yaml"
    refused(tilth("run", recipe, "--lake", corpus), "holds other things")
    refused(tilth("ls", "--lake", corpus), "no lake")
    refused(tilth("run", recipe, "--lake", recipe), "is a file")
    refused(tilth("run", recipe, "--lake", "s3://bucket/lake"), "not supported yet")
    refused(tilth("sql", "SELECT 1", "--lake", "s3://bucket/lake"), "not supported yet")
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "format.json").write_text('{"format": 99}')
    said = tilth("run", recipe, "--lake", tmp_path / "lake")  # a lake, but not of ours
    assert said.code == 1 and "format 99" in said.err and "Traceback" not in said.err
