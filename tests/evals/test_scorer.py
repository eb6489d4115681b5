"""Scores of a tiny random model against plain forward passes, and the joins where tokenizers surprise."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tokenizers

from corpus.errors import ConfigError, NotFinite
from corpus.schema import DATASETS
from evals import scorer
from evals.items import TaskItems, load_items
from evals.scorer import choice_tokens, prefix_of, score_bits_per_byte, score_multiple_choice
from mixer.tokenizer import train_bpe
from quality.language_model import LanguageModel, wrap_language_model
from tests.evals.cards import task_config
from tests.random_model import random_model

LETTERS = "abcdefgh :\nAnswer"
VOCABULARY = {
    letter: n for n, letter in enumerate(dict.fromkeys(["<s>", "</s>", *LETTERS, "bc", "abc", "é", "?"]))
}


@dataclass
class Letters:
    """One token per character, except that `bc` and `abc` are joined wherever they occur."""

    bos_id: int | None = 0
    eos_id: int = 1
    add_bos: bool = False

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        encoder = tokenizers.Tokenizer(tokenizers.models.BPE(VOCABULARY, [("b", "c"), ("a", "bc")]))
        start = [0] if self.add_bos else []
        return [start + encoder.encode(text).ids for text in texts]


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return random_model(300, 128)


def nll(model: LanguageModel, ids: list[int], start: int) -> float:
    """−log P(ids[start:] | ids[:start]) with the prefix already in ids, by one plain pass."""
    import torch

    with torch.no_grad():
        logits = model.module.eval()(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double()
    losses = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="none")
    return float(losses[start - 1 :].sum())


def documents(*texts: str | None) -> pa.Table:
    rows = [
        {"doc_id": f"d{n}", "source": "acts", "role": "domain", "text": text, "cluster": f"c{n // 2}"}
        for n, text in enumerate(texts)
    ]
    return pa.Table.from_pylist(rows)


def task_of(tmp_path: Path, rows: list[dict[str, Any]], **keys: Any) -> TaskItems:
    path = tmp_path / "task.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_items(
        task_config(
            {
                "path": str(path),
                "prompt": "{question}",
                "continuation": "{choice}",
                "answer_is": "index",
                **keys,
            },
            "law",
        ),
        "law",
    )


# ── bits per byte ───────────────────────────────────────────────────────────────────────────────


def test_bits_per_byte_rows_by_hand(model: LanguageModel) -> None:
    rows = score_bits_per_byte(model, Letters(), documents("abcé", "ha"), window=64)
    assert rows.schema == DATASETS["scores"]
    first, second = rows.to_pylist()
    expected = nll(model, [0, VOCABULARY["abc"], VOCABULARY["é"]], 1)
    assert first["nll"] == pytest.approx(expected, abs=1e-4)
    assert (first["bytes"], first["tokens"]) == (5, 2)
    assert first["value"] == pytest.approx(expected / (5 * math.log(2)), abs=1e-4)
    assert {key: first[key] for key in ("task", "item", "cluster", "source", "role", "metric")} == {
        "task": "holdout", "item": "d0", "cluster": "c0", "source": "acts", "role": "domain", "metric": "bits_per_byte",
    }  # fmt: skip
    assert second["tokens"] == 2


def test_the_first_token_is_predicted_from_bos_or_else_from_eos(model: LanguageModel) -> None:
    without = Letters(bos_id=None)
    assert (prefix_of(Letters()), prefix_of(without)) == (("bos", 0), ("eos", 1))
    (row,) = score_bits_per_byte(model, without, documents("a"), window=8).to_pylist()
    assert row["nll"] == pytest.approx(nll(model, [1, VOCABULARY["a"]], 1), abs=1e-5)


@pytest.mark.parametrize("nothing", ["", None])
def test_an_empty_or_erased_document_has_no_value_and_breaks_nothing(
    model: LanguageModel, nothing: Any
) -> None:
    empty, full = score_bits_per_byte(model, Letters(), documents(nothing, "abc"), window=8).to_pylist()
    assert (empty["value"], empty["nll"], empty["bytes"], empty["tokens"]) == (None, 0.0, 0, 0)
    assert full["value"] > 0


def test_documents_need_their_columns(model: LanguageModel) -> None:
    with pytest.raises(ConfigError, match="cluster"):
        score_bits_per_byte(model, Letters(), documents("a").drop_columns(["cluster"]), window=8)


def test_a_tokenizer_that_adds_its_own_bos_is_refused(model: LanguageModel) -> None:
    with pytest.raises(ConfigError, match="special token"):
        score_bits_per_byte(model, Letters(add_bos=True), documents("a", "b"), window=8)


def test_a_broken_checkpoint_is_named_not_scored(model: LanguageModel) -> None:
    import copy

    import torch

    broken = copy.deepcopy(model.module)
    with torch.no_grad():
        broken.lm_head.weight[:] = math.nan
    with pytest.raises(NotFinite, match="d0"):
        score_bits_per_byte(wrap_language_model(broken), Letters(), documents("a"), window=8)


def test_the_house_tokenizer_is_one_to_score_with(model: LanguageModel, tmp_path: Path) -> None:
    text = "The Act applies to the whole of India, भारत. " * 20
    tokenizer = train_bpe(iter([text]), 300, tmp_path)
    (row,) = score_bits_per_byte(model, tokenizer, documents(text), window=32, stride=16).to_pylist()
    assert row["bytes"] == len(text.encode())
    assert row["tokens"] == tokenizer.count_batch([text])[0]
    assert math.isfinite(row["value"])


# ── multiple choice ─────────────────────────────────────────────────────────────────────────────


def test_scores_of_choices_by_hand(model: LanguageModel, tmp_path: Path) -> None:
    task = task_of(tmp_path, [{"question": "fe:", "choices": [" d", " hag", " é"], "answer": 2}])
    rows = score_multiple_choice(model, Letters(), task, window=64)
    assert rows.schema == DATASETS["scores"]
    ids = [
        [0, *(VOCABULARY[letter] for letter in "fe:" + choice)] for choice in ("d", "hag", "é")
    ]  # choices are stripped
    expected = np.array([nll(model, choice, 4) for choice in ids])
    found = {row["metric"]: row for row in rows.to_pylist()}
    assert list(found) == ["acc", "acc_norm", "gold_nll"]
    assert found["gold_nll"]["value"] == pytest.approx(expected[2], abs=1e-4)
    assert found["acc"]["prediction"] == str(expected.argmin())
    assert found["acc"]["value"] == float(expected.argmin() == 2)
    assert found["acc_norm"]["prediction"] == str((expected / [1, 3, 2]).argmin())
    assert {(row["target"], row["bytes"], row["tokens"], row["item"]) for row in found.values()} == {
        ("2", 2, 1, task.items[0].item)
    }


def test_accuracy_and_its_length_normalised_form_can_differ(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: LanguageModel
) -> None:
    task = task_of(tmp_path, [{"question": "f:", "choices": ["a", "hhhh"], "answer": 1}])
    monkeypatch.setattr(
        scorer,
        "score_continuations",
        lambda *args, **keys: [[np.array([3.0]), np.array([1.0, 1.0, 1.0, 1.0])]],
    )
    values = {
        row["metric"]: row["value"]
        for row in score_multiple_choice(model, Letters(), task, window=64).to_pylist()
    }
    assert values == {"acc": 0.0, "acc_norm": 1.0, "gold_nll": 4.0}


def test_a_token_over_the_join_is_scored_with_the_choice(model: LanguageModel, tmp_path: Path) -> None:
    """`b` + `c` is the single token `bc`: both choices are scored from the `b` on, or they would cover different text."""
    task = task_of(tmp_path, [{"question": "fb", "choices": ["c", "d"], "answer": 0}])
    rows = {
        row["metric"]: row for row in score_multiple_choice(model, Letters(), task, window=64).to_pylist()
    }
    f, b, bc, d = (VOCABULARY[token] for token in ("f", "b", "bc", "d"))
    joined, apart = nll(model, [0, f, bc], 2), nll(model, [0, f, b, d], 2)
    assert rows["gold_nll"]["value"] == pytest.approx(joined, abs=1e-4)
    assert rows["acc"]["value"] == float(joined <= apart)
    assert rows["acc"]["tokens"] == 1


def test_where_scoring_begins() -> None:
    def begin(context: list[int], *wholes: list[int]) -> int:
        return choice_tokens(
            np.array(context, dtype=np.int64), [np.array(whole, dtype=np.int64) for whole in wholes]
        )

    assert begin([1, 2], [1, 2, 3], [1, 2, 4, 5]) == 2
    assert begin([1, 2], [1, 9], [1, 2, 4]) == 1
    assert begin([1, 2], [9], [1, 2, 4]) == 0
    assert begin([], [7], [8, 9]) == 0
    assert begin([1, 2, 3], [1, 2], [1, 2, 3, 4]) == 1, (
        "a choice that shortens the text still has a token to score"
    )


def test_the_whole_text_over_the_join(model: LanguageModel, tmp_path: Path) -> None:
    task = task_of(tmp_path, [{"question": "ab", "choices": ["c", "a"], "answer": 0}])
    rows = {
        row["metric"]: row for row in score_multiple_choice(model, Letters(), task, window=64).to_pylist()
    }
    assert rows["gold_nll"]["value"] == pytest.approx(nll(model, [0, VOCABULARY["abc"]], 1), abs=1e-4)


def test_a_long_prompt_loses_its_beginning_and_says_so(model: LanguageModel, tmp_path: Path) -> None:
    task = task_of(
        tmp_path,
        [
            {"question": "hgfe" * 10, "choices": ["a", "d"], "answer": 0},
            {"question": "h", "choices": ["a", "d"], "answer": 0},
        ],
    )
    said: list[str] = []
    rows = score_multiple_choice(model, Letters(), task, window=8, warn=said.append).to_pylist()
    (long,) = (item.item for item in task.items if len(item.question) > 1)
    found = next(row["value"] for row in rows if row["item"] == long and row["metric"] == "gold_nll")
    kept = [VOCABULARY[letter] for letter in ("hgfe" * 10)[-8:] + "a"]
    assert found == pytest.approx(nll(model, kept, 8), abs=1e-4)
    assert len(said) == 1
    assert said[0].startswith("law: 1 of 2 prompts")


def test_order_of_items_and_progress(model: LanguageModel, tmp_path: Path) -> None:
    rows = [
        {"question": f"{a}{b}:", "choices": ["a", "he", "dd"], "answer": "ABC"[n % 3]}
        for n, (a, b) in enumerate(zip("abcdefgh", "hgfedcba", strict=True))
    ]
    seen: list[tuple[int, int]] = []
    one = score_multiple_choice(
        model,
        Letters(),
        task_of(tmp_path, rows),
        window=64,
        progress=lambda done, total: seen.append((done, total)),
    )
    other = score_multiple_choice(model, Letters(), task_of(tmp_path, rows[::-1]), window=64)
    assert one.equals(other)
    assert one.column("item").to_pylist() == sorted(one.column("item").to_pylist())
    assert seen[-1][0] == seen[-1][1] > 0


def test_a_model_that_knows_the_answers_is_right(tmp_path: Path) -> None:
    """A model overfitted to the right choices scores 1.0: the whole path from file to accuracy is the right way round."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
    )
    module = LlamaForCausalLM(config)
    answers = dict(zip("efgh", ("a", "d", "d", "a"), strict=True))
    task = task_of(
        tmp_path,
        [{"question": f"{q}:", "choices": ["a", "d"], "answer": answer} for q, answer in answers.items()],
    )
    known = torch.tensor(
        [[0, *(VOCABULARY[letter] for letter in f"{q}:{answer}")] for q, answer in answers.items()]
    )
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        module(input_ids=known, labels=known, use_cache=False).loss.backward()
        optimizer.step()
    rows = score_multiple_choice(wrap_language_model(module), Letters(), task, window=16).to_pylist()
    assert [row["value"] for row in rows if row["metric"] in ("acc", "acc_norm")] == [1.0] * 8
