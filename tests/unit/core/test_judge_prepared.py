"""What is prepared for judging, and what is remembered from one call to the next, changes no
verdict: each is held against the plain evaluation (`plain_judge`), with other calls and chains in
between."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.core.call import Call
from bailiwick.core.circumstances import RunLabelled
from bailiwick.core.conditions import AtLeast, AtMost, Equals, Vouched
from bailiwick.core.context import NO_POLICIES, NO_STEP
from bailiwick.core.flow.labels import Accepts, Facts, Flow, Source
from bailiwick.core.judge import judge
from bailiwick.core.line import line_of
from bailiwick.core.mandate import MAX_PLANS, AllowRule, Mandate, MandateState
from bailiwick.core.verdict import Allow, Deny, Hold, Verdict
from tests.unit.core.chains import (
    TRANSFER,
    Filled,
    SomeRun,
    allows,
    calls,
    chains,
    mandates,
    open_chains,
    runs,
)
from tests.unit.core.mandates import NOW, allow, at, call, deny, mandate, pattern, stamp, verdict
from tests.unit.core.plain_judge import plainly


def both(asked: Call, chain: Sequence[Mandate], run: SomeRun, used: int = 0) -> Verdict:
    """The verdict, which is the plain one."""
    found = judge(asked, chain, NO_POLICIES, Filled(used), run, NO_STEP, NOW)
    assert found == plainly(asked, chain, NO_POLICIES, Filled(used), run, NOW)
    return found


QUIET = SomeRun(Facts())


@settings(max_examples=300)
@given(
    chains() | open_chains(),
    st.lists(st.tuples(calls, runs, st.sampled_from([0, 8, 9])), min_size=1, max_size=4),
)
def test_every_verdict_is_the_plain_one_and_stays_it(
    chain: tuple[Mandate, ...], asked: list[tuple[Call, SomeRun, int]]
) -> None:
    first = [both(one, chain, run, used) for one, run, used in asked]
    again = [both(one, list(chain), run, used) for one, run, used in asked]
    assert again == first


@settings(max_examples=100)
@given(mandates(), mandates(), mandates(), calls, runs)
def test_one_leaf_under_other_parents_is_judged_by_each(
    one: Mandate, other: Mandate, leaf: Mandate, asked: Call, run: SomeRun
) -> None:
    for chain in ((one, leaf), (other, leaf), (leaf,), (one, other, leaf), (one, leaf)):
        both(asked, chain, run)


@given(allows, st.data())
def test_a_rule_repeated_word_for_word_is_found_and_none_else(
    rule: AllowRule, data: st.DataObject
) -> None:
    other = data.draw(allows)
    child = AllowRule("child", (pattern("*/*"),), rule.conditions, rule.other_arguments)
    asked = call(TRANSFER, {})
    above = AllowRule("above", (pattern("*/*"),), rule.conditions, rule.other_arguments)
    stage = line_of((mandate(above), mandate(child)), asked.target).stages[1]
    assert stage.again is above
    elsewhere = mandate(AllowRule("above", (pattern("*/*"),), other.conditions))
    stage = line_of((elsewhere, mandate(child)), asked.target).stages[1]
    if repr(other.conditions) != repr(rule.conditions) or rule.other_arguments:
        assert stage.again is None


def test_values_that_python_takes_for_equal_are_not_the_same_question() -> None:
    for above, below in ((1, True), (True, 1), (1.0, True), ("1", 1)):
        chain = (
            mandate(allow(TRANSFER, Equals(at("x"), above))),
            mandate(allow(TRANSFER, Equals(at("x"), below))),
        )
        assert isinstance(verdict(call(TRANSFER, {"x": above}), *chain), Deny)
        assert line_of(chain, call(TRANSFER, {}).target).stages[1].again is None


def test_a_new_version_of_the_parent_is_what_counts_from_then_on() -> None:
    small, leaf = AtMost(at("x"), 5), mandate(allow(TRANSFER, AtMost(at("x"), 9)), name="leaf")
    before = (mandate(allow(TRANSFER, AtMost(at("x"), 9))), leaf)
    asked = call(TRANSFER, {"x": 7})
    assert isinstance(both(asked, before, QUIET), Allow)
    after = (mandate(allow(TRANSFER, small)), leaf)
    assert isinstance(both(asked, after, QUIET), Deny)
    revoked = (dataclasses.replace(before[0], state=MandateState.REVOKED), leaf)
    assert isinstance(both(asked, revoked, QUIET), Deny)
    assert isinstance(both(asked, before, QUIET), Allow)


def test_a_chain_that_is_changed_in_place_is_judged_as_it_is_now() -> None:
    leaf = mandate(allow(TRANSFER, AtMost(at("x"), 9)))
    chain = [leaf]
    asked = call(TRANSFER, {"x": 7})
    assert isinstance(both(asked, chain, QUIET), Allow)
    chain.insert(0, mandate(allow(TRANSFER), deny(TRANSFER, AtLeast(at("x"), 7))))
    assert isinstance(both(asked, chain, QUIET), Deny)


def test_a_rule_a_child_repeats_is_asked_again_where_its_parent_went_another_way() -> None:
    small, large = AtMost(at("x"), 5), AtLeast(at("x"), 6)
    root = mandate(allow(TRANSFER, large, id_="large"), allow(TRANSFER, small, id_="small"))
    child = mandate(allow(TRANSFER, AtMost(at("x"), 5), id_="child"))
    assert isinstance(both(call(TRANSFER, {"x": 1}), (root, child), QUIET), Allow)
    assert isinstance(both(call(TRANSFER, {"x": 7}), (root, child), QUIET), Deny)
    assert isinstance(both(call(TRANSFER, {"x": 1}), (root, child), QUIET), Allow)


def test_a_child_that_repeats_deny_and_stamp_rules_is_not_asked_twice_and_told_of_all() -> None:
    small, large = AtLeast(at("x"), 5), AtLeast(at("x"), 8)

    def rules(name: str) -> Mandate:
        return mandate(
            allow(TRANSFER, other=True, id_=f"{name}/allow"),
            deny(TRANSFER, large, id_=f"{name}/deny"),
            stamp(TRANSFER, small, role="r", id_=f"{name}/stamp"),
        )

    chain = (rules("root"), rules("leaf"))
    asked = [call(TRANSFER, {"x": number}) for number in (1, 6, 9)]
    stage = line_of(chain, asked[0].target).stages[1]
    assert (stage.deny, stage.stamp) == ((), ())
    low, middle, high = (both(each, chain, QUIET) for each in asked)
    assert isinstance(low, Allow)
    assert middle.rules == ("root/stamp", "leaf/stamp", "root/allow", "leaf/allow")
    assert high.rules == ("root/deny",)


def test_what_a_parent_only_asks_for_a_stamp_is_still_denied_by_its_child() -> None:
    large = AtLeast(at("x"), 8)
    chain = (
        mandate(allow(TRANSFER, other=True), stamp(TRANSFER, large)),
        mandate(allow(TRANSFER, other=True), deny(TRANSFER, large)),
    )
    assert isinstance(both(call(TRANSFER, {"x": 9}), chain, QUIET), Deny)


def test_what_a_parent_settles_for_all_below_it_names_every_rule_and_waits_for_no_less() -> None:
    small, odd = AtMost(at("x"), 5), Equals(at("x"), 3)
    root = mandate(
        allow(TRANSFER, small, id_="root/small"),
        allow(TRANSFER, AtMost(at("x"), 9), id_="root/large"),
        stamp(TRANSFER, odd, id_="root/stamp"),
    )
    same = mandate(allow(TRANSFER, small, id_="same"), stamp(TRANSFER, odd, id_="same/stamp"))
    leaf = mandate(allow(TRANSFER, small, id_="leaf"))
    chain = (root, same, leaf)
    stages = line_of(chain, call(TRANSFER, {}).target).stages
    assert [each.settled for each in stages] == [("same", "leaf"), ("leaf",), ()]
    assert both(call(TRANSFER, {"x": 1}), chain, QUIET).rules == ("root/small", "same", "leaf")
    held = both(call(TRANSFER, {"x": 3}), chain, QUIET)
    assert held.rules == ("root/stamp", "same/stamp", "root/small", "same", "leaf")
    assert isinstance(both(call(TRANSFER, {"x": 7}), chain, QUIET), Deny)


@pytest.mark.parametrize(
    "more",
    [
        {"not_after": NOW},
        {"state": MandateState.SUSPENDED},
        {"deny": (deny(TRANSFER, AtLeast(at("x"), 1)),)},
        {"circumstances": (RunLabelled(frozenset({"month-end"})),)},
        {"flow": Flow(accepts=(Accepts("a", (pattern("bank/*"),), untrusted=False),))},
        {"allow": (allow(TRANSFER, AtMost(at("x"), 0)),)},
    ],
    ids=lambda more: next(iter(more)),
)
def test_nothing_is_settled_above_a_mandate_that_asks_more(more: dict[str, Any]) -> None:
    small = AtMost(at("x"), 5)
    root, plain = (mandate(allow(TRANSFER, small, id_=name)) for name in ("root", "plain"))
    run = SomeRun(Facts(), untrusted=Source("result", "01", "mail/read"))
    asked = call(TRANSFER, {"x": 1})
    assert isinstance(both(asked, (root, plain, plain), run), Allow)
    for chain in ((root, dataclasses.replace(plain, **more), plain), (root, plain, plain)):
        leaf = dataclasses.replace(chain[2], **more)
        assert isinstance(both(asked, (*chain[:2], leaf), run), Deny)
        assert isinstance(both(asked, (chain[0], leaf, chain[1]), run), Deny)


def test_nothing_is_settled_above_a_rule_whose_values_must_be_vouched_for() -> None:
    small = AtMost(at("x"), 5)
    wants = AllowRule("leaf", (pattern(TRANSFER),), (small,), vouched=(at("x"),))
    chain = (mandate(allow(TRANSFER, small, id_="root")), mandate(wants))
    asked = call(TRANSFER, {"x": 1})
    assert isinstance(both(asked, chain, QUIET), Hold)
    assert isinstance(both(asked, chain, SomeRun(Facts(), known=("1",))), Allow)


@pytest.mark.parametrize("inside", [{"y": 1}, [{"y": 1}]], ids=["object", "list"])
def test_what_is_unnamed_beneath_a_named_argument_is_refused(inside: Any) -> None:
    path = at("x.y") if isinstance(inside, dict) else at("x[].y")
    rules = mandate(allow(TRANSFER, AtMost(path, 5), AtMost(at("z"), 5)))
    inside = copy.deepcopy(inside)
    asked = {"x": inside, "z": 1}
    assert isinstance(both(call(TRANSFER, asked), (rules,), QUIET), Allow)
    (inside if isinstance(inside, dict) else inside[0])["more"] = 1
    found = both(call(TRANSFER, asked), (rules,), QUIET)
    assert isinstance(found, Deny)
    assert found.code == "unknown_argument"


def test_a_repeated_rule_with_values_to_vouch_for_is_not_taken_before_others_were_tried() -> None:
    asks = Vouched(at("x"))
    chain = (
        mandate(allow(TRANSFER, asks)),
        mandate(
            allow(TRANSFER, asks, id_="to-vouch-for"),
            allow(TRANSFER, AtMost(at("x"), 5), id_="small"),
        ),
    )
    vouched_above = SomeRun(Facts(), known=())
    found = both(call(TRANSFER, {"x": 1}), chain, vouched_above)
    assert "small" in found.rules


def test_lines_are_remembered_for_one_chain_and_bounded() -> None:
    leaf = mandate(allow("*/*"), stamp("bank/*", AtLeast(at("x"), 5)))
    chain = (leaf,)
    for number in range(MAX_PLANS + 5):
        line_of(chain, call(f"bank/{number}", {}).target)
    assert len(leaf.lines[0].known) <= MAX_PLANS
    line_of(chain, call("bank/" + "x" * 600, {}).target)
    assert all(len(target.name) < 600 for target in leaf.lines[0].known)
    target = call(TRANSFER, {}).target
    assert line_of(chain, target) is line_of((*chain,), target) is line_of([*chain], target)
    line_of((mandate(allow("*/*")), leaf), target)
    assert [len(each.known) for each in leaf.lines] == [1]
