"""Rules of a mandate that can never matter, or never be met."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.conditions import Condition
from bailiwick.core.context import NO_COUNTERS, NO_LABELS, NO_POLICIES, NO_STEP
from bailiwick.core.judge import judge
from bailiwick.core.mandate import AllowRule, DenyRule
from bailiwick.core.narrowing import adds_nothing, applies_wherever_allowed
from bailiwick.core.verdict import Deny
from bailiwick.declared import load_text, warn_rules
from tests.unit.core.condition_kinds import conditions, sound_arguments
from tests.unit.core.mandates import NOW, allow, call, mandate, pattern
from tests.unit.declared.house import PEOPLE, SERVERS, compiled

HEAD = """\
mandates:
  pay:
    from: ada
    to: clerk
"""


def doubts(rules: str, definitions: Mapping[str, Mapping[str, str]] | None = None) -> list[str]:
    declared = load_text(SERVERS + PEOPLE + HEAD + rules, "f.yaml")
    found = declared.objects["mandate", "pay"]
    first = (SERVERS + PEOPLE + HEAD).count("\n")
    said = warn_rules(found, compiled(declared), definitions or {}, NOW)
    return [f"{each.place.line - first}:{each.place.column}: {each.message}" for each in said]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (
            """\
    allow:
      - tool: bank/pay
        when: {amount: {at_most: 5}}
    deny:
      - tool: bank/*
""",
            "2:9: lets nothing through: `deny/1` denies all of it",
        ),
        (
            """\
    allow:
      - tool: bank/pay
        when: {amount: {at_least: 10, at_most: 20}}
    deny:
      - tool: bank/pay
        id: large
        when: {amount: {at_least: 9}}
""",
            "2:9: lets nothing through: `deny/large` denies all of it",
        ),
        (
            """\
    allow:
      - tool: bank/*
        when: {amount: {at_most: 50}}
      - tool: bank/pay
        when: {amount: {at_most: 5}}
""",
            "4:9: lets nothing more through: `allow/1` lets all of it through",
        ),
        (
            """\
    allow:
      - tool: bank/pay
        when: {amount: {at_most: 5}}
      - tool: bank/pay
        when: {amount: {at_most: 50}}
""",
            "2:9: lets nothing more through: `allow/2` lets all of it through",
        ),
        (
            """\
    allow:
      - tool: bank/pay
      - tool: bank/pay
""",
            "3:9: lets nothing more through: `allow/1` lets all of it through",
        ),
        (
            """\
    allow:
      - tool: bank/pay
    deny:
      - tool: web/get
""",
            "4:9: is about nothing that any rule allows, so it never matters",
        ),
        (
            """\
    allow:
      - tool: bank/pay
        other_arguments: allow
    stamp:
      - tool: bank/pay
        role: treasurer
      - tool: bank/pay
        role: auditor
        when: {amount: {at_least: 5}}
""",
            "7:9: can never be met: `stamp/1` asks for another role, `treasurer`, of all of it, "
            "and one stamp cannot be both",
        ),
        (
            """\
    valid: {until: "2020-01-01T00:00:00Z"}
    allow:
      - tool: bank/pay
""",
            "1:12: has ended already: nothing can be done under it",
        ),
    ],
)
def test_what_can_never_matter_is_told_with_its_place(rules: str, said: str) -> None:
    assert doubts(rules) == [said]


@pytest.mark.parametrize(
    "rules",
    [
        """\
    allow:
      - tool: bank/pay
        when: {amount: {at_most: 20}}
    deny:
      - tool: bank/pay
        when: {amount: {at_least: 9}}
""",
        """\
    allow:
      - tool: bank/pay
        when: {amount: {at_most: 5}}
    deny:
      - tool: bank/pay
        when: {amount: {at_most: 5, optional: true}, iban: {prefix: RU}}
""",
        """\
    allow:
      - tool: bank/pay
        when: {amount: {at_most: 5}, memo: {any: true}}
      - tool: bank/pay
        when: {amount: {at_most: 50}}
""",
        """\
    allow:
      - tool: bank/pay
        when: {iban: {vouched: true}}
      - tool: bank/pay
        when: {iban: {one_of: [CH1]}}
      - tool: bank/pay
        when: {iban: {prefix: CH, vouched: true}}
        other_arguments: allow
""",
        """\
    allow:
      - tool: bank/pay
    stamp:
      - tool: bank/pay
        role: treasurer
      - tool: bank/pay
        when: {amount: {at_least: 5}}
""",
    ],
)
def test_what_may_matter_is_not_doubted(rules: str) -> None:
    assert doubts(rules) == []


def tool(**schema: object) -> dict[str, dict[str, str]]:
    definition = {"name": "pay", "inputSchema": {"type": "object", **schema}}
    return {"bank": {"pay": json.dumps(definition)}}


def test_a_tool_whose_schema_is_open_is_told_where_any_argument_may_be_given() -> None:
    rules = """\
    allow:
      - tool: bank/pay
        other_arguments: allow
"""
    named = {"amount": {"type": "integer"}}
    assert doubts(rules, tool(properties=named, additionalProperties=False)) == []
    (said,) = doubts(rules, tool(properties=named, additionalProperties=True))
    assert said.startswith("2:9: lets any argument be given, and the schema of `bank/pay` is open")
    closed = rules.replace("other_arguments: allow", "other_arguments: refuse")
    assert doubts(closed, tool(additionalProperties=True)) == []


def test_more_rules_than_can_be_compared_are_told() -> None:
    many = "".join(f"      - tool: bank/t{number}\n" for number in range(301))
    (said,) = doubts(f"    allow:\n{many}")
    assert said.endswith("has too many rules for comparing each with the others")


CONDITIONS = st.lists(conditions, max_size=2)


@given(CONDITIONS, CONDITIONS, sound_arguments)
def test_what_is_said_to_be_denied_wholly_is_never_let_through(
    own: list[Condition], above: list[Condition], arguments: dict[str, object]
) -> None:
    rule = AllowRule("allow", (pattern("bank/pay"),), tuple(own), other_arguments=True)
    refusing = DenyRule("deny", (pattern("bank/*"),), tuple(above))
    if applies_wherever_allowed(refusing, rule):
        asked = call("bank/pay", arguments)  # type: ignore[arg-type]  # JSON by its strategy
        given_ = mandate(rule, refusing)
        verdict = judge(asked, [given_], NO_POLICIES, NO_COUNTERS, NO_LABELS, NO_STEP, NOW)
        assert isinstance(verdict, Deny)


@given(CONDITIONS, CONDITIONS, sound_arguments)
def test_what_is_said_to_add_nothing_lets_nothing_more_through(
    own: list[Condition], others: list[Condition], arguments: dict[str, object]
) -> None:
    rule = allow("bank/pay", *own)
    other = allow("bank/*", *others)
    if adds_nothing(rule, other):
        asked = call("bank/pay", arguments)  # type: ignore[arg-type]  # JSON by its strategy

        def denied(*rules: AllowRule) -> bool:
            chain = [mandate(*rules)]
            verdict = judge(asked, chain, NO_POLICIES, NO_COUNTERS, NO_LABELS, NO_STEP, NOW)
            return isinstance(verdict, Deny)

        assert denied(other) == denied(rule, other)
