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

import httptools

from bailiwick.core.errors import UpstreamBroken
from bailiwick.gateway.http.limits import HttpLimits
from bailiwick.gateway.http.response import BodyStream, Response

_DRAIN_SECONDS = 1.0
_KEEP_ALIVE = (
    ((socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), 60),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPINTVL), 15),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPCNT), 4),
)
"""A peer that vanished without a word is noticed after two minutes, on silent streams too."""


class Connection(asyncio.Protocol):
    """Protocol of one connection. The pool calls `send`; the sweep calls `expire`."""

    __slots__ = (
        "_answer",
        "_body",
        "_body_bytes",
        "_close_after",
        "_complete",
        "_ends_by_close",
        "_fault",
        "_field_bytes",
        "_head_bytes",
        "_head_done",
        "_headers",
        "_idle_seconds",
        "_label",
        "_limits",
        "_loop",
        "_on_free",
        "_on_lost",
        "_parser",
        "_response",
        "_stream",
        "_transport",
        "deadline",
        "free_since",
        "keep_seconds",
        "used",
    )

    def __init__(
        self,
        label: str,
        limits: HttpLimits,
        on_free: Callable[[Connection], None],
        on_lost: Callable[[Connection], None],
    ) -> None:
        self._label = label
        self._limits = limits
        self._on_free = on_free
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._stream: BodyStream | None = None
        self.deadline = inf
        self.keep_seconds = limits.keep_idle_seconds
        self.free_since = 0.0
        self.used = False
        self._parser = httptools.HttpResponseParser(self)
        self._reset()

    def _reset(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._response: Response | None = None
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0
        self._field_bytes = 0
        self._head_done = False
        self._complete = False
        self._ends_by_close = False
        self._close_after = False
        self._fault: UpstreamBroken | None = None
        self._idle_seconds = self._limits.idle_seconds

    # --- for the pool ------------------------------------------------------------------------

    def send(self, request: bytes, answer_seconds: float) -> asyncio.Future[Response]:
        """Write one whole request; the future gives its response.

        A response that is read whole frees the connection by itself; one with a stream does when
        the stream has been read to its end. Cancelling the future is not enough: `abort`.
        """
        assert self._transport is not None
        assert self._answer is None
        if self.used:
            self._reset()
        self.used = True
        self.deadline = self._loop.time() + answer_seconds
        self._answer = self._loop.create_future()
        self._transport.write(request)
        return self._answer

    @property
    def is_open(self) -> bool:
        """Whether the other side has not closed, as far as we have been told."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def fileno(self) -> int:
        """The socket, for looking whether it has something unread."""
        assert self._transport is not None
        return int(self._transport.get_extra_info("socket").fileno())

    def abort(self) -> None:
        """Close at once and tell nobody."""
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
        if self.is_open and self._transport is not None:
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
        if self.is_open and self._transport is not None:
            self._transport.resume_reading()

    # --- asyncio.Protocol ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio.Protocol's
        # uvloop's transports are no subclass of asyncio.Transport.
        self._transport = cast(asyncio.Transport, transport)
        connected = transport.get_extra_info("socket")
        for option, value in _KEEP_ALIVE:
            connected.setsockopt(*option, value)

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio.Protocol's
        if not self.used or self._complete:
            # Bytes that answer nothing: whatever follows could be taken for another's answer.
            self._close()
            return
        if not self._head_done:
            self._head_bytes += len(data)
        elif self._stream is not None:
            self.deadline = self._loop.time() + self._idle_seconds
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._blame("upstream_garbage", "tried to switch to another protocol")
        except httptools.HttpParserError:
            # The callbacks below do not raise, so this is about the bytes.
            self._blame("upstream_garbage", "sent something that is not HTTP/1.1")
        if self._stream is not None and self._body:
            # However many pieces came in one read: whoever takes them is woken once.
            body, self._body = self._body, []
            self._stream.push(body[0] if len(body) == 1 else b"".join(body))
        self._after_feed()

    def _after_feed(self) -> None:
        if not self._head_done and self._head_bytes > self._limits.max_head_bytes:
            self._blame("upstream_too_large", "sent headers that are too large")
        if self._fault is not None:
            self._give_up(self._fault)
        elif self._complete:
            self._finish_exchange()

    def eof_received(self) -> bool:  # noqa: D102 - asyncio.Protocol's
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102 - asyncio.Protocol's
        self._transport = None
        if self._complete:
            pass
        elif self._ends_by_close and exc is None and self._fault is None:
            # RFC 9112 section 6.3 rule 8: without a length the close is the end.
            self._complete = True
            self._deliver()
        else:
            self._fail("upstream_closed", "closed the connection before it had answered")
        self._on_lost(self)

    # --- httptools callbacks -------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A second message means answers nobody asked for."""
        if self._complete:
            self._close_after = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one header; repeated ones are joined (RFC 9110 section 5.3)."""
        if self._complete:
            return
        self._field_bytes += len(name) + len(value)
        if self._field_bytes > self._limits.max_head_bytes:
            self._blame("upstream_too_large", "sent headers that are too large")
            return
        name = name.lower()
        held = self._headers.get(name)
        self._headers[name] = value if held is None else held + b", " + value

    def on_headers_complete(self) -> None:
        """Decide how the body is framed and whether it is handed over open."""
        if self._complete:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._headers = {}
            return
        headers = self._headers
        self._head_done = True
        self._response = response = Response(status, headers)
        encoding = headers.get(b"transfer-encoding", b"").lower()
        length = headers.get(b"content-length")
        if self._parser.get_http_version() not in ("1.1", "1.0"):
            self._blame("upstream_garbage", "sent something that is not HTTP/1.1")
        elif encoding and (length is not None or encoding != b"chunked"):
            # RFC 9112 section 6.3 rule 3: two ways to frame one message are an attack.
            self._blame("upstream_garbage", "framed its answer in two ways")
        elif headers.get(b"content-encoding", b"identity").lower() != b"identity":
            self._blame("upstream_garbage", "compressed its answer though it was asked not to")
        elif length is not None and length.isdigit() and int(length) > self._limits.max_body_bytes:
            self._blame_size()
        self._ends_by_close = not encoding and length is None and status not in (204, 304)
        if self._fault is None and response.content_type == "text/event-stream":
            self._stream = response.stream = BodyStream(self)
            self.deadline = self._loop.time() + self._idle_seconds
            self._resolve(response)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if self._complete or self._fault is not None:
            return
        if self._stream is not None:
            self._body.append(body)
        elif self._response is not None and self._response.stream is None:
            self._body_bytes += len(body)
            if self._body_bytes > self._limits.max_body_bytes:
                self._blame_size()
            else:
                self._body.append(body)

    def on_message_complete(self) -> None:
        """The response is whole. Freed only after all bytes at hand have been looked at."""
        if self._head_done and not self._complete:
            self._complete = True
            self._close_after = not self._parser.should_keep_alive()

    # --- endings -------------------------------------------------------------------------------

    def _finish_exchange(self) -> None:
        self._deliver()
        self.deadline = inf
        if self._close_after:
            self._close()
            return
        keep = self._headers.get(b"keep-alive", b"")
        if keep.startswith(b"timeout="):
            seconds = keep[8:].partition(b",")[0]
            if seconds.isdigit():
                # Node says after how long it closes; stay a second clear of it.
                self.keep_seconds = min(self.keep_seconds, max(0.0, int(seconds[:6]) - 1.0))
        self._on_free(self)

    def _deliver(self) -> None:
        response, stream = self._response, self._stream
        self._stream = None
        if stream is not None:
            stream.end(None)
        elif response is not None and response.stream is None:
            body = self._body
            response.body = body[0] if len(body) == 1 else b"".join(body)
            self._body = []
            self._resolve(response)

    def _resolve(self, response: Response) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(response)

    def _blame_size(self) -> None:
        limit = self._limits.max_body_bytes
        self._blame("upstream_too_large", f"sent an answer of more than {limit} bytes")

    def _blame(self, code: str, what: str) -> None:
        # The first fault is the cause; what follows it is noise. What follows a whole answer is no
        # part of it: the answer stands, the connection does not.
        if self._complete:
            self._close_after = True
        elif self._fault is None:
            self._fault = UpstreamBroken(code, f"server `{self._label}` {what}")

    def _fail(self, code: str, what: str) -> None:
        self._give_up(UpstreamBroken(code, f"server `{self._label}` {what}"))

    def _give_up(self, error: UpstreamBroken) -> None:
        answer, self._answer = self._answer, None
        stream, self._stream = self._stream, None
        self._body = []
        if stream is not None:
            stream.end(error)
        if answer is not None and not answer.done():
            answer.set_exception(error)
        if self._transport is not None:
            self._transport.abort()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()
