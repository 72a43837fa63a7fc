"""What one request becomes: a call that is judged, recorded, held, sent and recorded."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bailiwick.core.call import NOTHING, CallKind, ModelUse, Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.core.values import show
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
from bailiwick.gateway.llm.aliases import Alias, Candidate, draw
from bailiwick.gateway.llm.bounds import bounded
from bailiwick.gateway.llm.call import ModelCall
from bailiwick.gateway.llm.failures import BUSY, DENIED, LIMIT_REACHED, NOTHING_DONE
from bailiwick.gateway.llm.health import Health
from bailiwick.gateway.llm.names import Meant, meant
from bailiwick.gateway.llm.offering import Offerings
from bailiwick.gateway.llm.patience import NO_PATIENCE, Patience
from bailiwick.gateway.llm.servers import ModelServer
from bailiwick.gateway.llm.visit import Visit, refuse
from bailiwick.gateway.llm.whose import whose
from bailiwick.gateway.llm.wording import HELD_STATUS, status_of
from bailiwick.gateway.mcp.core import Limits
from bailiwick.gateway.mcp.said import read_said
from bailiwick.gateway.mcp.watch import Watch
from bailiwick.gateway.mcp.wire import ClientGone
from bailiwick.ports import Clock
from bailiwick.protocols.llm.dialect import Asking, Dialect
from bailiwick.protocols.llm.requests import read_request
from bailiwick.protocols.llm.tool_names import Tool
from bailiwick.protocols.mcp.headers import trace_parent
from bailiwick.protocols.strict_json import encode

BETA = b"beta=true"
"""What Anthropic's SDK puts behind a path; other queries mean nothing here and are refused."""

_PASSED_ON = (b"anthropic-version", b"anthropic-beta", b"openai-beta")
"""Headers that change what a request means: judged with it (a stamp binds them) and sent on."""

_PASSED_VALUE = re.compile(rb"(?:[!-~](?:[ -~]{0,1022}[!-~])?)?")
_NOT_RETRIED = (b"x-should-retry", b"false")
_RETRIED = (b"x-should-retry", b"true")
_SOON = ("upstream_busy", "alias_resting")
"""Refusals that may be over in a moment."""

_KEPT = frozenset({"previous_response_id", "conversation", "prompt", "container", "thread"})
"""Fields that stand for what one server keeps (see `Asking.unsized`)."""


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


@dataclass(frozen=True, slots=True)
class _Request:
    """One request, read: the same for every model it is sent to."""

    visit: Visit
    path: str
    body: JsonObject
    asking: Asking
    fields: list[tuple[str, str]]
    beside: Mapping[str, str]
    key: str
    hints: Hints
    watch: Watch
    removed: tuple[str, ...] = ()
    blocked: Deny | None = None


@dataclass(frozen=True, slots=True)
class _Tried:
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


class Attempts:
    """Takes requests that have been read to the gate and to model servers.

    A name of a model is that model and no other. An alias is one of its models, and if that does
    not serve, another one: each is asked in a call of its own, judged and recorded for what it is.

    Args:
        gate: judges, records and dispatches.
        models: servers and aliases as they are now.
        limits: bounds.
        clock: time.
        tools: see `Offerings`.
    """

    def __init__(
        self,
        gate: Gate,
        models: Models,
        limits: Limits,
        clock: Clock,
        tools: Callable[[], Sequence[Tool]] = lambda: (),
    ) -> None:
        self._offerings = Offerings(gate, tools)
        self._gate = gate
        self._models = models
        self._limits = limits
        self._clock = clock

    async def serve(self, visit: Visit, path: str, body: JsonObject, watch: Watch) -> None:
        """Govern one request, and answer it.

        Raises:
            TheirError: it does not mean one thing, or names no model.
        """
        asking = read_request(visit.dialect, body)
        fields = _passed_on(visit.scope["headers"])
        beside: dict[str, str] = dict(fields)
        if path.endswith("/count_tokens"):
            beside["path"] = path
        if visit.scope.get("query_string", b""):
            path = f"{path}?{BETA.decode()}"
        going = self._offerings.filtered(visit.caller, asking, body)
        asking, body = going.asking, going.body
        key, hints = whose(visit, body, asking.tools)
        request = _Request(
            *(visit, path, body, asking, fields, beside, key, hints, watch),
            removed=going.removed,
            blocked=going.blocked,
        )
        alias = self._models.aliases.get(asking.model)
        if alias is None:
            found = meant(asking.model, self._models.current)
            tried = await self._ask(request, found, _use(request))
        else:
            tried = await self._by_alias(request, alias)
        await _answer(request, tried)

    def usable(self, visit: Visit, alias: Alias) -> list[list[Candidate]]:
        """The groups of an alias without the models that this agent could not use."""
        groups = [
            [each for each in group if self._gate.visible(visit.caller, _target(each))]
            for group in alias.groups
        ]
        return [group for group in groups if group]

    # --- aliases ---------------------------------------------------------------------------------

    async def _by_alias(self, request: _Request, alias: Alias) -> _Tried:
        """Ask one model of an alias after the other, until one serves or the alias is used up.

        1. Models this agent could not use are passed over, and so are those that do not speak its
           dialect.
        2. The first model drawn is what the alias stands for now. Every other one is a substitute:
           for one that failed, or for a first group of which none is well.
        3. A refusal of a substitute is not the answer: that what was asked for first failed is.
        4. Nothing is tried after a person was asked, nor once the agent was told anything.
        """
        groups = self.usable(request.visit, alias)
        if not groups:
            raise TheirError("model_unknown", f"there is no model {show(alias.name)}")
        spoken = self._speaking(groups, request.asking.dialect)  # 1
        if not spoken:
            return await self._refused(request, groups[0][0], _not_spoken(alias, request))
        if request.blocked is not None:
            return await self._refused(request, spoken[0][0], request.blocked)
        first = spoken[0]
        left = spoken
        tried: _Tried | None = None
        for _ in range(alias.attempts):
            chosen = self._draw(request, alias, left)
            if chosen is None:
                break
            left = [[each for each in group if each is not chosen] for group in left]
            because = ""  # 2
            if tried is not None:
                because = f"{tried.model} {tried.failure}"
            elif chosen not in first:
                because = f"{first[0].name} resting"
            now = await self._try(request, alias, chosen, because, tried)
            if tried is not None and not _ran(now):  # 3
                if isinstance(now.answer, StillWaiting) or now.call.streaming:
                    return now
                if now.failure not in alias.fail_over:
                    return tried
                continue
            tried = now
            if not _may_go_on(request, alias, now):  # 4
                return now
        if tried is not None:
            return tried
        rested = first[0]
        seconds = self._models.health.ready_in(rested, alias.breaker, self._clock.monotonic())
        after = math.ceil(seconds)
        because = f"no model of `{alias.name}` is well; ask again in {after} s"
        refused = await self._refused(request, rested, Deny("alias_resting", (), because))
        return replace(refused, after_seconds=after)

    def _speaking(self, groups: list[list[Candidate]], dialect: Dialect) -> list[list[Candidate]]:
        servers = self._models.current
        found = [
            [
                each
                for each in group
                if (server := servers.get(each.server)) is not None
                and dialect.value in server.spec.dialects
            ]
            for group in groups
        ]
        return [group for group in found if group]

    def _draw(
        self, request: _Request, alias: Alias, groups: list[list[Candidate]]
    ) -> Candidate | None:
        """The next to ask: of the first group with members that are well."""
        now = self._clock.monotonic()
        for group in groups:
            well = [each for each in group if self._models.health.well(each, alias.breaker, now)]
            if well:
                return draw(well, lambda: _key(request, alias))
        return None

    async def _try(
        self,
        request: _Request,
        alias: Alias,
        chosen: Candidate,
        because: str,
        before: _Tried | None,
    ) -> _Tried:
        use = _use(request, because, before.answer.call if before is not None else "")
        patience = Patience(alias.first_byte_seconds, alias.whole_seconds, defers=True)
        found = Meant(chosen.server, chosen.model, served=True)
        return await self._ask(request, found, use, patience)

    async def _refused(self, request: _Request, candidate: Candidate, why: Deny) -> _Tried:
        """Nothing is sent, and that is on record: as a call of a model it would have gone to."""
        found = Meant(candidate.server, candidate.model, served=True)
        return await self._ask(request, found, _use(request), blocked=why)

    # --- one call --------------------------------------------------------------------------------

    async def _ask(
        self,
        request: _Request,
        found: Meant,
        use: ModelUse,
        patience: Patience = NO_PATIENCE,
        blocked: Deny | None = None,
    ) -> _Tried:
        """Govern one call of one model."""
        visit, asking = request.visit, request.asking
        server = self._models.current[found.server]
        blocked = request.blocked if blocked is None else blocked
        counting = request.path.partition("?")[0].endswith("/count_tokens")
        spec, counted = server.spec, self._gate.counts_tokens(visit.caller)
        if counted:
            use = bounded(
                use, asking, request.body, spec.name, spec.terms, found.model, counting=counting
            )
        beside = dict(request.beside)
        if use.because:
            beside["in_place_of"] = use.because  # a person stamps that it is a substitute
        asked = Asked(
            visit.caller,
            Target(CallKind.MODEL, found.server, found.model),
            request.body,
            request.key,
            f"llm/{visit.dialect.value}",
            trace_parent(visit.headers),
            _blocked(found, server, visit.dialect) if blocked is None else blocked,
            beside,
            read_said(visit.headers, NOTHING),
            visit.address,
            use,
            request.hints,
        )
        # What runs is what was judged: the judged parse, with the server's own name for the model.
        going = request.body
        if found.model != asking.model:
            going = {**going, "model": found.model}
        name = f"{found.server}/{found.model}"
        served = _served(name, use, self._models)
        if use.removed:
            served.append((b"bailiwick-removed-tools", b"%d" % len(use.removed)))
        call = ModelCall(
            visit.send,
            server,
            asking,
            request.path,
            going,
            request.fields,
            served,
            patience,
            use if counted else None,
        )
        watch = request.watch
        watch.follow(call, self._limits.keep_alive_seconds, lambda: _lost(call, watch))
        if watch.gone:
            raise ClientGone
        if name in self._models.watched:
            answer = await self._watched(name, asked, call)
        else:
            answer = await self._gate.govern(asked, call.dispatch, call.on_tick)
        return _Tried(name, call, answer, call.failed or ("" if call.sent else _denied(answer)))

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


async def _answer(request: _Request, tried: _Tried) -> None:
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


async def _say(tried: _Tried, visit: Visit, answer: Refused | StillWaiting) -> None:
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


def _use(request: _Request, because: str = "", instead_of: str = "") -> ModelUse:
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


def _target(candidate: Candidate) -> Target:
    return Target(CallKind.MODEL, candidate.server, candidate.model)


def _served(name: str, use: ModelUse, models: Models) -> list[tuple[bytes, bytes]]:
    """What the agent is told of who served it. Nothing is swapped silently."""
    told = [(b"bailiwick-served-by", name.encode())]
    if use.asked_as in models.aliases:
        told.append((b"bailiwick-asked-as", use.asked_as.encode()))
        told.append((b"bailiwick-substitute", (use.because or "false").encode()))
    return told


def _ran(tried: _Tried) -> bool:
    """Whether it got as far as a model server."""
    return tried.call.sent


def _denied(answer: Answer) -> str:
    """What a refusal by the gate amounts to, where nothing was sent."""
    if not isinstance(answer, Refused):
        return ""
    return LIMIT_REACHED if answer.code == "limit_exceeded" else DENIED


def _may_go_on(request: _Request, alias: Alias, tried: _Tried) -> bool:
    """Whether another model may be asked after this one failed."""
    call, asking = tried.call, request.asking
    if tried.failure not in alias.fail_over or call.held or call.streaming:
        return False
    if not call.sent and not isinstance(tried.answer, Refused):
        return False
    # What stands for things kept at one server means nothing to another one.
    if _KEPT.intersection(asking.unsized):
        return False
    return tried.failure in NOTHING_DONE or not asking.hosted


def _key(request: _Request, alias: Alias) -> bytes:
    """What decides a draw: the run, or what is asked and by whom."""
    if alias.by_run:
        return request.key.encode()
    return request.visit.caller.key.encode() + b"\0" + encode(request.body)


def _not_spoken(alias: Alias, request: _Request) -> Deny:
    dialect = request.asking.dialect.value
    because = f"no model of `{alias.name}` speaks {dialect}, and calls are not translated"
    return Deny("dialect_not_spoken", (), because)


def _lost(call: ModelCall, watch: Watch) -> None:
    """The client is gone: so is the call, unless only its record is still to be written."""
    if not call.sent:
        watch.task.cancel()


def _blocked(found: Meant, server: ModelServer, dialect: Dialect) -> Deny | None:
    if not found.served:
        because = f"server `{found.server}` has no model {show(found.model)}"
        return Deny("model_unknown", (), because)
    if dialect.value not in server.spec.dialects:
        spoken = ", ".join(sorted(server.spec.dialects))
        because = f"server `{found.server}` speaks {spoken}, and calls are not translated"
        return Deny("dialect_not_spoken", (), because)
    return None


def _passed_on(raw: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Headers of the agent's that go to the server.

    Raises:
        TheirError: `header_malformed`, `header_twice`.
    """
    found: dict[str, str] = {}
    for name, value in raw:
        if name not in _PASSED_ON:
            continue
        text = value.strip(b" \t")
        if name.decode() in found:
            raise TheirError("header_twice", f"the header `{name.decode()}` stands twice")
        if not _PASSED_VALUE.fullmatch(text):
            raise TheirError("header_malformed", f"the header `{name.decode()}` is malformed")
        found[name.decode()] = text.decode()
    return list(found.items())
