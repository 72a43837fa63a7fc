"""Judging: default deny, deny wins, stamps are never lost, doubt means no."""

from __future__ import annotations

import statistics
import time
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import Json
from bailiwick.core.conditions import (
    AtLeast,
    AtMost,
    Condition,
    Equals,
    Matches,
    OneOf,
)
from bailiwick.core.explaining.rules import explain
from bailiwick.core.judge import merge, visible
from bailiwick.core.mandate import (
    MAX_PLANS,
    AllowRule,
    DenyRule,
    Mandate,
    MandateState,
    StampRule,
)
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import Truth
from bailiwick.core.verdict import Allow, Deny, Hold, Requirement, Verdict
from tests.unit.core.mandates import (
    NOW,
    allow,
    at,
    call,
    deny,
    mandate,
    pattern,
    stamp,
    verdict,
)

AMOUNT = at("amount")
SMALL = AtMost(AMOUNT, 5000)
LARGE = AtLeast(AMOUNT, 1000)
TRANSFER = "bank/transfer"


def code(found: Verdict) -> str:
    assert isinstance(found, Deny)
    return found.code


# --- allow ---------------------------------------------------------------------------------------


def test_a_call_that_an_allow_rule_covers_is_allowed_by_name() -> None:
    found = verdict(
        call(TRANSFER, {"amount": 1}), mandate(allow(TRANSFER, SMALL, id_="pay@1/allow/1"))
    )
    assert found == Allow(("pay@1/allow/1",), "`bank/transfer` is allowed by `pay@1/allow/1`")


@given(st.dictionaries(st.text(min_size=1), st.text() | st.booleans(), max_size=3))
def test_the_sentence_of_an_allowed_call_says_nothing_of_its_arguments(
    arguments: dict[str, Json],
) -> None:
    # Stores keep it in clear (stores/sealed_rows.py).
    found = verdict(call(TRANSFER, arguments), mandate(allow(TRANSFER, other=True, id_="a")))
    if isinstance(found, Allow):
        assert found.because == "`bank/transfer` is allowed by `a`"
    else:
        assert code(found) == "argument_ambiguous"


def test_what_no_rule_names_is_denied_and_the_denial_says_what_is_allowed() -> None:
    rules = mandate(allow(TRANSFER, SMALL), allow("bank/list_*"))
    found = verdict(call("bank/delete", {}), rules)
    assert found == Deny(
        "not_in_mandate",
        (),
        "`bank/delete` is not in the mandate `pay@1`",
        "What is allowed: `bank/transfer` or `bank/list_*`",
    )


def test_an_argument_outside_its_bounds_is_refused_in_words_a_model_can_act_on() -> None:
    rules = mandate(allow(TRANSFER, SMALL, OneOf(at("currency"), ("CHF",))))
    found = verdict(call(TRANSFER, {"amount": 9000, "currency": "CHF"}), rules)
    assert found == Deny(
        "argument_refused",
        ("allow",),
        "`bank/transfer` is refused: `amount` is 9000, allowed is at most 5000",
        "What is allowed: `bank/transfer` with `amount` at most 5000 and `currency` one of `CHF`, "
        "and no other arguments",
    )


def test_an_argument_that_nobody_named_is_refused_by_name() -> None:
    found = verdict(call(TRANSFER, {"amount": 1, "memo": "x"}), mandate(allow(TRANSFER, SMALL)))
    assert isinstance(found, Deny)
    assert found.code == "unknown_argument"
    assert found.because == "`bank/transfer` may not be given `memo`: the mandate names `amount`"


def test_other_arguments_pass_where_the_rule_says_so() -> None:
    rules = mandate(allow(TRANSFER, SMALL, other=True))
    assert isinstance(verdict(call(TRANSFER, {"amount": 1, "memo": "x"}), rules), Allow)


def test_one_allow_rule_must_hold_as_a_whole() -> None:
    # Two rules never lend each other their conditions.
    rules = mandate(
        allow(TRANSFER, SMALL, Equals(at("to"), "a")),
        allow(TRANSFER, AtMost(AMOUNT, 9000), Equals(at("to"), "b")),
    )
    assert isinstance(verdict(call(TRANSFER, {"amount": 9000, "to": "b"}), rules), Allow)
    assert code(verdict(call(TRANSFER, {"amount": 9000, "to": "a"}), rules)) == "argument_refused"


def test_kinds_do_not_lend_each_other_their_rules() -> None:
    rules = mandate(allow("files/*"))
    assert isinstance(verdict(call("files/x", {}, CallKind.TOOL), rules), Allow)
    for kind in set(CallKind) - {CallKind.TOOL}:
        assert code(verdict(call("files/x", {}, kind), rules)) == "not_in_mandate"


# --- resources -----------------------------------------------------------------------------------


def resource(uri: str) -> Call:
    return Call.of("id", Target(CallKind.RESOURCE, "files", uri), {})


RESOURCES = mandate(AllowRule("work", (pattern("files/file:///work/*", CallKind.RESOURCE),), ()))


def test_a_resource_is_allowed_by_its_uri() -> None:
    assert isinstance(verdict(resource("file:///work/a.txt"), RESOURCES), Allow)
    assert code(verdict(resource("file:///etc/passwd"), RESOURCES)) == "not_in_mandate"


@pytest.mark.parametrize(
    "uri",
    ["file:///work/../etc/passwd", "file:///work/%2e%2e/etc/passwd", "file:///work/..%2fetc",
     "file:///work/..\\etc", "file:///work/a/../../etc", "file:///work/\u2025/etc"],
)  # fmt: skip
def test_a_resource_whose_uri_climbs_out_is_not_allowed_by_a_wildcard(uri: str) -> None:
    assert code(verdict(resource(uri), RESOURCES)) == "not_in_mandate"


@pytest.mark.parametrize(
    "uri", ["file:///etc/passwd", "file:///work/../etc/passwd", "FILE:///ETC/passwd"]
)
def test_a_deny_rule_for_resources_also_meets_uris_that_may_lead_there(uri: str) -> None:
    everything = (pattern("files/*", CallKind.RESOURCE), pattern(f"files/{uri}", CallKind.RESOURCE))
    rules = mandate(
        AllowRule("all", everything, ()),
        DenyRule("etc", (pattern("files/file:///etc/*", CallKind.RESOURCE),), ()),
    )
    assert code(verdict(resource(uri), rules)) == "denied_by_rule"


# --- deny ----------------------------------------------------------------------------------------


def test_deny_wins_over_every_allow_and_stamp() -> None:
    rules = mandate(
        allow(TRANSFER, other=True),
        stamp(TRANSFER),
        deny(TRANSFER, Equals(at("to"), "evil"), because="sanctions"),
    )
    found = verdict(call(TRANSFER, {"to": "evil"}), rules)
    assert isinstance(found, Deny)
    assert (found.code, found.rules) == ("denied_by_rule", ("deny",))
    assert "sanctions" in found.because


@pytest.mark.parametrize("to", ["EVIL", "evil ", "ｅvil", "e\u200bvil", ["evil"], None, 5])
def test_a_deny_rule_meets_what_may_be_taken_for_its_value(to: Json) -> None:
    rules = mandate(allow(TRANSFER, other=True), deny(TRANSFER, Equals(at("to"), "evil")))
    assert code(verdict(call(TRANSFER, {"to": to}), rules)) == "denied_by_rule"


def test_a_deny_rule_meets_a_name_in_other_letters() -> None:
    rules = mandate(allow("bank/*"), deny("bank/delete"))
    assert code(verdict(call("bank/DELETE", {}), rules)) == "denied_by_rule"


def test_a_missing_argument_does_not_escape_a_deny_rule_unless_it_is_optional() -> None:
    strict = mandate(allow(TRANSFER, other=True), deny(TRANSFER, LARGE))
    lax = mandate(allow(TRANSFER, other=True), deny(TRANSFER, AtLeast(AMOUNT, 1000, optional=True)))
    assert code(verdict(call(TRANSFER, {}), strict)) == "denied_by_rule"
    assert isinstance(verdict(call(TRANSFER, {}), lax), Allow)


@pytest.mark.parametrize("twin", ["Amount", "AMOUNT", "amount ", "amo\u200bunt", "ａmount"])
def test_two_arguments_that_may_be_taken_for_one_are_refused(twin: str) -> None:
    # A server that reads names without regard to case may take either.
    rules = mandate(allow(TRANSFER, SMALL, other=True), stamp(TRANSFER, LARGE))
    for arguments in ({"amount": 1, twin: 9000}, {twin: 9000, "amount": 1}):
        assert code(verdict(call(TRANSFER, arguments), rules)) == "argument_ambiguous"


def test_a_nested_look_alike_neither_opens_an_allow_rule_nor_escapes_a_deny_rule() -> None:
    iban = at("payee.iban")
    twins = {"payee": {"iban": "CH1", "IBAN": "RU1"}}
    narrow = mandate(allow(TRANSFER, Equals(iban, "CH1"), other=True))
    assert code(verdict(call(TRANSFER, twins), narrow)) == "argument_refused"
    wide = mandate(allow(TRANSFER, other=True), deny(TRANSFER, Equals(iban, "RU1")))
    assert code(verdict(call(TRANSFER, twins), wide)) == "denied_by_rule"


# --- stamps --------------------------------------------------------------------------------------


def test_a_stamp_rule_holds_what_an_allow_rule_lets_through() -> None:
    rules = mandate(
        allow(TRANSFER, SMALL),
        stamp(TRANSFER, LARGE, role="treasurer", excluded=("ada",), count=2, expires=3600),
    )
    assert isinstance(verdict(call(TRANSFER, {"amount": 999}), rules), Allow)
    found = verdict(call(TRANSFER, {"amount": 1000}), rules)
    assert found == Hold(
        Requirement("treasurer", frozenset({"ada"}), 2, 3600),
        ("stamp", "allow"),
        "`bank/transfer` needs the stamps of 2 people with the role `treasurer`: "
        "`amount` is 1000 and so at least 1000",
    )


@pytest.mark.parametrize("amount", ["1000000", "1e6", " 2000", None, [5000], True, "２０００"])
def test_an_amount_in_another_form_is_never_let_through_unheld(amount: Json) -> None:
    rules = mandate(allow(TRANSFER, other=True), stamp(TRANSFER, LARGE))
    assert isinstance(verdict(call(TRANSFER, {"amount": amount}), rules), Hold)


def test_a_stamp_rule_meets_a_name_in_other_letters_and_a_uri_that_may_lead_to_it() -> None:
    tools = mandate(allow("bank/*"), stamp("bank/pay"))
    assert isinstance(verdict(call("bank/PAY", {}), tools), Hold)
    uri = "file:///work/../secret/a"
    files = mandate(
        AllowRule("exact", (pattern(f"files/{uri}", CallKind.RESOURCE),), ()),
        StampRule("secret", (pattern("files/file:///secret/*", CallKind.RESOURCE),), ()),
    )
    assert isinstance(verdict(resource(uri), files), Hold)


def test_a_missing_amount_is_held_where_the_upstream_may_have_a_default() -> None:
    rules = mandate(allow(TRANSFER, other=True), stamp(TRANSFER, LARGE))
    assert isinstance(verdict(call(TRANSFER, {}), rules), Hold)


def test_a_stamp_does_not_allow_what_no_rule_allows() -> None:
    assert code(verdict(call(TRANSFER, {}), mandate(stamp(TRANSFER)))) == "not_in_mandate"


def test_several_stamp_rules_merge_into_one_requirement_that_meets_each() -> None:
    rules = mandate(
        allow(TRANSFER, SMALL),
        stamp(TRANSFER, LARGE, role="treasurer", excluded=("ada",), expires=3600, id_="a"),
        stamp(TRANSFER, excluded=("grace",), count=2, expires=60, id_="b"),
    )
    found = verdict(call(TRANSFER, {"amount": 2000}), rules)
    assert isinstance(found, Hold)
    assert found.requirement == Requirement("treasurer", frozenset({"ada", "grace"}), 2, 60)
    assert found.rules == ("a", "b", "allow")


def test_stamp_rules_of_different_roles_deny_rather_than_forget_one() -> None:
    rules = mandate(
        allow(TRANSFER, SMALL), stamp(TRANSFER, role="a"), stamp(TRANSFER, role="b", id_="other")
    )
    found = verdict(call(TRANSFER, {"amount": 1}), rules)
    assert isinstance(found, Deny)
    assert (found.code, found.rules) == ("stamps_conflict", ("stamp", "other"))


stamp_rules = st.builds(
    stamp,
    st.just(TRANSFER),
    role=st.sampled_from([None, "a", "b"]),
    excluded=st.lists(st.sampled_from(["ada", "grace", "joan"]), max_size=2).map(tuple),
    count=st.integers(1, 3),
    expires=st.none() | st.integers(1, 9),
)


@given(st.lists(stamp_rules, min_size=1, max_size=4), st.data())
def test_whoever_satisfies_the_merged_requirement_satisfies_every_rule(
    rules: list[StampRule], data: st.DataObject
) -> None:
    merged = merge(rules)
    if merged is None:
        assert len({rule.role for rule in rules} - {None}) > 1
        return
    people = {"ada": {"a"}, "grace": {"a", "b"}, "joan": {"b"}, "kurt": {"a"}}
    able = [
        name
        for name, roles in people.items()
        if name not in merged.excluded and (merged.role is None or merged.role in roles)
    ]
    signing = data.draw(st.sets(st.sampled_from(able)) if able else st.just(set[str]()))
    if len(signing) >= merged.count:
        for rule in rules:
            good = {
                name
                for name in signing - rule.excluded
                if rule.role is None or rule.role in people[name]
            }
            assert len(good) >= rule.count
            wait = rule.expires_after_seconds
            assert wait is None or cast(int, merged.expires_after_seconds) <= wait


# --- life and chain ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (MandateState.DRAFT, "mandate_not_active"),
        (MandateState.SUSPENDED, "mandate_not_active"),
        (MandateState.REVOKED, "mandate_revoked"),
        (MandateState.EXPIRED, "mandate_expired"),
    ],
)
def test_only_an_active_mandate_lets_anything_through(state: MandateState, expected: str) -> None:
    rules = mandate(allow(TRANSFER, SMALL), state=state)
    assert code(verdict(call(TRANSFER, {"amount": 1}), rules)) == expected
    assert not visible([rules], call(TRANSFER, {}).target, NOW)


def test_validity_begins_included_and_ends_excluded() -> None:
    rules = mandate(allow(TRANSFER, SMALL), not_before=NOW, not_after=NOW + 10)
    asked = call(TRANSFER, {"amount": 1})
    assert code(verdict(asked, rules, now=NOW - 1)) == "mandate_not_active"
    assert isinstance(verdict(asked, rules, now=NOW), Allow)
    assert isinstance(verdict(asked, rules, now=NOW + 9), Allow)
    assert code(verdict(asked, rules, now=NOW + 10)) == "mandate_expired"


def test_every_mandate_of_the_chain_must_let_the_call_through() -> None:
    root = mandate(allow(TRANSFER, SMALL), name="root")
    leaf = mandate(allow("bank/*", AtMost(AMOUNT, 9000)), name="leaf")
    assert isinstance(verdict(call(TRANSFER, {"amount": 5000}), root, leaf), Allow)
    assert code(verdict(call(TRANSFER, {"amount": 5001}), root, leaf)) == "argument_refused"
    assert code(verdict(call("bank/other", {"amount": 1}), root, leaf)) == "not_in_mandate"
    revoked = mandate(allow(TRANSFER, SMALL), name="root", state=MandateState.REVOKED)
    assert code(verdict(call(TRANSFER, {"amount": 1}), revoked, leaf)) == "mandate_revoked"


def test_a_stamp_asked_for_by_any_mandate_of_the_chain_is_asked_for() -> None:
    root = mandate(allow(TRANSFER, SMALL), stamp(TRANSFER, LARGE, excluded=("ada",)))
    leaf = mandate(allow(TRANSFER, SMALL), stamp(TRANSFER, LARGE, count=2))
    found = verdict(call(TRANSFER, {"amount": 1000}), root, leaf)
    assert isinstance(found, Hold)
    assert found.requirement == Requirement(None, frozenset({"ada"}), 2)


def test_no_mandate_at_all_is_a_denial() -> None:
    assert code(verdict(call(TRANSFER, {}))) == "no_mandate"
    assert not visible([], call(TRANSFER, {}).target, NOW)


# --- doubt means no ------------------------------------------------------------------------------


class Broken(Condition):
    """A condition whose every use fails."""

    path = ("amount",)

    def of(self, value: Json) -> Truth:
        raise RuntimeError("secret detail")

    def of_missing(self) -> Truth:
        raise RuntimeError("secret detail")

    optional = False
    phrase = "broken"


@pytest.mark.parametrize("arguments", [{}, {"amount": 1}])
def test_whatever_goes_wrong_in_judging_is_a_denial_without_detail(
    arguments: dict[str, Json],
) -> None:
    broken = Broken()
    for rules in (
        mandate(allow(TRANSFER, broken)),
        mandate(allow(TRANSFER, other=True), deny(TRANSFER, broken)),
        mandate(allow(TRANSFER, other=True), stamp(TRANSFER, broken)),
    ):
        found = verdict(call(TRANSFER, arguments), rules)
        assert found == Deny("judge_failed", (), "judging failed (RuntimeError), so it is denied")


def test_a_verdict_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match="truth value"):
        bool(verdict(call(TRANSFER, {})))


# --- what is seen --------------------------------------------------------------------------------


def test_a_target_is_visible_if_some_arguments_could_get_it_through() -> None:
    target = call(TRANSFER, {}).target
    assert visible([mandate(allow(TRANSFER, SMALL))], target, NOW)
    assert visible([mandate(allow(TRANSFER), stamp(TRANSFER))], target, NOW)
    assert visible([mandate(allow(TRANSFER), deny(TRANSFER, LARGE))], target, NOW)
    assert not visible([mandate(allow(TRANSFER), deny("bank/*"))], target, NOW)
    assert not visible([mandate(allow("other/*"))], target, NOW)
    assert not visible([mandate(allow(TRANSFER)), mandate(allow("other/*"))], target, NOW)


def test_nothing_is_visible_when_looking_fails() -> None:
    assert not visible([cast(Mandate, None)], call(TRANSFER, {}).target, NOW)


def test_an_explanation_names_each_rule_and_what_it_compared() -> None:
    rules = mandate(
        allow(TRANSFER, SMALL), deny(TRANSFER, Equals(at("to"), "x")), stamp(TRANSFER, LARGE)
    )
    findings = explain(call(TRANSFER, {"amount": 2000, "to": "y"}), [rules])
    assert [(each.rule, each.effect, each.applies) for each in findings] == [
        ("deny", "deny", False),
        ("allow", "allow", False),
        ("stamp", "stamp", True),
    ]
    assert findings[0].compared[0].found == "`to` is `y`"
    assert findings[1].unnamed == "to"
    assert findings[2].compared[0].asks == "`amount` is at least 1000"
    assert findings[2].compared[0].found == "`amount` is 2000"


def test_remembered_plans_are_bounded_however_many_uris_an_agent_makes_up() -> None:
    rules = mandate(AllowRule("all", (TargetPattern(CallKind.RESOURCE, "web", "*"),), ()))
    for number in range(MAX_PLANS + 10):
        rules.plan(Target(CallKind.RESOURCE, "web", f"x:{number}"))
    assert len(rules.plans) <= MAX_PLANS
    assert rules == mandate(AllowRule("all", (TargetPattern(CallKind.RESOURCE, "web", "*"),), ()))


def test_a_name_that_an_agent_made_up_is_shown_short_and_visible() -> None:
    found = verdict(call("bank/`x`\u202e\n" + "y" * 100_000, {}), mandate(allow(TRANSFER)))
    assert isinstance(found, Deny)
    assert found.because.startswith("`bank/'x'\\u202e\\u000ayyy")
    assert len(found.because) < 200


def test_long_names_are_not_remembered() -> None:
    rules = mandate(AllowRule("all", (TargetPattern(CallKind.RESOURCE, "web", "*"),), ()))
    rules.plan(Target(CallKind.RESOURCE, "web", "x" * 100_000))
    assert rules.plans == {}


def test_a_denial_is_short_however_large_the_mandate_and_the_arguments() -> None:
    rules = mandate(*(allow(TRANSFER, Equals(at(f"a{n}" * 50), "v" * 900)) for n in range(50)))
    found = verdict(call(TRANSFER, {"x" * 10_000: "y" * 100_000}), rules)
    assert isinstance(found, Deny)
    assert len(found.because) <= 600
    assert len(found.allowed) <= 600


# --- speed ---------------------------------------------------------------------------------------


def test_ten_rules_of_three_conditions_are_judged_in_well_under_a_millisecond() -> None:
    """A wide bound for a shared machine; the figure itself is in `bench/`."""
    conditions = (OneOf(at("currency"), ("CHF", "EUR")), Matches(at("iban"), (Glob("CH*"),)), LARGE)
    rules = mandate(
        allow(
            TRANSFER, OneOf(at("currency"), ("CHF",)), Matches(at("iban"), (Glob("CH*"),)), SMALL
        ),
        *(deny(TRANSFER, *conditions) for _ in range(5)),
        *(stamp(TRANSFER, *conditions) for _ in range(4)),
    )
    asked = call(TRANSFER, {"amount": 150, "currency": "CHF", "iban": "CH9300762011623852957"})
    took = []
    for _ in range(300):
        started = time.perf_counter()
        assert isinstance(verdict(asked, rules), Allow)
        took.append(time.perf_counter() - started)
    assert statistics.median(took) < 0.000_5
