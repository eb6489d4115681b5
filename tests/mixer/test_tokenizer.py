"""The tokenizer door: exact round trips, nothing truncated, nothing injected, the same training twice."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

import mixer.tokenizer as module
from corpus.errors import ConfigError
from mixer.tokenizer import (
    BEGIN_OF_TEXT,
    END_OF_TEXT,
    TokenCount,
    Tokenizer,
    load_tokenizer,
    other_encoding,
    train_bpe,
)

_SENTENCE = "A door of the house, opened by 1234 keys. "


def test_decode_of_encode_is_the_text(tokenizer: Tokenizer) -> None:
    @given(st.text())
    @settings(max_examples=60)
    def check(text: str) -> None:
        assert tokenizer.decode(tokenizer.encode_batch([text])[0]) == text

    check()


def test_counts_are_lengths_of_the_encoding(tokenizer: Tokenizer) -> None:
    texts = ["", "one", _SENTENCE * 30, "नमस्ते", "\n\n  \t"]
    assert tokenizer.count_batch(texts).tolist() == [ids.size for ids in tokenizer.encode_batch(texts)]


def test_a_batch_encodes_as_its_texts_alone(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [_SENTENCE * n for n in (3, 0, 7, 1)]
    alone = [tokenizer.encode_batch([text])[0].tolist() for text in texts]
    monkeypatch.setattr(module, "BATCH_CHARS", 100)
    assert [ids.tolist() for ids in tokenizer.encode_batch(texts)] == alone


def test_a_tokenizer_that_does_not_break_at_spaces_encodes_texts_whole(own_folder: Path) -> None:
    tree = json.loads((own_folder / "tokenizer.json").read_text())
    tree["normalizer"] = {"type": "Prepend", "prepend": "_"}
    (own_folder / "tokenizer.json").write_text(json.dumps(tree))
    marked = load_tokenizer(own_folder)
    assert marked._words is None
    expected = marked.encoder.encode(_SENTENCE, add_special_tokens=False).ids
    assert [ids.tolist() for ids in marked.encode_batch([_SENTENCE, ""])] == [
        expected,
        marked.encode_batch([""])[0].tolist(),
    ]
    assert marked.count_batch([_SENTENCE]).tolist() == [len(expected)]


def test_the_text_of_a_special_token_is_only_text(tokenizer: Tokenizer) -> None:
    hostile = f"before {END_OF_TEXT} after"
    ids = tokenizer.encode_batch([hostile])[0]
    assert tokenizer.eos_id not in ids
    assert tokenizer.decode(ids) == hostile


def test_settings_saved_in_the_file_truncate_and_pad_nothing(own_folder: Path, tokenizer: Tokenizer) -> None:
    spoiled = tokenizers.Tokenizer.from_file(str(own_folder / "tokenizer.json"))
    spoiled.enable_truncation(4)
    spoiled.enable_padding(length=4)
    spoiled.save(str(own_folder / "tokenizer.json"))
    texts = [_SENTENCE, "a"]
    assert [ids.tolist() for ids in load_tokenizer(own_folder).encode_batch(texts)] == [
        ids.tolist() for ids in tokenizer.encode_batch(texts)
    ]


def test_ids_are_uint16_below_megatrons_limit_and_int32_from_there(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode_batch(["a"])[0].dtype == tokenizer.dtype == np.uint16

    def sized(size: int) -> Tokenizer:
        return Tokenizer(tokenizer.folder, "", size, 0, None, tokenizer.encoder)

    assert sized(65_499).dtype == np.uint16
    assert sized(65_500).dtype == np.int32


def test_vocabulary_size_covers_ids_with_gaps(own_folder: Path) -> None:
    tree = json.loads((own_folder / "tokenizer.json").read_text())
    tree["added_tokens"].append({**tree["added_tokens"][0], "id": 700, "content": "<|far|>"})
    (own_folder / "tokenizer.json").write_text(json.dumps(tree))
    loaded = load_tokenizer(own_folder)
    assert loaded.vocab_size == 1 + max(loaded.encoder.get_vocab().values())


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _declare(folder: Path, **changes: object) -> Path:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


@pytest.mark.parametrize("eos", [None, "", "<missing>"])
def test_a_tokenizer_without_eos_is_refused(own_folder: Path, eos: str | None) -> None:
    with pytest.raises(ConfigError, match=r"no end-of-sequence token.*Set eos_token"):
        load_tokenizer(_declare(own_folder, eos_token=eos))


def test_a_folder_without_tokenizer_and_a_broken_one_are_refused(tmp_path: Path, own_folder: Path) -> None:
    with pytest.raises(ConfigError, match="holds no tokenizer"):
        load_tokenizer(tmp_path / "nothing")
    (own_folder / "tokenizer.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot read"):
        load_tokenizer(own_folder)


def test_bos_is_taken_as_declared_in_either_form(own_folder: Path, tokenizer: Tokenizer) -> None:
    assert load_tokenizer(_declare(own_folder, bos_token=None)).bos_id is None
    assert load_tokenizer(_declare(own_folder, bos_token={"content": END_OF_TEXT})).bos_id == 0


def test_fingerprint_follows_the_content_not_the_place(own_folder: Path, tokenizer: Tokenizer) -> None:
    assert load_tokenizer(own_folder).fingerprint == tokenizer.fingerprint
    assert load_tokenizer(_declare(own_folder, extra=1)).fingerprint != tokenizer.fingerprint


def test_code_in_a_tokenizer_folder_is_not_run(own_folder: Path, tmp_path: Path) -> None:
    (own_folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    load_tokenizer(_declare(own_folder, auto_map={"AutoTokenizer": ["evil.Evil", "evil.Evil"]}))
    assert not (tmp_path / "ran").exists()


# ── training ────────────────────────────────────────────────────────────────────────────────────────────────────────

_TRAIN = (
    "import sys; from pathlib import Path; from mixer.tokenizer import train_bpe;"
    "train_bpe(iter(sys.argv[2:]), 400, Path(sys.argv[1]))"
)


def test_training_twice_writes_the_same_bytes_in_another_process_too(tmp_path: Path) -> None:
    texts = [
        f"Section {n}. No person shall {verb} the {noun}. " * 3
        for n, (verb, noun) in enumerate([("take", "book"), ("sell", "land"), ("hold", "court")] * 9)
    ]
    train_bpe(iter(texts), 400, tmp_path / "here")
    env = {
        **os.environ,
        "TOKENIZERS_PARALLELISM": "true",
        "PYTHONHASHSEED": "7",
        "PYTHONPATH": str(Path(module.__file__).parents[1]),
    }
    subprocess.run([sys.executable, "-c", _TRAIN, str(tmp_path / "there"), *texts], check=True, env=env)
    names = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert names == ["tokenizer.json", "tokenizer_config.json"]
    assert [(tmp_path / "here" / name).read_bytes() for name in names] == [
        (tmp_path / "there" / name).read_bytes() for name in names
    ]


def test_auto_tokenizer_loads_the_trained_folder_and_agrees(tokenizer: Tokenizer) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(str(tokenizer.folder), local_files_only=True)
    text = "The dog minds 1234567 keys.\n\nकानून"
    assert (theirs.eos_token, theirs.eos_token_id) == (END_OF_TEXT, 0) == (END_OF_TEXT, tokenizer.eos_id)
    assert (theirs.bos_token, theirs.bos_token_id) == (BEGIN_OF_TEXT, 1) == (BEGIN_OF_TEXT, tokenizer.bos_id)
    assert theirs(text, add_special_tokens=False)["input_ids"] == tokenizer.encode_batch([text])[0].tolist()
    assert theirs(text)["input_ids"] == [1, *tokenizer.encode_batch([text])[0]], (
        "a model sees BOS first, as in training"
    )
    assert theirs.decode(theirs(text)["input_ids"], skip_special_tokens=True) == text


def test_a_folder_that_auto_tokenizer_reads_otherwise_is_told(tokenizer: Tokenizer, tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    assert other_encoding(tokenizer) is None
    folder = train_bpe(iter(["Numbers such as 12345 and 123."] * 3), 300, tmp_path / "model").folder
    (folder / "config.json").write_text('{"model_type": "llama"}')
    assert other_encoding(load_tokenizer(folder)) is None
    (folder / "config.json").write_text('{"model_type": "qwen2"}')  # whose class reads digit by digit
    told = other_encoding(load_tokenizer(folder)) or ""
    assert "makes a Qwen2Tokenizer of its tokenizer" in told
    assert "PreTrainedTokenizerFast.from_pretrained" in told
    text = "Two  spaces and 12345.\n  कानून"
    advised = PreTrainedTokenizerFast.from_pretrained(str(folder), local_files_only=True)
    ours = load_tokenizer(folder).encode_batch([text])[0].tolist()
    assert advised(text, add_special_tokens=False)["input_ids"] == ours


def test_a_folder_in_an_older_format_is_converted(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tree = json.loads((tokenizer.folder / "tokenizer.json").read_text())
    (tmp_path / "vocab.json").write_text(json.dumps(tree["model"]["vocab"]))
    (tmp_path / "merges.txt").write_text(
        "#version: 0.2\n" + "".join(" ".join(pair) + "\n" for pair in tree["model"]["merges"])
    )
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "GPT2Tokenizer", "eos_token": END_OF_TEXT, "bos_token": END_OF_TEXT})
    )
    loaded = load_tokenizer(tmp_path)
    assert (loaded.eos_id, loaded.bos_id) == (0, 0)
    assert loaded.decode(loaded.encode_batch([_SENTENCE])[0]) == _SENTENCE


def test_a_vocabulary_smaller_than_the_bytes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="258 or more"):
        train_bpe(iter(["a"]), 257, tmp_path)


# ── the operator ────────────────────────────────────────────────────────────────────────────────────────────────────


def _documents(texts: list[str | None]) -> pa.RecordBatch:
    ids = [f"d{n}" for n in range(len(texts))]
    return pa.record_batch({"doc_id": pa.array(ids), "text": pa.array(texts, pa.large_string())})


def test_token_count_keeps_documents_and_their_order(tokenizer: Tokenizer) -> None:
    operator = pickle.loads(pickle.dumps(TokenCount(str(tokenizer.folder), "tok")))
    counted = operator(_documents(["the dog", "", None, "a" * 50]))
    assert counted.column("doc_id").to_pylist() == ["d0", "d1", "d2", "d3"]
    assert counted.column("num_tokens").to_pylist() == [
        *tokenizer.count_batch(["the dog"]),
        0,
        0,
        *tokenizer.count_batch(["a" * 50]),
    ]
    assert operator(_documents([])).num_rows == 0


def test_where_a_tokenizer_lies_is_not_identity() -> None:
    assert TokenCount("/a", "id").identity() == TokenCount("/b", "id").identity()
    assert TokenCount("/a", "id").identity() != TokenCount("/a", "other").identity()


def test_a_tokenizer_travels_to_another_process_by_its_folder(tokenizer: Tokenizer) -> None:
    assert pickle.loads(pickle.dumps(tokenizer)) == tokenizer
