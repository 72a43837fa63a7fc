"""The one decision: may this call run, must it wait for a person, or not at all?

No two arguments may have names that some readers take for one (`amount`, `Amount`): which of them
an upstream would use is anybody's guess. Then, for each mandate of the chain, from the root to the
leaf:

1. it must be active, within its time, and used in its circumstances;
2. no deny rule may apply: deny wins over everything;
3. an allow rule must let the call through: every condition holds, and no argument goes unnamed
   (default deny). Of several, one with nothing left to vouch for comes first;
4. every stamp rule that applies adds what it asks for. No allow rule can take that away;
5. flow: what the run has read may refuse the call or add a stamp, and so may a value that is not
   vouched for.

6. Organisation policies may refuse it: they stand above every mandate, and forbid wins.
7. Every limit of every mandate of the chain must have room for what the call takes.

Most calls go a way that is known beforehand (`plain_way.py`); the others are taken through step by
step, and to the same verdict.

The first refusal is the verdict. Otherwise all that was asked for is merged into one requirement
that meets every one of them (`merge`), and the call is held; with nothing asked for, it is allowed.

INVARIANT: pure and total. No clock, store, environment or randomness; whatever goes wrong inside
is a Deny `judge_failed`.
"""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.core.argument_path import look_alikes, unnamed
from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.circumstances import all_hold, none_fails, only
from bailiwick.core.conditions import permits
from bailiwick.core.context import NO_POLICIES, Policies, Step
from bailiwick.core.flow.flowing import against_flow, unvouched
from bailiwick.core.flow.labels import Facts, Labels
from bailiwick.core.limits.charging import charged
from bailiwick.core.limits.forms import compared
from bailiwick.core.limits.limit import Charge, Counters
from bailiwick.core.line import Line, line_of
from bailiwick.core.mandate import AllowRule, DenyRule, Mandate, MandateState, StampRule
from bailiwick.core.thinking.model_calls import facts_of
from bailiwick.core.values import FAILS, HOLDS
from bailiwick.core.verdict import Allow, Deny, Hold, Requirement, Verdict
from bailiwick.core.wording import (
    named,
    what_is_allowed,
    why_ambiguous,
    why_denied,
    why_held,
    why_not_permitted,
)

_MODEL = CallKind.MODEL
_NOBODY: Sequence[StampRule] = ()


def judge(
    call: Call,
    chain: Sequence[Mandate],
    policies: Policies,
    counters: Counters,
    labels: Labels,
    step: Step,
    now: int,
) -> Verdict:
    """Decide on `call` under every mandate of `chain`.

    Pure and total. O(rules that concern the target × size of the arguments).

    Args:
        call: parsed once, strictly; its arguments are what dispatch would send, and conditions on
            paths are held to where these lead, too, as far as the call says (`core.links`).
        chain: root first, leaf (the one the agent acts under) last. Empty denies.
        policies: of the organisation.
        counters: what is used of limits, as far as is known; the reservation decides.
        labels: what the run has read and was told.
        step: nothing yet; pass `NO_STEP`.
        now: Unix milliseconds.

    Returns:
        Allow, Hold or Deny, with the ids of the rules that decided and one sentence for people.
        Codes of Deny: docs/reference/verdicts.md.
    """
    try:
        if not chain:
            return Deny("no_mandate", (), f"{named(call.target)} was asked for under no mandate")
        line, asking = line_of(chain, call.target), _NOBODY
        way, allowed = line.way, line.allowed
        if (
            way is None
            or allowed is None
            or not way.since <= now < way.until
            or not way.takes(call.judged)
        ):
            found = _step_by_step(call, line, labels, now)
            if isinstance(found, Deny):
                return found
            allowed, asking = found
        if policies is not NO_POLICIES:
            refused = policies.decide(call, chain, labels, now)  # 6
            if refused is not None:
                return refused
        if not line.limits:
            return _hold(call, asking, allowed.rules) if asking else allowed
        run, forms = labels.facts.run, line.forms
        if forms is None:
            taken = charged(call, line.limits, run, now)  # 7
        else:
            taken = forms.taken(call, run, now)
        if isinstance(taken, Deny):
            return taken
        before = compared(taken, counters)
        if isinstance(before, Deny):
            return before
        if asking:
            return _hold(call, asking, allowed.rules, taken, before)
        return Allow(allowed.rules, allowed.because, taken, before)
    except Exception as error:  # noqa: BLE001 - promise 6: whatever goes wrong here is a Deny
        return Deny("judge_failed", (), f"judging failed ({type(error).__name__}), so it is denied")


def visible(chain: Sequence[Mandate], target: Target, now: int) -> bool:
    """Whether some arguments could get `target` through, allowed or held.

    Pure and total; False when in doubt. What is not visible is left out of lists.
    """
    try:
        return bool(chain) and all(_could_pass(mandate, target, now) for mandate in chain)
    except Exception:  # noqa: BLE001 - promise 6: hidden when in doubt
        return False


def stopped(chain: Sequence[Mandate], now: int) -> Deny | None:
    """Why nothing at all passes under this chain, if one of its mandates is not in force. Pure."""
    return next((why for each in chain if (why := _inactive(each, now)) is not None), None)


def merge(rules: Sequence[StampRule]) -> Requirement | None:
    """One requirement that meets what each of `rules` asks for, or None when there is none.

    The role one of them names (any person is fine for a rule without), everybody excluded by any,
    the highest count, the shortest wait: so it can ask for more than the rules would separately,
    never for less. Rules naming different roles have no such requirement.
    """
    roles = {rule.role for rule in rules if rule.role is not None}
    if len(roles) > 1:
        return None
    waits = [rule.expires_after_seconds for rule in rules if rule.expires_after_seconds is not None]
    return Requirement(
        role=next(iter(roles), None),
        excluded=frozenset[str]().union(*(rule.excluded for rule in rules)),
        count=max(rule.count for rule in rules),
        expires_after_seconds=min(waits, default=None),
    )


def _step_by_step(
    call: Call, line: Line, labels: Labels, now: int
) -> tuple[Allow, Sequence[StampRule]] | Deny:
    """What the mandates of a line say of a call, and the stamp rules that apply (1 to 5)."""
    twins = look_alikes(call.arguments)
    if twins is not None:
        return Deny("argument_ambiguous", (), why_ambiguous(call, twins))
    facts = labels.facts
    if call.target.kind is _MODEL:
        facts = facts_of(call, facts)
    used: list[str] = []
    asking: list[StampRule] = []
    allow: AllowRule | None = None
    for stage in line.stages:
        mandate, plan = stage.mandate, stage.plan
        if not stage.unbounded:  # 1
            inactive = _inactive(mandate, now)
            if inactive is None:
                inactive = _elsewhere(mandate, facts, now)
            if inactive is not None:
                return inactive
        for deny in stage.deny:  # 2
            if _applies(deny, call, facts, now):
                return _denied(mandate, deny, call)
        if allow is not None and stage.again is allow:  # 3: it asks the same of the same call
            allow = plan.allow[0]
        else:
            allow = _way_through(plan.allow, call, labels, facts, now)
        if allow is None:
            return _not_permitted(mandate, plan.allow, call, facts, now)
        used.append(allow.id)
        stamps = plan.stamp if asking else stage.stamp  # 4
        for stamp in stamps:
            if _applies(stamp, call, facts, now):
                asking.append(stamp)  # noqa: PERF401 - one or none, and a list costs its making
        if stage.flows or allow.vouched:  # 5
            flowing = against_flow(mandate, allow, call, labels)
            if isinstance(flowing, Deny):
                return flowing
            asking += flowing
        if stage.settling is allow and not asking:
            used += stage.settled
            break
    because = line.sentences.get(used[-1])
    if because is None:
        because = f"{named(call.target)} is allowed by `{used[-1]}`"
        line.sentences[used[-1]] = because
    return Allow(tuple(used), because), asking


def _way_through(
    rules: Sequence[AllowRule], call: Call, labels: Labels, facts: Facts, now: int
) -> AllowRule | None:
    """The first rule that lets the call through with every value vouched for, else the first that
    does at all: each is a way by itself, and their order is not to cost a person's time."""
    ways: list[AllowRule] = []
    for rule in rules:
        if _lets_through(rule, call, facts, now):
            if not rule.vouched and not ways:
                return rule
            ways.append(rule)
    if len(ways) < 2:  # nothing to choose: who vouches is asked once, by flow
        return ways[0] if ways else None
    for rule in ways:
        if not any(unvouched(path, call, labels) for path in rule.vouched):
            return rule
    return ways[0]


def _applies(rule: DenyRule | StampRule, call: Call, facts: Facts, now: int) -> bool:
    if rule.circumstances and not none_fails(rule.circumstances, facts, now):
        return False
    arguments = call.judged
    for quick, condition in rule.asked:
        truth = quick(arguments)
        if truth is FAILS or (truth is not HOLDS and not condition.triggers(arguments)):
            return False
    return True


def _lets_through(rule: AllowRule, call: Call, facts: Facts, now: int) -> bool:
    if rule.circumstances and not all_hold(rule.circumstances, facts, now):
        return False
    arguments = call.judged
    for quick, condition in rule.asked:
        if quick(arguments) is not HOLDS and not condition.permits(arguments):
            return False
    return (
        rule.other_arguments
        or rule.covered.issuperset(arguments)
        or not unnamed(rule.names, arguments)
    )


def why_stopped(ref: str, state: MandateState) -> str:
    """Why a call under a mandate that is not active is refused."""
    return f"the mandate `{ref}` is {state.value}"


def _inactive(mandate: Mandate, now: int) -> Deny | None:
    if mandate.state is not MandateState.ACTIVE:
        code = {
            MandateState.REVOKED: "mandate_revoked",
            MandateState.EXPIRED: "mandate_expired",
        }.get(mandate.state, "mandate_not_active")
        return Deny(code, (), why_stopped(mandate.ref, mandate.state))
    start, end = mandate.not_before, mandate.not_after
    if start is not None and now < start:
        return Deny("mandate_not_active", (), f"the mandate `{mandate.ref}` is not in force yet")
    if end is not None and now >= end:
        return Deny("mandate_expired", (), f"the mandate `{mandate.ref}` has expired")
    return None


def _elsewhere(mandate: Mandate, facts: Facts, now: int) -> Deny | None:
    if not mandate.circumstances or all_hold(mandate.circumstances, facts, now):
        return None
    because = f"the mandate `{mandate.ref}` is good {only(mandate.circumstances, facts, now)}"
    return Deny("not_in_these_circumstances", (), because)


def _denied(mandate: Mandate, rule: DenyRule, call: Call) -> Deny:
    return Deny(
        "denied_by_rule",
        (rule.id,),
        why_denied(rule, call),
        what_is_allowed(mandate, call.target),
    )


def _not_permitted(
    mandate: Mandate, near: tuple[AllowRule, ...], call: Call, facts: Facts, now: int
) -> Deny:
    """Say which rule came nearest: one whose conditions hold but for an unnamed argument first."""
    allowed = what_is_allowed(mandate, call.target)
    if not near:
        because = f"{named(call.target)} is not in the mandate `{mandate.ref}`"
        return Deny("not_in_mandate", (), because, allowed)
    for rule in near:
        if all(permits(condition, call.judged) for condition in rule.conditions):
            outside = only(rule.circumstances, facts, now)
            if outside:
                because = f"{named(call.target)} is allowed {outside}"
                return Deny("not_in_these_circumstances", (rule.id,), because, allowed)
            name = unnamed(rule.names, call.arguments)
            because = why_not_permitted(rule, call, unnamed_argument=name)
            return Deny("unknown_argument", (rule.id,), because, allowed)
    because = why_not_permitted(near[0], call)
    return Deny("argument_refused", tuple(rule.id for rule in near), because, allowed)


def _hold(
    call: Call,
    asking: Sequence[StampRule],
    used: Sequence[str],
    taken: tuple[Charge, ...] = (),
    before: tuple[int, ...] = (),
) -> Verdict:
    rules = tuple(rule.id for rule in asking)
    requirement = merge(asking)
    if requirement is None:
        roles = ", ".join(sorted({f"`{rule.role}`" for rule in asking if rule.role}))
        because = f"{named(call.target)} would need stamps by different roles ({roles}) at once"
        return Deny("stamps_conflict", rules, because)
    return Hold(requirement, (*rules, *used), why_held(asking, requirement, call), taken, before)


def _could_pass(mandate: Mandate, target: Target, now: int) -> bool:
    if _inactive(mandate, now) is not None:
        return False
    plan = mandate.plan(target)
    return bool(plan.allow) and all(rule.conditions or rule.circumstances for rule in plan.deny)
