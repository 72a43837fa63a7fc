"""A requesting side that keeps what it is told and asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.ports import ClientFacts, UpstreamReply
from tests.gateway.upstreams.site import soon

Reply = Callable[[str, JsonObject], Awaitable[UpstreamReply]]


class Peer:
    def __init__(self, reply: Reply | None = None) -> None:
        self.told: list[tuple[str, JsonObject]] = []
        self.asked: list[tuple[str, JsonObject]] = []
        self.changed = asyncio.Condition()
        self._reply = reply

    async def notify(self, method: str, params: JsonObject) -> None:
        async with self.changed:
            self.told.append((method, params))
            self.changed.notify_all()

    async def ask(self, method: str, params: JsonObject) -> UpstreamReply:
        async with self.changed:
            self.asked.append((method, params))
            self.changed.notify_all()
        if self._reply is None:
            return UpstreamReply(result=b'{"roots":[]}')
        return await self._reply(method, params)

    async def wait_for(self, condition: Callable[[Peer], bool]) -> None:
        async with self.changed:
            await soon(self.changed.wait_for(lambda: condition(self)))


ABLE: dict[str, Json] = {"roots": {}, "elicitation": {}}
INFO: dict[str, Json] = {"name": "c", "version": "1"}
MODERN = ClientFacts("ada|m1|s1", "2026-07-28", ABLE, INFO)
LEGACY = ClientFacts("ada|m1|s2", "2025-06-18", ABLE, INFO)
