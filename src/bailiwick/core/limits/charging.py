"""What one call takes of every limit, and whether it still fits.

A limit counts every call that it may mean: one whose target it covers or may cover, and of whose
conditions none plainly fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Protocol

from msgspec.structs import replace

from bailiwick.core.call import Call, Target
from bailiwick.core.canonical import Json
from bailiwick.core.conditions import triggers
from bailiwick.core.limits.countable import steps_of
from bailiwick.core.limits.limit import COST, Charge, Counters, Limit, Measure
from bailiwick.core.limits.tally import Tally, Uncountable, tally
from bailiwick.core.limits.windows import MINUTE_MS, Period, period
from bailiwick.core.limits.wording import too_much, too_much_in_one_call
from bailiwick.core.texts.currencies import decimals_of
from bailiwick.core.verdict import Deny
from bailiwick.core.wording import named, shorten

NOT_A_MEMBER = "-"
"""No value in canonical JSON: other than every member an account has."""

MAX_MADE = 64
"""Charges of one limit that are remembered: for so many runs, keys and values of its calls."""

_CONCURRENT = Measure.CONCURRENT


class Planned(Protocol):
    """The part of a mandate's plan for one target that limits look at."""

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Limits that mean the target, or may mean it."""
        ...

    @property
    def principal_limits(self) -> tuple[Limit, ...]:
        """Those of the principal's that do."""
        ...


class Limited(Protocol):
    """The part of a mandate that limits look at."""

    def plan(self, target: Target) -> Planned:
        """What of it concerns a target."""
        ...


def charges(call: Call, chain: Sequence[Limited], run: str, now: int) -> tuple[Charge, ...] | Deny:
    """What `call` takes of every limit of every mandate of the chain; or why it cannot be told.

    Pure. O(limits that concern the target × size of the arguments).

    Args:
        call: judged, so that no two of its arguments may be taken for one.
        chain: root first; all of it from one person.
        run: id of the run; limits per run count by it.
        now: Unix milliseconds.

    Returns:
        Charges on distinct accounts, keys and members; none for limits per call, which are held
        here. Codes of Deny: docs/reference/verdicts.md.
    """
    return charged(call, limits_of(chain, call.target), run, now)


def limits_of(chain: Sequence[Limited], target: Target) -> tuple[Limit, ...]:
    """All limits of a chain that mean calls to `target`, or may mean them, in order.

    Those of its principal once: all its mandates are from one person, and a call counts once.
    """
    limits = [limit for mandate in chain for limit in mandate.plan(target).limits]
    return (*limits, *(chain[-1].plan(target).principal_limits if chain else ()))


def charged(call: Call, limits: Sequence[Limit], run: str, now: int) -> tuple[Charge, ...] | Deny:
    """`charges` of a call to the target that `limits` were found for (`limits_of`)."""
    arguments, minute = call.arguments, now // MINUTE_MS
    taken: list[Charge] = []
    for limit in limits:
        if limit.conditions and not counts(limit, call):
            continue
        # What one look at the arguments tells is remembered by that; `_charge` tells the rest.
        amount: int | str = 1
        value: Json = ""
        looks_at = limit.looks_at
        plain = looks_at is not None
        if looks_at:
            value = arguments.get(looks_at)
            if limit.sums:
                amount = steps_of(value, limit.unit or "")
                value = ""
                plain = type(amount) is int
            else:
                plain = type(value) is str
        which = minute if limit.by_clock else run if limit.by_run else "", value
        charge = limit.made.get(which) if plain else None
        if charge is None:
            refused = _charge(limit, call, run, now, taken)
            if refused is not None:
                return refused
            if plain:
                _remember(limit, which, taken[-1])
        elif limit.slides_ms:
            since_ms = max(1, now - limit.slides_ms)
            taken.append(replace(charge, amount=amount, since_ms=since_ms))
        else:
            taken.append(charge if charge.amount == amount else replace(charge, amount=amount))
    return tuple(taken)


def counts(limit: Limit, call: Call) -> bool:
    """Whether a limit that means the target counts the call: no condition plainly fails."""
    arguments = call.judged
    for condition in limit.conditions:  # noqa: SIM110 - a generator costs a third more
        if not triggers(condition, arguments):
            return False
    return True


def exceeded(taken: Sequence[Charge], counters: Counters) -> Deny | None:
    """The first charge that does not fit, as a refusal saying what is left; None if all fit."""
    found = compare(taken, counters)
    return found if isinstance(found, Deny) else None


def compare(taken: Sequence[Charge], counters: Counters) -> Deny | tuple[int, ...]:
    """The first charge that does not fit, as a refusal saying what is left; if all fit, what is
    used before each (`Counters.used`)."""
    before: list[int] = []
    full: Deny | None = None
    for charge in taken:
        used = counters.used(charge)
        if used + charge.amount > charge.ceiling and full is None:
            full = too_much(charge, used, charge.amount)
        before.append(used)
    if are_apart(taken):
        return tuple(before) if full is None else full
    together: dict[tuple[str, str], list[Charge]] = {}
    for charge in taken:
        together.setdefault((charge.account, charge.key), []).append(charge)
    for group in together.values():
        used, more = _of_group(group, counters)
        for charge in group:
            if used + more > charge.ceiling:
                return too_much(charge, used, more)
    return tuple(before)


def are_apart(taken: Sequence[Charge]) -> bool:
    """Whether each charge is on an account of its own, as nearly always: then none has to be looked
    at together with another."""
    return len(set(map(_account_of, taken))) == len(taken)


_account_of = attrgetter("account")


def _of_group(group: list[Charge], counters: Counters) -> tuple[int, int]:
    """What is used of one account under one key, and what several charges of one call add."""
    if not group[0].member:
        return counters.used(group[0]), sum(charge.amount for charge in group)
    used = counters.used(replace(group[0], member=NOT_A_MEMBER))
    new = {charge.member for charge in group if counters.used(charge) == used}
    return used, len(new)


def _charge(limit: Limit, call: Call, run: str, now: int, taken: list[Charge]) -> Deny | None:
    """Add to `taken` what `call` takes of `limit`."""
    try:
        found = tally(limit, call.arguments, call.use)
    except Uncountable as unclear:
        because = f"{named(call.target)} is refused: {unclear.because}"
        return Deny(unclear.code, (limit.id,), shorten(because), shorten(unclear.allowed))
    if limit.window.kind == "call":
        return _in_one_call(limit, found)
    for (unit, key), amount in found.items():
        if isinstance(amount, int):
            taken.append(_made(limit, run, now, unit, key, amount, ""))
        else:
            taken += [_made(limit, run, now, unit, key, 1, each) for each in amount]
    return None


def _made(
    limit: Limit, run: str, now: int, unit: str, key: str, amount: int, member: str
) -> Charge:
    """The charge of a call; like the one an earlier call was given but for amount and moment.

    Within one minute, as `period` has it, and one run all else of it stays the same.
    """
    when: int | str = now // MINUTE_MS if limit.by_clock else run if limit.by_run else ""
    which = when, unit, key, member
    charge = limit.made.get(which)
    if charge is None:
        charge = _new(limit, period(limit.window, run, now), unit, key, member)
        _remember(limit, which, charge)
    if limit.slides_ms:
        return replace(charge, amount=amount, since_ms=max(1, now - limit.slides_ms))
    return charge if charge.amount == amount else replace(charge, amount=amount)


def _remember(limit: Limit, which: tuple[Json, ...], charge: Charge) -> None:
    if len(limit.made) >= MAX_MADE:
        limit.made.clear()
    limit.made[which] = charge


def _new(limit: Limit, window: Period, unit: str, key: str, member: str) -> Charge:
    takes = limit.takes
    return Charge(
        limit.id,
        f"{limit.account_stem}{window.label}:{unit}{limit.account_tail}",
        1,
        limit.ceilings[unit],
        key,
        member,
        0,
        limit.measure is _CONCURRENT,
        unit,
        limit.scale,
        limit.actual,
        window.over + limit.per_words,
        window.until,
        limit.failed_frees,
        limit.scale // 10 ** decimals_of(unit) if limit.minor_units else 0,
        COST + unit if takes == COST else takes,
    )


def _in_one_call(limit: Limit, found: Tally) -> Deny | None:
    for (unit, _), amount in found.items():
        steps = amount if isinstance(amount, int) else len(amount)
        if steps > limit.ceilings[unit]:
            return too_much_in_one_call(limit, unit, steps)
    return None
