"""`judge` with flow: a payment whose account and amount must be vouched for, in a run that has read
40 KB of trusted results and as much mail, and has just sent another call (so nothing is remembered
from an earlier question)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.context import NO_COUNTERS, NO_POLICIES, NO_STEP
from bailiwick.core.flow.run_memory import RunMemory
from bailiwick.core.flow.worth import Worths
from bailiwick.core.judge import judge
from bailiwick.core.verdict import Allow, Hold
from bailiwick.declared import compile_agent, compile_mandate, compile_person, load_text

NOW = 1_795_363_200_000
"""2026-11-22 16:00 UTC, in Unix milliseconds."""

GOAL_US = 60.0
LEARN_GOAL_US = 100.0

_HOUSE = """\
servers: {bank: {command: [bank]}, contacts: {command: [contacts]}, mail: {command: [mail]}}
people: {ada: {name: Ada, roles: [treasurer]}}
agents: {clerk: {owner: ada}}
mandates:
  pay:
    from: ada
    to: clerk
    allow:
      - {tools: [contacts/*, mail/*], other_arguments: allow}
      - tool: bank/transfer
        when: {iban: {vouched: true}, amount: {vouched: true, at_most: 5000}, memo: {any: true}}
    flow:
      results: [{tool: contacts/*, trusted: true}, {tool: mail/*, confidential: [mail]}]
      accepts: [{tool: bank/*, confidential: [mail]}]
      vouch: {role: treasurer}
"""
_BOOK = [
    {"name": f"Person {n}", "iban": f"CH93{n:017d}", "mail": f"p{n}@a.example"} for n in range(110)
]
"""About 10 KB as a result."""


def _call(target: str, arguments: JsonObject) -> Call:
    upstream, _, name = target.partition("/")
    return Call.of("01KB0000000000000000000001", Target(CallKind.TOOL, upstream, name), arguments)


def _result(text: str) -> bytes:
    return json.dumps({"content": [{"type": "text", "text": text}]}).encode()


def _paying(iban: str, wanted: type) -> Callable[[], Callable[[], object]]:
    def prepare() -> Callable[[], object]:
        declared = load_text(_HOUSE)
        people = {name: compile_person(each) for name, each in declared.of("person").items()}
        agents = {name: compile_agent(each) for name, each in declared.of("agent").items()}
        chain = (compile_mandate(declared.objects["mandate", "pay"], 1, people, agents),)
        memory = RunMemory(Worths((), [chain[0].flow]))
        memory.told("Pay 120.50 to Person 7, please.", "person")
        for page in range(4):
            find, read = _call("contacts/find", {"page": page}), _call("mail/read", {"n": page})
            memory.sending(find)
            memory.learn(find, _result(json.dumps(_BOOK)))
            memory.sending(read)
            memory.learn(read, _result("Dear Ann, the invoice of December is due. " * 240))
        call = _call("bank/transfer", {"iban": iban, "amount": 120.5, "memo": "rent"})
        between = _call("mail/read", {})

        def judged() -> object:
            memory.sending(between)
            return judge(call, chain, NO_POLICIES, NO_COUNTERS, memory, NO_STEP, NOW)

        verdict = judged()
        assert isinstance(verdict, wanted), verdict
        return judged

    return prepare


def _learning() -> Callable[[], object]:
    memory = RunMemory(Worths((), ()))
    call, body = _call("mail/read", {}), _result(json.dumps(_BOOK))
    return lambda: memory.learn(call, body)


FLOW_CASES: Mapping[str, tuple[Callable[[], Callable[[], object]], float | None]] = {
    "two vouched values": (_paying(f"CH93{7:017d}", Allow), GOAL_US),
    "a value nobody vouches for": (_paying("DE89370400440532013000", Hold), None),
    "a result of 10 KB, learned": (_learning, LEARN_GOAL_US),
}
"""By name: what prepares the judgement, and the most its median may take, in microseconds."""
