"""What stands beside a candidate: the words that tell a phone from an order number where digits alone do not.

Words are not read across a placeholder such as `<EMAIL>`, which itself counts as a word that speaks against, and what only separators
part from one is left alone. So masking takes evidence away and never adds any, and masked text holds nothing new to find (a law in
test_pii.py). A source may have tags that read like placeholders, `<SSN>…</SSN>`; what tells them apart is that no personal data runs on
in letters or digits, so a letter or digit directly after one says that it is a tag.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

from corpus.schema import PII_TYPES

PLACEHOLDERS = {kind: f"<{kind.upper()}>" for kind in PII_TYPES}

# What a word says of a number after it. The nearest telling word decides, so no number can be two things at once.
_WORDS_OF = {
    "phone": "phone phones telephone telephones tel telefon telefono teléfono téléphone telefone mobile mobil mob cell cellphone cellular"
    " fax telefax call calls calling dial whatsapp sms ph hotline helpline landline pager contact voicemail tty tdd tollfree toll ring"
    " reach reached message messages answering फोन फ़ोन मोबाइल दूरभाष",
    "card": "card cards cc creditcard visa mastercard maestro amex discover diners jcb rupay credit debit cvv cvc",
    "ssn": "ssn ssns social ss itin taxpayer",
    "aadhaar": "aadhaar aadhar adhaar adhar aadhaars uid uidai आधार",
    "ip": "ip ips ipv ipaddress address addr host server client dns gateway remote inet ping subnet",
    "version": "version versions ver v release releases rev revision build section sections sec subsection clause rule rules article"
    " articles chapter paragraph para part figure table appendix annex schedule item oid firmware standard",
    "record": "id ids uuid isbn issn doi cve imei tracking serial sku order timestamp hash",
    "other": "act acts law laws orders account acct invoice ref reference zip zipcode pincode case docket page pages patent date dated dob"
    " born year years bill license licence permit model ticket registration cin gstin notification court stat supp vol budget fund"
    " amount price usd inr rs total commit passport vin policy form appropriation",
}
_LABELS = {word.casefold(): label for label, words in _WORDS_OF.items() for word in words.split()}
_MASKED = "<>"  # stands for a placeholder among the words before a candidate
_LABELS[_MASKED] = "masked"
_HASH = "#"  # `(LP: #1829401)`, a ticket
_LABELS[_HASH] = "other"
_TICKET_DIGITS = 9  # at most: `mobile number #9876543210` is a phone

_REACH_BYTES = 64
_NUM_WORDS = 6
_LONGEST_PLACEHOLDER = max(map(len, PLACEHOLDERS.values()))
ANY_PLACEHOLDER = rb"(?:" + b"|".join(re.escape(text.encode()) for text in PLACEHOLDERS.values()) + rb")"
_PLACEHOLDER = re.compile(ANY_PLACEHOLDER + rb"(?![0-9A-WYZa-wyz]|[Xx](?![0-9]))")  # `x12` is an extension
_JOIN = rb"(?:[ ./()+:-]|\xc2\xa0|\xe2\x80[\x90-\x93]){0,5}"  # at least what the kernel takes for a separator
_PLACEHOLDER_BEFORE = {
    True: re.compile(ANY_PLACEHOLDER + _JOIN + rb"\Z"),
    False: re.compile(ANY_PLACEHOLDER + rb"\Z"),
}
_PLACEHOLDER_AFTER = {True: re.compile(_JOIN + ANY_PLACEHOLDER), False: re.compile(ANY_PLACEHOLDER)}
# What is found also directly after other personal data, so that no placeholder can be what let it be found.
_RUNS_ON = re.compile(rb"[0-9A-Za-z]|\([0-9]{3}\) ?-?[0-9]{3}[-. ][0-9]{4}\Z")
# Bytes C2, E2 and EF begin spaces, dashes, quotes and full-width punctuation more often than letters.
_LETTER = rb"(?:[A-Za-z]|[\xc3-\xdf][\x80-\xbf]|[\xe0\xe1\xe3-\xee][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})"
_LETTER_BYTES = string.ascii_letters.encode() + bytes(range(128, 256))
_WORD = re.compile(rb"(?<![0-9A-Za-z])" + _LETTER + rb"++(?![0-9])")  # `cc` in the hash 3cc91 is no word
_NEXT_WORD = re.compile(rb"[ (-]{0,3}(" + _LETTER + rb"{1,16})")


@dataclass(frozen=True)
class Candidate:
    """Bytes [start, end) of `data`, within the document that is bytes [lo, hi)."""

    data: bytes
    lo: int
    hi: int
    start: int
    end: int

    def raw(self) -> bytes:
        return self.data[self.start : self.end]

    def text(self) -> str:
        """What it says, with the typographic spaces and dashes of the kernel's separators as ASCII."""
        plain = self.raw().decode("utf-8", "replace")
        return plain if plain.isascii() else re.sub("[\u2010-\u2013]", "-", plain.replace("\u00a0", " "))

    def around(self, reach: int) -> tuple[bytes, bytes]:
        """Up to `reach` bytes before and after it, of its document."""
        return self.data[max(self.lo, self.start - reach) : self.start], self.data[
            self.end : min(self.hi, self.end + reach)
        ]

    def digits(self) -> str:
        return re.sub("[^0-9]", "", self.text())

    def words_before(self) -> list[str]:
        """Up to six words before it, nearest first, case folded, the last of them `<>` if a placeholder stands there, and a `#`.

        They are of its line and the one before that is not blank [the `call` of a traceback reached numbers three lines on]; a word that the
        window's edge may cut is left out.
        """
        edge = max(self.lo, self.start - _REACH_BYTES)
        window, masked = self.data[edge : self.start], False
        if edge > self.lo:
            window = window.lstrip(_LETTER_BYTES)
        if b">" in self.data[edge : self.start]:
            for found in _PLACEHOLDER.finditer(
                self.data, max(self.lo, edge - _LONGEST_PLACEHOLDER), min(self.hi, self.start + 2)
            ):
                if edge <= found.end() <= self.start:
                    window, masked = self.data[found.end() : self.start], True
        *above, line = window.split(b"\n")
        spoken = [row for number, row in enumerate(above) if row.strip() or (masked and number == 0)]
        if len(spoken) > 1:
            window, masked = spoken[-1] + b"\n" + line, False
        words = [word.decode("utf-8", "replace").casefold() for word in reversed(_WORD.findall(window))]
        words = [*words, _MASKED][:_NUM_WORDS] if masked else words[:_NUM_WORDS]
        return [*words[:1], _HASH, *words[1:]] if self._is_ticket() else words

    def _is_ticket(self) -> bool:
        """Whether a `#` stands directly before few digits; the word before that may still say otherwise: `phone #5550123`."""
        has_hash = self.start > self.lo and self.data[self.start - 1 : self.start] == b"#"
        return has_hash and len(self.digits()) <= _TICKET_DIGITS

    def word_after(self) -> str:
        """The word that follows with at most three spaces, dashes or brackets between, case folded; "" for none."""
        found = _NEXT_WORD.match(self.data, self.end, min(self.hi, self.end + 24))
        return found.group(1).decode("utf-8", "replace").casefold() if found else ""

    def beside_placeholder(self, joined: bool = True) -> bool:
        """Whether a placeholder is next to it: what was masked there could have spoken against it. `joined`: or parted from it by
        what parts groups of digits."""
        before, after = self.around(_LONGEST_PLACEHOLDER + 15)
        if (
            b">" in before
            and _PLACEHOLDER_BEFORE[joined].search(before)
            and not self._is_in_tag(before, after)
        ):
            return True
        return b"<" in after and _PLACEHOLDER_AFTER[joined].match(after) is not None

    def _is_in_tag(self, before: bytes, after: bytes) -> bool:
        """Whether what looks like a placeholder before it is a tag of the source's own."""
        if not before.endswith(b">"):
            return False
        if before.endswith(b"<EMAIL>") and not after.startswith(b"</EMAIL>"):
            return False  # an address alone may run on: jo@example.org81.2.69.160
        in_phone = before.endswith(b"<PHONE>") and after.startswith(b"</PHONE>")
        return bool(_RUNS_ON.match(self.raw())) or (in_phone and self.raw().startswith(b"+"))

    def label(self, *of: str) -> str:
        """The nearest of the labels asked for, from the words before it; "" for none.

        In `Aadhaar card` and `social security card` it is the first word that tells.
        """
        found = [_LABELS.get(word, "") for word in self.words_before()]
        for at, label in enumerate(found):
            if label in of:
                kinds_of_card = [
                    name for name in found[at + 1 : at + 3] if name in ("ssn", "aadhaar", "masked")
                ]
                return kinds_of_card[0] if label == "card" and kinds_of_card else label
        return ""
