"""What every exchange of the edge shares."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from bailiwick.core.call import CallKind, Target
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import TheirError, UpstreamBroken, UpstreamDown
from bailiwick.gateway.gate import Gate
from bailiwick.gateway.mcp.catalog import Catalog
from bailiwick.gateway.mcp.parked import Parking
from bailiwick.gateway.mcp.tasks import TaskBook
from bailiwick.gateway.mcp.watch import Rounds
from bailiwick.ports import Caller, ClientFacts, Clock, Upstream
from bailiwick.protocols.strict_json import encode

CLIENT_CAPABILITY = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}
"""What a server may ask of a client → the capability it needs, also the name of the target."""

FactsKey = tuple[str, str, bytes, bytes]
"""Caller, revision, capabilities and clientInfo as JSON."""

MAX_SHAPES_PER_CALLER = 16
MAX_CLIENT_BYTES = 16 * 1024

_NARROWED_SECONDS = 5.0
_MAX_CACHED = 10_000
_CLOSING_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the edge.

    Attributes:
        body_bytes: of a request; beyond it 413.
        body_seconds: for a whole request body to arrive; beyond it 408.
        keep_alive_seconds: between signs of life on a silent stream.
        watch_seconds: between two looks at what is in flight; a call that is answered sooner
            costs neither a timer nor a second task.
        page_items: items a merged list page holds before a cursor is given.
        in_flight_per_caller: requests and streams of one authority; beyond it 429.
        replay_bytes: of events kept for clients that lost their connection, in all.
        input_seconds: for a client to answer what a server asked.
    """

    body_bytes: int = 4 * 1024 * 1024
    body_seconds: float = 30.0
    keep_alive_seconds: float = 15.0
    watch_seconds: float = 0.05
    page_items: int = 1000
    input_seconds: float = 600.0
    in_flight_per_caller: int = 1024
    replay_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Where:
    """Which endpoint a request came to.

    Attributes:
        server: the one server of `/mcp/SERVER`, or "" for all on `/mcp`.
        model_names: tool names as a model takes them; None: as the client is known to need.
    """

    server: str = ""
    model_names: bool | None = None


@dataclass(slots=True)
class Core:
    """The shared parts, made once by the edge."""

    gate: Gate
    catalog: Catalog
    clock: Clock
    limits: Limits
    state_key: bytes
    version: str
    parking: Parking
    tasks: TaskBook
    rounds: Rounds
    in_flight: dict[str, int] = field(default_factory=dict)
    _facts: dict[FactsKey, ClientFacts] = field(default_factory=dict)
    _shapes: dict[str, deque[FactsKey]] = field(default_factory=dict)
    _narrowed: dict[tuple[str, str], tuple[float, ClientFacts]] = field(default_factory=dict)
    _background: set[asyncio.Task[Any]] = field(default_factory=set)
    _listens: dict[str, set[asyncio.Event]] = field(default_factory=dict)
    closing: bool = False
    forgotten: int = 0
    """How many clients are remembered no more: what was made of one may be of no use then."""

    def facts_of(
        self, caller: Caller, version: str, capabilities: JsonObject, info: JsonObject
    ) -> ClientFacts:
        """The client as upstreams may know it; the same object for the same client.

        Raises TheirError as `check_client` does.

        Clients of one authority that declare different capabilities get different session keys:
        a server must not ask one for what only the other can do.
        """
        key = (caller.key, version, encode(capabilities), encode(info))
        facts = self._facts.get(key)
        if facts is None:
            check_client(key[2], key[3])
            shape = b"|".join(key[2:]) if capabilities else b""
            session = f"{caller.key}|{version}|{_short(shape)}"
            facts = self._facts[key] = ClientFacts(session, version, capabilities, info)
            self._remember(key)
        return facts

    def _remember(self, key: FactsKey) -> None:
        """Keep the newest few shapes of each caller: each may hold a session at every server."""
        shapes = self._shapes.setdefault(key[0], deque())
        shapes.append(key)
        if len(shapes) > MAX_SHAPES_PER_CALLER:
            oldest = self._facts.pop(shapes.popleft())
            self.forgotten += 1
            self.let_go(oldest.session)

    def let_go(self, session: str) -> None:
        """End what servers keep for a session key, beside whatever goes on."""
        for upstream in self.catalog.names().values():
            self.spawn(_end_session(upstream, session))

    def narrowed(self, caller: Caller, server: str, facts: ClientFacts) -> ClientFacts:
        """`facts` without capabilities that no rule would let this server use."""
        if not facts.capabilities:
            return facts
        now = self.clock.monotonic()
        key = (facts.session, server)
        cached = self._narrowed.get(key)
        if cached is not None and cached[0] > now and cached[1].version == facts.version:
            return cached[1]
        kept: dict[str, Json] = {
            name: value
            for name, value in facts.capabilities.items()
            if name not in CLIENT_CAPABILITY.values()
            or self.gate.visible(caller, Target(CallKind.CLIENT, server, name))
        }
        same = len(kept) == len(facts.capabilities)
        narrowed = facts if same else replace(facts, capabilities=kept)
        if len(self._narrowed) >= _MAX_CACHED:
            self._narrowed.clear()
        self._narrowed[key] = (now + _NARROWED_SECONDS, narrowed)
        return narrowed

    def enter_listen(self, caller_key: str, most: int, wake: asyncio.Event) -> None:
        """Count one listen stream of a caller; `wake` is set when the edge closes.

        Raises:
            TheirError: `too_many_streams`.
        """
        held = self._listens.setdefault(caller_key, set())
        if len(held) >= most:
            raise TheirError("too_many_streams", f"more than {most} streams are open")
        held.add(wake)

    def leave_listen(self, caller_key: str, wake: asyncio.Event) -> None:
        """A listen stream ended."""
        held = self._listens.get(caller_key, set())
        held.discard(wake)
        if not held:
            self._listens.pop(caller_key, None)

    def start_closing(self) -> None:
        """Let every listen stream end gracefully."""
        self.closing = True
        for wakes in self._listens.values():
            for wake in wakes:
                wake.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the exchange that started it; stopped by `aclose`."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def aclose(self) -> None:
        """Give what runs in the background a moment to end, then stop it."""
        self.parking.drop_all()
        if self._background:
            await asyncio.wait(self._background, timeout=_CLOSING_SECONDS)
        for task in tuple(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.catalog.aclose()


def check_client(capabilities: bytes, info: bytes) -> None:
    """Bound what a client says of itself: it is kept, and told to every server.

    Raises:
        TheirError: `client_too_large`.
    """
    if len(capabilities) + len(info) > MAX_CLIENT_BYTES:
        raise TheirError(
            "client_too_large", f"capabilities and clientInfo are over {MAX_CLIENT_BYTES} bytes"
        )


async def _end_session(upstream: Upstream, session: str) -> None:
    try:
        await upstream.end_session(session)
    except (UpstreamDown, UpstreamBroken):
        return


def _short(shape: bytes) -> str:
    return hashlib.sha256(shape).hexdigest()[:16] if shape else ""
