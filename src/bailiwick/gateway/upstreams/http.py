"""One MCP server over HTTP, of whichever era, or both, it turns out to be."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import aclosing

from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import OurError, UpstreamBroken, UpstreamDown
from bailiwick.gateway.http.client import HttpClient
from bailiwick.gateway.http.limits import HttpLimits
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.http.wire import parse_url
from bailiwick.gateway.upstreams.answers import CREDENTIALS, refusal
from bailiwick.gateway.upstreams.both import BothEras
from bailiwick.gateway.upstreams.envelope import (
    HEADER_MISMATCH,
    MISSING_CAPABILITY,
    UNSUPPORTED_VERSION,
    error_of,
)
from bailiwick.gateway.upstreams.era import Era, Heard
from bailiwick.gateway.upstreams.legacy import LegacyHttp
from bailiwick.gateway.upstreams.listening import is_wanted, listen_on
from bailiwick.gateway.upstreams.modern import ModernHttp
from bailiwick.gateway.upstreams.own import facts_of, supported_versions
from bailiwick.gateway.upstreams.spec import (
    LEGACY_VERSIONS,
    MODERN_VERSION,
    ServerSpec,
    reveal,
)
from bailiwick.ports import (
    ClientFacts,
    RequestPeer,
    ServerFacts,
    UpstreamReply,
    UpstreamRequest,
    UpstreamStatus,
    Wants,
)

_PROBE_SECONDS = 10.0


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
        self._facts: dict[bool, ServerFacts] = {}
        self._state = "unknown"
        self._detail = "not asked yet"

    async def request(self, request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        """See `ports.Upstream.request`."""
        try:
            era = self._era or await self._find_era()
            reply = await era.request(request, peer)
        except OurError as error:
            self._note_failure(error)
            self._doubt_era(error)
            raise
        if self._detail:  # it is not empty until the server is known to be up
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
                if is_wanted(method, wants):
                    yield method, params

    async def facts(self, version: str = "") -> ServerFacts:
        """See `ports.Upstream.facts`."""
        earlier = bool(version) and version < MODERN_VERSION
        if earlier not in self._facts:
            try:
                era = self._era or await self._find_era()
                self._facts[earlier] = await era.facts(version)
            except OurError as error:
                self._note_failure(error)
                raise UpstreamDown(error.code, error.message) from error
            self._state, self._detail = "up", ""
        return self._facts[earlier]

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
                self._era = await self._choose()
            return self._era

    async def _choose(self) -> Era:
        """Modern (and perhaps both) if it answers `server/discover` as such a server does.

        Source: 2026-07-28, basic/transports/streamable-http and basic/versioning, "Backward
        Compatibility". What the server says decides, not one code or status.
        """
        spec = self._spec
        headers = tuple((name, reveal(value)) for name, value in spec.headers.items())
        parts = (spec, self._client, self._streams, self._target, headers)
        if spec.protocol not in ("auto", MODERN_VERSION):
            return LegacyHttp(*parts)
        modern = ModernHttp(*parts)
        if spec.protocol == MODERN_VERSION:
            return modern
        try:
            found = await modern.discover(answer_seconds=min(_PROBE_SECONDS, spec.timeout_seconds))
        except UpstreamBroken:
            # Silence or garbage: if there is no server of either era, `initialize` will tell.
            return LegacyHttp(*parts)
        if isinstance(found, Response):
            if found.status in CREDENTIALS:
                raise refusal(self.name, found.status)
            return LegacyHttp(*parts)
        legacy = LegacyHttp(*parts)
        return BothEras(modern, legacy) if self._is_modern(found) else legacy

    def _is_modern(self, found: UpstreamReply) -> bool:
        versions = supported_versions(found)
        if MODERN_VERSION in versions:
            self._facts[False] = facts_of(self.name, found)
            return True
        if found.error is not None:
            code, _ = error_of(found.error)
            if code in (HEADER_MISMATCH, MISSING_CAPABILITY):
                return True
            if code != UNSUPPORTED_VERSION:
                return False
        if versions and not set(versions) & set(LEGACY_VERSIONS):
            raise UpstreamDown(
                "upstream_version",
                f"server `{self.name}` speaks only {', '.join(versions)[:80]!a}, which we do not",
            )
        return False

    def _note_failure(self, error: OurError) -> None:
        """For people: a server that broke off one answer, or is busy, is not down."""
        self._detail = error.message
        if isinstance(error, UpstreamDown) and error.code != "upstream_busy":
            self._state = "down"

    def _doubt_era(self, error: OurError) -> None:
        """Probe again next time, if what the server says no longer fits what was found.

        Sessions are not given up for this: one client's refused request must not end another's.
        """
        if self._spec.protocol != "auto" or self._era is None or self._era.has_sessions:
            return
        if error.code in ("upstream_version", "upstream_refused"):
            self._era = None
            self._facts = {}
