"""Pinned definitions for reading: what changed, side by side, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from bailiwick.console.shapes import parsed
from bailiwick.console.wording import pretty
from bailiwick.ports import Pinned, PinState

MAX_COMPARED_LINES = 1_500
"""Comparing takes quadratic time at worst; beyond this, nothing is marked as changed."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a definition, and whether the other side lacks it."""

    text: str
    changed: bool


Beside = tuple[Sequence[Line], Sequence[Line]]
"""The accepted definition's lines and the new one's."""


def by_definition(
    pins: Sequence[Pinned],
) -> tuple[list[tuple[Pinned | None, Pinned]], list[Pinned]]:
    """Definitions that changed, each with the accepted one, and those that did not."""
    accepted = {_key(pin): pin for pin in pins if pin.state is PinState.ACCEPTED}
    held = {_key(pin): pin for pin in pins if pin.state is PinState.HELD}
    changed = [(accepted.get(key), held[key]) for key in sorted(held)]
    return changed, [accepted[key] for key in sorted(accepted) if key not in held]


def beside(old: Pinned | None, new: Pinned) -> Beside:
    """Both definitions as lines, changed ones marked."""
    before = [] if old is None else _lines(old)
    after = _lines(new)
    if max(len(before), len(after)) > MAX_COMPARED_LINES:
        return [Line(text, False) for text in before], [Line(text, False) for text in after]
    same_before: set[int] = set()
    same_after: set[int] = set()
    for match in SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks():
        same_before.update(range(match.a, match.a + match.size))
        same_after.update(range(match.b, match.b + match.size))
    return _marked(before, same_before), _marked(after, same_after)


def _marked(lines: Sequence[str], same: set[int]) -> list[Line]:
    return [Line(text, place not in same) for place, text in enumerate(lines)]


def _lines(pin: Pinned) -> list[str]:
    return pretty(parsed(pin.definition)).split("\n")


def _key(pin: Pinned) -> tuple[str, str, str]:
    return pin.upstream, pin.kind, pin.name
