"""Conditions on exact numbers."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.canonical import MAX_SAFE_INTEGER, Json, JsonObject
from bailiwick.core.conditions.base import Condition, Quick
from bailiwick.core.values import (
    CANNOT_TELL,
    FAILS,
    HOLDS,
    Number,
    Truth,
    kind_of,
    number_of,
    show,
)


@dataclass(frozen=True, slots=True)
class AtMost(Condition):
    """The value is a number, exact or in plain decimal text, not above `bound`."""

    path: ArgumentPath
    bound: Number
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        number = value if type(value) is int else number_of(value)
        if number is None:
            return CANNOT_TELL
        return HOLDS if number <= self.bound else FAILS

    def quick_at(self, key: str) -> Quick:
        """Most numbers are whole, or are compared with one that is."""
        bound, of, exact = self.bound, self.of, _exact_for_floats(self.bound)

        def ask(arguments: JsonObject) -> Truth | None:
            value = arguments.get(key)
            if type(value) is int or (exact and type(value) is float and isfinite(value)):
                return HOLDS if value <= bound else FAILS
            return None if value is None else of(value)

        return ask

    def stands(self, value: Json) -> str:
        """How this value stands."""
        return _number_stands(value)

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"at most {self.bound}"


@dataclass(frozen=True, slots=True)
class AtLeast(Condition):
    """The value is a number, exact or in plain decimal text, not below `bound`."""

    path: ArgumentPath
    bound: Number
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        number = value if type(value) is int else number_of(value)
        if number is None:
            return CANNOT_TELL
        return HOLDS if number >= self.bound else FAILS

    def quick_at(self, key: str) -> Quick:
        """Most numbers are whole, or are compared with one that is."""
        bound, of, exact = self.bound, self.of, _exact_for_floats(self.bound)

        def ask(arguments: JsonObject) -> Truth | None:
            value = arguments.get(key)
            if type(value) is int or (exact and type(value) is float and isfinite(value)):
                return HOLDS if value >= bound else FAILS
            return None if value is None else of(value)

        return ask

    def stands(self, value: Json) -> str:
        """How this value stands."""
        return _number_stands(value)

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"at least {self.bound}"


def _exact_for_floats(bound: Number) -> bool:
    """Whether a float stands to `bound` as the decimal does that it is written as.

    So it is for whole numbers that are floats themselves: a decimal that is read as another float
    lies on the same side of them as that.
    """
    return type(bound) is int and abs(bound) <= MAX_SAFE_INTEGER


def _number_stands(value: Json) -> str:
    if number_of(value) is None:
        return f"is {kind_of(value)} {show(value)} and not a plain number"
    return f"is {show(value)}"
