"""The held-out set in the flow: its name is frozen when the guards have passed and the gate can be judged on it, not before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app import flow
from app.flow import Work, run_recipe
from app.profile import Profile
from app.questions import what_if
from app.recipe import load_recipe
from app.render import render_flips
from app.report import Report
from corpus.errors import ConfigError, GuardStop
from corpus.holdout import Holdout, commit_draw, freeze, frozen, held_out_rows
from corpus.lake import Lake, Manifest
from tests.app.command import tilth
from tests.app.small_lake import write_corpus

RECIPE = """\
name: kept
catalog: catalog.yaml
sources: [prose, code]
curation: {rules: {num_words: {min: 12}}, near_duplicates: null, stop_if: {source_loss: 100%}}
holdout: {name: kept-heldout, documents_per_source: 14, max_share: 25%}
evaluation: {tasks: [holdout]}
tokenizer: {train: bpe, vocab_size: 300}
base_model: {scratch: {sources: [prose], tokens: 2k, architecture: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64}}}
mixture: {weights: natural, max_epochs: 99}
training: {tokens: 2k, sequence_length: 32, global_batch_tokens: 256, learning_rate: 1x}
"""
GATE = "gate: {gain: {holdout/domain: {bits_per_byte: improves}}}\n"
TOO_STRICT = (
    "curation.overrides={code: {num_words: {min: 1000}}}",
    "curation.stop_if.source_loss=40%",
)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    write_corpus(tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE, "utf-8")
    return tmp_path / "recipe.yaml"


def curated(lake: Lake, recipe: Path, *sets: str) -> Work:
    return run_recipe(work_on(lake, recipe, *sets), "curate")


def work_on(lake: Lake, recipe: Path, *sets: str) -> Work:
    return Work(lake, load_recipe(recipe, sets), Profile(workers=1), Report(quiet=True))


def test_a_source_that_a_held_out_set_costs_much_of_is_told(
    lake: Lake, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = Work(lake, load_recipe(recipe, []), Profile(workers=1), Report())
    run_recipe(work, "curate")
    told = capsys.readouterr().err
    for source, tally in work.curated.snapshot.summary["sources"].items():  # type: ignore[union-attr]
        lost = tally["first"].get("held_out", 0) + tally["first"].get("near_held_out", 0)
        assert (f"source {source!r}: {lost} of {tally['documents']}" in told) == (
            lost > 0.1 * tally["documents"]
        )
    for line in (line for line in told.splitlines() if "not trained on for the held-out set" in line):
        assert ("near_held_out 0" in line) == ("resemble each other" not in line)
    assert "not trained on for the held-out set" in told
    run_recipe(Work(lake, load_recipe(recipe, []), Profile(workers=1), Report()), "curate")
    assert "not trained on" not in capsys.readouterr().err, "it is told once"


def test_a_run_that_a_guard_stops_freezes_no_name(lake: Lake, recipe: Path) -> None:
    name = Holdout(name="kept-heldout")
    for _ in range(2):
        with pytest.raises(GuardStop, match="code lost 60 of 60"):
            curated(lake, recipe, *TOO_STRICT)
        assert frozen(lake, name) is None
    made = curated(lake, recipe).curated
    assert made is not None and made.holdout is not None and made.holdout == frozen(lake, name)
    assert made.holdout.summary["sources"]["code"]["documents"] > 0
    assert curated(lake, recipe, "curation.rules.num_words.min=20").curated.holdout == made.holdout  # type: ignore[union-attr]


def test_what_if_asks_of_a_snapshot_that_a_guard_stopped(lake: Lake, recipe: Path) -> None:
    with pytest.raises(GuardStop):
        curated(lake, recipe, *TOO_STRICT)
    found = {flips.source: flips for flips in what_if(recipe, [], lake)}
    assert found["code"].after["kept"] > found["code"].before["kept"] == 0
    assert all(flips.redraws for flips in found.values())
    said = tilth("what-if", recipe, "--lake", lake.root)
    assert "not frozen" in said.out and "draws another" in said.out
    assert all(
        row["redraws"] for row in json.loads(tilth("what-if", recipe, "--lake", lake.root, "--json").out)
    )
    decided = curated(lake, recipe).curated
    assert decided is not None
    assert found["code"].after != decided.snapshot.summary["sources"]["code"]  # as was said
    frozen_now = what_if(recipe, [], lake)
    assert not any(flips.redraws for flips in frozen_now) and "not frozen" not in render_flips(frozen_now)
    assert all(flips.after == decided.snapshot.summary["sources"][flips.source] for flips in frozen_now)


def test_of_two_runs_at_once_the_second_takes_the_set_that_the_first_froze(
    lake: Lake, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check, others = flow.check_guards, []
    name = Holdout(name="kept-heldout", documents_per_source=14, max_share=0.25)

    def another_is_faster(snapshot: Manifest, *_: object) -> None:
        monkeypatch.setattr(flow, "check_guards", check)
        mine = lake.get("holdout", snapshot.parent("holdout"))
        rows = held_out_rows(lake, mine).slice(0, 3)
        documents = [parent for parent in mine.parents if parent[0] == "documents"]
        others.append(freeze(lake, name, commit_draw(lake, name, rows, documents, mine.summary)))

    monkeypatch.setattr(flow, "check_guards", another_is_faster)
    made = curated(lake, recipe).curated
    assert made is not None and [made.holdout] == others == [frozen(lake, name)]
    assert made.snapshot.parent("holdout") == others[0].id


@pytest.mark.parametrize("frozen_before", [False, True])
def test_a_gate_on_what_nothing_is_held_out_of_is_refused_once_the_set_is_drawn(
    lake: Lake, recipe: Path, frozen_before: bool
) -> None:
    row = (recipe.parent / "code.jsonl").read_text("utf-8").splitlines()[0]
    (recipe.parent / "code.jsonl").write_text(json.dumps(json.loads(row)) + "\n", "utf-8")
    if frozen_before:
        curated(lake, recipe)
    recipe.write_text(RECIPE + GATE, "utf-8")
    with pytest.raises(
        ConfigError, match=r"gate: .*'holdout/domain'.*kept-heldout.*code has 1 document"
    ) as told:
        run_recipe(work_on(lake, recipe), "train")
    assert told.value.exit_code == 2 and "prose" not in str(told.value)
    assert (frozen(lake, Holdout(name="kept-heldout")) is None) == (not frozen_before)
    passing = GATE.replace("domain", "general")
    recipe.write_text(RECIPE + passing, "utf-8")
    curated(lake, recipe)


@pytest.mark.parametrize("wanted", ["code", "domain"])
def test_a_monitor_of_what_nothing_is_held_out_of_is_refused_before_training(
    lake: Lake, recipe: Path, wanted: str
) -> None:
    row = (recipe.parent / "code.jsonl").read_text("utf-8").splitlines()[0]
    (recipe.parent / "code.jsonl").write_text(row + "\n", "utf-8")
    sets = (
        "runs={watched: {training.monitor: {every: 1k, max_increase: {" + wanted + ": 3%}}}, other: {}}",
        "mixture.weights={domain: 0.0, general: 1.0}",
    )
    said = rf"runs\.watched: training\.monitor\.max_increase: .*'{wanted}'.*code has 1 document"
    with pytest.raises(ConfigError, match=said):
        run_recipe(work_on(lake, recipe, *sets), "train")
    assert not list(lake.runs.glob("*"))


def test_an_empty_held_out_set_is_no_task(
    lake: Lake, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything is trained; what can be scored is, and the rest is told before."""
    sets = ["holdout={name: none, documents_per_source: 0}"]
    work = Work(lake, load_recipe(recipe, sets), Profile(workers=1), Report())
    assert not run_recipe(work).scorecards
    said = capsys.readouterr().err
    assert said.index("held-out set none holds no document") < said.index("train")
    sets += ["evaluation.tasks=[holdout, endings]", "runs={main: {training.tokens: 2k}}"]
    work = run_recipe(Work(lake, load_recipe(recipe, sets), Profile(workers=1), Report(quiet=True)))
    assert {task for card in work.scorecards.values() for task in card.summary["header"]["tasks"]} == {
        "endings"
    }
    recipe.write_text(RECIPE + GATE, "utf-8")
    with pytest.raises(ConfigError, match="documents_per_source is 0"):
        run_recipe(work_on(lake, recipe, sets[0]))


def test_a_gate_on_a_source_that_came_after_the_set_was_frozen_is_refused(lake: Lake, recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("[prose, code]", "[prose]"), "utf-8")
    curated(lake, recipe)
    recipe.write_text(RECIPE + GATE, "utf-8")
    with pytest.raises(ConfigError, match=r"code has 60 documents.*give holdout another name"):
        run_recipe(work_on(lake, recipe), "train")


def test_a_sample_that_the_gate_cannot_be_judged_on_is_curated_and_freezes_no_name(
    lake: Lake, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who looks at a sample wants its funnel; what is trained wants a gate."""
    recipe.write_text(RECIPE + GATE, "utf-8")
    work = Work(lake, load_recipe(recipe, []), Profile(workers=1), Report(), sample=0.01)
    made = run_recipe(work, "curate").curated
    assert made is not None and made.holdout is not None
    assert "'holdout/domain'" in capsys.readouterr().err
    assert work.recipe.holdout and frozen(lake, work.recipe.holdout.of_sample(0.01)) is None


def test_a_base_that_has_read_held_out_texts_is_told(
    lake: Lake, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recipe without a held-out set trains on everything; a model of it is no measure of what it has read."""
    bases = "base_model.scratch={sources: [prose, code], tokens: 20k, architecture: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64}}"
    whole = ["name=whole", "holdout=null", "evaluation={}", bases]
    run_recipe(work_on(lake, recipe, *whole), "train")
    careful = ["name=careful", bases]
    run_recipe(work_on(lake, recipe, *careful), "train")
    for base, read in (("whole@1/base", True), ("careful@1/base", False)):
        sets = (
            f"base_model={{run: {base}, peak_learning_rate: 1e-3}}",
            "tokenizer=base_model",
            f"name={base.replace('@1/', '-')}",
        )
        work = Work(lake, load_recipe(recipe, sets), Profile(workers=1), Report())
        capsys.readouterr()
        run_recipe(work, "train")
        assert work.curated is not None and work.curated.holdout is not None
        count = work.curated.holdout.rows("held_out")
        told = capsys.readouterr().err
        assert (f"{base!r} has read {count} of the {count} texts" in told) is read
