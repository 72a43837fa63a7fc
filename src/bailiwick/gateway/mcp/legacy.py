"""The stateful era, up to 2025-11-25: what a session's requests add to an exchange.

A disconnect is not a cancellation: the call goes on, and its answer waits in the session's
numbered streams. A server's own requests go out on the stream of the request they belong to, and
come back as POSTed responses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from bailiwick.core.call import Target
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.gateway.gate import Answer
from bailiwick.gateway.mcp.calls import task_created
from bailiwick.gateway.mcp.catalog import Listing
from bailiwick.gateway.mcp.core import Core, Where
from bailiwick.gateway.mcp.exchange import Exchange, error_reply, is_modern_server
from bailiwick.gateway.mcp.sessions import Session
from bailiwick.gateway.mcp.streams import Attachment, Stream
from bailiwick.gateway.mcp.wire import Outcome, Send, reply
from bailiwick.ports import Caller, UpstreamReply, UpstreamRequest
from bailiwick.protocols.mcp.jsonrpc import Code, Response, notification_message, request_message
from bailiwick.protocols.mcp.legacy import primes_streams
from bailiwick.protocols.mcp.revisions import META_LOG_LEVEL
from bailiwick.protocols.strict_json import encode, parse

MAX_ROUNDS = 10
"""How often a stateless server may ask for input during one call of a stateful client."""

MAX_ASKS = 32
"""Questions of servers that wait for one session's client."""

_TAKE_BACK_SECONDS = 1.0
_RETRY_FIELDS = frozenset({"inputResponses", "requestState"})


class SessionSink:
    """The sink of the stateful era: JSON when answered at once, else a stream of the session."""

    __slots__ = (
        "_json_too",
        "_reader",
        "_send",
        "_session",
        "_stream",
        "can_stream",
        "lost",
        "streaming",
    )

    def __init__(self, session: Session, send: Send, *, can_stream: bool, json_too: bool) -> None:
        self._session = session
        self._send = send
        self._reader: Attachment | None = None
        self._json_too = json_too
        self._stream: Stream | None = None
        self.can_stream = can_stream
        self.streaming = False
        self.lost = False

    async def emit(self, message: bytes, *, keep: bool = False) -> None:
        """See `Sink`."""
        if self.can_stream:
            await (await self._open()).emit(message, keep=keep)

    async def keep_alive(self) -> None:
        """See `Sink`."""
        if self.can_stream:
            await (await self._open()).keep_alive()

    async def prime(self) -> None:
        """Open the stream early, so that a client that loses its connection can come back."""
        if self.can_stream and primes_streams(self._session.version):
            await self._open()

    async def finish(self, outcome: Outcome) -> None:
        """See `Sink`."""
        if self._stream is not None:
            await self._stream.finish(outcome.message)
            self.lost = bool(outcome.message) and not self._stream.delivered
        elif self._json_too or outcome.status != 200 or not outcome.message:
            await reply(self._send, outcome.status, outcome.message)
        else:
            await (await self._open()).finish(outcome.message)

    def connection_lost(self) -> None:
        """The connection is gone; the stream, if there is one, stays."""
        self.lost = True
        if self._stream is not None and self._reader is not None:
            self._stream.detach(self._reader)

    async def _open(self) -> Stream:
        if self._stream is None:
            self._stream = self._session.new_stream()
            self.streaming = True
            if not self.lost:
                self._reader = Attachment(self._send)
                await self._stream.attach(self._reader)
        return self._stream


class LegacyExchange(Exchange):
    """One request of a session."""

    modern = False
    follows = True

    def __init__(
        self, core: Core, caller: Caller, where: Where, session: Session, sink: SessionSink
    ) -> None:
        self.core = core
        self.caller = caller
        self.where = where
        self.facts = session.facts
        self.session = session
        self.edge = f"mcp/{session.facts.version}"
        self.run_key = session.run_key
        self.log_level = session.log_level or None
        self._sink = sink
        self._answer: Answer | None = None

    def status_of(self, code: int) -> int:
        """An error of the method is a reply like any other."""
        return 200

    def reopen(self, target: Target, arguments: JsonObject) -> None:
        """A stateful client carries no state: what looks like it is not passed on."""
        params = self.outgoing.params
        if not params.keys().isdisjoint(_RETRY_FIELDS):
            self._resend({k: v for k, v in params.items() if k not in _RETRY_FIELDS})

    async def followed(self, governed: Awaitable[Answer]) -> Answer:
        """Remember the answer in case the client cannot be told it."""
        self._answer = await governed
        return self._answer

    def keep_if_lost(self) -> None:
        """Keep an answer that could not be delivered, for when the client asks again."""
        if self._sink.lost and self._answer is not None:
            self.core.gate.keep_answer(self.asked, self._answer)

    def passes(self, listing: Listing, result: bytes) -> bool:
        """One that makes no task."""
        return b'"taskId"' not in result

    async def answered(self, listing: Listing, result: bytes) -> Outcome:
        """Pass a result on as it is."""
        if b'"taskId"' in result and not task_created(self, result):
            return self.fail(Code.INTERNAL_ERROR, "the server gave a task id that is in use")
        return self.ok(result)

    # --- dispatch -----------------------------------------------------------------------------

    async def dispatch(self) -> UpstreamReply:
        """Send it; answer a stateless server's requests for input by asking the client."""
        if is_modern_server(self.server_version) and self.session.log_level:
            self._resend(_with_level(self.outgoing.params, self.session.log_level))
        reply = await self.upstream.request(self.outgoing, self)
        for _ in range(MAX_ROUNDS):
            if reply.result is None or b'"input_required"' not in reply.result:
                return reply
            value = parse(reply.result)
            if not isinstance(value, dict) or value.get("resultType") != "input_required":
                return reply
            refused = await self._gather_input(value)
            if refused is not None:
                return refused
            reply = await self.upstream.request(self.outgoing, self)
        return error_reply(Code.INTERNAL_ERROR, "the server asks for input again and again")

    async def _gather_input(self, value: JsonObject) -> UpstreamReply | None:
        """Ask the client for each input and set the retry; an error reply when it has none."""
        requests = value.get("inputRequests", {})
        if not isinstance(requests, dict):
            return error_reply(Code.INTERNAL_ERROR, "the server asked for input in no known way")
        answers: dict[str, Json] = {}
        for key, request in requests.items():
            method = request.get("method") if isinstance(request, dict) else None
            params = request.get("params", {}) if isinstance(request, dict) else None
            if not isinstance(method, str) or not isinstance(params, dict):
                return error_reply(
                    Code.INTERNAL_ERROR, "the server asked for input in no known way"
                )
            answer = await self.ask(method, params)
            if answer.result is None:
                return answer
            answers[key] = parse(answer.result)
        sent = self.outgoing.params
        params = {name: item for name, item in sent.items() if name not in _RETRY_FIELDS}
        params["inputResponses"] = answers
        if "requestState" in value:
            params["requestState"] = value["requestState"]
        self._resend(params)
        return None

    def _resend(self, params: JsonObject) -> None:
        going = self.outgoing
        self.outgoing = UpstreamRequest(going.method, params, going.client, going.param_headers)

    # --- what a server asks ---------------------------------------------------------------------

    async def ask(self, method: str, params: JsonObject) -> UpstreamReply:
        """Judge it, put it to this session's client, wait for the POSTed response."""

        async def deliver() -> UpstreamReply:
            return await self._put(method, params)

        return await self.judge_ask(method, params, deliver, self.on_tick)

    async def _put(self, method: str, params: JsonObject) -> UpstreamReply:
        if not self._sink.can_stream:
            return error_reply(Code.METHOD_NOT_FOUND, "the client takes no requests")
        session = self.session
        if len(session.asks) >= MAX_ASKS:
            return error_reply(Code.INTERNAL_ERROR, "too many questions wait for this client")
        identity = session.next_ask_id()
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        session.asks[identity] = answer
        try:
            await self.sink.emit(request_message(identity, method, params), keep=True)
            async with asyncio.timeout(self.core.limits.input_seconds):
                response = await answer
        except TimeoutError:
            await self._take_back(identity, "no answer came in time")
            return error_reply(-1, "the client gave no answer")
        except asyncio.CancelledError:
            if not session.over:
                await self._take_back(identity, "the call was cancelled")
            raise
        finally:
            session.asks.pop(identity, None)
        if response.result is not None:
            return UpstreamReply(result=encode(response.result))
        return UpstreamReply(error=encode(response.error))

    async def _take_back(self, identity: str, reason: str) -> None:
        params: JsonObject = {"requestId": identity, "reason": reason}
        try:
            async with asyncio.timeout(_TAKE_BACK_SECONDS):
                await self.sink.emit(notification_message("notifications/cancelled", params))
        except TimeoutError:
            # A client that reads nothing finds its question answered by nobody; no more is lost.
            return


def _with_level(params: JsonObject, level: str) -> JsonObject:
    held = params.get("_meta")
    meta: dict[str, Json] = dict(held) if isinstance(held, dict) else {}
    meta[META_LOG_LEVEL] = level
    return {**params, "_meta": meta}
