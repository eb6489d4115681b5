"""Overview: what was read, kept and trained, what stopped, and what comes next."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import queries, verdicts
from app.guard import record_guards
from app.reach import first_missing
from app.recipe import STAGES, load_recipe
from corpus import names
from tests.app.command import tilth
from tests.app.screens.page import shown
from tests.app.small_lake import copy_lake, write_corpus


def test_overview_counts_what_was_read_and_kept_and_names_the_sources(small_lake: Path, opened: Any) -> None:
    test = opened(small_lake, "overview")
    said = shown(test)
    tiles = {tile.label: tile.value for tile in test.metric}
    funnel = opened(small_lake, "curation").dataframe[0].value.groupby("rule")["documents"].sum()
    assert tiles["Documents read"] == f"{funnel['read']:,}"
    assert tiles["Kept"] == f"{funnel['kept'] / funnel['read']:.0%}"
    assert funnel["rejected"] > 0
    assert "small@1" in said
    assert "CC0-1.0" in said
    assert "approve" in said  # no champion yet: what to do next


@pytest.mark.parametrize(("chosen", "named"), [("replay-30/4", "replay-30/4"), (None, "RUN/STEP")])
def test_the_command_that_signs_off_names_what_the_gate_chooses(
    small_lake: Path, opened: Any, monkeypatch: pytest.MonkeyPatch, chosen: str | None, named: str
) -> None:
    select_stored = verdicts.select_stored

    def select_chosen(*given: Any) -> Any:
        selection = select_stored(*given)
        assert selection is not None
        return replace(selection, chosen=chosen)

    monkeypatch.setattr(verdicts, "select_stored", select_chosen)
    assert f"tilth select RECIPE --approve {named} " in shown(opened(small_lake, "overview"))


@pytest.mark.parametrize("status", ["running", "failed", "not_finite", "interrupted"])
def test_train_is_checked_when_the_runs_are_finished_not_when_they_start(
    small_lake: Path, tmp_path: Path, opened: Any, status: str
) -> None:
    def look() -> tuple[list[str], str]:
        test = opened(lake.root, "overview")
        links = [link.proto.icon for link in test.get("page_link") if link.proto.label == "Train"]
        return links, shown(test)

    lake = copy_lake(small_lake, tmp_path)
    assert ["check_circle" in icon for icon in look()[0]] == [True]
    run = names.resolve(lake, "small/replay-30", "run").id
    lake.write_json(lake.runs / run / "status.json", {**queries.run_status(lake, run), "status": status})
    icons, said = look()
    assert ["check_circle" in icon for icon in icons] == [False]
    assert "tilth train RECIPE" in said
    assert "run ready" not in said


@pytest.mark.parametrize("stops", [True, False])
def test_what_a_guard_stopped_is_said_and_not_called_done(
    small_lake: Path, tmp_path: Path, opened: Any, stops: bool
) -> None:
    lake = copy_lake(small_lake, tmp_path)
    (first,) = names.claims(lake, "small")
    second = names.claim(lake, "small", "9" * 32, first.recipe)
    for kind in ("documents", "snapshot"):
        for fact in names.attached(lake, first, kind):
            names.attach(lake, second, kind, fact["id"], fact["key"])
    snapshot = lake.get("snapshot", fact["id"])
    record_guards(lake, second, snapshot, "a guard stopped it: prose lost 12 of 70" if stops else "")

    def look() -> tuple[str, bool, str]:
        test = opened(lake.root, "overview", recipe="small", version="2")
        (icon,) = [link.proto.icon for link in test.get("page_link") if link.proto.label == "Curate"]
        said = shown(test)
        return said, "check_circle" in icon, "\n".join(error.value for error in test.error)

    said, curated, error = look()
    assert curated is not stops
    assert ("Next: tokenize" in said) is not stops
    assert ("prose lost" in error) is stops
    for view in ("Funnel", "Rejects"):
        test = opened(lake.root, "curation", recipe="small", version="2", view=view)
        assert any("prose lost" in error.value for error in test.error) is stops
    record_guards(lake, second, snapshot)  # it was allowed more
    assert look()[1:] == (True, "")


def test_parts_that_versions_share_are_counted_once(small_lake: Path, tmp_path: Path) -> None:
    lake = copy_lake(small_lake, tmp_path)
    change = "curation.overrides={prose: {num_words: {min: 30}}}"  # the shards of code stay as they are
    recipe = small_lake.parent / "corpus" / "recipe.yaml"
    assert tilth("tokenize", recipe, "--lake", lake.root, "--set", change).code == 0
    rows = queries.list_things(lake, "token_shards")
    on_disk = sum(path.stat().st_size for path in (lake.root / "token_shards" / "parts").iterdir())
    assert len(rows) == 2
    assert queries.bytes_by_kind(lake)["token_shards"] == on_disk < sum(row["bytes"] for row in rows)


PRESENT_OR_NOT = {
    "tokenizer": ["{train: bpe, vocab_size: 400}", "null"],
    "training": [None, "null"],
    "holdout": [None, "null"],
    "evaluation": ["{tasks: [endings]}", "{}", "{tasks: []}"],
}


def test_what_comes_next_is_as_far_as_the_recipe_goes(tmp_path: Path) -> None:
    """The page knows a stored recipe alone; the command line, which refuses what is beyond its end, the one that is read."""
    from app.screens.overview import VERBS, goes_as_far_as

    write_corpus(tmp_path)
    ends = set()
    for values in itertools.product(*PRESENT_OR_NOT.values()):
        sets = [f"{key}={value}" for key, value in zip(PRESENT_OR_NOT, values, strict=True) if value]
        monitor = [] if "training=null" in sets else ["training.monitor=null"]
        loaded = load_recipe(tmp_path / "recipe.yaml", [*sets, *monitor, "gate=null"])
        missing = first_missing(loaded)
        assert missing is not None
        for kind, verb in VERBS.items():
            if (
                kind == "token_shards" or "tokenizer=null" not in sets
            ):  # the first that is not reached is asked first
                reached = STAGES.index(verb) < STAGES.index(missing[0])
                assert goes_as_far_as(loaded.resolved(), kind) == reached, (sets, kind)
        ends.add(missing[0])
    assert ends == {"tokenize", "mix", "eval", "select"}
