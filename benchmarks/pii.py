"""How well and how fast personal data is found: recall and precision by type on labelled texts, MB/s beside phonenumbers' own scanner.

    python benchmarks/pii.py LABELLED [--text FOLDER]

LABELLED is a JSON file of microsoft/presidio-research (or a folder of them): a list of {"full_text", "spans": [{"entity_type",
"start_position", "end_position", "entity_value"}]}. A span is found when one of ours of its type overlaps it, and ours is right when it
overlaps one of that type. `valid` counts the gold values only that are what their type says: the generator also invents numbers in no
numbering plan and private addresses. FOLDER holds plain text, for speed on text of your own; without it the labelled texts serve.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import phonenumbers
import pyarrow as pa
from stdnum import iban, luhn
from stdnum.us import ssn

from quality.pii import Pii

TYPES = {
    "EMAIL_ADDRESS": "email",
    "IP_ADDRESS": "ip",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "card",
    "IBAN_CODE": "iban",
    "US_SSN": "ssn",
}
PEER_BYTES = 2_000_000
TEXT_BYTES = 64_000_000


def is_phone(value: str) -> bool:
    for region in Pii().regions:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(value, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


VALID: dict[str, Callable[[str], bool]] = {
    "ip": lambda value: ipaddress.ip_address(value).is_global,
    "phone": is_phone,
    "card": luhn.is_valid,
    "iban": iban.is_valid,
    "ssn": ssn.is_valid,
}


def score(path: Path) -> None:
    rows = json.loads(path.read_text())
    spans = Pii().find_all(pa.array([row["full_text"] for row in rows], pa.large_string()))
    tally: Counter[tuple[str, str]] = Counter()
    for row, found in zip(rows, spans, strict=True):
        text = row["full_text"]
        gold = [
            (
                *(len(text[: span[end]].encode()) for end in ("start_position", "end_position")),
                TYPES[span["entity_type"]],
                span["entity_value"],
            )
            for span in row["spans"]
            if span["entity_type"] in TYPES
        ]
        for start, end, kind, value in gold:
            hit = any(span.type == kind and span.start < end and start < span.end for span in found)
            valid = VALID.get(kind, lambda _: True)(value)
            tally.update(
                {
                    (kind, "gold"): 1,
                    (kind, "hit"): hit,
                    (kind, "valid"): valid,
                    (kind, "valid hit"): hit and valid,
                }
            )
        for span in found:
            right = any(
                span.type == kind and span.start < end and start < span.end for start, end, kind, _ in gold
            )
            tally.update({(span.type, "found"): 1, (span.type, "right"): right})
    print(
        f"\n{path.name}: {len(rows):,} texts\n{'type':8}{'gold':>6}{'recall':>8}{'valid':>7}{'recall':>8}{'found':>7}{'precision':>11}"
    )
    for kind in dict.fromkeys(kind for kind, _ in sorted(tally)):
        gold_n, valid_n, found_n = (tally[kind, name] for name in ("gold", "valid", "found"))
        print(
            f"{kind:8}{gold_n:6}{share(tally[kind, 'hit'], gold_n):>8}{valid_n:7}{share(tally[kind, 'valid hit'], valid_n):>8}"
            f"{found_n:7}{share(tally[kind, 'right'], found_n):>11}"
        )


def share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "–"


def read_texts(paths: Iterable[Path]) -> list[str]:
    texts, total = [], 0
    for path in sorted(paths):
        if path.is_file() and total < TEXT_BYTES:
            texts.append(path.read_text(errors="replace"))
            total += len(texts[-1])
    return texts


def time_speed(texts: list[str]) -> None:
    operator, array = Pii(), pa.array(texts, pa.large_string())
    operator.find("compiles the kernel")
    begun = time.perf_counter()
    found = operator.find_all(array)
    ours = array.nbytes / 1e6 / (time.perf_counter() - begun)
    peer_bytes, begun = 0, time.perf_counter()
    for text in texts:
        for _ in phonenumbers.PhoneNumberMatcher(text, "US"):
            pass
        peer_bytes += len(text.encode())
        if peer_bytes > PEER_BYTES:
            break
    peer = peer_bytes / 1e6 / (time.perf_counter() - begun)
    tally = Counter(span.type for spans in found for span in spans)
    print(
        f"\n{array.nbytes / 1e6:.1f} MB in {len(texts):,} texts, one thread; found {dict(sorted(tally.items()))}"
    )
    print(f"all types, ours                   {ours:8.1f} MB/s")
    print(f"phones, PhoneNumberMatcher        {peer:8.1f} MB/s   ratio {ours / peer:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("labelled", type=Path)
    parser.add_argument("--text", type=Path)
    given = parser.parse_args()
    files = sorted(given.labelled.rglob("*.json")) if given.labelled.is_dir() else [given.labelled]
    for path in files:
        score(path)
    labelled = [row["full_text"] for path in files for row in json.loads(path.read_text())]
    time_speed(read_texts(given.text.rglob("*")) if given.text else labelled)


if __name__ == "__main__":
    main()
