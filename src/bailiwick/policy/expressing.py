"""Arguments expressed in Cedar's types.

INVARIANT: a value is expressed exactly or not at all (`Inexpressible`), and only by the type its
definition gives it. So nothing in an argument is ever read as Cedar's own notation for entities
and extensions (`{"__entity": …}`), nothing is rounded, and nothing nests deeper than its type.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.values import MAX_FOLDED, fold, kind_of, number_of, show
from bailiwick.policy.types import RecordOf, SetOf, Simple, Type

MAX_VALUES = 2_000
MAX_CHARS = 65_536
"""Bounds of what one call gives policies to look at."""

LEAST_LONG, MOST_LONG = -(2**63), 2**63 - 1

_DECIMAL_PLACES = 4


class Inexpressible(ValueError):
    """A value that has no exact form in its type; the message says which, for people."""


class Expression:
    """Expresses the values of one call, bounded over all of them."""

    __slots__ = ("_chars", "_values")

    def __init__(self) -> None:
        self._values = 0
        self._chars = 0

    def of(self, value: Json, type_: Type, path: str) -> Json:
        """`value` as a value of `type_`, in Cedar's JSON.

        Raises:
            Inexpressible: it has no exact form there, or there is too much in this call.
        """
        self._values += 1
        if self._values > MAX_VALUES:
            raise Inexpressible(f"it holds more than {MAX_VALUES} values that they look at")
        if isinstance(type_, Simple):
            return self._simple(value, type_, path)
        if isinstance(type_, SetOf):
            if not isinstance(value, list):
                raise _mismatch(path, value, "a list")
            return [self.of(item, type_.item, f"{path}[]") for item in value]
        return self._record(value, type_, path)

    def texts(self, values: list[str]) -> list[Json]:
        """Texts that are no value of an argument."""
        return [self.of(value, Simple.TEXT, "") for value in values]

    def _record(self, value: Json, type_: RecordOf, path: str) -> Json:
        if not isinstance(value, Mapping):
            raise _mismatch(path, value, "an object")
        found: dict[str, Json] = {}
        missing: list[str] = []
        for name, one in type_.attributes.items():
            inside = value.get(name)
            at = f"{path}.{name}" if path else name
            if inside is not None:
                found[name] = self.of(inside, one.type, at)
                continue
            if one.required:
                raise Inexpressible(f"{show(at)} is missing")
            missing.append(name)
        if missing and len(value) > len(found):
            _no_look_alike(value, type_, missing)
        return found

    def _simple(self, value: Json, type_: Simple, path: str) -> Json:
        kind = type(value)
        if type_ is Simple.TEXT and kind is str:
            self._chars += len(value)  # type: ignore[arg-type]  # text by its type
            if self._chars > MAX_CHARS:
                raise Inexpressible(f"it holds more than {MAX_CHARS} characters that they look at")
            return value
        if type_ is Simple.FLAG and kind is bool:
            return value
        if type_ is Simple.WHOLE and kind in (int, float):
            return _whole(value, path)
        if type_ is Simple.DECIMAL and kind in (int, float):
            return _decimal(value, path)
        raise _mismatch(path, value, _NOUNS[type_])


_NOUNS = {
    Simple.TEXT: "text",
    Simple.FLAG: "a boolean",
    Simple.WHOLE: "a whole number",
    Simple.DECIMAL: "a number",
}


def _whole(value: Json, path: str) -> int:
    number = number_of(value)
    if number is None or number != int(number) or not LEAST_LONG <= number <= MOST_LONG:
        raise Inexpressible(f"{show(path)} is {show(value)}, which is no whole number of 64 bits")
    return int(number)


def _decimal(value: Json, path: str) -> Json:
    number = number_of(value)
    if number is not None:
        exact = Decimal(number)
        places = -exact.as_tuple().exponent  # type: ignore[operator]  # finite, so a number
        steps = int(exact.scaleb(_DECIMAL_PLACES)) if abs(exact) < 10**15 else MOST_LONG + 1
        if places <= _DECIMAL_PLACES and LEAST_LONG <= steps <= MOST_LONG:
            sign, digits = "-" if steps < 0 else "", f"{abs(steps):05}"
            text = f"{sign}{digits[:-_DECIMAL_PLACES]}.{digits[-_DECIMAL_PLACES:]}"
            return {"__extn": {"fn": "decimal", "arg": text}}
    raise Inexpressible(
        f"{show(path)} is {show(value)}: policies compare numbers of at most "
        f"{_DECIMAL_PLACES} decimal places exactly, and no others"
    )


def _no_look_alike(value: JsonObject, type_: RecordOf, missing: list[str]) -> None:
    """`Amount` may be what a server takes for the `amount` that is not there."""
    folded = {fold(name): name for name in missing}
    for other in value:
        if other in type_.attributes:
            continue
        near = None if len(other) > MAX_FOLDED else folded.get(fold(other))
        if near is not None and near != other:
            raise Inexpressible(f"{show(other)} may be taken for {show(near)}")


def _mismatch(path: str, value: Json, noun: str) -> Inexpressible:
    return Inexpressible(f"{show(path)} is {kind_of(value)}, and its tool takes {noun} there")
