"""Conditions on what can be put in order and is no plain number: dates, times, durations; and on
how long a text or a list is."""

from __future__ import annotations

from dataclasses import dataclass, field

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.canonical import Json
from bailiwick.core.conditions.base import Condition, not_text
from bailiwick.core.texts.scales import Scale
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Number, Truth, kind_of, show


@dataclass(frozen=True, slots=True)
class Between(Condition):
    """The value stands on `scale` from `at_least` to `at_most`, both included; "" for no bound."""

    path: ArgumentPath
    scale: Scale
    at_least: str = ""
    at_most: str = ""
    optional: bool = False
    _least: Number | None = field(init=False, repr=False, compare=False)
    _most: Number | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the bounds once. Raises ValueError when one is not on the scale."""
        object.__setattr__(self, "_least", self._bound(self.at_least))
        object.__setattr__(self, "_most", self._bound(self.at_most))
        _check(self._least, self._most, self.at_least, self.at_most)

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        found = self.scale.read(value)
        if found is None:
            return CANNOT_TELL
        return _between(found, self._least, self._most)

    def stands(self, value: Json) -> str:
        """How this value stands."""
        if self.scale.read(value) is None:
            return f"is {kind_of(value)} {show(value)} and not {self.scale.noun}"
        return f"is {show(value)}"

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return _from_to(show(self.at_least), show(self.at_most), self._least, self._most)

    def _bound(self, text: str) -> Number | None:
        if not text:
            return None
        found = self.scale.read(text)
        if found is None:
            raise ValueError(f"{show(text)} is not {self.scale.noun}")
        return found


@dataclass(frozen=True, slots=True)
class Length(Condition):
    """The value is text of `at_least` to `at_most` characters (Unicode code points)."""

    path: ArgumentPath
    at_least: int | None = None
    at_most: int | None = None
    optional: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError when nothing can be between the bounds."""
        _check(self.at_least, self.at_most, str(self.at_least), str(self.at_most))

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        if not isinstance(value, str):
            return CANNOT_TELL
        return _between(len(value), self.at_least, self.at_most)

    def stands(self, value: Json) -> str:
        """How this value stands."""
        return f"is {len(value)} characters long" if isinstance(value, str) else not_text(value)

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        text = _from_to(str(self.at_least), str(self.at_most), self.at_least, self.at_most)
        return f"{text} characters long"


@dataclass(frozen=True, slots=True)
class Count(Condition):
    """The value is a list of `at_least` to `at_most` items.

    An empty list counts as none given, which many tools take for "all": it cannot be told, unless
    `at_least` is there to say what is meant.
    """

    path: ArgumentPath
    at_least: int | None = None
    at_most: int | None = None
    optional: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError when nothing can be between the bounds."""
        _check(self.at_least, self.at_most, str(self.at_least), str(self.at_most))

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        if not isinstance(value, list | tuple):
            return CANNOT_TELL
        if not value and self.at_least is None:
            return CANNOT_TELL
        return _between(len(value), self.at_least, self.at_most)

    def passes_over(self, value: Json) -> bool:
        """Whether this value is as good as none."""
        return value is None or (isinstance(value, list | tuple) and not value)

    def stands(self, value: Json) -> str:
        """How this value stands."""
        if not isinstance(value, list | tuple):
            return f"is {kind_of(value)} and not a list"
        return f"is a list of {len(value)}" if value else "is an empty list"

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        text = _from_to(str(self.at_least), str(self.at_most), self.at_least, self.at_most)
        return f"a list of {text} items"


def _check(least: Number | None, most: Number | None, least_text: str, most_text: str) -> None:
    if least is not None and most is not None and least > most:
        raise ValueError(f"can never be both: {least_text} is above {most_text}")


def _between(found: Number, least: Number | None, most: Number | None) -> Truth:
    if least is not None and found < least:
        return FAILS
    return FAILS if most is not None and found > most else HOLDS


def _from_to(least_text: str, most_text: str, least: Number | None, most: Number | None) -> str:
    if least is None:
        return f"at most {most_text}"
    if most is None:
        return f"at least {least_text}"
    return f"exactly {most_text}" if least == most else f"from {least_text} to {most_text}"
