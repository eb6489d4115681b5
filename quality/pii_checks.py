"""Is a candidate personal data? One check per type: checksum, structure, and words beside it where the checksum is weak.

Checksums are python-stdnum's. Candidates are short (a chain of e-mail addresses aside, whose pattern has bounded repeats only), and words
are read 64 bytes back. Precision comes first where a type proves little by itself: nine digits are a US social security number only
beside words that say so, twelve digits an Aadhaar likewise.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache

from stdnum import iban, luhn, numdb
from stdnum.in_ import aadhaar, pan
from stdnum.us import ssn

from quality.pii_context import ANY_PLACEHOLDER, Candidate

Span = tuple[int, int]  # start, end in bytes

# ── e-mail ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_LETTERS = rb"[A-Za-z0-9]|[\xc3-\xd4][\x80-\xbf]"
_EMAIL = re.compile(
    rb"((?:" + _LETTERS + rb"|[_%+&~-])(?:" + _LETTERS + rb"|[_%+&~-]|[.'](?!@)){0,63})"
    rb"@((?:(?:" + _LETTERS + rb")(?:" + _LETTERS + rb"|-){0,62}\.){1,8})"
    rb"(xn--[A-Za-z0-9-]{2,59}|(?:[A-Za-z]|[\xc3-\xd4][\x80-\xbf]){2,24})(?![A-Za-z])"
)
_RUNS_ON = re.compile(rb"_*[A-Za-z0-9]")
_FILE_ENDINGS = frozenset(  # `icon@2x.png`; none of them is a top-level domain
    b"png jpg jpeg gif svg webp bmp ico js jsx tsx css scss json html htm xml yaml yml php txt pdf".split()
)
_CALL = re.compile(rb"\((?!\+|[0-9]{2})")  # `A@Bx.transpose(1)`; a telephone number may follow an address
_NO_METHODS = frozenset(b"com org net edu gov uk in".split())  # domains that something in brackets may follow
_PASSWORD = re.compile(rb"//[A-Za-z0-9<>._~%-]{0,40}:\Z")  # scheme://user:password@host
_NO_PERSON = frozenset([b"git", b"hg", b"svn"])  # git@github.com:owner/repository


def check_email(candidate: Candidate) -> Iterator[Span]:
    """All addresses in a stretch of address bytes, left to right."""
    for found in _EMAIL.finditer(candidate.data, candidate.start, min(candidate.end + 4, candidate.hi)):
        local, ending = found.group(1), found.group(3)
        before = candidate.data[max(candidate.lo, found.start() - 43) : found.start()]
        if candidate.data.startswith(b"<EMAIL>", found.end(), candidate.hi):
            continue  # it ran into one more than 64 bytes long, whose end was masked
        is_password = before.endswith(b":") and _PASSWORD.search(before)
        if ending.lower() not in _NO_METHODS and (
            _CALL.match(candidate.data, found.end(), candidate.hi)
            or _RUNS_ON.match(candidate.data, found.end(), candidate.hi)
        ):
            continue  # a name in code; `ana@example.org_v2` and `ana@example.org2` are an address and more
        if ending.lower() not in _FILE_ENDINGS and local.lower() not in _NO_PERSON and not is_password:
            yield found.span()


# ── IP addresses ────────────────────────────────────────────────────────────────────────────────────────────────────

# What IANA's special-purpose registries (RFC 6890 and successors) set apart. Listed here because the lists inside Python's ipaddress
# changed between patch versions, and the same text must give the same spans.
_NOT_PUBLIC = [
    ipaddress.ip_network(block)
    for block in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
        "::/8", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
        "fec0::/10", "ff00::/8",
    )
]  # fmt: skip
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")  # all that is assigned of IPv6 (RFC 4291)


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return not any(address in block for block in _NOT_PUBLIC if block.version == address.version)


def check_ipv4(candidate: Candidate) -> Iterator[Span]:
    """A public address. Four small groups (`1.12.3.4`) are a version or a section unless a word says otherwise."""
    try:
        address = ipaddress.IPv4Address(candidate.text())
    except ValueError:
        return
    label = candidate.label("ip", "version", "phone", "masked")
    if _is_public(address) and (
        label == "ip" or (label not in ("version", "masked") and max(address.packed) >= 32)
    ):
        yield candidate.start, candidate.end


def check_ipv6(candidate: Candidate) -> Iterator[Span]:
    """A public address: any in full form (eight groups), abbreviated only in the assigned range, since `a::b` is also a path in code."""
    groups = candidate.text().split(":")
    try:
        address = ipaddress.IPv6Address(candidate.text())
    except ValueError:
        return
    is_full = "" not in groups and max(map(len, groups)) > 2  # eight pairs are a hardware address
    if _is_public(address) and (is_full or (address in _GLOBAL_UNICAST and len(groups[0]) == 4)):
        yield candidate.start, candidate.end


# ── accounts and identity numbers ───────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=2048)
def _iban_length(country: str) -> int:
    """Characters of an IBAN of the country, 0 for one that has none; from python-stdnum's copy of the registry."""
    entry = numdb.get("iban").info(country)[0][1]
    return 4 + sum(int(size) for size in re.findall(r"[0-9]+", entry["bban"])) if entry else 0


def check_iban(candidate: Candidate) -> Iterator[Span]:
    """Structure of its country and mod 97; written whole or in groups of four."""
    text = candidate.text()
    length, seen = _iban_length(text[:2].upper()), 0
    for group in re.finditer(r"[A-Za-z0-9]+", text):
        seen += group.end() - group.start()
        if seen == length and iban.is_valid(text[: group.end()]):
            yield candidate.start, candidate.start + group.end()


_PAN_WORDS = frozenset(["pan", "pans", "permanent", "taxpayer", "assessee", "पैन"])


def check_pan(candidate: Candidate) -> Iterator[Span]:
    """Format and holder type; a holder other than a person (fourth letter P) only beside a word that says so."""
    text = candidate.text()
    if pan.is_valid(text) and (
        text[3] == "P" or not _PAN_WORDS.isdisjoint([*candidate.words_before(), candidate.word_after()])
    ):
        yield candidate.start, candidate.end


# First digits by length, of cards that need no word beside them: Visa, Mastercard, Discover, JCB, UnionPay, RuPay, Mir; Amex; Diners.
_ISSUERS = {
    16: re.compile(
        r"4|5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720|6011|64[4-9]|65|62|60|508|35(2[89]|[3-8])|220[0-4]"
    ),
    15: re.compile(r"3[47]"),
    14: re.compile(r"3(0[0-5]|[689])"),
}


_IN_FORMULA = (re.compile(rb"(?:[A-Za-z_]\(|\* ?)\Z"), re.compile(rb" ?\*"))  # `default_rng(4…)`, `6…*t**2`


def check_card(candidate: Candidate) -> Iterator[Span]:
    """Luhn, and a plausible issuer or a word that says card. 13 and 19 digits (old and new Visa, but also EAN codes and ids) and the
    12 to 19 of Maestro need the word."""
    text = candidate.text()
    digits = candidate.digits()
    if digits[0] in "0789" or not luhn.is_valid(digits):
        return
    label = candidate.label("card", "record", "phone", "ssn", "aadhaar", "masked")
    issuer = _ISSUERS.get(len(digits))
    is_plausible = issuer is not None and issuer.match(digits) is not None
    is_grouped = (
        digits != text
    )  # as on the card; a plain run of digits could be a record's number or a constant
    before, after = candidate.around(2)
    is_plain = (
        label not in ("record", "masked")
        and not _IN_FORMULA[0].search(before)
        and not _IN_FORMULA[1].match(after)
    )
    if label == "card" or (is_plausible and (is_grouped or is_plain)):
        yield candidate.start, candidate.end


_NUMBERED = ("phone", "card", "ssn", "aadhaar")  # labels that compete for a number of nine or twelve digits


def check_ssn(candidate: Candidate) -> Iterator[Span]:
    """Dashed, unless its end reads as month and year (`281-12-1960`, a misprinted date); otherwise beside a word that says so."""
    digits = candidate.digits()
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    is_date = int(group) <= 12 and 1800 <= int(serial) < 2100
    if not ssn.is_valid(f"{area}-{group}-{serial}"):
        return
    if candidate.label(*_NUMBERED) == "ssn" or ("-" in candidate.text() and not is_date):
        yield candidate.start, candidate.end


def check_aadhaar(candidate: Candidate) -> Iterator[Span]:
    """Verhoeff; in one run of twelve digits only beside a word that says so, in three groups of four unless all read as years or stand in a table."""
    digits = candidate.digits()
    if not aadhaar.is_valid(digits):
        return
    years = all(digits[at : at + 2] in ("19", "20") for at in (0, 4, 8))
    grouped = digits != candidate.text() and not years and not _in_hex_table(candidate)
    if grouped or candidate.label(*_NUMBERED) == "aadhaar":
        yield candidate.start, candidate.end


_FEW_GROUPS = 4  # of the row that are looked at on either side
_OF_TABLE = 2  # one group with letters may be a house, a room or a booking


def _in_hex_table(candidate: Candidate) -> bool:
    """Whether it stands in a row of groups of four hexadecimal digits, at least two of them with letters: a table in code
    (`8ACC 8CAB 9084 9451 9593`), parted throughout as its own groups are.

    A placeholder counts as such a group: it may be the account of which one was a part, and masking adds no evidence.
    """
    parts = set(re.findall(rb"[^0-9]+", candidate.raw()))
    if len(parts) != 1:
        return False
    before, after = _row_patterns(parts.pop())
    around = candidate.around(_FEW_GROUPS * 16)
    rows = [found[0] for found in (before.search(around[0]), after.match(around[1])) if found]
    return sum(len(_HEX_WITH_LETTER.findall(row)) for row in rows) >= _OF_TABLE


_HEX_WITH_LETTER = re.compile(
    rb"(?<![0-9A-Za-z])(?=[A-Fa-f]{0,3}[0-9])(?=[0-9]{0,3}[A-Fa-f])[0-9A-Fa-f]{4}|" + ANY_PLACEHOLDER
)


@lru_cache(maxsize=64)
def _row_patterns(part: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """The groups before a candidate and after it, parted by `part`. Before and after them is nothing that an address is of."""
    group, part = rb"(?:[0-9A-Fa-f]{4}|" + ANY_PLACEHOLDER + rb")", re.escape(part)
    ends = rb"[\s\"()\[\]{}/,;]"
    few = b"{1,%d}" % _FEW_GROUPS
    before = rb"(?:(?<=" + part + rb")|(?<=" + ends + rb")|\A)(?:" + group + part + rb")" + few + rb"\Z"
    after = rb"(?:" + part + group + rb")" + few + rb"(?:(?=" + part + rb")|(?=" + ends + rb")|\Z)"
    return re.compile(before), re.compile(after)
