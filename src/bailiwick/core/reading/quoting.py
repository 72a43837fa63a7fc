"""The words that sentences are made of: quoted texts, numbers, lists.

INVARIANT: a quoted text ends where it seems to end, shows everything in it, and no two texts look
the same. So a mandate cannot say one thing and read as another.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal

from bailiwick.core.argument_path import ArgumentPath, format_argument_path
from bailiwick.core.canonical import Json, canonical
from bailiwick.core.errors import BailiwickError
from bailiwick.core.values import Number, kind_of

_WRITTEN_OUT = re.compile(r"\\u\{")
_LOST_SPACES = re.compile(r"^ | $|  ")
"""Spaces that a page or a reader drops."""

_ODD = re.compile(r"[`\\]|^ | $|  ")

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Letters and marks that draw nothing; beside them, variation selectors."""


def quote(text: str) -> str:
    """A text in backticks, whole. What would not show is written out: `\\u{200b}`."""
    if text.isascii() and text.isprintable() and not _ODD.search(text):
        return f"`{text}`"
    # Marks written another way than usual (`e` and an accent for `é`) would look the same.
    marks = not unicodedata.is_normalized("NFC", text) or _is_mark(text[:1])
    spaces = _LOST_SPACES.search(text) is not None
    plain = all(_shows(letter, marks) for letter in text)
    if plain and not spaces and not _WRITTEN_OUT.search(text):
        return f"`{text}`"
    return "`" + "".join(_written(letter, marks, spaces) for letter in text) + "`"


def quote_path(path: ArgumentPath) -> str:
    """An argument's name in backticks."""
    return quote(format_argument_path(path))


def value(given: Json) -> str:
    """A JSON value, whole: texts in backticks, numbers plain, all else as what it is."""
    if isinstance(given, str):
        return quote(given)
    if given is None or isinstance(given, bool):
        return {None: "null", True: "true", False: "false"}[given]
    try:
        text = canonical(given).decode()
    except BailiwickError:  # a number beyond what calls can hold
        text = repr(given)
    return text if isinstance(given, int | float) else f"{kind_of(given)} {quote(text)}"


def number(given: Number) -> str:
    """A bound for people: 5,000 or 12.50."""
    if isinstance(given, Decimal):
        return f"{given:,f}"
    # Python writes no longer number out; nobody means one.
    return f"{given:,}" if given.bit_length() < 4_096 else hex(given)


def one_of(words: Iterable[str]) -> str:
    """ "`a`, `b` or `c`"."""
    return _joined(list(words), "or")


def all_of(words: Iterable[str]) -> str:
    """ "`a`, `b` and `c`"."""
    return _joined(list(words), "and")


def people(count: int) -> str:
    """ "One person" or "Two different people"."""
    names = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
    if count == 1:
        return "One person"
    return f"{names[count] if 0 <= count < len(names) else f'{count:,}'} different people"


def rule_name(rule_id: str) -> str:
    """A rule's place in its mandate, without the mandate's own name."""
    return quote(rule_id.partition("/")[2] or rule_id)


def _joined(words: list[str], last: str) -> str:
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _shows(letter: str, marks: bool) -> bool:
    if letter.isascii():
        return letter.isprintable() and letter != "`"
    if letter in _BLANK or "\ufe00" <= letter <= "\ufe0f" or "\U000e0100" <= letter <= "\U000e01ef":
        return False
    return letter.isprintable() and not (marks and _is_mark(letter))


def _is_mark(letter: str) -> bool:
    return letter != "" and unicodedata.category(letter)[0] == "M"


def _written(letter: str, marks: bool, spaces: bool) -> str:
    if letter == "\\":
        return "\\\\"
    if _shows(letter, marks) and not (spaces and letter == " "):
        return letter
    return f"\\u{{{ord(letter):x}}}"
