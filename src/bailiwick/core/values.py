"""Comparing JSON values for what they mean, and showing them to people.

A comparison has three answers, because an upstream may read a value more loosely than we do:
`"1000"` may be taken for 1000 there, `"de "` for `"DE"`. Such a value is neither equal nor plainly
different: it is CANNOT_TELL, and each rule decides on which side that falls (see `conditions.py`).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from functools import lru_cache

from bailiwick.core.canonical import Json

Number = int | Decimal
"""An exact number. Never a float: `0.1 + 0.2` has no place in an amount."""

MAX_NUMBER_TEXT = 64
"""Longest text read as a number, in characters; beyond it nobody is stating an amount."""

MAX_SHOWN = 80
"""Longest value quoted to people, in characters."""

MAX_FOLDED = 262_144
"""Longest text that is looked at for being nearly equal, in characters; beyond it, doubt is cheaper
than some ten milliseconds of everybody's time."""

MAX_MARKS = 30
"""Most combining marks in a row that are put in order, as in stream-safe text."""

_GRAPHEME_JOINER = "\u034f"

# ASCII digits only and no sign but minus: `+1`, `1e3`, `1_000`, ` 1`, `０`, `007` mean different
# things to different readers, so they are not numbers here.
_DECIMAL_TEXT = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


class Truth(Enum):
    """Whether something holds, three-valued (Kleene)."""

    HOLDS = "holds"
    FAILS = "does not hold"
    CANNOT_TELL = "cannot tell"


HOLDS = Truth.HOLDS
FAILS = Truth.FAILS
CANNOT_TELL = Truth.CANNOT_TELL


def number_of(value: Json) -> Number | None:
    """The exact number that `value` states, or None when it is not plainly one.

    Integers as they are, floats by the shortest decimal that reads back as them (so 0.1 is one
    tenth), text only in plain decimal notation. A boolean is never a number.
    """
    kind = type(value)
    if kind is int:
        return value  # type: ignore[return-value]  # by its type above
    if kind is float:
        number = Decimal(repr(value))
        return number if number.is_finite() else None
    if isinstance(value, str) and len(value) <= MAX_NUMBER_TEXT:
        return Decimal(value) if _DECIMAL_TEXT.fullmatch(value) else None
    return None


def compare(value: Json, wanted: Json) -> Truth:
    """Whether `value` is `wanted`: same JSON type and content, numbers by their exact value.

    CANNOT_TELL when the types differ, or when two texts differ only in what readers tend to
    ignore (case, compatibility forms, invisible characters, surrounding space).
    """
    if isinstance(value, str) and isinstance(wanted, str):
        if value == wanted:
            return HOLDS
        near = len(value) > MAX_FOLDED or fold(value) == fold(wanted)
        return CANNOT_TELL if near else FAILS
    kind = kind_of(value)
    if kind != kind_of(wanted):
        return CANNOT_TELL
    if kind == "a list":
        return _compare_lists(value, wanted)  # type: ignore[arg-type]  # kinds are equal
    if kind == "an object":
        return _compare_objects(value, wanted)  # type: ignore[arg-type]  # kinds are equal
    if kind == "a number":
        return HOLDS if number_of(value) == number_of(wanted) else FAILS
    return HOLDS if value == wanted else FAILS


def _compare_lists(value: Sequence[Json], wanted: Sequence[Json]) -> Truth:
    if len(value) != len(wanted):
        return FAILS
    return every(compare(one, other) for one, other in zip(value, wanted, strict=True))


def _compare_objects(value: Mapping[str, Json], wanted: Mapping[str, Json]) -> Truth:
    if value.keys() != wanted.keys():
        near = {fold(key) for key in value} == {fold(key) for key in wanted}
        return CANNOT_TELL if near else FAILS
    return every(compare(value[key], wanted[key]) for key in wanted)


def every(truths: Iterable[Truth]) -> Truth:
    """Kleene's AND: FAILS if one fails, HOLDS if all hold, else CANNOT_TELL."""
    result = HOLDS
    for truth in truths:
        if truth is FAILS:
            return FAILS
        if truth is CANNOT_TELL:
            result = CANNOT_TELL
    return result


def some(truths: Iterable[Truth]) -> Truth:
    """Kleene's OR: HOLDS if one holds, FAILS if all fail, else CANNOT_TELL."""
    result = FAILS
    for truth in truths:
        if truth is HOLDS:
            return HOLDS
        if truth is CANNOT_TELL:
            result = CANNOT_TELL
    return result


def fold(text: str) -> str:
    """`text` without what readers tend to ignore; two texts with one fold may be taken for equal.

    Not a defence against look-alike letters of another script: those are different words. Takes
    tens of nanoseconds a character: see `MAX_FOLDED`.
    """
    if text.isascii() and text.isprintable():  # as nearly all are
        return text.lower().strip()
    return fold_inside(text).strip()


def fold_inside(text: str) -> str:
    """`fold` for a piece of a text, whose outer spaces stand inside."""
    if text.isascii():
        return (text if text.isprintable() else _visible_only(text)).lower()
    plain = unicodedata.normalize("NFKC", stream_safe(text))
    visible = plain if plain.isprintable() else _visible_only(plain)
    small = stream_safe(visible.casefold())
    return (
        small if unicodedata.is_normalized("NFKC", small) else unicodedata.normalize("NFKC", small)
    )


def stream_safe(text: str) -> str:
    """`text` with its runs of marks broken up: ordering a run takes the square of its length.

    No letter of any language has so many; no text in a mandate has them, so none is equal to one
    that does. Source: Unicode Standard Annex 15, section 13, "Stream-Safe Text Process".
    """
    if len(text) <= MAX_MARKS:
        return text
    # What there is in a text is looked at letter by letter; the text itself only in C.
    marks = "".join(sorted(letter for letter in set(text) if _starts_with_mark(letter)))
    if not marks:
        return text
    return re.sub(f"[{re.escape(marks)}]{{{MAX_MARKS + 1},}}", _broken_up, text)


def _broken_up(run: re.Match[str]) -> str:
    marks = run[0]
    pieces = (marks[at : at + MAX_MARKS] for at in range(0, len(marks), MAX_MARKS))
    return _GRAPHEME_JOINER.join(pieces)


@lru_cache(4096)
def _starts_with_mark(letter: str) -> bool:
    # Looked at as normalization takes it apart: U+0F73 is no mark by itself, and two marks then.
    return unicodedata.combining(unicodedata.normalize("NFKD", letter)[0]) > 0


def _visible_only(text: str) -> str:
    hidden = [letter for letter in set(text) if not letter.isprintable()]
    if len(hidden) > MAX_MARKS:
        return "".join(filter(str.isprintable, text))
    for letter in hidden:
        text = text.replace(letter, "")
    return text


def kind_of(value: Json) -> str:
    """The JSON type of `value`, in words for people."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, Mapping):
        return "an object"
    return "a list"


def show(value: Json, limit: int = MAX_SHOWN) -> str:
    """`value` for a message: at most `limit` characters, nothing invisible in it.

    In backticks, unless it is a number: "`amount` is 9000".
    """
    if isinstance(value, Decimal | int | float) and not isinstance(value, bool):
        text = str(value) if not isinstance(value, int) or value.bit_length() < 512 else "huge"
        return text if len(text) <= limit else text[: limit - 1] + "…"
    # Far more than `limit` characters are never shown, so they need not be looked at.
    text = value[: limit + 1] if isinstance(value, str) else _start_of_json(value, limit)
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return "`" + "".join(_visible(letter) for letter in text) + "`"


def _start_of_json(value: Json, limit: int) -> str:
    """The JSON of `value`, written only as far as it will be shown."""
    text = ""
    for part in json.JSONEncoder(ensure_ascii=False).iterencode(value):
        text += part[: limit + 1]
        if len(text) > limit:
            break
    return text


def _visible(letter: str) -> str:
    if letter == "`":
        return "'"
    if letter.isprintable() and unicodedata.category(letter)[0] != "C":
        return letter
    return f"\\u{ord(letter):04x}"
