"""Event streams of the stateful era: numbered events that survive their connection.

A stream has at most one connection. What is sent gets an id `STREAM-NUMBER` and is remembered
within bounds, so that a client that lost its connection fetches the rest with `Last-Event-ID`.

Bounds: `MAX_EVENTS` events and `MAX_BYTES` bytes a stream. Notifications are forgotten first,
oldest first; requests of servers and the final reply are kept.

Source: 2025-11-25 `basic/transports` "Resumability and Redelivery".
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from bailiwick.gateway.mcp.sinks import KEEP_ALIVE, STALL_SECONDS, open_stream
from bailiwick.gateway.mcp.wire import Send
from bailiwick.protocols.sse import encode_event

MAX_EVENTS = 256
MAX_BYTES = 1024 * 1024
MAX_REPLY_BYTES = 4 * 1024 * 1024
RETRY_MS = 1000


class Replay:
    """The memory that all streams of an edge share for what clients may come back for.

    When it is full, the oldest finished streams are forgotten first; then nothing more is kept,
    and a client that loses its connection has lost what it missed.
    """

    def __init__(self, max_bytes: int) -> None:
        self._free = max_bytes
        self._finished: OrderedDict[Stream, None] = OrderedDict()

    def take(self, size_bytes: int) -> bool:
        """Ask for memory; False when there is none."""
        while self._free < size_bytes and self._finished:
            self._finished.popitem(last=False)[0].forget_all()
        if self._free < size_bytes:
            return False
        self._free -= size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        """Return memory."""
        self._free += size_bytes

    def finished(self, stream: Stream) -> None:
        """This stream's events may be forgotten when memory is short."""
        self._finished[stream] = None

    def forgotten(self, stream: Stream) -> None:
        """This stream holds nothing any more."""
        self._finished.pop(stream, None)


_EVENT_ID = re.compile(r"([0-9]{1,12})-([0-9]{1,12})")


@dataclass(slots=True)
class Attachment:
    """One connection that reads a stream; `replaced` is set when another took over."""

    send: Send
    replaced: asyncio.Event = field(default_factory=asyncio.Event)


class Stream:
    """One numbered stream of one session.

    Attributes:
        done: the final reply was emitted; nothing follows.
        delivered: the final reply was written to a connection that was there.
    """

    def __init__(self, number: int, replay: Replay, *, primed: bool) -> None:
        self.number = number
        self.done = False
        self.delivered = False
        self.ended = asyncio.Event()
        self._replay = replay
        self._primed = primed
        self._sequence = 0
        self._events: deque[tuple[int, bytes, bool]] = deque()
        self._size_bytes = 0
        self._reader: Attachment | None = None
        self._was_read = False
        self._lock = asyncio.Lock()

    @property
    def attached(self) -> bool:
        """Whether a connection reads this stream now."""
        return self._reader is not None

    def reads(self, reader: Attachment) -> bool:
        """Whether this connection is the one that reads the stream now."""
        return self._reader is reader

    async def attach(self, reader: Attachment, after: int | None = None) -> None:
        """Make `reader` the connection of this stream; replay what came after event `after`.

        The response is started here. Emitters wait until the replay is through, so the order on
        the wire is that of the numbers.
        """
        async with self._lock:
            previous, self._reader = self._reader, reader
            if previous is not None:
                await self._dismiss(previous)
            await open_stream(reader.send)
            if after is None:
                # Nobody has read yet: what was said so far is new. Otherwise it was said before.
                after = self._sequence if self._was_read else 0
                if self._primed:
                    event_id = f"{self.number}-{after}"
                    await self._write(encode_event(b"", event_id=event_id, retry_ms=RETRY_MS))
            self._was_read = True
            for sequence, event, _ in tuple(self._events):
                if sequence > after:
                    await self._write(event)
            if self.done:
                await self._close()

    def detach(self, reader: Attachment) -> None:
        """The connection is gone; what follows is only remembered."""
        if self._reader is reader:
            self._reader = None

    async def emit(self, message: bytes, *, keep: bool = False) -> None:
        """Send one message, and remember it."""
        async with self._lock:
            if not self.done:
                await self._write(self._number(message, keep=keep))

    async def keep_alive(self) -> None:
        """Send a comment, if anybody reads."""
        async with self._lock:
            if not self.done:
                await self._write(KEEP_ALIVE)

    async def finish(self, message: bytes) -> None:
        """Send the final reply (b"" for none), end the connection, keep it for a replay."""
        async with self._lock:
            if self.done:
                return
            self.done = True
            if message and len(message) <= MAX_REPLY_BYTES:
                event = self._number(message, keep=True)
            else:
                event = encode_event(message) if message else b""
            if event:
                self.delivered = self._reader is not None
                await self._write(event)
            if self.delivered and len(event) > MAX_BYTES:
                self._forget_last()
            self._replay.finished(self)
            await self._close()

    def forget_all(self) -> None:
        """Hold nothing for a replay any more."""
        self._replay.give_back(self._size_bytes)
        self._replay.forgotten(self)
        self._size_bytes = 0
        self._events.clear()

    def _number(self, message: bytes, *, keep: bool) -> bytes:
        self._sequence += 1
        event = encode_event(message, event_id=f"{self.number}-{self._sequence}")
        if self._replay.take(len(event)):
            self._events.append((self._sequence, event, keep))
            self._size_bytes += len(event)
            if len(self._events) > MAX_EVENTS or self._size_bytes > MAX_BYTES:
                self._forget()
        return event

    def _forget(self) -> None:
        kept: deque[tuple[int, bytes, bool]] = deque()
        excess = len(self._events) - MAX_EVENTS
        before = self._size_bytes
        for item in self._events:
            if not item[2] and (excess > 0 or self._size_bytes > MAX_BYTES):
                excess -= 1
                self._size_bytes -= len(item[1])
            else:
                kept.append(item)
        self._events = kept
        self._replay.give_back(before - self._size_bytes)

    def _forget_last(self) -> None:
        if self._events:
            _, event, _ = self._events.pop()
            self._size_bytes -= len(event)
            self._replay.give_back(len(event))

    async def _write(self, event: bytes) -> None:
        if self._reader is None:
            return
        body = {"type": "http.response.body", "body": event, "more_body": True}
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await self._reader.send(body)
        except TimeoutError:
            # It takes nothing: let it go, so that the client can come back for the rest.
            self._reader.replaced.set()
            self._reader = None

    async def _close(self) -> None:
        reader, self._reader = self._reader, None
        self.ended.set()
        if reader is not None:
            await self._dismiss(reader)

    async def _dismiss(self, reader: Attachment) -> None:
        reader.replaced.set()
        await reader.send({"type": "http.response.body", "body": b"", "more_body": False})


def parse_event_id(header: bytes) -> tuple[int, int] | None:
    """Stream and event number of a `Last-Event-ID`, or None for one we never gave."""
    match = _EVENT_ID.fullmatch(header.decode("latin-1"))
    return (int(match[1]), int(match[2])) if match else None
