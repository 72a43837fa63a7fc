"""The gate, implemented: judge, record, hold, dispatch, record.

The order is the product (docs/how-it-works.md has the picture):

1. The call is fixed: parsed arguments, canonical form, digest.
2. It is judged against every mandate of the caller's chain.
3. The intent is made durable, whatever the verdict. If that fails, the call is denied.
4. Held calls wait for a stamp and are judged again before they run; a stamp serves once.
5. Right before dispatch the authority is looked at once more (promise 7).
6. The outcome is made durable before the agent sees it.

Up to the verdict that is here; `running.py` has what comes after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.context import NO_STEP
from bailiwick.core.errors import BailiwickError, StoreError
from bailiwick.core.flow.labels import Facts, Labels
from bailiwick.core.judge import judge, stopped, visible
from bailiwick.core.mandate import Mandate
from bailiwick.core.thinking.offering import Offering
from bailiwick.core.verdict import Allow, Deny, Hold, Verdict
from bailiwick.gateway.authority import Authority
from bailiwick.gateway.events import Events
from bailiwick.gateway.first_message import instruction_of
from bailiwick.gateway.footing import Footings
from bailiwick.gateway.gate import (
    NOT_RECORDED,
    NOTHING_SAID,
    Answer,
    Asked,
    Dispatch,
    OnTick,
    Refused,
)
from bailiwick.gateway.held import HeldCalls, Waiting
from bailiwick.gateway.holds import Holds
from bailiwick.gateway.joining import Joining
from bailiwick.gateway.links import Links
from bailiwick.gateway.memories import Memories
from bailiwick.gateway.recorder import CallContext, Recorder
from bailiwick.gateway.register import Register
from bailiwick.gateway.run_facts import RunFacts, facts_of, objection, thinking
from bailiwick.gateway.running import Running
from bailiwick.gateway.runs import Runs
from bailiwick.gateway.thoughts import Thoughts
from bailiwick.ports import Caller, Clock, Journal

# A member of an enum takes twenty times as long to find as a name here.
_TOOL, _MODEL = CallKind.TOOL, CallKind.MODEL


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
        links: Links,
    ) -> None:
        self._links = links
        self._recorder = recorder
        self._authority = authority
        self._runs = runs
        self._memories = memories
        self._thoughts = thoughts
        self._footings = Footings(authority, memories)
        self._joining = Joining(runs, thoughts)
        runs.on_begun = thoughts.begin
        self._counters = journal.counters
        self._clock = clock
        self._new_id = new_id
        register = Register(journal, recorder, clock, events)
        self._running = Running(
            register=register,
            authority=authority,
            runs=runs,
            memories=memories,
            thoughts=thoughts,
            counters=journal.counters,
            clock=clock,
        )
        self._held = HeldCalls(
            register=register,
            authority=authority,
            holds=holds,
            clock=clock,
            new_id=new_id,
            nonce=nonce,
            waiting=waiting,
            memories=memories,
            running=self._running,
            links=links,
        )

    def visible(self, caller: Caller, target: Target) -> bool:
        """See `gate.Gate.visible`."""
        return visible(self._authority.chain(caller.mandate), target, self._clock.wall_ms())

    def stopped(self, caller: Caller) -> Deny | None:
        """See `gate.Gate.stopped`."""
        return stopped(self._authority.chain(caller.mandate), self._clock.wall_ms())

    def tells_runs_apart(self, caller: Caller) -> bool:
        """See `gate.Gate.tells_runs_apart`."""
        return self._footings.of(caller).plan.matters

    def offerings(self, caller: Caller) -> Sequence[Offering]:
        """See `gate.Gate.offerings`."""
        return self._footings.of(caller).offerings

    def counts_tokens(self, caller: Caller) -> bool:
        """See `gate.Gate.counts_tokens`."""
        return self._footings.of(caller).counts_tokens

    def in_flight(self, mandate: str) -> list[str]:
        """Ids of calls dispatched under this mandate or one below it, and not back yet."""
        return self._running.in_flight(mandate)

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
        call_id, caller, came = self._new_id(), asked.caller, asked
        while True:
            footing = self._footings.of(caller)
            chain, plan = footing.chain, footing.plan
            if not chain:
                return Refused(
                    call_id, "mandate_unknown", f"there is no mandate `{caller.mandate}`"
                )
            try:
                call = Call.of(call_id, asked.target, asked.arguments, asked.beside, asked.use)  # 1
            except BailiwickError as error:
                return Refused(call_id, error.code, error.message)
            told, waited = None, False
            if plan.matters or asked.hints.session:
                asked = self._joining.keyed(asked, plan)
            if self._thoughts.thinking:
                told = self._joining.run(call, asked, plan)
            if told is None:
                told = self._runs.known(asked)
            if told is None or not self._recorder.ready(chain[-1].principal):
                try:
                    told = await self._begin(asked, chain[-1], told)
                except StoreError:
                    return Refused(call_id, "ledger_unavailable", NOT_RECORDED)
                waited = True
            if footing.asks_of_files:
                call, waited = await self._links.look(call, chain), True
            labels: Labels = told.fresh
            says_nothing = asked.said is NOTHING_SAID
            if plan.matters or asked.address or not says_nothing:
                facts = self._facts(told, asked)
                known = self._memories.known(told, plan, facts)
                if known is None:
                    known, waited = await self._memories.open(told, chain, facts), True
                labels = known
            thoughts = self._thoughts.of(told.run)
            if thoughts is None:
                await self._thoughts.open(told.run)
                thoughts, waited = self._thoughts.of(told.run), True
            if not waited or chain is self._authority.chain(caller.mandate):
                break
            # Declared anew, or stopped, while something was looked up: judged by what stands now.
            asked = came
        # INVARIANT: no await from here to the verdict, and to `use` if it lets the call run: what a
        # model asked for once serves once.
        found, kind = None, call.target.kind
        if thoughts is not None and thoughts.asked.listening and kind is _TOOL:
            found = self._thoughts.find(told.run, call, asked.hints.tool_call)
            if found is not None:
                labels = self._memories.with_facts(labels, thinking(labels.facts, found.thought))
        policies = self._authority.snapshot.policies
        verdict: Verdict | None = None
        if told.ended or caller.run or not says_nothing:
            verdict = objection(told, asked)
        if verdict is None:
            now = self._clock.wall_ms()
            verdict = judge(call, chain, policies, self._counters, labels, NO_STEP, now)  # 2
            if asked.blocked is not None and not isinstance(verdict, Deny):
                # What the mandate refuses anyway is refused for that: whether a server has such a
                # thing is nothing to tell an agent that may not use it.
                verdict = asked.blocked
        retold = self._thoughts.retold(told.run, asked) if kind is _MODEL else ()
        context = CallContext(
            call=call,
            run=told.run,
            agent=caller.agent,
            owner=footing.owner,
            chain=chain,
            edge=asked.edge,
            traceparent=asked.traceparent,
            token=caller.token,
            labels=labels,
            charges=verdict.charges,
            policies=policies.version,
            retold=retold,
            offered=asked.hints.offered,
            address=asked.address,
        )
        if found is not None:
            context = replace(context, thought=found.thought, asked_for=found.open)
        match verdict:
            case Allow():
                answer = await self._running.dispatch(context, dispatch, verdict)
            case Deny():
                answer = await self._running.deny(context, verdict)
            case Hold():
                answer = await self._held.pursue(context, verdict, dispatch, on_tick)
        if found is not None:
            tool_call = found.thought.tool_call or asked.hints.tool_call
            self._thoughts.came(told.run, tool_call, answer)
        return answer

    async def _begin(self, asked: Asked, mandate: Mandate, told: RunFacts | None) -> RunFacts:
        """The run of a call, begun if there is none yet, once what is said in it can be sealed.

        Raises:
            StoreError: the run, or a key to seal by, could not be read or written.
        """
        now = self._clock.wall_ms()
        await self._recorder.prepare([mandate.principal], now)
        if told is not None:
            return told
        words = instruction_of(asked, mandate, self._thoughts)
        return await self._runs.open(asked, mandate.principal, now, words)

    def _facts(self, told: RunFacts, asked: Asked) -> Facts:
        """What `judge` is told of a call that says something of itself, or comes from somewhere."""
        zones = None
        if asked.address:
            zones = self._authority.snapshot.networks.around(asked.address)
        return facts_of(told, asked, zones)
