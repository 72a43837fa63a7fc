"""The response stream of one request in the stateful era: progress, questions, resumption."""

from __future__ import annotations

import asyncio
from math import inf

from bailiwick.core.canonical import Json
from bailiwick.core.errors import TheirError, UpstreamBroken, UpstreamDown
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.http.stream import BodyStream
from bailiwick.gateway.upstreams import meta
from bailiwick.gateway.upstreams.answers import accept, garbled, refusal
from bailiwick.gateway.upstreams.asks import Asks
from bailiwick.gateway.upstreams.envelope import Ask, Message, Note, Reply, decode_batch
from bailiwick.gateway.upstreams.era import Exchange
from bailiwick.gateway.upstreams.legacy_session import LegacySession
from bailiwick.gateway.upstreams.listening import GENERAL
from bailiwick.ports import RequestPeer, UpstreamReply
from bailiwick.protocols.sse import SseDecoder

_MAX_REQUEST_SECONDS = 3_600.0
_DEFAULT_RETRY_MS = 1_000
_LEAST_RETRY_MS = 50
"""A server that closes each stream at once must not keep us busy."""
_MAX_FAILED_RESUMES = 5


class RequestStream:
    """Reads until the reply to `message_id` has come, over as many connections as it takes."""

    def __init__(
        self,
        server: Exchange,
        session: LegacySession,
        message_id: int,
        token: Json,
        peer: RequestPeer,
    ) -> None:
        self._server = server
        self._session = session
        self._message_id = message_id
        self._token = token
        self._peer = peer
        self._stream: BodyStream | None = None
        self._asking = 0
        self._asks = Asks(self._answer, self._on_asking)

    async def read(self, response: Response) -> UpstreamReply:
        """The reply.

        Raises:
            UpstreamBroken: the stream was garbled, or ended and could not be resumed.
        """
        try:
            async with asyncio.timeout(_MAX_REQUEST_SECONDS):
                return await self._read_on(response)
        except TimeoutError as error:
            raise UpstreamBroken(
                "upstream_timeout",
                f"server `{self._server.name}` kept its stream open for too long",
            ) from error
        finally:
            self._asks.close()

    async def _read_on(self, response: Response) -> UpstreamReply:
        if response.status != 200:
            assert response.stream is not None
            response.stream.close()
            raise refusal(self._server.name, response.status)
        cursor, retry_ms, failures = "", _DEFAULT_RETRY_MS, 0
        current: Response | None = response
        while True:
            if current is not None:
                decoder = SseDecoder(self._server.max_event_bytes)
                reply, lost = await self._read_one(current, decoder)
                if reply is not None:
                    return reply
                if decoder.last_event_id:
                    cursor, failures = decoder.last_event_id, 0
                retry_ms = retry_ms if decoder.retry_ms is None else decoder.retry_ms
                if not cursor:
                    # Without an event id there is nothing to resume from.
                    raise lost
            failures += 1
            if failures > _MAX_FAILED_RESUMES:
                raise self._closed()
            # "The client MUST respect the retry field".
            await asyncio.sleep(max(retry_ms, _LEAST_RETRY_MS) / 1_000)
            current = await self._resume(cursor)

    async def _resume(self, cursor: str) -> Response | None:
        """Open the stream again; None when the server cannot be reached just now."""
        try:
            response = await self._server.get(self._session.fields, cursor, long=False)
        except (UpstreamDown, UpstreamBroken):
            return None
        if response.stream is None or response.status != 200:
            if response.stream is not None:
                response.stream.close()
            raise self._closed()
        return response

    async def _read_one(
        self, response: Response, decoder: SseDecoder
    ) -> tuple[UpstreamReply | None, UpstreamBroken]:
        """Read one connection's part: the reply, or None and how it ended."""
        stream = response.stream
        assert stream is not None
        self._stream = stream
        self._on_asking(self._asking)
        try:
            async for chunk in stream:
                for event in decoder.feed(chunk):
                    for message in decode_batch(event.data):
                        reply = await self._take(message)
                        if reply is not None:
                            stream.finish()
                            return reply, self._closed()
        except TheirError as error:
            raise garbled(self._server.name, error.message) from error
        except UpstreamBroken as error:
            if error.code != "upstream_closed":
                raise
            return None, error
        finally:
            self._stream = None
            stream.close()
        return None, self._closed()

    async def _take(self, message: Message) -> UpstreamReply | None:
        match message:
            case Reply():
                return accept(self._server.name, message, self._message_id)
            case Ask():
                self._asks.take(message, self._peer)
            case Note(method="notifications/progress", params=params):
                if params.get("progressToken") == self._message_id and self._token is not None:
                    await self._peer.notify(
                        message.method, meta.with_own_token(params, self._token)
                    )
            case Note(method="notifications/cancelled", params=params):
                self._asks.cancel(params.get("requestId"))
            case Note(method=method, params=params):
                # What belongs to no request goes to those who listen, if there are any.
                listening = self._session.stream
                if listening is not None and method in GENERAL:
                    listening.spread(method, params)
                else:
                    await self._peer.notify(method, params)
        return None

    async def _answer(self, body: bytes) -> None:
        await self._server.post_message(self._session.fields, body)

    def _on_asking(self, count: int) -> None:
        """While the server waits for our answer, its silence means nothing."""
        self._asking = count
        if self._stream is not None:
            self._stream.set_idle_seconds(inf if count else self._server.idle_seconds)

    def _closed(self) -> UpstreamBroken:
        return UpstreamBroken(
            "upstream_closed", f"server `{self._server.name}` ended its stream without an answer"
        )
