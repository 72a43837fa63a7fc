"""Weekly hours in a time zone: when something is allowed, denied or stamped.

What counts is what a clock on the wall there shows. So where clocks are put back, an hour comes
twice and is inside or outside twice alike; where they are put forward, hours that do not exist
begin and end with the gap. A day that is left out has no hours from midnight to midnight, and none
begin on it that reach into the next.

A calendar speaks for the years it has days of. In any other year it cannot be told whether a day
is a holiday, so nothing that depends on it holds: nobody noticed that the calendar has run out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from bailiwick.core.flow.labels import Facts
from bailiwick.core.texts.time_zones import time_zone
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth, every, some

DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
EVERY_DAY = frozenset(range(7))
WORKING_WEEK = frozenset(range(5))
DAY_MINUTES = 24 * 60

MAX_SHOWN_DAYS = 3
LOOK_AHEAD_DAYS = 14
"""How far a refusal looks for the next time at which it would hold."""

_MINUTE_MS = 60_000
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Days without hours. It speaks for the years of its days, and for no others."""

    name: str
    days: frozenset[date]
    years: frozenset[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive `years` once."""
        object.__setattr__(self, "years", frozenset(day.year for day in self.days))


@dataclass(frozen=True, slots=True)
class Span:
    """Hours of a week.

    Attributes:
        days: on which they begin; 0 is Monday.
        start, end: minutes since midnight on the wall, `start` included and `end` not. An `end`
            that is not after `start` is on the next day; 0 and 1440 are midnight at the day's end.
        without: single days that have none.
        calendars: whose days have none either.
    """

    zone: str
    days: frozenset[int] = EVERY_DAY
    start: int = 0
    end: int = DAY_MINUTES
    without: frozenset[date] = frozenset()
    calendars: tuple[Calendar, ...] = ()

    def at(self, moment: datetime) -> Truth:
        """Whether a moment, in this zone, is inside."""
        day, minute = moment.date(), moment.hour * 60 + moment.minute
        end = self.end or DAY_MINUTES
        if self.start < end:
            return self._begins(day) if self.start <= minute < end else FAILS
        if minute >= self.start:
            return self._begins(day)
        if minute >= end:
            return FAILS
        return every((self._begins(day - _DAY), self._open(day)))

    def _begins(self, day: date) -> Truth:
        return self._open(day) if day.weekday() in self.days else FAILS

    def _open(self, day: date) -> Truth:
        """Whether a day is none of those that are left out."""
        if day in self.without or any(day in calendar.days for calendar in self.calendars):
            return FAILS
        known = all(day.year in calendar.years for calendar in self.calendars)
        return HOLDS if known else CANNOT_TELL

    def edges(self, day: date) -> Iterator[datetime]:
        """The moments of this day at which it may begin or end to hold, in this zone."""
        zone = time_zone(self.zone)
        for minute in {0, self.start, self.end % DAY_MINUTES}:
            yield datetime.combine(day, time(minute // 60, minute % 60), zone)

    @property
    def phrase(self) -> str:
        """ "on working days from 8:00 to 18:00 Zurich time"."""
        left_out = [f"the days of the calendar `{each.name}`" for each in self.calendars]
        single = sorted(day.isoformat() for day in self.without)
        left_out += single[:MAX_SHOWN_DAYS]
        if len(single) > MAX_SHOWN_DAYS:
            left_out.append(f"{len(single) - MAX_SHOWN_DAYS} more days")
        whole = self.start == 0 and self.end in (0, DAY_MINUTES)
        times = "" if whole else f" from {_clock(self.start)} to {_clock(self.end or DAY_MINUTES)}"
        but = f" except {_and(left_out)}" if left_out else ""
        return f"{self._days()}{times} {_place(self.zone)} time{but}"

    def _days(self) -> str:
        if self.days == EVERY_DAY:
            return "every day"
        if self.days == WORKING_WEEK:
            return "on working days" if self.calendars else "from Monday to Friday"
        return "on " + _and([DAY_NAMES[day] for day in sorted(self.days)])


@dataclass(frozen=True, slots=True)
class InHours:
    """Inside one of `spans`, or with `outside` inside none of them."""

    spans: tuple[Span, ...]
    outside: bool = False
    _last: list[tuple[int, Truth]] = field(
        init=False, repr=False, compare=False, hash=False, default_factory=lambda: [(-1, FAILS)]
    )

    def of(self, facts: Facts, now: int) -> Truth:
        """Whether it holds. Remembers the answer for the minute, since every call asks.

        Every edge falls on a whole minute: all offsets from UTC have been whole minutes since 1972.
        """
        minute = now // _MINUTE_MS
        last, truth = self._last[0]
        if last != minute:
            truth = self._at(minute * _MINUTE_MS)
            self._last[0] = (minute, truth)
        return truth

    def _at(self, now: int) -> Truth:
        moment = datetime.fromtimestamp(now // 1000, UTC)
        inside = some(span.at(moment.astimezone(time_zone(span.zone))) for span in self.spans)
        if not self.outside or inside is CANNOT_TELL:
            return inside
        return FAILS if inside is HOLDS else HOLDS

    def next_time(self, now: int) -> datetime | None:
        """When it will hold next, in the zone it is about; None if not within two weeks."""
        begins = [
            edge
            for span in self.spans
            for ahead in range(-1, LOOK_AHEAD_DAYS)
            for edge in span.edges(_local_day(now, span.zone) + timedelta(days=ahead))
        ]
        for edge in sorted(begins, key=datetime.timestamp):
            at_ms = int(edge.timestamp()) * 1000
            if at_ms > now and self._at(at_ms) is HOLDS:
                return edge.astimezone(UTC).astimezone(edge.tzinfo)
        return None

    @property
    def phrase(self) -> str:
        """What must be so."""
        inside = " or ".join(span.phrase for span in self.spans)
        return f"at other times than {inside}" if self.outside else inside

    def missing(self, facts: Facts, now: int) -> str:
        """When it will hold, for somebody who asks too early."""
        if self._at(now) is CANNOT_TELL:
            names = {each.name: None for span in self.spans for each in span.calendars}
            listed = _and([f"`{name}`" for name in names])
            return f"the calendar {listed} has no days of this year, so it cannot be told"
        then = self.next_time(now)
        if then is None:
            return ""
        return f"next on {DAY_NAMES[then.weekday()]} {then:%Y-%m-%d} at {then.hour}:{then:%M}"


def _local_day(now: int, zone: str) -> date:
    return datetime.fromtimestamp(now // 1000, UTC).astimezone(time_zone(zone)).date()


def _clock(minute: int) -> str:
    return f"{minute // 60}:{minute % 60:02}"


def _place(zone: str) -> str:
    return zone.rpartition("/")[2].replace("_", " ")


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
