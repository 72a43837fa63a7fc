"""Driving the MCP edge without sockets.

`Wire` speaks ASGI to the edge as an HTTP server would; `Wire.stream` leaves the response open.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bailiwick.protocols.sse import SseDecoder, SseEvent
from bailiwick.testing.mcp.fakes import ADA, HOST
from bailiwick.testing.mcp.waiting import DEADLINE_SECONDS


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
