"""Conditions on how a model call came about and what it asks for, whatever dialect it is in.

A model's arguments differ from dialect to dialect: a bound on the output has four names, a tool
three shapes. These look at what they mean (`Call.use`), so no dialect leads around them.

As with all circumstances, an allow rule needs HOLDS, and a deny or stamp rule applies unless one
plainly FAILS. What is no model call meets all of them: a whole mandate may ask for them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from bailiwick.core.call import Call, CallKind, ModelUse
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions.texts import fits
from bailiwick.core.flow.labels import Facts
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth, show

MAX_LISTED = 5


def facts_of(call: Call, facts: Facts) -> Facts:
    """What is known of a run and its caller, with what is known of this call."""
    if call.target.kind is not CallKind.MODEL:
        return facts
    return msgspec.structs.replace(facts, of_model=True, use=call.use)


class OfModelCall(ABC):
    """One condition on a model call."""

    __slots__ = ()

    @abstractmethod
    def holds(self, use: ModelUse) -> Truth:
        """Whether it holds for this use of a model."""

    @property
    @abstractmethod
    def phrase(self) -> str:
        """What must be so."""

    @abstractmethod
    def stands(self, use: ModelUse) -> str:
        """How things stand where it does not hold."""

    def of(self, facts: Facts, now: int) -> Truth:
        """Whether it holds; see `Circumstance.of`."""
        if not facts.of_model:
            return HOLDS
        return CANNOT_TELL if facts.use is None else self.holds(facts.use)

    def missing(self, facts: Facts, now: int) -> str:
        """See `Circumstance.missing`."""
        return "" if facts.use is None else self.stands(facts.use)


@dataclass(frozen=True, slots=True)
class AskedAs(OfModelCall):
    """The agent used one of these names: an alias, or the model's own."""

    globs: tuple[Glob, ...]

    def holds(self, use: ModelUse) -> Truth:
        """Whether it holds."""
        return fits(self.globs, use.asked_as)

    @property
    def phrase(self) -> str:
        """What must be so."""
        return f"asked for as {_or(glob.text for glob in self.globs)}"

    def stands(self, use: ModelUse) -> str:
        """How it was asked for."""
        return f"it was asked for as {show(use.asked_as)}"


@dataclass(frozen=True, slots=True)
class IsSubstitute(OfModelCall):
    """The model stands in for another one of its alias; or it does not, as `wanted` says."""

    wanted: bool

    def holds(self, use: ModelUse) -> Truth:
        """Whether it holds."""
        return HOLDS if use.substitute is self.wanted else FAILS

    @property
    def phrase(self) -> str:
        """What must be so."""
        return "in place of another model" if self.wanted else "for itself, in no other's place"

    def stands(self, use: ModelUse) -> str:
        """In whose place it is asked."""
        return f"in place of {show(use.because)}" if use.substitute else "it is asked for itself"


@dataclass(frozen=True, slots=True)
class OutputAtMost(OfModelCall):
    """The answer is bounded, and takes at most so many tokens over all its choices."""

    tokens: int

    def holds(self, use: ModelUse) -> Truth:
        """Whether it holds."""
        return HOLDS if use.max_output is not None and use.max_output <= self.tokens else FAILS

    @property
    def phrase(self) -> str:
        """What must be so."""
        return f"with an answer of at most {self.tokens} tokens"

    def stands(self, use: ModelUse) -> str:
        """How long it may get."""
        return _output(use)


@dataclass(frozen=True, slots=True)
class OutputOver(OfModelCall):
    """The answer may take more than so many tokens, or is not bounded."""

    tokens: int

    def holds(self, use: ModelUse) -> Truth:
        """Whether it holds."""
        return HOLDS if use.max_output is None or use.max_output > self.tokens else FAILS

    @property
    def phrase(self) -> str:
        """What must be so."""
        return f"with an answer that may take more than {self.tokens} tokens"

    def stands(self, use: ModelUse) -> str:
        """How long it may get."""
        return _output(use)


@dataclass(frozen=True, slots=True)
class OffersOnly(OfModelCall):
    """It offers the model no other tools.

    Attributes:
        own: of the tools that the agent runs; None for any.
        hosted: of the tools that the model's server runs by itself, by their types. Of these a
            name in `own` says nothing: what an agent calls `shell` is its own, and a server's
            `shell` is not.
    """

    own: tuple[Glob, ...] | None
    hosted: tuple[Glob, ...]

    def holds(self, use: ModelUse) -> Truth:
        """Whether it holds."""
        return _worst(truth for _, truth in self._each(use))

    def _each(self, use: ModelUse) -> Iterable[tuple[str, Truth]]:
        for kind in use.hosted:
            yield kind, fits(self.hosted, kind)
        if self.own is not None:
            for name in use.tools:
                if name not in use.hosted:
                    yield name, fits(self.own, name)

    @property
    def phrase(self) -> str:
        """What must be so."""
        own = "" if self.own is None else _tools(self.own, "tools")
        return f"offering {' and '.join(filter(None, (own, _tools(self.hosted, 'hosted tools'))))}"

    def stands(self, use: ModelUse) -> str:
        """What else it offers."""
        others = [name for name, truth in self._each(use) if truth is not HOLDS]
        return f"it offers {_or(others)}" if others else ""


@dataclass(frozen=True, slots=True)
class OffersAny(OfModelCall):
    """It offers the model one of these tools, or one that cannot be told apart from them."""

    globs: tuple[Glob, ...]

    def holds(self, use: ModelUse) -> Truth:
        """Whether it holds."""
        found = {fits(self.globs, name) for name in use.tools}
        if HOLDS in found:
            return HOLDS
        return CANNOT_TELL if CANNOT_TELL in found else FAILS

    @property
    def phrase(self) -> str:
        """What must be so."""
        return f"offering {_or(glob.text for glob in self.globs)}"

    def stands(self, use: ModelUse) -> str:
        """What it offers."""
        return f"it offers {_or(use.tools)}" if use.tools else "it offers no tools"


def recorded_use(use: ModelUse) -> JsonObject:
    """What is kept of it in a sealed payload."""
    found: dict[str, Json] = {"asked_as": use.asked_as, "bounds": use.bounds}
    if use.unbounded:
        found["unbounded"] = dict(use.unbounded)
    if use.substitute:
        found["substitute"], found["because"] = True, use.because
    if use.instead_of:
        found["instead_of"] = use.instead_of
    if use.max_output is not None:
        found["max_output"] = use.max_output
    if use.tools:
        found["tools"] = use.tools
    if use.hosted:
        found["hosted"] = use.hosted
    if use.removed:
        found["removed"] = use.removed
    return found


def read_use(said: Json) -> ModelUse | None:
    """What `recorded_use` made, read back; None for what is not of that shape."""
    try:
        return msgspec.convert(said, ModelUse)
    except msgspec.ValidationError:
        return None


def said_of(use: ModelUse | None) -> list[tuple[str, str]]:
    """For people, what is out of the ordinary in how a model came to be asked: labels and words."""
    if use is None:
        return []
    found: list[tuple[str, str]] = []
    if use.substitute:
        call = f" (call {use.instead_of})" if use.instead_of else ""
        found.append(("asked as", f"{use.asked_as}, in place of {use.because}{call}"))
    if use.removed:
        found.append(("taken out", f"offered tools: {', '.join(map(show, use.removed))}"))
    return found


def _worst(truths: Iterable[Truth]) -> Truth:
    found = set(truths)
    if FAILS in found:
        return FAILS
    return CANNOT_TELL if CANNOT_TELL in found else HOLDS


def _output(use: ModelUse) -> str:
    if use.max_output is None:
        return "nothing bounds its answer"
    return f"its answer may take {use.max_output}"


def _tools(globs: tuple[Glob, ...], noun: str) -> str:
    return f"no {noun} but {_or(glob.text for glob in globs)}" if globs else f"no {noun}"


def _or(words: Iterable[str]) -> str:
    told = [show(word) for word in words]
    more = len(told) - MAX_LISTED
    return " or ".join(told[:MAX_LISTED]) + (f" or {more} more" if more > 0 else "")
