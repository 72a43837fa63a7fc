"""The windows of limits: which one a moment is in, how it is named, and when it ends.

A window of an hour to a month begins by the local clock of an IANA time zone and is named by its
local start, so a day of 23 or 25 hours is one day. Weeks begin on Monday (ISO 8601). An hour is
named with its offset from UTC: when clocks go back, the hour that comes twice is two windows.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from bailiwick.core.limits.limit import ZONED, Window
from bailiwick.core.texts.time_zones import time_zone

_MS = 1000
MINUTE_MS = 60_000
"""Zones change their offset at whole minutes, so a minute is never in two windows."""


class Period(NamedTuple):
    """One window.

    Attributes:
        label: names it; "" when there is only one.
        over: it in words, to follow an amount: "on 2026-11-22 (Europe/Zurich)".
        until: when it ends, in words; "" when it does not end at one moment.
    """

    label: str
    over: str
    until: str = ""


class AccountParts(NamedTuple):
    """What the name of an account says (`Charge.account`).

    Attributes:
        window: `run`, `hour`, `day`, `week`, `month`, `lifetime`, or `sliding-SECONDS`.
        zone: IANA time zone; "" for windows that have none.
        start: label of the window; the run's id for `run`.
        shape: what is summed or told apart, hashed; eight hex digits.
    """

    mandate: str
    limit: str
    measure: str
    window: str
    zone: str
    start: str
    unit: str
    shape: str


def account_parts(account: str) -> AccountParts:
    """Read the name of an account. Raises ValueError when it is none."""
    # From the right: the name of a child mandate holds colons, nothing else in it does.
    parts = account.rsplit(":", len(AccountParts._fields) - 1)
    if len(parts) != len(AccountParts._fields):
        raise ValueError("not the name of an account")
    return AccountParts(*parts)


def period(window: Window, run: str, now: int) -> Period:
    """The window that `now` (Unix milliseconds) is in.

    Raises:
        ValueError, OverflowError: `now` is in no year from 1 to 9999.
    """
    if window.kind in ZONED:
        return _period(window.kind, window.zone, now // MINUTE_MS)
    if window.kind == "run":
        return Period(run, "in this run")
    if window.kind == "sliding":
        return _sliding(window.seconds)
    if window.kind == "call":
        return _IN_CALL
    return _IN_ALL


_IN_CALL = Period("", "in one call")
_IN_ALL = Period("", "in all")


def ends_at(parts: AccountParts) -> int | None:
    """When the window of an account ends, in Unix milliseconds; None if at no certain time.

    Raises:
        ValueError: the account is none that `period` named.
    """
    if parts.window not in ZONED:
        return None
    if parts.window == "hour":
        return _ms(datetime.strptime(parts.start, "%Y-%m-%dT%H%z") + timedelta(hours=1))
    first = date.fromisoformat(parts.start if len(parts.start) > 7 else f"{parts.start}-01")
    after = _next(parts.window, first)
    return _ms(datetime(after.year, after.month, after.day, tzinfo=time_zone(parts.zone)))


@lru_cache(maxsize=1024)
def _period(kind: str, zone_name: str, minute: int) -> Period:
    local = datetime.fromtimestamp(minute * 60, time_zone(zone_name))
    today = local.date()
    if kind == "hour":
        # In absolute time: added to local time, an hour could jump over a change of clocks.
        end = (local - timedelta(minutes=local.minute)).astimezone(UTC) + timedelta(hours=1)
        label = f"{local:%Y-%m-%dT%H%z}"
        over = f"in the hour from {local:%Y-%m-%d %H}:00 ({zone_name})"
        return Period(label, over, f"{end.astimezone(local.tzinfo):%Y-%m-%d %H:%M}")
    if kind == "day":
        return Period(f"{today}", f"on {today} ({zone_name})", f"{_next(kind, today)} 00:00")
    if kind == "week":
        first = today - timedelta(days=today.weekday())
        over = f"in the week from {first} ({zone_name})"
    else:
        first = today.replace(day=1)
        over = f"in {first:%Y-%m} ({zone_name})"
    label = f"{first:%Y-%m}" if kind == "month" else f"{first}"
    return Period(label, over, f"{_next(kind, first)} 00:00")


@lru_cache(maxsize=256)
def _sliding(seconds: int) -> Period:
    return Period("", f"in the last {duration(seconds)}")


def duration(seconds: int) -> str:
    """A duration in words: "10 minutes", "1 hour", "90 seconds"."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return "1 second" if seconds == 1 else f"{seconds} seconds"


def _next(kind: str, first: date) -> date:
    """The day on which the window after the one that begins on `first` begins."""
    if kind == "month":
        return (first.replace(day=28) + timedelta(days=4)).replace(day=1)
    return first + timedelta(days=7 if kind == "week" else 1)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * _MS
