"""The command line as a user meets it: exit codes, one line for every mistake, one JSON document, signals."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from app import cli, render
from corpus import ingest, names
from corpus.lake import Lake
from tests.app.command import REPOSITORY, tilth
from tests.app.small_lake import write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus and a recipe; commands that are refused leave no lake in it."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


def refused(said: object, *words: str) -> None:
    """Exit code 2, nothing on stdout, one line on stderr that says these words."""
    code, out, err = said.code, said.out, said.err  # type: ignore[attr-defined]
    assert (code, out) == (2, ""), (code, out, err)
    assert err.startswith("tilth: ") and err.count("\n") == 1 and "Traceback" not in err, err
    for word in words:
        assert word in err


# ── the entry point ──


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    listing = "import sys, app.cli; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", listing], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    heavy = {
        "torch",
        "transformers",
        "polars",
        "pyarrow",
        "duckdb",
        "numba",
        "numpy",
        "streamlit",
        "pydantic",
        "yaml",
    }
    assert not heavy & set(modules.stdout.split())
    before = os.times()
    subprocess.run(
        [sys.executable, "-m", "app.cli", "--help"], cwd=REPOSITORY, capture_output=True, check=True
    )
    after = os.times()
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    assert seconds < 0.5


def test_the_verbs_are_those_of_the_design() -> None:
    verbs = "run ingest curate tokenize mix train eval select why what-if compare lineage sql ls export app doctor"
    said = tilth("--help")
    listed = said.out.partition("Commands:")[2].split("\n")
    assert said.code == 0 and [line.split()[0] for line in listed if line.strip()] == verbs.split()
    assert tilth() == said


def test_every_verb_but_the_app_has_json_and_all_have_lake_and_profile() -> None:
    from app.options import cli as commands

    for command in commands.registered_commands:
        assert command.callback is not None
        options = set(command.callback.__annotations__)
        assert {"lake", "profile"} <= options
        assert "json_" in options or command.name == "app"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian", "r.yaml"], ["No such command 'trian'", "'train'"]),
        (["run"], ["Missing argument"]),
        (["run", "r.yaml", "--untill", "mix"], ["No such option: --untill", "--until"]),
        (["app", "--port", "many"], ["--port", "integer"]),
    ],
)
def test_a_wrong_command_is_told_in_one_line(arguments: list[str], words: list[str]) -> None:
    refused(tilth(*arguments), *words)


# ── mistakes in a recipe, found before any work ──

MISTAKES: list[tuple[str, list[str]]] = [
    ("curaton.presets=[c4]", ["unknown key 'curaton'", "'curation'"]),
    ("training.learning_rte=1", ["'training.learning_rte'", "'learning_rate'"]),
    ("sources=[prose, cod]", ["no source 'cod'", "'code'"]),
    ("sources=[prose, prose]", ["'prose' stands twice"]),
    ("sources=[]", ["at least one source"]),
    ("catalog=nowhere.yaml", ["nowhere.yaml"]),
    ("catalog.sources.prose.path=nowhere", ["nowhere", "matches no file"]),
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
    ("training.engine=fsdp2", ["'fsdp2'", "not there yet"]),
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
    refused(tilth("run", tmp_path), "cannot read")


def test_mistakes_in_options_are_told_in_one_line(corpus: Path) -> None:
    recipe, lake = corpus / "recipe.yaml", ["--lake", corpus / "lake"]
    refused(tilth("run", recipe, *lake, "--until", "trian"), "'trian'", "'train'")
    refused(tilth("run", recipe, *lake, "--runs", "replay-0"), "no run 'replay-0'", "'replay-30'")
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


def test_a_profile_s_lake_may_be_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_corpus(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profiles.yaml").write_text("default: {lake: ~/lake}\n")
    for option, place in (([], "lake"), (["--lake", "~/other"], "other")):
        assert tilth("ingest", tmp_path / "recipe.yaml", *option).code == 0
        assert (tmp_path / "home" / place / "format.json").exists()
    assert not (tmp_path / "~").exists()


def test_the_funnel_of_a_sample_says_so(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    command = ["curate", tmp_path / "recipe.yaml", "--lake", tmp_path / "lake"]
    assert "of a sample of 50.00% of the documents" in tilth(*command, "--sample", "50%").out
    assert "of a sample" not in tilth(*command).out


def test_a_damaged_fact_names_its_file(small_lake: Path, tmp_path: Path) -> None:
    shutil.copytree(small_lake, tmp_path / "lake", symlinks=True)
    path = tmp_path / "lake" / "names" / "small" / "1" / "claim.json"
    path.write_text("{")
    for command in (["ls"], ["sql", "FROM documents"], ["why", "p3"]):
        said = tilth(*command, "--lake", tmp_path / "lake")
        assert said.code == 1 and said.err.count("\n") == 1 and f"{path} is damaged" in said.err, said.err


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


# ── what nobody expected ──


def test_an_unexpected_error_is_one_line_that_names_the_part(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(ingest, "read_records", fail)
    said = tilth("ingest", corpus / "recipe.yaml", "--lake", tmp_path / "lake")
    assert said.code == 1 and said.err.count("\n") == 1
    assert (
        said.err.startswith("tilth: ingest, ")
        and "unit" in said.err
        and "ZeroDivisionError: division by zero" in said.err
    )
    monkeypatch.setenv(cli.TRACEBACK, "1")
    said = tilth("ingest", corpus / "recipe.yaml", "--lake", tmp_path / "lake")
    assert said.code == 1 and "Traceback" in said.err and "read_records" in said.err


def test_a_full_disk_is_exit_1(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ingest, "read_records", fail)
    said = tilth("ingest", corpus / "recipe.yaml", "--lake", tmp_path / "lake")
    assert said.code == 1 and "No space left on device" in said.err and "the same command resumes" in said.err


# ── results ──


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
        assert (command[0], said.code) in [(command[0], code), ("compare", 4)], said.err
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
    shutil.copytree(small_lake, tmp_path / "lake", symlinks=True)
    lake = Lake.open(tmp_path / "lake", create=False)
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
    rows = json.loads(tilth("sql", "FROM mixtures", "--json", *lake).out)
    step = json.loads(tilth("lineage", "small/replay-30/4", "--json", *lake).out)
    planned = [row["epochs"] for row in rows if row["source"] == "prose"]
    assert step["epochs"]["prose"] in planned and recipe.exists()
    assert f"{step['epochs']['prose']:.4g} epochs" in said


def test_the_size_of_token_shards_is_that_of_their_tokens(small_lake: Path) -> None:
    rows = json.loads(tilth("ls", "token_shards", "--json", "--lake", small_lake).out)
    lake = Lake.open(small_lake)
    for row in rows:
        tallies = lake.get("token_shards", row["id"]).summary["sources"].values()
        assert row["bytes"] > 2 * sum(tally["tokens"] for tally in tallies)


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
    command = (
        f"{sys.executable} -m app.cli sql 'FROM range(200000)' --format csv --lake {small_lake} | head -1"
    )
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
