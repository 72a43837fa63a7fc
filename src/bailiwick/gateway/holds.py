"""Holds: calls that wait for a person, and the stamps people give.

A hold outlives the process; who waits for it in this process does not. State is the store's;
this room only wakes the waiting and serialises the stamping.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from bailiwick.core.canonical import JsonObject, canonical
from bailiwick.core.errors import Conflict, TheirError
from bailiwick.core.rendering import RENDERER
from bailiwick.core.verdict import Requirement
from bailiwick.gateway.authority import Authority
from bailiwick.gateway.events import Events
from bailiwick.gateway.recorder import Recorder
from bailiwick.ledger.leaf import LeafType
from bailiwick.ports import (
    CallMoved,
    CallState,
    Change,
    Clock,
    Entry,
    HoldMoved,
    HoldRow,
    HoldState,
    Journal,
    Person,
    Records,
    Stamped,
    StampRow,
)

_SWEEP_SECONDS = 5.0
MAX_REASON_CHARS = 1000


class Holds:
    """Stamps, expiry and waking."""

    def __init__(
        self,
        journal: Journal,
        records: Records,
        recorder: Recorder,
        authority: Authority,
        clock: Clock,
        events: Events,
    ) -> None:
        self._journal = journal
        self._records = records
        self._recorder = recorder
        self._authority = authority
        self._clock = clock
        self._events = events
        self._changed: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        # Two people may stamp a two-person hold at once: each must see the other's stamp.
        self._one_at_a_time = asyncio.Lock()

    async def wait(self, hold_id: str, seconds: float) -> HoldRow | None:
        """Wait until the hold may have been decided, at most `seconds`; then its row."""
        event = self._changed[hold_id]  # before looking, so that no decision falls in between
        try:
            hold = await self.current(hold_id)
            if hold is None or hold.state is not HoldState.WAITING:
                return hold
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            if event.is_set():
                self._changed.pop(hold_id, None)
        return await self.current(hold_id)

    async def current(self, hold_id: str) -> HoldRow | None:
        """The hold as it stands, expired if its time is over."""
        hold = await self._records.hold(hold_id)
        return None if hold is None else await self._lapse(hold)

    async def find(self, digest: str, mandate: str, agent: str) -> HoldRow | None:
        """The hold a repeated call picks up (see `ports.Records.hold_for`)."""
        hold = await self._records.hold_for(digest, mandate, agent)
        return None if hold is None else await self._lapse(hold)

    async def waiting(self, agent: str) -> int:
        """How many holds of this agent wait for a person."""
        return await self._records.waiting_holds(agent)

    async def run_is_over(self, hold: HoldRow) -> bool:
        """Whether a person has ended the run that the hold is of."""
        run = await self._records.run(hold.run)
        return run is not None and run.ended_ms is not None

    def wake(self, hold_id: str) -> None:
        """Let whoever waits for this hold look again."""
        event = self._changed.get(hold_id)
        if event is not None:
            event.set()

    def wake_all(self) -> None:
        """Let everybody look again."""
        for event in list(self._changed.values()):
            event.set()

    def satisfied(self, requirement: Requirement, hold: HoldRow) -> bool:
        """Whether the hold's stamps meet `requirement` by the roles people have now."""
        return len(_counted(requirement, hold.stamps, self._authority)) >= requirement.count

    async def stamp(self, person: Person, hold_id: str, approve: bool, reason: str) -> HoldRow:
        """Record one person's decision. See `ports.Control.stamp`.

        1. The hold waits and is not over. 2. The person may stamp it. 3. One stamp a person.
        4. The statement binds call, mandate version, policy version, shown text, person, decision
           and nonce.
        5. Enough approvals, or one refusal, decide it, in the same commit.
        """
        if len(reason) > MAX_REASON_CHARS:
            raise TheirError("reason_too_long", f"a reason has at most {MAX_REASON_CHARS} letters")
        async with self._one_at_a_time:
            hold = await self.current(hold_id)
            if hold is None:
                raise TheirError("hold_unknown", f"there is no hold `{hold_id}`")
            if hold.state is HoldState.EXPIRED:
                raise TheirError("hold_expired", f"hold `{hold_id}` expired: nothing will run")
            if hold.state is not HoldState.WAITING:  # 1
                raise TheirError("hold_not_waiting", f"hold `{hold_id}` is {hold.state.value}")
            may = refusal_to_stamp(person, hold)
            if may:  # 2
                raise TheirError("stamp_not_allowed", may)
            if any(stamp.person == person.name for stamp in hold.stamps):  # 3
                raise TheirError("already_stamped", f"you have already stamped `{hold_id}`")
            await self._commit_stamp(person, hold, approve, reason)
        self.wake(hold_id)
        decided = await self._records.hold(hold_id)
        assert decided is not None
        self._events.publish({"event": "hold", "id": hold_id, "state": decided.state.value})
        if decided.state is HoldState.REFUSED:
            self._tell_end(decided, CallState.REFUSED, "stamp_refused", self._clock.wall_ms())
        return decided

    async def _commit_stamp(
        self, person: Person, hold: HoldRow, approve: bool, reason: str
    ) -> None:
        now = self._clock.wall_ms()
        decision = "approve" if approve else "refuse"
        statement: JsonObject = {
            "v": 1,
            "hold": hold.id,
            "call": hold.call,
            "call_digest": hold.digest,
            "mandate": hold.mandate,
            **({"policies": hold.policies} if hold.policies else {}),
            "shown_sha256": hashlib.sha256(hold.rendering.encode()).hexdigest(),
            "renderer": RENDERER,
            "person": person.name,
            "roles": sorted(person.roles),
            "decision": decision,
            "reason": reason,
            "method": person.method,
            "nonce": hold.nonce,
            "at": now,
            "hold_expires": hold.expires_ms,
        }
        await self._recorder.prepare([person.name], now)
        entry = self._recorder.act(
            LeafType.STAMP,
            hold.id,
            now,
            person.name,
            {
                "call": hold.call,
                "decision": decision,
                "mandate": hold.mandate,
                "method": person.method,
                "run": hold.run,
            },
            statement,
        )
        text = canonical(statement).decode()
        changes: list[Change] = [
            Stamped(hold.id, person.name, decision, reason, person.method, now, text)
        ]
        if not approve:
            changes.append(HoldMoved(hold.id, HoldState.WAITING, HoldState.REFUSED, now))
            because = f"a person refused it: {reason}" if reason else "a person refused it"
            changes.append(
                CallMoved(hold.call, now, CallState.REFUSED, "stamp_refused", because, entry=0)
            )
        elif 1 + sum(stamp.decision == "approve" for stamp in hold.stamps) >= hold.count:
            changes.append(HoldMoved(hold.id, HoldState.WAITING, HoldState.APPROVED, now))
        await self._journal.commit([entry], changes)

    async def withdraw(self, hold: HoldRow, why: str) -> None:
        """End a hold that nobody waits for any more: its call was cancelled, or judged anew."""
        now = self._clock.wall_ms()
        entry = self._recorder.bare_outcome(hold.call, hold.run, CallState.CANCELLED, why, now)
        await self._end(hold, HoldState.WITHDRAWN, CallState.CANCELLED, why, entry)

    async def _lapse(self, hold: HoldRow) -> HoldRow:
        live = hold.state in (HoldState.WAITING, HoldState.APPROVED)
        now = self._clock.wall_ms()
        if not live or now < hold.expires_ms:
            return hold
        code = "hold_expired"
        entry = self._recorder.bare_outcome(hold.call, hold.run, CallState.REFUSED, code, now)
        await self._end(hold, HoldState.EXPIRED, CallState.REFUSED, code, entry)
        again = await self._records.hold(hold.id)
        assert again is not None
        return again

    async def _end(
        self, hold: HoldRow, state: HoldState, call_state: CallState, code: str, entry: Entry
    ) -> None:
        now = self._clock.wall_ms()
        moved = HoldMoved(hold.id, hold.state, state, now)
        call = CallMoved(hold.call, now, call_state, code, entry=0)
        try:
            await self._journal.commit([entry], [moved, call])
        except Conflict:
            return  # somebody decided it in the meantime: their decision stands
        self.wake(hold.id)
        self._events.publish({"event": "hold", "id": hold.id, "state": state.value})
        self._tell_end(replace(hold, state=state), call_state, code, now)

    def _tell_end(self, hold: HoldRow, state: CallState, code: str, at_ms: int) -> None:
        if self._events.watcher is not None:
            self._events.watcher.lapsed(hold, state, code, at_ms)

    async def sweep(self) -> None:
        """Expire what is over, for as long as the gateway runs."""
        while True:
            for state in (HoldState.WAITING, HoldState.APPROVED):
                for hold in await self._records.holds(state):
                    await self._lapse(hold)
            await asyncio.sleep(_SWEEP_SECONDS)


def refusal_to_stamp(person: Person, hold: HoldRow) -> str:
    """Why this person may not stamp this hold, or "" if they may."""
    if person.name in hold.excluded:
        return f"`{person.name}` may not stamp this: the mandate excludes them"
    if hold.role and hold.role not in person.roles:
        return f"this needs the role `{hold.role}`, which `{person.name}` does not have"
    return ""


def _counted(
    requirement: Requirement, stamps: Sequence[StampRow], authority: Authority
) -> set[str]:
    people = authority.snapshot.people
    return {
        stamp.person
        for stamp in stamps
        if stamp.decision == "approve"
        and stamp.person not in requirement.excluded
        and stamp.person in people
        and (requirement.role is None or requirement.role in people[stamp.person].roles)
    }
