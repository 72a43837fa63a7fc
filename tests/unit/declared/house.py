"""A small house of declarations for tests."""

from __future__ import annotations

from bailiwick.core.mandate import Mandate
from bailiwick.declared import (
    DeclarationError,
    Declared,
    compile_agent,
    compile_mandate,
    compile_person,
    load_text,
)

PEOPLE = """\
people:
  ada: {name: Ada, email: ada@example.com, roles: [treasurer]}
  grace: {name: Grace, roles: [treasurer]}
agents:
  clerk: {owner: grace, description: Pays bills}
"""

SERVERS = """\
servers:
  bank:
    command: [python, -m, bank]
    env: {BANK_TOKEN: "${env:BANK_TOKEN}", LOG: info}
  web:
    url: https://example.com/mcp
    headers: {Authorization: "Bearer ${file:/run/token}"}
    timeout_seconds: 5
"""

MANDATE = """\
mandates:
  pay:
    from: ada
    to: clerk
    purpose: Pay suppliers
    valid: {from: "2026-01-01T00:00:00Z", until: "2027-01-01T00:00:00+01:00"}
    allow:
      - tool: bank/transfer
        id: small
        when:
          amount: {at_most: 5000}
          payee.country: {one_of: [CH, NO]}
          memo: {any: true}
      - tools: [bank/list_*, bank/balance]
        other_arguments: allow
    deny:
      - tool: bank/transfer
        when: {payee.iban: {matches: "RU*", optional: true}}
        because: Sanctions
    stamp:
      - tool: bank/transfer
        when: {amount: {at_least: "1000.50"}}
        role: treasurer
        not: [requester]
        expires: 1h
        because: Large payment
"""

HOUSE = SERVERS + PEOPLE + MANDATE


def problems(text: str, file: str = "f.yaml", **options: object) -> list[str]:
    """Every problem of `text`, as printed; empty if there is none."""
    try:
        load_text(text, file, **options)  # type: ignore[arg-type]
    except DeclarationError as error:
        return [str(problem) for problem in error.problems]
    return []


def warnings(text: str, **options: object) -> list[str]:
    return [str(each) for each in load_text(text, "f.yaml", **options).warnings]  # type: ignore[arg-type]


def compiled(declared: Declared, name: str = "pay", version: int = 1) -> Mandate:
    people = {each: compile_person(found) for each, found in declared.of("person").items()}
    agents = {each: compile_agent(found) for each, found in declared.of("agent").items()}
    return compile_mandate(declared.objects["mandate", name], version, people, agents)
