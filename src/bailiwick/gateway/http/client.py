"""The pool of connections to one origin, and requests over it.

When a request fails it matters whether it may have been carried out: `UpstreamDown` says that
nothing was sent, `UpstreamBroken` that nothing is known. A request is sent once. The one exception
is `replayable=True`, for requests without effects, on a connection that had been used before.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from functools import cache

from bailiwick.core.errors import UpstreamBroken, UpstreamDown
from bailiwick.gateway.http.connection import Connection
from bailiwick.gateway.http.known import KnownHeads
from bailiwick.gateway.http.limits import HttpLimits
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.http.wire import EncodedFields, Origin, Template

_LOOK_AFTER_SECONDS = 0.5


@cache
def tls_context() -> ssl.SSLContext:
    """Certificates and host names are verified. Made once: it takes tens of milliseconds."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class HttpClient:
    """Requests to one origin over at most `limits.max_connections` kept connections.

    Belongs to the event loop that first uses it.
    """

    _time: Callable[[], float]

    def __init__(
        self,
        label: str,
        origin: Origin,
        limits: HttpLimits,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.label = label
        self.origin = origin
        self.limits = limits
        self._tls = (tls or tls_context()) if origin.tls else None
        self._known = KnownHeads(limits.max_body_bytes)
        self._free: list[Connection] = []
        self._all: set[Connection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(
        self,
        template: Template,
        fields: EncodedFields | Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        answer_seconds: float | None = None,
        replayable: bool = False,
    ) -> Response:
        """Send one request and wait for its response (see `Response` about streams).

        Cancelling closes the connection.

        Raises:
            UpstreamDown: `upstream_unreachable`, `upstream_tls`, `upstream_busy`,
                `header_unsafe`: nothing was sent.
            UpstreamBroken: `upstream_timeout`, `upstream_closed`, `upstream_garbage`,
                `upstream_too_large`: it may have been carried out.
        """
        request = template.encode(fields, body)
        seconds = self.limits.answer_seconds if answer_seconds is None else answer_seconds
        connection = self._take_free() or await self._open_or_wait()
        while True:
            reused = connection.used
            answer = connection.send(request, seconds)
            try:
                return await answer
            except asyncio.CancelledError:
                _abandon(connection, answer)
                raise
            except UpstreamBroken as error:
                again = replayable and reused and error.code == "upstream_closed"
                if not again or self._closed:
                    raise
            connection = await self._open()

    def close(self) -> None:
        """Close every connection; requests in flight end with UpstreamBroken."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        for connection in list(self._all):
            connection.shut()

    # --- connections ---------------------------------------------------------------------------

    def _take_free(self) -> Connection | None:
        free = self._free
        while free:
            connection = free.pop()
            idle_seconds = self._time() - connection.free_since
            if not connection.is_closing() and (
                idle_seconds < _LOOK_AFTER_SECONDS or not _is_stale(connection, idle_seconds)
            ):
                return connection
            connection.abort()
        return None

    @property
    def load(self) -> tuple[int, int]:
        """Connections in use, and requests that wait for one."""
        return len(self._all) - len(self._free), len(self._waiting)

    async def _open_or_wait(self) -> Connection:
        seconds = self.limits.wait_seconds
        until = None if seconds is None else asyncio.get_running_loop().time() + seconds
        while True:
            if self._closed:
                raise UpstreamDown("upstream_unreachable", f"server `{self.label}` was removed")
            if len(self._all) + self._opening < self.limits.max_connections:
                return await self._open()
            if len(self._waiting) >= self.limits.max_waiting:
                raise UpstreamDown(
                    "upstream_busy", f"server `{self.label}` has too many requests waiting"
                )
            connection = await self._wait_for_one(until)
            if connection is not None and not connection.is_closing():
                return connection

    async def _wait_for_one(self, until: float | None) -> Connection | None:
        """One that becomes free, or None when there is room to open one."""
        waiter: asyncio.Future[Connection | None]
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout_at(until):
                return await waiter
        except asyncio.CancelledError:
            self._forget_waiter(waiter)
            raise
        except TimeoutError as error:
            self._forget_waiter(waiter)
            raise UpstreamDown(
                "upstream_busy", f"server `{self.label}` had no room for another request in time"
            ) from error

    def _forget_waiter(self, waiter: asyncio.Future[Connection | None]) -> None:
        if waiter.done() and not waiter.cancelled():
            connection = waiter.result()
            if connection is not None:
                self._on_free(connection)
            else:
                self._wake(None)
        elif waiter in self._waiting:
            self._waiting.remove(waiter)

    async def _open(self) -> Connection:
        loop = asyncio.get_running_loop()
        self._time = loop.time  # finding the loop asks the kernel for the process, each time
        self._opening += 1
        try:
            async with asyncio.timeout(self.limits.connect_seconds):
                _, connection = await loop.create_connection(
                    self._connection,
                    self.origin.host,
                    self.origin.port,
                    ssl=self._tls,
                    server_hostname=self.origin.host if self._tls else None,
                )
        except ssl.SSLError as error:
            self._wake(None)
            raise UpstreamDown(
                "upstream_tls", f"server `{self.label}`: no trusted TLS connection: {error.reason}"
            ) from error
        except TimeoutError as error:
            self._wake(None)
            raise UpstreamDown(
                "upstream_unreachable", f"server `{self.label}` did not take the connection in time"
            ) from error
        except OSError as error:
            self._wake(None)
            why = error.strerror or type(error).__name__
            raise UpstreamDown(
                "upstream_unreachable", f"server `{self.label}` cannot be reached: {why}"
            ) from error
        except asyncio.CancelledError:
            self._wake(None)
            raise
        finally:
            self._opening -= 1
        self._all.add(connection)
        if self._sweeper is None:
            self._sweeper = loop.call_later(self.limits.sweep_seconds, self._sweep)
        return connection

    def _connection(self) -> Connection:
        return Connection(self.label, self.limits, self._known, self._on_free, self._on_lost)

    def _on_free(self, connection: Connection) -> None:
        if self._closed:
            connection.abort()
        elif not (self._waiting and self._wake(connection)):
            connection.free_since = self._time()
            self._free.append(connection)

    def _on_lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        self._wake(None)

    def _wake(self, connection: Connection | None) -> bool:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def _sweep(self) -> None:
        self._sweeper = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in [c for c in self._all if c.deadline <= now]:
            connection.expire()
        for connection in [c for c in self._free if now - c.free_since > c.keep_seconds]:
            self._free.remove(connection)
            connection.abort()
        if self._all and not self._closed:
            self._sweeper = loop.call_later(self.limits.sweep_seconds, self._sweep)


def _is_stale(connection: Connection, idle_seconds: float) -> bool:
    """Whether an idle connection has been closed, or written to, behind our back."""
    poll = select.poll()
    poll.register(connection.fileno, select.POLLIN | select.POLLHUP | select.POLLERR)
    return idle_seconds > connection.keep_seconds or bool(poll.poll(0))


def _abandon(connection: Connection, answer: asyncio.Future[Response]) -> None:
    """Whoever waited for `answer` does so no longer."""
    if answer.cancelled():
        connection.abort()
    elif answer.exception() is None and (stream := answer.result().stream) is not None:
        stream.close()
    # Otherwise the exchange had ended and the connection may already serve another.
