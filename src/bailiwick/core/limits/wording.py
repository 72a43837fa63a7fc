"""Limits in words: what they allow, and why a call does not fit."""

from __future__ import annotations

from bailiwick.core.argument_path import format_argument_path
from bailiwick.core.conditions import sentence
from bailiwick.core.limits.limit import SUM_SCALE, ZONED, Charge, Limit, Measure
from bailiwick.core.limits.windows import duration
from bailiwick.core.values import show
from bailiwick.core.verdict import Deny

_PLURAL = {
    "calls": ("call", "calls"),
    "values": ("value", "values"),
    "tokens": ("token", "tokens"),
    "input_tokens": ("input token", "input tokens"),
    "output_tokens": ("output token", "output tokens"),
}
"""Units that are counted, and follow their number."""

_MONEY = (Measure.SUM, Measure.COST)


def name_of_limit(rule: str) -> str:
    """The limit's own name, in backticks."""
    return f"`{rule.rpartition('/')[2]}`"


def amount_words(steps: int, scale: int, unit: str) -> str:
    """An amount for people: "CHF 18,000.50", "3 calls", "1 token", "250"."""
    whole, rest = divmod(abs(steps), scale)
    text = f"{whole:,}"
    if rest:
        text += "." + f"{rest:0{len(str(scale)) - 1}}".rstrip("0").ljust(2, "0")
    text = f"-{text}" if steps < 0 else text
    if unit in _PLURAL:
        return f"{text} {_PLURAL[unit][steps != 1]}"
    return f"{unit} {text}" if unit else text


def part_words(steps: int, scale: int, unit: str) -> str:
    """An amount before "of" another: the unit of a count is said once, "3 of 5 calls"."""
    return amount_words(steps, scale, "" if unit in _PLURAL else unit)


def too_much(charge: Charge, used: int, more: int) -> Deny:
    """The refusal of `more` steps where `used` are taken already."""

    left = max(0, charge.ceiling - used)
    left_words = amount_words(left, charge.scale, charge.unit)
    until = f" until {charge.until}" if charge.until else ""
    because = f"limit {name_of_limit(charge.rule)}: {standing(charge, used)}"
    if charge.pending_only:
        allowed = "to try again when one of them has ended, or been settled by a person"
    else:
        asked = amount_words(more, charge.scale, charge.unit)
        because += f"; this would take {asked}; {left_words} left{until and ',' + until}"
        if left:
            allowed = f"at most {left_words} more{until}"
        elif charge.since_ms:
            # Which moment that will be is known to the store alone: `bailiwick limits` tells it.
            allowed = "nothing more until some of that is longer ago"
        else:
            allowed = f"nothing more{until}"
        if charge.member:
            allowed = f"a value that was used already, and {allowed}"
    return Deny("limit_exceeded", (charge.rule,), because, f"What is allowed: {allowed}")


def standing(charge: Charge, used: int) -> str:
    """How a limit stands before a call: "CHF 18,000 of CHF 20,000 used on 2026-11-22 (UTC)"."""
    so_many = part_words(used, charge.scale, charge.unit)
    most = amount_words(charge.ceiling, charge.scale, charge.unit)
    if charge.pending_only:
        return f"{so_many} of at most {most} at once under way{charge.over.removeprefix('in all')}"
    return f"{so_many} of {most} used {charge.over}".rstrip()


def too_much_in_one_call(limit: Limit, unit: str, steps: int) -> Deny:
    """The refusal of a call that is too much by itself."""
    scale = SUM_SCALE if limit.measure in _MONEY else 1
    most = amount_words(limit.ceilings[unit], scale, unit)
    asked = amount_words(steps, scale, unit)
    because = f"limit {name_of_limit(limit.id)}: {asked} in one call{limit.per_words}"
    allowed = f"What is allowed: at most {most} in one call"
    return Deny("limit_exceeded", (limit.id,), because, allowed)


def describe(limit: Limit) -> str:
    """A limit as one phrase: "up to CHF 20,000 a day (Europe/Zurich), per `payee.iban`".

    Without what it is about: `about` says that.
    """
    scale = SUM_SCALE if limit.measure in _MONEY else 1
    most = " or ".join(
        amount_words(ceiling, scale, unit) for unit, ceiling in limit.ceilings.items()
    )
    if limit.measure is Measure.DISTINCT:
        count = next(iter(limit.ceilings.values()))
        of = show(format_argument_path(limit.of))
        most = f"{count:,} different {of}" if count != 1 else f"one {of}"
    if limit.measure is Measure.SUM and "" in limit.ceilings:
        most += f" of {show(format_argument_path(limit.of))}"
    text = f"up to {most} {_each(limit)}"
    if limit.per:
        names = " and ".join(show(format_argument_path(path)) for path in limit.per)
        text += f", per {names}"
    if limit.conditions:
        text += f" where {' and '.join(sentence(each) for each in limit.conditions)}"
    return text


def about(limit: Limit) -> str:
    """What it is about: "`bank/transfer`, `bank/pay_*`"."""
    return ", ".join(show(str(pattern)) for pattern in limit.targets)


def _each(limit: Limit) -> str:
    kind = limit.window.kind
    if limit.measure is Measure.CONCURRENT:
        return "at once"
    if kind in ZONED:
        return f"{'an' if kind == 'hour' else 'a'} {kind} ({limit.window.zone})"
    if kind == "sliding":
        return f"in any {duration(limit.window.seconds)}"
    return {"call": "a call", "run": "a run"}.get(kind, "in all")
