"""Items: the questions of a multiple-choice task, found by content, with what was left out and why.

Neither the files' order nor their names change what is asked; of several files without a source column each name is a
source, so a new one is another slice to report. A row of the task that cannot be scored is reported, never lost: its rows =
items + rejects + the examples taken from among them. How cells are read is in `evals.task_rows`, which choice is right in `evals.answer`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.errors import ConfigError, did_you_mean, one_of
from corpus.files import list_files, open_bytes
from corpus.fingerprint import fingerprint, hash_bytes
from evals.answer import RawAnswer, resolve_answers
from evals.prompt import LETTERS
from evals.task import Column, Columns, TaskConfig
from evals.task_rows import Cells, RejectedRow, read_rows, split_name

MAX_FILE_BYTES = 1 << 30


@dataclass(frozen=True)
class Item:
    """One question. `item` is a hash of its content; `cluster` names what it is not independent of."""

    item: str
    question: str
    choices: tuple[str, ...]
    answer: int
    context: str
    cluster: str
    source: str


@dataclass(frozen=True)
class TaskItems:
    """A task ready to be scored: items in the order of their hashes, the examples shown before each, and what was left out."""

    name: str
    config: TaskConfig
    items: tuple[Item, ...]
    shots: tuple[Item, ...]
    rejects: tuple[RejectedRow, ...]

    @property
    def items_hash(self) -> str:
        return fingerprint(sorted([item.item, item.cluster] for item in self.items))

    @property
    def slices_hash(self) -> str:
        """What the scores are reported under: the role of the task and the source of every item."""
        return fingerprint([self.config.role, sorted([item.item, item.source] for item in self.items)])

    @property
    def shots_hash(self) -> str:
        return fingerprint([shot.item for shot in self.shots])

    @property
    def prompt_hash(self) -> str:
        return fingerprint(self.config.prompt_identity())

    @property
    def task_hash(self) -> str:
        """Scores with different task hashes are not comparable: other items, other prompts or other examples."""
        return fingerprint([self.items_hash, self.prompt_hash, self.shots_hash])

    def context_of(self, item: Item) -> str:
        """Everything the model reads before the choice: description, examples with their answers, question."""
        shown = [
            self.config.render_question(s.question, s.choices, s.context)
            + self.config.render_choice(s.choices, s.answer)
            for s in self.shots
        ]
        question = self.config.render_question(item.question, item.choices, item.context)
        return self.config.description + self.config.separator.join([*shown, question])

    def continuations_of(self, item: Item) -> list[str]:
        return [self.config.render_choice(item.choices, index) for index in range(len(item.choices))]


def load_items(config: TaskConfig, name: str = "task", root: Path | str | None = None) -> TaskItems:
    """Read, resolve and order a multiple-choice task's items; ConfigError names the columns there are when one is missing.

    Examples are the first `num_fewshot` good rows, files in the order of their content hashes, of `fewshot_path` or of
    the task itself; they are never scored. Of `fewshot_path`, rows that cannot be read are reported too.
    """
    own = config.fewshot_path is None
    rows = _read(config, config.path, name, root)
    shot_rows = [] if own or not config.num_fewshot else _read(config, config.fewshot_path, name, root)
    items, rejects = _build_items(config, name, rows + shot_rows)
    candidates = items if own else items[len(rows) :]
    pool = {item.item: item for item in candidates if item is not None}
    shots = tuple(pool.values())[: config.num_fewshot]
    if len(shots) < config.num_fewshot:
        raise ConfigError(
            f"task {name}: num_fewshot is {config.num_fewshot}, and there are {len(shots)} usable examples in {config.path if own else config.fewshot_path}"
        )
    found, left_out = _scored(rows, items[: len(rows)], [shot.item for shot in shots], own)
    rejects += left_out
    if not found:
        why = f"; {len(rejects)} rows rejected, the first for {rejects[0].reason}" if rejects else ""
        raise ConfigError(f"task {name}: no item to score in {config.path}{why}")
    return TaskItems(name, config, tuple(sorted(found, key=lambda item: item.item)), shots, tuple(rejects))


# ── from rows to items ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Row:
    file: str
    row: int
    source: str
    cells: Cells | str  # or the reason they cannot be read


class _Bad(Exception):
    """A row that cannot become an item, for this reason."""


def _read(config: TaskConfig, path: str | None, name: str, root: Path | str | None) -> list[_Row]:
    refs = list_files(path or "", root)
    header = (
        config.header if config.header is not None else any(isinstance(c, str) for c in config.columns.all())
    )
    contents = []
    for ref in refs:
        with open_bytes(ref) as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ConfigError(
                f"task {name}: {ref.path} is larger than {MAX_FILE_BYTES} bytes; a task's files are read whole"
            )
        contents.append((hash_bytes(data), ref.path, data))
    rows: list[_Row] = []
    for _, file, data in sorted(contents, key=lambda content: content[0]):
        source = split_name(file)[0] if len(refs) > 1 else name
        found = [
            _Row(file, row, source, cells) for row, cells in read_rows(file, data, config.format, header)
        ]
        _check_columns(config, name, file, found)
        rows += found
    return rows


def _check_columns(config: TaskConfig, name: str, file: str, rows: Sequence[_Row]) -> None:
    there: dict[str | int, None] = {}
    for row in rows:
        if isinstance(row.cells, dict):
            there.update(dict.fromkeys(row.cells))
    for column in config.columns.all():
        if there and column not in there:
            names = [key for key in there if isinstance(key, str)]
            valid = one_of(names) if names else f"the positions 0 to {len(there) - 1}"
            raise ConfigError(
                f"task {name}: {file} has no column {column!r}.{did_you_mean(str(column), names)} It has {valid}."
            )


def _build_items(
    config: TaskConfig, name: str, rows: Sequence[_Row]
) -> tuple[list[Item | None], list[RejectedRow]]:
    """One item or None per row, and a reason for every None."""
    reasons: dict[int, str] = {}
    raw: dict[int, RawAnswer] = {}
    for index, row in enumerate(rows):
        try:
            raw[index] = _raw_answer(config.columns, row.cells)
        except _Bad as bad:
            reasons[index] = str(bad)
    answers = dict(zip(raw, resolve_answers(list(raw.values()), config.answer_is, name), strict=True))
    items: list[Item | None] = [None] * len(rows)
    for index, answer in answers.items():
        try:
            items[index] = _item(config.columns, rows[index], raw[index], answer)
        except _Bad as bad:
            reasons[index] = str(bad)
    return items, [
        RejectedRow(rows[index].file, rows[index].row, reason) for index, reason in sorted(reasons.items())
    ]


def _raw_answer(columns: Columns, cells: Cells | str) -> RawAnswer:
    if isinstance(cells, str):
        raise _Bad(cells)
    choices, labels = _choices(columns, cells)
    if len(choices) < 2:
        raise _Bad("too_few_choices")
    if len(choices) > len(LETTERS):
        raise _Bad("too_many_choices")
    value = cells.get(columns.answer)
    if value is None or value == "":
        raise _Bad("missing_answer")
    return RawAnswer(value, choices, labels)


def _choices(columns: Columns, cells: Cells) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if isinstance(columns.choices, list):
        return tuple(_text(cells.get(column), "choice") for column in columns.choices), ()
    value = cells.get(columns.choices)
    labels: Sequence[Any] = ()
    if isinstance(value, dict) and isinstance(value.get("text"), list):  # {"text": [...], "label": [...]}
        labels, value = value.get("label") or (), value["text"]
    elif isinstance(value, dict):  # {"A": "...", "B": "..."}; parquet fills the labels a row lacks with null
        present = {key: choice for key, choice in value.items() if choice is not None}
        labels, value = list(present), list(present.values())
    if not isinstance(value, list):
        raise _Bad("missing_choice" if value is None else "wrong_type")
    return tuple(_text(choice, "choice") for choice in value), tuple(str(label) for label in labels)


def _item(columns: Columns, row: _Row, raw: RawAnswer, answer: int | None) -> Item:
    assert isinstance(row.cells, dict)
    question = _text(row.cells.get(columns.question), "question")
    context = _optional(row.cells, columns.context)
    if answer is None:
        raise _Bad("answer_not_a_choice")
    if raw.choices.count(raw.choices[answer]) > 1:
        raise _Bad("right_choice_not_unique")
    key = fingerprint([question, list(raw.choices), answer, context])
    cluster = _optional(row.cells, columns.cluster) or (hash_bytes(context.encode()) if context else key)
    source = _optional(row.cells, columns.source) or row.source
    return Item(key, question, raw.choices, answer, context, cluster, source)


def _scored(
    rows: Sequence[_Row], items: Sequence[Item | None], shots: Sequence[str], own: bool
) -> tuple[list[Item], list[RejectedRow]]:
    """Items without the examples and without a second copy of any; what is left out is listed with its reason.

    `own` examples are rows of the task itself: the one row each comes from is an example, not a reject.
    """
    found: dict[str, Item] = {}
    rejects = []
    taken = set(shots) if own else set()
    for row, item in zip(rows, items, strict=True):
        if item is None:
            continue
        if item.item in taken:
            taken.remove(item.item)
        elif item.item in shots:
            rejects.append(RejectedRow(row.file, row.row, "shown_as_example"))
        elif item.item in found:
            rejects.append(RejectedRow(row.file, row.row, "duplicate_item"))
        else:
            found[item.item] = item
    return list(found.values()), rejects


def _optional(cells: Cells, column: Column | None) -> str:
    value = None if column is None else cells.get(column)
    return "" if value is None or value == "" else _text(value, "text")


def _text(value: Any, what: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _Bad(f"missing_{what}" if value is None else "wrong_type")
    if isinstance(value, float) and not math.isfinite(value):
        raise _Bad("not_a_number")
    text = str(value).strip()
    if not text:
        raise _Bad(f"missing_{what}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Bad("invalid_utf8") from None
    return text
