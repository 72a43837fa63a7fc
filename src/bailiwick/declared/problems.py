"""What is wrong with a declaration, where, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from bailiwick.core.errors import ConfigError

MAX_PROBLEMS = 100
"""How many problems one message lists; the rest are counted."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands: a file as it was named, line and column from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong, in one line. Never holds a secret."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class DeclarationError(ConfigError):
    """Declarations cannot be used; `problems` are all that was found, in order of place."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = tuple(sorted(set(problems)))
        lines = [str(problem) for problem in self.problems[:MAX_PROBLEMS]]
        more = len(self.problems) - MAX_PROBLEMS
        if more > 0:
            lines.append(f"and {more} more problems")
        super().__init__("declaration_invalid", "\n".join(lines))


def nearest(word: str, known: Collection[str], limit: int = 1) -> list[str]:
    """The names in `known` that `word` may have been meant to be, nearest first."""
    by_lower = {name.lower(): name for name in sorted(known)}
    found = difflib.get_close_matches(word.lower()[:128], list(by_lower), n=limit, cutoff=0.6)
    return [by_lower[name] for name in found]


def did_you_mean(word: str, known: Collection[str]) -> str:
    """ ", did you mean `email`?", or the known names if few, or ""."""
    near = nearest(word, known)
    if near:
        return f", did you mean `{near[0]}`?"
    if known and len(known) <= 12:
        return "; known are " + ", ".join(f"`{name}`" for name in sorted(known))
    return ""
