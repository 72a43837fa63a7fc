"""Whether one rule of a mandate leaves nothing to another. True only when it follows."""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.core.circumstances import Circumstance
from bailiwick.core.mandate import AllowRule, DenyRule, StampRule
from bailiwick.core.narrowing.circumstances import implied
from bailiwick.core.narrowing.implication import permits_all
from bailiwick.core.narrowing.whole import not_implied, target_within, vouches


def adds_nothing(rule: AllowRule, other: AllowRule, around: Sequence[Circumstance] = ()) -> bool:
    """Whether `other` lets through whatever `rule` does, with no more to be vouched for.

    Args:
        around: circumstances that hold for all calls of the mandate.
    """
    return (
        all(any(target_within(own, wide) for wide in other.targets) for own in rule.targets)
        and vouches(rule, other)
        and not_implied(rule, other, (*rule.circumstances, *around)) is None
    )


def applies_wherever_allowed(
    rule: DenyRule | StampRule,
    allowed: AllowRule | DenyRule | StampRule,
    around: Sequence[Circumstance] = (),
) -> bool:
    """Whether `rule` applies to every call that `allowed` plainly is about.

    Args:
        around: circumstances that hold for all calls of the mandate.
    """
    given = allowed if isinstance(allowed, AllowRule) else _as_allowed(allowed)
    return (
        all(any(target_within(own, wide) for wide in rule.targets) for own in given.targets)
        and all(implied((*given.circumstances, *around), each) for each in rule.circumstances)
        # An optional condition fails where nothing is given, so nothing follows from it.
        and all(not each.optional and permits_all(given, each) for each in rule.conditions)
    )


def _as_allowed(rule: DenyRule | StampRule) -> AllowRule:
    """An allow rule for the calls that a rule plainly applies to."""
    return AllowRule(
        rule.id,
        rule.targets,
        rule.conditions,
        other_arguments=True,
        circumstances=rule.circumstances,
    )
