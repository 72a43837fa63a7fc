"""What the arguments of one call take of one limit: amounts, or values, by unit and key.

What cannot be told is `Uncountable`, and so refused: it would be something that no limit holds.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from bailiwick.core.argument_path import (
    MISSING,
    ArgumentPath,
    Found,
    Gap,
    format_argument_path,
    reach,
)
from bailiwick.core.call import ModelUse
from bailiwick.core.canonical import JsonObject
from bailiwick.core.limits.countable import exact_text, key_text, steps_of, steps_of_money
from bailiwick.core.limits.limit import MAX_AMOUNT, Limit, Measure
from bailiwick.core.limits.taking import Unbounded, taken_by
from bailiwick.core.limits.wording import name_of_limit
from bailiwick.core.values import kind_of, show

MAX_CHARGES = 256
"""Most keys and values of one limit in one call: recipients of one message, say."""

MAX_ROWS = 10_000
"""Most items of one list that are added up or told apart, at a few microseconds each."""

# A member of an enum is looked up by a Python call each time.
_SUM, _DISTINCT = Measure.SUM, Measure.DISTINCT


class Uncountable(Exception):
    """A call that a limit counts by something that cannot be told."""

    def __init__(self, code: str, because: str, allowed: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.because = because
        self.allowed = allowed


Tally = dict[tuple[str, str], "int | dict[str, None]"]
"""By unit and key: an amount in steps or, for DISTINCT, the members."""


def tally(limit: Limit, arguments: JsonObject, use: ModelUse | None = None) -> Tally:
    """What a call with these arguments takes of `limit`, by unit and key.

    Args:
        use: of a model call, what it may take.

    Raises:
        Uncountable: that cannot be told.
    """
    if limit.takes:
        return _of_use(limit, arguments, use)
    if limit.rows:
        return _of_rows(limit, arguments)
    unit = limit.unit
    if unit is None:
        unit = _unit(limit, None, arguments)
    key = _key(limit, None, arguments) if limit.per else ""
    measure = limit.measure
    if measure is _SUM:
        return {(unit, key): _amount(limit, unit, None, arguments)}
    if measure is _DISTINCT:
        members = dict.fromkeys(_members(limit, None, arguments))
        if len(members) > MAX_CHARGES:
            raise _too_many(limit, MAX_CHARGES)
        return {(unit, key): members}
    return {(unit, key): 1}


def _of_use(limit: Limit, arguments: JsonObject, use: ModelUse | None) -> Tally:
    """`tally` where it is what a model takes; of several keys each has all of it."""
    try:
        unit, steps = taken_by(use, limit)
    except Unbounded as unbounded:
        raise Uncountable(unbounded.code, unbounded.because, unbounded.allowed) from None
    if steps > MAX_AMOUNT:
        raise Uncountable(
            "amount_too_large",
            f"it could take more than can be counted (limit {name_of_limit(limit.id)})",
        )
    if not limit.per:
        return {(unit, ""): steps}
    rows = reach(limit.rows, arguments) if limit.rows else [None]
    if len(rows) > MAX_ROWS:
        raise _too_many(limit, MAX_ROWS)
    taken: Tally = {(unit, _key(limit, row, arguments)): steps for row in rows}
    if len(taken) > MAX_CHARGES:
        raise _too_many(limit, MAX_CHARGES)
    return taken


def _of_rows(limit: Limit, arguments: JsonObject) -> Tally:
    """`tally` where something is told apart, or added up, item by item of a list."""
    taken: Tally = {}
    rows = reach(limit.rows, arguments)
    if len(rows) > MAX_ROWS:
        raise _too_many(limit, MAX_ROWS)
    for row in rows:
        unit = _unit(limit, row, arguments) if limit.unit is None else limit.unit
        key = _key(limit, row, arguments) if limit.per else ""
        before = taken.get((unit, key))
        if limit.measure is _DISTINCT:
            members = before if isinstance(before, dict) else {}
            members.update(dict.fromkeys(_members(limit, row, arguments)))
            taken[unit, key] = members
        elif limit.measure is not _SUM:
            taken[unit, key] = 1
        else:
            amount = _amount(limit, unit, row, arguments)
            if isinstance(before, int) and limit.of[: len(limit.rows)] == limit.rows:
                amount += before
            if amount > MAX_AMOUNT:
                raise _unclear(limit, limit.of, "amount_too_large", "adds up to too much to count")
            taken[unit, key] = amount
        if len(taken) > MAX_CHARGES:
            raise _too_many(limit, MAX_CHARGES)
    if sum(1 if isinstance(each, int) else len(each) for each in taken.values()) > MAX_CHARGES:
        raise _too_many(limit, MAX_CHARGES)
    return taken


def _too_many(limit: Limit, most: int) -> Uncountable:
    path = limit.of or limit.rows
    return _unclear(limit, path, "too_much_to_count", f"has more than {most:,} values")


def _find(limit: Limit, path: ArgumentPath, row: Found, arguments: JsonObject) -> Found:
    """What stands at `path`; within `row` if the path goes through the limit's list."""
    rows = limit.rows
    if rows and path[: len(rows)] == rows:
        if len(path) == len(rows):
            return row
        return reach(path[len(rows) :], row)[0]  # type: ignore[arg-type]  # steps over any value
    if len(path) == 1:  # most are, and `judge` has refused what may be taken for it
        value = arguments.get(path[0], MISSING)  # type: ignore[arg-type]  # a name
        if value is not MISSING:
            return value
    return reach(path, arguments)[0]


def _unit(limit: Limit, row: Found, arguments: JsonObject) -> str:
    unit = _find(limit, limit.currency, row, arguments)
    if isinstance(unit, str) and unit in limit.ceilings:
        return unit
    known = ", ".join(show(each) for each in limit.ceilings)
    raise _unclear(
        limit, limit.currency, "currency_not_allowed", _state(unit), f"What is allowed: {known}"
    )


def _amount(limit: Limit, unit: str, row: Found, arguments: JsonObject) -> int:
    found = _find(limit, limit.of, row, arguments)
    steps: int | str = "amount_unclear"
    if not isinstance(found, Gap):
        steps = steps_of_money(found, unit) if limit.minor_units else steps_of(found, unit)
    if isinstance(steps, int):
        return steps
    raise _unclear(limit, limit.of, steps, f"{_state(found)}{_WHY[steps]}")


_WHY = {
    "amount_unclear": ", which is no plain number",
    "amount_negative": ", which is below zero and gives no room back",
    "amount_too_fine": ", which has more than six decimals",
    "amount_too_large": ", which is too much to count",
}


def _key(limit: Limit, row: Found, arguments: JsonObject) -> str:
    parts: list[str] = []
    for path in limit.per:
        found = _find(limit, path, row, arguments)
        text = None if isinstance(found, Gap) else key_text(found)
        if text is None:
            raise _unclear(limit, path, "key_unclear", f"{_state(found)}, which is no single value")
        parts.append(text)
    return _encode(parts).decode()


_encode = msgspec.json.Encoder().encode
"""Of a list of texts this is their canonical form (`canonical.py`), at a fraction of the price."""


def _members(limit: Limit, row: Found, arguments: JsonObject) -> Iterator[str]:
    """The values of one row, exactly; a list stands for its items."""
    waiting = [_find(limit, limit.of, row, arguments)]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list | tuple) and found:
            waiting += found
            if len(waiting) > MAX_ROWS:
                raise _too_many(limit, MAX_ROWS)
            continue
        text = "" if isinstance(found, Gap) else exact_text(found)
        if not text:
            raise _unclear(limit, limit.of, "key_unclear", f"{_state(found)}, which is no value")
        yield text


def _unclear(
    limit: Limit, path: ArgumentPath, code: str, state: str, allowed: str = ""
) -> Uncountable:
    name = show(format_argument_path(path))
    return Uncountable(code, f"{name} {state} (limit {name_of_limit(limit.id)})", allowed)


def _state(found: Found) -> str:
    if isinstance(found, Gap):
        return "is not given" if found is Gap.MISSING else "cannot be read"
    return "is null" if found is None else f"is {kind_of(found)} {show(found)}"
