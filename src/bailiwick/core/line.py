"""What a chain of mandates asks of calls to one target, worked out once: what no call changes."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.call import Target
from bailiwick.core.charging import limits_of
from bailiwick.core.flow import NO_FLOW
from bailiwick.core.identical import identical
from bailiwick.core.limits import Limit
from bailiwick.core.mandate import (
    MAX_PLANS,
    MAX_REMEMBERED_NAME,
    AllowRule,
    Mandate,
    MandateState,
    Plan,
)
from bailiwick.core.target_pattern import covers
from bailiwick.core.values import FAILS


@dataclass(frozen=True, slots=True)
class Stage:
    """What one mandate of a chain asks of calls to one target.

    Attributes:
        unbounded: the mandate is in force at any time, in any circumstances.
        flows: some rule of its flow may be about the target.
        again: the allow rule of the mandate before it that asks exactly what the first one of this
            asks, if there is one: children often repeat what their parents say.
    """

    mandate: Mandate
    plan: Plan
    unbounded: bool
    flows: bool
    again: AllowRule | None


@dataclass(frozen=True, slots=True)
class Line:
    """What a whole chain asks of calls to one target.

    Attributes:
        stages: of each mandate, root first.
        limits: that may count such calls.
        flows: some mandate has flow rules, whatever they are about.
        vouched: arguments that some allow rule wants vouched for, by rule.
        sentences: that a call is allowed, by the leaf's rule, as it was worded first.
    """

    stages: tuple[Stage, ...]
    limits: tuple[Limit, ...]
    flows: bool
    vouched: tuple[ArgumentPath, ...]
    sentences: dict[str, str] = field(default_factory=dict, repr=False, compare=False)


class Lines:
    """The lines of one chain that are remembered, by target."""

    __slots__ = ("chain", "known")

    def __init__(self, chain: tuple[Mandate, ...]) -> None:
        self.chain = chain
        self.known: dict[Target, Line] = {}


def line_of(chain: Sequence[Mandate], target: Target) -> Line:
    """What `chain`, root first and not empty, asks of calls to `target`. Pure.

    Remembered, bounded as plans are, with the chain's last mandate and for one chain at a time: of
    these very mandates, all of them immutable, so nothing can have changed meanwhile.
    """
    held = chain[-1].lines
    # Taken once, so that whoever judges by another chain meanwhile does not come between.
    lines = held[0] if held else Lines(())
    if lines.chain is not chain:
        lines = _lines_for(chain, lines)
        held[:] = [lines]
    line = lines.known.get(target)
    if line is None:
        line = _line(lines.chain, target)
        if len(lines.known) >= MAX_PLANS:
            lines.known.clear()
        if len(target.name) <= MAX_REMEMBERED_NAME:
            lines.known[target] = line
    return line


def _lines_for(chain: Sequence[Mandate], before: Lines) -> Lines:
    """`before` itself if that is of the same mandates; else what begins anew."""
    same = len(before.chain) == len(chain) and all(map(operator.is_, before.chain, chain))
    if same and not isinstance(chain, tuple):
        return before
    lines = Lines(tuple(chain))
    if same:
        lines.known = before.known
    return lines


def _line(chain: tuple[Mandate, ...], target: Target) -> Line:
    stages: list[Stage] = []
    before: tuple[AllowRule, ...] = ()
    for mandate in chain:
        plan = mandate.plan(target)
        stages.append(
            Stage(
                mandate,
                plan,
                unbounded=(
                    mandate.state is MandateState.ACTIVE
                    and mandate.not_before is None
                    and mandate.not_after is None
                    and not mandate.circumstances
                ),
                flows=any(
                    covers(rule.targets, target) is not FAILS for rule in mandate.flow.accepts
                ),
                again=_repeated(plan.allow, before),
            )
        )
        before = plan.allow
    return Line(
        tuple(stages),
        limits=limits_of(chain, target),
        flows=any(mandate.flow is not NO_FLOW for mandate in chain),
        vouched=tuple(path for each in stages for rule in each.plan.allow for path in rule.vouched),
    )


def _repeated(rules: tuple[AllowRule, ...], before: tuple[AllowRule, ...]) -> AllowRule | None:
    """Which of the rules `before` asks exactly what the first of `rules` asks.

    None where that alone would not settle it: of several ways through, one with values to vouch for
    is not taken before the others were looked at.
    """
    if not rules or (len(rules) > 1 and rules[0].vouched):
        return None
    first = rules[0]
    for rule in before:
        if (
            rule.other_arguments is first.other_arguments
            and identical(rule.conditions, first.conditions)
            and identical(rule.circumstances, first.circumstances)
        ):
            return rule
    return None
