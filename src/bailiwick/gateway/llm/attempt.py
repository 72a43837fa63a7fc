"""One model is asked: a call that is judged, recorded, held, sent and recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from bailiwick.core.call import ModelUse
from bailiwick.core.canonical import JsonObject
from bailiwick.core.verdict import Deny
from bailiwick.gateway.gate import (
    Answer,
    Answered,
    Asked,
    Gate,
    Hints,
    Refused,
    StillWaiting,
    Tick,
)
from bailiwick.gateway.llm.aliases import Alias
from bailiwick.gateway.llm.bounds import bounded
from bailiwick.gateway.llm.call import ModelCall
from bailiwick.gateway.llm.chosen import Choices
from bailiwick.gateway.llm.failures import BUSY, DENIED, LIMIT_REACHED
from bailiwick.gateway.llm.health import Health
from bailiwick.gateway.llm.names import Meant
from bailiwick.gateway.llm.patience import NO_PATIENCE, Patience
from bailiwick.gateway.llm.servers import ModelServer
from bailiwick.gateway.llm.visit import Carried, Visit, refuse
from bailiwick.gateway.llm.wording import HELD_STATUS, status_of
from bailiwick.gateway.mcp.core import Limits
from bailiwick.gateway.mcp.watch import Watch
from bailiwick.gateway.mcp.wire import ClientGone
from bailiwick.ports import Clock
from bailiwick.protocols.llm.asked import with_model
from bailiwick.protocols.llm.dialect import Asking

_NOT_RETRIED = (b"x-should-retry", b"false")
_RETRIED = (b"x-should-retry", b"true")

_SOON = ("upstream_busy", "alias_resting")
"""Refusals that may be over in a moment."""


class Models(Protocol):
    """The model servers and aliases of a gateway (implemented by `ModelServers`)."""

    @property
    def current(self) -> Mapping[str, ModelServer]:
        """The servers there are now, by name."""
        ...

    @property
    def aliases(self) -> Mapping[str, Alias]:
        """The aliases there are now, by name."""
        ...

    @property
    def watched(self) -> frozenset[str]:
        """`SERVER/MODEL` of all that aliases stand for."""
        ...

    @property
    def health(self) -> Health:
        """How those are doing."""
        ...


class Request(msgspec.Struct, frozen=True):
    """One request, read: the same for every model it is sent to."""

    visit: Visit
    carried: Carried
    body: JsonObject
    asking: Asking
    key: str
    hints: Hints
    watch: Watch
    removed: tuple[str, ...] = ()
    blocked: Deny | None = None


class Tried(msgspec.Struct, frozen=True):
    """One model was asked.

    Attributes:
        failure: why it did not serve, of `failures.FAILURES`; "" if the answer is the one to give.
        after_seconds: when it is worth asking again, if that is soon.
    """

    model: str
    call: ModelCall
    answer: Answer
    failure: str = ""
    after_seconds: int = 1


class Asker:
    """Asks one model at a time.

    Args:
        gate: judges, records and dispatches.
        models: servers and aliases as they are now.
        limits: bounds.
        clock: time.
    """

    def __init__(self, gate: Gate, models: Models, limits: Limits, clock: Clock) -> None:
        self._gate = gate
        self._models = models
        self._limits = limits
        self._clock = clock
        self._choices = Choices()

    async def ask(
        self,
        request: Request,
        found: Meant,
        use: ModelUse,
        patience: Patience = NO_PATIENCE,
        blocked: Deny | None = None,
    ) -> Tried:
        """Govern one call of one model."""
        visit, carried, asking, body = request.visit, request.carried, request.asking, request.body
        caller = visit.caller
        chosen = self._choices.of(found, asking.dialect, self._models.current)
        server, model = chosen.server, chosen.model
        counted = self._gate.counts_tokens(caller)
        if counted:
            spec, counting, betas = server.spec, carried.counting, carried.betas
            use = bounded(use, asking, body, spec.name, spec.terms, model, counting, betas)
        beside = carried.beside
        if use.because:
            # A person stamps that it is a substitute.
            beside = {**beside, "in_place_of": use.because}
        if blocked is None:
            blocked = chosen.blocked if request.blocked is None else request.blocked
        asked = Asked(
            caller,
            chosen.target,
            body,
            request.key,
            chosen.edge,
            carried.traceparent,
            blocked,
            beside,
            carried.said,
            visit.address,
            use,
            request.hints,
        )
        # What runs is what was judged: the judged parse, with the server's own name for the model.
        text = asking.text
        if model != asking.model:
            text = with_model(text, body, model)
        call = ModelCall(
            visit.send,
            server,
            asking,
            carried.path,
            text,
            carried.fields,
            _served(chosen.served, use, self._models),
            chosen.price,
            patience,
            use if counted else None,
        )
        name = chosen.name
        watch = request.watch
        watch.follow(call, self._limits.keep_alive_seconds, lambda: _lost(call, watch))
        if watch.gone:
            raise ClientGone
        if name in self._models.watched:
            answer = await self._watched(name, asked, call)
        else:
            answer = await self._gate.govern(asked, call.dispatch, call.on_tick)
        return Tried(name, call, answer, call.failed or ("" if call.sent else _denied(answer)))

    async def _watched(self, name: str, asked: Asked, call: ModelCall) -> Answer:
        """Govern a call of a model that aliases stand for, and take note of how it did."""
        health = self._models.health

        def note(failure: str | None) -> None:
            now, at_ms = self._clock.monotonic(), self._clock.wall_ms()
            health.end(name, failure, now, at_ms, call.rest_seconds)

        async def on_tick(tick: Tick) -> None:
            # It waits for a person, maybe for hours: whether the model serves is for others to try.
            note(None)
            await call.on_tick(tick)

        health.begin(name)
        done = False
        try:
            answer = await self._gate.govern(asked, call.dispatch, on_tick)
            done = call.sent
        finally:
            note((call.failed or call.broke) if done else None)
        return answer


async def answer(request: Request, tried: Tried) -> None:
    """Tell the agent what came of it."""
    call, answer, visit = tried.call, tried.answer, request.visit
    if isinstance(answer, Answered):
        if call.sent and call.broken is not None:
            await call.break_off(502, call.broken.code, call.broken.message)
        elif call.sent:
            await call.deliver(answer.call)
        elif not await call.deliver_other(answer.call, answer.reply):
            text = "it ran for another request that waited for it too, and what came back broke off"
            await _say(tried, visit, Refused(answer.call, "outcome_unknown", text))
        return
    await _say(tried, visit, answer)


async def _say(tried: Tried, visit: Visit, answer: Refused | StillWaiting) -> None:
    """Tell the agent why there is no answer."""
    call = tried.call
    waits = isinstance(answer, StillWaiting)
    code = "still_waiting" if isinstance(answer, StillWaiting) else answer.code
    if tried.failure == BUSY:
        code = "upstream_busy"
    status = HELD_STATUS if waits else status_of(code)
    if call.streaming:
        await call.break_off(status, code, answer.text)
        return
    again = waits or code in _SOON
    after = (b"retry-after", b"%d" % tried.after_seconds)
    retry = (_RETRIED, after) if again else (_NOT_RETRIED,)
    named = (b"bailiwick-call", answer.call.encode())
    await refuse(visit.send, visit.dialect, status, code, answer.text, named, *retry)


def use_of(request: Request, because: str = "", instead_of: str = "") -> ModelUse:
    """How a call came about and what it asks for; what it may take depends on the model."""
    asking = request.asking
    return ModelUse(
        {},
        asking.model,
        substitute=bool(because),
        because=because,
        instead_of=instead_of,
        max_output=asking.max_output,
        tools=asking.tools,
        hosted=asking.hosted,
        removed=request.removed,
    )


def _served(
    by: tuple[bytes, bytes], use: ModelUse, models: Models
) -> tuple[tuple[bytes, bytes], ...]:
    """What the agent is told of who served it. Nothing is swapped silently."""
    told = [by]
    if use.asked_as in models.aliases:
        told.append((b"bailiwick-asked-as", use.asked_as.encode()))
        told.append((b"bailiwick-substitute", (use.because or "false").encode()))
    if use.removed:
        told.append((b"bailiwick-removed-tools", b"%d" % len(use.removed)))
    return tuple(told)


def _denied(answer: Answer) -> str:
    """What a refusal by the gate amounts to, where nothing was sent."""
    if not isinstance(answer, Refused):
        return ""
    return LIMIT_REACHED if answer.code == "limit_exceeded" else DENIED


def _lost(call: ModelCall, watch: Watch) -> None:
    """The client is gone: so is the call, unless only its record is still to be written."""
    if not call.sent:
        watch.task.cancel()
