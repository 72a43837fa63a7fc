"""Starting, showing and ending runs.

A person with standing on the mandate starts one, and gets a token for its agent that is good for
this run only. An agent's side may start one too, for itself, before its first call; whatever it
says is marked as its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bailiwick.app.standing import OPERATOR, need_standing, need_standing_chain
from bailiwick.core.errors import TheirError
from bailiwick.core.mandate import Mandate
from bailiwick.core.run_words import RunWords
from bailiwick.gateway.authority import Authority
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.run_facts import begun
from bailiwick.gateway.runs import Runs
from bailiwick.identity.tokens import TokenKey
from bailiwick.ledger.leaf import LeafType
from bailiwick.ports import (
    Caller,
    Change,
    Clock,
    Entry,
    Journal,
    MadeToken,
    Person,
    Records,
    RunAsked,
    RunEnded,
    RunRow,
    RunShown,
    StartedRun,
    TokenRevoked,
)

_TOKEN_KEPT_MS = 31 * 24 * 3600 * 1000


class RunActs:
    """What people and agents do with whole runs."""

    def __init__(
        self,
        *,
        journal: Journal,
        records: Records,
        recorder: Recorder,
        authority: Authority,
        runs: Runs,
        tokens: TokenKey,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._records = records
        self._recorder = recorder
        self._authority = authority
        self._runs = runs
        self._tokens = tokens
        self._clock = clock

    async def start(self, by: Caller | Person, asked: RunAsked) -> StartedRun:
        """See `ports.Control.start_run`."""
        if isinstance(by, Caller):
            return await self._start_agents(by, asked)
        now = self._clock.wall_ms()
        mandate = need_standing_chain(self._authority, asked.mandate, now)[-1]
        need_standing(self._authority, by, mandate, "run_not_allowed")
        run = self._runs.new_id()
        issued = self._tokens.issue_agent(
            mandate.agent, mandate.name, mandate.principal, asked.lifetime_seconds, now, run
        )
        fields: dict[str, str | int] = {
            "agent": mandate.agent,
            "mandate": mandate.ref,
            "expires": issued.expires_ms,
            "done": "issued",
            "run": run,
        }
        await self._recorder.prepare([by.name], now)
        entry = self._recorder.act(
            LeafType.TOKEN, issued.id, now, by.name, fields, {**fields, "person": by.name}
        )
        told = begun(run, mandate.agent, mandate.name, asked.words, by.name)
        await self._runs.start(told, mandate.principal, now, issued.id, (entry,))
        token = MadeToken(issued.token, issued.id, mandate.agent, mandate.name, issued.expires_ms)
        return StartedRun(await self._just_started(run), token)

    async def _start_agents(self, caller: Caller, asked: RunAsked) -> StartedRun:
        """For the agent itself, under the mandate of its token and no other."""
        if caller.run:
            raise TheirError("run_not_allowed", f"this token belongs to the run `{caller.run}`")
        if asked.mandate not in ("", caller.mandate):
            raise TheirError("run_not_allowed", f"this token is for mandate `{caller.mandate}`")
        now = self._clock.wall_ms()
        mandate = need_standing_chain(self._authority, caller.mandate, now)[-1]
        told = begun(self._runs.new_id(), caller.agent, caller.mandate, asked.words)
        await self._runs.start(told, mandate.principal, now)
        return StartedRun(await self._just_started(told.run), None)

    async def end(self, person: Person, run_id: str) -> RunShown:
        """See `ports.Control.end_run`."""
        row = await self._row(run_id)
        self._need_standing(person, row)
        if row.ended_ms is not None:
            raise TheirError("run_ended", f"run `{run_id}` has ended already")
        # In force first, recorded second, as for a revocation.
        self._runs.end(run_id)
        now = self._clock.wall_ms()
        changes: list[Change] = [RunEnded(run_id, now)]
        if row.token:
            self._authority.revoke_tokens({row.token})
            changes.append(TokenRevoked(row.token, now + _TOKEN_KEPT_MS, person.name))
        await self._recorder.prepare([person.name], now)
        entry: Entry = self._recorder.act(
            LeafType.RUN,
            run_id,
            now,
            person.name,
            {"agent": row.agent, "mandate": row.mandate, "done": "ended"},
            {"run": run_id, "person": person.name},
        )
        await self._journal.commit([entry], changes)
        return await self._shown(replace(row, ended_ms=now))

    async def one(self, run_id: str) -> RunShown | None:
        """See `ports.Control.run`."""
        row = await self._records.run(run_id)
        return None if row is None else await self._shown(row)

    async def newest(self, limit: int) -> Sequence[RunShown]:
        """See `ports.Control.runs`."""
        return [await self._shown(row) for row in await self._records.runs(limit)]

    async def _shown(self, row: RunRow) -> RunShown:
        told = await self._runs.read(row)
        words = RunWords(told.instruction, told.purpose, tuple(sorted(told.labels)), told.end_user)
        erased = (row.started_by, row.supplier) != (told.started_by, told.supplier)
        return RunShown(row, words, erased)

    async def _just_started(self, run: str) -> RunShown:
        return await self._shown(await self._row(run))

    async def _row(self, run_id: str) -> RunRow:
        row = await self._records.run(run_id)
        if row is None:
            raise TheirError("run_unknown", f"there is no run `{run_id}`")
        return row

    def _need_standing(self, person: Person, row: RunRow) -> None:
        mandate: Mandate | None = self._authority.snapshot.mandates.get(row.mandate)
        if mandate is not None:
            need_standing(self._authority, person, mandate, "run_not_allowed")
        elif OPERATOR not in person.roles:
            raise TheirError("run_not_allowed", f"this is for an `{OPERATOR}`")
