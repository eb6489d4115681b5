"""Which choice is right: answers written as an index, a letter or the choice's own text, told apart by the whole task.

One value cannot say whether `2` is the third choice, the second one, or the text "2". The reading that explains the most
rows wins; when two readings explain as many but point to different choices, nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from corpus.errors import ConfigError
from evals.prompt import LETTERS

READINGS = ("index", "index_from_1", "text")  # letters are read in each of them


@dataclass(frozen=True)
class RawAnswer:
    """What the answer column holds, beside the choices and their labels (A, B, … or the keys of a mapping)."""

    value: Any
    choices: tuple[str, ...]
    labels: tuple[str, ...]


def resolve_answers(answers: Sequence[RawAnswer], answer_is: str, task: str) -> list[int | None]:
    """The index of the right choice per row, None where the answer is none of the choices.

    `answer_is`: auto, index (from 0), index_from_1, letter or text. Raises ConfigError when `auto` cannot tell.
    """
    if answer_is != "auto":
        return [read_answer(answer, answer_is) for answer in answers]
    found = [[read_answer(answer, reading) for answer in answers] for reading in READINGS]
    explained = [sum(index is not None for index in column) for column in found]
    best = [column for column, count in zip(found, explained, strict=True) if count == max(explained)]
    if any(column != best[0] for column in best):
        names = [name for name, count in zip(READINGS, explained, strict=True) if count == max(explained)]
        raise ConfigError(
            f"task {task}: the answers can be read as {' and as '.join(names)}, with different right choices. "
            f"Say which: answer_is: {' | '.join((*READINGS, 'letter'))}."
        )
    return best[0]


def read_answer(answer: RawAnswer, reading: str) -> int | None:
    """One answer under one reading."""
    if reading == "text":
        found = _as_text(answer)
        return _as_letter(answer) if found is None else found
    if reading == "letter":
        return _as_letter(answer)
    number = _as_number(answer.value)
    if number is not None:
        index = number - (reading == "index_from_1")
        return index if 0 <= index < len(answer.choices) else None
    letter = _as_letter(answer)
    return _as_text(answer) if letter is None else letter


def _as_number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return int(value) if float(value).is_integer() else None
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else None


def _as_letter(answer: RawAnswer) -> int | None:
    word = str(answer.value).strip().rstrip(".)").upper()
    labels = [label.upper() for label in answer.labels] or list(LETTERS[: len(answer.choices)])
    return labels.index(word) if labels.count(word) == 1 else None


def _as_text(answer: RawAnswer) -> int | None:
    word = str(answer.value).strip()
    same = [index for index, choice in enumerate(answer.choices) if choice.strip() == word]
    return same[0] if len(same) == 1 else None
