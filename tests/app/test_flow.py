"""The conductor: what it refuses before any work, and what it tells when something goes wrong."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app import flow
from app.closing import closing_text
from app.evaluation import _unusable
from app.flow import Work
from app.planned import planned_runs
from app.profile import Profile
from app.recipe import load_recipe
from app.report import Report
from corpus import names
from corpus.lake import Lake
from evals.task_rows import RejectedRow
from tests.app.command import tilth
from tests.app.small_lake import copy_lake, write_corpus


def test_a_baseline_that_will_not_be_scored_is_refused_before_any_work(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    command = ["run", tmp_path / "recipe.yaml", "--lake", tmp_path / "lake", "--runs", "replay-00"]
    said = tilth(*command, "--set", "gate.baseline=replay-30")
    assert said.code == 2 and said.err.count("\n") == 1
    assert "gate.baseline 'replay-30' is not among the runs asked for (replay-00)" in said.err
    assert "--runs replay-00,replay-30" in said.err
    assert not (tmp_path / "lake" / "documents").exists()


@pytest.mark.parametrize(
    ("baseline", "sets", "scored"),
    [
        ("replay-30/1", [], "replay-30/4"),
        ("base/2", ["evaluation.full.at=milestones"], "base/4"),
        ("replay-30/2", ["training.checkpoints.milestones=[1024]"], "replay-30/4"),
        (
            "replay-30/3",
            ["training.checkpoints.milestones=[1024]", "evaluation.full.at=milestones"],
            "replay-30/2, replay-30/4",
        ),
    ],
)
def test_a_baseline_at_a_step_that_is_not_scored_is_refused_before_any_work(
    tmp_path: Path, baseline: str, sets: list[str], scored: str
) -> None:
    write_corpus(tmp_path)
    options = [word for text in [f"gate.baseline={baseline}", *sets] for word in ("--set", text)]
    said = tilth("run", tmp_path / "recipe.yaml", "--lake", tmp_path / "lake", *options)
    assert said.code == 2 and said.err.count("\n") == 1
    assert (
        f"gate.baseline '{baseline}' will not be scored: of {baseline.partition('/')[0]} that is {scored}."
        in said.err
    )
    assert not (tmp_path / "lake" / "documents").exists()


def test_the_steps_that_are_planned_to_be_scored_are_scored(small_lake: Path) -> None:
    from app.evaluation import stored_scorecards

    lake = Lake.open(small_lake, create=False)
    loaded = load_recipe(small_lake.parent / "corpus" / "recipe.yaml")
    planned = planned_runs(loaded, loaded.runs(), Profile(device="cpu"))
    expected = {f"{run}/{step}" for run, each in planned.items() for step in each.scored_steps(False)}
    assert set(stored_scorecards(lake, names.claims(lake, "small")[0])) == expected


@pytest.mark.parametrize("baseline", ["base/4", "replay-30/4"])
def test_a_baseline_at_a_step_that_is_scored_is_taken(
    small_lake: Path, tmp_path: Path, baseline: str
) -> None:
    copy_lake(small_lake, tmp_path)
    recipe = small_lake.parent / "corpus" / "recipe.yaml"
    options = ["--lake", tmp_path / "lake", "--set", f"gate.baseline={baseline}"]
    assert tilth("run", recipe, *options).code == 0


def test_the_lineage_line_is_of_the_chosen_checkpoint_also_when_it_is_a_milestone(
    small_lake: Path, tmp_path: Path
) -> None:
    copy_lake(small_lake, tmp_path)
    sets = [
        "training.checkpoints.milestones=[1024]", "evaluation.full.at=milestones", "training.learning_rate=0.2x",
        "gate={harm: {holdout/domain: {bits_per_byte: {max_increase: 90%}}}}",
    ]  # fmt: skip
    work = Work(
        Lake.open(tmp_path / "lake"),
        load_recipe(small_lake.parent / "corpus" / "recipe.yaml", sets),
        Profile(workers=1),
        Report(quiet=True),
    )
    flow.run_recipe(work)
    assert work.selection is not None
    for key in ("replay-30/2", "replay-30/4"):
        work.selection = replace(work.selection, chosen=key)
        assert f"lineage: small@2/{key} trained on" in closing_text(work)


def test_the_commands_at_the_end_can_be_typed_as_they_stand(
    small_lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make demo` calls the program by its path, and no shell finds it by its name then."""
    lake = copy_lake(small_lake, tmp_path)
    recipe = load_recipe(small_lake.parent / "corpus" / "recipe.yaml")
    work = Work(lake, recipe, Profile(workers=1, lake=str(lake.root)), Report(quiet=True))
    flow.run_recipe(work)
    monkeypatch.setattr(sys, "argv", [".venv/bin/tilth", "run"])
    by_path = ".venv/bin/tilth"
    for found, typed in ((Path(by_path).resolve(), "tilth"), ("/another/tilth", by_path), (None, by_path)):
        monkeypatch.setattr("app.closing.which", lambda name, found=found: found)
        said = closing_text(work)
        assert f"open the app:  {typed} app --lake {lake.root}" in said
        assert f" {typed} lineage " in said and f" {typed} why " in said


def test_a_baseline_that_was_scored_serves_when_its_run_is_left_out(small_lake: Path, tmp_path: Path) -> None:
    copy_lake(small_lake, tmp_path)
    recipe = small_lake.parent / "corpus" / "recipe.yaml"
    options = ["--lake", tmp_path / "lake", "--set", "gate.baseline=replay-30", "--json"]
    assert tilth("eval", recipe, *options).code == 0
    said = tilth("run", recipe, *options, "--runs", "replay-00")
    assert said.code == 0, said.err
    assert "replay-30" in json.dumps(json.loads(said.out)["result"])


def test_an_error_of_the_catalog_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(what: str) -> None:
        raise ZeroDivisionError(what)

    write_corpus(tmp_path)
    command = ["ingest", tmp_path / "recipe.yaml", "--lake", tmp_path / "lake"]
    monkeypatch.setattr(flow, "write_catalog", lambda lake: fail("the catalog"))
    assert "the catalog" in tilth(*command).err
    monkeypatch.setattr(flow, "ingest_sources", lambda work, files: fail("the stage"))
    assert "the stage" in tilth(*command).err


def test_a_wrong_text_field_is_told_and_stops_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"body": "one"}\n{"body": "two"}\n')
    (tmp_path / "empty").mkdir()
    (tmp_path / "catalog.yaml").write_text(
        f"root: {tmp_path}\nsources: {{wrong: {{path: a.jsonl, role: domain}}, none: {{path: empty, role: domain}}}}\n"
    )
    recipe = tmp_path / "recipe.yaml"
    for sources, code in (("wrong, none", 3), ("none", 0)):
        recipe.write_text(f"name: r\ncatalog: catalog.yaml\nsources: [{sources}]\n")
        said = tilth("curate", recipe, "--lake", tmp_path / "lake")
        assert said.code == code, said.err
        assert "'none' has no documents: 'empty' holds no files" in said.err
        assert ("begins with a record of 'body'. Set text_field" in said.err) == (code == 3)


@pytest.mark.parametrize(
    ("change", "run", "key"),
    [
        ("base_model.scratch.tokens=9M", "base", "base_model.scratch.tokens"),
        ("training.tokens=9M", "replay-00", "training.tokens"),
        (
            "runs={pure: {training.tokens: 9M, mixture.weights: {domain: 1.0, general: 0.0}}}",
            "pure",
            "runs.pure: training.tokens",
        ),
    ],
)
def test_a_budget_that_cannot_be_met_names_its_run_and_key(
    small_lake: Path, tmp_path: Path, change: str, run: str, key: str
) -> None:
    copy_lake(small_lake, tmp_path)
    recipe = small_lake.parent / "corpus" / "recipe.yaml"
    uneven = "training.global_batch_tokens=500"  # a step is whole sequences, 512
    said = tilth("mix", recipe, "--lake", tmp_path / "lake", "--set", change, "--set", uneven)
    told = said.err.splitlines()[-1]
    assert said.code == 2 and f"run {run!r}: a budget of 8,999,936 tokens" in told
    assert f"Its budget is {key}, in whole steps of 512 tokens, of which " in told and "sample" not in told
    assert ("prose " in told) == (run == "base") and ("code " in told) == (run != "base")
    (most,) = re.findall(r"of which (\d+) is the most that fits", told)
    fits = tilth(
        "mix", recipe, "--lake", tmp_path / "lake", "--set", change.replace("9M", most), "--set", uneven
    )
    assert fits.code == 0, fits.err


def test_of_a_sample_a_budget_is_told_to_be_that_of_the_whole_corpus(
    small_lake: Path, tmp_path: Path
) -> None:
    recipe = small_lake.parent / "corpus" / "recipe.yaml"
    sets = ["training.tokens=9M", "training.monitor=null", "holdout=null", "evaluation={}", "gate=null"]
    options = [word for text in sets for word in ("--set", text)]
    said = tilth("mix", recipe, "--lake", tmp_path / "lake", "--sample", "50%", *options)
    assert said.code == 2 and "run 'replay-00': a budget of 8,999,936 tokens" in said.err
    assert "Only a sample of 50.00% was read, and the budget is that of the whole corpus." in said.err


def test_rows_of_a_task_that_are_not_usable_are_told_in_words() -> None:
    broken, whole = RejectedRow("q.csv", 3, "missing_answer"), RejectedRow("q.csv", -1, "invalid_csv")
    assert _unusable("law", [broken]) == "task law: one row is not usable: row 3 of q.csv (missing_answer)"
    assert "2 rows are not usable, for instance q.csv (invalid_csv)" in _unusable("law", [whole, broken])


def test_tokens_that_were_not_measured_are_no_zeros(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Some words that stand here.")
    (tmp_path / "catalog.yaml").write_text(
        f"root: {tmp_path}\nsources: {{s: {{path: a.txt, role: domain}}}}\n"
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: r\ncatalog: catalog.yaml\nsources: [s]\n")
    for command in (["run"], ["curate"], ["what-if", "--set", "curation.rules.num_words.min=2"]):
        said = tilth(command[0], recipe, "--lake", tmp_path / "lake", *command[1:])
        table = said.out[said.out.index("source") :].splitlines()
        assert said.code == 0 and any("-" in line.split() for line in table), said.out


def test_a_mistake_is_told_in_whole_sentences(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("catalog: catalog.yaml\n")
    said = tilth("run", recipe, "--lake", tmp_path / "lake")
    assert said.code == 2 and ".;" not in said.err and "the key 'name' is missing. " in said.err
    recipe.write_text("a: [1\nb: {\n")
    said = tilth("run", recipe, "--lake", tmp_path / "lake")
    assert said.code == 2 and "is not valid YAML" in said.err and ";" not in said.err
