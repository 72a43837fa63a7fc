"""Live changes for pages that watch: small facts, never payloads."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from bailiwick.core.canonical import JsonObject
from bailiwick.gateway.recorder import CallContext
from bailiwick.gateway.watching import Watcher

_BACKLOG = 256


class Events:
    """Fan-out to any number of readers. A slow reader loses the oldest, and nobody waits.

    Attributes:
        watcher: hears of each call with all that is known of it; None for nobody, and no cost.
        traced: hears of each call that came with a trace context.
        readers: who reads now; without any an event need not even be made.
        quiet: there is neither a watcher nor a reader, as mostly.
    """

    traced: Callable[[CallContext], None] | None = None

    def __init__(self) -> None:
        self.readers: set[_Reader] = set()
        self.quiet = True
        self._watcher: Watcher | None = None
        self._closed = False

    @property
    def watcher(self) -> Watcher | None:
        """See `Events`."""
        return self._watcher

    @watcher.setter
    def watcher(self, watcher: Watcher | None) -> None:
        self._watcher = watcher
        self._look_around()

    def _look_around(self) -> None:
        self.quiet = self._watcher is None and not self.readers

    def publish(self, event: JsonObject) -> None:
        """Hand `event` to every reader. Costs nothing when nobody reads."""
        for reader in self.readers:
            reader.queue.append(event)
            reader.ready.set()

    async def subscribe(self) -> AsyncIterator[JsonObject]:
        """Events from the first `__anext__` on, until the reader or the gateway closes."""
        reader = _Reader()
        self.readers.add(reader)
        self._look_around()
        try:
            while not self._closed:
                await reader.ready.wait()
                reader.ready.clear()
                while reader.queue:
                    yield reader.queue.popleft()
        finally:
            self.readers.discard(reader)
            self._look_around()

    def close(self) -> None:
        """End every subscription: the gateway is ending."""
        self._closed = True
        for reader in self.readers:
            reader.ready.set()


class _Reader:
    __slots__ = ("queue", "ready")

    def __init__(self) -> None:
        self.queue: deque[JsonObject] = deque(maxlen=_BACKLOG)
        self.ready = asyncio.Event()
