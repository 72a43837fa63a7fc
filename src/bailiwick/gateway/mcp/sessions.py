"""Sessions of the stateful era: bound to the authority that opened them, bounded, short-lived.

INVARIANT: a session id is worth nothing without the identity: it is looked up together with
`Caller.key`, and anyone else gets the answer for one that does not exist.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bailiwick.core.errors import TheirError
from bailiwick.gateway.gate import NOTHING_SAID, Said
from bailiwick.gateway.mcp.streams import Replay, Stream
from bailiwick.ports import ClientFacts
from bailiwick.protocols.mcp.jsonrpc import RequestId, Response
from bailiwick.protocols.mcp.legacy import primes_streams

SESSION_ID_BYTES = 16
MAX_SESSIONS = 10_000
MAX_SESSIONS_PER_CALLER = 64
MAX_IN_FLIGHT = 64
MAX_FINISHED_STREAMS = 16
MAX_URIS = 256
IDLE_SECONDS = 3600.0

OWN_STREAM = 0
"""Number of the stream that a GET opens."""


@dataclass(slots=True, eq=False)
class Session:
    """One session.

    Attributes:
        caller_key: `Caller.key` of the identity that opened it.
        where: the one server it is with, or "" for all.
        tasks: what runs for it, by the client's request id.
        asks: requests of servers that wait for this client's answer, by the id we gave them.
        uris: resources subscribed to, as (server, uri).
        telling: whether servers are being told right now that the client's roots changed.
        said: what the client said of its run when the session began.
    """

    id: str
    caller_key: str
    where: str
    version: str
    facts: ClientFacts
    used_at: float
    replay: Replay
    streams: OrderedDict[int, Stream] = field(default_factory=OrderedDict)
    tasks: dict[RequestId, asyncio.Task[object]] = field(default_factory=dict)
    cancelled: set[RequestId] = field(default_factory=set)
    asks: dict[RequestId, asyncio.Future[Response]] = field(default_factory=dict)
    uris: set[tuple[str, str]] = field(default_factory=set)
    log_level: str = ""
    over: bool = False
    telling: bool = False
    on_end: list[Callable[[], None]] = field(default_factory=list)
    counter: int = 0
    said: Said = NOTHING_SAID
    run_key: str = field(init=False)

    def __post_init__(self) -> None:
        """Make what tells its runs apart from the id, which itself is a secret."""
        self.run_key = _run_key(self.id)

    def new_stream(self) -> Stream:
        """A stream for one POST."""
        self.counter += 1
        return self._keep(Stream(self.counter, self.replay, primed=primes_streams(self.version)))

    def own_stream(self) -> Stream:
        """The stream a GET reads: what belongs to no request."""
        stream = self.streams.get(OWN_STREAM)
        if stream is None or stream.done:
            primed = primes_streams(self.version)
            stream = self.streams[OWN_STREAM] = Stream(OWN_STREAM, self.replay, primed=primed)
        return stream

    def _keep(self, stream: Stream) -> Stream:
        self.streams[stream.number] = stream
        finished = [old for old in self.streams.values() if old.done]
        for old in finished[:-MAX_FINISHED_STREAMS]:
            old.forget_all()
            del self.streams[old.number]
        return stream

    def next_ask_id(self) -> str:
        """An id for a request to this client, never used twice."""
        self.counter += 1
        return f"ask-{self.counter}"


class Sessions:
    """All sessions of this process.

    Args:
        monotonic: seconds that never go back.
        replay: memory that all streams share.
        ended: called with each session that ended, to let go of what is kept upstream.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        replay: Replay,
        ended: Callable[[Session], None] = lambda _: None,
    ) -> None:
        self._monotonic = monotonic
        self._replay = replay
        self._ended = ended
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._by_caller: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions.values()))

    def open(self, caller_key: str, where: str, version: str, facts: ClientFacts) -> Session:
        """Open a session; ends idle ones, and the idlest of this caller beyond its share.

        Raises:
            TheirError: `too_many_sessions` when the process holds as many as it may.
        """
        self._expire()
        if self._by_caller.get(caller_key, 0) >= MAX_SESSIONS_PER_CALLER:
            self.end(next(one for one in self._sessions.values() if one.caller_key == caller_key))
        if len(self._sessions) >= MAX_SESSIONS:
            raise TheirError("too_many_sessions", "no more sessions can be opened now")
        identity = secrets.token_urlsafe(SESSION_ID_BYTES)
        # Servers' side of the session is keyed by a digest: the id itself is the client's secret.
        key = f"{facts.session}|{_run_key(identity)}"
        own = ClientFacts(key, version, facts.capabilities, facts.info)
        session = Session(
            identity, caller_key, where, version, own, self._monotonic(), self._replay
        )
        self._sessions[identity] = session
        self._by_caller[caller_key] = self._by_caller.get(caller_key, 0) + 1
        return session

    def find(self, identity: str, caller_key: str, where: str) -> Session | None:
        """The live session of this id, identity and endpoint; the same None for every mismatch."""
        session = self._sessions.get(identity)
        if session is None or session.caller_key != caller_key or session.where != where:
            return None
        now = self._monotonic()
        if self._is_idle(session, now):
            self.end(session)
            return None
        session.used_at = now
        self._sessions.move_to_end(identity)
        return session

    def end(self, session: Session) -> None:
        """End a session: cancel what runs, answer nothing more, close its streams."""
        if session.over:
            return
        session.over = True
        del self._sessions[session.id]
        left = self._by_caller[session.caller_key] - 1
        if left:
            self._by_caller[session.caller_key] = left
        else:
            del self._by_caller[session.caller_key]
        for identity, task in tuple(session.tasks.items()):
            session.cancelled.add(identity)
            task.cancel()
        for answer in session.asks.values():
            answer.cancel()
        for stop in session.on_end:
            stop()
        self._ended(session)

    def end_all(self) -> None:
        """End every session: the process stops."""
        for session in self:
            self.end(session)

    def _expire(self) -> None:
        now = self._monotonic()
        for session in tuple(self._sessions.values()):
            if now - session.used_at <= IDLE_SECONDS:
                break
            if self._is_idle(session, now):
                self.end(session)

    def _is_idle(self, session: Session, now: float) -> bool:
        reading = any(stream.attached for stream in session.streams.values())
        return now - session.used_at > IDLE_SECONDS and not session.tasks and not reading


def _run_key(identity: str) -> str:
    return "session:" + hashlib.sha256(identity.encode()).hexdigest()[:20]
