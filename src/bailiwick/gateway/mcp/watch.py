"""Watching connections while their requests are worked on.

One timer goes round over all requests in flight, instead of two timers for each: a call that is
answered between two rounds costs an entry in a dict. A request that is found a second time gets a
task of its own, which waits for the disconnect and shows signs of life meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from bailiwick.gateway.mcp.sinks import Sink
from bailiwick.gateway.mcp.wire import Receive

_SHORTEST_SECONDS = 0.001


class Rounds:
    """The round over all watched requests of one edge.

    Args:
        seconds: between two rounds. A request is looked at after one to two of them.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = max(seconds, _SHORTEST_SECONDS)
        self._fresh: dict[Watch, None] = {}
        self._seen: dict[Watch, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, watch: Watch) -> None:
        """Look at `watch` from the next round but one."""
        self._fresh[watch] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._go)

    def leave(self, watch: Watch) -> None:
        """Look at it no more."""
        if watch in self._fresh:
            del self._fresh[watch]
        else:
            self._seen.pop(watch, None)

    def _go(self) -> None:
        self._timer = None
        due, self._seen, self._fresh = self._seen, self._fresh, {}
        for watch in due:
            if watch.is_due():
                self._seen[watch] = None
        if self._seen:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._seconds, self._go)


class Watch(msgspec.Struct, eq=False):
    """One request: first its body's deadline, then its connection.

    Attributes:
        body_seconds: for the body to arrive; then the task is cancelled and `late` is set.
        task: the one that serves the request.
        late: the body took too long.
        gone: the client has disconnected.
    """

    rounds: Rounds
    receive: Receive
    body_seconds: float
    # An ASGI application runs in a task.
    task: asyncio.Task[Any] = msgspec.field(default_factory=asyncio.current_task)  # type: ignore[arg-type]
    gone: bool = False
    late: bool = False
    _sink: Sink | None = None
    _lost: Callable[[], object] | None = None
    _slow: Callable[[], Awaitable[None]] | None = None
    _keep_alive_seconds: float = 0.0
    _deadline: float | None = None
    _follower: asyncio.Task[None] | None = None
    _timer: asyncio.TimerHandle | None = None
    _sign: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.rounds.enter(self)

    def follow(
        self,
        sink: Sink,
        keep_alive_seconds: float,
        lost: Callable[[], object] | None = None,
        slow: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """The body is there: from now on watch the connection.

        Args:
            lost: called once when the client disconnects; None cancels the task.
            slow: awaited once when the request turns out not to be quick.
        """
        self._sink = sink
        self._lost = lost
        self._slow = slow
        self._keep_alive_seconds = keep_alive_seconds

    def stop(self) -> None:
        """Stop watching, for good."""
        self.rounds.leave(self)
        # Who is told of a loss may lead back here, and so does a follower. Let go of both: else all
        # of the request stays until garbage is collected, and then nobody is served for a while.
        self._lost = self._sink = None
        if self._follower is not None:
            self._follower.cancel()
            self._follower = None
            self._stop_signs()

    def is_due(self) -> bool:
        """Do what is to be done in a round; whether to come again."""
        if self._sink is not None:
            self._follower = asyncio.get_running_loop().create_task(self._run())
            return False
        # A body that is there by the first look has cost no look at the time.
        now = asyncio.get_running_loop().time()
        if self._deadline is None:
            self._deadline = now + self.body_seconds
        if now < self._deadline:
            return True
        self.late = True
        self.task.cancel()
        return False

    async def _run(self) -> None:
        if self._slow is not None:
            await self._slow()
        self._show_signs_later()
        message = await self.receive()
        while message["type"] != "http.disconnect":
            message = await self.receive()
        self._stop_signs()
        self.gone = True
        if self._sink is not None:  # the task may have another request by now
            (self._lost or self.task.cancel)()

    # One timer for each sign instead of a deadline for each wait: most requests end before the
    # first, and a timer that is called off costs next to nothing.

    def _show_signs_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._keep_alive_seconds, self._show_sign)

    def _show_sign(self) -> None:
        # A reader that has not taken the last sign yet gets no other.
        if self._sink is not None and (self._sign is None or self._sign.done()):
            loop = asyncio.get_running_loop()
            self._sign = loop.create_task(self._sink.keep_alive())
        self._show_signs_later()

    def _stop_signs(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sign is not None:
            self._sign.cancel()
            self._sign = None
