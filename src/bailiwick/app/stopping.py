"""Stopping mandates, with all that was passed on of them, and letting them go on.

What stops calls is in force first and recorded second: a crash in between loses the record of the
act, and the person, who got no answer, repeats it; the other order would let calls through. What
lets calls go on is the other way about.
"""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.app.declare import Declarations
from bailiwick.app.standing import is_live, need_giver, need_standing
from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.gateway.authority import Authority
from bailiwick.gateway.pipeline import Pipeline
from bailiwick.gateway.recorder import Recorder
from bailiwick.ledger.leaf import LeafType
from bailiwick.ports import CallRow, Clock, Journal, ObjectState, Person, Records


class Stopping:
    """What people do to the life of a mandate."""

    def __init__(
        self,
        *,
        journal: Journal,
        records: Records,
        recorder: Recorder,
        authority: Authority,
        declarations: Declarations,
        pipeline: Pipeline,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._records = records
        self._recorder = recorder
        self._authority = authority
        self._declarations = declarations
        self._pipeline = pipeline
        self._clock = clock

    async def revoke(self, person: Person, mandate: str, reason: str) -> Sequence[CallRow]:
        """See `ports.Control.revoke`."""
        need_standing(self._authority, person, self._mandate(mandate), "revoke_not_allowed")
        self._authority.set_state(mandate, MandateState.REVOKED)
        async with self._declarations.paused():
            # A new version may have been on its way, and have come into force since: it is what
            # the person meant as well, and what the record is to name. So may new children. All
            # below is revoked for good: a later version of the mandate brings none of it back.
            found, now = self._mandate(mandate), self._clock.wall_ms()
            below = [each for each in self._authority.below(mandate) if is_live(each, now)]
            ended = {each.name: MandateState.REVOKED for each in (found, *below)}
            self._authority.set_states(ended)
            more: JsonObject = {"below": [each.ref for each in below]}
            await self._record(LeafType.REVOKE, person, found, reason, ended, more)
        return await self._in_flight(mandate)

    async def suspend(self, person: Person, mandate: str, reason: str) -> Sequence[CallRow]:
        """See `ports.Control.suspend`."""
        found = self._mandate(mandate)
        need_standing(self._authority, person, found, "suspend_not_allowed")
        # Again is fine: the first time may have been in force and not on record.
        _need(found, MandateState.ACTIVE, MandateState.SUSPENDED)
        self._authority.set_state(mandate, MandateState.SUSPENDED)
        async with self._declarations.paused():
            found = self._mandate(mandate)  # perhaps a new version, or revoked meanwhile
            if found.state is not MandateState.REVOKED:
                stopped = {mandate: MandateState.SUSPENDED}
                self._authority.set_states(stopped)
                await self._record(LeafType.SUSPEND, person, found, reason, stopped)
        return await self._in_flight(mandate)

    async def resume(self, person: Person, mandate: str, reason: str) -> None:
        """See `ports.Control.resume`."""
        need_giver(person, self._mandate(mandate), "resume_not_allowed")
        async with self._declarations.paused():
            found = self._mandate(mandate)
            _need(found, MandateState.SUSPENDED)
            going_on = {mandate: MandateState.ACTIVE}
            await self._record(LeafType.RESUME, person, found, reason, going_on)
            if self._mandate(mandate).state is MandateState.SUSPENDED:  # not revoked meanwhile
                self._authority.set_states(going_on)

    async def _record(
        self,
        kind: LeafType,
        person: Person,
        mandate: Mandate,
        reason: str,
        states: dict[str, MandateState],
        more: JsonObject | None = None,
    ) -> None:
        """One act, and the states it puts mandates into, in one commit."""
        now, ref = self._clock.wall_ms(), mandate.ref
        await self._recorder.prepare([person.name], now)
        payload: JsonObject = {
            "mandate": ref,
            "reason": reason,
            "person": person.name,
            **(more or {}),
        }
        fields = {"mandate": ref}
        entry = self._recorder.act(kind, mandate.name, now, person.name, fields, payload)
        changes = [
            ObjectState("mandate", name, state.value, now, person.name)
            for name, state in states.items()
        ]
        await self._journal.commit([entry], changes)

    def _mandate(self, name: str) -> Mandate:
        found = self._authority.snapshot.mandates.get(name)
        if found is None:
            raise TheirError("mandate_unknown", f"there is no mandate `{name}`")
        return found

    async def _in_flight(self, mandate: str) -> Sequence[CallRow]:
        """Calls under this mandate, or one below it, that were sent and are not back."""
        ids = self._pipeline.in_flight(mandate)
        found = [await self._records.call(call) for call in ids]
        return [call for call in found if call is not None]


def _need(mandate: Mandate, *states: MandateState) -> None:
    if mandate.state not in states:
        text = f"the mandate `{mandate.ref}` is {mandate.state.value}"
        raise TheirError(f"mandate_not_{states[0].value}", text)
