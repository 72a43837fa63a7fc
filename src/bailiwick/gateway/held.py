"""Calls that wait for a person: opened once, waited for together, judged again, run at most once.

docs/adr/0002 says why identical requests share one pursuit.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from bailiwick.core.call import Call
from bailiwick.core.errors import BailiwickError, Conflict, LimitReached, StoreError
from bailiwick.core.flow.flowing import origins
from bailiwick.core.flow.labels import Labels
from bailiwick.core.limits.limit import Charge
from bailiwick.core.mandate import Mandate, authority
from bailiwick.core.rendering import Asking, render, shows_leads
from bailiwick.core.thinking.said_and_did import thought_in_words
from bailiwick.core.verdict import Deny, Hold, Verdict
from bailiwick.gateway.authority import Authority
from bailiwick.gateway.gate import (
    NOT_RECORDED,
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
from bailiwick.gateway.links import Links
from bailiwick.gateway.memories import Memories
from bailiwick.gateway.recorder import CallContext
from bailiwick.gateway.register import Register
from bailiwick.gateway.running import Running
from bailiwick.gateway.undelivered import Undelivered
from bailiwick.ports import Clock, HoldOpened, HoldRow, HoldState, Settlement

MAX_WAITING_PER_AGENT = 100
"""Holds one agent may have waiting: people look at a list, and beyond it they stop looking."""

MAX_SHOWN_BYTES = 256 * 1024
MAX_RENDERING_CHARS = 1024 * 1024
"""Longest call, in canonical bytes, and longest text of it that a person is asked to stamp."""

_TOO_MANY_WAITING = (
    f"{MAX_WAITING_PER_AGENT} of this agent's calls already wait for a person: wait until some of "
    "them are decided"
)
_MOVED = (
    "one of its paths leads to another place than when it was approved; retry the same call to ask "
    "again"
)
_NOT_ENOUGH = (
    "the approval was for an earlier version of the mandate or of the organisation's policies, or "
    "is not enough any more; retry the same call to ask again"
)
_TOO_LONG = "it needs a person's stamp, and is too long for a person to look at: send less at once"


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
    """One hold being waited for by one or more identical requests: those still there, in order."""

    waiting: list[CallContext] = field(default_factory=list)
    task: asyncio.Task[Answer] = field(init=False)


class HeldCalls:
    """Holds calls for a gate; those that may run come back to `running`."""

    def __init__(
        self,
        *,
        register: Register,
        authority: Authority,
        holds: Holds,
        clock: Clock,
        new_id: Callable[[], str],
        nonce: Callable[[], str],
        waiting: Waiting,
        memories: Memories,
        running: Running,
        links: Links,
    ) -> None:
        self._register = register
        self._authority = authority
        self._holds = holds
        self._clock = clock
        self._new_id = new_id
        self._nonce = nonce
        self._waiting = waiting
        self._memories = memories
        self._running = running
        self._links = links
        self._pursuits: dict[str, _Pursuit] = {}
        self._undelivered = Undelivered()
        self._opening: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._closing = False

    def start_closing(self) -> None:
        """Let held calls answer that they are still waiting: their holds outlive the process."""
        self._closing = True
        self._holds.wake_all()

    async def pursue(
        self, context: CallContext, verdict: Hold, dispatch: Dispatch, on_tick: OnTick
    ) -> Answer:
        """Hold a call until a person has decided, the window ends or the client goes away."""
        key = (context.call.digest, context.authority, context.agent)
        kept = self._undelivered.pop(
            (*key, self._told_apart(context.chain, context.run)), self._clock.monotonic()
        )
        if kept is not None:  # it ran while its client was away: this is its answer
            self._running.use_up(context, used=True)
            return kept
        try:
            # One at a time for each agent: two identical calls at once are one hold, and no
            # number of calls at once gets past the bound on what waits.
            async with self._opening[context.agent]:
                hold = await self._holds.find(*key)
                if hold is not None and self._cannot_serve(hold, context):
                    await self._holds.withdraw(hold, "stamp_no_longer_enough")
                    hold = None
                elif hold is not None and await self._is_over(hold, context):
                    await self._holds.withdraw(hold, "run_ended")
                    hold = None
                if hold is None or self._settled(hold):
                    found = await self._open_hold(context, verdict)
                    if isinstance(found, Deny):
                        return await self._running.deny(context, found)
                    hold = found
        except BailiwickError:
            return Refused(context.call.id, "ledger_unavailable", NOT_RECORDED)
        if hold.state in (HoldState.REFUSED, HoldState.EXPIRED):
            return _refusal(hold)
        return await self._join(hold, context, dispatch, on_tick)

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
            mandate=context.authority,
            purpose=context.chain[0].purpose,  # a person's words; a child's are an agent's
            run=context.run,
            thought="" if context.thought is None else thought_in_words(context.thought),
        )
        sources = origins(verdict.rules, call, context.labels)
        shown = render(call, asking, need, verdict.because, expires, sources)
        if len(shown) > MAX_RENDERING_CHARS:
            return Deny("too_long_to_show", verdict.rules, _TOO_LONG)
        held = HoldOpened(
            id=self._new_id(),
            call=call.id,
            digest=call.digest,
            mandate=context.authority,
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
            policies=context.policies,
        )
        await self._register.hold(context, verdict, held)
        row = await self._holds.current(held.id)
        assert row is not None
        return row

    async def _join(
        self, hold: HoldRow, context: CallContext, dispatch: Dispatch, on_tick: OnTick
    ) -> Answer:
        """Wait for the hold together with every identical request: it runs at most once."""
        pursuit = self._pursuits.get(hold.id)
        if pursuit is None:
            pursuit = self._pursuits[hold.id] = _Pursuit()
            work = self._wait_and_run(hold, pursuit, dispatch)
            pursuit.task = asyncio.ensure_future(work)
            pursuit.task.add_done_callback(lambda _: self._pursuits.pop(hold.id, None))
        pursuit.waiting.append(context)
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
            pursuit.waiting = [each for each in pursuit.waiting if each is not context]
            if not pursuit.waiting:
                pursuit.task.cancel()
                await asyncio.gather(pursuit.task, return_exceptions=True)
            raise

    def keep_answer(self, asked: Asked, answer: Answer, run: str) -> None:
        """See `gate.Gate.keep_answer`. `run`: the one that asked."""
        chain = self._authority.chain(asked.caller.mandate)
        if not chain or not isinstance(answer, Answered) or not answer.stamped:
            return
        digest = Call.of(answer.call, asked.target, asked.arguments, asked.beside).digest
        until = self._clock.monotonic() + self._waiting.told_seconds
        apart = self._told_apart(chain, run)
        self._undelivered.keep((digest, authority(chain), asked.caller.agent, apart), answer, until)

    def _told_apart(self, chain: tuple[Mandate, ...], run: str) -> str:
        """The run, where it matters which one reads an answer; else ""."""
        return run if self._memories.matter(chain) else ""

    def _cannot_serve(self, hold: HoldRow, context: CallContext) -> bool:
        """Whether a hold must not be picked up: the organisation's policies have changed, or it is
        another run's. What it was shown to come from, what its stamp vouches for and what its
        result teaches all belong to that run. Nor one that shows paths leading to other places."""
        live = hold.state in (HoldState.WAITING, HoldState.APPROVED)
        another = hold.run != context.run and self._memories.matter(context.chain)
        moved = not shows_leads(hold.rendering, context.call.leads)
        return _outdated(hold, context) or (live and (another or moved))

    async def _is_over(self, hold: HoldRow, context: CallContext) -> bool:
        """Whether a hold that might serve is of another run, and a person has ended that: nothing
        more is done in it. By the record, since it may have ended in an earlier process."""
        live = hold.state in (HoldState.WAITING, HoldState.APPROVED)
        return live and hold.run != context.run and await self._holds.run_is_over(hold)

    async def _wait_and_run(self, hold: HoldRow, pursuit: _Pursuit, dispatch: Dispatch) -> Answer:
        try:
            decided = await self._wait(hold)
        except asyncio.CancelledError:
            if not self._closing:  # a hold outlives the process, not its client's patience
                await asyncio.shield(asyncio.ensure_future(self._holds.withdraw(hold, "cancelled")))
            raise
        except StoreError:
            return Refused(hold.call, "ledger_unavailable", NOT_RECORDED)
        if decided is None:
            text = (
                f"waiting for approval {hold.id}, retry the same call to continue. Held because "
                f"{hold.because}"
            )
            return StillWaiting(hold.call, hold.id, text)
        if decided.state is not HoldState.APPROVED:
            return _refusal(decided)
        return await self._run_approved(decided, self._asking(decided, pursuit), dispatch)

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

    def _asking(self, hold: HoldRow, pursuit: _Pursuit) -> CallContext:
        """Under whose authority it runs: of those still there, the first who still may."""
        may = (
            each
            for each in pursuit.waiting
            if self._running.no_longer(_resumed(each, hold, ()), waits=True) is None
        )
        return next(may, pursuit.waiting[0])

    def _where_it_is(self, context: CallContext, labels: Labels) -> Labels:
        """The same labels, in the zones that its caller's address lies in as they are now."""
        zones = self._authority.snapshot.networks.around(context.address)
        if zones == labels.facts.zones:
            return labels
        facts = msgspec.structs.replace(labels.facts, zones=zones)
        return self._memories.with_facts(labels, facts)

    async def _run_approved(
        self, hold: HoldRow, context: CallContext, dispatch: Dispatch
    ) -> Answer:
        """Judge once more, use the stamp up, and run: the stamp was for exactly this, and for the
        places that its paths were shown to lead to."""
        name = context.mandate.name
        await self._running.recall(context)
        labels = await self._memories.again(context.labels, self._authority.chain(name))
        call = await self._links.look(context.call, self._authority.chain(name))
        # What was declared anew while a memory was built is what counts.
        # INVARIANT: no await from here until the stamp is about to be used.
        chain = self._authority.chain(name)
        labels = self._where_it_is(context, labels)
        context, labels = self._running.think_again(context, labels)
        # Recorded is what was judged.
        context = msgspec.structs.replace(context, labels=labels, call=call)
        verdict: Verdict = (
            self._running.judge(context.call, chain, labels)
            if chain
            else Deny("mandate_unknown", (), f"mandate `{context.mandate.name}` is gone")
        )
        stale = (
            not chain
            or authority(chain) != hold.mandate
            or self._authority.snapshot.policies.version != hold.policies
        )
        moved = not shows_leads(hold.rendering, call.leads)
        charges = () if isinstance(verdict, Deny) else verdict.charges
        resumed = _resumed(context, hold, charges)
        try:
            if isinstance(verdict, Deny) and verdict.code == "limit_exceeded":
                return _no_room(hold, verdict.because)
            if isinstance(verdict, Deny):
                await self._holds.withdraw(hold, verdict.code)
                return Refused(hold.call, verdict.code, verdict.because)
            short = isinstance(verdict, Hold) and not self._holds.satisfied(
                verdict.requirement, hold
            )
            if stale or short or moved:
                await self._holds.withdraw(hold, "stamp_no_longer_enough")
                text = _MOVED if moved else _NOT_ENOUGH
                return Refused(hold.call, "stamp_no_longer_enough", text)
            self._running.use_up(resumed, used=True)
            await self._register.use_stamp(resumed, verdict, hold)
            self._memories.stamped(hold.run, resumed.call, hold)
        except asyncio.CancelledError:
            # The last client went away while the stamp was being used up: nothing was sent.
            self._running.use_up(resumed, used=False)
            await asyncio.shield(self._running.end_cancelled(resumed, Settlement.VOIDED))
            raise
        except LimitReached as reached:
            self._running.use_up(resumed, used=False)
            return _no_room(hold, reached.message)
        except Conflict:
            self._running.use_up(resumed, used=False)
            return Refused(hold.call, "stamp_used", "this approval has already been used")
        except BailiwickError:
            self._running.use_up(resumed, used=False)
            return Refused(hold.call, "ledger_unavailable", NOT_RECORDED)
        answer = await self._running.dispatch(resumed, dispatch)
        if isinstance(answer, Answered):
            return Answered(answer.call, answer.reply, stamped=True)
        return answer


def _no_room(hold: HoldRow, because: str) -> Refused:
    """What is said of an approved call that fits no limit now. Its approval is not used up."""
    text = f"{because}. The approval stays good until it expires: retry the same call later"
    return Refused(hold.call, "limit_exceeded", text)


def _outdated(hold: HoldRow, context: CallContext) -> bool:
    """Whether its stamps would not serve, because the organisation's policies have changed."""
    live = hold.state in (HoldState.WAITING, HoldState.APPROVED)
    return live and hold.policies != context.policies


def _resumed(context: CallContext, hold: HoldRow, charges: tuple[Charge, ...]) -> CallContext:
    """The context under the id of the call that opened the hold: a retry is the same call."""
    call = msgspec.structs.replace(context.call, id=hold.call)
    return CallContext(
        call=call,
        run=hold.run,
        agent=context.agent,
        owner=context.owner,
        chain=context.chain,
        edge=context.edge,
        traceparent=context.traceparent,
        token=context.token,
        labels=context.labels,
        charges=charges,
        policies=hold.policies,
        address=context.address,
        asked_in=context.run,
        thought=context.thought,
        asked_for=context.asked_for,
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
