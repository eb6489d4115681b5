"""How much of a document repeats itself: Gopher's lines, paragraphs and n-grams.

Definitions are those of datatrove 0.10.1's GopherRepetitionFilter (`find_duplicates`, `find_top_duplicate`,
`find_all_duplicate`), with the words of `quality/words.py` in place of its tokenizers. Dolma and NeMo Curator use the same
names for other numbers: here a repeat counts, its first occurrence does not, over the code points of the whole text.

Repetition inside a document only; the same text in another document is for the near-duplicates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from corpus.schema import OPERATORS
from quality.characters import UNICODE, Array, class_table, count_characters, count_runs, strip, text_buffers
from quality.hash_table import eight_bytes, hash_blocks, hash_bytes, mix, name_of, roomy, table_size
from quality.kernel import kernel, uint64
from quality.words import WORDS_VERSION, next_word

TOP_NGRAMS = (2, 3, 4)


@dataclass(frozen=True)
class Repetition:
    """Operator for the signals of Gopher repetition, all of them fractions; 0.0 for an empty document.

    `dup_paragraph_ratio` and `dup_line_ratio`: pieces equal to an earlier one over all pieces. Paragraphs part at two or
    more newlines of the stripped text, lines at one or more of the text as it is. `dup_paragraph_char_ratio` and
    `dup_line_char_ratio`: code points of those repeats over the text's.

    `top_N_gram_char_ratio`: occurrences of the most frequent N-gram of words, the first seen of equals, times its code
    points with single spaces between words, over the text's.

    `dup_N_gram_char_ratio`: code points of the N-grams, without spaces, that occurred before, over the text's; reading
    goes on behind such an N-gram, so that no character counts twice, and only N-grams that were read count as before.

    Source: Rae et al. 2021 (arXiv:2112.11446, appendix A1.1, table A1).
    """

    name: ClassVar[str] = "repetition"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("doc_id", "text")

    def identity(self) -> dict[str, Any]:
        return {"unicode": UNICODE, "words": WORDS_VERSION}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        schema = OPERATORS[self.name]
        ratios = measure(batch.column("text"))
        columns = [batch.column("doc_id"), *(pa.array(column) for column in ratios)]
        return pa.RecordBatch.from_arrays(columns, schema=schema)


def measure(texts: pa.Array) -> Array:
    """Ratios (signals of the schema in order × documents, float64) of every text."""
    data, offsets = text_buffers(texts)
    longest = int(np.diff(offsets).max(initial=0))
    stream = np.zeros(longest // 8 + 4, np.uint64)
    ratios = np.zeros((len(OPERATORS["repetition"]) - 1, len(texts)), np.float64)
    _measure_documents(data, offsets, class_table(), stream.view(np.uint8), stream, longest, ratios)
    return ratios


# ── kernels ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_NEWLINE = 0x0A
_PREFIX_BYTES = 16
_TOP_ROW = 4  # rows of `ratios`: four of pieces, then top n-grams from 2 on, then duplicate n-grams from 5 on
_DUP_ROW = _TOP_ROW + len(TOP_NGRAMS)


@kernel
def _measure_documents(
    data: Array, offsets: Array, table: Array, stream: Array, blocks: Array, longest: int, ratios: Array
) -> None:
    """Fill `ratios`. `stream` and `blocks` are one scratch buffer, seen as bytes and as uint64."""
    slots, stamp = np.zeros(0, np.uint64), 0
    starts = np.empty(
        longest + 1, np.int32
    )  # of word w in the stream; memory is only taken where it is written
    chars = np.empty(longest + 1, np.int32)  # code points before word w
    words, grams = np.empty(longest, np.int32), np.empty(longest, np.int32)
    counts, next_counts, firsts = (
        np.empty(longest, np.int32),
        np.empty(longest, np.int32),
        np.empty(longest, np.int32),
    )
    for d in range(len(offsets) - 1):
        start, end = offsets[d], offsets[d + 1]
        total = count_characters(data, start, end)
        if not total:
            continue
        num_pieces = count_runs(data, start, end, _NEWLINE) + 1
        slots, size = roomy(slots, num_pieces), table_size(num_pieces)
        first, last = strip(data, start, end, table)
        _measure_pieces(data, first, last, 2, slots, size, stamp + 1, total, ratios[:2, d])
        _measure_pieces(data, start, end, 1, slots, size, stamp + 2, total, ratios[2:4, d])

        num_words = _copy_words(data, start, end, table, stream, starts, chars)
        slots, size = roomy(slots, num_words), table_size(num_words)
        _name_words(blocks, starts, num_words, slots, size, stamp + 3, words, counts)
        grams[:num_words] = words[:num_words]
        stamp += 3
        for n in range(2, 5):
            stamp += 1
            top = _top_ngram(
                n, words, chars, num_words, slots, size, stamp, grams, counts, next_counts, firsts
            )
            ratios[_TOP_ROW + n - 2, d] = top / total
            counts, next_counts = next_counts, counts
        stamp += 1
        _mark_repeated_prefixes(blocks, starts, num_words, slots, size, stamp, grams, counts)
        for n in range(5, 11):
            stamp += 1
            repeated = _duplicate_chars(n, blocks, starts, chars, num_words, grams, slots, size, stamp)
            ratios[_DUP_ROW + n - 5, d] = repeated / total


@kernel
def _measure_pieces(
    data: Array,
    start: int,
    end: int,
    min_newlines: int,
    slots: Array,
    size: int,
    stamp: int,
    total: int,
    ratios: Array,
) -> None:
    """Split at runs of `min_newlines` or more newlines, as `re.split` does (empty pieces at the ends included).

    Fills `ratios` with repeated pieces over pieces, and their code points over `total`.
    """
    num_pieces, num_repeated, num_chars, piece, position = 0, 0, 0, start, start
    while True:
        while position < end and data[position] != _NEWLINE:
            position += 1
        stop = position
        while position < end and data[position] == _NEWLINE:
            position += 1
        if stop < end and position - stop < min_newlines:
            continue
        if name_of(slots, size, stamp, hash_bytes(data, piece, stop), num_pieces) != num_pieces:
            num_repeated += 1
            num_chars += count_characters(data, piece, stop)
        num_pieces += 1
        piece = position
        if stop == end:
            break
    ratios[0] = num_repeated / num_pieces
    ratios[1] = num_chars / total


@kernel
def _copy_words(
    data: Array, start: int, end: int, table: Array, stream: Array, starts: Array, chars: Array
) -> int:
    """Write the words' bytes one after the other; fills where each starts and the code points before it."""
    num_words, written, num_chars, position = 0, 0, 0, start
    while True:
        starts[num_words], chars[num_words] = written, num_chars
        first, position, length, _ = next_word(data, position, end, table)
        if first == position:
            return num_words
        for k in range(position - first):
            stream[written + k] = data[first + k]
        written += position - first
        num_chars += length
        num_words += 1


@kernel
def _name_words(
    blocks: Array,
    starts: Array,
    num_words: int,
    slots: Array,
    size: int,
    stamp: int,
    words: Array,
    counts: Array,
) -> None:
    """Number the distinct words in order of appearance: `words` of each position, `counts` of each number."""
    fresh = 0
    for w in range(num_words):
        name = name_of(slots, size, stamp, hash_blocks(blocks, starts[w], starts[w + 1]), fresh)
        if name == fresh:
            counts[fresh] = 0
            fresh += 1
        counts[name] += 1
        words[w] = name


@kernel
def _top_ngram(
    n: int, words: Array, chars: Array, num_words: int, slots: Array, size: int, stamp: int,
    grams: Array, counts: Array, next_counts: Array, firsts: Array,
) -> int:  # fmt: skip
    """Code points of the most frequent n-gram times its count; 0 where there is none.

    `grams` holds the number of the (n−1)-gram at each word, or −1 where it is unique, and is overwritten with the
    n-grams'; `counts` those numbers' counts, `next_counts` the new ones'. An n-gram can repeat only where both
    (n−1)-grams inside it do, so the others, most of them in prose, are never looked up.
    """
    fresh, best, last = 0, 0, num_words - n
    if last < 0:
        return 0
    for w in range(last + 1):
        left, right = grams[w], grams[w + 1]
        grams[w] = -1
        if left < 0 or right < 0 or counts[left] < 2 or counts[right] < 2:
            continue
        key = (uint64(left) << uint64(32)) | uint64(words[w + n - 1])
        name = name_of(slots, size, stamp, key, fresh)
        if name == fresh:
            next_counts[fresh], firsts[fresh] = 0, w
            fresh += 1
        next_counts[name] += 1
        grams[w] = name
    for name in range(1, fresh):
        if next_counts[name] > next_counts[best]:
            best = name
    repeated = fresh > 0 and next_counts[best] > 1
    at, count = (firsts[best], next_counts[best]) if repeated else (0, 1)
    return (chars[at + n] - chars[at] + n - 1) * count


@kernel
def _mark_repeated_prefixes(
    blocks: Array,
    starts: Array,
    num_words: int,
    slots: Array,
    size: int,
    stamp: int,
    marks: Array,
    counts: Array,
) -> None:
    """Set `marks` to 1 at words from which on 16 bytes of the stream occur at another word too.

    A longer n-gram that starts at an unmarked word is unique, whatever words it is cut into: n-grams are compared
    without the spaces.
    """
    fresh, end = 0, starts[num_words]
    for w in range(num_words):
        marks[w] = -1
        if starts[w] + _PREFIX_BYTES > end:
            continue
        key = mix(eight_bytes(blocks, starts[w])) ^ eight_bytes(blocks, starts[w] + 8)
        name = name_of(slots, size, stamp, key, fresh)
        if name == fresh:
            counts[fresh] = 0
            fresh += 1
        counts[name] += 1
        marks[w] = name
    for w in range(num_words):
        marks[w] = marks[w] >= 0 and counts[marks[w]] > 1


@kernel
def _duplicate_chars(
    n: int,
    blocks: Array,
    starts: Array,
    chars: Array,
    num_words: int,
    marks: Array,
    slots: Array,
    size: int,
    stamp: int,
) -> int:
    """Code points of the n-grams that were read before, each read on from behind the last (see Repetition)."""
    repeated, w = 0, 0
    while w + n <= num_words:
        start, stop = starts[w], starts[w + n]
        unique = stop - start >= _PREFIX_BYTES and not marks[w]
        if unique or name_of(slots, size, stamp, hash_blocks(blocks, start, stop), w) == w:
            w += 1
        else:
            repeated += chars[w + n] - chars[w]
            w += n
    return repeated
