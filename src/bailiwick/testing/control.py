"""`Control` in memory: the port's contract without a gateway or a ledger.

For tests of what stands on the ports (the console, a tool of your own). It keeps the rules a
caller can notice (who may stamp, once, while it waits) and none of the durability.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.core.run_words import NO_WORDS, RunWords
from bailiwick.ports import (
    AgentRow,
    ApplyReport,
    Caller,
    CallExplained,
    CallPath,
    CallQuery,
    CallRow,
    CallState,
    ChildAsked,
    HoldRow,
    HoldState,
    LimitAudit,
    LimitRow,
    LimitsInForce,
    MadeChild,
    MadeToken,
    MandateRead,
    ObjectChange,
    ObjectRow,
    Person,
    Pinned,
    PinState,
    PolicyReport,
    Problem,
    RecordPage,
    RunAsked,
    RunRow,
    RunShown,
    RunSpans,
    StampRow,
    StartedRun,
    UnsettledRow,
    UpstreamStatus,
)
from bailiwick.ports.model_status import ModelsStatus
from bailiwick.testing.clock import StoppedClock
from bailiwick.testing.records import MemoryRecords


class MemoryControl:
    """`Control` over `MemoryRecords`. Stamps are checked as the gateway checks them.

    Attributes:
        paths: opened paths by call id; `path` joins the call and hold of the moment to them.
        words: what runs were told, by their ids.
        acts: what was done, in order: a word and its arguments, for a test to look at.
    """

    def __init__(self, records: MemoryRecords, clock: StoppedClock) -> None:
        self.records = records
        self.paths: dict[str, CallPath] = {}
        self.words: dict[str, RunWords] = {}
        self.proofs: dict[str, list[bytes]] = {}
        self.statuses: list[UpstreamStatus] = []
        self.agent_rows: list[AgentRow] = []
        self.models_status = ModelsStatus((), ())
        self.limit_rows: list[LimitRow] = []
        self.unsettled_rows: list[UnsettledRow] = []
        self.simulations: dict[str, JsonObject] = {}
        self.explained: dict[str, CallExplained] = {}
        self.doubts: Sequence[Problem] = ()
        self.shown_spans: dict[str, RunSpans] = {}
        self.acts: list[tuple[str, ...]] = []
        self.readers: list[asyncio.Queue[JsonObject | None]] = []
        self._clock = clock

    async def simulate(
        self, files: Mapping[str, str], mandate: str, against: str, since_seconds: int
    ) -> JsonObject:
        """What a test put into `simulations` for this mandate."""
        self.acts.append(("simulate", mandate, against, str(since_seconds), *files))
        if mandate not in self.simulations:
            raise TheirError("mandate_unknown", f"there is no mandate `{mandate}`")
        return self.simulations[mandate]

    async def stamp(self, person: Person, hold_id: str, approve: bool, reason: str) -> HoldRow:
        """Stamp a hold."""
        hold = self.records.hold_rows.get(hold_id)
        if hold is None:
            raise TheirError("hold_unknown", f"there is no hold `{hold_id}`")
        if hold.expires_ms <= self._clock.wall_ms():
            raise TheirError("hold_expired", f"hold `{hold_id}` expired: nothing will run")
        if hold.state is not HoldState.WAITING:
            raise TheirError("hold_not_waiting", f"hold `{hold_id}` is {hold.state.value}")
        if person.name in hold.excluded or (hold.role and hold.role not in person.roles):
            raise TheirError("stamp_not_allowed", f"`{person.name}` may not stamp this")
        if any(stamp.person == person.name for stamp in hold.stamps):
            raise TheirError("already_stamped", f"you have already stamped `{hold_id}`")
        self.acts.append(("stamp", person.name, hold_id, str(approve), reason))
        return self._stamped(person, hold, approve, reason)

    def _stamped(self, person: Person, hold: HoldRow, approve: bool, reason: str) -> HoldRow:
        now_ms = self._clock.wall_ms()
        decision = "approve" if approve else "refuse"
        stamp = StampRow(
            hold.id, person.name, decision, reason, person.method, now_ms, "{}", len(self.acts)
        )
        stamps = (*hold.stamps, stamp)
        state = HoldState.WAITING
        if not approve:
            state = HoldState.REFUSED
        elif len(stamps) >= hold.count:
            state = HoldState.APPROVED
        decided = None if state is HoldState.WAITING else now_ms
        hold = replace(hold, stamps=stamps, state=state, decided_ms=decided)
        self.records.hold_rows[hold.id] = hold
        if state is HoldState.REFUSED:
            self.move(hold.call, CallState.REFUSED)
        self.publish({"event": "hold", "id": hold.id, "state": state.value})
        return hold

    def move(self, call_id: str, state: CallState) -> None:
        """Change a call's state as the gateway would, and say so to readers."""
        row = replace(self.records.call_rows[call_id], state=state)
        self.records.call_rows[call_id] = row
        self.publish(
            {"event": "call", "id": row.id, "state": state, "run": row.run, "agent": row.agent}
        )

    async def revoke(self, person: Person, mandate: str, reason: str) -> Sequence[CallRow]:
        """Revoke a mandate."""
        return await self._turn("revoke", person, mandate, reason, "revoked")

    async def suspend(self, person: Person, mandate: str, reason: str) -> Sequence[CallRow]:
        """Suspend a mandate."""
        return await self._turn("suspend", person, mandate, reason, "suspended")

    async def resume(self, person: Person, mandate: str, reason: str) -> None:
        """Let a mandate go on."""
        await self._turn("resume", person, mandate, reason, "active")

    async def _turn(
        self, act: str, person: Person, mandate: str, reason: str, state: str
    ) -> Sequence[CallRow]:
        rows = [row for row in self.records.object_rows if (row.kind, row.name) == _of(mandate)]
        if not rows:
            raise TheirError("mandate_unknown", f"no mandate `{mandate}`")
        if "operator" not in person.roles:
            raise TheirError(f"{act}_not_allowed", f"`{person.name}` may not {act} `{mandate}`")
        self.acts.append((act, person.name, mandate, reason))
        newest = max(rows, key=lambda row: row.version)
        self.records.object_rows.remove(newest)
        self.records.object_rows.append(replace(newest, state=state))
        calls = await self.records.calls(CallQuery(state=CallState.RUNNING))
        return [row for row in calls if row.mandate.partition("@")[0] == mandate]

    async def delegate(self, by: Caller | Person, asked: ChildAsked) -> MadeChild:
        """A child of a mandate, as it was sent: nothing is compared."""
        kind = "person" if isinstance(by, Person) else "agent"
        name = by.name if isinstance(by, Person) else by.agent
        self.acts.append(("delegate", f"{kind} {name}", asked.parent, asked.text))
        token = MadeToken("secret", "01", "helper", f"{asked.parent}:child", 1)
        made = None if asked.dry_run or not asked.lifetime_seconds else token
        return MadeChild(f"{asked.parent}:child", 1, "0" * 64, "{}", f"{asked.parent}@1", made)

    async def path(self, call_id: str) -> CallPath | None:
        """The path of one call, as it stands."""
        path, call = self.paths.get(call_id), self.records.call_rows.get(call_id)
        if path is None or call is None:
            return None
        # A row keeps no digest where nothing waits; an opened path has it from the payload.
        shown = replace(call, digest=path.call.digest)
        return replace(path, call=shown, hold=self.records.hold_rows.get(call.hold))

    async def record(self, run_id: str, after: str, limit: int) -> RecordPage:
        """A line for each call, with its id alone."""
        if run_id not in self.records.run_rows:
            raise TheirError("run_unknown", f"no run `{run_id}`")
        query = CallQuery(limit=limit + 1, run=run_id, after=after, first="oldest")
        rows = await self.records.calls(query)
        lines = [b'{"record":"call","id":"%b"}' % row.id.encode() for row in rows[:limit]]
        return RecordPage(lines, rows[limit - 1].id if len(rows) > limit else "")

    async def start_run(self, by: Caller | Person, asked: RunAsked) -> StartedRun:
        """A run, with a token that is none for a person."""
        person = by.name if isinstance(by, Person) else ""
        if isinstance(by, Person) and "operator" not in by.roles:
            raise TheirError("run_not_allowed", f"`{person}` may not start a run")
        started = "person" if person else "agent"
        run = f"01KC{len(self.records.run_rows):022}"
        row = RunRow(
            id=run,
            key=f"run:{run}",
            at_ms=self._clock.wall_ms(),
            agent="clerk",
            mandate=asked.mandate,
            calls=0,
            started_by=started,
            person=person,
            supplier=started if asked.words.instruction else "",
        )
        self.acts.append(("start_run", person, asked.mandate, asked.words.instruction))
        self.records.run_rows[run] = row
        self.words[run] = asked.words
        token = MadeToken("not-a-token", run, "clerk", asked.mandate, row.at_ms + 1)
        return StartedRun(RunShown(row, asked.words), token if person else None)

    async def end_run(self, person: Person, run_id: str) -> RunShown:
        """End a run."""
        shown = await self.run(run_id)
        if shown is None:
            raise TheirError("run_unknown", f"no run `{run_id}`")
        if shown.row.ended_ms is not None:
            raise TheirError("run_ended", f"run `{run_id}` has ended already")
        self.acts.append(("end_run", person.name, run_id))
        row = replace(shown.row, ended_ms=self._clock.wall_ms())
        self.records.run_rows[run_id] = row
        return RunShown(row, shown.words)

    async def run(self, run_id: str) -> RunShown | None:
        """One run."""
        row = self.records.run_rows.get(run_id)
        return None if row is None else RunShown(row, self.words.get(run_id, NO_WORDS))

    async def spans(self, run_id: str, after: str = "") -> RunSpans | None:
        """What `shown_spans` holds for the run."""
        if run_id not in self.records.run_rows:
            return None
        return self.shown_spans.get(run_id, RunSpans(run_id, ()))

    async def runs(self, limit: int) -> Sequence[RunShown]:
        """Runs, newest first."""
        rows = await self.records.runs(limit)
        return [RunShown(row, self.words.get(row.id, NO_WORDS)) for row in rows]

    async def proof(self, call_id: str) -> Sequence[bytes]:
        """The call's proofs."""
        return self.proofs.get(call_id, [])

    async def events(self) -> AsyncIterator[JsonObject]:
        """Live changes; `readers` tells a test who listens. None ends a stream."""
        queue: asyncio.Queue[JsonObject | None] = asyncio.Queue()
        self.readers.append(queue)
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self.readers.remove(queue)

    def publish(self, event: JsonObject) -> None:
        """Tell every reader."""
        for queue in self.readers:
            queue.put_nowait(event)

    async def apply(self, person: Person, files: Mapping[str, str], dry_run: bool) -> ApplyReport:
        """Pretend that each file declares one mandate of its own name."""
        if "operator" not in person.roles:
            raise TheirError("apply_not_allowed", f"`{person.name}` may not declare objects")
        if not dry_run:
            self.acts.append(("apply", person.name, *files))
        changes = [ObjectChange("mandate", name, "create", 1, f"+{name}") for name in files]
        return ApplyReport(not dry_run, changes)

    async def objects(self, kind: str = "") -> Sequence[ObjectRow]:
        """The newest version of each object."""
        return await self.records.objects(kind)

    async def check_policies(self, files: Mapping[str, str]) -> PolicyReport:
        """No policies are in force here; each file is noted as checked."""
        self.acts.append(("check_policies", *files))
        return PolicyReport("", (), "entity Agent;\n")

    async def explain(self, call_id: str) -> CallExplained | None:
        """What a test put into `explained` for this call."""
        return self.explained.get(call_id)

    async def read_mandate(self, name: str, version: int = 0) -> MandateRead:
        """Each stored mandate says one thing: its name."""
        for row in reversed(await self.records.versions("mandate", name)):
            if version in (0, row.version):
                said = (f"Mandate `{name}`, version {row.version}.",)
                return MandateRead(name, row.version, row.digest, row.state, said)
        raise TheirError("mandate_unknown", f"there is no mandate `{name}`")

    async def check_mandates(
        self, files: Mapping[str, str], mandate: str = ""
    ) -> Sequence[Problem]:
        """What a test put into `doubts`."""
        self.acts.append(("check_mandates", mandate, *files))
        return self.doubts

    async def limits(self, mandate: str = "") -> LimitsInForce:
        """Those that a test put into `limit_rows`, and what it put into `unsettled_rows`."""
        if mandate and not any(row.mandate == mandate for row in self.limit_rows):
            raise TheirError("mandate_unknown", f"there is no mandate `{mandate}`")
        rows = [row for row in self.limit_rows if mandate in ("", row.mandate)]
        return LimitsInForce(rows, self.unsettled_rows)

    async def settle(self, person: Person, call_id: str, happened: bool, reason: str) -> CallRow:
        """Note it."""
        if "operator" not in person.roles:
            raise TheirError("settle_not_allowed", f"`{person.name}` may not settle calls")
        if call_id not in self.records.call_rows:
            raise TheirError("call_unknown", f"there is no call `{call_id}`")
        self.acts.append(("settle", person.name, call_id, str(happened), reason))
        return self.records.call_rows[call_id]

    async def audit_limits(self) -> LimitAudit:
        """What the records say."""
        return await self.records.audit_limits()

    async def agents(self) -> Sequence[AgentRow]:
        """Those that a test put into `agent_rows`."""
        return self.agent_rows

    async def models(self) -> ModelsStatus:
        """What `models_status` says."""
        return self.models_status

    async def servers(self) -> Sequence[UpstreamStatus]:
        """How each upstream is doing."""
        return self.statuses

    async def pins(self) -> Sequence[Pinned]:
        """Every pin."""
        return await self.records.pins()

    async def accept_pin(
        self, person: Person, upstream: str, kind: str, name: str, digest: str
    ) -> Pinned:
        """Accept a held definition."""
        key = (upstream, kind, name)
        rows = [row for row in self.records.pin_rows if (row.upstream, row.kind, row.name) == key]
        held = [row for row in rows if row.state is PinState.HELD and row.digest == digest]
        if not held:
            raise TheirError("pin_unknown", f"`{upstream}/{name}` has no such definition waiting")
        self.acts.append(("accept_pin", person.name, upstream, kind, name, digest))
        accepted = replace(held[0], state=PinState.ACCEPTED, by=person.name)
        self.records.pin_rows = [row for row in self.records.pin_rows if row not in rows]
        self.records.pin_rows.append(accepted)
        return accepted

    async def make_token(
        self, person: Person, agent: str, mandate: str, lifetime_seconds: int
    ) -> MadeToken:
        """A token that is none."""
        self.acts.append(("make_token", person.name, agent, mandate))
        expires_ms = self._clock.wall_ms() + lifetime_seconds * 1000
        return MadeToken("not-a-token", "01KB0000000000000000000099", agent, mandate, expires_ms)

    async def revoke_token(self, person: Person, token_id: str) -> None:
        """Note it."""
        self.acts.append(("revoke_token", person.name, token_id))


def _of(mandate: str) -> tuple[str, str]:
    return "mandate", mandate
