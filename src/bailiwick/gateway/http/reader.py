"""Reads responses strictly, one after the other: bytes in, what they mean out."""

from __future__ import annotations

from collections.abc import Callable

import httptools

from bailiwick.core.errors import UpstreamBroken
from bailiwick.gateway.http.limits import HttpLimits
from bailiwick.gateway.http.response import Response


class ResponseReader:
    """The responses of one connection. `begin` before each, then `feed` it until `is_whole`.

    Attributes:
        response: once the head is here; its body is not filled in.
        is_open: whether the body is to be handed over as it comes (`text/event-stream`).
        is_whole: nothing of the response is still to come.
        closes: the connection can serve no further request.
        ends_by_close: the end of the connection is the end of the body.
        fault: what is wrong with it. The first one: it is the cause, what follows it is noise.
        on_body: takes a piece of the body.
    """

    __slots__ = (
        "_body",
        "_body_bytes",
        "_field_bytes",
        "_head_bytes",
        "_headers",
        "_label",
        "_limits",
        "_parser",
        "_pieces",
        "closes",
        "ends_by_close",
        "fault",
        "is_open",
        "is_whole",
        "on_body",
        "response",
    )

    def __init__(self, label: str, limits: HttpLimits) -> None:
        self._label = label
        self._limits = limits
        self._pieces: list[bytes] = []
        # The parser calls it for each piece, of which a read has dozens: no Python in between.
        self.on_body: Callable[[bytes], None] = self._pieces.append
        self._parser = httptools.HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """The next bytes are those of another response."""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0
        self._field_bytes = 0
        self.response: Response | None = None
        self.is_open = False
        self.is_whole = False
        self.closes = False
        self.ends_by_close = False
        self.fault: UpstreamBroken | None = None

    def feed(self, data: bytes) -> None:
        """Read on."""
        if self.response is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._blame("upstream_garbage", "tried to switch to another protocol")
        except httptools.HttpParserError:
            # The callbacks below do not raise, so this is about the bytes.
            self._blame("upstream_garbage", "sent something that is not HTTP/1.1")
        if self._pieces and (self.is_whole or not self.is_open):
            self._gather()
        if self.response is None and self._head_bytes > self._limits.max_head_bytes:
            self._blame("upstream_too_large", "sent headers that are too large")

    @property
    def is_usual(self) -> bool:
        """Whether it is whole, was framed by its length, and leaves the connection open."""
        response = self.response
        return (
            b"content-length" in self._headers
            and response is not None
            and self.is_whole
            and self.fault is None
            and not (self.is_open or self.closes)
            and response.status not in (204, 304)
            and b"transfer-encoding" not in self._headers
        )

    def take(self) -> bytes:
        """What has come of the body since it was last taken, however many pieces that was."""
        parts = self._body or self._pieces
        taken = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        return taken

    def _gather(self) -> None:
        """Keep the pieces of one read, within the limits, if they belong to this answer."""
        pieces = self._pieces
        got = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if self.is_whole:
            return  # it belongs to an answer nobody asked for
        if not self.is_open:
            self._body_bytes += len(got)
            if self._body_bytes > self._limits.max_body_bytes:
                self._blame_size()
                return
        self._body.append(got)

    # --- httptools callbacks -------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A second message means answers nobody asked for."""
        if self.is_whole:
            self.closes = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one header; repeated ones are joined, trailers dropped (RFC 9110 5.3, 6.5.1)."""
        if self.is_whole:
            return
        self._field_bytes += len(name) + len(value)
        if self._field_bytes > self._limits.max_head_bytes:
            self._blame("upstream_too_large", "sent headers that are too large")
            return
        if self.response is not None:
            return
        name = name.lower()
        held = self._headers.get(name)
        self._headers[name] = value if held is None else held + b", " + value

    def on_headers_complete(self) -> None:
        """Decide how the body is framed and whether it is handed over open."""
        if self.is_whole:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._headers = {}
            return
        headers = self._headers
        self.response = response = Response(status, headers)
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
        self.ends_by_close = not encoding and length is None and status not in (204, 304)
        self.is_open = self.fault is None and response.content_type == "text/event-stream"

    def on_message_complete(self) -> None:
        """The response is whole."""
        if self.response is not None and not self.is_whole:
            if self._pieces:
                self._gather()
            self.is_whole = True
            self.closes = not self._parser.should_keep_alive()

    def _blame_size(self) -> None:
        limit = self._limits.max_body_bytes
        self._blame("upstream_too_large", f"sent an answer of more than {limit} bytes")

    def _blame(self, code: str, what: str) -> None:
        # What follows a whole answer is no part of it: the answer stands, the connection does not.
        if self.is_whole:
            self.closes = True
        elif self.fault is None:
            self.fault = UpstreamBroken(code, f"server `{self._label}` {what}")
