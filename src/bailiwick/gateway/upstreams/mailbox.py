"""Notifications waiting for one listener: bounded, dropping the oldest of the same kind."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from bailiwick.core.canonical import Json, JsonObject

MAX_HELD = 256


class Mailbox:
    """Holds at most `MAX_HELD` notifications; of two that say the same, the newer one."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[str, Json], JsonObject] = OrderedDict()
        self._arrived = asyncio.Event()
        self._closed = False

    def put(self, method: str, params: JsonObject) -> None:
        """Add one. Never waits."""
        uri = params.get("uri")
        key = (method, uri if isinstance(uri, str) else "")
        self._held.pop(key, None)
        if len(self._held) >= MAX_HELD:
            kinds = [held for held in self._held if held[0] == method]
            self._held.pop(kinds[0] if kinds else next(iter(self._held)))
        self._held[key] = params
        self._arrived.set()

    def close(self) -> None:
        """Nothing more will come; `take` gives what is left and then None."""
        self._closed = True
        self._arrived.set()

    async def take(self) -> tuple[str, JsonObject] | None:
        """The oldest one, or None when closed and empty."""
        while not self._held:
            if self._closed:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        (method, _), params = self._held.popitem(last=False)
        return method, params
