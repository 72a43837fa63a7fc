"""`judge` with limits: a payment under twenty rules, six limits of every kind, and the labels of a
run that was told what to do and has read mail."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.context import NO_LABELS, NO_POLICIES, NO_STEP
from bailiwick.core.flow.labels import NO_FACTS
from bailiwick.core.flow.run_memory import RunLabels, RunMemory
from bailiwick.core.flow.worth import Worths
from bailiwick.core.judge import judge
from bailiwick.core.limits.books import Books
from bailiwick.core.limits.charging import charges
from bailiwick.core.mandate import Mandate
from bailiwick.core.verdict import Allow, Deny
from bailiwick.declared import compile_agent, compile_mandate, compile_person, load_text

NOW = 1_795_363_200_000
"""2026-11-22 16:00 UTC, in Unix milliseconds."""

GOAL_US = 60.0
USED_CALLS = 500
"""Calls that the books hold already."""

_HOUSE = """\
servers:
  {bank: {command: [b]}, contacts: {command: [c]}, mail: {command: [m]}, web: {command: [w]}}
people: {ada: {name: Ada, roles: [treasurer]}}
agents: {clerk: {owner: ada}}
mandates:
  pay:
    from: ada
    to: clerk
    allow:
      - {tools: [bank/list_*, bank/balance], other_arguments: allow}
      - tool: bank/transfer
        when:
          amount: {at_most: 5000}
          currency: {one_of: [CHF, EUR]}
          payee.iban: {matches: ["CH*", "DE*"]}
          payee.name: {any: true}
          memo: {any: true}
"""
_LIMITS = """\
    limits:
      - {id: day, tool: bank/transfer, sum: amount, currency: {argument: currency},
         at_most: {CHF: 9000000, EUR: 9000000}, each: day, zone: Europe/Zurich}
      - {id: payee, tool: bank/transfer, sum: amount, currency: {argument: currency},
         at_most: {CHF: 9000000, EUR: 9000000}, each: month, zone: Europe/Zurich, per: payee.iban}
      - {id: faces, tool: bank/transfer, distinct: payee.iban, at_most: 50, each: week, zone: UTC}
      - {id: pace, tool: bank/*, calls: 10000, within: 10m}
      - {id: run, tool: bank/*, calls: 10000, each: run}
      - {id: at-once, tool: bank/transfer, at_once: 1000}
"""
_FLOW = """\
    flow:
      results: [{tool: contacts/*, trusted: true}, {tool: mail/*, confidential: [mail]}]
      accepts: [{tool: bank/*, confidential: [mail]}, {tool: web/*, untrusted: false}]
"""
_ARGUMENTS: JsonObject = {
    "amount": 120.5,
    "currency": "CHF",
    "payee": {"iban": "CH93 0076 2011 6238 5295 7", "name": "Muster AG"},
    "memo": "Invoice 4711",
}


def _rules() -> str:
    deny = "".join(
        f"      - {{tool: bank/transfer, when: {{payee.name: {{one_of: [Mallory {n} Ltd]}}}}}}\n"
        for n in range(9)
    )
    stamp = "".join(
        f"      - {{tool: bank/transfer, when: {{amount: {{at_least: {1000 + n}}}}}}}\n"
        for n in range(9)
    )
    return f"{_HOUSE}    deny:\n{deny}    stamp:\n{stamp}"


def _judging(text: str) -> Callable[[], Callable[[], object]]:
    def prepare() -> Callable[[], object]:
        declared = load_text(text)
        people = {name: compile_person(each) for name, each in declared.of("person").items()}
        agents = {name: compile_agent(each) for name, each in declared.of("agent").items()}
        chain = (compile_mandate(declared.objects["mandate", "pay"], 1, people, agents),)
        labels = _labels(chain[0]) if "flow:" in text else NO_LABELS
        target = Target(CallKind.TOOL, "bank", "transfer")
        call = Call.of("01KB0000000000000000000001", target, _ARGUMENTS)
        books = Books()
        for number in range(USED_CALLS):
            taken = charges(call, chain, "", NOW + number)
            assert not isinstance(taken, Deny)
            books.reserve(str(number), NOW + number, taken)

        def judgement() -> object:
            now = NOW + USED_CALLS
            return judge(call, chain, NO_POLICIES, books, labels, NO_STEP, now)

        verdict = judgement()
        assert isinstance(verdict, Allow), verdict
        assert len(verdict.charges) == (6 if "limits:" in text else 0)
        return judgement

    return prepare


def _labels(mandate: Mandate) -> RunLabels:
    memory = RunMemory(Worths((), [mandate.flow]))
    memory.told("Pay invoice 4711 of Muster AG.", "person")
    read = Call.of("01KB0000000000000000000000", Target(CallKind.TOOL, "mail", "read"), {})
    memory.sending(read)
    memory.learn(read, json.dumps({"content": [{"type": "text", "text": "due " * 2000}]}).encode())
    return RunLabels(NO_FACTS, memory)


LIMIT_CASES: Mapping[str, tuple[Callable[[], Callable[[], object]], float | None]] = {
    "20 rules": (_judging(_rules()), None),
    "20 rules, 6 limits": (_judging(_rules() + _LIMITS), GOAL_US),
    "20 rules, 6 limits and labels": (_judging(_rules() + _LIMITS + _FLOW), GOAL_US),
    "20 rules, 6 limits, labels and a vouched payee": (
        _judging(
            _rules().replace("payee.name: {any: true}", "payee.name: {vouched: true}")
            + _LIMITS
            + _FLOW
        ),
        GOAL_US,
    ),
}
"""By name: what prepares the judgement, and the most its median may take, in microseconds."""
