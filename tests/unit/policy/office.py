"""A bank with its tools, an agent, and policies over them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import Digest, Json, JsonObject
from bailiwick.core.flow.labels import NO_LABELS, Labels
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.verdict import Deny
from bailiwick.policy import CedarPolicies, House, OrganisationPolicy

SUNDAY = 1_795_341_600_000
"""2026-11-22 10:00 UTC, a Sunday."""

MONDAY = SUNDAY + 86_400_000

TRANSFER: Json = {
    "type": "object",
    "properties": {
        "amount": {"type": "integer"},
        "fee": {"type": "number"},
        "memo": {"type": "string"},
        "urgent": {"type": "boolean"},
        "payee": {
            "type": "object",
            "properties": {"iban": {"type": "string"}, "country": {"type": "string"}},
            "required": ["iban"],
        },
        "tags": {"type": "array", "items": {"type": "string"}},
        "anything": {},
    },
    "required": ["amount", "payee"],
}

MANDATE = Mandate(
    name="pay",
    version=3,
    digest=Digest("0" * 64),
    principal="ada",
    agent="clerk",
    purpose="Pay invoices.",
    state=MandateState.ACTIVE,
    allow=(),
)


def definition(schema: Json) -> str:
    return json.dumps({"name": "whatever", "inputSchema": schema})


DEFINITIONS: Mapping[str, Mapping[str, str]] = {
    "bank": {"transfer": definition(TRANSFER), "balance": definition({"type": "object"})},
    "mail": {
        "send": definition({"type": "object", "properties": {"to": {"type": "string"}}}),
    },
}


def house(definitions: Mapping[str, Mapping[str, str]] = DEFINITIONS) -> House:
    return House(
        servers=frozenset({"bank", "mail", "files"}),
        agents={"clerk": "ada", "scout": "ben"},
        people={"ada": frozenset({"operator"}), "ben": frozenset({"treasurer"})},
        definitions=definitions,
    )


def policy(cedar: str, name: str = "office", **more: object) -> OrganisationPolicy:
    return OrganisationPolicy(f"{name}@1", "d" * 64, cedar, **more)  # type: ignore[arg-type]


def policies(*texts: str, at: House | None = None, **more: object) -> CedarPolicies:
    declared = [policy(text, f"p{number}", **more) for number, text in enumerate(texts, 1)]
    return CedarPolicies(declared, at or house())


def call(
    target: str = "bank/transfer",
    arguments: JsonObject | None = None,
    kind: CallKind = CallKind.TOOL,
) -> Call:
    if arguments is None:
        arguments = {"amount": 100, "payee": {"iban": "CH1"}}
    upstream, _, name = target.partition("/")
    return Call.of("01KB0000000000000000000001", Target(kind, upstream, name), arguments)


def decide(
    found: CedarPolicies,
    asked: Call | None = None,
    labels: Labels = NO_LABELS,
    now: int = MONDAY,
    chain: tuple[Mandate, ...] = (MANDATE,),
) -> Deny | None:
    return found.decide(asked or call(), chain, labels, now)


def code(denied: Deny | None) -> str:
    return "" if denied is None else denied.code
