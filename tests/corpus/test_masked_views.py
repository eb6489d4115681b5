"""Personal data in SQL: masked in every view, null until it was looked for, raw for those only who ask."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from corpus import names
from corpus.guard import QueryError
from corpus.lake import Lake, Manifest
from corpus.schema import DATASETS
from corpus.sql_catalog import write_catalog
from corpus.views import RAW
from quality.measure import measure
from quality.pii import Pii
from tests.corpus.asking import PUBLIC, ask, ask_catalog
from tests.corpus.lakes import (
    EMAIL,
    PHONE,
    SECRETS,
    Story,
    attach,
    read_sources,
    write_sources,
)


def test_no_view_shows_personal_data_unless_asked(story: Story) -> None:
    write_catalog(story.lake)
    for view in PUBLIC:
        for rows in (ask(story.lake, f"FROM {view}"), ask_catalog(story.lake, f"FROM {view}")):
            assert not [secret for secret in SECRETS if secret in json.dumps(rows, default=str)], view
    assert EMAIL in json.dumps(ask(story.lake, "FROM raw_documents", raw=True), default=str)


@pytest.mark.parametrize("view", sorted(RAW))
def test_what_is_raw_is_there_for_those_only_who_ask(story: Story, view: str) -> None:
    assert ask(story.lake, f"FROM {view}", raw=True)
    with pytest.raises(QueryError, match="there is no dataset"):
        ask(story.lake, f"FROM {view}")


def test_a_document_s_own_fields_are_masked_as_its_text_is(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    raw = {
        "own_id": EMAIL,
        "url": f"https://x.example/?m={EMAIL}",
        "metadata": json.dumps({"tel": PHONE, "n": 1}),
    }
    part = lake.write_part("documents", "d", pa.Table.from_pylist([{"doc_id": "x", "text": "t", **raw}]))
    documents = Manifest("documents", "d" * 32, "ingest", 1, {}, (), {"documents": (part,)})
    attach(lake, names.claim(lake, "one", "0" * 32, {}), lake.commit(documents))
    query = "SELECT own_id, url, metadata FROM documents"
    assert ask(lake, query) == [dict.fromkeys(raw)]  # not looked for yet
    pii = lake.write_part("pii", "p", pa.table({"doc_id": ["x"]}))
    parents = (("documents", documents.id),)
    lake.commit(Manifest("pii", "p" * 32, "pii", 2, {}, parents, {"pii": (pii,)}))
    assert ask(lake, query) == [dict.fromkeys(raw)]  # an older version looked through the text only
    measure(lake, {"s": documents}, [Pii()], workers=1)
    shown = {
        "own_id": "<EMAIL>",
        "url": "https://x.example/?m=<EMAIL>",
        "metadata": '{"tel": "<PHONE>", "n": 1}',
    }
    assert ask(lake, query) == [shown]
    write_catalog(lake)
    assert ask_catalog(lake, query) == [shown]


def test_text_is_null_until_personal_data_was_looked_for(tmp_path: Path) -> None:
    lake, documents = two_readings(tmp_path)
    assert [row["text"] for row in ask(lake, "FROM documents")] == [None] * 54
    measure(lake, {"body": documents["body"]}, [Pii()], workers=1)
    assert ask(lake, "SELECT count(text) AS n FROM documents") == [{"n": 12}]


def test_another_reading_of_the_same_file_has_its_own_mask(tmp_path: Path) -> None:
    lake, documents = two_readings(tmp_path)
    measure(lake, documents, [Pii()], workers=1)
    found = ask(
        lake,
        "SELECT doc_id, text FROM documents WHERE doc_id IN (SELECT doc_id FROM documents GROUP BY 1 HAVING count(*) = 2) ORDER BY text",
    )
    assert len(found) == 24
    assert sum("<EMAIL>" in row["text"] for row in found) == 1
    assert len({row["text"] for row in found}) == 24
    assert EMAIL not in json.dumps(found)


def test_the_measurement_that_looked_for_most_is_shown(tmp_path: Path) -> None:
    lake, documents = two_readings(tmp_path)
    measure(lake, documents, [Pii()], workers=1)
    before = ask(lake, "SELECT text FROM documents ORDER BY ALL")
    measure(lake, documents, [Pii(types=("card",))], workers=1)
    assert ask(lake, "SELECT text FROM documents ORDER BY ALL") == before


def two_readings(folder: Path) -> tuple[Lake, dict[str, Manifest]]:
    """Acts and the web's bodies (42 documents) and, with the same ids, the web's summaries (12)."""
    sources = write_sources(folder / "data")
    lake = Lake.open(folder / "lake")
    bodies = read_sources(lake, sources, folder / "data")
    summary = sources["web"].model_copy(update={"text_field": "summary"})
    found = {
        "acts": bodies["acts"],
        "body": bodies["web"],
        "summary": read_sources(lake, {"web": summary}, folder / "data")["web"],
    }
    for i, (name, manifest) in enumerate(found.items()):
        attach(lake, names.claim(lake, name, f"{i:032x}", {}), manifest)
    return lake, found


def test_a_held_out_text_keeps_no_type_that_its_recipe_left_in(tmp_path: Path) -> None:
    lake, documents = two_readings(tmp_path)
    measure(lake, documents, [Pii()], workers=1)
    drawn = {row["doc_id"]: row for row in ask(lake, "FROM raw_documents WHERE source = 'acts'", raw=True)}
    rows = [
        {"holdout_id": "h", "doc_id": id, "content_hash": row["content_hash"], "text": row["text"]}
        for id, row in drawn.items()
    ]
    part = lake.write_part("held_out", "h", pa.Table.from_pylist(rows, schema=DATASETS["held_out"]))
    parents = (("documents", documents["acts"].id),)
    lake.commit(Manifest("holdout", "h" * 32, "draw", 1, {}, parents, {"held_out": (part,)}))
    found = ask(lake, "SELECT text FROM all_held_out")
    assert len(found) == 30 and sum("<EMAIL>" in row["text"] for row in found) == 1
    assert EMAIL not in json.dumps(found)
    assert EMAIL in json.dumps(rows)
