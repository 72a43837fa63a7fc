"""Circumstances: who is heard about what, and how doubt falls on the safe side."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as but

from bailiwick.core.circumstances import (
    Circumstance,
    ForEndUser,
    FromZone,
    RunLabelled,
    RunPurpose,
    StartedByPerson,
)
from bailiwick.core.context import NO_COUNTERS, NO_POLICIES, NO_STEP
from bailiwick.core.explaining.rules import around, explain
from bailiwick.core.flow.labels import NO_FACTS, Facts, FreshRun
from bailiwick.core.hours import EVERY_DAY, InHours, Span
from bailiwick.core.judge import judge, visible
from bailiwick.core.mandate import Mandate
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth
from bailiwick.core.verdict import Allow, Deny, Hold, Verdict
from bailiwick.core.wording import what_is_allowed
from tests.unit.core.mandates import NOW, allow, call, deny, mandate, stamp

PERSONS = Facts(
    run="r",
    purpose="pay the suppliers",
    run_labels=frozenset({"month-end"}),
    end_user="ada@example.com",
    end_user_by="person",
    zones=frozenset({"office"}),
    started_by="person",
)
AGENTS = but(PERSONS, started_by="agent", end_user_by="agent")

LABELLED = RunLabelled(frozenset({"month-end", "audit"}))
PURPOSE = RunPurpose((Glob("pay *"),))
END_USER = ForEndUser((Glob("*@example.com"),))
OFFICE = FromZone(frozenset({"office"}))
EVERY = (LABELLED, PURPOSE, END_USER)


def under(given: Mandate, facts: Facts, now: int = NOW) -> Verdict:
    asked = call("bank/pay", {})
    return judge(asked, (given,), NO_POLICIES, NO_COUNTERS, FreshRun(facts), NO_STEP, now)


@pytest.mark.parametrize("each", EVERY)
def test_what_a_person_said_holds(each: Circumstance) -> None:
    assert each.of(PERSONS, NOW) is HOLDS


@pytest.mark.parametrize("each", EVERY)
def test_what_the_agent_says_of_itself_proves_nothing(each: Circumstance) -> None:
    assert each.of(AGENTS, NOW) is CANNOT_TELL


@pytest.mark.parametrize(
    "each",
    [
        RunLabelled(LABELLED.labels, agent_may_say=True),
        RunPurpose(PURPOSE.globs, agent_may_say=True),
        ForEndUser(END_USER.globs, agent_may_say=True),
    ],
)
def test_a_mandate_may_take_the_agents_word(each: Circumstance) -> None:
    assert each.of(AGENTS, NOW) is HOLDS
    assert each.of(PERSONS, NOW) is HOLDS


@pytest.mark.parametrize(
    ("each", "facts", "truth"),
    [
        (LABELLED, but(PERSONS, run_labels=frozenset({"test"})), FAILS),
        (LABELLED, but(PERSONS, run_labels=frozenset()), FAILS),
        (LABELLED, but(PERSONS, run_labels=frozenset({"Month-End"})), FAILS),
        (PURPOSE, but(PERSONS, purpose="refund"), FAILS),
        (PURPOSE, but(PERSONS, purpose="PAY the suppliers"), CANNOT_TELL),
        (PURPOSE, but(PERSONS, purpose=""), CANNOT_TELL),
        (END_USER, but(PERSONS, end_user="ada@example.org"), FAILS),
        (END_USER, but(PERSONS, end_user=""), CANNOT_TELL),
        (END_USER, NO_FACTS, CANNOT_TELL),
        (OFFICE, PERSONS, HOLDS),
        (OFFICE, AGENTS, HOLDS),  # the gateway saw the address itself
        (OFFICE, but(PERSONS, zones=frozenset({"home"})), FAILS),
        (OFFICE, but(PERSONS, zones=frozenset()), FAILS),
        (OFFICE, NO_FACTS, CANNOT_TELL),
        (StartedByPerson(), PERSONS, HOLDS),
        (StartedByPerson(), AGENTS, FAILS),
        (StartedByPerson(), NO_FACTS, FAILS),
    ],
)
def test_what_is_known_and_what_is_not(each: Circumstance, facts: Facts, truth: Truth) -> None:
    assert each.of(facts, NOW) is truth


def test_an_allow_rule_needs_its_circumstances_to_hold() -> None:
    rule = replace(allow("bank/pay"), circumstances=(LABELLED,))
    assert isinstance(under(mandate(rule), PERSONS), Allow)
    refused = under(mandate(rule), AGENTS)
    assert isinstance(refused, Deny)
    assert refused.code == "not_in_these_circumstances"
    assert refused.because == (
        "`bank/pay` is allowed only in a run labelled `audit` or `month-end` (this run's labels "
        "are only the agent's own; a person must start the run)"
    )
    assert "in a run labelled `audit` or `month-end`" in refused.allowed


def test_a_deny_rule_applies_unless_its_circumstances_plainly_fail() -> None:
    rule = replace(deny("bank/pay"), circumstances=(END_USER,))
    other = but(PERSONS, end_user="ada@example.org")
    assert isinstance(under(mandate(allow("bank/pay"), rule), PERSONS), Deny)
    assert isinstance(under(mandate(allow("bank/pay"), rule), NO_FACTS), Deny)
    assert isinstance(under(mandate(allow("bank/pay"), rule), other), Allow)


def test_a_stamp_rule_applies_unless_its_circumstances_plainly_fail() -> None:
    rule = replace(stamp("bank/pay"), circumstances=(END_USER,))
    other = but(PERSONS, end_user="ada@example.org")
    held = under(mandate(allow("bank/pay"), rule), AGENTS)
    assert isinstance(held, Hold)
    assert "for the end user `*@example.com`" in held.because
    assert isinstance(under(mandate(allow("bank/pay"), rule), other), Allow)


def test_a_mandates_own_circumstances_come_before_its_rules() -> None:
    given = replace(mandate(allow("bank/pay")), circumstances=(StartedByPerson(),))
    assert isinstance(under(given, PERSONS), Allow)
    refused = under(given, AGENTS)
    assert isinstance(refused, Deny)
    assert refused.code == "not_in_these_circumstances"
    assert "bailiwick run start" in refused.because


def test_a_deny_rule_for_some_circumstances_hides_nothing() -> None:
    never = InHours((Span("UTC", EVERY_DAY, 0, 1),))
    given = mandate(allow("bank/pay"), replace(deny("bank/pay"), circumstances=(never,)))
    target = call("bank/pay", {}).target
    assert visible((given,), target, NOW)
    assert "; not every day from 0:00 to 0:01 UTC time" in what_is_allowed(given, target)
    assert not visible((mandate(allow("bank/pay"), deny("bank/pay")),), target, NOW)


def test_a_circumstance_that_breaks_is_a_denial() -> None:
    broken = InHours((Span("No/Such_Zone"),))
    refused = under(mandate(replace(allow("bank/pay"), circumstances=(broken,))), PERSONS)
    assert isinstance(refused, Deny)
    assert refused.code == "judge_failed"


@pytest.mark.parametrize(
    ("each", "facts", "words"),
    [
        (LABELLED, NO_FACTS, "this run has no labels"),
        (LABELLED, but(PERSONS, run_labels=frozenset({"x"})), "this run is labelled `x`"),
        (PURPOSE, NO_FACTS, "this run was started without a purpose"),
        (PURPOSE, AGENTS, "only the agent's own word"),
        (PURPOSE, but(PERSONS, purpose="refund"), "this run is for `refund`"),
        (END_USER, NO_FACTS, "it is not known for whom this is"),
        (END_USER, AGENTS, "only the agent says"),
        (END_USER, but(PERSONS, end_user="eve\u202e@x"), r"this is for `eve\u202e@x`"),
        (OFFICE, NO_FACTS, "the address this came from is not known"),
        (OFFICE, but(PERSONS, zones=frozenset({"home"})), "this came from elsewhere"),
    ],
)
def test_a_refusal_says_what_would_help(each: Circumstance, facts: Facts, words: str) -> None:
    assert words in each.missing(facts, NOW)


def test_an_explanation_says_how_a_call_stood_to_its_circumstances() -> None:
    given = replace(
        mandate(
            replace(allow("bank/pay"), circumstances=(LABELLED,)),
            replace(stamp("bank/pay"), circumstances=(OFFICE,)),
        ),
        circumstances=(StartedByPerson(),),
    )
    asked = call("bank/pay", {})
    allows, stamps = explain(asked, (given,), PERSONS, NOW)
    assert (allows.applies, stamps.applies) == (True, True)
    (compared,) = allows.circumstances
    assert compared.asks == "only in a run labelled `audit` or `month-end`"
    assert (compared.counted, compared.found) == (True, "holds")
    elsewhere = but(AGENTS, zones=frozenset())
    allows, stamps = explain(asked, (given,), elsewhere, NOW)
    assert (allows.applies, stamps.applies) == (False, False)
    assert "only the agent's own" in allows.circumstances[0].found
    assert stamps.circumstances[0].found == "this came from elsewhere"
    (whole,) = around(given, AGENTS, NOW)
    assert not whole.counted
