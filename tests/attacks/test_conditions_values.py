"""Conditions on values under attack: the known ways to write a value so that two readers differ.

Each attack must neither be let through by an allow rule nor slip past a deny rule with the same
condition: it cannot be told. What is plainly outside the bounds may fail.
"""

from __future__ import annotations

import math
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.canonical import Json
from bailiwick.core.conditions import (
    AtMost,
    Between,
    Bounds,
    Compared,
    Condition,
    Count,
    EndsWith,
    FitsRegex,
    How,
    Items,
    Length,
    Money,
    MoneyBeside,
    OneOf,
    StartsWith,
    Which,
    permits,
    triggers,
)
from bailiwick.core.conditions.money import amount_of
from bailiwick.core.texts.regex import MAX_TEXT_BYTES, Regex
from bailiwick.core.texts.scales import (
    DATE,
    DURATION,
    NUMBER,
    TIME,
    read_date,
    read_duration,
    read_time,
)
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS
from bailiwick.core.verdict import Allow, Deny
from tests.unit.core.mandates import allow as allow_rule
from tests.unit.core.mandates import at, call, deny, mandate, verdict

AMOUNT = at("amount")
SECONDS = 2.0
"""Generous: what is held is the order of growth, not the machine."""


def untold(condition: Condition, arguments: dict[str, Json]) -> bool:
    """Neither let through nor past."""
    return not permits(condition, arguments) and triggers(condition, arguments)


# --- money ---------------------------------------------------------------------------------------

FRANCS = Money(AMOUNT, "CHF", Bounds(None, 5000))

MONEY_ATTACKS: dict[str, Json] = {
    "exponent": "1e309",
    "exponent that stays small": "1e1",
    "not a number": "NaN",
    "infinity": "-Infinity",
    "not a number as a JSON number": float("nan"),
    "minus infinity as a JSON number": float("-inf"),
    "minus: a payment the other way": -9000,
    "minus in text": "-9000.00",
    "minus a cent": "-0.01",
    "plus": "+1",
    "full-width digits": "１",
    "Arabic-Indic digits": "٥",
    "Devanagari digits": "५",
    "superscript digit": "5²",
    "a Roman numeral": "Ⅴ",
    "Swiss apostrophe": "4'999",
    "typographic apostrophe": "4’999",
    "thousands comma": "4,999",
    "decimal comma": "4,99",
    "thousands point: five, or five thousand": "5.000",
    "three decimals": 4.999,
    "a thin space": "4\u2009999",
    "an underscore": "4_999",
    "hexadecimal": "0x1387",
    "octal": "0o17",
    "leading zero": "0123",
    "two points": "1.2.3",
    "nothing after the point": "5.",
    "nothing before the point": ".5",
    "space before": " 5",
    "newline after": "5\n",
    "null byte": "5\0",
    "zero-width space": "5\u200b0",
    "right-to-left override": "\u202e05",
    "another currency": "EUR 5",
    "another currency after it": "5 EUR",
    "two currencies": "CHF 5 EUR",
    "small letters": "chf 5",
    "mixed letters": "Chf 5",
    "full-width code": "ＣＨＦ 5",
    "Cyrillic look-alike code": "СHF 5",
    "symbol": "Fr. 5",
    "dollar sign": "$5",
    "code without a space": "CHF5",
    "code with two spaces": "CHF  5",
    "code with a no-break space": "CHF\u00a05",
    "an accountant's minus": "(5)",
    "with .- for no cents": "5.-",
    "true": True,
    "null": None,
    "a list": [5],
    "an object": {"value": 5, "currency": "CHF"},
    "nothing": "",
    "longer than any amount": "5" * 100,
}


@pytest.mark.parametrize("value", MONEY_ATTACKS.values(), ids=MONEY_ATTACKS.keys())
def test_an_amount_with_two_readings_cannot_be_told(value: Json) -> None:
    assert untold(FRANCS, {"amount": value})


def test_zero_below_zero_is_zero() -> None:
    for zero in (0, -0.0, "0", "0.00", "-0", "-0.00", "CHF -0.00"):
        assert FRANCS.of(zero) is HOLDS
        assert Money(AMOUNT, "CHF", Bounds(Decimal("0.01"), None)).of(zero) is FAILS


def test_amounts_are_exact_at_the_last_cent() -> None:
    assert FRANCS.of("5000.00") is HOLDS
    assert FRANCS.of("5000.01") is FAILS
    assert FRANCS.of(5000.01) is FAILS
    assert Money(AMOUNT, "CHF", Bounds(None, Decimal("0.30"))).of(0.3) is HOLDS
    big = Money(AMOUNT, "CHF", Bounds(None, Decimal("90071992547409.91")))
    assert big.of("90071992547409.92") is FAILS
    huge = "1" + "0" * 50
    assert Money(AMOUNT, "CHF", Bounds(None, Decimal(huge))).of(huge + ".01") is FAILS


def test_a_currency_is_read_as_its_code_before_or_after_the_amount() -> None:
    assert FRANCS.of("CHF 5000.00") is HOLDS
    assert FRANCS.of("5000.00 CHF") is HOLDS
    assert FRANCS.of("CHF 5000.01") is FAILS


def test_amounts_below_zero_count_where_the_bounds_speak_of_them() -> None:
    assert Money(AMOUNT, "CHF", Bounds(-10, 10)).of(-10) is HOLDS
    assert Money(AMOUNT, "CHF", Bounds(-10, 10)).of("-10.01") is FAILS


def test_minor_units_are_whole_and_scaled_by_the_currency() -> None:
    rappen = Money(AMOUNT, "CHF", Bounds(None, 50), minor_units=True)
    assert rappen.of(5000) is HOLDS
    assert rappen.of(5001) is FAILS
    assert rappen.of(50.5) is CANNOT_TELL
    assert rappen.of("50.00") is CANNOT_TELL
    assert rappen.of(5000.0) is HOLDS
    yen = Money(AMOUNT, "JPY", Bounds(None, 5000), minor_units=True)
    assert yen.of(5000) is HOLDS
    assert yen.of(5001) is FAILS
    dinars = Money(AMOUNT, "KWD", Bounds(None, 5), minor_units=True)
    assert dinars.of(5000) is HOLDS
    assert dinars.of(5001) is FAILS
    # A sum so large that arithmetic in 28 digits would round it down to the bound.
    limit = Decimal("1" + "0" * 30)
    assert Money(AMOUNT, "CHF", Bounds(None, limit), True).of("1" + "0" * 31 + "1") is not HOLDS
    assert amount_of("1" + "0" * 31 + "1", "CHF", minor_units=True) == Decimal(
        "1" + "0" * 30 + ".01"
    )


def test_decimals_are_those_of_the_currency() -> None:
    assert Money(AMOUNT, "JPY", Bounds(None, 5000)).of("50.00") is CANNOT_TELL
    assert Money(AMOUNT, "KWD", Bounds(None, 5)).of("5.000") is HOLDS


BY_ARGUMENT = MoneyBeside(
    AMOUNT, at("currency"), {"CHF": Bounds(None, 5000), "JPY": Bounds(None, 800_000)}
)

CURRENCY_ATTACKS: dict[str, dict[str, Json]] = {
    "another currency": {"amount": 5, "currency": "EUR"},
    "small letters": {"amount": 5, "currency": "chf"},
    "a space": {"amount": 5, "currency": "CHF "},
    "a null byte": {"amount": 5, "currency": "CHF\0"},
    "full-width letters": {"amount": 5, "currency": "ＣＨＦ"},
    "its number": {"amount": 5, "currency": "756"},
    "its number as a number": {"amount": 5, "currency": 756},
    "a list of both": {"amount": 5, "currency": ["CHF", "JPY"]},
    "no currency": {"amount": 5},
    "null": {"amount": 5, "currency": None},
    "a look-alike name": {"amount": 5, "Currency": "CHF"},
    "two names": {"amount": 5, "currency": "CHF", "Currency": "JPY"},
    "the amount says another": {"amount": "JPY 700000", "currency": "CHF"},
    "an object": {"amount": 5, "currency": {"code": "CHF"}},
}


@pytest.mark.parametrize("arguments", CURRENCY_ATTACKS.values(), ids=CURRENCY_ATTACKS.keys())
def test_a_currency_that_is_not_plainly_one_with_a_bound_cannot_be_told(
    arguments: dict[str, Json],
) -> None:
    assert untold(BY_ARGUMENT, arguments)


def test_each_currency_has_its_own_bound() -> None:
    assert permits(BY_ARGUMENT, {"amount": 700_000, "currency": "JPY"})
    assert not permits(BY_ARGUMENT, {"amount": 700_000, "currency": "CHF"})
    assert not triggers(BY_ARGUMENT, {"amount": 700_000, "currency": "CHF"})


def test_amounts_in_a_list_are_read_with_the_currency_beside_each() -> None:
    each = MoneyBeside(at("items[].amount"), at("items[].currency"), {"CHF": Bounds(None, 10)})
    good: Json = {"amount": 5, "currency": "CHF"}
    assert permits(each, {"items": [good, good]})
    assert not permits(each, {"items": [good, {"amount": 5, "currency": "EUR"}]})
    assert not permits(each, {"items": [good, {"amount": 5}], "currency": "CHF"})
    assert triggers(each, {"items": [{"amount": 99, "currency": "CHF"}, {"amount": 1}]})


@given(st.integers(-(10**12), 10**12), st.sampled_from(["CHF", "JPY", "KWD", "CLF"]))
def test_minor_units_and_decimals_say_the_same_amount(count: int, code: str) -> None:
    exact = amount_of(count, code, minor_units=True)
    assert exact is not None
    assert amount_of(f"{exact:f}", code) == exact
    assert amount_of(f"{code} {exact:f}", code) == exact


@given(st.decimals(0, 10**9, places=2), st.decimals(0, 10**9, places=2))
def test_an_amount_is_let_through_exactly_up_to_its_bound(bound: Decimal, value: Decimal) -> None:
    found = Money(AMOUNT, "CHF", Bounds(None, bound)).of(str(value))
    assert found is (HOLDS if value <= bound else FAILS)


# --- dates, times, durations ---------------------------------------------------------------------

THIS_YEAR = Between(AMOUNT, DATE, "2026-01-01", "2026-12-31")

DATE_ATTACKS: dict[str, Json] = {
    "a day that rolls over": "2026-02-30",
    "a leap day of no leap year": "2026-02-29",
    "month thirteen": "2026-13-01",
    "day zero": "2026-01-00",
    "month zero": "2026-00-10",
    "year zero": "0000-06-01",
    "a two-digit year": "26-11-22",
    "a week date": "2026-W47-7",
    "a week": "2026-W47",
    "an ordinal date": "2026-326",
    "the basic form": "20261122",
    "day and month, or month and day": "11/12/2026",
    "dots": "12.11.2026",
    "slashes": "2026/11/12",
    "one digit": "2026-1-2",
    "a month alone": "2026-11",
    "a year alone": "2026",
    "an expanded year": "+002026-11-22",
    "a year before Christ": "-2026-11-22",
    "a time with it": "2026-11-22T00:00:00Z",
    "a zone with it": "2026-11-22Z",
    "a space": "2026-11-22 ",
    "a newline": "2026-11-22\n",
    "a null byte": "2026-11-22\0",
    "full-width digits": "２０２６-11-22",
    "Arabic-Indic digits": "٢٠٢٦-11-22",
    "another hyphen": "2026‐11‐22",
    "an interval": "2026-11-22/2027-11-22",
    "a word": "tomorrow",
    "seconds since 1970": 1_795_305_600,
    "null": None,
}


@pytest.mark.parametrize("value", DATE_ATTACKS.values(), ids=DATE_ATTACKS.keys())
def test_a_date_with_two_readings_cannot_be_told(value: Json) -> None:
    assert untold(THIS_YEAR, {"amount": value})


def test_dates_hold_up_to_their_bounds() -> None:
    for day, truth in (
        ("2025-12-31", FAILS), ("2026-01-01", HOLDS), ("2026-12-31", HOLDS), ("2027-01-01", FAILS),
        ("9999-12-31", FAILS), ("0001-01-01", FAILS),
    ):  # fmt: skip
        assert THIS_YEAR.of(day) is truth
    assert Between(AMOUNT, DATE, "2024-02-29", "2024-02-29").of("2024-02-29") is HOLDS


UNTIL_NOON = Between(AMOUNT, TIME, "", "2026-11-22T12:00:00Z")

TIME_ATTACKS: dict[str, Json] = {
    "no offset": "2026-11-22T11:00:00",
    "an unknown offset": "2026-11-22T11:00:00-00:00",
    "hour twenty-four": "2026-11-21T24:00:00Z",
    "a leap second": "2016-12-31T23:59:60Z",
    "minute sixty": "2026-11-22T10:60:00Z",
    "a small t": "2026-11-22t11:00:00Z",
    "a small z": "2026-11-22T11:00:00z",
    "a space for the T": "2026-11-22 11:00:00Z",
    "a decimal comma": "2026-11-22T11:00:00,5Z",
    "ten decimals": "2026-11-22T11:00:00.0000000001Z",
    "no seconds": "2026-11-22T11:00Z",
    "an hour alone": "2026-11-22T11Z",
    "an offset without its minutes": "2026-11-22T11:00:00+01",
    "an offset without a colon": "2026-11-22T11:00:00+0100",
    "an offset of a day": "2026-11-22T11:00:00+24:00",
    "an offset with minute sixty": "2026-11-22T11:00:00+01:60",
    "a zone's name": "2026-11-22T11:00:00[Europe/Zurich]",
    "a zone's abbreviation": "2026-11-22T11:00:00 CET",
    "the basic form": "20261122T110000Z",
    "a day that rolls over": "2026-02-30T11:00:00Z",
    "a date alone": "2026-11-22",
    "milliseconds since 1970": 1_795_305_600_000,
    "a newline": "2026-11-22T11:00:00Z\n",
    "before the year one, by its offset": "0001-01-01T00:00:00+01:00\0",
}


@pytest.mark.parametrize("value", TIME_ATTACKS.values(), ids=TIME_ATTACKS.keys())
def test_a_time_with_two_readings_cannot_be_told(value: Json) -> None:
    assert untold(UNTIL_NOON, {"amount": value})


def test_times_are_compared_as_moments_whatever_their_offset() -> None:
    assert UNTIL_NOON.of("2026-11-22T13:00:00+01:00") is HOLDS
    assert UNTIL_NOON.of("2026-11-22T12:00:00-01:00") is FAILS
    assert UNTIL_NOON.of("2026-11-22T12:00:00.000000000Z") is HOLDS
    assert UNTIL_NOON.of("2026-11-22T12:00:00.000000001Z") is FAILS
    assert UNTIL_NOON.of("2026-11-22T11:59:59.999999999Z") is HOLDS


AN_HOUR = Between(AMOUNT, DURATION, "", "PT1H")

DURATION_ATTACKS: dict[str, Json] = {
    "a month has no length": "P1M",
    "a year has no length": "P1Y",
    "minutes that may be months": "P30M",
    "nothing": "P",
    "nothing after the T": "PT",
    "days and nothing after the T": "P1DT",
    "minus": "-PT1H",
    "plus": "+PT1H",
    "minus inside": "PT-1H",
    "a fraction of an hour": "PT0.5H",
    "a decimal comma": "PT0,5S",
    "ten decimals": "PT1.0000000001S",
    "weeks and days": "P1W1D",
    "out of order": "PT1M1H",
    "small letters": "pt1h",
    "ours": "1h",
    "a clock": "01:00:00",
    "the alternative form": "P0000-00-00T01:00:00",
    "seconds as a number": 3600,
    "full-width digits": "PT１H",
    "longer than any": "PT9999999999H",
    "a newline": "PT1H\n",
}


@pytest.mark.parametrize("value", DURATION_ATTACKS.values(), ids=DURATION_ATTACKS.keys())
def test_a_duration_with_two_readings_cannot_be_told(value: Json) -> None:
    assert untold(AN_HOUR, {"amount": value})


def test_durations_are_compared_by_their_length() -> None:
    for text, truth in (
        ("PT60M", HOLDS), ("PT3600S", HOLDS), ("PT3600.000000001S", FAILS), ("P0D", HOLDS),
        ("P1D", FAILS), ("P1W", FAILS), ("PT59M60S", HOLDS), ("P0DT1H", HOLDS), ("PT0.5S", HOLDS),
    ):  # fmt: skip
        assert AN_HOUR.of(text) is truth
    assert read_duration("P1W") == read_duration("P7D") == read_duration("PT168H")


@given(st.dates())
def test_every_date_is_read_as_itself(day: object) -> None:
    assert read_date(str(day)) is not None


@given(st.datetimes(timezones=st.timezones()), st.datetimes(timezones=st.timezones()))
def test_times_are_in_the_order_of_their_moments(one: object, other: object) -> None:
    first, second = (read_time(each.isoformat()) for each in (one, other))  # type: ignore[attr-defined]  # they are datetimes
    if first is not None and second is not None:
        assert (first < second) == (one < other)  # type: ignore[operator]  # as above


@given(st.text(alphabet="0123456789-+:.TZPDHMSWY \n", max_size=30))
def test_reading_dates_times_and_durations_is_total(text: str) -> None:
    for scale in (DATE, TIME, DURATION, NUMBER):
        found = scale.read(text)
        assert found is None or found == found


# --- regular expressions -------------------------------------------------------------------------

CATASTROPHES = ["(a+)+$", "(a|aa)+b", "(a|a?)+b", "(.*)*x", "(a*)*b", "((a{0,30}){0,30})b",
                "([a-z]+)*[0-9]", r"^(([a-z])+.)+[A-Z]([a-z])+$", ".*.*.*.*=.*"]  # fmt: skip


@pytest.mark.parametrize("pattern", CATASTROPHES)
@pytest.mark.parametrize("letter", ["a", "ab", "x="])
def test_no_pattern_takes_long_on_any_text(pattern: str, letter: str) -> None:
    condition = FitsRegex(AMOUNT, Regex(pattern))
    text = (letter * MAX_TEXT_BYTES)[: MAX_TEXT_BYTES - 1] + "!"
    started = time.process_time()
    condition.of(text)
    assert time.process_time() - started < SECONDS


def test_a_text_beyond_the_bound_cannot_be_told() -> None:
    condition = FitsRegex(AMOUNT, Regex("a*"))
    assert condition.of("a" * MAX_TEXT_BYTES) is HOLDS
    assert condition.of("a" * (MAX_TEXT_BYTES + 1)) is CANNOT_TELL
    assert condition.of("é" * MAX_TEXT_BYTES) is CANNOT_TELL
    assert condition.of("a" * 50_000_000) is CANNOT_TELL


@pytest.mark.parametrize(
    "pattern",
    [r"(a)\1", "(?=a)b", "(?<!a)b", "(?P<n>a)(?P=n)", "(", "[", "a{2,1}", "a{1001}", "x*" * 600,
     "((a{0,1000}){0,1000})", "(?:[a-z]{1,900}){1,900}", "\ud800"],
)  # fmt: skip
def test_a_pattern_without_linear_time_or_of_no_bounded_size_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"regular expression|too large|longer"):
        Regex(pattern)


REGEX_ATTACKS: dict[str, Json] = {
    "a newline before the end": "CH93\n",
    "a line with it": "CH93\nDE55",
    "a carriage return": "CH93\r",
    "a null byte after": "CH93\0",
    "a null byte inside": "CH\0" + "93",
    "a space": " CH93",
    "small letters": "ch93",
    "full-width letters": "ＣＨ93",
    "a zero-width space": "CH\u200b93",
    "half a surrogate pair": "CH93\ud800",
    "a list": ["CH93"],
    "a number": 93,
}


@pytest.mark.parametrize("value", REGEX_ATTACKS.values(), ids=REGEX_ATTACKS.keys())
def test_a_text_that_only_a_lax_reader_takes_is_not_let_through(value: Json) -> None:
    condition = FitsRegex(AMOUNT, Regex("^CH[0-9]{2}$"))
    assert not permits(condition, {"amount": value})


@pytest.mark.parametrize(
    "value", [each for name, each in REGEX_ATTACKS.items() if name != "a line with it"]
)
def test_nor_does_it_slip_past_a_denial(value: Json) -> None:
    assert triggers(FitsRegex(AMOUNT, Regex("^CH[0-9]{2}$")), {"amount": value})


def test_a_line_break_does_not_hide_what_a_dot_would_find() -> None:
    assert triggers(FitsRegex(AMOUNT, Regex(".*DROP TABLE.*")), {"amount": "x\nDROP TABLE y"})
    assert triggers(FitsRegex(AMOUNT, Regex(".*drop table.*")), {"amount": "DROP\u00a0TABLE"})


def test_digits_are_those_of_ascii() -> None:
    assert Regex(r"\d+").of("٣") is not HOLDS
    assert Regex(r"\w+").of("é") is not HOLDS


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_pattern_is_refused_or_answers(pattern: str, text: str) -> None:
    try:
        regex = Regex(pattern)
    except ValueError:
        return
    assert regex.of(text) in (HOLDS, FAILS, CANNOT_TELL)


# --- texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["inv-1", "ＩＮＶ-1", " INV-1", "I\u200bNV-1", "\0INV-1", 1])
def test_a_near_prefix_cannot_be_told(value: Json) -> None:
    assert untold(StartsWith(AMOUNT, ("INV-",)), {"amount": value})


@pytest.mark.parametrize("value", ["a.PDF", "a.pdf ", "a.pdf\0", "a.pdf\n", "a．pdf", ["a.pdf"]])
def test_a_near_suffix_cannot_be_told(value: Json) -> None:
    assert untold(EndsWith(AMOUNT, (".pdf",)), {"amount": value})


def test_a_star_in_a_prefix_is_a_star() -> None:
    assert StartsWith(AMOUNT, ("a*b",)).of("axxb") is FAILS
    assert StartsWith(AMOUNT, ("a*b",)).of("a*bc") is HOLDS
    assert EndsWith(AMOUNT, ("\\",)).of("a\\") is HOLDS


def test_a_length_is_of_text_and_in_code_points() -> None:
    short = Length(AMOUNT, None, 3)
    assert short.of("äöü") is HOLDS
    assert short.of("👩‍👩‍👧") is FAILS
    assert short.of(["a"]) is CANNOT_TELL
    assert short.of(5) is CANNOT_TELL


# --- lists ---------------------------------------------------------------------------------------


def test_an_empty_list_that_may_mean_all_is_not_within_a_count() -> None:
    assert untold(Count(at("ids"), None, 10), {"ids": []})
    assert permits(Count(at("ids"), 0, 10), {"ids": []})
    for other in ({"0": "a"}, "a,b", 1, None, True):
        assert untold(Count(at("ids"), 0, 10), {"ids": other})


def test_one_bad_item_among_many_is_found_by_all_and_by_none() -> None:
    path = at("to[]")
    known = (OneOf(path, ("ada", "ben")),)
    mixed: dict[str, Json] = {"to": ["ada"] * 500 + ["mallory"]}
    assert not permits(Items(path, Which.ALL, known), mixed)
    assert not triggers(Items(path, Which.ALL, known), mixed)
    assert permits(Items(path, Which.ANY, known), mixed)
    assert not permits(Items(path, Which.NONE, (OneOf(path, ("mallory",)),)), mixed)
    assert not triggers(Items(path, Which.NONE, (OneOf(path, ("mallory",)),)), mixed)


@pytest.mark.parametrize("to", [[], None, "ada", {"0": "ada"}, [[]], [None], [["ada"]], "missing"])
@pytest.mark.parametrize("which", Which)
def test_a_list_of_another_form_is_not_told_for_all_any_or_none(which: Which, to: Json) -> None:
    condition = Items(at("to[]"), which, (OneOf(at("to[]"), ("ada",)),))
    arguments: dict[str, Json] = {} if to == "missing" else {"to": to}
    assert untold(condition, arguments)


def test_a_near_item_is_neither_met_nor_missed() -> None:
    condition = Items(at("to[]"), Which.NONE, (OneOf(at("to[]"), ("mallory",)),))
    assert untold(condition, {"to": ["ada", "Mallory"]})


# --- two arguments -------------------------------------------------------------------------------

NO_MORE_THAN_INVOICED = Compared(AMOUNT, How.AT_MOST, at("invoice.total"), NUMBER)

COMPARED_ATTACKS: dict[str, dict[str, Json]] = {
    "the other is missing": {"amount": 5},
    "the other is null": {"amount": 5, "invoice": {"total": None}},
    "the other's parent is null": {"amount": 5, "invoice": None},
    "the other is text with an exponent": {"amount": 5, "invoice": {"total": "1e9"}},
    "the other is true": {"amount": 0, "invoice": {"total": True}},
    "the other is infinite": {"amount": 5, "invoice": {"total": float("inf")}},
    "the other is not a number": {"amount": 5, "invoice": {"total": float("nan")}},
    "the other is a list": {"amount": 5, "invoice": {"total": [9]}},
    "the other's parent is a list": {"amount": 5, "invoice": [{"total": 9}]},
    "the other under a look-alike name": {"amount": 5, "invoice": {"Total": 9}},
    "the other beside a look-alike": {"amount": 5, "invoice": {"total": 9, "Total": 1}},
    "this one is text with an exponent": {"amount": "1e1", "invoice": {"total": 100}},
    "this one is missing": {"invoice": {"total": 100}},
    "both missing": {},
}


@pytest.mark.parametrize("arguments", COMPARED_ATTACKS.values(), ids=COMPARED_ATTACKS.keys())
def test_two_arguments_of_which_one_is_unclear_cannot_be_told(arguments: dict[str, Json]) -> None:
    assert untold(NO_MORE_THAN_INVOICED, arguments)


def test_two_arguments_are_compared_exactly() -> None:
    assert permits(NO_MORE_THAN_INVOICED, {"amount": "0.30", "invoice": {"total": 0.3}})
    assert not permits(NO_MORE_THAN_INVOICED, {"amount": 0.1 + 0.2, "invoice": {"total": 0.3}})
    assert not triggers(NO_MORE_THAN_INVOICED, {"amount": "5.01", "invoice": {"total": "5"}})


def test_items_are_compared_with_what_stands_beside_them() -> None:
    each = Compared(at("items[].net"), How.AT_MOST, at("items[].gross"), NUMBER)
    assert permits(each, {"items": [{"net": 1, "gross": 2}, {"net": 8, "gross": 9}]})
    assert not permits(each, {"items": [{"net": 1, "gross": 9}, {"net": 8, "gross": 2}]})
    top = Compared(at("items[].net"), How.AT_MOST, at("most"), NUMBER)
    assert permits(top, {"most": 5, "items": [{"net": 1}, {"net": 5}]})
    assert not permits(top, {"most": 4, "items": [{"net": 1}, {"net": 5}]})


def test_an_argument_in_another_list_cannot_be_compared_with() -> None:
    with pytest.raises(ValueError, match="another list"):
        Compared(at("items[].net"), How.EQUAL, at("other[].net"))
    with pytest.raises(ValueError, match="another list"):
        Compared(at("total"), How.EQUAL, at("items[].net"))
    with pytest.raises(ValueError, match="itself"):
        Compared(at("total"), How.EQUAL, at("total"))


def test_both_arguments_are_named_and_no_other() -> None:
    rules = mandate(allow_rule("bank/pay", NO_MORE_THAN_INVOICED))
    good: dict[str, Json] = {"amount": 5, "invoice": {"total": 9}}
    assert isinstance(verdict(call("bank/pay", good), rules), Allow)
    more: dict[str, Json] = {"amount": 5, "invoice": {"total": 9, "to": "mallory"}}
    assert isinstance(verdict(call("bank/pay", more), rules), Deny)


def test_an_optional_condition_lets_nothing_odd_be_given_for_its_second_argument() -> None:
    lax = Compared(AMOUNT, How.AT_MOST, at("total"), NUMBER, optional=True)
    assert permits(lax, {})
    assert permits(lax, {"total": 5})
    for odd in ({"to": "mallory"}, [1], "1e9", True):
        assert untold(lax, {"total": odd})
    same = Compared(AMOUNT, How.EQUAL, at("other"), optional=True)
    assert permits(same, {"other": "x"})
    assert untold(same, {"other": {"to": "mallory"}})
    price = MoneyBeside(AMOUNT, at("currency"), {"CHF": Bounds(None, 5)}, optional=True)
    assert permits(price, {"currency": "CHF"})
    assert untold(price, {"currency": "EUR"})


def test_lists_and_objects_of_two_arguments_are_not_compared() -> None:
    same = Compared(AMOUNT, How.EQUAL, at("other"))
    assert untold(same, {"amount": {"a": 1}, "other": {"a": 1}})
    assert untold(same, {"amount": [1], "other": [1]})
    assert permits(same, {"amount": False, "other": False})
    assert permits(same, {"amount": "é" * 1000, "other": "é" * 1000})


BESIDE: dict[str, Json] = {
    "a long text": "é" * 250_000,
    "a text longer than is looked at": "é" * 5_000_000,
    "an object of many names": {f"name{number}": 0 for number in range(50_000)},
}


@pytest.mark.parametrize("other", BESIDE.values(), ids=BESIDE.keys())
def test_many_items_beside_a_large_argument_are_compared_in_linear_time(other: Json) -> None:
    arguments: dict[str, Json] = {"items": ["é", {"name0": 0, "Name1": 0}] * 10_000, "other": other}
    started = time.process_time()
    assert not permits(Compared(at("items[]"), How.EQUAL, at("other")), arguments)
    assert triggers(Compared(at("items[]"), How.EQUAL, at("other")), arguments)
    assert time.process_time() - started < SECONDS


def test_many_items_beside_many_names_are_compared_in_linear_time() -> None:
    arguments: dict[str, Json] = {f"name{number}": 0 for number in range(20_000)}
    arguments |= {"items": [1] * 20_000, "most": 1}
    started = time.process_time()
    assert permits(Compared(at("items[]"), How.AT_MOST, at("most"), NUMBER), arguments)
    assert time.process_time() - started < SECONDS


numbers = st.integers() | st.floats() | st.decimals(allow_nan=False).map(str) | st.text(max_size=5)


@given(numbers, numbers)
def test_comparing_two_arguments_is_symmetric(one: Json, other: Json) -> None:
    def told(path: str, how: How, beside: str) -> tuple[bool, bool]:
        condition = Compared(at(path), how, at(beside), NUMBER)
        arguments = {"a": one, "b": other}
        return permits(condition, arguments), triggers(condition, arguments)

    assert told("a", How.AT_MOST, "b") == told("b", How.AT_LEAST, "a")
    assert told("a", How.EQUAL, "b") == told("b", How.EQUAL, "a")


@given(numbers, st.integers(-5, 5))
def test_an_argument_is_compared_as_a_fixed_bound_is(value: Json, bound: int) -> None:
    arguments: dict[str, Json] = {"amount": value, "bound": bound}
    beside = Compared(AMOUNT, How.AT_MOST, at("bound"), NUMBER)
    assert permits(beside, arguments) == permits(AtMost(AMOUNT, bound), arguments)
    assert triggers(beside, arguments) == triggers(AtMost(AMOUNT, bound), arguments)


# --- through judge -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", MONEY_ATTACKS.values(), ids=MONEY_ATTACKS.keys())
def test_a_denial_from_an_amount_on_meets_every_way_to_write_it(value: Json) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        return  # no JSON number: a call cannot hold it
    rules = mandate(
        allow_rule("bank/pay", other=True),
        deny("bank/pay", Money(AMOUNT, "CHF", Bounds(5000, None))),
    )
    assert isinstance(verdict(call("bank/pay", {"amount": value}), rules), Deny)
