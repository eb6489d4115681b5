"""JSON: lines and documents; a broken value costs itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from corpus.readers import Record, Reject

Read = Callable[..., list[Any]]
ItemsOf = Callable[..., list[Record | Reject]]

ONE, TWO = '{"text": "one"}', '{"text": "two"}'

JSONL: list[tuple[str | bytes, list[Any]]] = [
    ('{"text": "bad', [(1, "invalid_json")]), ('{"text": "bad"', [(1, "invalid_json")]), ('{"text": "bad"}}', [(1, "invalid_json")]), ("{'text': 'bad'}", [(1, "invalid_json")]),
    ('{"text" "bad"}', [(1, "invalid_json")]), ("text", [(1, "invalid_json")]), ("{", [(1, "invalid_json")]), ("\0\0\0", [(1, "invalid_json")]), ('{"text": "a\tb"}', [(1, "invalid_json")]),
    ('{"text": "\\x"}', [(1, "invalid_json")]), ('{"text": "\\u12"}', [(1, "invalid_json")]), ('{"text": 01}', [(1, "invalid_json")]), ('\ufeff{"text": "a"}', [(1, "invalid_json")]),
    ("[]", [(1, "wrong_type")]), ("3", [(1, "wrong_type")]), ('"text"', [(1, "wrong_type")]), ("null", [(1, "wrong_type")]), ("NaN", [(1, "wrong_type")]), ('["text", "x"]', [(1, "wrong_type")]),
    ('{"text": 3}', [(1, "wrong_type")]), ('{"text": ["a"]}', [(1, "wrong_type")]), ('{"text": {"a": 1}}', [(1, "wrong_type")]), ('{"text": true}', [(1, "wrong_type")]), ('{"text": 1e5}', [(1, "wrong_type")]),
    ("{}", [(1, "missing_text")]), ('{"text": null}', [(1, "missing_text")]), ('{"Text": "a"}', [(1, "missing_text")]), ('{"text ": "a"}', [(1, "missing_text")]),
    ('{"text": ""}', [(1, "empty_text")]), ('{"text": " \\n\\t\\u00a0"}', [(1, "empty_text")]),
    (b'{"text": "\xff"}', [(1, "invalid_utf8")]), (b'{"text": "\xed\xa0\x80"}', [(1, "invalid_utf8")]), (b"\x80\x81", [(1, "invalid_utf8")]), ('{"text": "é"}'.encode("latin-1"), [(1, "invalid_utf8")]),
    ('{"text": "\\ud800"}', [(1, "lone_surrogate")]), ('{"text": "a\\udc00\\ud800"}', [(1, "lone_surrogate")]),
    ("[" * 5000, [(1, "nested_too_deep")]), ('{"a":' * 5000, [(1, "nested_too_deep")]), ('{"text": "a", "b": ' + "[" * 100 + "]" * 100 + "}", [(1, "nested_too_deep")]),
    ('{"text": "' + "x" * 30_000 + '"}', [(1, "record_too_long")]), ("x" * 50_000, [(1, "record_too_long")]),
    ("", []), ("  \t\r", []), ('  {"text": "in"}  \r', ["in"]), ('{"text": "in", "n": ' + "9" * 900 + "}", ["in"]), ('{"text": "in", "n": NaN, "m": -Infinity}', ["in"]),
    ('{"text": "\\ud83d\\ude00"}', ["😀"]), ('{"text": "a\\u0000b"}', ["a\0b"]), ('{"text": "a\\r\\nb\\rc"}', ["a\nb\rc"]), ('{"text": "one", "text": "in"}', ["in"]),
    ('{"text": "in", "a": "\\ud800"}', ["in"]), ('{"text": "\\ufeff"}', ["\ufeff"]), ('{"text": "in"}\r', ["in"]),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "middle"), JSONL)
@pytest.mark.parametrize("ending", ["", "\n"])
def test_jsonl(read: Read, bad: str | bytes, middle: list[Any], ending: str) -> None:
    bad = bad.encode("utf-8", "surrogatepass") if isinstance(bad, str) else bad
    data = ONE.encode() + b"\n" + bad + b"\n" + TWO.encode() + ending.encode()
    assert read("a.jsonl", data, max_record_bytes=30_000) == ["one", *middle, "two"]
    if middle and not isinstance(middle[0], str) and not bad.startswith(b"\xef\xbb\xbf"):
        packed = zstandard.ZstdCompressor().compress(bad)
        assert read("b.jsonl.zst", packed, max_record_bytes=30_000) == [(0, middle[0][1])]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ('[{"text": "one"}, {"text": "two"}]', ["one", "two"]),
        ('[\n  {\n    "text": "one"\n  },\n  {"text": "two"}\n]\n', ["one", "two"]),
        ('{"text": "one", "a": [{"b": 1}, {"c": 2}]}', ["one"]),
        ('{\n"text": "one"}\n{\n"text": "two"}', ["one", "two"]),
        ('{"text": "one"}{"text": "two"}', ["one", "two"]),
        ('{"text": "one"}\n{"text": bad}\n{"text": "two"}\n', ["one", (1, "invalid_json"), "two"]),
        ('[{"text": "one"}, {"text": bad}, {"text": "two"}]', ["one", (1, "invalid_json"), "two"]),
        ('[{"text": "one"}, {"text": "bad}, {"text": "lost"}, {"text": "two"}]', ["one", (1, "invalid_json"), "lost", "two"]),
        ('[{"text": "one"}, {"text": "two"}', ["one", "two", (2, "truncated_file")]),
        ('[{"text": "one"}, {"text": "two"},]', ["one", "two"]),
        ('[{"text": "one"}, {"text": "tw', ["one", (1, "truncated_file")]),
        ('[{"text": "one"}, {"text": tru', ["one", (1, "truncated_file")]),
        ('[{"text": "one"}, 3, "two", null, [1, [2]], {}, {"text": "two"}]', ["one", *((i, "wrong_type") for i in range(1, 5)), (5, "missing_text"), "two"]),
        (b'[{"text": "one"}, {"text": "\xff"}, {"text": "two"}]', ["one", (1, "invalid_utf8"), "two"]),
        ('[{"text": "one"}, {"text": "\\ud800"}, {"text": "two"}]', ["one", (1, "lone_surrogate"), "two"]),
        ('[{"text": "one"}, ' + '{"a":' * 5000 + '1}, {"text": "two"}]', ["one", (1, "nested_too_deep"), "two"]),
        ('[{"text": "one"}, {"text": "' + "x" * 5000 + '"}, {"text": "two"}]', ["one", (1, "record_too_long"), "two"]),
        ('[{"text": "one", "n": ' + "9" * 900 + '}, {"text": "two"}]', ["one", "two"]),
        ('[{"text": "one"} {"text": "two"}]', ["one", "two"]),
        ('{"data": [{"text": "one"}]}', [(0, "missing_text")]),
        ("not json", [(0, "invalid_json")]),
        ("{}", [(0, "missing_text")]),
        ("[]", [(-1, "empty_file")]),
        ("  ", [(-1, "empty_file")]),
    ],
)  # fmt: skip
def test_json_documents(read: Read, data: str | bytes, found: list[Any]) -> None:
    assert read("a.json", data, max_record_bytes=1500) == found


@given(st.data())
def test_a_json_array_is_read_as_json_reads_it_whatever_the_blocks(
    items_of: ItemsOf, tmp_path_factory: Any, data: Any
) -> None:
    texts = data.draw(
        st.lists(
            st.text(st.characters(exclude_categories=("Cs",)), min_size=1).filter(
                lambda t: t.strip() and "\r" not in t
            ),
            min_size=1,
            max_size=20,
        )
    )
    filler = data.draw(st.integers(0, 70_000))
    whole = json.dumps(
        [{"text": text, "filler": "x" * filler} for text in texts],
        ensure_ascii=data.draw(st.booleans()),
        indent=data.draw(st.none() | st.just(1)),
    )
    items = items_of(tmp_path_factory.mktemp("json") / "a.json", whole)
    assert [item.text for item in items if isinstance(item, Record)] == texts == [text for item, text in zip(items, texts, strict=True) if item]  # fmt: skip
