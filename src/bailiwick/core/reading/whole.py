"""A whole mandate in sentences, in the order in which a person asks: who, for what, when, what may
be done, what may not, who must stamp, how much, what it may be told, what may be passed on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.reading.circumstances import circumstances
from bailiwick.core.reading.flow import read_flow
from bailiwick.core.reading.limits import read_limit
from bailiwick.core.reading.quoting import all_of, one_of, quote
from bailiwick.core.reading.rules import read_allow, read_deny, read_stamp


def read(mandate: Mandate) -> tuple[str, ...]:
    """Everything that `mandate` says, as sentences for people.

    Pure. A sentence each; texts of the mandate stand quoted, whole and in backticks.

    Its digest is left out, and what the organisation and the mandates above it say.
    """
    return (
        *_who(mandate),
        *_when(mandate),
        *(read_allow(rule) for rule in mandate.allow),
        *(read_deny(rule) for rule in mandate.deny),
        *(read_stamp(rule) for rule in mandate.stamp),
        *(read_limit(limit) for limit in mandate.limits),
        *_shared(mandate),
        *read_flow(mandate),
        *_offering(mandate),
        *_instructing(mandate),
        *_passing_on(mandate),
        *_unsaid(mandate),
    )


def _who(mandate: Mandate) -> Iterator[str]:
    to = f"{quote(mandate.principal)} gives it to the agent {quote(mandate.agent)}"
    yield f"Mandate {quote(mandate.name)}, version {mandate.version}: {to}."
    if mandate.purpose:
        yield f"It is for this: {quote(mandate.purpose)}."
    if mandate.parent:
        yield (
            f"It is a part of {quote(mandate.parent)}: that mandate judges each of its calls as "
            "well, and counts it against its own limits."
        )
    if mandate.state is not MandateState.ACTIVE:
        yield f"It is {mandate.state.value}: nothing can be done under it."


def _when(mandate: Mandate) -> Iterator[str]:
    yield f"It holds {read_times(mandate)}."
    if mandate.circumstances:
        yield f"All of it holds only {circumstances(mandate.circumstances)}."


def read_times(mandate: Mandate) -> str:
    """When it begins and ends: "from 2026-11-01 00:00 UTC until it is revoked"."""
    start, end = mandate.not_before, mandate.not_after
    since = f"from {_moment(start)}" if start is not None else "from when it is signed"
    until = f"until {_moment(end)}" if end is not None else "until it is revoked"
    return f"{since} {until}"


def _moment(at_ms: int) -> str:
    """Exactly, in UTC: "2026-11-22 18:00 UTC"."""
    seconds, ms = divmod(at_ms, 1000)
    moment = datetime.fromtimestamp(seconds, UTC)
    if ms:
        return f"{moment:%Y-%m-%d %H:%M:%S}.{ms:03} UTC"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment.second else f"{moment:%Y-%m-%d %H:%M} UTC"


def _instructing(mandate: Mandate) -> Iterator[str]:
    if mandate.first_message_instructs:
        yield (
            "If nobody says what a run is to do, the first message of its first model call does, "
            "as the agent's word."
        )


def _offering(mandate: Mandate) -> Iterator[str]:
    if mandate.offering is None:
        return
    hosted = all_of(quote(glob.text) for glob in mandate.offering.hosted)
    yield (
        "Of the tools that its agent offers to models, those behind the gateway go on if it could "
        f"let them through, the agent's own {'do' if mandate.offering.others else 'do not'}, and "
        f"of those run by the model's server {f'only {hosted}' if hosted else 'none'}."
    )


def _shared(mandate: Mandate) -> Iterator[str]:
    """The limits of its principal, which are no part of this version and may change without it."""
    for limit in mandate.principal_limits:
        text = read_limit(limit)
        together = f"of all mandates from {quote(mandate.principal)} together"
        yield f"As {quote(mandate.principal)} now has it, {together}: {text[0].lower()}{text[1:]}"


def _passing_on(mandate: Mandate) -> Iterator[str]:
    leave = mandate.delegation
    if leave is None:
        yield "Nothing of it may be passed on to another agent."
        return
    to = one_of(quote(glob.text) for glob in leave.to)
    below = "and not further" if leave.depth == 1 else f"and on, {leave.depth} agents deep at most"
    yield (
        f"Parts of it may be passed on to agents like {to}, {below}; "
        f"at most {leave.children} such parts may live at a time."
    )


def _unsaid(mandate: Mandate) -> Iterator[str]:
    yield "Whatever is not said to be allowed is refused, and any one rule that allows is enough."
    if mandate.deny or mandate.stamp:
        yield (
            "What must never be done, and what must be stamped, counts whatever is allowed; "
            "where it cannot be told whether such a rule applies, it does."
        )
    if any("*" in sentence for sentence in _globbed(mandate)):
        yield "A `*` in a name stands for anything."


def _globbed(mandate: Mandate) -> Iterator[str]:
    yield from (read_allow(rule) for rule in mandate.allow)
    yield from (read_deny(rule) for rule in mandate.deny)
    yield from (read_stamp(rule) for rule in mandate.stamp)
    yield from (read_limit(limit) for limit in mandate.limits)
    yield from _shared(mandate)
    yield from read_flow(mandate)
    yield from _passing_on(mandate)
