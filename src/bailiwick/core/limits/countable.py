"""Single values as limits count them: an amount in steps, a key, a distinct value.

Keys and distinct values fall on opposite sides of doubt. Two spellings of one account number must
not have an allowance each, so *keys* are compared by their letters and digits alone, and several
values may share one. Two values that only look alike may be two payees, so *distinct values* are
compared exactly, and one value may count twice. Both only ever allow less.
"""

from __future__ import annotations

from decimal import Decimal

from bailiwick.core.canonical import Json, canonical
from bailiwick.core.conditions.money import amount_of
from bailiwick.core.errors import TheirError
from bailiwick.core.limits.limit import MAX_AMOUNT, SUM_DIGITS, SUM_SCALE
from bailiwick.core.texts.currencies import CODES
from bailiwick.core.values import Number, fold, number_of

MAX_WHOLE = MAX_AMOUNT // SUM_SCALE
"""Largest amount, in whole units."""

MAX_KEY_CHARS = 1_024
"""Longest value that is counted by, in characters."""


def steps_of(value: Json, currency: str = "") -> int | str:
    """An amount in steps, or the code of what is wrong with it.

    A number, plain decimal text or, if it is in a `currency` of ISO 4217, text with its code.
    """
    if type(value) is int and 0 <= value <= MAX_WHOLE:
        return value * SUM_SCALE
    if type(value) is float and 0.001 <= value <= 1e12:
        # By the decimals that read back as it, as `number_of`: most amounts are such.
        whole, _, part = repr(value).partition(".")
        if len(part) <= SUM_DIGITS:
            return int(whole + part.ljust(SUM_DIGITS, "0"))
    number = number_of(value)
    if number is None and currency in CODES:
        number = amount_of(value, currency)
    return "amount_unclear" if number is None else steps_of_number(number)


def steps_of_money(value: Json, currency: str) -> int | str:
    """`steps_of` for an amount that counts centimes, or what the currency has."""
    number = amount_of(value, currency, minor_units=True)
    return "amount_unclear" if number is None else steps_of_number(number)


def steps_of_number(number: Number) -> int | str:
    """`steps_of` for an exact number."""
    if not -MAX_WHOLE <= number <= MAX_WHOLE:
        return "amount_too_large"
    if isinstance(number, Decimal):
        over, under = number.as_integer_ratio()  # exact, where arithmetic would round at 28 digits
        steps, rest = divmod(over * SUM_SCALE, under)
        if rest:
            return "amount_too_fine"
    else:
        steps = number * SUM_SCALE
    return steps if steps >= 0 else "amount_negative"


def key_text(value: Json) -> str | None:
    """`value` as a key: its letters and digits, without case; None when it cannot serve as one.

    Numbers by their value, whether or not they stand in quotes: 7, 7.0, "7" and "007" are one key.
    """
    number = None if isinstance(value, bool) else number_of(value)
    if number is not None:
        text = f"{number:f}" if isinstance(number, Decimal) else str(number)
        text = text.rstrip("0").rstrip(".") if "." in text else text
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, str) and len(value) <= MAX_KEY_CHARS:
        text = fold(value)
    else:
        return None
    if not text.isalnum():
        alike = text.translate(_APART) if text.isascii() else "".join(filter(str.isalnum, text))
        text = alike or text
    return text.lstrip("0") or text[-1:] or None


_APART = {code: None for code in range(128) if not chr(code).isalnum()}


def exact_text(value: Json) -> str:
    """`value` as a distinct value, in canonical JSON; "" when it cannot serve as one."""
    if value is None or value == "" or value == []:
        return ""
    try:
        text = canonical(value)
    except TheirError:
        return ""
    return text.decode() if len(text) <= MAX_KEY_CHARS else ""
