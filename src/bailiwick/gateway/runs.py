"""Runs: which piece of work a call belongs to.

An edge says what tells runs apart for its client (a session, the agent's own run id, the token);
the first call with a new key opens a run. The map in memory is bounded; the store has them all.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.run_facts import RunFacts
from bailiwick.ledger.leaf import LeafType
from bailiwick.ports import Caller, Journal, Records, RunOpened

_REMEMBERED = 10_000
MAX_KEY_CHARS = 200


class Runs:
    """Run ids by agent, mandate and key."""

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
        self._known: OrderedDict[tuple[str, str, str], RunFacts] = OrderedDict()
        self._by_id: dict[str, RunFacts] = {}
        self._opening = asyncio.Lock()

    def known(self, caller: Caller, key: str) -> RunFacts | None:
        """The run, if this process has seen it."""
        return self._known.get((caller.agent, caller.mandate, key[:MAX_KEY_CHARS]))

    def facts(self, run: str) -> RunFacts | None:
        """A run by its id, if this process has seen it."""
        return self._by_id.get(run)

    async def open(self, caller: Caller, key: str, now_ms: int) -> RunFacts:
        """The run; it is durable when this returns. Raises StoreError."""
        key = key[:MAX_KEY_CHARS]
        name = (caller.agent, caller.mandate, key)
        async with self._opening:
            known = self._known.get(name)
            if known is not None:
                return known
            row = await self._records.run_by_key(*name)
            run = row.id if row is not None else await self._record(caller, key, now_ms)
            told = self._known[name] = RunFacts(run, caller.agent, caller.mandate)
            self._by_id[run] = told
            while len(self._known) > _REMEMBERED:
                _, gone = self._known.popitem(last=False)
                del self._by_id[gone.run]
            return told

    async def _record(self, caller: Caller, key: str, now_ms: int) -> str:
        run = self._new_id()
        fields = {"agent": caller.agent, "mandate": caller.mandate}
        await self._recorder.prepare([""], now_ms)
        entry = self._recorder.act(LeafType.RUN, run, now_ms, "", fields, {"key": key})
        opened = RunOpened(run, key, now_ms, caller.agent, caller.mandate)
        await self._journal.commit((entry,), (opened,))
        return run
