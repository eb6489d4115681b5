"""py3langid's model and what it says of texts: naive Bayes over byte n-grams, found by one walk through an automaton.

Its tables are read by py3langid; the walk and the sums are a kernel here, three times as fast as its Python and numpy, and
in float64 in one order, where it adds float32 in whatever order its BLAS does. The method is its `LanguageIdentifier` with
`norm_probs`: log(1 + count) of each n-gram times its log probability in each language, over the root of the length.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quality.characters import Array
from quality.kernel import int64, kernel


@dataclass(frozen=True, eq=False)
class Model:
    """State s goes on to moves[rows[s] + byte]; arriving in a state counts the n-gram features[s], if that is not −1."""

    languages: tuple[str, ...]  # of each column of weights; a language in two scripts has two
    moves: Array
    rows: Array
    features: Array
    weights: Array  # n-grams × columns, float32
    priors: Array
    first: Array  # the first column of each column's language

    def classify(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """The likeliest language of each text, and its probability among all of them."""
        encoded = [_encode(text) for text in texts]
        offsets = np.cumsum([0, *map(len, encoded)])
        data = np.frombuffer(b"".join(encoded), np.uint8)
        best, probability = _classify(
            data, offsets, self.moves, self.rows, self.features, self.weights, self.priors, self.first
        )
        return [(self.languages[i], p) for i, p in zip(best.tolist(), probability.tolist(), strict=True)]


@functools.cache
def load_model() -> Model:
    """Once per process: 0.7 s and 100 MB."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    found = LanguageIdentifier.from_model_file(MODEL_FILE)
    languages = tuple(found.nb_classes)
    return Model(
        languages,
        np.array(found.tk_nextmove, np.uint32),
        np.array(found.tk_row, np.int64) << 8,
        np.array(found.tk_output, np.int32),
        found.nb_ptc.astype(np.float32),
        found.nb_pc.astype(np.float64),
        np.array([languages.index(language) for language in languages]),
    )


def _encode(text: str) -> bytes:
    """As py3langid was trained: NFC, and lower case where all of it is upper case."""
    return unicodedata.normalize("NFC", text.lower() if text.isupper() else text).encode()


# ── kernels ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@kernel
def _classify(
    data: Array,
    offsets: Array,
    moves: Array,
    rows: Array,
    features: Array,
    weights: Array,
    priors: Array,
    first: Array,
) -> tuple[Array, Array]:
    """The likeliest column of each text and its probability."""
    num_texts = len(offsets) - 1
    best, probability = np.zeros(num_texts, np.int64), np.zeros(num_texts)
    counts, met = np.zeros(len(weights), np.int64), np.empty(len(data) + 1, np.int64)
    for t in range(num_texts):
        num_met = _count(data, offsets[t], offsets[t + 1], moves, rows, features, counts, met)
        scores = _scores(counts, met[:num_met], weights, priors)
        best[t], probability[t] = _likeliest(scores, np.sqrt(max(1, offsets[t + 1] - offsets[t])), first)
    return best, probability


@kernel
def _count(
    data: Array, start: int, end: int, moves: Array, rows: Array, features: Array, counts: Array, met: Array
) -> int:
    """Count the n-grams of a text; `met` gets each once, in order, and their number is returned."""
    state, num_met = int64(0), 0
    for position in range(start, end):
        state = int64(moves[rows[state] + data[position]])
        feature = features[state]
        if feature >= 0:
            met[num_met] = feature
            num_met += counts[feature] == 0
            counts[feature] += 1
    return num_met


@kernel
def _scores(counts: Array, met: Array, weights: Array, priors: Array) -> Array:
    """The log-posterior of each column, all equal where nothing was met; clears the counts."""
    scores = priors.copy() if len(met) else np.zeros(len(priors))
    for feature in met:
        times = np.log1p(counts[feature])
        counts[feature] = 0
        row = weights[feature]
        for column in range(len(scores)):
            scores[column] += times * row[column]
    return scores


@kernel
def _likeliest(scores: Array, length_root: float, first: Array) -> tuple[int, float]:
    """The column of the greatest probability, those of one language added up, and that probability."""
    greatest, total = scores.max(), 0.0
    for column in range(len(scores)):
        scores[column] = np.exp((scores[column] - greatest) / length_root)
        total += scores[column]
    for column in range(len(scores)):
        if first[column] != column:
            scores[first[column]] += scores[column]
            scores[column] = 0.0
    best = int64(scores.argmax())
    return best, scores[best] / total
