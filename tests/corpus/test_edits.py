"""Edits: byte spans over the unedited text; a cut beats a mask, and nothing of a masked span is ever left."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from corpus.edits import edit_text, num_masked
from tests.growth import LINEAR, growth

TEXT = st.text(st.sampled_from("aé€😀\n "), max_size=12)


@st.composite
def spans(draw: st.DrawFn, text: str, **fields: Any) -> list[dict[str, Any]]:
    """Disjoint sorted spans, between characters, as byte offsets."""
    ends = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    pairs = list(zip(ends[::2], ends[1::2], strict=False))
    at = [len(text[:i].encode()) for i in range(len(text) + 1)]
    return [
        {"start": at[i], "end": at[j], **{name: draw(values) for name, values in fields.items()}}
        for i, j in pairs
    ]


@st.composite
def edited(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]], list[dict[str, Any]]]:
    text = draw(TEXT)
    return text, draw(spans(text)), draw(spans(text, type=st.sampled_from(["email", "ssn"])))


def by_bytes(text: str, cuts: list[dict[str, Any]], masks: list[dict[str, Any]]) -> str:
    """The same, byte by byte: each is cut, or under a mask (each unbroken run of one mask gives one placeholder), or kept."""
    source = text.encode()
    state: list[Any] = ["keep"] * len(source)
    for number, mask in enumerate(masks):
        state[mask["start"] : mask["end"]] = [number] * (mask["end"] - mask["start"])
    for cut in cuts:
        state[cut["start"] : cut["end"]] = ["cut"] * (cut["end"] - cut["start"])
    out = b""
    for i, what in enumerate(state):
        if what == "keep":
            out += source[i : i + 1]
        elif what != "cut" and (i == 0 or state[i - 1] != what):
            out += f"<{masks[what]['type'].upper()}>".encode()
    return out.decode()


@given(edited())
def test_edits_are_what_they_are_byte_by_byte(
    case: tuple[str, list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    text, cuts, masks = case
    both = {"email": "mask", "ssn": "mask"}
    assert edit_text(text, cuts, masks, both) == by_bytes(text, cuts, masks)
    emails = [mask for mask in masks if mask["type"] == "email"]
    for other in ("keep", "drop"):
        assert edit_text(text, cuts, masks, {"email": "mask", "ssn": other}) == by_bytes(text, cuts, emails)
    assert edit_text(text, [], masks, {}) == text == edit_text(text, [], [], both)


@given(edited())
def test_masks_are_counted_of_which_cuts_leave_something(
    case: tuple[str, list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    _, cuts, masks = case
    cut = {i for span in cuts for i in range(span["start"], span["end"])}
    left = [mask["type"] for mask in masks if not cut.issuperset(range(mask["start"], mask["end"]))]
    assert num_masked(cuts, masks, {"email": "mask", "ssn": "mask"}) == len(left)
    assert num_masked(cuts, masks, {"email": "mask", "ssn": "keep"}) == left.count("email")


def test_offsets_are_of_bytes() -> None:
    text = "Straße: jo@example.org, Zürich"
    start = len("Straße: ".encode())
    span = {"start": start, "end": start + 14, "type": "email"}
    assert edit_text(text, [], [span], {"email": "mask"}) == "Straße: <EMAIL>, Zürich"


def test_half_a_number_beside_a_cut_is_masked_too() -> None:
    text = "call 555\n1234 now\nbye"
    phone = {"start": 5, "end": 13, "type": "phone"}
    assert edit_text(text, [{"start": 0, "end": 9}], [phone], {"phone": "mask"}) == "<PHONE> now\nbye"
    assert edit_text(text, [{"start": 9, "end": 18}], [phone], {"phone": "mask"}) == "call <PHONE>bye"
    assert edit_text(text, [{"start": 0, "end": 18}], [phone], {"phone": "mask"}) == "bye"
    assert (
        edit_text(text, [{"start": 8, "end": 9}], [phone], {"phone": "mask"})
        == "call <PHONE><PHONE> now\nbye"
    )


def test_many_cuts_and_many_spans_take_no_more_than_each_alone() -> None:
    def edit_many(count: int) -> None:
        cuts = [{"start": 10 * i, "end": 10 * i + 2} for i in range(count)]
        masks = [{"start": 10 * i + 1, "end": 10 * i + 5, "type": "email"} for i in range(count)]
        assert edit_text("x" * 10 * count, cuts, masks, {"email": "mask"}) == ("<EMAIL>" + "x" * 5) * count

    assert growth(edit_many, 1000) < LINEAR
