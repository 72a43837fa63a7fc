"""Conditions on text."""

from __future__ import annotations

from dataclasses import dataclass, field

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions.base import Condition, Quick, listed, not_text
from bailiwick.core.texts.glob import Glob
from bailiwick.core.texts.regex import Regex
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, MAX_FOLDED, Truth, fold, show


class OfText(Condition):
    """A condition that only text can meet."""

    __slots__ = ()

    def stands(self, value: Json) -> str:
        """How this value stands."""
        return f"is {show(value)}" if isinstance(value, str) else not_text(value)


@dataclass(frozen=True, slots=True)
class Matches(OfText):
    """The value is text that fits one of `globs`, case and all."""

    path: ArgumentPath
    globs: tuple[Glob, ...]
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        if not isinstance(value, str):
            return CANNOT_TELL
        return fits(self.globs, value)

    def quick_at(self, key: str) -> Quick:
        """Nearly all are one glob with one star."""
        if len(self.globs) != 1 or len(self.globs[0].parts) != 2:
            return Condition.quick_at(self, key)
        of = self.of
        head, tail = self.globs[0].parts
        room = len(head) + len(tail)

        def ask(arguments: JsonObject) -> Truth | None:
            value = arguments.get(key)
            if (
                type(value) is str
                and value.startswith(head)
                and value.endswith(tail)
                and len(value) >= room
            ):
                return HOLDS
            return None if value is None else of(value)

        return ask

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"like {listed(show(glob.text) for glob in self.globs)}"


@dataclass(frozen=True, slots=True)
class StartsWith(OfText):
    """The value is text that starts with one of `prefixes`, case and all."""

    path: ArgumentPath
    prefixes: tuple[str, ...]
    optional: bool = False
    _globs: tuple[Glob, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """A prefix is a glob that ends in a star, and doubt about it is the same."""
        globs = tuple(Glob(f"{literal(text)}*") for text in self.prefixes)
        object.__setattr__(self, "_globs", globs)

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        return fits(self._globs, value) if isinstance(value, str) else CANNOT_TELL

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"text that starts with {listed(show(text) for text in self.prefixes)}"


@dataclass(frozen=True, slots=True)
class EndsWith(OfText):
    """The value is text that ends with one of `suffixes`, case and all."""

    path: ArgumentPath
    suffixes: tuple[str, ...]
    optional: bool = False
    _globs: tuple[Glob, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """A suffix is a glob that starts with a star, and doubt about it is the same."""
        globs = tuple(Glob(f"*{literal(text)}") for text in self.suffixes)
        object.__setattr__(self, "_globs", globs)

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        return fits(self._globs, value) if isinstance(value, str) else CANNOT_TELL

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"text that ends with {listed(show(text) for text in self.suffixes)}"


@dataclass(frozen=True, slots=True)
class FitsRegex(OfText):
    """The value is text that fits `regex` as a whole."""

    path: ArgumentPath
    regex: Regex
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        return self.regex.of(value) if isinstance(value, str) else CANNOT_TELL

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"text of the form {show(self.regex.text)}"


def literal(text: str) -> str:
    """`text` as a glob that fits it alone."""
    return text.replace("\\", "\\\\").replace("*", "\\*")


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
