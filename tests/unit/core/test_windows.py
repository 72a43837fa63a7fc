"""Windows by the calendar: days of 23 and 25 hours, hours that come twice, ends that are true."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.limits.limit import ZONED, Window
from bailiwick.core.limits.windows import AccountParts, account_parts, duration, ends_at, period
from bailiwick.core.texts.time_zones import time_zone

HOUR_MS = 3_600_000
MINUTE_MS = 60_000


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def label(kind: str, zone: str, moment: str) -> str:
    return period(Window(kind, zone), "", ms(moment)).label


def parts(kind: str, zone: str, start: str) -> AccountParts:
    return AccountParts("pay", "daily", "sum", kind, zone, start, "CHF", "00000000")


@pytest.mark.parametrize(
    ("kind", "zone", "moment", "expected"),
    [
        ("day", "Europe/Zurich", "2026-11-22T22:59:59+00:00", "2026-11-22"),
        ("day", "Europe/Zurich", "2026-11-22T23:00:00+00:00", "2026-11-23"),
        ("day", "Pacific/Kiritimati", "2026-11-22T10:00:00+00:00", "2026-11-23"),
        ("day", "America/Los_Angeles", "2026-11-22T07:59:59+00:00", "2026-11-21"),
        ("week", "Europe/Zurich", "2026-11-22T22:59:59+00:00", "2026-11-16"),
        ("week", "Europe/Zurich", "2026-11-22T23:00:00+00:00", "2026-11-23"),
        ("week", "UTC", "2027-01-01T12:00:00+00:00", "2026-12-28"),
        ("month", "UTC", "2026-12-31T23:59:59+00:00", "2026-12"),
        ("month", "Europe/Zurich", "2026-12-31T23:00:00+00:00", "2027-01"),
        ("hour", "Asia/Kathmandu", "2026-11-22T00:14:59+00:00", "2026-11-22T05+0545"),
        ("hour", "Asia/Kathmandu", "2026-11-22T00:15:00+00:00", "2026-11-22T06+0545"),
    ],
)
def test_a_window_is_named_by_its_local_start(
    kind: str, zone: str, moment: str, expected: str
) -> None:
    assert label(kind, zone, moment) == expected


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-22", 24)]
)
def test_the_days_on_which_clocks_change_are_one_day_each(day: str, hours: int) -> None:
    window = Window("day", "Europe/Zurich")
    start = ms(f"{day}T00:00:00+0{1 if day != '2026-10-25' else 2}:00")
    assert period(window, "", start - 1).label < day
    inside = {period(window, "", start + hour * HOUR_MS).label for hour in range(hours)}
    assert inside == {day}
    assert period(window, "", start + hours * HOUR_MS - 1).label == day
    assert period(window, "", start + hours * HOUR_MS).label > day
    assert ends_at(parts("day", "Europe/Zurich", day)) == start + hours * HOUR_MS


def test_the_hour_that_comes_twice_is_two_windows() -> None:
    first = label("hour", "Europe/Zurich", "2026-10-25T00:30:00+00:00")
    second = label("hour", "Europe/Zurich", "2026-10-25T01:30:00+00:00")
    assert (first, second) == ("2026-10-25T02+0200", "2026-10-25T02+0100")
    assert ends_at(parts("hour", "Europe/Zurich", first)) == ms("2026-10-25T01:00:00+00:00")
    assert ends_at(parts("hour", "Europe/Zurich", second)) == ms("2026-10-25T02:00:00+00:00")


def test_a_change_of_clocks_by_half_an_hour_makes_no_hour_longer() -> None:
    # Lord Howe Island goes from +11 back to +10:30 at 2:00, which is then 1:30.
    zone = "Australia/Lord_Howe"
    labels = [
        label("hour", zone, f"2026-04-04T{moment}:00+00:00")
        for moment in ("14:00", "14:59", "15:00", "15:29", "15:30")
    ]
    assert labels == [
        "2026-04-05T01+1100",
        "2026-04-05T01+1100",
        "2026-04-05T01+1030",
        "2026-04-05T01+1030",
        "2026-04-05T02+1030",
    ]


def test_words_say_the_window_and_its_end() -> None:
    now = ms("2026-11-22T16:20:00+00:00")

    def words(kind: str, seconds: int = 0) -> tuple[str, str]:
        found = period(Window(kind, "Europe/Zurich", seconds), "RUN", now)
        return found.over, found.until

    assert words("hour") == (
        "in the hour from 2026-11-22 17:00 (Europe/Zurich)",
        "2026-11-22 18:00",
    )
    assert words("day") == ("on 2026-11-22 (Europe/Zurich)", "2026-11-23 00:00")
    assert words("week") == ("in the week from 2026-11-16 (Europe/Zurich)", "2026-11-23 00:00")
    assert words("month") == ("in 2026-11 (Europe/Zurich)", "2026-12-01 00:00")
    assert words("run") == ("in this run", "")
    assert words("call") == ("in one call", "")
    assert words("lifetime") == ("in all", "")
    assert words("sliding", 600) == ("in the last 10 minutes", "")


def test_an_hour_that_begins_as_clocks_go_forward_ends_when_it_says() -> None:
    found = period(Window("hour", "Europe/Zurich"), "", ms("2026-03-29T00:30:00+00:00"))
    assert (found.label, found.until) == ("2026-03-29T01+0100", "2026-03-29 03:00")


@given(
    kind=st.sampled_from(sorted(ZONED)),
    zone=st.sampled_from(
        [
            *("Europe/Zurich", "America/New_York", "Asia/Kathmandu", "America/St_Johns"),
            *("Africa/Casablanca", "Asia/Gaza", "America/Nuuk", "Pacific/Apia"),
        ]
    ),
    minute=st.integers(27_000_000, 36_000_000),
)
def test_a_moment_is_before_the_end_of_its_window_and_the_end_is_after_it(
    kind: str, zone: str, minute: int
) -> None:
    now = minute * MINUTE_MS + 12_345
    window = Window(kind, zone)
    found = period(window, "", now)
    end = ends_at(parts(kind, zone, found.label))
    assert end is not None
    assert end > now
    after = period(window, "", end)
    assert after.label != found.label
    local = datetime.fromtimestamp(end // 1000, UTC).astimezone(time_zone(zone))
    assert local - timedelta(days=32) < datetime.fromtimestamp(now // 1000, UTC)


def test_windows_without_an_end_by_the_calendar_have_none() -> None:
    assert ends_at(parts("lifetime", "", "")) is None
    assert ends_at(parts("sliding-600", "", "")) is None
    assert ends_at(parts("run", "", "01JZ")) is None


def test_the_name_of_an_account_is_read_from_the_right() -> None:
    found = account_parts("pay:child:daily:sum:day:Europe/Zurich:2026-11-22:CHF:1a2b3c4d")
    assert found == AccountParts(
        "pay:child", "daily", "sum", "day", "Europe/Zurich", "2026-11-22", "CHF", "1a2b3c4d"
    )
    with pytest.raises(ValueError, match="not the name of an account"):
        account_parts("pay:daily")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (90, "90 seconds"),
        (60, "1 minute"),
        (600, "10 minutes"),
        (5_400, "90 minutes"),
        (3_600, "1 hour"),
        (86_400, "1 day"),
        (604_800, "7 days"),
    ],
)
def test_durations_in_words(seconds: int, words: str) -> None:
    assert duration(seconds) == words
