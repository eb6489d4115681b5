"""Is a run of digits a telephone number? phonenumbers' numbering plans, on windows around candidates only, and words beside them.

Three grades of evidence: a form that only phones have (`+44 …`, `(202) 555-0143`, a leading zero and groups) must be valid in a
numbering plan; any other form must stand beside a word such as `phone`, with no nearer word such as `order` or `section`; plain
digits without either are never a phone. Dates and spans of years never are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import phonenumbers

from quality.pii_checks import Span
from quality.pii_context import Candidate

_LABELS = ("phone", "card", "ssn", "aadhaar", "ip", "version", "record", "other", "masked")
_AFTER = frozenset(["mobile", "cell", "fax", "phone", "telephone", "office", "landline", "pager"])
_EXTENSION = re.compile(
    rb",?[ ]?(?:x|ext\.?|extn\.?|extension)[ .:]{0,2}\d{1,6}(?![A-Za-z0-9_]|\+\d)", re.IGNORECASE
)
_NORTH_AMERICAN = re.compile(r"(?:1[-. ]?)?\(\d{3}\) ?-?\d{3}[-. ]\d{4}|(?:1[-.])?\d{3}([-.])\d{3}\1\d{4}")
_AMOUNT = re.compile(r"\d{1,3}(?:\.\d{3})+|\d+\.\d{5,}")  # thousands with points, a decimal fraction
_ARXIV = b"-ph/"  # astro-ph/9905191, an article
_YEAR = r"(?:1[6-9]|20)\d\d"
_MONTH_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_DATE = re.compile(
    rf"{_YEAR}[-. ]*{_MONTH_DAY}[-. ]+{_MONTH_DAY}\b.*|{_MONTH_DAY}[-. ]+{_MONTH_DAY}[-. ]+{_YEAR}\b.*|{_YEAR}[- ]+{_YEAR}"
    rf"|{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\d{{4}}|\d{{6}})?"
)


@lru_cache(maxsize=8)
def _north_american(regions: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(region for region in regions if phonenumbers.country_code_for_region(region) == 1)


def _is_valid(number: str, regions: tuple[str | None, ...]) -> bool:
    """Whether the number stands in the numbering plan of one of the regions; None: of the country its `+` names."""
    for region in regions:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(number, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


def _is_labelled(candidate: Candidate, whole: Candidate) -> bool:
    """Whether the nearest telling word before the number, or the one after its extension, is of telephones."""
    label = candidate.label(*_LABELS)
    return label == "phone" or (not label and whole.word_after() in _AFTER)


def _international_end(candidate: Candidate) -> int:
    """Where the longest valid number that starts with `+` ends, a whole number of groups; 0 for none."""
    raw = candidate.raw()
    ends = [found.end() for found in re.finditer(rb"[0-9]+", raw)]
    for index in reversed(range(len(ends))):
        number = raw[: ends[index]]
        follows = raw[ends[index] : ends[index + 1]] if index + 1 < len(ends) else b" "
        apart = b" " in follows or b"(" in follows or b"\xc2\xa0" in follows
        if (
            apart
            and number.count(b"(") == number.count(b")")
            and _is_valid(number.decode("utf-8", "replace"), (None,))
        ):
            return candidate.start + ends[index]
    return 0


def _is_national(text: str, regions: tuple[str, ...]) -> bool:
    """A form that only phones have, valid in the plan of one of the regions."""
    if _NORTH_AMERICAN.fullmatch(text):
        return _is_valid(text, _north_american(regions))
    is_grouped = not text.isdigit() and text.count(".") != 1  # `05.561` is a fraction of a second
    return is_grouped and re.match(r"\(?0\d", text) is not None and _is_valid(text, regions)


def _with_extension(candidate: Candidate) -> Candidate | None:
    """The candidate with an extension after it (`x12`, `ext. 12`), if there is one; None where an `x` follows that is none."""
    at = candidate.end
    found = _EXTENSION.match(candidate.data, at, min(candidate.hi, at + 24))
    if found:
        return replace(candidate, end=found.end())
    return None if candidate.data[at : min(candidate.hi, at + 1)] in (b"x", b"X") else candidate


def check_phone(candidate: Candidate, regions: tuple[str, ...]) -> Iterator[Span]:
    """A telephone number with its extension; `regions` (ISO 3166) say whose national forms count.

    Where it has an extension, the number without it follows, for when a more specific type claims the extension's digits.
    """
    text, start, whole = candidate.text(), candidate.start, _with_extension(candidate)
    if text[0] == "(" and ")" not in text:
        text, start = text[1:], start + 1
    if whole is None or _DATE.fullmatch(text) or _AMOUNT.fullmatch(text):
        return
    if candidate.around(len(_ARXIV))[0] == _ARXIV:
        return
    end = 0
    if text.count("(") == text.count(")") and (_is_labelled(candidate, whole) or _is_national(text, regions)):
        end = candidate.end
    elif "+" in text[:2]:
        end = _international_end(candidate)
    if end == candidate.end < whole.end:
        yield start, whole.end
    if end:
        yield start, end
