"""The one door to Hugging Face tokenizers: load a folder, encode, count, train a byte-level BPE.

Text is hostile: no remote code is run, and the text of a special token inside a document (`<|endoftext|>` typed by a
user) is encoded as the ordinary characters it is. Adding BOS and EOS is the token shards' business; extending a
vocabulary is not covered here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, processors, trainers

from corpus.errors import ConfigError
from corpus.fingerprint import fingerprint, hash_file
from corpus.schema import schema_of
from mixer.stretches import BATCH_CHARS, breaks_at_spaces, pieces
from mixer.word_cache import WordCache

# The work is divided over processes already; threads inside each would fight over the same cores, and a later fork
# would warn. Whoever sets the variable keeps the last word.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

END_OF_TEXT, BEGIN_OF_TEXT = "<|endoftext|>", "<|begin_of_text|>"
UINT16_VOCABULARY = 65_500  # from here on Megatron stores int32
_OLDER_FORMATS = ("vocab.json", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
# All that makes a tokenizer, and nothing of the model beside it: what is hashed, taken over and exported.
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    *_OLDER_FORMATS,
)


@dataclass(frozen=True)
class Tokenizer:
    """A loaded tokenizer. `vocab_size` is the largest id plus one; `fingerprint` covers the content of its files."""

    folder: Path
    fingerprint: str
    vocab_size: int
    eos_id: int
    bos_id: int | None
    encoder: Any = field(repr=False, compare=False)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint16 when the vocabulary is below 65,500, else int32: what Megatron-LM reads."""
        return np.dtype(np.uint16 if self.vocab_size < UINT16_VOCABULARY else np.int32)

    def encode_batch(self, texts: list[str]) -> list[np.ndarray]:
        """The token ids of each text, without BOS, EOS or truncation; arrays of `dtype`."""
        encode = self._words.ids if self._words else self._encode
        return [np.concatenate(parts) for parts in self._by_text(texts, encode)]

    def count_batch(self, texts: list[str]) -> np.ndarray:
        """The number of text tokens of each text, without BOS and EOS; int64."""
        count = self._words.counts if self._words else self._count
        return np.array([sum(parts) for parts in self._by_text(texts, count)], dtype=np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`, special tokens included as their text."""
        return str(self.encoder.decode([int(token) for token in ids], skip_special_tokens=False))

    @cached_property
    def _words(self) -> WordCache | None:
        return WordCache(self.encoder, self.dtype) if breaks_at_spaces(self.encoder) else None

    def _by_text(self, texts: list[str], work: Callable[[list[str]], list[Any]]) -> list[list[Any]]:
        """For each text, what `work` makes of its pieces: one, unless the text is long and may be cut."""
        cut = pieces if self._words else _whole
        found: list[list[Any]] = [[] for _ in texts]
        for batch in _batches((number, piece) for number, text in enumerate(texts) for piece in cut(text)):
            for (number, _), result in zip(batch, work([piece for _, piece in batch]), strict=True):
                found[number].append(result)
        return found

    def _encode(self, texts: list[str]) -> list[np.ndarray]:
        encodings = self.encoder.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(encoding.ids, dtype=self.dtype) for encoding in encodings]

    def _count(self, texts: list[str]) -> list[int]:
        return [len(encoding) for encoding in self.encoder.encode_batch_fast(texts, add_special_tokens=False)]

    def __reduce__(self) -> tuple[Any, ...]:
        return load_tokenizer, (self.folder,)


def _whole(text: str) -> Iterator[str]:
    yield text


def _batches(pieces: Iterable[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """Groups of at most `BATCH_CHARS`. [An encoding takes about 120 bytes a character: 32 MiB at once took 3.8 GB.]"""
    batch: list[tuple[int, str]] = []
    size = 0
    for piece in pieces:
        if batch and size + len(piece[1]) > BATCH_CHARS:
            yield batch
            batch, size = [], 0
        batch.append(piece)
        size += len(piece[1])
    if batch:
        yield batch


def library_version() -> str:
    return ".".join(tokenizers.__version__.split(".")[:2])


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a Hugging Face folder.

    `tokenizer.json` is read as it stands (in milliseconds, without transformers); older formats are converted by
    `AutoTokenizer`, offline and without remote code. ConfigError: no tokenizer there, unreadable, or without EOS.
    """
    folder = Path(folder)
    names = [name for name in TOKENIZER_FILES if (folder / name).is_file()]
    if not {"tokenizer.json", *_OLDER_FORMATS} & {*names}:
        raise ConfigError(
            f"{folder} holds no tokenizer: expected a Hugging Face folder with tokenizer.json (or {', '.join(_OLDER_FORMATS)})"
        )
    encoder, specials = _from_json(folder) if "tokenizer.json" in names else _from_transformers(folder)
    # A file may carry the settings of its last use; a corpus must be neither truncated nor padded.
    encoder.no_truncation()
    encoder.no_padding()
    encoder.encode_special_tokens = True
    eos_id = encoder.token_to_id(specials["eos_token"]) if specials["eos_token"] is not None else None
    if eos_id is None:
        raise ConfigError(
            f"the tokenizer in {folder} has no end-of-sequence token (eos_token is {specials['eos_token']!r}); documents could not be "
            "told apart. Set eos_token in its tokenizer_config.json to a token of its vocabulary."
        )
    bos_id = encoder.token_to_id(specials["bos_token"]) if specials["bos_token"] is not None else None
    vocab_size = 1 + max(encoder.get_vocab(with_added_tokens=True).values())
    content = fingerprint({name: hash_file(folder / name) for name in names})
    return Tokenizer(
        folder=folder,
        fingerprint=content,
        vocab_size=vocab_size,
        eos_id=eos_id,
        bos_id=bos_id,
        encoder=encoder,
    )


def _from_json(folder: Path) -> tuple[Any, dict[str, str | None]]:
    try:
        encoder = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library raises bare Exception
        raise ConfigError(
            f"cannot read {folder / 'tokenizer.json'}: {error}. Give a folder saved by Hugging Face tokenizers."
        ) from error
    declared = [_read_json(folder / name) for name in ("tokenizer_config.json", "special_tokens_map.json")]
    return encoder, {
        key: next((text for tree in declared if (text := _token_text(tree.get(key)))), None)
        for key in ("eos_token", "bos_token")
    }


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        tree = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}. It must hold one JSON object.") from error
    return tree if isinstance(tree, dict) else {}


def _token_text(declared: Any) -> str | None:
    """A special token stands as text, or as an object with `content`."""
    text = declared.get("content") if isinstance(declared, dict) else declared
    return text if isinstance(text, str) and text else None


def _from_transformers(folder: Path) -> tuple[Any, dict[str, str | None]]:
    from transformers import AutoTokenizer  # 2.4 s and torch: only for folders without tokenizer.json

    try:
        loaded = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # conversion fails in many ways
        raise ConfigError(
            f"cannot load the tokenizer in {folder}: {error}. Save it once as tokenizer.json."
        ) from error
    encoder = getattr(loaded, "backend_tokenizer", None)
    if encoder is None:
        raise ConfigError(
            f"the tokenizer in {folder} is a Python one, too slow for a corpus; save it in the fast format (tokenizer.json)"
        )
    return encoder, {"eos_token": loaded.eos_token, "bos_token": loaded.bos_token}


# Where pre-tokenizers part: spaces, indentation, digits, contractions, marks, scripts without spaces, symbols.
_PROBES = (
    "def f(x):\n    return  x + 1\t# 12345, 3.14\n\n\n",
    "  Two  spaces, don't and WE'RE; 2024-05-01.\r\n",
    "naïve café ½ Straße 日本語 😀 →",
    "हिन्दी में लिखा हुआ पाठ",
)


def other_encoding(tokenizer: Tokenizer) -> str | None:
    """How plain `AutoTokenizer` encodes otherwise than the folder's tokenizer.json says, in a sentence; None where it does not.

    transformers picks a class by the model_type of the config.json beside it, and some of them bring a pre-tokenizer of their
    own. Told, since what is exported is such a folder; it takes the seconds of importing transformers.
    """
    from transformers import AutoTokenizer, __version__

    if not (tokenizer.folder / "tokenizer.json").is_file():
        return None  # it was read with AutoTokenizer
    named = f"AutoTokenizer of transformers {__version__}"
    advice = "Tilth goes by tokenizer.json; load its exports with PreTrainedTokenizerFast.from_pretrained"
    try:
        theirs = AutoTokenizer.from_pretrained(
            str(tokenizer.folder), local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # a class that does not suit the file fails in many ways
        return f"{tokenizer.folder}: {named} cannot read its tokenizer ({type(error).__name__}). {advice}."
    for text, ours in zip(_PROBES, tokenizer.encode_batch(list(_PROBES)), strict=True):
        if theirs(text, add_special_tokens=False)["input_ids"] != ours.tolist():
            return (
                f"{tokenizer.folder}: {named} makes a {type(theirs).__name__} of its tokenizer, which encodes {text!r} otherwise than "
                f"its tokenizer.json says. {advice}."
            )
    return None


# ── training ────────────────────────────────────────────────────────────────────────────────────────────────────────

# Words keep their combining marks (GPT-2's `\p{L}+` tears Hindi at vowel signs), numbers come in groups of three.
_WORDS = r" ?[\p{L}\p{M}]+|\p{N}{1,3}| ?[^\s\p{L}\p{M}\p{N}]+|\s*[\r\n]+|\s+(?!\S)|\s+"


def train_bpe(texts: Iterator[str], vocab_size: int, folder: Path) -> Tokenizer:
    """Fit a byte-level BPE and save it as a plain Hugging Face folder; the same texts give the same bytes.

    Any text can be encoded and decoded back exactly. EOS is `<|endoftext|>` (id 0), BOS `<|begin_of_text|>` (id 1): with
    it the first token of a document is learned from the token that scoring conditions it on. Fewer tokens than
    `vocab_size` come out when no pair of tokens is left that occurs twice.
    """
    alphabet, specials = sorted(pre_tokenizers.ByteLevel.alphabet()), [END_OF_TEXT, BEGIN_OF_TEXT]
    if vocab_size < (least := len(alphabet) + len(specials)):
        raise ConfigError(
            f"vocab_size is {vocab_size}; a byte-level tokenizer needs {least} or more (256 bytes, {END_OF_TEXT} and {BEGIN_OF_TEXT})"
        )
    encoder = tokenizers.Tokenizer(models.BPE())
    encoder.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    encoder.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=specials,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    encoder.train_from_iterator(_bounded(texts), trainer)
    encoder.post_processor = (
        processors.TemplateProcessing(  # for transformers; documents here add theirs themselves
            single=f"{BEGIN_OF_TEXT} $A",
            pair=f"{BEGIN_OF_TEXT} $A {BEGIN_OF_TEXT} $B",
            special_tokens=[(BEGIN_OF_TEXT, encoder.token_to_id(BEGIN_OF_TEXT))],
        )
    )
    folder.mkdir(parents=True, exist_ok=True)
    encoder.save(str(folder / "tokenizer.json"))
    declared = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END_OF_TEXT,
        "bos_token": BEGIN_OF_TEXT,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(declared, indent=2) + "\n", "utf-8")
    return load_tokenizer(folder)


def _bounded(texts: Iterable[str]) -> Iterator[str]:
    """Texts in pieces of a megabyte at most: the trainer holds the words of a whole text at once."""
    for text in texts:
        for start in range(0, len(text), BATCH_CHARS):
            yield text[start : start + BATCH_CHARS]


# ── the operator ────────────────────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=4)
def _loaded(folder: str, tokenizer_id: str) -> Tokenizer:
    return load_tokenizer(Path(folder))


@dataclass(frozen=True)
class TokenCount:
    """Operator `tokens`: the number of text tokens per document, without BOS and EOS.

    `tokenizer_id` is identity (the tokenizer's artifact id or fingerprint); the folder is where it lies. A row whose
    text was erased counts 0.
    """

    tokenizer_folder: str
    tokenizer_id: str
    name: ClassVar[str] = "tokens"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("doc_id", "text")

    def identity(self) -> dict[str, object]:
        return {"tokenizer": self.tokenizer_id, "tokenizers": library_version()}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        texts = [text or "" for text in batch.column("text").to_pylist()]
        counts = _loaded(self.tokenizer_folder, self.tokenizer_id).count_batch(texts)
        return pa.record_batch(
            [batch.column("doc_id"), pa.array(counts, pa.int64())], schema=schema_of(self.name)
        )
