"""Leave to pass on part of a mandate: to whom, how deep, to how many.

A child mandate is named after its parent: `pay:clerk` is a child of `pay`, `pay:clerk:reader` of
`pay:clerk`. No declared name holds a colon, so a child can neither stand in for a declared mandate
nor be declared itself, and a name cannot lie about whose child it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from bailiwick.core.texts.glob import Glob

SEPARATOR = ":"
"""Between a parent's name and what the child is called below it."""

MAX_DEPTH = 8
"""Longest line of children below a declared mandate."""

MAX_CHILDREN = 100
"""Most children of one mandate that may live at the same time."""

MAX_BELOW = 1_000
"""Most mandates below one declared mandate, at all depths, that may live at the same time."""

MAX_MADE = 10_000
MAX_MADE_A_DAY = 1_000
"""Most mandates that are ever made below one declared mandate, and in a day: those that have ended
stay on record, and an agent can make and end them without pause."""

MAX_MADE_CHARS = 32 * 2**20
"""Most characters of all their documents: each declaration and each new child reads them all."""

DEFAULT_CHILDREN = 20


@dataclass(frozen=True, slots=True)
class Delegation:
    """Leave to delegate. A mandate without it has no children.

    Attributes:
        to: which agents may be given a child mandate.
        depth: how long a line of children may become below this mandate; 1 or more.
        children: how many children of this mandate may live at the same time.
    """

    to: tuple[Glob, ...]
    depth: int = 1
    children: int = DEFAULT_CHILDREN

    def reaches(self, agent: str) -> bool:
        """Whether `agent` may be given a child."""
        return any(glob.matches(agent) for glob in self.to)


def child_name(parent: str, suffix: str) -> str:
    """The full name of a child."""
    return f"{parent}{SEPARATOR}{suffix}"


def parent_name(name: str) -> str:
    """The name of the mandate `name` was made from; "" for a declared one."""
    return name.rpartition(SEPARATOR)[0]


def root_name(name: str) -> str:
    """The declared mandate at the top of the line `name` stands in."""
    return name.partition(SEPARATOR)[0]


def is_below(name: str, ancestor: str) -> bool:
    """Whether `name` is a child of `ancestor`, or a child of its children."""
    return name.startswith(ancestor + SEPARATOR)
