"""Conditions that read a second argument beside the first.

The agent chooses both, so these ask whether a call agrees with itself ("no more than the invoice
says"); they bound nothing by themselves. Where the path goes into lists, the second argument is
read beside each item: `items[].net` with `items[].gross` compares item by item.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from bailiwick.core.argument_path import (
    MISSING,
    ArgumentPath,
    Found,
    Gap,
    format_argument_path,
    reach_beside,
    steps_into_lists,
)
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions.base import Condition
from bailiwick.core.conditions.values import OneOf
from bailiwick.core.scales import Scale
from bailiwick.core.values import (
    CANNOT_TELL,
    FAILS,
    HOLDS,
    MAX_FOLDED,
    Number,
    Truth,
    kind_of,
    show,
)


class Beside(Condition):
    """A condition on `path` that depends on what stands at `other`.

    Where the other argument is missing, null or cannot be read, nothing can be told. `optional`
    speaks of the first argument alone, but what stands at `other` must still be readable: it is
    named by this condition, and would else let anything be given there.

    Attributes:
        other: the second argument; up to its last `[]` it is the same as `path`.
    """

    __slots__ = ()
    other: ArgumentPath

    @abstractmethod
    def given(self, other: Json) -> Condition | None:
        """The same as a condition on the first argument alone; None if `other` cannot be read."""

    def of(self, value: Json) -> Truth:
        """Nothing can be told of a value without the other one."""
        return CANNOT_TELL

    @property
    def paths(self) -> tuple[ArgumentPath, ...]:
        """It names both arguments."""
        return (self.path, self.other)

    def cases(self, arguments: JsonObject) -> list[tuple[Found, Condition]]:
        """Everything the path leads to, each with what is asked of it beside the other."""
        cases: list[tuple[Found, Condition]] = []
        before: Found = MISSING
        asked = self._known(MISSING)
        for found, other in reach_beside(self.path, self.other, arguments):
            if other is not before:  # many items may stand beside one and the same
                before, asked = other, self._known(other)
            cases.append((found, asked))
        return cases

    def permits(self, arguments: JsonObject) -> bool:
        """Whether an allow rule may rely on it."""
        return all(asked.permitted(found) for found, asked in self.cases(arguments))

    def triggers(self, arguments: JsonObject) -> bool:
        """Whether a deny or stamp rule must reckon with it."""
        return any(asked.triggered(found) for found, asked in self.cases(arguments))

    def _known(self, other: Found) -> Condition:
        name = show(format_argument_path(self.other))
        if other is None or other is MISSING:
            return Unknown(self.path, self.phrase, f"{name} is not given", self.optional)
        if isinstance(other, Gap):
            return Unknown(self.path, self.phrase, f"{name} cannot be read")
        return self.given(other) or Unknown(self.path, self.phrase, f"{name} is {show(other)}")


@dataclass(frozen=True, slots=True)
class Unknown(Condition):
    """What is asked cannot be known, because the other argument does not tell: `fault`."""

    path: ArgumentPath
    asks: str
    fault: str
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Nothing can be told."""
        return CANNOT_TELL

    def stands(self, value: Json) -> str:
        """How this value stands."""
        return f"is {show(value)} ({self.fault})"

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return self.asks


class How(Enum):
    """How one argument must stand to the other."""

    EQUAL = "equal to"
    AT_MOST = "at most"
    AT_LEAST = "at least"


@dataclass(frozen=True, slots=True)
class Compared(Beside):
    """The value is equal to, at most or at least the value of another argument.

    Attributes:
        scale: on which both are put in order; None for EQUAL alone, of plain values (no lists, no
            objects) by type and content.
    """

    path: ArgumentPath
    how: How
    other: ArgumentPath
    scale: Scale | None = None
    optional: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError when the two cannot be compared."""
        check_beside(self.path, self.other)
        if self.scale is None and self.how is not How.EQUAL:
            raise ValueError("to put two arguments in order, say on what scale")

    def given(self, other: Json) -> Condition | None:
        """Against a value that is now known."""
        phrase = f"{self.phrase}, which is {show(other)}"
        if self.scale is None:
            if isinstance(other, Mapping | list | tuple):
                return None
            if isinstance(other, str) and len(other) > MAX_FOLDED:
                return None
            # Made once and asked of each item: it sets aside what it takes to compare.
            return _Same(self.path, OneOf(self.path, (other,)), phrase, self.optional)
        bound = self.scale.read(other)
        if bound is None:
            return None
        return _Against(self.path, self.how, bound, self.scale, phrase, self.optional)

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"{self.how.value} {show(format_argument_path(self.other))}"


@dataclass(frozen=True, slots=True)
class _Same(Condition):
    """An EQUAL whose other value is known."""

    path: ArgumentPath
    same: OneOf
    asks: str
    optional: bool

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        return self.same.of(value)

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return self.asks


@dataclass(frozen=True, slots=True)
class _Against(Condition):
    """A `Compared` on a scale whose other value is known."""

    path: ArgumentPath
    how: How
    bound: Number
    scale: Scale
    asks: str
    optional: bool

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        found = self.scale.read(value)
        if found is None:
            return CANNOT_TELL
        if self.how is How.EQUAL:
            return HOLDS if found == self.bound else FAILS
        holds = found <= self.bound if self.how is How.AT_MOST else found >= self.bound
        return HOLDS if holds else FAILS

    def stands(self, value: Json) -> str:
        """How this value stands."""
        if self.scale.read(value) is None:
            return f"is {kind_of(value)} {show(value)} and not {self.scale.noun}"
        return f"is {show(value)}"

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return self.asks


def check_beside(path: ArgumentPath, other: ArgumentPath) -> None:
    """Raises ValueError when `other` cannot be read beside each thing `path` leads to."""
    if path == other:
        raise ValueError("an argument cannot be compared with itself")
    into = steps_into_lists(other)
    if other[:into] != path[:into]:
        raise ValueError(
            f"{show(format_argument_path(other))} goes into another list than "
            f"{show(format_argument_path(path))}: it would be many values"
        )
