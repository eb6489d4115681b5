"""Files of a task for tests: six items with three choices each, written as people write them, and what is loaded of them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from evals.items import TaskItems, load_items
from tests.evals.cards import task_config

NAMED = {"question": "question", "choices": ["a", "b", "c"], "answer": "answer"}

ROWS: list[dict[str, Any]] = [
    {
        "question": f"What is item {n}?",
        "a": f"first {n}",
        "b": f"second {n}",
        "c": f"third {n}",
        "answer": "ABC"[n % 3],
    }
    for n in range(6)
]

EXPECTED = {f"What is item {n}?": f"{['first', 'second', 'third'][n % 3]} {n}" for n in range(6)}


def load(path: Path | str, root: Path | None = None, name: str = "law", **keys: Any) -> TaskItems:
    keys.setdefault("columns", NAMED)
    return load_items(task_config({"path": str(path), **keys}, name), name, root)


def write_csv(path: Path, rows: list[dict[str, Any]], header: bool = True) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        if header:
            writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def answers(task: TaskItems) -> dict[str, str]:
    return {item.question: item.choices[item.answer] for item in task.items}


def reasons(task: TaskItems) -> list[tuple[int, str]]:
    return [(reject.row, reject.reason) for reject in task.rejects]
