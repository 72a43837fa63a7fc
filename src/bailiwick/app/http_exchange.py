"""One request and its response, as an ASGI application sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol

from bailiwick.app.http_response import CHUNKED, CLOSE, Fields, encode_fields

Scope = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
App = Callable[
    [Scope, Callable[[], Awaitable[AsgiMessage]], Callable[[AsgiMessage], Awaitable[None]]],
    Awaitable[None],
]

HIGH_WATER_BYTES = 64 * 1024
"""Body bytes that may wait for the application before reading pauses."""

_JOINED_BYTES = 64 * 1024
_NO_BODY = (204, 304)
_LAST_LINES = CLOSE + b"\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_WAITING: Final = 0
_STARTED: Final = 1
_COMPLETE: Final = 2
# Where a response's body ends (RFC 9112 section 6.3): before it starts, after the declared length,
# with the last chunk, with the connection.
_NOWHERE: Final = 0
_DECLARED: Final = 1
_CHUNKED: Final = 2
_WITH_CONNECTION: Final = 3


class Connection(Protocol):
    """What an exchange needs of the connection it came in on.

    Attributes:
        write_paused: the peer reads more slowly than is written: `drain` before writing more.
    """

    write_paused: bool

    def head(self, status: int, constant: Fields = (), /) -> bytes:
        """Status line, date, and fields that many responses have."""
        ...

    def write(self, data: bytes, /) -> None:
        """Write, after what was written before."""
        ...

    async def drain(self) -> None:
        """Wait until the peer has taken enough for more to be written."""
        ...

    def body_taken(self) -> None:
        """The application wants more of the body than there is: go on reading."""
        ...

    def answered(self, exchange: Exchange) -> None:
        """The response is complete."""
        ...

    def left(self, exchange: Exchange) -> None:
        """The application has returned, or failed, and the response is not complete."""
        ...


class Exchange:
    """One request and its response.

    Attributes:
        more_body: the request's body is not all here yet.
        gone: nobody will read the response: the connection is lost, or the request was broken.
        closes: the connection ends with this response.
        says_no_body: the response has a head alone, as to a HEAD.
        task: the one in which the application is called; None before.
    """

    # What most exchanges never set stays with the class: that is a third of making one.
    gone = False
    more_body = True
    closes = False
    says_no_body = False
    task: asyncio.Task[None] | None = None
    _whole: bytes | None = None
    _expects_continue = False
    _size = 0
    _handed = False
    _waiters: list[asyncio.Future[None]] | None = None
    _stage = _WAITING
    _head = b""
    _end = _NOWHERE
    _left = 0

    def __init__(
        self,
        connection: Connection,
        scope: Scope,
        body: bytes | None = None,
        *,
        closes: bool = False,
        expects_continue: bool = False,
    ) -> None:
        """`body`: all of it, where it came with the head."""
        self.scope = scope
        self._connection = connection
        self._parts: list[bytes] = []
        if body is not None:
            self._whole = body
            self.more_body = False
            return
        if closes:
            self.closes = True
        if expects_continue:
            self._expects_continue = True

    @property
    def started(self) -> bool:
        """The response has begun."""
        return self._stage != _WAITING

    @property
    def complete(self) -> bool:
        """The response is complete."""
        return self._stage == _COMPLETE

    def end(self) -> None:
        """The application has returned, or failed."""
        if self._stage != _COMPLETE:
            if self._end == _CHUNKED:
                self._send_head()
            self._connection.left(self)

    # --- what the connection tells -------------------------------------------------------------

    def take_body(self, data: bytes) -> bool:
        """A piece of the body; whether there is enough of it for now."""
        if self._expects_continue:
            self._expects_continue = False
        self._parts.append(data)
        self._size += len(data)
        if self._waiters is not None:
            self._wake()
        return self._size > HIGH_WATER_BYTES

    def body_complete(self) -> None:
        """The request is all here."""
        self.more_body = False
        if self._waiters is not None:
            self._wake()

    def leave(self) -> None:
        """Nobody will read the response."""
        self.gone = True
        self._whole = None
        self._parts.clear()
        if self._waiters is not None:
            self._wake()

    # --- what the application calls ------------------------------------------------------------

    def whole_body(self) -> bytes | None:
        """All of the body, if it came with the head and nobody has it yet; if None, receive it.

        The same as to receive it, in a fifth of the steps.
        """
        body, self._whole = self._whole, None
        if body is not None:
            self._handed = True
        return body

    async def receive(self) -> AsgiMessage:
        """The next piece of the body, or word that the client is gone or answered."""
        while not self.gone and self._stage != _COMPLETE:
            if self._parts or (not self.more_body and not self._handed):
                # Joining one piece copies nothing.
                body = self.whole_body() or b"".join(self._parts)
                self._parts.clear()
                more = self.more_body
                if more:
                    self._size = 0
                else:
                    self._handed = True
                return {"type": "http.request", "body": body, "more_body": more}
            if self._expects_continue and self._stage == _WAITING:
                self._connection.write(_CONTINUE)
                self._expects_continue = False
            waiter = asyncio.get_running_loop().create_future()
            # Without those who gave up: an application may ask again and again, and not wait.
            others = [each for each in self._waiters or () if not each.done()]
            self._waiters = [*others, waiter]
            self._connection.body_taken()
            await waiter
        return {"type": "http.disconnect"}

    async def __call__(self, message: AsgiMessage) -> None:
        """ASGI's `send`: write the head or a piece of the body, as fast as the peer reads.

        Raises:
            ValueError: fields that would not be one response's (see `encode_fields`).
            RuntimeError: out of order, or a body of another length than declared.
        """
        if self._connection.write_paused and not self.gone:
            await self._connection.drain()
        if self.gone:
            return
        kind = message["type"]
        if self._stage == _STARTED and kind == "http.response.body":
            self._send_body(message.get("body", b""), message.get("more_body", False))
        elif self._stage == _WAITING and kind == "http.response.start":
            self._send_start(message["status"], message.get("headers", ()))
        else:
            raise RuntimeError(f"`{kind}` is out of order")

    def piece(self, data: bytes) -> bool:
        """Write a piece of the body, with more to come, unless somebody has to wait for the peer.

        The same as to send it, in a third of the steps: streams have many.

        Returns:
            Whether it was taken (what is written to nobody is dropped at once). If not, send it.
        """
        if self.gone:
            return True
        connection = self._connection
        if connection.write_paused or self._stage != _STARTED:
            return False
        if self._end == _CHUNKED and data and not self._head:
            connection.write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            self._send_body(data, True)
        return True

    def whole(self, status: int, constant: Fields, own: Fields, body: bytes) -> bool:
        """Write a whole response, unless somebody has to wait for the peer.

        The same as its start, with the length of `body`, and `body`.

        Args:
            constant: fields that many responses have; kept encoded.
            own: further fields, of this response alone. None of them is the length.

        Returns:
            Whether it was taken (what is written to nobody is dropped at once). If not, send it.

        Raises:
            ValueError, RuntimeError: as above.
        """
        if self.gone:
            return True
        connection = self._connection
        if connection.write_paused:
            return False
        if self._stage != _WAITING:
            raise RuntimeError("a whole response is out of order")
        if self._expects_continue:
            self._want_no_body()
        head = connection.head(status, constant)
        if own:
            more, length, last = encode_fields(own)
            if length is not None:
                raise ValueError("the length of a whole response is that of its body")
            head += more
            if last:
                self.closes = True
        written = b"" if self.says_no_body or status in _NO_BODY else body
        end = _LAST_LINES if self.closes else b"\r\n"
        if len(written) > _JOINED_BYTES:
            connection.write(b"%bcontent-length: %d\r\n%b" % (head, len(body), end))
            connection.write(written)
        else:
            connection.write(b"%bcontent-length: %d\r\n%b%b" % (head, len(body), end, written))
        self._stage = _COMPLETE
        if self._waiters is not None:
            self._wake()
        connection.answered(self)
        return True

    def _wake(self) -> None:
        """Let whoever receives look again. An `asyncio.Event` costs three times as much."""
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def _want_no_body(self) -> None:
        """The answer is here, and nobody was told to go on.

        Whether the body comes all the same is the client's choice: what comes next could be read
        as that or as another request (RFC 9110 section 10.1.1).
        """
        self._expects_continue = False
        if self.more_body:
            self.closes = True

    def _send_start(self, status: int, headers: Any) -> None:
        if self._expects_continue:
            self._want_no_body()
        lines, length, last = encode_fields(headers)
        head = self._connection.head(status) + lines
        if self.says_no_body or status in _NO_BODY:
            pass  # it ends before it starts
        elif length is not None:
            self._end = _DECLARED
            self._left = length
        elif self.scope["http_version"] == "1.0":
            self._end = _WITH_CONNECTION
            self.closes = True
        else:
            self._end = _CHUNKED
            head += CHUNKED
        if last:
            self.closes = True
        head += _LAST_LINES if self.closes else b"\r\n"
        self._stage = _STARTED
        if self._left:
            # The body follows: one write for both.
            self._head = head
        elif self._end == _CHUNKED:
            # A first piece often follows at once; the head waits for it no longer than this turn.
            self._head = head
            asyncio.get_running_loop().call_soon(self._send_head)
        else:
            self._connection.write(head)

    def _send_head(self) -> None:
        head, self._head = self._head, b""
        if head and not self.gone:
            self._connection.write(head)

    def _send_body(self, body: bytes, more: bool) -> None:
        if self._end == _DECLARED:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the body has another length than was declared")
            head = self._head
            if head:
                self._head = b""
                if len(body) > _JOINED_BYTES:
                    self._connection.write(head)
                else:
                    body = head + body
        elif self._end == _CHUNKED:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                body += b"0\r\n\r\n"
            if self._head:
                if len(body) > _JOINED_BYTES:
                    self._send_head()
                else:
                    body = self._head + body
                    self._head = b""
        elif self._end == _NOWHERE:
            body = b""
        if body:
            self._connection.write(body)
        if not more:
            self._stage = _COMPLETE
            if self._waiters is not None:
                self._wake()
            self._connection.answered(self)
