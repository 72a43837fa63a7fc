"""What stands around the MCP edge in a test: a gate, servers, a clock, an authenticator, pins."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bailiwick.core.call import Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import TheirError, UpstreamBroken, UpstreamDown
from bailiwick.core.thinking.offering import Offering
from bailiwick.core.verdict import Deny
from bailiwick.gateway.gate import (
    Answer,
    Answered,
    Asked,
    Dispatch,
    OnTick,
    Refused,
)
from bailiwick.gateway.mcp.pins import PinBook
from bailiwick.ports import (
    Caller,
    ClientFacts,
    Person,
    Pinned,
    RequestPeer,
    ServerFacts,
    UpstreamReply,
    UpstreamRequest,
    UpstreamStatus,
    Wants,
)
from bailiwick.testing.mcp.waiting import eventually

HOST = "gateway.test"


ADA = "Bearer ada"


CLERK = "Bearer clerk"


Handle = Callable[[UpstreamRequest, RequestPeer], Awaitable[UpstreamReply]]


class FakeClock:
    """A clock that stands still until `forward` is called."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def wall_ms(self) -> int:
        """Unix milliseconds."""
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        """Seconds."""
        return self.seconds

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


class FakeAuthenticator:
    """`Bearer NAME` is agent NAME under mandate NAME-work. `revoked` names are refused."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()

    def authenticate(self, authorization: str | None) -> Caller:
        """See `Authenticator`."""
        if authorization is None:
            raise TheirError("token_missing", "no token was sent")
        scheme, _, name = authorization.partition(" ")
        if scheme != "Bearer" or not name.isalpha():
            raise TheirError("token_invalid", "the token is not valid")
        return self.renew(Caller(name, f"{name}-work", "owner", f"jti-{name}", 10**15))

    def renew(self, caller: Caller) -> Caller:
        """See `Authenticator`."""
        if caller.agent in self.revoked:
            raise TheirError("token_revoked", "the token was revoked")
        return caller

    def person(self, authorization: str | None) -> Person:
        """See `Authenticator`."""
        raise TheirError("token_invalid", "no people here")


class FakeGate:
    """Allows everything but `denied` targets; `on` takes over for one target.

    Attributes:
        apart: what `tells_runs_apart` says.
        counting: what `counts_tokens` says.
        seen: every `Asked`, in order.
        kept: answers handed to `keep_answer`.
    """

    def __init__(self) -> None:
        self.denied: set[str] = set()
        self.apart = False
        self.counting = False
        self.on: dict[str, Callable[[Asked, Dispatch, OnTick], Awaitable[Answer]]] = {}
        self.seen: list[Asked] = []
        self.kept: list[tuple[Asked, Answer]] = []
        self.cancelled: list[Asked] = []

    async def govern(self, asked: Asked, dispatch: Dispatch, on_tick: OnTick) -> Answer:
        """See `Gate`."""
        self.seen.append(asked)
        call = f"call-{len(self.seen)}"
        name = str(asked.target)
        if asked.blocked is not None:
            return Refused(call, asked.blocked.code, asked.blocked.because)
        if name in self.denied:
            return Refused(call, "not_in_mandate", f"`{name}` is not in the mandate")
        if name in self.on:
            return await self.on[name](asked, dispatch, on_tick)
        try:
            return Answered(call, await dispatch())
        except UpstreamDown as error:
            return Refused(call, "upstream_down", error.message)
        except UpstreamBroken as error:
            return Refused(call, "outcome_unknown", error.message)
        except asyncio.CancelledError:
            self.cancelled.append(asked)
            raise

    def visible(self, caller: Caller, target: Target) -> bool:
        """See `Gate`."""
        return str(target) not in self.denied

    def stopped(self, caller: Caller) -> Deny | None:
        """Mandates are always in force here."""
        return None

    def tells_runs_apart(self, caller: Caller) -> bool:
        """See `Gate`."""
        return self.apart

    def offerings(self, caller: Caller) -> Sequence[Offering]:
        """Nothing is said of what models are offered."""
        return ()

    def counts_tokens(self, caller: Caller) -> bool:
        """See `Gate`."""
        return self.counting

    def keep_answer(self, asked: Asked, answer: Answer) -> None:
        """See `Gate`."""
        self.kept.append((asked, answer))


@dataclass
class FakeUpstream:
    """One scripted MCP server.

    Attributes:
        handlers: by method, in place of the canned answers.
        requests: every request received, in order.
        listeners: what is being listened for now, with a queue for each listener.
    """

    name: str
    tools: Sequence[Mapping[str, Any] | bytes] = ()
    resources: Sequence[Mapping[str, Any]] = ()
    templates: Sequence[Mapping[str, Any]] = ()
    prompts: Sequence[Mapping[str, Any]] = ()
    version: str = "2026-07-28"
    capabilities: dict[str, Any] = field(default_factory=dict)
    instructions: str = ""
    handlers: dict[str, Handle] = field(default_factory=dict)
    page_size: int = 1000
    down: bool = False
    requests: list[tuple[UpstreamRequest, RequestPeer]] = field(default_factory=list)
    notes: list[tuple[str, JsonObject]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    listeners: list[tuple[Wants, asyncio.Queue[tuple[str, JsonObject]]]] = field(
        default_factory=list
    )

    def __post_init__(self) -> None:
        """Declare what there is."""
        if self.tools:
            self.capabilities.setdefault("tools", {"listChanged": True})
        if self.resources or self.templates:
            self.capabilities.setdefault("resources", {"subscribe": True, "listChanged": True})
        if self.prompts:
            self.capabilities.setdefault("prompts", {"listChanged": True})

    async def request(self, request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        """See `Upstream`."""
        if self.down:
            raise UpstreamDown("upstream_down", f"`{self.name}` is down")
        self.requests.append((request, peer))
        handler = self.handlers.get(request.method)
        if handler is not None:
            return await handler(request, peer)
        listed = {
            "tools/list": ("tools", self.tools),
            "resources/list": ("resources", self.resources),
            "resources/templates/list": ("resourceTemplates", self.templates),
            "prompts/list": ("prompts", self.prompts),
        }.get(request.method)
        if listed is not None:
            return UpstreamReply(result=self._page(listed[0], listed[1], request.params))
        text = {"content": [{"type": "text", "text": request.method}], "resultType": "complete"}
        return UpstreamReply(result=json.dumps(text).encode())

    def _page(self, member: str, items: Sequence[Any], params: JsonObject) -> bytes:
        start = int(str(params.get("cursor", "0")))
        page = items[start : start + self.page_size]
        raw = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in page]
        result = b'{"%b":[%b],"ttlMs":5000,"cacheScope":"public"' % (
            member.encode(),
            b",".join(raw),
        )
        if start + self.page_size < len(items):
            result += b',"nextCursor":"%d"' % (start + self.page_size)
        return result + b"}"

    async def notify(self, client: ClientFacts, method: str, params: JsonObject) -> None:
        """See `Upstream`."""
        self.notes.append((method, params))

    async def listen(
        self, client: ClientFacts, wants: Wants
    ) -> AsyncIterator[tuple[str, JsonObject]]:
        """See `Upstream`."""
        entry = (wants, asyncio.Queue[tuple[str, JsonObject]]())
        self.listeners.append(entry)
        try:
            while True:
                yield await entry[1].get()
        finally:
            self.listeners.remove(entry)

    def tell(self, method: str, **params: Any) -> None:
        """Notify every listener, whatever it wants."""
        for _, queue in self.listeners:
            queue.put_nowait((method, params))

    async def listened(self, holds: Callable[[Wants], bool] = bool) -> None:
        """Wait until somebody listens for what `holds`."""
        await eventually(lambda: any(holds(wants) for wants, _ in self.listeners))

    async def facts(self, version: str = "") -> ServerFacts:
        """See `Upstream`."""
        if self.down:
            raise UpstreamDown("upstream_down", f"`{self.name}` is down")
        return ServerFacts(self.version, self.capabilities, {"name": self.name}, self.instructions)

    async def end_session(self, session: str) -> None:
        """See `Upstream`."""
        self.ended.append(session)

    def status(self) -> UpstreamStatus:
        """See `Upstream`."""
        return UpstreamStatus(self.name, "down" if self.down else "up")

    def of(self, method: str) -> list[UpstreamRequest]:
        """The requests of one method."""
        return [request for request, _ in self.requests if request.method == method]


class Pins:
    """A pin book with its record in a list."""

    def __init__(self, clock: FakeClock, known: Sequence[Pinned] = ()) -> None:
        self.recorded: list[Pinned] = []
        self.failing: Exception | None = None
        self.book = PinBook(self._record, known, clock)

    async def _record(self, pins: Sequence[Pinned]) -> None:
        if self.failing is not None:
            raise self.failing
        self.recorded.extend(pins)
