"""Conditions on amounts of money: a number and a currency that belong together.

Currencies never compare: an amount in another one than the bound is neither below nor above it, it
cannot be told. Neither can an amount

* with more decimals than its currency has: `5.000` francs may be five, or five thousand;
* below zero, unless the bounds speak of such: a payment of minus 9000 is one the other way;
* whose currency is not written as its code (`chf`, `Fr.`), or is written twice and differently.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from bailiwick.core.argument_path import ArgumentPath, format_argument_path
from bailiwick.core.canonical import Json
from bailiwick.core.conditions.base import Condition, listed
from bailiwick.core.conditions.comparing import Beside, check_beside
from bailiwick.core.texts.currencies import CODES, decimals_of
from bailiwick.core.values import (
    CANNOT_TELL,
    FAILS,
    HOLDS,
    MAX_NUMBER_TEXT,
    Number,
    Truth,
    number_of,
    show,
)

_WITH_CODE = re.compile(r"(?:(?P<before>[A-Z]{3}) )?(?P<number>-?[0-9.]+)(?: (?P<after>[A-Z]{3}))?")


@dataclass(frozen=True, slots=True)
class Bounds:
    """From one amount to another, both included; None for no bound."""

    at_least: Number | None = None
    at_most: Number | None = None

    def __post_init__(self) -> None:
        """Raises ValueError when no amount can be between them."""
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"can never be both: {self.at_least} > {self.at_most}")

    @property
    def below_zero(self) -> bool:
        """Whether they speak of amounts below zero."""
        return any(bound is not None and bound < 0 for bound in (self.at_least, self.at_most))

    def say(self, code: str) -> str:
        """In words: "at most CHF 5000.00"."""
        low, high = (
            f"{code} {Decimal(bound):.{decimals_of(code)}f}" if bound is not None else ""
            for bound in (self.at_least, self.at_most)
        )
        if low and high:
            return f"exactly {low}" if low == high else f"from {low} to {high}"
        return f"at least {low}" if low else f"at most {high}"


@dataclass(frozen=True, slots=True)
class Money(Condition):
    """The value is an amount in `currency` within `bounds`.

    It is a number, decimal text, or decimal text with the code before or after it (`CHF 12.50`).

    Attributes:
        currency: ISO 4217 code.
        minor_units: the value counts cents (or what the currency has), and is whole.
    """

    path: ArgumentPath
    currency: str
    bounds: Bounds
    minor_units: bool = False
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        amount = amount_of(value, self.currency, minor_units=self.minor_units)
        if amount is None or (amount < 0 and not self.bounds.below_zero):
            return CANNOT_TELL
        low, high = self.bounds.at_least, self.bounds.at_most
        if (low is not None and amount < low) or (high is not None and amount > high):
            return FAILS
        return HOLDS

    def stands(self, value: Json) -> str:
        """How this value stands."""
        amount = amount_of(value, self.currency, minor_units=self.minor_units)
        if amount is None:
            return f"is {show(value)} and not plainly an amount in {self.currency}"
        return f"is {self.currency} {amount}"

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return self.bounds.say(self.currency)


@dataclass(frozen=True, slots=True)
class MoneyBeside(Beside):
    """The value is an amount in the currency that the argument `other` names, within its bounds.

    Attributes:
        bounds: by code. In a currency that is not named here nothing can be told.
        minor_units: as for `Money`.
    """

    path: ArgumentPath
    other: ArgumentPath
    bounds: Mapping[str, Bounds]
    minor_units: bool = False
    optional: bool = False

    _money: Mapping[str, Money] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises ValueError when the currency cannot be read beside the amount."""
        check_beside(self.path, self.other)
        money = {
            code: Money(self.path, code, bounds, self.minor_units, self.optional)
            for code, bounds in self.bounds.items()
        }
        object.__setattr__(self, "_money", money)

    def given(self, other: Json) -> Condition | None:
        """In a currency that is now known."""
        return self._money.get(other) if isinstance(other, str) else None

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        says = listed(bounds.say(code) for code, bounds in sorted(self.bounds.items()))
        return f"{says}, in the currency that {show(format_argument_path(self.other))} names"


def amount_of(value: Json, currency: str, *, minor_units: bool = False) -> Number | None:
    """The amount in `currency` that `value` plainly states, in whole units; None otherwise."""
    if isinstance(value, str):
        found = _WITH_CODE.fullmatch(value) if len(value) <= MAX_NUMBER_TEXT else None
        if found is None or {found["before"], found["after"]} - {None, currency}:
            return None
        value = found["number"]
    number = number_of(value)
    if number is None:
        return None
    exact = Decimal(number)
    # 12.0 as a JSON number is twelve: only text says how many decimals somebody meant.
    written = exact.normalize() if isinstance(value, float) else exact
    sign, digits, exponent = written.as_tuple()
    assert isinstance(exponent, int)  # it is finite
    decimals = decimals_of(currency)
    if -exponent > (0 if minor_units else decimals):
        return None
    # Built from its digits: arithmetic would round beyond 28 of them.
    return Decimal((sign, digits, exponent - decimals)) if minor_units else exact


def read_currency(text: str) -> str:
    """A currency's code. Raises ValueError when it is none."""
    if text not in CODES:
        raise ValueError("is not the code of a currency, such as `CHF`")
    return text
