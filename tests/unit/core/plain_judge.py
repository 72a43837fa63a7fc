"""Judging as its module's list says, with nothing prepared, remembered or left out: what `judge` is
held against. Slow and plain on purpose."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from bailiwick.core.argument_path import unnamed
from bailiwick.core.call import Call
from bailiwick.core.circumstances import all_hold, none_fails
from bailiwick.core.context import Counters, Labels, Policies
from bailiwick.core.flow.flowing import against_flow, unvouched
from bailiwick.core.flow.labels import Facts
from bailiwick.core.judge import _denied, _elsewhere, _hold, _inactive, _not_permitted
from bailiwick.core.limits.charging import charged, exceeded
from bailiwick.core.mandate import AllowRule, DenyRule, Mandate, StampRule
from bailiwick.core.target_pattern import covers
from bailiwick.core.thinking.model_calls import facts_of
from bailiwick.core.values import FAILS, HOLDS, fold
from bailiwick.core.verdict import Allow, Deny, Verdict
from bailiwick.core.wording import named, why_ambiguous


def plainly(
    call: Call,
    chain: Sequence[Mandate],
    policies: Policies,
    counters: Counters,
    labels: Labels,
    now: int,
) -> Verdict:
    if not chain:
        return Deny("no_mandate", (), f"{named(call.target)} was asked for under no mandate")
    for later, name in enumerate(call.arguments):
        for other in itertools.islice(call.arguments, later):
            if fold(other) == fold(name):
                return Deny("argument_ambiguous", (), why_ambiguous(call, (other, name)))
    facts = facts_of(call, labels.facts)
    used: list[str] = []
    asking: list[StampRule] = []
    for mandate in chain:
        refused = _inactive(mandate, now)  # 1
        if refused is None:
            refused = _elsewhere(mandate, facts, now)
        if refused is not None:
            return refused
        for deny in mandate.deny:  # 2
            if covers(deny.targets, call.target) is not FAILS and applies(deny, call, facts, now):
                return _denied(mandate, deny, call)
        allows = tuple(rule for rule in mandate.allow if covers(rule.targets, call.target) is HOLDS)
        ways = [rule for rule in allows if lets_through(rule, call, facts, now)]  # 3
        if not ways:
            return _not_permitted(mandate, allows, call, facts, now)
        allow = next((rule for rule in ways if not to_vouch_for(rule, call, labels)), ways[0])
        used.append(allow.id)
        asking += [
            rule
            for rule in mandate.stamp
            if covers(rule.targets, call.target) is not FAILS and applies(rule, call, facts, now)
        ]  # 4
        flowing = against_flow(mandate, allow, call, labels)  # 5
        if isinstance(flowing, Deny):
            return flowing
        asking += flowing
    refused = policies.decide(call, chain, labels, now)  # 6
    if refused is not None:
        return refused
    limits = [limit for mandate in chain for limit in mandate.limits]  # 7
    limits += chain[-1].principal_limits
    counting = [limit for limit in limits if covers(limit.targets, call.target) is not FAILS]
    taken = charged(call, counting, facts.run, now)
    if isinstance(taken, Deny):
        return taken
    over = exceeded(taken, counters)
    if over is not None:
        return over
    before = tuple(counters.used(charge) for charge in taken)
    if not asking:
        because = f"{named(call.target)} is allowed by `{used[-1]}`"
        return Allow(tuple(used), because, taken, before)
    return _hold(call, asking, used, taken, before)


def applies(rule: DenyRule | StampRule, call: Call, facts: Facts, now: int) -> bool:
    return none_fails(rule.circumstances, facts, now) and all(
        condition.triggers(call.arguments) for condition in rule.conditions
    )


def lets_through(rule: AllowRule, call: Call, facts: Facts, now: int) -> bool:
    return (
        all_hold(rule.circumstances, facts, now)
        and all(condition.permits(call.arguments) for condition in rule.conditions)
        and (rule.other_arguments or not unnamed(rule.names, call.arguments))
    )


def to_vouch_for(rule: AllowRule, call: Call, labels: Labels) -> bool:
    return any(unvouched(path, call, labels) for path in rule.vouched)
