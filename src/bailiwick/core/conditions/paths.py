"""Conditions on file paths, by their text (see `core/texts/paths.py`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.canonical import Json
from bailiwick.core.conditions.base import Condition, listed, not_text
from bailiwick.core.texts.paths import PathText, read_path
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth, show, some


@dataclass(frozen=True, slots=True)
class Under(Condition):
    """The value is a path at or below one of `roots`, by its text.

    Relative roots are for relative values and absolute ones for absolute values.
    """

    path: ArgumentPath
    roots: tuple[str, ...]
    optional: bool = False
    _roots: tuple[PathText, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the roots once. Raises ValueError when one has no single meaning."""
        object.__setattr__(self, "_roots", tuple(_read_root(root) for root in self.roots))

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        if not isinstance(value, str):
            return CANNOT_TELL
        path = read_path(value)
        if isinstance(path, str):
            return CANNOT_TELL
        return some(_contains(root, path) for root in self._roots)

    def stands(self, value: Json) -> str:
        """How this value stands."""
        if not isinstance(value, str):
            return not_text(value)
        why = read_path(value)
        return f"is {show(value)} which {why}" if isinstance(why, str) else f"is {show(value)}"

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"a path under {listed(show(root) for root in self.roots)}"


def _contains(root: PathText, path: PathText) -> Truth:
    if path.is_under(root):
        return HOLDS
    return CANNOT_TELL if path.may_be_under(root) else FAILS


def _read_root(root: str) -> PathText:
    path = read_path(root)
    if isinstance(path, str):
        raise ValueError(f"the folder {show(root)} {path}")
    return path
