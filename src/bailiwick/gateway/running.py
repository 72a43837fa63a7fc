"""What becomes of a judged call: recorded, looked at once more, sent, recorded again.

Steps 3, 5 and 6 of the pipeline's list, for calls that are allowed, and for those that waited for
a stamp and come back (`held.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from bailiwick.core.call import Call, CallKind
from bailiwick.core.context import NO_COUNTERS, NO_STEP
from bailiwick.core.errors import (
    BailiwickError,
    LimitReached,
    UpstreamBroken,
    UpstreamDown,
)
from bailiwick.core.flow.labels import Labels
from bailiwick.core.judge import judge
from bailiwick.core.limits.limit import PERSON, Counters
from bailiwick.core.mandate import Mandate, MandateState, authority
from bailiwick.core.verdict import Allow, Deny, Verdict
from bailiwick.gateway.authority import Authority
from bailiwick.gateway.gate import (
    NOT_RECORDED,
    Answer,
    Answered,
    Dispatch,
    GoneMidway,
    Refused,
)
from bailiwick.gateway.links import looks_further
from bailiwick.gateway.memories import Memories
from bailiwick.gateway.recorder import CallContext
from bailiwick.gateway.register import Register
from bailiwick.gateway.run_facts import thinking
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
from bailiwick.ports import CallState, Clock, Settlement, UpstreamReply

_log = logging.getLogger(__name__)
_STOPPED = (
    "the mandate `%s` is suspended: call %s took more than it had reserved; look at it, then "
    "`bailiwick resume %s`"
)

# What nearly every call asks for: a member of an enum takes twenty times as long to find as a name.
_MODEL, _RUNNING, _DONE = CallKind.MODEL, CallState.RUNNING, CallState.DONE


class Running:
    """Runs judged calls."""

    def __init__(
        self,
        *,
        register: Register,
        authority: Authority,
        runs: Runs,
        memories: Memories,
        thoughts: Thoughts,
        counters: Counters,
        clock: Clock,
    ) -> None:
        self._register = register
        self._authority = authority
        self._runs = runs
        self._memories = memories
        self._thoughts = thoughts
        self._counters = counters
        self._clock = clock
        self._in_flight: dict[str, CallContext] = {}

    def in_flight(self, mandate: str) -> list[str]:
        """Ids of calls dispatched under this mandate or one below it, and not back yet."""
        return [
            call
            for call, context in self._in_flight.items()
            if any(each.name == mandate for each in context.chain)
        ]

    async def recall(self, context: CallContext) -> None:
        """Look up what models asked for, where a call that has waited was compared with it and it
        was forgotten meanwhile."""
        if context.thought is not None and self._thoughts.of(context.run) is None:
            await self._thoughts.open(context.run)

    def think_again(self, context: CallContext, labels: Labels) -> tuple[CallContext, Labels]:
        """How a call that has waited stands to what models asked for, as it is now."""
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
        """What a model asked for is being done; or not, after all."""
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

    async def _not_begun(self, context: CallContext, error: BaseException) -> Answer:
        """What comes of a call whose intent was not recorded: nothing was sent."""
        self.use_up(context, used=False)
        if isinstance(error, asyncio.CancelledError):  # the client went away meanwhile
            await asyncio.shield(self.end_cancelled(context, Settlement.VOIDED))
            raise error
        if isinstance(error, LimitReached):
            return await self.deny(context, self._over(context, error))
        return Refused(context.call.id, "ledger_unavailable", NOT_RECORDED)

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

    async def dispatch(
        self, context: CallContext, dispatch: Dispatch, allowed: Allow | None = None
    ) -> Answer:
        """Send a call whose intent is durable, and record its outcome before it is told.

        Args:
            allowed: the verdict by which it may run, to be recorded first; None if that is done.
        """
        if allowed is not None:
            if context.asked_for is not None:
                self.use_up(context, used=True)
            try:
                await self._register.open(context, allowed, _RUNNING, "allowed")  # 3
            except (BailiwickError, asyncio.CancelledError) as error:
                return await self._not_begun(context, error)
        call, charges = context.call, context.charges
        call_id, model = call.id, call.target.kind is _MODEL
        # 5. INVARIANT: no await between this look and handing the call to the upstream.
        gone = self.no_longer(context)
        if gone is not None:
            self.use_up(context, used=False)
            ending = self._unanswered(context, Settlement.VOIDED)
            return await self._end(context, CallState.DENIED, gone.code, gone, ending)
        self._in_flight[call_id] = context
        if self._memories.used:
            self._memories.sending(context.run, call)
        if model:
            self._thoughts.sending(context)
        try:
            reply = await dispatch()
        except UpstreamDown as error:
            return await self._end_down(context, error)
        except asyncio.CancelledError as gone:
            # The client went away. What the upstream did until then is not known.
            heard = gone.reply if isinstance(gone, GoneMidway) else None
            await asyncio.shield(self.end_cancelled(context, Settlement.UNKNOWN, heard))
            raise
        except Exception as error:  # noqa: BLE001 - it was sent: whatever happened, it is unknown
            return await self._end_unknown(context, error)
        finally:
            self._in_flight.pop(call_id, None)
        failed, ending = failed_by(reply), NOTHING
        state = CallState.FAILED if failed else _DONE
        answer = Answered(call_id, reply)
        if charges:
            at_ms = self._clock.wall_ms()
            ending = answered(call_id, charges, reply, failed=failed, at_ms=at_ms)
            if ending.over:
                return await self._end(context, state, "", answer, ending, reply)
        try:
            await self._register.end(context, state, "", ending, (), reply)  # 6
        except BailiwickError:
            return self._withheld(context)
        if model or self._memories.used:
            self._learn(context, state, reply)
        return answer

    async def _end_down(self, context: CallContext, error: UpstreamDown) -> Answer:
        """Record that a call did not get to its server."""
        self.use_up(context, used=False)
        code = "upstream_down"
        refused = Refused(context.call.id, code, f"nothing was done: {error.message}")
        ending = self._unanswered(context, Settlement.VOIDED)
        return await self._end(context, CallState.FAILED, code, refused, ending)

    async def _end_unknown(self, context: CallContext, error: Exception) -> Answer:
        """Record that nobody knows what became of a call that was sent."""
        call_id, code = context.call.id, "outcome_unknown"
        detail = error.message if isinstance(error, BailiwickError) else type(error).__name__
        text = (
            f"it was sent, and what came of it is not known: {detail}. Do not repeat it "
            "before a person has looked"
        )
        ending = self._unanswered(context, Settlement.UNKNOWN)
        if isinstance(error, UpstreamBroken) and error.code == "upstream_refused":
            ending = key_refused(call_id, context.charges, self._clock.wall_ms())
        refused = Refused(call_id, code, text)
        return await self._end(context, CallState.UNKNOWN, code, refused, ending)

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

    def no_longer(self, context: CallContext, *, waits: bool = False) -> Refused | None:
        """Why an authority that was good when the call was judged is not any more.

        INVARIANT: mandates do not change, and a chain of which one is stopped or replaced is
        another chain, as all are when policies change. So while the one that let the call through
        stands, it is in force.

        Args:
            waits: it is judged again before it is sent.
        """
        chain, ended = context.chain, self._runs.ended
        call_id, name = context.call.id, chain[-1].name
        standing = self._authority.chains.get(name)
        if standing is not chain:
            if not standing:
                return Refused(call_id, "mandate_revoked", f"mandate `{name}` is gone")
            for mandate in standing:
                if mandate.state is not MandateState.ACTIVE:
                    return Refused(call_id, "mandate_revoked", f"mandate `{name}` is not active")
            changed = "" if waits else self._declared_anew(context, standing)
            if changed:
                return Refused(call_id, "mandate_changed", changed)
        if context.token in self._authority.revoked_tokens:
            return Refused(call_id, "token_revoked", "the token this came with was revoked")
        if ended and (context.run in ended or context.asked_in in ended):
            run = context.run if context.run in ended else context.asked_in
            return Refused(call_id, "run_ended", f"the run `{run}` was ended by a person")
        return None

    def _declared_anew(self, context: CallContext, standing: tuple[Mandate, ...]) -> str:
        """Why a call may not be sent by what was declared while it was recorded; "" if it may."""
        policies = self._authority.snapshot.policies
        if context.asked_in:  # a stamp is for one version of each
            if (authority(standing), policies.version) == (context.authority, context.policies):
                return ""
            return "the stamp was for an earlier version of the mandate or the policies: ask again"
        if looks_further(context.call, context.chain, standing):
            return "the rules changed while this was recorded, and look at more files: ask again"
        now = self._clock.wall_ms()
        # Its room in limits is its own already: counted again, it would stand in its own way.
        verdict = judge(context.call, standing, policies, NO_COUNTERS, context.labels, NO_STEP, now)
        if isinstance(verdict, Allow):
            return ""
        return f"the rules changed while this was recorded, and it was not sent: {verdict.because}"

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
            recorded = self._register.end(context, state, code, ending, frozen, reply)
            # Where a mandate is stopped, a key may have to be made before anything is committed,
            # and whoever hangs up meanwhile must not keep it all from the record.
            await (asyncio.shield(recorded) if frozen else recorded)
        except BailiwickError:
            return self._withheld(context)
        for mandate in frozen:
            _log.warning(_STOPPED, mandate.name, context.call.id, mandate.name)
        self._learn(context, state, reply)
        return answer

    def _withheld(self, context: CallContext) -> Refused:
        """What is told of a call whose outcome could not be recorded."""
        self._thoughts.ended(context, None)
        text = (
            "it was sent, but what came back could not be recorded, so it is withheld. Do not "
            "repeat it before a person has looked"
        )
        return Refused(context.call.id, "outcome_not_recorded", text)

    def _learn(self, context: CallContext, state: CallState, reply: UpstreamReply | None) -> None:
        """Remember what a call that is over, and on record, has taught its run."""
        if reply is not None and self._memories.used:
            self._memories.learned(context.run, context.call, reply)
        if context.call.target.kind is CallKind.MODEL:
            unsent = state in (CallState.DENIED, CallState.FAILED) and reply is None
            self._thoughts.ended(context, reply, nothing=unsent)
