"""A session's GET stream: what a stateful-era server says outside of any request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from math import inf

from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import BailiwickError
from bailiwick.gateway.upstreams.asks import Asks
from bailiwick.gateway.upstreams.envelope import Ask, Note, decode_batch
from bailiwick.gateway.upstreams.era import Exchange, Fields
from bailiwick.gateway.upstreams.listening import ACKNOWLEDGED
from bailiwick.gateway.upstreams.mailbox import Mailbox
from bailiwick.ports import RequestPeer
from bailiwick.protocols.sse import SseDecoder


class SessionStream:
    """One GET stream for all listeners of a session: servers allow no second one."""

    def __init__(
        self,
        server: Exchange,
        fields: Fields,
        peer: Callable[[], RequestPeer],
        on_close: Callable[[], None],
    ) -> None:
        self._server = server
        self._fields = fields
        self._peer = peer
        self._on_close = on_close
        self._mailboxes: set[Mailbox] = set()
        self._asks = Asks(lambda body: server.post_message(fields, body))
        self._closed = False
        self._reading: asyncio.Task[None] | None = None

    def join(self) -> Mailbox:
        """A new listener; the first one opens the stream."""
        mailbox = Mailbox()
        self._mailboxes.add(mailbox)
        if self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._read())
        return mailbox

    def leave(self, mailbox: Mailbox) -> None:
        """A listener goes; the last one closes the stream."""
        self._mailboxes.discard(mailbox)
        if not self._mailboxes:
            self.close()

    def close(self) -> None:
        """End the stream for everybody."""
        if self._closed:
            return
        self._closed = True
        self._on_close()
        if self._reading is not None:
            self._reading.cancel()
        self._asks.close()
        for mailbox in self._mailboxes:
            mailbox.close()

    def spread(self, method: str, params: JsonObject) -> None:
        """Tell every listener."""
        for mailbox in self._mailboxes:
            mailbox.put(method, params)

    async def _read(self) -> None:
        # Lost or garbled: listeners see their stream end and open a new one.
        with suppress(BailiwickError):
            await self._read_stream()
        self.close()

    async def _read_stream(self) -> None:
        response = await self._server.get(self._fields, "", long=True)
        stream = response.stream
        if stream is None or response.status != 200:
            if stream is not None:
                stream.close()
            # 405: "the server does not offer an SSE stream". What it says during requests is
            # still passed on, so listeners stay until the session ends.
            await asyncio.Event().wait()
            return
        stream.set_idle_seconds(inf)
        decoder = SseDecoder(self._server.max_event_bytes)
        self.spread(ACKNOWLEDGED, {})
        try:
            async for chunk in stream:
                for event in decoder.feed(chunk):
                    for message in decode_batch(event.data):
                        if isinstance(message, Note):
                            self._take_note(message)
                        elif isinstance(message, Ask):
                            self._asks.take(message, self._peer())
        finally:
            stream.close()

    def _take_note(self, note: Note) -> None:
        if note.method == "notifications/cancelled":
            self._asks.cancel(note.params.get("requestId"))
        else:
            self.spread(note.method, note.params)
