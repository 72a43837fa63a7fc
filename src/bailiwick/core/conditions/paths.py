"""Conditions on file paths: by their text, and by where they lead if that is known.

See `core/texts/paths.py` for the one and `core/texts/led.py` for the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.canonical import Json
from bailiwick.core.conditions.base import Condition, listed, not_text
from bailiwick.core.texts.led import Led
from bailiwick.core.texts.paths import PathText, read_path, read_real
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth, show, some


@dataclass(frozen=True, slots=True)
class Under(Condition):
    """The value is a path at or below one of `roots`.

    Relative roots are for relative values and absolute ones for absolute values. Where the value
    leads elsewhere than its text says, or a root does, both the text and the place it leads to
    decide: what they do not agree on cannot be told.
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
        truth = some(_contains(root, path) for root in self._roots)
        if isinstance(value, Led) and self._really(value, truth) is not truth:
            return CANNOT_TELL
        return truth

    @property
    def folders(self) -> tuple[str, ...]:
        """The roots."""
        return self.roots

    def names_files(self, value: Json) -> Iterable[str]:
        """The value itself."""
        return (value,) if isinstance(value, str) else ()

    def stands(self, value: Json) -> str:
        """How this value stands. It reaches the agent, so it does not say where links lead."""
        if not isinstance(value, str):
            return not_text(value)
        path = read_path(value)
        if isinstance(path, str):
            return f"is {show(value)} which {path}"
        if isinstance(value, Led):
            truth = some(_contains(root, path) for root in self._roots)
            if self._really(value, truth) is not truth:
                if not value.leads[value]:
                    return f"is {show(value)}, and where that leads cannot be told"
                return f"is {show(value)}, which leads elsewhere by a symbolic link"
        return f"is {show(value)}"

    def _really(self, value: Led, otherwise: Truth) -> Truth:
        """Whether it leads to one of the places that the roots lead to; `otherwise` if nobody
        looked."""
        there = value.leads.get(value)
        if there is None:
            return otherwise
        place = read_real(there)
        if place is None:
            return CANNOT_TELL
        roots = (read_real(value.leads.get(root, root)) for root in self.roots)
        return some(CANNOT_TELL if root is None else _contains(root, place) for root in roots)

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
