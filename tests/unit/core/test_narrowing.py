"""Which children are narrower, and what is said of those that are not."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.call import CallKind
from bailiwick.core.canonical import Json
from bailiwick.core.circumstances import StartedByPerson
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
from bailiwick.core.delegation import Delegation
from bailiwick.core.hours import InHours, Span
from bailiwick.core.mandate import AllowRule, DenyRule, Mandate, StampRule
from bailiwick.core.narrowing import Wider, narrower
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import CANNOT_TELL, HOLDS, Truth
from bailiwick.core.verdict import Allow, Deny
from tests.unit.core.mandates import NOW, allow, at, call, deny, mandate, pattern, stamp, verdict

AMOUNT, PAYEE, IBAN = at("amount"), at("payee"), at("payee.iban")
ITEMS = at("items[].amount")


def wider(child: Mandate, parent: Mandate) -> Wider:
    found = narrower(child, parent, NOW)
    assert found is not None
    return found


def rules(child: AllowRule, parent: AllowRule) -> Wider | None:
    return narrower(mandate(child), mandate(parent), NOW)


def when(*conditions: Condition, other: bool = False) -> AllowRule:
    return allow("bank/pay", *conditions, other=other)


def test_a_child_that_goes_further_is_shown_the_call_that_goes_too_far() -> None:
    parent = mandate(allow("bank/transfer", AtMost(AMOUNT, 5000)))
    child = mandate(allow("bank/transfer", AtMost(AMOUNT, 8000)), name="pay:reader")
    found = wider(child, parent)
    assert found.because == (
        'it would allow `bank/transfer` with `{"amount": 5001}`, and under `pay@1` '
        "`bank/transfer` is refused: `amount` is 5001, allowed is at most 5000"
    )
    assert found.example is not None
    asked = call("bank/transfer", found.example.arguments)
    assert isinstance(verdict(asked, child), Allow)
    assert isinstance(verdict(asked, parent), Deny)


NARROWER: dict[str, tuple[AllowRule, AllowRule]] = {
    "a smaller amount": (when(AtMost(AMOUNT, 10)), when(AtMost(AMOUNT, 20))),
    "a larger least": (when(AtLeast(AMOUNT, 5)), when(AtLeast(AMOUNT, 1))),
    "one more condition": (
        when(AtMost(AMOUNT, 10), AtLeast(AMOUNT, 1)),
        when(AtMost(AMOUNT, 10)),
    ),
    "fewer values": (when(OneOf(PAYEE, ("a",))), when(OneOf(PAYEE, ("a", "b")))),
    "one value of several": (when(Equals(PAYEE, "a")), when(OneOf(PAYEE, ("a", "b")))),
    "values that fit a glob": (when(OneOf(PAYEE, ("CH1",))), when(Matches(PAYEE, (Glob("CH*"),)))),
    "values within a bound": (when(OneOf(AMOUNT, (1, 2))), when(AtMost(AMOUNT, 2))),
    "a longer glob": (
        when(Matches(PAYEE, (Glob("CH93*"),))),
        when(Matches(PAYEE, (Glob("DE*"), Glob("CH*")))),
    ),
    "a folder below": (when(Under(PAYEE, ("/w/a",))), when(Under(PAYEE, ("/w",)))),
    "required where it was optional": (
        when(AtMost(AMOUNT, 10)),
        when(AtMost(AMOUNT, 10, optional=True)),
    ),
    "nothing where it was optional": (when(), when(AtMost(AMOUNT, 10, optional=True))),
    "nothing where anything went": (when(), when(Anything(AMOUNT))),
    "something where anything went": (when(AtMost(AMOUNT, 10)), when(Anything(AMOUNT))),
    "part of where anything went": (when(OneOf(IBAN, ("x",))), when(Anything(PAYEE))),
    "not given at all": (when(Present(AMOUNT, False)), when(Present(AMOUNT, False))),
    "given, being asked for": (when(AtMost(AMOUNT, 10)), when(Present(AMOUNT), AtMost(AMOUNT, 20))),
    "no other arguments": (when(AtMost(AMOUNT, 1)), when(AtMost(AMOUNT, 1), other=True)),
    "every item smaller": (when(AtMost(ITEMS, 1)), when(AtMost(ITEMS, 2))),
    "an object whose part will do": (
        when(Equals(PAYEE, {"iban": "CH1"})),
        when(Matches(IBAN, (Glob("CH*"),))),
    ),
    "one tool of a glob": (allow("bank/pay"), allow("bank/*")),
    "a glob in a glob": (allow("bank/pay_a*"), allow("b*/pay*")),
}


@pytest.mark.parametrize("name", NARROWER)
def test_what_is_narrower_is_found_to_be(name: str) -> None:
    child, parent = NARROWER[name]
    assert rules(child, parent) is None


WIDER: dict[str, tuple[AllowRule, AllowRule]] = {
    "a larger amount": (when(AtMost(AMOUNT, 21)), when(AtMost(AMOUNT, 20))),
    "half a step more": (when(AtMost(AMOUNT, 21)), when(AtMost(AMOUNT, 20), other=True)),
    "no amount asked": (when(Anything(AMOUNT)), when(AtMost(AMOUNT, 20))),
    "optional where it was required": (
        when(AtMost(AMOUNT, 10, optional=True)),
        when(AtMost(AMOUNT, 10)),
    ),
    "nothing given where something was required": (when(), when(AtMost(AMOUNT, 10))),
    "a condition less": (when(AtMost(AMOUNT, 10)), when(AtMost(AMOUNT, 10), OneOf(PAYEE, ("a",)))),
    "a value more": (when(OneOf(PAYEE, ("a", "c"))), when(OneOf(PAYEE, ("a", "b")))),
    "a value in another case": (when(OneOf(PAYEE, ("A",))), when(OneOf(PAYEE, ("a",)))),
    "true where it was one": (when(OneOf(AMOUNT, (True,))), when(OneOf(AMOUNT, (1,)))),
    "one where it was true": (when(Equals(AMOUNT, 1)), when(Equals(AMOUNT, True))),
    "a shorter glob": (when(Matches(PAYEE, (Glob("C*"),))), when(Matches(PAYEE, (Glob("CH*"),)))),
    "a folder above": (when(Under(PAYEE, ("/w",))), when(Under(PAYEE, ("/w/a",)))),
    "a folder that only starts alike": (
        when(Under(PAYEE, ("/work2",))),
        when(Under(PAYEE, ("/work",))),
    ),
    "an argument more": (when(AtMost(AMOUNT, 1), Anything(at("memo"))), when(AtMost(AMOUNT, 1))),
    "any other argument": (when(AtMost(AMOUNT, 1), other=True), when(AtMost(AMOUNT, 1))),
    "another part of an object": (when(Anything(at("payee.bic"))), when(Anything(IBAN))),
    "the whole of an object": (when(Anything(PAYEE)), when(Anything(IBAN))),
    "a name in another case": (
        when(Anything(at("Amount"))),
        when(AtMost(AMOUNT, 10, optional=True), other=True),
    ),
    "null where it was refused": (
        when(OneOf(AMOUNT, (1, None))),
        when(AtMost(AMOUNT, 10)),
    ),
    "every tool": (allow("bank/*"), allow("bank/transfer")),
    "a tool in another case": (allow("bank/Transfer"), allow("bank/transfer")),
    "another server": (allow("*/pay"), allow("bank/pay")),
}


@pytest.mark.parametrize("name", WIDER)
def test_what_is_wider_is_shown_by_a_call(name: str) -> None:
    child, parent = WIDER[name]
    found = rules(child, parent)
    assert found is not None
    assert found.example is not None, found.because


def test_a_resource_that_reads_as_another_is_not_within_a_folder_of_resources() -> None:
    def resource(text: str) -> AllowRule:
        return AllowRule("allow", (pattern(text, CallKind.RESOURCE),), ())

    inside, out = "files/file:///w/a", "files/file:///w/../etc"
    assert rules(resource(inside), resource("files/file:///w/*")) is None
    found = rules(resource(out), resource("files/file:///w/*"))
    assert found is not None
    assert found.example is not None
    assert rules(resource(out), resource(out)) is None


def test_rules_of_the_parent_do_not_lend_each_other_room() -> None:
    parent = mandate(
        allow("bank/pay", OneOf(PAYEE, ("a",)), AtMost(AMOUNT, 10)),
        allow("bank/pay", OneOf(PAYEE, ("b",)), AtMost(AMOUNT, 99)),
    )
    one = mandate(allow("bank/pay", OneOf(PAYEE, ("a",)), AtMost(AMOUNT, 50)))
    both = mandate(allow("bank/pay", OneOf(PAYEE, ("a", "b")), AtMost(AMOUNT, 10)))
    assert wider(one, parent).example is not None
    told = wider(both, parent)  # true, and more than this follows
    assert told.example is None
    assert told.because.startswith("it cannot be shown that")


class TestTime:
    parent = mandate(allow("a/b"), not_before=NOW - 10, not_after=NOW + 10)

    def test_a_child_within_its_parents_time_is_narrower(self) -> None:
        child = mandate(allow("a/b"), not_before=NOW - 10, not_after=NOW + 10)
        assert narrower(child, self.parent, NOW) is None

    def test_a_child_that_outlasts_its_parent_is_wider(self) -> None:
        child = mandate(allow("a/b"), not_before=NOW, not_after=NOW + 11)
        example = wider(child, self.parent).example
        assert example is not None
        assert example.at == NOW + 10

    def test_a_child_without_an_end_is_wider(self) -> None:
        example = wider(mandate(allow("a/b"), not_before=NOW), self.parent).example
        assert example is not None
        assert "has expired" in example.because

    def test_a_child_that_begins_before_is_wider(self) -> None:
        child = mandate(allow("a/b"), not_before=NOW - 11, not_after=NOW)
        example = wider(child, self.parent).example
        assert example is not None
        assert "not in force yet" in example.because


class TestCircumstances:
    person = (StartedByPerson(),)

    def test_those_of_the_whole_parent_must_be_asked_for_by_the_whole_child(self) -> None:
        parent = dataclasses.replace(mandate(allow("a/b")), circumstances=self.person)
        same = dataclasses.replace(mandate(allow("a/b")), circumstances=self.person)
        assert narrower(same, parent, NOW) is None
        found = wider(mandate(allow("a/b")), parent)
        assert found.example is not None
        assert "in a run that a person started" in found.because

    def test_those_of_a_rule_may_be_asked_for_by_the_rule_or_the_whole_child(self) -> None:
        rule = dataclasses.replace(allow("a/b"), circumstances=self.person)
        assert narrower(mandate(rule), mandate(rule), NOW) is None
        whole = dataclasses.replace(mandate(allow("a/b")), circumstances=self.person)
        assert narrower(whole, mandate(rule), NOW) is None
        assert wider(mandate(allow("a/b")), mandate(rule)).example is not None

    def test_hours_that_go_further_are_shown_by_a_call_at_another_time(self) -> None:
        def at_work(start: int, end: int) -> Mandate:
            hours = InHours((Span("Europe/Zurich", frozenset(range(5)), start, end),))
            return dataclasses.replace(mandate(allow("a/b")), circumstances=(hours,))

        assert narrower(at_work(540, 600), at_work(480, 1080), NOW) is None
        found = wider(at_work(480, 1081), at_work(480, 1080))
        assert found.because.startswith(("it would allow", "it cannot be shown"))
        example = wider(at_work(480, 1140), at_work(480, 1080)).example
        assert example is not None
        assert "not in these" not in example.because
        assert example.at > NOW

    def test_a_denial_in_other_circumstances_is_not_the_same(self) -> None:
        no = dataclasses.replace(deny("a/b"), circumstances=self.person)
        yes = allow("a/b")
        assert narrower(mandate(yes, no), mandate(yes, no), NOW) is None
        assert narrower(mandate(yes, deny("a/b")), mandate(yes, no), NOW) is None
        assert wider(mandate(yes, no), mandate(yes, deny("a/b"))).because


class TestDenyAndStamp:
    def test_a_denial_of_the_parent_must_stand_in_the_child(self) -> None:
        no = deny("bank/pay", OneOf(PAYEE, ("mallory",), optional=True))
        yes = allow("bank/pay", Anything(PAYEE))
        assert wider(mandate(yes), mandate(yes, no)).example is not None
        assert narrower(mandate(yes, no), mandate(yes, no), NOW) is None

    def test_a_denial_of_what_the_child_does_not_allow_need_not(self) -> None:
        parent = mandate(allow("bank/*"), deny("bank/burn"))
        assert narrower(mandate(allow("bank/pay")), parent, NOW) is None
        assert wider(mandate(allow("bank/bur*")), parent).example is not None
        assert wider(mandate(allow("bank/Burn")), parent).example is not None

    def test_a_denial_with_another_condition_is_not_the_same(self) -> None:
        yes = allow("bank/pay", Anything(AMOUNT))
        parent = mandate(yes, deny("bank/pay", AtLeast(AMOUNT, 100)))
        child = mandate(yes, deny("bank/pay", AtLeast(AMOUNT, 200)))
        found = wider(child, parent)
        assert found.example is not None
        assert found.example.arguments == {"amount": 101}

    @pytest.mark.parametrize(
        "own",
        [
            stamp("bank/pay", role="clerk"),
            stamp("bank/pay", role="boss", count=1),
            stamp("bank/pay", role="boss", count=2, excluded=("ben",)),
            stamp("bank/pay", AtLeast(AMOUNT, 10), role="boss", count=2, excluded=("ada",)),
            stamp("bank/get", role="boss", count=2, excluded=("ada",)),
            stamp("bank/pay", role="boss", count=2, excluded=("ada",), expires=120),
        ],
        ids=[
            "another role",
            "fewer people",
            "others excluded",
            "from 10 on",
            "elsewhere",
            "longer",
        ],
    )
    def test_a_stamp_of_the_parent_must_stand_in_the_child(self, own: StampRule) -> None:
        yes = allow("bank/pay", Anything(AMOUNT))
        asked = stamp("bank/pay", role="boss", count=2, excluded=("ada",), expires=60)
        assert wider(mandate(yes, own), mandate(yes, asked)).example is not None
        assert wider(mandate(yes), mandate(yes, asked)).example is not None

    def test_a_stamp_that_asks_for_more_will_do(self) -> None:
        yes = allow("bank/pay")
        more = stamp("bank/pay", role="boss", count=3, excluded=("ada", "ben"), expires=10)
        assert narrower(mandate(yes, more), mandate(yes, stamp("bank/pay", count=2)), NOW) is None


class TestPassingOn:
    parent = dataclasses.replace(
        mandate(allow("a/b")), delegation=Delegation((Glob("helper-*"),), depth=2, children=3)
    )

    def child(self, leave: Delegation | None) -> Mandate:
        return dataclasses.replace(mandate(allow("a/b")), delegation=leave)

    def test_no_leave_and_less_leave_are_narrower(self) -> None:
        assert narrower(self.child(None), self.parent, NOW) is None
        less = Delegation((Glob("helper-a*"),), depth=1, children=3)
        assert narrower(self.child(less), self.parent, NOW) is None

    @pytest.mark.parametrize(
        "leave",
        [
            Delegation((Glob("helper-*"),), depth=2, children=3),
            Delegation((Glob("*"),), depth=1, children=3),
            Delegation((Glob("helper-*"),), depth=1, children=4),
        ],
        ids=["as deep", "to anybody", "to more"],
    )
    def test_as_much_leave_is_not(self, leave: Delegation) -> None:
        assert wider(self.child(leave), self.parent).because.startswith("it would ")

    def test_leave_cannot_come_from_nowhere(self) -> None:
        bare = mandate(allow("a/b"))
        assert (
            "below that of `pay@1`, 0" in wider(self.child(Delegation((Glob("x"),))), bare).because
        )


def test_values_are_vouched_for_in_the_child_as_in_the_rule_of_the_parent_that_it_relies_on() -> (
    None
):
    asking = dataclasses.replace(when(Anything(PAYEE)), vouched=(PAYEE,))
    free = when(Anything(PAYEE))
    assert rules(asking, asking) is None
    assert rules(asking, free) is None
    assert rules(free, asking) is not None
    # Of several rules of the parent, one that leaves nothing to vouch for is enough.
    assert narrower(mandate(free), mandate(asking, free), NOW) is None
    assert narrower(mandate(free), mandate(free, asking), NOW) is None


def test_repeating_a_rule_that_asks_for_vouching_does_not_buy_one_that_does_not() -> None:
    asking = dataclasses.replace(when(Anything(PAYEE)), vouched=(PAYEE,))
    free = when(Anything(PAYEE))
    assert narrower(mandate(asking, free), mandate(asking), NOW) is not None


@dataclass(frozen=True, slots=True)
class Mood(Condition):
    """A kind that the check knows nothing about."""

    of_mind: str
    path: ArgumentPath = PAYEE
    optional: bool = False

    def of(self, value: Json) -> Truth:
        return HOLDS if value == self.of_mind else CANNOT_TELL

    @property
    def phrase(self) -> str:
        return "in a mood"


def test_a_kind_that_is_not_known_implies_only_itself() -> None:
    assert rules(when(Mood("good")), when(Mood("good"))) is None
    assert (
        rules(when(Mood("good"), AtMost(AMOUNT, 1)), when(Mood("good"), Anything(AMOUNT))) is None
    )
    found = rules(when(Mood("bad")), when(Mood("good")))
    assert found is not None
    assert found.example is None
    assert "in a mood" in found.because


def test_a_mandate_is_narrower_than_itself_whatever_its_limits_and_state() -> None:
    whole = mandate(
        allow("bank/pay", AtMost(AMOUNT, 10), Anything(PAYEE)),
        deny("bank/pay", OneOf(PAYEE, ("x",))),
        stamp("bank/*", role="boss"),
    )
    assert narrower(whole, whole, NOW) is None


def test_rules_without_a_common_target_are_not_compared() -> None:
    no: DenyRule = deny("mail/*")
    found = wider(mandate(allow("bank/pay")), mandate(allow("mail/send"), no))
    assert found.example is not None
    assert "`bank/pay` is not in the mandate" in found.because
