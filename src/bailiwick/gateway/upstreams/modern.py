"""Streamable HTTP, revision 2026-07-28: stateless, one POST for each request.

Source: MCP 2026-07-28, basic/transports/streamable-http. Closing the response is the cancellation.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator
from contextlib import aclosing
from typing import Any

import msgspec

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import OurError, TheirError, UpstreamBroken, UpstreamDown
from bailiwick.gateway.http.client import HttpClient
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.http.stream import BodyStream
from bailiwick.gateway.http.wire import Template
from bailiwick.gateway.upstreams import meta
from bailiwick.gateway.upstreams.answers import accept, garbled, read_reply, refusal
from bailiwick.gateway.upstreams.asks import Within
from bailiwick.gateway.upstreams.envelope import (
    HEADER_MISMATCH,
    UNSUPPORTED_VERSION,
    Ask,
    Message,
    Note,
    Reply,
    decode,
    encode_request,
    error_of,
)
from bailiwick.gateway.upstreams.headers import ToolHeaders, encoded_headers
from bailiwick.gateway.upstreams.listening import filter_of
from bailiwick.gateway.upstreams.local import LOCAL_METHODS, LocalAnswers
from bailiwick.gateway.upstreams.own import GATEWAY, Nobody, facts_of
from bailiwick.gateway.upstreams.rounds import answer_rounds
from bailiwick.gateway.upstreams.spec import MODERN_VERSION, ServerSpec
from bailiwick.gateway.upstreams.worded import Worded, worded
from bailiwick.ports import (
    ClientFacts,
    RequestPeer,
    ServerFacts,
    UpstreamReply,
    UpstreamRequest,
    Wants,
)
from bailiwick.protocols.sse import SseDecoder

_MAX_REQUEST_SECONDS = 3_600.0
CATALOGUE = frozenset(
    {
        "server/discover",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
    }
)
"""Catalogue queries: without effects, so that sending one twice is safe."""

FIXED_HEADERS = (
    ("Content-Type", "application/json"),
    ("Accept", "application/json, text/event-stream"),
    ("Accept-Encoding", "identity"),
    ("User-Agent", "bailiwick"),
)


class ModernHttp:
    """One server that speaks 2026-07-28 over HTTP."""

    version = MODERN_VERSION
    has_sessions = False

    def __init__(
        self,
        spec: ServerSpec,
        client: HttpClient,
        streams: HttpClient,
        target: str,
        headers: Iterable[tuple[str, str]],
    ) -> None:
        self.name = spec.name
        self._client = client
        self._streams = streams
        self._max_response_bytes = spec.max_response_bytes
        fields = (*FIXED_HEADERS, ("MCP-Protocol-Version", MODERN_VERSION), *headers)
        self._post = Template("POST", client.origin, target, fields)
        self._ids = itertools.count(1)
        self._tool_headers = ToolHeaders()
        self._local = LocalAnswers()
        # Another object once requests may have to be worded otherwise than they were.
        self._words = object()

    async def request(self, request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        """See `ports.Upstream.request`."""
        if request.method in LOCAL_METHODS:
            self._words = object()
            return self._local.answer(request)
        # As `_send`, without a coroutine more between a call and what it waits for.
        message_id = next(self._ids)
        response = await self._ask(request, message_id)
        if response.stream is None:
            reply = read_reply(self.name, response, message_id)
        else:
            reply = await self._read_stream(request, response, message_id, peer)
        if request.method == "tools/list":
            self._learn(reply)
        if reply.error is not None:
            return await self._after_error(request, reply, peer)
        if request.client.version < MODERN_VERSION and reply.result is not None:
            # Such a client knows no `input_required`; its own way of being asked is `peer.ask`.
            return await answer_rounds(request, reply, Within(peer, request.client), self._send)
        return reply

    async def listen(
        self, client: ClientFacts, wants: Wants
    ) -> AsyncGenerator[tuple[str, JsonObject], None]:
        """Notifications of one `subscriptions/listen` stream; ends when the stream does.

        The first item is the acknowledgement, `notifications/subscriptions/acknowledged`.

        Raises:
            UpstreamDown, UpstreamBroken: it could not be opened, or was lost.
        """
        params: JsonObject = {"notifications": filter_of(wants), "_meta": {}}
        message_id = next(self._ids)
        params = meta.for_modern(params, client, self.version, message_id)
        fields = encoded_headers("subscriptions/listen", params)
        body = encode_request(message_id, "subscriptions/listen", params)
        response = await self._streams.send(self._post, fields, body, replayable=True)
        stream = response.stream
        if stream is None:
            read_reply(self.name, response, message_id)
            return
        # Silence is normal here; the peer's death shows as a reset (TCP keep-alive).
        stream.set_idle_seconds(float("inf"))
        async with aclosing(self._messages(stream)) as messages:
            async for message in messages:
                if isinstance(message, Reply):
                    return
                if isinstance(message, Note):
                    yield message.method, meta.without_subscription(message.params)

    async def discover(self, *, answer_seconds: float | None = None) -> Response | UpstreamReply:
        """Ask `server/discover` in the gateway's own name.

        Returns the reply, or the response where it holds none: callers tell eras apart by it.

        Raises:
            UpstreamDown, UpstreamBroken: as `HttpClient.send`.
        """
        message_id = next(self._ids)
        params = meta.for_modern({}, GATEWAY, self.version, message_id)
        fields = encoded_headers("server/discover", params)
        body = encode_request(message_id, "server/discover", params)
        response = await self._client.send(
            self._post, fields, body, answer_seconds=answer_seconds, replayable=True
        )
        if response.stream is not None:
            if response.status == 200:
                return await self._read_stream(None, response, message_id, Nobody())
            response.stream.close()
            return response
        try:
            return read_reply(self.name, response, message_id)
        except OurError:
            return response

    async def facts(self, version: str = "") -> ServerFacts:
        """See `ports.Upstream.facts`."""
        found = await self.discover()
        if isinstance(found, Response):
            raise refusal(self.name, found.status)
        return facts_of(self.name, found)

    async def notify(self, client: ClientFacts, method: str, params: JsonObject) -> None:
        """Nothing to send: this revision has no client notifications over HTTP."""

    async def _after_error(
        self, request: UpstreamRequest, reply: UpstreamReply, peer: RequestPeer
    ) -> UpstreamReply:
        assert reply.error is not None
        code, _ = error_of(reply.error)
        if code == UNSUPPORTED_VERSION:
            raise UpstreamDown(
                "upstream_version", f"server `{self.name}` does not speak {MODERN_VERSION}"
            )
        if code != HEADER_MISMATCH or request.method != "tools/call":
            return reply
        # "SHOULD call tools/list …, then retry": the mismatch says it was not carried out.
        learned = await self._learn_tools(request.client, peer)
        return await self._send(request, peer) if learned else reply

    # --- one request -------------------------------------------------------------------------

    async def _send(self, request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        message_id = next(self._ids)
        response = await self._ask(request, message_id)
        if response.stream is None:
            reply = read_reply(self.name, response, message_id)
        else:
            reply = await self._read_stream(request, response, message_id, peer)
        if request.method == "tools/list":
            self._learn(reply)
        return reply

    def _ask(self, request: UpstreamRequest, message_id: int) -> Coroutine[Any, Any, Response]:
        """Word a request; to be awaited is its response."""
        client, method, alike = request.client, request.method, request.alike
        if alike is not None and not request.param_headers:
            known = alike.worded
            if (
                type(known) is not Worded
                or known.of is not self._words
                or known.client is not client
                or known.name != request.params.get("name")
            ):
                alike.worded = known = self._worded(request)
            if known is not None:
                body = known.body(message_id, request.params["arguments"])
                return self._client.send(self._post, known.fields, body)
        level = self._local.log_levels.get(client.session, "")
        params = meta.for_modern(request.params, client, MODERN_VERSION, message_id, level)
        more: Iterable[tuple[str, str]] = ()
        if method == "tools/call" and (request.param_headers or self._tool_headers.declared):
            more = self._param_headers(request)
        return self._client.send(
            self._post,
            encoded_headers(method, params, more),
            encode_request(message_id, method, params),
            replayable=method in CATALOGUE,
        )

    def _worded(self, request: UpstreamRequest) -> Worded | None:
        """How requests that are like this one are sent; None where each is worded by itself."""
        if self._tool_headers.declared or request.client.session in self._local.log_levels:
            return None
        return worded(self._words, request)

    async def _read_stream(
        self,
        request: UpstreamRequest | None,
        response: Response,
        message_id: int,
        peer: RequestPeer,
    ) -> UpstreamReply:
        stream = response.stream
        assert stream is not None
        token = None if request is None else meta.progress_token(request.params)
        too_long = f"server `{self.name}` kept its stream open for too long"
        deadline = asyncio.get_running_loop().call_later(
            _MAX_REQUEST_SECONDS, stream.fail, UpstreamBroken("upstream_timeout", too_long)
        )
        decoder = SseDecoder(self._max_response_bytes)
        try:
            if response.status != 200:
                raise refusal(self.name, response.status)
            async for chunk in stream:
                for message in self._messages_in(chunk, decoder):
                    if isinstance(message, Reply):
                        reply = accept(self.name, message, message_id)
                        stream.finish()
                        return reply
                    if isinstance(message, Ask):
                        raise garbled(self.name, "it asks on a stream, which 2026-07-28 forbids")
                    await _forward(message, message_id, token, peer)
        finally:
            deadline.cancel()
            stream.close()
        raise UpstreamBroken(
            "upstream_closed", f"server `{self.name}` ended its stream without an answer"
        )

    def _messages_in(self, chunk: bytes, decoder: SseDecoder) -> Iterator[Message]:
        """The messages a chunk completes, one by one: what follows the reply is not looked at."""
        try:
            for event in decoder.feed(chunk):
                yield decode(event.data)
        except TheirError as error:
            raise garbled(self.name, error.message) from error

    async def _messages(self, stream: BodyStream) -> AsyncGenerator[Message, None]:
        decoder = SseDecoder(self._max_response_bytes)
        try:
            async for chunk in stream:
                for message in self._messages_in(chunk, decoder):
                    yield message
        finally:
            stream.close()

    # --- headers from tool schemas -----------------------------------------------------------

    def _param_headers(self, request: UpstreamRequest) -> Iterable[tuple[str, str]]:
        known = self._tool_headers.values_for(request.params)
        if known is not None:
            return known.items()
        return [
            (name, value)
            for name, value in request.param_headers.items()
            if name.lower().startswith("mcp-param-")
        ]

    def _learn(self, reply: UpstreamReply) -> None:
        self._tool_headers.learn(reply.result)
        self._words = object()

    async def _learn_tools(self, client: ClientFacts, peer: RequestPeer) -> bool:
        """Read all tool definitions; True when some tool has annotated parameters."""
        cursor: Json = None
        for _ in range(100):
            params: JsonObject = {} if cursor is None else {"cursor": cursor}
            reply = await self._send(UpstreamRequest("tools/list", params, client), peer)
            if reply.result is None:
                return False
            cursor = msgspec.json.decode(reply.result).get("nextCursor")
            if not cursor:
                break
        return bool(self._tool_headers.declared)

    async def end_session(self, session: str) -> None:
        """Forget what a session has asked for."""
        self._local.forget(session)

    async def close(self) -> None:
        """Nothing is kept that needs an end."""


async def _forward(note: Note, message_id: int, token: Json, peer: RequestPeer) -> None:
    if note.method != "notifications/progress":
        await peer.notify(note.method, note.params)
    elif note.params.get("progressToken") == message_id and token is not None:
        await peer.notify(note.method, meta.with_own_token(note.params, token))
    # Progress for a token we did not give belongs to nobody.
