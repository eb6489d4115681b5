"""Speed of the signal operators on a folder of text, beside datatrove's filters where those are installed.

    python -m benchmarks.signals PATH [--megabytes 16]

Every regular file under PATH that is UTF-8 is one document, as it is. Each operator runs in one thread, its best of three
after a first run that compiles. datatrove's filters get thresholds that nothing fails, so that they too compute every
signal, and a part of the same documents; it tokenizes with spaCy. Both sides are timed in seconds of the processor, in megabytes (10⁶) of UTF-8.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from quality.c4_lines import C4Lines
from quality.heuristics import Heuristics
from quality.language import Language
from quality.repetition import Repetition

OPERATORS = (Heuristics(), Repetition(), C4Lines(), Language())
PEER_MEGABYTES = 1.0


def read_texts(path: Path, max_bytes: float) -> list[str]:
    """The folder's texts in path order, up to a size; what is no UTF-8 is left out."""
    texts, taken = list[str](), 0
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if not file.is_file() or taken >= max_bytes:
            continue
        try:
            texts.append(file.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue
        taken += len(texts[-1].encode())
    return texts


def megabytes(texts: Iterable[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def best_seconds(work: Callable[[], object], repeats: int) -> float:
    def once() -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return min(once() for _ in range(repeats))


def operator_speeds(texts: list[str]) -> dict[str, float]:
    """MB/s of each operator, by name."""
    ids = pa.array([f"{i:032x}" for i in range(len(texts))])
    batch = pa.record_batch({"doc_id": ids, "text": pa.array(texts, pa.large_string())})
    speeds = {}
    for operator in OPERATORS:
        operator(batch.slice(0, 1))
        seconds = best_seconds(lambda operator=operator: operator(batch), repeats=3)  # type: ignore[misc]
        speeds[operator.name] = megabytes(texts) / seconds
        print(
            f"{operator.name:12} {speeds[operator.name]:10.1f} MB/s {1e3 * seconds / len(texts):10.3f} ms a document"
        )
    return speeds


def peer_filters() -> dict[str, list[Any]]:
    """datatrove's filters that compute what each of our operators computes; ImportError if it is not installed."""
    from datatrove.pipeline import filters

    never = 1e9
    quality = filters.GopherQualityFilter(
        min_doc_words=1, max_doc_words=10**9, min_avg_word_length=1, max_avg_word_length=10**9, max_symbol_word_ratio=never,
        max_bullet_lines_ratio=never, max_ellipsis_lines_ratio=never, max_non_alpha_words_ratio=1e-9, min_stop_words=0,
    )  # fmt: skip
    fineweb = filters.FineWebQualityFilter(
        line_punct_thr=-1, short_line_thr=never, char_duplicates_ratio=never, new_line_ratio=never
    )
    repetition = filters.GopherRepetitionFilter(
        dup_line_frac=never, dup_para_frac=never, dup_line_char_frac=never, dup_para_char_frac=never,
        top_n_grams=tuple((n, never) for n in (2, 3, 4)), dup_n_grams=tuple((n, never) for n in range(5, 11)),
    )  # fmt: skip
    c4 = filters.C4QualityFilter(
        filter_no_terminal_punct=False, filter_lorem_ipsum=False, filter_curly_bracket=False
    )
    return {"heuristics": [quality, fineweb], "repetition": [repetition], "c4_lines": [c4]}


def peer_speed(steps: list[Any], texts: list[str]) -> float:
    """MB/s of datatrove's filters one after the other over fresh documents."""
    from datatrove.data import Document
    from datatrove.utils.text import split_into_parts

    def run() -> None:
        split_into_parts.cache_clear()  # it keeps the words of the last five texts
        for position, text in enumerate(texts):
            for step in steps:
                step.filter(Document(text=text, id=str(position)))

    for step in steps:
        step.filter(Document(text="A text that loads the tokenizer.", id=""))
    return megabytes(texts) / best_seconds(run, repeats=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--megabytes", type=float, default=16.0, help="of text to read at most")
    options = parser.parse_args()
    texts = read_texts(options.path, options.megabytes * 1e6)
    if not texts:
        parser.error(f"no UTF-8 text in {options.path}; give a folder of text files")
    print(f"{len(texts)} documents, {megabytes(texts):.1f} MB")
    speeds = operator_speeds(texts)
    try:
        peers = peer_filters()
    except ImportError as error:
        print(f"datatrove is not installed ({error}); the bench extra has it")
        return
    few = list[str]()
    for text in texts:
        if megabytes(few) >= PEER_MEGABYTES:
            break
        few.append(text[: int(PEER_MEGABYTES * 1e6)])
    print(f"datatrove's filters on {len(few)} of these documents, {megabytes(few):.1f} MB")
    for name, steps in peers.items():
        speed = peer_speed(steps, few)
        print(f"{name:12} {speed:10.2f} MB/s, ours {speeds[name] / speed:.0f} times that")


if __name__ == "__main__":
    main()
