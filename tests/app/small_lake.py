"""A small real lake, made by the real flow in under a minute: two sources with planted faults, a base, two runs, a gate.

Whoever asks second, in this process or another, waits for the first by the flow's own lease and finds everything done.
"""

from __future__ import annotations

import csv
import json
import random
import shutil
import tempfile
from pathlib import Path

from app.flow import Work, run_recipe
from app.profile import Profile
from app.recipe import load_recipe
from app.report import Report
from corpus.lake import Lake

PLANTED_EMAIL, PLANTED_SSN = "maria.gruber@example.org", "536-90-4399"
DOCUMENTS_PER_SOURCE, QUESTIONS = 60, 24
PROSE = (
    "the of and to in that it is was for on are with as his they at be this from have or by one had not but what all were "
    "when we there can an your which their said if do will each about how up out them then she many some so these would "
    "other into has more her two like him see time could no make than first been its who now people my made over did down"
)
CODE = (
    "def return value self name for in range if else not import from class None True data index result items"
)

CATALOG = """\
root: .
sources:
  prose: {path: prose, role: general, topic: essays, license: CC0-1.0, language: en, id_field: id}
  code: {path: code.jsonl, role: domain, topic: code, license: MIT, language: en, id_field: id}
tasks:
  endings: {path: endings.csv, role: general, type: multiple_choice,
            columns: {question: question, choices: [a, b, c, d], answer: answer}}
"""

RECIPE = """\
name: small
catalog: catalog.yaml
sources: [prose, code]
seed: 5
curation:
  presets: []
  rules: {num_words: {min: 12}, mean_word_length: {max: 9}, dup_line_ratio: {max: 0.5}}
  near_duplicates: {jaccard: 0.7, num_perm: 64}
  pii: {email: mask, ssn: drop}
  stop_if: {source_loss: 80%, cluster_size: 500}
holdout: {name: small-heldout, documents_per_source: 14, max_share: 25%}
tokenizer: {train: bpe, vocab_size: 400}
base_model:
  scratch:
    architecture: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64}
    sources: [prose]
    tokens: 2048
    learning_rate: 1e-2
mixture: {weights: {domain: 0.7, general: 0.3}, max_epochs: 8}
training:
  tokens: 2048
  sequence_length: 64
  global_batch_tokens: 512
  learning_rate: 0.5x
  checkpoints: {every: 1024, keep_last: 2}
  monitor: {every: 1024, max_increase: {general: 1%}, on_breach: []}
runs:
  replay-00: {mixture.weights: {domain: 1.0, general: 0.0}}
  replay-30: {}
evaluation: {tasks: [holdout, endings]}
gate:
  baseline: base_model
  gain: {holdout/domain: {bits_per_byte: improves}}
  harm: {holdout/general: {bits_per_byte: {max_increase: 3%}}, endings: {acc: {max_decrease: 5pp}}}
"""


def build_small_lake(folder: Path) -> Path:
    """The root of the lake in `folder`, built there if it is not."""
    corpus = folder / "corpus"
    if not corpus.exists():
        staged = Path(tempfile.mkdtemp(dir=folder))
        write_corpus(staged)
        try:
            staged.rename(corpus)
        except OSError:  # another process was faster
            shutil.rmtree(staged)
    lake = Lake.open(folder / "lake")
    run_recipe(Work(lake, load_recipe(corpus / "recipe.yaml"), Profile(workers=1), Report(quiet=True)))
    return lake.root


def copy_lake(small_lake: Path, folder: Path) -> Lake:
    """A copy of the small lake, to change: `folder`/lake. Without leases: another test may be at work on the small lake."""
    shutil.copytree(small_lake, folder / "lake", symlinks=True, ignore=shutil.ignore_patterns("leases"))
    return Lake.open(folder / "lake", create=False)


def write_corpus(folder: Path) -> None:
    """Documents, planted faults, questions, catalog and recipe; the same bytes every time."""
    draw = random.Random(3)
    (folder / "prose").mkdir(parents=True, exist_ok=True)
    prose = [_sentences(draw, PROSE) for _ in range(DOCUMENTS_PER_SOURCE)]
    near = prose[0].replace(" the ", " this ", 1) + " One more sentence was added at the end of it."
    planted = [
        prose[1], near, "Too short to keep.", f"Write to {PLANTED_EMAIL}. {_sentences(draw, PROSE)}",
        f"Her number is SSN {PLANTED_SSN} and so it goes. {_sentences(draw, PROSE)}",
        f"<script>alert('x')</script> & **markdown** $x$ {_sentences(draw, PROSE)}", "\n".join(["The same line again and again."] * 9), *prose[2:5],
    ]  # fmt: skip
    _write_jsonl(folder / "prose" / "one.jsonl", "p", [*prose, *planted])
    (folder / "prose" / "two.jsonl").write_text('{"text": 5}\n{"id": "no text"}\nnot json\n', "utf-8")
    _write_jsonl(folder / "code.jsonl", "c", [_sentences(draw, CODE) for _ in range(DOCUMENTS_PER_SOURCE)])
    with (folder / "endings.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "a", "b", "c", "d", "answer"])
        for number in range(QUESTIONS):
            writer.writerow([_sentences(draw, PROSE, 1), *draw.sample(PROSE.split(), 4), "abcd"[number % 4]])
    (folder / "catalog.yaml").write_text(CATALOG, "utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, "utf-8")


def _sentences(draw: random.Random, vocabulary: str, count: int = 6) -> str:
    words = vocabulary.split()
    return " ".join(f"{' '.join(draw.choices(words, k=12)).capitalize()}." for _ in range(count))


def _write_jsonl(path: Path, prefix: str, texts: list[str]) -> None:
    lines = [json.dumps({"id": f"{prefix}{number}", "text": text}) for number, text in enumerate(texts)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
