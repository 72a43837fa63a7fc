"""Conditions on text."""

from __future__ import annotations

from dataclasses import dataclass

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.canonical import Json
from bailiwick.core.conditions.base import Condition, listed, not_text
from bailiwick.core.glob import Glob
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, MAX_FOLDED, Truth, fold, show


@dataclass(frozen=True, slots=True)
class Matches(Condition):
    """The value is text that fits one of `globs`, case and all."""

    path: ArgumentPath
    globs: tuple[Glob, ...]
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        if not isinstance(value, str):
            return CANNOT_TELL
        return fits(self.globs, value)

    def stands(self, value: Json) -> str:
        """How this value stands."""
        return f"is {show(value)}" if isinstance(value, str) else not_text(value)

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"like {listed(show(glob.text) for glob in self.globs)}"


def fits(globs: tuple[Glob, ...], text: str) -> Truth:
    """Whether `text` fits one of `globs`; CANNOT_TELL when a lax reader might think so."""
    for glob in globs:
        if glob.matches(text):
            return HOLDS
    if len(text) > MAX_FOLDED:
        return CANNOT_TELL
    folded = fold(text)
    near = any(glob.nearly_matches(folded) for glob in globs)
    return CANNOT_TELL if near else FAILS
