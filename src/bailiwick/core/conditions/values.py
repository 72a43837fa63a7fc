"""Conditions on a value as a whole: which it is, and whether there is one."""

from __future__ import annotations

from dataclasses import dataclass, field

from bailiwick.core.argument_path import MISSING, ArgumentPath, Found, at_key
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions.base import Condition, Quick, listed, name_of, stands
from bailiwick.core.values import (
    CANNOT_TELL,
    FAILS,
    HOLDS,
    MAX_FOLDED,
    Truth,
    compare,
    fold,
    show,
    some,
)


@dataclass(frozen=True, slots=True)
class OneOf(Condition):
    """The value is one of `values`: same type and content, numbers by their exact value."""

    path: ArgumentPath
    values: tuple[Json, ...]
    optional: bool = False
    _texts: frozenset[str] = field(init=False, repr=False, compare=False)
    _folded: frozenset[str] = field(init=False, repr=False, compare=False)
    _only_texts: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Set the texts aside: most lists are of texts, and a set answers at once."""
        texts = frozenset(value for value in self.values if isinstance(value, str))
        object.__setattr__(self, "_texts", texts)
        object.__setattr__(self, "_folded", frozenset(fold(text) for text in texts))
        only_texts = all(isinstance(value, str) for value in self.values)
        object.__setattr__(self, "_only_texts", only_texts)

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        if isinstance(value, str):
            if value in self._texts:
                return HOLDS
            # Folded once, not once for each of perhaps many values.
            near = len(value) > MAX_FOLDED or fold(value) in self._folded
            return CANNOT_TELL if near or not self._only_texts else FAILS
        return some(compare(value, wanted) for wanted in self.values)

    def exact_texts(self) -> frozenset[str]:
        """The texts among the values."""
        return self._texts

    def quick_at(self, key: str) -> Quick:
        """Most values are one of the texts."""
        texts, of = self._texts, self.of

        def ask(arguments: JsonObject) -> Truth | None:
            value = arguments.get(key)
            if type(value) is str and value in texts:
                return HOLDS
            return None if value is None else of(value)

        return ask

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"one of {listed(show(value) for value in self.values)}"


@dataclass(frozen=True, slots=True)
class Equals(Condition):
    """The value is `value`: same type and content, numbers by their exact value."""

    path: ArgumentPath
    value: Json
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        return compare(value, self.value)

    def exact_texts(self) -> frozenset[str]:
        """The value, if it is a text."""
        return frozenset((self.value,)) if isinstance(self.value, str) else frozenset()

    def quick_at(self, key: str) -> Quick:
        """Most values are texts, and what to compare with is folded once."""
        wanted = self.value
        if not isinstance(wanted, str):
            return Condition.quick_at(self, key)
        folded = fold(wanted)

        def ask(arguments: JsonObject) -> Truth | None:
            value = arguments.get(key)
            if type(value) is not str or len(value) > MAX_FOLDED:
                return None
            if value == wanted:
                return HOLDS
            return CANNOT_TELL if fold(value) == folded else FAILS

        return ask

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"equal to {show(self.value)}"


@dataclass(frozen=True, slots=True)
class Present(Condition):
    """The argument is given, or with `wanted` False is not given. Null may be either."""

    path: ArgumentPath
    wanted: bool = True
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether it holds for a value that is there."""
        if value is None:
            return CANNOT_TELL
        return HOLDS if self.wanted else FAILS

    def of_missing(self) -> Truth:
        """Whether it holds where no value is given."""
        return FAILS if self.wanted else HOLDS

    def quick_at(self, key: str) -> Quick:
        """Whether it is there is all that is asked, and nothing may look like it."""
        given = HOLDS if self.wanted else FAILS
        missing = None if self.optional else self.of_missing()

        def ask(arguments: JsonObject) -> Truth | None:
            if key in arguments:
                return None if arguments[key] is None else given
            return missing if at_key(key, arguments) is MISSING else None

        return ask

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return "given" if self.wanted else "not given"

    def why(self, found: Found) -> str:
        """How it stands says it all."""
        return f"{name_of(self)} {stands(self, found)}"


@dataclass(frozen=True, slots=True)
class Anything(Condition):
    """Names the argument, and everything beneath it, without asking anything of it."""

    path: ArgumentPath
    optional: bool = True

    def of(self, value: Json) -> Truth:
        """It always holds."""
        return HOLDS

    def quick_at(self, key: str) -> Quick:
        """It holds of whatever is there."""

        def ask(arguments: JsonObject) -> Truth | None:
            return HOLDS if key in arguments else None

        return ask

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return "anything"

    def triggers(self, arguments: JsonObject) -> bool:
        """It asks nothing, so nothing can fail."""
        return True

    def triggered(self, found: Found) -> bool:
        """It asks nothing, so nothing can fail."""
        return True

    def why(self, found: Found) -> str:
        """How it stands says it all."""
        return f"{name_of(self)} {stands(self, found)}"

    def sentence(self) -> str:
        """The condition as a statement."""
        return f"{name_of(self)} is anything"
