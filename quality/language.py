"""Which language a document is in, judged from a bounded sample of it.

By py3langid (after Lui and Baldwin 2012, "langid.py"): naive Bayes over byte n-grams, offline, 140 languages. A document
is given one language; the parts of one in two languages are not told apart, and 'zxx' means no language at all.
"""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any, ClassVar

import pyarrow as pa

from corpus.errors import ConfigError, did_you_mean
from corpus.schema import OPERATORS
from quality.characters import UNICODE, text_buffers

UNDETERMINED = "und"  # ISO 639-2's code
MIN_BYTES = 20  # of the sample, white space aside; below, the guess is hardly better than the prior
SCORE_DECIMALS = 4  # float32 sums differ in their last bits from one BLAS to another


@dataclass(frozen=True)
class Language:
    """Operator for `language` (ISO 639 code) and `language_score`, its probability among the languages considered.

    `languages` limits the choice, and probabilities then sum to one over those; None considers all that py3langid knows.
    Judged is `sample(text, sample_bytes)`; where that has no letter, or under 20 bytes besides white space, the language
    is 'und' with score 0.0. Costs 0.1 to 0.4 ms a document, by the sample's length.

    Raises ConfigError for a language that py3langid does not know.
    """

    languages: tuple[str, ...] | None = None
    sample_bytes: int = 1536

    name: ClassVar[str] = "language"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("doc_id", "text")

    def __post_init__(self) -> None:
        if self.sample_bytes < 2 * MIN_BYTES:
            raise ConfigError(f"sample_bytes is {self.sample_bytes}; it must be {2 * MIN_BYTES} or more")
        if self.languages is not None:
            object.__setattr__(self, "languages", tuple(sorted(set(self.languages))))
            _check_known(self.languages)

    def identity(self) -> dict[str, Any]:
        return {
            "languages": None if self.languages is None else list(self.languages),
            "sample_bytes": self.sample_bytes,
            "py3langid": metadata.version("py3langid"),
            "unicode": UNICODE,
        }

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        classify = _identifier(self.languages).classify
        data, offsets = text_buffers(batch.column("text"))
        raw, bounds = data.data, offsets.tolist()
        found = [
            _judge(classify, sample(raw[start:end], self.sample_bytes))
            for start, end in itertools.pairwise(bounds)
        ]
        languages = pa.array([language for language, _ in found], pa.string())
        scores = pa.array([score for _, score in found], pa.float64())
        return pa.RecordBatch.from_arrays(
            [batch.column("doc_id"), languages, scores], schema=OPERATORS[self.name]
        )


def sample(text: bytes | memoryview, num_bytes: int) -> str:
    """At most `num_bytes` bytes of a UTF-8 text, cut between characters: all of it, or half from its start and half from
    its middle on, since a text's start is often a header in another language.

    >>> sample("ééé".encode(), 8), sample(b"head, then the middle", 10)
    ('ééé', 'head,\\n the ')
    """
    half = num_bytes // 2
    middle = len(text) // 2
    parts = [text] if len(text) <= num_bytes else [text[:half], text[middle : middle + half]]
    return "\n".join(bytes(part).decode(errors="ignore") for part in parts)


def _judge(classify: Callable[[str], tuple[str, float]], text: str) -> tuple[str, float]:
    if len("".join(text.split()).encode()) < MIN_BYTES or not any(map(str.isalpha, text)):
        return UNDETERMINED, 0.0
    language, score = classify(text)
    return language, round(score, SCORE_DECIMALS)


@functools.lru_cache(maxsize=4)
def _identifier(languages: tuple[str, ...] | None) -> Any:
    """The loaded model, once per process (0.7 s and 80 MB), its choice limited to `languages`."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    if languages is None:
        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier = copy.copy(_identifier(None))  # shares the model's tables
    identifier.set_languages(languages)
    return identifier


def _check_known(languages: tuple[str, ...]) -> None:
    known = sorted(_identifier(None).labels)
    if not languages:
        raise ConfigError(
            f"languages is empty; leave it out to consider all, or name some of {', '.join(known)}"
        )
    for language in languages:
        if language not in known:
            hint = did_you_mean(language, known)
            raise ConfigError(f"no language {language!r} in py3langid.{hint} There are {', '.join(known)}")
