"""`flow:` of mandates, `results:` of servers and `vouched:` conditions: read, checked, compiled."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bailiwick.core.call import CallKind
from bailiwick.core.conditions import Vouched
from bailiwick.core.flow.labels import NO_FLOW, Accepts, Flow, ResultLabels
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.declared import compile_server, from_document, load_text
from tests.unit.declared.house import PEOPLE, problems
from tests.unit.declared.test_only import compiled

SERVERS = """\
servers:
  bank: {command: [bank]}
  mail:
    command: [mail]
    results:
      - {tools: "*", confidential: [mail]}
      - {tool: list_folders, trusted: true}
      - {resource: "mail://drafts/*", trusted: false}
"""


def house(flow: str, *, when: str = "{payee.iban: {vouched: true}}", more: str = "") -> str:
    return (
        SERVERS
        + PEOPLE
        + f"""\
mandates:
  pay:
    from: ada
    to: clerk
    allow:
      - tool: bank/transfer
        when: {when}
{more}    flow: {flow}
"""
    )


def tool(server: str, name: str) -> TargetPattern:
    return TargetPattern(CallKind.TOOL, server, name)


def test_what_a_server_is_said_to_give_is_about_its_own_names() -> None:
    declared = load_text(house("{vouch: {role: treasurer}}"))
    expected = (
        ResultLabels((tool("mail", "*"),), None, frozenset({"mail"})),
        ResultLabels((tool("mail", "list_folders"),), True),
        ResultLabels((TargetPattern(CallKind.RESOURCE, "mail", "mail://drafts/*"),), False),
    )
    server = declared.objects["server", "mail"]
    assert compile_server(server).results == expected
    assert compile_server(from_document(server.document)).results == expected


@pytest.mark.parametrize("stored", [False, True])
def test_flow_rules_of_a_mandate(stored: bool) -> None:
    text = house(
        "{results: [{tool: bank/payees, trusted: true, fields: ['[].iban', a.b]}, "
        "{tool: mail/*, confidential: [mail, hr]}], "
        "accepts: [{id: out, tool: bank/*, untrusted: false, confidential: [], otherwise: hold, "
        "role: treasurer}, {tool: mail/send, confidential: [mail]}], "
        "vouch: {role: treasurer, instruction: person}}"
    )
    assert load_text(text).warnings == ()
    assert compiled(text, stored=stored).flow == Flow(
        results=(
            ResultLabels((tool("bank", "payees"),), True, fields=("[].iban", "a.b")),
            ResultLabels((tool("mail", "*"),), None, frozenset({"mail", "hr"})),
        ),
        accepts=(
            Accepts(
                "pay@1/accepts/out", (tool("bank", "*"),), False, frozenset(), "hold", "treasurer"
            ),
            Accepts("pay@1/accepts/2", (tool("mail", "send"),), True, frozenset({"mail"})),
        ),
        vouch_role="treasurer",
        person_instructs=True,
    )


def test_a_mandate_without_flow_has_none() -> None:
    text = house("{vouch: {instruction: anyone}}").replace(
        "    flow: {vouch: {instruction: anyone}}\n", ""
    )
    mandate = compiled(text)
    assert mandate.flow is NO_FLOW
    assert mandate.allow[0].vouched == (("payee", "iban"),)
    assert mandate.allow[0].conditions == (Vouched(("payee", "iban")),)


def test_vouched_names_the_argument_and_stands_beside_other_conditions() -> None:
    when = "{payee.iban: {vouched: true, matches: 'CH*'}, memo: {vouched: true, optional: true}}"
    rule = compiled(house("{vouch: {role: treasurer}}", when=when)).allow[0]
    assert rule.vouched == (("memo",), ("payee", "iban"))
    assert rule.names == {"payee": {"iban": None}, "memo": None}


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        ("{}", "flow rules needs `results` or `accepts` or `vouch`"),
        ("{results: [{tool: bank/*}]}", "says nothing: give `trusted`, `confidential` or both"),
        ("{accepts: [{tool: bank/*}]}", "says nothing: give `untrusted`, `confidential` or both"),
        ("{results: [{trusted: true}]}", "a statement about results needs `tool`"),
        ("{results: [{tool: bonk/*, trusted: true}]}", "there is no server `bonk`, did you mean"),
        ("{results: [{tool: bank/*, trust: true}]}", "unknown key `trust`, did you mean `trusted`"),
        (
            "{accepts: [{tool: bank/*, untrusted: false, otherwise: refuse, role: treasurer}]}",
            "nobody stamps what is refused: write `otherwise: hold`",
        ),
        (
            "{accepts: [{tool: bank/*, untrusted: false, role: treasurer}]}",
            "`role` goes with `otherwise` only",
        ),
        (
            "{results: [{tool: bank/*, confidential: [x], fields: [a.b]}]}",
            "`fields` says what of a result is trusted: write `trusted: true`",
        ),
        ("{results: [{tool: bank/*, trusted: true, fields: ['a..b']}]}", "a name is empty"),
        ("{vouch: {instruction: agent}}", "`agent` is not known"),
        (
            "{accepts: [{id: a, tool: bank/*, untrusted: false}, "
            "{id: a, tool: bank/*, untrusted: true}]}",
            "the rule `a` is there already",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(flow: str, message: str) -> None:
    (first, *_) = problems(house(flow))
    assert message in first
    assert ":" in first


@pytest.mark.parametrize("section", ["deny", "stamp"])
def test_vouched_means_nothing_outside_allow_rules(section: str) -> None:
    more = (
        f"    {section}:\n      - tool: bank/transfer\n        when: {{memo: {{vouched: true}}}}\n"
    )
    (problem,) = problems(house("{vouch: {role: treasurer}}", more=more))
    assert "`vouched` stands in allow rules only" in problem


def test_vouched_of_items_is_written_on_their_path() -> None:
    found = problems(house("{vouch: {role: treasurer}}", when="{'to[]': {all: {vouched: true}}}"))
    assert any("unknown key `vouched`" in problem for problem in found)
    rule = compiled(
        house("{vouch: {role: treasurer}}", when="{'to[].iban': {vouched: true}}")
    ).allow[0]
    assert len(rule.vouched) == 1


@pytest.mark.parametrize(
    ("flow", "when", "message"),
    [
        (
            "{vouch: {role: tresurer}}",
            "{payee.iban: {vouched: true}}",
            "nobody has the role `tresurer`, so nobody can stamp, did you mean `treasurer`?",
        ),
        (
            "{vouch: {role: treasurer}}",
            "{payee.iban: {any: true}}",
            "no allow rule asks for `vouched: true`, so this says nothing",
        ),
        (
            "{accepts: [{tool: bank/*, confidential: [mial]}]}",
            "{payee.iban: {any: true}}",
            "no results carry the label `mial`, did you mean `mail`?",
        ),
        (
            "{accepts: [{tool: bank/*, untrusted: false, otherwise: hold, role: nobody}]}",
            "{payee.iban: {any: true}}",
            "nobody has the role `nobody`",
        ),
    ],
)
def test_what_is_hardly_meant_is_a_warning(flow: str, when: str, message: str) -> None:
    (warning,) = load_text(house(flow, when=when)).warnings
    assert message in str(warning)


def test_the_example_of_the_page_on_flow_is_sound() -> None:
    page = (Path(__file__).parents[3] / "docs" / "flow.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    declared = load_text(example)
    assert declared.warnings == ()
    flow = compiled(example).flow
    assert (len(flow.accepts), flow.vouch_role, flow.person_instructs) == (2, "treasurer", True)
