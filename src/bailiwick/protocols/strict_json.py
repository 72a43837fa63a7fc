"""One meaning only: JSON read strictly, once (promise 2).

Two readers of one text may disagree about a repeated key, a key that differs only in case, a
`NaN`, a number their floats cannot hold, or half a surrogate pair. What the gateway judges must
be what an upstream runs, so each of these is refused, with a code of its own:

1. UTF-8, and no byte order mark                      `body_not_utf8`
2. one JSON text (RFC 8259), nothing after it         `body_not_json`
3. no name twice in one object, whatever its case     `name_twice`
4. integers within ±(2**53 - 1), floats finite        `number_not_exact` (RFC 7493 section 2.2)
5. nesting at most `MAX_DEPTH`                        `nested_too_deep`
6. no lone surrogates                                 `text_not_unicode`
7. of an agent: at most `MAX_VALUES` values           `too_many_values`
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Annotated, Any, Never, TypeVar

import msgspec

from bailiwick.core.canonical import MAX_SAFE_INTEGER, Json, JsonObject
from bailiwick.core.errors import TheirError

T = TypeVar("T")

MAX_DEPTH = 64

MAX_VALUES = 50_000
"""Most values one agent may send at once: each costs judging and recording some microseconds, in
which the process serves nobody else."""

# One that is not closed goes to the end: looking for its end anew from each quotation mark in it
# would take the square of its length.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_SAFE_DIGITS = len(str(MAX_SAFE_INTEGER)) - 1
_QUOTED_LIMIT = 64
_MAX_SHAPES = 2048
_MAX_SHAPE_NAMES = 64
_MAX_SHAPE_CHARS = 512

PLAIN_DEPTH = 8
"""Levels that are read quickly. Each doubles the types that are made for it at the start."""

_SPACED, _SPACED_WITHIN = b'": ', 64
"""Where a text begins like this, it isn't compact, and reading it quickly would be for nothing."""


def parse(body: bytes, max_values: int = 0) -> Json:
    """Parse one JSON text under the rules above.

    About 2 µs for 400 bytes of compact ASCII, as most clients send, and 5 for others. Objects are
    plain dicts in the order of the text. `max_values` 0 is without bound.

    Raises:
        TheirError: with one of the codes of the module's list.
    """
    if not 0 < max_values < len(body):  # in which there may be too many
        plain = parse_plain(body, decode_object)
        if plain is not None:
            return plain
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise TheirError("body_not_utf8", f"not UTF-8 at byte {error.start}") from None
    if max_values and len(text) > max_values:
        _check_values(text, max_values)
    return _parse_slowly(text)


def parse_plain(body: bytes, decode: Callable[[bytes], T]) -> T | None:
    """What `decode` makes of a text that is sure to be strict; None of any other: `parse` it.

    INVARIANT: what comes of it is what `parse` finds in the same text. A compact text of ASCII is
    sure to be strict if `decode` takes it, and what it says in lower case is written again byte for
    byte: a name that stands twice, whatever its case, would be written once. All else has one
    meaning in every compact text, but for numbers and depth.

    Args:
        decode: of msgspec, for a type whose numbers and depth are those of `plain_object`.
    """
    if body.isascii() and body.find(_SPACED, 0, _SPACED_WITHIN) < 0:
        try:
            value = decode(body)
            folded = body.lower()
            if encode(_decode(folded)) == folded:
                return value
        except (msgspec.DecodeError, RecursionError):
            return None  # who parses it finds out what is wrong with it, if anything is
    return None


def _parse_slowly(text: str) -> Json:
    try:
        value = _read(text)
    except json.JSONDecodeError as error:
        raise TheirError(
            "body_not_json", f"not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from None
    except RecursionError:
        raise _too_deep() from None
    # Fewer brackets than the limit cannot nest deeper than it: the common case costs two scans.
    if text.count("{") + text.count("[") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
        raise _too_deep()
    if "\\u" in text and _SURROGATE_ESCAPE.search(text):
        _refuse_lone_surrogates(value)
    return value  # type: ignore[no-any-return]  # the decoder's Any


encode: Callable[[Json], bytes] = msgspec.json.Encoder().encode
"""Encode a parsed value: compact, names in the order they came in.

Inverse of `parse` up to white space, escapes and the spelling of numbers.
"""


def _check_values(text: str, limit: int) -> None:
    # What stands in strings is counted only when it matters: most texts pass the first count.
    if _separators(text) > limit and _separators(_STRING.sub("", text)) > limit:
        raise TheirError("too_many_values", f"more than {limit} values in one body")


def _separators(text: str) -> int:
    """At least as many as there are values, less one: each follows a comma or opens a bracket."""
    return text.count(",") + text.count("[") + text.count("{")


def plain_object(levels: int = PLAIN_DEPTH) -> Any:
    """The type of an object that is strict as to its numbers, and so many levels deep."""
    value: Any = (
        None
        | bool
        | Annotated[int, msgspec.Meta(ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER)]
        | float
        | str
    )
    one = value
    for _ in range(levels - 1):
        value = one | dict[str, value] | list[value]
    return dict[str, value]


decode_object: Callable[[bytes], JsonObject] = msgspec.json.Decoder(plain_object()).decode
"""For `parse_plain`: any object."""

_decode = msgspec.json.Decoder().decode


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    # The same few shapes come again and again, and comparing them folded is what costs most.
    if tuple(value) not in _distinct or len(value) != len(pairs):
        _check_names([name for name, _ in pairs])
    return value


_distinct: set[tuple[str, ...]] = set()
"""Shapes of objects whose names are known to differ by more than case. Bounded."""


def _check_names(names: list[str]) -> None:
    folded = [name.casefold() for name in names]
    if len(set(folded)) != len(folded):
        raise _twice(folded)
    if len(names) <= _MAX_SHAPE_NAMES and sum(map(len, names)) <= _MAX_SHAPE_CHARS:
        if len(_distinct) >= _MAX_SHAPES:  # whoever makes up names is not to fill it for good
            _distinct.clear()
        _distinct.add(tuple(names))


def _integer(digits: str) -> int:
    # The length is looked at first: int() of a very long text is slow on purpose.
    if len(digits) > _SAFE_DIGITS and (
        len(digits) > _SAFE_DIGITS + 2 or abs(int(digits)) > MAX_SAFE_INTEGER
    ):
        raise TheirError(
            "number_not_exact",
            f"the integer `{digits[:_QUOTED_LIMIT]}` is beyond 2**53 - 1; send it as text",
        )
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise TheirError(
            "number_not_exact", f"the number `{digits[:_QUOTED_LIMIT]}` is too large for a double"
        )
    return value


def _constant(word: str) -> Never:
    raise TheirError("body_not_json", f"`{word}` is not JSON")


_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
_WHITE_SPACE = " \t\n\r"


def _read(text: str) -> Any:
    """`_decoder.decode`, without its two searches for white space around a text that has none."""
    try:
        value, end = _decoder.raw_decode(text)
    except json.JSONDecodeError:
        return _decoder.decode(text)  # white space before it, or it says what is wrong
    if end != len(text) and text[end:].strip(_WHITE_SPACE):
        return _decoder.decode(text)  # something after it: says what
    return value


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        below: list[Any] = []
        for item in level:
            if type(item) is dict:
                below.extend(item.values())
            elif type(item) is list:
                below.extend(item)
        level = below
    return any(type(item) is dict or type(item) is list for item in level)


def _refuse_lone_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise TheirError("text_not_unicode", "text holds a lone surrogate") from None


def _twice(names: list[str]) -> TheirError:
    # A set, not a look back at each: one body holds half a million names, the twin comes last.
    seen: set[str] = set()
    for name in names:
        if name in seen:
            break
        seen.add(name)
    shown = name[:_QUOTED_LIMIT].encode("ascii", "backslashreplace").decode()
    return TheirError(
        "name_twice", f"the name `{shown}` stands twice in one object (case does not tell apart)"
    )


def _too_deep() -> TheirError:
    return TheirError("nested_too_deep", f"nested deeper than {MAX_DEPTH} levels")
