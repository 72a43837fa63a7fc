"""One HTTP/1.1 connection to an upstream, one exchange at a time.

A body of type `text/event-stream` is handed over open, as a `BodyStream`; every other body is
read whole before the response is given, within the limits.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from math import inf
from typing import cast

from bailiwick.core.errors import UpstreamBroken
from bailiwick.gateway.http.known import KnownHeads
from bailiwick.gateway.http.limits import HttpLimits
from bailiwick.gateway.http.reader import ResponseReader
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.http.stream import BodyStream

_DRAIN_SECONDS = 1.0
_KEEP_ALIVE = (
    ((socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), 60),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPINTVL), 15),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPCNT), 4),
)
"""A peer that vanished without a word is noticed after two minutes, on silent streams too."""


class Connection(asyncio.Protocol):
    """Protocol of one connection. The pool calls `send`; the sweep calls `expire`.

    Args:
        label: of the server, for people.
        limits: bounds.
        known: the heads this server has answered with before.
        on_free: told when the connection can serve another request.
        on_lost: told when it has ended.
    """

    __slots__ = (
        "_answer",
        "_answering",
        "_asked",
        "_idle_seconds",
        "_known",
        "_label",
        "_limits",
        "_loop",
        "_on_free",
        "_on_lost",
        "_reader",
        "_stream",
        "_transport",
        "_write",
        "deadline",
        "free_since",
        "is_closing",
        "keep_seconds",
        "used",
    )

    _write: Callable[[bytes], None]  # the transport's, from the time there is one

    def __init__(
        self,
        label: str,
        limits: HttpLimits,
        known: KnownHeads,
        on_free: Callable[[Connection], None],
        on_lost: Callable[[Connection], None],
    ) -> None:
        self._label = label
        self._limits = limits
        self._known = known
        self._on_free = on_free
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        # Whether the other side has closed, as far as we have been told: the transport's own.
        self.is_closing: Callable[[], bool] = _has_ended
        self._reader = ResponseReader(label, limits)
        # A request is out, and nothing of its answer has come.
        self._asked = False
        # Something of the answer has come, and something is still to come.
        self._answering = False
        self._answer: asyncio.Future[Response] | None = None
        self._stream: BodyStream | None = None
        self._idle_seconds = limits.idle_seconds
        self.deadline = inf
        self.keep_seconds = limits.keep_idle_seconds
        self.free_since = 0.0
        self.used = False

    # --- for the pool ------------------------------------------------------------------------

    def send(self, request: bytes, answer_seconds: float) -> asyncio.Future[Response]:
        """Write one whole request; the future gives its response.

        A response that is read whole frees the connection by itself; one with a stream does when
        the stream has been read to its end. Cancelling the future is not enough: `abort`.
        """
        assert self._answer is None
        self.used = self._asked = True
        loop = self._loop
        self.deadline = loop.time() + answer_seconds
        self._answer = answer = loop.create_future()
        self._write(request)
        return answer

    @property
    def fileno(self) -> int:
        """The socket, for looking whether it has something unread."""
        assert self._transport is not None
        return int(self._transport.get_extra_info("socket").fileno())

    def abort(self) -> None:
        """Close at once and tell nobody."""
        self._asked = self._answering = False
        self._answer = None
        self._stream = None
        if self._transport is not None:
            self._transport.abort()

    def shut(self) -> None:
        """Close because the server is no longer wanted; whoever waits is told."""
        self._fail("upstream_closed", "was removed before it had answered")

    def expire(self) -> None:
        """The deadline has passed."""
        self._fail("upstream_timeout", "did not answer in time")

    # --- for the stream ----------------------------------------------------------------------

    def pause(self) -> None:
        """Stop reading; a reader that is slow on our side is not the server's silence."""
        assert self._transport is not None
        self._transport.pause_reading()
        self.deadline = inf

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and not self.is_closing():
            self._transport.resume_reading()
            self.deadline = self._loop.time() + self._idle_seconds

    def set_idle_seconds(self, seconds: float) -> None:
        """See `BodyStream.set_idle_seconds`."""
        self._idle_seconds = seconds
        self.deadline = self._loop.time() + seconds

    def drain(self) -> None:
        """Discard the rest of the body, for a short while."""
        self._stream = None
        self.deadline = self._loop.time() + _DRAIN_SECONDS
        if self._transport is not None and not self.is_closing():
            self._transport.resume_reading()

    # --- asyncio.Protocol ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio.Protocol's
        # uvloop's transports are no subclass of asyncio.Transport.
        self._transport = cast(asyncio.Transport, transport)
        self.is_closing = transport.is_closing
        self._write = self._transport.write
        connected = transport.get_extra_info("socket")
        for option, value in _KEEP_ALIVE:
            connected.setsockopt(*option, value)

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio.Protocol's
        if self._asked:
            self._asked = False
            response = self._known.find(data)
            if response is not None:
                self._finish_exchange(response)
                return
            self._answering = True
            self._reader.begin()
            self._read(data, is_first=True)
        elif self._answering:
            self._read(data)
        else:
            # Bytes that answer nothing: whatever follows could be taken for another's answer.
            self._close()

    def _read(self, data: bytes, *, is_first: bool = False) -> None:
        """Read on in an answer that does not begin as another did."""
        reader = self._reader
        reader.feed(data)
        if reader.is_open:
            self._read_stream(reader)
            if not self._answering:
                return  # whoever took it wants no more, and the connection is closed
        if reader.fault is not None:
            self._give_up(reader.fault)
        elif reader.is_whole:
            self._end_answer(reader, data if is_first else b"")

    def _read_stream(self, reader: ResponseReader) -> None:
        stream = self._stream or self._begin_stream(reader)
        body = reader.take()
        if stream is not None:
            self.deadline = self._loop.time() + self._idle_seconds
            if body:
                # However many pieces came in one read: whoever takes them is woken once.
                stream.push(body)

    def _begin_stream(self, reader: ResponseReader) -> BodyStream | None:
        """Hand the response over open; None where that was done, and its reader has finished."""
        response = reader.response
        assert response is not None
        if response.stream is None:
            self._idle_seconds = self._limits.idle_seconds
            self._stream = response.stream = BodyStream(self)
            if not self._resolve(response):
                reader.closes = True
        return self._stream

    def eof_received(self) -> bool:  # noqa: D102 - asyncio.Protocol's
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102 - asyncio.Protocol's
        self._transport = None
        self.is_closing = _has_ended
        reader = self._reader
        if self._answering and reader.ends_by_close and exc is None and reader.fault is None:
            # RFC 9112 section 6.3 rule 8: without a length the close is the end.
            reader.closes = True
            self._end_answer(reader, b"")
        else:
            self._fail("upstream_closed", "closed the connection before it had answered")
        self._on_lost(self)

    # --- endings -------------------------------------------------------------------------------

    def _end_answer(self, reader: ResponseReader, all_of_it: bytes) -> None:
        """What the reader has read is whole; `all_of_it` if it came in one read."""
        response = reader.response
        assert response is not None
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.end(None)
        elif response.stream is None:
            response.body = reader.take()
        if all_of_it and reader.is_usual:
            self._known.learn(all_of_it, response)
        reader.response = None  # which may be large, and the next one far away
        self._finish_exchange(response, closes=reader.closes)

    def _finish_exchange(self, response: Response, *, closes: bool = False) -> None:
        self._answering = False
        self.deadline = inf
        if not self._resolve(response) or closes:
            self._close()
            return
        if response.keep_seconds < inf:
            # Node says after how long it closes; stay a second clear of it.
            self.keep_seconds = min(self.keep_seconds, max(0.0, response.keep_seconds - 1.0))
        self._on_free(self)

    def _resolve(self, response: Response) -> bool:
        """Hand over the response, once. False if whoever asked has given up meanwhile.

        INVARIANT: such a connection serves nobody else. Who gave up is about to close it.
        """
        answer, self._answer = self._answer, None
        if answer is None:
            return True
        if answer.done():
            return False
        answer.set_result(response)
        return True

    def _fail(self, code: str, what: str) -> None:
        self._give_up(UpstreamBroken(code, f"server `{self._label}` {what}"))

    def _give_up(self, error: UpstreamBroken) -> None:
        self._asked = self._answering = False
        answer, self._answer = self._answer, None
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.end(error)
        if answer is not None and not answer.done():
            answer.set_exception(error)
        if self._transport is not None:
            self._transport.abort()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _has_ended() -> bool:
    return True
