"""A scripted HTTP server on loopback: tests say byte by byte what it answers."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

DEADLINE = 10.0


async def soon(awaitable: Awaitable[T]) -> T:
    """Wait, but not for ever."""
    return await asyncio.wait_for(awaitable, DEADLINE)


@dataclass
class Got:
    """One request as it came in."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """The way back on one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(
        self, status: int, body: bytes, content_type: str = "application/json", more: str = ""
    ) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\n{more}"
        await self.raw(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async def json(self, value: Any, status: int = 200, more: str = "") -> None:
        await self.reply(status, json.dumps(value).encode(), more=more)

    async def stream(self, more: str = "") -> None:
        await self.raw(
            f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{more}"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )

    async def chunk(self, data: bytes) -> None:
        await self.raw(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def event(self, value: Any, event_id: str = "") -> None:
        head = f"id: {event_id}\n" if event_id else ""
        await self.chunk(f"{head}data: {json.dumps(value)}\n\n".encode())

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def closed(self) -> None:
        """Until the other side has closed."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def close(self) -> None:
        self.writer.close()


Answer = Callable[[Got, Wire], Awaitable[None]]


@dataclass
class Site:
    url: str
    port: int
    got: list[Got] = field(default_factory=list)
    connections: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def wait_for(self, condition: Callable[[Site], bool]) -> None:
        async with self.changed:
            await soon(self.changed.wait_for(lambda: condition(self)))


@asynccontextmanager
async def site(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    handlers: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        here.connections += 1
        number = here.connections
        try:
            while (got := await read_request(reader, number)) is not None:
                async with here.changed:
                    here.got.append(got)
                    here.changed.notify_all()
                await answer(got, Wire(reader, writer))
                if writer.is_closing():
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            handlers.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    here = Site(f"{'https' if tls else 'http'}://127.0.0.1:{port}/mcp", port)
    try:
        yield here
    finally:
        server.close()
        for task in list(handlers):
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader, connection: int) -> Got | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Got(method, target, headers, body, connection)
