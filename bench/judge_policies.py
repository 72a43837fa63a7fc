"""`judge` with organisation policies: a payment under a small mandate, and fifty policies."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from bailiwick.core.argument_path import parse_argument_path
from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import Digest, JsonObject
from bailiwick.core.conditions import Anything, AtMost
from bailiwick.core.context import NO_COUNTERS, NO_LABELS, NO_POLICIES, NO_STEP, Policies
from bailiwick.core.judge import judge
from bailiwick.core.mandate import AllowRule, Mandate, MandateState
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.core.verdict import Allow
from bailiwick.policy import CedarPolicies, House, OrganisationPolicy

NOW = 1_795_341_600_000
GOAL_US = 300.0
POLICIES = 50
TOOLS = 40
PEOPLE = 50

_FIELDS: JsonObject = {
    "type": "object",
    "properties": {
        "amount": {"type": "integer"},
        "currency": {"type": "string"},
        "memo": {"type": "string"},
        "reference": {"type": "string"},
        "payee": {
            "type": "object",
            "properties": {
                name: {"type": "string"} for name in ("iban", "name", "country", "bank")
            },
            "required": ["iban"],
        },
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["amount", "currency", "payee"],
}
_ARGUMENTS: JsonObject = {
    "amount": 1200,
    "currency": "CHF",
    "memo": "Invoice 2026-117",
    "reference": "RF18539007547034",
    "payee": {"iban": "CH9300762011623852957", "name": "Muster AG", "country": "CH"},
    "tags": ["invoice", "november"],
}
_CONDITIONS = (
    "context.input.amount > {limit}",
    'context.input has memo && context.input.memo like "*forbidden {number}*"',
    'context.input.payee has country && context.input.payee.country == "X{number}"',
    'context.input.currency == "C{number:02}" && context.input.amount > {number}',
    'context.time.weekday > 6 && principal == Agent::"agent-{number}"',
    'context.run.untrusted && context.input.payee.iban like "ZZ{number}*"',
    'context.input has tags && context.input.tags.contains("tag-{number}")',
    'principal.owner.roles.contains("barred-{number}")',
    'context.mandate.principal.roles.contains("barred-{number}") && context.time.hour < 6',
    'context.mandate.name like "test-{number}*" || context.run.confidential.contains("c{number}")',
)


def _house() -> House:
    definition = json.dumps({"name": "transfer", "inputSchema": _FIELDS})
    tools = {f"tool-{number}": definition for number in range(TOOLS)}
    return House(
        servers=frozenset({"bank", "mail"}),
        agents={"clerk": "ada", **{f"agent-{n}": f"person-{n}" for n in range(POLICIES)}},
        people={
            "ada": frozenset({"operator", "treasurer"}),
            **{f"person-{number}": frozenset({"staff"}) for number in range(PEOPLE)},
        },
        definitions={"bank": {**tools, "transfer": definition}},
    )


def _cedar(number: int, tool: str) -> str:
    condition = _CONDITIONS[number % len(_CONDITIONS)]
    when = condition.format(number=number, limit=100_000 + number)
    return (
        f'@id("p{number}") forbid (principal, action == Action::"bank/{tool}", '
        f'resource == Server::"bank") when {{ {when} }};'
    )


def _set(concerned: int) -> CedarPolicies:
    """Fifty policies, of which so many concern the call."""
    texts = [
        _cedar(number, "transfer" if number < concerned else f"tool-{number % TOOLS}")
        for number in range(POLICIES)
    ]
    declared = [
        OrganisationPolicy(f"p{number}@1", f"{number:064x}", text)
        for number, text in enumerate(texts)
    ]
    return CedarPolicies(declared, _house())


def _mandate() -> Mandate:
    at = parse_argument_path
    others = ("currency", "memo", "reference", "payee", "tags")
    rule = AllowRule(
        "pay@1/allow/1",
        (TargetPattern(CallKind.TOOL, "bank", "transfer"),),
        (AtMost(at("amount"), 5000), *(Anything(at(name)) for name in others)),
    )
    return Mandate(
        name="pay",
        version=1,
        digest=Digest("0" * 64),
        principal="ada",
        agent="clerk",
        purpose="Pay invoices.",
        state=MandateState.ACTIVE,
        allow=(rule,),
    )


def _judging(policies: Callable[[], Policies]) -> Callable[[], Callable[[], object]]:
    def prepare() -> Callable[[], object]:
        call = Call.of(
            "01KB0000000000000000000001", Target(CallKind.TOOL, "bank", "transfer"), _ARGUMENTS
        )
        chain, prepared = (_mandate(),), policies()

        def judgement() -> object:
            return judge(call, chain, prepared, NO_COUNTERS, NO_LABELS, NO_STEP, NOW)

        verdict = judgement()
        assert isinstance(verdict, Allow), verdict
        return judgement

    return prepare


POLICY_CASES: Mapping[str, tuple[Callable[[], Callable[[], object]], float | None]] = {
    "no policies": (_judging(lambda: NO_POLICIES), None),
    "50 policies, none about this tool": (_judging(lambda: _set(0)), None),
    "50 policies, 5 about this tool": (_judging(lambda: _set(5)), None),
    "50 policies, all about this tool": (_judging(lambda: _set(POLICIES)), GOAL_US),
}
"""By name: what prepares the judgement, and the most its median may take, in microseconds."""
