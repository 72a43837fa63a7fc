"""Conditions on the circumstances of a call: time of week, run, end user, network zone.

As with conditions on arguments, an allow rule needs HOLDS, and a deny or stamp rule applies unless
one plainly FAILS.

What the agent's side says of a run may be made up by whoever has hijacked the agent. So it counts
for nothing (CANNOT_TELL, whatever it says) unless the mandate takes the agent's word for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bailiwick.core.conditions.texts import fits
from bailiwick.core.flow.labels import Facts
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth, show

PERSON = "person"
_ASKED = {
    "matched": "when a model asked for exactly this",
    "altered": "when a model asked for it with other arguments",
    "unasked": "when no model asked for it",
}
MAX_LISTED = 5


class Circumstance(Protocol):
    """One condition on the circumstances."""

    def of(self, facts: Facts, now: int) -> Truth:
        """Whether it holds; `now` in Unix milliseconds."""
        ...

    @property
    def phrase(self) -> str:
        """What must be so: "on working days from 8:00 to 18:00 Zurich time"."""
        ...

    def missing(self, facts: Facts, now: int) -> str:
        """What would help where it does not hold, for whoever reads the refusal; or ""."""
        ...


@dataclass(frozen=True, slots=True)
class RunLabelled:
    """The run carries one of `labels`."""

    labels: frozenset[str]
    agent_may_say: bool = False

    def of(self, facts: Facts, now: int) -> Truth:
        """Whether it holds."""
        if not _heard(facts.started_by, self.agent_may_say):
            return CANNOT_TELL
        return FAILS if self.labels.isdisjoint(facts.run_labels) else HOLDS

    @property
    def phrase(self) -> str:
        """What must be so."""
        return f"in a run labelled {_or(sorted(self.labels))}"

    def missing(self, facts: Facts, now: int) -> str:
        """Who could have set the label."""
        if not facts.run_labels:
            return "this run has no labels"
        if not _heard(facts.started_by, self.agent_may_say):
            return "this run's labels are only the agent's own; a person must start the run"
        return f"this run is labelled {_or(sorted(facts.run_labels))}"


@dataclass(frozen=True, slots=True)
class RunPurpose:
    """The purpose the run was started for fits one of `globs`."""

    globs: tuple[Glob, ...]
    agent_may_say: bool = False

    def of(self, facts: Facts, now: int) -> Truth:
        """Whether it holds."""
        if not facts.purpose or not _heard(facts.started_by, self.agent_may_say):
            return CANNOT_TELL
        return fits(self.globs, facts.purpose)

    @property
    def phrase(self) -> str:
        """What must be so."""
        return f"in a run for the purpose {_or([glob.text for glob in self.globs])}"

    def missing(self, facts: Facts, now: int) -> str:
        """What the run says of its purpose."""
        if not facts.purpose:
            return "this run was started without a purpose"
        if not _heard(facts.started_by, self.agent_may_say):
            return "this run's purpose is only the agent's own word; a person must start the run"
        return f"this run is for {show(facts.purpose)}"


@dataclass(frozen=True, slots=True)
class ForEndUser:
    """The agent acts for an end user that fits one of `globs`."""

    globs: tuple[Glob, ...]
    agent_may_say: bool = False

    def of(self, facts: Facts, now: int) -> Truth:
        """Whether it holds."""
        if not facts.end_user or not _heard(facts.end_user_by, self.agent_may_say):
            return CANNOT_TELL
        return fits(self.globs, facts.end_user)

    @property
    def phrase(self) -> str:
        """What must be so."""
        return f"for the end user {_or([glob.text for glob in self.globs])}"

    def missing(self, facts: Facts, now: int) -> str:
        """What is known of the end user."""
        if not facts.end_user:
            return "it is not known for whom this is"
        if not _heard(facts.end_user_by, self.agent_may_say):
            return "for whom this is, only the agent says; a person must start the run for them"
        return f"this is for {show(facts.end_user)}"


@dataclass(frozen=True, slots=True)
class FromZone:
    """The caller's address is in one of these network zones."""

    zones: frozenset[str]

    def of(self, facts: Facts, now: int) -> Truth:
        """Whether it holds."""
        if facts.zones is None:
            return CANNOT_TELL
        return FAILS if self.zones.isdisjoint(facts.zones) else HOLDS

    @property
    def phrase(self) -> str:
        """What must be so."""
        return f"from the network zone {_or(sorted(self.zones))}"

    def missing(self, facts: Facts, now: int) -> str:
        """Where the call came from, as far as it may be told."""
        if facts.zones is None:
            return "the address this came from is not known"
        return "this came from elsewhere"


@dataclass(frozen=True, slots=True)
class StartedByPerson:
    """A person started the run."""

    def of(self, facts: Facts, now: int) -> Truth:
        """Whether it holds: the gateway itself knows, so there is never a doubt."""
        return HOLDS if facts.started_by == PERSON else FAILS

    @property
    def phrase(self) -> str:
        """What must be so."""
        return "in a run that a person started"

    def missing(self, facts: Facts, now: int) -> str:
        """How to come by such a run."""
        return (
            "ask whoever gave the mandate to start one (`bailiwick run start`) and use the token "
            "it prints"
        )


@dataclass(frozen=True, slots=True)
class AskedByModel:
    """A tool call stands so to what the models of its run asked for (`said_and_did`).

    Of a call that is not known to be one or the other it cannot be told. Model calls themselves are
    asked for by nobody: they meet it, so that a whole mandate may ask for it.

    Attributes:
        matches: of `matched`, `altered` and `unasked`.
    """

    matches: frozenset[str]

    def of(self, facts: Facts, now: int) -> Truth:
        """Whether it holds."""
        if facts.of_model:
            return HOLDS
        if facts.asked_by_model not in _ASKED:
            return CANNOT_TELL
        return HOLDS if facts.asked_by_model in self.matches else FAILS

    @property
    def phrase(self) -> str:
        """What must be so."""
        return " or ".join(words for match, words in _ASKED.items() if match in self.matches)

    def missing(self, facts: Facts, now: int) -> str:
        """How the call stands to what was asked for."""
        if facts.asked_by_model == "altered" and facts.differences:
            return f"the model asked for it with other {_or(list(facts.differences))}"
        return {
            "matched": "the model asked for exactly this",
            "altered": "the model asked for something else here",
            "unasked": "no model of this run asked for it, or it was done already",
        }.get(facts.asked_by_model, "what the models of this run asked for is not known")


def all_hold(circumstances: tuple[Circumstance, ...], facts: Facts, now: int) -> bool:
    """For an allow rule, and for a whole mandate."""
    return all(each.of(facts, now) is HOLDS for each in circumstances)


def none_fails(circumstances: tuple[Circumstance, ...], facts: Facts, now: int) -> bool:
    """For a deny or stamp rule."""
    return not any(each.of(facts, now) is FAILS for each in circumstances)


def only(circumstances: tuple[Circumstance, ...], facts: Facts, now: int) -> str:
    """The first that does not hold, as "only PHRASE (what would help)"; "" when all hold."""
    for each in circumstances:
        if each.of(facts, now) is not HOLDS:
            help_ = each.missing(facts, now)
            return f"only {each.phrase} ({help_})" if help_ else f"only {each.phrase}"
    return ""


def phrases(circumstances: tuple[Circumstance, ...]) -> str:
    """All of them in one phrase; "" for none."""
    return " and ".join(each.phrase for each in circumstances)


def _heard(by: str, agent_may_say: bool) -> bool:
    return by == PERSON or (agent_may_say and bool(by))


def _or(words: list[str]) -> str:
    shown = [show(word) for word in words[:MAX_LISTED]]
    more = len(words) - MAX_LISTED
    return " or ".join(shown) + (f" or {more} more" if more > 0 else "")
