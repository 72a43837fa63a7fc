"""Server-sent events, both ways, sans-I/O.

Reading:

    decoder = SseDecoder(max_event_bytes=16 * 1024 * 1024)
    for event in decoder.feed(chunk):   # any split of the bytes gives the same events
        event.data, event.event, event.id
    decoder.last_event_id, decoder.retry_ms

Writing:

    encode_event(data, event_id="7")    # b"id: 7\\ndata: …\\n\\n"
    encode_comment("keep-alive")        # b": keep-alive\\n\\n"

Data stays bytes: JSON passes through without being decoded to text and back. Whoever parses it
checks that it is UTF-8.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, sections 9.2.5 and 9.2.6.
"""

from __future__ import annotations

import re

import msgspec

from bailiwick.core.errors import TheirError

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\r|\n")
_ONE_MESSAGE = re.compile(rb"(?:event: message\r?\n)?data: ?+([^\r\n]+)\r?\n\r?\n").fullmatch
"""A chunk that is one event of the usual kind, whole: the group is its data."""

_MAX_RETRY_MS = 86_400_000


class SseEvent(msgspec.Struct, frozen=True):
    """One dispatched event.

    Attributes:
        data: the data lines joined by LF; never empty unless the event has an empty data line.
        event: the event type; `message` when the sender gave none.
        id: the last event id as of this event, or "".
    """

    data: bytes
    event: str = "message"
    id: str = ""


class SseDecoder:
    """Splits a byte stream into events, holding at most one unfinished event.

    Args:
        begun: the stream began before, so no mark of an order of bytes comes any more.

    Attributes:
        last_event_id: newest id seen, also from events without data (MCP primes streams so).
        retry_ms: the reconnection time the sender asked for, at most a day, or None.
        is_doubtful: a line that is no data holds a brace. Readers that end lines elsewhere, or take
            other lines for data, may find an object there.
    """

    __slots__ = (
        "_at_start",
        "_between",
        "_data",
        "_event",
        "_held_bytes",
        "_line",
        "_max_event_bytes",
        "_next_id",
        "_skip_lf",
        "is_doubtful",
        "last_event_id",
        "retry_ms",
    )

    def __init__(self, max_event_bytes: int, *, begun: bool = False) -> None:
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self.is_doubtful = False
        self._max_event_bytes = max_event_bytes
        self._line = bytearray()
        self._data: list[bytes] = []
        self._held_bytes = 0
        self._event = ""
        self._next_id: str | None = None
        self._skip_lf = False
        self._at_start = not begun
        # Nothing is held: the next byte begins an event.
        self._between = True

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Take the next bytes of the stream; returns the events they complete.

        Raises:
            TheirError: `sse_event_too_large` when an unfinished event passes `max_event_bytes`;
                the decoder is of no further use.
        """
        if self._between and len(chunk) <= self._max_event_bytes:
            only = _ONE_MESSAGE(chunk)
            if only is not None:
                self._at_start = False
                return [SseEvent(only[1], "message", self.last_event_id)]
        events = self._feed(chunk)
        self._between = not (
            self._line or self._data or self._event or self._next_id is not None or self._skip_lf
        )
        return events

    def _feed(self, chunk: bytes) -> list[SseEvent]:
        if self._skip_lf and chunk:
            # A CR ended the last chunk and its line; an LF now belongs to the same line end.
            self._skip_lf = False
            if chunk.startswith(b"\n"):
                chunk = chunk[1:]
        if b"\r" in chunk:
            self._skip_lf = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = chunk.split(b"\n")
        events: list[SseEvent] = []
        for line in lines:
            if self._line:
                self._line += line
                line = bytes(self._line)
                self._line.clear()
            self._take_line(line, events)
        self._line += rest
        self._check(len(self._line))
        return events

    def _take_line(self, line: bytes, events: list[SseEvent]) -> None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if not line:
            self._dispatch(events)
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._check(len(value))
            self._data.append(value)
            self._held_bytes += len(value) + 1
            return
        if b"{" in line:
            self.is_doubtful = True
        if name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id":
            if b"\0" not in value:
                self._next_id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit():
            self.retry_ms = min(int(value[:12]), _MAX_RETRY_MS)
        # An empty name is a comment; any other field is ignored (9.2.6).

    def _dispatch(self, events: list[SseEvent]) -> None:
        if self._next_id is not None:
            self.last_event_id = self._next_id
            self._next_id = None
        data = b"\n".join(self._data)
        if data:
            events.append(SseEvent(data, self._event or "message", self.last_event_id))
        self._data.clear()
        self._held_bytes = 0
        self._event = ""

    def _check(self, more_bytes: int) -> None:
        if self._held_bytes + more_bytes > self._max_event_bytes:
            raise TheirError(
                "sse_event_too_large", f"an event is larger than {self._max_event_bytes} bytes"
            )


def encode_event(
    data: bytes, *, event_id: str = "", event: str = "", retry_ms: int | None = None
) -> bytes:
    """Encode one event. Line ends inside `data` become separate data lines.

    Raises:
        ValueError: `event_id` or `event` holds a line end or NUL, which would forge fields.
    """
    head = b""
    if event_id or event:
        for text in (event_id, event):
            if "\n" in text or "\r" in text or "\0" in text:
                raise ValueError("an event id or type may not hold a line end or NUL")
        if event:
            head += b"event: " + event.encode() + b"\n"
        if event_id:
            head += b"id: " + event_id.encode() + b"\n"
    if retry_ms is not None:
        head += b"retry: %d\n" % retry_ms
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_LINE_END.split(data))
    return head + b"data: " + data + b"\n\n"


def encode_comment(text: str = "") -> bytes:
    """Encode a comment, which readers ignore: keep-alive.

    Raises:
        ValueError: `text` holds a line end.
    """
    if "\n" in text or "\r" in text:
        raise ValueError("a comment may not hold a line end")
    return b": " + text.encode() + b"\n\n" if text else b":\n\n"
