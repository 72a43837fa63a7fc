"""What happens to a call, written down and told to those who watch."""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.core.verdict import Verdict
from bailiwick.gateway.events import Events
from bailiwick.gateway.recorder import CallContext, Recorder
from bailiwick.ports import (
    CallMoved,
    CallOpened,
    CallState,
    Change,
    Clock,
    HoldMoved,
    HoldOpened,
    HoldRow,
    HoldState,
    Journal,
    UpstreamReply,
)


class Register:
    """The gate's own commits: each is durable when its method returns.

    All raise StoreError when it could not be written, and OurError `not_recordable` when there is
    no way to write it.
    """

    def __init__(self, journal: Journal, recorder: Recorder, clock: Clock, events: Events) -> None:
        self._journal = journal
        self._recorder = recorder
        self._clock = clock
        self._events = events

    async def open(
        self, context: CallContext, verdict: Verdict, state: CallState, code: str
    ) -> None:
        """Write the intent of a call that is allowed (`running`) or denied."""
        now = self._clock.wall_ms()
        entry = self._recorder.intent(context, verdict, code, now)
        opened = _opened(context, verdict, state, code, now)
        await self._journal.commit((entry,), (opened,))
        self._tell(context, state)

    async def hold(self, context: CallContext, verdict: Verdict, held: HoldOpened) -> None:
        """Write the intent of a call that waits, with its hold."""
        entry = self._recorder.intent(context, verdict, "held", held.at_ms, hold=held.id)
        opened = _opened(context, verdict, CallState.HELD, "held", held.at_ms, held.id)
        await self._journal.commit((entry,), (opened, held))
        self._tell(context, CallState.HELD)
        self._events.publish({"event": "hold", "id": held.id, "state": HoldState.WAITING.value})

    async def use_stamp(self, context: CallContext, verdict: Verdict, hold: HoldRow) -> None:
        """Use an approved hold up and write the intent to run, in one commit.

        Raises:
            Conflict: somebody else has used it, or it is over.
        """
        now = self._clock.wall_ms()
        entry = self._recorder.intent(context, verdict, "approved", now, hold=hold.id)
        changes: Sequence[Change] = (
            HoldMoved(hold.id, HoldState.APPROVED, HoldState.USED, now),
            CallMoved(hold.call, now, CallState.RUNNING, "approved", entry=0),
        )
        await self._journal.commit((entry,), changes)
        self._tell(context, CallState.RUNNING)

    async def end(
        self,
        context: CallContext,
        state: CallState,
        code: str,
        reply: UpstreamReply | None = None,
    ) -> None:
        """Write how a call ended."""
        now = self._clock.wall_ms()
        entry = self._recorder.outcome(context, state, code, now, reply)
        moved = CallMoved(context.call.id, now, state, code, entry=0)
        await self._journal.commit((entry,), (moved,))
        self._tell(context, state)

    def _tell(self, context: CallContext, state: CallState) -> None:
        if not self._events.watched:
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


def _opened(
    context: CallContext, verdict: Verdict, state: CallState, code: str, now: int, hold: str = ""
) -> CallOpened:
    call = context.call
    return CallOpened(
        id=call.id,
        at_ms=now,
        run=context.run,
        agent=context.agent,
        mandate=context.mandate.ref,
        principal=context.subject,
        kind=call.target.kind._value_,  # `.value` costs a Python call
        upstream=call.target.upstream,
        name=call.target.name,
        digest=call.digest if hold else "",  # what a retry is matched on; unsalted, so no more
        state=state,
        code=code,
        because=verdict.because,
        hold=hold,
    )
