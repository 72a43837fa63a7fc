"""Runs of an agent that thinks through the gateway, as records: for the pages that tell runs."""

from __future__ import annotations

from dataclasses import dataclass

from bailiwick.core.canonical import Json, JsonObject, canonical
from bailiwick.core.limits.limit import SUM_SCALE
from bailiwick.ports import CallPath, CallRow, CallState, HoldRow, HoldState, RunRow, StampRow
from bailiwick.ports import StoredEntry as Stored
from bailiwick.testing.sample_day import MANDATE, SampleDay, ulid

INSTRUCTION = "Pay the rent that is due."


@dataclass(frozen=True, slots=True)
class Thinking:
    """How a run goes.

    Attributes:
        model: `SERVER/MODEL` that serves.
        reasoning: what the model reasons before it asks for the payment.
        amount: what it asks to have paid.
        paid: what the agent really asks the bank to pay.
        unasked: whether the agent then reads a file that the model never asked for.
        held: whether the payment waited for ben's stamp.
    """

    model: str = "local/tiny"
    reasoning: str = "The rent is due today, so it is to be paid."
    amount: str = "900.00"
    paid: str = "900.00"
    unasked: bool = False
    held: bool = True


def add_thinking_run(day: SampleDay, number: int, how: Thinking | None = None) -> str:
    """Record a run whose calls have the ids `ulid(number + 1)` and up; its id."""
    how = how or Thinking()
    run = ulid(number)
    upstream, _, name = how.model.partition("/")
    thought = ulid(number + 1)
    arguments = f'{{"amount": "{how.amount}"}}'
    told: list[Json] = [{"role": "user", "content": INSTRUCTION}]
    asked: JsonObject = {
        "model": "assistant",
        "temperature": 0,
        "messages": told,
        "tools": [{"type": "function", "function": {"name": "bank__transfer"}}],
    }
    said: JsonObject = {
        "model": f"{name}-0001",
        "finish": "tool_calls",
        "text": "I pay it.",
        "reasoning": [
            {"visibility": "full", "text": how.reasoning},
            {"visibility": "encrypted", "text": "gAAA"},
        ],
        "tool_calls": [{"id": "t1", "name": "bank__transfer", "arguments": arguments}],
        "usage": {"input": 120, "output": 30},
    }
    facts: JsonObject = {"dialect": "chat", "http_status": 200, "served": f"{name}-0001"}
    used: JsonObject = {"cost:USD": SUM_SCALE // 8}
    use: JsonObject = {"asked_as": "assistant", "bounds": {}}
    _add(
        day,
        run,
        number + 1,
        f"model {upstream}/{name}",
        {"call": {"arguments": asked}, "use": use},
        {"result": {}, "said": said, "used": used},
        facts,
    )
    match: JsonObject = {"match": "matched", "model_call": thought, "tool_call": "t1"}
    if how.paid != how.amount:
        match = {**match, "match": "altered", "differences": ["amount"]}
    paid: JsonObject = {"amount": how.paid, "creditor": "<b>Landlord</b>\u202e"}
    _add(
        day,
        run,
        number + 2,
        "tool bank/transfer",
        {"call": {"arguments": paid}, "thought": match},
        {"result": {"content": [{"type": "text", "text": "paid"}]}},
        held=how.held,
    )
    if how.unasked:
        _add(
            day,
            run,
            number + 3,
            "tool files/read",
            {"call": {"arguments": {"path": "/etc/passwd"}}, "thought": {"match": "unasked"}},
            None,
            state=CallState.DENIED,
        )
    rows = [row for row in day.records.call_rows.values() if row.run == run]
    states: dict[str, int] = {}
    for row in rows:
        states[row.state] = states.get(row.state, 0) + 1
    day.records.run_rows[run] = RunRow(
        run, f"session:{number}", rows[0].at_ms, "clerk", MANDATE, len(rows), states
    )
    return run


def _add(
    day: SampleDay,
    run: str,
    number: int,
    what: str,
    intent: JsonObject,
    outcome: Json,
    facts: JsonObject | None = None,
    *,
    state: CallState = CallState.DONE,
    held: bool = False,
) -> None:
    kind, _, target = what.partition(" ")
    upstream, _, name = target.partition("/")
    at_ms = day.clock.wall - 60_000 + number
    denied = state is CallState.DENIED
    index = len(day.records.entry_rows)
    row = CallRow(
        id=ulid(number),
        at_ms=at_ms,
        run=run,
        agent="clerk",
        mandate=MANDATE,
        principal="ada",
        kind=kind,
        upstream=upstream,
        name=name,
        digest="",
        state=state,
        code="not_in_mandate" if denied else "",
        because=f"{upstream}/{name} was judged",
        hold=ulid(number + 500) if held else "",
        ended_ms=at_ms + 38,
        intent_index=index,
        outcome_index=None if denied else index + 1,
    )
    day.records.call_rows[row.id] = row
    first: JsonObject = {
        "v": 1,
        "type": "call.intent",
        "id": row.id,
        "at": at_ms,
        "agent": "clerk",
        "decision": "deny" if denied else "hold" if held else "allow",
        "code": "allowed",
        "mandate": MANDATE,
        "rules": [f"{MANDATE}/allow/1"],
        "edge": "llm/chat" if kind == "model" else "mcp/2026-07-28",
        "arguments": "5f0c9a7d" * 8,
    }
    leaves = [(index, first)]
    if not denied:
        last: JsonObject = {"v": 1, "type": "call.outcome", "id": row.id, "result": "6a" * 32}
        leaves.append((index + 1, {**last, "facts": facts} if facts else last))
    day.records.entry_rows += [Stored(i, canonical(each), b"") for i, each in leaves]
    hold = _stamped(row, at_ms) if held else None
    if hold is not None:
        day.records.hold_rows[hold.id] = hold
    whole: JsonObject = {**intent, "because": row.because}
    day.control.paths[row.id] = CallPath(row, hold, whole, outcome, leaves)
    day.control.proofs[row.id] = []


def _stamped(row: CallRow, at_ms: int) -> HoldRow:
    stamp = StampRow(row.hold, "ben", "approve", "it is due", "passkey", at_ms + 20, "…", 0)
    return HoldRow(
        id=row.hold,
        call=row.id,
        digest="",
        mandate=MANDATE,
        agent="clerk",
        run=row.run,
        kind=row.kind,
        upstream=row.upstream,
        name=row.name,
        because="a payment needs a stamp",
        rules=(f"{MANDATE}/stamp/1",),
        role="approver",
        excluded=(),
        count=1,
        rendering="Pay the rent",
        nonce="n",
        at_ms=at_ms,
        expires_ms=at_ms + 60_000,
        state=HoldState.USED,
        decided_ms=at_ms + 20,
        stamps=(stamp,),
    )
