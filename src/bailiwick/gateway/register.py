"""What happens to a call, written down and told to those who watch."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from bailiwick.core.call import NOTHING
from bailiwick.core.canonical import JsonObject
from bailiwick.core.line import Line
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.seen import see
from bailiwick.core.verdict import Deny, Verdict
from bailiwick.gateway.events import Events
from bailiwick.gateway.recorder import CallContext, Recorder
from bailiwick.gateway.settlement import Ending
from bailiwick.ledger.leaf import LeafType
from bailiwick.ports import (
    CallMoved,
    CallState,
    Change,
    Clock,
    Entry,
    HoldMoved,
    HoldOpened,
    HoldRow,
    HoldState,
    Journal,
    ObjectState,
    Reserved,
    UpstreamReply,
)


class Register:
    """The gate's own commits: each is durable once what its method returns has been awaited.

    All raise StoreError when it could not be written, and OurError `not_recordable` when there is
    no way to write it.
    """

    def __init__(self, journal: Journal, recorder: Recorder, clock: Clock, events: Events) -> None:
        self._journal = journal
        self._recorder = recorder
        self._clock = clock
        self._events = events

    def open(
        self, context: CallContext, verdict: Verdict, state: CallState, code: str
    ) -> Awaitable[object]:
        """Write the intent of a call that is allowed (`running`) or denied.

        What it takes of limits is reserved by the same commit.

        Raises:
            LimitReached: it does not fit any more; nothing was written.
        """
        now = self._clock.wall_ms()
        charges = () if isinstance(verdict, Deny) else verdict.charges
        form = self._recorder.form(context, verdict, code)
        line = form.line
        seen = NOTHING if line is None else self._seen(context, verdict, now, line)
        entry, opened = self._recorder.opening(form, context, now, charges, seen)
        changes: tuple[Change, ...] = (opened,)
        if charges:
            changes = (opened, Reserved(context.call.id, now, charges))
        committed = self._journal.commit((entry,), changes)
        if self._events.quiet and not context.traceparent:
            return committed  # see `_tell_opened`
        return self._tell_opened(committed, context, verdict, state, code, now)

    async def _tell_opened(
        self,
        committed: Awaitable[object],
        context: CallContext,
        verdict: Verdict,
        state: CallState,
        code: str,
        now: int,
    ) -> None:
        """Tell of a call once it is written.

        Where nobody is to be told, who waits for the commit waits for that alone: each waking of a
        call passes through every coroutine in between. Who begins to read before the commit is
        done does not hear of it. Nothing in the gateway waits for these events, and pages look
        again a little after they begin (console.js).
        """
        await committed
        self._tell(context, state)
        watcher = self._events.watcher
        if watcher is not None:
            if isinstance(verdict, Deny):
                watcher.denied(context, verdict, now)
            else:
                watcher.begun(context, verdict, code, now)

    async def hold(self, context: CallContext, verdict: Verdict, held: HoldOpened) -> None:
        """Write the intent of a call that waits, with its hold."""
        seen = self._seen(context, verdict, held.at_ms)
        form = self._recorder.form(context, verdict, "held", held.id)
        entry, opened = self._recorder.opening(form, context, held.at_ms, seen=seen)
        await self._journal.commit((entry,), (opened, held))
        self._tell(context, CallState.HELD)
        if self._events.watcher is not None:
            self._events.watcher.begun(context, verdict, "held", held.at_ms, held)
        self._events.publish({"event": "hold", "id": held.id, "state": HoldState.WAITING.value})

    async def use_stamp(self, context: CallContext, verdict: Verdict, hold: HoldRow) -> None:
        """Use an approved hold up, reserve and write the intent to run, in one commit.

        Raises:
            LimitReached: it does not fit a limit now; the hold is not used up.
            Conflict: somebody else has used it, or it is over.
        """
        now = self._clock.wall_ms()
        charges = context.charges
        entry = self._recorder.intent(
            context,
            verdict,
            "approved",
            now,
            hold=hold.id,
            reserved=charges,
            seen=self._seen(context, verdict, now),
        )
        changes: list[Change] = [
            HoldMoved(hold.id, HoldState.APPROVED, HoldState.USED, now),
            CallMoved(hold.call, now, CallState.RUNNING, "approved", entry=0),
        ]
        if charges:
            changes.append(Reserved(hold.call, now, charges))
        await self._journal.commit((entry,), changes)
        self._tell(context, CallState.RUNNING)
        if self._events.watcher is not None:
            self._events.watcher.stamped(context, hold)

    def _seen(
        self, context: CallContext, verdict: Verdict, now: int, line: Line | None = None
    ) -> JsonObject:
        return see(
            context.call,
            context.chain,
            verdict,
            self._journal.counters,
            context.labels,
            now,
            policies=context.policies != "",
            line=line,
        )

    def end(
        self,
        context: CallContext,
        state: CallState,
        code: str,
        ending: Ending,
        frozen: Sequence[Mandate] = (),
        reply: UpstreamReply | None = None,
    ) -> Awaitable[object]:
        """Write how a call ended, what became of its reservation, and what that froze."""
        now = self._clock.wall_ms()
        settled = ending.settled
        entry = self._recorder.outcome(context, state, code, now, reply, settled)
        moved = CallMoved(context.call.id, now, state, code, "", 0)
        changes: tuple[Change, ...] = (moved, *settled) if settled else (moved,)
        committed: Awaitable[object]
        if frozen:
            committed = self._commit_with_stops(context, entry, changes, frozen, now)
        else:
            committed = self._journal.commit((entry,), changes)
            if self._events.quiet and not context.traceparent:
                return committed
        return self._tell_ended(committed, context, state, code, now, reply, frozen)

    async def _commit_with_stops(
        self,
        context: CallContext,
        entry: Entry,
        changes: tuple[Change, ...],
        frozen: Sequence[Mandate],
        now: int,
    ) -> None:
        """Commit the end of a call together with the stop of the mandates that it overran."""
        await self._recorder.prepare([""], now)
        acts = [self._freezing(context, mandate, now) for mandate in frozen]
        stopped = [
            ObjectState("mandate", mandate.name, MandateState.SUSPENDED.value, now, "")
            for mandate in frozen
        ]
        await self._journal.commit((entry, *acts), (*changes, *stopped))

    async def _tell_ended(
        self,
        committed: Awaitable[object],
        context: CallContext,
        state: CallState,
        code: str,
        now: int,
        reply: UpstreamReply | None,
        frozen: Sequence[Mandate],
    ) -> None:
        await committed
        self._tell(context, state)
        if self._events.watcher is not None:
            self._events.watcher.ended(context, state, code, now, reply)
        for mandate in frozen:
            state_now = MandateState.SUSPENDED.value
            self._events.publish({"event": "mandate", "id": mandate.name, "state": state_now})

    def _freezing(self, context: CallContext, mandate: Mandate, now: int) -> Entry:
        """The entry of an act of the gateway's own: it stops a mandate."""
        because = "a call took more than it had reserved"
        return self._recorder.act(
            LeafType.SUSPEND,
            mandate.name,
            now,
            "",
            {"mandate": mandate.ref, "call": context.call.id, "code": "actual_above_estimate"},
            {"mandate": mandate.ref, "call": context.call.id, "because": because},
        )

    def _tell(self, context: CallContext, state: CallState) -> None:
        if context.traceparent and self._events.traced is not None:
            self._events.traced(context)
        if not self._events.readers:
            return
        self._events.publish(
            {
                "event": "call",
                "id": context.call.id,
                "state": state.value,
                "run": context.run,
                "agent": context.agent,
            }
        )
