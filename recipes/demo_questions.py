"""Multiple-choice questions about real text, made without judgement: how does this line, this sentence end?

They are for models of a few million parameters: short, and answered by knowing what code and English look like.
"""

from __future__ import annotations

import random
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator

from demo_planted import SENTENCE_END
from demo_text import Document, share

QUESTIONS, PER_FILE = 600, 12  # at most, of each kind
CONTEXT_LINES = 2
HEADER = ["question", "a", "b", "c", "d", "answer", "cluster", "package"]
Question = tuple[str, list[str], str]  # text, choices, the right one

STATEMENT = re.compile(
    r"(def|class|return|if|for|while|with|raise|from|import|elif|assert|yield)\b|[\w.]+ = |[\w.]+\("
)
PLAIN = re.compile(r"[A-Z][\w ,'()-]+\.")


def line_endings(documents: list[Document]) -> Iterator[tuple[Document, Question]]:
    """How does this line of code end? Wrong endings are those of other lines of the same file, about as long."""
    for document in documents:
        lines, draw = document.text.splitlines(), random.Random(document.id)
        asked = dict(_cut_lines(lines, draw))
        for right in draw.sample(sorted(asked), len(asked)):
            at, place = asked[right]
            told = lines[at][:place]
            alike = (ending for ending in sorted(asked) if abs(len(ending) - len(right)) <= 2)
            wrong = [ending for ending in alike if f"{told.strip()} {ending}" not in document.text]
            if len(wrong) >= 3:
                text = textwrap.dedent("\n".join([*lines[at - CONTEXT_LINES : at], told])).strip()
                yield document, (text, [right, *draw.sample(wrong, 3)], right)


def _cut_lines(lines: list[str], draw: random.Random) -> Iterator[tuple[str, tuple[int, int]]]:
    """(ending, (line, place of the space before it)): eight characters or more stand before it, it has 5 to 24."""
    for at in range(CONTEXT_LINES, len(lines)):
        line, words = lines[at], lines[at].strip()
        start = len(line) - len(line.lstrip())
        if STATEMENT.match(words) and line == line.rstrip() and "  " not in words:
            spaces = (found.start() for found in re.finditer(" ", line))
            places = [place for place in spaces if place >= start + 8 and 5 <= len(line) - place - 1 <= 24]
            if places:
                place = draw.choice(places)
                yield line[place + 1 :], (at, place)


def sentence_endings(documents: list[Document]) -> Iterator[tuple[Document, Question]]:
    """Which word ends this sentence? Wrong words end other sentences, of any document, and are about as long."""
    told = [(document, words) for document in documents for words in _plain_sentences(document.text)]
    endings = sorted({words[-1] for _, words in told})
    for document, words in told:
        draw, right = random.Random(" ".join(words)), words[-1]
        wrong = [word for word in endings if word != right and abs(len(word) - len(right)) <= 1]
        if len(wrong) >= 3:
            yield document, (" ".join(words[:-1]), [right, *draw.sample(wrong, 3)], right)


def _plain_sentences(text: str) -> Iterator[list[str]]:
    for sentence in SENTENCE_END.split(text):
        if PLAIN.fullmatch(sentence) and 10 <= len(words := sentence.split()) <= 40:
            yield words


def question_rows(asked: Iterable[tuple[Document, Question]]) -> list[tuple[str, ...]]:
    """Rows under `HEADER`, the choices in no order; those about one file are a cluster."""
    rows: dict[str, tuple[str, ...]] = {}
    per_file: Counter[str] = Counter()
    for document, (text, choices, right) in asked:
        file = document.id.partition("#")[0]
        if text not in rows and per_file[file] < PER_FILE:
            mixed = sorted(choices, key=lambda choice: share("choice", text, choice))
            rows[text] = (text, *mixed, "ABCD"[mixed.index(right)], file, document.package)
            per_file[file] += 1
    return sorted(rows.values(), key=lambda row: share("question", *row))[:QUESTIONS]
