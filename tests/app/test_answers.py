"""What verbs that ask print: one JSON document, text that says enough, one line for what is not there."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from app import render
from corpus import names
from corpus.lake import Lake
from tests.app.command import REPOSITORY, refused, tilth
from tests.app.small_lake import copy_lake


def test_a_damaged_fact_names_its_file(small_lake: Path, tmp_path: Path) -> None:
    copy_lake(small_lake, tmp_path)
    path = tmp_path / "lake" / "names" / "small" / "1" / "claim.json"
    path.write_text("{")
    for command in (["ls"], ["sql", "FROM documents"], ["why", "p3"]):
        said = tilth(*command, "--lake", tmp_path / "lake")
        assert said.code == 1 and said.err.count("\n") == 1 and f"{path} is damaged" in said.err, said.err


def test_json_is_one_document_and_nothing_else(small_lake: Path, tmp_path: Path) -> None:
    recipe, lake = small_lake.parent / "corpus" / "recipe.yaml", ["--lake", small_lake, "--json"]
    commands: list[tuple[list[object], int]] = [
        *(
            ([verb, recipe, *lake], 0)
            for verb in ("run", "ingest", "curate", "tokenize", "mix", "train", "eval")
        ),
        (["select", recipe, *lake], 4),
        (["why", "p3", *lake], 0),
        (["what-if", recipe, "--set", "curation.rules.num_words.min=75", *lake], 0),
        (["compare", "small/base/4", "small/replay-30/4", *lake], 3),
        (["compare", "small@1", "small@1", *lake], 0),
        (["lineage", "small/replay-30/2", *lake], 0),
        (["lineage", "p3", *lake], 0),
        (["sql", "FROM documents", *lake], 0),
        (["sql", "FROM documents WHERE false", *lake], 0),
        (["ls", *lake], 0),
        (["export", "small", "--to", "parquet", "--out", tmp_path / "out", *lake], 0),
        (["doctor", *lake], 0),
    ]
    for command, code in commands:
        said = tilth(*command)
        json.loads(said.out)
        assert said.code == code, (command, said.err)
    assert len(json.loads(tilth("sql", "FROM documents", *lake).out)) == 130


def test_text_results_do_not_say_less_than_they_should(small_lake: Path) -> None:
    recipe, lake = small_lake.parent / "corpus" / "recipe.yaml", ["--lake", small_lake]
    said = tilth("run", recipe, *lake)
    assert said.code == 0
    for word in (
        "held_out",
        "near_duplicate",
        "bits_per_byte",
        "INCONCLUSIVE (n ≈",
        "lineage: small@1/",
        "tilth app --lake",
    ):
        assert word in said.out
    assert "only_this_rule" in tilth("curate", recipe, *lake).out
    assert "unimax_weight" in tilth("mix", recipe, *lake).out
    assert "held_out_loss" in tilth("train", recipe, *lake).out
    assert tilth("tokenize", recipe, *lake).out.count("code") == 1
    table = tilth("sql", "SELECT count(*) AS n FROM documents", *lake)
    assert table.out == "  n\n───\n130\n"
    moment = "SELECT 1795245149870793 AS time_utc"
    assert tilth("sql", moment, *lake).out.splitlines()[-1] == "2026-11-21T07:12:29Z"
    assert tilth("sql", moment, "--format", "csv", *lake).out == "time_utc\n1795245149870793\n"
    assert tilth("sql", "SELECT 1 AS a, [2] AS b", "--format", "csv", *lake).out == "a,b\n1,[2]\n"
    assert (
        tilth("sql", "SELECT 1 AS a UNION ALL SELECT 2 ORDER BY a", "--format", "json", *lake).out
        == '{"a": 1}\n{"a": 2}\n'
    )


def test_why_says_whose_decision_it_is_and_how_close_it_was(small_lake: Path, tmp_path: Path) -> None:
    lake = copy_lake(small_lake, tmp_path)
    (first,) = names.claims(lake, "small")
    for name in ("alike", "other"):  # two recipes with the same snapshot
        names.attach(
            lake,
            names.claim(lake, name, "e" * 32, {}),
            "snapshot",
            names.attached(lake, first, "snapshot")[0]["id"],
        )
    said = tilth("why", "p3", "--lake", lake.root)
    assert (
        said.out.startswith("in alike@1, other@1, small@1 (snapshot ") and said.out.count("(snapshot ") == 1
    )
    line = next(line.split() for line in said.out.splitlines() if line.startswith("too_few_words"))
    assert line == ["too_few_words", "num_words", "72", "at", "least", "12", "500%"]
    (row,) = json.loads(tilth("why", "p3", "--json", "--lake", lake.root).out)
    assert row["recipes"] == ["alike@1", "other@1", "small@1"]
    assert {rule["rule"]: rule["threshold"] for rule in row["rules"]} == {
        "too_few_words": 12, "words_too_long": 9, "too_many_duplicate_lines": 0.5, "pii_ssn": 0,
    }  # fmt: skip


def test_lineage_counts_epochs_as_mix_does(small_lake: Path) -> None:
    recipe, lake = small_lake.parent / "corpus" / "recipe.yaml", ["--lake", small_lake]
    said = tilth("lineage", "small/replay-30/4", *lake).out
    step = json.loads(tilth("lineage", "small/replay-30/4", "--json", *lake).out)
    mixed = json.loads(tilth("mix", recipe, "--json", *lake).out)["result"]
    planned = {row["source"]: row["epochs"] for row in mixed["replay-30"]}
    assert step["epochs"] == planned and planned.keys() == {"prose", "code"}
    for epochs in planned.values():
        assert f"{epochs:.4g} epochs" in said


def test_mix_shows_the_baselines_beside_the_weights(small_lake: Path) -> None:
    """Natural is by whole sequences of 64; no source is read to its cap of eight times, so UniMax is uniform here."""
    recipe, lake = small_lake.parent / "corpus" / "recipe.yaml", Lake.open(small_lake)
    (shards,) = lake.artifacts("token_shards")
    sizes = {name: (tally["tokens"] - 1) // 64 for name, tally in shards.summary["sources"].items()}
    text = tilth("mix", recipe, "--lake", small_lake).out.partition("\nreplay-30\n")[2].splitlines()
    table = [dict(zip(text[0].split(), line.split(), strict=True)) for line in text[2:]]
    assert {row["source"]: row["weight"] for row in table} == {"code": "0.7", "prose": "0.3"}
    for row in table:
        natural = sizes[row["source"]] / sum(sizes.values())
        assert float(row["natural_weight"]) == pytest.approx(natural, abs=1e-4)
        assert (row["uniform_weight"], row["unimax_weight"]) == ("0.5", "0.5")


def test_the_size_of_token_shards_is_that_of_their_tokens(small_lake: Path) -> None:
    rows = json.loads(tilth("ls", "token_shards", "--json", "--lake", small_lake).out)
    lake = Lake.open(small_lake)
    assert len(rows) == 1
    for row in rows:
        tallies = lake.get("token_shards", row["id"]).summary["sources"].values()
        assert row["bytes"] > 2 * sum(tally["tokens"] for tally in tallies)


def test_aliases_are_a_kind_of_their_own(small_lake: Path, tmp_path: Path) -> None:
    lake = copy_lake(small_lake, tmp_path)
    assert json.loads(tilth("ls", "alias", "--json", "--lake", lake.root).out) == []
    run = names.resolve(lake, "small/replay-30", "run").id
    names.move_alias(lake, "small", names.CHAMPION, run, 4, "small@1/replay-30/4")
    (row,) = json.loads(tilth("ls", "alias", "--json", "--lake", lake.root).out)
    assert (row["kind"], row["id"]) == ("alias", run) and "small/champion" in row["names"]
    assert row in json.loads(tilth("ls", "--json", "--lake", lake.root).out)


def test_sql_that_is_wrong_is_one_line(small_lake: Path) -> None:
    for query, word in [
        ("SELECT nope FROM documents", "nope"),
        ("FROM documnts", "'documents'"),
        ("DROP TABLE documents", "SELECT"),
        ("SELEC", "SELEC"),
    ]:
        refused(tilth("sql", query, "--lake", small_lake), word)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["why", "zzz"], ["no document 'zzz'"]),
        (["why", "p3", "--snapshot", "smal"], ["'smal'", "'small'"]),
        (["why", "p3", "--snapshot", "small@7"], ["no version 7", "small@1"]),
        (["lineage", "small"], ["stands for several", "small@1/base"]),
        (["lineage", "small/replay"], ["no run 'replay'", "replay-00"]),
        (["lineage", "small/base/99"], ["steps 1 to 4"]),
        (["lineage", "small/base/x"], ["'x' is not a step"]),
        (["lineage", "small/snapshot"], ["neither a training step nor a document"]),
        (["lineage", "nobody/knows"], ["no document 'nobody/knows'"]),
        (["compare", "small", "small/base/4"], ["a snapshot", "a scorecard"]),
        (["compare", "small/base/2", "small/base/4"], ["no scorecard at step 2"]),
        (["ls", "snapshto"], ["'snapshto'", "'snapshot'"]),
        (["ls", ""], ["kind ''", "snapshot"]),
        (["export", "small", "--to", "csv", "--out", "x"], ["'csv'", "'jsonl'"]),
        (["export", "small/replay-30/3", "--to", "hf", "--out", "x"], ["no committed checkpoint at step 3", "2, 4"]),
        (["export", "small/base/4", "--to", "jsonl", "--out", "x"], ["a run cannot be exported as 'jsonl'"]),
        (["export", "small", "--to", "jsonl", "--out", "/dev/null/x"], ["/dev/null/x", "Not a directory", "--out"]),
    ],
)  # fmt: skip
def test_questions_about_what_is_not_there_are_one_line(
    small_lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(tilth(*arguments, "--lake", small_lake), *words)
    assert not list(tmp_path.iterdir())


def test_rows_are_piped_to_a_reader_that_leaves(small_lake: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "app.cli",
        "sql",
        "FROM range(200000)",
        "--format",
        "csv",
        "--lake",
        str(small_lake),
    ]
    command = f"{shlex.join(words)} | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("range\n", "")


@pytest.mark.parametrize(
    ("query", "said"),
    [("FROM range(2000)", "cut at 1,000 rows"), ("SELECT [repeat('x', 99000)] FROM range(900)", "cut at 32 MB"), ("FROM range(3)", "")],
)  # fmt: skip
def test_a_table_that_is_cut_says_where(tmp_path: Path, query: str, said: str) -> None:
    Lake.open(tmp_path / "lake")
    found = tilth("sql", query, "--lake", tmp_path / "lake").err
    assert found == (f"{said}; --format csv or json gives all\n" if said else "")


def test_tables_hold_what_they_are_given() -> None:
    assert render.render_table([]) == "(no rows)"
