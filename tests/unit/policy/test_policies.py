"""Deciding: forbid wins, what cannot be decided is refused, and reasons reach the agent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bailiwick.core.call import CallKind
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.flow.labels import Facts, FreshRun, Source
from bailiwick.policy import CedarPolicies
from tests.unit.policy.office import (
    DEFINITIONS,
    MANDATE,
    SUNDAY,
    call,
    code,
    decide,
    definition,
    house,
    policies,
    policy,
)

FORBID_LARGE = """
@id("large") @because("Above 5000 only by hand.") @advice("Pay at most 5000 at once.")
forbid (principal, action == Action::"bank/transfer", resource)
when { context.input.amount > 5000 };
"""


def paying(**more: Json) -> JsonObject:
    return {"amount": 100, "payee": {"iban": "CH1"}, **more}


# --- forbid, permit, default ---------------------------------------------------------------------


def test_no_policies_refuse_nothing_and_have_no_version() -> None:
    none = CedarPolicies([], house())
    assert decide(none) is None
    assert none.version == ""


def test_a_forbid_refuses_what_it_is_about_and_nothing_else() -> None:
    found = policies(FORBID_LARGE)
    assert decide(found, call(arguments=paying(amount=5000))) is None
    assert code(decide(found, call(arguments=paying(amount=5001)))) == "denied_by_policy"
    assert decide(found, call("bank/balance", {})) is None


def test_a_refusal_names_the_statement_its_reason_and_its_advice() -> None:
    denied = decide(policies(FORBID_LARGE), call(arguments=paying(amount=5001)))
    assert denied is not None
    assert denied.rules == ("policy/p1@1/large",)
    assert denied.because == (
        "`bank/transfer` is refused by the organisation's policy `policy/p1@1/large`: "
        "Above 5000 only by hand."
    )
    assert denied.allowed == "Pay at most 5000 at once."


def test_several_forbids_are_all_named() -> None:
    weekend = (
        'forbid(principal, action, resource == Server::"bank") when { context.time.weekday > 5 };'
    )
    found = policies(FORBID_LARGE, weekend, because="Not on weekends.")
    denied = decide(found, call(arguments=paying(amount=9999)), now=SUNDAY)
    assert denied is not None
    assert denied.rules == ("policy/p1@1/large", "policy/p2@1/1")
    assert "Above 5000 only by hand.; `policy/p2@1/1`: Not on weekends." in denied.because


def test_a_refusal_tells_of_a_few_statements_and_counts_the_rest() -> None:
    many = "forbid(principal, action, resource);\n" * 20
    denied = decide(policies(many, because="x" * 5000))
    assert denied is not None
    assert len(denied.rules) == 5
    assert denied.because.endswith("and 15 more")
    assert len(denied.because) < 2500


def test_forbid_wins_over_permit() -> None:
    found = policies("permit(principal, action, resource);", FORBID_LARGE, deny_by_default=True)
    assert decide(found) is None
    assert code(decide(found, call(arguments=paying(amount=5001)))) == "denied_by_policy"


def test_with_default_deny_what_nothing_permits_is_refused() -> None:
    found = policies(
        'permit(principal, action == Action::"bank/balance", resource);', deny_by_default=True
    )
    assert decide(found, call("bank/balance", {})) is None
    denied = decide(found)
    assert denied is not None
    assert denied.code == "denied_by_policy"
    assert denied.rules == ("policy/p1@1",)
    assert "permitted by no policy" in denied.because


def test_one_policy_that_denies_by_default_is_enough() -> None:
    found = CedarPolicies(
        [
            policy('permit(principal == Agent::"scout", action, resource);', "open"),
            policy(
                "permit(principal, action, resource) when { false };", "shut", deny_by_default=True
            ),
        ],
        house(),
    )
    assert code(decide(found)) == "denied_by_policy"
    assert decide(found, chain=(replace(MANDATE, agent="scout"),)) is None


def test_a_permit_takes_no_denial_away_where_nothing_is_denied_by_default() -> None:
    with_permit = policies("permit(principal, action, resource);", FORBID_LARGE)
    assert code(decide(with_permit, call(arguments=paying(amount=5001)))) == "denied_by_policy"


# --- what policies look at -----------------------------------------------------------------------

LABELS = FreshRun(
    Facts(
        run="r1",
        purpose="month end",
        run_labels=frozenset({"nightly"}),
        end_user="eve",
        end_user_by="agent",
        zones=frozenset({"office"}),
        started_by="person",
        asked_by_model="matched",
    ),
    untrusted=Source("result", "c1", "mail/read"),
    confidential={"salary": Source("result", "c2", "hr/read")},
)


@pytest.mark.parametrize(
    "condition",
    [
        "context.input.amount == 100",
        'context.input.payee.iban like "CH*"',
        "!(context.input has memo)",
        "(context.input.payee has country) == false",
        'context.input has tags && context.input.tags.contains("a") || true',
        'context.name == "transfer"',
        'context.mandate.name == "pay" && context.mandate.version == 3',
        'context.mandate.purpose like "Pay*" && context.mandate.depth == 1',
        'context.mandate.principal.roles.contains("operator")',
        'context.mandate.principal == Person::"ada"',
        'context.mandate.chain.contains("pay")',
        'principal == Agent::"clerk" && principal.owner == Person::"ada"',
        'principal.owner.roles.contains("operator")',
        'resource == Server::"bank"',
        'action in Action::"tool"',
        'context.run.untrusted && context.run.confidential.contains("salary")',
        'context.run.id == "r1" && context.run.purpose == "month end"',
        'context.run.labels.contains("nightly") && context.run.zones.contains("office")',
        'context.run.end_user == "eve" && context.run.end_user_by == "agent"',
        'context.run.started_by == "person"',
        'context.run.asked_by_model == "matched"',
        "context.time.hour == 10 && context.time.weekday == 1",
        'context.time.now > datetime("2026-11-23T09:59:59Z")',
        'context.time.now.toTime() < duration("10h1m")',
        "context.undeclared.isEmpty()",
    ],
)
def test_a_policy_can_look_at(condition: str) -> None:
    found = policies(
        f'forbid(principal, action == Action::"bank/transfer", resource) when {{ {condition} }};'
    )
    assert code(decide(found, labels=LABELS)) == "denied_by_policy"


def test_decimals_are_compared_exactly() -> None:
    found = policies(
        'forbid(principal, action == Action::"bank/transfer", resource) when '
        '{ context.input has fee && context.input.fee.greaterThan(decimal("0.3")) };'
    )
    assert decide(found, call(arguments=paying(fee=0.3))) is None
    assert decide(found, call(arguments=paying(fee=-3))) is None
    assert code(decide(found, call(arguments=paying(fee=0.3001)))) == "denied_by_policy"
    assert code(decide(found, call(arguments=paying(fee=1)))) == "denied_by_policy"


def test_arguments_the_definition_does_not_declare_can_be_forbidden() -> None:
    found = policies(
        'forbid(principal, action == Action::"bank/transfer", resource) '
        "unless { context.undeclared.isEmpty() };"
    )
    assert decide(found, call(arguments=paying(anything=[]))) is None
    assert code(decide(found, call(arguments=paying(extra=1)))) == "denied_by_policy"


def test_a_policy_about_a_kind_of_call_is_about_each_of_its_tools() -> None:
    found = policies('forbid(principal, action in Action::"tool", resource);')
    assert code(decide(found)) == "denied_by_policy"
    assert code(decide(found, call("mail/send", {}))) == "denied_by_policy"
    assert decide(found, call("files/file:///a", {}, CallKind.RESOURCE)) is None
    several = policies(
        'forbid(principal, action in [Action::"mail/send", Action::"resource"], resource);'
    )
    assert decide(several) is None
    assert code(decide(several, call("mail/send", {}))) == "denied_by_policy"
    read = call("files/file:///a", {}, CallKind.RESOURCE)
    assert code(decide(several, read)) == "denied_by_policy"


def test_resources_and_prompts_are_actions_of_their_kind() -> None:
    found = policies(
        'forbid(principal, action == Action::"resource", resource == Server::"files") '
        'when { context.name like "file:///secret/*" };',
        'forbid(principal, action == Action::"prompt", resource);',
    )
    secret = call("files/file:///secret/a", {}, CallKind.RESOURCE)
    assert code(decide(found, secret)) == "denied_by_policy"
    assert decide(found, call("files/file:///open/a", {}, CallKind.RESOURCE)) is None
    assert decide(found, call("mail/file:///secret/a", {}, CallKind.RESOURCE)) is None
    assert code(decide(found, call("mail/greet", {}, CallKind.PROMPT))) == "denied_by_policy"


# --- doubt means no ------------------------------------------------------------------------------

ABOUT_AMOUNT = (
    'forbid(principal, action == Action::"bank/transfer", resource) '
    "when { context.input.amount > 5000 };"
)
ABOUT_MEMO = (
    'forbid(principal, action == Action::"bank/transfer", resource) '
    'when { context.input has memo && context.input.memo like "*urgent*" };'
)


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("9000", "is text, and its tool takes a whole number"),
        (True, "is a boolean"),
        (None, "`amount` is missing"),
        (1.5, "no whole number of 64 bits"),
        (1e300, "no whole number of 64 bits"),
        ([9000], "is a list"),
        ({"__extn": {"fn": "decimal", "arg": "1.0"}}, "is an object"),
    ],
)
def test_an_argument_that_is_looked_at_and_does_not_conform_refuses(
    amount: Json, said: str
) -> None:
    denied = decide(policies(ABOUT_AMOUNT), call(arguments=paying(amount=amount)))
    assert denied is not None
    assert denied.code == "policy_failed"
    assert said in denied.because


def test_a_whole_float_is_the_number_it_states() -> None:
    found = policies(ABOUT_AMOUNT)
    assert decide(found, call(arguments=paying(amount=5000.0))) is None
    assert code(decide(found, call(arguments=paying(amount=5001.0)))) == "denied_by_policy"


def test_what_no_policy_looks_at_may_be_anything() -> None:
    odd: JsonObject = {"amount": 1, "payee": 7, "memo": {"deep": [[[]]]}, "tags": None, "x": 1e300}
    assert decide(policies(ABOUT_AMOUNT), call(arguments=odd)) is None


def test_a_missing_required_argument_refuses_though_a_forbid_would_be_skipped() -> None:
    # In Cedar alone, the `forbid` errors on the missing attribute, and the call is allowed.
    denied = decide(policies(ABOUT_AMOUNT), call(arguments={"payee": {"iban": "CH1"}}))
    assert code(denied) == "policy_failed"


def test_a_look_alike_of_a_missing_argument_refuses() -> None:
    found = policies(ABOUT_MEMO)
    assert decide(found, call(arguments=paying())) is None
    denied = decide(found, call(arguments=paying(Memo="urgent")))
    assert denied is not None
    assert denied.code == "policy_failed"
    assert "`Memo` may be taken for `memo`" in denied.because


def test_an_error_in_evaluating_refuses() -> None:
    overflowing = (
        '@id("sum") forbid(principal, action == Action::"bank/transfer", resource) '
        "when { context.input.amount * 9223372036854775807 > 5 };"
    )
    denied = decide(policies(overflowing), call(arguments=paying(amount=2)))
    assert denied is not None
    assert denied.code == "policy_failed"
    assert denied.rules == ("policy/p1@1/sum",)


def test_an_error_beside_a_forbid_that_holds_refuses_as_well() -> None:
    overflowing = (
        'forbid(principal, action == Action::"bank/transfer", resource) '
        "when { context.input.amount * 9223372036854775807 > 5 };"
    )
    found = policies(overflowing, "forbid(principal, action, resource);")
    assert code(decide(found, call(arguments=paying(amount=2)))) == "policy_failed"


def test_somebody_who_is_not_declared_any_more_refuses_where_a_policy_looks_at_them() -> None:
    found = policies(
        'forbid(principal, action, resource) unless { principal.owner.roles.contains("operator") };'
    )
    assert decide(found) is None
    assert code(decide(found, chain=(replace(MANDATE, agent="gone"),))) == "policy_failed"


def test_an_unknown_address_is_not_taken_for_no_zone() -> None:
    found = policies(
        'forbid(principal, action, resource) when { context.run.zones.contains("guest") };'
    )
    assert code(decide(found)) == "policy_failed"
    there = FreshRun(Facts(zones=frozenset({"office"})))
    assert decide(found, labels=there) is None


def test_a_text_that_cannot_be_read_refuses_every_call() -> None:
    found = policies("forbid(principal, action")
    assert code(decide(found)) == "policy_failed"
    assert code(decide(found, call("mail/send", {}))) == "policy_failed"


def test_whatever_breaks_inside_refuses() -> None:
    assert code(decide(policies(ABOUT_AMOUNT), chain=())) == "policy_failed"


# --- definitions that change ---------------------------------------------------------------------


def test_a_policy_that_no_longer_fits_a_tool_refuses_that_tool_alone() -> None:
    changed: JsonObject = {"type": "object", "properties": {"sum": {"type": "integer"}}}
    bank = {**DEFINITIONS["bank"], "transfer": definition(changed)}
    found = policies(ABOUT_AMOUNT, at=house({**DEFINITIONS, "bank": bank}))
    denied = decide(found)
    assert denied is not None
    assert denied.code == "policy_failed"
    assert denied.rules == ("policy/p1@1/1",)
    assert "attribute `input.amount`" in denied.because
    assert decide(found, call("bank/balance", {})) is None


def test_a_general_policy_refuses_a_new_tool_that_it_does_not_fit() -> None:
    general = (
        "forbid(principal, action, resource) when "
        "{ context has input && context.input has amount && context.input.amount > 5000 };"
    )
    with_text: JsonObject = {"type": "object", "properties": {"amount": {"type": "string"}}}
    mail = {**DEFINITIONS["mail"], "bill": definition(with_text)}
    found = policies(general, at=house({**DEFINITIONS, "mail": mail}))
    assert decide(found) is None
    assert decide(found, call("mail/send", {})) is None
    assert code(decide(found, call("mail/bill", {"amount": "1"}))) == "policy_failed"


def test_a_tool_nobody_has_seen_is_refused_where_a_policy_may_be_about_it() -> None:
    found = policies('forbid(principal == Agent::"scout", action, resource == Server::"bank");')
    assert code(decide(found, call("bank/unheard", {}))) == "policy_failed"
    assert decide(found, call("mail/unheard", {})) is None


def test_a_name_its_server_does_not_have_refuses_all_of_that_server() -> None:
    misspelt = 'forbid(principal, action == Action::"bank/trasnfer", resource);'
    found = policies(misspelt)
    denied = decide(found)
    assert denied is not None
    assert denied.code == "policy_failed"
    assert "there is no tool `bank/trasnfer`" in denied.because
    assert decide(found, call("mail/send", {})) is None


def test_a_policy_about_a_server_that_has_shown_nothing_waits_for_it() -> None:
    early = (
        'forbid(principal, action == Action::"files/write", resource) '
        'when { context.input.path like "/etc/*" };'
    )
    assert decide(policies(early)) is None
    shown = {**DEFINITIONS, "files": {"write": definition({"type": "object"})}}
    found = policies(early, at=house(shown))
    assert code(decide(found, call("files/write", {"path": "/etc/x"}))) == "policy_failed"
    typed: JsonObject = {
        "type": "object",
        "properties": {"path": {"type": "string"}},
        "required": ["path"],
    }
    shown = {**DEFINITIONS, "files": {"write": definition(typed)}}
    found = policies(early, at=house(shown))
    assert code(decide(found, call("files/write", {"path": "/etc/x"}))) == "denied_by_policy"
    assert decide(found, call("files/write", {"path": "/tmp/x"})) is None


# --- versions ------------------------------------------------------------------------------------


def test_the_version_is_that_of_the_texts_and_not_of_what_servers_show() -> None:
    one = CedarPolicies([policy(FORBID_LARGE)], house())
    shown = {**DEFINITIONS, "mail": {}}
    assert one.version == CedarPolicies([policy(FORBID_LARGE)], house(shown)).version
    assert len(one.version) == 64
    other = CedarPolicies([replace(policy(FORBID_LARGE), digest="e" * 64)], house())
    assert other.version != one.version


def test_made_up_tools_and_resources_are_not_remembered() -> None:
    found = policies('forbid(principal == Agent::"scout", action, resource);')
    for number in range(50):
        decide(found, call(f"bank/made-up-{number}", {}))
        decide(found, call(f"files/file:///{number}", {}, CallKind.RESOURCE))
    assert len(found._gates) == 1


@pytest.mark.parametrize(
    ("condition", "about"),
    [
        ("context.run.untrusted", True),
        ('context.run.confidential.contains("salary")', True),
        ("context.run has untrusted", True),
        ("context.run == context.run", True),
        ("context == context", True),
        ('context.run.purpose == "x"', False),
        ("context.time.hour < 6", False),
    ],
)
def test_policies_say_whether_they_look_at_what_a_run_has_read(condition: str, about: bool) -> None:
    found = policies(f"forbid(principal, action, resource) when {{ {condition} }};")
    assert found.about_reading is about
    assert not CedarPolicies([], house()).about_reading
