"""What every condition on an argument is, and on which side doubt falls.

A condition answers HOLDS, FAILS or CANNOT_TELL, and doubt falls on the safe side of each rule:

* an **allow** rule needs every condition to hold, for every item where the path goes into lists;
* a **deny** or **stamp** rule applies unless a condition plainly fails; where the path goes into
  lists, one item is enough.

So a missing argument, one of another type (`"1e6"` for an amount) or one that could be read in two
ways never opens an allow rule and never slips past a deny or stamp rule. `optional` says that a
missing (or null) argument is fine: then an allow rule passes over the condition, and a deny or
stamp rule does not apply.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from bailiwick.core.argument_path import (
    MISSING,
    ArgumentPath,
    Each,
    Found,
    Gap,
    at_key,
    format_argument_path,
    reach,
    straight_to,
)
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth, kind_of, show

MAX_LISTED = 6
"""How many alternatives a sentence names before it says how many more there are."""

Quick = Callable[[JsonObject], Truth | None]
"""What a condition says of a call's arguments where that is plain, as it nearly always is.

INVARIANT: HOLDS only where the condition permits and triggers, FAILS only where it does not
trigger. CANNOT_TELL and None say nothing: then the condition itself is asked.
"""


class Condition(ABC):
    """One thing that is asked of one argument.

    A kind of condition is a frozen dataclass with `path` and `optional` that says `of` and `phrase`
    and, where it has more to tell, `stands`.

    INVARIANT: `of` is pure, total and quick: it never raises, whatever the value, and takes time at
    most about linear in its size. What it cannot read is CANNOT_TELL, never FAILS.

    Attributes:
        path: the argument.
        optional: a missing or null argument is fine.
    """

    __slots__ = ()
    path: ArgumentPath
    optional: bool

    @abstractmethod
    def of(self, value: Json) -> Truth:
        """Whether it holds for a value that is there."""

    @property
    @abstractmethod
    def phrase(self) -> str:
        """What must be so, to follow "the argument is": "at most 5000"."""

    @property
    def paths(self) -> tuple[ArgumentPath, ...]:
        """The arguments it names: those an allow rule with it lets be given."""
        return (self.path,)

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders it holds file paths to; () if it asks nothing of file paths."""
        return ()

    def names_files(self, value: Json) -> Iterable[str]:
        """Those file paths in a value that is there."""
        return ()

    def of_missing(self) -> Truth:
        """Whether it holds where no value is given."""
        return CANNOT_TELL

    def passes_over(self, value: Json) -> bool:
        """Whether this value is as good as none, for `optional`."""
        return value is None

    def stands(self, value: Json) -> str:
        """How a value that is there stands, to follow the argument's name: "is 9000"."""
        return f"is {show(value)}"

    def cases(self, arguments: JsonObject) -> list[tuple[Found, Condition]]:
        """Everything the path leads to, each with what is asked of it."""
        return [(found, self) for found in reach(self.path, arguments)]

    def quick(self) -> Quick:
        """What to ask on the path of every call, with all worked out that the call does not change.

        A kind with a `cases`, `permits` or `triggers` of its own has this of its own, too.
        """
        path, of = self.path, self.of
        key = path[0]
        if len(path) == 1 and isinstance(key, str):
            return self.quick_at(key)
        if any(isinstance(step, Each) for step in path):
            return not_quick

        def ask(arguments: JsonObject) -> Truth | None:
            value = straight_to(path, arguments)
            return None if value is None or isinstance(value, Gap) else of(value)

        return ask

    def quick_at(self, key: str) -> Quick:
        """`quick` where the path is one key, as most are: in one function wherever that pays."""
        of = self.of

        def ask(arguments: JsonObject) -> Truth | None:
            value = arguments.get(key)
            return None if value is None else of(value)

        return ask

    def exact_texts(self) -> frozenset[str]:
        """Texts that it is known to hold for as they stand; empty if it is not about texts.

        `of` says HOLDS of each. A kind with a `permits` or `triggers` of its own has none.
        """
        return frozenset()

    def permits(self, arguments: JsonObject) -> bool:
        """Whether an allow rule may rely on it: it holds for everything its path leads to."""
        path = self.path
        key = path[0]
        if len(path) == 1 and isinstance(key, str):  # most are
            value = arguments.get(key, MISSING)
            if value is MISSING:
                return self.permitted(at_key(key, arguments))
            return self.of(value) is HOLDS or (self.optional and self.passes_over(value))
        return all(self.permitted(found) for found in reach(path, arguments))

    def triggers(self, arguments: JsonObject) -> bool:
        """Whether a deny or stamp rule must reckon with it: it does not plainly fail."""
        path = self.path
        key = path[0]
        if len(path) == 1 and isinstance(key, str):  # most are
            value = arguments.get(key, MISSING)
            if value is MISSING:
                return self.triggered(at_key(key, arguments))
            truth = self.of(value)
            if truth is CANNOT_TELL and self.optional:
                return not self.passes_over(value)
            return truth is not FAILS
        return any(self.triggered(found) for found in reach(path, arguments))

    def permitted(self, found: Found) -> bool:
        """`permits` for one thing the path leads to."""
        if found is MISSING:
            return self.optional or self.of_missing() is HOLDS
        if isinstance(found, Gap):
            return False
        return self.of(found) is HOLDS or (self.optional and self.passes_over(found))

    def triggered(self, found: Found) -> bool:
        """`triggers` for one thing the path leads to."""
        if found is MISSING:
            return not self.optional and self.of_missing() is not FAILS
        if isinstance(found, Gap):
            return True
        truth = self.of(found)
        if truth is CANNOT_TELL and self.optional and self.passes_over(found):
            return False
        return truth is not FAILS

    def why(self, found: Found) -> str:
        """Why a deny or stamp rule reckons with it, of one thing that triggers it."""
        state = f"{name_of(self)} {stands(self, found)}"
        if not isinstance(found, Gap) and self.of(found) is HOLDS:
            return f"{state} and so {self.phrase}"
        return f"{state}, so it cannot be told whether it is {self.phrase}"

    def truth(self, found: Found) -> Truth:
        """Whether it holds for one thing the path leads to."""
        if found is MISSING:
            return self.of_missing()
        return CANNOT_TELL if isinstance(found, Gap) else self.of(found)

    def failure(self, arguments: JsonObject) -> str:
        """Why `permits` says no: "`amount` is 9000, allowed is at most 5000"."""
        for found, asked in self.cases(arguments):
            if not asked.permitted(found):
                return f"{name_of(self)} {stands(asked, found)}, allowed is {asked.phrase}"
        return f"{name_of(self)} is {self.phrase}"

    def reason(self, arguments: JsonObject) -> str:
        """Why `triggers` says yes: "`amount` is 9000 and so at least 1000", or what is unclear."""
        for found, asked in self.cases(arguments):
            if asked.triggered(found):
                return asked.why(found)
        return self.sentence()

    def standing(self, arguments: JsonObject, *, allows: bool) -> str:
        """How the argument stands: "`amount` is 9000". Of several items, the one that decides.

        Args:
            arguments: of the call.
            allows: whether an allow rule asks, and not a deny or stamp rule.
        """
        cases = self.cases(arguments)
        decisive = (
            (found, asked)
            for found, asked in cases
            if (not asked.permitted(found) if allows else asked.triggered(found))
        )
        found, asked = next(decisive, cases[0])
        return f"{name_of(self)} {stands(asked, found)}"

    def sentence(self) -> str:
        """The condition as a statement: "`amount` is at most 5000"."""
        each = "every " if any(isinstance(step, Each) for step in self.path) else ""
        return f"{each}{name_of(self)} is {self.phrase}{', if given' if self.optional else ''}"


def not_quick(arguments: JsonObject) -> Truth | None:
    """The `Quick` of what is never plain."""
    return None


def permits(condition: Condition, arguments: JsonObject) -> bool:
    """Whether an allow rule may rely on it: it holds for everything its path leads to."""
    return condition.permits(arguments)


def triggers(condition: Condition, arguments: JsonObject) -> bool:
    """Whether a deny or stamp rule must reckon with it: it does not plainly fail."""
    return condition.triggers(arguments)


def sentence(condition: Condition) -> str:
    """The condition as a statement: "`amount` is at most 5000"."""
    return condition.sentence()


def name_of(condition: Condition) -> str:
    """The argument's name, in backticks."""
    return show(format_argument_path(condition.path))


def failure(condition: Condition, arguments: JsonObject) -> str:
    """Why `permits` says no: "`amount` is 9000, allowed is at most 5000"."""
    return condition.failure(arguments)


def reason(condition: Condition, arguments: JsonObject) -> str:
    """Why `triggers` says yes: "`amount` is 9000 and so at least 1000", or what cannot be told."""
    return condition.reason(arguments)


def standing(condition: Condition, arguments: JsonObject, *, allows: bool) -> str:
    """How the argument stands, for an allow rule if `allows`, else for a deny or stamp rule."""
    return condition.standing(arguments, allows=allows)


def stands(condition: Condition, found: Found) -> str:
    """How things stand, to follow the argument's name."""
    if found is MISSING:
        return "is not given"
    if isinstance(found, Gap):
        return "cannot be read (another type or a look-alike name stands in its place)"
    return condition.stands(found)


def not_text(value: Json) -> str:
    """`stands` of a condition on texts, for what is none."""
    return f"is {kind_of(value)} and not text"


def listed(items: Iterable[str]) -> str:
    """The first of `items`, and how many more there are."""
    shown = list(items)
    more = len(shown) - MAX_LISTED
    text = ", ".join(shown[:MAX_LISTED])
    return f"{text} and {more} more" if more > 0 else text
