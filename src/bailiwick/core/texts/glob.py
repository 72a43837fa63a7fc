r"""Globs with one wildcard: `*` stands for any run of characters, slashes included.

`\*` is a literal star and `\\` a backslash; every other character is itself. Matching is a few
plain substring searches, so it takes time linear in the text whatever the pattern.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from bailiwick.core.values import fold_inside


@dataclass(frozen=True, slots=True)
class Glob:
    """A compiled glob.

    Attributes:
        text: as written.
        parts: the literal pieces between the stars; one piece means no star at all.
    """

    text: str
    parts: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Split `text` once. Raises ValueError for a backslash before anything but `*` or `\\`."""
        object.__setattr__(self, "parts", tuple(_split(self.text)))

    @property
    def literal(self) -> bool:
        """Whether it matches exactly one text."""
        return len(self.parts) == 1

    def matches(self, text: str) -> bool:
        """Whether the whole of `text` fits."""
        parts = self.parts
        if len(parts) == 2:  # one star: the usual case, on the path of every call
            head, tail = parts
            room = len(text) >= len(head) + len(tail)
            return room and text.startswith(head) and text.endswith(tail)
        return _fits(parts, text)

    def nearly_matches(self, folded_text: str) -> bool:
        """Whether a text fits once both are folded; `folded_text` is `fold(text)`."""
        return _fits(_folded(self.parts), folded_text)


@lru_cache(maxsize=1024)
def _folded(parts: tuple[str, ...]) -> tuple[str, ...]:
    folded = [fold_inside(part) for part in parts]
    # The folded text has no outer spaces, so the outer pieces must not ask for any.
    folded[0] = folded[0].lstrip()
    folded[-1] = folded[-1].rstrip()
    return tuple(folded)


def _fits(parts: tuple[str, ...], text: str) -> bool:
    head = parts[0]
    if len(parts) == 1:
        return text == head
    tail = parts[-1]
    if not text.startswith(head):
        return False
    end = len(text) - len(tail)
    at = len(head)
    if end < at or not text.endswith(tail):
        return False
    # Leftmost is enough: a later place for a piece leaves only less room for the next ones.
    for part in parts[1:-1]:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _split(text: str) -> list[str]:
    parts = [""]
    letters = iter(text)
    for letter in letters:
        if letter == "\\":
            escaped = next(letters, "")
            if escaped not in ("*", "\\"):
                raise ValueError(r"a backslash may only stand before `*` or `\`")
            parts[-1] += escaped
        elif letter == "*":
            # Several stars in a row are one.
            if len(parts) == 1 or parts[-1]:
                parts.append("")
        else:
            parts[-1] += letter
    return parts
