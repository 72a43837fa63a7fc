"""One session at a stateful-era server: its id, who is in flight, when it was last used."""

from __future__ import annotations

import asyncio
from collections import Counter

from bailiwick.gateway.http.wire import EncodedFields, encode_fields
from bailiwick.gateway.upstreams.era import Exchange, Fields
from bailiwick.gateway.upstreams.legacy_listen import SessionStream
from bailiwick.gateway.upstreams.own import Nobody
from bailiwick.ports import ClientFacts, RequestPeer, ServerFacts


class LegacySession:
    """State for one `ClientFacts.session`.

    Attributes:
        client: as it was when the session began; the server knows these capabilities.
        id: the server's session id, "" if it gave none.
        fields: headers of each request in the session.
        lines: the same, encoded.
        starting: the handshake; waiters share it.
        stream: the session's GET stream, while somebody listens.
    """

    def __init__(self, client: ClientFacts) -> None:
        self.client = client
        self.id = ""
        self.facts: ServerFacts | None = None
        self.fields: Fields = ()
        self.lines = EncodedFields(b"")
        self.starting: asyncio.Task[None] | None = None
        self.stream: SessionStream | None = None
        self._in_flight: dict[int, RequestPeer] = {}
        self._subscribers: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        self._used = self._loop.time()

    def ready(self, session_id: str, facts: ServerFacts) -> None:
        """The handshake is done.

        Raises:
            UpstreamDown: `header_unsafe`: what the server has told cannot be said to it.
        """
        fields = [("MCP-Protocol-Version", facts.version)]
        if session_id:
            fields.append(("Mcp-Session-Id", session_id))
        self.lines = encode_fields(fields)
        self.fields = tuple(fields)
        self.id = session_id
        self.facts = facts

    @property
    def is_ready(self) -> bool:
        """Whether requests may be sent."""
        return self.starting is not None and self.starting.done() and self.facts is not None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight and nobody listens."""
        return self.is_ready and not self._in_flight and self.stream is None

    @property
    def idle_seconds(self) -> float:
        """Since it was last used."""
        return self._loop.time() - self._used

    def touch(self) -> None:
        """It is being used."""
        self._used = self._loop.time()

    def open_stream(self, server: Exchange) -> SessionStream:
        """Make the session's stream; it takes itself away when it ends."""
        stream = SessionStream(server, self.fields, lambda: self.peer, self._stream_closed)
        self.stream = stream
        return stream

    def _stream_closed(self) -> None:
        self.stream = None
        self.touch()

    def begin(self, message_id: int, peer: RequestPeer) -> None:
        """A request is in flight; its peer can be asked."""
        self._in_flight[message_id] = peer

    def end(self, message_id: int) -> None:
        """It no longer is."""
        self._in_flight.pop(message_id, None)
        self.touch()

    @property
    def peer(self) -> RequestPeer:
        """Whom to ask what came outside of any request: the newest request's peer.

        All peers of a session are one client. Without any, nobody.
        """
        return next(reversed(self._in_flight.values()), None) or Nobody()

    def counts(self, method: str, uri: str) -> bool:
        """Count a subscription; True when the server has to hear of it."""
        if method == "resources/subscribe":
            self._subscribers[uri] += 1
            return self._subscribers[uri] == 1
        self._subscribers[uri] -= 1
        if self._subscribers[uri] > 0:
            return False
        del self._subscribers[uri]
        return True

    def close(self) -> None:
        """It is over; listeners' streams end."""
        if self.stream is not None:
            self.stream.close()
