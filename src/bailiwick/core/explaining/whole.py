"""A whole judgement explained: each rule that concerns a call, what it compared, what decided.

The verdict is `judge`'s own; everything else is the same comparisons, made again one by one and put
into words. Rules are said as the mandate reads (`core.reading`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bailiwick.core.argument_path import Gap, format_argument_path, reach
from bailiwick.core.call import Call, Target
from bailiwick.core.conditions import Vouched, sentence, standing, triggers
from bailiwick.core.context import NO_STEP, Policies
from bailiwick.core.explaining.rules import Compared, around, explain
from bailiwick.core.flow.flowing import first_seen
from bailiwick.core.flow.labels import Accepts, Labels
from bailiwick.core.flow.run_memory import scalars
from bailiwick.core.judge import judge
from bailiwick.core.limits.charging import charges
from bailiwick.core.limits.limit import Charge, Counters, Limit
from bailiwick.core.limits.wording import amount_words
from bailiwick.core.limits.wording import standing as limit_standing
from bailiwick.core.links import led_words
from bailiwick.core.mandate import AllowRule, DenyRule, Mandate, MandateState, Plan, Rule
from bailiwick.core.reading import read_allow, read_deny, read_limit, read_stamp
from bailiwick.core.reading.flow import read_accepts
from bailiwick.core.reading.whole import read_times
from bailiwick.core.target_pattern import covers
from bailiwick.core.thinking.model_calls import facts_of
from bailiwick.core.values import FAILS, show
from bailiwick.core.verdict import Allow, Deny, Hold

MAX_VALUES = 20
"""Values of one argument whose origin is told."""


@dataclass(frozen=True, slots=True)
class RuleExplained:
    """One rule that concerns the call.

    Attributes:
        rule: its id.
        effect: `allow`, `deny`, `stamp`, `flow` or `limit`.
        says: the rule as a sentence.
        does: what it did with this call, in words: "lets it through".
        decided: it is among the rules of the verdict.
        compared: all that it compared, in order.
    """

    rule: str
    effect: str
    says: str
    does: str
    decided: bool
    compared: tuple[Compared, ...]


@dataclass(frozen=True, slots=True)
class MandateExplained:
    """One mandate of the chain: whether it was in force, and its rules about the call."""

    mandate: str
    stands: tuple[Compared, ...]
    rules: tuple[RuleExplained, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A judgement. `policies` is what the organisation's policies said, "" if there are none."""

    verdict: str
    code: str
    rules: tuple[str, ...]
    because: str
    mandates: tuple[MandateExplained, ...]
    policies: str = ""


def why(
    call: Call,
    chain: Sequence[Mandate],
    policies: Policies,
    counters: Counters | None,
    labels: Labels,
    now: int,
) -> Explanation:
    """Judge `call` and say all that was compared. Pure; for the arguments see `judge`.

    Args:
        counters: None if what was used is not known: then no limit refuses anything here.
    """
    verdict = judge(call, chain, policies, counters or _Unused(), labels, NO_STEP, now)
    code = verdict.code if isinstance(verdict, Deny) else ""
    word = {Allow: "allow", Hold: "hold", Deny: "deny"}[type(verdict)]
    mandates = tuple(
        MandateExplained(
            mandate.ref,
            _stands(mandate, call, labels, now),
            (
                *_rules(mandate, call, counters, labels, now, frozenset(verdict.rules)),
                *(
                    # A call counts once for the person, whoever passed the mandate on.
                    _limit(limit, call, counters, labels.facts.run, now, frozenset(verdict.rules))
                    for limit in mandate.plan(call.target).principal_limits
                    if mandate is chain[-1]
                ),
            ),
        )
        for mandate in chain
    )
    said = _policies(call, chain, policies, labels, now)
    return Explanation(word, code, verdict.rules, verdict.because, mandates, said)


@dataclass(frozen=True, slots=True)
class _Unused:
    """Counters of which nothing is known."""

    def used(self, charge: Charge) -> int:
        """Nothing, so that nothing is refused for it."""
        return 0


def _stands(mandate: Mandate, call: Call, labels: Labels, now: int) -> tuple[Compared, ...]:
    active = mandate.state is MandateState.ACTIVE
    state = Compared("the mandate is active", active, f"it is {mandate.state.value}")
    started = mandate.not_before is None or now >= mandate.not_before
    ended = mandate.not_after is not None and now >= mandate.not_after
    found = "it had ended" if ended else "it was within that time" if started else "it was too soon"
    times = Compared(read_times(mandate), started and not ended, found)
    return (state, times, *around(mandate, facts_of(call, labels.facts), now))


def _policies(
    call: Call, chain: Sequence[Mandate], policies: Policies, labels: Labels, now: int
) -> str:
    if not policies.version:
        return ""
    refused = policies.decide(call, chain, labels, now)
    return "none of the organisation's policies refuses it" if refused is None else refused.because


def _rules(
    mandate: Mandate,
    call: Call,
    counters: Counters | None,
    labels: Labels,
    now: int,
    deciding: frozenset[str],
) -> Iterator[RuleExplained]:
    plan = mandate.plan(call.target)
    rules: dict[str, Rule] = {}
    rules.update((rule.id, rule) for rule in plan.deny)
    rules.update((rule.id, rule) for rule in plan.allow)
    rules.update((rule.id, rule) for rule in plan.stamp)
    for found in explain(call, (mandate,), facts_of(call, labels.facts), now):
        rule = rules[found.rule]
        compared = [*found.compared, *found.circumstances]
        if isinstance(rule, AllowRule):
            says, does = read_allow(rule), _ALLOWS[found.applies]
            compared = [one for one in compared if one.asks not in _vouched_words(rule)]
            origins = tuple(_vouched(rule, call, labels))
            if found.applies and not all(each.counted for each in origins):
                does = "lets it through once a person has stamped what nobody vouches for"
            compared += origins
            if found.unnamed:
                extra = f"{show(found.unnamed)} is given"
                compared.append(Compared("no argument that the rule does not name", False, extra))
        elif isinstance(rule, DenyRule):
            says, does = read_deny(rule), _DENIES[found.applies]
        else:
            says, does = read_stamp(rule), _STAMPS[found.applies]
        decided = found.rule in deciding and (found.applies or isinstance(rule, AllowRule))
        yield RuleExplained(found.rule, found.effect, says, does, decided, tuple(compared))
    for accepts in mandate.flow.accepts:
        if covers(accepts.targets, call.target) is not FAILS:
            yield _accepts(accepts, labels, deciding)
    for limit in plan.limits:
        yield _limit(limit, call, counters, labels.facts.run, now, deciding)


_ALLOWS = {True: "lets it through", False: "does not let it through"}
_DENIES = {True: "refuses it", False: "does not apply"}
_STAMPS = {True: "asks for a stamp", False: "does not apply"}


# --- flow ----------------------------------------------------------------------------------------


def _vouched_words(rule: AllowRule) -> set[str]:
    return {sentence(each) for each in rule.conditions if isinstance(each, Vouched)}


def _vouched(rule: AllowRule, call: Call, labels: Labels) -> Iterator[Compared]:
    """Where each value came from that must be vouched for."""
    for path in rule.vouched:
        asks = f"{show(format_argument_path(path))} is vouched for"
        told = 0
        for there in reach(path, call.arguments):
            if isinstance(there, Gap):
                yield Compared(asks, False, "it is not given, or cannot be read")
                continue
            for value in scalars(there):
                told += 1
                if told > MAX_VALUES:
                    yield Compared(asks, False, "there are more values than are told here")
                    return
                vouching = labels.vouching(value)
                known = f"{show(value)}: {first_seen(vouching.source)}"
                yield Compared(asks, vouching.vouched, known)


def _accepts(rule: Accepts, labels: Labels, deciding: frozenset[str]) -> RuleExplained:
    compared: list[Compared] = []
    if not rule.untrusted:
        source = labels.untrusted
        found = "it has read nothing untrusted" if source is None else first_seen(source)
        compared.append(Compared("the run has read nothing untrusted", source is None, found))
    if rule.confidential is not None:
        asks = "the run has read nothing more confidential than that"
        outside = {k: v for k, v in labels.confidential.items() if k not in rule.confidential}
        for label, source in outside.items():
            compared.append(Compared(asks, False, f"{show(label)}: {first_seen(source)}"))
        if not outside:
            compared.append(Compared(asks, True, "it has read nothing of that kind"))
    fine = all(each.counted for each in compared)
    against = "asks for a stamp" if rule.otherwise == "hold" else "refuses it"
    does = "does not stand against it" if fine else against
    decided = rule.id in deciding
    return RuleExplained(rule.id, "flow", read_accepts(rule), does, decided, tuple(compared))


# --- limits --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _One:
    """A mandate with one limit and nothing else."""

    limits: tuple[Limit, ...]
    principal_limits: tuple[Limit, ...] = ()

    def plan(self, target: Target) -> Plan:
        """The limit."""
        return Plan((), (), (), self.limits)


def _limit(
    limit: Limit,
    call: Call,
    counters: Counters | None,
    run: str,
    now: int,
    deciding: frozenset[str],
) -> RuleExplained:
    says, decided = read_limit(limit), limit.id in deciding
    compared = [
        Compared(
            sentence(each),
            triggers(each, call.judged),
            standing(each, call.judged, allows=False) + led_words(each, call),
        )
        for each in limit.conditions
    ]
    if not all(each.counted for each in compared):
        return RuleExplained(limit.id, "limit", says, "does not count it", decided, tuple(compared))
    taken = charges(call, (_One((limit,)),), run, now)
    if isinstance(taken, Deny):
        compared.append(Compared("what it takes can be counted, and fits", False, taken.because))
    else:
        compared += (_charge(each, counters) for each in taken)
    fits = all(each.counted for each in compared)
    does = "counts it, and there is room" if fits else "refuses it"
    return RuleExplained(limit.id, "limit", says, does, decided, tuple(compared))


def _charge(charge: Charge, counters: Counters | None) -> Compared:
    takes = (
        "one at once"
        if charge.pending_only
        else amount_words(charge.amount, charge.scale, charge.unit)
    )
    asks = f"there is room for {takes}"
    if counters is None:
        return Compared(asks, True, "how much was used then is not known any more")
    used = counters.used(charge)
    return Compared(asks, used + charge.amount <= charge.ceiling, limit_standing(charge, used))
