"""A server that speaks both eras, met in the era of each client.

What a server can do for a client depends on the era: one of the stateful revisions may ask a
client while its request is open, one of 2026-07-28 cannot. Carried over into the other era, a
tool that asks would fail. So where the server speaks both, nothing is translated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import OurError
from bailiwick.gateway.upstreams.era import Era, Heard
from bailiwick.gateway.upstreams.legacy import LegacyHttp
from bailiwick.gateway.upstreams.modern import ModernHttp
from bailiwick.gateway.upstreams.own import GATEWAY
from bailiwick.gateway.upstreams.spec import MODERN_VERSION
from bailiwick.ports import (
    ClientFacts,
    RequestPeer,
    ServerFacts,
    UpstreamReply,
    UpstreamRequest,
    Wants,
)

_NOT_SPOKEN = frozenset(
    {"upstream_version", "upstream_refused", "upstream_garbage", "upstream_failed"}
)
"""What becomes of an `initialize` that means nothing to the server."""


class BothEras:
    """A modern server, and the same one as stateful clients know it, if it lets them.

    Whether it does is asked once, when the first such client comes. Where it does not, the
    modern era serves them too.
    """

    def __init__(self, modern: ModernHttp, legacy: LegacyHttp) -> None:
        self._modern = modern
        self._legacy = legacy
        self._speaks_legacy: bool | None = None
        self._legacy_facts: ServerFacts | None = None
        self._asking = asyncio.Lock()

    @property
    def has_sessions(self) -> bool:
        """See `Era.has_sessions`."""
        return self._legacy.has_sessions

    def request(
        self, request: UpstreamRequest, peer: RequestPeer
    ) -> Coroutine[Any, Any, UpstreamReply]:
        """See `ports.Upstream.request`."""
        if request.client.version >= MODERN_VERSION:  # nothing to find out, so no detour
            return self._modern.request(request, peer)
        return self._request_of_legacy(request, peer)

    async def _request_of_legacy(
        self, request: UpstreamRequest, peer: RequestPeer
    ) -> UpstreamReply:
        era = await self._era_of(request.client)
        return await era.request(request, peer)

    async def notify(self, client: ClientFacts, method: str, params: JsonObject) -> None:
        """See `ports.Upstream.notify`."""
        era = await self._era_of(client)
        await era.notify(client, method, params)

    async def listen(self, client: ClientFacts, wants: Wants) -> Heard:
        """See `Era.listen`."""
        era = await self._era_of(client)
        async with aclosing(era.listen(client, wants)) as heard:
            async for item in heard:
                yield item

    async def facts(self, version: str = "") -> ServerFacts:
        """See `Era.facts`: those of the newer era, except to clients of the other."""
        if version and version < MODERN_VERSION and await self._legacy_is_spoken():
            assert self._legacy_facts is not None
            return self._legacy_facts
        return await self._modern.facts()

    async def end_session(self, session: str) -> None:
        """See `ports.Upstream.end_session`."""
        await self._modern.end_session(session)
        await self._legacy.end_session(session)

    async def close(self) -> None:
        """See `Era.close`."""
        await self._modern.close()
        await self._legacy.close()

    async def _era_of(self, client: ClientFacts) -> Era:
        if client.version >= MODERN_VERSION or not await self._legacy_is_spoken():
            return self._modern
        return self._legacy

    async def _legacy_is_spoken(self) -> bool:
        if self._speaks_legacy is None:
            async with self._asking:
                if self._speaks_legacy is None:
                    self._speaks_legacy = await self._ask()
        return self._speaks_legacy

    async def _ask(self) -> bool:
        try:
            self._legacy_facts = await self._legacy.facts()
        except OurError as error:
            if error.code not in _NOT_SPOKEN:
                raise
            return False
        await self._legacy.end_session(GATEWAY.session)
        return True
