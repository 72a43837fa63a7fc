"""What one era's module does for one server over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from bailiwick.core.canonical import JsonObject
from bailiwick.ports import (
    ClientFacts,
    RequestPeer,
    ServerFacts,
    UpstreamReply,
    UpstreamRequest,
    Wants,
)

Heard = AsyncGenerator[tuple[str, JsonObject], None]
"""Notifications, as method and params."""


class Era(Protocol):
    """As `ports.Upstream`, but for one era, and `listen` ends when its stream does."""

    async def request(self, request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        """As `Upstream.request`."""
        ...

    async def notify(self, client: ClientFacts, method: str, params: JsonObject) -> None:
        """As `Upstream.notify`."""
        ...

    def listen(self, client: ClientFacts, wants: Wants) -> Heard:
        """One stream of notifications, to its end. Raises UpstreamDown or UpstreamBroken."""
        ...

    async def facts(self) -> ServerFacts:
        """Ask the server, each time anew."""
        ...

    async def end_session(self, session: str) -> None:
        """As `Upstream.end_session`."""
        ...

    async def close(self) -> None:
        """End whatever is kept at the server."""
        ...
