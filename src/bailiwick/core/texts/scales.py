"""Reading what can be put in order: numbers, dates, times, durations, each onto one exact scale.

A scale reads a value strictly, one meaning only, or not at all: what some readers take for another
date (`26-11-22`, `2026-W47-7`, `11/12/2026`), another time (`24:00`, a leap second, no offset) or
another length (months and years have none) is not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from bailiwick.core.canonical import Json
from bailiwick.core.values import Number, number_of

MAX_SCALE_TEXT = 64
"""Longest text that is read, in characters."""

NANOSECONDS = 1_000_000_000

DATE_PATTERN = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
TIME_PATTERN = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
DURATION_PATTERN = (
    r"P(?:[0-9]{1,6}W|(?=[0-9T])(?:[0-9]{1,6}D)?"
    r"(?:T(?=[0-9])(?:[0-9]{1,9}H)?(?:[0-9]{1,9}M)?(?:[0-9]{1,9}(?:\.[0-9]{1,9})?S)?)?)"
)

_DATE = re.compile(DATE_PATTERN)
_TIME = re.compile(TIME_PATTERN)
_DURATION = re.compile(
    r"P(?:(?P<weeks>[0-9]{1,6})W|(?=[0-9T])(?:(?P<days>[0-9]{1,6})D)?"
    r"(?:T(?=[0-9])(?:(?P<hours>[0-9]{1,9})H)?(?:(?P<minutes>[0-9]{1,9})M)?"
    r"(?:(?P<seconds>[0-9]{1,9})(?:\.(?P<part>[0-9]{1,9}))?S)?)?)"
)
_SECONDS = {"weeks": 604_800, "days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}


@dataclass(frozen=True, slots=True)
class Scale:
    """One scale.

    Attributes:
        noun: what stands on it, for people: "a date such as `2026-11-22`".
        read: where a value stands on it, exactly; None when it is not plainly told.
    """

    noun: str
    read: Callable[[Json], Number | None]


def read_date(value: Json) -> int | None:
    """Days of a calendar date `YYYY-MM-DD` (ISO 8601, proleptic Gregorian) since the year 1."""
    if not isinstance(value, str) or len(value) > MAX_SCALE_TEXT or not _DATE.fullmatch(value):
        return None
    try:
        return date.fromisoformat(value).toordinal()
    except ValueError:  # no such day
        return None


def read_time(value: Json) -> int | None:
    """Unix nanoseconds of a date-time with its offset (RFC 3339, capital `T` and `Z`).

    Without what readers differ on: hour 24, second 60, the unknown offset `-00:00`.
    """
    if not isinstance(value, str) or len(value) > MAX_SCALE_TEXT or not _TIME.fullmatch(value):
        return None
    if value.endswith("-00:00"):  # RFC 3339 section 4.3: the local offset is unknown
        return None
    whole, part = value, ""
    if value[19] == ".":
        part = value[20:].rstrip("Z").partition("+")[0].partition("-")[0]
        whole = value[:19] + value[20 + len(part) :]
    try:
        # By whole seconds: a datetime knows microseconds only, and an exact time may have more.
        gone = datetime.fromisoformat(whole) - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):  # no such time
        return None
    return (gone.days * 86_400 + gone.seconds) * NANOSECONDS + int(part.ljust(9, "0") or 0)


def read_duration(value: Json) -> int | None:
    """Nanoseconds of an ISO 8601 duration in weeks, or in days, hours, minutes and seconds.

    Years and months have no fixed length, so a duration with them is not read; a sign neither.
    A day is 24 hours.
    """
    if not isinstance(value, str) or len(value) > MAX_SCALE_TEXT:
        return None
    found = _DURATION.fullmatch(value)
    if found is None:
        return None
    seconds = sum(int(found[name] or 0) * length for name, length in _SECONDS.items())
    return seconds * NANOSECONDS + int((found["part"] or "").ljust(9, "0"))


NUMBER = Scale("a plain number", number_of)
DATE = Scale("a date such as `2026-11-22`", read_date)
TIME = Scale("a time with its offset, such as `2026-11-22T18:00:00+01:00`", read_time)
DURATION = Scale("a duration such as `PT1H30M` or `P30D`", read_duration)
