"""Conditions on the items of a list together: all of them, at least one, none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from bailiwick.core.argument_path import MISSING, ArgumentPath
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions.base import Condition, Quick, name_of, not_quick
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth, every, some


class Which(Enum):
    """Of how many items something must hold."""

    ALL = "every"
    ANY = "at least one"
    NONE = "no"


@dataclass(frozen=True, slots=True)
class Items(Condition):
    """Of everything the path leads to, `which` meets all of `conditions`.

    Without this, an allow rule asks every item and a deny or stamp rule is content with one. This
    asks the same of both, in one three-valued answer. An empty list is no list: nothing can be
    told.

    Attributes:
        conditions: on the same path, none of them optional.
        optional: items (and a list) that are missing or null are passed over.
    """

    path: ArgumentPath
    which: Which
    conditions: tuple[Condition, ...]
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether one item meets all conditions."""
        return every(condition.of(value) for condition in self.conditions)

    @property
    def paths(self) -> tuple[ArgumentPath, ...]:
        """The arguments it names."""
        return (self.path, *(path for each in self.conditions for path in each.paths[1:]))

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders any of its conditions holds paths to."""
        return tuple(folder for each in self.conditions for folder in each.folders)

    def names_files(self, value: Json) -> Iterable[str]:
        """The paths that any of its conditions is about."""
        return (text for each in self.conditions for text in each.names_files(value))

    def quick(self) -> Quick:
        """Items together are never plain."""
        return not_quick

    def permits(self, arguments: JsonObject) -> bool:
        """Whether an allow rule may rely on it."""
        truth = self._truth(arguments)
        return truth is HOLDS or truth is None

    def triggers(self, arguments: JsonObject) -> bool:
        """Whether a deny or stamp rule must reckon with it."""
        truth = self._truth(arguments)
        return truth is HOLDS or truth is CANNOT_TELL

    @property
    def phrase(self) -> str:
        """What must be so of the items."""
        return " and ".join(condition.phrase for condition in self.conditions)

    def sentence(self) -> str:
        """The condition as a statement: "no `items[].kind` is one of `gift`"."""
        return f"{self._asks}{', if given' if self.optional else ''}"

    def _truth(self, arguments: JsonObject) -> Truth | None:
        """Whether it holds; None where all is missing and may be."""
        truths = self._each(arguments)
        if not truths:
            return None
        if self.which is Which.ALL:
            return every(truths)
        found = some(truths)
        if self.which is Which.ANY or found is CANNOT_TELL:
            return found
        return FAILS if found is HOLDS else HOLDS

    def failure(self, arguments: JsonObject) -> str:
        """Why `permits` says no: how many items meet it, and what is allowed."""
        return f"{self.standing(arguments, allows=True)}, allowed is that {self._asks}"

    def reason(self, arguments: JsonObject) -> str:
        """Why `triggers` says yes, or what cannot be told."""
        state = self.standing(arguments, allows=False)
        if self._truth(arguments) is HOLDS:
            return f"{state} and so {self._asks}"
        return f"{state}, so it cannot be told whether {self._asks}"

    def standing(self, arguments: JsonObject, *, allows: bool) -> str:
        """How many items meet the conditions: "`items[].kind` does so for 1 of 3 items"."""
        truths = self._each(arguments)
        met, unclear = truths.count(HOLDS), truths.count(CANNOT_TELL)
        doubt = f" and cannot be told for {unclear}" if unclear else ""
        return f"{name_of(self)} is {self.phrase} for {met} of {len(truths)}{doubt}"

    @property
    def _asks(self) -> str:
        return f"{self.which.value} {name_of(self)} is {self.phrase}"

    def _each(self, arguments: JsonObject) -> list[Truth]:
        """How each item stands, without those that are passed over."""
        # The conditions are on one path, so they lead to the same items in the same order.
        columns = [condition.cases(arguments) for condition in self.conditions]
        return [
            every(asked.truth(found) for found, asked in row)
            for row in zip(*columns, strict=True)
            if not (self.optional and (row[0][0] is MISSING or row[0][0] is None))
        ]
