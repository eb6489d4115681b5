"""What the demo's corpus holds that real text lacks by chance: copies, personal data, a text for every drop reason and a
record for every reject reason. Numbers of persons are published examples only; nobody's.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace

from demo_text import Document, names, share

# Fictitious phone ranges, test cards, and the sample numbers of the registries and of python-stdnum's documentation.
PERSONAL = [
    "For questions write to jane.doe@example.org or call +1 202-555-0143.",
    "Reach the maintainer at max.mustermann@example.com, phone +44 20 7946 0958.",
    "The invoice was paid by card 4111 1111 1111 1111, and again by Visa card 4012 8888 8888 1881.",
    "Please transfer the fee to IBAN GB82 WEST 1234 5698 7654 32.",
    "The refund goes to IBAN DE89 3704 0044 0532 0130 00 of the society.",
    "The social security number (SSN) of the applicant is 536-90-4399.",
    "The server with IP address 8.8.8.8 answered, the gateway 9.9.9.9 did not.",
    "The permanent account number PAN ACUPA7085R stands on the form.",
]
AADHAAR = "The Aadhaar number 2341 2341 2346 was given at the counter."
GERMAN = """Der Boden trägt, was man ihm gibt. Wer im Herbst pflügt und im Winter wartet, der findet im Frühling eine
lockere Krume, in der die Saat gut aufgeht. Es kommt dabei weniger auf die Menge als auf den richtigen Zeitpunkt an. Ein
nasser Acker verdichtet sich unter jedem Rad, und was einmal verdichtet ist, das braucht viele Jahre, bis es wieder atmet.
Darum gehen die alten Bauern zuerst mit der Hand durch die Erde. Sie prüfen, ob sie zerfällt oder klebt, und erst danach
holen sie das Gerät aus der Scheune. So steht es auch in dem Buch „The Breath of the Soil“, das hier jeder kennt. Geduld
ist keine Tugend, sondern eine Rechnung. Am Ende zählt allein die Ernte."""
PHRASE = names("people often forget why good seeds need deeper soil tonight")
STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")

# ── copies and personal data ────────────────────────────────────────────────────────────────────────────────────────


def edited(text: str, every: int, seed: str) -> str:
    """A copy with one word in `every` replaced by another of its own; line breaks and indentation stay."""
    pieces, draw = re.split(r"(\s+)", text), random.Random(seed)
    words = [at for at in range(0, len(pieces), 2) if pieces[at]]
    for at in words[draw.randrange(every) :: every]:
        pieces[at] = pieces[draw.choice(words)]
    return "".join(pieces)


def copies(documents: list[Document]) -> Iterator[Document]:
    """Of 75 documents, in turn, an exact copy (other white space), a near one, and a loose one that should stay."""
    long_ones = [document for document in documents if len(document.text) > 1500]
    for number, document in enumerate(
        sorted(long_ones, key=lambda document: share("copy", document.id))[:75]
    ):
        kind = ("exact", "near", "loose")[number % 3]
        if kind == "exact":
            text = "\n" + document.text.replace(". ", ".  ") + "\n\n"
        else:
            text = edited(document.text, 150 if kind == "near" else 24, document.id)
        yield replace(document, id=f"planted/{kind}_copy/{document.id}", text=text)


def personal(documents: list[Document]) -> Iterator[Document]:
    """Copies of 44 documents, edited, with personal data after the first paragraph; four with an Aadhaar number."""
    drawn = sorted(documents, key=lambda document: share("personal", document.id))[:44]
    for number, document in enumerate(drawn):
        two = [PERSONAL[(number + step) % len(PERSONAL)] for step in range(2)]
        told = AADHAAR if number % 11 == 10 else " ".join(two)
        first, _, rest = edited(document.text, 20, document.id).partition("\n\n")
        yield replace(
            document, id=f"planted/personal/{document.id}", text=f"{first}\n\n{told}\n\n{rest}".strip()
        )


# ── drop reasons ────────────────────────────────────────────────────────────────────────────────────────────────────


class Prose:
    """Sentences of real documents, each given out once; no four words in a row occur twice among them."""

    def __init__(self, documents: Iterable[Document]) -> None:
        seen: set[tuple[str, ...]] = set()
        self.sentences: list[str] = []
        for sentence in (part for document in documents for part in SENTENCE_END.split(document.text)):
            words = sentence.lower().split()
            grams = set(zip(words, words[1:], words[2:], words[3:], strict=False))
            plain = re.fullmatch(r"[A-Z][A-Za-z ,'-]+\.", sentence)
            if plain and 8 <= len(words) <= 25 and not grams & seen:
                seen |= grams
                self.sentences.append(sentence)

    def take(self, num_words: int) -> list[str]:
        """Sentences of `num_words` words together, or a few more."""
        taken: list[str] = []
        count = 0
        while count < num_words:
            taken.append(self.sentences.pop())
            count += len(taken[-1].split())
        return taken

    def words(self, num_words: int) -> list[str]:
        return " ".join(self.take(num_words)).split()

    def with_phrase(self, num_words: int, repeated_share: float) -> str:
        """A text in which repeats of a phrase, without its spaces, are this share of all characters."""
        phrase, words, times = PHRASE[:num_words], self.words(900), 2
        letters, length = len("".join(phrase)), len(" ".join(phrase)) + 1
        total = len(" ".join(words))
        while (times - 1) * letters / (total + times * length) < repeated_share:
            times += 1
        step = len(words) / times
        pieces = [" ".join(words[round(k * step) : round((k + 1) * step)]) for k in range(times)]
        return f" {' '.join(phrase)} ".join([*pieces, "Then it ends."])


def unwanted(prose: Prose, documents: list[Document]) -> Iterator[tuple[str, str]]:
    """(rule, text): for every rule of the presets a text whose first failure it is."""
    yield from _lengths(prose, documents)
    yield from _symbols(prose)
    yield from _repeats(prose)
    yield from _lines(prose)
    yield "language_not_allowed", GERMAN
    for step in range(
        4, 12
    ):  # all but some words read backwards: the more of them, the less certain anyone can be
        words = prose.words(110)
        kept = (at % step == 0 or word in ("of", "and", "to") for at, word in enumerate(words))
        mixed = (word if keep else _backwards(word) for word, keep in zip(words, kept, strict=True))
        yield f"language_uncertain/{step}", " ".join(mixed)


def _backwards(word: str) -> str:
    turned = re.sub("[A-Za-z]+", lambda found: found[0][::-1], word)
    return turned.capitalize() if word[0].isupper() else turned


def _lengths(prose: Prose, documents: list[Document]) -> Iterator[tuple[str, str]]:
    yield "too_few_words", " ".join(prose.take(20))
    texts, words = [], 0
    for document in sorted(documents, key=lambda document: share("endless", document.id)):
        if words < 101_000:
            texts.append(document.text)
            words += len(document.text.split())
    yield "too_many_words", "\n\n".join(texts)
    short = [word for word in prose.words(900) if len(word) <= 3 and word.isalpha()]
    yield "words_too_short", " ".join(short[:150]) + "."
    long = dict.fromkeys(word.strip(",.") for word in prose.words(5_000) if len(word.strip(",.")) >= 11)
    with_stops = (f"{word} of the" if at % 15 == 0 else word for at, word in enumerate(list(long)[:90]))
    yield "words_too_long", " ".join(with_stops) + "."
    yield "too_few_sentences", " ".join(sentence[:-1].lower() for sentence in prose.take(90)) + "."


def _symbols(prose: Prose) -> Iterator[tuple[str, str]]:
    def every(step: int, change: str) -> str:
        words = prose.words(150)
        return " ".join(
            change.format(word, at * 37 + 104) if at % step == 0 else word for at, word in enumerate(words)
        )

    yield "too_many_hashes", every(6, "#{0}")
    yield "too_many_ellipses", every(6, "{0} ...")
    yield "too_few_alphabetic_words", every(2, "{0} {1}")
    kept = (word for word in prose.words(200) if word.lower().strip(",.") not in STOP_WORDS)
    yield "too_few_stop_words", " ".join(kept)
    yield "lorem_ipsum", " ".join([*prose.take(120), "Lorem ipsum dolor sit amet."])
    yield "curly_bracket", " ".join([*prose.take(120), "The name stands in {curly} brackets."])


def _repeats(prose: Prose) -> Iterator[tuple[str, str]]:
    sentences, long = prose.take(150), " ".join(prose.take(80))
    yield "too_many_duplicate_paragraphs", "\n\n".join([*sentences, *sentences[: len(sentences) * 2 // 3]])
    yield "too_many_duplicate_paragraph_chars", "\n\n".join([long, *prose.take(90), long])
    yield "too_many_duplicate_lines", "\n".join([*prose.take(120), *["It rained here once again."] * 8])
    yield "too_many_repeated_line_chars", "\n".join([" ".join(prose.take(40)), *prose.take(60), long, long])
    for num_words, repeated in ((2, 0.24), (3, 0.20), (4, 0.165)):
        yield f"top_{num_words}_gram_char_ratio_too_high", prose.with_phrase(num_words, repeated)
    for num_words, repeated in zip(range(5, 11), (0.16, 0.15, 0.14, 0.13, 0.12, 0.11), strict=True):
        yield f"dup_{num_words}_gram_char_ratio_too_high", prose.with_phrase(num_words, repeated)


def _lines(prose: Prose) -> Iterator[tuple[str, str]]:
    yield "too_many_bullet_lines", "\n".join(f"- {sentence}" for sentence in prose.take(120))
    dotted = (line[:-1] + "..." if at % 2 else line for at, line in enumerate(prose.take(200)))
    yield "too_many_ellipsis_lines", "\n".join(dotted)
    yield "too_few_punctuated_lines", "\n".join(_lines_inside_sentences(prose.words(260)))
    yield (
        "too_many_short_lines",
        "\n".join(re.sub(r"(.{18,27}?) ", r"\1\n", line) for line in prose.take(150)),
    )
    lines = prose.take(300)
    yield "too_many_duplicate_line_chars", "\n".join([*lines, lines[0]])
    yield "too_many_newlines", ("\n" * 7).join(prose.take(160))


def _lines_inside_sentences(words: list[str]) -> Iterator[str]:
    line: list[str] = []
    for word in words:
        line.append(word)
        if len(line) >= 12 and not word.endswith("."):
            yield " ".join(line)
            line = []


# ── reject reasons ──────────────────────────────────────────────────────────────────────────────────────────────────


def broken_files(document: Document) -> Iterator[tuple[str, bytes]]:
    """(path, bytes): for every reject reason a record or a file, with good records around it that must survive."""
    good = [
        json.dumps(
            {**asdict(document), "id": f"planted/survivor/{number}", "text": f"{number}: {document.text}"}
        ).encode()
        for number in range(4)
    ]
    bad = [
        b'{"id": "planted/invalid_json", "text": ',
        b'["planted/wrong_type"]',
        b'{"id": "planted/wrong_type", "text": 7}',
        b'{"id": "planted/missing_text"}',
        b'{"id": "planted/empty_text", "text": "  "}',
        b'{"id": "planted/invalid_utf8", "text": "caf\xe9 au lait"}',
        b'{"id": "planted/lone_surrogate", "text": "half a pair: \\ud83d"}',
        b'{"id": "planted/nested_too_deep", "text": "x", "a": ' + b"[" * 200 + b"]" * 200 + b"}",
    ]
    handbook = "general/handbook"
    yield f"{handbook}/broken.jsonl", b"\n".join([good[0], *bad, good[1]]) + b"\n"
    too_long = b'{"id": "planted/record_too_long", "text": "' + b"very long " * 3_600_000 + b'"}'
    yield f"{handbook}/too_long.jsonl.gz", gzip.compress(b"\n".join([good[2], too_long]) + b"\n", 1, mtime=0)
    noise = (
        random.Random(0).randbytes(400_000).hex().encode()
    )  # does not compress: the cut falls into the second record
    whole = gzip.compress(
        good[3] + b'\n{"id": "planted/truncated_file", "text": "' + noise + b'"}\n', mtime=0
    )
    yield f"{handbook}/truncated.jsonl.gz", whole[: len(whole) // 2]
    yield f"{handbook}/corrupt.parquet", b"PAR1" + document.text.encode()[:2000]
    yield f"{handbook}/notes.docx", b"PK\x03\x04" + document.text.encode()[:500]
    yield f"{handbook}/empty.jsonl", b""
    yield "general/readmes/broken.md", b"---\nid: [planted\n---\n\n" + document.text.encode()
    text = document.text.encode().replace(b"&", b"and").replace(b"<", b"")
    yield (
        "general/services/broken.xml",
        b'<service><section id="planted.kept"><p>' + text + b"</p></section><section></p>",
    )
    yield (
        "general/services/entity.xml",
        (
            b'<!DOCTYPE service [<!ENTITY a "seed seed"><!ENTITY b "&a;&a;&a;">]><service><section>&b;</section></service>'
        ),
    )
    yield "general/services/encoding.xml", b'<?xml version="1.0" encoding="utf-7"?><service/>'
    row = b'planted/survivor/csv,"' + document.text.encode().replace(b'"', b"'") + b'",planted,CC0-1.0,\n'
    rows = [b"id,text,package,license,date\n", row, b"planted/wrong_column_count,a line,planted\n", row]
    yield "domain/library/broken.csv", b"".join(rows) + b'planted/invalid_csv,"no end'
