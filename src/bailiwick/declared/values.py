"""How conditions on amounts, dates, times, durations, lengths and counts are written.

What a shape cannot say is said by raising ValueError when the condition is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions import (
    AtLeast,
    AtMost,
    Between,
    Bounds,
    Compared,
    Condition,
    Count,
    Equals,
    How,
    Length,
    Money,
    MoneyBeside,
)
from bailiwick.core.conditions.money import amount_of
from bailiwick.core.texts.currencies import CODES, decimals_of
from bailiwick.core.texts.regex import MAX_PATTERN, Regex
from bailiwick.core.texts.scales import (
    DATE,
    DATE_PATTERN,
    DURATION,
    DURATION_PATTERN,
    NUMBER,
    TIME,
    TIME_PATTERN,
    Scale,
)
from bailiwick.core.values import Number, number_of, show
from bailiwick.declared.alternatives import ARGUMENT, ByForm, argument_in
from bailiwick.declared.problems import did_you_mean
from bailiwick.declared.shapes import Field, Flag, MapOf, Quantity, Record, Shape, Text, Whole

MAX_COUNTED = 1_000_000

Made = Condition | tuple[Condition, ...]


def number_bound(value: Json) -> Number:
    """The exact number of a `Quantity`."""
    number = number_of(value)
    assert number is not None
    # An integer compares several times faster, and most bounds are whole.
    whole = isinstance(number, Decimal) and number == number.to_integral_value()
    return int(number) if whole else number


def _range(title: str, bound: Shape, what: str) -> Record:
    fields = {
        "at_least": Field(bound, f"The {what} is not below this."),
        "at_most": Field(bound, f"The {what} is not above this."),
    }
    return Record(title, fields, some_of=("at_least", "at_most"))


def _on_scale(scale: Scale, pattern: str, title: str, what: str) -> Record:
    def reads(text: str) -> None:
        if scale.read(text) is None:
            raise ValueError(f"there is no such {what}")

    text = Text(pattern, f"is not {scale.noun}", reads, max_length=64)
    return _range(title, ByForm(text, ARGUMENT), what)


DATE_RANGE = _on_scale(DATE, DATE_PATTERN, "a range of dates", "date")
TIME_RANGE = _on_scale(TIME, TIME_PATTERN, "a range of times", "time")
DURATION_RANGE = _on_scale(DURATION, DURATION_PATTERN, "a range of durations", "duration")
LENGTH_RANGE = _range("a range of lengths", Whole(0, MAX_COUNTED), "number of characters")
COUNT_RANGE = _range("a range of counts", Whole(0, MAX_COUNTED), "number of items")
NUMBER_BOUND = ByForm(Quantity(), ARGUMENT)
REGEX = Text(reads=Regex, max_length=MAX_PATTERN)


def _read_currency(text: str) -> None:
    if text not in CODES:
        raise ValueError(f"is not the code of a currency{did_you_mean(text, CODES)}")


_CURRENCY = Text(r"[A-Z]{3}", "is not a currency's code such as `CHF`", _read_currency)
_AMOUNT = ByForm(Quantity(), MapOf(_CURRENCY, Quantity(), least=1))

MONEY = Record(
    "an amount of money",
    {
        "at_least": Field(_AMOUNT, "Not below this; by currency, if an argument names it."),
        "at_most": Field(_AMOUNT, "Not above this; by currency, if an argument names it."),
        "currency": Field(
            ByForm(_CURRENCY, ARGUMENT),
            "The currency of the amount: a code, or the argument that holds the code.",
            required=True,
        ),
        "minor_units": Field(Flag(), "The argument counts cents, or what its currency has."),
    },
    some_of=("at_least", "at_most"),
)


def on_scale(scale: Scale) -> Callable[[ArgumentPath, Json, bool], Made]:
    """Makes conditions from a range on `scale`: fixed bounds, other arguments, or one of each."""

    def make(path: ArgumentPath, value: Json, optional: bool) -> Made:
        asked = _object(value)
        fixed = {key: str(bound) for key, bound in asked.items() if argument_in(bound) is None}
        made: list[Condition] = []
        if fixed:
            made.append(Between(path, scale, **fixed, optional=optional))
        for key, how in (("at_least", How.AT_LEAST), ("at_most", How.AT_MOST)):
            other = argument_in(asked.get(key))
            if other is not None:
                made.append(Compared(path, how, other, scale, optional))
        return tuple(made)

    return make


date_condition = on_scale(DATE)
time_condition = on_scale(TIME)
duration_condition = on_scale(DURATION)


def at_most(path: ArgumentPath, value: Json, optional: bool) -> Condition:
    """`at_most: 5000` or `at_most: {argument: NAME}`."""
    other = argument_in(value)
    if other is not None:
        return Compared(path, How.AT_MOST, other, NUMBER, optional)
    return AtMost(path, number_bound(value), optional)


def at_least(path: ArgumentPath, value: Json, optional: bool) -> Condition:
    """`at_least: 5000` or `at_least: {argument: NAME}`."""
    other = argument_in(value)
    if other is not None:
        return Compared(path, How.AT_LEAST, other, NUMBER, optional)
    return AtLeast(path, number_bound(value), optional)


def equals(path: ArgumentPath, value: Json, optional: bool) -> Condition:
    """`equals: VALUE` or `equals: {argument: NAME}`."""
    other = argument_in(value)
    if other is not None:
        return Compared(path, How.EQUAL, other, None, optional)
    return Equals(path, value, optional)


def length(path: ArgumentPath, value: Json, optional: bool) -> Condition:
    """`length: {at_most: 140}`."""
    asked = _object(value)
    return Length(path, _whole(asked, "at_least"), _whole(asked, "at_most"), optional)


def count(path: ArgumentPath, value: Json, optional: bool) -> Condition:
    """`count: {at_most: 10}`."""
    asked = _object(value)
    return Count(path, _whole(asked, "at_least"), _whole(asked, "at_most"), optional)


def money(path: ArgumentPath, value: Json, optional: bool) -> Condition:
    """`money: {at_most: "5000.00", currency: CHF}`, or bounds by currency and an argument."""
    asked = _object(value)
    minor = asked.get("minor_units") is True
    currency = asked["currency"]
    other = argument_in(currency)
    stated = [asked[key] for key in ("at_least", "at_most") if key in asked]
    if other is None:
        if any(isinstance(each, Mapping) for each in stated):
            raise ValueError("with one `currency`, write one amount and not a table of them")
        code = str(currency)
        return Money(path, code, _bounds(asked, code), minor, optional)
    tables = [each for each in stated if isinstance(each, Mapping)]
    if len(tables) < len(stated):
        raise ValueError('with an argument for `currency`, write amounts as `{CHF: "5000.00"}`')
    if any(table.keys() != tables[0].keys() for table in tables):
        raise ValueError("`at_least` and `at_most` must name the same currencies")
    by_code = {
        code: _bounds({key: _object(table)[code] for key, table in _stated(asked)}, code)
        for code in tables[0]
    }
    return MoneyBeside(path, other, by_code, minor, optional)


def _stated(asked: JsonObject) -> list[tuple[str, Json]]:
    return [(key, asked[key]) for key in ("at_least", "at_most") if key in asked]


def _bounds(asked: JsonObject, code: str) -> Bounds:
    return Bounds(**{key: _amount(value, code) for key, value in _stated(asked)})


def _amount(value: Json, code: str) -> Number:
    amount = amount_of(value, code)
    if amount is None:
        raise ValueError(f"{show(value)} has more than the {decimals_of(code)} decimals of {code}")
    return number_bound(str(amount)) if isinstance(amount, Decimal) else amount


def _whole(asked: JsonObject, key: str) -> int | None:
    value = asked.get(key)
    assert value is None or isinstance(value, int)
    return value


def _object(value: Json) -> JsonObject:
    assert isinstance(value, Mapping)
    return value
