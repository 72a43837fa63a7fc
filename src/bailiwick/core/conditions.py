"""Conditions on argument values: typed, pure, explainable.

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

from collections.abc import Iterable
from dataclasses import dataclass, field

from bailiwick.core.argument_path import (
    MISSING,
    ArgumentPath,
    Each,
    Found,
    Gap,
    format_argument_path,
    reach,
)
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.glob import Glob
from bailiwick.core.paths import PathText, read_path
from bailiwick.core.values import (
    CANNOT_TELL,
    FAILS,
    HOLDS,
    MAX_FOLDED,
    Number,
    Truth,
    compare,
    fold,
    kind_of,
    number_of,
    show,
    some,
)

MAX_LISTED = 6
"""How many alternatives a sentence names before it says how many more there are."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """The value is one of `values`: same type and content, numbers by their exact value."""

    path: ArgumentPath
    values: tuple[Json, ...]
    optional: bool = False
    _texts: frozenset[str] = field(init=False, repr=False, compare=False)
    _folded: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Set the texts aside: most lists are of texts, and a set answers at once."""
        texts = frozenset(value for value in self.values if isinstance(value, str))
        object.__setattr__(self, "_texts", texts)
        object.__setattr__(self, "_folded", frozenset(fold(text) for text in texts))

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        if isinstance(value, str):
            if value in self._texts:
                return HOLDS
            # Folded once, not once for each of perhaps many values.
            near = len(value) > MAX_FOLDED or fold(value) in self._folded
            other_types = any(not isinstance(wanted, str) for wanted in self.values)
            return CANNOT_TELL if near or other_types else FAILS
        return some(compare(value, wanted) for wanted in self.values)

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"one of {_listed(show(value) for value in self.values)}"


@dataclass(frozen=True, slots=True)
class Equals:
    """The value is `value`: same type and content, numbers by their exact value."""

    path: ArgumentPath
    value: Json
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        return compare(value, self.value)

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"equal to {show(self.value)}"


@dataclass(frozen=True, slots=True)
class AtMost:
    """The value is a number, exact or in plain decimal text, not above `bound`."""

    path: ArgumentPath
    bound: Number
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        number = value if type(value) is int else number_of(value)
        if number is None:
            return CANNOT_TELL
        return HOLDS if number <= self.bound else FAILS

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"at most {self.bound}"


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The value is a number, exact or in plain decimal text, not below `bound`."""

    path: ArgumentPath
    bound: Number
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        number = value if type(value) is int else number_of(value)
        if number is None:
            return CANNOT_TELL
        return HOLDS if number >= self.bound else FAILS

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"at least {self.bound}"


@dataclass(frozen=True, slots=True)
class Matches:
    """The value is text that fits one of `globs`, case and all."""

    path: ArgumentPath
    globs: tuple[Glob, ...]
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        if not isinstance(value, str):
            return CANNOT_TELL
        for glob in self.globs:
            if glob.matches(value):
                return HOLDS
        if len(value) > MAX_FOLDED:
            return CANNOT_TELL
        folded = fold(value)
        near = any(glob.nearly_matches(folded) for glob in self.globs)
        return CANNOT_TELL if near else FAILS

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"like {_listed(show(glob.text) for glob in self.globs)}"


@dataclass(frozen=True, slots=True)
class Under:
    """The value is a path at or below one of `roots`, by its text (see `paths.py`).

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

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return f"a path under {_listed(show(root) for root in self.roots)}"


@dataclass(frozen=True, slots=True)
class Present:
    """The argument is given, or with `wanted` False is not given. Null may be either."""

    path: ArgumentPath
    wanted: bool = True
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether it holds for a value that is there."""
        if value is None:
            return CANNOT_TELL
        return HOLDS if self.wanted else FAILS

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return "given" if self.wanted else "not given"


@dataclass(frozen=True, slots=True)
class Anything:
    """Names the argument, and everything beneath it, without asking anything of it."""

    path: ArgumentPath
    optional: bool = True

    def of(self, value: Json) -> Truth:
        """It always holds."""
        return HOLDS

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return "anything"


Condition = OneOf | Equals | AtMost | AtLeast | Matches | Under | Present | Anything


def permits(condition: Condition, arguments: JsonObject) -> bool:
    """Whether an allow rule may rely on it: it holds for everything its path leads to."""
    path = condition.path
    if len(path) == 1:  # most are, and a path always starts with a key
        value = arguments.get(path[0], MISSING)  # type: ignore[arg-type]  # a name
        if value is not MISSING:
            return condition.of(value) is HOLDS or (condition.optional and value is None)
    return all(_permitted(condition, found) for found in reach(path, arguments))


def triggers(condition: Condition, arguments: JsonObject) -> bool:
    """Whether a deny or stamp rule must reckon with it: it does not plainly fail."""
    path = condition.path
    if len(path) == 1:  # most are, and a path always starts with a key
        value = arguments.get(path[0], MISSING)  # type: ignore[arg-type]  # a name
        if value is not MISSING and value is not None:
            return condition.of(value) is not FAILS
    return any(_triggered(condition, found) for found in reach(path, arguments))


def sentence(condition: Condition) -> str:
    """The condition as a statement: "`amount` is at most 5000"."""
    each = "every " if any(isinstance(step, Each) for step in condition.path) else ""
    optional = ", if given" if condition.optional and not isinstance(condition, Anything) else ""
    return f"{each}{name_of(condition)} is {condition.phrase}{optional}"


def name_of(condition: Condition) -> str:
    """The argument's name, in backticks."""
    return show(format_argument_path(condition.path))


def failure(condition: Condition, arguments: JsonObject) -> str:
    """Why `permits` says no: "`amount` is 9000, allowed is at most 5000"."""
    for found in reach(condition.path, arguments):
        if not _permitted(condition, found):
            return f"{name_of(condition)} {_state(condition, found)}, allowed is {condition.phrase}"
    return f"{name_of(condition)} is {condition.phrase}"


def reason(condition: Condition, arguments: JsonObject) -> str:
    """Why `triggers` says yes: "`amount` is 9000 and so at least 1000", or what cannot be told."""
    for found in reach(condition.path, arguments):
        if _triggered(condition, found):
            state = f"{name_of(condition)} {_state(condition, found)}"
            if isinstance(condition, Present | Anything):
                return state
            if not isinstance(found, Gap) and condition.of(found) is HOLDS:
                return f"{state} and so {condition.phrase}"
            return f"{state}, so it cannot be told whether it is {condition.phrase}"
    return sentence(condition)


def standing(condition: Condition, arguments: JsonObject, *, allows: bool) -> str:
    """How the argument stands: "`amount` is 9000". Of several items, the one that decides.

    Args:
        condition: of an allow rule if `allows`, else of a deny or stamp rule.
        arguments: of the call.
        allows: whose side the condition is on.
    """
    found = reach(condition.path, arguments)
    decisive = (
        each
        for each in found
        if (not _permitted(condition, each) if allows else _triggered(condition, each))
    )
    return f"{name_of(condition)} {_state(condition, next(decisive, found[0]))}"


def _permitted(condition: Condition, found: Found) -> bool:
    if found is MISSING:
        return condition.optional or _of_missing(condition) is HOLDS
    if isinstance(found, Gap):
        return False
    return condition.of(found) is HOLDS or (condition.optional and found is None)


def _triggered(condition: Condition, found: Found) -> bool:
    if isinstance(condition, Anything):
        return True
    if found is MISSING:
        return not condition.optional and _of_missing(condition) is not FAILS
    if isinstance(found, Gap):
        return True
    truth = condition.of(found)
    if found is None and condition.optional and truth is CANNOT_TELL:
        return False
    return truth is not FAILS


def _of_missing(condition: Condition) -> Truth:
    if isinstance(condition, Present):
        return FAILS if condition.wanted else HOLDS
    return CANNOT_TELL


def _state(condition: Condition, found: Found) -> str:
    """How things stand, to follow the argument's name."""
    if found is MISSING:
        return "is not given"
    if isinstance(found, Gap):
        return "cannot be read (another type or a look-alike name stands in its place)"
    if isinstance(condition, AtMost | AtLeast) and number_of(found) is None:
        return f"is {kind_of(found)} {show(found)} and not a plain number"
    if isinstance(condition, Under) and isinstance(found, str):
        why = read_path(found)
        return f"is {show(found)} which {why}" if isinstance(why, str) else f"is {show(found)}"
    if isinstance(condition, Matches | Under) and not isinstance(found, str):
        return f"is {kind_of(found)} and not text"
    return f"is {show(found)}"


def _contains(root: PathText, path: PathText) -> Truth:
    if path.is_under(root):
        return HOLDS
    if path.absolute != root.absolute or path.folded().is_under(root.folded()):
        return CANNOT_TELL
    return FAILS


def _read_root(root: str) -> PathText:
    path = read_path(root)
    if isinstance(path, str):
        raise ValueError(f"the folder {show(root)} {path}")
    return path


def _listed(items: Iterable[str]) -> str:
    shown = list(items)
    more = len(shown) - MAX_LISTED
    text = ", ".join(shown[:MAX_LISTED])
    return f"{text} and {more} more" if more > 0 else text
