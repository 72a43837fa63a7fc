"""Why `judge` says what it says: each rule that concerns a call, and what it compared.

For people who ask "why was this held?". It looks at the same rules through the same comparisons as
`judge`, and decides nothing itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bailiwick.core.argument_path import unnamed
from bailiwick.core.call import Call
from bailiwick.core.conditions import (
    Condition,
    permits,
    sentence,
    standing,
    triggers,
)
from bailiwick.core.mandate import AllowRule, Mandate, Rule


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
    """

    rule: str
    effect: str
    applies: bool
    compared: tuple[Compared, ...]
    unnamed: str = ""


def explain(call: Call, chain: Sequence[Mandate]) -> tuple[Finding, ...]:
    """Every rule of `chain` that concerns `call`: root first; deny, allow, stamp."""
    findings: list[Finding] = []
    for mandate in chain:
        plan = mandate.plan(call.target)
        findings += (_finding(rule, "deny", call) for rule in plan.deny)
        findings += (_finding(rule, "allow", call) for rule in plan.allow)
        findings += (_finding(rule, "stamp", call) for rule in plan.stamp)
    return tuple(findings)


def _finding(rule: Rule, effect: str, call: Call) -> Finding:
    allows = isinstance(rule, AllowRule)
    compared = tuple(_compared(condition, call, allows) for condition in rule.conditions)
    extra = ""
    if isinstance(rule, AllowRule) and not rule.other_arguments:
        extra = unnamed(rule.names, call.arguments)
    applies = not extra and all(each.counted for each in compared)
    return Finding(rule.id, effect, applies, compared, extra)


def _compared(condition: Condition, call: Call, allows: bool) -> Compared:
    counts = permits if allows else triggers
    return Compared(
        asks=sentence(condition),
        counted=counts(condition, call.arguments),
        found=standing(condition, call.arguments, allows=allows),
    )
