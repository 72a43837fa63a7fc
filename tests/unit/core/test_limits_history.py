"""Whatever is asked, when, and whatever comes of it: what was let through adds up to no more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.core.canonical import JsonObject
from bailiwick.core.context import NO_LABELS, NO_POLICIES, NO_STEP
from bailiwick.core.judge import judge
from bailiwick.core.limits.books import Books, Place
from bailiwick.core.limits.limit import SUM_SCALE, Measure, Window
from bailiwick.core.verdict import Allow, Deny
from tests.unit.core.mandates import call
from tests.unit.core.test_limits import limit, under

ZURICH = ZoneInfo("Europe/Zurich")
START = int(datetime(2026, 10, 24, 12, tzinfo=ZURICH).timestamp() * 1000)
"""The day before clocks go back."""

MANDATE = under(
    limit(
        name="day",
        window=Window("day", "Europe/Zurich"),
        currency="currency",
        ceilings={"CHF": 100 * SUM_SCALE, "EUR": 50 * SUM_SCALE},
    ),
    limit(
        name="payee",
        window=Window("lifetime"),
        currency="currency",
        ceilings={"CHF": 150 * SUM_SCALE, "EUR": 150 * SUM_SCALE},
        per=("to",),
    ),
    limit(Measure.COUNT, name="pace", window=Window("sliding", seconds=3_600)),
    limit(
        Measure.DISTINCT,
        name="faces",
        window=Window("month", "Europe/Zurich"),
        of="to",
        ceilings={"values": 3},
    ),
    limit(Measure.CONCURRENT, name="once", window=Window("lifetime"), ceilings={"calls": 2}),
)


@dataclass
class Passed:
    """A call that was let through."""

    at_ms: int
    reserved_ms: int
    day: str
    amount: int
    currency: str
    to: str
    place: Place = Place.PENDING


ASKED = st.tuples(
    st.integers(0, 80),
    st.sampled_from(["CHF", "EUR"]),
    st.sampled_from(["a", "A", "b", "c", "d d", "dd"]),
    st.integers(-7_200_000, 7_200_000) | st.integers(-100_000_000, 100_000_000),
    st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from([Place.POSTED, Place.FREE, Place.UNKNOWN])),
        max_size=2,
    ),
)


def key(payee: str) -> str:
    return payee.replace(" ", "").lower()


@settings(max_examples=150, deadline=None)
@given(st.lists(ASKED, max_size=30))
def test_no_sequence_of_calls_outcomes_and_clocks_gets_more_than_the_limits_give(
    asked: list[tuple[int, str, str, int, list[tuple[int, Place]]]],
) -> None:
    books = Books()
    history: list[Passed] = []
    now = START
    for amount, currency, payee, step, settled in asked:
        now = max(START - 10**9, now + step)
        arguments: JsonObject = {"amount": amount, "currency": currency, "to": payee}
        verdict = judge(
            call("bank/transfer", arguments), [MANDATE], NO_POLICIES, books, NO_LABELS, NO_STEP, now
        )
        if isinstance(verdict, Allow):
            moved = books.reserve(str(len(history)), now, verdict.charges)
            day = datetime.fromtimestamp(now / 1000, ZURICH).date().isoformat()
            reserved = max(each.reserved_ms for each in moved if each.since_ms)
            history.append(Passed(now, reserved, day, amount, currency, payee))
        else:
            assert isinstance(verdict, Deny)
            assert verdict.code == "limit_exceeded"
        for which, to in settled:
            if which < len(history) and history[which].place in (Place.PENDING, Place.UNKNOWN):
                books.settle(str(which), now, to)
                history[which].place = to
        adds_up(history)


def adds_up(history: list[Passed]) -> None:
    """Every limit of MANDATE, added up the slow way over what has happened."""
    held = [each for each in history if each.place is not Place.FREE]
    for one in held:
        alike = [each for each in held if each.currency == one.currency]
        most = 100 if one.currency == "CHF" else 50
        assert sum(each.amount for each in alike if each.day == one.day) <= most
        assert sum(each.amount for each in alike if key(each.to) == key(one.to)) <= 150
        in_month = {each.to for each in held if each.day[:7] == one.day[:7]}
        assert len(in_month) <= 3
        hour = [
            each
            for each in held
            if one.reserved_ms - 3_600_000 < each.reserved_ms <= one.reserved_ms
        ]
        assert len(hour) <= 3
    assert sum(each.place in (Place.PENDING, Place.UNKNOWN) for each in history) <= 2
