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
from collections.abc import Callable, Sequence

import msgspec

from bailiwick.core.call import Call, Target
from bailiwick.core.context import NO_STEP
from bailiwick.core.errors import (
    BailiwickError,
    LimitReached,
    StoreError,
    UpstreamBroken,
    UpstreamDown,
)
from bailiwick.core.flow import Labels
from bailiwick.core.judge import judge, stopped, visible
from bailiwick.core.limits import PERSON
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.offering import Offering
from bailiwick.core.verdict import Allow, Deny, Hold, Verdict
from bailiwick.gateway.authority import Authority
from bailiwick.gateway.events import Events
from bailiwick.gateway.first_message import instruction_of
from bailiwick.gateway.gate import (
    NOT_RECORDED,
    Answer,
    Answered,
    Asked,
    Dispatch,
    GoneMidway,
    OnTick,
    Refused,
)
from bailiwick.gateway.held import HeldCalls, Waiting
from bailiwick.gateway.holds import Holds
from bailiwick.gateway.joining import Joining
from bailiwick.gateway.memories import Memories
from bailiwick.gateway.recorder import CallContext, Recorder
from bailiwick.gateway.register import Register
from bailiwick.gateway.run_facts import facts_of, objection, thinking
from bailiwick.gateway.runs import Runs
from bailiwick.gateway.settlement import (
    NOTHING,
    Ending,
    answered,
    ended,
    failed_by,
    key_refused,
)
from bailiwick.gateway.thoughts import Thoughts
from bailiwick.ports import Caller, CallState, Clock, Journal, Settlement, UpstreamReply


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
        memories: Memories,
        thoughts: Thoughts,
        clock: Clock,
        events: Events,
        new_id: Callable[[], str],
        nonce: Callable[[], str],
        waiting: Waiting,
    ) -> None:
        self._recorder = recorder
        self._authority = authority
        self._runs = runs
        self._memories = memories
        self._thoughts = thoughts
        self._joining = Joining(runs, memories, thoughts)
        runs.on_begun = thoughts.begin
        self._counters = journal.counters
        self._clock = clock
        self._new_id = new_id
        self._register = Register(journal, recorder, clock, events)
        self._held = HeldCalls(
            register=self._register,
            authority=authority,
            holds=holds,
            clock=clock,
            new_id=new_id,
            nonce=nonce,
            waiting=waiting,
            memories=memories,
            gate=self,
        )
        self._in_flight: dict[str, CallContext] = {}

    def visible(self, caller: Caller, target: Target) -> bool:
        """See `gate.Gate.visible`."""
        return visible(self._authority.chain(caller.mandate), target, self._clock.wall_ms())

    def stopped(self, caller: Caller) -> Deny | None:
        """See `gate.Gate.stopped`."""
        return stopped(self._authority.chain(caller.mandate), self._clock.wall_ms())

    def tells_runs_apart(self, caller: Caller) -> bool:
        """See `gate.Gate.tells_runs_apart`."""
        return self._memories.matter(self._authority.chain(caller.mandate))

    def offerings(self, caller: Caller) -> Sequence[Offering]:
        """See `gate.Gate.offerings`."""
        chain = self._authority.chain(caller.mandate)
        return [each.offering for each in chain if each.offering is not None]

    def counts_tokens(self, caller: Caller) -> bool:
        """See `gate.Gate.counts_tokens`."""
        return any(
            limit.takes
            for mandate in self._authority.chain(caller.mandate)
            for limit in (*mandate.limits, *mandate.principal_limits)
        )

    def in_flight(self, mandate: str) -> list[str]:
        """Ids of calls dispatched under this mandate or one below it, and not back yet."""
        return [
            call
            for call, context in self._in_flight.items()
            if any(each.name == mandate for each in context.chain)
        ]

    def start_closing(self) -> None:
        """Let held calls answer that they are still waiting: their holds outlive the process."""
        self._held.start_closing()

    def keep_answer(self, asked: Asked, answer: Answer) -> None:
        """See `gate.Gate.keep_answer`."""
        told = self._runs.known(asked)
        self._thoughts.unuse(answer.call)
        self._held.keep_answer(asked, answer, "" if told is None else told.run)

    async def govern(self, asked: Asked, dispatch: Dispatch, on_tick: OnTick) -> Answer:
        """See `gate.Gate.govern`."""
        call_id = self._new_id()
        caller = asked.caller
        chain = self._authority.chain(caller.mandate)
        if not chain:
            return Refused(call_id, "mandate_unknown", f"there is no mandate `{caller.mandate}`")
        try:
            call = Call.of(call_id, asked.target, asked.arguments, asked.beside, asked.use)  # 1
        except BailiwickError as error:
            return Refused(call_id, error.code, error.message)
        asked = self._joining.keyed(asked, chain)
        mandate = chain[-1]
        owner = self._authority.owner(caller.agent)
        try:
            if not self._recorder.ready(mandate.principal):
                await self._recorder.prepare([mandate.principal], self._clock.wall_ms())
            told = self._joining.run(call, asked, chain) or self._runs.known(asked)
            if told is None:
                words = instruction_of(asked, mandate, self._thoughts)
                now = self._clock.wall_ms()
                told = await self._runs.open(asked, mandate.principal, now, words)
        except StoreError:
            return Refused(call_id, "ledger_unavailable", NOT_RECORDED)
        zones = self._authority.snapshot.networks.around(asked.address)
        facts = facts_of(told, asked, zones)
        labels = self._memories.known(told, chain, facts)
        if labels is None:
            labels = await self._memories.open(told, chain, facts)
        if not self._thoughts.knows(told.run):
            await self._thoughts.open(told.run)
        # INVARIANT: no await from here to the verdict, and to `use` if it lets the call run: what a
        # model asked for once serves once.
        found = self._thoughts.find(told.run, call, asked.hints.tool_call)
        if found is not None:
            labels = self._memories.with_facts(labels, thinking(labels.facts, found.thought))
        verdict: Verdict | None = objection(told, asked)
        if verdict is None:
            verdict = self.judge(call, chain, labels)  # 2
        if asked.blocked is not None and not isinstance(verdict, Deny):
            # What the mandate refuses anyway is refused for that: whether a server has such a
            # thing is nothing to tell an agent that may not use it.
            verdict = asked.blocked
        context = CallContext(
            call=call,
            run=told.run,
            agent=caller.agent,
            owner=owner,
            chain=chain,
            edge=asked.edge,
            traceparent=asked.traceparent,
            token=caller.token,
            labels=labels,
            charges=() if isinstance(verdict, Deny) else verdict.charges,
            policies=self._authority.snapshot.policies.version,
            thought=None if found is None else found.thought,
            retold=self._thoughts.retold(told.run, asked),
            asked_for=None if found is None else found.open,
            offered=asked.hints.offered,
        )
        answer = await self._decided(context, verdict, dispatch, on_tick)
        if found is not None:
            tool_call = found.thought.tool_call or asked.hints.tool_call
            self._thoughts.came(told.run, tool_call, answer)
        return answer

    async def _decided(
        self, context: CallContext, verdict: Verdict, dispatch: Dispatch, on_tick: OnTick
    ) -> Answer:
        match verdict:
            case Allow():
                return await self._allow(context, verdict, dispatch)
            case Deny():
                return await self.deny(context, verdict)
            case Hold():
                return await self._held.pursue(context, verdict, dispatch, on_tick)

    def think_again(self, context: CallContext, labels: Labels) -> tuple[CallContext, Labels]:
        """See `held.Running.think_again`."""
        if context.thought is None:
            return context, labels
        found = self._thoughts.find(context.run, context.call, context.thought.tool_call)
        if found is None:
            return context, labels
        labels = self._memories.with_facts(labels, thinking(labels.facts, found.thought))
        changed = msgspec.structs.replace(
            context, thought=found.thought, asked_for=found.open, labels=labels
        )
        return changed, labels

    def use_up(self, context: CallContext, *, used: bool) -> None:
        """See `held.Running.use_up`."""
        if context.asked_for is None:
            return
        run = context.asked_in or context.run
        if used:
            self._thoughts.use(run, context.asked_for, context.call.id)
        else:
            self._thoughts.unuse(context.call.id)

    def judge(self, call: Call, chain: tuple[Mandate, ...], labels: Labels) -> Verdict:
        """Judge a call now."""
        policies = self._authority.snapshot.policies
        now = self._clock.wall_ms()
        return judge(call, chain, policies, self._counters, labels, NO_STEP, now)

    # --- allowed and denied ----------------------------------------------------------------------

    async def _allow(self, context: CallContext, verdict: Allow, dispatch: Dispatch) -> Answer:
        self.use_up(context, used=True)
        try:
            await self._register.open(context, verdict, CallState.RUNNING, "allowed")  # 3
        except LimitReached as reached:
            self.use_up(context, used=False)
            return await self.deny(context, self._over(context, reached))
        except BailiwickError:
            self.use_up(context, used=False)
            return Refused(context.call.id, "ledger_unavailable", NOT_RECORDED)
        except asyncio.CancelledError:
            # The client went away while the intent was being written: nothing was sent.
            self.use_up(context, used=False)
            await asyncio.shield(self.end_cancelled(context, Settlement.VOIDED))
            raise
        return await self.dispatch(context, dispatch)

    def _over(self, context: CallContext, reached: LimitReached) -> Deny:
        """Why a call is denied that fitted when it was judged: another one was faster."""
        chain = self._authority.chain(context.mandate.name)
        verdict = self.judge(context.call, chain, context.labels)
        if isinstance(verdict, Deny):
            return verdict
        rules = tuple(charge.rule for charge in context.charges)
        return Deny(reached.code, rules, reached.message)

    async def deny(self, context: CallContext, verdict: Deny) -> Refused:
        """Record a denial; what the agent is told of it."""
        text = f"{verdict.because}. {verdict.allowed}" if verdict.allowed else verdict.because
        try:
            await self._register.open(context, verdict, CallState.DENIED, verdict.code)
        except BailiwickError:
            return Refused(context.call.id, "ledger_unavailable", NOT_RECORDED)
        return Refused(context.call.id, verdict.code, text)

    async def dispatch(self, context: CallContext, dispatch: Dispatch) -> Answer:
        """Send a call whose intent is durable, and record its outcome before it is told."""
        call_id = context.call.id
        # 5. INVARIANT: no await between this look and handing the call to the upstream.
        gone = self.no_longer(context)
        if gone is not None:
            self.use_up(context, used=False)
            ending = self._unanswered(context, Settlement.VOIDED)
            return await self._end(context, CallState.DENIED, gone.code, gone, ending)
        self._in_flight[call_id] = context
        self._memories.sending(context.run, context.call)
        self._thoughts.sending(context)
        try:
            reply = await dispatch()
        except UpstreamDown as error:
            self.use_up(context, used=False)
            code = "upstream_down"
            refused = Refused(call_id, code, f"nothing was done: {error.message}")
            ending = self._unanswered(context, Settlement.VOIDED)
            return await self._end(context, CallState.FAILED, code, refused, ending)
        except asyncio.CancelledError as gone:
            # The client went away. What the upstream did until then is not known.
            heard = gone.reply if isinstance(gone, GoneMidway) else None
            await asyncio.shield(self.end_cancelled(context, Settlement.UNKNOWN, heard))
            raise
        except Exception as error:  # noqa: BLE001 - it was sent: whatever happened, it is unknown
            detail = error.message if isinstance(error, BailiwickError) else type(error).__name__
            code = "outcome_unknown"
            text = (
                f"it was sent, and what came of it is not known: {detail}. Do not repeat it "
                "before a person has looked"
            )
            ending = self._unanswered(context, Settlement.UNKNOWN)
            if isinstance(error, UpstreamBroken) and error.code == "upstream_refused":
                ending = key_refused(call_id, context.charges, self._clock.wall_ms())
            refused = Refused(call_id, code, text)
            return await self._end(context, CallState.UNKNOWN, code, refused, ending)
        finally:
            self._in_flight.pop(call_id, None)
        failed = failed_by(reply)
        state = CallState.FAILED if failed else CallState.DONE
        charges = context.charges
        ending = (
            answered(call_id, charges, reply, failed=failed, at_ms=self._clock.wall_ms())
            if charges
            else NOTHING
        )
        return await self._end(context, state, "", Answered(call_id, reply), ending, reply)  # 6

    async def end_cancelled(
        self, context: CallContext, how: Settlement, heard: UpstreamReply | None = None
    ) -> None:
        """Record that the client went away. Run it shielded: it must outlive the cancellation.

        Args:
            heard: what of the answer it had got.
        """
        answer = Refused(context.call.id, "cancelled", "")
        ending = self._unanswered(context, how)
        await self._end(context, CallState.CANCELLED, "cancelled", answer, ending, heard)

    def _unanswered(self, context: CallContext, how: Settlement) -> Ending:
        """What becomes of the reservation of a call without an answer."""
        return ended(context.call.id, context.charges, how, self._clock.wall_ms())

    def _freeze(self, context: CallContext, holders: Sequence[str]) -> list[Mandate]:
        """Stop the mandates whose limits were overrun, unless they are stopped already; for a
        limit of a person's, the one that the call came under. Those that were stopped."""
        active = self._authority.snapshot.mandates
        own = context.mandate.name
        named = dict.fromkeys(own if name.startswith(PERSON) else name for name in holders)
        found = [active[name] for name in named if name in active]
        stopped = [each for each in found if each.state is MandateState.ACTIVE]
        for each in stopped:
            self._authority.set_state(each.name, MandateState.SUSPENDED)
        return stopped

    def no_longer(self, context: CallContext) -> Refused | None:
        """Why an authority that was good when the call was judged is not any more."""
        call_id, name = context.call.id, context.mandate.name
        standing = self._authority.chain(name)
        if not standing:
            return Refused(call_id, "mandate_revoked", f"mandate `{name}` is gone")
        for mandate in standing:
            if mandate.state is not MandateState.ACTIVE:
                return Refused(call_id, "mandate_revoked", f"mandate `{name}` is not active")
        if self._authority.token_revoked(context.token):
            return Refused(call_id, "token_revoked", "the token this came with was revoked")
        for run in (context.run, context.asked_in):
            if self._runs.over(run):
                return Refused(call_id, "run_ended", f"the run `{run}` was ended by a person")
        return None

    async def _end(
        self,
        context: CallContext,
        state: CallState,
        code: str,
        answer: Answer,
        ending: Ending,
        reply: UpstreamReply | None = None,
    ) -> Answer:
        try:
            frozen = self._freeze(context, ending.over) if ending.over else ()
            await self._register.end(context, state, code, ending, frozen, reply)
        except BailiwickError:
            self._thoughts.ended(context, None)
            text = (
                "it was sent, but what came back could not be recorded, so it is withheld. Do "
                "not repeat it before a person has looked"
            )
            return Refused(context.call.id, "outcome_not_recorded", text)
        if reply is not None:
            self._memories.learned(context.run, context.call, reply)
        unsent = state in (CallState.DENIED, CallState.FAILED) and reply is None
        self._thoughts.ended(context, reply, nothing=unsent)
        return answer
