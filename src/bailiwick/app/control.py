"""What people may do, put together from the rooms that do it. Implements `ports.Control`.

Rights: anyone signed in may look. A stamp needs what the held call's rule asks for. To revoke a
mandate or make tokens for it one must be its principal, answer for its agent, or be an operator.
Declaring objects and accepting changed definitions is for operators.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bailiwick.app import simulating
from bailiwick.app.agents import Agents
from bailiwick.app.declare import Declarations
from bailiwick.app.delegation import Delegations
from bailiwick.app.guarded import DECLARED
from bailiwick.app.knowing import Knowing
from bailiwick.app.limits import Limits
from bailiwick.app.paths import Paths, indexes
from bailiwick.app.run_record import RunRecord
from bailiwick.app.runs import RunActs
from bailiwick.app.spans import Spans
from bailiwick.app.standing import (
    OPERATOR,
    need_standing,
    need_standing_chain,
)
from bailiwick.app.stopping import Stopping
from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.gateway.authority import Authority
from bailiwick.gateway.events import Events
from bailiwick.gateway.holds import Holds
from bailiwick.gateway.llm.servers import ModelServers
from bailiwick.gateway.llm.status import status_of
from bailiwick.gateway.mcp.pins import PinBook
from bailiwick.gateway.pipeline import Pipeline
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.runs import Runs
from bailiwick.gateway.upstreams.registry import Upstreams
from bailiwick.identity.tokens import TokenKey
from bailiwick.ledger.leaf import LeafType
from bailiwick.ports import (
    AgentRow,
    ApplyReport,
    Caller,
    CallExplained,
    CallPath,
    CallRow,
    Change,
    ChildAsked,
    Clock,
    Entry,
    HoldRow,
    Journal,
    LimitAudit,
    LimitsInForce,
    MadeChild,
    MadeToken,
    MandateRead,
    ObjectRow,
    Person,
    Pinned,
    PolicyReport,
    Problem,
    RecordPage,
    Records,
    RunAsked,
    RunShown,
    RunSpans,
    StartedRun,
    TokenRevoked,
    UpstreamStatus,
)
from bailiwick.ports.model_status import ModelsStatus
from bailiwick.stores.tlog import Publisher

_TOKEN_KEPT_MS = 31 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Rooms:
    """Everything `GatewayControl` works with."""

    journal: Journal
    records: Records
    recorder: Recorder
    authority: Authority
    holds: Holds
    pipeline: Pipeline
    runs: Runs
    events: Events
    publisher: Publisher
    tokens: TokenKey
    declarations: Declarations
    upstreams: Upstreams
    models: ModelServers
    pins: PinBook
    limits: Limits
    clock: Clock
    data: Path
    simulating: asyncio.Lock = field(default_factory=asyncio.Lock)


class GatewayControl:
    """The `Control` of a running gateway."""

    def __init__(self, rooms: Rooms) -> None:
        self._r = rooms
        self._delegations = Delegations(
            journal=rooms.journal,
            records=rooms.records,
            recorder=rooms.recorder,
            authority=rooms.authority,
            declarations=rooms.declarations,
            tokens=rooms.tokens,
            clock=rooms.clock,
        )
        self._stopping = Stopping(
            journal=rooms.journal,
            records=rooms.records,
            recorder=rooms.recorder,
            authority=rooms.authority,
            declarations=rooms.declarations,
            pipeline=rooms.pipeline,
            clock=rooms.clock,
        )
        self._agents = Agents(rooms.records, rooms.authority, rooms.clock)
        self._paths = Paths(rooms.records, rooms.recorder)
        self._record = RunRecord(rooms.records, rooms.recorder)
        self._knowing = Knowing(rooms.records, rooms.authority, rooms.clock)
        self._spans = Spans(rooms.records, rooms.recorder)
        self._runs = RunActs(
            journal=rooms.journal,
            records=rooms.records,
            recorder=rooms.recorder,
            authority=rooms.authority,
            runs=rooms.runs,
            tokens=rooms.tokens,
            clock=rooms.clock,
        )

    async def stamp(self, person: Person, hold_id: str, approve: bool, reason: str) -> HoldRow:
        """See `ports.Control.stamp`."""
        return await self._r.holds.stamp(person, hold_id, approve, reason)

    async def revoke(self, person: Person, mandate: str, reason: str) -> Sequence[CallRow]:
        """See `ports.Control.revoke`."""
        return await self._stopping.revoke(person, mandate, reason)

    async def suspend(self, person: Person, mandate: str, reason: str) -> Sequence[CallRow]:
        """See `ports.Control.suspend`."""
        return await self._stopping.suspend(person, mandate, reason)

    async def resume(self, person: Person, mandate: str, reason: str) -> None:
        """See `ports.Control.resume`."""
        await self._stopping.resume(person, mandate, reason)

    async def delegate(self, by: Caller | Person, asked: ChildAsked) -> MadeChild:
        """See `ports.Control.delegate`."""
        return await self._delegations.delegate(by, asked)

    async def start_run(self, by: Caller | Person, asked: RunAsked) -> StartedRun:
        """See `ports.Control.start_run`."""
        return await self._runs.start(by, asked)

    async def end_run(self, person: Person, run_id: str) -> RunShown:
        """See `ports.Control.end_run`."""
        return await self._runs.end(person, run_id)

    async def run(self, run_id: str) -> RunShown | None:
        """See `ports.Control.run`."""
        return await self._runs.one(run_id)

    async def spans(self, run_id: str, after: str = "") -> RunSpans | None:
        """See `ports.Control.spans`."""
        return await self._spans.of_run(run_id, after)

    async def runs(self, limit: int) -> Sequence[RunShown]:
        """See `ports.Control.runs`."""
        return await self._runs.newest(limit)

    async def path(self, call_id: str) -> CallPath | None:
        """See `ports.Control.path`."""
        return await self._paths.one(call_id)

    async def record(self, run_id: str, after: str, limit: int) -> RecordPage:
        """See `ports.Control.record`."""
        return await self._record.page(run_id, after, limit)

    async def explain(self, call_id: str) -> CallExplained | None:
        """See `ports.Control.explain`."""
        path = await self.path(call_id)
        return (
            None
            if path is None
            else await self._knowing.explain(path, await self._runs.one(path.call.run))
        )

    async def read_mandate(self, name: str, version: int = 0) -> MandateRead:
        """See `ports.Control.read_mandate`."""
        return await self._knowing.read(name, version)

    async def check_mandates(
        self, files: Mapping[str, str], mandate: str = ""
    ) -> Sequence[Problem]:
        """See `ports.Control.check_mandates`."""
        return await self._knowing.check(files, mandate)

    async def proof(self, call_id: str) -> Sequence[bytes]:
        """See `ports.Control.proof`."""
        call = await self._r.records.call(call_id)
        if call is None:
            raise TheirError("call_unknown", f"there is no call `{call_id}`")
        hold = await self._r.records.hold(call.hold) if call.hold else None
        return [await self._r.publisher.proof(index) for index in indexes(call, hold)]

    def events(self) -> AsyncIterator[JsonObject]:
        """See `ports.Control.events`."""
        return self._r.events.subscribe()

    async def apply(self, person: Person, files: Mapping[str, str], dry_run: bool) -> ApplyReport:
        """See `ports.Control.apply`."""
        if OPERATOR not in person.roles:
            raise TheirError("apply_not_allowed", f"declaring objects needs the role `{OPERATOR}`")
        return await self._r.declarations.apply(person.name, files, dry_run)

    async def check_policies(self, files: Mapping[str, str]) -> PolicyReport:
        """See `ports.Control.check_policies`."""
        return await self._r.declarations.check_policies(files)

    async def objects(self, kind: str = "") -> Sequence[ObjectRow]:
        """See `ports.Control.objects`."""
        return await self._r.records.objects(kind)

    async def simulate(
        self, files: Mapping[str, str], mandate: str, against: str, since_seconds: int
    ) -> JsonObject:
        """See `ports.Control.simulate`."""
        if self._r.simulating.locked():
            text = "another simulation is under way: wait for it to end"
            raise TheirError("simulation_busy", text)
        now = self._r.clock.wall_ms()
        async with self._r.simulating:
            return await simulating.run(
                self._r.data,
                {
                    "files": dict(files),
                    "mandate": mandate,
                    "against": against,
                    "since_ms": now - since_seconds * 1000,
                    "now_ms": now,
                },
            )

    async def limits(self, mandate: str = "") -> LimitsInForce:
        """See `ports.Control.limits`."""
        return await self._r.limits.in_force(mandate)

    async def settle(self, person: Person, call_id: str, happened: bool, reason: str) -> CallRow:
        """See `ports.Control.settle`."""
        if OPERATOR not in person.roles:
            raise TheirError("settle_not_allowed", f"settling a call needs the role `{OPERATOR}`")
        return await self._r.limits.settle(person.name, call_id, happened, reason)

    async def audit_limits(self) -> LimitAudit:
        """See `ports.Control.audit_limits`."""
        return await self._r.records.audit_limits()

    async def agents(self) -> Sequence[AgentRow]:
        """See `ports.Control.agents`."""
        return await self._agents.all()

    async def models(self) -> ModelsStatus:
        """See `ports.Control.models`."""
        return status_of(self._r.models, self._r.clock.monotonic())

    async def servers(self) -> Sequence[UpstreamStatus]:
        """See `ports.Control.servers`."""
        return self._r.upstreams.statuses()

    async def pins(self) -> Sequence[Pinned]:
        """See `ports.Control.pins`."""
        return await self._r.records.pins()

    async def accept_pin(
        self, person: Person, upstream: str, kind: str, name: str, digest: str
    ) -> Pinned:
        """See `ports.Control.accept_pin`."""
        if upstream == DECLARED:
            return await self._r.declarations.accept(person, kind, name, digest)
        if OPERATOR not in person.roles:
            raise TheirError(
                "accept_not_allowed", f"accepting a changed definition needs the role `{OPERATOR}`"
            )
        return await self._r.pins.accept((upstream, kind, name), digest, person.name)

    async def make_token(
        self, person: Person, agent: str, mandate: str, lifetime_seconds: int
    ) -> MadeToken:
        """See `ports.Control.make_token`."""
        found = pick_mandate(self._r.authority, agent, mandate)
        need_standing(self._r.authority, person, found, "token_not_allowed")
        now = self._r.clock.wall_ms()
        need_standing_chain(self._r.authority, found.name, now)
        issued = self._r.tokens.issue_agent(
            agent, found.name, found.principal, lifetime_seconds, now
        )
        fields: dict[str, str | int] = {
            "agent": agent,
            "mandate": found.ref,
            "expires": issued.expires_ms,
            "done": "issued",
        }
        await self._act(
            LeafType.TOKEN, issued.id, person, fields, {**fields, "person": person.name}
        )
        return MadeToken(issued.token, issued.id, agent, found.name, issued.expires_ms)

    async def revoke_token(self, person: Person, token_id: str) -> None:
        """See `ports.Control.revoke_token`."""
        if OPERATOR not in person.roles:
            raise TheirError("token_not_allowed", f"revoking a token needs the role `{OPERATOR}`")
        if not token_id or len(token_id) > 64 or not token_id.isascii():
            raise TheirError("token_unknown", "that is not the id of a token")
        self._r.authority.revoke_tokens({token_id})
        expires = self._r.clock.wall_ms() + _TOKEN_KEPT_MS
        await self._act(
            LeafType.TOKEN,
            token_id,
            person,
            {"done": "revoked"},
            {"token": token_id, "person": person.name},
            TokenRevoked(token_id, expires, person.name),
        )

    async def _act(
        self,
        kind: LeafType,
        ident: str,
        person: Person,
        fields: Mapping[str, str | int],
        payload: JsonObject,
        *changes: Change,
    ) -> None:
        now = self._r.clock.wall_ms()
        await self._r.recorder.prepare([person.name], now)
        entry: Entry = self._r.recorder.act(kind, ident, now, person.name, fields, payload)
        await self._r.journal.commit([entry], changes)


def pick_mandate(authority: Authority, agent: str, mandate: str) -> Mandate:
    """The mandate a token for `agent` is to be for; "" picks the only one that is declared.

    Raises:
        TheirError: `agent_unknown`, `mandate_unknown`, `mandate_ambiguous`.
    """
    if agent not in authority.snapshot.agents:
        raise TheirError("agent_unknown", f"there is no agent `{agent}`")
    given = [m for m in authority.snapshot.mandates.values() if m.agent == agent]
    names = ", ".join(sorted(m.name for m in given)) or "none"
    if mandate:
        for found in given:
            if found.name == mandate:
                return found
        raise TheirError(
            "mandate_unknown", f"agent `{agent}` has no mandate `{mandate}`; it has: {names}"
        )
    # A child is named or not meant: another agent can make one, and so change what is the only one.
    live = [m for m in given if m.state is MandateState.ACTIVE and not m.parent]
    if len(live) == 1:
        return live[0]
    if not live:
        raise TheirError("mandate_unknown", f"agent `{agent}` has no active mandate")
    raise TheirError(
        "mandate_ambiguous", f"agent `{agent}` has several mandates, name one: {names}"
    )
