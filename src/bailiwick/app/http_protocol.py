"""HTTP/1.1 on one connection: requests are read, an ASGI application answers, in order.

uvicorn accepts the connections and ends them in order (`bailiwick.app.server`); this keeps the
order on each of them, and its deadlines. `bailiwick.app.http_request` reads, strictly. A request
that is refused is answered after those before it, and ends the connection. Slow heads and bodies,
idle connections and peers that do not read are ended by the `Round`. How many there are at a time,
and which gives way to which, is for the `Places`.

A head that the reader has accepted on this connection before is found again by its bytes
(`bailiwick.app.http_known`), and its body is counted here: only a request that begins with a piece
of its own, whose head is in that piece, while no other is under way. All else is the reader's.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, cast

from bailiwick.app.http_exchange import App, Exchange
from bailiwick.app.http_known import KnownHeads
from bailiwick.app.http_places import Place, Places
from bailiwick.app.http_request import MAX_HEAD_BYTES, Refused, RequestReader
from bailiwick.app.http_response import plain_response
from bailiwick.app.http_round import Round
from bailiwick.app.http_worker import Worker

MAX_PIPELINED = 64
MAX_IGNORED_BYTES = 1024 * 1024
"""Bytes of a body nobody wants, or after a broken request, that are read and dropped."""

HEAD_SECONDS = 20.0
BODY_SECONDS = 120.0
IDLE_SECONDS = 75.0
STALL_SECONDS = 120.0
"""A peer that takes nothing for so long is gone."""
LINGER_SECONDS = 5.0

_NEVER = math.inf


class ServerState(Protocol):
    """What uvicorn's server shares with its connections; it waits for both to empty."""

    total_requests: int
    connections: set[Any]
    tasks: set[asyncio.Task[None]]


class HttpProtocol(asyncio.Protocol):
    """One connection.

    Args:
        app: answers requests.
        state: see `ServerState`.
        round_: watches over deadlines.
        places: of all connections.
    """

    __slots__ = (
        "_active", "_app", "_body_left", "_deadline", "_heads", "_ignored_bytes", "_last",
        "_place", "_places", "_queue", "_quiet", "_read_paused", "_reader", "_receiving",
        "_refusal", "_round", "_stalls", "_state", "_transport", "_worker", "_writable", "head",
        "write", "write_paused",
    )  # fmt: skip

    _transport: asyncio.Transport
    _reader: RequestReader

    # See `Connection`. Functions of the round and of the transport, with no step between.
    head: Callable[..., bytes]
    write: Callable[[bytes], None]

    def __init__(self, app: App, state: ServerState, round_: Round, places: Places) -> None:
        self._app = app
        self._state = state
        self._round = round_
        self._places = places
        self._place: Place | None = None
        self.head = round_.head
        self._deadline = _NEVER
        self._stalls = _NEVER
        # The request whose body is not all here.
        self._receiving: Exchange | None = None
        # Heads that were read before, and what is missing of a body behind one of them.
        self._heads = KnownHeads()
        self._body_left = 0
        self._quiet = True  # the reader rests and has gathered nothing, nothing is under way
        # The request that is being answered, and those behind it.
        self._active: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._worker: Worker | None = None
        # Set once nothing more is read: 0 for a connection that ends without a word.
        self._refusal: int | None = None
        self._last = False
        self._ignored_bytes = 0
        self._read_paused = False
        self.write_paused = False
        self._writable: asyncio.Event | None = None

    # --- the transport -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer has connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's do not derive from it
        self.write = self._transport.write
        ends = _address(transport, "sockname"), _address(transport, "peername")
        self._state.connections.add(self)
        self._round.enter(self)
        place = self._place = self._places.enter(self, "" if ends[1] is None else ends[1][0])
        if place is None:
            self._refusal = 503
            self._conclude(503)
            return
        self._reader = RequestReader(self, self._heads, *ends, place)
        self._deadline = self._round.now + HEAD_SECONDS

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone, or was sent away."""
        self._state.connections.discard(self)
        self._round.leave(self)
        if self._place is None:
            self._places.shown_out(self)
        else:
            self._places.leave(self._place)
        self._refusal = self._refusal or 0
        self._queue.clear()
        if self._worker is not None:
            self._worker.dismiss()
            self._worker = None
        for exchange in (self._active, self._receiving):
            if exchange is not None:
                exchange.leave()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._refusal is not None:
            self._ignore(len(data))
        elif self._body_left:
            self._more_body(data)
        elif not (self._quiet and self._found(data)):
            self._feed(data)

    def _found(self, data: bytes) -> bool:
        """Begin the request in `data` if its head was read before, and nothing stands behind it."""
        self._quiet = False
        found = self._heads.find(data)
        if found is None:
            return False
        scope, body, left = found
        if not left:
            self._deadline = _NEVER
            self._start(Exchange(self, scope, body))
            return True
        if left < 0:
            return False
        exchange = Exchange(self, scope)
        self._receiving = exchange
        self._body_left = left
        self._deadline = self._round.now + BODY_SECONDS
        if body:
            self.take_body(body)
        self._start(exchange)
        return True

    def _more_body(self, data: bytes) -> None:
        """More of a body behind a head that was read before, and what comes after it."""
        body = data[: self._body_left]
        self._body_left -= len(body)
        self.take_body(body)
        if not self._body_left:
            self.request_complete()
            if len(body) < len(data):
                self._feed(data[len(body) :])

    def _feed(self, data: bytes) -> None:
        self._quiet = False
        refused = self._reader.feed(data)
        if refused is not None:
            # 0 for bytes after a request that was to be the last.
            self._refuse(0 if self._last and self._receiving is None else refused)
        elif self._reader.gathered_bytes:
            self._unfinished()

    def pause_writing(self) -> None:
        """The peer reads more slowly than is written."""
        self.write_paused = True
        self._writable = asyncio.Event()
        self._stalls = self._round.now + STALL_SECONDS

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self.write_paused = False
        self._stalls = _NEVER
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    # --- the reader ----------------------------------------------------------------------------

    def request_begun(self) -> None:
        """See `Listener`."""
        # A body that ends after its answer makes a connection quiet, and a request may stand
        # behind it in the same piece.
        self._quiet = False

    def take_head(self, scope: dict[str, Any], *, closes: bool, expects_continue: bool) -> None:
        """See `Listener`."""
        if self._active is not None and len(self._queue) >= MAX_PIPELINED:
            raise Refused(503)
        exchange = Exchange(self, scope, closes=closes, expects_continue=expects_continue)
        if scope["method"] == "HEAD":
            exchange.says_no_body = True
        self._last = closes
        self._receiving = exchange
        self._deadline = self._round.now + BODY_SECONDS
        if self._active is None:
            self._start(exchange)
        else:
            self._queue.append(exchange)
            self._pause_reading()

    def take_body(self, data: bytes) -> None:
        """See `Listener`."""
        exchange = self._receiving
        if exchange is None or exchange.complete or exchange.gone:
            self._ignore(len(data))
        elif exchange.take_body(data):
            self._pause_reading()

    def request_complete(self) -> None:
        """See `Listener`."""
        self._ignored_bytes = 0
        exchange, self._receiving = self._receiving, None
        if exchange is not None:
            exchange.body_complete()
        if self._active is None:
            self._idle()
        else:
            self._deadline = _NEVER

    # --- exchanges -----------------------------------------------------------------------------

    def _idle(self) -> None:
        # Empty lines are the reader's to forget, with the head that comes after them.
        reader = self._reader
        self._quiet = reader.rests and not reader.gathered_bytes
        self._deadline = self._round.now + IDLE_SECONDS

    def _start(self, exchange: Exchange) -> None:
        self._active = exchange
        worker = self._worker
        if worker is None or not worker.take(exchange):
            if worker is not None:
                worker.dismiss()
            self._worker = Worker(self._app, self._state.tasks, exchange)

    async def drain(self) -> None:
        """See `Connection`."""
        if self._writable is not None:
            await self._writable.wait()

    def body_taken(self) -> None:
        """See `Connection`. Behind a request that waits in the queue nothing is read."""
        if self._read_paused and not self._queue:
            self._read_paused = False
            self._transport.resume_reading()

    def answered(self, exchange: Exchange) -> None:
        """See `Connection`."""
        self._state.total_requests += 1
        self._active = None
        if exchange.closes:
            self._queue.clear()
            self._conclude(0)
        elif self._queue:
            self._start(self._queue.popleft())
        elif self._refusal is not None:
            self._conclude(self._refusal)
        elif self._receiving is None:
            self._idle()
        if self._read_paused:
            self.body_taken()

    def left(self, exchange: Exchange) -> None:
        """See `Connection`."""
        # What was begun cannot be taken back.
        self._active = None
        self._queue.clear()
        self._conclude(0 if exchange.started else self._refusal or 500)

    def shutdown(self) -> None:
        """uvicorn ends: let the request under way be answered, then close."""
        if self._active is None:
            self._transport.close()
        else:
            self._active.closes = True

    # --- its place -----------------------------------------------------------------------------

    def idle_until(self) -> float | None:
        """See `Guest`. A head that comes slowly is nothing under way; the rest of an answer is."""
        at_work = self._active is not None or self._transport.get_write_buffer_size()
        return None if at_work else self._deadline

    def give_way(self) -> None:
        """See `Guest`."""
        self._transport.abort()

    # --- ends ----------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """See `Timed`."""
        if self.write_paused and now >= self._stalls:
            self._transport.abort()
        elif now < self._deadline:
            return
        elif self._refusal is not None:
            self._transport.abort()
        elif self._receiving is not None:
            if self._read_paused:
                self._deadline = now + BODY_SECONDS  # it is the application that is slow
            else:
                self._refuse(408)
        elif self._active is None:
            if self._reader.gathered_bytes:
                self._refuse(408)
            else:
                self._conclude(0)

    def _unfinished(self) -> None:
        """Bytes came that told nothing yet: bound their number and their time."""
        if self._reader.gathered_bytes > MAX_HEAD_BYTES:
            self._refuse(431)
        else:
            self._deadline = min(self._deadline, self._round.now + HEAD_SECONDS)

    def _refuse(self, status: int) -> None:
        """Read no more requests; say `status` (0: nothing) once those before are answered."""
        self._refusal = status
        self._deadline = _NEVER
        receiving, self._receiving = self._receiving, None
        if receiving is not None:
            if receiving.complete:
                self._refusal = 0
            receiving.leave()
            if self._queue and self._queue[-1] is receiving:
                self._queue.pop()
        if self._active is None:
            self._conclude(self._refusal)

    def _conclude(self, status: int) -> None:
        """Say `status` (0: nothing) and end the connection once that is sent."""
        unread = self._receiving is not None or self._refusal is not None
        self._refusal = 0
        self._receiving = None
        if self._transport.is_closing():
            return
        if status:
            self._transport.write(plain_response(status))
        if unread:
            # Closing on bytes not read resets the connection, and the peer may lose the answer.
            self._transport.write_eof()
            self._deadline = self._round.now + LINGER_SECONDS
        else:
            self._transport.close()
            self._deadline = self._round.now + STALL_SECONDS

    def _ignore(self, size_bytes: int) -> None:
        self._ignored_bytes += size_bytes
        if self._ignored_bytes > MAX_IGNORED_BYTES:
            self._transport.abort()

    def _pause_reading(self) -> None:
        if not self._read_paused:
            self._read_paused = True
            self._transport.pause_reading()


def _address(transport: asyncio.BaseTransport, which: str) -> tuple[str, int] | None:
    found = transport.get_extra_info(which)
    return (found[0], found[1]) if isinstance(found, tuple) else None
