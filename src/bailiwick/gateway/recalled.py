"""A run's memory, built again from the record: after a restart, or when it had been forgotten.

1. Its calls are read, oldest first as the ledger has them. One that was never sent (denied, or held
   and not let run) has taught the run nothing.
2. Sending a call stands at the entry that let it run, its result at the entry of its outcome, a
   stamp where it was used; in this order the memory hears of them.
3. What cannot be opened (a person's key was destroyed, a payload is damaged), or is more than is
   looked at, is lost, and the memory is told so: doubt means no.

A result too large to be recorded whole is not learned from when it is fresh either, so a memory
that is built again vouches for nothing that the first one did not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from bailiwick.core.call import NOTHING, Call, CallKind, Target
from bailiwick.core.canonical import Json
from bailiwick.core.errors import TheirError, VerificationError
from bailiwick.core.flow.flowing import stamped_values
from bailiwick.core.flow.run_memory import RunMemory
from bailiwick.gateway.recorder import Recorder
from bailiwick.ports import CallQuery, CallRow, CallState, HoldRow, Records

MAX_CALLS = 5_000
"""Calls of one run that are read again."""

_PAGE = 500
_SENT = frozenset(
    {CallState.RUNNING, CallState.DONE, CallState.FAILED, CallState.CANCELLED, CallState.UNKNOWN}
)
_ANSWERED = frozenset({CallState.DONE, CallState.FAILED})

_Step = Callable[[RunMemory], None]


@dataclass(frozen=True, slots=True)
class _Event:
    """Something that happened, by the ledger entry at which it did."""

    index: int
    step: _Step


class Recalled:
    """Reads runs from the record."""

    def __init__(self, records: Records, recorder: Recorder) -> None:
        self._records = records
        self._recorder = recorder

    async def into(self, memory: RunMemory, run: str) -> RunMemory:
        """Tell `memory` all that `run` has done. Raises StoreError."""
        rows = await self._rows(run)
        if rows is None:
            memory.lost()
            return memory
        events: list[_Event] = []
        try:
            for row in rows:
                events += await self._events(row, texts=memory.keeps_texts)
        except (VerificationError, TheirError, msgspec.ValidationError):
            memory.lost()
        for event in sorted(events, key=lambda event: event.index):
            event.step(memory)
        return memory

    async def _rows(self, run: str) -> list[CallRow] | None:
        """The calls of a run that were sent; None if there are too many."""
        rows: list[CallRow] = []
        before = ""
        while True:
            page = await self._records.calls(CallQuery(limit=_PAGE, before=before, run=run))
            rows += page
            if len(rows) > MAX_CALLS:
                return None
            if len(page) < _PAGE:
                return [row for row in rows if was_sent(row)]
            before = page[-1].id

    async def _events(self, row: CallRow, *, texts: bool) -> Sequence[_Event]:
        sent_at = row.intent_index if row.approved_index is None else row.approved_index
        target = Target(CallKind(row.kind), row.upstream, row.name)
        if not texts:
            bare = Call.of(row.id, target, NOTHING)
            return [_Event(sent_at, lambda memory: memory.sending(bare))]
        call = _call(row, target, await self._payload(sent_at))
        events: list[_Event] = []
        if row.approved_index is not None:
            hold = await self._records.hold(row.hold)
            if hold is not None:
                stamped = hold
                events.append(_Event(sent_at, lambda memory: endorse(memory, call, stamped)))
        events.append(_Event(sent_at, lambda memory: memory.sending(call)))
        if row.state in _ANSWERED and row.outcome_index is not None:
            body = _body(await self._payload(row.outcome_index))
            if body is not None:
                events.append(_Event(row.outcome_index, lambda memory: memory.learn(call, body)))
        return events

    async def _payload(self, index: int) -> Mapping[str, Json]:
        """What is sealed beside an entry; empty if nothing is."""
        (entry,) = await self._records.entries(index, index + 1)
        if not entry.sealed:
            return {}
        opened = self._recorder.open(entry.leaf, entry.sealed)
        return opened if isinstance(opened, Mapping) else {}


def endorse(memory: RunMemory, call: Call, hold: HoldRow) -> None:
    """Let the stamps on `hold` vouch for the values that it waited for."""
    people = ", ".join(stamp.person for stamp in hold.stamps if stamp.decision == "approve")
    for value in stamped_values(hold.rules, call):
        memory.endorsed(value, people)


def was_sent(row: CallRow) -> bool:
    """Whether a call went to its server, whatever came of it."""
    return row.state in _SENT and (not row.hold or row.approved_index is not None)


def _call(row: CallRow, target: Target, payload: Mapping[str, Json]) -> Call:
    asked = payload.get("call")
    if not isinstance(asked, Mapping):
        raise VerificationError("payload_damaged", f"the intent of call `{row.id}` is not there")
    arguments, beside = asked.get("arguments"), asked.get("beside", NOTHING)
    if not isinstance(arguments, Mapping) or not isinstance(beside, Mapping):
        raise VerificationError("payload_damaged", f"the intent of call `{row.id}` is no call")
    return Call.of(row.id, target, arguments, beside)


def _body(payload: Mapping[str, Json]) -> bytes | None:
    """What came back, if it was recorded whole."""
    for key in ("result", "error"):
        if key in payload:
            return msgspec.json.encode(payload[key])
    return None
