"""HTTP/1.1 on one connection: httptools reads, an ASGI application answers, in order.

uvicorn accepts the connections and ends them in order (`bailiwick.app.server`); this speaks the
protocol on them. The parser is strict, and what it lets through that two readers could take for
two things is refused here, so that nobody before or behind the gateway sees other requests in the
same bytes (RFC 9112 sections 2.2, 3.2, 6.1, 6.3):

1. the version is 1.0 or 1.1, the method one of `_METHODS`                       505, 501
2. request line, number and size of fields within bounds                         414, 431
3. one `Host`, the same as in a target that names one                            400
4. at most one of `Content-Length` and `Transfer-Encoding`, once;                400
   the latter `chunked`, and not of 1.0
5. an `Upgrade` is ignored, and nothing after it is read; with a body            400

A request that is refused is answered after those before it, and ends the connection. Slow heads
and bodies, idle connections and peers that do not read are ended by the `Round`.

A head that the parser has accepted on this connection before is found again by its bytes
(`bailiwick.app.http_known`), and its body is counted here: only a request that begins with a piece
of its own, whose head is in that piece, while no other is under way. All else is the parser's.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from itertools import chain
from typing import Any, Protocol, cast
from urllib.parse import unquote

import httptools

from bailiwick.app.http_exchange import App, Exchange
from bailiwick.app.http_known import KnownHeads
from bailiwick.app.http_response import plain_response
from bailiwick.app.http_round import Round
from bailiwick.app.http_worker import Worker

MAX_TARGET_BYTES = 8 * 1024
MAX_HEAD_BYTES = 64 * 1024
MAX_FIELDS = 200
MAX_PIPELINED = 64
MAX_IGNORED_BYTES = 1024 * 1024
"""Bytes of a body nobody wants, or after a broken request, that are read and dropped."""

HEAD_SECONDS = 20.0
BODY_SECONDS = 120.0
IDLE_SECONDS = 75.0
STALL_SECONDS = 120.0
"""A peer that takes nothing for so long is gone."""
LINGER_SECONDS = 5.0

_METHODS = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
}
_ASGI = {"version": "3.0", "spec_version": "2.3"}
_WATCHED = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})
_USUAL = ([b"host", b"content-length"], [b"host"], [b"content-length", b"host"])
_NEVER = math.inf


class _Refused(Exception):
    """The request under way cannot be served."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


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
    """

    __slots__ = (
        "_active", "_app", "_body_left", "_client", "_deadline", "_fed", "_fields", "_first",
        "_heads", "_ignored_bytes", "_last", "_parser", "_parser_rests", "_path", "_queue",
        "_quiet", "_read_paused", "_receiving", "_refusal", "_round", "_server", "_stalls",
        "_state", "_target", "_target_known", "_transport", "_watched", "_worker", "_writable",
        "head", "write", "write_paused",
    )  # fmt: skip

    _transport: asyncio.Transport

    # See `Connection`. Functions of the round and of the transport, with no step between.
    head: Callable[..., bytes]
    write: Callable[[bytes], None]

    def __init__(self, app: App, state: ServerState, round_: Round) -> None:
        self._app = app
        self._state = state
        self._round = round_
        self.head = round_.head
        self._parser = httptools.HttpRequestParser(self)
        self._server: tuple[str, int] | None = None
        self._client: tuple[str, int] | None = None
        self._deadline = _NEVER
        self._stalls = _NEVER
        # The request that is being read.
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._watched: list[bytes] = []
        self._fed = 0
        self._receiving: Exchange | None = None
        self._target_known = b""
        self._path: tuple[str, bytes, bytes] = ("", b"", b"")
        self._parser_rests = True  # it has read nothing of a request that is not complete
        self._first = b""  # the piece that the parser's next head begins with
        # Heads that were read before, and what is missing of a body behind one of them.
        self._heads = KnownHeads()
        self._body_left = 0
        self._quiet = True  # the parser rests and has gathered nothing, nothing is under way
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
        self._server = _address(transport, "sockname")
        self._client = _address(transport, "peername")
        self._state.connections.add(self)
        self._round.enter(self)
        self._deadline = self._round.now + HEAD_SECONDS

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone, or was sent away."""
        self._state.connections.discard(self)
        self._round.leave(self)
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
            self.on_body(body)
        self._start(exchange)
        return True

    def _more_body(self, data: bytes) -> None:
        """More of a body behind a head that was read before, and what comes after it."""
        body = data[: self._body_left]
        self._body_left -= len(body)
        self.on_body(body)
        if not self._body_left:
            self.on_message_complete()
            if len(body) < len(data):
                self._feed(data[len(body) :])

    def _feed(self, data: bytes) -> None:
        self._quiet = False
        self._first = data if self._parser_rests else b""
        # What the parser gathers until it tells of it: reset whenever it tells.
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(0)
        except httptools.HttpParserError as error:
            self._broken(error)
        else:
            if self._fed:
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

    # --- the parser ----------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._parser_rests = False
        # A body that ends after its answer makes a connection quiet, and a request may stand
        # behind it in the same piece.
        self._quiet = False

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        self._target += url
        if len(self._target) > MAX_TARGET_BYTES:
            raise _Refused(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field; after a chunked body a trailer, which goes nowhere."""
        name = name.lower()
        if name in _WATCHED:
            self._watched.append(name)
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is here: check it, and let the application begin."""
        method = _METHODS.get(self._parser.get_method())
        if method is None:
            raise _Refused(501)
        version = self._parser.get_http_version()
        if version != "1.1" and version != "1.0":
            raise _Refused(505)
        fields, self._fields = self._fields, []
        if len(fields) > MAX_FIELDS or _too_large(fields):
            raise _Refused(431)
        watched, self._watched = self._watched, []
        expects_continue = False
        usual = watched in _USUAL
        if not usual:
            _check_framing(watched, fields, version)
            expects_continue = b"expect" in watched and version == "1.1"
        target, self._target = self._target, b""
        if target != self._target_known:
            self._path = _read_target(target, fields)
            # One that names a host is held against `Host` each time.
            self._target_known = target if target.startswith(b"/") else b""
        closes = version == "1.0" or not self._parser.should_keep_alive()
        if self._parser.should_upgrade():
            if b"content-length" in watched or b"transfer-encoding" in watched:
                raise _Refused(400)  # the parser would take the body for the other protocol
            closes = True
        path, raw_path, query = self._path
        scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "server": self._server,
            "client": self._client,
            "scheme": "http",
            "method": method,
            "root_path": "",
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": fields,
            "state": {},
        }
        first, self._first = self._first, b""
        if first and usual and not closes and b"content-length" in watched:
            self._heads.learn(first, scope)
        exchange = Exchange(self, scope, closes=closes, expects_continue=expects_continue)
        if method == "HEAD":
            exchange.says_no_body = True
        self._take(exchange)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._fed = 0
        exchange = self._receiving
        if exchange is None or exchange.complete or exchange.gone:
            self._ignore(len(data))
        elif exchange.take_body(data):
            self._pause_reading()

    def on_message_complete(self) -> None:
        """The request is all here."""
        self._fed = self._ignored_bytes = 0
        if self._fields:  # trailers are nobody's fields
            self._fields = []
            self._watched = []
        self._parser_rests = True
        exchange, self._receiving = self._receiving, None
        if exchange is not None:
            exchange.body_complete()
        if self._active is None:
            self._idle()
        else:
            self._deadline = _NEVER

    # --- exchanges -----------------------------------------------------------------------------

    def _take(self, exchange: Exchange) -> None:
        if self._active is not None and len(self._queue) >= MAX_PIPELINED:
            raise _Refused(503)
        self._fed = 0
        self._last = exchange.closes
        self._receiving = exchange
        self._deadline = self._round.now + BODY_SECONDS
        if self._active is None:
            self._start(exchange)
        else:
            self._queue.append(exchange)
            self._pause_reading()

    def _idle(self) -> None:
        # Empty lines are the parser's to forget, with the head that comes after them.
        self._quiet = self._parser_rests and not self._fed
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
            if self._fed:
                self._refuse(408)
            else:
                self._conclude(0)

    def _unfinished(self) -> None:
        """Bytes came that told the parser nothing yet: bound their number and their time."""
        if self._fed > MAX_HEAD_BYTES:
            self._refuse(431)
        else:
            self._deadline = min(self._deadline, self._round.now + HEAD_SECONDS)

    def _broken(self, error: httptools.HttpParserError) -> None:
        if self._last and self._receiving is None:
            self._refuse(0)  # only bytes after a request that was to be the last
        else:
            cause = error.__context__
            self._refuse(cause.status if isinstance(cause, _Refused) else 400)

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


def _check_framing(watched: list[bytes], fields: list[tuple[bytes, bytes]], version: str) -> None:
    hosts = watched.count(b"host")
    if hosts > 1 or (not hosts and version == "1.1"):
        raise _Refused(400)
    if watched.count(b"content-length") + watched.count(b"transfer-encoding") > 1:
        raise _Refused(400)
    for name, value in fields:
        if name == b"transfer-encoding" and (value.lower() != b"chunked" or version == "1.0"):
            raise _Refused(400)
        if name == b"expect" and value.lower() != b"100-continue":
            raise _Refused(417)


def _read_target(target: bytes, fields: list[tuple[bytes, bytes]]) -> tuple[str, bytes, bytes]:
    """Path, raw path and query of a request's target."""
    # Its types say that every part is there; an absent one is None.
    parsed: Any = httptools.parse_url(target)
    if parsed.fragment or parsed.userinfo or b"#" in target or not parsed.path:
        raise _Refused(400)
    if parsed.host:
        # RFC 9112 section 3.2.2: the target decides; `Host`, which others decide by, must agree.
        authority = target.partition(b"://")[2].partition(b"/")[0]
        if (b"host", authority) not in fields:
            raise _Refused(400)
    return unquote(parsed.path.decode("ascii")), parsed.path, parsed.query or b""


def _too_large(fields: list[tuple[bytes, bytes]]) -> bool:
    # No Python in between: this is for each head, however little of it came in a piece of its own.
    return sum(map(len, chain.from_iterable(fields))) + 4 * len(fields) > MAX_HEAD_BYTES


def _address(transport: asyncio.BaseTransport, which: str) -> tuple[str, int] | None:
    found = transport.get_extra_info(which)
    return (found[0], found[1]) if isinstance(found, tuple) else None
