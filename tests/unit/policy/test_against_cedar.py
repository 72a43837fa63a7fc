"""What is left out for speed changes no decision: held against Cedar with nothing left out.

The reference is given every statement, the schema of every tool, every entity and the whole
context. A gate has only the statements that concern the call, and only what they look at.
"""

from __future__ import annotations

import json

import cedarpy
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.core.call import Call, CallKind
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.flow.labels import Facts, FreshRun, Source
from bailiwick.policy.circumstances import Moment, finders
from bailiwick.policy.expressing import Expression
from bailiwick.policy.schema import Action, all_actions, group_action, schema_json, tool_action
from bailiwick.policy.statements import Wanted
from tests.unit.policy.office import DEFINITIONS, MANDATE, MONDAY, call, decide, policies

PRINCIPALS = ("principal", 'principal == Agent::"clerk"', 'principal == Agent::"scout"')
ACTIONS = (
    "action",
    'action == Action::"bank/transfer"',
    'action == Action::"bank/balance"',
    'action in Action::"tool"',
    'action in [Action::"mail/send", Action::"bank/transfer"]',
    'action in [Action::"resource", Action::"mail/send"]',
    'action == Action::"resource"',
)
RESOURCES = (
    "resource",
    'resource == Server::"bank"',
    'resource in Server::"mail"',
    "resource is Server",
    'resource is Server in Server::"files"',
)
HAS = "context has input && context.input has"
CONDITIONS = (
    f"({HAS} amount && context.input.amount > 100)",
    f"({HAS} amount && context.input.amount * 9223372036854775807 > 5)",
    f'({HAS} memo && context.input.memo like "*x*")',
    f'({HAS} payee && context.input.payee.iban == "CH1")',
    f'({HAS} payee.country && context.input.payee.country == "CH")',
    f'({HAS} tags && context.input.tags.contains("a"))',
    f'({HAS} fee && context.input.fee.lessThan(decimal("1.5")))',
    f"({HAS} urgent && context.input.urgent)",
    f'({HAS} to && context.input.to like "*@example.com")',
    "(context has undeclared && context.undeclared.isEmpty())",
    "context.run.untrusted",
    'context.run.confidential.contains("salary")',
    "(context.time.hour < 12)",
    '(context.name like "*a*")',
    'principal.owner.roles.contains("operator")',
    '(context.mandate.principal == Person::"ben")',
    '(action == Action::"bank/transfer")',
    '(action in Action::"tool")',
    '(resource == Server::"mail")',
    '(context.run == context.run && context.mandate.name == "pay")',
    "true",
    "false",
)


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(inner, st.sampled_from(["&&", "||"]), inner)
    return pairs.map(lambda pair: f"({' '.join(pair)})") | inner.map(lambda one: f"!{one}")


conditions = st.recursive(st.sampled_from(CONDITIONS), combined, max_leaves=4)
statements = st.builds(
    lambda effect, principal, action, resource, kind, condition: (
        f"{effect}({principal}, {action}, {resource}) {kind} {{ {condition} }};"
    ),
    st.sampled_from(["forbid", "forbid", "permit"]),
    st.sampled_from(PRINCIPALS),
    st.sampled_from(ACTIONS),
    st.sampled_from(RESOURCES),
    st.sampled_from(["when", "unless"]),
    conditions,
)

text = st.sampled_from(["", "x", "ax", "CH", "CH1", "a@example.com"])
transfers: st.SearchStrategy[JsonObject] = st.fixed_dictionaries(
    {
        "amount": st.sampled_from([0, 1, 100, 101, 5000]),
        "payee": st.fixed_dictionaries({"iban": text}, optional={"country": text}),
    },
    optional={
        "memo": text,
        "tags": st.lists(text, max_size=3),
        "fee": st.sampled_from([0.5, 1.5, 2]),
        "urgent": st.booleans(),
        "anything": st.just([1.23456789]),
        "more": st.just(1),
    },
)
calls = st.one_of(
    transfers.map(lambda arguments: call(arguments=arguments)),
    st.just(call("bank/balance", {})),
    st.fixed_dictionaries({}, optional={"to": text}).map(
        lambda arguments: call("mail/send", arguments)
    ),
    st.sampled_from(["files/a", "bank/b"]).map(lambda uri: call(uri, {}, CallKind.RESOURCE)),
)
runs = st.builds(
    lambda untrusted, secret: FreshRun(
        Facts(run="r", zones=frozenset()),
        untrusted=Source("result") if untrusted else None,
        confidential={"salary": Source("result")} if secret else {},
    ),
    st.booleans(),
    st.booleans(),
)

ALL = cedarpy.Schema.from_json_str(schema_json(all_actions(DEFINITIONS)))
OWNER: Json = {"__entity": {"type": "Person", "id": "ada"}}
KNOWN: list[tuple[str, str, JsonObject]] = [
    ("Agent", "clerk", {"owner": OWNER}),
    ("Person", "ada", {"roles": ["operator"]}),
    ("Person", "ben", {"roles": ["treasurer"]}),
]
PEOPLE: Json = [
    {"uid": {"type": kind, "id": name}, "attrs": attributes, "parents": []}
    for kind, name, attributes in KNOWN
]


def action_of(asked: Call) -> Action:
    target = asked.target
    if target.kind is not CallKind.TOOL:
        return group_action(target.kind, target.upstream)
    definition = DEFINITIONS[target.upstream][target.name]
    return tool_action(target.upstream, target.name, definition)


def refused_by_cedar(texts: list[str], asked: Call, run: FreshRun, default: bool) -> bool:
    action = action_of(asked)
    moment = Moment(asked, (MANDATE,), run, MONDAY)
    context: dict[str, Json] = {name: of(moment) for name, of in finders(Wanted(whole=True))}
    if asked.target.kind is CallKind.TOOL:
        whole = action.context.attributes["input"].type
        context["input"] = Expression().of(asked.arguments, whole, "")
        context["undeclared"] = [name for name in asked.arguments if name not in action.declared]
    answer = cedarpy.is_authorized(
        {
            "principal": {"type": "Agent", "id": "clerk"},
            "action": {"type": "Action", "id": action.id},
            "resource": {"type": "Server", "id": action.server},
            "context": json.dumps(context),
        },
        "\n".join([*texts, *([] if default else ["permit(principal, action, resource);"])]),
        cedarpy.Entities.from_json_str(json.dumps(PEOPLE), ALL),
        ALL,
    )
    return bool(answer.diagnostics.errors) or not answer.allowed


@settings(max_examples=400, deadline=None)
@given(st.lists(statements, min_size=1, max_size=6), calls, runs, st.booleans())
def test_a_gate_decides_as_cedar_does_with_everything(
    texts: list[str], asked: Call, run: FreshRun, default: bool
) -> None:
    if not default:  # a permit changes nothing then, so one that errors is not even asked
        texts = [text for text in texts if text.startswith("forbid")]
    found = policies(*texts, deny_by_default=default)
    denied = decide(found, asked, run)
    assert (denied is not None) is refused_by_cedar(texts, asked, run, default), denied


def test_the_reference_lets_some_through_and_refuses_some() -> None:
    large = f"forbid(principal, action, resource) when {{ {CONDITIONS[0]} }};"
    fine: JsonObject = {"amount": 1, "payee": {"iban": "x"}}
    run = FreshRun(Facts(zones=frozenset()))
    assert not refused_by_cedar([large], call(arguments=fine), run, False)
    assert refused_by_cedar([large], call(arguments={**fine, "amount": 101}), run, False)
    assert refused_by_cedar([large], call(arguments=fine), run, True)
