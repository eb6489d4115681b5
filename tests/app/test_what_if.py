"""What-if asks of stored signals what a change of the recipe would do, and refuses what only measuring could say."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.flow import Work, run_recipe
from app.profile import Profile
from app.questions import what_if
from app.recipe import load_recipe
from app.render import render_flips
from app.report import Report
from corpus.errors import ConfigError
from corpus.lake import Lake, Manifest
from tests.app.command import tilth
from tests.app.small_lake import write_corpus

RECIPE = """\
name: asked
catalog: catalog.yaml
sources: [prose, code]
curation:
  rules: {num_words: {min: 12}}
  near_duplicates: {jaccard: 0.7, num_perm: 64}
  stop_if: {source_loss: 100%}
holdout: {name: asked-heldout, documents_per_source: 14, max_share: 25%}
"""

AFTER_CURATION = """\
base_model: {scratch: {sources: [prose], tokens: 2048}}
mixture: {weights: {domain: 0.7, general: 0.3}}
training:
  {tokens: 2048, sequence_length: 64, global_batch_tokens: 512, learning_rate: 1e-2, monitor: {max_increase: {general: 1%}}}
runs: {pure: {mixture.weights: {domain: 1.0, general: 0.0}}}
evaluation: {tasks: [holdout]}
gate: {gain: {holdout/domain: {bits_per_byte: improves}}}
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("what_if")
    write_corpus(folder)
    (folder / "recipe.yaml").write_text(RECIPE, "utf-8")
    return folder / "recipe.yaml"


@pytest.fixture(scope="module")
def lake(recipe: Path) -> Lake:
    lake = Lake.open(recipe.parent / "lake")
    curated(lake, recipe)
    return lake


def curated(lake: Lake, recipe: Path, *sets: str, sample: float = 1.0) -> Manifest:
    loaded = load_recipe(recipe, sets)
    work = run_recipe(Work(lake, loaded, Profile(workers=1), Report(quiet=True), sample), "curate")
    assert work.curated is not None
    return work.curated.snapshot


@pytest.mark.parametrize(
    "change", ["holdout=null", "curation.rules.num_words.min=80", "curation.near_duplicates.jaccard=0.9"]
)
def test_the_answer_is_what_curating_would_decide(lake: Lake, recipe: Path, change: str) -> None:
    flips = what_if(recipe, [change], lake)
    decided = curated(lake, recipe, change, "name=other")
    for found in flips:
        assert found.after == {key: decided.summary["sources"][found.source][key] for key in found.after}
        assert found.newly_kept - found.newly_dropped == found.after["kept"] - found.before["kept"]
    assert sum(found.newly_kept + found.newly_dropped for found in flips) > 0


@pytest.mark.parametrize("key", ["curation.rules", "curation.overrides.domain"])
def test_bounds_that_leave_nothing_between_them_are_refused(lake: Lake, recipe: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=r"num_words: min 12 is above max 5\b"):
        what_if(recipe, [f"{key}.num_words.max=5"], lake)


def test_what_comes_after_curation_plays_no_part(lake: Lake, recipe: Path) -> None:
    whole = recipe.with_name("whole.yaml")
    whole.write_text(RECIPE + AFTER_CURATION, "utf-8")
    for change in ("holdout=null", "curation.rules.num_words.min=80"):
        assert what_if(whole, [change], lake) == what_if(recipe, [change], lake)


def test_another_held_out_set_is_refused(lake: Lake, recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"excludes the held-out set 'asked-heldout'.*`tilth curate .*`"):
        what_if(recipe, ["holdout.name=other-heldout"], lake)
    with pytest.raises(ConfigError, match=r"frozen with documents_per_source: 14; the recipe says 15"):
        what_if(recipe, ["holdout.documents_per_source=15"], lake)
    curated(lake, recipe, "holdout=null", "name=without")
    with pytest.raises(ConfigError, match=r"excludes no held-out set.*`tilth curate .*`"):
        what_if(recipe, ["name=without"], lake)


def test_of_a_sample_the_sample_is_asked_and_told(lake: Lake, recipe: Path) -> None:
    decided = curated(lake, recipe, "name=sampled", sample=0.5)
    flips = what_if(recipe, ["name=sampled"], lake)
    assert all(found.sample == 0.5 and found.newly_kept == found.newly_dropped == 0 for found in flips)
    kept = {name: tally["kept"] for name, tally in decided.summary["sources"].items()}
    assert {found.source: found.after["kept"] for found in flips} == kept
    head, told = render_flips(flips).splitlines()[:2]
    assert head.startswith("before: sampled@1 as curated") and told.startswith("of a sample of 50.00%")
    assert "of a sample" not in render_flips(what_if(recipe, [], lake))


def test_a_sample_is_no_change_of_the_recipe(lake: Lake, recipe: Path) -> None:
    said = tilth("what-if", recipe, "--sample", "2%", "--lake", lake.root)
    assert said.code == 2 and "--sample" in said.err


@pytest.mark.parametrize(
    "change", ["curation.rules.num_tokens.min=5", "curation.near_duplicates.keep=[num_tokens]"]
)
def test_a_rule_on_what_is_not_measured_is_refused_before_any_work(recipe: Path, change: str) -> None:
    said = tilth("curate", recipe, "--set", change, "--lake", recipe.parent / "nowhere")
    assert said.code == 2 and "num_tokens is not measured without a tokenizer" in said.err
    assert not (recipe.parent / "nowhere").exists()
    load_recipe(recipe, [change, "tokenizer={train: bpe}"])
