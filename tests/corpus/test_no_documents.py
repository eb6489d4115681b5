"""A source without documents says why, and which fields its first record has; values never leave it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.catalog import Source
from corpus.ingest import ingest, scan
from corpus.lake import Lake
from corpus.no_documents import why_no_documents


def why(folder: Path, files: Mapping[str, str | bytes], sample: float = 1.0, **keys: Any) -> str | None:
    (folder / "data").mkdir()
    for name, content in files.items():
        (folder / "data" / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    lake = Lake.open(folder / "lake")
    source = Source.model_validate({"path": "data", "role": "domain", **keys})
    found = scan(lake, {"s": source}, str(folder))["s"]
    return why_no_documents(lake, "s", source, found, ingest(lake, {"s": (source, found)}, 1, sample)["s"])


def _parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"body": ["SECRET"], "id": ["SECRET"]}), file)
    return file.getvalue()


RECORD = json.dumps({"body": "SECRET", "id": "SECRET"})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "body,id\nSECRET,SECRET\n"), ("a.tsv", "body\tid\nSECRET\tSECRET\n"), ("a.parquet", _parquet()),
        ("a.jsonl", f"{RECORD}\n{RECORD}\n"), ("a.json", f"[\n {RECORD},\n {RECORD}]"), ("a.json", "\ufeff" + RECORD),
    ],
)  # fmt: skip
def test_the_field_that_was_looked_for_and_those_there_are(
    tmp_path: Path, name: str, content: str | bytes
) -> None:
    told = why(tmp_path, {name: content}, text_field="content") or ""
    assert "source 's' has no documents" in told and "missing_text" in told and "text_field" in told
    assert "looked for in 'content'" in told and "'body', 'id'" in told and name in told
    assert "SECRET" not in told and "\n" not in told


@pytest.mark.parametrize(
    "row",
    ["Jo Smith,jo@example.org,+44 20 7946 0958,x", "Smith,London,1987,x", "a,b,123-45-6789,x", "Secret text of a case,a,b,c", "x\ty\tz\tNW1 6XE", '"Smith, Jo",a,b,c', "x" * 41 + ",a,b,c", "a,b,c,jo.smith"],
)  # fmt: skip
def test_a_first_line_that_may_be_values_is_counted_and_not_shown(tmp_path: Path, row: str) -> None:
    told = why(tmp_path, {"a.csv": f"{row}\n1,2,3,4\n"}) or ""
    assert "looked for in 'text'" in told and "4 columns" in told and "header" in told
    told = told.replace(str(tmp_path), "")
    assert not any(
        word in told for word in ("Smith", "jo", "London", "1987", "6789", "0958", "Secret", "NW1", "xxxx")
    )


def test_names_of_columns_are_words(tmp_path: Path) -> None:
    told = why(tmp_path, {"a.csv": ",case_id, decidedOn ,größe,v2\n0,1,2,3,4\n"}) or ""
    assert "'', 'case_id', 'decidedOn', 'größe', 'v2'" in told


@pytest.mark.parametrize("header", ["n,n,body", "n,n,n.1,body", "body;n;n"])
def test_a_text_field_that_stands_twice_is_told_with_the_columns_there_are(
    tmp_path: Path, header: str
) -> None:
    told = why(tmp_path, {"a.csv": f"{header}\nSECRET,SECRET,SECRET\n"}, text_field="n") or ""
    assert "'n', 'n'" in told and "'body'" in told and "no header" not in told and "SECRET" not in told
    assert "Rename one of the columns 'n', or set text_field of this source in the catalog" in told


@pytest.mark.parametrize("damaged", ["<a><p>SECRET</p><b></a>", "<a><p>SECRET</p>", "<a>&#0;</a>"])
def test_a_path_that_a_damaged_xml_file_may_have_nowhere_is_told(tmp_path: Path, damaged: str) -> None:
    told = why(tmp_path, {"a.xml": damaged, "b.jsonl": "{"}, text_field="//q") or ""
    assert "looked for in '//q'" in told and "a.xml" in told and "set text_field" in told
    assert "SELECT * FROM rejects" in told and "SECRET" not in told


def test_a_path_that_was_found_is_not_in_question(tmp_path: Path) -> None:
    told = why(tmp_path, {"a.xml": "<a><q></q><b></a>"}, text_field="//q") or ""
    assert "empty_text 1" in told and "invalid_xml 1" in told and "looked for" not in told


def test_other_reasons_are_counted(tmp_path: Path) -> None:
    told = why(tmp_path, {"a.jsonl": "{\n" * 3 + '{"text": ""}\n', "LICENSE": "SECRET"}) or ""
    assert "invalid_json 3" in told and "empty_text 1" in told and "unknown_format 1" in told
    assert "looked for" not in told and "SECRET" not in told


def test_a_record_that_cannot_be_peeked_at_is_no_error(tmp_path: Path) -> None:
    told = why(tmp_path, {"a.jsonl": '{\n{"id": 1}\n'}) or ""
    assert "looked for in 'text'" in told and "begins with" not in told


def test_nothing_to_read_is_told_apart(tmp_path: Path) -> None:
    for number, (files, sample, words) in enumerate(
        [({}, 1.0, "no files"), ({"a.txt": "", "b.csv": ""}, 1.0, "only empty files (2)"), ({"a.txt": "text"}, 1e-9, "in the sample")]
    ):  # fmt: skip
        (tmp_path / str(number)).mkdir()
        assert words in (why(tmp_path / str(number), files, sample) or "")


def test_a_source_with_documents_says_nothing(tmp_path: Path) -> None:
    assert why(tmp_path, {"a.jsonl": '{"text": "one"}\n{"id": "none"}\n'}) is None
