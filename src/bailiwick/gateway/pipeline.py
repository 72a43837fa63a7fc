"""The gate, implemented: judge, record, hold, dispatch, record.

The order is the product (docs/how-it-works.md has the picture):

1. The call is fixed: parsed arguments, canonical form, digest.
2. It is judged against every mandate of the caller's chain.
3. The intent is made durable, whatever the verdict. If that fails, the call is denied.
4. Held calls wait for a stamp and are judged again before they run; a stamp serves once.
5. Right before dispatch the authority is looked at once more (promise 7).
6. The outcome is made durable before the agent sees it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from bailiwick.core.call import Call, Target
from bailiwick.core.context import NO_COUNTERS, NO_LABELS, NO_POLICIES, NO_STEP
from bailiwick.core.errors import BailiwickError, Conflict, StoreError, UpstreamDown
from bailiwick.core.judge import judge, visible
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.rendering import Asking, render
from bailiwick.core.verdict import Allow, Deny, Hold, Verdict
from bailiwick.gateway.authority import Authority
from bailiwick.gateway.events import Events
from bailiwick.gateway.gate import (
    Answer,
    Answered,
    Asked,
    Dispatch,
    OnTick,
    Refused,
    StillWaiting,
    Tick,
)
from bailiwick.gateway.holds import Holds
from bailiwick.gateway.recorder import CallContext, Recorder
from bailiwick.gateway.runs import Runs
from bailiwick.gateway.undelivered import Undelivered
from bailiwick.ports import (
    Caller,
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

MAX_WAITING_PER_AGENT = 100
"""Holds one agent may have waiting: people look at a list, and beyond it they stop looking."""

MAX_SHOWN_BYTES = 256 * 1024
MAX_RENDERING_CHARS = 1024 * 1024
"""Longest call, in canonical bytes, and longest text of it that a person is asked to stamp."""

_TOO_MANY_WAITING = (
    f"{MAX_WAITING_PER_AGENT} of this agent's calls already wait for a person: wait until some of "
    "them are decided"
)
_TOO_LONG = "it needs a person's stamp, and is too long for a person to look at: send less at once"
_NOT_RECORDED = "it could not be recorded, so it was not done; try again later"


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long held calls wait.

    Attributes:
        window_seconds: one request waits this long, then answers that it is still waiting.
        tick_seconds: at most this long between two signs of life to the client.
        expires_seconds: a hold nobody decides ends after this, unless its rule says otherwise.
        told_seconds: for this long, the same call again hears of a refusal or expiry; after
            that it opens a new hold.
    """

    window_seconds: float = 240.0
    tick_seconds: float = 15.0
    expires_seconds: int = 24 * 3600
    told_seconds: int = 15 * 60


@dataclass(slots=True)
class _Pursuit:
    """One hold being waited for by one or more identical requests."""

    task: asyncio.Task[Answer]
    waiters: int = 0


class Pipeline:
    """The `Gate` of gateway/gate.py."""

    def __init__(
        self,
        *,
        journal: Journal,
        recorder: Recorder,
        authority: Authority,
        holds: Holds,
        runs: Runs,
        clock: Clock,
        events: Events,
        new_id: Callable[[], str],
        nonce: Callable[[], str],
        waiting: Waiting,
    ) -> None:
        self._journal = journal
        self._recorder = recorder
        self._authority = authority
        self._holds = holds
        self._runs = runs
        self._clock = clock
        self._events = events
        self._new_id = new_id
        self._nonce = nonce
        self._waiting = waiting
        self._pursuits: dict[str, _Pursuit] = {}
        self._undelivered = Undelivered()
        self._opening: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._in_flight: dict[str, CallContext] = {}
        self._closing = False

    def visible(self, caller: Caller, target: Target) -> bool:
        """See `gate.Gate.visible`."""
        return visible(self._authority.chain(caller.mandate), target, self._clock.wall_ms())

    def in_flight(self, mandate: str) -> list[str]:
        """Ids of calls dispatched under this mandate and not back yet."""
        return [call for call, c in self._in_flight.items() if c.mandate.name == mandate]

    def start_closing(self) -> None:
        """Let held calls answer that they are still waiting: their holds outlive the process."""
        self._closing = True
        self._holds.wake_all()

    async def govern(self, asked: Asked, dispatch: Dispatch, on_tick: OnTick) -> Answer:
        """See `gate.Gate.govern`."""
        call_id = self._new_id()
        caller = asked.caller
        chain = self._authority.chain(caller.mandate)
        if not chain:
            return Refused(call_id, "mandate_unknown", f"there is no mandate `{caller.mandate}`")
        try:
            call = Call.of(call_id, asked.target, asked.arguments)  # 1
        except BailiwickError as error:
            return Refused(call_id, error.code, error.message)
        verdict = self._judge(call, chain)  # 2
        if asked.blocked is not None and not isinstance(verdict, Deny):
            # What the mandate refuses anyway is refused for that: whether a server has such a
            # thing is nothing to tell an agent that may not use it.
            verdict = asked.blocked
        mandate = chain[-1]
        owner = self._authority.owner(caller.agent)
        try:
            if not self._recorder.ready(mandate.principal):
                await self._recorder.prepare([mandate.principal], self._clock.wall_ms())
            run = self._runs.known(caller, asked.run_key)
            if run is None:
                run = await self._runs.open(caller, asked.run_key, self._clock.wall_ms())
        except StoreError:
            return Refused(call_id, "ledger_unavailable", _NOT_RECORDED)
        context = CallContext(
            call=call,
            run=run,
            agent=caller.agent,
            owner=owner,
            mandate=mandate,
            edge=asked.edge,
            traceparent=asked.traceparent,
            token=caller.token,
        )
        match verdict:
            case Allow():
                return await self._allow(context, verdict, dispatch)
            case Deny():
                return await self._deny(context, verdict)
            case Hold():
                return await self._hold(context, verdict, dispatch, on_tick)

    def _judge(self, call: Call, chain: tuple[Mandate, ...]) -> Verdict:
        now = self._clock.wall_ms()
        return judge(call, chain, NO_POLICIES, NO_COUNTERS, NO_LABELS, NO_STEP, now)

    # --- allowed and denied ----------------------------------------------------------------------

    async def _allow(self, context: CallContext, verdict: Allow, dispatch: Dispatch) -> Answer:
        call_id = context.call.id
        now = self._clock.wall_ms()
        try:
            entry = self._recorder.intent(context, verdict, "allowed", now)
            opened = _opened(context, verdict, CallState.RUNNING, "allowed", now)
            await self._journal.commit((entry,), (opened,))  # 3
        except BailiwickError:
            return Refused(call_id, "ledger_unavailable", _NOT_RECORDED)
        self._publish(context, CallState.RUNNING)
        return await self._dispatch(context, dispatch)

    async def _deny(self, context: CallContext, verdict: Deny) -> Answer:
        text = f"{verdict.because}. {verdict.allowed}" if verdict.allowed else verdict.because
        now = self._clock.wall_ms()
        try:
            entry = self._recorder.intent(context, verdict, verdict.code, now)
            opened = _opened(context, verdict, CallState.DENIED, verdict.code, now)
            await self._journal.commit((entry,), (opened,))
        except BailiwickError:
            return Refused(context.call.id, "ledger_unavailable", _NOT_RECORDED)
        self._publish(context, CallState.DENIED)
        return Refused(context.call.id, verdict.code, text)

    async def _dispatch(self, context: CallContext, dispatch: Dispatch) -> Answer:
        call_id = context.call.id
        # 5. INVARIANT: no await between this look and handing the call to the upstream.
        gone = self._no_longer(context)
        if gone is not None:
            return await self._end(context, CallState.DENIED, gone.code, gone)
        self._in_flight[call_id] = context
        try:
            reply = await dispatch()
        except UpstreamDown as error:
            code = "upstream_down"
            refused = Refused(call_id, code, f"nothing was done: {error.message}")
            return await self._end(context, CallState.FAILED, code, refused)
        except asyncio.CancelledError:
            # The client went away. What the upstream did until then is not known.
            ending = self._end(
                context, CallState.CANCELLED, "cancelled", Refused(call_id, "cancelled", "")
            )
            await asyncio.shield(asyncio.ensure_future(ending))
            raise
        except Exception as error:  # noqa: BLE001 - it was sent: whatever happened, it is unknown
            detail = error.message if isinstance(error, BailiwickError) else type(error).__name__
            code = "outcome_unknown"
            text = (
                f"it was sent, and what came of it is not known: {detail}. Do not repeat it "
                "before a person has looked"
            )
            return await self._end(context, CallState.UNKNOWN, code, Refused(call_id, code, text))
        finally:
            self._in_flight.pop(call_id, None)
        state = CallState.FAILED if _failed(reply) else CallState.DONE
        return await self._end(context, state, "", Answered(call_id, reply), reply)  # 6

    def _no_longer(self, context: CallContext) -> Refused | None:
        """Why an authority that was good when the call was judged is not any more."""
        call_id, name = context.call.id, context.mandate.name
        standing = self._authority.chain(name)
        if not standing or any(mandate.state is not MandateState.ACTIVE for mandate in standing):
            return Refused(call_id, "mandate_revoked", f"mandate `{name}` is not active")
        if self._authority.token_revoked(context.token):
            return Refused(call_id, "token_revoked", "the token this came with was revoked")
        return None

    async def _end(
        self,
        context: CallContext,
        state: CallState,
        code: str,
        answer: Answer,
        reply: UpstreamReply | None = None,
    ) -> Answer:
        now = self._clock.wall_ms()
        try:
            entry = self._recorder.outcome(context, state, code, now, reply)
            moved = CallMoved(context.call.id, now, state, code, entry=0)
            await self._journal.commit((entry,), (moved,))
        except BailiwickError:
            text = (
                "it was sent, but what came back could not be recorded, so it is withheld. Do "
                "not repeat it before a person has looked"
            )
            return Refused(context.call.id, "outcome_not_recorded", text)
        self._publish(context, state)
        return answer

    # --- held ------------------------------------------------------------------------------------

    async def _hold(
        self, context: CallContext, verdict: Hold, dispatch: Dispatch, on_tick: OnTick
    ) -> Answer:
        key = (context.call.digest, context.mandate.ref, context.agent)
        kept = self._undelivered.pop(key, self._clock.monotonic())
        if kept is not None:  # it ran while its client was away: this is its answer
            return kept
        try:
            # One at a time for each agent: two identical calls at once are one hold, and no
            # number of calls at once gets past the bound on what waits.
            async with self._opening[context.agent]:
                hold = await self._holds.find(*key)
                if hold is None or self._settled(hold):
                    found = await self._open_hold(context, verdict)
                    if isinstance(found, Deny):
                        return await self._deny(context, found)
                    hold = found
        except BailiwickError:
            return Refused(context.call.id, "ledger_unavailable", _NOT_RECORDED)
        if hold.state in (HoldState.REFUSED, HoldState.EXPIRED):
            return _refusal(hold)
        return await self._pursue(key, hold, context, dispatch, on_tick)

    def _settled(self, hold: HoldRow) -> bool:
        """Whether a refused or expired hold has been told for long enough to ask anew."""
        if hold.state not in (HoldState.REFUSED, HoldState.EXPIRED):
            return False
        decided = hold.decided_ms or hold.at_ms
        return self._clock.wall_ms() > decided + self._waiting.told_seconds * 1000

    async def _open_hold(self, context: CallContext, verdict: Hold) -> HoldRow | Deny:
        """A new hold, or why this agent gets none."""
        if await self._holds.waiting(context.agent) >= MAX_WAITING_PER_AGENT:
            return Deny("too_many_waiting", verdict.rules, _TOO_MANY_WAITING)
        if len(context.call.canonical) > MAX_SHOWN_BYTES:
            return Deny("too_long_to_show", verdict.rules, _TOO_LONG)
        now = self._clock.wall_ms()
        need = verdict.requirement
        seconds = need.expires_after_seconds or self._waiting.expires_seconds
        call, expires = context.call, now + seconds * 1000
        asking = Asking(
            agent=context.agent,
            owner=context.owner,
            principal=context.subject,
            mandate=context.mandate.ref,
            purpose=context.mandate.purpose,
            run=context.run,
        )
        shown = render(call, asking, need, verdict.because, expires)
        if len(shown) > MAX_RENDERING_CHARS:
            return Deny("too_long_to_show", verdict.rules, _TOO_LONG)
        held = HoldOpened(
            id=self._new_id(),
            call=call.id,
            digest=call.digest,
            mandate=context.mandate.ref,
            agent=context.agent,
            run=context.run,
            kind=call.target.kind.value,
            upstream=call.target.upstream,
            name=call.target.name,
            because=verdict.because,
            rules=verdict.rules,
            role=need.role or "",
            excluded=tuple(sorted(need.excluded)),
            count=need.count,
            rendering=shown,
            nonce=self._nonce(),
            at_ms=now,
            expires_ms=expires,
        )
        entry = self._recorder.intent(context, verdict, "held", now, hold=held.id)
        opened = _opened(context, verdict, CallState.HELD, "held", now, held.id)
        await self._journal.commit((entry,), (opened, held))
        self._publish(context, CallState.HELD)
        self._events.publish({"event": "hold", "id": held.id, "state": "waiting"})
        row = await self._holds.current(held.id)
        assert row is not None
        return row

    async def _pursue(
        self,
        key: tuple[str, str, str],
        hold: HoldRow,
        context: CallContext,
        dispatch: Dispatch,
        on_tick: OnTick,
    ) -> Answer:
        """Wait for the hold together with every identical request: it runs at most once."""
        pursuit = self._pursuits.get(hold.id)
        if pursuit is None:
            work = self._wait_and_run(hold, context, dispatch)
            pursuit = self._pursuits[hold.id] = _Pursuit(asyncio.ensure_future(work))
            pursuit.task.add_done_callback(lambda _: self._pursuits.pop(hold.id, None))
        pursuit.waiters += 1
        started = self._clock.monotonic()
        text = f"waiting for approval {hold.id}: {hold.because}"
        try:
            if hold.state is HoldState.WAITING:
                await on_tick(Tick(hold.id, 0.0, text))
            while not pursuit.task.done():
                await asyncio.wait({pursuit.task}, timeout=self._waiting.tick_seconds)
                if not pursuit.task.done():
                    await on_tick(Tick(hold.id, self._clock.monotonic() - started, text))
            return pursuit.task.result()
        except BaseException:
            # The client went away, or cannot be told: without another waiter it is over.
            pursuit.waiters -= 1
            if pursuit.waiters == 0:
                pursuit.task.cancel()
                await asyncio.gather(pursuit.task, return_exceptions=True)
            raise

    def keep_answer(self, asked: Asked, answer: Answer) -> None:
        """See `gate.Gate.keep_answer`."""
        chain = self._authority.chain(asked.caller.mandate)
        if not chain or not isinstance(answer, Answered) or not answer.stamped:
            return
        digest = Call.of(answer.call, asked.target, asked.arguments).digest
        until = self._clock.monotonic() + self._waiting.told_seconds
        self._undelivered.keep((digest, chain[-1].ref, asked.caller.agent), answer, until)

    async def _wait_and_run(
        self, hold: HoldRow, context: CallContext, dispatch: Dispatch
    ) -> Answer:
        try:
            decided = await self._wait(hold)
        except asyncio.CancelledError:
            if not self._closing:  # a hold outlives the process, not its client's patience
                await asyncio.shield(asyncio.ensure_future(self._holds.withdraw(hold, "cancelled")))
            raise
        except StoreError:
            return Refused(context.call.id, "ledger_unavailable", _NOT_RECORDED)
        if decided is None:
            text = (
                f"waiting for approval {hold.id}, retry the same call to continue. Held because "
                f"{hold.because}"
            )
            return StillWaiting(hold.call, hold.id, text)
        if decided.state is not HoldState.APPROVED:
            return _refusal(decided)
        return await self._run_approved(decided, context, dispatch)

    async def _wait(self, hold: HoldRow) -> HoldRow | None:
        """The decided hold, or None when the window ended first."""
        started = self._clock.monotonic()
        current: HoldRow | None = hold
        while current is not None and current.state is HoldState.WAITING:
            left = self._waiting.window_seconds - (self._clock.monotonic() - started)
            if left <= 0 or self._closing:
                return None
            current = await self._holds.wait(hold.id, min(left, self._waiting.tick_seconds))
        return current

    async def _run_approved(
        self, hold: HoldRow, context: CallContext, dispatch: Dispatch
    ) -> Answer:
        """Judge once more, use the stamp up, and run: the stamp was for exactly this."""
        chain = self._authority.chain(context.mandate.name)
        verdict: Verdict = (
            self._judge(context.call, chain)
            if chain
            else Deny("mandate_unknown", (), f"mandate `{context.mandate.name}` is gone")
        )
        stale = not chain or chain[-1].ref != hold.mandate
        try:
            if isinstance(verdict, Deny):
                await self._holds.withdraw(hold, verdict.code)
                return Refused(hold.call, verdict.code, verdict.because)
            short = isinstance(verdict, Hold) and not self._holds.satisfied(
                verdict.requirement, hold
            )
            if stale or short:
                await self._holds.withdraw(hold, "stamp_no_longer_enough")
                text = (
                    "the approval was for an earlier version of the mandate, or is not enough any "
                    "more; retry the same call to ask again"
                )
                return Refused(hold.call, "stamp_no_longer_enough", text)
            await self._use_stamp(hold, context, verdict)
        except Conflict:
            return Refused(hold.call, "stamp_used", "this approval has already been used")
        except BailiwickError:
            return Refused(hold.call, "ledger_unavailable", _NOT_RECORDED)
        answer = await self._dispatch(_resumed(context, hold), dispatch)
        if isinstance(answer, Answered):
            return Answered(answer.call, answer.reply, stamped=True)
        return answer

    async def _use_stamp(self, hold: HoldRow, context: CallContext, verdict: Verdict) -> None:
        now = self._clock.wall_ms()
        resumed = _resumed(context, hold)
        entry = self._recorder.intent(resumed, verdict, "approved", now, hold=hold.id)
        changes: list[Change] = [
            HoldMoved(hold.id, HoldState.APPROVED, HoldState.USED, now),
            CallMoved(hold.call, now, CallState.RUNNING, "approved", entry=0),
        ]
        await self._journal.commit((entry,), changes)
        self._publish(resumed, CallState.RUNNING)

    def _publish(self, context: CallContext, state: CallState) -> None:
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


def _resumed(context: CallContext, hold: HoldRow) -> CallContext:
    """The context under the id of the call that opened the hold: a retry is the same call."""
    if context.call.id == hold.call:
        return context
    call = Call.of(hold.call, context.call.target, context.call.arguments)
    return CallContext(
        call=call,
        run=hold.run,
        agent=context.agent,
        owner=context.owner,
        mandate=context.mandate,
        edge=context.edge,
        traceparent=context.traceparent,
        token=context.token,
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
        kind=call.target.kind.value,
        upstream=call.target.upstream,
        name=call.target.name,
        digest=call.digest if hold else "",  # what a retry is matched on; unsalted, so no more
        state=state,
        code=code,
        because=verdict.because,
        hold=hold,
    )


def _refusal(hold: HoldRow) -> Refused:
    if hold.state is HoldState.REFUSED:
        reason = next((s.reason for s in hold.stamps if s.decision == "refuse"), "")
        told = f": {reason}" if reason else ""
        text = f"a person refused this call{told}. Do not repeat it"
        return Refused(hold.call, "stamp_refused", text)
    if hold.state is HoldState.EXPIRED:
        text = "nobody approved this call in time, so it was not done"
        return Refused(hold.call, "hold_expired", text)
    return Refused(hold.call, "hold_gone", f"hold {hold.id} is {hold.state.value}")


def _failed(reply: UpstreamReply) -> bool:
    """Whether the upstream says that it did not work. A cheap look, only for the record."""
    if reply.error is not None:
        return True
    result = reply.result or b""
    at = result.find(b'"isError"')
    return at >= 0 and result[at + 9 :].lstrip(b" \t\r\n:").startswith(b"true")
