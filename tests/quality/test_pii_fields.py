"""A document's own fields: masked beside the raw ones, and metadata stays the JSON it was."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.schema import OPERATORS, PII_TYPES
from quality.pii import Pii

PII = Pii()
SECRETS = [
    "jo@example.org",
    "+91 98765 43210",
    "219-47-2388",
    "4111 1111 1111 1111",
    "81.2.69.160",
    "ACUPA7085R",
]
VALUES = st.recursive(
    st.sampled_from([*SECRETS, "1 219-47-2388", "a\njo@example.org", '"jo@example.org"', "\\", "१", "plain", 2024561111, 219472388, 1.5, True, None]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["phone", "ssn", "a", "jo@example.org", 'k"\n']), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
TREES = st.dictionaries(st.sampled_from(["phone", "contactPhone", "note", "x y"]), VALUES, min_size=1)


def masked(**fields: Any) -> dict[str, Any]:
    """The row that is measured of a document with these own fields."""
    names = ("doc_id", "text", "own_id", "url", "metadata")
    found = {"doc_id": "d", "text": "nothing", **fields}
    batch = pa.RecordBatch.from_pydict({name: pa.array([found.get(name)], pa.large_string() if name == "text" else pa.string()) for name in names})  # fmt: skip
    return dict(PII(batch).to_pylist()[0])


def metadata(tree: dict[str, Any]) -> Any:
    """What is shown of the tree: masked or, where nothing was found, as it is."""
    shown = masked(metadata=json.dumps(tree, ensure_ascii=False))["masked_metadata"]
    return tree if shown is None else json.loads(shown)


def like(before: Any, after: Any) -> bool:
    """The same tree but for texts (and numbers) that now hold a placeholder."""
    if isinstance(before, dict):
        return isinstance(after, dict) and all(
            like(value, after[key]) for key, value in before.items() if key in after
        )
    if isinstance(before, list):
        return isinstance(after, list) and len(before) == len(after) and all(map(like, before, after))
    return before == after or any(f"<{kind.upper()}>" in after for kind in PII_TYPES)


@given(TREES)
def test_masked_metadata_is_the_same_json_without_personal_data(tree: dict[str, Any]) -> None:
    shown = metadata(tree)
    assert like(tree, shown)
    assert not [secret for secret in SECRETS if secret in json.dumps(shown, ensure_ascii=False)]
    assert metadata(shown) == shown


@pytest.mark.parametrize(
    ("tree", "shown"),
    [
        ({"author": "Jo <jo@example.org>", "n": 1}, {"author": "Jo <<EMAIL>>", "n": 1}),
        ({"phone": 2024561111, "id": 2024561111}, {"phone": "<PHONE>", "id": 2024561111}),
        ({"homePhone": "12345678", "phones": ["12345678", "23456789"]}, {"homePhone": "<PHONE>", "phones": ["<PHONE>"] * 2}),
        ({"by": {"jo@example.org": 3}}, {"by": {"<EMAIL>": 3}}),
        ({"note": "\n219-47-2388\n"}, {"note": "\n<SSN>\n"}),
        ({"date": "2019-10-31", "at": "8 @ 9", "pages": "142-150"}, {"date": "2019-10-31", "at": "8 @ 9", "pages": "142-150"}),
    ],
)  # fmt: skip
def test_metadata(tree: dict[str, Any], shown: dict[str, Any]) -> None:
    assert metadata(tree) == shown


@pytest.mark.parametrize(
    ("own_id", "shown"),
    [("jo@example.org", "<EMAIL>"), ("219-47-2388", "<SSN>"), ("case 12", None), ("4111111111111111", None), (None, None)],
)  # fmt: skip
def test_an_own_id(own_id: str | None, shown: str | None) -> None:
    assert masked(own_id=own_id)["masked_own_id"] == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://x.example/?m=jo@example.org", "https://x.example/?m=<EMAIL>"),
        ("https://x.example/?tel=%2B12024561111&m=jo%40example.org", "https://x.example/?tel=<PHONE>&m=<EMAIL>"),
        ("https://blog.example/@jo/1%20a", None), ("https://x.example/2019/10/31/20191031", None), (None, None),
    ],
)  # fmt: skip
def test_a_url_is_read_unescaped(url: str | None, shown: str | None) -> None:
    assert masked(url=url)["masked_url"] == shown


def test_own_fields_count_as_no_signal_and_most_documents_have_none() -> None:
    row = masked(text="to jo@example.org", own_id="jo@example.org", metadata='{"a": "b"}')
    assert (row["num_pii_email"], len(row["spans"]), row["masked_metadata"], row["masked_url"]) == (1, 1, None, None)  # fmt: skip
    assert [name for name in OPERATORS["pii"].names if name.startswith("masked_")] == ["masked_text", "masked_own_id", "masked_url", "masked_metadata"]  # fmt: skip
