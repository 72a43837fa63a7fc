"""Watching a connection while its request is worked on.

A call that is answered within `watch_seconds` costs one timer and no second task. Later a task
waits for the disconnect and shows signs of life meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bailiwick.gateway.mcp.sinks import Sink
from bailiwick.gateway.mcp.wire import Receive


class Watch:
    """One watched connection.

    Args:
        slow: awaited once when the request turns out not to be quick.
        lost: called once when the client disconnects.

    Attributes:
        gone: the client has disconnected.
    """

    __slots__ = ("_keep_alive_seconds", "_lost", "_receive", "_sink", "_slow", "_task", "_timer",
                 "gone")  # fmt: skip

    def __init__(
        self,
        receive: Receive,
        sink: Sink,
        lost: Callable[[], object],
        slow: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._receive = receive
        self._sink = sink
        self._lost = lost
        self._slow = slow
        self._task: asyncio.Task[None] | None = None
        self.gone = False

    def start(self, after_seconds: float, keep_alive_seconds: float) -> None:
        """Watch from `after_seconds` on."""
        self._keep_alive_seconds = keep_alive_seconds
        self._timer = asyncio.get_running_loop().call_later(after_seconds, self._begin)

    def stop(self) -> None:
        """Stop watching."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        if self._slow is not None:
            await self._slow()
        while True:
            try:
                async with asyncio.timeout(self._keep_alive_seconds):
                    message = await self._receive()
            except TimeoutError:
                await self._sink.keep_alive()
                continue
            if message["type"] == "http.disconnect":
                self.gone = True
                self._lost()
                return
