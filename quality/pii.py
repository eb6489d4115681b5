"""Personal data in text: where it stands, of which type, and the text with placeholders in its place.

E-mail and public IP addresses, telephone numbers, payment cards, IBANs, US social security numbers, Indian Aadhaar and PAN. Names and
street addresses need a model and are not covered. `pii_candidates` finds where something could be, `pii_checks` and `pii_phones` decide, here
overlaps are settled and rows are written.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import phonenumbers
import pyarrow as pa
import stdnum

from corpus.edits import edit_text
from corpus.errors import UnknownName, did_you_mean, one_of
from corpus.schema import OPERATORS, OWN_FIELDS, PII_TYPES
from quality import pii_checks
from quality.characters import text_buffers
from quality.pii_candidates import KINDS, find_candidates
from quality.pii_context import Candidate
from quality.pii_digits import fold_digits
from quality.pii_fields import masked_fields
from quality.pii_phones import check_phone

# Where spans overlap, the type that proves more wins: an address with digits in it is no phone, a card's groups are no Aadhaar.
PRIORITY = ("email", "iban", "card", "aadhaar", "ssn", "pan", "ip", "phone")
_TYPE_OF = {kind: "ip" if kind in ("ipv4", "ipv6") else kind for kind in KINDS}
_CHECKS: dict[str, Callable[[Candidate], Iterator[pii_checks.Span]]] = {
    "email": pii_checks.check_email,
    "ipv4": pii_checks.check_ipv4,
    "ipv6": pii_checks.check_ipv6,
    "iban": pii_checks.check_iban,
    "pan": pii_checks.check_pan,
    "card": pii_checks.check_card,
    "ssn": pii_checks.check_ssn,
    "aadhaar": pii_checks.check_aadhaar,
}


class PiiSpan(NamedTuple):
    """Half-open UTF-8 byte offsets into the unedited text."""

    start: int
    end: int
    type: str


def _settle(found: list[PiiSpan]) -> list[PiiSpan]:
    """Disjoint spans in order: by priority of the type, then leftmost, then longest."""
    kept: list[PiiSpan] = []
    for kind in PRIORITY:
        free: list[PiiSpan] = []
        ours = {span for span in found if span.type == kind}
        for span in sorted(ours, key=lambda span: (span.start, -span.end)):
            at = bisect.bisect(kept, span)
            before = kept[at - 1].end if at else 0
            after = kept[at].start if at < len(kept) else span.end
            if max(before, free[-1].end if free else 0) <= span.start and span.end <= after:
                free.append(span)
        kept = sorted(kept + free)
    return kept


@dataclass(frozen=True)
class Pii:
    """Operator: counts by type and the spans of personal data in text, and own fields masked (dataset `pii`).

    `types` are looked for, and an overlap is settled among them only; `regions` (ISO 3166) say whose national telephone
    forms count beside international ones. Unknown ones raise UnknownName.

    >>> Pii().find("Write to jo@example.org")
    [PiiSpan(start=9, end=23, type='email')]
    """

    types: tuple[str, ...] = PII_TYPES
    regions: tuple[str, ...] = ("US", "GB", "IN")

    name: ClassVar[str] = "pii"
    version: ClassVar[int] = 7
    reads: ClassVar[tuple[str, ...]] = ("doc_id", "text", *OWN_FIELDS)

    def __post_init__(self) -> None:
        for given, valid, what in (
            (self.types, PII_TYPES, "type of personal data"),
            (self.regions, sorted(phonenumbers.SUPPORTED_REGIONS), "telephone region"),
        ):
            for word in given:
                if word not in valid:
                    raise UnknownName(f"no {what} {word!r}; {one_of(valid)}.{did_you_mean(word, valid)}")

    def identity(self) -> dict[str, object]:
        """What decides the spans: types, regions, and the versions of the libraries that know checksums and numbering plans."""
        versions = {"phonenumbers": phonenumbers.__version__, "python_stdnum": stdnum.__version__}
        return {"types": sorted(self.types), "regions": sorted(self.regions), **versions}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        texts = batch.column("text")
        spans = self.find_all(texts)
        counts = {kind: np.zeros(len(spans), dtype=np.int64) for kind in PII_TYPES}
        for row, found in enumerate(spans):
            for span in found:
                counts[span.type][row] += 1
        schema = OPERATORS[self.name]
        rows = [[span._asdict() for span in found] for found in spans]
        signals = [pa.array(counts[kind]) for kind in PII_TYPES]
        masked = [mask(texts[row].as_py(), found) if found else None for row, found in enumerate(spans)]
        stored = zip(schema.names[-5:], [rows, masked, *masked_fields(batch, self.find_all)], strict=True)
        found = [pa.array(values, schema.field(name).type) for name, values in stored]
        return pa.RecordBatch.from_arrays([batch.column("doc_id"), *signals, *found], schema=schema)

    def find(self, text: str) -> list[PiiSpan]:
        """The spans of one text."""
        return self.find_all(pa.array([text], pa.large_string()))[0]

    def find_all(self, texts: pa.Array) -> list[list[PiiSpan]]:
        """Spans of each text, sorted and disjoint; none for a null. `texts`: an Arrow string or large_string array."""
        buffer, offsets = text_buffers(texts)
        found: list[list[PiiSpan]] = [[] for _ in range(len(offsets) - 1)]
        data, offsets = buffer[offsets[0] : offsets[-1]].tobytes(), offsets - offsets[0]
        starts = offsets.tolist()
        data, offsets, places = fold_digits(data, offsets)
        candidates = find_candidates(np.frombuffer(data, dtype=np.uint8), offsets)
        bounds = offsets.tolist()
        for row, start, end, kind in candidates.tolist():
            candidate = Candidate(data, bounds[row], bounds[row + 1], start, end)
            for span in self._check(KINDS[kind], candidate):
                a, b = span if places is None else places[list(span)].tolist()
                found[row].append(PiiSpan(a - starts[row], b - starts[row], _TYPE_OF[KINDS[kind]]))
        return [_settle(spans) if len(spans) > 1 else spans for spans in found]

    def _check(self, kind: str, candidate: Candidate) -> Iterator[pii_checks.Span]:
        if _TYPE_OF[kind] not in self.types:
            return iter(())
        if kind != "email" and candidate.beside_placeholder(joined=kind not in ("iban", "pan")):
            return iter(())
        return check_phone(candidate, self.regions) if kind == "phone" else _CHECKS[kind](candidate)


def mask(
    text: str,
    spans: Iterable[Mapping[str, Any] | tuple[int, int, str]],
    actions: Mapping[str, str] | None = None,
) -> str:
    """`text` with typed placeholders (`<EMAIL>`) for the spans whose type's action is `mask`; without `actions`, for all.

    Spans are half-open UTF-8 byte offsets, disjoint. Masking what was masked changes nothing.

    >>> mask("Write to jo@example.org", [(9, 23, "email")], {"email": "mask"})
    'Write to <EMAIL>'
    """
    named = [span if isinstance(span, Mapping) else PiiSpan(*span)._asdict() for span in spans]
    return edit_text(text, [], named, dict.fromkeys(PII_TYPES, "mask") if actions is None else actions)
