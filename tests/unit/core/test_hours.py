"""Weekly hours: what a clock on the wall shows, holidays, and what a refusal says."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.flow.labels import NO_FACTS
from bailiwick.core.hours import EVERY_DAY, WORKING_WEEK, Calendar, InHours, Span
from bailiwick.core.texts.time_zones import time_zone, zone_names
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth

ZURICH = "Europe/Zurich"
OFFICE = Span(ZURICH, WORKING_WEEK, 8 * 60, 18 * 60)
NIGHT = Span(ZURICH, WORKING_WEEK, 22 * 60, 6 * 60)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def at(span: Span, text: str, *, outside: bool = False) -> Truth:
    return InHours((span,), outside).of(NO_FACTS, ms(text))


@pytest.mark.parametrize(
    ("moment", "truth"),
    [
        ("2026-11-20T07:59:59.999+01:00", FAILS),
        ("2026-11-20T08:00:00+01:00", HOLDS),
        ("2026-11-20T17:59:59.999+01:00", HOLDS),
        ("2026-11-20T18:00:00+01:00", FAILS),
        ("2026-11-21T12:00:00+01:00", FAILS),
        ("2026-11-20T07:00:00+00:00", HOLDS),
        ("2026-07-20T06:00:00+00:00", HOLDS),
        ("2026-07-20T16:00:00+00:00", FAILS),
    ],
)
def test_office_hours_begin_inclusive_and_end_exclusive_in_their_zone(
    moment: str, truth: Truth
) -> None:
    assert at(OFFICE, moment) is truth


@pytest.mark.parametrize(
    ("moment", "truth"),
    [
        ("2026-11-20T21:59:00+01:00", FAILS),
        ("2026-11-20T22:00:00+01:00", HOLDS),
        ("2026-11-21T05:59:00+01:00", HOLDS),  # Saturday morning belongs to Friday's night
        ("2026-11-21T06:00:00+01:00", FAILS),
        ("2026-11-23T05:00:00+01:00", FAILS),  # Sunday has no night
    ],
)
def test_hours_over_midnight_belong_to_the_day_they_begin_on(moment: str, truth: Truth) -> None:
    assert at(NIGHT, moment) is truth


def test_a_whole_day_reaches_from_midnight_to_midnight() -> None:
    monday = Span(ZURICH, frozenset({0}))
    assert at(monday, "2026-11-22T23:59:59+01:00") is FAILS
    assert at(monday, "2026-11-23T00:00:00+01:00") is HOLDS
    assert at(monday, "2026-11-23T23:59:59+01:00") is HOLDS
    assert at(monday, "2026-11-24T00:00:00+01:00") is FAILS


def test_until_midnight_may_be_written_as_the_end_or_the_beginning_of_a_day() -> None:
    for end in (0, 24 * 60):
        evening = Span(ZURICH, EVERY_DAY, 18 * 60, end)
        assert at(evening, "2026-11-23T23:59:59+01:00") is HOLDS
        assert at(evening, "2026-11-24T00:00:00+01:00") is FAILS


def test_hours_that_the_clock_skips_begin_where_it_lands() -> None:
    # On 29 March 2026 clocks in Zurich go from 2:00 to 3:00, at 1:00 UTC.
    early = Span(ZURICH, EVERY_DAY, 2 * 60 + 30, 5 * 60)
    assert at(early, "2026-03-29T00:59:59+00:00") is FAILS
    assert at(early, "2026-03-29T01:00:00+00:00") is HOLDS


def test_hours_that_end_in_the_gap_end_with_it() -> None:
    early = Span(ZURICH, EVERY_DAY, 0, 2 * 60 + 30)
    assert at(early, "2026-03-29T00:59:59+00:00") is HOLDS
    assert at(early, "2026-03-29T01:00:00+00:00") is FAILS


def test_an_hour_that_comes_twice_is_inside_twice() -> None:
    # On 25 October 2026 clocks in Zurich go from 3:00 back to 2:00, at 1:00 UTC.
    early = Span(ZURICH, EVERY_DAY, 2 * 60, 2 * 60 + 30)
    inside = [
        at(early, f"2026-10-25T0{hour}:{minute:02}:00+00:00") is HOLDS
        for hour in (0, 1)
        for minute in (0, 29, 30, 59)
    ]
    assert inside == [True, True, False, False] * 2


def test_a_day_left_out_has_no_hours_at_all_and_none_begin_on_it() -> None:
    night = Span(ZURICH, EVERY_DAY, 22 * 60, 6 * 60, frozenset({date(2026, 12, 25)}))
    assert at(night, "2026-12-24T23:59:00+01:00") is HOLDS
    assert at(night, "2026-12-25T00:00:00+01:00") is FAILS
    assert at(night, "2026-12-25T23:00:00+01:00") is FAILS
    assert at(night, "2026-12-26T05:00:00+01:00") is FAILS
    assert at(night, "2026-12-26T22:00:00+01:00") is HOLDS


def test_a_calendar_that_has_run_out_leaves_doubt_on_what_might_be_a_working_day() -> None:
    zurich = Calendar("zurich", frozenset({date(2026, 12, 25)}))
    office = Span(ZURICH, WORKING_WEEK, 8 * 60, 18 * 60, calendars=(zurich,))
    assert at(office, "2026-12-24T12:00:00+01:00") is HOLDS
    assert at(office, "2026-12-25T12:00:00+01:00") is FAILS
    assert at(office, "2027-01-04T12:00:00+01:00") is CANNOT_TELL
    assert at(office, "2027-01-02T12:00:00+01:00") is FAILS  # a Saturday, whatever the calendar
    assert at(office, "2027-01-04T12:00:00+01:00", outside=True) is CANNOT_TELL
    assert "has no days of this year" in InHours((office,)).missing(
        NO_FACTS, ms("2027-01-04T12:00:00+01:00")
    )


def test_outside_is_the_rest_of_the_week_and_the_days_left_out() -> None:
    office = Span(ZURICH, WORKING_WEEK, 8 * 60, 18 * 60, frozenset({date(2026, 12, 25)}))
    assert at(office, "2026-12-24T12:00:00+01:00", outside=True) is FAILS
    assert at(office, "2026-12-25T12:00:00+01:00", outside=True) is HOLDS
    assert at(office, "2026-12-24T19:00:00+01:00", outside=True) is HOLDS


def test_several_spans_hold_where_one_does() -> None:
    both = InHours((OFFICE, NIGHT))
    assert both.of(NO_FACTS, ms("2026-11-20T12:00:00+01:00")) is HOLDS
    assert both.of(NO_FACTS, ms("2026-11-20T23:00:00+01:00")) is HOLDS
    assert both.of(NO_FACTS, ms("2026-11-20T20:00:00+01:00")) is FAILS


def test_the_remembered_minute_never_outlives_its_minute() -> None:
    hours = InHours((OFFICE,))
    end = ms("2026-11-20T18:00:00+01:00")
    assert hours.of(NO_FACTS, end - 60_000) is HOLDS
    assert hours.of(NO_FACTS, end - 1) is HOLDS
    assert hours.of(NO_FACTS, end) is FAILS
    assert hours.of(NO_FACTS, end - 1) is HOLDS  # a clock may also go back


@given(
    st.integers(ms("1975-01-01T00:00:00+00:00"), ms("2037-12-31T00:00:00+00:00")),
    st.sampled_from(["Europe/Zurich", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"]),
    st.integers(0, 24 * 60 - 1),
    st.integers(0, 24 * 60),
)
def test_every_edge_falls_on_a_whole_minute(at_ms: int, zone: str, start: int, end: int) -> None:
    span = Span(zone, EVERY_DAY, start, end)
    there = datetime.fromtimestamp(at_ms // 60_000 * 60, UTC).astimezone(time_zone(zone))
    late = there.astimezone(UTC) + timedelta(seconds=59, microseconds=999_999)
    assert span.at(late.astimezone(time_zone(zone))) is span.at(there)


def test_offsets_are_whole_minutes_in_every_zone() -> None:
    for name in sorted(zone_names()):
        for year in (1975, 1990, 2005, 2026, 2035):
            for month in (1, 7):
                moment = datetime(year, month, 1, tzinfo=UTC).astimezone(time_zone(name))
                offset = moment.utcoffset()
                assert offset is not None
                assert offset.total_seconds() % 60 == 0, (name, year)


def test_zones_come_from_the_pinned_table_and_by_exact_name() -> None:
    for wrong in ("europe/zurich", "Europe/Zürich", "../../../etc/localtime", "zones", "", "CET/"):
        with pytest.raises(ValueError, match="is not the name of a time zone"):
            time_zone(wrong)
    assert time_zone(ZURICH) is time_zone(ZURICH)


@pytest.mark.parametrize(
    ("span", "phrase"),
    [
        (OFFICE, "from Monday to Friday from 8:00 to 18:00 Zurich time"),
        (
            Span(
                *(ZURICH, WORKING_WEEK, 480, 1080),
                calendars=(Calendar("zurich", frozenset({date(2026, 12, 25)})),),
            ),
            "on working days from 8:00 to 18:00 Zurich time except the days of the calendar "
            "`zurich`",
        ),
        (Span("UTC"), "every day UTC time"),
        (
            Span("America/New_York", frozenset({0, 2, 5}), 540, 1020),
            "on Monday, Wednesday and Saturday from 9:00 to 17:00 New York time",
        ),
        (
            Span(
                "UTC", EVERY_DAY, 1320, 0, frozenset(date(2026, 12, 20 + day) for day in range(6))
            ),
            "every day from 22:00 to 24:00 UTC time except 2026-12-20, 2026-12-21, 2026-12-22 and "
            "3 more days",
        ),
    ],
)
def test_hours_read_as_plain_words(span: Span, phrase: str) -> None:
    assert InHours((span,)).phrase == phrase


def test_a_refusal_says_when_it_would_hold_next() -> None:
    hours = InHours((OFFICE,))
    friday_evening = ms("2026-11-20T19:00:00+01:00")
    assert hours.missing(NO_FACTS, friday_evening) == "next on Monday 2026-11-23 at 8:00"
    assert InHours((OFFICE,), outside=True).missing(NO_FACTS, ms("2026-11-20T12:00:00+01:00")) == (
        "next on Friday 2026-11-20 at 18:00"
    )


def test_a_refusal_says_nothing_of_what_is_weeks_away() -> None:
    never = Span(
        ZURICH, frozenset({0}), without=frozenset({date(2026, 11, 23), date(2026, 11, 30)})
    )
    assert InHours((never,)).missing(NO_FACTS, ms("2026-11-20T12:00:00+01:00")) == ""


@given(st.integers(0, 366 * 24 * 60))
def test_the_next_time_is_one_at_which_it_holds(minute: int) -> None:
    now = ms("2026-01-01T00:00:00+00:00") + minute * 60_000
    hours = InHours((NIGHT,))
    then = hours.next_time(now)
    assert then is not None
    at_ms = int(then.timestamp() * 1000)
    assert now < at_ms
    assert hours.of(NO_FACTS, at_ms) is HOLDS


def test_a_week_holds_as_long_as_its_spans_say() -> None:
    # An ordinary week, and those in which clocks change on a Sunday night.
    for monday in ("2026-11-16", "2026-03-23", "2026-10-19"):
        start = ms(f"{monday}T00:00:00+01:00")
        minutes = [start + each * 60_000 for each in range(7 * 24 * 60)]
        inside = [InHours((OFFICE,)).of(NO_FACTS, each) is HOLDS for each in minutes]
        assert sum(inside) == 5 * 10 * 60
        assert sum(one is not other for one, other in pairwise(inside)) == 10
