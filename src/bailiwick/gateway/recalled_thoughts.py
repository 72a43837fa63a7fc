"""What a run's models asked for, built again from the record: after a restart, or when forgotten.

1. The latest calls of the run are read, oldest first as the ledger has them. If there were more,
   something may be missing, and the memory says so.
2. An answer of a model stands at the entry of its outcome; a call that was made, at the entry that
   let it run; what was told to a model, at the entry of that model call.
3. What cannot be opened was missed: doubt means no.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from bailiwick.core.call import CallKind
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import TheirError, VerificationError
from bailiwick.core.thinking.asked_calls import digest_of_arguments
from bailiwick.core.thinking.said_and_did import SaidAndDid, read_retold, read_thought
from bailiwick.gateway.recalled import was_sent
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.thoughts import RunThoughts, dialect_of, hear
from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.leaf import parse_leaf
from bailiwick.ports import CallQuery, CallRow, Records
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.kept import said_of
from bailiwick.protocols.llm.requests import read_request

MAX_CALLS = 300
"""Calls of one run that are read again, the latest: what was asked for before has been answered."""

_Step = Callable[[RunThoughts], None]


@dataclass(frozen=True, slots=True)
class _Event:
    index: int
    step: _Step


class RecalledThoughts:
    """Reads runs from the record."""

    def __init__(self, records: Records, recorder: Recorder) -> None:
        self._records = records
        self._recorder = recorder

    async def of(self, run: str) -> RunThoughts:
        """All that is recorded of a run, as far as it is looked at. Raises StoreError."""
        thoughts = RunThoughts()
        rows = await self._records.calls(CallQuery(limit=MAX_CALLS + 1, run=run))
        if not any(row.kind == CallKind.MODEL.value for row in rows):
            if len(rows) > MAX_CALLS:
                thoughts.asked.complete = False
            return thoughts
        if len(rows) > MAX_CALLS:
            thoughts.asked.missed()
        events: list[_Event] = []
        for row in rows[:MAX_CALLS]:
            try:
                events += await self._events(row)
            except (VerificationError, LedgerError, TheirError, msgspec.ValidationError):
                thoughts.asked.missed()
        for event in sorted(events, key=lambda event: event.index):
            event.step(thoughts)
        return thoughts

    async def _events(self, row: CallRow) -> Sequence[_Event]:
        if row.kind == CallKind.MODEL.value:
            return await self._of_model(row)
        if row.kind == CallKind.TOOL.value and was_sent(row):
            return await self._of_tool(row)
        return ()

    async def _of_model(self, row: CallRow) -> Sequence[_Event]:
        leaf, intent = await self._entry(row.intent_index)
        dialect = dialect_of(str(leaf.get("edge", "")))
        if dialect is None:
            return ()
        told = read_retold(intent.get("retold"))

        def retell(thoughts: RunThoughts) -> None:
            thoughts.asked.listening = True
            for each in told:
                thoughts.asked.told(each.tool_call)

        events = [_Event(row.intent_index, retell)]
        if not was_sent(row):
            return events
        if row.outcome_index is None:  # it was under way when the gateway ended
            return [*events, _Event(row.intent_index, lambda thoughts: thoughts.asked.missed())]
        _, outcome = await self._entry(row.outcome_index)
        said = said_of(outcome)
        if said is None:
            return events
        offered, at = _offered(dialect, intent), row.ended_ms or row.at_ms

        def listen(thoughts: RunThoughts) -> None:
            thoughts.heard.add(row.id)
            hear(thoughts.asked, row.id, offered, said, at)

        return [*events, _Event(row.outcome_index, listen)]

    async def _of_tool(self, row: CallRow) -> Sequence[_Event]:
        sent_at = row.intent_index if row.approved_index is None else row.approved_index
        _, intent = await self._entry(sent_at)
        thought = read_thought(intent.get("thought"))
        if thought is None:
            return ()
        digest, _ = digest_of_arguments(_arguments(intent))
        events: list[_Event] = []
        if thought.match is SaidAndDid.MATCHED:
            used = thought.model_call, thought.tool_call, digest
            events.append(_Event(sent_at, lambda thoughts: thoughts.asked.used_as(*used)))
        if thought.tool_call and row.outcome_index is not None:
            _, outcome = await self._entry(row.outcome_index)
            body = _body(outcome)
            came = thought.tool_call, row.id
            events.append(
                _Event(
                    row.outcome_index,
                    lambda thoughts: thoughts.retellings.came(*came, body=body),
                )
            )
        return events

    async def _entry(self, index: int) -> tuple[Mapping[str, Json], Mapping[str, Json]]:
        """The fields of an entry's leaf, and what is sealed beside it."""
        (entry,) = await self._records.entries(index, index + 1)
        fields = parse_leaf(entry.leaf).fields
        opened = self._recorder.open(entry.leaf, entry.sealed) if entry.sealed else {}
        return fields, opened if isinstance(opened, Mapping) else {}


def _arguments(intent: Mapping[str, Json]) -> JsonObject | None:
    asked = intent.get("call")
    found = asked.get("arguments") if isinstance(asked, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _offered(dialect: Dialect, intent: Mapping[str, Json]) -> tuple[str, ...]:
    """The names that were offered to the model, as the door read them. Raises TheirError."""
    body = _arguments(intent)
    return () if body is None else read_request(dialect, body).tools


def _body(outcome: Mapping[str, Json]) -> bytes:
    """What came back, if it was recorded whole."""
    for key in ("result", "error"):
        if key in outcome:
            return msgspec.json.encode(outcome[key])
    return b""
