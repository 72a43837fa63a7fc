"""Fakes around the MCP edge, and a way to drive it without sockets.

    server = FakeUpstream("bank", tools=[{"name": "pay", "inputSchema": {"type": "object"}}])
    house = make_house(server)
    reply = await house.wire().post(modern("tools/call", name="bank/pay", arguments={}))
    reply.result, house.gate.seen, server.of("tools/call")

`Wire` speaks ASGI to the edge as an HTTP server would; `Wire.stream` leaves the response open.
"""

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
from bailiwick.gateway.mcp.core import Limits
from bailiwick.gateway.mcp.edge import EdgeSettings, McpEdge
from bailiwick.gateway.mcp.pins import PinBook
from bailiwick.ports import (
    Caller,
    ClientFacts,
    Person,
    Pinned,
    RequestPeer,
    ServerFacts,
    Upstream,
    UpstreamReply,
    UpstreamRequest,
    UpstreamStatus,
    Wants,
)
from bailiwick.protocols.sse import SseDecoder, SseEvent

HOST = "gateway.test"
ADA = "Bearer ada"
CLERK = "Bearer clerk"
DEADLINE_SECONDS = 5.0


async def eventually(holds: Callable[[], bool]) -> None:
    """Let the loop run until something holds, within the deadline."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not holds():  # noqa: ASYNC110  # what is waited for tells nobody
            await asyncio.sleep(0)


async def turns(count: int = 50) -> None:
    """Let everything run that can run now: for what must not happen."""
    for _ in range(count):
        await asyncio.sleep(0)


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


@dataclass
class House:
    """An edge with everything around it."""

    edge: McpEdge
    gate: FakeGate
    pins: Pins
    clock: FakeClock
    authenticator: FakeAuthenticator
    servers: dict[str, Upstream]

    def wire(self, authorization: str | None = ADA) -> Wire:
        """A client's way in."""
        return Wire(self.edge, authorization)


def make_house(*servers: Upstream, limits: Limits | None = None) -> House:
    """An edge over fakes."""
    clock = FakeClock()
    gate = FakeGate()
    pins = Pins(clock)
    authenticator = FakeAuthenticator()
    by_name = {server.name: server for server in servers}
    edge = McpEdge(
        gate=gate,
        authenticator=authenticator,
        upstreams=lambda: by_name,
        pins=pins.book,
        hosts=(HOST,),
        clock=clock,
        public_url=f"https://{HOST}",
        settings=EdgeSettings(limits=limits or Limits()),
    )
    return House(edge, gate, pins, clock, authenticator, by_name)


# --- driving -----------------------------------------------------------------------------------


@dataclass
class Reply:
    """A finished response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def events(self) -> list[SseEvent]:
        """The events of a stream."""
        return SseDecoder(1 << 26).feed(self.body)

    @property
    def messages(self) -> list[Any]:
        """The JSON-RPC messages, of one body or of a stream."""
        if self.headers.get("content-type") == "text/event-stream":
            return [json.loads(event.data) for event in self.events]
        return [json.loads(self.body)] if self.body else []

    @property
    def result(self) -> Any:
        """The result of the last message."""
        return self.messages[-1]["result"]

    @property
    def error(self) -> Any:
        """The error of the last message."""
        return self.messages[-1]["error"]


class Open:
    """A response that may still be running."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks
        self._task: asyncio.Task[None] | None = None
        self._left = asyncio.Event()
        self._pending: list[SseEvent] = []
        self._changed = asyncio.Condition()
        self._decoder = SseDecoder(1 << 26)
        self._read = 0
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.complete = False
        self.blocked = asyncio.Event()
        self.blocked.set()

    def begin(self, edge: Any, scope: dict[str, Any]) -> None:
        """Run the application on this request."""
        running = edge(scope, self.receive, self.send)
        self._task = asyncio.get_running_loop().create_task(running)

    async def receive(self) -> dict[str, Any]:
        """The ASGI `receive` of the server."""
        if self._chunks:
            chunk = self._chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(self._chunks)}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """The ASGI `send` of the server. `blocked.clear()` makes it a slow reader."""
        await self.blocked.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            self.body += message.get("body", b"")
            self.complete = not message.get("more_body", False)
        async with self._changed:
            self._changed.notify_all()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, within the deadline."""
        async with asyncio.timeout(DEADLINE_SECONDS), self._changed:
            await self._changed.wait_for(holds)

    async def event(self) -> SseEvent:
        """The next event with data."""
        events: list[SseEvent] = []

        def more() -> bool:
            fresh, self._read = self.body[self._read :], len(self.body)
            events.extend(self._decoder.feed(fresh))
            return bool(events)

        if not self._pending:
            await self.until(more)
            self._pending.extend(events)
        return self._pending.pop(0)

    async def message(self) -> Any:
        """The next message of the stream."""
        return json.loads((await self.event()).data)

    async def opened(self) -> None:
        """Wait for the response to start."""
        await self.until(lambda: self.status != 0)

    async def leave(self) -> None:
        """Close the connection as a client does."""
        self._left.set()
        await asyncio.sleep(0)

    async def reply(self) -> Reply:
        """Wait for the end of the response."""
        if self._task is None:
            raise AssertionError("not begun")
        async with asyncio.timeout(DEADLINE_SECONDS):
            await self._task
        return Reply(self.status, self.headers, self.body)


class Wire:
    """An HTTP client of an ASGI application, without HTTP.

    Args:
        authorization: the header to send, or None for none.
    """

    def __init__(self, edge: Any, authorization: str | None = ADA) -> None:
        self._edge = edge
        self._authorization = authorization

    def stream(
        self,
        message: Any = None,
        *,
        method: str = "POST",
        path: str = "/mcp",
        headers: Mapping[str, str] | None = None,
        body: bytes | Sequence[bytes] | None = None,
    ) -> Open:
        """Send a request and leave the response open."""
        if body is None:
            body = b"" if message is None else json.dumps(message).encode()
        chunks = [body] if isinstance(body, bytes) else list(body)
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": self._headers(message, headers or {}),
        }
        opened = Open(chunks)
        opened.begin(self._edge, scope)
        return opened

    def _headers(self, message: Any, extra: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
        headers = {
            "host": HOST,
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
        }
        if self._authorization is not None:
            headers["authorization"] = self._authorization
        headers.update(routing_headers(message))
        headers.update({name.lower(): value for name, value in extra.items()})
        return [(k.encode(), v.encode("latin-1")) for k, v in headers.items() if v != ""]

    async def post(self, message: Any, **options: Any) -> Reply:
        """Send a request and wait for the whole response."""
        return await self.stream(message, **options).reply()


def routing_headers(message: Any) -> dict[str, str]:
    """The headers a conforming client of 2026-07-28 derives from a message."""
    params = message.get("params") if isinstance(message, dict) else None
    meta = params.get("_meta") if isinstance(params, dict) else None
    if not isinstance(meta, dict) or "io.modelcontextprotocol/protocolVersion" not in meta:
        return {}
    headers = {
        "mcp-protocol-version": str(meta["io.modelcontextprotocol/protocolVersion"]),
        "mcp-method": str(message["method"]),
    }
    name = params.get("name", params.get("uri", params.get("taskId")))  # type: ignore[union-attr]  # a dict
    if isinstance(name, str):
        headers["mcp-name"] = name
    return headers


def modern(
    method: str,
    *,
    id: str | int = 1,  # noqa: A002  # the protocol's word
    capabilities: Any = None,
    meta: Any = None,
    **params: Any,  # the protocol's word
) -> dict[str, Any]:
    """A request of 2026-07-28."""
    return {
        "jsonrpc": "2.0",
        "id": id,
        "method": method,
        "params": {
            **params,
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": capabilities or {},
                **(meta or {}),
            },
        },
    }


def legacy(method: str, *, id: str | int | None = 1, **params: Any) -> dict[str, Any]:  # noqa: A002  # the protocol's word
    """A request of the stateful era; a notification when `id` is None."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    return message if id is None else {**message, "id": id}


@dataclass
class Client:
    """A stateful client with its session."""

    wire: Wire
    path: str
    headers: dict[str, str]
    hello: Any

    @classmethod
    async def connect(
        cls,
        wire: Wire,
        *,
        path: str = "/mcp",
        version: str = "2025-11-25",
        capabilities: Any = None,
    ) -> Client:
        """Shake hands."""
        hello = await wire.post(
            legacy(
                "initialize",
                protocolVersion=version,
                capabilities=capabilities or {},
                clientInfo={"name": "test", "version": "1"},
            ),
            path=path,
        )
        headers = {
            "mcp-session-id": hello.headers["mcp-session-id"],
            "mcp-protocol-version": hello.result["protocolVersion"],
        }
        return cls(wire, path, headers, hello.result)

    def stream(self, message: Any = None, **options: Any) -> Open:
        """Send and leave open."""
        headers = {**self.headers, **options.pop("headers", {})}
        return self.wire.stream(message, path=self.path, headers=headers, **options)

    async def post(self, message: Any, **options: Any) -> Reply:
        """Send and wait."""
        return await self.stream(message, **options).reply()


def tool(name: str, **more: Any) -> dict[str, Any]:
    """A tool definition."""
    return {
        "name": name,
        "description": f"the tool {name}",
        "inputSchema": {"type": "object"},
        **more,
    }
