"""Narrowing, held against `judge`: no call may show that a child found narrower is not.

Mandates and calls are drawn from a small world (few tools, arguments and values), so that rules
overlap, calls hit them, and what is near (case, null, missing, `1` and `True`) comes up often.
"""

from __future__ import annotations

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions import (
    Anything,
    AtLeast,
    AtMost,
    Condition,
    Equals,
    Matches,
    OneOf,
    Present,
    Under,
)
from bailiwick.core.context import NO_COUNTERS, NO_LABELS, NO_POLICIES, NO_STEP
from bailiwick.core.judge import judge
from bailiwick.core.mandate import AllowRule, DenyRule, Mandate, StampRule
from bailiwick.core.narrowing import Wider, includes, narrower, overlap
from bailiwick.core.narrowing.examples import less
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import fold
from bailiwick.core.verdict import Deny, Verdict
from tests.unit.core.mandates import NOW, at, mandate

PATHS = tuple(map(at, ("a", "b", "b.c", "b.d", "A", "l[]", "l[].c", "l")))
LEAVES: tuple[Json, ...] = (
    *(0, 1, 1.0, 2, True, None),
    *("x", "X", "xy", "", "/w", "/w/v", "/wv", "1"),
)
MIXED: JsonObject = {"c": "x", "d": 2}
DEEPER: tuple[Json, ...] = (
    *({}, {"c": 1}, MIXED, {"C": 1}),
    *([], [1, 2], [{"c": 1}], [{"c": 1}, {"c": 9}]),
)
VALUES = LEAVES + DEEPER
GLOBS = tuple(map(Glob, ("*", "x", "x*", "*y", "x*y", "", "X*")))
NAMES = ("pay", "Pay", "paid", "get")
PATTERNS = ("pay", "pa*", "*", "Pay", "*y", "get")

paths = st.sampled_from(PATHS)
flags = st.booleans()
conditions: st.SearchStrategy[Condition] = st.one_of(
    st.builds(
        OneOf,
        paths,
        st.lists(st.sampled_from(VALUES), min_size=1, max_size=3).map(tuple),
        flags,
    ),
    st.builds(Equals, paths, st.sampled_from(VALUES), flags),
    st.builds(AtMost, paths, st.integers(0, 2), flags),
    st.builds(AtLeast, paths, st.integers(0, 2), flags),
    st.builds(
        Matches, paths, st.lists(st.sampled_from(GLOBS), min_size=1, max_size=2).map(tuple), flags
    ),
    st.builds(Under, paths, st.sampled_from((("/w",), ("/w/v",), ("/w/v", "/x"))), flags),
    st.builds(Present, paths, flags, flags),
    st.builds(Anything, paths),
)
several = st.lists(conditions, max_size=3).map(tuple)
targets = st.lists(
    st.builds(TargetPattern, st.just(CallKind.TOOL), st.just("bank"), st.sampled_from(PATTERNS)),
    min_size=1,
    max_size=2,
).map(tuple)
allows = st.builds(
    AllowRule,
    st.just("allow"),
    targets,
    several,
    flags,
    vouched=st.sampled_from(((), (), (at("a"),))),
)
denies = st.builds(DenyRule, st.just("deny"), targets, several)
stamps = st.builds(
    StampRule,
    st.just("stamp"),
    targets,
    several,
    st.sampled_from((None, "boss")),
    st.sampled_from((frozenset(), frozenset({"ada"}))),
    st.integers(1, 2),
    st.sampled_from((None, 60, 90)),
)
times = st.sampled_from((None, NOW - 5, NOW, NOW + 5))


@st.composite
def mandates(draw: st.DrawFn) -> Mandate:
    rules: list[AllowRule | DenyRule | StampRule] = draw(st.lists(allows, min_size=1, max_size=2))
    rules += draw(st.lists(denies, max_size=1)) + draw(st.lists(stamps, max_size=1))
    return mandate(*rules, not_before=draw(times), not_after=draw(times))


@st.composite
def shrunk(draw: st.DrawFn, parent: Mandate) -> Mandate:
    """A child as people make them: a copy with something less, or by mistake something more."""
    rules = []
    for rule in parent.allow:
        mine = draw(st.sampled_from((rule.conditions, rule.conditions[1:])))
        changed = tuple(draw(st.sampled_from((each, _turned(draw, each)))) for each in mine)
        rules.append(
            dataclasses.replace(
                rule,
                targets=draw(st.sampled_from((rule.targets, draw(targets)))),
                conditions=changed + draw(st.lists(conditions, max_size=1).map(tuple)),
                other_arguments=draw(st.sampled_from((rule.other_arguments, False))),
            )
        )
    return dataclasses.replace(
        parent,
        name="pay:child",
        allow=tuple(rules),
        deny=parent.deny + draw(st.lists(denies, max_size=1).map(tuple)),
        stamp=draw(st.sampled_from((parent.stamp, parent.stamp[1:]))),
        not_before=draw(st.sampled_from((parent.not_before, NOW))),
        not_after=draw(st.sampled_from((parent.not_after, NOW + 5))),
    )


def _turned(draw: st.DrawFn, condition: Condition) -> Condition:
    """Another condition on the same argument."""
    other = draw(conditions)
    return dataclasses.replace(other, path=condition.path)  # type: ignore[type-var]  # each is one


parents = mandates()
pairs = st.one_of(
    st.tuples(mandates(), parents),
    parents.flatmap(lambda parent: st.tuples(shrunk(parent), st.just(parent))),
)
arguments: st.SearchStrategy[JsonObject] = st.dictionaries(
    st.sampled_from(("a", "A", "b", "l", "z")), st.sampled_from(VALUES), max_size=3
)
calls = st.builds(
    lambda name, given: Call.of("0" * 26, Target(CallKind.TOOL, "bank", name), given),
    st.sampled_from(NAMES),
    arguments,
)
moments = st.sampled_from((NOW - 6, NOW - 5, NOW, NOW + 4, NOW + 5))


def judged(call: Call, under: Mandate, now: int) -> Verdict:
    return judge(call, (under,), NO_POLICIES, NO_COUNTERS, NO_LABELS, NO_STEP, now)


@settings(max_examples=200, deadline=None)
@given(pairs, st.lists(st.tuples(calls, moments), min_size=5, max_size=20))
def test_no_call_gets_through_a_narrower_child_that_its_parent_would_stop(
    pair: tuple[Mandate, Mandate], asked: list[tuple[Call, int]]
) -> None:
    child, parent = pair
    found = narrower(child, parent, NOW)
    if found is not None:
        holds_true(found, child, parent)
        return
    for call, now in asked:
        own, above = judged(call, child, now), judged(call, parent, now)
        assert not less(own, above), (call.target, call.arguments, own, above)


def holds_true(found: Wider, child: Mandate, parent: Mandate) -> None:
    """What is shown is true."""
    example = found.example
    if example is not None:
        call = Call.of("0" * 26, example.target, example.arguments)
        own, above = judged(call, child, example.at), judged(call, parent, example.at)
        assert not isinstance(own, Deny)
        assert less(own, above)
        assert above.because in found.because


@settings(max_examples=200, deadline=None)
@given(mandates())
def test_every_mandate_is_narrower_than_itself(whole: Mandate) -> None:
    assert narrower(whole, whole, NOW) is None


@settings(max_examples=150, deadline=None)
@given(parents.flatmap(lambda top: st.tuples(shrunk(top), st.just(top))), st.data())
def test_what_is_narrower_than_the_narrower_lets_through_no_more(
    pair: tuple[Mandate, Mandate], data: st.DataObject
) -> None:
    middle, top = pair
    low = data.draw(shrunk(middle))
    if narrower(low, middle, NOW) is None and narrower(middle, top, NOW) is None:
        found = narrower(low, top, NOW)
        assert found is None or found.example is None


texts = st.text("xyXY* ab", max_size=5)
globs = texts.map(lambda text: Glob(text.replace("\\", "")))


@settings(max_examples=400, deadline=None)
@given(globs, globs, texts)
def test_what_fits_an_included_glob_fits_the_glob_that_includes_it(
    wide: Glob, narrow: Glob, text: str
) -> None:
    if includes(wide, narrow) and narrow.matches(text):
        assert wide.matches(text)
    assert includes(narrow, narrow)
    assert includes(Glob("*"), narrow)


@settings(max_examples=400, deadline=None)
@given(globs, globs, texts)
def test_a_text_that_fits_two_globs_shows_that_they_overlap(
    one: Glob, other: Glob, text: str
) -> None:
    if one.matches(text) and other.nearly_matches(fold(text)):
        assert overlap(one, other)
        assert overlap(other, one)
