"""Conditions on a value as a whole: which it is, and whether there is one."""

from __future__ import annotations

from dataclasses import dataclass, field

from bailiwick.core.argument_path import ArgumentPath, Found
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions.base import Condition, listed, name_of, stands
from bailiwick.core.values import (
    CANNOT_TELL,
    FAILS,
    HOLDS,
    MAX_FOLDED,
    Truth,
    compare,
    fold,
    show,
    some,
)


@dataclass(frozen=True, slots=True)
class OneOf(Condition):
    """The value is one of `values`: same type and content, numbers by their exact value."""

    path: ArgumentPath
    values: tuple[Json, ...]
    optional: bool = False
    _texts: frozenset[str] = field(init=False, repr=False, compare=False)
    _folded: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Set the texts aside: most lists are of texts, and a set answers at once."""
        texts = frozenset(value for value in self.values if isinstance(value, str))
        object.__setattr__(self, "_texts", texts)
        object.__setattr__(self, "_folded", frozenset(fold(text) for text in texts))

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        if isinstance(value, str):
            if value in self._texts:
                return HOLDS
            # Folded once, not once for each of perhaps many values.
            near = len(value) > MAX_FOLDED or fold(value) in self._folded
            other_types = any(not isinstance(wanted, str) for wanted in self.values)
            return CANNOT_TELL if near or other_types else FAILS
        return some(compare(value, wanted) for wanted in self.values)

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"one of {listed(show(value) for value in self.values)}"


@dataclass(frozen=True, slots=True)
class Equals(Condition):
    """The value is `value`: same type and content, numbers by their exact value."""

    path: ArgumentPath
    value: Json
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        return compare(value, self.value)

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"equal to {show(self.value)}"


@dataclass(frozen=True, slots=True)
class Present(Condition):
    """The argument is given, or with `wanted` False is not given. Null may be either."""

    path: ArgumentPath
    wanted: bool = True
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether it holds for a value that is there."""
        if value is None:
            return CANNOT_TELL
        return HOLDS if self.wanted else FAILS

    def of_missing(self) -> Truth:
        """Whether it holds where no value is given."""
        return FAILS if self.wanted else HOLDS

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return "given" if self.wanted else "not given"

    def why(self, found: Found) -> str:
        """How it stands says it all."""
        return f"{name_of(self)} {stands(self, found)}"


@dataclass(frozen=True, slots=True)
class Anything(Condition):
    """Names the argument, and everything beneath it, without asking anything of it."""

    path: ArgumentPath
    optional: bool = True

    def of(self, value: Json) -> Truth:
        """It always holds."""
        return HOLDS

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return "anything"

    def triggers(self, arguments: JsonObject) -> bool:
        """It asks nothing, so nothing can fail."""
        return True

    def triggered(self, found: Found) -> bool:
        """It asks nothing, so nothing can fail."""
        return True

    def why(self, found: Found) -> str:
        """How it stands says it all."""
        return f"{name_of(self)} {stands(self, found)}"

    def sentence(self) -> str:
        """The condition as a statement."""
        return f"{name_of(self)} is anything"
