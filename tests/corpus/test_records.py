"""Records: fields, dates, plain metadata, and the section that says how a source is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.config import build_section
from corpus.errors import ConfigError
from corpus.readers import Reading, Record, Reject, parse_date

Read = Callable[..., list[Any]]
ItemsOf = Callable[..., list[Record | Reject]]


def line(text: str, **fields: Any) -> str:
    return json.dumps({"text": text, **fields})


def test_fields_become_id_url_date_and_metadata(tmp_path: Path, items_of: ItemsOf) -> None:
    fields = {
        "case": 17,
        "from": "https://x.org/1",
        "when": "2019-04-25T12:57:54+02:00",
        "meta": {"court": "HC"},
        "tags": ["a"],
        "n": None,
    }
    reading = {"id_field": "case", "url_field": "from", "date_field": "when"}
    [record] = items_of(tmp_path / "a.jsonl", line("x", **fields), **reading)
    assert record == Record(0, "x", "17", "https://x.org/1", datetime(2019, 4, 25, 10, 57, 54), {"meta": {"court": "HC"}, "tags": ["a"], "n": None})  # fmt: skip
    [record] = items_of(tmp_path / "a.jsonl", line("x", **fields), metadata="none", **reading)
    assert isinstance(record, Record)
    assert (record.metadata, record.own_id) == ({}, "17")
    [record] = items_of(
        tmp_path / "a.jsonl",
        line("x", **fields),
        metadata=["tags", "meta.court", "absent"],
        id_field="meta.court",
    )
    assert isinstance(record, Record)
    assert (record.metadata, record.own_id) == ({"tags": ["a"], "meta.court": "HC"}, "HC")


def test_a_date_that_cannot_be_read_stays_in_the_metadata(tmp_path: Path, items_of: ItemsOf) -> None:
    [record] = items_of(tmp_path / "a.jsonl", line("x", when="25/04/2019"), date_field="when")
    assert isinstance(record, Record)
    assert (record.date, record.metadata) == (None, {"when": "25/04/2019"})


def test_metadata_is_plain_json_whatever_the_source(tmp_path: Path, items_of: ItemsOf) -> None:
    fields = (
        '{"text": "x", "id": null, "a": NaN, "b": 1e999, "c": "\\ud800", "d": {"e\\udfff": [-Infinity]}, "n": '
        + "9" * 5000
        + "}"
    )
    [record] = items_of(tmp_path / "a.jsonl", fields, id_field="id")
    assert isinstance(record, Record)
    assert record.own_id is None
    written = json.dumps(record.metadata, ensure_ascii=False, allow_nan=False).encode()
    assert json.loads(written) == {"a": None, "b": None, "c": "���", "d": {"e���": [None]}, "n": "9" * 5000}


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("2019-04-25", (2019, 4, 25)), ("2019-04-25T12:57:54Z", (2019, 4, 25, 12, 57, 54)), ("2019-04-25 12:57:54.5-05:30", (2019, 4, 25, 18, 27, 54, 500000)), ("20190425", (2019, 4, 25)),
        ("2019-04", (2019, 4, 1)), ("2019", (2019, 1, 1)), (2019, (2019, 1, 1)), ("2019/04/25", (2019, 4, 25)), ("25 April 2019", (2019, 4, 25)), ("April 5, 2019", (2019, 4, 5)), ("Apr 5, 2019", (2019, 4, 5)),
        ("Thu, 25 Apr 2019 12:57:54 +0200", (2019, 4, 25, 10, 57, 54)), (1556197074, (2019, 4, 25, 12, 57, 54)), ("1556197074", (2019, 4, 25, 12, 57, 54)), (1556197074000, (2019, 4, 25, 12, 57, 54)),
        (1556197074.25, (2019, 4, 25, 12, 57, 54, 250000)), (20190425, (2019, 4, 25)), (" 2019-04-25\n", (2019, 4, 25)),
    ],
)  # fmt: skip
def test_dates(value: Any, date: tuple[int, ...]) -> None:
    assert parse_date(value) == datetime(*date)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["", "yesterday", "25/04/2019", "04/25/2019", None, True, [], {}, float("nan"), float("inf"), 1e300, 10**400, "2019-13-45", "٢٠١٩", "x" * 1000, "0001-01-01T00:00:00+14:00"])  # fmt: skip
def test_what_is_no_date_is_none(value: Any) -> None:
    assert parse_date(value) is None


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)))
def test_iso_dates_come_back(value: datetime) -> None:
    assert parse_date(value.isoformat()) == value == parse_date(value)


def test_the_identity_of_reading() -> None:
    assert Reading().identity() == {"format": None, "text_field": "text"}
    assert Reading(max_record_bytes="33554432", exclude=[], metadata="all").identity() == Reading().identity()
    changed: list[dict[str, Any]] = [
        {"format": "xml"}, {"text_field": "body"}, {"split": "blank_lines"}, {"exclude": ["a"]}, {"id_field": "a"}, {"url_field": "a"}, {"date_field": "a"},
        {"metadata": "none"}, {"metadata": []}, {"max_record_bytes": "1M"}, {"inline": ["w"]},
    ]  # fmt: skip
    identities = {json.dumps(Reading(**change).identity(), sort_keys=True) for change in changed}
    assert len(identities) == len(changed)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"format": "jsonlines"}, "format: 'jsonlines' is not known. Did you mean 'jsonl'?"),
        ({"txt_field": "a"}, "unknown key 'txt_field'. Did you mean 'text_field'?"),
        ({"format": "xml", "text_field": "a[1]"}, "'a[1]' is not a path that is understood"),
        ({"exclude": ["a b"]}, "'a b' is not a path that is understood"),
        ({"metadata": "some"}, "metadata: "),
    ],
)  # fmt: skip
def test_a_wrong_section_is_one_clear_error(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_section(Reading, tree, "source 'a'")
    assert message in str(caught.value)
