"""What one call takes of every limit, and whether it still fits.

A limit counts every call that it may mean: one whose target it covers or may cover, and of whose
conditions none plainly fails. What it then cannot count (no amount, a negative one, text that is no
plain number, a currency without a ceiling, no key) is refused: an amount that could not be told
would be one that no limit holds.

Keys and distinct values fall on opposite sides of doubt. Two spellings of one account number must
not have an allowance each, so *keys* are compared by their letters and digits alone, and several
values may share one. Two values that only look alike may be two payees, so *distinct values* are
compared exactly, and one value may count twice. Both only ever allow less.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from bailiwick.core.argument_path import ArgumentPath, Found, Gap, format_argument_path, reach
from bailiwick.core.call import Call, Target
from bailiwick.core.canonical import Json, JsonObject, canonical
from bailiwick.core.conditions import triggers
from bailiwick.core.errors import TheirError
from bailiwick.core.limit_wording import name_of_limit, too_much, too_much_in_one_call
from bailiwick.core.limits import MAX_AMOUNT, SUM_SCALE, Charge, Counters, Limit, Measure
from bailiwick.core.values import Number, fold, kind_of, number_of, show
from bailiwick.core.verdict import Deny
from bailiwick.core.windows import Period, period
from bailiwick.core.wording import named, shorten

MAX_CHARGES = 256
"""Most charges of one limit by one call: recipients of one message, say."""

MAX_WHOLE = MAX_AMOUNT // SUM_SCALE

MAX_KEY_CHARS = 1_024
"""Longest value that is counted by, in characters."""

NOT_A_MEMBER = "-"
"""No value in canonical JSON: other than every member an account has."""


class Planned(Protocol):
    """The part of a mandate's plan for one target that limits look at."""

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Limits that mean the target, or may mean it."""
        ...


class Limited(Protocol):
    """The part of a mandate that limits look at."""

    @property
    def limits(self) -> tuple[Limit, ...]:
        """All its limits."""
        ...

    def plan(self, target: Target) -> Planned:
        """What of it concerns a target."""
        ...


def charges(call: Call, chain: Sequence[Limited], run: str, now: int) -> tuple[Charge, ...] | Deny:
    """What `call` takes of every limit of every mandate of the chain; or why it cannot be told.

    Pure. O(limits that concern the target × size of the arguments).

    Args:
        call: judged, so that no two of its arguments may be taken for one.
        chain: root first.
        run: id of the run; limits per run count by it.
        now: Unix milliseconds.

    Returns:
        Charges on distinct accounts, keys and members; none for limits per call, which are held
        here. Codes of Deny: docs/reference/verdicts.md.
    """
    taken: list[Charge] = []
    for mandate in chain:
        if not mandate.limits:
            continue
        for limit in mandate.plan(call.target).limits:
            if limit.conditions and not _counts(limit, call):
                continue
            refused = _charge(limit, call, run, now, taken)
            if refused is not None:
                return refused
    return tuple(taken)


def exceeded(taken: Sequence[Charge], counters: Counters) -> Deny | None:
    """The first charge that does not fit, as a refusal saying what is left; None if all fit."""
    if len({charge.account for charge in taken}) == len(taken):
        for charge in taken:
            used = counters.used(charge)
            if used + charge.amount > charge.ceiling:
                return too_much(charge, used, charge.amount)
        return None
    together: dict[tuple[str, str], list[Charge]] = {}
    for charge in taken:
        together.setdefault((charge.account, charge.key), []).append(charge)
    for group in together.values():
        used, more = _of_group(group, counters)
        for charge in group:
            if used + more > charge.ceiling:
                return too_much(charge, used, more)
    return None


def _of_group(group: list[Charge], counters: Counters) -> tuple[int, int]:
    """What is used of one account under one key, and what several charges of one call add."""
    if not group[0].member:
        return counters.used(group[0]), sum(charge.amount for charge in group)
    used = counters.used(msgspec.structs.replace(group[0], member=NOT_A_MEMBER))
    new = {charge.member for charge in group if counters.used(charge) == used}
    return used, len(new)


def steps_of(value: Json) -> int | str:
    """An amount in steps, or the code of what is wrong with it."""
    number = number_of(value)
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
        text = "".join(filter(str.isalnum, text)) or text
    return text.lstrip("0") or text[-1:] or None


class _Uncountable(Exception):
    """A call that a limit counts by something that cannot be told."""

    def __init__(self, code: str, because: str, allowed: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.because = because
        self.allowed = allowed


def _counts(limit: Limit, call: Call) -> bool:
    arguments = call.arguments
    for condition in limit.conditions:  # noqa: SIM110 - a generator costs a third more
        if not triggers(condition, arguments):
            return False
    return True


def _charge(limit: Limit, call: Call, run: str, now: int, taken: list[Charge]) -> Deny | None:
    """Add to `taken` what `call` takes of `limit`."""
    try:
        tally = _tally(limit, call.arguments)
    except _Uncountable as unclear:
        because = f"{named(call.target)} is refused: {unclear.because}"
        return Deny(unclear.code, (limit.id,), shorten(because), shorten(unclear.allowed))
    if limit.window.kind == "call":
        return _in_one_call(limit, tally)
    window = period(limit.window, run, now)
    since = max(1, now - limit.window.seconds * 1000) if limit.window.seconds else 0
    for (unit, key), amount in tally.items():
        if isinstance(amount, int):
            taken.append(_made(limit, window, since, unit, key, amount, ""))
        else:
            taken += (_made(limit, window, since, unit, key, 1, member) for member in amount)
    return None


def _made(
    limit: Limit, window: Period, since: int, unit: str, key: str, amount: int, member: str
) -> Charge:
    return Charge(
        limit.id,
        f"{limit.account_stem}{window.label}:{unit}{limit.account_tail}",
        amount,
        limit.ceilings[unit],
        key,
        member,
        since,
        limit.measure is Measure.CONCURRENT,
        unit,
        SUM_SCALE if limit.measure is Measure.SUM else 1,
        limit.actual,
        window.over + limit.per_words,
        window.until,
        limit.failed_frees,
    )


_Tally = dict[tuple[str, str], "int | dict[str, None]"]
"""By unit and key: an amount in steps or, for DISTINCT, the members."""


def _tally(limit: Limit, arguments: JsonObject) -> _Tally:
    """What a call with these arguments takes of `limit`."""
    tally: _Tally = {}
    summed = limit.measure is Measure.SUM
    for row in reach(limit.rows, arguments) if limit.rows else (None,):
        unit = _unit(limit, row, arguments)
        key = _key(limit, row, arguments) if limit.per else ""
        before = tally.get((unit, key))
        if limit.measure is Measure.DISTINCT:
            members = before if isinstance(before, dict) else {}
            members.update(dict.fromkeys(_members(limit, row, arguments)))
            tally[unit, key] = members
        elif not summed:
            tally[unit, key] = 1
        else:
            amount = _amount(limit, row, arguments)
            if isinstance(before, int) and limit.of[: len(limit.rows)] == limit.rows:
                amount += before
            if amount > MAX_AMOUNT:
                raise _unclear(limit, limit.of, "amount_too_large", "adds up to too much to count")
            tally[unit, key] = amount
    if sum(1 if isinstance(each, int) else len(each) for each in tally.values()) > MAX_CHARGES:
        path = limit.of or limit.per[0]
        raise _unclear(limit, path, "too_much_to_count", f"has more than {MAX_CHARGES} values")
    return tally


def _find(limit: Limit, path: ArgumentPath, row: Found, arguments: JsonObject) -> Found:
    """What stands at `path`; within `row` if the path goes through the limit's list."""
    depth = len(limit.rows)
    if depth and path[:depth] == limit.rows:
        found = [row]
        if len(path) > depth:
            found = reach(path[depth:], row)  # type: ignore[arg-type]  # steps over what is no object
        return found[0]
    return reach(path, arguments)[0]


def _unit(limit: Limit, row: Found, arguments: JsonObject) -> str:
    if not limit.currency:
        return next(iter(limit.ceilings))
    unit = _find(limit, limit.currency, row, arguments)
    if isinstance(unit, str) and unit in limit.ceilings:
        return unit
    known = ", ".join(show(each) for each in limit.ceilings)
    raise _unclear(
        limit, limit.currency, "currency_not_allowed", _state(unit), f"What is allowed: {known}"
    )


def _amount(limit: Limit, row: Found, arguments: JsonObject) -> int:
    found = _find(limit, limit.of, row, arguments)
    steps = "amount_unclear" if isinstance(found, Gap) else steps_of(found)
    if isinstance(steps, int):
        return steps
    raise _unclear(limit, limit.of, steps, f"{_state(found)}{_WHY[steps]}")


_WHY = {
    "amount_unclear": ", which is no plain number",
    "amount_negative": ", and gives no room back",
    "amount_too_fine": ", which has more than six decimals",
    "amount_too_large": ", which is too much to count",
}


def _key(limit: Limit, row: Found, arguments: JsonObject) -> str:
    parts: list[Json] = []
    for path in limit.per:
        found = _find(limit, path, row, arguments)
        text = None if isinstance(found, Gap) else key_text(found)
        if text is None:
            raise _unclear(limit, path, "key_unclear", f"{_state(found)}, which is no single value")
        parts.append(text)
    return canonical(parts).decode()


def _members(limit: Limit, row: Found, arguments: JsonObject) -> Iterator[str]:
    """The values of one row, exactly; a list stands for its items."""
    waiting: list[Found] = [_find(limit, limit.of, row, arguments)]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list | tuple) and found:
            waiting += found
            continue
        text = b"" if isinstance(found, Gap | None) or found == "" or found == [] else _exact(found)
        if not text or len(text) > MAX_KEY_CHARS:
            raise _unclear(limit, limit.of, "key_unclear", f"{_state(found)}, which is no value")
        yield text.decode()


def _exact(value: Json) -> bytes:
    try:
        return canonical(value)
    except TheirError:
        return b""


def _in_one_call(limit: Limit, tally: _Tally) -> Deny | None:
    for (unit, _), amount in tally.items():
        steps = amount if isinstance(amount, int) else len(amount)
        if steps > limit.ceilings[unit]:
            return too_much_in_one_call(limit, unit, steps)
    return None


def _unclear(
    limit: Limit, path: ArgumentPath, code: str, state: str, allowed: str = ""
) -> _Uncountable:
    name = show(format_argument_path(path))
    return _Uncountable(code, f"{name} {state} (limit {name_of_limit(limit.id)})", allowed)


def _state(found: Found) -> str:
    if isinstance(found, Gap):
        return "is not given" if found is Gap.MISSING else "cannot be read"
    return "is null" if found is None else f"is {kind_of(found)} {show(found)}"
