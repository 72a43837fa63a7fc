"""Runs: which piece of work a call belongs to, and what that work was told when it began.

A person starts a run, and the token printed for it is bound to it; or the agent's side does, before
its first call; or the first call does, with what an edge tells runs apart by (a session, the
agent's own run id, the token). The map in memory is bounded; the store has them all.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec

from bailiwick.core.canonical import Json
from bailiwick.core.errors import StoreError, VerificationError
from bailiwick.core.run_words import RunWords, is_run_id
from bailiwick.gateway.gate import Asked
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.run_facts import (
    RunFacts,
    as_payload,
    begun,
    from_payload,
    of_first_message,
)
from bailiwick.ledger.leaf import LeafType, parse_leaf
from bailiwick.ports import Caller, Change, Entry, Journal, Records, RunOpened, RunRow

_REMEMBERED = 10_000
MAX_KEY_CHARS = 200
SESSION_KEY = "agent-session-id:"
"""How a run's key begins that a client without a session of MCP tells by its own."""

_Name = tuple[str, str, str]


class Runs:
    """Runs by their ids, and by agent, mandate and key."""

    def __init__(
        self,
        journal: Journal,
        records: Records,
        recorder: Recorder,
        new_id: Callable[[], str],
    ) -> None:
        self._journal = journal
        self._records = records
        self._recorder = recorder
        self._new_id = new_id
        self._by_key: dict[_Name, RunFacts] = {}
        self._known: OrderedDict[str, tuple[_Name, RunFacts]] = OrderedDict()
        self.ended: set[str] = set()
        """Runs that were ended. Synchronous: what `end` has said stands at once."""

        self.on_begun: Callable[[str], None] = lambda run: None
        """Told of each run that begins in this process: nothing is on record of it yet."""

        self._opening = asyncio.Lock()

    def known(self, asked: Asked) -> RunFacts | None:
        """The run of a call, if this process has seen it. Look at its `objection` next."""
        caller = asked.caller
        wanted = caller.run or asked.said.joins
        if wanted:
            told = self.facts(wanted)
            if told is None or (told.agent, told.mandate) != (caller.agent, caller.mandate):
                return None
        else:
            name = caller.agent, caller.mandate, asked.run_key[:MAX_KEY_CHARS]
            told = self._by_key.get(name)
            if told is None:
                return None
        self._known.move_to_end(told.run)
        return told

    def facts(self, run: str) -> RunFacts | None:
        """A run by its id, if this process has seen it."""
        found = self._known.get(run)
        return None if found is None else found[1]

    def session(self, run: str) -> str:
        """The agent's own name of the session that is this run; "" if it has named none."""
        found = self._known.get(run)
        return "" if found is None else session_of(found[0][2])

    async def open(
        self, asked: Asked, principal: str, now_ms: int, first_message: str = ""
    ) -> RunFacts:
        """The run of a call; it is durable when this returns.

        A call that names a run which is not there for this agent and mandate, or which is
        another's, gets a run of its own to be refused in (`objection`), beside that of the others.

        Args:
            principal: whose key seals what the agent's side says.
            first_message: its instruction if it begins with this call (`first_message.py`).

        Raises:
            StoreError: it cannot be read or written.
        """
        caller, said = asked.caller, asked.said
        wanted = caller.run or said.joins
        async with self._opening:
            known = self.known(asked)
            if known is not None:
                return known
            if wanted:
                row = await self._records.run(wanted) if is_run_id(wanted) else None
                if row is not None and (row.agent, row.mandate) == (caller.agent, caller.mandate):
                    return self._keep(await self._told(row), row.key)
            key = f"stray:{caller.token}" if wanted else asked.run_key
            agent, mandate, key = name = _name(caller, key)
            row = await self._records.run_by_key(*name)
            if row is not None:
                return self._keep(await self._told(row), row.key)
            words = RunWords() if wanted else _words(asked)
            told = begun(self._new_id(), agent, mandate, words)
            if first_message and not wanted:
                told = of_first_message(told, first_message)
            await self._record(told, key, principal, now_ms)
            self.on_begun(told.run)
            return self._keep(told, key)

    async def start(
        self,
        told: RunFacts,
        principal: str,
        now_ms: int,
        token: str = "",
        entries: Sequence[Entry] = (),
    ) -> None:
        """Begin a run before its first call.

        Args:
            told: with an id of `new_id`.
            principal: whose key seals what the agent's side says; a person's own seals theirs.
            token: id of the token that is bound to it.
            entries: further entries of the same commit.

        Raises:
            StoreError: it could not be written.
        """
        key = f"run:{told.run}"
        await self._record(told, key, principal, now_ms, token, entries)
        self.on_begun(told.run)
        self._keep(told, key)

    def new_id(self) -> str:
        """An id for a run that is about to start."""
        return self._new_id()

    def end(self, run: str) -> None:
        """Let nothing more be dispatched in a run, at once; the caller makes it durable."""
        self.ended.add(run)
        found = self._known.get(run)
        if found is not None:
            name, told = found
            told = self._by_key[name] = msgspec.structs.replace(told, ended=True)
            self._known[run] = name, told

    async def read(self, row: RunRow) -> RunFacts:
        """What the run of a row was told.

        Raises:
            StoreError: it cannot be read, or was tampered with.
        """
        return await self._told(row)

    async def _told(self, row: RunRow) -> RunFacts:
        payload = None if row.entry_index is None else await self._payload(row.id, row.entry_index)
        ended = row.ended_ms is not None or row.id in self.ended
        return from_payload(row.id, row.agent, row.mandate, payload, ended=ended)

    async def _payload(self, run: str, index: int) -> Json:
        """What was sealed when the run began; None if it was erased."""
        found = await self._records.entries(index, index + 1)
        leaf = parse_leaf(found[0].leaf) if found else None
        if leaf is None or (leaf.type, leaf.id) != (LeafType.RUN, run):
            raise StoreError("run_damaged", f"run `{run}`: its entry is not where it was written")
        try:
            return self._recorder.open(found[0].leaf, found[0].sealed)
        except VerificationError as error:
            if error.code == "payload_erased":
                return None
            raise StoreError("run_damaged", f"run `{run}`: {error.message}") from error

    async def _record(
        self,
        told: RunFacts,
        key: str,
        principal: str,
        now_ms: int,
        token: str = "",
        entries: Sequence[Entry] = (),
    ) -> None:
        subject = told.person or principal
        await self._recorder.prepare([subject], now_ms)
        entry = self._recorder.run(told, as_payload(told, key), subject, now_ms)
        opened: Change = RunOpened(
            id=told.run,
            key=key,
            at_ms=now_ms,
            agent=told.agent,
            mandate=told.mandate,
            started_by=told.started_by,
            person=told.person,
            supplier=told.supplier,
            token=token,
            entry=0,
        )
        await self._journal.commit((entry, *entries), (opened,))

    def _keep(self, told: RunFacts, key: str) -> RunFacts:
        name = told.agent, told.mandate, key
        self._by_key[name] = told
        self._known[told.run] = name, told
        if told.ended:
            self.ended.add(told.run)
        while len(self._known) > _REMEMBERED:
            _, (gone, _) = self._known.popitem(last=False)
            del self._by_key[gone]
        return told


def session_of(key: str) -> str:
    """The session in a run's key (`agent-session-id:NAME@TOKEN`); "" if it is by none."""
    return key.removeprefix(SESSION_KEY).rpartition("@")[0] if key.startswith(SESSION_KEY) else ""


def _name(caller: Caller, key: str) -> _Name:
    return caller.agent, caller.mandate, key[:MAX_KEY_CHARS]


def _words(asked: Asked) -> RunWords:
    said = asked.said
    return RunWords(said.instruction, said.purpose, said.labels)
