"""The stateless era, 2026-07-28: each POST stands alone, and closing it cancels it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable

from bailiwick.core.call import NOTHING, Target
from bailiwick.core.canonical import Json, JsonObject, digest_of
from bailiwick.core.errors import TheirError
from bailiwick.gateway.gate import Answer, StillWaiting, Tick
from bailiwick.gateway.mcp.calls import task_created
from bailiwick.gateway.mcp.catalog import RESOURCES, Listing
from bailiwick.gateway.mcp.core import CLIENT_CAPABILITY, Core
from bailiwick.gateway.mcp.exchange import (
    Exchange,
    error_reply,
    join_members,
    raw_members,
    with_members,
)
from bailiwick.gateway.mcp.parked import Parked
from bailiwick.gateway.mcp.sinks import PostSink
from bailiwick.gateway.mcp.visit import Framed, Understood, Visit
from bailiwick.gateway.mcp.wire import Outcome
from bailiwick.ports import UpstreamReply, UpstreamRequest
from bailiwick.protocols.mcp.jsonrpc import Code, Request
from bailiwick.protocols.mcp.modern import STATUS
from bailiwick.protocols.mcp.revisions import MODERN
from bailiwick.protocols.mcp.state import NONCE_BYTES, State, seal, unseal
from bailiwick.protocols.strict_json import encode, parse

_PRIVATE = {"cacheScope": b'"private"'}
_UNCACHED = {"ttlMs": b"0", "cacheScope": b'"private"'}


class ModernExchange(Exchange):
    """One request of a stateless client."""

    modern = True
    edge = f"mcp/{MODERN}"

    def __init__(
        self,
        core: Core,
        visit: Visit,
        understood: Understood,
        request: Request,
        sink: PostSink,
        framed: Framed | None,
    ) -> None:
        knock = visit.knock
        self.core = core
        self.caller = visit.caller
        self.where = knock.where
        self.headers = knock.headers
        self.request = request
        self.sink = sink
        self.facts = understood.facts
        self.run_key = understood.run_key
        self.said = understood.said
        self.says_more = understood.says_more
        self.log_level = understood.log_level
        self.progress_token = understood.progress_token
        self.names_of_model = understood.names_of_model
        self.address = visit.address
        self.framed = framed

    _bound = ""
    _ours = False
    _taken_up = False
    _resumed: Parked | None = None
    _answers: JsonObject = NOTHING

    def status_of(self, code: int) -> int:
        """By the table of the revision."""
        return STATUS.get(code, 200)  # type: ignore[call-overload, no-any-return]

    # --- retries with state --------------------------------------------------------------------

    def reopen(self, target: Target, arguments: JsonObject) -> None:
        """Open a sealed `requestState`, so that the server gets its own back."""
        params = self.outgoing.params
        if "requestState" not in params:
            return
        token = params["requestState"]
        if not isinstance(token, str):
            raise TheirError("request_state_invalid", "`requestState` must be text")
        self._bound = _binding(target, arguments)
        now_ms = self.core.clock.wall_ms()
        state = unseal(token, self.core.state_key, self.caller.key, self._bound, now_ms)
        if state.parked:
            self._resumed = self.core.parking.take(state.parked)
            self.follows = True
            if self._resumed is None:
                raise TheirError("request_state_invalid", "`requestState` has been used or expired")
            answers = params.get("inputResponses", {})
            self._answers = answers if isinstance(answers, dict) else {}
            return
        restored = {name: value for name, value in params.items() if name != "requestState"}
        if state.upstream is not None:
            restored["requestState"] = state.upstream
        going = self.outgoing
        self.outgoing = UpstreamRequest(going.method, restored, going.client, going.param_headers)

    async def followed(self, governed: Awaitable[Answer]) -> Answer:
        """A parked request that the gate did not let go on is parked again, or given up."""
        answer: Answer | None = None
        try:
            answer = await governed
            return answer
        finally:
            if self._resumed is not None and not self._taken_up:
                self._leave(self._resumed, again=isinstance(answer, StillWaiting))

    def _leave(self, parked: Parked, *, again: bool) -> None:
        try:
            if again:
                self.core.parking.park(parked)
            else:
                parked.drop()
        except TheirError:
            parked.drop()

    def _sealed(self, upstream: str | None, parked: str = "") -> str:
        bound = self._bound or _binding(self.asked.target, self.asked.arguments)
        seconds = self.core.limits.input_seconds
        expires_ms = self.core.clock.wall_ms() + int(seconds * 1000)
        state = State(self.caller.key, bound, expires_ms, upstream, parked)
        return seal(state, self.core.state_key, os.urandom(NONCE_BYTES))

    # --- dispatch -----------------------------------------------------------------------------

    def dispatch(self) -> Awaitable[UpstreamReply]:
        """Send it; where a legacy server may ask something, so that it can wait for the answer."""
        if self._resumed is not None:
            self._taken_up = True
            self._resumed.peer = self
            self._resumed.give(self._answers)
            return self._turn(self._resumed)
        if self.server_version >= MODERN or not self._may_be_asked():
            return self.upstream.request(self.outgoing, self)
        parked = self.core.parking.new(self.caller.key)
        parked.peer = self
        work = self.upstream.request(self.outgoing, _ParkedPeer(self, parked))
        parked.work = asyncio.get_running_loop().create_task(work)
        parked.work.add_done_callback(_look_at)
        return self._turn(parked)

    def _may_be_asked(self) -> bool:
        capabilities = self.outgoing.client.capabilities
        return any(name in capabilities for name in CLIENT_CAPABILITY.values())

    async def _turn(self, parked: Parked) -> UpstreamReply:
        try:
            reply = await parked.next_turn()
        except asyncio.CancelledError:
            parked.drop()
            raise
        if reply is not None:
            return reply
        try:
            self.core.parking.park(parked)
        except TheirError as error:
            parked.drop()
            return error_reply(Code.INTERNAL_ERROR, error.message)
        self._ours = True
        asked: dict[str, Json] = {
            key: {"method": question.method, "params": question.params}
            for key, question in parked.questions.items()
        }
        result: dict[str, Json] = {
            "resultType": "input_required",
            "inputRequests": asked,
            "requestState": self._sealed(None, parked.id),
        }
        return UpstreamReply(result=encode(result))

    async def ask(self, method: str, params: JsonObject) -> UpstreamReply:
        """A server of this era has no requests of its own; one of the other is parked instead."""
        return error_reply(Code.METHOD_NOT_FOUND, "the client takes no requests")

    # --- results --------------------------------------------------------------------------------

    def passes(self, listing: Listing, result: bytes) -> bool:
        """One that neither asks nor makes a task, and says its own type."""
        return (
            self.server_version >= MODERN
            and listing is not RESOURCES
            and result.find(b'"input_required"') < 0  # for each call; `in` makes an exception
            and result.find(b'"taskId"') < 0
            and not self._ours
        )

    async def answered(self, listing: Listing, result: bytes) -> Outcome:
        """Pass a result on; one that asks for input is judged and sealed first."""
        if b'"input_required"' in result and not self._ours:
            judged = await self._judge_input(result)
            if isinstance(judged, Outcome):
                return judged
            result = judged
        elif b'"taskId"' in result and not task_created(self, result):
            return self.fail(Code.INTERNAL_ERROR, "the server gave a task id that is in use")
        if not self._ours:
            result = self.shaped(result)
            if listing is RESOURCES:
                result = self._uncached(result)
        return self.ok(result)

    def shaped(self, result: bytes) -> bytes:
        """Results of this revision say their type; a server of an earlier one does not."""
        if self._ours or self.server_version >= MODERN:
            return result
        return _led_by({"resultType": b'"complete"'}, result)

    def _uncached(self, result: bytes) -> bytes:
        if self.server_version < MODERN:
            return _led_by(_UNCACHED, result)
        # What this caller may read, others may not: a shared cache must never hold it.
        return with_members(result, _PRIVATE) if b'"public"' in result else result

    async def _judge_input(self, result: bytes) -> bytes | Outcome:
        value = parse(result)
        if not isinstance(value, dict) or value.get("resultType") != "input_required":
            return result
        requests = value.get("inputRequests", {})
        if not isinstance(requests, dict):
            return self.fail(Code.INTERNAL_ERROR, "the server asked for input in no known way")
        declared = self.outgoing.client.capabilities
        for request in requests.values():
            method = request.get("method") if isinstance(request, dict) else None
            capability = CLIENT_CAPABILITY.get(method) if isinstance(method, str) else None
            if capability is None:
                return self.fail(Code.INTERNAL_ERROR, "the server asked for input in no known way")
            if capability not in declared:
                return self.fail(
                    Code.MISSING_CLIENT_CAPABILITY,
                    f"the call needs the client capability `{capability}`",
                    {"requiredCapabilities": {capability: {}}},
                )
        for request in requests.values():
            refusal = await self._judge_request(request["method"], request.get("params", {}))
            if refusal is not None:
                return refusal
        state = value.get("requestState")
        if not isinstance(state, str):
            return result
        return with_members(result, {"requestState": encode(self._sealed(state))})

    async def _judge_request(self, method: str, params: Json) -> Outcome | None:
        if not isinstance(params, dict):
            return self.fail(Code.INTERNAL_ERROR, "the server asked for input in no known way")
        reply = await self.judge_ask(method, params, _delivered, self.on_tick)
        if reply.result == _DELIVERED:
            return None
        text = f"server `{self.shelf.name}` asked for `{method}`, which was refused"
        if reply.error is not None:
            why = parse(reply.error)
            if isinstance(why, dict) and isinstance(why.get("message"), str):
                text = str(why["message"])
        if self.request.method == "tools/call":
            return self.ok_value({"content": [{"type": "text", "text": text}], "isError": True})
        return self.fail(Code.INVALID_PARAMS, text)


_DELIVERED = b'{"delivered":true}'


async def _delivered() -> UpstreamReply:
    # The client gets the request in this very response; its answer comes with the retry.
    return UpstreamReply(result=_DELIVERED)


class _ParkedPeer:
    """The peer of an upstream request that may outlive the HTTP request it came in."""

    __slots__ = ("_first", "_parked")

    def __init__(self, first: ModernExchange, parked: Parked) -> None:
        self._first = first
        self._parked = parked

    async def notify(self, method: str, params: JsonObject) -> None:
        peer = self._parked.peer
        if peer is not None:
            await peer.notify(method, params)

    async def ask(self, method: str, params: JsonObject) -> UpstreamReply:
        async def deliver() -> UpstreamReply:
            try:
                answer = await self._parked.add(method, params)
            except TheirError as error:
                return error_reply(Code.INTERNAL_ERROR, error.message)
            if not isinstance(answer, dict):
                return error_reply(-1, "the client gave no answer")
            return UpstreamReply(result=encode(answer))

        return await self._first.judge_ask(method, params, deliver, self._tick)

    async def _tick(self, tick: Tick) -> None:
        peer = self._parked.peer
        if isinstance(peer, ModernExchange):
            await peer.on_tick(tick)


def _binding(target: Target, arguments: JsonObject) -> str:
    return digest_of(
        {
            "arguments": arguments,
            "kind": target.kind.value,
            "name": target.name,
            "upstream": target.upstream,
        }
    )


def _led_by(members: dict[str, bytes], result: bytes) -> bytes:
    """A raw object with members it lacks put first; what it has is left alone."""
    if any(b'"%b"' % name.encode() in result for name in members):
        have = raw_members(result)
        return join_members({**members, **have})
    body = result.lstrip()[1:].lstrip()
    first = b",".join(b'"%b":%b' % (name.encode(), value) for name, value in members.items())
    return b"{" + first + (b"" if body.startswith(b"}") else b",") + body


def _look_at(work: asyncio.Task[UpstreamReply]) -> None:
    # A parked request may fail with nobody waiting; the next turn, if any, gets the exception.
    if not work.cancelled():
        work.exception()
