"""The shortcut must be invisible: every text has the tokens that the tokenizer itself gives it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

import mixer.stretches as stretches
import mixer.word_cache as module
from mixer.stretches import breaks_at_spaces, pieces
from mixer.tokenizer import Tokenizer
from mixer.word_cache import WordCache

# Every kind of white space, marks that combine, words of several scripts, digits, signs, and what looks like a space.
_KINDS = [
    " ",
    " ",
    "  ",
    "\n",
    "\t",
    "\r\n",
    "\x1c",
    "\x85",
    "\xa0",
    "\u1680",
    "\u180e",
    "\u2003",
    "\u200b",
    "\u2028",
    "\u202f",
    "\u205f",
    "\u3000",
]
_KINDS += [
    "the",
    "dog",
    "Don't",
    "'s",
    "123",
    "4567",
    ".",
    "...",
    "(",
    "_",
    "“",
    "’",
    "—",
    "é",
    "e\u0301",
    "\u0301",
    "धारा",
    "ि",
    "३",
    "中文",
    "😀",
    "<|endoftext|>",
    "a" * 70,
]
mixed = st.lists(st.sampled_from(_KINDS), max_size=25).map("".join)

_SPLITS = {
    "gpt2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "prefix": pre_tokenizers.ByteLevel(add_prefix_space=True),
    "digits": pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ),
    "metaspace": pre_tokenizers.Metaspace(prepend_scheme="first"),
}


def _trained(texts: list[str], splitter: Any, normalizer: Any = None) -> Any:
    encoder = tokenizers.Tokenizer(models.BPE(unk_token="?"))
    encoder.pre_tokenizer, encoder.decoder = splitter, decoders.ByteLevel()
    if normalizer:
        encoder.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["?", "<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    encoder.train_from_iterator(texts, trainer)
    encoder.encode_special_tokens = True
    return encoder


def _whole(encoder: Any, texts: list[str]) -> list[list[int]]:
    return [encoder.encode(text, add_special_tokens=False).ids for text in texts]


@pytest.mark.parametrize("name", [*_SPLITS, "nfc", "own"])
def test_cached_tokens_are_the_tokenizers_own(name: str, tokenizer: Tokenizer, texts: list[str]) -> None:
    encoder = (
        tokenizer.encoder
        if name == "own"
        else _trained(texts, _SPLITS.get(name, _SPLITS["gpt2"]), normalizers.NFC() if name == "nfc" else None)
    )
    assert breaks_at_spaces(encoder)
    cache = WordCache(encoder, np.dtype(np.uint16))

    @given(st.lists(mixed | st.text(), max_size=4))
    @example(["x \u0301y", " a", "a ", " ", "", "a\u2003 b", "a \u2003b"])
    def check(drawn: list[str]) -> None:
        expected = _whole(encoder, drawn)
        assert [ids.tolist() for ids in cache.ids(drawn)] == expected
        assert cache.counts(drawn) == [len(ids) for ids in expected]

    check()


def test_words_seen_before_are_not_encoded_again(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = WordCache(tokenizer.encoder, tokenizer.dtype)
    learned: list[bytes] = []
    learn = WordCache._learn
    monkeypatch.setattr(
        WordCache, "_learn", lambda self, words: (learned.extend(words), learn(self, words))[1]
    )
    cache.counts(["the dog and the dog", "the cat"])
    assert learned == [b"the", b" dog", b" and", b" the", b" cat"]
    cache.counts(["the cat and the dog"])
    assert len(learned) == 5


def test_a_cache_that_forgets_answers_the_same(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_WORDS", 3)
    monkeypatch.setattr(module, "_SLOTS", 16)
    cache = WordCache(tokenizer.encoder, tokenizer.dtype)
    texts = ["one two three four", "five six", "one six", "seven two"]
    assert [cache.ids([text])[0].tolist() for text in texts] == _whole(tokenizer.encoder, texts)


def test_words_that_share_a_slot_are_told_apart(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SLOTS", 64)
    cache = WordCache(tokenizer.encoder, tokenizer.dtype)
    texts = [" ".join(f"w{n}" for n in range(50))]
    assert [ids.tolist() for ids in cache.ids(texts)] == _whole(tokenizer.encoder, texts)
    assert [ids.tolist() for ids in cache.ids(texts)] == _whole(tokenizer.encoder, texts)


# ── long texts ──────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(mixed, max_size=30).map("".join))
def test_a_long_text_in_pieces_has_the_same_tokens(tokenizer: Tokenizer, text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretches, "BATCH_CHARS", 20)
        cut = list(pieces(text))
        assert "".join(cut) == text
        assert [token for ids in _whole(tokenizer.encoder, cut) for token in ids] == _whole(
            tokenizer.encoder, [text]
        )[0]


def test_a_long_text_really_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretches, "BATCH_CHARS", 20)
    assert max(map(len, pieces("some words and more " * 20))) <= 20
    assert list(pieces("x" * 100)) == ["x" * 100]


# ── which tokenizers ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_tokenizer_whose_pieces_reach_over_spaces_is_found_out(texts: list[str]) -> None:
    over = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{L}+ \p{L}+|\s?\S+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    assert not breaks_at_spaces(_trained(texts, over))
    assert not breaks_at_spaces(
        _trained(texts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    )
    digits_over = pre_tokenizers.Split(Regex(r"[0-9]+ [0-9]+| ?[^\s]+|\s+"), "isolated")
    assert not breaks_at_spaces(_trained(texts, digits_over))


def test_other_models_normalizers_and_greedy_added_tokens_are_left_alone(tokenizer: Tokenizer) -> None:
    tree = json.loads(tokenizer.encoder.to_str())

    def changed(**keys: Any) -> Any:
        return tokenizers.Tokenizer.from_str(json.dumps({**tree, **keys}))

    assert breaks_at_spaces(changed())
    assert not breaks_at_spaces(changed(normalizer={"type": "Prepend", "prepend": "_"}))
    assert not breaks_at_spaces(changed(pre_tokenizer=None))
    assert not breaks_at_spaces(changed(model={**tree["model"], "dropout": 0.1}))
    added = {**tree["added_tokens"][0], "id": 500, "special": False}
    assert breaks_at_spaces(changed(added_tokens=[*tree["added_tokens"], {**added, "content": "<tab>"}]))
    for greedy in ({"content": "the dog"}, {"content": "<tab>", "lstrip": True}, {"content": "▁x"}):
        assert not breaks_at_spaces(changed(added_tokens=[*tree["added_tokens"], {**added, **greedy}]))
