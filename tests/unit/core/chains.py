"""Strategies for whole chains of mandates, calls, and what their runs have read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.canonical import Json
from bailiwick.core.circumstances import Circumstance, FromZone, RunLabelled
from bailiwick.core.conditions import Condition, Equals, Vouched
from bailiwick.core.flow.labels import Accepts, Facts, Flow, Source, Vouching
from bailiwick.core.limits.limit import Charge, Limit, Measure, Window
from bailiwick.core.mandate import AllowRule, DenyRule, Mandate, MandateState, Rule, StampRule
from tests.unit.core.condition_kinds import conditions, sound_arguments
from tests.unit.core.mandates import NOW, at, call, mandate, pattern

TRANSFER = "bank/transfer"


@dataclass(frozen=True)
class SomeRun:
    """A run that has read what it has read, in which some values are vouched for."""

    facts: Facts
    untrusted: Source | None = None
    confidential: dict[str, Source] = field(default_factory=dict)
    known: tuple[str, ...] = ()

    def vouching(self, value: Json) -> Vouching:
        return Vouching(repr(value) in self.known)


runs = st.builds(
    SomeRun,
    st.builds(
        Facts,
        run_labels=st.sampled_from([frozenset(), frozenset({"month-end"})]),
        zones=st.sampled_from([None, frozenset[str](), frozenset({"office"})]),
        started_by=st.sampled_from(["person", "agent"]),
    ),
    st.sampled_from([None, Source("result", "01", "mail/read")]),
    st.sampled_from([{}, {"mail": Source("result", "01", "mail/read")}]),
    st.lists(st.sampled_from(["'a'", "1", "True", "'CHF'"])).map(tuple),
)
CIRCUMSTANCES: Sequence[Circumstance] = (
    RunLabelled(frozenset({"month-end"})),
    FromZone(frozenset({"office"})),
)
circumstances: st.SearchStrategy[tuple[Circumstance, ...]] = st.lists(
    st.sampled_from(CIRCUMSTANCES), max_size=1
).map(tuple)
targets = st.sampled_from([TRANSFER, "bank/*", "Bank/transfer", "other/x"]).map(
    lambda text: (pattern(text),)
)
truly_alike: st.SearchStrategy[Condition] = st.sampled_from(
    [Equals(at("x"), value) for value in (1, True, 1.0, "1")] + [Vouched(at("x"))]
)
condition_lists = st.lists(conditions | truly_alike, max_size=3).map(tuple)
names = st.sampled_from("abc")
allows = st.builds(AllowRule, names, targets, condition_lists, st.booleans(), circumstances)
denies = st.builds(
    DenyRule, names, targets, condition_lists, st.just(""), circumstances=circumstances
)
stamps = st.builds(
    StampRule,
    names,
    targets,
    condition_lists,
    st.sampled_from([None, "r", "q"]),
    circumstances=circumstances,
)
flows = st.sampled_from(
    [
        Flow(),
        Flow(accepts=(Accepts("m/accepts/1", (pattern("bank/*"),), untrusted=False),)),
        Flow(
            accepts=(
                Accepts("m/accepts/2", (pattern(TRANSFER),), True, frozenset({"x"}), "hold", "r"),
                Accepts("m/accepts/3", (pattern("other/*"),), untrusted=False),
            )
        ),
    ]
)


def limit(name: str, target: str, of: ArgumentPath = ()) -> Limit:
    """At most nine calls, or nine values of an argument, a day."""
    return Limit(
        id=f"pay@1/limit/{name}",
        name=name,
        targets=(pattern(target),),
        conditions=(),
        measure=Measure.DISTINCT if of else Measure.COUNT,
        window=Window("day"),
        ceilings={"calls": 9},
        of=of,
    )


limits = st.sampled_from(
    [
        limit("calls", TRANSFER),
        limit("alike", "Bank/transfer"),
        limit("others", "other/*"),
        limit("values", "bank/*", at("x")),
    ]
)


def repeated(rule: Rule) -> Rule:
    """What asks the same under another name."""
    return dataclasses.replace(rule, id=f"{rule.id}-again")


@st.composite
def mandates(draw: st.DrawFn, above: Mandate | None = None) -> Mandate:
    ways: list[Rule] = draw(st.lists(allows, max_size=3))
    bars = draw(st.lists(denies | stamps, max_size=3))
    if above is not None:
        told: tuple[Rule, ...] = (*above.allow, *above.deny, *above.stamp)
        again = [repeated(rule) for rule in told if draw(st.booleans())]
        ways = draw(st.permutations([*ways, *again]))
    return dataclasses.replace(
        mandate(
            *ways,
            *bars,
            state=draw(st.sampled_from([MandateState.ACTIVE] * 9 + [MandateState.REVOKED])),
            not_before=draw(st.sampled_from([None, None, NOW - 1, NOW + 1])),
            not_after=draw(st.sampled_from([None, None, NOW, NOW + 1])),
        ),
        circumstances=draw(circumstances),
        flow=draw(flows),
        limits=tuple(draw(st.lists(limits, max_size=2, unique_by=lambda each: each.name))),
        principal_limits=tuple(draw(st.lists(limits, max_size=1))),
    )


@dataclass(frozen=True)
class Filled:
    """Counters of limits of which each is used up to so much."""

    steps: int

    def used(self, charge: Charge) -> int:
        return self.steps


@st.composite
def chains(draw: st.DrawFn) -> tuple[Mandate, ...]:
    line: list[Mandate] = []
    for _ in range(draw(st.integers(0, 3))):
        line.append(draw(mandates(line[-1] if line else None)))
    return tuple(line)


@st.composite
def open_chains(draw: st.DrawFn) -> tuple[Mandate, ...]:
    """Chains that let something through more often: what the fast ways are for."""
    rule = draw(st.builds(AllowRule, names, st.just((pattern("bank/*"),)), condition_lists))
    more = draw(st.lists(allows | denies | stamps, max_size=2))
    again = [repeated(each) for each in (rule, *more)]
    other = draw(st.lists(stamps, max_size=1))
    return (mandate(rule, *more), mandate(*other, *again), mandate(*draw(st.lists(allows)), *again))


calls = st.builds(lambda arguments: call(TRANSFER, arguments), sound_arguments)
