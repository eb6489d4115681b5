"""Tasks: what is asked of a checkpoint, as declared under `tasks` in data_catalog.yaml.

A multiple-choice task is a set of local files, read by `evals.items`. The holdout task has no file: its documents are the
lake's held-out set. Scores are made in `evals.scorer`; suites and other people's tasks are not covered here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import ValidationInfo, field_validator

from corpus.config import Count, Section, circumstance, identity
from corpus.fingerprint import fingerprint, hash_bytes
from evals.prompt import Prompt

HOLDOUT_TASK = "holdout"  # its documents are the held-out set, so it has no entry in the catalog
Column = str | int  # a name, or a position from 0


class Columns(Section):
    """Which column holds what. A column of choices may hold a list, or a mapping of labels to choices."""

    question: Column = identity("question", description="column name or number")
    choices: Column | list[Column] = identity("choices", description="one column of lists, or several")
    answer: Column = identity("answer", description="column of the right choice")
    context: Column | None = identity(
        None, absent_means=None, description="text before the question; items that share it are one cluster"
    )
    cluster: Column | None = identity(
        None, absent_means=None, description="what groups items that are not independent"
    )
    source: Column | None = identity(
        None, absent_means=None, description="the slice an item is reported under; the file's name else"
    )

    def all(self) -> list[Column]:
        choices = self.choices if isinstance(self.choices, list) else [self.choices]
        optional = [self.context, self.cluster, self.source]
        return [self.question, *choices, self.answer, *(column for column in optional if column is not None)]


class TaskConfig(Prompt):
    """One evaluation task; its templates are those of `Prompt`."""

    type: Literal["multiple_choice", "holdout"] = identity("multiple_choice", description="multiple_choice")
    path: str = circumstance("", description="file, folder, glob or URL of csv, tsv, jsonl, json or parquet")
    format: Literal["csv", "tsv", "jsonl", "json", "parquet"] | None = identity(
        None, absent_means=None, description="absent: by the file's ending"
    )
    header: bool | None = identity(
        None,
        absent_means=None,
        description="whether csv files begin with names; by default if columns are named",
    )
    columns: Columns = identity(Columns(), description="which columns hold what")
    answer_is: Literal["auto", "index", "index_from_1", "letter", "text"] = identity(
        "auto", absent_means="auto", description="how the right choice is written; auto reads it off the rows"
    )
    num_fewshot: Count = identity(0, absent_means=0, description="worked examples before each question")
    fewshot_path: str | None = circumstance(
        None, description="files the examples come from; else the first items, which are then not scored"
    )
    role: Literal["domain", "general"] = identity(
        "domain", absent_means="domain", description="domain or general"
    )
    topic: str = circumstance("", description="a free label")
    license: str = circumstance("", description="SPDX id, or a word of your own where there is none")
    language: str | list[str] = circumstance("", description="told to people; nothing checks it")

    @field_validator("path")
    @classmethod
    def _path(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.data.get("type") == "multiple_choice":
            raise ValueError("a multiple_choice task needs the path of its files")
        return value

    @field_validator("num_fewshot")
    @classmethod
    def _not_negative(cls, value: int) -> int:
        if value < 0:
            raise ValueError(f"{value} examples cannot be shown; write 0 or more")
        return value


def holdout_hash(doc_ids: Iterable[str], texts: Iterable[str]) -> str:
    """The task hash of a held-out set: which documents, and their exact text."""
    return fingerprint(
        sorted([doc_id, hash_bytes(text.encode())] for doc_id, text in zip(doc_ids, texts, strict=True))
    )
