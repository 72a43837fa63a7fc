"""The way that most calls go: taken only where judging step by step comes to the same."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.core.call import Call
from bailiwick.core.canonical import Json
from bailiwick.core.circumstances import RunLabelled
from bailiwick.core.conditions import Anything, AtLeast, AtMost, Condition, Equals, Matches, OneOf
from bailiwick.core.context import NO_COUNTERS, NO_LABELS, NO_POLICIES, NO_STEP
from bailiwick.core.flow.labels import Accepts, Flow
from bailiwick.core.judge import judge
from bailiwick.core.line import Line, line_of
from bailiwick.core.mandate import (
    MAX_PLANS_OF_CHILD,
    AllowRule,
    DenyRule,
    Mandate,
    MandateState,
    StampRule,
)
from bailiwick.core.plain_way import MAX_TEXTS, PlainWay
from bailiwick.core.texts.glob import Glob
from bailiwick.core.verdict import Allow, Deny, Hold, Verdict
from tests.unit.core.chains import TRANSFER, Filled, limit, limits
from tests.unit.core.mandates import NOW, allow, at, call, deny, mandate, pattern, stamp
from tests.unit.core.plain_judge import plainly

ACCOUNT = OneOf(at("account"), ("CH1", "CH2"))
SMALL = AtMost(at("amount"), 9)
NOTE = Anything(at("note"))
ELSEWHERE = Equals(at("account"), "XX1")
LARGE = AtLeast(at("amount"), 5)


def both(asked: Call, *chain: Mandate, now: int = NOW, used: int = 0) -> Verdict:
    """The verdict, which is the plain one."""
    found = judge(asked, chain, NO_POLICIES, Filled(used), NO_LABELS, NO_STEP, now)
    assert found == plainly(asked, chain, NO_POLICIES, Filled(used), NO_LABELS, now)
    return found


def line(*chain: Mandate) -> Line:
    return line_of(chain, call(TRANSFER, {}).target)


def way(*chain: Mandate) -> PlainWay:
    found = line(*chain).way
    assert found is not None
    return found


def usual() -> Mandate:
    """As the mandates of people are."""
    return mandate(
        allow(TRANSFER, ACCOUNT, SMALL, NOTE),
        deny("bank/*", ELSEWHERE),
        stamp("bank/*", LARGE, role="r"),
    )


def paying(**arguments: Json) -> Call:
    return call(TRANSFER, {"account": "CH1", "amount": 1, **arguments})


# --- what is asked -------------------------------------------------------------------------------


def test_of_a_listed_account_no_rule_about_another_is_asked() -> None:
    found = way(usual())
    assert found.keys == ("account",)
    assert found.texts == {("CH1",), ("CH2",)}
    assert [condition for _, condition in found.asked] == [SMALL]
    assert len(found.apart) == 1
    assert found.takes(paying().arguments)
    assert isinstance(both(paying(note="x"), usual()), Allow)


def test_a_call_that_goes_this_way_is_told_the_same_verdict_without_another_object() -> None:
    rules = usual()
    assert both(paying(), rules) is both(paying(note="x"), rules)


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"account": "CH3"}, Deny),
        ({"account": "XX1"}, Deny),
        ({"account": "xx1"}, Deny),
        ({"account": ["CH1"]}, Deny),
        ({"account": {"CH1": 1}}, Deny),
        ({"account": None}, Deny),
        ({"account": "CH1 "}, Deny),
        ({"Account": "XX1"}, Deny),
        ({"Note": "x"}, Deny),
        ({"note": "x", "Note": "y"}, Deny),
        ({"more": 1}, Deny),
        ({"amount": 10}, Deny),
        ({"amount": "1"}, Allow),
        ({"amount": True}, Deny),
        ({"amount": 5}, Hold),
        ({"amount": "5"}, Hold),
        ({"note": None}, Allow),
    ],
    ids=str,
)
def test_what_is_not_plain_is_judged_step_by_step(
    arguments: dict[str, Json], kind: type[Verdict]
) -> None:
    assert type(both(paying(**arguments), usual())) is kind
    assert type(both(paying(**arguments), usual(), usual(), usual())) is kind


def test_what_children_repeat_is_asked_once() -> None:
    chain = (usual(), usual(), usual())
    found = way(*chain)
    assert [condition for _, condition in found.asked] == [SMALL]
    assert len(found.apart) == 1
    assert both(paying(), *chain).rules == ("allow", "allow", "allow")


def test_a_list_that_a_child_narrows_is_what_both_allow() -> None:
    child = mandate(allow(TRANSFER, OneOf(at("account"), ("CH2", "CH3")), SMALL, id_="child"))
    assert way(usual(), child).texts == {("CH2",)}
    assert isinstance(both(paying(account="CH2"), usual(), child), Allow)
    assert isinstance(both(paying(account="CH1"), usual(), child), Deny)
    nothing = mandate(allow(TRANSFER, OneOf(at("account"), ("CH3",)), SMALL))
    assert line(usual(), nothing).way is None
    assert isinstance(both(paying(), usual(), nothing), Deny)


def test_a_rule_is_not_ruled_out_by_a_text_that_may_be_taken_for_its_own() -> None:
    for account in ("CH1", "ch1", " CH1", "\uff23\uff281"):
        rules = mandate(
            allow(TRANSFER, ACCOUNT, SMALL), deny("*/*", Equals(at("account"), account))
        )
        assert isinstance(both(paying(), rules), Deny)
        assert isinstance(both(paying(account="CH2"), rules), Allow)


def test_a_rule_of_two_conditions_applies_unless_one_of_them_fails() -> None:
    rules = mandate(
        allow(TRANSFER, ACCOUNT, SMALL, NOTE),
        deny(TRANSFER, LARGE, Matches(at("note"), (Glob("x*"),))),
    )
    assert way(rules).takes(paying(note="y", amount=7).arguments)
    assert isinstance(both(paying(note="y", amount=7), rules), Allow)
    assert isinstance(both(paying(note="x", amount=1), rules), Allow)
    assert isinstance(both(paying(note="x", amount=7), rules), Deny)
    assert isinstance(both(paying(amount=7), rules), Deny)


def test_many_texts_are_asked_one_by_one() -> None:
    wide = OneOf(at("account"), tuple(f"CH{number}" for number in range(MAX_TEXTS + 1)))
    rules = mandate(allow(TRANSFER, wide, SMALL), deny(TRANSFER, ELSEWHERE))
    found = way(rules)
    assert found.keys == ()
    assert isinstance(both(paying(), rules), Allow)
    assert isinstance(both(paying(account="XX1"), rules), Deny)


def test_an_argument_that_may_be_missing_is_none_whose_text_is_looked_up() -> None:
    rules = mandate(allow(TRANSFER, dataclasses.replace(ACCOUNT, optional=True), SMALL))
    assert way(rules).keys == ()
    assert isinstance(both(call(TRANSFER, {"amount": 1}), rules), Allow)
    assert isinstance(both(call(TRANSFER, {"amount": 1, "Account": "CH1"}), rules), Deny)


def test_where_other_arguments_may_be_given_look_alikes_are_refused_all_the_same() -> None:
    rules = mandate(allow(TRANSFER, ACCOUNT, SMALL, NOTE, other=True))
    assert isinstance(both(paying(more=1), rules), Allow)
    assert isinstance(both(paying(more=1, More=2), rules), Deny)
    assert isinstance(both(paying(Note="x"), rules), Deny)
    assert isinstance(both(paying(more=1), rules, usual()), Deny)
    assert isinstance(both(paying(Note="x"), rules, usual()), Deny)


def test_names_that_may_be_taken_for_one_leave_no_plain_way() -> None:
    other = mandate(allow(TRANSFER, ACCOUNT, SMALL, Anything(at("Note"))))
    assert line(usual(), other).way is None
    assert isinstance(both(paying(), usual(), other), Allow)
    assert isinstance(both(paying(note="x"), usual(), other), Deny)


def test_what_is_named_within_an_argument_is_named() -> None:
    rules = mandate(allow(TRANSFER, ACCOUNT, SMALL, Equals(at("payee.iban"), "X")))
    assert way(rules).takes({"account": "CH1", "amount": 1, "payee": {"iban": "X"}})
    assert isinstance(both(paying(payee={"iban": "X"}), rules), Allow)
    assert isinstance(both(paying(payee={"iban": "X", "name": "y"}), rules), Deny)


# --- where there is none -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        {"state": MandateState.SUSPENDED},
        {"circumstances": (RunLabelled(frozenset({"month-end"})),)},
        {"flow": Flow(accepts=(Accepts("a", (pattern("bank/*"),), untrusted=False),))},
        {"allow": ()},
        {"allow": (AllowRule("v", (pattern(TRANSFER),), (SMALL,), vouched=(at("amount"),)),)},
        {"deny": (deny("bank/*"),)},
        {"stamp": (stamp("bank/*"),)},
    ],
    ids=lambda more: next(iter(more)),
)
def test_there_is_none_where_more_than_arguments_is_asked_about(more: dict[str, Any]) -> None:
    other = dataclasses.replace(usual(), **more)
    for chain in ((other,), (usual(), other), (other, usual())):
        assert line(*chain).way is None
        assert line(*chain).allowed is None
        both(paying(), *chain)


def test_it_is_open_while_all_mandates_are_in_force() -> None:
    chain = (
        dataclasses.replace(usual(), not_before=NOW, not_after=NOW + 9),
        dataclasses.replace(usual(), not_before=NOW + 2, not_after=NOW + 5),
    )
    assert (way(*chain).since, way(*chain).until) == (NOW + 2, NOW + 5)
    found = [type(both(paying(), *chain, now=NOW + later)) for later in (-1, 1, 2, 4, 5, 9)]
    assert found == [Deny, Deny, Allow, Allow, Deny, Deny]


def test_what_it_takes_of_limits_is_reckoned_for_each_call() -> None:
    bounded = dataclasses.replace(usual(), limits=(limit("calls", TRANSFER),))
    some = both(paying(), bounded, used=8)
    assert isinstance(some, Allow)
    assert (some.rules, some.used) == (("allow",), (8,))
    assert isinstance(both(paying(), bounded, used=9), Deny)


def test_one_way_serves_all_targets_of_the_same_rules() -> None:
    chain = (mandate(allow("bank/*", ACCOUNT), allow("mail/*", SMALL)),)
    targets = [f"bank/{number}" for number in range(20)] + ["mail/x"]
    ways = [line_of(chain, call(target, {}).target).way for target in targets]
    assert len({id(each) for each in ways}) == len(chain[0].lines[0].ways) == 2
    sentences = {judge_of(target, chain).because for target in targets[:20]}
    assert len(sentences) == 20


def test_ways_are_bounded_where_long_names_fit_ever_other_rules() -> None:
    letters = "abcdefghi"
    rules = [allow(f"bank/*{letter}*", SMALL, id_=letter) for letter in letters]
    child = dataclasses.replace(mandate(*rules), parent="pay")
    for number in range(2 ** len(letters)):
        name = "".join(letter for at, letter in enumerate(letters) if number >> at & 1)
        line_of((child,), call(f"bank/{name:->600}", {}).target)
    assert not child.lines[0].known
    assert 0 < len(child.lines[0].ways) <= MAX_PLANS_OF_CHILD < 2 ** len(letters)


def judge_of(target: str, chain: tuple[Mandate, ...]) -> Verdict:
    asked = call(target, {"account": "CH1"})
    return judge(asked, chain, NO_POLICIES, NO_COUNTERS, NO_LABELS, NO_STEP, NOW)


# --- all of it -----------------------------------------------------------------------------------

# Two that some readers take for `x` among them.
names = st.sampled_from(["x", "y", "z", "Z", "\uff58", "x\u200b"])
words = st.sampled_from(["a", "b", "A", "c"])
questions: st.SearchStrategy[Condition] = st.one_of(
    st.builds(
        lambda name, texts, lax: OneOf(at(name), tuple(texts), optional=lax),
        names,
        st.lists(words | st.integers(0, 2), min_size=1, max_size=3),
        st.booleans(),
    ),
    st.builds(
        lambda name, text, lax: Equals(at(name), text, optional=lax), names, words, st.booleans()
    ),
    st.builds(lambda name, lax: Anything(at(name), optional=lax), names, st.booleans()),
    st.builds(lambda name, most: AtMost(at(name), most), names, st.integers(0, 2)),
    st.builds(lambda name, least: AtLeast(at(name), least), names, st.integers(0, 2)),
)
some = st.lists(questions, max_size=3).map(tuple)
targets = st.just((pattern("bank/*"),))
mandates = st.builds(
    lambda *rules: dataclasses.replace(mandate(*rules[0], *rules[1]), limits=tuple(rules[2])),
    st.lists(st.builds(AllowRule, names, targets, some, st.booleans()), min_size=1, max_size=2),
    st.lists(
        st.builds(DenyRule, names, targets, some) | st.builds(StampRule, names, targets, some),
        max_size=2,
    ),
    st.lists(limits, max_size=1),
)
arguments = st.dictionaries(
    names, words | st.integers(0, 2) | st.none() | st.lists(words, max_size=1), max_size=4
)


@settings(max_examples=400)
@given(st.lists(mandates, min_size=1, max_size=3), st.lists(arguments, min_size=1, max_size=4))
def test_every_verdict_is_the_plain_one(chain: list[Mandate], asked: list[dict[str, Json]]) -> None:
    for each in asked:
        found = both(call(TRANSFER, each), *chain)
        plain = line_of(chain, call(TRANSFER, each).target).way
        if plain is not None and plain.takes(each):
            full = isinstance(found, Deny) and any(mandate.limits for mandate in chain)
            assert full or (isinstance(found, Allow) and found.rules == plain.rules)
