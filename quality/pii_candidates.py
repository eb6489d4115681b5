"""Where personal data could stand: one pass of a compiled kernel over the bytes of a whole batch.

The kernel knows shapes only (an `@`, groups of digits, two letters before digits, hex between colons) and is generous; what a
candidate is worth is decided by `pii_checks` and `pii_phones` on windows of at most 256 bytes. Every step looks ahead a bounded number of bytes or
jumps over what it read, so time is linear in the text whatever the text. [A Python regex for e-mail took 6.2 s on 80 KB of `a@a@a…`.]

One file for all of it: numba's cache notices a change of the kernel's own file only, not of a module whose kernels it inlined.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

KINDS = ("email", "ipv6", "ipv4", "iban", "pan", "card", "ssn", "aadhaar", "phone")
_EMAIL, _IPV6, _IPV4, _IBAN, _PAN, _CARD, _SSN, _AADHAAR, _PHONE = range(len(KINDS))

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

_DIGIT, _UPPER, _LOWER, _HEX, _WORD, _MAIL, _TRIGGER = 1, 2, 4, 8, 16, 32, 64
_SPACE, _DASH, _DOT, _PAREN = 1, 2, 4, 8  # what may stand between two groups of digits
_MAX_GROUPS = 8
_MAX_DIGITS = 19  # the longest card


def _classes() -> Bytes:
    """Byte → flags. Bytes of two-byte letters (Latin, Greek, Cyrillic, …) belong to e-mail addresses; three-byte scripts do not,
    because they are written without spaces around an address."""
    flags = np.zeros(256, dtype=np.uint8)
    for byte in range(256):
        char = chr(byte)
        if byte < 128 and char.isalnum():
            flags[byte] |= _WORD | _MAIL
            flags[byte] |= _DIGIT if char.isdigit() else _UPPER if char.isupper() else _LOWER
        if char in "0123456789abcdefABCDEF":
            flags[byte] |= _HEX
        if char in "._%+-&~'@" or 0x80 <= byte <= 0xBF or 0xC3 <= byte <= 0xD4:
            flags[byte] |= _MAIL
        if char == "_":
            flags[byte] |= _WORD
        if char in "@:0123456789":
            flags[byte] |= _TRIGGER
    return flags


_CLASS = _classes()


@njit(cache=True, nogil=True)
def _is(data: Bytes, at: int, lo: int, hi: int, flags: int) -> bool:
    return lo <= at < hi and _CLASS[data[at]] & flags != 0


@njit(cache=True, nogil=True)
def _is_underscore(data: Bytes, at: int, other: int, lo: int, hi: int) -> bool:
    """Whether an underscore stands at `at` and joins no digits: `other` is the place on its far side (`ssn_536-…`, not `1_000`)."""
    return lo <= at < hi and data[at] == 95 and not _is(data, other, lo, hi, _DIGIT)


@njit(cache=True, nogil=True)
def _digits_end(data: Bytes, at: int, hi: int) -> int:
    while at < hi and _CLASS[data[at]] & _DIGIT:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _emit(out: Ints, start: int, end: int, kind: int) -> None:
    """Append a candidate. Row 0 of `out` holds (candidates so far, the text that is read); what has no room is counted only."""
    out[0, 0] += 1
    at = out[0, 0]
    if at < out.shape[0]:
        out[at, 0], out[at, 1], out[at, 2], out[at, 3] = out[0, 1], start, end, kind


@njit(cache=True, nogil=True)
def _mail_run(data: Bytes, at: int, lo: int, hi: int) -> tuple[int, int]:
    """The stretch around an `@` that can hold addresses: 64 bytes before the first, 255 after the last."""
    start, floor = at, max(lo, at - 64)
    while start > floor and _CLASS[data[start - 1]] & _MAIL:
        start -= 1
    end, ceiling = at + 1, min(hi, at + 256)
    while end < ceiling and _CLASS[data[end]] & _MAIL:
        if data[end] == 64:
            ceiling = min(hi, end + 256)
        end += 1
    return start, end


@njit(cache=True, nogil=True)
def _ipv6_run(data: Bytes, at: int, lo: int, hi: int) -> tuple[int, int]:
    """The hex-and-colon stretch whose first colon is at `at`; (0, 0) where it cannot be an address."""
    start, floor = at, max(lo, at - 5)
    while start > floor and _CLASS[data[start - 1]] & _HEX:
        start -= 1
    if start > lo and data[start - 1] == 58:
        return 0, 0
    double = at + 1 < hi and data[at + 1] == 58
    if _is(data, start - 1, lo, hi, _WORD) or (start == at and not double):
        start = at + 1  # a label such as `Source:` or `IP:` stands before the address
    end, ceiling, colons, pairs = start, min(hi, at + 48), 0, 0
    while end < ceiling and (_CLASS[data[end]] & _HEX or data[end] == 58):
        if data[end] == 58:
            colons += 1
            pairs += end > start and data[end - 1] == 58
        end += 1
    if end > start + 1 and data[end - 1] == 58 and data[end - 2] != 58:
        end, colons = end - 1, colons - 1
    if _is(data, end, lo, hi, _WORD) or end - start < 4 or not (colons == 7 or (pairs == 1 and colons < 8)):
        return 0, 0
    return start, end


@njit(cache=True, nogil=True)
def _ipv4_end(data: Bytes, at: int, lo: int, hi: int) -> int:
    """Where four dotted groups of one to three digits that begin at `at` end; 0 where they do not stand alone."""
    if at - 2 >= lo and data[at - 1] in (45, 46, 47) and _is(data, at - 2, lo, hi, _DIGIT):
        return 0
    i = at
    for group in range(4):
        begin = i
        while i < hi and i - begin < 4 and _CLASS[data[i]] & _DIGIT:
            i += 1
        if i == begin or i - begin > 3:
            return 0
        if group < 3:
            if i >= hi or data[i] != 46:
                return 0
            i += 1
    dotted_on = i + 1 < hi and data[i] in (45, 46) and _CLASS[data[i + 1]] & _DIGIT
    return 0 if dotted_on or _is(data, i, lo, hi, _WORD) else i


@njit(cache=True, nogil=True)
def _iban_end(data: Bytes, start: int, hi: int) -> int:
    """Where the account number that may begin at `start` could end: a run of 15 to 34, or groups of four; 0 for neither."""
    end = start
    while end < hi and end - start < 36 and _CLASS[data[end]] & (_DIGIT | _UPPER | _LOWER):
        end += 1
    if end - start != 4:
        return end if 15 <= end - start <= 34 else 0
    length = 4
    while length < 34 and end + 1 < hi and data[end] in (32, 45):
        group = 0
        while (
            group < 5 and end + 1 + group < hi and _CLASS[data[end + 1 + group]] & (_DIGIT | _UPPER | _LOWER)
        ):
            group += 1
        if group == 0 or group > 4:
            break
        end, length = end + 1 + group, length + group
        if group < 4:
            break
    return end if length >= 15 else 0


@njit(cache=True, nogil=True)
def _after_letters(data: Bytes, at: int, end: int, lo: int, hi: int, out: Ints) -> None:
    """IBAN and PAN: digits [at, end) directly after exactly two, or exactly five capital, letters."""
    letters = 0
    while letters < 6 and _is(data, at - 1 - letters, lo, hi, _UPPER | _LOWER):
        letters += 1
    start = at - letters
    if _is(data, start - 1, lo, hi, _WORD):
        return
    if letters == 2 and end - at >= 2:
        iban = _iban_end(data, start, hi)
        if iban:
            _emit(out, start, iban, _IBAN)
    is_last_letter = _is(data, end, lo, hi, _UPPER) and not _is(data, end + 1, lo, hi, _WORD)
    if letters == 5 and end - at == 4 and is_last_letter:
        _emit(out, start, end + 1, _PAN)


@njit(cache=True, nogil=True)
def _separator(data: Bytes, at: int, hi: int) -> tuple[int, int]:
    """What stands between a group of digits and the next: (index of the next digit, which separators), (0, 0) for no next."""
    kinds, i = 0, at
    for _ in range(4):
        if i >= hi:
            break
        byte, size, kind = data[i], 1, 0
        if byte == 32:
            kind = _SPACE
        elif byte == 45:
            kind = _DASH
        elif byte == 46:
            kind = _DOT
        elif byte == 40 or byte == 41:
            kind = _PAREN
        elif byte == 0xC2 and i + 1 < hi and data[i + 1] == 0xA0:  # no-break space
            kind, size = _SPACE, 2
        elif (
            byte == 0xE2 and i + 2 < hi and data[i + 1] == 0x80 and 0x90 <= data[i + 2] <= 0x93
        ):  # U+2010 to U+2013
            kind, size = _DASH, 3
        if not kind:
            break
        kinds, i = kinds | kind, i + size
    return (i, kinds) if kinds and i < hi and _CLASS[data[i]] & _DIGIT else (0, 0)


@njit(cache=True, nogil=True)
def _groups(data: Bytes, at: int, hi: int, groups: Ints) -> int:
    """Fill rows (length, end, separators after, start of the next) for the groups of digits from `at`; how many there are.

    A group that runs into letters (`8th`, `3x`) ends the list before itself, save an extension (`4567x12`).
    """
    count, total, i = 0, 0, at
    while count < _MAX_GROUPS and total <= _MAX_DIGITS:
        end = _digits_end(data, i, hi)
        extension = end + 1 < hi and data[end] in (88, 120) and _CLASS[data[end + 1]] & _DIGIT
        joined = end < hi and _CLASS[data[end]] & _WORD and not _is_underscore(data, end, end + 1, 0, hi)
        if joined and not extension:
            if count:
                groups[count - 1, 2] = 0
            break
        following, kinds = _separator(data, end, hi)
        groups[count, 0], groups[count, 1] = end - i, end
        groups[count, 2], groups[count, 3] = kinds, following
        count, total, i = count + 1, total + end - i, following
        if not kinds:
            break
    return count


@njit(cache=True, nogil=True)
def _shape(groups: Ints, count: int, wanted: int, same: bool) -> bool:
    """Do the first groups have the lengths that `wanted` spells in decimal (334: 3, 3 and 4 digits), `same`: parted by spaces only or dashes only?"""
    length, digits = 0, wanted
    while digits:
        length, digits = length + 1, digits // 10
    if length > count:
        return False
    for index in range(length):
        if groups[index, 0] != wanted // 10 ** (length - 1 - index) % 10:
            return False
        parted = groups[index, 2] == groups[0, 2] and groups[0, 2] in (_SPACE, _DASH)
        if same and index < length - 1 and not parted:
            return False
    return True


@njit(cache=True, nogil=True)
def _open(data: Bytes, groups: Ints, last: int, hi: int) -> bool:
    """Whether nothing binds the group `last` to digits that follow it: `12-3`, `12.3`, `12/3`, `12:3` and `12+3` do, `12 3` does not."""
    end, kinds = groups[last, 1], groups[last, 2]
    bound = end + 1 < hi and data[end] in (43, 45, 46, 47, 58) and _CLASS[data[end + 1]] & _DIGIT
    return not bound and (kinds == 0 or kinds & (_SPACE | _PAREN) != 0)


@njit(cache=True, nogil=True)
def _whole_phone(groups: Ints, count: int) -> bool:
    """A complete run of 7 to 15 digits in at most six groups that is neither a section number (`50-1401.01`) nor a span of years."""
    total, kinds = 0, 0
    for index in range(count):
        if index and groups[index, 0] < 2:
            return False
        total, kinds = total + groups[index, 0], kinds | groups[index, 2]
    if groups[count - 1, 2] != 0 or not 7 <= total <= 15 or count > 6:
        return False
    return kinds & (_DASH | _DOT) != (_DASH | _DOT)


@njit(cache=True, nogil=True)
def _near_letters(data: Bytes, at: int, end: int, lo: int, hi: int) -> bool:
    """Whether a letter stands near enough to be of a word that speaks for [at, end): tables of numbers end here."""
    for i in range(max(lo, at - 64), min(hi, end + 8)):
        if _CLASS[data[i]] & (_UPPER | _LOWER) or data[i] > 0xC2:
            return True
    return False


@njit(cache=True, nogil=True)
def _is_listed(data: Bytes, at: int, lo: int) -> bool:
    """Whether on its line only the number of a list stands before the group at `at`: `2 `, `2) `, `2. ` or `(2) `."""
    i = at
    while i > lo and at - i < 3 and data[i - 1] in (32, 41, 46):
        i -= 1
    digits = i
    while i - digits < 4 and _is(data, digits - 1, lo, i, _DIGIT):
        digits -= 1
    if data[at - 1] != 32 or not 1 <= i - digits <= 3:
        return False
    start = digits - 1 if digits > lo and data[digits - 1] == 40 else digits
    floor = max(lo, start - 64)
    while start > floor and data[start - 1] in (9, 32):
        start -= 1
    return start == lo or data[start - 1] == 10


@njit(cache=True, nogil=True)
def _cards_and_ids(
    data: Bytes, at: int, lo: int, hi: int, alone: int, groups: Ints, count: int, out: Ints
) -> None:
    """Card, SSN and Aadhaar shapes at a group; `alone` as in `_numbers`."""
    first = groups[0, 0]
    if _open(data, groups, 0, hi):
        labelled = 9 <= first <= 12 and _near_letters(data, at, groups[0, 1], lo, hi)
        if 13 <= first <= 19 or (first == 12 and labelled):
            _emit(out, at, groups[0, 1], _CARD)
        if first == 12 and labelled:
            _emit(out, at, groups[0, 1], _AADHAAR)
        if first == 9 and alone and labelled:
            _emit(out, at, groups[0, 1], _SSN)
    if not alone:
        return
    for wanted, last in ((44443, 4), (4444, 3), (465, 2), (464, 2), (444, 2)):
        ends_there = groups[last, 2] == 0 or (
            last + 1 < count and groups[last + 1, 0] < 4
        )  # or before a security code
        if _shape(groups, count, wanted, True) and ends_there and _open(data, groups, last, hi):
            _emit(out, at, groups[last, 1], _CARD)
    for wanted, kind in ((444, _AADHAAR), (324, _SSN)):
        apart = alone > 1 or kind == _SSN  # three columns after the number of a row are no Aadhaar
        if apart and _shape(groups, count, wanted, True) and groups[2, 2] == 0 and _open(data, groups, 2, hi):
            _emit(out, at, groups[2, 1], kind)


@njit(cache=True, nogil=True)
def _phones(data: Bytes, at: int, lo: int, hi: int, alone: bool, groups: Ints, count: int, out: Ints) -> None:
    """`+` and all that follows, the North American shape anywhere, else a run that is nothing but the number."""
    start = at - 1 if at > lo and data[at - 1] == 40 else at
    if start > lo and data[start - 1] == 43 and not _is(data, start - 2, lo, hi, _WORD):
        last, total = 0, groups[0, 0]
        while groups[last, 2] and last + 1 < count and total + groups[last + 1, 0] <= 15:
            last, total = last + 1, total + groups[last + 1, 0]
        while last > 0 and not _open(data, groups, last, hi):
            last, total = last - 1, total - groups[last, 0]
        if 7 <= total <= 15 and _open(data, groups, last, hi):
            _emit(out, start - 1, groups[last, 1], _PHONE)
        return
    for wanted, last in ((1334, 3), (334, 2)):
        end = groups[last, 1]
        if _shape(groups, count, wanted, False) and (
            _open(data, groups, last, hi) or (end < hi and data[end] == 47)  # `202-456-1111/202-456-1112`
        ):
            _emit(out, start, end, _PHONE)
            return
    if alone and _whole_phone(groups, count) and _open(data, groups, count - 1, hi):
        national = data[at] == 48 and count > 1 and not (count == 2 and groups[0, 2] == _DOT)
        if national or _near_letters(data, at, groups[count - 1, 1], lo, hi):
            _emit(out, start, groups[count - 1, 1], _PHONE)


@njit(cache=True, nogil=True)
def _numbers(data: Bytes, at: int, lo: int, hi: int, link: int, groups: Ints, out: Ints) -> tuple[int, int]:
    """Candidates at the group of digits at `at`, whose separators to the group before are `link` (0: none before it).

    Returns where to go on and the separators there.
    """
    count = _groups(data, at, hi, groups)
    if count == 0:
        return _digits_end(data, at, hi), 0
    # File names and emphasis join with underscores what else stands alone; versions and numbers of any kind are joined so too.
    in_name = (at > lo and data[at - 1] == 95) or (
        groups[count - 1, 1] < hi and data[groups[count - 1, 1]] == 95
    )
    if groups[0, 0] <= 3 and not in_name:
        ipv4 = _ipv4_end(data, at, lo, hi)
        if ipv4:
            _emit(out, at, ipv4, _IPV4)
    bound = at - 2 >= lo and data[at - 1] in (45, 46, 47, 58) and _CLASS[data[at - 2]] & _DIGIT
    if not bound and (link == 0 or link & (_SPACE | _PAREN)):
        # 2: no digits before it, also none beyond a space, save the number of a list; 1: after such a number without a mark; 0: neither.
        alone = 2 if link == 0 else 0 if not _is_listed(data, at, lo) else 2 if link & (_DOT | _PAREN) else 1
        if at == lo or data[at - 1] != 43:
            _cards_and_ids(data, at, lo, hi, alone, groups, count, out)
        if not in_name:
            _phones(data, at, lo, hi, alone > 1, groups, count, out)
    elif bound and data[at - 1] == 47:
        _phones(data, at, lo, hi, False, groups, count, out)
    return groups[0, 1], groups[0, 2]


@njit(cache=True, nogil=True)
def _scan_text(data: Bytes, lo: int, hi: int, groups: Ints, out: Ints) -> None:
    i, link, mail_until = lo, 0, lo
    groups[0, 3] = -1
    while i < hi:
        byte = data[i]
        if not _CLASS[byte] & _TRIGGER:
            i += 1
        elif byte == 64:
            if i >= mail_until:
                start, mail_until = _mail_run(data, i, lo, hi)
                _emit(out, start, mail_until, _EMAIL)
            i += 1
        elif byte == 58:
            if not (i > lo and data[i - 1] == 58):
                start, end = _ipv6_run(data, i, lo, hi)
                if end:
                    _emit(out, start, end, _IPV6)
            i += 1
        elif _is(data, i - 1, lo, hi, _WORD) and not _is_underscore(data, i - 1, i - 2, lo, hi):
            end = _digits_end(data, i, hi)
            _after_letters(data, i, end, lo, hi, out)
            i, link = end, 0
        else:
            i, link = _numbers(data, i, lo, hi, link if i == groups[0, 3] else 0, groups, out)


@njit(cache=True, nogil=True)
def _scan(data: Bytes, offsets: Ints, out: Ints) -> None:
    groups = np.zeros(
        (_MAX_GROUPS, 4), dtype=np.int64
    )  # rows: length, end, separators after, start of the next
    out[0, 0] = 0
    for row in range(len(offsets) - 1):
        out[0, 1] = row
        _scan_text(data, offsets[row], offsets[row + 1], groups, out)


def find_candidates(data: Bytes, offsets: Ints) -> Ints:
    """All candidates in texts that lie one after another in `data`, text i at bytes [offsets[i], offsets[i+1]).

    Returns int64 rows (text, start, end, index into KINDS), starts and ends counted from the start of `data`; they may overlap.
    """
    out = np.empty((data.size // 128 + 1024, 4), dtype=np.int64)
    _scan(data, offsets, out)
    if out[0, 0] >= len(out):
        out = np.empty((out[0, 0] + 1, 4), dtype=np.int64)
        _scan(data, offsets, out)
    return out[1 : out[0, 0] + 1]
