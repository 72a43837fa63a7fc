"""One MCP server over HTTP, of whichever era it turns out to be."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import aclosing

from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import OurError, UpstreamDown
from bailiwick.gateway.http.client import HttpClient
from bailiwick.gateway.http.connection import HttpLimits
from bailiwick.gateway.http.wire import parse_url
from bailiwick.gateway.upstreams.era import Era, Heard
from bailiwick.gateway.upstreams.listening import is_wanted, listen_on
from bailiwick.gateway.upstreams.modern import ModernHttp
from bailiwick.gateway.upstreams.spec import ServerSpec, reveal
from bailiwick.ports import (
    ClientFacts,
    RequestPeer,
    ServerFacts,
    UpstreamReply,
    UpstreamRequest,
    UpstreamStatus,
    Wants,
)


class HttpUpstream:
    """See `ports.Upstream`. The server's era is found out once and remembered."""

    def __init__(self, spec: ServerSpec, tls: ssl.SSLContext | None = None) -> None:
        self.name = spec.name
        self._spec = spec
        origin, self._target = parse_url(spec.url)
        limits = HttpLimits(
            answer_seconds=spec.timeout_seconds,
            idle_seconds=spec.timeout_seconds,
            max_body_bytes=spec.max_response_bytes,
        )
        self._client = HttpClient(spec.name, origin, limits, tls)
        # Streams that stay open for hours must not use up the connections of calls.
        self._streams = HttpClient(spec.name, origin, limits, tls)
        self._era: Era | None = None
        self._finding = asyncio.Lock()
        self._facts: ServerFacts | None = None
        self._state = "unknown"
        self._detail = "not asked yet"

    async def request(self, request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        """See `ports.Upstream.request`."""
        try:
            era = self._era or await self._find_era()
            reply = await era.request(request, peer)
        except OurError as error:
            self._state, self._detail = "down", error.message
            raise
        if self._state != "up":
            self._state, self._detail = "up", ""
        return reply

    async def notify(self, client: ClientFacts, method: str, params: JsonObject) -> None:
        """See `ports.Upstream.notify`."""
        era = self._era or await self._find_era()
        await era.notify(client, method, params)

    async def listen(self, client: ClientFacts, wants: Wants) -> Heard:
        """See `ports.Upstream.listen`."""

        async def stream() -> Heard:
            era = self._era or await self._find_era()
            async with aclosing(era.listen(client, wants)) as heard:
                async for item in heard:
                    yield item

        async with aclosing(listen_on(stream, wants)) as heard:
            async for method, params in heard:
                if is_wanted(method, params, wants):
                    yield method, params

    async def facts(self) -> ServerFacts:
        """See `ports.Upstream.facts`."""
        if self._facts is None:
            try:
                era = self._era or await self._find_era()
                self._facts = await era.facts()
            except OurError as error:
                self._state, self._detail = "down", error.message
                raise UpstreamDown(error.code, error.message) from error
            self._state, self._detail = "up", ""
        return self._facts

    async def end_session(self, session: str) -> None:
        """See `ports.Upstream.end_session`."""
        if self._era is not None:
            await self._era.end_session(session)

    def status(self) -> UpstreamStatus:
        """See `ports.Upstream.status`."""
        return UpstreamStatus(self.name, self._state, self._detail)

    async def close(self) -> None:
        """End sessions upstream and close every connection."""
        if self._era is not None:
            await self._era.close()
        self._client.close()
        self._streams.close()

    async def _find_era(self) -> Era:
        async with self._finding:
            if self._era is None:
                self._era = self._modern()
            return self._era

    def _modern(self) -> ModernHttp:
        spec = self._spec
        headers = tuple((name, reveal(value)) for name, value in spec.headers.items())
        return ModernHttp(
            self.name,
            self._client,
            self._streams,
            self._target,
            headers,
            spec.max_response_bytes,
        )
