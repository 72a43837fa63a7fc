"""Circumstances in words, whole, to follow a rule: "from Monday to Friday …"."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from bailiwick.core.circumstances import (
    Circumstance,
    ForEndUser,
    FromZone,
    RunLabelled,
    RunPurpose,
)
from bailiwick.core.hours import InHours, Span
from bailiwick.core.reading.quoting import all_of, one_of, quote
from bailiwick.core.texts.glob import Glob
from bailiwick.core.thinking.model_calls import AskedAs, OffersAny, OffersOnly


def circumstance(asked: Circumstance) -> str:
    """One of them."""
    match asked:
        case RunLabelled():
            return f"in a run labelled {one_of(map(quote, sorted(asked.labels)))}{_said(asked)}"
        case RunPurpose():
            purposes = one_of(quote(glob.text) for glob in asked.globs)
            return f"in a run for a purpose like {purposes}{_said(asked)}"
        case ForEndUser():
            users = one_of(quote(glob.text) for glob in asked.globs)
            return f"for an end user like {users}{_said(asked)}"
        case FromZone():
            return f"from the network zone {one_of(map(quote, sorted(asked.zones)))}"
        case InHours():
            inside = " or ".join(_span(span) for span in asked.spans)
            return f"at other times than {inside}" if asked.outside else inside
        case AskedAs():
            return f"asked for as {_globs(asked.globs)}"
        case OffersAny():
            return f"offering the tool {_globs(asked.globs)}"
        case OffersOnly():
            own = "" if asked.own is None else f"no tools but {_globs(asked.own) or 'none'} and "
            hosted = _globs(asked.hosted)
            none_else = f"no tools of the model's server{f' but {hosted}' if hosted else ''}"
            return f"offering {own}{none_else}"
    return asked.phrase


def _globs(globs: Iterable[Glob]) -> str:
    return one_of(quote(glob.text) for glob in globs)


def circumstances(asked: Iterable[Circumstance]) -> str:
    """All of them; "" for none."""
    return ", and ".join(circumstance(each) for each in asked)


def _said(asked: RunLabelled | RunPurpose | ForEndUser) -> str:
    return (
        " (the agent's own word is taken for it)"
        if asked.agent_may_say
        else (" (a person must have said so)")
    )


def _span(span: Span) -> str:
    """As its own phrase says it, with every day that is left out, and the zone's whole name."""
    text = dataclasses.replace(span, without=frozenset()).phrase
    place = span.zone.rpartition("/")[2].replace("_", " ")
    if place != span.zone:
        text = text.replace(f" {place} time", f" {place} time ({span.zone})", 1)
    if span.without:
        days = all_of(day.isoformat() for day in sorted(span.without))
        text += f"{' and' if span.calendars else ' except'} {days}"
    return text
