"""What a chain of mandates asks of calls to one target, worked out once: what no call changes."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.call import Target
from bailiwick.core.conditions import Condition
from bailiwick.core.flow.labels import NO_FLOW
from bailiwick.core.identical import identical
from bailiwick.core.limits.charging import limits_of
from bailiwick.core.limits.forms import Forms, forms_of
from bailiwick.core.limits.limit import Limit
from bailiwick.core.mandate import (
    MAX_REMEMBERED_NAME,
    AllowRule,
    DenyRule,
    Mandate,
    MandateState,
    Plan,
    Rule,
    StampRule,
)
from bailiwick.core.plain_way import PlainWay, plain_way
from bailiwick.core.shelves import PARTS_OF_FORMS, Shelf, Shelves
from bailiwick.core.target_pattern import covers
from bailiwick.core.values import FAILS
from bailiwick.core.verdict import Allow
from bailiwick.core.wording import named

_MAX_ALIKE = 32
"""Rules of one hash that a rule is compared with: a repetition missed costs one more question."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What one mandate of a chain asks of calls to one target.

    Children repeat what their parents say, and what was asked of a call need not be asked again.

    Attributes:
        unbounded: the mandate is in force at any time, in any circumstances.
        flows: some rule of its flow may be about the target.
        again: the allow rule of the mandate before it that asks exactly what the first one of this
            asks, if there is one.
        deny: the plan's deny rules but those that ask exactly what one further up asks.
        stamp: the same of its stamp rules: enough to ask while none further up has applied.
        settling: the allow rule of this mandate with which all is settled further down, if nobody
            is to be asked: the mandates below ask what it asks, and nothing more.
        settled: the rules by which they then let the call through.
    """

    mandate: Mandate
    plan: Plan
    unbounded: bool
    flows: bool
    again: AllowRule | None
    deny: tuple[DenyRule, ...]
    stamp: tuple[StampRule, ...]
    settling: AllowRule | None = None
    settled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """What a whole chain asks of calls to one target.

    Attributes:
        stages: of each mandate, root first.
        limits: that may count such calls.
        forms: of what such calls take of them; None where that has none.
        flows: some mandate has flow rules, whatever they are about.
        vouched: arguments that some allow rule wants vouched for, by rule.
        asks_more: it asks about more than the call itself and its circumstances.
        way: by which most such calls are let through; None if none is plain.
        allowed: the verdict on a call that goes this way, but for what it takes of limits.
        files: conditions of its rules and limits that hold file paths to folders.
        sentences: that a call is allowed, by the leaf's rule, as it was worded first.
    """

    stages: tuple[Stage, ...]
    limits: tuple[Limit, ...]
    forms: Forms | None
    flows: bool
    vouched: tuple[ArgumentPath, ...]
    asks_more: bool
    way: PlainWay | None
    allowed: Allow | None
    files: tuple[Condition, ...] = ()
    sentences: dict[str, str] = field(default_factory=dict, repr=False, compare=False)


@dataclass(slots=True)
class Lines:
    """The lines of one chain that are remembered, by target.

    Attributes:
        questions: what each rule of the chain asks, as a number, by `id` of the rule: two with one
            number ask exactly the same. Empty for a chain of one.
        ways: plain ways of the lines, by what they follow from: many targets have the same rules.
        forms: those of the lines, by the `id`s of their limits, likewise.
        shelf: all of it, where it counts with what is remembered for other children; else None.
    """

    chain: tuple[Mandate, ...]
    questions: dict[int, int]
    known: dict[Target, Line] = field(default_factory=dict)
    ways: dict[tuple[object, ...], PlainWay | None] = field(default_factory=dict)
    forms: dict[tuple[int, ...], Forms | None] = field(default_factory=dict)
    shelf: Shelf | None = None


_SHELVES = Shelves()
_NO_LINES = Lines((), {})


def line_of(chain: Sequence[Mandate], target: Target) -> Line:
    """What `chain`, root first and not empty, asks of calls to `target`. Pure.

    Remembered, bounded as plans are, with the chain's last mandate and for one chain at a time: of
    these very mandates, all of them immutable, so nothing can have changed meanwhile.
    """
    held = chain[-1].lines
    # Taken once, so that whoever judges by another chain meanwhile does not come between.
    lines = held[0] if held else _NO_LINES
    if lines.chain is not chain:
        lines = _lines_for(chain, lines)
        held[:] = [lines]
    line = lines.known.get(target)
    if line is None:
        line = _line(lines, target)
        if len(lines.known) >= chain[-1].most_plans:
            lines.known.clear()
        if len(target.name) <= MAX_REMEMBERED_NAME:
            lines.known[target] = line
            if lines.shelf is not None:
                _SHELVES.added(lines.shelf, len(line.stages))
    return line


def _lines_for(chain: Sequence[Mandate], before: Lines) -> Lines:
    """`before` itself if that is of the same mandates; else what begins anew."""
    if len(before.chain) != len(chain) or not all(map(operator.is_, before.chain, chain)):
        lines = Lines(tuple(chain), _questions(chain) if len(chain) > 1 else {})
        if chain[-1].parent:
            plans = chain[-1].plans
            lines.shelf = Shelf(lines.known, len(chain), lines.forms, lines.ways, plans)
        return lines
    return replace(before, chain=chain) if isinstance(chain, tuple) else before


def _line(lines: Lines, target: Target) -> Line:
    chain, questions = lines.chain, lines.questions
    stages: list[Stage] = []
    before: tuple[AllowRule, ...] = ()
    asked: set[int] = set()
    for mandate in chain:
        plan = mandate.plan(target)
        deny, stamp = plan.deny, plan.stamp
        if stages:
            deny = tuple(rule for rule in deny if questions[id(rule)] not in asked)
            stamp = tuple(rule for rule in stamp if questions[id(rule)] not in asked)
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
                again=_repeated(plan.allow, before, questions),
                deny=deny,
                stamp=stamp,
            )
        )
        if questions:
            before = plan.allow
            asked.update(questions[id(rule)] for rule in (*plan.deny, *plan.stamp))
    limits = limits_of(chain, target)
    flows = any(mandate.flow is not NO_FLOW for mandate in chain)
    vouched = tuple(path for each in stages for rule in each.plan.allow for path in rule.vouched)
    asks_more = bool(limits) or flows or bool(vouched)
    way, allowed = _plain_way(lines, stages), None
    if way is not None:
        allowed = Allow(way.rules, f"{named(target)} is allowed by `{way.rules[-1]}`")
    forms = _forms(lines, limits)
    files = _files(stages, limits)
    return Line(_settled(stages), limits, forms, flows, vouched, asks_more, way, allowed, files)


def _files(stages: Sequence[Stage], limits: Sequence[Limit]) -> tuple[Condition, ...]:
    """The conditions that hold file paths to folders: of all rules, and of the limits."""
    found = [each for limit in limits for each in limit.conditions if each.folders]
    for stage in stages:
        plan = stage.plan
        rules: tuple[Rule, ...] = (*plan.allow, *plan.deny, *plan.stamp)
        for rule in rules:
            found += [each for each in rule.conditions if each.folders]
    return tuple(found)


def _forms(lines: Lines, limits: tuple[Limit, ...]) -> Forms | None:
    """The forms of what these limits count, remembered as ways are: mandates keep limits alive."""
    if not limits:
        return None
    which = tuple(map(id, limits))
    # Read once: another thread may clear it.
    forms = lines.forms.get(which)
    if forms is not None or which in lines.forms:
        return forms
    if len(lines.forms) >= lines.chain[-1].most_plans:
        lines.forms.clear()
    forms = lines.forms[which] = forms_of(limits)
    if lines.shelf is not None:
        _SHELVES.added(lines.shelf, PARTS_OF_FORMS)
    return forms


def _plain_way(lines: Lines, stages: Sequence[Stage]) -> PlainWay | None:
    """The plain way of these stages, remembered by their rules: mandates keep them alive."""
    rules = tuple(
        (each.flows, *map(id, each.plan.allow[:1]), 0, *map(id, each.deny), 0, *map(id, each.stamp))
        for each in stages
    )
    way = lines.ways.get(rules)
    if way is not None or rules in lines.ways:
        return way
    # Bounded by itself: which rules concern a target is up to its name, of any length.
    if len(lines.ways) >= lines.chain[-1].most_plans:
        lines.ways.clear()
    way = lines.ways[rules] = plain_way(stages)
    return way


def _settled(stages: list[Stage]) -> tuple[Stage, ...]:
    """The same stages, each with what it settles further down."""
    below = stages[-1]
    known = [below]
    for stage in reversed(stages[:-1]):
        first = below.plan.allow[0] if below.plan.allow else None
        asks_no_more = below.unbounded and not (below.deny or below.stamp or below.flows)
        goes_on = below is stages[-1] or below.settling is first
        if first is not None and asks_no_more and goes_on and not first.vouched:
            settled = (first.id, *below.settled)
            stage = replace(stage, settling=below.again, settled=settled)
        known.append(stage)
        below = stage
    return tuple(reversed(known))


def _repeated(
    rules: tuple[AllowRule, ...], before: tuple[AllowRule, ...], questions: dict[int, int]
) -> AllowRule | None:
    """Which of the rules `before` asks exactly what the first of `rules` asks.

    None where that alone would not settle it: of several ways through, one with values to vouch for
    is not taken before the others were looked at.
    """
    if not rules or (len(rules) > 1 and rules[0].vouched):
        return None
    for rule in before:
        if questions[id(rule)] == questions[id(rules[0])]:
            return rule
    return None


def _questions(chain: Sequence[Mandate]) -> dict[int, int]:
    """What each rule of the chain asks, as a number."""
    numbers: dict[int, int] = {}
    alike: dict[int, list[tuple[Rule, int]]] = {}
    for mandate in chain:
        rules: tuple[Rule, ...] = (*mandate.allow, *mandate.deny, *mandate.stamp)
        for rule in rules:
            others = alike.setdefault(_hash_of(rule), [])
            number = next((number for other, number in others if _asks_the_same(rule, other)), -1)
            if number < 0:
                number = len(numbers)
                if len(others) < _MAX_ALIKE:
                    others.append((rule, number))
            numbers[id(rule)] = number
    return numbers


def _hash_of(rule: Rule) -> int:
    """The same for rules that ask the same, and hardly ever for others: so that each is compared
    with its like alone.

    By how they are written out, since agents write rules: of `1`, `1.0` and `true` the hash is one,
    and of a list to compare with there is none.
    """
    return hash(repr((rule.conditions, rule.circumstances)))


def _asks_the_same(one: Rule, other: Rule) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, AllowRule) and isinstance(other, AllowRule):
        same = one.other_arguments is other.other_arguments
    else:
        same = True
    return (
        same
        and identical(one.conditions, other.conditions)
        and identical(one.circumstances, other.circumstances)
    )
