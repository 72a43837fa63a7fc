"""What one era's module does for one server over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from bailiwick.core.canonical import JsonObject
from bailiwick.gateway.http.response import Response
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


Fields = tuple[tuple[str, str], ...]
"""Header fields of every request in one session."""


class Exchange(Protocol):
    """How the streams of a session reach their server back."""

    name: str
    max_event_bytes: int
    idle_seconds: float

    async def post_message(self, fields: Fields, body: bytes) -> None:
        """Send a message that has no reply. Raises UpstreamDown or UpstreamBroken."""
        ...

    async def get(self, fields: Fields, last_event_id: str, *, long: bool) -> Response:
        """Open the session's own stream, or (with an event id) resume another.

        Raises:
            UpstreamDown (`header_unsafe` for an event id that no header can carry),
                UpstreamBroken.
        """
        ...


class Era(Protocol):
    """As `ports.Upstream`, but for one era, and `listen` ends when its stream does."""

    @property
    def has_sessions(self) -> bool:
        """Whether something is kept for clients that would be lost with this object."""
        ...

    async def request(self, request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        """As `Upstream.request`."""
        ...

    async def notify(self, client: ClientFacts, method: str, params: JsonObject) -> None:
        """As `Upstream.notify`."""
        ...

    def listen(self, client: ClientFacts, wants: Wants) -> Heard:
        """One stream of notifications, to its end. Raises UpstreamDown or UpstreamBroken."""
        ...

    async def facts(self, version: str = "") -> ServerFacts:
        """Ask the server, each time anew; `version` as for `Upstream.facts`."""
        ...

    async def end_session(self, session: str) -> None:
        """As `Upstream.end_session`."""
        ...

    async def close(self) -> None:
        """End whatever is kept at the server."""
        ...
