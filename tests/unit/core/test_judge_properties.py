"""What holds of judging over all mandates and calls: it is total, and authority only narrows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.call import Call
from bailiwick.core.canonical import Json
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
from bailiwick.core.explain import explain
from bailiwick.core.glob import Glob
from bailiwick.core.judge import visible
from bailiwick.core.mandate import AllowRule, DenyRule, Mandate, StampRule
from bailiwick.core.verdict import Allow, Deny, Hold, Verdict
from tests.unit.core.mandates import NOW, at, call, mandate, pattern, verdict

TRANSFER = "bank/transfer"

texts = st.sampled_from(["a", "A", "b", "/work/a", "/work/../etc", "12", "1e3", ""])
values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "y", "X"]), inner, max_size=2)
    ),
    max_leaves=6,
)
arguments_of_calls = st.dictionaries(st.sampled_from(["x", "y", "X", "z"]), values, max_size=3)
paths = st.sampled_from([at("x"), at("y"), at("x.y"), at("x[]"), at("x[].y")])
conditions: st.SearchStrategy[Condition] = st.one_of(
    st.builds(AtMost, paths, st.integers(-5, 5), st.booleans()),
    st.builds(AtLeast, paths, st.integers(-5, 5), st.booleans()),
    st.builds(Equals, paths, values, st.booleans()),
    st.builds(OneOf, paths, st.lists(values, min_size=1, max_size=3).map(tuple), st.booleans()),
    st.builds(Matches, paths, st.just((Glob("a*"),)), st.booleans()),
    st.builds(Under, paths, st.just(("/work",)), st.booleans()),
    st.builds(Present, paths, st.booleans(), st.booleans()),
    st.builds(Anything, paths),
)
targets = st.sampled_from(["bank/transfer", "bank/*", "*/*", "other/x"]).map(
    lambda text: (pattern(text),)
)
condition_lists = st.lists(conditions, max_size=3).map(tuple)
allows = st.builds(AllowRule, st.just("a"), targets, condition_lists, st.booleans())
denies = st.builds(DenyRule, st.just("d"), targets, condition_lists)
stamps = st.builds(
    StampRule, st.just("s"), targets, condition_lists, st.sampled_from([None, "r", "q"])
)
mandates = st.builds(
    lambda *groups: mandate(*(rule for group in groups for rule in group)),
    st.lists(allows, max_size=3),
    st.lists(denies, max_size=2),
    st.lists(stamps, max_size=2),
)
calls = st.builds(lambda arguments: call(TRANSFER, arguments), arguments_of_calls)

_OPENNESS = {Deny: 0, Hold: 1, Allow: 2}


def openness(found: Verdict) -> int:
    return _OPENNESS[type(found)]


def with_rule(rules: Mandate, rule: AllowRule | DenyRule | StampRule) -> Mandate:
    return mandate(*rules.allow, *rules.deny, *rules.stamp, rule)


@given(calls, st.lists(mandates, max_size=3))
def test_judging_never_fails_and_never_asks_for_nobody(asked: Call, chain: list[Mandate]) -> None:
    found = verdict(asked, *chain)
    if isinstance(found, Deny):
        assert found.code != "judge_failed"
    if isinstance(found, Hold):
        assert found.requirement.count >= 1
    assert found.because


@given(calls, mandates, denies)
def test_adding_a_deny_rule_never_opens_anything(
    asked: Call, rules: Mandate, more: DenyRule
) -> None:
    assert openness(verdict(asked, with_rule(rules, more))) <= openness(verdict(asked, rules))


@given(calls, mandates, stamps)
def test_adding_a_stamp_rule_never_opens_anything(
    asked: Call, rules: Mandate, more: StampRule
) -> None:
    assert openness(verdict(asked, with_rule(rules, more))) <= openness(verdict(asked, rules))


@given(calls, mandates, allows)
def test_adding_an_allow_rule_never_loses_a_stamp_or_a_denial_by_rule(
    asked: Call, rules: Mandate, more: AllowRule
) -> None:
    before, after = verdict(asked, rules), verdict(asked, with_rule(rules, more))
    if isinstance(before, Hold):
        assert isinstance(after, Hold)
        assert after.requirement == before.requirement
    if isinstance(before, Deny) and before.code == "denied_by_rule":
        assert isinstance(after, Deny)


@given(calls, mandates, mandates)
def test_authority_only_narrows_along_a_chain(asked: Call, root: Mandate, leaf: Mandate) -> None:
    both = openness(verdict(asked, root, leaf))
    assert both <= min(openness(verdict(asked, root)), openness(verdict(asked, leaf)))


@given(calls, st.lists(mandates, min_size=1, max_size=2))
def test_what_is_not_denied_was_visible(asked: Call, chain: list[Mandate]) -> None:
    if not isinstance(verdict(asked, *chain), Deny):
        assert visible(chain, asked.target, NOW)


@given(calls, mandates)
def test_judging_twice_gives_the_same(asked: Call, rules: Mandate) -> None:
    assert verdict(asked, rules) == verdict(asked, rules)


@given(calls, mandates)
def test_explaining_is_total_and_agrees_with_the_verdict(asked: Call, rules: Mandate) -> None:
    findings = explain(asked, [rules])
    applying = {each.effect for each in findings if each.applies}
    found = verdict(asked, rules)
    if isinstance(found, Allow):
        assert applying == {"allow"}
    elif isinstance(found, Hold):
        assert applying == {"allow", "stamp"}
    elif found.code == "denied_by_rule":
        assert "deny" in applying
    elif found.code not in ("stamps_conflict", "argument_ambiguous"):
        assert "allow" not in applying
