"""The demo's corpus: the same bytes every time, questions that have an answer, and everything planted that should be."""

from __future__ import annotations

import csv
import importlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from corpus.files import list_files
from corpus.readers import REASONS, Reading, Record, Reject, read_records
from corpus.schema import PII_TYPES
from quality.c4_lines import C4Lines
from quality.heuristics import Heuristics
from quality.language import Language
from quality.pii import Pii
from quality.repetition import Repetition
from quality.rules import PRESETS, build_rules
from tests.app.command import tilth

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "recipes"))
demo_corpus: Any = importlib.import_module("demo_corpus")
demo_planted: Any = importlib.import_module("demo_planted")
demo_questions: Any = importlib.import_module("demo_questions")
demo_text: Any = importlib.import_module("demo_text")

READINGS = {
    "general/handbook": Reading(id_field="id"),
    "general/services": Reading(format="xml", text_field=".//section", id_field="@id"),
    "general/readmes": Reading(format="markdown", id_field="id"),
    "general/topics": Reading(format="text", split="blank_lines"),
    "domain/modules": Reading(format="text"),
    "domain/library": Reading(id_field="id"),
    "domain/models": Reading(id_field="id"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("demo") / "corpus"
    demo_corpus.make(made)
    return made


def items(folder: Path, source: str) -> Iterator[Record | Reject]:
    for ref in list_files(source, folder):
        yield from read_records(ref, READINGS[source])


# ── what is in it ──


def test_every_reject_reason_occurs_and_what_stands_beside_it_survives(folder: Path) -> None:
    found = [item for source in READINGS for item in items(folder, source)]
    assert {item.reason for item in found if isinstance(item, Reject)} == set(REASONS)
    own_ids = {item.own_id for item in found if isinstance(item, Record)}
    assert {f"planted/survivor/{which}" for which in (0, 1, 2, 3, "csv")} <= own_ids


def test_for_every_rule_of_the_presets_there_is_a_text_that_fails_it_first(folder: Path) -> None:
    texts = {item.own_id: item.text for item in items(folder, "general/handbook") if isinstance(item, Record)}
    planted = {own: text for own, text in texts.items() if own and own.startswith("planted/")}
    bounds = {
        **PRESETS["gopher"],
        **PRESETS["c4"],
        **PRESETS["fineweb"],
        "language": {"allow": ["en"], "min_score": 0.65},
    }
    rules = build_rules(bounds)
    first = first_failures(planted, rules)
    assert {rule.name for rule in rules} <= set(first.values())
    wrong = {own: rule for own, rule in first.items() if own.count("/") == 1 and own != f"planted/{rule}"}
    assert wrong == {}


def first_failures(texts: dict[str, str], rules: list[Any]) -> dict[str, str]:
    batch = pa.record_batch({"doc_id": list(texts), "text": pa.array(texts.values(), pa.large_string())})
    signals = pl.DataFrame({"doc_id": list(texts)})
    for operator in (Heuristics(), Repetition(), C4Lines(), Language()):
        measured = pl.from_arrow(pa.Table.from_batches([operator(batch)]))
        assert isinstance(measured, pl.DataFrame)
        signals = signals.join(measured, on="doc_id", maintain_order="left")
    failures = signals.select(rule.fails().alias(rule.name) for rule in rules).to_dicts()
    names = [next((name for name, fails in row.items() if fails), "") for row in failures]
    return dict(zip(texts, names, strict=True))


def test_every_type_of_personal_data_occurs(folder: Path) -> None:
    texts = [
        item.text
        for item in items(folder, "general/handbook")
        if isinstance(item, Record) and "personal" in str(item.own_id)
    ]
    spans = Pii().find_all(pa.array(texts, pa.large_string()))
    totals = Counter(span.type for found in spans for span in found)
    assert min(totals[kind] for kind in PII_TYPES) >= 4, totals


@pytest.mark.parametrize("name", ["line_ending", "sentence_ending"])
def test_questions_have_four_choices_and_an_answer_that_its_letter_does_not_tell(
    folder: Path, name: str
) -> None:
    rows = questions(folder, name)
    assert 400 <= len(rows) <= demo_questions.QUESTIONS
    assert all(len({row[letter] for letter in "abcd"}) == 4 for row in rows)
    for letter in "ABCD":
        assert 0.18 < sum(row["answer"] == letter for row in rows) / len(rows) < 0.32


def test_questions_are_about_files_that_the_corpus_lacks(folder: Path) -> None:
    modules = folder / "domain" / "modules"
    there = {path.relative_to(modules).as_posix() for path in modules.rglob("*.py")}
    assert there.isdisjoint({row["cluster"] for row in questions(folder, "line_ending")})
    own_ids = {
        str(item.own_id).partition("#")[0]
        for item in items(folder, "general/handbook")
        if isinstance(item, Record)
    }
    assert own_ids.isdisjoint({row["cluster"] for row in questions(folder, "sentence_ending")})


def questions(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "eval" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# ── how it is made ──


def test_a_second_run_changes_nothing(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert "exists" in demo_corpus.make(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_the_same_packages_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    demo_corpus.write_domain(tmp_path / "domain", tmp_path / "eval")
    again = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(again) > 100
    assert [
        path for path in again if path.read_bytes() != (folder / path.relative_to(tmp_path)).read_bytes()
    ] == []


def test_other_packages_replace_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = demo_text.Document("a", "text", "a", "MIT")
    for side in ("write_general", "write_domain"):
        monkeypatch.setattr(
            demo_corpus, side, lambda folder, questions: (folder.mkdir(parents=True), ([document], 0))[1]
        )
    monkeypatch.setattr(demo_corpus, "broken_files", lambda document: iter([]))
    demo_corpus.make(tmp_path / "corpus")
    (tmp_path / "corpus" / "old").touch()
    stamp = demo_corpus.stamp()
    monkeypatch.setattr(demo_corpus, "stamp", lambda: {**stamp, "python": "0.0.0"})
    demo_corpus.make(tmp_path / "corpus")
    assert not (tmp_path / "corpus" / "old").exists()
    assert json.loads((tmp_path / "corpus" / "corpus.json").read_text())["python"] == "0.0.0"


def test_a_folder_of_someone_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SystemExit, match="not a demo corpus"):
        demo_corpus.make(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_package_under_a_reciprocal_licence_is_refused() -> None:
    with pytest.raises(SystemExit, match="permissive"):
        demo_text.open_package("python-stdnum")


# ── its parts ──


def test_the_right_ending_is_the_line_s_and_the_wrong_ones_are_not() -> None:
    asked = list(demo_questions.line_endings(list(demo_text.sources_of(["click", "requests"]))))
    assert len(asked) > 100
    for document, (text, choices, right) in asked:
        line = text.splitlines()[-1].strip()
        assert f"{line} {right}\n" in document.text
        assert choices[0] == right
        assert not any(f"{line} {wrong}" in document.text for wrong in choices[1:])


def test_the_right_word_ends_its_sentence() -> None:
    text = (
        "The roots of old trees hold the soil of the hill. " * 2
        + "When rain falls on bare ground it takes the best of it away. "
    )
    more = "Nobody who has seen it once forgets how fast the brown water goes. Small fields with hedges around them lose less of it than others."
    document = demo_text.Document("a#0", text + more, "a", "MIT")
    asked = [question for _, question in demo_questions.sentence_endings([document])]
    assert asked == []  # too few endings of about the same length
    words = demo_text.Document(
        "b#0",
        " ".join(f"This is the long and plain sentence number {n} about {n}seed{n}." for n in "abcdef"),
        "b",
        "MIT",
    )
    asked = [question for _, question in demo_questions.sentence_endings([words])]
    assert [right for _, _, right in asked] == [f"{n}seed{n}." for n in "abcdef"]
    assert all(right in choices and len(set(choices)) == 4 for _, choices, right in asked)


@pytest.mark.parametrize(("every", "least", "most"), [(150, 0.85, 1.0), (24, 0.5, 0.8)])
def test_an_edited_copy_is_as_near_as_it_should_be(every: int, least: float, most: float) -> None:
    words = [f"w{at}" for at in range(3_000)]
    copy = demo_planted.edited(" ".join(words), every, "seed").split()
    ours, theirs = (set(zip(*(text[at:] for at in range(5)), strict=False)) for text in (words, copy))
    assert least < len(ours & theirs) / len(ours | theirs) < most


def test_prose_leaves_markup_tables_and_code_out() -> None:
    text = (
        "Return the :class:`~numpy.ndarray` that ``a`` and *b* share, as `the manual <x>`_ says it should.\n\n"
        ">>> code()\n\nname : str\n    Described.\n\nA heading without a full stop that is quite long indeed\n"
    )
    assert demo_text.prose(text) == [
        "Return the numpy.ndarray that a and b share, as the manual says it should."
    ]


def test_the_demo_s_recipe_curates_a_sample_of_it(folder: Path, tmp_path: Path) -> None:
    words = ["--sample", "3%", "--set", f"catalog.root={folder}", "--lake", tmp_path / "lake", "--json"]
    said = tilth("run", ROOT / "recipes" / "demo.yaml", "--until", "tokenize", *words)
    assert said.code == 0, said.err
    done = [stage["stage"] for stage in json.loads(said.out)["stages"]]
    assert done == ["ingest", "tokenizer", "curate", "tokenize"]
