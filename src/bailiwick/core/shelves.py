"""How much is remembered for all mandates together that were made by delegation.

An agent can make a thousand of them, and each remembers what it asks of its targets
(`bailiwick.core.line`). What each alone may remember is bounded; so is, here, what all may: what
was added to longest ago goes first, and is worked out again when it is next asked for.

Only whoever works something out comes here, never whoever finds it.
"""

from __future__ import annotations

import weakref
from collections.abc import Sized
from typing import Protocol

MAX_PARTS = 256 * 1024
"""Parts that are remembered in all, of some half a kilobyte each."""

PARTS_OF_FORMS = 128
"""What the forms of some limits may come to."""


class Forgettable(Sized, Protocol):
    """A dict, say."""

    def clear(self) -> None:
        """Forget all of it."""
        ...


class Shelf:
    """What is remembered for one line of mandates.

    Args:
        lines: by target; each has `mandates` parts.
        forms: of what its calls take of limits.
        others: what goes with the lines.
    """

    __slots__ = ("__weakref__", "_forms", "_lines", "_mandates", "_others")

    def __init__(
        self, lines: Forgettable, mandates: int, forms: Forgettable, *others: Forgettable
    ) -> None:
        self._lines = lines
        self._mandates = mandates
        self._forms = forms
        self._others = others

    def parts(self) -> int:
        """How much there is, about."""
        return len(self._lines) * self._mandates + len(self._forms) * PARTS_OF_FORMS

    def clear(self) -> None:
        """Forget all of it."""
        for each in (self._lines, self._forms, *self._others):
            each.clear()


class Shelves:
    """All shelves that anything stands on, least recently added to first.

    Threads may share it: each step is one of a dict's own, and a count that is a little off at
    times makes no difference to what is true.
    """

    def __init__(self, most: int = MAX_PARTS) -> None:
        self._most = most
        # Weak: a mandate that is declared anew, or ended, takes its shelf with it.
        self._shelves: dict[int, weakref.ref[Shelf]] = {}
        self._added = 0

    def added(self, shelf: Shelf, parts: int) -> None:
        """So much has come onto `shelf`."""
        key = id(shelf)
        self._shelves.pop(key, None)
        self._shelves[key] = weakref.ref(shelf)
        self._added += parts
        if self._added > self._most // 2:
            self._added = 0
            self._make_room(shelf)

    def parts(self) -> int:
        """How much stands on all of them, about."""
        found = [each() for each in list(self._shelves.values())]
        return sum(shelf.parts() for shelf in found if shelf is not None)

    def _make_room(self, but: Shelf) -> None:
        """Leave room for as much as comes before the next look."""
        too_many = self.parts() - self._most // 2
        for key, weak in list(self._shelves.items()):
            shelf = weak()
            if shelf is None:
                self._shelves.pop(key, None)
            elif too_many > 0 and shelf is not but:
                too_many -= shelf.parts()
                self._shelves.pop(key, None)
                shelf.clear()
