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
from quality.pii_context import Candidate, fold_words

PHONE = fold_words(
    "phone phones telephone telephones tel telefon telefono teléfono téléphone telefone mobile mobil mob cell cellphone cellular fax telefax"
    " call calls calling dial whatsapp sms ph hotline helpline landline pager contact voicemail tty tdd tollfree ring reach reached toll"
    " message messages answering फोन फ़ोन मोबाइल दूरभाष"
)
NOT_PHONE = fold_words(
    "section sections sec act acts law laws rule rules order orders account acct invoice id ids ref reference isbn issn doi zip zipcode"
    " pincode case docket page pages serial patent tracking version date dated dob born year years bill license licence permit model part"
    " item sku ticket registration cin gstin article articles chapter clause schedule notification para paragraph court stat supp vol"
    " budget fund amount price usd inr rs total timestamp hash commit card passport vin ssn social aadhaar policy form appropriation"
)
_AFTER = fold_words("mobile cell fax phone telephone office landline pager")
_EXTENSION = re.compile(
    rb",?[ ]?(?:x|ext\.?|extn\.?|extension)[ .:]{0,2}\d{1,6}(?![A-Za-z0-9_])", re.IGNORECASE
)
_NORTH_AMERICAN = re.compile(r"(?:1[-. ]?)?\(\d{3}\) ?-?\d{3}[-. ]\d{4}|(?:1[-.])?\d{3}([-.])\d{3}\1\d{4}")
_THOUSANDS = re.compile(r"\d{1,3}(?:\.\d{3})+")
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


def _international_end(candidate: Candidate) -> int:
    """Where the longest valid number that starts with `+` ends, a whole number of groups; 0 for none."""
    raw = candidate.raw()
    ends = [found.end() for found in re.finditer(rb"[0-9]+", raw)]
    for index in reversed(range(len(ends))):
        follows = raw[ends[index] : ends[index + 1]] if index + 1 < len(ends) else b" "
        apart = b" " in follows or b"(" in follows or b"\xc2\xa0" in follows
        if apart and _is_valid(raw[: ends[index]].decode("utf-8", "replace"), (None,)):
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
    """A telephone number with its extension; `regions` (ISO 3166) say whose national forms count."""
    text, start, whole = candidate.text(), candidate.start, _with_extension(candidate)
    if text.startswith("(") and ")" not in text:
        text, start = text[1:], start + 1
    if (
        whole is None
        or text.count("(") != text.count(")")
        or _DATE.fullmatch(text)
        or _THOUSANDS.fullmatch(text)
    ):
        return
    is_labelled = candidate.nearest_label(PHONE, NOT_PHONE) == 0 or whole.word_after() in _AFTER
    if "+" in text[:2]:
        end = _international_end(candidate)
        if is_labelled or end == candidate.end:
            yield start, whole.end
        elif end:
            yield start, end
    elif (is_labelled or _is_national(text, regions)) and not candidate.beside_placeholder():
        yield start, whole.end
