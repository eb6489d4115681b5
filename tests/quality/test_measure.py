"""Measure: every operator once per part, row for row with the documents, and never again."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from corpus.ingest import content_hash
from corpus.lake import Lake, Manifest
from corpus.schema import DOCUMENTS, OPERATORS
from quality import measure as module
from quality.edited import Edited, SourceEdits
from quality.measure import measure, part_key
from quality.pii import Pii

seen: list[tuple[str, int]] = []  # what ran in this process: (operator, rows of the batch)


@dataclass(frozen=True)
class Length:
    """Counts tokens: the bytes of a text, times a setting."""

    times: int = 1
    name: ClassVar[str] = "tokens"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("text",)

    def identity(self) -> dict[str, Any]:
        return {"times": self.times}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        seen.append((self.name, batch.num_rows))
        lengths = pc.multiply(pc.binary_length(batch["text"]), self.times).cast(pa.int64())
        return pa.RecordBatch.from_arrays([batch["doc_id"], lengths], schema=OPERATORS["tokens"])


@dataclass(frozen=True)
class Tongue:
    name: ClassVar[str] = "language"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("doc_id", "text")

    def identity(self) -> dict[str, Any]:
        return {}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        seen.append((self.name, batch.num_rows))
        columns = [batch["doc_id"], pa.array(["en"] * batch.num_rows), pa.array([1.0] * batch.num_rows)]
        return pa.RecordBatch.from_arrays(columns, schema=OPERATORS["language"])


@dataclass(frozen=True)
class Shuffling(Length):
    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return super().__call__(batch.take(pa.array(range(batch.num_rows - 1, -1, -1))))


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    seen.clear()
    yield
    seen.clear()


@dataclass
class Corpus:
    """A lake whose documents are written by hand, a part for each list of texts."""

    lake: Lake
    written: dict[str, Any] = field(default_factory=dict)

    def documents(self, source: str, *parts: list[str]) -> Manifest:
        found = []
        for texts in parts:
            key = f"{source}-{'-'.join(texts)[:40]}"
            if key not in self.written:
                rows = [
                    {"doc_id": f"{key}{i}", "source": source, "text": text} for i, text in enumerate(texts)
                ]
                self.written[key] = self.lake.write_part(
                    "documents", key, pa.Table.from_pylist(rows, schema=DOCUMENTS)
                )
            found.append(self.written[key])
        id = f"{source}{len(parts)}"
        return self.lake.commit(Manifest("documents", id, "ingest", 1, {}, (), {"documents": tuple(found)}))


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(Lake.open(tmp_path))


def test_what_is_measured_stands_row_for_row_with_the_documents(corpus: Corpus) -> None:
    made = corpus.documents("s", ["a", "bb"], ["ccc"])
    found = measure(corpus.lake, {"s": made}, [Length(2), Tongue()], 1)["s"]
    assert sorted(found) == ["language", "tokens"]
    for documents, tokens in zip(made.parts("documents"), found["tokens"].parts("tokens"), strict=True):
        text, number = corpus.lake.read_part(documents), corpus.lake.read_part(tokens)
        assert number["doc_id"].equals(text["doc_id"]) and number.schema.equals(OPERATORS["tokens"])
        assert number["num_tokens"].to_pylist() == [2 * len(t) for t in text["text"].to_pylist()]
    assert found["tokens"].parents == (("documents", made.id),) and found["tokens"].identity == {"times": 2}


def test_nothing_is_measured_twice(corpus: Corpus) -> None:
    made = corpus.documents("s", ["a", "bb"], ["ccc"])
    first = measure(corpus.lake, {"s": made}, [Length()], 1)
    assert seen == [("tokens", 2), ("tokens", 1)]
    assert measure(corpus.lake, {"s": made}, [Length()], 1) == first and len(seen) == 2
    measure(corpus.lake, {"s": made}, [Length(), Tongue()], 1)  # one more operator: only that
    assert seen[2:] == [("language", 2), ("language", 1)]
    longer = corpus.documents("s", ["a", "bb"], ["ccc"], ["d"])  # one more part: only that
    found = measure(corpus.lake, {"s": longer}, [Length(), Tongue()], 1)["s"]
    assert sorted(seen[4:]) == [("language", 1), ("tokens", 1)]
    assert found["tokens"].parts("tokens")[:2] == first["s"]["tokens"].parts("tokens")
    assert found["tokens"].id != first["s"]["tokens"].id


def test_settings_and_version_are_keys_and_order_of_operators_is_not(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = corpus.documents("s", ["a"])
    part = made.parts("documents")[0]
    keys = {part_key(Length(), part), part_key(Length(2), part), part_key(Tongue(), part)}
    one = measure(corpus.lake, {"s": made}, [Length(), Tongue()], 1)
    assert measure(corpus.lake, {"s": made}, [Tongue(), Length()], 1) == one
    monkeypatch.setattr(Length, "version", 2)
    assert len(keys | {part_key(Length(), part)}) == 4
    assert measure(corpus.lake, {"s": made}, [Length()], 1)["s"]["tokens"].id != one["s"]["tokens"].id


def test_what_an_operator_closes_over_is_its_parent(corpus: Corpus) -> None:
    made = corpus.documents("s", ["a"])
    found = measure(corpus.lake, {"s": made}, [Length()], 1, parents=[("holdout", "h")])["s"]["tokens"]
    assert found.parents == (("documents", made.id), ("holdout", "h"))
    assert found.id != measure(corpus.lake, {"s": made}, [Length()], 1)["s"]["tokens"].id and len(seen) == 1


def test_large_parts_are_measured_in_batches(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_ROWS", 2)
    made = corpus.documents("s", ["a", "b", "c", "d", "e"])
    found = measure(corpus.lake, {"s": made}, [Length()], 1)["s"]["tokens"]
    assert seen == [("tokens", 2), ("tokens", 2), ("tokens", 1)] and found.rows("tokens") == 5


def test_a_source_without_documents_has_artifacts_without_parts(corpus: Corpus) -> None:
    found = measure(corpus.lake, {"s": corpus.documents("s")}, [Length(), Tongue()], 2)["s"]
    assert all(manifest.rows(name) == 0 and manifest.parts(name) == () for name, manifest in found.items())


def test_an_operator_that_moves_rows_is_stopped_and_leaves_nothing(corpus: Corpus) -> None:
    made = corpus.documents("s", ["a", "bb"])
    with pytest.raises(AssertionError, match="tokens changed the rows or their order"):
        measure(corpus.lake, {"s": made}, [Shuffling()], 1)
    assert (
        corpus.lake.artifacts("tokens") == []
        and corpus.lake.task("tokens", part_key(Shuffling(), made.parts("documents")[0])) is None
    )


def test_workers_give_the_same_artifacts(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SMALL_BYTES", 0)
    other = Corpus(Lake.open(tmp_path / "other"))
    made = [
        measure(found.lake, {"s": found.documents("s", ["a"], ["b"], ["c"])}, [Length(), Tongue()], workers)
        for found, workers in ((corpus, 1), (other, 2))
    ]
    assert made[0] == made[1]


# ── edited texts ──


def test_an_operator_of_edited_texts_gets_them_and_its_artifact_knows_the_edits(corpus: Corpus) -> None:
    texts = (["mail a@b.org now", "plain words"], ["write to c@d.org"])
    made = corpus.documents("s", *texts)
    pii = measure(corpus.lake, {"s": made}, [Pii()], 1)["s"]["pii"]
    edits = {"s": SourceEdits(("email",), pii, None)}
    found = measure(corpus.lake, {"s": made}, [Edited(), Length()], 1, edits=edits)["s"]
    hashes = [
        hash for part in found["edited"].parts("edited") for hash in corpus.lake.read_part(part)["edited_hash"].to_pylist()
    ]  # fmt: skip
    assert hashes == [content_hash("mail <EMAIL> now"), None, content_hash("write to <EMAIL>")]
    assert found["edited"].parent("pii") == pii.id
    assert found["edited"].identity["edits"] == {"masked": ["email"], "cut_lines": False}
    assert Edited().identity() == {"unicode": unicodedata.unidata_version}
    assert found == measure(corpus.lake, {"s": made}, [Edited(), Length()], 1, edits=edits)["s"]
    # what reads no edited text is the same whatever the edits; without edits every document is as it was
    bare = measure(corpus.lake, {"s": made}, [Edited(), Length()], 1)["s"]
    assert bare["tokens"] == found["tokens"] and bare["edited"].id != found["edited"].id
    assert [corpus.lake.read_part(part)["edited_hash"].null_count for part in bare["edited"].parts("edited")] == [2, 1]  # fmt: skip
