"""Where the answer to one POST goes: one JSON body, or events once something comes earlier.

The common call answers in one piece and never makes a stream. The first progress notification,
log message, tick of a hold or keep-alive opens one, and the final message ends it.

Backpressure: `emit` waits for the server's write buffer, so a slow reader slows its own upstream
down and nothing piles up here.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec

from bailiwick.gateway.mcp.wire import STREAM_HEADERS, Outcome, Send, reply, reply_at_once
from bailiwick.protocols.sse import encode_comment, encode_event

STALL_SECONDS = 60.0
"""A reader that takes nothing for this long is treated as gone."""

KEEP_ALIVE = encode_comment("keep-alive")


class Sink(Protocol):
    """The client's end of one request."""

    streaming: bool

    async def emit(self, message: bytes, *, keep: bool = False) -> None:
        """Send one message early. `keep`: it must not be lost, as a request of a server."""
        ...

    async def keep_alive(self) -> None:
        """Show that somebody is still there."""
        ...

    async def finish(self, outcome: Outcome) -> None:
        """Send the reply and end. An empty message ends without one."""
        ...


class PostSink(msgspec.Struct, eq=False):
    """The sink of the stateless era: bound to one connection, gone when that is gone.

    Attributes:
        can_stream, json_too: whether an event stream, or one JSON body, will do as an answer.
    """

    send: Send
    can_stream: bool
    json_too: bool
    streaming: bool = False
    ended: bool = False
    _lock: asyncio.Lock | None = None

    async def emit(self, message: bytes, *, keep: bool = False) -> None:
        """See `Sink`."""
        await self._write(encode_event(message))

    async def keep_alive(self) -> None:
        """See `Sink`."""
        await self._write(KEEP_ALIVE)

    def finish_at_once(self, outcome: Outcome) -> bool:
        """Finish with one JSON body that nobody has to wait for; if it is not to be, `finish`."""
        if self.streaming or self.ended or not self.json_too:
            return False
        self.ended = reply_at_once(self.send, outcome.status, outcome.message)
        return self.ended

    async def finish(self, outcome: Outcome) -> None:
        """See `Sink`. Errors keep their HTTP status as long as no stream is open."""
        if self.ended:
            return
        if not self.streaming and (self.json_too or outcome.status != 200 or not outcome.message):
            self.ended = True
            await reply(self.send, outcome.status, outcome.message)
            return
        last = encode_event(outcome.message) if outcome.message else b""
        await self._write(last, end=True)

    async def _write(self, event: bytes, *, end: bool = False) -> None:
        if not self.can_stream:
            return
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            if self.ended:
                return
            if not self.streaming:
                self.streaming = True
                await open_stream(self.send)
            if end:
                self.ended = True
            body = {"type": "http.response.body", "body": event, "more_body": not end}
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    await self.send(body)
            except TimeoutError:
                self.ended = True


async def open_stream(send: Send, *extra: tuple[bytes, bytes]) -> None:
    """Begin an event stream."""
    headers = [*STREAM_HEADERS, *extra]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
