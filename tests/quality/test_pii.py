"""Laws of the PII operator: spans are exact bytes of the text, rows stand alone, and masked text holds nothing to mask.

All numbers are invented or published as test numbers (card networks, the IBAN registry's examples, numbers reserved for drama).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpus.errors import UnknownName
from corpus.schema import OPERATORS, OWN_FIELDS, PII_TYPES
from quality.pii import PRIORITY, Pii, PiiSpan, mask
from quality.pii_candidates import KINDS, find_candidates
from tests.growth import LINEAR, growth

EXAMPLES = {
    "email": ["jo.o'neil+news@mail.example.org", "müller@bücher.example"],
    "ip": ["81.2.69.160", "2600:1f18:4a3b:9c00:1:22:333:4444"],
    "phone": ["+44 20 7946 0958", "(202) 456-1111", "202-456-1111 ext. 22", "+91 98765 43210"],
    "card": ["4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005"],
    "iban": ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000"],
    "ssn": ["219-47-2388"],
    "aadhaar": ["2341 2341 2346"],
    "pan": ["ACUPA7085R"],
}
LABELS = ["phone", "call", "card", "ssn", "Aadhaar", "PAN", "order", "section", "version", "IP"]
MARKS = [
    " ",
    "  ",
    "-",
    ".",
    ",",
    ":",
    "/",
    "\n",
    "",
    "@",
    "+",
    "(",
    ")",
    "<",
    ">",
    "é",
    "अ",
    "—",
    "\u00a0",
    "x",
    "a.b",
    "_",
    "\n1) ",
    "९१",
    "＋",
    "४",
    "_jo@example.com_",
]
FRAGMENTS = st.one_of(
    st.sampled_from([text for texts in EXAMPLES.values() for text in texts]),
    st.sampled_from(LABELS),
    st.sampled_from(MARKS),
    st.from_regex(r"[0-9]{1,5}|[0-9]{9,16}", fullmatch=True),
    st.sampled_from([f"<{slash}{kind.upper()}>" for kind in PII_TYPES for slash in ("", "/")]),
)
# What stands in rows beside an Aadhaar: groups of hexadecimal digits, of addresses, accounts and houses, and what was masked.
IN_ROWS = [
    *("8ACC", "8cab", "B204", "9084", "face", "2a00:1450:4001:815::200e", "DE89 3704 0044 0532 0130 00"),
    *("RO42 AAAA 1B31 0075 9384 8CAB", "2341 2341 2346", "2341 2341 2346", "<IBAN>", "aadhaar"),
]
ROWS = st.builds(
    str.join,
    st.sampled_from([" ", " ", " ", "-", ", ", ",", "\n"]),
    st.lists(st.sampled_from(IN_ROWS), min_size=2, max_size=6),
)
PIECES = st.tuples(st.one_of(FRAGMENTS, ROWS), st.sampled_from([" ", " ", "", "-"]))
TEXTS = st.lists(PIECES, max_size=14).map(lambda pairs: "".join(part for pair in pairs for part in pair))
PII = Pii()


def batch_of(texts: list[str | None]) -> pa.RecordBatch:
    ids = [f"{number:032x}" for number in range(len(texts))]
    own = {name: pa.nulls(len(texts), pa.string()) for name in OWN_FIELDS}
    return pa.RecordBatch.from_pydict(
        {"doc_id": pa.array(ids, pa.string()), "text": pa.array(texts, pa.large_string()), **own}
    )


def found_in(text: str) -> list[tuple[str, str]]:
    return [(span.type, text.encode()[span.start : span.end].decode()) for span in PII.find(text)]


@given(st.lists(st.none() | TEXTS, max_size=5))
def test_rows_are_kept_in_order_and_counts_count_the_spans(texts: list[str | None]) -> None:
    batch = batch_of(texts)
    out = PII(batch)
    assert out.schema == OPERATORS["pii"]
    assert out.column("doc_id").equals(batch.column("doc_id"))
    for text, row in zip(texts, out.to_pylist(), strict=True):
        for kind in PII_TYPES:
            assert row[f"num_pii_{kind}"] == sum(span["type"] == kind for span in row["spans"])
        assert row["masked_text"] == (mask(text or "", row["spans"]) if row["spans"] else None)


@given(TEXTS)
def test_spans_are_sorted_disjoint_whole_characters(text: str) -> None:
    data, done = text.encode(), 0
    for start, end, kind in PII.find(text):
        assert done <= start < end <= len(data)
        assert kind in PII_TYPES
        for piece in (data[done:start], data[start:end], data[end:]):
            piece.decode()
        done = end


@given(TEXTS, st.sets(st.sampled_from(PII_TYPES)))
def test_masking_masked_text_changes_nothing(text: str, masked_types: set[str]) -> None:
    for actions in (dict.fromkeys(PII_TYPES, "mask"), dict.fromkeys(masked_types, "mask")):
        once = mask(text, PII.find(text), actions)
        assert mask(once, PII.find(once), actions) == once


@given(TEXTS)
@example("jo@example.org81.2.69.160 ")  # an address runs on, and leaves a number beside its placeholder
@example("2a00:1450:4001:815::200e, 2341 2341 2346")
@example("RO42 AAAA 1B31 0075 9384 8CAB 8ACC 2341 2341 2346")
def test_masked_text_holds_nothing_to_find(text: str) -> None:
    assert PII.find(mask(text, PII.find(text))) == []


@given(st.lists(TEXTS, max_size=5))
def test_a_text_is_read_without_its_neighbours(texts: list[str]) -> None:
    together = PII.find_all(pa.array(texts, pa.large_string()))
    assert together == [PII.find(text) for text in texts]


@given(st.text(max_size=12), st.sampled_from([text for texts in EXAMPLES.values() for text in texts]))
def test_offsets_are_bytes_whatever_stands_before(before: str, example: str) -> None:
    prefix = "".join(char for char in before if not char.isascii()) + "\n"
    shift = len(prefix.encode())
    moved = [PiiSpan(span.start + shift, span.end + shift, span.type) for span in PII.find(example)]
    assert PII.find(prefix + example) == moved


@pytest.mark.parametrize(
    ("kind", "example"), [(kind, text) for kind, texts in EXAMPLES.items() for text in texts]
)
def test_examples_of_every_type_are_found_whole(kind: str, example: str) -> None:
    for text in (
        example,
        f"See {example}, please.",
        f"({example})",
        f"चाचा {example}।",
        f"«{example}»",
        f"<td>{example}</td>",
    ):
        assert found_in(text) == [(kind, example)]


@pytest.mark.parametrize(
    "text",
    [
        "Flat B204, {}",  # house and room numbers
        "Ramesh,A101,{}\nSunita,C302,{}",
        "{}, D402, Pune",
        "room 12B4\n{}",
        "Sunita, A101 {}",
        "PNR 6E45 {}",
        "A101, B204, {}, C302, D402",  # a comma or a line parts what is not of one row
        "A101\nB204\n{}\nC302\nD402",
        "2a00:1450:4001:815::200e, {}",  # other personal data
        "{} 8ACC 2a00:1450:4001:815::200e",
    ],
)
def test_a_few_hexadecimal_digits_beside_it_hide_no_number(text: str) -> None:
    given = text.replace("{}", "2341 2341 2346")
    found = [value for kind, value in found_in(given) if kind == "aadhaar"]
    assert found == ["2341 2341 2346"] * text.count("{}")
    assert PII.find(mask(given, PII.find(given))) == []


def test_slices_of_a_batch_and_plain_strings_are_read_at_their_place() -> None:
    texts = ["nothing", "jo@example.org", None, "é 81.2.69.160"]
    whole = PII(batch_of(texts))
    for start in range(len(texts)):
        assert PII(batch_of(texts).slice(start)).equals(whole.slice(start))
    assert PII.find_all(pa.array(texts, pa.string())) == PII.find_all(pa.array(texts, pa.large_string()))


def test_an_overlap_goes_to_the_type_that_proves_more() -> None:
    assert found_in("mail 202-456-1111@example.org") == [("email", "202-456-1111@example.org")]
    assert found_in("iban DE89 3704 0044 0532 0130 00") == [("iban", "DE89 3704 0044 0532 0130 00")]
    assert sorted(PRIORITY) == sorted(PII_TYPES)


def test_only_the_types_asked_for_are_found() -> None:
    text = "jo@example.org, 81.2.69.160"
    assert [span.type for span in Pii(types=("ip",)).find(text)] == ["ip"]


def test_national_forms_count_in_their_regions_only() -> None:
    assert Pii(regions=("IN",)).find("(202) 456-1111") == []
    assert len(Pii(regions=("US",)).find("(202) 456-1111")) == 1
    assert len(Pii(regions=("GB",)).find("020 7946 0958")) == 1


def test_unknown_types_and_regions_are_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="'phone'"):
        Pii(types=("phones",))
    with pytest.raises(UnknownName, match="XX"):
        Pii(regions=("XX",))


def test_identity_names_what_decides_and_not_the_order_of_types() -> None:
    assert Pii(types=("ip", "card")).identity() == Pii(types=("card", "ip")).identity()
    assert Pii(regions=("US",)).identity() != PII.identity()
    assert {"phonenumbers", "python_stdnum"} <= set(PII.identity())


# ── hostile text ────────────────────────────────────────────────────────────────────────────────────────────────────

HOSTILE = [
    *(
        "a@",
        "1 ",
        "a",
        "aaaa.",
        "a.b@c.",
        "1.",
        ":",
        "a:",
        "d::",
        "+1",
        "1-",
        "(1",
        "12 34 ",
        "1234 ",
        "AB12 ",
        "x" * 64 + "@",
    ),
    *("4111 1111 1111 1111 ", "call 555-0123 ", "jo@ex.org ", "81.2.69.160 ", "+442079460958 ", "<EMAIL>-1"),
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_candidates_and_what_they_span_grow_with_the_text_only(unit: str) -> None:
    data = np.frombuffer((unit * (80_000 // len(unit))).encode(), dtype=np.uint8)
    candidates = find_candidates(data, np.array([0, data.size]))
    windows = candidates[:, 2] - candidates[:, 1]
    assert len(candidates) <= 2 * data.size
    assert windows.sum() <= 20 * data.size
    assert windows[candidates[:, 3] != KINDS.index("email")].max(initial=0) <= 64


@pytest.mark.parametrize("unit", ["a@", "x" * 64 + "@", "jo@ex.org,", "AB12 ", "4111111111111111 "])
def test_time_grows_with_the_text_only(unit: str) -> None:
    assert growth(lambda size: PII.find(unit * (size // len(unit))), 4000) < LINEAR
