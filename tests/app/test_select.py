"""Selecting and signing off: what is approved is what the gate was printed for, and every scorecard is called what it is here."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from app import evaluation
from app.evaluation import approve, open_cards, stored_scorecards
from app.render import render_selection
from app.verdicts import select_stored
from corpus import names
from corpus.errors import ConfigError, UnknownName
from corpus.facts import read_facts
from corpus.lake import Lake, Manifest
from corpus.names import Claim
from evals.gate import Gate, GateResult, RuleResult
from evals.select import SelectionRow, select
from tests.app.command import refused, tilth
from tests.app.small_lake import copy_lake
from tests.corpus.attacks import files_under
from tests.evals.cards import holdout_card


@pytest.fixture
def lake(small_lake: Path, tmp_path: Path) -> Lake:
    return copy_lake(small_lake, tmp_path)


def judged(name: str, gate: bool | None, champion: bool | None = None) -> SelectionRow:
    """A candidate with these verdicts; None: the items cannot tell."""

    def result(against: str, passed: bool | None) -> GateResult:
        rule = RuleResult(
            **{field.name: None for field in fields(RuleResult)} | {"passed": passed}  # type: ignore[arg-type]
        )
        return GateResult(name, against, (rule,))

    against = result("small/champion", champion)
    return SelectionRow(name, result("base/4", gate), against, False, True, (), 1.0, 0.9, 1.1, 0.0)


@pytest.fixture
def sampled(lake: Lake) -> tuple[Claim, dict[str, Manifest]]:
    """A version of a sample, for which the plain name never stands; its replay-30 is what the first version calls replay-00."""
    (first,) = names.claims(lake, "small")
    owner = names.claim(lake, "small", "f" * 32, first.recipe, 0.5)
    runs = {fact["key"]: fact["id"] for fact in names.attached(lake, first, "run")}
    card = stored_scorecards(lake, first)["replay-00/4"]
    names.attach(lake, owner, "run", runs["replay-00"], "replay-30")
    names.attach(lake, owner, "scorecard", card.id, "replay-30/4")
    return owner, {"replay-30/4": card}


@pytest.mark.parametrize("reference", ["replay-30/4", "replay-30", "small/replay-30/4", "small@2/replay-30"])
def test_what_is_approved_is_of_the_version_that_was_selected_from(
    lake: Lake, sampled: tuple[Claim, dict[str, Manifest]], reference: str
) -> None:
    owner, cards = sampled
    elsewhere = names.resolve(lake, "small/replay-30", "run")
    signed = approve(lake, owner, [judged("replay-30/4", True)], cards, reference, "me", "")
    place = names.alias(lake, "small", names.CHAMPION)
    assert place is not None
    assert place["id"] == signed.run_id == names.resolve(lake, "small@1/replay-00", "run").id
    assert signed.run_id != elsewhere.id
    assert place["reference"] == signed.reference == "small@2/replay-30/4"
    (row,) = read_facts(lake, "signoffs")
    assert (row["scorecard_id"], row["checkpoint_id"]) == (cards["replay-30/4"].id, signed.checkpoint_id)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("small@1/replay-30/4", ["small@2", "another version"]),
        ("replay-00/4", ["no run 'replay-00'", "replay-30"]),
        ("replay-30/2", ["replay-30/2", "the gate was applied to replay-30/4"]),
        ("scorecard", ["is a scorecard"]),
    ],
)
def test_what_was_not_gated_here_is_not_approved(
    lake: Lake, sampled: tuple[Claim, dict[str, Manifest]], reference: str, words: list[str]
) -> None:
    with pytest.raises(UnknownName) as error:
        approve(lake, sampled[0], [judged("replay-30/4", True)], sampled[1], reference, "me", "")
    assert all(word in str(error.value) for word in words), error.value
    assert not list(read_facts(lake, "signoffs"))
    assert names.alias(lake, "small", names.CHAMPION) is None


@pytest.mark.parametrize(
    ("gate", "champion", "note", "override", "lacking"),
    [
        (True, True, "", False, ""),
        (True, None, "", False, ""),
        (None, None, "", False, "against base/4 it is INCONCLUSIVE"),
        (None, None, " ", True, "say why: --note TEXT"),
        (None, None, "tied", False, ""),
        (False, None, "", False, "against base/4 it is FAILED"),
        (False, None, "needed", False, "--override --note TEXT"),
        (False, None, "", True, "--override --note TEXT"),
        (False, None, "needed", True, ""),
        (True, False, "needed", False, "against small/champion it is FAILED"),
        (None, False, "needed", False, "against small/champion it is FAILED"),
        (True, False, "needed", True, ""),
    ],
)
def test_what_did_not_pass_is_approved_only_with_a_reason(
    lake: Lake,
    sampled: tuple[Claim, dict[str, Manifest]],
    gate: bool | None,
    champion: bool | None,
    note: str,
    override: bool,
    lacking: str,
) -> None:
    owner, cards = sampled
    rows = [judged("replay-30/4", gate, champion)]
    if not lacking:
        approve(lake, owner, rows, cards, "replay-30/4", "me", note, override)
        (row,) = read_facts(lake, "signoffs")
        said = (row["note"], row["verdict"], row["against_champion"])
        assert rows[0].against_champion is not None
        assert said == (note, rows[0].gate.verdict, rows[0].against_champion.verdict)
        return
    with pytest.raises(ConfigError, match=lacking) as error:
        approve(lake, owner, rows, cards, "replay-30/4", "me", note, override)
    assert "\n" not in str(error.value)
    assert not list(read_facts(lake, "signoffs"))
    assert names.alias(lake, "small", names.CHAMPION) is None


def test_on_the_command_line_a_verdict_other_than_passed_asks_for_a_note(
    small_lake: Path, lake: Lake
) -> None:
    recipe = small_lake.parent / "corpus" / "recipe.yaml"
    asked = ["select", recipe, "--approve", "replay-30/4", "--lake", lake.root]
    said = tilth(*asked)
    assert said.code == 2 and "INCONCLUSIVE" in said.err and "--note" in said.err
    assert names.alias(lake, "small", names.CHAMPION) is None


def test_approving_on_the_command_line_signs_the_scorecard_that_was_shown(
    small_lake: Path, lake: Lake
) -> None:
    recipe, options = small_lake.parent / "corpus" / "recipe.yaml", ["--lake", lake.root]
    said = tilth(
        "select", recipe, "--approve", "replay-30/4", "--note", "enough", "--reviewer", "me", *options
    )
    assert said.code == 0, said.err
    assert "small/champion is now small@1/replay-30/4" in said.err
    (row,) = read_facts(lake, "signoffs")
    (owner,) = names.claims(lake, "small")
    assert row["scorecard_id"] == stored_scorecards(lake, owner)["replay-30/4"].id
    again = tilth("select", recipe, "--approve", "replay-30/4", "--note", "enough", *options)
    assert "replay-30/4 against base/4" in again.out and "it was the champion already" in again.err
    assert "already" not in said.err
    (row,) = [line for line in again.out.splitlines() if line.startswith("replay-30/4  ")]
    assert row.endswith("is champion") and "is champion" not in said.out


def test_what_only_the_champion_keeps_from_being_chosen_is_told_with_its_numbers() -> None:
    base = holdout_card("base/4")
    gate = Gate.model_validate(
        {
            "gain": {"holdout/domain": {"bits_per_byte": "improves"}},
            "harm": {"holdout/general": {"bits_per_byte": {"max_increase": "3%"}}},
        }
    )
    champion = holdout_card("small/champion", domain=-0.05, general=-0.10, seed=2)
    forgetful = holdout_card("replay-00/4", domain=-0.10, general=0.0, seed=3)
    said = render_selection(select(gate, base, [forgetful], champion))
    assert (
        "replay-00/4 against base/4: PASSED" in said and "replay-00/4 against small/champion: FAILED" in said
    )
    assert said.endswith(
        "nothing chosen: FAILED\n"
        "not chosen: replay-00/4, which fails against small/champion (holdout/general bits_per_byte)"
    )
    assert "not chosen" not in render_selection(select(gate, base, [forgetful]))


def artifacts(lake: Lake) -> dict[str, tuple[int, int]]:
    """All of a lake but its catalogs, which follow a lake that was moved."""
    return {
        path: found
        for path, found in files_under(lake.root).items()
        if "catalog" not in path and ".cache" not in path
    }


def test_what_nobody_has_seen_is_not_approved_and_an_earlier_version_is_as_it_was_scored(
    small_lake: Path, tmp_path: Path, lake: Lake
) -> None:
    corpus = shutil.copytree(small_lake.parent / "corpus", tmp_path / "corpus")
    with (corpus / "code.jsonl").open("a") as file:
        file.write('{"text": "a document that came since the review"}\n')
    asked = ["select", corpus / "recipe.yaml", "--lake", lake.root, "--note", "enough", "--approve"]
    before = artifacts(lake)
    refused(tilth(*asked, "replay-30/4"), "nobody has seen it", "small@1/RUN/STEP")
    refused(tilth(*asked, "small@9/replay-30/4"), "no version 9", "small@1")
    assert artifacts(lake) == before
    said = tilth(*asked, "small@1/replay-30/4")
    assert said.code == 0, said.err
    assert "replay-30/4 against base/4" in said.out
    assert "small/champion is now small@1/replay-30/4" in said.err
    assert len(names.claims(lake, "small")) == 1
    tree = json.loads(tilth(*asked, "small@1/replay-30/4", "--json").out)
    assert tree["name"] == "small@1" and tree["result"]["rows"]


def test_a_scorecard_that_is_found_has_the_name_it_has_in_this_version(
    lake: Lake, sampled: tuple[Claim, dict[str, Manifest]]
) -> None:
    owner, cards = sampled
    assert [card.name for card in open_cards(lake, owner).values()] == ["replay-30/4"]
    assert "replay-00" not in json.dumps(asdict(cards["replay-30/4"]), default=str)


@pytest.fixture
def milestone(small_lake: Path, lake: Lake) -> Lake:
    """An earlier walk scored step 2 too, as milestones are; what is scored is circumstance, so the version is the same."""
    recipe = small_lake.parent / "corpus" / "recipe.yaml"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "_steps", lambda work, run, id: [2, 4] if run == "replay-00" else [4])
        said = tilth("eval", recipe, "--lake", lake.root)
    assert said.code == 0, said.err
    return lake


def test_the_command_line_and_the_app_select_among_the_same_in_the_same_order(
    small_lake: Path, milestone: Lake
) -> None:
    recipe, (owner,) = small_lake.parent / "corpus" / "recipe.yaml", names.claims(milestone, "small")
    by_app = select_stored(milestone, owner, open_cards(milestone, owner))
    assert by_app is not None
    assert [row.name for row in by_app.rows] == ["replay-00/2", "replay-00/4", "replay-30/4"]
    told = [(row.name, row.p_best, row.choosable, row.dominated_by, row.objective) for row in by_app.rows]
    for command in (["select"], ["run", "--runs", "replay-30"]):
        said = tilth(*command, recipe, "--lake", milestone.root, "--json")
        result = json.loads(said.out)["result"]
        result = result if command == ["select"] else result["selection"]
        assert told == [
            (row["name"], row["p_best"], row["choosable"], tuple(row["dominated_by"]), row["objective"])
            for row in result["rows"]
        ]
        assert (result["chosen"], result["verdict"]) == (by_app.chosen, by_app.verdict)


def test_what_an_earlier_walk_scored_can_be_approved(small_lake: Path, milestone: Lake) -> None:
    recipe = small_lake.parent / "corpus" / "recipe.yaml"
    said = tilth("select", recipe, "--approve", "replay-00/2", "--note", "why", "--lake", milestone.root)
    assert "small/champion is now small@1/replay-00/2" in said.err


def test_json_says_the_verdicts_that_the_text_says(small_lake: Path) -> None:
    options = [small_lake.parent / "corpus" / "recipe.yaml", "--lake", small_lake]
    text = tilth("select", *options).out
    by_select = json.loads(tilth("select", *options, "--json").out)["result"]
    by_run = json.loads(tilth("run", *options, "--json").out)["result"]["selection"]
    assert by_select == by_run
    assert by_select["verdict"] == "INCONCLUSIVE" and by_select["chosen"] is None
    for row in by_select["rows"]:
        gate = row["gate"]
        assert f"{row['name']} against {gate['baseline']}: {gate['verdict']}" in text
        assert {True: "PASSED", False: "FAILED", None: "INCONCLUSIVE"}[gate["passed"]] == gate["verdict"]
        assert row["choosable"] == gate["passed"] and row["against_champion"] is None
        assert {rule["verdict"] for rule in gate["rules"]}


def test_a_champion_that_was_scored_otherwise_is_left_out_and_it_is_told_why(
    small_lake: Path, lake: Lake
) -> None:
    recipe = small_lake.parent / "corpus" / "recipe.yaml"
    approved = tilth("select", recipe, "--lake", lake.root, "--approve", "replay-30/4", "--note", "first")
    assert approved.code == 0, approved.err
    same = tilth("select", recipe, "--lake", lake.root)
    assert "left out" not in same.err and "is champion" in same.out
    for change, reason in (
        ("evaluation.window_tokens=32", "windowing.window is 64 and 32"),
        ("evaluation.tasks=[holdout]", "it alone has endings"),
    ):
        guards = "gate.harm={holdout/general: {bits_per_byte: {max_increase: 3%}}}"
        sets = [word for text in (change, guards, "training.weight_decay=0") for word in ("--set", text)]
        said = tilth("select", recipe, "--lake", lake.root, *sets, "--json")
        assert "small/champion is left out of the comparison: small@1/replay-30/4" in said.err
        assert reason in said.err
        selection = json.loads(said.out)["result"]
        assert reason in selection["champion_left_out"]
        assert [row["against_champion"] for row in selection["rows"]] == [None, None]


def test_compare_reads_the_margins_of_the_gate(small_lake: Path) -> None:
    said = tilth("compare", "small/base/4", "small/replay-30/4", "--lake", small_lake, "--json")
    rows = {(row["target"], row["metric"]): row for row in json.loads(said.out)}
    general = rows["holdout/general", "bits_per_byte"]
    assert general["margin"] == pytest.approx(0.03 * general["baseline"])
    assert rows["endings", "acc"]["margin"] == pytest.approx(0.05)
    assert rows["holdout", "bits_per_byte"]["margin"] is None


def test_a_task_whose_role_changed_is_scored_anew(small_lake: Path, lake: Lake, tmp_path: Path) -> None:
    corpus = shutil.copytree(small_lake.parent / "corpus", tmp_path / "corpus")
    catalog = corpus / "catalog.yaml"
    catalog.write_text(
        catalog.read_text("utf-8").replace("role: general, type", "role: domain, type"), "utf-8"
    )
    gate = "gate.harm={endings/domain: {acc: {max_decrease: 5pp}}}"
    said = tilth("select", corpus / "recipe.yaml", "--set", gate, "--lake", lake.root)
    assert said.code in (0, 3, 4), said.err
    assert "harm endings/domain acc" in said.out


def test_scorecards_of_a_run_that_another_took_the_name_of_are_no_candidates(lake: Lake) -> None:
    """As one trained again on another device does: the old one's step is not a step of the run of that name."""
    (owner,) = names.claims(lake, "small")
    runs = {fact["key"]: fact["id"] for fact in names.attached(lake, owner, "run")}
    assert "replay-30/4" in stored_scorecards(lake, owner)
    names.attach(lake, owner, "run", runs["replay-00"], "replay-30")
    assert {"base/4", "replay-00/4"} <= stored_scorecards(lake, owner).keys()
    assert "replay-30/4" not in stored_scorecards(lake, owner)
    selection = select_stored(lake, owner, open_cards(lake, owner))
    assert selection is not None and [row.name for row in selection.rows] == ["replay-00/4"]


def test_what_was_scored_otherwise_than_the_baseline_is_told(
    lake: Lake, small_lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        evaluation, "header_differences",
        lambda one, other: [] if "replay-30" in one.name else ["the scorer was another"],
    )  # fmt: skip
    recipe = small_lake.parent / "corpus" / "recipe.yaml"
    said = tilth("select", recipe, "--lake", lake.root)
    assert (
        "replay-00/4 was scored otherwise than the baseline and is left out: the scorer was another"
        in said.err
    )
    monkeypatch.setattr(evaluation, "header_differences", lambda one, other: ["the scorer was another"])
    said = tilth("select", recipe, "--lake", lake.root)
    assert said.code == 2 and "nothing was scored as the baseline base_model was" in said.err
