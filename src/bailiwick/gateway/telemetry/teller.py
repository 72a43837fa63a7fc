"""What happens to calls, as steps for spans: taken down in microseconds, told when a call ends.

Names, verdicts, times and counts. What was said is taken down only if the operator wants content
to go out, and then within bounds.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bailiwick.core.call import Call, CallKind
from bailiwick.core.verdict import Deny, Verdict
from bailiwick.gateway.recorder import CallContext
from bailiwick.gateway.telemetry.content import content_of, content_of_request
from bailiwick.gateway.watching import Watcher
from bailiwick.ports import CallState, HoldOpened, HoldRow, UpstreamReply
from bailiwick.protocols.otlp.requests import finish_reasons, request_attributes
from bailiwick.protocols.otlp.steps import CallStep, HoldStep, ModelStep, StampStep

_log = logging.getLogger(__name__)

MAX_OPEN = 10_000
"""Calls that go on of which the beginning is remembered; of more, the oldest are forgotten."""

_COUNT_PATH = "/count_tokens"
_NO_SAMPLE: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class _Begun:
    at_ms: int
    decision: str
    code: str
    rules: tuple[str, ...]
    content: Mapping[str, str]
    hold: HoldStep | None = None


class Unfailing:
    """A watcher whose errors are said and go no further: calls do not depend on telemetry."""

    def __init__(self, inner: Watcher) -> None:
        self._inner = inner
        self._said = False

    def begun(
        self,
        context: CallContext,
        verdict: Verdict,
        code: str,
        at_ms: int,
        hold: HoldOpened | None = None,
    ) -> None:
        """See `Watcher.begun`."""
        try:
            self._inner.begun(context, verdict, code, at_ms, hold)
        except Exception as error:  # noqa: BLE001 - whatever it is, the call is none of it
            self._say(error)

    def denied(self, context: CallContext, verdict: Deny, at_ms: int) -> None:
        """See `Watcher.denied`."""
        try:
            self._inner.denied(context, verdict, at_ms)
        except Exception as error:  # noqa: BLE001 - as above
            self._say(error)

    def stamped(self, context: CallContext, hold: HoldRow) -> None:
        """See `Watcher.stamped`."""
        try:
            self._inner.stamped(context, hold)
        except Exception as error:  # noqa: BLE001 - as above
            self._say(error)

    def ended(
        self,
        context: CallContext,
        state: CallState,
        code: str,
        at_ms: int,
        reply: UpstreamReply | None,
    ) -> None:
        """See `Watcher.ended`."""
        try:
            self._inner.ended(context, state, code, at_ms, reply)
        except Exception as error:  # noqa: BLE001 - as above
            self._say(error)

    def lapsed(self, hold: HoldRow, state: CallState, code: str, at_ms: int) -> None:
        """See `Watcher.lapsed`."""
        try:
            self._inner.lapsed(hold, state, code, at_ms)
        except Exception as error:  # noqa: BLE001 - as above
            self._say(error)

    def _say(self, error: Exception) -> None:
        if not self._said:
            self._said = True
            _log.error("telemetry: a call could not be told", exc_info=error)


@dataclass(slots=True)
class Teller:
    """The `Watcher` that hands on a `CallStep` for every call that has ended.

    Attributes:
        tell: gets the steps; must not raise.
        person: how a person is called in telemetry: by name, or by pseudonym.
        session: the agent's own name of the session of a run, or "".
        model_server: host and port of a model server by its name; ("", 0) where it is not known.
        content: whether arguments, results and messages are told too.
    """

    tell: Callable[[CallStep], None]
    person: Callable[[str], str]
    session: Callable[[str], str]
    model_server: Callable[[str], tuple[str, int]] = lambda _name: ("", 0)
    content: bool = False
    _open: OrderedDict[str, _Begun] = field(default_factory=OrderedDict)
    _parents: OrderedDict[str, str] = field(default_factory=OrderedDict)

    def begun(
        self,
        context: CallContext,
        verdict: Verdict,
        code: str,
        at_ms: int,
        hold: HoldOpened | None = None,
    ) -> None:
        """See `Watcher.begun`."""
        call = context.call
        waits = None if hold is None else _opened(hold)
        # What waits for a person may wait for days: what it says is taken down when it runs.
        wanted = self.content and hold is None
        said = content_of_request(call) if wanted else _NO_SAMPLE
        decision = "allow" if hold is None else "hold"
        self._open[call.id] = _Begun(at_ms, decision, code, verdict.rules, said, waits)
        if len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)
        if hold is not None and context.traceparent:
            # A hold that ends without a run is told by its row, which has no trace context.
            self._parents[call.id] = context.traceparent
            if len(self._parents) > MAX_OPEN:
                self._parents.popitem(last=False)

    def denied(self, context: CallContext, verdict: Deny, at_ms: int) -> None:
        """See `Watcher.denied`."""
        begun = self._open.pop(context.call.id, None)
        first = at_ms if begun is None else begun.at_ms
        found = _Begun(first, "deny", verdict.code, verdict.rules, _NO_SAMPLE)
        self.tell(self._step(context, found, CallState.DENIED, verdict.code, at_ms, None))

    def stamped(self, context: CallContext, hold: HoldRow) -> None:
        """See `Watcher.stamped`."""
        said = content_of_request(context.call) if self.content else _NO_SAMPLE
        waited = self._waited(hold, "used", hold.decided_ms)
        self._parents.pop(context.call.id, None)
        self._open[context.call.id] = _Begun(
            hold.at_ms, "hold", "approved", hold.rules, said, waited
        )

    def ended(
        self,
        context: CallContext,
        state: CallState,
        code: str,
        at_ms: int,
        reply: UpstreamReply | None,
    ) -> None:
        """See `Watcher.ended`."""
        begun = self._open.pop(context.call.id, None)
        if begun is None:  # forgotten, being one of too many
            begun = _Begun(at_ms, "allow", "allowed", (), _NO_SAMPLE)
        self.tell(self._step(context, begun, state, code, at_ms, reply))

    def lapsed(self, hold: HoldRow, state: CallState, code: str, at_ms: int) -> None:
        """See `Watcher.lapsed`."""
        self._open.pop(hold.call, None)
        self.tell(
            CallStep(
                id=hold.call,
                run=hold.run,
                agent=hold.agent,
                mandate=hold.mandate,
                kind=hold.kind,
                upstream=hold.upstream,
                name=hold.name,
                decision="hold",
                code="held",
                rules=hold.rules,
                state=state.value,
                ended_as=code,
                begin_ms=hold.at_ms,
                end_ms=at_ms,
                traceparent=self._parents.pop(hold.call, ""),
                policies=hold.policies,
                conversation=self.session(hold.run),
                model=ModelStep("") if hold.kind == CallKind.MODEL else None,
                hold=self._waited(hold, hold.state.value, at_ms),
            )
        )

    def _step(
        self,
        context: CallContext,
        begun: _Begun,
        state: CallState,
        code: str,
        at_ms: int,
        reply: UpstreamReply | None,
    ) -> CallStep:
        call, thought = context.call, context.thought
        target = call.target
        said = begun.content
        if self.content and reply is not None:
            said = {**said, **content_of(call, reply)}
        return CallStep(
            id=call.id,
            run=context.run,
            agent=context.agent,
            mandate=context.mandate.ref,
            kind=target.kind._value_,
            upstream=target.upstream,
            name=target.name,
            decision=begun.decision,
            code=begun.code,
            rules=begun.rules,
            state=state._value_,
            ended_as=code,
            begin_ms=begun.at_ms,
            end_ms=at_ms,
            edge=context.edge,
            traceparent=context.traceparent,
            principal=self.person(context.subject),
            owner=self.person(context.owner),
            policies=context.policies,
            conversation=self.session(context.run),
            tool_call="" if thought is None else thought.tool_call,
            asked_by="" if thought is None else thought.model_call,
            said_and_did="" if thought is None else thought.match.value,
            model=self._model(context, reply) if target.kind is CallKind.MODEL else None,
            hold=begun.hold,
            content=said,
        )

    def _model(self, context: CallContext, reply: UpstreamReply | None) -> ModelStep:
        return _model(context, reply, self.model_server(context.call.target.upstream))

    def _waited(self, hold: HoldRow, state: str, decided_ms: int | None) -> HoldStep:
        stamps = tuple(
            StampStep(self.person(stamp.person), stamp.decision, stamp.at_ms, stamp.method)
            for stamp in hold.stamps
        )
        return HoldStep(hold.id, hold.at_ms, decided_ms, state, hold.role, hold.count, stamps)


def _opened(hold: HoldOpened) -> HoldStep:
    return HoldStep(hold.id, hold.at_ms, None, "waiting", hold.role, hold.count)


def _model(context: CallContext, reply: UpstreamReply | None, server: tuple[str, int]) -> ModelStep:
    call: Call = context.call
    facts = {} if reply is None else reply.facts
    served, status = facts.get("served"), facts.get("http_status")
    usage = {
        name: count
        for name, count in facts.items()
        if name.endswith("_tokens") and isinstance(count, int)
    }
    use = call.use
    path = call.beside.get("path")
    return ModelStep(
        dialect=context.edge.partition("/")[2],
        server=server,
        served=served if isinstance(served, str) else "",
        http_status=status if isinstance(status, int) else 0,
        request=request_attributes(call.arguments),
        usage=usage,
        finish_reasons=finish_reasons(b"" if reply is None else reply.said),
        asked_as="" if use is None else use.asked_as,
        substitute=use is not None and use.substitute,
        counts_only=isinstance(path, str) and path.endswith(_COUNT_PATH),
    )
