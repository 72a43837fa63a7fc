"""Whether a value stands in a text as a whole, and not as a piece of something longer.

"Pay 50 to ann@a.example" holds the values `50`, `to` and `ann@a.example`; it does not hold `5`,
`a.example` or `0 to`. What a person reads as one thing (a number, an address, a URL, a file name)
is one thing here, so an attacker gains nothing from `http://evil.test/?to=DE00…` in a text that
vouches: the account number in it is a piece of a URL.

Two texts are the same value when they differ only in upper and lower case, in canonical Unicode
composition and in how much blank stands between words. Deliberately no more: compatibility forms
and case folding would make one of `straße.example` and `strasse.example`, which are two domains and
may have two owners. Numbers are compared by what they state (`1,000.00` is `1000`), and account
numbers with and without their groups of four.

Pure. Searching is `str.find`, so a text costs next to nothing to keep and a value some
microseconds to find.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from bailiwick.core.values import number_of

BETWEEN = "\0"
"""Stands between two texts that are kept in one. No value holds it."""

MAX_VALUE_CHARS = 16_384
"""Longest value that is looked for, in characters."""

MAX_PLACES = 500
"""Places looked at for one spelling in one text. A value that has not stood whole in so many is
taken for one that does not."""

MAX_COMPOSED_WORD = 128
"""Longest word that is put into canonical composition: ordering marks takes the square of it."""

_UNEVEN = ("  ", " \n", "\n ", *"\t\r\v\f\x1c\x1d\x1e\x1f")
"""What is found in a plain text that is not evenly spaced; without it there is nothing to do."""

_BLANK = frozenset(" \n" + BETWEEN)
_OPENING = frozenset("([{'‘*~#@$€£¥¿¡")
_CLOSING = frozenset(")]}'’.,;:!?*~$€£¥")
# None of these may stand in an address or a file name; a quotation mark or bracket ends a value
# even where no blank follows.
_APART = frozenset('"<>`{}|“”„«»‹›—…•→')
_LISTING = frozenset(",;")
_NAMING = frozenset(":=")
_WORD = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
_BARE_URL = re.compile(r"[a-z0-9-]\.[a-z]{2,}(?::[0-9]+)?[/?#]")
_MAX_REMEMBERED_CHARS = 256
_LONGEST_CHUNK = 1_024
_LONGEST_NAME = 64
_MOST_MARKS = 16
_MOST_DECIMALS = 64

# No user, port, query or fragment: in those, two ways of writing may lead to two places.
_WEB_ADDRESS = re.compile(r"(?:https?://)?(www(?:\.[a-z0-9-]+)+(?:/[a-z0-9._~/-]*)?)")
_GROUPS = (",", "'", "’", " ")
_ACCOUNT = re.compile(r"[a-z]{2}[0-9]{2}[a-z0-9]{11,30}|[0-9]{16}")
_ACCOUNT_IN_FOURS = re.compile(
    r"(?<![a-z0-9])(?:[a-z]{2}[0-9]{2}(?: [a-z0-9]{4}){2,7}(?: [a-z0-9]{1,3})?"
    r"|[0-9]{4}(?:[ -][0-9]{4}){3})(?![a-z0-9])"
)
_LONGEST_ACCOUNT = 44
_ACCOUNT_DIGITS = 8
_ACCOUNT_BREAKS = str.maketrans("", "", " -")


def normal(text: str) -> str:
    """`text` as it is compared: lower case, canonical composition, one blank between words.

    Line breaks stay, since a value that breaks a line is another value than one that does not.
    """
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        text = " ".join(_composed(word) for word in text.split(" "))
    text = text.lower()
    if text.isascii() and not any(blank in text for blank in _UNEVEN):
        return text.strip(" ")
    if "\n" in text:
        return "\n".join(" ".join(line.split()) for line in text.split("\n"))
    return " ".join(text.split())


def _composed(word: str) -> str:
    return word if len(word) > MAX_COMPOSED_WORD else unicodedata.normalize("NFC", word)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A value that is looked for.

    Attributes:
        spellings: texts in normal form, any of which is the value.
        decimals: of a number, its digits after the point without trailing zeros; None for text.
        only_alone: it counts only where it is all that stands there; so does a single letter.
    """

    spellings: tuple[str, ...]
    decimals: str | None = None
    only_alone: bool = False

    def alone(self) -> Wanted:
        """The same, where it is all that stands there."""
        return Wanted(self.spellings, self.decimals, only_alone=True)


def wanted(value: str | int | float) -> tuple[Wanted, ...]:
    """How `value` may be written; () for one that is never whole in any text.

    That is a text without a letter or digit, of more than `MAX_VALUE_CHARS`, or with characters
    that would let it span two texts or hide a line break.
    """
    if isinstance(value, str) and len(value) > _MAX_REMEMBERED_CHARS:
        return _wanted(value)
    return _remembered(value)


def _wanted(value: str | int | float) -> tuple[Wanted, ...]:
    if not isinstance(value, str):
        number = number_of(value)
        return () if number is None else _written(Decimal(number))
    if len(value) > MAX_VALUE_CHARS or _breaks_oddly(value):
        return ()
    text = normal(value)
    if text.strip(" ") == "" or not any(letter.isalnum() for letter in text):
        return ()
    number = number_of(value)
    slight = number is None and sum(letter.isalnum() for letter in text[:8]) < 2 and len(text) < 8
    if number is None:
        spellings = (text, *_accounts(text), *_web_addresses(text))
        return (Wanted(spellings, only_alone=slight),)
    cards = _accounts(text)
    return (*_written(Decimal(number)), *((Wanted(cards),) if cards else ()))


_remembered = lru_cache(maxsize=2_048, typed=True)(_wanted)


def whole(sought: tuple[Wanted, ...], text: str) -> int:
    """Where in `text` (in normal form) one of `sought` first stands as a whole; -1 if nowhere.

    Of several spellings the first that is found counts, wherever it stands.
    """
    first = -1
    for each in sought:
        for spelling in each.spellings:
            # What would start further on need not be looked for.
            before = len(text) if first < 0 else first - 1 + len(spelling)
            at = _first_whole(each, spelling, text, before)
            first = at if at >= 0 else first
    return first


def anywhere(sought: tuple[Wanted, ...], text: str) -> int:
    """As `whole`, for a text in which `sought` may have been hidden: doubt says that it is there.

    A number stands wherever no other digit touches it, a single letter wherever it is a word, and
    something that stands in too many places to look at all of them stands in the first.
    """
    found = (_hidden(each, spelling, text) for each in sought for spelling in each.spellings)
    return min((at for at in found if at >= 0), default=-1)


def places(text: str, spelling: str, before: int) -> Iterator[int]:
    """Where `spelling` stands in the first `before` letters of `text`, whole or not: at most
    `MAX_PLACES`."""
    at = text.find(spelling, 0, before)
    for _ in range(MAX_PLACES):
        if at < 0:
            return
        yield at
        at = text.find(spelling, at + 1, before)


def _first_whole(sought: Wanted, spelling: str, text: str, before: int) -> int:
    for at in places(text, spelling, before):
        end = at + len(spelling)
        if sought.decimals is not None:
            end = _end_of_number(text, end, sought.decimals)
            if end < 0 or _in_thousands(text, at, end):
                continue
        if sought.only_alone:
            if _alone(text, at, end):
                return at
        elif _is_whole(text, at, end):
            return at
    return -1


def _hidden(sought: Wanted, spelling: str, text: str) -> int:
    number = sought.decimals is not None
    piece = spelling.lstrip("-") if number else spelling
    first, looked = -1, 0
    for at in places(text, piece, len(text)):
        looked += 1
        end = at + len(piece)
        digits = text[max(0, at - 1) : at].isdigit() or text[end : end + 1].isdigit()
        if (not digits) if number else _is_whole(text, at, end):
            return at
        first = at if first < 0 else first
    return first if looked >= MAX_PLACES else -1


def _alone(text: str, at: int, end: int) -> bool:
    return (at == 0 or text[at - 1] == BETWEEN) and (end == len(text) or text[end] == BETWEEN)


def _is_whole(text: str, at: int, end: int) -> bool:
    """Whether nothing that belongs to it stands before `at` or after `end`.

    1. Brackets, quotation marks and the like around it do not count.
    2. Then a blank, or the end of the text: fine.
    3. Or something that sets apart (`,` of a list, `"`, the `:` after a name), unless the words
       between two blanks are a URL, in which anything may stand.
    4. An account number in groups of four is one thing, for all the blanks in it.
    """
    left = at
    while left > 0 and at - left < _MOST_MARKS and text[left - 1] in _OPENING:  # 1
        left -= 1
    before = left == 0 or text[left - 1] in _BLANK  # 2
    if not before and not _set_apart_before(text, left):
        return False
    right = _closed(text, end)
    after = right == len(text) or text[right] in _BLANK
    if not after and not _set_apart_after(text, end, right):
        return False
    apart = (before and after) or not _in_url(text, at, end)  # 3
    return apart and not _in_account(text, at, end)  # 4


def _closed(text: str, end: int) -> int:
    right, size = end, len(text)
    if right + 1 < size and text[right] in "'’" and text[right + 1] == "s":
        right += 2  # Ann's
    stop = min(size, right + _MOST_MARKS)
    while right < stop and text[right] in _CLOSING:
        right += 1
    return right


def _set_apart_before(text: str, left: int) -> bool:
    sign = text[left - 1]
    if sign in _APART:
        return True
    if sign in _LISTING:
        return not _between_digits(text, left - 1)
    if sign in _NAMING:
        return _names(text, left - 1)
    return False


def _set_apart_after(text: str, end: int, right: int) -> bool:
    for at in range(end, min(right + 1, len(text))):
        sign = text[at]
        if sign in _APART:
            return True
        if sign in _LISTING and not _between_digits(text, at):
            return True
    return False


def _between_digits(text: str, at: int) -> bool:
    """Whether the sign at `at` may belong to a number: `1,000`."""
    return 0 < at < len(text) - 1 and text[at - 1].isdigit() and text[at + 1].isdigit()


def _names(text: str, at: int) -> bool:
    """Whether one plain word stands before the sign at `at`, as in `iban=…` and `to:…`."""
    start = at
    while start > 0 and at - start <= _LONGEST_NAME and text[start - 1] in _WORD:
        start -= 1
    if start == at or not (text[start].isalpha() or text[start] == "_"):
        return False
    if start == 0:
        return True
    before = text[start - 1]
    return before in _BLANK or before in _APART or before in _OPENING or before in _LISTING


def _in_url(text: str, at: int, end: int) -> bool:
    """Whether it lies in a URL: no blank between it and a `://` or `www.`. Doubt is a yes."""
    first, last = max(0, at - _LONGEST_CHUNK), end + _LONGEST_CHUNK
    start = max(text.rfind(blank, first, at) for blank in _BLANK) + 1
    stops = [stop for blank in _BLANK if (stop := text.find(blank, end, last)) >= 0]
    stop = min(stops, default=len(text))
    if (start == 0 and first > 0) or stop > last:
        return True
    chunk = text[start:stop]
    # The value itself may be a URL that stands in quotation marks: `"https://a.example/"`.
    around = chunk[: at - start] + chunk[end - start :]
    if "://" in around or "www." in around or around.startswith(("//", "data:")):
        return True
    return _BARE_URL.search(around) is not None


def _in_account(text: str, at: int, end: int) -> bool:
    """Whether it is a piece of an account number written in groups of four."""
    start = max(0, at - _LONGEST_ACCOUNT)
    for found in _ACCOUNT_IN_FOURS.finditer(text, start, end + _LONGEST_ACCOUNT):
        first, last = found.span()
        digits = sum(letter.isdigit() for letter in found[0])
        if first <= at and end <= last and digits >= _ACCOUNT_DIGITS and end - at < last - first:
            return True
    return False


def _end_of_number(text: str, end: int, decimals: str) -> int:
    """Where a number ends whose whole part ends at `end`; -1 if its decimals are others."""
    stop = end
    if stop + 1 < len(text) and text[stop] == "." and text[stop + 1] in "0123456789":
        stop += 1
        last = min(len(text), stop + _MOST_DECIMALS)
        while stop < last and text[stop] in "0123456789":
            stop += 1
    return stop if text[end + 1 : stop].rstrip("0") == decimals else -1


def _in_thousands(text: str, at: int, end: int) -> bool:
    """Whether it may be a part of a number whose thousands stand apart: `100` in `1 100`."""
    digits = 0
    while at + digits < end and text[at + digits].isdigit():
        digits += 1
    before = digits == 3 and at >= 2 and text[at - 1] == " " and text[at - 2].isdigit()
    group = text[end + 1 : end + 4]
    whole_part = end == at + digits and digits <= 3
    after = (
        whole_part
        and text[end : end + 1] == " "
        and len(group) == 3
        and group.isdigit()
        and not text[end + 4 : end + 5].isdigit()
    )
    return before or after


def _written(number: Decimal) -> tuple[Wanted, ...]:
    """A number with and without signs between its thousands."""
    sign = "-" if number < 0 else ""
    units, _, decimals = format(abs(number), "f").partition(".")
    decimals = decimals.rstrip("0")
    spellings = [sign + units]
    if len(units) > 3:
        spellings += [sign + f"{int(units):,}".replace(",", mark) for mark in _GROUPS]
    return (Wanted(tuple(spellings), decimals),)


def _accounts(text: str) -> tuple[str, ...]:
    """An IBAN or card number in its other spellings: with blanks, with hyphens, without."""
    plain = text.translate(_ACCOUNT_BREAKS)
    if len(plain) > 34 or not _ACCOUNT.fullmatch(plain):
        return ()
    fours = [plain[at : at + 4] for at in range(0, len(plain), 4)]
    written = (plain, " ".join(fours), "-".join(fours))
    return tuple(each for each in written if each != text)


def _web_addresses(text: str) -> tuple[str, ...]:
    """A web address as people shorten it: without `https://`, without the slash at its end.

    Only one that starts with `www.`: `notes.md` is a file, and `https://notes.md` somebody's host.
    """
    bare = _WEB_ADDRESS.fullmatch(text)
    if bare is None:
        return ()
    short = bare[1].removesuffix("/")
    written = (
        f"{scheme}{short}{end}" for scheme in ("", "https://", "http://") for end in ("", "/")
    )
    return tuple(each for each in written if each != text)


def _breaks_oddly(value: str) -> bool:
    """Whether a character in it parts lines, words or texts in a way that blanks do not."""
    if value.isascii() and value.isprintable():
        return False
    return any(
        letter == BETWEEN or (letter.isspace() and letter not in " \n\t\u00a0\u202f")
        for letter in value
    )
