"""Why `judge` says what it says: each rule that concerns a call, and what it compared.

For people who ask "why was this held?". It looks at the same rules through the same comparisons as
`judge`, and decides nothing itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bailiwick.core.argument_path import unnamed
from bailiwick.core.call import Call
from bailiwick.core.circumstances import Circumstance
from bailiwick.core.conditions import (
    Condition,
    permits,
    sentence,
    standing,
    triggers,
)
from bailiwick.core.flow.labels import NO_FACTS, Facts
from bailiwick.core.links import led_words
from bailiwick.core.mandate import AllowRule, Mandate, Rule
from bailiwick.core.values import FAILS, HOLDS


@dataclass(frozen=True, slots=True)
class Compared:
    """One condition: what it asks, whether it counted, and how the call stood to it."""

    asks: str
    counted: bool
    found: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that concerns the call's target.

    Attributes:
        rule: its id.
        effect: `allow`, `deny` or `stamp`.
        applies: whether the rule let the call through, denied it, or asked for a stamp.
        compared: its conditions, in order.
        unnamed: for an allow rule, the first argument that it does not name; "" if none.
        circumstances: its circumstances, in order.
    """

    rule: str
    effect: str
    applies: bool
    compared: tuple[Compared, ...]
    unnamed: str = ""
    circumstances: tuple[Compared, ...] = ()


def explain(
    call: Call, chain: Sequence[Mandate], facts: Facts = NO_FACTS, now: int = 0
) -> tuple[Finding, ...]:
    """Every rule of `chain` that concerns `call`: root first; deny, allow, stamp.

    Args:
        facts: of its run and caller, as it was judged.
        now: Unix milliseconds; when it was judged.
    """
    findings: list[Finding] = []
    for mandate in chain:
        plan = mandate.plan(call.target)
        for effect, rules in (("deny", plan.deny), ("allow", plan.allow), ("stamp", plan.stamp)):
            findings += (_finding(rule, effect, call, facts, now) for rule in rules)
    return tuple(findings)


def around(mandate: Mandate, facts: Facts, now: int) -> tuple[Compared, ...]:
    """The circumstances of a mandate as a whole, and how a call stood to them."""
    return tuple(_circumstance(each, facts, now, allows=True) for each in mandate.circumstances)


def _finding(rule: Rule, effect: str, call: Call, facts: Facts, now: int) -> Finding:
    allows = isinstance(rule, AllowRule)
    circumstances = tuple(
        _circumstance(each, facts, now, allows=allows) for each in rule.circumstances
    )
    compared = tuple(_compared(condition, call, allows) for condition in rule.conditions)
    extra = ""
    if isinstance(rule, AllowRule) and not rule.other_arguments:
        extra = unnamed(rule.names, call.arguments)
    applies = not extra and all(each.counted for each in (*compared, *circumstances))
    return Finding(rule.id, effect, applies, compared, extra, circumstances)


def _circumstance(each: Circumstance, facts: Facts, now: int, *, allows: bool) -> Compared:
    truth = each.of(facts, now)
    counted = truth is HOLDS if allows else truth is not FAILS
    found = truth.value if truth is HOLDS else each.missing(facts, now) or truth.value
    return Compared(f"only {each.phrase}", counted, found)


def _compared(condition: Condition, call: Call, allows: bool) -> Compared:
    counts = permits if allows else triggers
    return Compared(
        asks=sentence(condition),
        counted=counts(condition, call.judged),
        found=standing(condition, call.judged, allows=allows) + led_words(condition, call),
    )
