"""Compiling: what was written is what is judged, from a file and from a store alike."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from bailiwick.core.argument_path import parse_argument_path
from bailiwick.core.call import CallKind
from bailiwick.core.conditions import Anything, AtLeast, AtMost, Matches, OneOf
from bailiwick.core.errors import ConfigError, StoreError
from bailiwick.core.mandate import MandateState
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.core.texts.glob import Glob
from bailiwick.declared import (
    Agent,
    Command,
    Declared,
    DeclaredPerson,
    Server,
    WebAddress,
    compile_agent,
    compile_mandate,
    compile_person,
    compile_server,
    from_document,
    load_text,
)
from tests.unit.declared.house import HOUSE, compiled

at = parse_argument_path


def stored(declared: Declared) -> Declared:
    """The same, as a store gives it back after a restart."""
    return Declared({key: from_document(found.document) for key, found in declared.objects.items()})


def test_a_mandate_means_what_was_written() -> None:
    pay = compiled(load_text(HOUSE), version=3)
    assert (pay.ref, pay.principal, pay.agent) == ("pay@3", "ada", "clerk")
    assert (pay.purpose, pay.state) == ("Pay suppliers", MandateState.ACTIVE)
    assert (pay.not_before, pay.not_after) == (1_767_225_600_000, 1_798_758_000_000)
    small, lists = pay.allow
    assert (small.id, lists.id) == ("pay@3/allow/small", "pay@3/allow/2")
    assert small.targets == (TargetPattern(CallKind.TOOL, "bank", "transfer"),)
    assert small.conditions == (
        AtMost(at("amount"), 5000),
        Anything(at("memo")),
        OneOf(at("payee.country"), ("CH", "NO")),
    )
    assert [str(each) for each in lists.targets] == ["bank/list_*", "bank/balance"]
    assert (small.other_arguments, lists.other_arguments) == (False, True)
    (deny,) = pay.deny
    assert deny.conditions == (Matches(at("payee.iban"), (Glob("RU*"),), optional=True),)
    assert (deny.id, deny.because) == ("pay@3/deny/1", "Sanctions")
    (stamp,) = pay.stamp
    assert stamp.conditions == (AtLeast(at("amount"), Decimal("1000.50")),)
    assert (stamp.role, stamp.count, stamp.expires_after_seconds) == ("treasurer", 1, 3600)


def test_requester_and_owner_become_names() -> None:
    both = HOUSE.replace("not: [requester]", "not: [requester, owner]")
    assert compiled(load_text(both)).stamp[0].excluded == {"ada", "grace"}
    named = HOUSE.replace("not: [requester]", "not: grace")
    assert compiled(load_text(named)).stamp[0].excluded == {"grace"}


def test_a_stored_house_compiles_to_the_same_values() -> None:
    declared = load_text(HOUSE)
    again = stored(declared)
    assert compiled(again) == compiled(declared)
    for name in ("bank", "web"):
        key = ("server", name)
        assert compile_server(again.objects[key]) == compile_server(declared.objects[key])
    for key, found in declared.objects.items():
        assert again.objects[key].digest == found.digest


def test_numbers_survive_the_store_exactly() -> None:
    text = HOUSE.replace("at_most: 5000", "at_most: 5000.25").replace(
        "{any: true}", "{one_of: [0.1, 1.0, 1e2, '1.0', true, null]}"
    )
    declared = load_text(text)
    assert compiled(stored(declared)) == compiled(declared)
    assert compiled(declared).allow[0].conditions[0] == AtMost(at("amount"), Decimal("5000.25"))


def test_the_digest_follows_meaning_not_layout() -> None:
    plain = load_text("people: {ada: {name: Ada, roles: [a]}}").objects["person", "ada"]
    laid_out = load_text("people:\n  ada:\n    roles:\n    - a\n    name: 'Ada'  # her\n")
    renamed = load_text("people: {eve: {name: Ada, roles: [a]}}").objects["person", "eve"]
    assert plain.digest == laid_out.objects["person", "ada"].digest
    assert plain.digest != renamed.digest


@pytest.mark.parametrize(
    "document",
    ["", "{}", "null", '{"kind":"person","name":"a"}', '{"kind":"spy","name":"a","spec":{}}',
     '{"name":"a","kind":"person","spec":{}}', '{"kind":"person","name":1,"spec":{}}'],
)  # fmt: skip
def test_a_damaged_document_is_refused(document: str) -> None:
    with pytest.raises(StoreError, match="canonical form"):
        from_document(document)


def test_a_document_is_canonical_json_of_kind_name_and_spec() -> None:
    found = load_text("people: {ada: {name: Ada}}").objects["person", "ada"]
    assert found.document == '{"kind":"person","name":"ada","spec":{"name":"Ada"}}'
    assert json.loads(found.document)["spec"] == found.spec


def test_servers_people_and_agents_mean_what_was_written() -> None:
    objects = load_text(HOUSE).objects
    bank, web = objects["server", "bank"], objects["server", "web"]
    assert compile_server(bank) == Server(
        name="bank",
        transport=Command(
            argv=("python", "-m", "bank"), env={"BANK_TOKEN": "${env:BANK_TOKEN}", "LOG": "info"}
        ),
        digest=bank.digest,
    )
    assert compile_server(web) == Server(
        name="web",
        transport=WebAddress(
            "https://example.com/mcp", {"Authorization": "Bearer ${file:/run/token}"}
        ),
        digest=web.digest,
        timeout_seconds=5,
    )
    person = DeclaredPerson("ada", "Ada", "ada@example.com", frozenset({"treasurer"}))
    assert compile_person(objects["person", "ada"]) == person
    assert compile_agent(objects["agent", "clerk"]) == Agent("clerk", "grace", "Pays bills")


def test_every_setting_of_a_server_arrives() -> None:
    text = (
        "servers: {b: {command: [x], cwd: /srv, instances: session, protocol: '2025-06-18', "
        "timeout_seconds: 7, description: D, max_response_bytes: 2048}}"
    )
    server = compile_server(load_text(text).objects["server", "b"])
    assert server.transport == Command(("x",), {}, "/srv", "session")
    assert (server.protocol, server.timeout_seconds) == ("2025-06-18", 7)
    assert (server.description, server.max_response_bytes) == ("D", 2048)


def test_all_kinds_of_targets_can_be_named() -> None:
    text = HOUSE.replace(
        "tools: [bank/list_*, bank/balance]",
        "resources: ['web/file:///work/*']\n        prompt: web/*\n        client: web/sampling",
    )
    targets = compiled(load_text(text)).allow[1].targets
    assert targets == (
        TargetPattern(CallKind.RESOURCE, "web", "file:///work/*"),
        TargetPattern(CallKind.PROMPT, "web", "*"),
        TargetPattern(CallKind.CLIENT, "web", "sampling"),
    )


def test_a_mandate_of_somebody_who_is_gone_does_not_compile() -> None:
    declaration = load_text(HOUSE).objects["mandate", "pay"]
    ada = DeclaredPerson("ada", "Ada")
    with pytest.raises(ConfigError, match="there is no person `ada`"):
        compile_mandate(declaration, 1, {}, {})
    with pytest.raises(ConfigError, match="there is no agent `clerk`"):
        compile_mandate(declaration, 1, {"ada": ada}, {})
