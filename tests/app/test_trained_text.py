"""No held-out text, nothing like one and nothing around one in the tokens that are trained on: decoded, and compared one by one."""

from __future__ import annotations

import json
import random
from pathlib import Path

from app.flow import Work, run_recipe
from app.profile import Profile
from app.recipe import load_recipe
from app.report import Report
from corpus.holdout import held_out_rows
from corpus.lake import Lake
from mixer.tokenize import open_streams, tokenizer_folder
from mixer.tokenizer import load_tokenizer
from tests.app.small_lake import PROSE, write_corpus
from tests.quality.word_windows import shingles

Shingles = frozenset[tuple[str, ...]]

MOST_JACCARD, MOST_CONTAINMENT = 0.5, 0.8  # as docs/curation.md tells them
RECIPE = """\
name: kept
catalog: catalog.yaml
sources: [prose, code]
curation: {rules: {num_words: {min: 12}}, near_duplicates: {jaccard: 0.8}, stop_if: {source_loss: 100%}}
holdout: {name: kept-heldout, documents_per_source: 14, max_share: 25%}
tokenizer: {train: bpe, vocab_size: 400}
mixture: {weights: natural, max_epochs: 99}
"""


def overlaps(text: str, held: list[Shingles]) -> tuple[float, float]:
    """The greatest Jaccard similarity with a held-out text, and the greatest share of one that stands in this text."""
    own = shingles(text)
    shared = [(len(own & other), other) for other in held]
    return (
        max(count / max(1, len(own | other)) for count, other in shared),
        max(count / len(other) for count, other in shared),
    )


def write_relatives(folder: Path) -> None:
    """Of the texts of prose, some of which will be held out: one whose second part is another, and one with much around it."""
    draw = random.Random(8)
    texts = [json.loads(line)["text"] for line in (folder / "prose" / "one.jsonl").read_text().splitlines()]
    relatives = []
    for text in texts[6:40]:
        words, others = text.split(), draw.choices(PROSE.split(), k=400)
        relatives.append(" ".join([*words[: len(words) * 3 // 4], *others[: len(words) // 4]]))
        relatives.append(" ".join([*others[:200], *words, *others[200:]]))
    lines = [json.dumps({"id": f"r{number}", "text": text}) for number, text in enumerate(relatives)]
    (folder / "prose" / "relatives.jsonl").write_text("\n".join(lines) + "\n")


def trained_texts(lake: Lake, work: Work) -> dict[str, str]:
    """The text of every document as its tokens say it."""
    assert work.shards is not None and work.tokenizer is not None
    tokenizer = load_tokenizer(tokenizer_folder(lake, work.tokenizer))
    found = {}
    for stream in open_streams(lake, work.shards).values():
        for doc_id, start, stop in stream.documents(0, len(stream)):
            found[doc_id] = tokenizer.decode(stream.read(start, stop).tolist())
    return found


def test_no_token_that_is_trained_on_is_of_a_held_out_text_or_of_one_like_it(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    write_relatives(tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE, "utf-8")
    lake = Lake.open(tmp_path / "lake")
    work = Work(lake, load_recipe(tmp_path / "recipe.yaml"), Profile(workers=1), Report(quiet=True))
    run_recipe(work, "tokenize")
    assert work.curated is not None and work.curated.holdout is not None
    held = [shingles(text) for text in held_out_rows(lake, work.curated.holdout)["text"].to_pylist()]
    trained = trained_texts(lake, work)
    assert len(held) > 20 and len(trained) > 60
    found = {doc_id: overlaps(text, held) for doc_id, text in trained.items()}
    assert {
        doc_id: near for doc_id, near in found.items()
        if near[0] >= MOST_JACCARD or near[1] >= MOST_CONTAINMENT
    } == {}  # fmt: skip
    read = (tmp_path / "prose" / "relatives.jsonl").read_text().splitlines()
    kin = [overlaps(json.loads(line)["text"], held) for line in read]
    assert any(jaccard >= MOST_JACCARD for jaccard, _ in kin), "some were like a held-out text"
    assert any(jaccard < MOST_JACCARD and share == 1 for jaccard, share in kin), "some had one inside"
