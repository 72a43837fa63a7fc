"""Getting past the organisation's policies: what an agent or a server may try, by name."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.verdict import Deny
from bailiwick.policy import CedarPolicies, House, OrganisationPolicy
from bailiwick.policy.expressing import LEAST_LONG, MOST_LONG
from tests.unit.policy.office import (
    DEFINITIONS,
    MANDATE,
    call,
    code,
    decide,
    definition,
    house,
    policies,
    policy,
)

PAY = 'forbid(principal, action == Action::"bank/transfer", resource) when '
LARGE = PAY + "{ context.input.amount > 5000 };"
MEMO = PAY + '{ context.input has memo && context.input.memo like "*secret*" };'
PAYEE = PAY + '{ context.input.payee.iban like "XX*" };'
TAGS = PAY + '{ context.input has tags && context.input.tags.contains("barred") };'
ESCAPES: list[Json] = [
    {"__entity": {"type": "Person", "id": "ada"}},
    {"__extn": {"fn": "decimal", "arg": "1.0"}},
    {"__expr": 'Person::"ada"'},
    {"fn": "decimal", "arg": "1.0"},
    {"type": "Person", "id": "ada"},
]


def paying(**more: Json) -> Call:
    return call(arguments={"amount": 1, "payee": {"iban": "CH1"}, **more})


# --- others who act ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        'forbid(principal == Agent::"clerk", action, resource == Server::"bank");',
        'forbid(principal, action, resource) when { principal == Agent::"clerk" };',
        'forbid(principal, action, resource) unless { principal.owner == Person::"ben" };',
    ],
)
def test_an_agent_cannot_have_another_do_what_it_may_not(text: str) -> None:
    child = replace(MANDATE, name="pay:scout", agent="scout", parent="pay")
    grandchild = replace(child, name="pay:scout:scout", parent="pay:scout")
    found = policies(text)
    for chain in ((MANDATE,), (MANDATE, child), (MANDATE, child, grandchild)):
        assert code(decide(found, paying(), chain=chain)) == "denied_by_policy"
    assert decide(found, paying(), chain=(replace(MANDATE, agent="scout"),)) is None


# --- Cedar's own notation in arguments -----------------------------------------------------------


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("name", ["amount", "memo", "payee", "tags"])
def test_an_argument_is_never_read_as_an_entity_or_extension(escape: Json, name: str) -> None:
    found = policies(LARGE, MEMO, PAYEE, TAGS)
    assert code(decide(found, paying(**{name: escape}))) == "policy_failed"
    assert code(decide(found, paying(tags=[escape]))) == "policy_failed"


@pytest.mark.parametrize("escape", ["__entity", "__extn", "__expr"])
def test_notation_beside_what_is_looked_at_changes_nothing(escape: str) -> None:
    found = policies(LARGE, PAYEE)
    good = paying(payee={"iban": "CH1", escape: {"type": "Person", "id": "ada"}}, **{escape: 1})
    bad = paying(payee={"iban": "XX1", escape: {"fn": "decimal", "arg": "1.0"}})
    assert decide(found, good) is None
    assert code(decide(found, bad)) == "denied_by_policy"


def test_a_server_that_names_arguments_like_notation_gains_nothing() -> None:
    properties: JsonObject = {
        "__entity": {"type": "object", "properties": {"type": {"type": "string"}}},
        "amount": {"type": "integer"},
    }
    shown = {"bank": {"transfer": definition({"properties": properties, "required": ["amount"]})}}
    found = policies(LARGE, at=house(shown))
    asked: JsonObject = {"amount": 9000, "__entity": {"type": "Person", "id": "ada"}}
    assert code(decide(found, call(arguments=asked))) == "denied_by_policy"


def test_facts_that_agents_and_people_write_are_text_whatever_they_hold() -> None:
    found = policies('forbid(principal, action, resource) when { context.name like "*\\"}}*" };')
    asked = call('files/file:///a"}},"run":{"untrusted":false', {}, CallKind.RESOURCE)
    assert code(decide(found, asked)) == "denied_by_policy"


# --- names that are text in another language -----------------------------------------------------

EVIL_NAMES = [
    'x", resource) when { false }; permit(principal, action == Action::"y',
    "x\n}; entity Evil;",
    "a/b/c",
    "\\",
    "tool",
    "\u202etransfer",
    "x" * 512,
    "__cedar::String",
    "if",
]


@pytest.mark.parametrize("name", EVIL_NAMES)
def test_a_tool_with_an_evil_name_is_still_that_one_tool(name: str) -> None:
    shown = {**DEFINITIONS, "bank": {**DEFINITIONS["bank"], name: definition({"type": "object"})}}
    escaped = json.dumps(f"bank/{name}", ensure_ascii=False)
    escaped = escaped.replace("\\u202e", "\\u{202e}")
    found = policies(f"forbid(principal, action == Action::{escaped}, resource);", at=house(shown))
    assert code(decide(found, call(f"bank/{name}", {}))) == "denied_by_policy"
    assert decide(found) is None
    everything = policies('forbid(principal, action in Action::"tool", resource);', at=house(shown))
    assert code(decide(everything, call(f"bank/{name}", {}))) == "denied_by_policy"


@pytest.mark.parametrize("name", EVIL_NAMES)
def test_an_argument_with_an_evil_name_can_be_looked_at_and_nothing_else(name: str) -> None:
    shown = {"bank": {"transfer": definition({"properties": {name: {"type": "integer"}}})}}
    key = json.dumps(name, ensure_ascii=False)
    found = policies(
        PAY + f"{{ context.input has {key} && context.input[{key}] > 5 }};", at=house(shown)
    )
    assert decide(found, call(arguments={name: 5})) is None
    assert code(decide(found, call(arguments={name: 6}))) == "denied_by_policy"


def test_a_tool_named_like_a_kind_of_call_is_not_the_kind() -> None:
    shown = {"bank": {"resource": definition({"type": "object"})}}
    found = policies('forbid(principal, action == Action::"resource", resource);', at=house(shown))
    assert decide(found, call("bank/resource", {})) is None


def test_one_statement_cannot_swallow_the_next() -> None:
    texts = [
        "permit(principal, action, resource) // ;\n;",
        'forbid(principal, action, resource) when { "a//b;\\"}" == "a" };',
        'forbid(principal, action == Action::"bank/transfer", resource);// permit',
    ]
    assert code(decide(policies("\n".join(texts)))) == "denied_by_policy"
    assert code(decide(policies(*texts))) == "denied_by_policy"


# --- values that are not what they seem ----------------------------------------------------------


@pytest.mark.parametrize(
    "amount",
    [
        "5001", "5e3", " 9000", True, [9000], {"value": 9000}, None, 2**63, -(2**63) - 1, 10**40,
        5000.5, 1e19, float("inf"), float("nan"),
    ],
)  # fmt: skip
def test_an_amount_in_disguise_is_refused(amount: Json) -> None:
    assert code(decide(policies(LARGE), _raw({"amount": amount, "payee": {"iban": "CH1"}}))) == (
        "policy_failed"
    )


@pytest.mark.parametrize("name", ["Amount", "AMOUNT", "amount ", "amo\u200bunt", "ａmount"])
def test_an_optional_argument_under_another_spelling_is_refused(name: str) -> None:
    properties: JsonObject = {"amount": {"type": "integer"}}
    shown = {"bank": {"transfer": definition({"properties": properties})}}
    text = PAY + "{ context.input has amount && context.input.amount > 5000 };"
    found = policies(text, at=house(shown))
    assert decide(found, call(arguments={})) is None
    assert decide(found, call(arguments={"other": 9000})) is None
    assert code(decide(found, call(arguments={name: 9000}))) == "policy_failed"


def test_a_nested_argument_under_another_spelling_is_refused() -> None:
    text = PAY + '{ context.input.payee has country && context.input.payee.country == "ZZ" };'
    found = policies(text)
    assert decide(found, paying()) is None
    assert code(decide(found, paying(payee={"iban": "CH1", "Country": "ZZ"}))) == "policy_failed"


@pytest.mark.parametrize(
    "text", ["secret", "\x00secret\x00", "\n secret", "sécret secret", "🔑secret"]
)
def test_text_of_any_letters_is_looked_at_whole(text: str) -> None:
    assert code(decide(policies(MEMO), paying(memo=text))) == "denied_by_policy"


def test_a_lone_surrogate_is_refused() -> None:
    asked = _raw({"amount": 1, "payee": {"iban": "CH1"}, "memo": "\ud800"})
    assert code(decide(policies(MEMO), asked)) == "policy_failed"


# --- too much, too deep --------------------------------------------------------------------------


def test_deep_arguments_do_not_reach_the_engine() -> None:
    deep: Json = "x"
    for _ in range(100_000):
        deep = [deep]
    asked = _raw({"amount": 1, "payee": {"iban": "CH1"}, "memo": deep, "tags": deep})
    assert code(decide(policies(MEMO), asked)) == "policy_failed"
    assert code(decide(policies(TAGS), asked)) == "policy_failed"
    assert decide(policies(LARGE), asked) is None, "what is not looked at may be anything"
    while isinstance(deep, list):  # or freeing it would recurse as deep
        deep = deep.pop()


def test_large_arguments_are_refused_only_where_they_are_looked_at() -> None:
    asked = _raw(
        {"amount": 1, "payee": {"iban": "CH1"}, "memo": "x" * 10**6, "tags": ["t"] * 10**5}
    )
    assert decide(policies(LARGE), asked) is None
    assert code(decide(policies(MEMO), asked)) == "policy_failed"
    assert code(decide(policies(TAGS), asked)) == "policy_failed"


def test_a_reason_does_not_repeat_what_an_agent_sends_without_end() -> None:
    denied = decide(policies(MEMO), paying(memo=["x" * 10**6]))
    assert denied is not None
    assert len(denied.because) < 400
    shown = decide(policies(LARGE), _raw({"amount": 10**300, "payee": {}}))
    assert shown is not None
    assert len(shown.because) < 700


# --- whatever an agent sends ---------------------------------------------------------------------

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=LEAST_LONG - 9, max_value=MOST_LONG + 9)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["secret", "XX1", "barred", "\x00", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["iban", "country", "__entity", "__extn", "__expr", "fn", "arg", "type"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_ARGUMENTS = st.dictionaries(
    st.sampled_from(
        ["amount", "Amount", "memo", "Memo", "payee", "tags", "fee", "urgent", "anything", "x"]
    ),
    _VALUES,
    max_size=8,
)
ALL = policies(LARGE, MEMO, PAYEE, TAGS)


@settings(max_examples=500)
@given(_ARGUMENTS)
def test_nothing_gets_through_that_is_not_plainly_fine(arguments: dict[str, Json]) -> None:
    denied = decide(ALL, _raw(arguments))
    assert denied is None or isinstance(denied, Deny)
    if denied is None:
        amount, payee = arguments["amount"], arguments["payee"]
        assert type(amount) in (int, float)
        assert isinstance(amount, int | float)
        assert amount <= 5000
        assert isinstance(payee, dict)
        assert isinstance(payee["iban"], str)
        assert not payee["iban"].startswith("XX")
        memo, tags = arguments.get("memo"), arguments.get("tags")
        assert memo is None or (isinstance(memo, str) and "secret" not in memo)
        assert tags is None or (isinstance(tags, list) and "barred" not in tags)
        assert "memo" in arguments or "Memo" not in arguments
    else:
        assert denied.code in ("denied_by_policy", "policy_failed")
        assert len(denied.because) < 2_000


def test_the_policies_of_the_fuzz_let_something_through() -> None:
    assert decide(ALL, paying(memo="fine", tags=["ok"])) is None


# --- policies themselves -------------------------------------------------------------------------


def test_a_policy_that_cannot_be_read_does_not_vanish() -> None:
    broken = OrganisationPolicy("broken@1", "b" * 64, "forbid(principal, action, resource")
    found = CedarPolicies([policy("permit(principal, action, resource);"), broken], house())
    assert code(decide(found)) == "policy_failed"


def test_no_house_at_all_still_refuses() -> None:
    found = CedarPolicies([policy(LARGE)], House())
    assert code(decide(found)) == "policy_failed"


def _raw(arguments: JsonObject) -> Call:
    """A call that was never given a canonical form: some of these have none."""
    target = Target(CallKind.TOOL, "bank", "transfer")
    return Call("01KB0000000000000000000001", target, arguments, b"{}", arguments)


def test_a_text_made_to_be_slow_is_not() -> None:
    pattern = "*" + "a" * 190 + "b*"
    text = "".join(PAY + f'{{ context.input has memo && context.input.memo like "{pattern}" }};'
                   for _ in range(20))  # fmt: skip
    found, slow = policies(text), paying(memo="a" * 65_000)
    assert decide(found, slow) is None
    begun = time.thread_time()
    decide(found, slow)
    assert time.thread_time() - begun < 2.0, "some 10 ms for each of twenty at worst"
