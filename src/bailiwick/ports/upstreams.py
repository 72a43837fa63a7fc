"""MCP servers behind the gateway, as the edge reaches them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from bailiwick.core.canonical import JsonObject
from bailiwick.ledger.leaf import LeafValue


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """The MCP client on whose behalf a request is made, as far as an upstream may know it.

    Attributes:
        session: opaque key. Upstream state (a legacy session, a `per-session` child process) is
            never shared between two different keys. Derived from the authenticated identity, and
            for a legacy client also its MCP session.
        version: MCP revision the client speaks, such as `2026-07-28`.
        capabilities: client capabilities as declared, already narrowed by policy.
        info: clientInfo as declared.
    """

    session: str
    version: str
    capabilities: JsonObject = field(default_factory=dict)
    info: JsonObject = field(default_factory=dict)


class Alike:
    """What requests have in common that differ in `params["arguments"]` alone.

    It says nothing that they do not say themselves.

    Attributes:
        worded: what an upstream has made of them, for itself.
    """

    __slots__ = ("worded",)

    def __init__(self) -> None:
        self.worded: object = None


class UpstreamRequest(msgspec.Struct, frozen=True):
    """One MCP request for an upstream. `params` is the judged parse; its encoding is sent.

    Attributes:
        alike: what it has in common with others, all else but their arguments and maybe their name
            and client; None where nobody knows of any.
    """

    method: str
    params: JsonObject
    client: ClientFacts
    param_headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    alike: Alike | None = None


class UpstreamReply(msgspec.Struct, frozen=True):
    """What came back: exactly one of `result` and `error`, as raw JSON text, byte for byte.

    Attributes:
        facts: what of it may stand in the public leaf of the outcome: names of things and numbers.
        used: of a model call what it really took, under the names of `ModelUse.bounds`; what the
            server does not say is missing.
        said: of a model call what the model said, read from the answer in whatever dialect, as
            JSON: its reasoning and the tool calls it asked for among it. Kept sealed, whole, also
            where of a long answer only the beginning is (`protocols.llm.kept`).
        reasoning: of `said` the reasoning, as it stands there: committed to also by itself.
    """

    result: bytes | None = None
    error: bytes | None = None
    facts: Mapping[str, LeafValue] = msgspec.field(default_factory=dict)
    used: Mapping[str, int] = msgspec.field(default_factory=dict)
    said: bytes = b""
    reasoning: bytes = b""


class RequestPeer(Protocol):
    """The requesting side, as an upstream reaches it while one request is in flight."""

    async def notify(self, method: str, params: JsonObject) -> None:
        """Pass on a notification that belongs to this request (progress, message).

        Waits while the client reads slowly, so that nothing piles up. `progressToken` is
        already the client's own.
        """
        ...

    async def ask(self, method: str, params: JsonObject) -> UpstreamReply:
        """Pass on a request of the server to this client, judged and recorded on the way."""
        ...


@dataclass(frozen=True, slots=True)
class Wants:
    """What a subscriber wants to hear of."""

    tools: bool = False
    prompts: bool = False
    resources: bool = False
    uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """An upstream's own words: negotiated revision, capabilities, serverInfo, instructions."""

    version: str
    capabilities: JsonObject
    info: JsonObject
    instructions: str = ""


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """For people: is it up, since when, how often restarted, and its last words on stderr."""

    name: str
    state: str
    detail: str = ""
    restarts: int = 0
    stderr_tail: tuple[str, ...] = ()


class Upstream(Protocol):
    """One MCP server. Implementations keep connections and processes; callers see requests."""

    name: str

    async def request(self, request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        """Send one request and wait for its reply.

        Cancelling the waiter cancels the request upstream, in the way of that server's revision.

        Raises:
            UpstreamDown: nothing was sent (connection refused, process not running). Safe to
                report as not done.
            UpstreamBroken: it was sent, or may have been, and no reply is known. The outcome is
                `unknown`.
        """
        ...

    async def notify(self, client: ClientFacts, method: str, params: JsonObject) -> None:
        """Pass on a client notification that belongs to no request (roots list changed)."""
        ...

    def listen(self, client: ClientFacts, wants: Wants) -> AsyncIterator[tuple[str, JsonObject]]:
        """Notifications outside any request: list changes, resource updates.

        Ends when the caller closes the iterator; reconnects by itself. Buffers a bounded number
        and then drops the oldest of the same kind (they only say that something changed).
        """
        ...

    async def facts(self, version: str = "") -> ServerFacts:
        """What the server says of itself; asks it once and remembers.

        Args:
            version: the revision of the client it is asked for. A server that speaks both eras
                may say other things to an earlier client; "" means the newest it speaks.

        Raises:
            UpstreamDown: it cannot be reached.
        """
        ...

    async def end_session(self, session: str) -> None:
        """Forget whatever is kept for this session key (close its upstream session, its child)."""
        ...

    def status(self) -> UpstreamStatus:
        """How it is doing, for people."""
        ...
