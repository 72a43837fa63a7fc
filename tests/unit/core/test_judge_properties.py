"""What holds of judging over all mandates and calls: it is total, authority only narrows, and of
several rules that match none is lost ("When several rules match" in docs/reference/mandates.md)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.call import Call
from bailiwick.core.explaining.rules import explain
from bailiwick.core.judge import visible
from bailiwick.core.mandate import AllowRule, DenyRule, Mandate, StampRule
from bailiwick.core.verdict import Allow, Deny, Hold, Verdict
from tests.unit.core.condition_kinds import conditions, sound_arguments
from tests.unit.core.mandates import NOW, call, mandate, pattern, verdict

TRANSFER = "bank/transfer"

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
calls = st.builds(lambda arguments: call(TRANSFER, arguments), sound_arguments)

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


@given(calls, mandates)
def test_rules_have_no_order(asked: Call, rules: Mandate) -> None:
    turned = mandate(*rules.allow[::-1], *rules.deny[::-1], *rules.stamp[::-1])
    before, after = verdict(asked, rules), verdict(asked, turned)
    assert type(before) is type(after)
    if isinstance(before, Hold) and isinstance(after, Hold):
        assert before.requirement == after.requirement


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
