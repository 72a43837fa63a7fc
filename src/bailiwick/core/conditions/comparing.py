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
from bailiwick.core.conditions.base import Condition, Quick, not_quick
from bailiwick.core.conditions.values import OneOf
from bailiwick.core.texts.scales import Scale
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
        pairs = reach_beside(self.path, self.other, arguments)
        before = pairs[0][1]
        asked = self._known(before)
        cases: list[tuple[Found, Condition]] = []
        for found, other in pairs:
            if other is not before:  # many items may stand beside one and the same
                before, asked = other, self._known(other)
            cases.append((found, asked))
        return cases

    def quick(self) -> Quick:
        """Two arguments are never plain."""
        return not_quick

    def permits(self, arguments: JsonObject) -> bool:
        """Whether an allow rule may rely on it."""
        return all(asked.permitted(found) for found, asked in self.cases(arguments))

    def triggers(self, arguments: JsonObject) -> bool:
        """Whether a deny or stamp rule must reckon with it."""
        return any(asked.triggered(found) for found, asked in self.cases(arguments))

    def _known(self, other: Found) -> Condition:
        asked = None if other is None or isinstance(other, Gap) else self.given(other)
        if asked is not None:
            return asked
        optional = self.optional and (other is None or other is MISSING)
        return Unknown(self.path, self, other, optional)


@dataclass(frozen=True, slots=True)
class Unknown(Condition):
    """What is asked cannot be known, because `other` does not tell."""

    path: ArgumentPath
    asked: Beside
    other: Found
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Nothing can be told."""
        return CANNOT_TELL

    def stands(self, value: Json) -> str:
        """How this value stands."""
        if self.other is None or self.other is MISSING:
            fault = "is not given"
        else:
            fault = "cannot be read" if isinstance(self.other, Gap) else f"is {show(self.other)}"
        return f"is {show(value)} ({show(format_argument_path(self.asked.other))} {fault})"

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return self.asked.phrase


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
        if self.scale is not None:
            bound = self.scale.read(other)
            return None if bound is None else _Against(self.path, self, other, bound, self.optional)
        if isinstance(other, Mapping | list | tuple):
            return None
        if isinstance(other, str) and len(other) > MAX_FOLDED:
            return None
        # Made once and asked of each item: it sets aside what it takes to compare.
        return _Same(self.path, self, OneOf(self.path, (other,)), self.optional)

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"{self.how.value} {show(format_argument_path(self.other))}"


@dataclass(frozen=True, slots=True)
class _Same(Condition):
    """An EQUAL whose other value is known."""

    path: ArgumentPath
    asked: Compared
    same: OneOf
    optional: bool

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        return self.same.of(value)

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"{self.asked.phrase}, which is {show(self.same.values[0])}"


@dataclass(frozen=True, slots=True)
class _Against(Condition):
    """A `Compared` on a scale whose other value is known."""

    path: ArgumentPath
    asked: Compared
    other: Json
    bound: Number
    optional: bool

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        found = self._scale.read(value)
        if found is None:
            return CANNOT_TELL
        how = self.asked.how
        if how is How.EQUAL:
            return HOLDS if found == self.bound else FAILS
        holds = found <= self.bound if how is How.AT_MOST else found >= self.bound
        return HOLDS if holds else FAILS

    def stands(self, value: Json) -> str:
        """How this value stands."""
        if self._scale.read(value) is None:
            return f"is {kind_of(value)} {show(value)} and not {self._scale.noun}"
        return f"is {show(value)}"

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"{self.asked.phrase}, which is {show(self.other)}"

    @property
    def _scale(self) -> Scale:
        assert self.asked.scale is not None
        return self.asked.scale


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
