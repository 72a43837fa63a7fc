"""What some circumstances say of another one. True only when it follows at every moment."""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.core.circumstances import (
    AskedByModel,
    Circumstance,
    ForEndUser,
    FromZone,
    RunLabelled,
    RunPurpose,
)
from bailiwick.core.hours import InHours, Span
from bailiwick.core.identical import identical
from bailiwick.core.narrowing.kinds import all_within
from bailiwick.core.thinking.model_calls import (
    AskedAs,
    OffersAny,
    OffersOnly,
    OutputAtMost,
    OutputOver,
)


def implied(given: Sequence[Circumstance], asked: Circumstance) -> bool:
    """Whether `asked` holds wherever all of `given` hold."""
    return any(identical(each, asked) or _follows(each, asked) for each in given)


def _follows(own: Circumstance, asked: Circumstance) -> bool:
    match own, asked:
        case RunLabelled(), RunLabelled():
            return own.labels <= asked.labels and own.agent_may_say <= asked.agent_may_say
        case RunPurpose(), RunPurpose():
            return all_within(own.globs, asked.globs) and own.agent_may_say <= asked.agent_may_say
        case ForEndUser(), ForEndUser():
            return all_within(own.globs, asked.globs) and own.agent_may_say <= asked.agent_may_say
        case FromZone(), FromZone():
            return own.zones <= asked.zones
        case AskedByModel(), AskedByModel():
            return own.matches <= asked.matches
        case InHours(outside=False), InHours(outside=False):
            return all(any(_span_within(span, wide) for wide in asked.spans) for span in own.spans)
        case OutputAtMost(), OutputAtMost():
            return own.tokens <= asked.tokens
        case OutputOver(), OutputOver():
            return own.tokens >= asked.tokens
        case AskedAs(), AskedAs():
            return all_within(own.globs, asked.globs)
        case OffersAny(), OffersAny():
            return all_within(own.globs, asked.globs)
        case OffersOnly(), OffersOnly():
            return all_within(own.hosted, asked.hosted) and (
                asked.own is None or (own.own is not None and all_within(own.own, asked.own))
            )
    return False


def _span_within(own: Span, asked: Span) -> bool:
    """By what is written: hours over midnight only within the very same hours."""
    by_day = own.start < own.end and asked.start < asked.end
    hours = (
        asked.start <= own.start and own.end <= asked.end
        if by_day
        else (own.start, own.end) == (asked.start, asked.end)
    )
    closed = all(
        any(identical(calendar, each) for each in own.calendars) for calendar in asked.calendars
    )
    return (
        own.zone == asked.zone
        and own.days <= asked.days
        and hours
        and asked.without <= own.without
        and closed
    )
